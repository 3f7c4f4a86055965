//! Behaviour as an `alert` event, and what became of blocks as `block` events.

use flowtrack_event::{BlockEvent, Detection, Evidence};
use std::borrow::Cow;
use std::collections::BTreeMap;

use super::{EveEncoder, json::Object, proto::proto_name};

impl EveEncoder {
    /// Behaviour, as if a signature of generator [`Detection::GID`] had matched; what EVE has no
    /// field for stands in `detection`.
    pub(super) fn detection(&mut self, detection: &Detection, out: &mut Vec<u8>) -> bool {
        let mut object = Object::begin(out);
        object.time("timestamp", detection.ts, &mut self.clock);
        if let Some(flow) = detection.flows.last() {
            object.number("flow_id", flow.0);
        }
        object.name("event_type", "alert");
        if let Some(source) = detection.source {
            object.addr("src_ip", source);
        }
        if let Some(target) = detection.target {
            object.addr("dest_ip", target);
        }
        if let Some(port) = detection.target_port {
            object.number("dest_port", port);
        }
        if let Some(proto) = detection.proto {
            object.name("proto", proto_name(proto, &mut [0; 3]));
        }
        if let Some(address) = detection.source.or(detection.target) {
            object.number("ip_v", if address.is_ipv4() { 4_u8 } else { 6 });
        }
        let mut alert = object.object("alert");
        alert.name("action", "allowed");
        alert.number("gid", Detection::GID);
        alert.number("signature_id", detection.sid);
        alert.number("rev", 1_u8);
        alert.string("signature", &detection.title);
        alert.string("category", detection.category);
        alert.number("severity", detection.severity.priority());
        for (name, address, port) in [
            ("source", detection.source, None),
            ("target", detection.target, detection.target_port),
        ] {
            if let Some(address) = address {
                let mut end = alert.object(name);
                end.addr("ip", address);
                if let Some(port) = port {
                    end.number("port", port);
                }
                end.end();
            }
        }
        let mut metadata = alert.object("metadata");
        let mut say = |name: &str, value: &str| {
            if !value.is_empty() {
                metadata.strings_named(name, std::iter::once(value));
            }
        };
        say("detector", detection.detector);
        say("kind", detection.kind);
        say("severity", detection.severity.name());
        if let Some(technique) = detection.technique {
            say("mitre_technique_id", technique.id);
            say("mitre_technique_name", technique.name);
        }
        metadata.end();
        alert.end();
        let complete = self.write_detection(&mut object, detection);
        object.end();
        complete
    }

    fn write_detection(&mut self, object: &mut Object<'_>, detection: &Detection) -> bool {
        let mut body = object.object("detection");
        body.string("explanation", &detection.explanation);
        body.name("severity", detection.severity.name());
        body.time("first_seen", detection.first_seen, &mut self.clock);
        body.time("last_seen", detection.last_seen, &mut self.clock);
        body.number("count", detection.count);
        body.boolean("source_proved", detection.source_proved);
        let evidence: BTreeMap<&Cow<'static, str>, &Evidence> =
            detection.evidence.iter().map(|(name, value)| (name, value)).collect();
        let complete = body.record("evidence", &evidence);
        let flows: Vec<u64> = detection.flows.iter().map(|flow| flow.0).collect();
        let complete = complete && body.record("flows", &flows);
        body.end();
        complete
    }

    /// What became of a block.
    pub(super) fn block(&mut self, block: &BlockEvent, out: &mut Vec<u8>) -> bool {
        let mut object = Object::begin(out);
        object.time("timestamp", block.ts, &mut self.clock);
        object.name("event_type", "block");
        let mut body = object.object("block");
        let complete = body.record("phase", &block.phase);
        body.string("what", &block.what);
        body.string("who", &block.who);
        body.string("why", &block.why);
        if let Some(until) = block.until {
            body.time("until", until, &mut self.clock);
        }
        body.number("packets", block.packets);
        body.number("bytes", block.bytes);
        body.end();
        object.end();
        complete
    }
}
