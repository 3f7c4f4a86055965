//! `frame`: a piece of a protocol as it was sent.
//!
//! Pieces that fill a datagram are cut out of it here; those of streams are asked of the
//! transaction under the name `frame.` and the piece's own.

use crate::builder::{Buffer, Builder, Complaint, Keyword, PacketBytes, Value};
use crate::lang::did_you_mean;
use flowtrack_event::Direction::{self, ToClient, ToServer};
use flowtrack_wire::Packet;

/// A frame: protocol, name, the direction it is of, and how it is cut out of a datagram, where that
/// is possible.
struct Frame {
    app: &'static str,
    name: &'static str,
    /// Under which transactions know it.
    buffer: &'static str,
    toward: Option<Direction>,
    cut: Option<PacketBytes>,
}

macro_rules! frames {
    ($($app:literal, $prefix:literal, $name:literal, $toward:expr, $cut:expr;)*) => {
        const FRAMES: &[Frame] = &[$(Frame {
            app: $app,
            name: concat!($prefix, ".", $name),
            buffer: concat!("frame.", $prefix, ".", $name),
            toward: $toward,
            cut: $cut,
        },)*];
    };
}

frames! {
    "dns", "dns", "pdu", None, Some(payload);
    "sip", "sip", "pdu", None, Some(payload);
    "sip", "sip", "request.line", Some(ToServer), Some(first_line);
    "sip", "sip", "request.headers", Some(ToServer), Some(headers);
    "sip", "sip", "request.body", Some(ToServer), Some(body);
    "sip", "sip", "response.line", Some(ToClient), Some(first_line);
    "sip", "sip", "response.headers", Some(ToClient), Some(headers);
    "sip", "sip", "response.body", Some(ToClient), Some(body);
    "snmp", "snmp", "pdu", None, Some(payload);
    "http", "http1", "request", Some(ToServer), None;
    "http", "http1", "response", Some(ToClient), None;
    "http2", "http2", "pdu", None, None;
    "mqtt", "mqtt", "pdu", None, None;
    "mqtt", "mqtt", "header", None, None;
    "mqtt", "mqtt", "data", None, None;
    "smb", "nbss", "pdu", None, None;
    "smb", "nbss", "hdr", None, None;
    "smb", "nbss", "data", None, None;
    "smb", "smb1", "pdu", None, None;
    "smb", "smb1", "hdr", None, None;
    "smb", "smb1", "data", None, None;
    "smb", "smb2", "pdu", None, None;
    "smb", "smb2", "hdr", None, None;
    "smb", "smb2", "data", None, None;
    "smb", "smb3", "pdu", None, None;
    "smb", "smb3", "hdr", None, None;
    "smb", "smb3", "data", None, None;
    "smtp", "smtp", "command_line", Some(ToServer), None;
    "smtp", "smtp", "response_line", Some(ToClient), None;
    "smtp", "smtp", "data", Some(ToServer), None;
    "ssh", "ssh", "record.hdr", None, None;
    "ssh", "ssh", "record.data", None, None;
    "ssh", "ssh", "record.pdu", None, None;
    "tls", "tls", "pdu", None, None;
    "tls", "tls", "hdr", None, None;
    "tls", "tls", "data", None, None;
    "tls", "tls", "alert", None, None;
    "tls", "tls", "heartbeat", None, None;
    "websocket", "websocket", "header", None, None;
    "websocket", "websocket", "pdu", None, None;
    "websocket", "websocket", "data", None, None;
    "telnet", "telnet", "ctl", None, None;
    "telnet", "telnet", "data", None, None;
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
    let buffer = match frame.cut {
        Some(cut) => Buffer { apps, ..Buffer::of_packet(frame.buffer, cut) },
        None => Buffer::of_transaction(frame.buffer, apps).multi(),
    };
    builder.set_buffer(&Buffer { toward: frame.toward, ..buffer })?;
    if let (Some(direction), Some(_)) = (frame.toward, frame.cut) {
        builder.direction(direction)?;
    }
    Ok(())
}

fn payload(packet: &Packet<'_>, visit: &mut dyn FnMut(&[u8])) {
    if !packet.payload.is_empty() {
        visit(packet.payload);
    }
}

fn first_line(packet: &Packet<'_>, visit: &mut dyn FnMut(&[u8])) {
    if let Some((line, _)) = split(packet.payload, b"\n") {
        visit(line);
    }
}

fn headers(packet: &Packet<'_>, visit: &mut dyn FnMut(&[u8])) {
    let rest = split(packet.payload, b"\n").map(|(_, rest)| rest);
    if let Some((headers, _)) = rest.and_then(|rest| split(rest, b"\r\n\r\n")) {
        // The empty line is not part of them.
        visit(headers.get(..headers.len().saturating_sub(2)).unwrap_or_default());
    }
}

fn body(packet: &Packet<'_>, visit: &mut dyn FnMut(&[u8])) {
    if let Some((_, body)) = split(packet.payload, b"\r\n\r\n")
        && !body.is_empty()
    {
        visit(body);
    }
}

/// What stands up to the end of `mark`, and what follows.
fn split<'a>(bytes: &'a [u8], mark: &[u8]) -> Option<(&'a [u8], &'a [u8])> {
    let at = memchr::memmem::find(bytes, mark)?;
    bytes.split_at_checked(at + mark.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(cut: PacketBytes, payload: &[u8]) -> Vec<u8> {
        let packet = Packet { payload, ..Packet::default() };
        let mut found = Vec::new();
        cut(&packet, &mut |bytes| found = bytes.to_vec());
        found
    }

    #[test]
    fn pieces_of_a_datagram() {
        let text = b"REGISTER sip:a SIP/2.0\r\nVia: x\r\nTo: y\r\n\r\nbody";
        assert_eq!(cut(first_line, text), b"REGISTER sip:a SIP/2.0\r\n");
        assert_eq!(cut(headers, text), b"Via: x\r\nTo: y\r\n");
        assert_eq!(cut(body, text), b"body");
        assert_eq!(cut(payload, text), text);
        assert_eq!(cut(body, b"no end"), b"");
    }
}
