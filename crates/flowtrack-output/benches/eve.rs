//! How long one flow takes to become a line of EVE JSON.

use std::hint::black_box;
use std::io::Write as _;
use std::time::Instant;

use flowtrack_event::{
    AppProto, AppRecord, Confidence, ConnState, EndReason, Event, FlowEvent, FlowId, FlowKey,
    FlowPhase, FlowRecord, FlowState, IfaceId, IpProto, Latency, Rtt, SideRecord, TcpRecord,
    TcpState, Timestamp, Vlans,
};
use flowtrack_output::{EveConfig, EveWriter};

fn main() -> std::io::Result<()> {
    const FLOWS: u32 = 200_000;
    let events: Vec<Event> = (0..FLOWS).map(flow).collect();
    let mut report = std::io::stdout();
    for community_id in [true, false] {
        let mut best = f64::MAX;
        let mut bytes = 0;
        for _ in 0..7 {
            let config = EveConfig { community_id, ..EveConfig::default() };
            let mut writer = EveWriter::new(std::io::sink(), config);
            let began = Instant::now();
            writer.write_all(black_box(&events));
            writer.flush();
            best = best.min(began.elapsed().as_secs_f64());
            bytes = writer.counters().bytes;
        }
        writeln!(
            report,
            "community_id {community_id}: {:.0} ns and {} bytes a flow, {:.0} MB/s",
            best * 1e9 / f64::from(FLOWS),
            bytes / u64::from(FLOWS),
            bytes as f64 / best / 1e6,
        )?;
    }
    Ok(())
}

fn flow(n: u32) -> Event {
    let start = 1_767_258_000_000_000_000 + i64::from(n) * 3_141_592;
    let side = SideRecord {
        packets: 12,
        bytes: u64::from(n) * 7 + 900,
        ip_bytes: u64::from(n) * 6,
        payload_bytes: u64::from(n) * 5,
        rtt: Rtt { min_us: 100, max_us: 9_000, sum_us: 40_000, count: 12 },
        ..SideRecord::default()
    };
    let record = FlowRecord {
        id: FlowId(u64::from(n) << 20),
        parent: None,
        tunnel: None,
        key: FlowKey {
            src: [10, (n >> 16) as u8, (n >> 8) as u8, n as u8].into(),
            dst: [192, 168, 1, n as u8].into(),
            src_port: n as u16,
            dst_port: 443,
            proto: IpProto::TCP,
        },
        vlans: Vlans::default(),
        iface: IfaceId(0),
        macs: None,
        start: Timestamp::from_nanos(start),
        end: Timestamp::from_nanos(start + 5_000_000_000),
        to_server: side,
        to_client: side,
        state: FlowState::Closed,
        conn_state: ConnState::Sf,
        history: b"ShADadfF".iter().copied().collect(),
        tcp: Some(TcpRecord {
            state: TcpState::Closed,
            flags_to_server: 0x1b,
            flags_to_client: 0x1b,
            gap_to_server: false,
            gap_to_client: false,
            midstream: false,
        }),
        icmp: None,
        latency: Latency {
            handshake_client_us: Some(80),
            handshake_server_us: Some(12_000),
            response_us: Some(30_000),
        },
        app: Some(AppRecord {
            proto: AppProto("tls"),
            to_server: None,
            to_client: None,
            original: None,
            expected: None,
            confidence: Confidence::Content,
            looks_random: false,
        }),
        tx_count: 1,
        alerted: false,
        remembered: None,
    };
    Event::Flow(Box::new(FlowEvent {
        ts: Timestamp::from_nanos(start + 65_000_000_000),
        phase: FlowPhase::End(EndReason::Timeout),
        record,
    }))
}
