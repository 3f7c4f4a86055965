//! Sends frames as they are, for measurements and tests; nothing that watches a network sends.

use std::io;
use std::mem::zeroed;

use super::socket::{PacketSocket, check};

/// A packet socket that sends.
#[derive(Debug)]
pub struct FrameSender {
    socket: PacketSocket,
}

impl FrameSender {
    /// Opens a sender on an interface; `bypass` goes around the queueing discipline, which is
    /// faster and drops where the interface cannot keep up.
    pub fn open(ifindex: u32, bypass: bool) -> io::Result<Self> {
        let socket = PacketSocket::open()?;
        if bypass {
            socket.set(libc::SOL_PACKET, libc::PACKET_QDISC_BYPASS, &1_i32)?;
        }
        socket.bind_to_send(ifindex)?;
        Ok(Self { socket })
    }

    /// Sends the frames with one system call; answers how many of them, from the first on, the
    /// interface took.
    pub fn send(&mut self, frames: &[&[u8]]) -> io::Result<usize> {
        let mut parts: Vec<libc::iovec> = frames
            .iter()
            .map(|frame| libc::iovec {
                iov_base: frame.as_ptr().cast_mut().cast(),
                iov_len: frame.len(),
            })
            .collect();
        let mut messages: Vec<libc::mmsghdr> = parts
            .iter_mut()
            .map(|part| {
                // SAFETY: all zeroes is a value of this plain struct: no address, no control data.
                let mut message: libc::mmsghdr = unsafe { zeroed() };
                message.msg_hdr.msg_iov = std::ptr::from_mut(part);
                message.msg_hdr.msg_iovlen = 1;
                message
            })
            .collect();
        // SAFETY: every message points to one element of `parts`, which points to one frame; all
        // outlive the call, which only reads the frames.
        let sent = unsafe {
            libc::sendmmsg(self.socket.raw(), messages.as_mut_ptr(), messages.len() as u32, 0)
        };
        check(sent)?;
        Ok(sent as usize)
    }
}
