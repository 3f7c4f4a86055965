//! Sends frames at top speed, for measuring live capture. Into a network namespace made for it, or
//! onto loopback; never into a real network.
//!
//! `frame_sender IFACE COUNT SIZE [PER_SECOND]` sends COUNT frames of SIZE bytes, UDP packets of
//! 1,024 conversations, and prints how many the interface took. With `PER_SECOND` it keeps to that
//! rate.
#![cfg_attr(
    target_os = "linux",
    expect(clippy::print_stdout, clippy::disallowed_macros, reason = "it is a program")
)]

#[cfg(target_os = "linux")]
fn main() -> std::io::Result<()> {
    linux::main()
}

#[cfg(not(target_os = "linux"))]
fn main() {}

#[cfg(target_os = "linux")]
mod linux {
    use std::io;
    use std::time::{Duration, Instant};

    use flowtrack_capture::sys::netdev;
    use flowtrack_capture::sys::sender::FrameSender;

    pub fn main() -> io::Result<()> {
        let mut args = std::env::args().skip(1);
        let usage = || io::Error::other("usage: frame_sender IFACE COUNT SIZE [PER_SECOND]");
        let interface = args.next().ok_or_else(usage)?;
        let mut number = || args.next().map(|text| text.parse::<usize>().map_err(io::Error::other));
        let count = number().ok_or_else(usage)??;
        let size = number().ok_or_else(usage)??.clamp(MIN_SIZE, MAX_SIZE);
        let rate = number().transpose()?;

        let frames: Vec<_> = (0..CONVERSATIONS).map(|n| frame(n, size)).collect();
        let mut sender = FrameSender::open(netdev::index_of(&interface)?, true)?;
        let began = Instant::now();
        let (mut offered, mut taken) = (0, 0);
        while offered < count {
            let first = offered % CONVERSATIONS as usize;
            let burst = &frames[first..(first + BURST).min(frames.len())];
            let burst: Vec<&[u8]> =
                burst[..burst.len().min(count - offered)].iter().map(Vec::as_slice).collect();
            // What the interface refuses is not sent again: it counts as offered, not as taken.
            match sender.send(&burst) {
                Ok(sent) => {
                    taken += sent;
                    offered += sent + usize::from(sent < burst.len());
                }
                Err(e) if e.raw_os_error() == Some(libc::ENOBUFS) => offered += 1,
                Err(e) => return Err(e),
            }
            if let Some(rate) = rate {
                let due = Duration::from_secs_f64(offered as f64 / rate.max(1) as f64);
                std::thread::sleep(due.saturating_sub(began.elapsed()));
            }
        }
        let seconds = began.elapsed().as_secs_f64();
        println!(
            "sent {taken} refused {} size {size} seconds {seconds:.3} rate {:.0}",
            offered - taken,
            taken as f64 / seconds
        );
        Ok(())
    }

    /// A UDP packet of the n-th conversation, its IP checksum right.
    fn frame(n: u16, size: usize) -> Vec<u8> {
        let mut frame = vec![2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 0x08, 0x00];
        frame.extend([0x45, 0]);
        frame.extend(((size - 14) as u16).to_be_bytes());
        frame.extend([0, 0, 0x40, 0, 64, 17, 0, 0, 10, 0]);
        frame.extend(n.to_be_bytes());
        frame.extend([10, 1]);
        frame.extend(n.to_be_bytes());
        let words =
            frame[14..].chunks_exact(2).map(|w| u32::from(u16::from_be_bytes([w[0], w[1]])));
        let sum: u32 = words.sum();
        let folded = (sum & 0xffff) + (sum >> 16);
        frame[24..26]
            .copy_from_slice(&(!((folded & 0xffff) + (folded >> 16)) as u16).to_be_bytes());
        for word in [1024 + n, 5000, (size - 34) as u16, 0] {
            frame.extend(word.to_be_bytes());
        }
        frame.resize(size, 0);
        frame
    }

    const CONVERSATIONS: u16 = 1024;
    const BURST: usize = 64;
    const MIN_SIZE: usize = 42;
    const MAX_SIZE: usize = 1514;
}
