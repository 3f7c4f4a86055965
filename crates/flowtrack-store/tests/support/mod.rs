//! Traffic made up for tests.
#![allow(dead_code, reason = "each test binary uses its own part")]

use flowtrack_event::{
    AppProto, AppRecord, Confidence, ConnState, Direction, EndReason, Event, FlowContext,
    FlowEvent, FlowId, FlowKey, FlowPhase, FlowRecord, FlowState, IfaceId, IpProto, Latency,
    Second, Share, SideRecord, Timestamp, Transaction, TransactionEvent, Vlans,
};
use serde::Serialize;
use std::net::IpAddr;
use std::sync::Arc;

/// A finished web flow from 10.0.0.`n` to 192.0.2.7, a hundred milliseconds long.
pub fn record(id: u64, start: Timestamp) -> FlowRecord {
    FlowRecord {
        id: FlowId(id),
        parent: None,
        tunnel: None,
        key: FlowKey {
            src: IpAddr::from([10, (id >> 16) as u8, (id >> 8) as u8, id as u8]),
            dst: IpAddr::from([192, 0, 2, 7]),
            src_port: 1_024 + (id % 60_000) as u16,
            dst_port: 443,
            proto: IpProto::TCP,
        },
        vlans: Vlans::default(),
        iface: IfaceId(0),
        macs: None,
        start,
        end: start.plus(std::time::Duration::from_millis(100)),
        to_server: SideRecord { packets: 7, bytes: 900, ..SideRecord::default() },
        to_client: SideRecord {
            packets: 9,
            bytes: 8_100,
            retransmissions: 1,
            ..SideRecord::default()
        },
        state: FlowState::Closed,
        conn_state: ConnState::Sf,
        history: b"ShADadFf".iter().copied().collect(),
        tcp: None,
        icmp: None,
        latency: Latency {
            handshake_client_us: Some(300),
            handshake_server_us: Some(11_000),
            response_us: None,
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
    }
}

/// A moment of a flow's life, told when its last packet came.
pub fn flow(record: FlowRecord, phase: FlowPhase) -> Event {
    Event::Flow(Box::new(FlowEvent { ts: record.end, phase, record }))
}

/// The end of a flow.
pub fn ended(record: FlowRecord) -> Event {
    flow(record, FlowPhase::End(EndReason::Timeout))
}

/// One second with some traffic of one worker.
pub fn second(at: i64, packets: u64) -> Event {
    let mut second = Second {
        at: Timestamp::from_secs(at),
        packets,
        bytes: packets * 100,
        flows_new: 1,
        tcp_data_segments: packets / 2,
        tcp_retransmissions: 1,
        shares: vec![
            Share { protocol: "tls", packets: packets - 1, bytes: packets * 100 - 60 },
            Share { protocol: "arp", packets: 1, bytes: 60 },
        ],
        ..Second::default()
    };
    second.rtt.record(1_000);
    Event::Second(Box::new(second))
}

/// A transaction that names the responder and has a line.
pub fn transaction(record: &FlowRecord, name: &str, line: &str) -> Event {
    Event::Transaction(Box::new(TransactionEvent {
        ts: record.end,
        packet: 1,
        flow: Arc::new(FlowContext {
            id: record.id,
            parent: None,
            key: record.key,
            vlans: record.vlans,
            iface: record.iface,
            start: record.start,
        }),
        direction: Direction::ToClient,
        tx_id: 0,
        transaction: Arc::new(Hello {
            server: record.key.dst,
            name: name.into(),
            line: line.into(),
        }),
    }))
}

/// A made-up exchange.
#[derive(Debug, Serialize)]
pub struct Hello {
    #[serde(skip)]
    server: IpAddr,
    name: String,
    #[serde(skip)]
    line: String,
}

impl Transaction for Hello {
    fn protocol(&self) -> AppProto {
        AppProto("tls")
    }

    fn record(&self) -> &dyn erased_serde::Serialize {
        self
    }

    fn names(&self, visit: &mut dyn FnMut(IpAddr, &str)) {
        visit(self.server, &self.name);
    }

    fn summary(&self) -> String {
        self.line.clone()
    }
}
