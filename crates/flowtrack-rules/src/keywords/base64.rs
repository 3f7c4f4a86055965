//! `base64_decode` and `base64_data`: what is hidden in base64.

use crate::builder::{Buffer, Builder, Complaint, Keyword, Source, Value};
use crate::signature::Step;

/// Decodes a part of the buffer and looks for something in what comes out.
#[derive(Debug)]
pub struct Base64 {
    /// Bytes that are decoded; all where 0.
    pub bytes: usize,
    /// Where they begin.
    pub offset: usize,
    /// Whether that is counted from the end of the match before.
    pub relative: bool,
    /// What is looked for in the decoded bytes.
    pub steps: Vec<Step>,
}

/// The decoded bytes, as the buffer of what is looked for in them.
pub(crate) const DATA: Buffer =
    Buffer { name: "base64_data", source: Source::Payload, apps: &[], toward: None, multi: false };

/// How strictly base64 is read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Mode {
    /// Up to the first byte that does not belong to it.
    Rfc4648,
    /// The same, white space and other bytes being passed over.
    Rfc2045,
    /// Nothing at all if a byte does not belong to it.
    Strict,
}

impl Mode {
    pub(crate) fn parse(text: &str) -> Option<Self> {
        match text {
            "rfc4648" => Some(Self::Rfc4648),
            "rfc2045" => Some(Self::Rfc2045),
            "strict" => Some(Self::Strict),
            _ => None,
        }
    }
}

/// Longest part that is decoded.
const MAX_INPUT: usize = 65_535;

impl Base64 {
    /// Decodes what stands behind `last`, the end of the match before; false where nothing came
    /// out.
    pub(crate) fn decode(&self, bytes: &[u8], last: usize, out: &mut Vec<u8>) -> bool {
        let from = if self.relative { last.saturating_add(self.offset) } else { self.offset };
        let rest = bytes.get(from..).unwrap_or_default();
        let most = if self.bytes == 0 { MAX_INPUT } else { self.bytes.min(MAX_INPUT) };
        let part = rest.get(..most).unwrap_or(rest);
        out.clear();
        decode(part, Mode::Rfc4648, out);
        !out.is_empty()
    }
}

/// Decodes base64; what is left of a last group without its padding is decoded as far as it goes.
pub(crate) fn decode(text: &[u8], mode: Mode, out: &mut Vec<u8>) {
    let mut group = 0u32;
    let mut count = 0;
    for &byte in text {
        let value = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            b'=' => break,
            _ if mode == Mode::Rfc2045 => continue,
            _ if mode == Mode::Strict => {
                out.clear();
                return;
            }
            _ => break,
        };
        group = group << 6 | u32::from(value);
        count += 1;
        if count == 4 {
            out.extend_from_slice(&[(group >> 16) as u8, (group >> 8) as u8, group as u8]);
            (group, count) = (0, 0);
        }
    }
    match count {
        2 => out.push((group >> 4) as u8),
        3 => out.extend_from_slice(&[(group >> 10) as u8, (group >> 2) as u8]),
        _ => {}
    }
}

pub(crate) const KEYWORDS: &[Keyword] = &[
    Keyword {
        name: "base64_decode",
        aliases: &[],
        doc: "decodes base64 in the buffer: bytes, offset, relative",
        example: r#"alert tcp any any -> any any (content:"a"; base64_decode:bytes 8, offset 1, relative; base64_data; content:"b"; sid:1;)"#,
        parse: base64_decode,
    },
    Keyword {
        name: "base64_data",
        aliases: &[],
        doc: "what follows is looked for in what base64_decode made",
        example: r#"alert tcp any any -> any any (base64_decode; base64_data; content:"b"; sid:1;)"#,
        parse: |builder, value| {
            value.none()?;
            if !builder.has_base64() {
                return Err(Complaint::new("base64_data needs a base64_decode before it"));
            }
            builder.set_buffer(&DATA)
        },
    },
];

fn base64_decode(builder: &mut Builder<'_>, value: &Value<'_>) -> Result<(), Complaint> {
    let mut decode = Base64 { bytes: 0, offset: 0, relative: false, steps: Vec::new() };
    for option in value.text.unwrap_or_default().split(',').map(str::trim) {
        let expected = || Complaint::new("expected bytes N, offset N or relative");
        match option.split_once(' ').map(|(key, number)| (key, number.trim().parse())) {
            Some(("bytes", Ok(number))) => decode.bytes = number,
            Some(("offset", Ok(number))) => decode.offset = number,
            None if option == "relative" => decode.relative = true,
            None if option.is_empty() => {}
            _ => return Err(expected()),
        }
    }
    builder.step(Step::Base64(Box::new(decode)));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(text: &[u8], mode: Mode) -> Vec<u8> {
        let mut out = Vec::new();
        decode(text, mode, &mut out);
        out
    }

    #[test]
    fn every_mode_reads_its_own() {
        assert_eq!(decoded(b"aGVsbG8=", Mode::Rfc4648), b"hello");
        assert_eq!(decoded(b"aGVsbG8", Mode::Rfc4648), b"hello");
        assert_eq!(decoded(b"aGVs bG8=", Mode::Rfc4648), b"hel");
        assert_eq!(decoded(b"aGVs\r\nbG8=", Mode::Rfc2045), b"hello");
        assert_eq!(decoded(b"aGVs bG8=", Mode::Strict), b"");
    }

    #[test]
    fn a_part_of_the_buffer_is_decoded() {
        let decode = Base64 { bytes: 4, offset: 1, relative: true, steps: Vec::new() };
        let mut out = Vec::new();
        assert!(decode.decode(b"xx aGVsbG8=", 2, &mut out));
        assert_eq!(out, b"hel");
        assert!(!decode.decode(b"xx ", 3, &mut out));
    }
}
