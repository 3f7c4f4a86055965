//! Who gave this host its address, from the leases that DHCP clients keep.

use std::net::IpAddr;
use std::path::Path;

use super::{files, read};

/// The servers in the leases of dhclient, systemd-networkd, `NetworkManager` and dhcpcd.
pub fn servers(root: &Path) -> Vec<IpAddr> {
    let mut found = Vec::new();
    for folder in TEXT {
        for path in files(root.join(folder)) {
            found.extend(of_text(&read(path)));
        }
    }
    for folder in BINARY {
        for path in files(root.join(folder)) {
            found.extend(std::fs::read(path).ok().and_then(|lease| of_message(&lease)));
        }
    }
    found
}

/// `SERVER_ADDRESS=ADDRESS`, or `option dhcp-server-identifier ADDRESS;`.
fn of_text(text: &str) -> impl Iterator<Item = IpAddr> + '_ {
    text.lines().filter_map(|line| {
        let line = line.trim();
        let value = line
            .strip_prefix("SERVER_ADDRESS=")
            .or_else(|| line.strip_prefix("option dhcp-server-identifier "))?;
        value.trim_end_matches(';').parse().ok()
    })
}

/// Option 54 of a message of RFC 2131, which is what dhcpcd keeps.
fn of_message(message: &[u8]) -> Option<IpAddr> {
    let mut options = message.get(236..)?.strip_prefix(&[0x63, 0x82, 0x53, 0x63])?;
    loop {
        match *options {
            [0, ref rest @ ..] => options = rest,
            [SERVER, 4, a, b, c, d, ..] => return Some(IpAddr::from([a, b, c, d])),
            [code, len, ref rest @ ..] if code != 255 => options = rest.get(usize::from(len)..)?,
            _ => return None,
        }
    }
}

const SERVER: u8 = 54;

const TEXT: [&str; 4] =
    ["var/lib/dhcp", "var/lib/dhclient", "run/systemd/netif/leases", "var/lib/NetworkManager"];
const BINARY: [&str; 2] = ["var/lib/dhcpcd", "var/lib/dhcpcd5"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leases_of_every_client_are_read() {
        let root = std::env::temp_dir().join(format!("ft-leases-{}", std::process::id()));
        let write = |path: &str, bytes: &[u8]| {
            let path = root.join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, bytes).unwrap();
        };
        write(
            "var/lib/dhcp/dhclient.eth0.leases",
            b"lease {\n  option dhcp-server-identifier 192.0.2.1;\n}\n",
        );
        write("run/systemd/netif/leases/2", b"ADDRESS=10.0.0.7\nSERVER_ADDRESS=192.0.2.2\n");
        let mut message = vec![0; 236];
        message.extend([0x63, 0x82, 0x53, 0x63, 53, 1, 5, 0, 54, 4, 192, 0, 2, 3, 255]);
        write("var/lib/dhcpcd/eth0.lease", &message);
        write("var/lib/dhcpcd/short.lease", &message[..238]);
        let found = servers(&root);
        std::fs::remove_dir_all(&root).unwrap();
        let want = ["192.0.2.1", "192.0.2.2", "192.0.2.3"].map(|a| a.parse::<IpAddr>().unwrap());
        assert_eq!(found, want);
    }
}
