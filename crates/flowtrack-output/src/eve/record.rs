//! What all events of a flow have in common, and the kinds that add one object to it.

use flowtrack_event::{
    Anomaly, AnomalyLayer, Direction, FileRecord, FlowContext, FlowId, FlowKey, IfaceId, Timestamp,
    TransactionEvent, Vlans, community_id,
};

use super::{EveEncoder, alert::write_file, json::Object, proto::proto_name};

/// What stands before the part that a kind of event has of its own.
pub(super) struct Header<'a> {
    pub ts: Timestamp,
    pub event_type: &'a str,
    pub flow: FlowId,
    pub parent: Option<FlowId>,
    pub iface: IfaceId,
    pub vlans: Vlans,
    pub key: FlowKey,
    /// Type and code of the first message each way, for ICMP.
    pub icmp: Option<Icmp>,
    pub packet: Option<u64>,
    pub tx_id: Option<u64>,
}

/// Type and code of the first message and of the first answer.
pub(super) type Icmp = ((u8, u8), Option<(u8, u8)>);

/// The Community ID written last: the events of a flow often follow one another.
#[derive(Default, Debug)]
pub(super) struct CommunityCache {
    key: Option<FlowKey>,
    id: String,
}

impl CommunityCache {
    fn get(&mut self, key: &FlowKey, seed: u16) -> &str {
        if self.key.as_ref() != Some(key) {
            self.id = community_id(key, seed);
            self.key = Some(*key);
        }
        &self.id
    }
}

impl EveEncoder {
    /// Writes the fields that every event of a flow has.
    pub(super) fn header(&mut self, object: &mut Object<'_>, header: &Header<'_>) {
        object.time("timestamp", header.ts, &mut self.clock);
        object.number("flow_id", header.flow.0);
        if let Some(parent) = header.parent {
            object.number("parent_id", parent.0);
        }
        if let Some(name) = self.interfaces.get(usize::from(header.iface.0)) {
            object.string("in_iface", name);
        }
        self.packet(object, header.packet);
        object.name("event_type", header.event_type);
        if !header.vlans.as_slice().is_empty() {
            object.numbers("vlan", header.vlans.as_slice());
        }
        let key = &header.key;
        Self::ends(object, key);
        if let Some((request, response)) = header.icmp {
            object.number("icmp_type", request.0);
            object.number("icmp_code", request.1);
            if let Some((kind, code)) = response {
                object.number("response_icmp_type", kind);
                object.number("response_icmp_code", code);
            }
        }
        if self.config.community_id {
            let id = self.community.get(key, self.config.community_id_seed);
            object.name("community_id", id);
        }
        if let Some(tx_id) = header.tx_id {
            object.number("tx_id", tx_id);
        }
    }

    /// Who sent it, to whom, over what.
    pub(super) fn ends(object: &mut Object<'_>, key: &FlowKey) {
        object.addr("src_ip", key.src);
        if key.has_ports() {
            object.number("src_port", key.src_port);
        }
        object.addr("dest_ip", key.dst);
        if key.has_ports() {
            object.number("dest_port", key.dst_port);
        }
        object.name("proto", proto_name(key.proto, &mut [0; 3]));
        object.number("ip_v", if key.src.is_ipv4() { 4_u8 } else { 6 });
    }

    /// The header of an event that knows its flow by context.
    fn context_header<'a>(
        ts: Timestamp,
        event_type: &'a str,
        flow: &FlowContext,
        direction: Direction,
    ) -> Header<'a> {
        let key = match direction {
            Direction::ToServer => flow.key,
            Direction::ToClient => flow.key.reversed(),
        };
        let icmp = flow.key.is_icmp().then(|| ((flow.key.icmp_type(), flow.key.icmp_code()), None));
        Header {
            ts,
            event_type,
            flow: flow.id,
            parent: flow.parent,
            iface: flow.iface,
            vlans: flow.vlans,
            key,
            icmp,
            packet: None,
            tx_id: None,
        }
    }

    pub(super) fn packet(&self, object: &mut Object<'_>, packet: Option<u64>) {
        if let Some(packet) = packet.filter(|&n| n > 0 && self.config.pcap_cnt) {
            object.number("pcap_cnt", packet);
        }
    }

    /// A transaction of any protocol: its own record under its own name.
    pub(super) fn transaction(&mut self, event: &TransactionEvent, out: &mut Vec<u8>) -> bool {
        let kind = event.transaction.event_type();
        let mut object = Object::begin(out);
        let header = Header {
            packet: Some(event.packet),
            tx_id: Some(event.tx_id),
            ..Self::context_header(event.ts, kind, &event.flow, Direction::ToServer)
        };
        self.header(&mut object, &header);
        let mut complete = object.record(kind, event.transaction.record());
        event.transaction.siblings(&mut |name, record| complete &= object.record(name, record));
        object.end();
        complete
    }

    /// A file; its sender is the source.
    pub(super) fn file(&mut self, file: &FileRecord, out: &mut Vec<u8>) -> bool {
        let mut object = Object::begin(out);
        let header = Self::context_header(file.ts, "fileinfo", &file.flow, file.direction);
        self.header(&mut object, &header);
        object.name("app_proto", file.app.name());
        let mut info = object.object("fileinfo");
        write_file(&mut info, file);
        info.end();
        object.end();
        true
    }

    /// Something malformed, with its flow where it has one.
    pub(super) fn anomaly(&mut self, anomaly: &Anomaly, out: &mut Vec<u8>) -> bool {
        let mut object = Object::begin(out);
        if let Some(flow) = &anomaly.flow {
            let header = Header {
                packet: Some(anomaly.packet),
                tx_id: anomaly.tx_id,
                ..Self::context_header(anomaly.ts, "anomaly", flow, Direction::ToServer)
            };
            self.header(&mut object, &header);
        } else {
            object.time("timestamp", anomaly.ts, &mut self.clock);
            self.packet(&mut object, Some(anomaly.packet));
            object.name("event_type", "anomaly");
        }
        let mut body = object.object("anomaly");
        match anomaly.layer {
            AnomalyLayer::Decode => {
                body.name("type", "decode");
                // Decoder events are named by their section of the counters.
                let name = anomaly.name.strip_prefix("decoder.").unwrap_or(anomaly.name);
                body.string("event", &format!("decoder.{name}"));
            }
            AnomalyLayer::Stream => {
                body.name("type", "stream");
                body.string("event", anomaly.name);
            }
            AnomalyLayer::Applayer => {
                if let Some(app) = anomaly.app {
                    body.name("app_proto", app.name());
                }
                body.name("type", "applayer");
                body.string("event", anomaly.name);
                body.name("layer", "proto_parser");
            }
        }
        body.end();
        object.end();
        true
    }
}
