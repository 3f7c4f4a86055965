//! A bare ring reader: what reading costs if nothing is done with the packets. The yardstick for
//! live capture.
//!
//! `ring_reader IFACE [QUIET_SECONDS]` counts frames until none comes for so long after the first,
//! then prints one line of numbers. Ask it to stop earlier by taking the interface down.
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

    use flowtrack_capture::sys::instruction::Instruction;
    use flowtrack_capture::sys::netdev;
    use flowtrack_capture::sys::ring::{Ring, RingConfig};
    use flowtrack_capture::sys::socket::Poller;

    pub fn main() -> io::Result<()> {
        let mut args = std::env::args().skip(1);
        let usage = || io::Error::other("usage: ring_reader IFACE [QUIET_SECONDS]");
        let interface = args.next().ok_or_else(usage)?;
        let quiet = args.next().map_or(Ok(1.0), |text| text.parse().map_err(io::Error::other))?;
        let quiet = Duration::from_secs_f64(quiet);

        let mut ring = Ring::open(&RingConfig {
            ifindex: netdev::index_of(&interface)?,
            block_size: 1 << 20,
            blocks: 64,
            block_timeout: Duration::from_millis(10),
            promiscuous: false,
        })?;
        ring.start(&[Instruction::ret(u32::MAX)])?;

        let (mut frames, mut bytes) = (0_u64, 0_u64);
        // Read from each frame, so that its header is really fetched from memory.
        let mut addresses = 0_u32;
        let mut span: Option<(Instant, Instant)> = None;
        let mut poller = Poller::default();
        while span.is_none_or(|(_, last)| last.elapsed() < quiet) {
            poller.wait([ring.socket()], Duration::from_millis(100))?;
            while let Some(mut block) = ring.block() {
                for frame in block.frames() {
                    frames += 1;
                    bytes += u64::from(frame.wire_len);
                    if let Some(&[a, b, c, d]) = frame.data.get(26..30) {
                        addresses ^= u32::from_be_bytes([a, b, c, d]);
                    }
                }
                let now = Instant::now();
                span = Some((span.map_or(now, |(first, _)| first), now));
            }
        }
        std::hint::black_box(addresses);

        let counters = ring.take_counters()?;
        let seconds = span.map_or(0.0, |(first, last)| (last - first).as_secs_f64());
        println!(
            "frames {frames} bytes {bytes} drops {} freezes {} seconds {seconds:.3} rate {:.0}",
            counters.drops,
            counters.freezes,
            frames as f64 / seconds.max(1e-9),
        );
        Ok(())
    }
}
