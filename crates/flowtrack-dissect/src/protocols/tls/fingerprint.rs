//! Fingerprints of hellos: JA3, JA3S and JA4.
//!
//! Each names the software behind a connection by what it offers and in which order; GREASE, which
//! is random, is left out of all.

use super::hello::{ClientHello, ServerHello, extension};
use super::version;
use crate::{md5_hex, sha256_hex};
use flowtrack_event::hex_digits;
use serde::Serialize;

/// A JA3 or JA3S fingerprint.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Ja3 {
    /// MD5 of the string.
    pub hash: String,
    /// What was offered, as decimal numbers.
    pub string: String,
}

impl Ja3 {
    fn of(string: String) -> Self {
        Self { hash: md5_hex(string.as_bytes()), string }
    }

    /// Version, cipher suites, extensions, groups and point formats of a client.
    pub fn client(hello: &ClientHello) -> Self {
        let mut text = hello.legacy_version.to_string();
        for list in [&hello.ciphers, &hello.extensions, &hello.groups] {
            text.push(',');
            push_numbers(&mut text, list.iter().copied().filter(|&n| !version::is_grease(n)));
        }
        text.push(',');
        push_numbers(&mut text, hello.point_formats.iter().map(|&n| u16::from(n)));
        Self::of(text)
    }

    /// The same over QUIC. GREASE stays in: that is how JA3 over QUIC is logged and how rules that
    /// were made from such logs expect it, though it changes from one connection of a client to the
    /// next. JA4 leaves it out.
    pub fn quic_client(hello: &ClientHello) -> Self {
        /// What stands for any extension of GREASE.
        const GREASE: u16 = 0xfafa;
        let mut text = hello.legacy_version.to_string();
        text.push(',');
        push_numbers(&mut text, hello.ciphers.iter().copied());
        text.push(',');
        let extensions = hello.extensions.iter();
        push_numbers(
            &mut text,
            extensions.map(|&n| if version::is_grease(n) { GREASE } else { n }),
        );
        text.push(',');
        push_numbers(&mut text, hello.groups.iter().copied());
        text.push(',');
        push_numbers(&mut text, hello.point_formats.iter().map(|&n| u16::from(n)));
        Self::of(text)
    }

    /// Version, cipher suite and extensions of a server.
    pub fn server(hello: &ServerHello) -> Self {
        let mut text = format!("{},{},", hello.legacy_version, hello.cipher);
        let extensions = hello.extensions.iter().copied().filter(|&n| !version::is_grease(n));
        push_numbers(&mut text, extensions);
        Self::of(text)
    }
}

fn push_numbers(text: &mut String, numbers: impl Iterator<Item = u16>) {
    let mut digits = itoa::Buffer::new();
    for (i, number) in numbers.enumerate() {
        if i > 0 {
            text.push('-');
        }
        text.push_str(digits.format(number));
    }
}

/// What carries a hello, as JA4 writes it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Carrier {
    /// TLS over TCP.
    Tcp,
    /// QUIC.
    Quic,
    /// DTLS.
    Dtls,
}

/// JA4 of a client: `a_b_c`, where `a` can be read, `b` is a hash of the sorted cipher suites and
/// `c` one of the sorted extensions and the signature algorithms.
pub fn ja4(hello: &ClientHello, carrier: Carrier) -> String {
    /// Counts have two digits.
    const COUNT_CAP: usize = 99;
    let plain = |list: &[u16]| -> Vec<u16> {
        list.iter().copied().filter(|&n| !version::is_grease(n)).collect()
    };
    let mut ciphers = plain(&hello.ciphers);
    let mut extensions = plain(&hello.extensions);
    let [first, last] = alpn_ends(hello.alpns.first().map_or(&[], Vec::as_slice));
    let mut text = format!(
        "{carrier}{version}{target}{ciphers:02}{extensions:02}{first}{last}_",
        carrier = match carrier {
            Carrier::Tcp => 't',
            Carrier::Quic => 'q',
            Carrier::Dtls => 'd',
        },
        version = ja4_version(match carrier {
            // Over QUIC drafts of TLS 1.3 count as newer than what became of them.
            Carrier::Quic => {
                let offered = hello.versions.iter().copied().filter(|&v| !version::is_grease(v));
                offered.max().unwrap_or(hello.legacy_version)
            }
            Carrier::Tcp | Carrier::Dtls => hello.version(),
        }),
        target = if hello.extensions.contains(&extension::SERVER_NAME) { 'd' } else { 'i' },
        ciphers = ciphers.len().min(COUNT_CAP),
        extensions = extensions.len().min(COUNT_CAP),
    );
    ciphers.sort_unstable();
    push_hash(&mut text, &hex_list(&ciphers));
    text.push('_');
    extensions.retain(|&kind| !matches!(kind, extension::SERVER_NAME | extension::ALPN));
    extensions.sort_unstable();
    let algorithms = plain(&hello.signature_algorithms);
    let mut offered = hex_list(&extensions);
    if !extensions.is_empty() || !algorithms.is_empty() {
        // The underscore stays where no algorithm follows, as in what Suricata logs. The text of
        // the specification leaves it out there; its implementations disagree on hellos without
        // signature algorithms, which end with TLS 1.1.
        offered.push('_');
        offered.push_str(&hex_list(&algorithms));
    }
    push_hash(&mut text, &offered);
    text
}

/// Two characters for a version.
const fn ja4_version(version: u16) -> &'static str {
    match version {
        version::TLS_1_3 => "13",
        version::TLS_1_2 => "12",
        version::TLS_1_1 => "11",
        version::TLS_1_0 => "10",
        version::SSL_3 => "s3",
        version::SSL_2 => "s2",
        version::DTLS_1_0 => "d1",
        version::DTLS_1_2 => "d2",
        version::DTLS_1_3 => "d3",
        _ => "00",
    }
}

/// First and last character of the first ALPN name, of its hexadecimal digits where one of them is
/// no letter or digit, `00` where there is no name.
fn alpn_ends(name: &[u8]) -> [char; 2] {
    let (Some(&first), Some(&last)) = (name.first(), name.last()) else { return ['0', '0'] };
    if let [a, b] = *name
        && version::is_grease(u16::from_be_bytes([a, b]))
    {
        return ['0', '0'];
    }
    if first.is_ascii_alphanumeric() && last.is_ascii_alphanumeric() {
        return [char::from(first), char::from(last)];
    }
    let digit = |n: u8| char::from_digit(u32::from(n), 16).unwrap_or('0');
    [digit(first >> 4), digit(last & 0x0f)]
}

/// Numbers as four hexadecimal digits each, with commas between them.
fn hex_list(numbers: &[u16]) -> String {
    let mut text = String::with_capacity(numbers.len() * 5);
    for (i, number) in numbers.iter().enumerate() {
        if i > 0 {
            text.push(',');
        }
        text.extend(number.to_be_bytes().into_iter().flat_map(hex_digits).map(char::from));
    }
    text
}

/// The first 12 digits of a list's SHA-256, zeros for an empty list.
fn push_hash(text: &mut String, list: &str) {
    const DIGITS: usize = 12;
    if list.is_empty() {
        text.push_str("000000000000");
    } else {
        text.extend(sha256_hex(list.as_bytes()).chars().take(DIGITS));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of JA4's specification.
    fn chrome() -> ClientHello {
        ClientHello {
            legacy_version: version::TLS_1_2,
            ciphers: vec![
                0x2a2a, 0x1301, 0x1302, 0x1303, 0xc02b, 0xc02f, 0xc02c, 0xc030, 0xcca9, 0xcca8,
                0xc013, 0xc014, 0x009c, 0x009d, 0x002f, 0x0035,
            ],
            extensions: vec![
                0xdada, 0x001b, 0x0000, 0x0033, 0x0010, 0x4469, 0x0017, 0x002d, 0x000d, 0x0005,
                0x0023, 0x0012, 0x002b, 0xff01, 0x000b, 0x000a, 0x0015,
            ],
            signature_algorithms: vec![
                0x0403, 0x0804, 0x0401, 0x0503, 0x0805, 0x0501, 0x0806, 0x0601,
            ],
            groups: vec![0x8a8a, 29, 23, 24],
            point_formats: vec![0],
            versions: vec![0x4a4a, version::TLS_1_3, version::TLS_1_2],
            alpns: vec![b"h2".to_vec(), b"http/1.1".to_vec()],
            ..ClientHello::default()
        }
    }

    #[test]
    fn ja4_is_as_specified() {
        assert_eq!(ja4(&chrome(), Carrier::Tcp), "t13d1516h2_8daaf6152771_e5627efa2ab1");
        assert_eq!(ja4(&chrome(), Carrier::Quic), "q13d1516h2_8daaf6152771_e5627efa2ab1");
        let bare = ClientHello { legacy_version: version::SSL_3, ..ClientHello::default() };
        assert_eq!(ja4(&bare, Carrier::Tcp), "ts3i000000_000000000000_000000000000");
    }

    #[test]
    fn ja4_takes_the_newest_version_that_is_one() {
        let of = |versions: &[u16]| {
            let hello = ClientHello { versions: versions.to_vec(), ..chrome() };
            ja4(&hello, Carrier::Tcp)[1..3].to_owned()
        };
        assert_eq!(of(&[version::TLS_1_2, version::TLS_1_3]), "13");
        assert_eq!(of(&[version::TLS_1_3, 0xfb1a]), "13");
        assert_eq!(of(&[0x7f12, version::TLS_1_2]), "00");
        assert_eq!(of(&[0x7f10, version::TLS_1_2]), "12");
        assert_eq!(of(&[]), "12");
    }

    #[test]
    fn ja4_shows_the_ends_of_the_first_alpn() {
        let of = |name: &[u8]| String::from_iter(alpn_ends(name));
        assert_eq!(of(b"http/1.1"), "h1");
        assert_eq!(of(b"h"), "hh");
        assert_eq!(of(b""), "00");
        assert_eq!(of(b"\xab"), "ab");
        assert_eq!(of(b"\x30\xab"), "3b");
        assert_eq!(of(b"\x0a\x0a"), "00");
    }

    #[test]
    fn ja3_over_quic_keeps_grease() {
        assert_eq!(
            Ja3::quic_client(&chrome()).string,
            "771,10794-4865-4866-4867-49195-49199-49196-49200-52393-52392-49171-49172-156-157-47-53,\
             64250-27-0-51-16-17513-23-45-13-5-35-18-43-65281-11-10-21,35466-29-23-24,0"
        );
    }

    #[test]
    fn ja3_leaves_grease_out() {
        let ja3 = Ja3::client(&chrome());
        assert_eq!(
            ja3.string,
            "771,4865-4866-4867-49195-49199-49196-49200-52393-52392-49171-49172-156-157-47-53,\
             27-0-51-16-17513-23-45-13-5-35-18-43-65281-11-10-21,29-23-24,0"
        );
        assert_eq!(ja3.hash, md5_hex(ja3.string.as_bytes()));
        let bare = ClientHello { legacy_version: version::TLS_1_0, ..ClientHello::default() };
        assert_eq!(Ja3::client(&bare).string, "769,,,,");
    }
}
