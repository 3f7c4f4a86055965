//! The `flow` event: what one flow was, when it is over.

use flowtrack_event::{
    AppRecord, Confidence, FlowEvent, FlowPhase, FlowRecord, SideRecord, TcpRecord, TunnelKind,
};

use super::{EveEncoder, alert::write_remembered, json::Object, record::Header};

impl EveEncoder {
    /// A flow that ended; any other phase is written as if it ended now, without a reason.
    pub(super) fn flow(&mut self, event: &FlowEvent, out: &mut Vec<u8>) -> bool {
        let flow = &event.record;
        out.reserve(1_024);
        let mut object = Object::begin(out);
        let header = Header {
            ts: event.ts,
            event_type: "flow",
            flow: flow.id,
            parent: flow.parent,
            iface: flow.iface,
            vlans: flow.vlans,
            key: flow.key,
            icmp: flow.icmp.map(|icmp| (icmp.request, icmp.response)),
            packet: None,
            tx_id: None,
        };
        self.header(&mut object, &header);
        if let Some(app) = &flow.app {
            write_app(&mut object, app);
        }
        if let Some((source, destination)) = flow.macs.filter(|_| self.config.ethernet) {
            let mut ether = object.object("ether");
            ether.mac_list("src_macs", source);
            ether.mac_list("dest_macs", destination);
            ether.end();
        }
        write_remembered(&mut object, flow.remembered.as_deref());
        self.write_flow(&mut object, event);
        if let Some(tcp) = flow.tcp {
            write_tcp(&mut object, tcp);
        }
        object.end();
        true
    }

    fn write_flow(&mut self, object: &mut Object<'_>, event: &FlowEvent) {
        let flow = &event.record;
        let mut body = object.object("flow");
        body.number("pkts_toserver", flow.to_server.packets);
        body.number("pkts_toclient", flow.to_client.packets);
        body.number("bytes_toserver", flow.to_server.bytes);
        body.number("bytes_toclient", flow.to_client.bytes);
        body.time("start", flow.start, &mut self.clock);
        body.time("end", flow.end, &mut self.clock);
        body.number("age", (flow.end.secs() - flow.start.secs()).max(0));
        body.name("state", flow.state.name());
        if let FlowPhase::End(reason) = event.phase {
            body.name("reason", reason.name());
        }
        body.boolean("alerted", flow.alerted);
        body.number_nonzero("tx_cnt", flow.tx_count);
        write_additions(&mut body, flow);
        body.end();
    }
}

fn write_app(object: &mut Object<'_>, app: &AppRecord) {
    object.name("app_proto", app.proto.name());
    let more = [
        ("app_proto_ts", app.to_server),
        ("app_proto_tc", app.to_client),
        ("app_proto_orig", app.original),
        ("app_proto_expected", app.expected),
    ];
    for (key, proto) in more {
        if let Some(proto) = proto {
            object.name(key, proto.name());
        }
    }
}

/// What EVE has no field for; see [`super::ADDITIONS`].
fn write_additions(body: &mut Object<'_>, flow: &FlowRecord) {
    body.name("conn_state", flow.conn_state.name());
    if !flow.history.is_empty() {
        body.ascii("history", &flow.history);
    }
    if let Some(app) = &flow.app {
        body.name(
            "app_confidence",
            match app.confidence {
                Confidence::Port => "port",
                Confidence::Heuristic => "heuristic",
                Confidence::Content => "content",
            },
        );
    }
    if let Some(tunnel) = flow.tunnel {
        body.name("tunnel", tunnel_name(tunnel));
    }
    let latency = &flow.latency;
    let times = [
        ("handshake_client_us", latency.handshake_client_us),
        ("handshake_server_us", latency.handshake_server_us),
        ("response_us", latency.response_us),
    ];
    if times.iter().any(|(_, time)| time.is_some()) {
        let mut object = body.object("latency");
        for (key, time) in times {
            object.number_if(key, time);
        }
        object.end();
    }
    write_side(body, "to_server", &flow.to_server);
    write_side(body, "to_client", &flow.to_client);
}

/// Counters of one direction; zeros are left out.
fn write_side(body: &mut Object<'_>, key: &'static str, side: &SideRecord) {
    if side.packets == 0 {
        return;
    }
    let mut object = body.object(key);
    object.number_nonzero("ip_bytes", side.ip_bytes);
    object.number_nonzero("payload_bytes", side.payload_bytes);
    object.number_nonzero("retransmissions", side.retransmissions);
    object.number_nonzero("out_of_order", side.out_of_order);
    object.number_nonzero("lost_segments", side.lost_segments);
    object.number_nonzero("lost_bytes", side.lost_bytes);
    object.number_nonzero("zero_windows", side.zero_windows);
    if let Some(mean) = side.rtt.mean_us() {
        let mut rtt = object.object("rtt");
        rtt.number("min_us", side.rtt.min_us);
        rtt.number("mean_us", mean);
        rtt.number("max_us", side.rtt.max_us);
        rtt.number("count", side.rtt.count);
        rtt.end();
    }
    object.end();
}

fn write_tcp(object: &mut Object<'_>, tcp: TcpRecord) {
    let flags = tcp.flags_to_server | tcp.flags_to_client;
    let mut body = object.object("tcp");
    body.hex("tcp_flags", &[flags]);
    body.hex("tcp_flags_ts", &[tcp.flags_to_server]);
    body.hex("tcp_flags_tc", &[tcp.flags_to_client]);
    for (bit, key) in FLAGS {
        if flags & bit != 0 {
            body.boolean(key, true);
        }
    }
    body.name("state", tcp.state.name());
    if tcp.gap_to_server {
        body.boolean("ts_gap", true);
    }
    if tcp.gap_to_client {
        body.boolean("tc_gap", true);
    }
    if tcp.midstream {
        body.boolean("midstream", true);
    }
    body.end();
}

/// What carried an inner flow.
pub(crate) fn tunnel_name(kind: TunnelKind) -> &'static str {
    match kind {
        TunnelKind::Gre => "gre",
        TunnelKind::Ip => "ip",
        TunnelKind::Teredo => "teredo",
        TunnelKind::Vxlan => "vxlan",
        TunnelKind::Geneve => "geneve",
        TunnelKind::Erspan => "erspan",
    }
}

/// The bits of the TCP header in the order in which EVE lists them (RFC 9293, RFC 3168).
const FLAGS: [(u8, &str); 8] = [
    (0x02, "syn"),
    (0x01, "fin"),
    (0x04, "rst"),
    (0x08, "psh"),
    (0x10, "ack"),
    (0x20, "urg"),
    (0x40, "ecn"),
    (0x80, "cwr"),
];
