//! SMB (MS-CIFS, MS-SMB, MS-SMB2): every version over NetBIOS sessions or directly over TCP, with
//! the files that it carries and the calls over its named pipes.

mod framing;
mod names;
mod record;
mod security;
mod state;
#[cfg(test)]
mod tests;
mod v1;
mod v2;

use crate::{
    Dissector, Field, First, Keyword, Malformed, Moment, Next, Outcome, Pending, Probe, Protocol,
    Take, Transport, Wants,
};
use flowtrack_event::{AppProto, Chunk, Direction, WireText};
use framing::Kind;
use state::{Sink, State};

const NAME: AppProto = AppProto("smb");
/// Bytes of a message that are held until it is complete; of longer ones, which carry contents of
/// files, the rest is passed on as it comes.
const HEAD_CAP: usize = 64 * 1024;

const KEYWORDS: &[Keyword] = {
    use crate::protocols::dcerpc::{IFACE, OPNUM, STUB_DATA};
    &[
        Keyword::number("smb.version", "1, or 2 for all later ones"),
        Keyword::buffer("smb.named_pipe", "share for named pipes that is connected").to_server(),
        Keyword::buffer("smb.share", "share that is connected").to_server(),
        Keyword::buffer("smb.ntlmssp_user", "who logs on").to_server(),
        Keyword::buffer("smb.ntlmssp_domain", "domain of who logs on").to_server(),
        Keyword::buffer("file.data", "beginning of a file"),
        Keyword::buffer("file.name", "name of a file"),
        STUB_DATA,
        IFACE,
        OPNUM,
    ]
};

const FIELDS: &[Field] = &[
    Field::eve("id", "integer", "number of the exchange in the flow"),
    Field::eve("dialect", "string", "version that was agreed on"),
    Field::eve("command", "string", "what was asked"),
    Field::eve("status", "string", "how it ended"),
    Field::eve("status_code", "string", "how it ended, as a number"),
    Field::eve("session_id", "integer", "session"),
    Field::eve("tree_id", "integer", "connected share"),
    Field::eve("client_dialects", "array", "versions that the client offers"),
    Field::eve("client_guid", "string", "identity of the client"),
    Field::eve("server_guid", "string", "identity of the server"),
    Field::eve("max_read_size", "integer", "longest read that the server allows"),
    Field::eve("max_write_size", "integer", "longest write that the server allows"),
    Field::eve("ntlmssp.domain", "string", "domain of the user"),
    Field::eve("ntlmssp.user", "string", "user who logs on"),
    Field::eve("ntlmssp.host", "string", "computer of the user"),
    Field::eve("ntlmssp.version", "string", "version of the client's system"),
    Field::eve("kerberos.realm", "string", "realm of the service"),
    Field::eve("kerberos.snames", "array", "name of the service"),
    Field::eve("request.native_os", "string", "the client's system"),
    Field::eve("request.native_lm", "string", "the client's software"),
    Field::eve("response.native_os", "string", "the server's system"),
    Field::eve("response.native_lm", "string", "the server's software"),
    Field::eve("share", "string", "path of the share"),
    Field::eve("named_pipe", "string", "path of the share of named pipes"),
    Field::eve("share_type", "string", "kind of share"),
    Field::eve("service.request", "string", "kind of share that was asked for"),
    Field::eve("service.response", "string", "kind of share that was given"),
    Field::eve("filename", "string", "name of the file"),
    Field::eve("directory", "string", "name of the directory"),
    Field::eve("disposition", "string", "what opening does where the file exists, or does not"),
    Field::eve("access", "string", "normal, or delete on close"),
    Field::eve("created", "integer", "when the file was created"),
    Field::eve("accessed", "integer", "when the file was last read"),
    Field::eve("modified", "integer", "when the file was last written"),
    Field::eve("changed", "integer", "when the file last changed in any way"),
    Field::eve("size", "integer", "size of the file"),
    Field::eve("fuid", "string", "identity of the open file"),
    Field::eve("rename.from", "string", "name before"),
    Field::eve("rename.to", "string", "name after"),
    Field::eve("set_info.class", "string", "class of the information that is set"),
    Field::eve("set_info.info_level", "string", "level of the information that is set"),
    Field::eve("function", "string", "control function"),
    Field::eve("dcerpc.request", "string", "type of the request"),
    Field::eve("dcerpc.response", "string", "type of the response"),
    Field::eve("dcerpc.call_id", "integer", "number of the call"),
    Field::eve("dcerpc.opnum", "integer", "number of the procedure"),
    Field::eve("dcerpc.req.frag_cnt", "integer", "packets that the request took"),
    Field::eve("dcerpc.req.stub_data_size", "integer", "bytes of the arguments"),
    Field::eve("dcerpc.res.frag_cnt", "integer", "packets that the response took"),
    Field::eve("dcerpc.res.stub_data_size", "integer", "bytes of the results"),
    Field::eve("dcerpc.interfaces[].uuid", "string", "interface that is bound or called"),
    Field::eve("dcerpc.interfaces[].version", "string", "its version"),
    Field::eve("dcerpc.interfaces[].service", "string", "name of the interface, where known"),
    Field::eve("dcerpc.interfaces[].procedure", "string", "name of the procedure, where known"),
    Field::eve("dcerpc.interfaces[].ack_result", "integer", "what the server answered"),
    Field::eve("dcerpc.interfaces[].ack_reason", "integer", "why the server refused"),
];

/// SMB.
pub struct Smb;

impl Protocol for Smb {
    fn name(&self) -> AppProto {
        NAME
    }

    fn transport(&self) -> Transport {
        Transport::Tcp
    }

    fn ports(&self) -> &'static [u16] {
        &[445, 139]
    }

    fn probe(&self, first: &First<'_>) -> Probe {
        framing::probe(first)
    }

    fn dissector(&self, wants: Wants) -> Option<Box<dyn Dissector>> {
        let wanted = wants.records || wants.buffers || wants.files;
        wanted.then(|| Box::new(Reading::new(wants)) as Box<dyn Dissector>)
    }

    fn fields(&self) -> &'static [Field] {
        FIELDS
    }

    fn keywords(&self) -> &'static [Keyword] {
        KEYWORDS
    }
}

struct Reading {
    state: State,
    sides: [Side; 2],
    ended: bool,
}

/// How far one direction is read.
#[derive(Default)]
struct Side {
    pending: Pending,
    /// Bytes left of a long message whose head is read.
    left: usize,
    /// Where they go.
    sink: Option<Sink>,
    /// Behind a hole: the next message that is recognised is read again.
    lost: bool,
}

impl Reading {
    fn new(wants: Wants) -> Self {
        Self { state: State::new(wants), sides: Default::default(), ended: false }
    }
}

impl Dissector for Reading {
    fn feed(
        &mut self,
        _at: &Moment<'_>,
        direction: Direction,
        chunk: Chunk<'_>,
        out: &mut Outcome,
    ) -> Result<Next, Malformed> {
        let side = direction.of_mut(&mut self.sides);
        match chunk {
            Chunk::Bytes(bytes) => side.read(&mut self.state, bytes, out)?,
            Chunk::Gap(bytes) => side.gap(&mut self.state, bytes, out),
        }
        Ok(Next::More)
    }

    fn finish(&mut self, _at: &Moment<'_>, direction: Direction, out: &mut Outcome) {
        if std::mem::replace(&mut self.ended, true) {
            self.state.end(direction, out);
        }
    }
}

impl Side {
    fn read(
        &mut self,
        state: &mut State,
        bytes: &[u8],
        out: &mut Outcome,
    ) -> Result<(), Malformed> {
        let Self { pending, left, sink, lost } = self;
        pending.records(bytes, framing::HEADER + HEAD_CAP, |b| {
            if *left > 0 {
                let n = b.len().min(*left);
                *left -= n;
                if let Some(sink) = sink {
                    state.more(sink, b.get(..n).unwrap_or_default());
                }
                return Ok(Take::Used(n));
            }
            let Some((kind, length)) = framing::header(b) else {
                return Ok(Take::Need(framing::HEADER));
            };
            if *lost {
                match begins(b) {
                    None => return Ok(Take::Need(framing::HEADER + 4)),
                    Some(false) => return Ok(Take::Used(1)),
                    Some(true) => *lost = false,
                }
            }
            let held = length.min(HEAD_CAP);
            let Some(message) = b.get(framing::HEADER..framing::HEADER + held) else {
                return Ok(Take::Need(framing::HEADER + held));
            };
            if kind == framing::MESSAGE && length > 0 {
                *sink = match Kind::of(message) {
                    Some(Kind::V1) => v1::read(state, message, out),
                    Some(Kind::V2) => v2::read(state, message, out),
                    Some(Kind::Encrypted | Kind::Compressed) => None,
                    None => {
                        out.anomaly("malformed_data", None);
                        *lost = true;
                        return Ok(Take::Used(1));
                    }
                };
                *left = length - held;
            }
            Ok::<Take, Malformed>(Take::Used(framing::HEADER + held))
        })
    }

    fn gap(&mut self, state: &mut State, bytes: u64, out: &mut Outcome) {
        if self.pending.is_empty() && self.left > 0 && bytes <= self.left as u64 {
            self.left -= bytes as usize;
            if let Some(sink) = &mut self.sink {
                state.lost(sink, bytes);
            }
            return;
        }
        self.resync(state, bytes, out);
    }

    /// A hole in the middle of messages: what is there of the last one is read, and reading goes
    /// on in it where the hole ends inside.
    fn resync(&mut self, state: &mut State, bytes: u64, out: &mut Outcome) {
        if let Some(sink) = &mut self.sink {
            state.lost(sink, self.left as u64);
        }
        self.left = 0;
        self.lost = true;
        let held = self.pending.take();
        let Some((framing::MESSAGE, length)) = framing::header(&held) else { return };
        let missing = (framing::HEADER + length).saturating_sub(held.len());
        if bytes > missing as u64 {
            return;
        }
        let message = held.get(framing::HEADER..).unwrap_or_default();
        self.sink = match Kind::of(message) {
            Some(Kind::V1) => v1::read(state, message, out),
            Some(Kind::V2) => v2::read(state, message, out),
            _ => None,
        };
        self.lost = false;
        self.left = missing - bytes as usize;
        if let Some(sink) = &mut self.sink {
            state.lost(sink, bytes);
        }
    }
}

/// Whether a message begins here, behind a hole; `None` while too little is there to tell.
fn begins(bytes: &[u8]) -> Option<bool> {
    let (kind, length) = framing::header(bytes)?;
    let mark = bytes.get(framing::HEADER..framing::HEADER + 4)?;
    Some(kind == framing::MESSAGE && length >= 32 && Kind::of(mark).is_some())
}

/// Text of two bytes a letter, as it is on the wire of Windows.
fn utf16(bytes: &[u8]) -> String {
    let units = bytes.chunks_exact(2).filter_map(|pair| pair.try_into().ok());
    let units: Vec<u16> = units.map(u16::from_le_bytes).take_while(|&unit| unit != 0).collect();
    String::from_utf16_lossy(&units)
}

/// Text of one byte a letter.
fn oem(bytes: &[u8]) -> String {
    WireText(bytes).to_string()
}

/// Windows counts tenths of microseconds since 1601.
const fn unix_time(time: u64) -> u64 {
    const EPOCHS_APART: u64 = 11_644_473_600;
    (time / 10_000_000).saturating_sub(EPOCHS_APART)
}
