//! Who is logged in over SSH, and from where.
//!
//! A connection to the SSH server is not a login: whoever guesses passwords has one too. The server
//! names its processes by how far they are: `sshd: root [priv]` and `sshd: root [net]` still ask,
//! `sshd: root@pts/0` serves a login. Sessions of other servers are found in utmp(5).

use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};

use super::sockets::{Socket, State, held_by, sockets};
use super::{Inodes, files, read};

/// Addresses that people are logged in from, and the ports on which they log in.
pub fn admins(proc: &Path, net: &Path) -> (Vec<IpAddr>, Vec<u16>) {
    let before = sockets(net);
    let servers = servers(proc);
    let mut ports = ports(&servers, &before);
    ports.sort_unstable();
    ports.dedup();
    let mut admins: Vec<_> = UTMP
        .iter()
        .flat_map(|path| utmp(&fs::read(path).unwrap_or_default()).collect::<Vec<_>>())
        .collect();
    let own = std::env::var("SSH_CONNECTION").unwrap_or_default();
    admins.extend(own.split(' ').next().and_then(|text| text.parse::<IpAddr>().ok()));
    // Connections come and go while processes are looked at; those that stay are told apart.
    let stayed: Inodes = sockets(net).iter().map(|socket| socket.inode).collect();
    admins.extend(
        before
            .iter()
            .filter(|socket| socket.state == State::Established && stayed.contains(&socket.inode))
            .filter(|socket| is_admin(socket, &servers, &ports))
            .map(|socket| socket.peer),
    );
    (admins, ports)
}

/// Whether a connection is a login. Where nobody can tell whose it is, it is spared rather than
/// cut; one that the server has not accepted yet has number 0.
fn is_admin(socket: &Socket, servers: &[Server], ports: &[u16]) -> bool {
    let mut holders =
        servers.iter().filter(|server| server.held.contains(&socket.inode)).peekable();
    match holders.peek() {
        Some(_) => holders.any(Server::is_login),
        None => socket.inode != 0 && ports.contains(&socket.local_port),
    }
}

/// A process of an SSH server.
struct Server {
    /// What it calls itself.
    title: String,
    /// Its sockets, as far as they can be seen.
    held: Inodes,
}

impl Server {
    /// Whether it serves somebody who is logged in.
    fn is_login(&self) -> bool {
        let title = self.title.split_once(": ").map_or("", |(_, title)| title.trim());
        title.contains('@') && !title.ends_with(']')
    }
}

fn servers(proc: &Path) -> Vec<Server> {
    let is_number = |path: &PathBuf| {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_digit())
    };
    let server = |folder: PathBuf| {
        if !is_server(&read(folder.join("comm"))) {
            return None;
        }
        let title = read(folder.join("cmdline")).replace('\0', " ").trim().to_owned();
        Some(Server { title, held: held_by(&folder) })
    };
    files(proc.to_owned()).filter(is_number).filter_map(server).collect()
}

fn is_server(comm: &str) -> bool {
    matches!(comm.trim(), "sshd" | "sshd-session" | "sshd-auth" | "dropbear")
}

/// Where SSH servers listen: as seen, as configured, and port 22.
fn ports(servers: &[Server], sockets: &[Socket]) -> Vec<u16> {
    let listening = sockets.iter().filter(|s| s.state == State::Listening);
    let mut ports: Vec<_> = listening
        .filter(|s| servers.iter().any(|server| server.held.contains(&s.inode)))
        .map(|s| s.local_port)
        .collect();
    ports.extend(configured(&read("/etc/ssh/sshd_config")));
    for path in files("/etc/ssh/sshd_config.d".into()) {
        ports.extend(configured(&read(path)));
    }
    ports.push(22);
    ports
}

/// Lines `Port NUMBER` of `sshd_config(5)`.
fn configured(text: &str) -> impl Iterator<Item = u16> + '_ {
    text.lines().filter_map(|line| {
        let mut words =
            line.split(|c: char| c.is_whitespace() || c == '=').filter(|w| !w.is_empty());
        words.next()?.eq_ignore_ascii_case("port").then(|| words.next()?.parse().ok())?
    })
}

/// Addresses in records of people, utmp(5).
fn utmp(bytes: &[u8]) -> impl Iterator<Item = IpAddr> + '_ {
    bytes.chunks_exact(RECORD).filter_map(|record| {
        if record.get(..2)? != USER_PROCESS.to_ne_bytes() {
            return None;
        }
        let address: [u8; 16] = record.get(ADDRESS..ADDRESS + 16)?.try_into().ok()?;
        let address = match address {
            [a, b, c, d, rest @ ..] if rest == [0; 12] => IpAddr::V4(Ipv4Addr::new(a, b, c, d)),
            sixteen => IpAddr::V6(Ipv6Addr::from(sixteen)),
        };
        (!address.is_unspecified()).then_some(address)
    })
}

/// Whether one of the processes that led to this one is an SSH server.
pub fn has_ssh_ancestor(proc: &Path) -> bool {
    let mut folder = proc.join("self");
    for _ in 0..MAX_ANCESTORS {
        let status = read(folder.join("status"));
        if is_server(&read(folder.join("comm"))) {
            return true;
        }
        let parent = status.lines().find_map(|line| line.strip_prefix("PPid:"));
        match parent.map(str::trim) {
            None | Some("0") => return false,
            Some(parent) => folder = proc.join(parent),
        }
    }
    false
}

const MAX_ANCESTORS: usize = 64;
const UTMP: [&str; 2] = ["/run/utmp", "/var/run/utmp"];

/// Sizes of glibc's `struct utmp`, the same on all Linux systems of 64 bits.
const RECORD: usize = 384;
const ADDRESS: usize = 348;
const USER_PROCESS: i16 = 7;

#[cfg(test)]
mod tests {
    use super::*;

    fn server(title: &str, held: &[u64]) -> Server {
        Server { title: title.to_owned(), held: held.iter().copied().collect() }
    }

    fn is_login(title: &str) -> bool {
        server(title, &[]).is_login()
    }

    #[test]
    fn only_served_logins_count() {
        assert!(is_login("sshd: root@pts/0"));
        assert!(is_login("sshd-session: anna@notty"));
        for asks in [
            "sshd: /usr/sbin/sshd -D [listener] 0 of 10-100 startups",
            "sshd: [accepted]",
            "sshd: root [priv]",
            "sshd: root [net]",
            "sshd: anna@example.org [priv]",
            "sshd: unknown [preauth]",
            "/usr/sbin/sshd -D -o a=b@c",
        ] {
            assert!(!is_login(asks), "{asks}");
        }
    }

    #[test]
    fn whoever_still_guesses_is_no_administrator() {
        let servers = [server("sshd: root [priv]", &[7]), server("sshd: root@pts/0", &[8])];
        let admin = |inode, local_port| {
            let peer = IpAddr::from([192, 0, 2, 7]);
            is_admin(
                &Socket { local_port, peer, state: State::Established, inode },
                &servers,
                &[22],
            )
        };
        assert!(!admin(7, 22) && admin(8, 22) && admin(8, 2222));
        assert!(admin(9, 22), "a server that cannot be looked into");
        assert!(!admin(9, 80) && !admin(0, 22));
    }

    #[test]
    fn ports_are_read_from_the_configuration() {
        let found: Vec<_> = configured("#Port 1\nPort 2222\nport=2022\nPortX 5\n").collect();
        assert_eq!(found, [2222, 2022]);
    }

    #[test]
    fn people_are_read_from_utmp() {
        let mut person = vec![0; RECORD];
        person[..2].copy_from_slice(&USER_PROCESS.to_ne_bytes());
        person[ADDRESS..ADDRESS + 4].copy_from_slice(&[192, 0, 2, 9]);
        let mut local = person.clone();
        local[ADDRESS..ADDRESS + 4].fill(0);
        let mut gone = person.clone();
        gone[..2].copy_from_slice(&8_i16.to_ne_bytes());
        let mut other = person.clone();
        let address: Ipv6Addr = "2001:db8::9".parse().unwrap();
        other[ADDRESS..ADDRESS + 16].copy_from_slice(&address.octets());
        let found: Vec<_> = utmp(&[person, local, gone, other].concat()).collect();
        assert_eq!(found, [IpAddr::from([192, 0, 2, 9]), IpAddr::V6(address)]);
    }
}
