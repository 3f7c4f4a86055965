//! Calls of gRPC, as HTTP/2 carries them.

use super::record::Exchange;
use crate::protocols::http::uri;
use flowtrack_event::WireText;
use serde::ser::{Serialize, SerializeMap, Serializer};
use std::borrow::Cow;

/// A call: what was asked for, and what came of it.
pub(super) struct Call<'a> {
    service: &'a [u8],
    method: &'a [u8],
    status: Option<u32>,
    message: Option<Cow<'a, [u8]>>,
}

impl<'a> Call<'a> {
    /// The call of an exchange, where it is one.
    pub(super) fn of(exchange: &'a Exchange) -> Option<Self> {
        let request = &exchange.request;
        let is_call = [request, &exchange.response].iter().any(|side| {
            side.get("content-type").is_some_and(|kind| kind.starts_with(b"application/grpc"))
        });
        let path = request.first(":path").filter(|_| is_call)?;
        let slash = memchr::memrchr(b'/', path)?;
        let (service, method) = path.split_at_checked(slash)?;
        let status = exchange.response.first("grpc-status");
        Some(Self {
            service: service.strip_prefix(b"/").unwrap_or(service),
            method: method.get(1..)?,
            status: status.and_then(|text| std::str::from_utf8(text).ok()?.parse().ok()),
            message: exchange.response.get("grpc-message").filter(|message| !message.is_empty()),
        })
    }

    /// One line for a person.
    pub(super) fn summary(&self) -> String {
        let call = format!("gRPC {}/{}", WireText(self.service), WireText(self.method));
        match self.status {
            Some(status) => format!("{call} {}", status_text(status)),
            None => call,
        }
    }
}

impl Serialize for Call<'_> {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        let mut map = s.serialize_map(None)?;
        map.serialize_entry("service", &WireText(self.service))?;
        map.serialize_entry("method", &WireText(self.method))?;
        if let Some(status) = self.status {
            map.serialize_entry("status_code", &status)?;
            map.serialize_entry("status", &status_text(status))?;
        }
        if let Some(message) = &self.message {
            map.serialize_entry("message", &WireText(&uri::decoded(message)))?;
        }
        map.end()
    }
}

/// The name of a status, as gRPC writes it.
fn status_text(status: u32) -> Cow<'static, str> {
    Cow::Borrowed(match status {
        0 => "OK",
        1 => "CANCELLED",
        2 => "UNKNOWN",
        3 => "INVALID_ARGUMENT",
        4 => "DEADLINE_EXCEEDED",
        5 => "NOT_FOUND",
        6 => "ALREADY_EXISTS",
        7 => "PERMISSION_DENIED",
        8 => "RESOURCE_EXHAUSTED",
        9 => "FAILED_PRECONDITION",
        10 => "ABORTED",
        11 => "OUT_OF_RANGE",
        12 => "UNIMPLEMENTED",
        13 => "INTERNAL",
        14 => "UNAVAILABLE",
        15 => "DATA_LOSS",
        16 => "UNAUTHENTICATED",
        _ => return Cow::Owned(status.to_string()),
    })
}
