use crate::build::{self, icmp, ipv4, ipv6, tcp, udp, udp4};
use crate::{bytes, ip, names, ports};
use flowtrack_wire::{Icmp, Ports, Tcp, TcpOption, Transport};

#[test]
fn tcp_header_and_options() {
    let options = bytes![
        [2, 4, 5, 0xb4],
        [1, 3, 3, 7],
        [4, 2],
        [8, 10, 0, 0, 0, 1, 0, 0, 0, 2],
        [34, 6, 9, 9, 9, 9],
        [30, 3, 5],
        [0, 0, 0]
    ];
    let data = ipv4(6, &tcp(&options, b"hello"));
    let (packet, stats) = ip(&data);
    let Transport::Tcp(tcp) = packet.transport else { panic!("no TCP: {packet:?}") };
    let expected = Tcp {
        src: 40_000,
        dst: 80,
        seq: 1,
        ack: 2,
        flags: Tcp::PSH | Tcp::ACK,
        window: 0x0102,
        urgent: 3,
        options: &options,
    };
    assert_eq!(tcp, expected);
    assert_eq!((packet.payload, packet.payload_wire_len), (&b"hello"[..], 5));
    assert_eq!((names(&packet), stats.tcp), (vec![], 1));
    assert!(tcp.has(Tcp::ACK | Tcp::SYN) && !tcp.has(Tcp::SYN));
    let options: Vec<TcpOption<'_>> = tcp.options().collect();
    assert_eq!(
        options,
        [
            TcpOption::Mss(1460),
            TcpOption::WindowScale(7),
            TcpOption::SackPermitted,
            TcpOption::Timestamps { value: 1, echo: 2 },
            TcpOption::FastOpen(&[9, 9, 9, 9]),
            TcpOption::Other { kind: 30, data: &[5] },
        ]
    );
}

#[test]
fn selective_acknowledgements() {
    let options = bytes![[1, 1, 5, 18], [0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0, 4]];
    let data = ipv4(6, &tcp(&options, &[]));
    let (packet, _) = ip(&data);
    let Transport::Tcp(tcp) = packet.transport else { panic!("no TCP: {packet:?}") };
    let Some(TcpOption::Sack(blocks)) = tcp.options().next() else { panic!("no SACK") };
    assert_eq!(blocks.iter().collect::<Vec<_>>(), [(1, 2), (3, 4)]);
    assert_eq!(names(&packet), Vec::<&str>::new());
    // Without blocks it is no SACK, and nothing is wrong.
    let data = ipv4(6, &build::tcp(&[5, 2], &[]));
    assert_eq!(names(&ip(&data).0), Vec::<&str>::new());
}

#[test]
fn options_end_where_they_cannot_be_read() {
    for broken in [&[3, 3, 7, 8, 1][..], &[3, 3, 7, 8], &[3, 3, 7, 8, 0], &[3, 3, 7, 8, 200, 0]] {
        let padded = bytes![broken, vec![9; 8 - broken.len()]];
        let data = ipv4(6, &tcp(&padded, &[]));
        let (packet, _) = ip(&data);
        let Transport::Tcp(tcp) = packet.transport else { panic!("no TCP: {packet:?}") };
        let found: Vec<_> = tcp.options().collect();
        assert_eq!(found.first(), Some(&TcpOption::WindowScale(7)), "{broken:?}");
        assert!(found.len() <= 2);
        assert_eq!(names(&packet), ["tcp.opt_invalid_len"], "{broken:?}");
    }
}

#[test]
fn udp_length_cuts_the_payload() {
    let data = ipv4(17, &bytes![udp(1000, 2000, b"data"), b"behind"]);
    let (packet, _) = ip(&data);
    assert_eq!((packet.payload, packet.payload_wire_len), (&b"data"[..], 4));
    assert_eq!(names(&packet), Vec::<&str>::new());
}

#[test]
fn sctp() {
    let header = bytes![[0x0b, 0x59, 0x0b, 0x5a], [0, 0, 0, 7], [0; 4]];
    let chunk = [0, 3, 0, 17, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, b'x', 0, 0, 0];
    let data = ipv4(132, &bytes![header, chunk]);
    let (packet, stats) = ip(&data);
    assert_eq!(ports(&packet), Ports { src: 2905, dst: 2906 });
    assert_eq!((packet.payload, names(&packet), stats.sctp), (&chunk[..], vec![], 1));
    assert_eq!(packet.user_data(), b"x");
    // Data behind another chunk, and a packet that has none.
    let sack = [3, 0, 0, 16, 0, 0, 0, 1, 0, 0, 0, 9, 0, 0, 0, 0];
    let data = ipv4(132, &bytes![header, sack, chunk]);
    assert_eq!(ip(&data).0.user_data(), b"x");
    let data = ipv4(132, &bytes![header, sack]);
    assert_eq!(ip(&data).0.user_data(), sack);
    let broken = [3, 0, 0, 0, 0, 0, 0, 1];
    let data = ipv4(132, &bytes![header, broken]);
    assert_eq!(ip(&data).0.user_data(), broken);
}

#[test]
fn icmp_echo_and_error() {
    let data = ipv4(1, &icmp(8, 0, b"ping"));
    let (packet, stats) = ip(&data);
    let Transport::Icmp(echo) = packet.transport else { panic!("no ICMP: {packet:?}") };
    let expected = Icmp { kind: 8, code: 0, id: 0x1111, seq: 0x2222, quoted: None };
    assert_eq!((echo, packet.payload, stats.icmpv4), (expected, &b"ping"[..], 1));

    let quoted = udp4();
    let data = ipv4(1, &icmp(3, 3, &quoted));
    let (packet, _) = ip(&data);
    let Transport::Icmp(error) = packet.transport else { panic!("no ICMP: {packet:?}") };
    assert_eq!((error.id, error.seq, error.quoted), (0, 0, Some(&quoted[..])));
    assert_eq!(names(&packet), Vec::<&str>::new());
}

#[test]
fn icmpv6_echo_and_error() {
    let data = ipv6(58, &icmp(129, 0, b"pong"));
    let (packet, stats) = ip(&data);
    let Transport::Icmp(echo) = packet.transport else { panic!("no ICMPv6: {packet:?}") };
    assert_eq!((echo.kind, echo.id, echo.seq, echo.quoted), (129, 0x1111, 0x2222, None));
    assert_eq!((names(&packet), stats.icmpv6), (vec![], 1));

    let quoted = ipv6(17, &udp(1, 2, &[]));
    let data = ipv6(58, &icmp(2, 0, &quoted));
    let (packet, _) = ip(&data);
    let Transport::Icmp(error) = packet.transport else { panic!("no ICMPv6: {packet:?}") };
    assert_eq!((error.id, error.quoted), (0, Some(&quoted[..])));
}

#[test]
fn protocols_without_ports() {
    for (proto, body) in
        [(50, vec![0; 16]), (2, vec![0x16, 0, 0, 0, 224, 0, 0, 1]), (89, vec![0; 44])]
    {
        let data = ipv4(proto, &body);
        let (packet, stats) = ip(&data);
        assert!(matches!(packet.transport, Transport::Other) && !packet.malformed);
        assert_eq!((packet.payload.len(), names(&packet)), (body.len(), vec![]));
        let counted = (stats.esp == 1, stats.igmp == 1);
        assert_eq!(counted, (proto == 50, proto == 2));
    }
    // A report of version 3 with one source and auxiliary data, and a query of version 3.
    let record = bytes![[1, 1, 0, 1], [232, 0, 0, 1], [10, 0, 0, 1], [0; 4]];
    let report = bytes![[0x22, 0, 0, 0, 0, 0, 0, 1], record];
    let query = [0x11, 0, 0, 0, 224, 0, 0, 1, 2, 0, 0, 1, 10, 0, 0, 1];
    for body in [&report[..], &query[..]] {
        assert_eq!(names(&ip(&ipv4(2, body)).0), Vec::<&str>::new());
    }
}
