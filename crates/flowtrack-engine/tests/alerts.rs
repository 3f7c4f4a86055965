//! When signatures speak, and how often: packets made here against small sets of rules.

use flowtrack_engine::{Config, Dissect, Engine, Output, Seed, Tell};
use flowtrack_event::{
    DetectStats, Event, FileLimits, FlowKey, IfaceId, IpProto, LinkType, RawPacket, Remembered,
    Timestamp,
};
use flowtrack_rules::lang::Variables;
use flowtrack_rules::state::{Bit, Track, VarId};
use flowtrack_rules::{Loader, RuleSet, Shared};
use std::sync::Arc;

const SYN: u8 = 2;
const RST: u8 = 4;
const ACK: u8 = 16;
const URG: u8 = 32;
const CLIENT: [u8; 4] = [10, 0, 0, 1];
const SERVER: [u8; 4] = [192, 0, 2, 1];

/// A conversation of TCP that is written packet by packet.
struct Tcp {
    packets: Vec<Vec<u8>>,
    /// Next sequence numbers of client and server.
    next: [u32; 2],
    ports: (u16, u16),
}

impl Tcp {
    /// Nothing said yet.
    fn silent(port: u16) -> Self {
        Self { packets: Vec::new(), next: [1000, 5000], ports: (40_000, port) }
    }

    /// With its handshake.
    fn open(port: u16) -> Self {
        Self::silent(port)
            .segment(true, SYN, b"")
            .segment(false, SYN | ACK, b"")
            .segment(true, ACK, b"")
    }

    /// A segment that acknowledges all that the other side sent.
    fn segment(mut self, from_client: bool, flags: u8, data: &[u8]) -> Self {
        let (me, peer) = if from_client { (0, 1) } else { (1, 0) };
        let ack = if flags & ACK != 0 { self.next[peer] } else { 0 };
        let (src, dst) = if from_client { (CLIENT, SERVER) } else { (SERVER, CLIENT) };
        let (sport, dport) = if from_client { self.ports } else { (self.ports.1, self.ports.0) };
        let mut tcp = Vec::new();
        tcp.extend(sport.to_be_bytes());
        tcp.extend(dport.to_be_bytes());
        tcp.extend(self.next[me].to_be_bytes());
        tcp.extend(ack.to_be_bytes());
        tcp.extend([0x50, flags, 0xff, 0xff, 0, 0, 0, 0]);
        tcp.extend(data);
        self.packets.push(ip(6, src, dst, &tcp));
        self.next[me] += data.len() as u32 + u32::from(flags & SYN != 0);
        self
    }

    /// Data, and its acknowledgement.
    fn say(self, from_client: bool, data: &[u8]) -> Self {
        self.segment(from_client, ACK, data).segment(!from_client, ACK, b"")
    }

    /// Data of the client that nobody ever saw, acknowledged.
    fn lose(mut self, bytes: u32) -> Self {
        self.next[0] += bytes;
        self.segment(false, ACK, b"")
    }
}

fn ip(proto: u8, src: [u8; 4], dst: [u8; 4], payload: &[u8]) -> Vec<u8> {
    let len = (20 + payload.len()) as u16;
    let mut packet = vec![0x45, 0];
    packet.extend(len.to_be_bytes());
    packet.extend([0, 1, 0x40, 0, 64, proto, 0, 0]);
    packet.extend(src);
    packet.extend(dst);
    packet.extend(payload);
    packet
}

/// Numbers of the signatures that spoke, with the packets: 0 where a flow ended.
fn alerts(rules: &str, packets: &[Vec<u8>]) -> Vec<(u32, u64)> {
    judged(rules, packets).0
}

/// The same, with what was counted.
fn judged(rules: &str, packets: &[Vec<u8>]) -> (Vec<(u32, u64)>, DetectStats) {
    judged_with(&Config::default(), rules, packets)
}

fn judged_with(
    config: &Config,
    rules: &str,
    packets: &[Vec<u8>],
) -> (Vec<(u32, u64)>, DetectStats) {
    let (events, stats) = told(config, rules, packets);
    let mut found: Vec<_> = events
        .iter()
        .filter_map(|event| match event {
            Event::Alert(alert) => Some((alert.rule.sid, alert.packet)),
            _ => None,
        })
        .collect();
    found.sort_unstable();
    (found, stats)
}

/// All that is told of packets a millisecond apart.
fn told(config: &Config, rules: &str, packets: &[Vec<u8>]) -> (Vec<Event>, DetectStats) {
    told_knowing(Shared::default(), config, rules, packets)
}

/// The same where rules remember something of hosts already.
fn told_knowing(
    shared: Shared,
    config: &Config,
    rules: &str,
    packets: &[Vec<u8>],
) -> (Vec<Event>, DetectStats) {
    let mut loader = Loader::new(Variables::default());
    loader.add("x", rules);
    let loaded = loader.finish();
    let problems: Vec<_> = loaded.problems.iter().map(ToString::to_string).collect();
    assert_eq!(problems, Vec::<String>::new());
    let mut engine = Engine::new(config, 0, Seed([1, 2, 3, 4]));
    let set = RuleSet::compile(loaded.signatures);
    engine.set_rules(Arc::new(set), Arc::new(shared));
    let mut out = Output::default();
    for (number, data) in (1..).zip(packets) {
        let packet = RawPacket {
            ts: Timestamp::from_nanos(1_700_000_000_000_000_000 + number as i64 * 1_000_000),
            data,
            wire_len: data.len() as u32,
            vlan_tci: None,
            link: LinkType::RAW,
            iface: IfaceId(0),
            number,
        };
        engine.process(&[packet], &mut out);
    }
    engine.finish(&mut out);
    let stats = engine.stats().detect.unwrap();
    (out.events, stats)
}

/// Places of the packets that were recorded behind alerts.
fn recorded(rules: &str, packets: &[Vec<u8>]) -> Vec<u64> {
    let tell = Tell { tagged: true, ..Tell::default() };
    let (events, _) = told(&Config { tell, ..Config::default() }, rules, packets);
    let of_packets = |event: &Event| match event {
        Event::Packet(packet) => {
            assert_eq!(*packet.frame, *packets[packet.packet as usize - 1]);
            Some(packet.packet)
        }
        _ => None,
    };
    events.iter().filter_map(of_packets).collect()
}

#[test]
fn a_tag_records_what_follows_its_alert_and_no_more() {
    let packets = Tcp::open(80).say(true, b"hello").say(false, b"one").say(true, b"two").packets;
    let rule = |tag: &str| {
        format!("alert tcp any any -> any any (dsize:5; content:\"hello\"; tag:{tag}; sid:1;)\n")
    };
    // The fourth packet raises the alert, which is of that packet.
    assert_eq!(recorded(&rule("session,3,packets"), &packets), [5, 6]);
    assert_eq!(recorded(&rule("session,90,bytes"), &packets), [5]);
    assert_eq!(recorded(&rule("session,10,seconds"), &packets), [5, 6, 7, 8, 9]);
    assert_eq!(recorded(&rule("session"), &packets), [5, 6, 7, 8, 9]);
    // Silent alerts ask as well; alerts that are held back do not.
    assert_eq!(recorded(&rule("session; noalert"), &packets), [5, 6, 7, 8, 9]);
    let held = "session; threshold:type threshold,track by_src,count 2,seconds 9";
    assert_eq!(recorded(&rule(held), &packets), []);
}

#[test]
fn what_an_expression_captures_is_asked_by_other_rules_and_told() {
    let packets = Tcp::open(80)
        .say(true, b"user root id 7\r\n")
        .say(false, b"welcome\r\n")
        .say(true, b"list\r\n")
        .packets;
    let rules = "alert tcp any any -> any any (flow:to_client; content:\"welcome\"; \
                 flowvar:user,\"oo\"; sid:1;)\n\
                 alert tcp any any -> any any (content:\"welcome\"; flowvar:user,\"admin\"; sid:2;)\n\
                 alert tcp any any -> any any (content:\"user\"; pktvar:id,7; sid:3;)\n\
                 alert tcp any any -> any any (content:\"list\"; pktvar:id,7; sid:4;)\n\
                 alert tcp any any -> any any (dsize:>0; content:\"user\"; pcre:\"/user (\\w+) id (\\d)/, \
                 flow:user, pkt:id\"; flowbits:set,logged.on; flowint:tries,+,1; sid:5;)\n\
                 alert tcp any any -> any any (dsize:>0; content:\"user\"; \
                 pcre:\"/user (?P<alert_who>\\w+)/\"; sid:6;)\n\
                 alert tcp any any -> any any (dsize:>0; content:\"user\"; pcre:\"/user (\\w+)/, flow:user\"; \
                 content:\"nothing such\"; sid:7;)\n";
    let (events, _) = told(&Config::default(), rules, &packets);
    let mut found = Vec::new();
    for event in &events {
        let Event::Alert(alert) = event else { continue };
        let Remembered { flowbits, flowints, flowvars, pktvars, context } =
            alert.remembered.as_deref().cloned().unwrap_or_default();
        let texts = |list: Vec<(Arc<str>, Box<[u8]>)>| {
            let text = |(name, text): &(Arc<str>, Box<[u8]>)| {
                format!("{name}={}", String::from_utf8_lossy(text))
            };
            list.iter().map(text).collect::<Vec<_>>().join(" ")
        };
        let [flowvars, pktvars, context] = [flowvars, pktvars, context].map(texts);
        assert_eq!((flowbits.len(), flowints.len()), (1, 1));
        assert_eq!((&*flowbits[0], &*flowints[0].0, flowints[0].1), ("logged.on", "tries", 1));
        found.push(format!("{} {flowvars} {pktvars} {context}", alert.rule.sid));
    }
    found.sort_unstable();
    let expected =
        ["1 user=root  ", "3 user=root id=7 ", "5 user=root id=7 ", "6 user=root id=7 who=root"];
    assert_eq!(found, expected);
}

#[test]
fn what_is_captured_of_a_stream_is_told_with_the_transaction() {
    let packets = Tcp::open(80)
        .say(true, b"GET /a HTTP/1.1\r\nHost: a\r\nX-User: root\r\n\r\n")
        .say(false, b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        .packets;
    let rules = "alert http any any -> any any (content:\"X-User\"; \
                 pcre:\"/X-User: (\\w+)/, flow:user\"; http.uri; content:\"/a\"; sid:1;)\n\
                 alert http any any -> any any (content:\"X-User\"; \
                 pcre:\"/X-User: (\\w+)/, alert:who\"; http.uri; content:\"/a\"; sid:2;)\n\
                 alert http any any -> any any (content:\"X-User\"; \
                 pcre:\"/X-User: (\\w+)/, flow:other\"; http.uri; content:\"/b\"; sid:3;)\n";
    let (events, _) = told(&Config::default(), rules, &packets);
    let mut found = Vec::new();
    for event in &events {
        let Event::Alert(alert) = event else { continue };
        let remembered = alert.remembered.as_deref().cloned().unwrap_or_default();
        let names = |list: &[(Arc<str>, Box<[u8]>)]| {
            let text = |(name, text): &(Arc<str>, Box<[u8]>)| {
                format!("{name}={}", String::from_utf8_lossy(text))
            };
            list.iter().map(text).collect::<Vec<_>>().join(" ")
        };
        let Remembered { flowvars, context, .. } = &remembered;
        found.push(format!("{} {} {}", alert.rule.sid, names(flowvars), names(context)));
    }
    assert_eq!(found, ["1 user=root ", "2 user=root who=root"]);
}

#[test]
fn what_is_looked_for_in_the_stream_is_of_the_request_it_came_with() {
    let mut talk = Tcp::open(80);
    for (path, field) in [("a", "X-User: root"), ("b", "X-Other: 1"), ("c", "X-User: me")] {
        let head = format!("GET /{path} HTTP/1.1\r\nHost: a\r\n{field}\r\n\r\n");
        talk = talk
            .say(true, head.as_bytes())
            .say(false, b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    }
    let rule = |sid: u32, path: &str, rest: &str| {
        format!(
            "alert http any any -> any any (http.uri; content:\"/{path}\"; pkt_data; {rest}; \
             sid:{sid};)\n"
        )
    };
    let rules = [
        rule(1, "a", "content:\"X-User\""),
        rule(2, "b", "content:\"X-User\""),
        rule(3, "c", "content:\"X-User\""),
        rule(4, "a", "content:!\"X-User\""),
        rule(5, "b", "content:!\"X-User\""),
        rule(6, "c", "content:!\"X-User\""),
        rule(7, "a", "content:\"GET \"; depth:4; content:\"/a\"; distance:0; within:2"),
    ];
    let sids: Vec<u32> =
        alerts(&rules.concat(), &talk.packets).into_iter().map(|(sid, _)| sid).collect();
    assert_eq!(sids, [1, 3, 5, 7]);
}

#[test]
fn packets_of_protocols_without_flows_are_judged_one_by_one() {
    let (gre, ipip) = (47, 4);
    let inner = ip(17, CLIENT, SERVER, &[0x9c, 0x40, 3, 0xe7, 0, 9, 0, 0, b'x']);
    let there = |proto, data: &[u8]| ip(proto, [10, 9, 0, 1], [10, 9, 0, 2], data);
    let back = |proto, data: &[u8]| ip(proto, [10, 9, 0, 2], [10, 9, 0, 1], data);
    let rules = "alert ip 10.9.0.0/16 any -> any any (sid:1;)\n\
                 alert ip 10.9.0.0/16 any -> any any (flow:to_client; sid:2;)\n";
    let opaque = &[0, 0, 0x99, 0x99, 1, 2, 3, 4];
    let packets = [there(gre, opaque), back(gre, opaque), there(gre, opaque)];
    assert_eq!(alerts(rules, &packets), [(1, 1), (1, 2), (1, 3)]);
    // A tunnel is one flow, all of which goes the same way.
    let packets = [there(ipip, &inner), back(ipip, &inner), there(ipip, &inner)];
    assert_eq!(alerts(rules, &packets), [(1, 1)]);
}

#[test]
fn each_file_of_a_transaction_that_a_rule_asks_for_is_told() {
    let part = |name: &str, body: &str| {
        format!(
            "--x\r\nContent-Disposition: form-data; name=\"f\"; filename=\"{name}\"\r\n\r\n{body}\r\n"
        )
    };
    let body =
        [part("a.pdf", "%PDF-1.5\n"), part("b.pdf", "%PDF-1.6\n"), "--x--\r\n".into()].concat();
    let post = format!(
        "POST /up HTTP/1.1\r\nHost: a\r\nContent-Type: multipart/form-data; boundary=x\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let packets = Tcp::open(80)
        .say(true, post.as_bytes())
        .say(false, b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        .packets;
    let rules = "alert http any any -> any any (fileext:\"pdf\"; sid:1;)\n\
                 alert http any any -> any any (filename:\"b\"; sid:2;)\n\
                 alert http any any -> any any (filemagic:\"PDF document, version 1.5\"; sid:3;)\n\
                 alert http any any -> any any (file.magic; content:\"version 1.6\"; endswith; sid:4;)\n\
                 alert http any any -> any any (filemagic:!\"PDF\"; sid:5;)\n\
                 alert http any any -> any any (http.uri; content:\"/up\"; sid:6;)\n";
    let sids: Vec<u32> = alerts(rules, &packets).into_iter().map(|(sid, _)| sid).collect();
    assert_eq!(sids, [1, 1, 2, 3, 4, 6]);
}

#[test]
fn a_transaction_that_came_in_parts_was_before_its_end() {
    let rules = "alert http any any -> any any (app-layer-state:<request_complete; sid:1;)\n\
                 alert http any any -> any any (app-layer-state:<response_complete; sid:2;)\n\
                 alert http any any -> any any (app-layer-state:>request_headers; sid:3;)\n\
                 alert http any any -> any any (app-layer-state:response_line; sid:4;)\n";
    let sids = |packets: &[Vec<u8>]| -> Vec<u32> {
        alerts(rules, packets).into_iter().map(|(sid, _)| sid).collect()
    };
    let get = b"GET /a HTTP/1.1\r\nHost: a\r\n\r\n";
    let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
    let at_once = Tcp::open(80).say(true, get).say(false, answer).say(true, get).say(false, answer);
    assert_eq!(sids(&at_once.packets), [3, 3, 4, 4]);
    let (head, body) = answer.split_at(answer.len() - 1);
    let in_parts = Tcp::open(80).say(true, get).say(false, head).say(false, body);
    assert_eq!(sids(&in_parts.packets), [2, 3, 4]);
    let post = b"POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n";
    let in_parts =
        Tcp::open(80).say(true, post).say(true, b"one").say(true, b"two345").say(false, answer);
    assert_eq!(sids(&in_parts.packets), [1, 3, 4]);
}

#[test]
fn the_body_of_a_mail_is_known_by_its_sum() {
    // MD5 of `hello\r\n.dot\r\n`: a dot that DATA doubles is once in it, the last one is not.
    let rules = "alert smtp any any -> any any (email.body_md5; \
                 content:\"4474717cc8d119a9f35d08e3bd1e8484\"; bsize:32; sid:1;)\n\
                 alert smtp any any -> any any (email.body_md5; content:\"0000\"; sid:2;)\n";
    let packets = Tcp::open(25)
        .say(false, b"220 a ESMTP\r\n")
        .say(true, b"EHLO b\r\n")
        .say(false, b"250 a\r\n")
        .say(true, b"MAIL FROM:<x@b>\r\n")
        .say(false, b"250 ok\r\n")
        .say(true, b"RCPT TO:<y@a>\r\n")
        .say(false, b"250 ok\r\n")
        .say(true, b"DATA\r\n")
        .say(false, b"354 go\r\n")
        .say(true, b"Subject: s\r\n\r\nhello\r\n..dot\r\n.\r\n")
        .say(false, b"250 queued\r\n")
        .packets;
    let sids: Vec<u32> = alerts(rules, &packets).into_iter().map(|(sid, _)| sid).collect();
    assert_eq!(sids, [1]);
}

#[test]
fn what_a_flow_cannot_remember_is_counted() {
    let names = |from: u32| (from..from + 8).map(|n| format!("flow:v{n}")).collect::<Vec<_>>();
    let rules: Vec<String> = (0..5)
        .map(|n| {
            format!(
                "alert tcp any any -> any any (dsize:8; content:\"01234567\"; \
                 pcre:\"/(0)(1)(2)(3)(4)(5)(6)(7)/, {}\"; sid:{};)\n",
                names(8 * n).join(", "),
                n + 1
            )
        })
        .collect();
    let (alerts, counted) = judged(&rules.concat(), &Tcp::open(80).say(true, b"01234567").packets);
    // 32 texts have room.
    assert_eq!((alerts.len(), counted.memory_dropped), (5, 8));
}

#[test]
fn what_of_hosts_has_no_room_is_counted() {
    // Nearly as many hosts are marked as there is room for.
    let shared = Shared::default();
    let host = |n: u32| FlowKey {
        src: (0x0b00_0000 + n).to_be_bytes().into(),
        dst: SERVER.into(),
        src_port: 0,
        dst_port: 0,
        proto: IpProto(132),
    };
    let (mark, now) = (VarId::of("seen"), Timestamp::from_secs(1_700_000_000));
    for n in 0..262_142 {
        let bit = Bit::of(mark, Track::Source, Some(&host(n)), None).unwrap();
        assert!(shared.set(bit, now, 300));
    }
    let packets: Vec<Vec<u8>> =
        (1..=5).map(|n| ip(132, [10, 0, 0, n], SERVER, b"\0\x01\0\x02\0\0\0\0\0\0\0\0")).collect();
    let rules = "alert ip any any -> any any (hostbits:set,seen,src; sid:1;)\n\
                 alert ip any any -> any any (hostbits:isset,other,src; sid:2;)\n";
    let (events, counted) = told_knowing(shared, &Config::default(), rules, &packets);
    let alerts = events.iter().filter(|event| matches!(event, Event::Alert(_))).count();
    assert_eq!((alerts, counted.memory_dropped), (5, 3));
}

#[test]
fn files_that_no_rule_could_choose_any_more_are_counted() {
    // 300 requests whose responses are never acknowledged whole: their files wait.
    let mut tcp = Tcp::open(80);
    for n in 0..300 {
        let request = format!("PUT /{n} HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nsent");
        tcp = tcp.say(true, request.as_bytes());
    }
    let contents = Some(FileLimits { file: 1 << 20, total: 1 << 30 });
    let dissect = Dissect { contents, ..Dissect::default() };
    let tell = Tell { files: true, ..Tell::default() };
    let config = Config { dissect, tell, ..Config::default() };
    let rule = "alert http any any -> any any (filename:\"7\"; http.stat_code; content:\"200\"; \
                filestore; sid:1;)\n";
    let (events, counted) = told(&config, rule, &tcp.packets);
    let files = events.iter().filter(|event| matches!(event, Event::File(_))).count();
    assert_eq!(files, 300);
    assert!(counted.files_unchosen > 0, "{counted:?}");
}

/// Names of the files that are to be stored by these rules, and of those that are not.
fn stored(rules: &str, packets: &[Vec<u8>], stores_all: bool) -> (Vec<String>, Vec<String>) {
    let contents = Some(FileLimits { file: 1 << 20, total: 1 << 30 });
    let dissect = Dissect { contents, stores_all, ..Dissect::default() };
    let tell = Tell { files: true, ..Tell::default() };
    let (events, _) = told(&Config { dissect, tell, ..Config::default() }, rules, packets);
    let (mut wanted, mut others) = (Vec::new(), Vec::new());
    for event in &events {
        let Event::File(file) = event else { continue };
        assert_eq!(file.content.is_some(), file.wanted);
        let list = if file.wanted { &mut wanted } else { &mut others };
        list.push(String::from_utf8_lossy(&file.filename).into_owned());
    }
    (wanted, others)
}

/// Three exchanges on one connection; the second has a file each way.
fn exchanges() -> Vec<Vec<u8>> {
    let get = |name: &str| format!("GET /{name} HTTP/1.1\r\nHost: a\r\n\r\n").into_bytes();
    let put = b"PUT /up HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nsent";
    let answer = |body: &str| {
        format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len()).into_bytes()
    };
    Tcp::open(80)
        .say(true, &get("one"))
        .say(false, &answer("first body"))
        .say(true, put)
        .say(false, &answer("second body"))
        .say(true, &get("three"))
        .say(false, &answer("third body"))
        .packets
}

#[test]
fn rules_choose_the_files_that_are_stored() {
    let packets = exchanges();
    let both = |rule: &str| {
        let rule = format!("alert http any any -> any any ({rule}; sid:1;)\n");
        let (wanted, others) = stored(&rule, &packets, false);
        assert_eq!(wanted.len() + others.len(), 4, "{rule}: {wanted:?} {others:?}");
        wanted.join(" ")
    };
    // Without a rule that chooses, all are stored.
    assert_eq!(both("content:\"nothing such\""), "/one /up /up /three");
    // The file that matched.
    assert_eq!(both("file.data; content:\"first\"; filestore"), "/one");
    assert_eq!(both("filename:\"up\"; filestore"), "/up /up");
    assert_eq!(both("flow:to_client; filename:\"up\"; filestore"), "/up");
    assert_eq!(both("file.data; content:\"nothing such\"; filestore"), "");
    // The transaction's, either way, though the request matches before its response is there.
    assert_eq!(both("http.method; content:\"PUT\"; filestore:both"), "/up /up");
    assert_eq!(both("http.method; content:\"PUT\"; filestore:request,tx"), "/up");
    assert_eq!(both("http.method; content:\"PUT\"; filestore:to_client,file"), "");
    // All of the flow from then on.
    assert_eq!(both("http.method; content:\"PUT\"; filestore:response,flow"), "/up /three");
    assert_eq!(both("http.method; content:\"PUT\"; filestore:both,ssn"), "/up /up /three");
    // Who asks for all files gets all.
    let rule = "alert http any any -> any any (filename:\"one\"; filestore; sid:1;)\n";
    assert_eq!(stored(rule, &packets, true).0, ["/one", "/up", "/up", "/three"]);
    // What a rule that is silent chooses is stored too.
    assert_eq!(both("filename:\"one\"; filestore; noalert"), "/one");
}

#[test]
fn a_tag_of_a_host_records_all_of_its_flows() {
    let datagram = |src: [u8; 4], dst: [u8; 4], data: &[u8]| {
        let head = [40_000, 999, 8 + data.len() as u16, 0].map(u16::to_be_bytes);
        ip(17, src, dst, &[head.as_flattened(), data].concat())
    };
    let other = [198, 51, 100, 7];
    let packets = [
        datagram(CLIENT, SERVER, b"before"),
        datagram(CLIENT, SERVER, b"hello"),
        datagram(CLIENT, other, b"of the client"),
        datagram(other, SERVER, b"of the server"),
        datagram(SERVER, CLIENT, b"of both"),
    ];
    let rule = |tag: &str| {
        format!("alert udp any any -> any any (content:\"hello\"; tag:host{tag}; sid:1;)\n")
    };
    assert_eq!(recorded(&rule(",10,packets,src"), &packets), [3, 5]);
    assert_eq!(recorded(&rule(",10,packets"), &packets), [4, 5]);
    assert_eq!(recorded(&rule(""), &packets), [4, 5]);
    assert_eq!(recorded(&rule(",2,packets,dst"), &packets), [4]);
}

#[test]
fn an_expression_that_goes_back_for_ever_is_given_up_and_counted() {
    let rules = "alert udp any any -> any any (content:\"a\"; \
                 pcre:\"/(?=a)(a|aa)+(?<x>b)\\k<x>$/\"; sid:1;)\n\
                 alert udp any any -> any any (content:\"aaa\"; sid:2;)\n";
    let datagram = |data: &[u8]| {
        let head = [40_000, 999, 8 + data.len() as u16, 0].map(u16::to_be_bytes);
        ip(17, CLIENT, SERVER, &[head.as_flattened(), data].concat())
    };
    // Only with the steps back is it known that no second b follows.
    let endless = [&[b'a'; 200][..], b"bc"].concat();
    let (alerts, counted) = judged(rules, &[datagram(&endless), datagram(b"aaabb")]);
    // The other rule speaks of the same bytes, and the expression of the next ones.
    assert_eq!(alerts, [(1, 2), (2, 1), (2, 2)]);
    assert!(counted.pcre_given_up > 0, "{counted:?}");
}

#[test]
fn sessions_picked_up_midstream_are_judged_where_that_is_asked() {
    let rules = "alert http any 80 -> any any (flow:to_client; http.stat_code; content:\"200\"; sid:1;)\n\
                 alert http any any -> any 80 (flow:to_server; http.uri; content:\"/next\"; sid:2;)\n";
    // What is seen first is the answer to something else.
    let talk = Tcp::silent(80)
        .say(false, b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        .say(true, b"GET /next HTTP/1.1\r\nHost: a\r\n\r\n")
        .say(false, b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n");
    assert_eq!(alerts(rules, &talk.packets), []);
    let mut config = Config::default();
    config.flow.midstream = true;
    let (alerts, _) = judged_with(&config, rules, &talk.packets);
    assert_eq!(alerts.iter().map(|(sid, _)| *sid).collect::<Vec<_>>(), [1, 2]);
}

#[test]
fn what_is_dropped_is_with_all_of_its_flow() {
    let mut talk = Tcp::open(80);
    for path in ["first-evil", "second-evil", "third"] {
        talk = talk
            .say(true, format!("GET /{path} HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes())
            .say(false, b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    }
    let rules = "drop http any any -> any any (http.uri; content:\"evil\"; sid:1;)\n\
                 alert http any any -> any any (http.uri; content:\"first\"; sid:2;)\n\
                 alert http any any -> any any (http.uri; content:\"third\"; sid:3;)\n";
    let sids = |rules: &str| -> Vec<u32> {
        alerts(rules, &talk.packets).into_iter().map(|(sid, _)| sid).collect()
    };
    assert_eq!(sids(rules), [1, 2]);
    // One that is about single packets says nothing of the others.
    let rules = rules.replace(
        "drop http any any -> any any (http.uri",
        "drop tcp-pkt any any -> any any (flow:to_server",
    );
    assert_eq!(sids(&rules), [1, 1, 2, 3]);
    // A limit is on what is told, not on what is done; below a threshold neither is.
    let limited = |limit: &str, count: u32| {
        let rules = format!(
            "drop http any any -> any any (http.uri; content:\"evil\"; \
             threshold:type {limit}, track by_src, count {count}, seconds 60; sid:1;)\n\
             alert http any any -> any any (http.uri; content:\"third\"; sid:3;)\n"
        );
        sids(&rules)
    };
    assert_eq!(limited("limit", 1), [1]);
    assert_eq!(limited("threshold", 2), [1]);
    assert_eq!(limited("threshold", 9), [3]);
    assert_eq!(limited("both", 2), [1]);
    assert_eq!(limited("both", 9), [3]);
}

#[test]
fn an_action_applies_to_what_the_rule_says() {
    let mut talk = Tcp::open(80);
    for path in ["first", "then", "second"] {
        talk = talk
            .say(true, format!("GET /{path} HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes())
            .say(false, b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    }
    let packets = talk.packets;
    let sids = |action: &str| -> Vec<u32> {
        let rules = format!(
            "{action} http any any -> any any (http.uri; content:\"first\"; sid:1;)\n\
             alert http any any -> any any (http.uri; content:\"second\"; sid:2;)\n"
        );
        alerts(&rules, &packets).into_iter().map(|(sid, _)| sid).collect()
    };
    assert_eq!(sids("drop"), [1]);
    assert_eq!(sids("drop:packet"), [1, 2]);
    assert_eq!(sids("drop:flow,alert"), [1]);
    assert_eq!(sids("pass"), []);
    assert_eq!(sids("pass:packet"), [2]);
    let of_packets = |action: &str| -> Vec<u64> {
        let rules = format!(
            "{action} tcp-pkt any any -> any any (flow:to_server; dsize:>4; content:!\"then\"; sid:1;)"
        );
        alerts(&rules, &packets).into_iter().map(|(_, packet)| packet).collect()
    };
    assert_eq!(of_packets("drop"), [4, 12]);
    assert_eq!(of_packets("drop:flow"), [4]);
}

#[test]
fn marks_of_hosts_are_known_by_either_keyword() {
    let rules = "alert tcp any any -> any any (flags:S; xbits:set,seen,track ip_src,expire 60; \
                 noalert; sid:1;)\n\
                 alert tcp any any -> any any (dsize:5; hostbits:isset,seen,src; sid:2;)\n\
                 alert tcp any any -> any any (dsize:5; hostbits:isset,seen,dst; sid:3;)\n\
                 alert tcp any any -> any any (flags:S; hostbits:set,known,src,60; noalert; sid:4;)\n\
                 alert tcp any any -> any any (dsize:5; xbits:isset,known,track ip_src; sid:5;)\n\
                 alert tcp any any -> any any (dsize:5; xbits:isset,known,track ip_pair; sid:6;)\n";
    let packets = Tcp::open(80).say(true, b"hello").packets;
    assert_eq!(alerts(rules, &packets), [(2, 4), (5, 4)]);
}

#[test]
fn a_pass_may_tell_and_silences_what_follows() {
    let talk = Tcp::open(80).say(true, b"hello").say(true, b"world");
    let rules = "pass tcp any any -> any any (content:\"hello\"; alert; sid:1;)\n\
                 alert tcp any any -> any any (content:\"world\"; sid:2;)\n";
    let sids: Vec<u32> = alerts(rules, &talk.packets).into_iter().map(|(sid, _)| sid).collect();
    assert_eq!(sids, [1]);
}

#[test]
fn a_protocol_is_known_once_its_bytes_are_acknowledged() {
    let talk = Tcp::open(80)
        .say(true, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        .say(false, b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    let rules = "alert http any any -> any any (flow:to_server; sid:1;)\n\
                 alert tcp any any -> any any (flow:to_client; app-layer-protocol:http; sid:2;)\n";
    // Packet 4 is the request, 5 its acknowledgement, 6 the response.
    assert_eq!(alerts(rules, &talk.packets), [(1, 7), (2, 5)]);
}

#[test]
fn data_before_the_handshake_and_in_a_rst_is_of_its_packet_alone() {
    let early = Tcp::silent(80).segment(true, SYN, b"early").segment(false, SYN | ACK, b"");
    let rules = "alert tcp any any -> any any (content:\"early\"; sid:1;)\n\
                 alert tcp any any -> any any (flow:only_stream; content:\"early\"; sid:2;)\n";
    assert_eq!(alerts(rules, &early.packets), [(1, 1)]);
    let reset = Tcp::open(80).say(true, b"hello").segment(true, RST | ACK, b"early");
    assert_eq!(alerts(rules, &reset.packets), [(1, 6)]);
    let whole = "alert tcp any any -> any any (content:\"helloearly\"; sid:1;)";
    assert_eq!(alerts(whole, &reset.packets), []);
}

#[test]
fn frames_are_found_in_streams_and_behind_holes() {
    let record = |text: &[u8]| -> Vec<u8> {
        let mut record = vec![23, 3, 3, 0, text.len() as u8];
        record.extend(text);
        record
    };
    let hello = tls_hello();
    let talk = Tcp::open(443).say(true, &hello);
    let talk = talk.say(true, &record(b"one")).say(true, &record(b"one two")[..8]);
    let talk = talk.lose(1).say(true, b"two");
    let rules = "alert tls any any -> any any (frame:tls.hdr; content:\"|17 03 03|\"; sid:1;)\n\
                 alert tls any any -> any any (frame:tls.data; content:\"one\"; bsize:3; sid:2;)\n\
                 alert tls any any -> any any (frame:tls.data; content:\"two\"; bsize:3; sid:3;)\n\
                 alert tls any any -> any any (tls.sni; absent; sid:4;)\n";
    let found: Vec<u32> = alerts(rules, &talk.packets).into_iter().map(|(sid, _)| sid).collect();
    assert_eq!(found, [1, 1, 2, 2, 3, 4]);
}

#[test]
fn a_request_may_pass_before_its_response_is_there() {
    let talk = Tcp::open(80)
        .say(true, b"GET /fine HTTP/1.1\r\nHost: a\r\n\r\n")
        .segment(true, ACK, b"")
        .say(false, b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        .segment(true, ACK, b"");
    let rules = "pass http any any -> any any (http.uri; content:\"fine\"; alert; sid:1;)\n\
                 drop http any any -> any any (flow:to_server; sid:2;)\n";
    assert_eq!(alerts(rules, &talk.packets), [(1, 6)]);
}

#[test]
fn two_sides_that_speak_different_protocols_are_told_apart() {
    let talk = Tcp::open(22)
        .say(true, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        .say(false, b"SSH-2.0-OpenSSH_9.9\r\n")
        .say(false, b"more");
    let rules = "alert tcp any any -> any any (app-layer-protocol:http,to_server; \
                 app-layer-protocol:ssh,to_client; flow:to_client; sid:1;)\n\
                 alert ip any any -> any any \
                 (app-layer-event:applayer_mismatch_protocol_both_directions; sid:2;)\n";
    // Packet 7 acknowledges what the server said.
    assert_eq!(alerts(rules, &talk.packets), [(1, 8), (2, 7)]);
}

#[test]
fn what_modbus_accesses_is_compared() {
    // Reads 10 coils from 100 on.
    let request = [0, 1, 0, 0, 0, 6, 9, 1, 0, 100, 0, 10];
    let response = [0, 1, 0, 0, 0, 5, 9, 1, 2, 0xff, 3];
    let talk = Tcp::open(502).say(true, &request).say(false, &response);
    let talk = talk.segment(true, ACK, b"");
    let fires = [
        "access read coils, address 105",
        "access read, address 90<>101",
        "function 1",
        "function !user",
        "unit 9, function public",
    ];
    let not = [
        "access write",
        "access read coils, address 110",
        "function 2",
        "unit 8",
        "function reserved",
    ];
    let count = |what: &str| {
        let rule = format!("alert modbus any any -> any any (modbus:{what}; sid:1;)");
        alerts(&rule, &talk.packets).len()
    };
    assert_eq!(fires.map(count), [1; 5]);
    assert_eq!(not.map(count), [0; 5]);
}

#[test]
fn behind_a_bypass_nothing_more_of_the_flow_is_judged() {
    let mut talk = Tcp::open(80);
    for path in ["one", "two"] {
        talk = talk
            .say(true, format!("GET /{path} HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes())
            .say(false, b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    }
    let rules = "alert http any any -> any any (http.uri; content:\"one\"; bypass; sid:1;)\n\
                 alert http any any -> any any (http.uri; content:\"two\"; sid:2;)\n\
                 alert http any any -> any any (http.uri; subslice:1,2; content:\"tw\"; sid:3;)\n";
    let sids: Vec<u32> = alerts(rules, &talk.packets).into_iter().map(|(sid, _)| sid).collect();
    assert_eq!(sids, [1]);
    let rules = rules.replace("bypass; ", "");
    let sids: Vec<u32> = alerts(&rules, &talk.packets).into_iter().map(|(sid, _)| sid).collect();
    assert_eq!(sids, [1, 2, 3]);
}

#[test]
fn what_breaks_tcp_is_noticed() {
    let rule = |name: &str| format!("alert tcp any any -> any any (stream-event:{name}; sid:1;)");
    let packets = |name: &str, talk: &Tcp| -> Vec<u64> {
        alerts(&rule(name), &talk.packets).into_iter().map(|(_, packet)| packet).collect()
    };
    let reset = Tcp::open(80)
        .segment(true, RST | ACK, b"")
        .say(true, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        .say(true, b"more");
    assert_eq!(packets("suspected_rst_inject", &reset), [5]);
    assert_eq!(packets("rst_with_data", &Tcp::open(80).segment(false, RST | ACK, b"why")), [4]);
    let mut again = Tcp::open(80);
    again.next[1] -= 1;
    let mut again = again.segment(false, SYN | ACK, b"").say(true, b"x");
    assert_eq!(packets("est_synack_resend", &again), [4]);
    again = again.segment(false, SYN | ACK, b"");
    assert_eq!(packets("est_synack_resend_with_different_ack", &again), [7]);
    let new = Tcp::open(80).segment(false, SYN | ACK, b"");
    assert_eq!(packets("est_synack_resend_with_diff_seq", &new), [4]);
    assert_eq!(packets("est_syn_resend_diff_seq", &Tcp::open(80).segment(true, SYN, b"")), [4]);
    let asked = Tcp::silent(80).segment(true, SYN, b"");
    let twice = asked.segment(false, SYN | ACK, b"").segment(false, SYN | ACK, b"");
    assert_eq!(packets("3whs_synack_resend_with_diff_seq", &twice), [3]);
    let mut wrong = Tcp::silent(80).segment(true, SYN, b"");
    wrong.next[0] -= 5;
    assert_eq!(packets("3whs_synack_with_wrong_ack", &wrong.segment(false, SYN | ACK, b"")), [2]);
    let talk = Tcp::open(80).say(true, &[b'a'; 1000]).say(false, &[b'b'; 1400]).say(true, b"x");
    for name in ["pkt_invalid_ack", "est_invalid_ack", "3whs_synack_with_wrong_ack"] {
        assert_eq!(packets(name, &talk), [] as [u64; 0], "{name}");
    }
    // More than the client has room for was never sent.
    let mut beyond = talk;
    beyond.next[1] += 70_000;
    let beyond = beyond.segment(true, ACK, b"");
    assert_eq!(packets("pkt_invalid_ack", &beyond), [10]);
    assert_eq!(packets("est_invalid_ack", &beyond), [10]);
    assert_eq!(packets("est_syn_resend", &again), [] as [u64; 0]);
    assert_eq!(packets("rst_but_no_session", &Tcp::silent(80).segment(true, RST | ACK, b"")), [1]);
    let hole = Tcp::open(80).say(true, b"begin").lose(9).say(true, b"end").say(false, b"ok");
    assert_eq!(packets("reassembly_seq_gap", &hole).len(), 1);
    let mut twice = Tcp::open(80).say(true, b"one");
    twice.next[0] -= 3;
    assert_eq!(packets("reassembly_overlap_different_data", &twice.say(true, b"two")), [6]);
    let mut stamped = Tcp::silent(80).segment(true, SYN, b"").segment(false, RST | ACK, b"");
    let answer = stamped.packets.last_mut().unwrap();
    answer.extend([1, 1, 8, 10, 0, 0, 0, 100, 0, 0, 0, 100]);
    answer[32] = 0x80;
    answer[3] += 12;
    assert_eq!(packets("pkt_invalid_timestamp", &stamped), [2]);
}

#[test]
fn the_urgent_byte_goes_beside_the_stream() {
    let mut talk = Tcp::open(80).say(true, b"GET /mali");
    talk = talk.segment(true, ACK | URG, b"c");
    let urgent = talk.packets.last_mut().unwrap();
    urgent[20 + 19] = 1;
    let talk = talk.segment(false, ACK, b"").say(true, b"ious HTTP/1.1\r\nHost: a\r\n\r\n");
    let rules = "alert http any any -> any any (http.uri; content:\"/maliious\"; sid:1;)\n\
                 alert tcp any any -> any any (content:\"malicious\"; sid:2;)\n";
    let sids: Vec<u32> = alerts(rules, &talk.packets).into_iter().map(|(sid, _)| sid).collect();
    assert_eq!(sids, [1]);
}

#[test]
fn data_that_comes_with_a_syn_that_asks_for_it_is_of_the_stream() {
    let request = b"GET /early HTTP/1.1\r\nHost: a\r\n\r\n";
    let mut talk = Tcp::silent(80).segment(true, SYN, request);
    // The option stands between header and data.
    let syn = talk.packets.last_mut().unwrap();
    syn.splice(40..40, [34, 10, 1, 2, 3, 4, 5, 6, 7, 8, 1, 1]);
    syn[32] = 0x80;
    let len = (syn.len() as u16).to_be_bytes();
    syn[2..4].copy_from_slice(&len);
    let talk = talk
        .segment(false, SYN | ACK, b"")
        .segment(false, ACK, b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        .segment(true, ACK, b"");
    let rules = "alert http any any -> any any (http.uri; content:\"/early\"; sid:1;)";
    assert_eq!(alerts(rules, &talk.packets).len(), 1);
}

#[test]
fn what_is_wrong_with_fragments_is_judged_with_the_fragment_that_shows_it() {
    let fragment = |offset: u8, more: bool, data: &[u8]| {
        let mut packet = ip(17, CLIENT, SERVER, data);
        packet[6] = if more { 0x20 } else { 0 };
        packet[7] = offset;
        packet
    };
    let first = fragment(0, true, &[1; 24]);
    let overlap = fragment(1, true, &[2; 24]);
    let last = fragment(4, false, &[3; 8]);
    let rules = "alert pkthdr any any -> any any (decode-event:ipv4.frag_overlap; sid:1;)\n\
                 alert ip any any -> any any (fragbits:M; sid:2;)\n";
    assert_eq!(alerts(rules, &[first, overlap, last]), [(1, 2), (2, 1), (2, 2)]);
}

/// A client hello with no extension.
fn tls_hello() -> Vec<u8> {
    let mut body = vec![3, 3];
    body.extend([7; 32]);
    body.extend([0, 0, 2, 0x13, 0x01, 1, 0]);
    let mut hello = vec![1, 0, 0, body.len() as u8];
    hello.extend(body);
    let mut record = vec![22, 3, 1, 0, hello.len() as u8];
    record.extend(hello);
    record
}

#[test]
fn frames_of_unknown_protocols_are_judged() {
    let mut lldp = vec![1, 0x80, 0xc2, 0, 0, 0x0e, 2, 0, 0, 0, 0, 1, 0x88, 0xcc];
    lldp.extend([2, 7, 4, 0, 1, 2, 3, 4, 5, 0, 0]);
    let rules = "alert pkthdr any any -> any any (decode-event:ethernet.unknown_ethertype; sid:1;)\n\
                 alert ether any any -> any any (ether.hdr; content:\"|88 cc|\"; offset:12; sid:2;)\n";
    let mut loader = Loader::new(Variables::default());
    loader.add("x", rules);
    let mut engine = Engine::new(&Config::default(), 0, Seed([1, 2, 3, 4]));
    let set = Arc::new(RuleSet::compile(loader.finish().signatures));
    engine.set_rules(set, Arc::new(Shared::default()));
    let mut out = Output::default();
    let packet = RawPacket {
        ts: Timestamp::from_secs(1_700_000_000),
        data: &lldp,
        wire_len: lldp.len() as u32,
        vlan_tci: None,
        link: LinkType::ETHERNET,
        iface: IfaceId(0),
        number: 1,
    };
    engine.process(&[packet], &mut out);
    let sid = |event: &Event| match event {
        Event::Alert(alert) => Some(alert.rule.sid),
        _ => None,
    };
    assert_eq!(out.events.iter().filter_map(sid).collect::<Vec<_>>(), [1, 2]);
}
