//! DCE/RPC (C706, MS-RPCE) over TCP and UDP: remote procedure calls of Windows.

pub(crate) mod calls;
mod datagram;
pub(crate) mod pdu;
pub(crate) mod services;
mod stream;

use crate::{
    Dissector, Field, First, Keyword, Moment, Next, Outcome, Probe, Protocol, Transport, Wants,
};
use crate::{Malformed, protocols::dcerpc::pdu::Datagram};
use flowtrack_event::{AppProto, Chunk, Direction};

const NAME: AppProto = AppProto("dcerpc");

const FIELDS: &[Field] = &[
    Field::eve("request", "string", "type of the request"),
    Field::eve("req.opnum", "integer", "number of the procedure"),
    Field::eve("req.frag_cnt", "integer", "packets that the request took"),
    Field::eve("req.stub_data_size", "integer", "bytes of the arguments"),
    Field::eve("response", "string", "type of the response"),
    Field::eve("res.frag_cnt", "integer", "packets that the response took"),
    Field::eve("res.stub_data_size", "integer", "bytes of the results"),
    Field::eve("interfaces[].uuid", "string", "interface that is bound or called"),
    Field::eve("interfaces[].version", "string", "its version"),
    Field::eve("interfaces[].service", "string", "name of the interface, where known"),
    Field::eve("interfaces[].procedure", "string", "name of the procedure, where known"),
    Field::eve("interfaces[].ack_result", "integer", "what the server answered: 0 accepts"),
    Field::eve("call_id", "integer", "number of the call in its connection"),
    Field::eve("rpc_version", "string", "version of the protocol"),
    Field::eve("activityuuid", "string", "activity of a call by datagram"),
    Field::eve("seqnum", "integer", "number of a call by datagram in its activity"),
];

/// Arguments of a request, results of its response.
pub(crate) const STUB_DATA: Keyword =
    Keyword::buffer("dcerpc.stub_data", "arguments of a call, or its results");
/// The interface, as its identifier and major version with a space between them.
pub(crate) const IFACE: Keyword =
    Keyword::buffer("dcerpc.iface", "identifier and major version of the interface called").multi();
/// The procedure.
pub(crate) const OPNUM: Keyword = Keyword::number("dcerpc.opnum", "number of the procedure called");

const KEYWORDS: &[Keyword] = &[STUB_DATA, IFACE, OPNUM];

/// DCE/RPC.
pub struct Dcerpc;

impl Protocol for Dcerpc {
    fn name(&self) -> AppProto {
        NAME
    }

    fn transport(&self) -> Transport {
        Transport::Both
    }

    fn ports(&self) -> &'static [u16] {
        &[135, 593]
    }

    fn probe(&self, first: &First<'_>) -> Probe {
        if first.udp {
            Probe::content(Datagram::parse(first.bytes).is_some())
        } else {
            pdu::probe(first.bytes)
        }
    }

    fn dissector(&self, wants: Wants) -> Option<Box<dyn Dissector>> {
        (wants.records || wants.buffers).then(|| Box::new(Reading::Unsure(wants)) as _)
    }

    fn fields(&self) -> &'static [Field] {
        FIELDS
    }

    fn keywords(&self) -> &'static [Keyword] {
        KEYWORDS
    }
}

/// The first chunk tells whether chunks are datagrams.
enum Reading {
    Unsure(Wants),
    Stream(Box<stream::Stream>),
    Datagrams(datagram::Datagrams),
}

impl Dissector for Reading {
    fn feed(
        &mut self,
        at: &Moment<'_>,
        direction: Direction,
        chunk: Chunk<'_>,
        out: &mut Outcome,
    ) -> Result<Next, Malformed> {
        if let Self::Unsure(wants) = *self {
            *self = if at.is_udp() {
                Self::Datagrams(datagram::Datagrams::new(wants))
            } else {
                Self::Stream(Box::new(stream::Stream::new(wants)))
            };
        }
        match self {
            Self::Stream(stream) => stream.feed(direction, chunk, out)?,
            Self::Datagrams(datagrams) => datagrams.feed(direction, chunk, out),
            Self::Unsure(_) => {}
        }
        Ok(Next::More)
    }

    fn finish(&mut self, _at: &Moment<'_>, direction: Direction, out: &mut Outcome) {
        match self {
            Self::Stream(stream) => stream.finish(direction, out),
            Self::Datagrams(datagrams) => datagrams.finish(direction, out),
            Self::Unsure(_) => {}
        }
    }
}
