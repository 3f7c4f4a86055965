//! The IP header of a packet put together from fragments.

use crate::{
    bytes::at_most,
    checksum::internet_checksum,
    ip::{IPV4_HEADER, IPV6_HEADER, v6},
};
use flowtrack_event::IpProto;

/// Length of an IPv6 fragment header.
const FRAGMENT_HEADER: usize = 8;

/// Appends the header of the first fragment to `out` as that of the whole packet, whose payload
/// has `payload_len` bytes.
///
/// `header` is [`Ip::header`](crate::Ip::header) of the fragment. None of it is appended, and the
/// answer is false, where the packet would be longer than IP can tell.
pub fn whole_header(header: &[u8], payload_len: usize, out: &mut Vec<u8>) -> bool {
    let before = out.len();
    let written = match header.first().map(|b| b >> 4) {
        Some(4) => whole_ipv4(header, payload_len, out),
        Some(6) => whole_ipv6(header, payload_len, out),
        _ => None,
    };
    if written.is_none() {
        out.truncate(before);
    }
    written.is_some()
}

fn whole_ipv4(header: &[u8], payload_len: usize, out: &mut Vec<u8>) -> Option<()> {
    let total_len = u16::try_from(header.len() + payload_len).ok()?;
    let begin = out.len();
    out.extend_from_slice(header);
    let written = out.get_mut(begin..)?;
    {
        let fixed = written.first_chunk_mut::<IPV4_HEADER>()?;
        let [_, _, l0, l1, _, _, f0, f1, _, _, c0, c1, ..] = fixed;
        [*l0, *l1] = total_len.to_be_bytes();
        // Neither offset nor "more fragments"; "don't fragment" stays.
        [*f0, *f1] = [*f0 & 0xc0, 0];
        [*c0, *c1] = [0, 0];
    }
    let checksum = internet_checksum(written);
    let [.., c0, c1] = written.first_chunk_mut::<12>()?;
    [*c0, *c1] = checksum.to_be_bytes();
    Some(())
}

fn whole_ipv6(header: &[u8], payload_len: usize, out: &mut Vec<u8>) -> Option<()> {
    let kept = header.len().checked_sub(FRAGMENT_HEADER)?;
    let extensions = kept.checked_sub(IPV6_HEADER)?;
    let payload_len = u16::try_from(extensions + payload_len).ok()?;
    let next = *header.get(kept)?;
    let begin = out.len();
    out.extend_from_slice(at_most(header, kept));
    let written = out.get_mut(begin..)?;
    let last_next = last_next_header(written)?;
    *written.get_mut(last_next)? = next;
    let [.., l0, l1] = written.first_chunk_mut::<6>()?;
    [*l0, *l1] = payload_len.to_be_bytes();
    Some(())
}

/// Where the header before the fragment header says what follows it.
fn last_next_header(header: &[u8]) -> Option<usize> {
    let mut field = 6;
    let mut at = IPV6_HEADER;
    while at < header.len() {
        let proto = IpProto(*header.get(field)?);
        let (_, len) = v6::extension(proto, header.get(at..)?)?;
        field = at;
        at += len;
    }
    Some(field)
}
