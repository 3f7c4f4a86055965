#!/usr/bin/env python3
"""HTTP/3 over QUIC for the demo: a server and a client on aioquic (curl in Debian 12 has none).

Usage: quic.py serve ADDRESS PORT CERT KEY ROOT
       quic.py get   CA URL...
"""

import asyncio
import os
import sys
from urllib.parse import urlsplit

from aioquic.asyncio import QuicConnectionProtocol, connect, serve
from aioquic.h3.connection import H3_ALPN, H3Connection
from aioquic.h3.events import DataReceived, HeadersReceived
from aioquic.quic.configuration import QuicConfiguration

AGENT = b"demo-quic/1.0"


class Server(QuicConnectionProtocol):
    """Answers every request with the file of that name below ROOT."""

    root = "."
    http = None

    def quic_event_received(self, event):
        if self.http is None:
            self.http = H3Connection(self._quic)
        for happened in self.http.handle_event(event):
            if isinstance(happened, HeadersReceived):
                self.answer(happened.stream_id, dict(happened.headers))

    def answer(self, stream, headers):
        path = os.path.join(self.root, headers[b":path"].decode().lstrip("/") or "index.html")
        body, status = b"not here\n", b"404"
        if ".." not in path and os.path.isfile(path):
            with open(path, "rb") as file:
                body, status = file.read(), b"200"
        self.http.send_headers(
            stream,
            [(b":status", status), (b"server", AGENT), (b"content-length", b"%d" % len(body))],
        )
        self.http.send_data(stream, body, end_stream=True)
        self.transmit()


class Client(QuicConnectionProtocol):
    http = None

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.waiting = {}

    def quic_event_received(self, event):
        if self.http is None:
            self.http = H3Connection(self._quic)
        for happened in self.http.handle_event(event):
            if isinstance(happened, (HeadersReceived, DataReceived)) and happened.stream_ended:
                done = self.waiting.pop(happened.stream_id, None)
                if done and not done.done():
                    done.set_result(None)

    async def get(self, host, path):
        if self.http is None:
            self.http = H3Connection(self._quic)
        stream = self._quic.get_next_available_stream_id()
        self.waiting[stream] = asyncio.get_running_loop().create_future()
        done = self.waiting[stream]
        self.http.send_headers(
            stream,
            [
                (b":method", b"GET"),
                (b":scheme", b"https"),
                (b":authority", host.encode()),
                (b":path", path.encode()),
                (b"user-agent", AGENT),
            ],
            end_stream=True,
        )
        self.transmit()
        await asyncio.wait_for(done, 20)


async def run_server(address, port, cert, key, root):
    Server.root = root
    wish = QuicConfiguration(is_client=False, alpn_protocols=H3_ALPN)
    wish.load_cert_chain(cert, key)
    await serve(address, int(port), configuration=wish, create_protocol=Server)
    await asyncio.Event().wait()


async def run_client(authority, urls):
    host = urlsplit(urls[0]).hostname
    wish = QuicConfiguration(is_client=True, alpn_protocols=H3_ALPN, server_name=host)
    wish.load_verify_locations(authority)
    async with connect(host, 443, configuration=wish, create_protocol=Client) as client:
        for url in urls:
            await client.get(host, urlsplit(url).path)


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["serve", address, port, cert, key, root]:
            asyncio.run(run_server(address, port, cert, key, root))
        case ["get", authority, *urls] if urls:
            asyncio.run(run_client(authority, urls))
        case _:
            sys.exit(__doc__)
