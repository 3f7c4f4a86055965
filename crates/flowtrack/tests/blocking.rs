//! The whole way: real traffic, the real program, the real firewall, in namespaces.

mod program;

use flowtrack_capture::{PacketWriter as _, PcapWriter, Precision};
use flowtrack_event::{IfaceId, LinkType, RawPacket, Timestamp};
use flowtrack_lab::net::{ATTACKER, NEIGHBOUR, Net, PORTS, TARGET, while_it_lasts};
use program::{Program, TOKEN, on_target, until};
use std::io::{Read as _, Write as _};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

/// What an answer of somebody who is let in may take on a machine that is busy.
const PATIENCE: Duration = Duration::from_secs(30);

/// Sends an attack over a real connection; whether the service answered.
fn attack(net: &Net, host: &str, family: usize) -> bool {
    let to = SocketAddr::new(TARGET[family].parse::<IpAddr>().unwrap(), PORTS[1]);
    net.inside(host, || {
        let Ok(mut stream) = TcpStream::connect_timeout(&to, PATIENCE) else {
            return false;
        };
        let _ = stream.write_all(b"GET /cmd.exe HTTP/1.0\r\n\r\n");
        let mut answer = String::new();
        stream.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
        stream.read_to_string(&mut answer).is_ok()
    })
}

/// Asks the API of the program from a host; gives the status line and the body.
fn api(net: &Net, host: &str, request: &str, body: &str) -> String {
    let to: SocketAddr = "10.77.0.1:9999".parse().unwrap();
    net.inside(host, || {
        let mut stream = TcpStream::connect_timeout(&to, PATIENCE).unwrap();
        let head = format!(
            "{request} HTTP/1.1\r\nHost: 10.77.0.1:9999\r\nAuthorization: Bearer {TOKEN}\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
            body.len()
        );
        stream.write_all(format!("{head}{body}").as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    })
}

const CLOSED: &str = "flow.timeouts.tcp.closed=1";
const WHEN: &str = "respond.when=[{ detector = \"sid:9000001\" }]";

#[test]
fn the_attacker_is_blocked_and_the_administrator_is_not() {
    let Some(net) = Net::new(&["nft"]) else { return };
    let folder = tempfile::tempdir().unwrap();
    let settings = ["respond.automatic=true", WHEN, "history.checkpoint_seconds=1", CLOSED];
    let mut program = Program::start(&net, folder.path(), &settings);
    let web = PORTS[1];
    // The neighbour uses the dashboard, and attacks all the same.
    assert!(api(&net, "n", "GET /api/v1/blocks", "").contains("200 OK"));
    for family in [0, 1] {
        assert!(net.reaches("a", family, web));
        attack(&net, "n", 0);
        attack(&net, "a", family);
        until("the attacker is blocked", || {
            let blocked = program.blocked();
            blocked["blocks"].as_array().unwrap().iter().any(|b| b["what"] == ATTACKER[family])
        });
        assert!(net.is_cut_off("a", family, web));
        assert!(net.reaches("n", family, web), "the administrator is not");
    }
    let blocked = program.blocked();
    let mut whats: Vec<_> =
        blocked["blocks"].as_array().unwrap().iter().map(|b| &b["what"]).collect();
    whats.sort_by_key(|what| what.as_str().map(str::len));
    assert_eq!(whats, ATTACKER);
    let first =
        blocked["blocks"].as_array().unwrap().iter().find(|b| b["what"] == ATTACKER[0]).unwrap();
    assert_eq!(
        (&first["who"], &first["why"]),
        (&"sid:9000001".into(), &"shell in a request".into())
    );
    assert!(first["packets"].as_u64().unwrap() >= 1, "{first}");
    assert!(
        blocked["stats"]["refused"].as_u64().unwrap() >= 1,
        "the administrator was spared: {blocked}"
    );

    // A person undoes it, and blocks again for a moment.
    assert!(program.cli(&["unblock", "--all"]).status.success());
    assert!(net.reaches("a", 0, web));
    while_it_lasts(|secs| {
        let begun = Instant::now();
        let lasts = format!("{secs}s");
        let output = program.cli(&["block", ATTACKER[0], "--for", &lasts, "--why", "to try it"]);
        assert!(output.status.success(), "{output:?}");
        let was_cut_off = net.is_cut_off("a", 0, web);
        until("it ends by itself", || !net.is_cut_off("a", 0, web));
        assert!(begun.elapsed() >= Duration::from_secs(secs) || !was_cut_off);
        was_cut_off
    });
    for never in [NEIGHBOUR[0], TARGET[0], "10.77.0.0/24", "0.0.0.0/0", "9999", "22", "127.0.0.1"] {
        let output = program.cli(&["block", never]);
        assert!(!output.status.success(), "{never}");
        assert!(String::from_utf8_lossy(&output.stderr).contains("is never blocked"), "{output:?}");
    }

    // From another machine it is undone unless it is confirmed.
    let request = format!("{{\"what\": [\"{}\"], \"secs\": 600}}", ATTACKER[0]);
    let answer = api(&net, "n", "POST /api/v1/blocks", &request);
    assert!(answer.contains("\"confirmed_until_us\":1"), "{answer}");
    let answer = api(&net, "n", "POST /api/v1/blocks/confirm", "{}");
    assert!(answer.contains("\"confirmed_until_us\":null"), "{answer}");
    // History has a flow once it has ended, or lived for a while.
    let request = request.replace(", \"secs\": 600", "");
    until("the preview tells of the attack", || {
        std::thread::sleep(Duration::from_millis(200));
        let answer = api(&net, "n", "POST /api/v1/blocks/preview", &request);
        assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("\"flows\":"), "{answer}");
        !answer.contains("\"flows\":0,")
    });
    let answer = api(&net, "n", &format!("DELETE /api/v1/blocks?what={}", NEIGHBOUR[0]), "");
    assert!(answer.starts_with("HTTP/1.1 409"), "{answer}");

    program.signal("-TERM");
    assert_eq!(net.on_target("nft list tables").trim(), "", "nothing is left");
    assert!(net.reaches("a", 0, web));
}

#[test]
fn a_killed_program_leaves_only_what_ends() {
    let Some(net) = Net::new(&["nft"]) else { return };
    let folder = tempfile::tempdir().unwrap();
    let mut program = Program::start(&net, folder.path(), &[]);
    assert!(program.cli(&["block", NEIGHBOUR[0], "--for", "1h"]).status.success());
    let begun = Instant::now();
    assert!(program.cli(&["block", ATTACKER[0], "--for", "3s"]).status.success());
    program.signal("-KILL");
    // Unless the machine is so busy that it is over before anybody looks.
    let is_cut_off = net.is_cut_off("a", 0, PORTS[1]);
    assert!(is_cut_off || begun.elapsed() > Duration::from_secs(3));
    assert!(net.is_cut_off("n", 0, PORTS[1]));
    until("the kernel ends it", || !net.is_cut_off("a", 0, PORTS[1]));
    let sets = net.on_target("nft list table inet flowtrack");
    let elements = sets.lines().filter(|line| line.contains("elements")).count();
    assert_eq!((elements, sets.matches("expires").count()), (1, 1), "{sets}");

    // Without the program, the command line goes on by itself.
    let listed = program.cli(&["blocked"]);
    assert!(String::from_utf8_lossy(&listed.stdout).contains(NEIGHBOUR[0]), "{listed:?}");
    assert!(program.cli(&["block", ATTACKER[0], "--for", "1h"]).status.success());
    assert!(net.is_cut_off("a", 0, PORTS[1]) && net.is_cut_off("n", 0, PORTS[1]));

    // And the next start takes both over.
    drop(program);
    let mut again = Program::start(&net, folder.path(), &["respond.keep_on_exit=true"]);
    assert_eq!(again.blocked()["blocks"].as_array().unwrap().len(), 2);
    assert!(again.cli(&["unblock", NEIGHBOUR[0]]).status.success());
    assert!(net.is_cut_off("a", 0, PORTS[1]) && net.reaches("n", 0, PORTS[1]));
    again.signal("-TERM");
    assert!(net.is_cut_off("a", 0, PORTS[1]), "it stays, as configured");
}

#[test]
fn nobody_is_blocked_unless_a_person_turned_it_on() {
    let Some(net) = Net::new(&["nft"]) else { return };
    let folder = tempfile::tempdir().unwrap();
    let program = Program::start(&net, folder.path(), &[WHEN]);
    attack(&net, "a", 0);
    until("it is said", || program.blocked()["stats"]["would_block"] == 1);
    assert!(net.reaches("a", 0, PORTS[1]));
    assert_eq!(net.on_target("nft list tables").trim(), "", "the firewall is untouched");
}

#[test]
fn a_file_blocks_nobody() {
    let Some(net) = Net::new(&["nft"]) else { return };
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("test.rules"), program::RULE).unwrap();
    // The same attack as live, out of a capture: told, not answered.
    let capture = folder.path().join("attack.pcap");
    write_attack(&capture);
    let mut command = on_target(&net, folder.path());
    command.args(["run", "--pace", "max", "--listen", "127.0.0.1:0", "-S"]);
    command.arg(folder.path().join("test.rules")).arg("-r").arg(&capture);
    command.args(["--set", "respond.automatic=true", "--set", WHEN, "--eve"]);
    command.arg(folder.path().join("eve.json"));
    let child = command.stdout(Stdio::null()).spawn().unwrap();
    let program = Program::of(&net, folder.path(), child);
    until("the alert is told", || {
        let eve = std::fs::read_to_string(folder.path().join("eve.json")).unwrap_or_default();
        eve.contains("9000001")
    });
    let blocked = program.blocked();
    assert_eq!(blocked["blocks"].as_array().unwrap().len(), 0);
    assert_eq!(blocked["stats"]["triggers"], 0, "{blocked}");
}

/// Writes a capture of the attack: a handshake, the request, its acknowledgement.
fn write_attack(path: &Path) {
    const FIN: u8 = 1;
    const SYN: u8 = 2;
    const ACK: u8 = 16;
    let request: &[u8] = b"GET /cmd.exe HTTP/1.0\r\n\r\n";
    let behind = 101 + request.len() as u32;
    let segments: [(bool, u32, u32, u8, &[u8]); 7] = [
        (true, 100, 0, SYN, b""),
        (false, 500, 101, SYN | ACK, b""),
        (true, 101, 501, ACK, b""),
        (true, 101, 501, ACK, request),
        (false, 501, behind, ACK, b""),
        (true, behind, 501, FIN | ACK, b""),
        (false, 501, behind + 1, FIN | ACK, b""),
    ];
    let mut writer = PcapWriter::new(std::fs::File::create(path).unwrap(), Precision::Micros);
    for (number, (from_attacker, seq, ack, flags, payload)) in segments.into_iter().enumerate() {
        let (attacker, target) = ([10, 77, 0, 2], [10, 77, 0, 1]);
        let (src, dst) = if from_attacker { (attacker, target) } else { (target, attacker) };
        let ports: [u16; 2] = if from_attacker { [40_000, 8_080] } else { [8_080, 40_000] };
        let mut frame = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0, 0x45, 0];
        frame.extend((40 + payload.len() as u16).to_be_bytes());
        frame.extend([0, 1, 0, 0, 64, 6, 0, 0]);
        frame.extend(src);
        frame.extend(dst);
        frame.extend(ports.map(u16::to_be_bytes).as_flattened());
        frame.extend([seq, ack].map(u32::to_be_bytes).as_flattened());
        frame.extend([0x50, flags, 0xff, 0xff, 0, 0, 0, 0]);
        frame.extend(payload);
        let packet = RawPacket {
            ts: Timestamp::from_micros(1_700_000_000_000_000 + number as i64 * 1_000),
            iface: IfaceId(0),
            link: LinkType::ETHERNET,
            number: 1,
            wire_len: frame.len() as u32,
            vlan_tci: None,
            data: &frame,
        };
        writer.write(&packet, "").unwrap();
    }
    writer.finish().unwrap();
}
