//! Handshake bytes that come in pieces and in any order, as DTLS (RFC 6347 section 4.2.3) and QUIC
//! (RFC 9000 section 19.6) send them.

/// Bytes that are put together; larger messages are not known to exist.
const STREAM_CAP: usize = 64 * 1024;
/// Pieces that may wait for those before them.
const PIECES_CAP: usize = 64;

/// A message or stream that is put together.
#[derive(Default, Debug)]
pub struct Pieces {
    /// From the first byte on, without a hole.
    ready: Vec<u8>,
    /// Pieces behind a hole, by their place.
    waiting: Vec<(usize, Vec<u8>)>,
}

impl Pieces {
    /// Takes a piece; what goes beyond the caps is dropped.
    pub fn add(&mut self, offset: u64, data: &[u8]) {
        let Ok(offset) = usize::try_from(offset) else { return };
        if offset.saturating_add(data.len()) > STREAM_CAP {
            return;
        }
        if offset > self.ready.len() {
            if self.waiting.len() < PIECES_CAP {
                self.waiting.push((offset, data.to_vec()));
            }
            return;
        }
        self.append(offset, data);
        // Every turn uses up a piece.
        while let Some(next) =
            self.waiting.iter().position(|&(offset, _)| offset <= self.ready.len())
        {
            let (offset, data) = self.waiting.swap_remove(next);
            self.append(offset, &data);
        }
    }

    /// Appends what is new of a piece that begins in or behind what is ready.
    fn append(&mut self, offset: usize, data: &[u8]) {
        let known = self.ready.len().saturating_sub(offset);
        self.ready.extend_from_slice(data.get(known..).unwrap_or_default());
    }

    /// The bytes without a hole.
    pub fn ready(&self) -> &[u8] {
        &self.ready
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_come_in_any_order() {
        let mut stream = Pieces::default();
        stream.add(6, b"ghi");
        stream.add(3, b"def");
        assert_eq!(stream.ready(), b"");
        stream.add(0, b"abcd");
        assert_eq!(stream.ready(), b"abcdefghi");
        stream.add(2, b"cdefghijk");
        assert_eq!(stream.ready(), b"abcdefghijk");
    }

    #[test]
    fn there_are_caps() {
        let mut stream = Pieces::default();
        stream.add(u64::MAX, b"x");
        stream.add(STREAM_CAP as u64, b"x");
        for i in 0..1000 {
            stream.add(2 * i + 1, b"x");
        }
        assert_eq!(stream.waiting.len(), PIECES_CAP);
        stream.add(0, b"a");
        assert_eq!(stream.ready(), b"ax");
    }
}
