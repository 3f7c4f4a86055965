//! SIP (RFC 3261) over UDP and TCP: calls and who is in them; the media that a session description
//! announces are expected as RTP.

mod message;
pub mod sdp;

use crate::{
    Dissector, Field, First, Keyword, Malformed, Moment, Next, Outcome, Probe, Protocol, Transport,
    Wants,
};
use flowtrack_event::{AppProto, Chunk, Direction};
use message::{Assembly, Message};

const NAME: AppProto = AppProto("sip");
/// Longest first line that recognition waits for.
const FIRST_LINE_CAP: usize = 2048;

const METHODS: [&[u8]; 14] = [
    b"REGISTER",
    b"INVITE",
    b"ACK",
    b"CANCEL",
    b"BYE",
    b"OPTIONS",
    b"PRACK",
    b"SUBSCRIBE",
    b"NOTIFY",
    b"PUBLISH",
    b"INFO",
    b"REFER",
    b"MESSAGE",
    b"UPDATE",
];

const KEYWORDS: &[Keyword] = &[
    Keyword::buffer("sip.method", "method").to_server(),
    Keyword::buffer("sip.uri", "who is asked").to_server(),
    Keyword::buffer("sip.request_line", "first line of a request").to_server(),
    Keyword::buffer("sip.stat_code", "status").to_client(),
    Keyword::buffer("sip.stat_msg", "what is said of the status").to_client(),
    Keyword::buffer("sip.response_line", "first line of a response").to_client(),
    Keyword::buffer("sip.protocol", "version"),
    Keyword::buffer("sip.from", "`From`").multi(),
    Keyword::buffer("sip.to", "`To`").multi(),
    Keyword::buffer("sip.via", "`Via`").multi(),
    Keyword::buffer("sip.user_agent", "`User-Agent`").multi(),
    Keyword::buffer("sip.content_type", "`Content-Type`").multi(),
    Keyword::buffer("sip.content_length", "`Content-Length`").multi(),
    Keyword::buffer("sdp.origin", "who began the session").multi(),
    Keyword::buffer("sdp.session_name", "name of the session").multi(),
    Keyword::buffer("sdp.session_info", "description of the session").multi(),
    Keyword::buffer("sdp.uri", "where more is told").multi(),
    Keyword::buffer("sdp.email", "address of who is responsible").multi(),
    Keyword::buffer("sdp.phone_number", "telephone of who is responsible").multi(),
    Keyword::buffer("sdp.connection_data", "where media goes").multi(),
    Keyword::buffer("sdp.bandwidth", "bandwidths").multi(),
    Keyword::buffer("sdp.time", "when the session is").multi(),
    Keyword::buffer("sdp.repeat_time", "when it is again").multi(),
    Keyword::buffer("sdp.timezone", "time zones").multi(),
    Keyword::buffer("sdp.encryption_key", "key").multi(),
    Keyword::buffer("sdp.attribute", "attributes").multi(),
    Keyword::buffer("sdp.media.media", "kind, port and formats of each medium").multi(),
    Keyword::buffer("sdp.media.media_info", "title of each medium").multi(),
    Keyword::buffer("sdp.media.connection_data", "where each medium goes").multi(),
    Keyword::buffer("sdp.media.encryption_key", "key of each medium").multi(),
];

const FIELDS: &[Field] = &[
    Field::eve("method", "string", "what is asked, such as `INVITE`"),
    Field::eve("uri", "string", "who or what it is asked of"),
    Field::eve("version", "string", "version of the protocol"),
    Field::eve("request_line", "string", "first line of a request"),
    Field::eve("code", "string", "status of a response"),
    Field::eve("reason", "string", "status in words"),
    Field::eve("response_line", "string", "first line of a response"),
    Field::added("from", "string", "who asks"),
    Field::added("to", "string", "who is asked"),
    Field::added("call_id", "string", "identifier of the call"),
    Field::added("user_agent", "string", "software of the sender"),
    Field::eve("sdp.version", "integer", "version of the session description"),
    Field::eve("sdp.origin", "string", "who made it"),
    Field::eve("sdp.session_name", "string", "name of the session"),
    Field::eve("sdp.session_info", "string", "about the session"),
    Field::eve("sdp.uri", "string", "where more is told"),
    Field::eve("sdp.email", "string", "whom to write to"),
    Field::eve("sdp.phone_number", "string", "whom to call"),
    Field::eve("sdp.connection_data", "string", "address of the media"),
    Field::eve("sdp.bandwidths[]", "array", "bandwidth it needs"),
    Field::eve("sdp.time_descriptions[]", "array", "when it takes place: time, repeat_time"),
    Field::eve("sdp.timezone", "string", "changes of the clock in that time"),
    Field::eve("sdp.encryption_key", "string", "key of the media"),
    Field::eve("sdp.attributes[]", "array", "attributes of the session"),
    Field::eve("sdp.media_descriptions[]", "array", "media, each with what is told of it"),
];

/// SIP.
pub struct Sip;

impl Protocol for Sip {
    fn name(&self) -> AppProto {
        NAME
    }

    fn transport(&self) -> Transport {
        Transport::Both
    }

    fn ports(&self) -> &'static [u16] {
        &[5060, 5061]
    }

    fn probe(&self, first: &First<'_>) -> Probe {
        // Line ends alone keep a path open (RFC 5626).
        let ends = first.bytes.iter().take_while(|b| matches!(b, b'\r' | b'\n')).count();
        let bytes = first.bytes.get(ends..).unwrap_or_default();
        let Some(end) = memchr::memchr(b'\n', bytes) else {
            let may_come = !first.udp && bytes.len() < FIRST_LINE_CAP && may_begin(bytes);
            return if may_come { Probe::NeedMore } else { Probe::No };
        };
        let line = bytes.get(..end).unwrap_or_default().trim_ascii_end();
        Probe::content(is_first_line(line, first.has_port(self.ports())))
    }

    fn dissector(&self, _wants: Wants) -> Option<Box<dyn Dissector>> {
        // Without it the flows that carry the media would have no name.
        Some(Box::<Reading>::default())
    }

    fn fields(&self) -> &'static [Field] {
        FIELDS
    }

    fn keywords(&self) -> &'static [Keyword] {
        KEYWORDS
    }
}

/// Whether these bytes, which are not a whole line, may become a first line.
fn may_begin(bytes: &[u8]) -> bool {
    METHODS.iter().chain(&[&b"SIP/2.0"[..]]).any(|word| {
        let n = bytes.len().min(word.len());
        bytes.get(..n) == word.get(..n)
            && (n < word.len() || matches!(bytes.get(n), None | Some(b' ')))
    })
}

fn is_first_line(line: &[u8], is_usual: bool) -> bool {
    if let Some(status) = line.strip_prefix(b"SIP/2.0 ") {
        return status.first_chunk::<3>().is_some_and(|code| code.iter().all(u8::is_ascii_digit));
    }
    let Some(method) = line.split(|&b| b == b' ').next() else { return false };
    // Methods may be added (RFC 3261 section 7.1).
    let is_word = !method.is_empty() && method.iter().all(u8::is_ascii_alphanumeric);
    (METHODS.contains(&method) || (is_usual && is_word)) && line.ends_with(b" SIP/2.0")
}

#[derive(Default)]
struct Reading {
    sides: [Assembly; 2],
    transactions: u64,
}

impl Dissector for Reading {
    fn feed(
        &mut self,
        at: &Moment<'_>,
        direction: Direction,
        chunk: Chunk<'_>,
        out: &mut Outcome,
    ) -> Result<Next, Malformed> {
        let side = direction.of_mut(&mut self.sides);
        let transactions = &mut self.transactions;
        let mut found = |mut message: Message| {
            message.direction = Some(direction);
            if let Some(sdp) = &message.sdp {
                sdp.media_endpoints(|expectation| out.expect(expectation));
            }
            out.transaction(direction, *transactions, message);
            *transactions += 1;
        };
        match chunk {
            Chunk::Bytes(bytes) if at.is_udp() => {
                let mut whole = Assembly::default();
                whole.feed(bytes, &mut found);
                whole.finish(&mut found);
            }
            Chunk::Bytes(bytes) => side.feed(bytes, &mut found),
            Chunk::Gap(length) => side.gap(length, &mut found),
        }
        Ok(Next::More)
    }

    fn finish(&mut self, at: &Moment<'_>, direction: Direction, out: &mut Outcome) {
        let side = direction.of_mut(&mut self.sides);
        let transactions = &mut self.transactions;
        if !at.is_udp() {
            side.finish(&mut |mut message| {
                message.direction = Some(direction);
                out.transaction(direction, *transactions, message);
                *transactions += 1;
            });
        }
    }
}
