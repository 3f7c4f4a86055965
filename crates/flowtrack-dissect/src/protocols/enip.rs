//! EtherNet/IP and the Common Industrial Protocol it carries: every command with its answer.

use crate::{
    Both, Dissector, Field, First, Keyword, Malformed, Moment, Next, Outcome, Pending, Probe,
    Protocol, Reader, Take, Text, Transport, Wants,
};
use flowtrack_event::{AppProto, Chunk, Confidence, Direction, Transaction, words};
use serde::Serialize;
use std::collections::VecDeque;

const NAME: AppProto = AppProto("enip");
const PORTS: &[u16] = &[44818];
/// Bytes of the header.
const HEADER: usize = 24;
/// Longest message; its length has two bytes.
const MESSAGE_CAP: usize = HEADER + 65_535;
/// Commands that wait for their answer.
const WAITING_CAP: usize = 64;
/// Segments kept of a path.
const PATH_CAP: usize = 32;
const LIST_SERVICES: u16 = 0x04;
const LIST_IDENTITY: u16 = 0x63;
const REGISTER_SESSION: u16 = 0x65;
const SEND_RR_DATA: u16 = 0x6f;
const SEND_UNIT_DATA: u16 = 0x70;

const KEYWORDS: &[Keyword] = &[
    Keyword::number("enip_command", "command").named(words::ENIP_COMMANDS),
    Keyword::number("enip.status", "status").named(words::ENIP_STATUS),
    Keyword::number("enip.protocol_version", "version of the protocol"),
    Keyword::number("enip.capabilities", "what the service can do"),
    Keyword::number("enip.revision", "revision of the device, its major half times 256"),
    Keyword::number("enip.vendor_id", "maker of the device"),
    Keyword::number("enip.device_type", "kind of device"),
    Keyword::number("enip.product_code", "product"),
    Keyword::number("enip.identity_status", "status of the device"),
    Keyword::number("enip.serial", "serial number of the device"),
    Keyword::number("enip.state", "state of the device"),
    Keyword::buffer("enip.product_name", "name of the product"),
    Keyword::buffer("enip.service_name", "name of the service"),
    Keyword::number("enip.cip_service", "service that is asked or answered"),
    Keyword::number("enip.cip_class", "class that is asked").multi(),
    Keyword::number("enip.cip_instance", "instance that is asked").multi(),
    Keyword::number("enip.cip_attribute", "attribute that is asked").multi(),
    Keyword::number("enip.cip_status", "status of the service"),
    Keyword::number("enip.cip_extendedstatus", "words that follow that status").multi(),
];

const FIELDS: &[Field] = &[
    Field::eve("request.command", "string", "the command"),
    Field::eve("request.status", "string", "its status, `success`"),
    Field::eve("request.register_session", "object", "version and options of a session"),
    Field::eve("request.cip.service", "string", "service asked for"),
    Field::eve("request.cip.class_name", "string", "class it is asked of"),
    Field::eve("request.cip.path", "array", "what it is asked of"),
    Field::eve("response.command", "string", "the command answered"),
    Field::eve("response.status", "string", "its status"),
    Field::eve("response.register_session", "object", "version and options of a session"),
    Field::eve("response.identity", "object", "what a device says of itself"),
    Field::eve("response.list_services", "object", "what a device can do"),
    Field::eve("response.cip.service", "string", "service answered"),
    Field::eve("response.cip.status", "string", "result of the service"),
    Field::added(
        "request.cip.status",
        "string",
        "result of a service that the responder asked for",
    ),
    Field::added(
        "response.cip.class_name",
        "string",
        "class of a service that the responder asks for",
    ),
    Field::added("response.cip.path", "array", "what the responder asks it of"),
];

/// EtherNet/IP.
pub struct Enip;

impl Protocol for Enip {
    fn name(&self) -> AppProto {
        NAME
    }

    fn transport(&self) -> Transport {
        Transport::Both
    }

    fn ports(&self) -> &'static [u16] {
        PORTS
    }

    fn probe(&self, first: &First<'_>) -> Probe {
        // Its header is too weak for other ports.
        if !first.has_port(PORTS) {
            return Probe::No;
        }
        let Some(header) = Header::read(first.bytes) else {
            return if first.udp { Probe::No } else { Probe::NeedMore };
        };
        let known = command_name(header.command) != "unknown";
        if known && header.options == 0 && header.status <= 0x69 && header.length < 4096 {
            Probe::Match(Confidence::Content)
        } else {
            Probe::No
        }
    }

    fn dissector(&self, wants: Wants) -> Option<Box<dyn Dissector>> {
        (wants.records || wants.buffers).then(|| Box::<Reading>::default() as Box<dyn Dissector>)
    }

    fn fields(&self) -> &'static [Field] {
        FIELDS
    }

    fn keywords(&self) -> &'static [Keyword] {
        KEYWORDS
    }
}

#[derive(Clone, Copy)]
struct Header {
    command: u16,
    length: usize,
    status: u32,
    options: u32,
}

impl Header {
    fn read(bytes: &[u8]) -> Option<Self> {
        let mut r = Reader::new(bytes);
        let (command, length, _session, status) =
            (r.u16_le()?, r.u16_le()?.into(), r.u32_le()?, r.u32_le()?);
        let _context = r.u64_le()?;
        Some(Self { command, length, status, options: r.u32_le()? })
    }
}

/// A command and its answer.
#[derive(Clone, Default, Debug, Serialize)]
struct Exchange {
    #[serde(skip_serializing_if = "Option::is_none")]
    request: Option<Message>,
    #[serde(skip_serializing_if = "Option::is_none")]
    response: Option<Message>,
    #[serde(skip)]
    tx_id: u64,
}

#[derive(Clone, Default, Debug, Serialize)]
struct Message {
    #[serde(skip)]
    command_code: u16,
    #[serde(skip)]
    status_code: u32,
    command: &'static str,
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    register_session: Option<Session>,
    #[serde(skip_serializing_if = "Option::is_none")]
    identity: Option<Identity>,
    #[serde(skip_serializing_if = "Option::is_none")]
    list_services: Option<Services>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cip: Option<Cip>,
}

#[derive(Clone, Debug, Serialize)]
struct Session {
    protocol_version: u16,
    options: u16,
}

#[derive(Clone, Debug, Serialize)]
struct Identity {
    /// Revision, vendor and kind of device as numbers.
    #[serde(skip)]
    numbers: [u16; 3],
    protocol_version: u16,
    revision: String,
    vendor_id: String,
    device_type: String,
    product_code: u16,
    status: u16,
    serial: u32,
    product_name: Text,
    state: u8,
}

#[derive(Clone, Debug, Serialize)]
struct Services {
    protocol_version: u16,
    capabilities: u16,
    service_name: Text,
}

#[derive(Clone, Default, Debug, Serialize)]
struct Cip {
    #[serde(skip)]
    service_code: u8,
    /// Status of an answer, and the words that follow it.
    #[serde(skip)]
    codes: Option<(u8, Vec<u16>)>,
    service: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    class_name: Option<&'static str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    path: Vec<Segment>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<&'static str>,
}

#[derive(Clone, Debug, Serialize)]
struct Segment {
    segment_type: &'static str,
    value: u32,
}

impl Transaction for Exchange {
    fn protocol(&self) -> AppProto {
        NAME
    }

    fn record(&self) -> &dyn erased_serde::Serialize {
        self
    }

    fn buffer_towards(&self, direction: Direction, name: &str, visit: &mut dyn FnMut(&[u8])) {
        let Some(message) = self.side(direction) else { return };
        match (name, &message.identity, &message.list_services) {
            ("enip.product_name", Some(identity), _) => visit(&identity.product_name),
            ("enip.service_name", _, Some(services)) => visit(&services.service_name),
            _ => {}
        }
    }

    fn number(&self, direction: Direction, name: &str, visit: &mut dyn FnMut(u64)) {
        let Some(message) = self.side(direction) else { return };
        match name {
            "enip_command" => visit(message.command_code.into()),
            "enip.status" => visit(message.status_code.into()),
            "enip.protocol_version" => {
                message.register_session.iter().for_each(|s| visit(s.protocol_version.into()));
                message.identity.iter().for_each(|i| visit(i.protocol_version.into()));
                message.list_services.iter().for_each(|s| visit(s.protocol_version.into()));
            }
            "enip.capabilities" => {
                message.list_services.iter().for_each(|s| visit(s.capabilities.into()));
            }
            _ => {
                message.identity.iter().for_each(|identity| identity.number(name, visit));
                message.cip.iter().for_each(|cip| cip.number(name, visit));
            }
        }
    }

    fn summary(&self) -> String {
        let Some(message) = self.request.as_ref().or(self.response.as_ref()) else {
            return String::new();
        };
        let mut line = message.command.to_owned();
        if let Some(cip) = &message.cip {
            line = format!("{line} {} {}", cip.service, cip.class_name.unwrap_or_default());
        }
        if let Some(identity) = self.response.as_ref().and_then(|r| r.identity.as_ref()) {
            line = format!("{line} {}", identity.product_name);
        }
        line.trim_end().to_owned()
    }
}

impl Exchange {
    const fn side(&self, direction: Direction) -> Option<&Message> {
        match direction {
            Direction::ToServer => self.request.as_ref(),
            Direction::ToClient => self.response.as_ref(),
        }
    }
}

impl Identity {
    fn number(&self, name: &str, visit: &mut dyn FnMut(u64)) {
        let [revision, vendor, device] = self.numbers;
        match name {
            "enip.revision" => visit(revision.into()),
            "enip.vendor_id" => visit(vendor.into()),
            "enip.device_type" => visit(device.into()),
            "enip.product_code" => visit(self.product_code.into()),
            "enip.identity_status" => visit(self.status.into()),
            "enip.serial" => visit(self.serial.into()),
            "enip.state" => visit(self.state.into()),
            _ => {}
        }
    }
}

impl Cip {
    fn number(&self, name: &str, visit: &mut dyn FnMut(u64)) {
        let segment = match name {
            "enip.cip_class" => "class_id",
            "enip.cip_instance" => "instance_id",
            "enip.cip_attribute" => "attribute_id",
            "enip.cip_service" => return visit(self.service_code.into()),
            "enip.cip_status" => {
                return self.codes.iter().for_each(|(status, _)| visit((*status).into()));
            }
            "enip.cip_extendedstatus" => {
                let words = self.codes.iter().flat_map(|(_, words)| words);
                return words.for_each(|&word| visit(word.into()));
            }
            _ => return,
        };
        let found = self.path.iter().filter(|found| found.segment_type == segment);
        found.for_each(|found| visit(found.value.into()));
    }
}

#[derive(Default)]
struct Reading {
    pending: Both<Pending>,
    waiting: VecDeque<Exchange>,
    tx_id: u64,
}

impl Dissector for Reading {
    fn feed(
        &mut self,
        at: &Moment<'_>,
        direction: Direction,
        chunk: Chunk<'_>,
        out: &mut Outcome,
    ) -> Result<Next, Malformed> {
        let Chunk::Bytes(bytes) = chunk else {
            // Where a message begins behind a hole cannot be known.
            return Ok(Next::Done);
        };
        if at.is_udp() {
            if let Some(header) = Header::read(bytes) {
                self.message(direction, header, bytes.get(HEADER..).unwrap_or_default(), out);
            }
            return Ok(Next::More);
        }
        let mut pending = std::mem::take(self.pending.of(direction));
        pending.records(bytes, MESSAGE_CAP, |b| -> Result<Take, Malformed> {
            let Some(header) = Header::read(b) else { return Ok(Take::Need(HEADER)) };
            let total = HEADER + header.length;
            let Some(body) = b.get(HEADER..total) else { return Ok(Take::Need(total)) };
            self.message(direction, header, body, out);
            Ok(Take::Used(total))
        })?;
        *self.pending.of(direction) = pending;
        Ok(Next::More)
    }

    fn finish(&mut self, _at: &Moment<'_>, direction: Direction, out: &mut Outcome) {
        if direction == Direction::ToClient {
            while let Some(exchange) = self.waiting.pop_front() {
                out.transaction(direction, exchange.tx_id, exchange);
            }
        }
    }
}

impl Reading {
    fn message(&mut self, direction: Direction, header: Header, body: &[u8], out: &mut Outcome) {
        let mut message = Message {
            command_code: header.command,
            status_code: header.status,
            command: command_name(header.command),
            status: status_name(header.status),
            ..Message::default()
        };
        let answer = direction == Direction::ToClient;
        payload(&mut message, header.command, answer, Reader::new(body));
        if answer {
            let is_it = |e: &Exchange| {
                e.request.as_ref().is_some_and(|request| request.command == message.command)
            };
            let found = self.waiting.iter().position(is_it).and_then(|at| self.waiting.remove(at));
            let mut exchange = found.unwrap_or_else(|| {
                self.tx_id += 1;
                Exchange { tx_id: self.tx_id - 1, ..Exchange::default() }
            });
            exchange.response = Some(message);
            out.transaction(direction, exchange.tx_id, exchange);
            return;
        }
        if self.waiting.len() >= WAITING_CAP
            && let Some(oldest) = self.waiting.pop_front()
        {
            out.transaction(direction, oldest.tx_id, oldest);
        }
        let request = Some(message);
        self.waiting.push_back(Exchange { request, response: None, tx_id: self.tx_id });
        self.tx_id += 1;
    }
}

/// What a command carries; it is left as far as it was read where it is cut.
fn payload(message: &mut Message, command: u16, answer: bool, mut r: Reader<'_>) -> Option<()> {
    match command {
        REGISTER_SESSION => {
            message.register_session =
                Some(Session { protocol_version: r.u16_le()?, options: r.u16_le()? });
        }
        LIST_IDENTITY | LIST_SERVICES if answer => {
            let (_count, _kind, length) = (r.u16_le()?, r.u16_le()?, r.u16_le()?);
            let mut r = r.sub(length.into())?;
            if command == LIST_IDENTITY {
                message.identity = Some(identity(&mut r)?);
            } else {
                let (protocol_version, capabilities) = (r.u16_le()?, r.u16_le()?);
                let name = r.rest().split(|&b| b == 0).next().unwrap_or_default();
                let service_name = Text::new(name);
                message.list_services =
                    Some(Services { protocol_version, capabilities, service_name });
            }
        }
        SEND_RR_DATA | SEND_UNIT_DATA => {
            const CONNECTED: u16 = 0xb1;
            const UNCONNECTED: u16 = 0xb2;
            r.skip(6)?;
            for _ in 0..r.u16_le()?.min(8) {
                let (kind, length) = (r.u16_le()?, r.u16_le()?);
                let mut item = r.sub(length.into())?;
                if kind == CONNECTED {
                    item.skip(2)?;
                }
                if matches!(kind, CONNECTED | UNCONNECTED) {
                    message.cip = cip(&mut item);
                }
            }
        }
        _ => {}
    }
    Some(())
}

fn identity(r: &mut Reader<'_>) -> Option<Identity> {
    let protocol_version = r.u16_le()?;
    // The address of the device.
    r.skip(16)?;
    let (vendor, device, product_code) = (r.u16_le()?, r.u16_le()?, r.u16_le()?);
    let (major, minor) = (r.u8()?, r.u8()?);
    let (status, serial) = (r.u16_le()?, r.u32_le()?);
    let length = r.u8()?;
    let product_name = Text::new(r.take(length.into())?);
    Some(Identity {
        numbers: [u16::from_be_bytes([major, minor]), vendor, device],
        protocol_version,
        revision: format!("{major}.{minor}"),
        vendor_id: vendor_name(vendor).map_or_else(|| vendor.to_string(), str::to_owned),
        device_type: device_name(device).map_or_else(|| device.to_string(), str::to_owned),
        product_code,
        status,
        serial,
        product_name,
        state: r.u8().unwrap_or(0),
    })
}

/// A request or an answer of CIP: the highest bit of its service tells.
fn cip(r: &mut Reader<'_>) -> Option<Cip> {
    let service = r.u8()?;
    let mut cip = Cip {
        service_code: service & 0x7f,
        service: service_name(service & 0x7f),
        ..Cip::default()
    };
    if service & 0x80 != 0 {
        r.skip(1)?;
        let status = r.u8()?;
        cip.status = Some(cip_status_name(status));
        let count = r.u8().unwrap_or(0);
        let words = std::iter::from_fn(|| r.u16_le()).take(count.into()).take(PATH_CAP).collect();
        cip.codes = Some((status, words));
        return Some(cip);
    }
    let words = r.u8()?;
    let mut path = r.sub(usize::from(words) * 2)?;
    while let Some(segment) = segment(&mut path) {
        if cip.path.len() >= PATH_CAP {
            break;
        }
        if segment.segment_type == "class_id" {
            cip.class_name.get_or_insert(class_name(segment.value));
        }
        cip.path.push(segment);
    }
    Some(cip)
}

/// A logical segment with eight or sixteen bits; others end the path.
fn segment(r: &mut Reader<'_>) -> Option<Segment> {
    let kind = r.u8()?;
    let segment_type = match kind & 0xfc {
        0x20 => "class_id",
        0x24 => "instance_id",
        0x28 => "member_id",
        0x2c => "connection_point",
        0x30 => "attribute_id",
        _ => return None,
    };
    let value = match kind & 3 {
        0 => r.u8()?.into(),
        1 => {
            r.skip(1)?;
            r.u16_le()?.into()
        }
        2 => {
            r.skip(1)?;
            r.u32_le()?
        }
        _ => return None,
    };
    Some(Segment { segment_type, value })
}

const fn command_name(command: u16) -> &'static str {
    match command {
        0 => "nop",
        LIST_SERVICES => "list_services",
        LIST_IDENTITY => "list_identity",
        0x64 => "list_interfaces",
        REGISTER_SESSION => "register_session",
        0x66 => "unregister_session",
        SEND_RR_DATA => "send_rr_data",
        SEND_UNIT_DATA => "send_unit_data",
        0x72 => "indicate_status",
        0x73 => "cancel",
        _ => "unknown",
    }
}

const fn status_name(status: u32) -> &'static str {
    match status {
        0 => "success",
        1 => "invalid_command",
        2 => "no_resources",
        3 => "incorrect_data",
        0x64 => "invalid_session",
        0x65 => "invalid_length",
        0x69 => "unsupported_protocol_version",
        _ => "unknown",
    }
}

const fn service_name(service: u8) -> &'static str {
    match service {
        0x01 => "get_attributes_all",
        0x02 => "set_attributes_all",
        0x03 => "get_attribute_list",
        0x04 => "set_attribute_list",
        0x05 => "reset",
        0x06 => "start",
        0x07 => "stop",
        0x08 => "create",
        0x09 => "delete",
        0x0a => "multiple_service",
        0x0d => "apply_attributes",
        0x0e => "get_attribute_single",
        0x10 => "set_attribute_single",
        0x4c => "read_tag",
        0x4d => "write_tag",
        0x4e => "forward_close",
        0x52 => "unconnected_send",
        0x54 => "forward_open",
        0x5b => "large_forward_open",
        _ => "unknown",
    }
}

const fn class_name(class: u32) -> &'static str {
    match class {
        0x01 => "Identity",
        0x02 => "Message Router",
        0x04 => "Assembly",
        0x06 => "Connection Manager",
        0x6b => "Symbol",
        0x6c => "Template",
        0xf4 => "Port",
        0xf5 => "TCP/IP Interface",
        0xf6 => "Ethernet Link",
        _ => "Unknown",
    }
}

const fn cip_status_name(status: u8) -> &'static str {
    match status {
        0x00 => "success",
        0x01 => "connection_failure",
        0x02 => "resource_unavailable",
        0x03 => "invalid_parameter_value",
        0x04 => "path_segment_error",
        0x05 => "path_destination_unknown",
        0x06 => "partial_transfer",
        0x08 => "service_not_supported",
        0x0e => "attribute_not_settable",
        0x0f => "privilege_violation",
        0x13 => "not_enough_data",
        0x14 => "attribute_not_supported",
        0x16 => "object_does_not_exist",
        _ => "unknown",
    }
}

const fn vendor_name(vendor: u16) -> Option<&'static str> {
    Some(match vendor {
        1 => "Rockwell Automation/Allen-Bradley",
        47 => "OMRON Corporation",
        90 => "HMS Industrial Networks AB",
        243 => "Schneider Electric",
        283 => "Hilscher GmbH",
        _ => return None,
    })
}

const fn device_name(device: u16) -> Option<&'static str> {
    Some(match device {
        0x02 => "AC Drive",
        0x07 => "General Purpose Discrete I/O",
        0x0c => "Communications Adapter",
        0x0e => "Programmable Logic Controller",
        0x18 => "Human-Machine Interface",
        0x2c => "Managed Switch",
        _ => return None,
    })
}
