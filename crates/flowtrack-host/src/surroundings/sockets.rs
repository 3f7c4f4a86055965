//! TCP connections of this host, from `/proc/net/tcp` and `/proc/net/tcp6`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;

use super::{Inodes, files, read};

/// One socket.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Socket {
    /// Port on this host.
    pub local_port: u16,
    /// The other end.
    pub peer: IpAddr,
    /// What it does.
    pub state: State,
    /// Its number, by which the process that holds it is found.
    pub inode: u64,
}

/// What a socket does, as far as anybody here asks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum State {
    /// It carries a connection.
    Established,
    /// It waits for connections.
    Listening,
}

/// All sockets that listen or are connected.
pub fn sockets(net: &Path) -> Vec<Socket> {
    let (v4, v6) = (read(net.join("tcp")), read(net.join("tcp6")));
    v4.lines().chain(v6.lines()).filter_map(socket).collect()
}

/// Columns: number, local address, peer, state, queues, timer, retransmissions, user, timeout,
/// inode.
fn socket(line: &str) -> Option<Socket> {
    let mut columns = line.split_whitespace().skip(1);
    let (_, local_port) = end(columns.next()?)?;
    let (peer, _) = end(columns.next()?)?;
    let state = match columns.next()? {
        "01" => State::Established,
        "0A" => State::Listening,
        _ => return None,
    };
    let inode = columns.nth(5)?.parse().ok()?;
    Some(Socket { local_port, peer, state, inode })
}

/// `ADDRESS:PORT` in hexadecimal: words of four bytes in network order, each printed as a number
/// of the host.
fn end(text: &str) -> Option<(IpAddr, u16)> {
    let (address, port) = text.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    let word = |at: usize| {
        let word = address.get(at * 8..at * 8 + 8)?;
        Some(u32::from_str_radix(word, 16).ok()?.to_ne_bytes())
    };
    let address = match address.len() {
        8 => IpAddr::V4(Ipv4Addr::from(word(0)?)),
        32 => {
            let mut bytes = [0; 16];
            for (at, four) in bytes.chunks_exact_mut(4).enumerate() {
                four.copy_from_slice(&word(at)?);
            }
            IpAddr::V6(Ipv6Addr::from(bytes)).to_canonical()
        }
        _ => return None,
    };
    Some((address, port))
}

/// The sockets that a process holds; none where it may not be looked into.
pub fn held_by(process: &Path) -> Inodes {
    let inode = |path: std::path::PathBuf| {
        let target = std::fs::read_link(path).ok()?;
        target.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok()
    };
    files(process.join("fd")).filter_map(inode).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_families_are_read() {
        // As x86 prints 192.0.2.7 and 2001:db8::1.
        if cfg!(target_endian = "big") {
            return;
        }
        let v4 = "   0: 0100007F:0016 070200C0:D431 01 00000000:00000000 00:00000000 00000000     \
                  0        0 12345 1 0 20 4 30 10 -1";
        let want = Socket {
            local_port: 22,
            peer: "192.0.2.7".parse().unwrap(),
            state: State::Established,
            inode: 12345,
        };
        assert_eq!(socket(v4), Some(want));
        let peer = end("B80D0120000000000000000001000000:0016").unwrap();
        assert_eq!(peer, ("2001:db8::1".parse().unwrap(), 22));
        let mapped = end("0000000000000000FFFF0000070200C0:0016").unwrap();
        assert_eq!(mapped.0, IpAddr::from([192, 0, 2, 7]));
        assert_eq!(socket("  sl  local_address rem_address   st"), None);
    }
}
