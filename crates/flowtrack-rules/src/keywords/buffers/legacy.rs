//! The old way to name a buffer: a modifier behind the content, or a flag of `pcre`.

use super::find;
use crate::builder::{Buffer, Builder, Complaint, Keyword, Value};
use crate::keywords::content::{Content, parse_quoted};
use crate::signature::Step;

/// Modifiers and the buffers they mean.
const MODIFIERS: &[(&str, &str)] = &[
    ("http_uri", "http.uri"),
    ("http_raw_uri", "http.uri.raw"),
    ("http_method", "http.method"),
    ("http_header", "http.header"),
    ("http_raw_header", "http.header.raw"),
    ("http_cookie", "http.cookie"),
    ("http_client_body", "http.request_body"),
    ("http_server_body", "http.response_body"),
    ("http_user_agent", "http.user_agent"),
    ("http_host", "http.host"),
    ("http_raw_host", "http.host.raw"),
    ("http_stat_code", "http.stat_code"),
    ("http_stat_msg", "http.stat_msg"),
];

/// The buffer that a flag of `pcre` names.
pub(crate) fn of_pcre_flag(flag: char) -> Option<&'static Buffer> {
    let name = match flag {
        'U' => "http.uri",
        'I' => "http.uri.raw",
        'P' => "http.request_body",
        'Q' => "http.response_body",
        'H' => "http.header",
        'D' => "http.header.raw",
        'M' => "http.method",
        'C' => "http.cookie",
        'S' => "http.stat_code",
        'Y' => "http.stat_msg",
        'V' => "http.user_agent",
        'W' => "http.host",
        'Z' => "http.host.raw",
        _ => return None,
    };
    find(name)
}

fn modifier(builder: &mut Builder<'_>, value: &Value<'_>) -> Result<(), Complaint> {
    value.none()?;
    let buffer = MODIFIERS
        .iter()
        .find(|(keyword, _)| *keyword == value.keyword)
        .and_then(|(_, name)| find(name));
    match buffer {
        Some(buffer) => builder.move_last(buffer),
        None => Err(Complaint::new(format!("{} names no buffer", value.keyword))),
    }
}

/// Looks for a quoted text in a buffer, whichever the current one is.
fn content_in(name: &str, builder: &mut Builder<'_>, value: &Value<'_>) -> Result<(), Complaint> {
    let (negated, bytes) = parse_quoted(value.needed("text in double quotes")?)?;
    let mut content = Content::new(bytes);
    content.negated = negated;
    match find(name) {
        Some(buffer) => builder.step_in(buffer, Step::Content(content)),
        None => Ok(()),
    }
}

macro_rules! modifiers {
    ($($name:literal, $doc:literal;)*) => {
        pub(crate) const KEYWORDS: &[Keyword] = &[
            $(Keyword {
                name: $name,
                aliases: &[],
                doc: $doc,
                example: concat!("alert http any any -> any any (content:\"a\"; ", $name, "; sid:1;)"),
                parse: modifier,
            },)*
            Keyword {
                name: "uricontent",
                aliases: &[],
                doc: "bytes that must be in the normalized target of an HTTP request",
                example: r#"alert http any any -> any any (uricontent:"/a"; sid:1;)"#,
                parse: |builder, value| {
                    content_in("http.uri", builder, value)
                },
            },
            Keyword {
                name: "tls.subject",
                aliases: &[],
                doc: "text that must be in the owner of the certificate",
                example: r#"alert tls any any -> any any (tls.subject:"CN=a"; sid:1;)"#,
                parse: |builder, value| {
                    content_in("tls.cert_subject", builder, value)
                },
            },
            Keyword {
                name: "tls.issuerdn",
                aliases: &[],
                doc: "text that must be in the signer of the certificate",
                example: r#"alert tls any any -> any any (tls.issuerdn:"CN=a"; sid:1;)"#,
                parse: |builder, value| {
                    content_in("tls.cert_issuer", builder, value)
                },
            },
            Keyword {
                name: "tls.fingerprint",
                aliases: &[],
                doc: "SHA-1 of the certificate",
                example: r#"alert tls any any -> any any (tls.fingerprint:"00:11:22"; sid:1;)"#,
                parse: |builder, value| {
                    content_in("tls.cert_fingerprint", builder, value)
                },
            },
        ];
    };
}

modifiers! {
    "http_uri", "looks for the content before it in http.uri";
    "http_raw_uri", "looks for the content before it in http.uri.raw";
    "http_method", "looks for the content before it in http.method";
    "http_header", "looks for the content before it in http.header";
    "http_raw_header", "looks for the content before it in http.header.raw";
    "http_cookie", "looks for the content before it in http.cookie";
    "http_client_body", "looks for the content before it in http.request_body";
    "http_server_body", "looks for the content before it in http.response_body";
    "http_user_agent", "looks for the content before it in http.user_agent";
    "http_host", "looks for the content before it in http.host";
    "http_raw_host", "looks for the content before it in http.host.raw";
    "http_stat_code", "looks for the content before it in http.stat_code";
    "http_stat_msg", "looks for the content before it in http.stat_msg";
}
