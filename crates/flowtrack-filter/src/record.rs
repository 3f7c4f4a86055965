//! Filtering what the packet path hands out, before anyone made rows of it.

use crate::field::{Field, Fields, Value};
use flowtrack_event::{AppProto, FlowEvent, FlowPhase, FlowRecord, community_id};
use std::borrow::Cow;

/// A record knows no host names, no interface names and no line of what was said, so those fields
/// are lacking, and so are the rate and the reason; portless protocols have port 0.
impl Fields for FlowRecord {
    fn get(&self, field: Field) -> Value<'_> {
        let (out, back) = (&self.to_server, &self.to_client);
        let port = |port: u16| if self.key.has_ports() { port } else { 0 };
        let both = |a: u32, b: u32| Value::Number(i64::from(a) + i64::from(b));
        match field {
            Field::Id => Value::count(self.id.0),
            Field::SrcIp => Value::Address(self.key.src),
            Field::SrcPort => Value::Number(port(self.key.src_port).into()),
            Field::DestIp => Value::Address(self.key.dst),
            Field::DestPort => Value::Number(port(self.key.dst_port).into()),
            Field::Proto => match self.key.proto.name() {
                Some(name) => Value::text(name),
                None => Value::Text(Cow::Owned(self.key.proto.0.to_string())),
            },
            Field::AppProto => Value::maybe_text(self.recognised().map(AppProto::name)),
            Field::Vlan => Value::maybe_number(self.vlans.as_slice().first().copied()),
            Field::Start => Value::Number(self.start.micros()),
            Field::End => Value::Number(self.end.micros()),
            Field::Duration => Value::Number((self.end.micros() - self.start.micros()).max(0)),
            Field::PktsToserver => Value::count(out.packets),
            Field::PktsToclient => Value::count(back.packets),
            Field::Packets => Value::count(out.packets.saturating_add(back.packets)),
            Field::BytesToserver => Value::count(out.bytes),
            Field::BytesToclient => Value::count(back.bytes),
            Field::Bytes => Value::count(out.bytes.saturating_add(back.bytes)),
            Field::State => Value::text(self.state.name()),
            Field::ConnState => Value::text(self.conn_state.name()),
            Field::History => Value::Text(String::from_utf8_lossy(&self.history)),
            Field::RttServer => Value::maybe_number(self.latency.handshake_server_us),
            Field::RttClient => Value::maybe_number(self.latency.handshake_client_us),
            Field::Response => Value::maybe_number(self.latency.response_us),
            Field::Retransmissions => both(out.retransmissions, back.retransmissions),
            Field::OutOfOrder => both(out.out_of_order, back.out_of_order),
            Field::Lost => both(out.lost_segments, back.lost_segments),
            Field::ZeroWindows => both(out.zero_windows, back.zero_windows),
            Field::CommunityId => Value::Text(Cow::Owned(community_id(&self.key, 0))),
            Field::Alerted => Value::Number(self.alerted.into()),
            Field::SrcName
            | Field::DestName
            | Field::InIface
            | Field::Rate
            | Field::Reason
            | Field::Info => Value::None,
        }
    }
}

/// As its record, and it knows why the flow ended.
impl Fields for FlowEvent {
    fn get(&self, field: Field) -> Value<'_> {
        match (field, self.phase) {
            (Field::Reason, FlowPhase::End(reason)) => Value::text(reason.name()),
            _ => self.record.get(field),
        }
    }
}
