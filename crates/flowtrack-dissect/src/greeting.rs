//! The greetings of FTP and SMTP servers, which begin alike: 220.

use crate::First;

/// What a server's first reply says of its protocol.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Greeting {
    /// It names SMTP, or comes from a port of mail.
    Smtp,
    /// It names FTP, or comes from the port of FTP.
    Ftp,
    /// It is a greeting, but of what it does not say.
    Silent,
    /// It may become one.
    Unfinished,
    /// It is none.
    Other,
}

/// Ports of SMTP.
pub const SMTP_PORTS: &[u16] = &[25, 465, 587, 2525];
/// Ports of FTP.
pub const FTP_PORTS: &[u16] = &[21, 2121];

/// Looks at the first line that a server sent: its words decide, then the port.
pub fn greeting(first: &First<'_>) -> Greeting {
    let bytes = first.bytes;
    let code = bytes.get(..3).unwrap_or(bytes);
    if !b"220".starts_with(code) || bytes.get(3).is_some_and(|b| *b != b' ' && *b != b'-') {
        return Greeting::Other;
    }
    let Some(end) = memchr::memchr(b'\n', bytes) else {
        return Greeting::Unfinished;
    };
    let line = bytes.get(..end).unwrap_or_default().to_ascii_uppercase();
    let names = |word: &[u8]| memchr::memmem::find(&line, word).is_some();
    if names(b"SMTP") {
        Greeting::Smtp
    } else if names(b"FTP") {
        Greeting::Ftp
    } else if first.has_port(SMTP_PORTS) {
        Greeting::Smtp
    } else if first.has_port(FTP_PORTS) {
        Greeting::Ftp
    } else {
        Greeting::Silent
    }
}

/// Compares the beginning of a client's bytes with words it may begin with, whatever their case.
pub fn begins_with(bytes: &[u8], words: &[&[u8]]) -> Option<bool> {
    let mut may = false;
    for word in words {
        let n = bytes.len().min(word.len());
        let same =
            bytes.get(..n).zip(word.get(..n)).is_some_and(|(a, b)| a.eq_ignore_ascii_case(b));
        if same && n == word.len() {
            return Some(true);
        }
        may |= same;
    }
    may.then_some(false)
}
