//! What is odd about a message as a whole, by the names of anomalies.

use super::fields::Range;
use super::framing::Told;
use super::head::{Head, Side};
use super::is_method;
use super::uri::{Target, host_and_port, is_double_encoded, is_host};

/// Looks at a request.
pub(super) fn request(head: &Head, raise: &mut dyn FnMut(&'static str)) {
    let protocol = head.third();
    let known = is_method(head.first());
    match (known, protocol.is_empty(), is_version(protocol)) {
        (false, _, false) => raise("request_line_unknown_method_invalid_protocol"),
        (true, true, _) => raise("request_line_missing_protocol"),
        (true, false, false) => raise("request_line_invalid_protocol"),
        (false, _, true) => raise("request_line_unknown_method"),
        (true, false, true) => {}
    }
    let is_connect = head.first() == b"CONNECT";
    let authority = Target::of(head.second(), is_connect).authority;
    let host = head.get("host");
    if host.is_none() && authority.is_none() && protocol == b"HTTP/1.1" {
        raise("missing_host_header");
    }
    if let Some(authority) = authority
        && !is_host(host_and_port(authority).0)
    {
        raise("request_uri_host_invalid");
    }
    if let Some(host) = &host {
        let (name, port) = host_and_port(host);
        if !is_host(name) {
            raise("request_header_host_invalid");
        }
        if let Some(authority) = authority {
            let (asked, asked_port) = host_and_port(authority);
            let ports_differ = port.is_some() && asked_port.is_some() && port != asked_port;
            if !asked.eq_ignore_ascii_case(name) || ports_differ {
                raise("host_header_ambiguous");
            }
        }
    }
    if is_double_encoded(head.second()) {
        raise("double_encoded_uri");
    }
    if let Some(credentials) = head.get("authorization") {
        let scheme = credentials.split(u8::is_ascii_whitespace).next().unwrap_or_default();
        let scheme = scheme.to_ascii_lowercase();
        match scheme.as_slice() {
            b"basic" if !has_basic_form(&credentials) => raise("request_auth_invalid"),
            b"basic" | b"digest" | b"bearer" => {}
            _ => raise("request_auth_unrecognized"),
        }
    }
}

/// Looks at a response.
pub(super) fn response(head: &Head, raise: &mut dyn FnMut(&'static str)) {
    if !is_version(head.first()) {
        raise("response_line_invalid_protocol");
    }
    if head.status().is_none_or(|status| !(100..=999).contains(&status)) {
        raise("response_line_invalid_response_status");
    }
    if let Some(value) = head.get("content-range")
        && head.status() == Some(206)
        && Range::of(&value).is_none_or(|range| range.bounds.is_none())
    {
        raise("range_invalid");
    }
    let content_type = head.get("content-type").unwrap_or_default();
    if content_type.to_ascii_lowercase().starts_with(b"multipart/byteranges") {
        raise("response_multipart_byteranges");
    }
}

/// Looks at how a message tells the end of its body.
pub(super) fn framing(told: &Told, head: &Head, side: Side, raise: &mut dyn FnMut(&'static str)) {
    let protocol = match side {
        Side::Request => head.third(),
        Side::Response => head.first(),
    };
    let [odd, old, both, ambiguous, invalid] = match side {
        Side::Request => [
            "request_invalid_t_e",
            "request_chunked_old_proto",
            "request_smuggling",
            "duplicate_content_length_field_in_request",
            "invalid_content_length_field_in_request",
        ],
        Side::Response => [
            "response_abnormal_transfer_encoding",
            "response_chunked_old_proto",
            "response_ambiguous_length",
            "duplicate_content_length_field_in_response",
            "invalid_content_length_field_in_response",
        ],
    };
    for (is_so, name) in [
        (told.odd_coding, odd),
        (told.chunked && protocol != b"HTTP/1.1", old),
        (told.chunked && told.length.is_some(), both),
        (told.ambiguous, ambiguous),
        (told.bad_length, invalid),
        (told.junk_before, "content_length_extra_data_start"),
        (told.junk_after, "content_length_extra_data_end"),
    ] {
        if is_so {
            raise(name);
        }
    }
}

fn is_version(protocol: &[u8]) -> bool {
    matches!(protocol, b"HTTP/0.9" | b"HTTP/1.0" | b"HTTP/1.1")
}

/// Whether credentials of the scheme Basic are base64.
fn has_basic_form(credentials: &[u8]) -> bool {
    let token = credentials.get(5..).unwrap_or_default().trim_ascii();
    !token.is_empty()
        && token.iter().all(|&b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/' | b'='))
}
