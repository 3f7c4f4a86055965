//! RFB (RFC 6143), the protocol of VNC: versions, security, and the screen that is shared.

use crate::{
    Dissector, Field, First, Keyword, Malformed, Moment, Next, Outcome, Pending, Probe, Protocol,
    Reader, Take, Transport, Wants,
};
use flowtrack_event::{
    AppProto, Chunk, Direction, LoginOutcome, Secret, Transaction, WireText, words,
};
use serde::Serialize;

const NAME: AppProto = AppProto("rfb");
/// Length of the line that names a version.
const VERSION: usize = 12;
/// Longest step of the beginning; names and reasons are short.
const STEP_CAP: usize = 64 * 1024;
/// Bytes of a name or reason that are kept.
const TEXT_CAP: usize = 1024;

const NO_AUTHENTICATION: u32 = 1;
const VNC_AUTHENTICATION: u32 = 2;

const KEYWORDS: &[Keyword] = &[
    Keyword::buffer("rfb.name", "name of the screen").to_client(),
    Keyword::number("rfb.sectype", "way to log on").to_server(),
    Keyword::number("rfb.secresult", "outcome of the log-on").to_client().named(words::RFB_RESULTS),
];

const FIELDS: &[Field] = &[
    Field::eve("server_protocol_version.major", "string", "version of the server"),
    Field::eve("server_protocol_version.minor", "string", "version of the server"),
    Field::eve("client_protocol_version.major", "string", "version of the client"),
    Field::eve("client_protocol_version.minor", "string", "version of the client"),
    Field::eve("authentication.security_type", "integer", "way to log on that was chosen"),
    Field::eve("authentication.vnc.challenge", "string", "challenge of the server"),
    Field::eve("authentication.vnc.response", "string", "answer of the client"),
    Field::eve("authentication.security_result", "string", "whether the log-on succeeded"),
    Field::eve("server_security_failure_reason", "string", "why the server refused"),
    Field::eve("screen_shared", "boolean", "whether others may watch too"),
    Field::eve("framebuffer.width", "integer", "width of the screen"),
    Field::eve("framebuffer.height", "integer", "height of the screen"),
    Field::eve("framebuffer.name", "string", "name of the screen"),
    Field::eve("framebuffer.pixel_format", "object", "how a pixel is written"),
];

/// RFB.
pub struct Rfb;

impl Protocol for Rfb {
    fn name(&self) -> AppProto {
        NAME
    }

    fn transport(&self) -> Transport {
        Transport::Tcp
    }

    fn ports(&self) -> &'static [u16] {
        &[5900, 5901]
    }

    fn probe(&self, first: &First<'_>) -> Probe {
        match first.bytes {
            [_, _, _, _, a, b, c, b'.', rest @ ..] => Probe::content(
                first.bytes.starts_with(b"RFB ")
                    && [a, b, c].iter().all(|d| d.is_ascii_digit())
                    && rest.iter().take(3).all(u8::is_ascii_digit),
            ),
            _ => match Probe::prefix(first.bytes, b"RFB ") {
                Probe::No => Probe::No,
                _ if first.bytes.len() < 8 => Probe::NeedMore,
                _ => Probe::No,
            },
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

/// What both sides agreed on before the first picture.
#[derive(Clone, Default, Debug, Serialize)]
struct Session {
    #[serde(skip_serializing_if = "Option::is_none")]
    server_protocol_version: Option<Version>,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_protocol_version: Option<Version>,
    #[serde(skip_serializing_if = "Authentication::is_unknown")]
    authentication: Authentication,
    #[serde(skip_serializing_if = "Option::is_none")]
    server_security_failure_reason: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    screen_shared: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    framebuffer: Option<Framebuffer>,
}

#[derive(Clone, Debug, Serialize)]
struct Version {
    major: String,
    minor: String,
}

impl Version {
    fn parse(line: &[u8]) -> Option<Self> {
        let text = |at: std::ops::Range<usize>| {
            line.get(at)
                .filter(|d| d.iter().all(u8::is_ascii_digit))
                .map(|d| WireText(d).to_string())
        };
        line.starts_with(b"RFB ").then_some(())?;
        Some(Self { major: text(4..7)?, minor: text(8..11)? })
    }

    /// Versions before 3.7 let the server choose the security.
    fn server_chooses(&self) -> bool {
        self.major == "003" && self.minor.as_str() < "007"
    }
}

#[derive(Clone, Default, Debug, Serialize)]
struct Authentication {
    #[serde(skip_serializing_if = "Option::is_none")]
    security_type: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    vnc: Option<Vnc>,
    #[serde(skip_serializing_if = "Option::is_none")]
    security_result: Option<&'static str>,
}

impl Authentication {
    fn is_unknown(&self) -> bool {
        self.security_type.is_none() && self.vnc.is_none() && self.security_result.is_none()
    }
}

#[derive(Clone, Default, Debug, Serialize)]
struct Vnc {
    challenge: String,
    response: String,
}

#[derive(Clone, Debug, Serialize)]
struct Framebuffer {
    width: u16,
    height: u16,
    name: String,
    pixel_format: PixelFormat,
}

#[derive(Clone, Debug, Serialize)]
struct PixelFormat {
    bits_per_pixel: u8,
    depth: u8,
    big_endian: bool,
    true_color: bool,
    red_max: u16,
    green_max: u16,
    blue_max: u16,
    red_shift: u8,
    green_shift: u8,
    blue_shift: u8,
}

impl Transaction for Session {
    fn protocol(&self) -> AppProto {
        NAME
    }

    fn record(&self) -> &dyn erased_serde::Serialize {
        self
    }

    fn buffer(&self, name: &str, visit: &mut dyn FnMut(&[u8])) {
        self.buffer_towards(Direction::ToClient, name, visit);
    }

    fn buffer_towards(&self, direction: Direction, name: &str, visit: &mut dyn FnMut(&[u8])) {
        if name == "rfb.name" && direction == Direction::ToClient {
            self.framebuffer.iter().for_each(|f| visit(f.name.as_bytes()));
        }
    }

    fn number(&self, direction: Direction, name: &str, visit: &mut dyn FnMut(u64)) {
        match (name, direction) {
            ("rfb.sectype", Direction::ToServer) => {
                self.authentication.security_type.iter().for_each(|&kind| visit(kind.into()));
            }
            ("rfb.secresult", Direction::ToClient) => {
                let result = self.authentication.security_result;
                let known = words::RFB_RESULTS
                    .iter()
                    .find(|(name, _)| result.is_some_and(|r| r.eq_ignore_ascii_case(name)));
                known.iter().for_each(|(_, number)| visit(*number));
            }
            _ => {}
        }
    }

    fn summary(&self) -> String {
        let mut text = match &self.framebuffer {
            Some(f) => format!("screen {} {}x{}", f.name, f.width, f.height),
            None => "no screen".to_owned(),
        };
        if let Some(result) = self.authentication.security_result {
            text.push_str(&format!(", log-on {result}"));
        }
        text
    }
}

#[derive(Default)]
struct Reading {
    session: Session,
    server: Pending,
    client: Pending,
    server_at: ServerStep,
    client_at: ClientStep,
    told: bool,
}

/// What the server says next.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
enum ServerStep {
    #[default]
    Version,
    Security,
    /// What depends on the client's choice.
    Chosen,
    Challenge,
    Result,
    Reason,
    Init,
    Done,
}

/// What the client says next.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
enum ClientStep {
    #[default]
    Version,
    Choice,
    Response,
    Init,
    Done,
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
            self.tell(direction, out);
            return Ok(Next::Done);
        };
        match direction {
            Direction::ToServer => self.read_client(bytes)?,
            Direction::ToClient => {
                let mut pending = std::mem::take(&mut self.server);
                pending.records(bytes, STEP_CAP, |b| self.server_step(b))?;
                self.server = pending;
            }
        }
        if self.server_at == ServerStep::Done {
            self.tell(direction, out);
            return Ok(Next::Done);
        }
        Ok(Next::More)
    }

    fn finish(&mut self, _at: &Moment<'_>, direction: Direction, out: &mut Outcome) {
        if direction == Direction::ToClient || self.client_at == ClientStep::Done {
            self.tell(direction, out);
        }
    }
}

impl Reading {
    fn tell(&mut self, direction: Direction, out: &mut Outcome) {
        if !std::mem::replace(&mut self.told, true) {
            self.login(out);
            out.transaction(direction, 0, std::mem::take(&mut self.session));
        }
    }

    /// Tells what the result means for who logs on.
    fn login(&self, out: &mut Outcome) {
        let Authentication { security_type, security_result, .. } = &self.session.authentication;
        let outcome = match *security_result {
            _ if *security_type != Some(VNC_AUTHENTICATION) => return,
            Some("OK") => LoginOutcome::Granted,
            Some("FAIL" | "TOOMANY") => LoginOutcome::Refused,
            _ => return,
        };
        out.login(b"", outcome, Secret::Hidden);
    }

    fn read_client(&mut self, bytes: &[u8]) -> Result<(), Malformed> {
        let mut pending = std::mem::take(&mut self.client);
        pending.records(bytes, STEP_CAP, |b| self.client_step(b))?;
        self.client = pending;
        Ok(())
    }

    fn client_step(&mut self, b: &[u8]) -> Result<Take, Malformed> {
        match self.client_at {
            ClientStep::Version => {
                let Some(line) = b.get(..VERSION) else { return Ok(Take::Need(VERSION)) };
                let version = Version::parse(line).ok_or(Malformed("invalid_version"))?;
                // The server may have chosen before this came.
                self.client_at = if version.server_chooses() {
                    Self::after_choice(self.session.authentication.security_type)
                } else {
                    ClientStep::Choice
                };
                self.session.client_protocol_version = Some(version);
                Ok(Take::Used(VERSION))
            }
            ClientStep::Choice => {
                let kind = b.first().copied().map(u32::from);
                self.session.authentication.security_type = kind;
                self.client_at = Self::after_choice(kind);
                Ok(Take::Used(1))
            }
            ClientStep::Response => {
                let Some(response) = b.get(..16) else { return Ok(Take::Need(16)) };
                let vnc = self.session.authentication.vnc.get_or_insert_default();
                vnc.response = crate::hex(response);
                self.client_at = ClientStep::Init;
                Ok(Take::Used(16))
            }
            ClientStep::Init => {
                self.session.screen_shared = b.first().map(|&shared| shared != 0);
                self.client_at = ClientStep::Done;
                Ok(Take::Used(1))
            }
            ClientStep::Done => Ok(Take::Used(b.len())),
        }
    }

    /// What the server says behind a choice of the client; without authentication it tells the
    /// result from version 3.8 on.
    fn after_client_choice(&self) -> ServerStep {
        let version = self.session.client_protocol_version.as_ref();
        let tells = version.is_none_or(|v| v.minor.as_str() >= "008");
        match self.session.authentication.security_type {
            Some(VNC_AUTHENTICATION) => ServerStep::Challenge,
            Some(NO_AUTHENTICATION) if tells => ServerStep::Result,
            Some(NO_AUTHENTICATION) => ServerStep::Init,
            _ => ServerStep::Done,
        }
    }

    const fn after_choice(kind: Option<u32>) -> ClientStep {
        match kind {
            Some(VNC_AUTHENTICATION) => ClientStep::Response,
            Some(NO_AUTHENTICATION) => ClientStep::Init,
            _ => ClientStep::Done,
        }
    }

    fn server_step(&mut self, b: &[u8]) -> Result<Take, Malformed> {
        if self.server_at == ServerStep::Chosen {
            self.server_at = self.after_client_choice();
        }
        let mut r = Reader::new(b);
        match self.server_at {
            ServerStep::Version => {
                let Some(line) = b.get(..VERSION) else { return Ok(Take::Need(VERSION)) };
                let version = Version::parse(line).ok_or(Malformed("invalid_version"))?;
                self.session.server_protocol_version = Some(version);
                self.server_at = ServerStep::Security;
                Ok(Take::Used(VERSION))
            }
            ServerStep::Security => Ok(self.security(b)),
            ServerStep::Challenge => {
                let Some(challenge) = b.get(..16) else { return Ok(Take::Need(16)) };
                let vnc = self.session.authentication.vnc.get_or_insert_default();
                vnc.challenge = crate::hex(challenge);
                self.server_at = ServerStep::Result;
                Ok(Take::Used(16))
            }
            ServerStep::Result => {
                let Some(result) = r.u32() else { return Ok(Take::Need(4)) };
                self.session.authentication.security_result = Some(match result {
                    0 => "OK",
                    1 => "FAIL",
                    2 => "TOOMANY",
                    _ => "UNKNOWN",
                });
                self.server_at = if result == 0 { ServerStep::Init } else { ServerStep::Reason };
                Ok(Take::Used(4))
            }
            ServerStep::Reason => {
                let Some(length) = r.u32() else { return Ok(Take::Need(4)) };
                let length = length as usize;
                let whole = length.saturating_add(4);
                let Some(reason) = r.take(length) else { return Ok(Take::Need(whole)) };
                self.session.server_security_failure_reason = Some(text(reason));
                self.server_at = ServerStep::Done;
                Ok(Take::Used(whole))
            }
            ServerStep::Init => Ok(self.init(b)),
            ServerStep::Chosen | ServerStep::Done => Ok(Take::Used(b.len())),
        }
    }

    /// The server offers kinds of security, or chooses one itself before version 3.7.
    fn security(&mut self, b: &[u8]) -> Take {
        // The older of both versions is spoken; where the client's is not known yet, the length
        // of what stands here cannot be told, so the server's own must do.
        let chooses = |v: &Option<Version>| v.as_ref().is_some_and(Version::server_chooses);
        let session = &self.session;
        let by_server =
            chooses(&session.server_protocol_version) || chooses(&session.client_protocol_version);
        let mut r = Reader::new(b);
        if by_server {
            let Some(kind) = r.u32() else { return Take::Need(4) };
            self.session.authentication.security_type = Some(kind);
            if self.session.client_protocol_version.is_some() {
                self.client_at = Self::after_choice(Some(kind));
            }
            self.server_at = match kind {
                0 => ServerStep::Reason,
                VNC_AUTHENTICATION => ServerStep::Challenge,
                NO_AUTHENTICATION => ServerStep::Init,
                _ => ServerStep::Done,
            };
            return Take::Used(4);
        }
        let Some(count) = r.u8().map(usize::from) else { return Take::Need(1) };
        if count == 0 {
            self.server_at = ServerStep::Reason;
            return Take::Used(1);
        }
        if r.take(count).is_none() {
            return Take::Need(1 + count);
        }
        // What follows depends on what the client chooses of them, which is known by then.
        self.server_at = ServerStep::Chosen;
        Take::Used(1 + count)
    }

    fn init(&mut self, b: &[u8]) -> Take {
        let mut r = Reader::new(b);
        let Some(framebuffer) = r.take(20).map(Reader::new) else { return Take::Need(24) };
        let Some(length) = r.u32().map(|n| n as usize) else { return Take::Need(24) };
        let whole = length.saturating_add(24);
        let Some(name) = r.take(length) else { return Take::Need(whole) };
        self.session.framebuffer = read_framebuffer(framebuffer, name);
        self.server_at = ServerStep::Done;
        Take::Used(whole)
    }
}

fn text(bytes: &[u8]) -> String {
    WireText(bytes.get(..TEXT_CAP).unwrap_or(bytes)).to_string()
}

fn read_framebuffer(mut r: Reader<'_>, name: &[u8]) -> Option<Framebuffer> {
    let (width, height) = (r.u16()?, r.u16()?);
    let pixel_format = PixelFormat {
        bits_per_pixel: r.u8()?,
        depth: r.u8()?,
        big_endian: r.u8()? != 0,
        true_color: r.u8()? != 0,
        red_max: r.u16()?,
        green_max: r.u16()?,
        blue_max: r.u16()?,
        red_shift: r.u8()?,
        green_shift: r.u8()?,
        blue_shift: r.u8()?,
    };
    Some(Framebuffer { width, height, name: text(name), pixel_format })
}
