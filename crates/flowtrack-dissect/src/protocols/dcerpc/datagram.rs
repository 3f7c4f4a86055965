//! DCE/RPC over datagrams: calls are told apart by activity and number.

use super::pdu::{Datagram, Uuid, kind, kind_name};
use super::{NAME, services};
use crate::{Outcome, Wants};
use flowtrack_event::{AppProto, Chunk, Direction, Transaction};
use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};

/// Calls that may wait for an answer.
const WAITING_CAP: usize = 128;
/// Bytes of arguments or results that are kept for rules.
const STUB_CAP: usize = 64 * 1024;

/// Reads the datagrams of one flow.
pub struct Datagrams {
    keep_stubs: bool,
    waiting: Vec<Call>,
    told: u64,
    ended: bool,
}

/// A call by datagrams and its answer.
#[derive(Default, Debug)]
struct Call {
    activity: Uuid,
    sequence: u32,
    interface: Uuid,
    version: u32,
    opnum: u16,
    request: Half,
    response: Half,
}

#[derive(Default, Debug)]
struct Half {
    fragments: u32,
    size: u64,
    stub: Vec<u8>,
    complete: bool,
}

impl Datagrams {
    /// Of a new flow.
    pub fn new(wants: Wants) -> Self {
        Self { keep_stubs: wants.buffers, waiting: Vec::new(), told: 0, ended: false }
    }

    /// Takes a datagram.
    pub fn feed(&mut self, direction: Direction, chunk: Chunk<'_>, out: &mut Outcome) {
        let Chunk::Bytes(bytes) = chunk else { return };
        let Some(datagram) = Datagram::parse(bytes) else {
            out.anomaly("invalid_datagram", None);
            return;
        };
        if !matches!(datagram.kind, kind::REQUEST | kind::RESPONSE) {
            return;
        }
        let at = self.waiting.iter().position(|call| {
            call.activity == datagram.activity && call.sequence == datagram.sequence
        });
        let mut call = at.map_or_else(
            || Call { activity: datagram.activity, sequence: datagram.sequence, ..Call::default() },
            |at| self.waiting.remove(at),
        );
        let half = if datagram.kind == kind::REQUEST {
            call.interface = datagram.interface;
            call.version = datagram.version;
            call.opnum = datagram.opnum;
            &mut call.request
        } else {
            &mut call.response
        };
        half.fragments = half.fragments.saturating_add(1);
        half.size = half.size.saturating_add(datagram.stub.len() as u64);
        half.complete |= !datagram.more_follow();
        if self.keep_stubs {
            let room = STUB_CAP.saturating_sub(half.stub.len());
            half.stub.extend_from_slice(datagram.stub.get(..room).unwrap_or(datagram.stub));
        }
        if call.response.complete {
            self.tell(direction, call, out);
            return;
        }
        if self.waiting.len() >= WAITING_CAP {
            let oldest = self.waiting.remove(0);
            self.tell(direction, oldest, out);
        }
        self.waiting.push(call);
    }

    /// The flow ended: what waits will get no answer.
    pub fn finish(&mut self, direction: Direction, out: &mut Outcome) {
        if std::mem::replace(&mut self.ended, true) {
            for call in std::mem::take(&mut self.waiting) {
                self.tell(direction, call, out);
            }
        }
    }

    fn tell(&mut self, direction: Direction, call: Call, out: &mut Outcome) {
        out.transaction(direction, self.told, call);
        self.told += 1;
    }
}

impl Serialize for Call {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        let mut map = s.serialize_map(None)?;
        if self.request.complete {
            map.serialize_entry("request", kind_name(kind::REQUEST))?;
            map.serialize_entry("req", &HalfRecord(&self.request, Some(self.opnum)))?;
        } else {
            map.serialize_entry("request", "REQUEST_LOST")?;
        }
        if self.response.complete {
            map.serialize_entry("response", kind_name(kind::RESPONSE))?;
            map.serialize_entry("res", &HalfRecord(&self.response, None))?;
        } else {
            map.serialize_entry("response", "RESPONSE_LOST")?;
        }
        map.serialize_entry("activityuuid", &self.activity)?;
        map.serialize_entry("seqnum", &self.sequence)?;
        map.serialize_entry("rpc_version", "4.0")?;
        map.end()
    }
}

struct HalfRecord<'a>(&'a Half, Option<u16>);

impl Serialize for HalfRecord<'_> {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        let mut map = s.serialize_map(None)?;
        if let Some(opnum) = self.1 {
            map.serialize_entry("opnum", &opnum)?;
        }
        map.serialize_entry("frag_cnt", &self.0.fragments)?;
        map.serialize_entry("stub_data_size", &self.0.size)?;
        map.end()
    }
}

impl Transaction for Call {
    fn protocol(&self) -> AppProto {
        NAME
    }

    fn record(&self) -> &dyn erased_serde::Serialize {
        self
    }

    fn buffer_towards(&self, direction: Direction, name: &str, visit: &mut dyn FnMut(&[u8])) {
        let half = match direction {
            Direction::ToServer => &self.request,
            Direction::ToClient => &self.response,
        };
        match name {
            "dcerpc.stub_data" if half.size > 0 => visit(&half.stub),
            "dcerpc.iface" if self.request.fragments > 0 => {
                visit(format!("{} {}", self.interface, self.version & 0xffff).as_bytes());
            }
            _ => {}
        }
    }

    fn number(&self, _direction: Direction, name: &str, visit: &mut dyn FnMut(u64)) {
        if name == "dcerpc.opnum" && self.request.fragments > 0 {
            visit(self.opnum.into());
        }
    }

    fn summary(&self) -> String {
        let service = services::name(self.interface)
            .map_or_else(|| self.interface.to_string(), str::to_owned);
        let procedure = services::procedure(self.interface, self.opnum)
            .map_or_else(|| self.opnum.to_string(), str::to_owned);
        format!("{service} {procedure}")
    }
}
