//! The `alert` event: which signature matched what.

use flowtrack_event::{
    Alert, AlertEnds, FileRecord, FileState, FlowContext, Remembered, TaggedPacket, Timestamp,
    Transaction,
};

use super::{EveEncoder, json::Object, record::Header};

impl EveEncoder {
    /// An alert, with the transaction and the files it is about.
    pub(super) fn alert(&mut self, alert: &Alert, out: &mut Vec<u8>) -> bool {
        out.reserve(2_048);
        let mut object = Object::begin(out);
        let about = About {
            ts: alert.ts,
            event_type: "alert",
            packet: alert.packet,
            ends: alert.ends,
            flow: alert.flow.as_ref().map(|flow| &*flow.context),
            tx_id: alert.tx.as_ref().map(|(id, _)| *id),
        };
        self.packet_header(&mut object, &about);
        write_remembered(&mut object, alert.remembered.as_deref());
        write_rule(&mut object, alert);
        let mut complete = true;
        if let Some((_, transaction)) = &alert.tx {
            complete = write_transaction(&mut object, &**transaction);
        }
        write_files(&mut object, &alert.files);
        if let Some(app) = alert.flow.as_ref().and_then(|flow| flow.app) {
            object.name("app_proto", app.name());
        }
        if alert.flow.is_some() {
            object.name("direction", direction_name(alert.ends.direction));
        }
        self.write_alert_flow(&mut object, alert);
        if let Some(payload) = &alert.payload {
            object.base64("payload", payload);
            object.number("payload_length", payload.len());
            object.printable("payload_printable", payload);
            object.number("stream", u8::from(alert.from_stream));
        }
        if let Some(frame) = &alert.frame {
            object.base64("packet", frame);
        }
        object.end();
        complete
    }

    /// A packet that a signature asked for behind its alert.
    pub(super) fn tagged(&mut self, packet: &TaggedPacket, out: &mut Vec<u8>) -> bool {
        out.reserve(512 + packet.frame.len() * 4 / 3);
        let mut object = Object::begin(out);
        let about = About {
            ts: packet.ts,
            event_type: "packet",
            packet: packet.packet,
            ends: packet.ends,
            flow: packet.flow.as_deref(),
            tx_id: None,
        };
        self.packet_header(&mut object, &about);
        object.base64("packet", &packet.frame);
        // What begins inside a tunnel may have no number of its own.
        if u16::try_from(packet.link.0).is_ok() {
            let mut info = object.object("packet_info");
            info.number("linktype", packet.link.0);
            info.end();
        }
        object.end();
        true
    }

    /// Flow, packet and ends; the ends are those of the packet, not of the flow.
    fn packet_header(&mut self, object: &mut Object<'_>, about: &About<'_>) {
        let (Some(key), Some(context)) = (about.ends.key, about.flow) else {
            object.time("timestamp", about.ts, &mut self.clock);
            self.packet(object, Some(about.packet));
            object.name("event_type", about.event_type);
            if let Some(key) = &about.ends.key {
                Self::ends(object, key);
            }
            return;
        };
        let icmp = key.is_icmp().then(|| ((key.icmp_type(), key.icmp_code()), None));
        let header = Header {
            ts: about.ts,
            event_type: about.event_type,
            flow: context.id,
            parent: context.parent,
            iface: context.iface,
            vlans: context.vlans,
            key,
            icmp,
            packet: Some(about.packet),
            tx_id: about.tx_id,
        };
        self.header(object, &header);
    }

    fn write_alert_flow(&mut self, object: &mut Object<'_>, alert: &Alert) {
        let Some(flow) = &alert.flow else { return };
        let mut body = object.object("flow");
        let ([to_server, to_client], [bytes_up, bytes_down]) = (flow.packets, flow.bytes);
        body.number("pkts_toserver", to_server);
        body.number("pkts_toclient", to_client);
        body.number("bytes_toserver", bytes_up);
        body.number("bytes_toclient", bytes_down);
        body.time("start", flow.context.start, &mut self.clock);
        let key = &flow.context.key;
        body.addr("src_ip", key.src);
        body.addr("dest_ip", key.dst);
        if key.has_ports() {
            body.number("src_port", key.src_port);
            body.number("dest_port", key.dst_port);
        }
        body.end();
    }
}

/// What an event about one packet begins with.
struct About<'a> {
    ts: Timestamp,
    event_type: &'static str,
    packet: u64,
    ends: AlertEnds,
    flow: Option<&'a FlowContext>,
    tx_id: Option<u64>,
}

fn write_rule(object: &mut Object<'_>, alert: &Alert) {
    let rule = &alert.rule;
    let mut body = object.object("alert");
    body.name("action", alert.action.name());
    body.number("gid", rule.gid);
    body.number("signature_id", rule.sid);
    body.number("rev", rule.rev);
    body.string("signature", &rule.signature);
    body.string("category", &rule.category);
    body.number("severity", rule.severity);
    if let Some((target, source)) = alert.target_and_source() {
        for (name, (ip, port)) in [("source", source), ("target", target)] {
            let mut end = body.object(name);
            end.addr("ip", ip);
            if alert.ends.key.is_some_and(|key| key.has_ports()) {
                end.number("port", port);
            }
            end.end();
        }
    }
    write_metadata(&mut body, &rule.metadata);
    if let Some(context) = alert.remembered.as_ref().map(|all| &all.context)
        && !context.is_empty()
    {
        let mut object = body.object("context");
        for (name, text) in context {
            object.printable_named(name, text);
        }
        object.end();
    }
    body.end();
}

/// Values of one name stand together, at the place of the first.
fn write_metadata(body: &mut Object<'_>, metadata: &[(std::sync::Arc<str>, std::sync::Arc<str>)]) {
    if metadata.is_empty() {
        return;
    }
    let mut object = body.object("metadata");
    for (at, (name, _)) in metadata.iter().enumerate() {
        let is_first = metadata[..at].iter().all(|(earlier, _)| earlier != name);
        if is_first {
            let values = metadata.iter().filter(|(n, _)| n == name).map(|(_, value)| &**value);
            object.strings_named(name, values);
        }
    }
    object.end();
}

/// What rules remember of a flow; marks named `traffic/id/NAME` or `traffic/label/NAME` stand apart.
pub(super) fn write_remembered(object: &mut Object<'_>, remembered: Option<&Remembered>) {
    const IDS: &str = "traffic/id/";
    const LABELS: &str = "traffic/label/";
    let Some(all) = remembered else { return };
    let bits = || all.flowbits.iter().map(|bit| &**bit);
    let plain = || bits().filter(|bit| !bit.starts_with(IDS) && !bit.starts_with(LABELS));
    let has_others =
        !all.flowints.is_empty() || !all.flowvars.is_empty() || !all.pktvars.is_empty();
    if has_others || plain().next().is_some() {
        let mut body = object.object("metadata");
        if plain().next().is_some() {
            body.strings_named("flowbits", plain());
        }
        if !all.flowints.is_empty() {
            let mut numbers = body.object("flowints");
            for (name, number) in &all.flowints {
                numbers.number_named(name, u64::from(*number));
            }
            numbers.end();
        }
        for (key, texts) in [("pktvars", &all.pktvars), ("flowvars", &all.flowvars)] {
            if texts.is_empty() {
                continue;
            }
            let mut list = body.list(key);
            for (name, text) in texts {
                let mut one = list.object();
                one.printable_named(name, text);
                one.end();
            }
            list.end();
        }
        body.end();
    }
    let named = |prefix| bits().filter_map(move |bit: &str| bit.strip_prefix(prefix));
    let groups = [("id", IDS), ("label", LABELS)];
    if groups.iter().any(|(_, prefix)| named(*prefix).next().is_some()) {
        let mut body = object.object("traffic");
        for (key, prefix) in groups {
            if named(prefix).next().is_some() {
                body.strings_named(key, named(prefix));
            }
        }
        body.end();
    }
}

fn write_transaction(object: &mut Object<'_>, transaction: &dyn Transaction) -> bool {
    let mut complete = object.record(transaction.event_type(), transaction.record());
    transaction.siblings(&mut |name, record| complete &= object.record(name, record));
    complete
}

fn write_files(object: &mut Object<'_>, files: &[FileRecord]) {
    if files.is_empty() {
        return;
    }
    let mut list = object.list("files");
    for file in files {
        let mut body = list.object();
        write_file(&mut body, file);
        body.end();
    }
    list.end();
}

/// What is known about a file.
pub(super) fn write_file(info: &mut Object<'_>, file: &FileRecord) {
    info.wire("filename", &file.filename);
    if let Some(magic) = file.magic {
        info.string("magic", magic);
    }
    info.boolean("gaps", file.gaps);
    info.name(
        "state",
        match file.state {
            FileState::Closed => "CLOSED",
            FileState::Truncated => "TRUNCATED",
            FileState::Error => "ERROR",
        },
    );
    if let Some(md5) = &file.md5 {
        info.hex("md5", md5);
    }
    if let Some(sha1) = &file.sha1 {
        info.hex("sha1", sha1);
    }
    if let Some(sha256) = &file.sha256 {
        info.hex("sha256", sha256);
    }
    info.boolean("stored", file.stored);
    if let Some(id) = file.file_id {
        info.number("file_id", id);
    }
    info.number("size", file.size);
    if let Some(start) = file.start {
        info.number("start", start);
    }
    if let Some(end) = file.end {
        info.number("end", end);
    }
    info.number("tx_id", file.tx_id);
}

const fn direction_name(direction: flowtrack_event::Direction) -> &'static str {
    match direction {
        flowtrack_event::Direction::ToServer => "to_server",
        flowtrack_event::Direction::ToClient => "to_client",
    }
}
