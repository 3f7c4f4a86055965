use super::*;
use crate::{
    AppRecord, Confidence, ConnState, Direction, EndReason, FlowContext, FlowState, IfaceId,
    IpProto, Latency, SideRecord, Transaction, Vlans,
};
use std::net::Ipv4Addr;

const DAY: i64 = 86_400;

fn flow(id: u64, app: Option<&'static str>, bytes: u64) -> FlowRecord {
    FlowRecord {
        id: FlowId(id),
        parent: None,
        tunnel: None,
        key: FlowKey {
            src: Ipv4Addr::new(10, 0, 0, 1).into(),
            dst: Ipv4Addr::new(192, 0, 2, 7).into(),
            src_port: 40_000,
            dst_port: 443,
            proto: IpProto::TCP,
        },
        vlans: Vlans::default(),
        iface: IfaceId(0),
        macs: None,
        start: Timestamp::ZERO,
        end: Timestamp::ZERO,
        to_server: SideRecord { bytes, payload_bytes: bytes, ..SideRecord::default() },
        to_client: SideRecord::default(),
        state: FlowState::Established,
        conn_state: ConnState::S1,
        history: smallvec::SmallVec::new(),
        tcp: None,
        icmp: None,
        latency: Latency::default(),
        app: app.map(|name| AppRecord {
            proto: AppProto(name),
            to_server: None,
            to_client: None,
            original: None,
            expected: None,
            confidence: Confidence::Content,
            looks_random: name == "failed",
        }),
        tx_count: 0,
        alerted: false,
        remembered: None,
    }
}

/// Takes a moment of a flow, and returns what is `before` the next.
fn goes_on(book: &mut EncryptionBook, before: Option<&FlowRecord>, now: FlowRecord) -> FlowRecord {
    let event = FlowEvent { ts: Timestamp::ZERO, phase: FlowPhase::Update, record: now };
    book.flow(before, &event);
    event.record
}

fn ends(book: &mut EncryptionBook, before: Option<&FlowRecord>, now: FlowRecord) {
    let phase = FlowPhase::End(EndReason::Timeout);
    book.flow(before, &FlowEvent { ts: Timestamp::ZERO, phase, record: now });
}

/// A handshake with a certificate of 90 days.
#[derive(Debug)]
struct Handshake {
    version: String,
    fingerprint: String,
    not_before: i64,
}

impl Transaction for Handshake {
    fn protocol(&self) -> AppProto {
        AppProto("tls")
    }

    fn record(&self) -> &dyn erased_serde::Serialize {
        &self.version
    }

    fn encryption(&self) -> Option<Encryption<'_>> {
        Some(Encryption {
            version: Some((&*self.version).into()),
            cipher: Some("TLS_RSA_WITH_RC4_128_SHA".into()),
            client: Some("t12d0102h1_a_b"),
            server_name: Some("example.org".into()),
            certificate: Some(CertificateFacts {
                fingerprint: &self.fingerprint,
                subject: "CN=example.org",
                issuer: "CN=An Authority",
                not_before: self.not_before,
                not_after: self.not_before + 90 * DAY,
                is_self_signed: false,
                is_for_name: Some(false),
            }),
            has_ech: true,
        })
    }
}

fn shakes_hands(book: &mut EncryptionBook, id: u64, at: i64, said: Handshake) {
    let record = flow(id, None, 0);
    book.transaction(&TransactionEvent {
        ts: Timestamp::from_secs(at),
        packet: 1,
        flow: Arc::new(FlowContext {
            id: record.id,
            parent: None,
            key: record.key,
            vlans: record.vlans,
            iface: record.iface,
            start: record.start,
        }),
        direction: Direction::ToServer,
        tx_id: 0,
        transaction: Arc::new(said),
    });
}

fn handshake(version: &str, fingerprint: &str) -> Handshake {
    Handshake { version: version.into(), fingerprint: fingerprint.into(), not_before: 0 }
}

#[test]
fn bytes_move_to_the_share_that_a_flow_turns_out_to_have() {
    let mut book = EncryptionBook::default();
    let unnamed = goes_on(&mut book, None, flow(1, None, 100));
    assert_eq!(book.view(9).shares.unnamed, Volume { flows: 1, bytes: 100 });
    let named = goes_on(&mut book, Some(&unnamed), flow(1, Some("tls"), 300));
    ends(&mut book, Some(&named), flow(1, Some("tls"), 500));
    ends(&mut book, None, flow(2, Some("failed"), 40));
    ends(&mut book, None, flow(3, Some("http"), 7));
    let mut scan = flow(4, None, 60);
    scan.to_server.payload_bytes = 0;
    ends(&mut book, None, scan);
    let view = book.view(9);
    let shares = view.shares;
    assert_eq!(shares.encrypted, Volume { flows: 1, bytes: 500 });
    assert_eq!(shares.clear, Volume { flows: 1, bytes: 7 });
    assert_eq!((shares.unnamed, shares.random), (shares.random, Volume { flows: 1, bytes: 40 }));
    assert_eq!(shares.control, Volume { flows: 1, bytes: 60 });
    assert_eq!(view.protocols, [NamedVolume { name: "tls".into(), flows: 1, bytes: 500 }]);
}

#[test]
fn a_handshake_gets_all_bytes_of_its_flow_whenever_it_is_read() {
    let mut book = EncryptionBook::default();
    let before = goes_on(&mut book, None, flow(1, Some("tls"), 100));
    shakes_hands(&mut book, 1, 10 * DAY, handshake("TLSv1", "aa"));
    let before = goes_on(&mut book, Some(&before), flow(1, Some("tls"), 250));
    assert_eq!(book.view(9).versions[0].bytes, 250);
    ends(&mut book, Some(&before), flow(1, Some("tls"), 300));
    // Of another flow that begins and ends at once.
    shakes_hands(&mut book, 2, 100 * DAY, handshake("TLS 1.2", "aa"));
    ends(&mut book, None, flow(2, Some("tls"), 50));
    let view = book.view(9);
    let versions: Vec<_> =
        view.versions.iter().map(|v| (v.name.as_str(), v.weak, v.flows, v.bytes)).collect();
    assert_eq!(versions, [("TLSv1", true, 1, 300), ("TLS 1.2", false, 1, 50)]);
    assert_eq!((view.ciphers[0].weak, view.ciphers[0].flows), (true, 2));
    let client = &view.clients[0];
    assert_eq!((client.kind, client.flows, client.bytes), ("ja4", 2, 350));
    assert_eq!(
        (client.client.as_str(), &client.server_names[..]),
        ("10.0.0.1", &["example.org".to_owned()][..])
    );
    let certificate = &view.certificates[0];
    assert_eq!((certificate.flows, certificate.bytes, certificate.wrong_name_flows), (2, 350, 2));
    assert_eq!((certificate.age_days, certificate.days_left), (100, -10));
    assert_eq!((certificate.validity, view.certificates_expired), (Validity::Expired, 1));
    assert_eq!((view.ech_flows, view.partial), (2, false));
}

#[test]
fn dates_at_the_end_of_numbers_do_no_harm() {
    let mut book = EncryptionBook::default();
    for (id, not_before) in [(1, i64::MIN), (2, i64::MAX - 90 * DAY), (3, 0)] {
        let said = Handshake { not_before, ..handshake("TLS 1.2", &id.to_string()) };
        shakes_hands(&mut book, id, DAY, said);
    }
    let rows = book.view(9).certificates;
    let validity = |print: &str| rows.iter().find(|row| row.fingerprint == print).unwrap().validity;
    assert_eq!(validity("1"), Validity::Expired);
    assert_eq!(validity("2"), Validity::NotYet);
    assert_eq!(validity("3"), Validity::Valid);
}

#[test]
fn a_flood_of_names_and_flows_is_bounded() {
    let mut book = EncryptionBook::default();
    shakes_hands(&mut book, 0, 0, handshake("TLS 1.3", "the heavy one"));
    ends(&mut book, None, flow(0, Some("tls"), 1_000_000));
    for id in 1..100_000 {
        let name = format!("{id:x}").repeat(200);
        shakes_hands(&mut book, id, 0, handshake(&name, &name));
    }
    assert!(book.versions.len() <= VERSIONS && book.certificates.len() <= CERTIFICATES);
    assert!(book.flows.newer.len() <= FLOWS && book.flows.older.len() <= FLOWS);
    let view = book.view(3);
    assert!(view.partial);
    assert_eq!((view.versions[0].name.as_str(), view.versions.len()), ("TLS 1.3", 3));
    assert_eq!(view.certificates[0].fingerprint, "the heavy one");
    assert!(view.versions[1].name.len() <= TEXT);
}
