//! Modbus/TCP: every request with its answer.

use crate::{
    Both, Dissector, Field, First, Keyword, Malformed, Moment, Next, Outcome, Pending, Probe,
    Protocol, Reader, Take, Text, Transport, Wants,
};
use flowtrack_event::{AppProto, Chunk, Confidence, Direction, Transaction};
use serde::Serialize;
use std::collections::VecDeque;

const NAME: AppProto = AppProto("modbus");
const PORTS: &[u16] = &[502];
/// Bytes of the header before its unit.
const HEADER: usize = 6;
/// Longest message; 260 by the specification.
const MESSAGE_CAP: usize = 300;
/// Requests that wait for their answer.
const WAITING_CAP: usize = 128;

/// Ways to access and what is accessed, as rules call them.
const ACCESS: &[(&str, u64)] = &[
    ("read", 1),
    ("write", 2),
    ("discretes", 4),
    ("coils", 8),
    ("input", 16),
    ("holding", 32),
    ("single", 64),
    ("multiple", 128),
];
/// Kinds of functions, as rules call them.
const CATEGORIES: &[(&str, u64)] =
    &[("public_assigned", 1), ("public_unassigned", 2), ("user_defined", 4), ("reserved", 8)];

const KEYWORDS: &[Keyword] = &[
    Keyword::number("modbus.function", "function"),
    Keyword::number("modbus.subfunction", "function of a diagnosis, or of MEI"),
    Keyword::number("modbus.unit", "unit"),
    Keyword::number("modbus.access", "how what is accessed").named(ACCESS),
    Keyword::number("modbus.category", "kind of the function").named(CATEGORIES),
    Keyword::number("modbus.address", "first address that is read, and that is written").multi(),
    Keyword::number("modbus.quantity", "how many values are read"),
    Keyword::number("modbus.value", "value that is written, or how many are"),
];

const FIELDS: &[Field] = &[
    Field::eve("id", "integer", "number of the transaction in its flow, from 1"),
    Field::eve("request.transaction_id", "integer", "identifier of the request"),
    Field::eve("request.protocol_id", "integer", "0"),
    Field::eve("request.unit_id", "integer", "the device addressed"),
    Field::eve("request.function_raw", "integer", "function"),
    Field::eve("request.function_code", "string", "its name"),
    Field::eve("request.access_type", "string", "what is accessed and how"),
    Field::eve("request.category", "string", "kind of function"),
    Field::eve("request.error_flags", "string", "what is wrong with the message"),
    Field::eve("request.data", "string", "data of a function that is not known"),
    Field::eve("request.read.address", "integer", "first address read"),
    Field::eve("request.read.quantity", "integer", "how many are read"),
    Field::eve("request.write.address", "integer", "address written"),
    Field::eve("request.write.data", "integer", "value written"),
    Field::eve("request.diagnostic.raw", "integer", "diagnostic function"),
    Field::eve("request.diagnostic.code", "string", "its name"),
    Field::eve("request.diagnostic.data", "string", "its data"),
    Field::eve("request.mei.raw", "integer", "encapsulated interface"),
    Field::eve("request.mei.code", "string", "its name"),
    Field::eve("request.mei.data", "string", "its data"),
    Field::eve("response.transaction_id", "integer", "identifier of the answer"),
    Field::eve("response.function_raw", "integer", "function"),
    Field::eve("response.function_code", "string", "its name"),
    Field::eve("response.access_type", "string", "what is accessed and how"),
    Field::eve("response.category", "string", "kind of function"),
    Field::eve("response.read.data", "string", "what was read"),
    Field::eve("response.write.address", "integer", "address written"),
    Field::eve("response.write.data", "integer", "value written"),
    Field::added("response.mei.raw", "integer", "encapsulated interface answered"),
    Field::added("response.mei.code", "string", "its name"),
    Field::added("response.mei.data", "string", "what it answers"),
    Field::eve("response.exception.raw", "integer", "why it was refused"),
    Field::eve("response.exception.code", "string", "the same by name"),
];

/// Modbus.
pub struct Modbus;

impl Protocol for Modbus {
    fn name(&self) -> AppProto {
        NAME
    }

    fn transport(&self) -> Transport {
        Transport::Tcp
    }

    fn ports(&self) -> &'static [u16] {
        PORTS
    }

    fn probe(&self, first: &First<'_>) -> Probe {
        // Its header is too weak for other ports.
        if !first.has_port(PORTS) {
            return Probe::No;
        }
        let Some([_, _, p0, p1, l0, l1, _, function]) = first.bytes.first_chunk::<8>() else {
            return Probe::NeedMore;
        };
        let length = u16::from_be_bytes([*l0, *l1]);
        let known = name_of(*function & 0x7f) != "Unknown";
        if [*p0, *p1] == [0, 0] && (2..=255).contains(&length) && known {
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

/// A request and its answer.
#[derive(Clone, Default, Debug, Serialize)]
struct Exchange {
    id: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    request: Option<Message>,
    #[serde(skip_serializing_if = "Option::is_none")]
    response: Option<Message>,
}

#[derive(Clone, Default, Debug, Serialize)]
struct Message {
    transaction_id: u16,
    protocol_id: u16,
    unit_id: u8,
    function_raw: u8,
    function_code: &'static str,
    access_type: &'static str,
    category: &'static str,
    error_flags: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<Text>,
    #[serde(skip_serializing_if = "Option::is_none")]
    exception: Option<Numbered>,
    #[serde(skip_serializing_if = "Option::is_none")]
    diagnostic: Option<Numbered>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mei: Option<Numbered>,
    #[serde(skip_serializing_if = "Option::is_none")]
    read: Option<Read>,
    #[serde(skip_serializing_if = "Option::is_none")]
    write: Option<Write>,
}

#[derive(Clone, Debug, Serialize)]
struct Numbered {
    raw: u16,
    code: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<Text>,
}

#[derive(Clone, Debug, Serialize)]
#[serde(untagged)]
enum Read {
    Asked { address: u16, quantity: u16 },
    Answered { data: Text },
}

#[derive(Clone, Debug, Serialize)]
struct Write {
    address: u16,
    data: u16,
}

impl Transaction for Exchange {
    fn protocol(&self) -> AppProto {
        NAME
    }

    fn record(&self) -> &dyn erased_serde::Serialize {
        self
    }

    fn number(&self, direction: Direction, name: &str, visit: &mut dyn FnMut(u64)) {
        let message = match direction {
            Direction::ToServer => &self.request,
            Direction::ToClient => &self.response,
        };
        let Some(message) = message else { return };
        match name {
            "modbus.function" => visit((message.function_raw & 0x7f).into()),
            "modbus.subfunction" => {
                let found = message.diagnostic.as_ref().or(message.mei.as_ref());
                found.iter().for_each(|sub| visit(sub.raw.into()));
            }
            "modbus.unit" => visit(message.unit_id.into()),
            "modbus.access" => visit(bits(ACCESS, message.access_type)),
            "modbus.category" => visit(bits(CATEGORIES, message.category)),
            "modbus.address" => {
                if let Some(Read::Asked { address, .. }) = message.read {
                    visit(address.into());
                }
                message.write.iter().for_each(|write| visit(write.address.into()));
            }
            "modbus.quantity" => {
                if let Some(Read::Asked { quantity, .. }) = message.read {
                    visit(quantity.into());
                }
            }
            "modbus.value" => message.write.iter().for_each(|write| visit(write.data.into())),
            _ => {}
        }
    }

    fn summary(&self) -> String {
        let Some(message) = self.request.as_ref().or(self.response.as_ref()) else {
            return String::new();
        };
        let mut line = format!("unit {} {}", message.unit_id, message.function_code);
        if let Some(exception) = self.response.as_ref().and_then(|r| r.exception.as_ref()) {
            line = format!("{line}: {}", exception.code);
        }
        line
    }
}

/// The bits of the words in a text, whatever their case.
fn bits(names: &[(&str, u64)], text: &str) -> u64 {
    let of_word = |word: &str| names.iter().find(|(name, _)| name.eq_ignore_ascii_case(word));
    text.split(" | ").filter_map(of_word).fold(0, |bits, (_, bit)| bits | bit)
}

#[derive(Default)]
struct Reading {
    pending: Both<Pending>,
    waiting: VecDeque<Exchange>,
    transactions: u64,
}

impl Dissector for Reading {
    fn feed(
        &mut self,
        _at: &Moment<'_>,
        direction: Direction,
        chunk: Chunk<'_>,
        out: &mut Outcome,
    ) -> Result<Next, Malformed> {
        let Chunk::Bytes(bytes) = chunk else {
            // Where a message begins behind a hole cannot be known.
            return Ok(Next::Done);
        };
        let mut pending = std::mem::take(self.pending.of(direction));
        pending.records(bytes, MESSAGE_CAP, |b| -> Result<Take, Malformed> {
            let Some([_, _, p0, p1, l0, l1]) = b.first_chunk::<HEADER>() else {
                return Ok(Take::Need(HEADER));
            };
            let length = usize::from(u16::from_be_bytes([*l0, *l1]));
            if [*p0, *p1] != [0, 0] {
                return Err(Malformed("invalid_protocol_id"));
            }
            if !(2..=MESSAGE_CAP - HEADER).contains(&length) {
                return Err(Malformed("invalid_length"));
            }
            let Some(message) = b.get(..HEADER + length) else {
                return Ok(Take::Need(HEADER + length));
            };
            if let Some(message) = read(message, direction) {
                self.message(direction, message, out);
            }
            Ok(Take::Used(HEADER + length))
        })?;
        *self.pending.of(direction) = pending;
        Ok(Next::More)
    }

    fn finish(&mut self, _at: &Moment<'_>, direction: Direction, out: &mut Outcome) {
        if direction == Direction::ToClient {
            while let Some(exchange) = self.waiting.pop_front() {
                tell(direction, exchange, out);
            }
        }
    }
}

fn tell(direction: Direction, exchange: Exchange, out: &mut Outcome) {
    out.transaction(direction, exchange.id.saturating_sub(1), exchange);
}

impl Reading {
    fn message(&mut self, direction: Direction, message: Message, out: &mut Outcome) {
        if direction == Direction::ToServer {
            if self.waiting.len() >= WAITING_CAP
                && let Some(oldest) = self.waiting.pop_front()
            {
                out.anomaly("flooded", None);
                tell(direction, oldest, out);
            }
            self.transactions += 1;
            let id = self.transactions;
            self.waiting.push_back(Exchange { id, request: Some(message), response: None });
            return;
        }
        let id = message.transaction_id;
        let is_it = |e: &Exchange| e.request.as_ref().is_some_and(|r| r.transaction_id == id);
        let found = self.waiting.iter().position(is_it).and_then(|at| self.waiting.remove(at));
        let mut exchange = found.unwrap_or_else(|| {
            out.anomaly("unsolicited_response", None);
            self.transactions += 1;
            Exchange { id: self.transactions, ..Exchange::default() }
        });
        exchange.response = Some(message);
        tell(direction, exchange, out);
    }
}

/// Reads one message with its header.
fn read(bytes: &[u8], direction: Direction) -> Option<Message> {
    let mut r = Reader::new(bytes);
    let (transaction_id, protocol_id, _length) = (r.u16()?, r.u16()?, r.u16()?);
    let (unit_id, code) = (r.u8()?, r.u8()?);
    let function = code & 0x7f;
    let (access_type, category) = access_of(function);
    let mut message = Message {
        transaction_id,
        protocol_id,
        unit_id,
        function_raw: code,
        function_code: name_of(function),
        access_type,
        category,
        error_flags: "NONE",
        ..Message::default()
    };
    let body = r.rest();
    if code & 0x80 != 0 {
        message.exception =
            r.u8().map(|raw| Numbered { raw: raw.into(), code: exception_name(raw), data: None });
    } else if payload(&mut message, function, direction, r).is_none() {
        message.error_flags = "DATA_LENGTH";
        message.data = Some(Text::new(body));
    }
    Some(message)
}

/// What a function carries; `None` where it is too short.
fn payload(
    message: &mut Message,
    function: u8,
    direction: Direction,
    mut r: Reader<'_>,
) -> Option<()> {
    let asked = direction == Direction::ToServer;
    match (function, asked) {
        (1..=4, true) => {
            message.read = Some(Read::Asked { address: r.u16()?, quantity: r.u16()? });
        }
        (1..=4 | 23, false) => {
            let length = r.u8()?;
            let data = Text::new(r.take(length.into())?);
            message.read = Some(Read::Answered { data });
        }
        (5 | 6, _) => message.write = Some(Write { address: r.u16()?, data: r.u16()? }),
        (15 | 16, _) => {
            let (address, quantity) = (r.u16()?, r.u16()?);
            if asked {
                let length = r.u8()?;
                message.data = Some(Text::new(r.take(length.into())?));
            }
            message.write = Some(Write { address, data: quantity });
        }
        (22, _) => {
            let (address, and, or) = (r.u16()?, r.u16()?, r.u16()?);
            message.write = Some(Write { address, data: and });
            message.data = Some(Text::new(&or.to_be_bytes()));
        }
        (23, true) => {
            message.read = Some(Read::Asked { address: r.u16()?, quantity: r.u16()? });
            let (address, quantity, length) = (r.u16()?, r.u16()?, r.u8()?);
            message.data = Some(Text::new(r.take(length.into())?));
            message.write = Some(Write { address, data: quantity });
        }
        (8, _) => {
            let raw = r.u16()?;
            let data = Some(Text::new(r.rest()));
            message.diagnostic = Some(Numbered { raw, code: diagnostic_name(raw), data });
        }
        (43, _) => {
            let raw = r.u8()?;
            let code = match raw {
                13 => "CANopenGenRefReqResp",
                14 => "ReadDevId",
                _ => "Unknown",
            };
            let data = Some(Text::new(r.rest()));
            message.mei = Some(Numbered { raw: raw.into(), code, data });
        }
        _ if r.is_empty() => {}
        _ => message.data = Some(Text::new(r.rest())),
    }
    Some(())
}

const fn name_of(function: u8) -> &'static str {
    match function {
        1 => "RdCoils",
        2 => "RdDiscreteInputs",
        3 => "RdHoldRegs",
        4 => "RdInputRegs",
        5 => "WrSingleCoil",
        6 => "WrSingleReg",
        7 => "RdExcStatus",
        8 => "Diagnostic",
        9 => "Program484",
        10 => "Poll484",
        11 => "GetCommEventCtr",
        12 => "GetCommEventLog",
        13 => "ProgramController",
        14 => "PollController",
        15 => "WrMultCoils",
        16 => "WrMultRegs",
        17 => "ReportServerID",
        18 => "Program884",
        19 => "ResetCommLink",
        20 => "RdFileRec",
        21 => "WrFileRec",
        22 => "MaskWrReg",
        23 => "RdWrMultRegs",
        24 => "RdFIFOQueue",
        43 => "MEI",
        _ => "Unknown",
    }
}

const fn access_of(function: u8) -> (&'static str, &'static str) {
    match function {
        1 => ("READ | COILS", "PUBLIC_ASSIGNED"),
        2 => ("READ | DISCRETES", "PUBLIC_ASSIGNED"),
        3 => ("READ | HOLDING", "PUBLIC_ASSIGNED"),
        4 => ("READ | INPUT", "PUBLIC_ASSIGNED"),
        5 => ("WRITE | COILS | SINGLE", "PUBLIC_ASSIGNED"),
        6 | 22 => ("WRITE | HOLDING | SINGLE", "PUBLIC_ASSIGNED"),
        15 => ("WRITE | COILS | MULTIPLE", "PUBLIC_ASSIGNED"),
        16 => ("WRITE | HOLDING | MULTIPLE", "PUBLIC_ASSIGNED"),
        23 => ("READ | WRITE | HOLDING | MULTIPLE", "PUBLIC_ASSIGNED"),
        20 => ("READ", "PUBLIC_ASSIGNED"),
        21 => ("WRITE", "PUBLIC_ASSIGNED"),
        7 | 8 | 11 | 12 | 17 | 24 | 43 => ("NONE", "PUBLIC_ASSIGNED"),
        9 | 10 | 13 | 14 | 18 | 19 => ("NONE", "RESERVED"),
        65..=72 | 100..=110 => ("NONE", "USER_DEFINED"),
        _ => ("NONE", "PUBLIC_UNASSIGNED"),
    }
}

const fn exception_name(code: u8) -> &'static str {
    match code {
        1 => "IllegalFunction",
        2 => "IllegalDataAddress",
        3 => "IllegalDataValue",
        4 => "ServerDeviceFail",
        5 => "Ack",
        6 => "ServerDeviceBusy",
        7 => "NegAck",
        8 => "MemParityErr",
        10 => "GatewayPathUnavailable",
        11 => "GatewayTargetFailToResp",
        _ => "Unknown",
    }
}

const fn diagnostic_name(code: u16) -> &'static str {
    match code {
        0 => "RetQueryData",
        1 => "RestartCommOpt",
        2 => "RetDiagReg",
        3 => "ChangeInputDelimiter",
        4 => "ForceListenOnlyMode",
        10 => "ClearCtrsDiagReg",
        11 => "RetBusMsgCount",
        12 => "RetBusCommErrCount",
        13 => "RetBusExcErrCount",
        14 => "RetServerMsgCount",
        15 => "RetServerNoRespCount",
        16 => "RetServerNAKCount",
        17 => "RetServerBusyCount",
        18 => "RetBusCharOverrunCount",
        20 => "ClearOverrunCounterFlag",
        _ => "Unknown",
    }
}
