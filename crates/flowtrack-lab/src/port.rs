//! Ports that a test may use later.

use std::net::{TcpListener, UdpSocket};
use std::sync::atomic::{AtomicU32, Ordering};

/// A port of 127.0.0.1 on which nobody listens, and which nobody gets who asks the system for any.
///
/// Tests run beside each other, and each program that connects or listens gets a port of the system's
/// choice: of those, one that was free a moment ago may not be any more.
pub fn free_port() -> u16 {
    static TAKEN: AtomicU32 = AtomicU32::new(0);
    loop {
        let taken = TAKEN.fetch_add(1, Ordering::Relaxed);
        assert!(taken < MOST, "no port is free");
        // Every process begins at another one.
        let place = std::process::id().wrapping_mul(8).wrapping_add(taken) % MOST;
        let port = FIRST + u16::try_from(place).expect("there are fewer ports");
        let at = ("127.0.0.1", port);
        if TcpListener::bind(at).is_ok() && UdpSocket::bind(at).is_ok() {
            return port;
        }
    }
}

/// The first port that is chosen from; the system chooses from 32768 on.
const FIRST: u16 = 10_000;
/// From how many ports one is chosen.
const MOST: u32 = 20_000;
