//! Transforms: what is done with the bytes of a buffer before they are searched.

mod text;

use super::pcre::Pcre;
use crate::builder::{Builder, Complaint, Keyword, Value};
use crate::signature::Transform;
use md5::{Digest, Md5};
use sha1::Sha1;
use sha2::Sha256;
use std::sync::Arc;

/// Bytes that decompressing may make of a buffer.
const MAX_OUTPUT: u64 = 64 << 10;

/// A transform without a value.
#[derive(Clone, Copy, Debug)]
struct Plain {
    name: &'static str,
    apply: fn(&mut Vec<u8>),
}

impl Transform for Plain {
    fn apply(&self, bytes: &mut Vec<u8>) {
        (self.apply)(bytes);
    }

    fn id(&self) -> String {
        self.name.to_owned()
    }
}

const PLAIN: &[Plain] = &[
    Plain { name: "dotprefix", apply: |bytes| bytes.insert(0, b'.') },
    Plain { name: "to_lowercase", apply: |bytes| bytes.make_ascii_lowercase() },
    Plain { name: "to_uppercase", apply: |bytes| bytes.make_ascii_uppercase() },
    Plain { name: "strip_whitespace", apply: |bytes| bytes.retain(|byte| !text::is_space(*byte)) },
    Plain { name: "compress_whitespace", apply: text::compress_whitespace },
    Plain { name: "url_decode", apply: text::url_decode },
    Plain { name: "header_lowercase", apply: text::header_lowercase },
    Plain { name: "strip_pseudo_headers", apply: text::strip_pseudo_headers },
    Plain { name: "to_md5", apply: |bytes| *bytes = Md5::digest(&bytes).to_vec() },
    Plain { name: "to_sha1", apply: |bytes| *bytes = Sha1::digest(&bytes).to_vec() },
    Plain { name: "to_sha256", apply: |bytes| *bytes = Sha256::digest(&bytes).to_vec() },
    Plain { name: "domain", apply: text::domain },
    Plain { name: "tld", apply: text::top_level },
];

fn plain(builder: &mut Builder<'_>, value: &Value<'_>) -> Result<(), Complaint> {
    value.none()?;
    match PLAIN.iter().find(|transform| transform.name == value.keyword) {
        Some(transform) => builder.transform(Arc::new(*transform)),
        None => Err(Complaint::new(format!("{} is no transform", value.keyword))),
    }
}

/// `subslice: 1,-2`: a part of the value.
#[derive(Clone, Copy, Debug)]
struct Subslice {
    /// First byte; below zero counted from the end.
    offset: i64,
    /// Bytes of it; below zero all but so many at the end.
    length: Option<i64>,
    /// Whether what is beyond the end is left out, rather than nothing taken.
    truncate: bool,
}

impl Transform for Subslice {
    fn apply(&self, bytes: &mut Vec<u8>) {
        let len = bytes.len() as i64;
        let from = if self.offset < 0 { len + self.offset } else { self.offset };
        let to = match self.length {
            None => len,
            Some(length) if length < 0 => len + length,
            Some(length) => from.saturating_add(length),
        };
        let is_inside = (0..=len).contains(&from) && to <= len;
        if !is_inside && !self.truncate {
            bytes.clear();
            return;
        }
        let (from, to) = (from.clamp(0, len) as usize, to.clamp(0, len) as usize);
        bytes.truncate(to);
        bytes.drain(..from.min(bytes.len()));
    }

    fn id(&self) -> String {
        format!("subslice {} {:?} {}", self.offset, self.length, self.truncate)
    }
}

fn subslice(builder: &mut Builder<'_>, value: &Value<'_>) -> Result<(), Complaint> {
    let text = value.needed("an offset, and behind commas a length and truncate")?;
    let mut part = Subslice { offset: 0, length: None, truncate: false };
    for (at, word) in text.split(',').map(str::trim).enumerate() {
        let number = || {
            word.parse().map_err(|_| Complaint::new(format!("\"{word}\" is no number of bytes")))
        };
        match (at, word) {
            (1.., "truncate") => part.truncate = true,
            (0, _) => part.offset = number()?,
            (1, _) => part.length = Some(number()?),
            _ => return Err(Complaint::new(format!("expected truncate, not \"{word}\""))),
        }
    }
    builder.transform(Arc::new(part))
}

/// `xor:"0a0b"`: every byte with the next one of the key.
#[derive(Debug)]
struct Xor(Vec<u8>);

impl Transform for Xor {
    fn apply(&self, bytes: &mut Vec<u8>) {
        for (byte, key) in bytes.iter_mut().zip(self.0.iter().cycle()) {
            *byte ^= key;
        }
    }

    fn id(&self) -> String {
        format!("xor {:02x?}", self.0)
    }
}

/// `pcrexform:"a(.*)b"`: what the first group matched.
#[derive(Debug)]
struct Cut {
    text: String,
    pcre: Pcre,
}

impl Transform for Cut {
    fn apply(&self, bytes: &mut Vec<u8>) {
        if let Some((from, to)) = self.pcre.first_group(bytes) {
            bytes.truncate(to);
            bytes.drain(..from.min(to));
        }
    }

    fn id(&self) -> String {
        format!("pcrexform {}", self.text)
    }
}

/// `from_base64: bytes N, offset N, mode rfc4648`.
#[derive(Clone, Copy, Debug)]
struct FromBase64 {
    bytes: Option<usize>,
    offset: usize,
    mode: super::base64::Mode,
}

impl Transform for FromBase64 {
    fn apply(&self, bytes: &mut Vec<u8>) {
        let rest = bytes.get(self.offset..).unwrap_or_default();
        let part = rest.get(..self.bytes.unwrap_or(rest.len()).min(rest.len())).unwrap_or(rest);
        let mut decoded = Vec::with_capacity(part.len() / 4 * 3);
        super::base64::decode(part, self.mode, &mut decoded);
        // What is no base64 stays as it is.
        if !decoded.is_empty() {
            *bytes = decoded;
        }
    }

    fn id(&self) -> String {
        format!("from_base64 {:?}", (self.bytes, self.offset, self.mode))
    }
}

/// `gunzip` and `zlib_deflate`, with `max-size`.
#[derive(Clone, Copy, Debug)]
struct Inflate {
    gzip: bool,
    most: u64,
}

impl Transform for Inflate {
    fn apply(&self, bytes: &mut Vec<u8>) {
        use std::io::Read;
        let mut out = Vec::new();
        // What came out before a fault is what there is.
        let _ = if self.gzip {
            flate2::read::GzDecoder::new(&**bytes).take(self.most).read_to_end(&mut out)
        } else {
            flate2::read::ZlibDecoder::new(&**bytes).take(self.most).read_to_end(&mut out)
        };
        *bytes = out;
    }

    fn id(&self) -> String {
        format!("inflate {} {}", self.gzip, self.most)
    }
}

/// `xor:offset N, extract LENGTH AT`: the key stands in the buffer itself; what is before the offset
/// stays.
#[derive(Clone, Copy, Debug)]
struct XorOwnKey {
    offset: usize,
    length: usize,
    at: usize,
}

impl Transform for XorOwnKey {
    fn apply(&self, bytes: &mut Vec<u8>) {
        let Some(key) = bytes.get(self.at..self.at.saturating_add(self.length)) else { return };
        let key = key.to_vec();
        for (byte, key) in bytes.iter_mut().skip(self.offset).zip(key.iter().cycle()) {
            *byte ^= key;
        }
    }

    fn id(&self) -> String {
        format!("xor {} {} {}", self.offset, self.length, self.at)
    }
}

/// Reads `offset N, extract LENGTH AT`.
fn own_key(text: &str) -> Option<XorOwnKey> {
    let mut xor = XorOwnKey { offset: 0, length: 0, at: 0 };
    for option in text.split(',').map(str::trim) {
        let mut words = option.split_whitespace();
        let (name, first) = (words.next()?, words.next()?.parse().ok()?);
        match (name, words.next().map(str::parse)) {
            ("offset", None) => xor.offset = first,
            ("extract", Some(Ok(at))) => (xor.length, xor.at) = (first, at),
            _ => return None,
        }
    }
    (1..=255).contains(&xor.length).then_some(xor)
}

fn xor(builder: &mut Builder<'_>, value: &Value<'_>) -> Result<(), Complaint> {
    let text = value.needed("a key of hexadecimal digits in quotes")?.trim_matches('"');
    if let Some(xor) = own_key(text) {
        return builder.transform(Arc::new(xor));
    }
    let key: Option<Vec<u8>> = text
        .as_bytes()
        .chunks(2)
        .map(|pair| match std::str::from_utf8(pair) {
            Ok(pair) if pair.len() == 2 => u8::from_str_radix(pair, 16).ok(),
            _ => None,
        })
        .collect();
    match key {
        Some(key) if (1..=255).contains(&key.len()) => builder.transform(Arc::new(Xor(key))),
        _ => Err(Complaint::new("expected 1 to 255 pairs of hexadecimal digits in quotes")),
    }
}

fn pcrexform(builder: &mut Builder<'_>, value: &Value<'_>) -> Result<(), Complaint> {
    let text = value.needed("a regular expression in quotes")?;
    let inner = text.trim_matches('"');
    let (pcre, _) = if inner.starts_with('/') {
        Pcre::parse(text)?
    } else {
        Pcre::parse(&format!("\"/{inner}/\""))?
    };
    builder.transform(Arc::new(Cut { text: text.to_owned(), pcre }))
}

fn from_base64(builder: &mut Builder<'_>, value: &Value<'_>) -> Result<(), Complaint> {
    let mut decode = FromBase64 { bytes: None, offset: 0, mode: super::base64::Mode::Rfc4648 };
    for option in value.text.unwrap_or_default().split(',').map(str::trim) {
        let expected =
            || Complaint::new("expected bytes N, offset N or mode rfc4648, rfc2045, strict");
        match option.split_once(' ').map(|(key, value)| (key, value.trim())) {
            Some(("bytes", number)) => {
                decode.bytes = Some(number.parse().map_err(|_| expected())?);
            }
            Some(("offset", number)) => decode.offset = number.parse().map_err(|_| expected())?,
            Some(("mode", mode)) => {
                decode.mode = super::base64::Mode::parse(mode).ok_or_else(expected)?;
            }
            None if option.is_empty() => {}
            _ => return Err(expected()),
        }
    }
    builder.transform(Arc::new(decode))
}

fn inflate(builder: &mut Builder<'_>, value: &Value<'_>) -> Result<(), Complaint> {
    let most = match value.text {
        None => MAX_OUTPUT,
        Some(text) => text
            .strip_prefix("max-size ")
            .and_then(|size| size.trim().parse().ok())
            .filter(|size| (1..=16 * MAX_OUTPUT).contains(size))
            .ok_or_else(|| Complaint::new("expected max-size and at most 1048576 bytes"))?,
    };
    builder.transform(Arc::new(Inflate { gzip: value.keyword == "gunzip", most }))
}

macro_rules! keywords {
    ($($name:literal, $value:literal, $parse:expr, $doc:literal;)*) => {
        pub(crate) const KEYWORDS: &[Keyword] = &[$(Keyword {
            name: $name,
            aliases: &[],
            doc: $doc,
            example: concat!("alert http any any -> any any (http.uri; ", $name, $value, "; content:\"a\"; sid:1;)"),
            parse: $parse,
        },)*];
    };
}

keywords! {
    "dotprefix", "", plain, "puts a dot before the buffer";
    "subslice", ":1", subslice, "takes a part: offset, length and `truncate` behind commas; what is below zero is counted from the end";
    "to_lowercase", "", plain, "turns letters into small ones";
    "to_uppercase", "", plain, "turns letters into capitals";
    "strip_whitespace", "", plain, "leaves out white space";
    "compress_whitespace", "", plain, "makes one blank of much white space";
    "url_decode", "", plain, "resolves %41 and +";
    "header_lowercase", "", plain, "turns the names of HTTP fields into small letters";
    "strip_pseudo_headers", "", plain, "leaves out HTTP/2's fields that begin with a colon";
    "to_md5", "", plain, "MD5 of the buffer";
    "to_sha1", "", plain, "SHA-1 of the buffer";
    "to_sha256", "", plain, "SHA-256 of the buffer";
    "domain", "", plain, "the registrable domain of a name";
    "tld", "", plain, "the top level domain of a name";
    "xor", ":\"0a0b\"", xor, "combines the bytes with a key";
    "pcrexform", ":\"a(.*)b\"", pcrexform, "what the first group of a regular expression matched";
    "from_base64", ": bytes 8, offset 0", from_base64, "decodes base64";
    "gunzip", "", inflate, "unpacks gzip";
    "zlib_deflate", "", inflate, "unpacks zlib";
}

#[cfg(test)]
mod tests {
    use super::*;

    fn apply(name: &str, bytes: &[u8]) -> Vec<u8> {
        let mut bytes = bytes.to_vec();
        let transform = PLAIN.iter().find(|transform| transform.name == name).unwrap();
        transform.apply(&mut bytes);
        bytes
    }

    #[test]
    fn plain_transforms() {
        assert_eq!(apply("dotprefix", b"a.b"), b".a.b");
        assert_eq!(apply("strip_whitespace", b" a\t\r\nb "), b"ab");
        assert_eq!(apply("compress_whitespace", b" a\t\r\nb  "), b" a\tb ");
        assert_eq!(apply("url_decode", b"%41+b%zz%4"), b"A b%zz%4");
        assert_eq!(apply("header_lowercase", b"Host: A\r\nX-Y: Z\r\n"), b"host: A\r\nx-y: Z\r\n");
        assert_eq!(apply("to_md5", b"").len(), 16);
        assert_eq!(apply("to_sha256", b"").len(), 32);
        assert_eq!(apply("domain", b"www.example.co.uk"), b"example.co.uk");
        assert_eq!(apply("tld", b"www.example.org"), b"org");
    }

    #[test]
    fn packed_buffers_are_unpacked_up_to_a_bound() {
        use std::io::Write;
        let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        packer.write_all(&[b'a'; 1000]).unwrap();
        let mut bytes = packer.finish().unwrap();
        Inflate { gzip: true, most: 100 }.apply(&mut bytes);
        assert_eq!(bytes, [b'a'; 100]);
    }
}
