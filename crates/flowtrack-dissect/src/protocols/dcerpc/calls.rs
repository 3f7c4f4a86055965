//! Calls of one connection: what was bound, which requests wait, and what answered them. A named
//! pipe of SMB is such a connection too.

use super::pdu::{Body, Header, Uuid, kind, kind_name};
use super::services;
use flowtrack_event::Direction;
use serde::ser::{Serialize, SerializeMap, Serializer};

/// Calls that may wait for an answer.
const WAITING_CAP: usize = 128;
/// Contexts of one connection that are remembered.
const BOUND_CAP: usize = 64;
/// Bytes of arguments or results that are kept for rules.
const STUB_CAP: usize = 64 * 1024;

/// An interface that was bound or called.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Interface {
    context: u16,
    uuid: Uuid,
    version: (u16, u16),
    /// Result and reason, once answered.
    ack: Option<(u16, u16)>,
}

impl Interface {
    /// Whether the server did not refuse it.
    fn is_accepted(&self) -> bool {
        self.ack.is_none_or(|(result, _)| result == 0)
    }
}

/// One direction of a call.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct Half {
    /// Type of its packets.
    kind: u8,
    /// Packets it took.
    fragments: u32,
    /// Bytes of arguments or results.
    size: u64,
    /// The first of them, if rules want them.
    stub: Vec<u8>,
    /// Whether its last packet was seen.
    complete: bool,
}

/// A call and its answer.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct Call {
    /// Its number in the connection.
    pub number: u32,
    /// Minor version of the protocol.
    minor: u8,
    request: Option<Half>,
    response: Option<Half>,
    opnum: u16,
    interfaces: Vec<Interface>,
}

impl Call {
    fn is_bind(&self) -> bool {
        self.request.as_ref().is_some_and(|r| matches!(r.kind, kind::BIND | kind::ALTER_CONTEXT))
    }

    fn is_request(&self) -> bool {
        self.request.as_ref().is_some_and(|r| r.kind == kind::REQUEST)
    }

    /// Visits a named buffer of rules.
    pub fn buffer_towards(&self, direction: Direction, name: &str, visit: &mut dyn FnMut(&[u8])) {
        match name {
            "dcerpc.stub_data" => {
                let half = match direction {
                    Direction::ToServer => &self.request,
                    Direction::ToClient => &self.response,
                };
                half.iter().filter(|half| half.size > 0).for_each(|half| visit(&half.stub));
            }
            "dcerpc.iface" if self.is_request() => {
                let called = self.interfaces.iter().filter(|i| i.is_accepted());
                called.for_each(|i| visit(format!("{} {}", i.uuid, i.version.0).as_bytes()));
            }
            _ => {}
        }
    }

    /// Number of the procedure that is called.
    pub fn opnum(&self) -> Option<u64> {
        self.is_request().then(|| self.opnum.into())
    }

    /// One line for a person.
    pub fn summary(&self) -> String {
        let service = |i: &Interface| {
            services::name(i.uuid).map_or_else(|| i.uuid.to_string(), str::to_owned)
        };
        let request = self.request.as_ref().map_or("lost request", |r| kind_name(r.kind));
        let mut text = match self.interfaces.first() {
            Some(called) if self.is_request() => {
                let procedure = services::procedure(called.uuid, self.opnum);
                let procedure = procedure.map_or_else(|| self.opnum.to_string(), str::to_owned);
                format!("{} {procedure}", service(called))
            }
            None if self.is_request() => format!("procedure {}", self.opnum),
            _ => {
                let names: Vec<_> = self.interfaces.iter().take(3).map(service).collect();
                format!("{request} {}", names.join(" ")).trim_end().to_owned()
            }
        };
        match self.response.as_ref().map(|r| r.kind) {
            None => text.push_str(", no answer"),
            Some(kind::FAULT) => text.push_str(", fault"),
            Some(kind::BIND_NAK) => text.push_str(", refused"),
            Some(_) => {}
        }
        text
    }

    fn request_name(&self) -> &'static str {
        match &self.request {
            Some(half) if half.complete => kind_name(half.kind),
            _ => "REQUEST_LOST",
        }
    }

    fn response_name(&self) -> &'static str {
        match &self.response {
            Some(half) if half.complete => kind_name(half.kind),
            _ => "RESPONSE_LOST",
        }
    }
}

/// The record of a call: of its own over TCP, inside one of SMB over a pipe.
pub struct Record<'a> {
    /// The call.
    pub call: &'a Call,
    /// Whether it stands inside a record of SMB, where some fields stand elsewhere.
    pub in_smb: bool,
}

impl Serialize for Record<'_> {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        let call = self.call;
        let mut map = s.serialize_map(None)?;
        map.serialize_entry("request", call.request_name())?;
        let answered = call.response.as_ref().map(|half| half.kind);
        if call.is_request() {
            if self.in_smb {
                map.serialize_entry("opnum", &call.opnum)?;
            }
            if let Some(half) = &call.request {
                let opnum = (!self.in_smb).then_some(call.opnum);
                map.serialize_entry("req", &HalfRecord { half, opnum })?;
            }
        }
        map.serialize_entry("response", call.response_name())?;
        if let Some(half) = &call.response
            && answered == Some(kind::RESPONSE)
        {
            map.serialize_entry("res", &HalfRecord { half, opnum: None })?;
        }
        let bind = matches!(call.request.as_ref().map(|r| r.kind), Some(kind::BIND));
        if !call.interfaces.is_empty() && (bind || call.is_request()) {
            let interfaces: Vec<_> = call
                .interfaces
                .iter()
                .map(|interface| InterfaceRecord {
                    interface,
                    procedure: call
                        .is_request()
                        .then(|| services::procedure(interface.uuid, call.opnum))
                        .flatten(),
                    bind,
                    in_smb: self.in_smb,
                })
                .collect();
            map.serialize_entry("interfaces", &interfaces)?;
        }
        map.serialize_entry("call_id", &call.number)?;
        if !self.in_smb {
            map.serialize_entry("rpc_version", &format_args!("5.{}", call.minor))?;
        }
        map.end()
    }
}

struct HalfRecord<'a> {
    half: &'a Half,
    opnum: Option<u16>,
}

impl Serialize for HalfRecord<'_> {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        let mut map = s.serialize_map(None)?;
        if let Some(opnum) = self.opnum {
            map.serialize_entry("opnum", &opnum)?;
        }
        map.serialize_entry("frag_cnt", &self.half.fragments)?;
        map.serialize_entry("stub_data_size", &self.half.size)?;
        map.end()
    }
}

struct InterfaceRecord<'a> {
    interface: &'a Interface,
    procedure: Option<&'static str>,
    bind: bool,
    in_smb: bool,
}

impl Serialize for InterfaceRecord<'_> {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        let Interface { uuid, version, ack, .. } = self.interface;
        let mut map = s.serialize_map(None)?;
        map.serialize_entry("uuid", uuid)?;
        map.serialize_entry("version", &format_args!("{}.{}", version.0, version.1))?;
        if let Some(service) = services::name(*uuid) {
            map.serialize_entry("service", service)?;
        }
        if let Some(procedure) = self.procedure {
            map.serialize_entry("procedure", procedure)?;
        }
        if let (true, Some((result, reason))) = (self.bind, ack) {
            map.serialize_entry("ack_result", result)?;
            if self.in_smb {
                map.serialize_entry("ack_reason", reason)?;
            }
        }
        map.end()
    }
}

/// Follows the calls of one connection. Which way a packet goes follows from its type alone, so
/// that a flow whose beginning was missed is read as well.
#[derive(Debug)]
pub struct Calls {
    keep_stubs: bool,
    bound: Vec<Interface>,
    waiting: Vec<Call>,
}

impl Calls {
    /// Of a new connection; `keep_stubs` where rules look at arguments.
    pub fn new(keep_stubs: bool) -> Self {
        Self { keep_stubs, bound: Vec::new(), waiting: Vec::new() }
    }

    /// Takes a whole packet; returns the call that it completed, or that had to make room.
    pub fn packet(&mut self, header: &Header, pdu: &[u8]) -> Option<Call> {
        match Body::parse(header, pdu)? {
            Body::Bind(contexts) => {
                let mut call = Call { number: header.call_id, ..Call::default() };
                for context in contexts {
                    let interface = Interface {
                        context: context.id,
                        uuid: context.uuid,
                        version: context.version,
                        ack: None,
                    };
                    call.interfaces.push(interface);
                    self.bound.retain(|known| known.context != context.id);
                    if self.bound.len() < BOUND_CAP {
                        self.bound.push(interface);
                    }
                }
                call.minor = header.minor;
                call.request = Some(Half::whole(header.kind));
                self.wait(call)
            }
            Body::BindAck(results) => {
                let mut call = self.answered(header, Call::is_bind);
                for (interface, ack) in call.interfaces.iter_mut().zip(results) {
                    interface.ack = Some(ack);
                    let known = |b: &&mut Interface| b.context == interface.context;
                    if let Some(bound) = self.bound.iter_mut().find(known) {
                        bound.ack = Some(ack);
                    }
                }
                call.response = Some(Half::whole(header.kind));
                Some(call)
            }
            Body::Request { context, opnum, stub } => self.request(header, context, opnum, stub),
            Body::Response { stub } => {
                let mut call = self.answered(header, Call::is_request);
                let response = call.response.get_or_insert_with(Half::default);
                response.kind = header.kind;
                response.add(stub, header, self.keep_stubs);
                if response.complete { Some(call) } else { self.wait(call) }
            }
            Body::Other if header.kind == kind::BIND_NAK => {
                let mut call = self.answered(header, Call::is_bind);
                call.response = Some(Half::whole(header.kind));
                Some(call)
            }
            Body::Other => None,
        }
    }

    fn request(&mut self, header: &Header, context: u16, opnum: u16, stub: &[u8]) -> Option<Call> {
        let under_way = self.waiting.iter_mut().find(|call| {
            call.number == header.call_id
                && call.is_request()
                && call.request.as_ref().is_some_and(|half| !half.complete)
        });
        if let Some(half) = under_way.and_then(|call| call.request.as_mut())
            && !header.is_first()
        {
            half.add(stub, header, self.keep_stubs);
            return None;
        }
        let mut half = Half::default();
        half.add(stub, header, self.keep_stubs);
        let interfaces = self.bound.iter().filter(|i| i.context == context).copied().collect();
        self.wait(Call {
            number: header.call_id,
            minor: header.minor,
            request: Some(half),
            response: None,
            opnum,
            interfaces,
        })
    }

    /// The oldest call that this packet may answer, or one whose request was not seen.
    fn answered(&mut self, header: &Header, fits: impl Fn(&Call) -> bool) -> Call {
        let at = self.waiting.iter().position(|call| {
            call.number == header.call_id && (fits(call) || call.request.is_none())
        });
        at.map_or_else(
            || Call { number: header.call_id, minor: header.minor, ..Call::default() },
            |at| self.waiting.remove(at),
        )
    }

    fn wait(&mut self, call: Call) -> Option<Call> {
        let oldest = (self.waiting.len() >= WAITING_CAP).then(|| self.waiting.remove(0));
        self.waiting.push(call);
        oldest
    }

    /// All calls that still wait, at the end.
    pub fn end(&mut self) -> Vec<Call> {
        std::mem::take(&mut self.waiting)
    }
}

impl Half {
    /// Of a type that is always one packet.
    fn whole(kind: u8) -> Self {
        Self { kind, fragments: 1, complete: true, ..Self::default() }
    }

    fn add(&mut self, stub: &[u8], header: &Header, keep: bool) {
        self.fragments = self.fragments.saturating_add(1);
        self.size = self.size.saturating_add(stub.len() as u64);
        if keep {
            let room = STUB_CAP.saturating_sub(self.stub.len());
            self.stub.extend_from_slice(stub.get(..room).unwrap_or(stub));
        }
        self.complete |= header.is_last();
    }
}
