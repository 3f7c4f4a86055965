//! One row of a flow table, made of a flow record.

use crate::live::FlowRow;
use crate::names::{Names, Note};
use flowtrack_event::{AppProto, FlowRecord, IpProto, community_id};
use flowtrack_filter::{Field, Fields, Value};
use std::borrow::Cow;

impl FlowRow {
    /// Its fields as a table of flows has them, in this order; all but the rate, which is of the
    /// moment.
    pub const COLUMNS: &[&str] = &[
        "start_us",
        "end_us",
        "src_ip",
        "src_name",
        "src_port",
        "dest_ip",
        "dest_name",
        "dest_port",
        "proto",
        "app_proto",
        "state",
        "reason",
        "conn_state",
        "history",
        "pkts_toserver",
        "pkts_toclient",
        "bytes_toserver",
        "bytes_toclient",
        "rtt_server_us",
        "rtt_client_us",
        "response_us",
        "retransmissions",
        "out_of_order",
        "lost",
        "zero_windows",
        "in_iface",
        "vlan",
        "community_id",
        "info",
        "alerted",
        "run",
        "id",
    ];

    /// The row of a record, with the names known now; rate 0 and no reason.
    pub fn from_record(record: &FlowRecord, interfaces: &[String], names: &Names) -> Self {
        let id = community_id(&record.key, 0);
        Self::build(record, interfaces, names.note(record), id)
    }

    /// The same for a caller that kept the community ID, which costs a hash.
    pub(crate) fn build(
        record: &FlowRecord,
        interfaces: &[String],
        note: Note,
        community_id: String,
    ) -> Self {
        let (out, back) = (&record.to_server, &record.to_client);
        let key = &record.key;
        let (src_port, dest_port) = shown_ports(record);
        let owned = |text: std::sync::Arc<str>| text.as_ref().to_owned();
        Self {
            run: 0,
            id: record.id.0,
            src_ip: key.src.to_string(),
            src_name: note.src_name.map(owned),
            src_port,
            dest_ip: key.dst.to_string(),
            dest_name: note.dest_name.map(owned),
            dest_port,
            proto: proto_name(key.proto).into_owned(),
            app_proto: record.recognised().map(AppProto::name).map(str::to_owned),
            in_iface: interfaces.get(usize::from(record.iface.0)).cloned(),
            vlan: record.vlans.as_slice().first().copied(),
            start_us: record.start.micros(),
            end_us: record.end.micros(),
            pkts_toserver: out.packets,
            pkts_toclient: back.packets,
            bytes_toserver: out.bytes,
            bytes_toclient: back.bytes,
            rate: 0,
            state: record.state.name().to_owned(),
            reason: None,
            conn_state: record.conn_state.name().to_owned(),
            history: String::from_utf8_lossy(&record.history).into_owned(),
            rtt_server_us: record.latency.handshake_server_us,
            rtt_client_us: record.latency.handshake_client_us,
            response_us: record.latency.response_us,
            retransmissions: out.retransmissions.saturating_add(back.retransmissions),
            out_of_order: out.out_of_order.saturating_add(back.out_of_order),
            lost: out.lost_segments.saturating_add(back.lost_segments),
            zero_windows: out.zero_windows.saturating_add(back.zero_windows),
            community_id,
            info: note.info.map(owned),
            alerted: record.alerted,
        }
    }
}

/// Ports of a flow as a row shows them: 0 where the protocol has none.
pub(crate) fn shown_ports(record: &FlowRecord) -> (u16, u16) {
    if record.key.has_ports() { (record.key.src_port, record.key.dst_port) } else { (0, 0) }
}

/// A transport protocol as a row shows it: its EVE name, else its number.
pub fn proto_name(proto: IpProto) -> Cow<'static, str> {
    Cow::Borrowed(match proto {
        IpProto::ICMP => "ICMP",
        IpProto::IGMP => "IGMP",
        IpProto::IPIP => "IPIP",
        IpProto::TCP => "TCP",
        IpProto::UDP => "UDP",
        IpProto::IPV6 => "IPv6",
        IpProto::GRE => "GRE",
        IpProto::ESP => "ESP",
        IpProto::AH => "AH",
        IpProto::ICMPV6 => "IPv6-ICMP",
        IpProto::SCTP => "SCTP",
        IpProto(number) => return Cow::Owned(number.to_string()),
    })
}

/// The protocol whose [`proto_name`] this is.
pub(crate) fn proto_of_name(name: &str) -> Option<IpProto> {
    if let Ok(number) = name.parse() {
        return Some(IpProto(number));
    }
    NAMED.into_iter().find(|&proto| proto_name(proto) == name)
}

/// Protocols that [`proto_name`] gives a name.
const NAMED: [IpProto; 11] = [
    IpProto::TCP,
    IpProto::UDP,
    IpProto::ICMP,
    IpProto::ICMPV6,
    IpProto::IGMP,
    IpProto::SCTP,
    IpProto::GRE,
    IpProto::ESP,
    IpProto::AH,
    IpProto::IPIP,
    IpProto::IPV6,
];

/// Text of the wire as it may be kept and shown: at most `max` characters, and none that moves a
/// cursor, turns the direction of writing or ends a string.
pub fn shown(text: &str, max: usize) -> String {
    let mut out = String::with_capacity(text.len().min(max * 4));
    for (n, c) in text.chars().enumerate() {
        if n == max {
            out.push('…');
            break;
        }
        match c {
            c if c.is_control() => out.extend(c.escape_default()),
            '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {
                out.extend(c.escape_unicode());
            }
            c => out.push(c),
        }
    }
    out
}

impl Fields for FlowRow {
    fn get(&self, field: Field) -> Value<'_> {
        let address = |text: &str| text.parse().map_or(Value::None, Value::Address);
        match field {
            Field::Id => Value::count(self.id),
            Field::SrcIp => address(&self.src_ip),
            Field::SrcName => Value::maybe_text(self.src_name.as_deref()),
            Field::SrcPort => Value::Number(self.src_port.into()),
            Field::DestIp => address(&self.dest_ip),
            Field::DestName => Value::maybe_text(self.dest_name.as_deref()),
            Field::DestPort => Value::Number(self.dest_port.into()),
            Field::Proto => Value::text(&self.proto),
            Field::AppProto => Value::maybe_text(self.app_proto.as_deref()),
            Field::InIface => Value::maybe_text(self.in_iface.as_deref()),
            Field::Vlan => Value::maybe_number(self.vlan),
            Field::Start => Value::Number(self.start_us),
            Field::End => Value::Number(self.end_us),
            Field::Duration => Value::Number(self.end_us.saturating_sub(self.start_us).max(0)),
            Field::PktsToserver => Value::count(self.pkts_toserver),
            Field::PktsToclient => Value::count(self.pkts_toclient),
            Field::Packets => Value::count(self.pkts_toserver.saturating_add(self.pkts_toclient)),
            Field::BytesToserver => Value::count(self.bytes_toserver),
            Field::BytesToclient => Value::count(self.bytes_toclient),
            Field::Bytes => Value::count(self.bytes_toserver.saturating_add(self.bytes_toclient)),
            Field::Rate => Value::count(self.rate),
            Field::State => Value::text(&self.state),
            Field::Reason => Value::maybe_text(self.reason.as_deref()),
            Field::ConnState => Value::text(&self.conn_state),
            Field::History => Value::text(&self.history),
            Field::RttServer => Value::maybe_number(self.rtt_server_us),
            Field::RttClient => Value::maybe_number(self.rtt_client_us),
            Field::Response => Value::maybe_number(self.response_us),
            Field::Retransmissions => Value::Number(self.retransmissions.into()),
            Field::OutOfOrder => Value::Number(self.out_of_order.into()),
            Field::Lost => Value::Number(self.lost.into()),
            Field::ZeroWindows => Value::Number(self.zero_windows.into()),
            Field::CommunityId => Value::text(&self.community_id),
            Field::Info => Value::maybe_text(self.info.as_deref()),
            Field::Alerted => Value::Number(self.alerted.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_protocol_is_found_by_its_name() {
        for proto in (0..=u8::MAX).map(IpProto) {
            assert_eq!(proto_of_name(&proto_name(proto)), Some(proto));
        }
        assert_eq!(proto_of_name("nothing"), None);
    }

    #[test]
    fn the_columns_are_the_fields() {
        let row = serde_json::to_value(FlowRow::default()).unwrap();
        let mut fields: Vec<&str> = row.as_object().unwrap().keys().map(String::as_str).collect();
        fields.retain(|&field| field != "rate");
        let mut columns = FlowRow::COLUMNS.to_vec();
        columns.sort_unstable();
        fields.sort_unstable();
        assert_eq!(columns, fields);
    }

    #[test]
    fn nothing_that_acts_is_shown() {
        assert_eq!(shown("GET /ä", 10), "GET /ä");
        assert_eq!(shown("a\0b\u{1b}[2J\u{202e}c", 99), "a\\u{0}b\\u{1b}[2J\\u{202e}c");
        assert_eq!(shown("abcdef", 3), "abc…");
    }
}
