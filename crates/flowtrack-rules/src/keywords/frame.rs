//! `frame`: a piece of a protocol as it was sent.
//!
//! They are asked under the name `frame.` and the piece's own: of what the reader of the protocol
//! cuts out of datagrams and streams, or of its transactions where these keep what was sent.

use crate::builder::{Buffer, Builder, Complaint, Keyword, Value};
use crate::lang::did_you_mean;
use flowtrack_event::Direction::{self, ToClient, ToServer};

/// A frame: protocol, name, and the direction it is of.
struct Frame {
    app: &'static str,
    name: &'static str,
    /// Under which transactions know it.
    buffer: &'static str,
    toward: Option<Direction>,
}

macro_rules! frames {
    ($($app:literal, $prefix:literal, $name:literal, $toward:expr;)*) => {
        const FRAMES: &[Frame] = &[$(Frame {
            app: $app,
            name: concat!($prefix, ".", $name),
            buffer: concat!("frame.", $prefix, ".", $name),
            toward: $toward,
        },)*];
    };
}

frames! {
    "dns", "dns", "pdu", None;
    "sip", "sip", "pdu", None;
    "sip", "sip", "request.line", Some(ToServer);
    "sip", "sip", "request.headers", Some(ToServer);
    "sip", "sip", "request.body", Some(ToServer);
    "sip", "sip", "response.line", Some(ToClient);
    "sip", "sip", "response.headers", Some(ToClient);
    "sip", "sip", "response.body", Some(ToClient);
    "snmp", "snmp", "pdu", None;
    "http", "http1", "request", Some(ToServer);
    "http", "http1", "response", Some(ToClient);
    "http2", "http2", "pdu", None;
    "http2", "http2", "hdr", None;
    "http2", "http2", "data", None;
    "dcerpc", "dcerpc", "pdu", None;
    "dcerpc", "dcerpc", "hdr", None;
    "dcerpc", "dcerpc", "data", None;
    "enip", "enip", "pdu", None;
    "enip", "enip", "hdr", None;
    "enip", "enip", "data", None;
    "ldap", "ldap", "pdu", None;
    "mqtt", "mqtt", "pdu", None;
    "mqtt", "mqtt", "header", None;
    "mqtt", "mqtt", "data", None;
    "smb", "nbss", "pdu", None;
    "smb", "nbss", "hdr", None;
    "smb", "nbss", "data", None;
    "smb", "smb1", "pdu", None;
    "smb", "smb1", "hdr", None;
    "smb", "smb1", "data", None;
    "smb", "smb2", "pdu", None;
    "smb", "smb2", "hdr", None;
    "smb", "smb2", "data", None;
    "smb", "smb3", "pdu", None;
    "smb", "smb3", "hdr", None;
    "smb", "smb3", "data", None;
    "smtp", "smtp", "command_line", Some(ToServer);
    "smtp", "smtp", "response_line", Some(ToClient);
    "smtp", "smtp", "data", Some(ToServer);
    "ssh", "ssh", "record.hdr", None;
    "ssh", "ssh", "record.data", None;
    "ssh", "ssh", "record.pdu", None;
    "tls", "tls", "pdu", None;
    "tls", "tls", "hdr", None;
    "tls", "tls", "data", None;
    "tls", "tls", "alert", None;
    "tls", "tls", "heartbeat", None;
    "websocket", "websocket", "header", None;
    "websocket", "websocket", "pdu", None;
    "websocket", "websocket", "data", None;
    "telnet", "telnet", "ctl", None;
    "telnet", "telnet", "data", None;
}

pub(crate) const KEYWORDS: &[Keyword] = &[Keyword {
    name: "frame",
    aliases: &[],
    doc: "a piece of a protocol as it was sent, such as sip.pdu",
    example: r#"alert sip any any -> any any (frame:sip.pdu; content:"REGISTER"; startswith; sid:1;)"#,
    parse: frame,
}];

fn frame(builder: &mut Builder<'_>, value: &Value<'_>) -> Result<(), Complaint> {
    let text = value.needed("the name of a frame such as sip.pdu")?;
    let app = builder.header.protocol.app;
    // A rule of one protocol may leave its name out.
    let found = FRAMES.iter().find(|frame| {
        let of_app =
            app.is_some_and(|app| app == frame.app || app == "http1" && frame.app == "http");
        let short = frame.name.split_once('.').map(|(_, short)| short);
        frame.name == text || of_app && short == Some(text)
    });
    let Some(frame) = found else {
        let near = did_you_mean(text, FRAMES.iter().map(|frame| frame.name));
        return Err(Complaint::new(format!("unknown frame \"{text}\"{near}")));
    };
    let apps = std::slice::from_ref(&frame.app);
    let buffer = Buffer::of_transaction(frame.buffer, apps).multi();
    builder.set_buffer(&Buffer { toward: frame.toward, ..buffer })?;
    builder.requirements.frames = true;
    Ok(())
}
