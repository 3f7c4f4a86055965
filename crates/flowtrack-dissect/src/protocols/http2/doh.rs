//! DNS inside HTTP/2 (RFC 8484), and the alphabet that its questions are written in.

use super::record::Side;
use crate::protocols::dns::message::Message;

/// Longest message of DNS.
pub(super) const MESSAGE_CAP: usize = 65_535;
/// The media type of a message.
const MEDIA_TYPE: &[u8] = b"application/dns-message";

/// Whether what follows this head is a message of DNS.
pub(super) fn announces(side: &Side) -> bool {
    side.first("content-type").is_some_and(|kind| {
        kind.get(..MEDIA_TYPE.len()).is_some_and(|kind| kind.eq_ignore_ascii_case(MEDIA_TYPE))
    })
}

/// The question that a request asks by its path alone.
pub(super) fn asked_by_path(request: &Side) -> Option<Message> {
    if request.first(":method")? != b"GET" {
        return None;
    }
    let path = request.first(":path")?;
    let query = path.get(memchr::memchr(b'?', path)? + 1..)?;
    let text = query.split(|&b| b == b'&').find_map(|part| part.strip_prefix(b"dns="))?;
    message(&base64url(text)?)
}

/// A message that is whole and asks for something.
pub(super) fn message(bytes: &[u8]) -> Option<Message> {
    Message::read(bytes).filter(|message| !message.cut && !message.questions.is_empty())
}

/// Decodes base64 in the alphabet for addresses (RFC 4648 section 5), padded or not.
pub(super) fn base64url(text: &[u8]) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len().min(2 * MESSAGE_CAP) * 3 / 4);
    let (mut bits, mut have) = (0_u32, 0);
    for &b in text {
        let six = match b {
            b'A'..=b'Z' => b - b'A',
            b'a'..=b'z' => b - b'a' + 26,
            b'0'..=b'9' => b - b'0' + 52,
            b'-' | b'+' => 62,
            b'_' | b'/' => 63,
            b'=' => break,
            _ => return None,
        };
        bits = bits << 6 | u32::from(six);
        have += 6;
        if have >= 8 {
            have -= 8;
            bytes.push((bits >> have) as u8);
            bits &= (1 << have) - 1;
        }
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::base64url;

    #[test]
    fn base64_for_addresses_is_decoded() {
        assert_eq!(base64url(b"AAABAAAB").unwrap(), [0, 0, 1, 0, 0, 1]);
        assert_eq!(base64url(b"-_8=").unwrap(), [0xfb, 0xff]);
        assert_eq!(base64url(b"-_8").unwrap(), [0xfb, 0xff]);
        assert_eq!(base64url(b"").unwrap(), b"");
        assert_eq!(base64url(b"a b"), None);
    }
}
