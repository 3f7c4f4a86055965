#!/usr/bin/env python3
"""A long line: joins two interfaces, with delay, jitter and loss, in user space.

The kernel's netem would do the same, but not every kernel has it, and a recording that depends on
the kernel that made it is no recording to build tests on. Frames never overtake each other unless
`--reorder` says so.

Usage: line.py LEFT RIGHT --delay MS --jitter MS --loss PERCENT [--reorder PERCENT] [--seed N]
"""

import argparse
import heapq
import random
import select
import socket
import time

ETH_P_ALL = 3
PACKET_OUTGOING = 4
QUEUE_LIMIT = 4000  # frames on the way in both directions; more are dropped, as a real line does


def open_end(name):
    end = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
    end.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
    end.bind((name, ETH_P_ALL))
    end.setblocking(False)
    return end


def drain(end):
    """Every frame that waits at this end and was not sent by ourselves."""
    while True:
        try:
            frame, sender = end.recvfrom(65536)
        except BlockingIOError:
            return
        if sender[2] != PACKET_OUTGOING:
            yield frame


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("left")
    parser.add_argument("right")
    parser.add_argument("--delay", type=float, default=0, help="milliseconds each way")
    parser.add_argument("--jitter", type=float, default=0, help="milliseconds, at most")
    parser.add_argument("--loss", type=float, default=0, help="percent of the frames")
    parser.add_argument("--reorder", type=float, default=0, help="percent that skip the queue")
    parser.add_argument("--seed", type=int, default=1)
    wish = parser.parse_args()

    dice = random.Random(wish.seed)
    ends = (open_end(wish.left), open_end(wish.right))
    last_due = [0.0, 0.0]
    on_the_way = []  # (due, number, index of the end to leave by, frame)
    number = 0
    while True:
        wait = max(0.0, on_the_way[0][0] - time.monotonic()) if on_the_way else None
        readable, _, _ = select.select(ends, (), (), wait)
        for end in readable:
            to = 1 if end is ends[0] else 0
            for frame in drain(end):
                if dice.uniform(0, 100) < wish.loss or len(on_the_way) >= QUEUE_LIMIT:
                    continue
                due = time.monotonic() + (wish.delay + dice.uniform(0, wish.jitter)) / 1000
                if dice.uniform(0, 100) >= wish.reorder:
                    due = last_due[to] = max(due, last_due[to])
                else:
                    due -= wish.delay / 2000
                heapq.heappush(on_the_way, (due, number, to, frame))
                number += 1
        now = time.monotonic()
        while on_the_way and on_the_way[0][0] <= now:
            _, _, to, frame = heapq.heappop(on_the_way)
            try:
                ends[to].send(frame)
            except (BlockingIOError, OSError):
                pass  # a full or vanished interface loses frames like any other line


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        pass
