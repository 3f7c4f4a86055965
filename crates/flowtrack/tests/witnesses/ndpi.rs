//! Protocols of flows, as nDPI names them.

use crate::Agreement;
use crate::corpus::{Corpus, Pair, pair, pair_of};
use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;

/// What FlowTrack calls a protocol of nDPI. nDPI writes `TLS.Google` for Google over TLS: only the
/// first word counts. What is carried by TLS has names of its own there (`IMAPS`).
const EQUAL: &[(&str, &[&str])] = &[
    ("AMQP", &["amqp"]),
    ("BACnet", &["bacnet"]),
    ("BGP", &["bgp"]),
    ("BitTorrent", &["bittorrent", "bittorrent-dht"]),
    ("DHCP", &["dhcp"]),
    ("DHCPV6", &["dhcpv6"]),
    ("DNP3", &["dnp3"]),
    ("DNS", &["dns"]),
    ("DTLS", &["dtls"]),
    ("EthernetIP", &["enip"]),
    ("FTPS", &["tls"]),
    ("FTP_CONTROL", &["ftp"]),
    ("FTP_DATA", &["ftp-data"]),
    ("Git", &["git"]),
    ("HTTP", &["http", "http2", "websocket"]),
    ("HTTP2", &["http2"]),
    // A tunnel is named by what goes through it once it is open.
    ("HTTP_Connect", &["http", "tls"]),
    ("HTTP_Proxy", &["http"]),
    ("IEC60870", &["iec104"]),
    ("IMAP", &["imap"]),
    ("IMAPS", &["tls"]),
    ("IPSec", &["ike"]),
    ("Kafka", &["kafka"]),
    ("Kerberos", &["krb5"]),
    ("LDAP", &["ldap"]),
    ("LLMNR", &["llmnr"]),
    ("MDNS", &["mdns"]),
    ("MQTT", &["mqtt"]),
    ("Memcached", &["memcached"]),
    ("Modbus", &["modbus"]),
    ("MongoDB", &["mongodb"]),
    ("MySQL", &["mysql", "tls"]),
    ("NFS", &["nfs"]),
    ("NTP", &["ntp"]),
    // The session service is only the envelope of SMB.
    ("NetBIOS", &["netbios-ns", "netbios-dgm", "smb"]),
    ("OpenVPN", &["openvpn"]),
    ("POP3", &["pop3"]),
    ("POPS", &["tls"]),
    ("PostgreSQL", &["pgsql", "tls"]),
    ("QUIC", &["quic"]),
    ("RDP", &["rdp", "tls"]),
    ("RPC", &["dcerpc"]),
    ("RSYNC", &["rsync"]),
    ("RTCP", &["rtcp"]),
    ("RTP", &["rtp"]),
    ("Radius", &["radius"]),
    ("Redis", &["redis"]),
    ("S7Comm", &["s7comm"]),
    ("SIP", &["sip"]),
    ("SMBv1", &["smb"]),
    ("SMBv23", &["smb"]),
    ("SMTP", &["smtp", "tls"]),
    ("SMTPS", &["tls"]),
    ("SNMP", &["snmp"]),
    ("SOAP", &["http"]),
    ("SOCKS", &["socks"]),
    ("SSDP", &["ssdp"]),
    ("SSH", &["ssh"]),
    ("STUN", &["stun"]),
    ("Syslog", &["syslog"]),
    ("TFTP", &["tftp"]),
    ("TLS", &["tls"]),
    ("Telnet", &["telnet"]),
    ("VNC", &["rfb"]),
    ("WebSocket", &["websocket", "http"]),
    ("WireGuard", &["wireguard"]),
];

/// Labels of nDPI that name who is spoken to, by address or host name, and not how: any protocol of
/// FlowTrack is right beside them.
const SERVICES: &[&str] = &["Apple", "ApplePush", "Azure", "Google", "Unknown", "UltraSurf"];

#[test]
fn protocols_are_named_as_ndpi_names_them() {
    let Some(corpus) = Corpus::find() else { return };
    let captures = corpus.captures_with("nDPI", ".ndpi.out");
    let analysis = corpus.analyze(&captures);
    let mut agreement = Agreement::on("protocols of nDPI");
    for (index, capture) in captures.iter().enumerate() {
        let mut ours: HashMap<Pair, BTreeSet<String>> = HashMap::new();
        for event in analysis.events(index) {
            if let (Some(flow), Some(app)) = (pair_of(&event), event["app_proto"].as_str())
                && event["event_type"] == "flow"
                && app != "failed"
            {
                ours.entry(flow).or_default().insert(app.to_owned());
            }
        }
        let report = corpus.read(&format!("{capture}.ndpi.out"));
        for (flow, label) in report.lines().filter_map(labelled) {
            let (Some(apps), false) = (ours.get(&flow), SERVICES.contains(&label)) else {
                continue;
            };
            // A label that is in no row is of a protocol that FlowTrack does not know: any name is
            // a wrong one then.
            let equal = EQUAL.iter().find(|(name, _)| *name == label).map_or(&[][..], |row| row.1);
            agreement.count(apps.iter().any(|app| equal.contains(&app.as_str())), || {
                format!("{capture}: {flow:?} {label}, ours {apps:?}")
            });
        }
    }
    agreement.assert_at_least(95, 500);
}

/// Flow and label of a line such as
/// `1 TCP 192.0.2.1:55744 <-> 198.51.100.2:443 [proto: 91.203/TLS.Github]...`.
fn labelled(line: &str) -> Option<(Pair, &str)> {
    let mut words = line.trim_start().split_ascii_whitespace();
    words.next()?.parse::<u32>().ok()?;
    let proto = words.next().filter(|proto| matches!(*proto, "TCP" | "UDP"))?;
    let src = end(words.next()?)?;
    words.next().filter(|arrow| matches!(*arrow, "<->" | "->"))?;
    let dst = end(words.next()?)?;
    let (_, rest) = line.split_once("[proto: ")?;
    let (_, label) = rest.split_once(']')?.0.split_once('/')?;
    Some((pair(proto, [src, dst]), label.split('.').next()?))
}

/// `192.0.2.1:443` or `[2001:db8::1]:443`.
fn end(text: &str) -> Option<(IpAddr, u16)> {
    let (ip, port) = text.rsplit_once(':')?;
    Some((ip.trim_matches(['[', ']']).parse().ok()?, port.parse().ok()?))
}
