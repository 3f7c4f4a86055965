//! Bytes of one direction that wait for the rest of their record or line.

/// What a reader of records did with the bytes it was shown.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Take {
    /// It read a record of so many bytes (at least one).
    Used(usize),
    /// It can do nothing before so many bytes are there in all (more than it was shown).
    Need(usize),
}

/// Holds the beginning of a record that is not complete. Whole records are read in place; only
/// what is left over is copied, and it is looked at again only when enough has come, so that work
/// grows linearly with input however the stream is cut.
#[derive(Default, Debug)]
pub struct Pending {
    held: Vec<u8>,
    /// Bytes that must be there before it is worth looking again.
    need: usize,
}

/// A record or line is longer than its cap.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TooLong;

impl Pending {
    /// Reads as many records as are complete.
    ///
    /// # Errors
    /// [`TooLong`] as `E` where a record wants more than `cap` bytes; whatever `read` fails with.
    pub fn records<E: From<TooLong>>(
        &mut self,
        bytes: &[u8],
        cap: usize,
        mut read: impl FnMut(&[u8]) -> Result<Take, E>,
    ) -> Result<(), E> {
        let joined;
        let mut rest = if self.held.is_empty() {
            bytes
        } else {
            self.held.extend_from_slice(bytes);
            if self.held.len() < self.need {
                return Ok(());
            }
            joined = std::mem::take(&mut self.held);
            &joined
        };
        while !rest.is_empty() {
            match read(rest)? {
                Take::Used(n) => rest = rest.get(n.max(1)..).unwrap_or_default(),
                Take::Need(n) if n > cap => return Err(TooLong.into()),
                Take::Need(n) => {
                    self.need = n.max(rest.len() + 1);
                    self.held = rest.to_vec();
                    break;
                }
            }
        }
        Ok(())
    }

    /// Reads as many lines as are complete; each is shown without its LF or CR LF.
    ///
    /// A line longer than `cap` is shown cut, and what follows up to its end is dropped; `read`
    /// answers whether to go on, and the result is how many bytes of `bytes` were used.
    pub fn lines(
        &mut self,
        bytes: &[u8],
        cap: usize,
        mut read: impl FnMut(&[u8]) -> bool,
    ) -> usize {
        let mut used = 0;
        while let Some(rest) = bytes.get(used..).filter(|rest| !rest.is_empty()) {
            let Some(at) = memchr::memchr(b'\n', rest) else {
                let room = cap.saturating_sub(self.held.len());
                self.held.extend_from_slice(rest.get(..room).unwrap_or(rest));
                return bytes.len();
            };
            let piece = rest.get(..at).unwrap_or_default();
            used += at + 1;
            let go_on = if self.held.is_empty() {
                read(cut(piece, cap))
            } else {
                let mut line = std::mem::take(&mut self.held);
                let room = cap.saturating_sub(line.len());
                line.extend_from_slice(piece.get(..room).unwrap_or(piece));
                read(cut(&line, cap))
            };
            if !go_on {
                break;
            }
        }
        used
    }

    /// Takes what is held, at the end or before a hole.
    pub fn take(&mut self) -> Vec<u8> {
        self.need = 0;
        std::mem::take(&mut self.held)
    }

    /// How many bytes wait.
    pub fn len(&self) -> usize {
        self.held.len()
    }

    /// Whether no byte waits.
    pub fn is_empty(&self) -> bool {
        self.held.is_empty()
    }
}

/// A line without its CR, at most `cap` bytes of it.
fn cut(line: &[u8], cap: usize) -> &[u8] {
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    line.get(..cap).unwrap_or(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_come_whole_however_they_are_cut() {
        // A record is its length and so many bytes.
        let stream = [2, b'a', b'b', 0, 3, b'c', b'd', b'e'];
        for size in 1..=stream.len() {
            let mut pending = Pending::default();
            let mut got = Vec::new();
            for piece in stream.chunks(size) {
                pending
                    .records(piece, 10, |b| -> Result<Take, TooLong> {
                        let whole = 1 + usize::from(b[0]);
                        if b.len() < whole {
                            return Ok(Take::Need(whole));
                        }
                        got.push(b[1..whole].to_vec());
                        Ok(Take::Used(whole))
                    })
                    .unwrap();
            }
            assert_eq!(got, [b"ab".to_vec(), b"".to_vec(), b"cde".to_vec()]);
        }
    }

    #[test]
    fn lines_are_capped_and_counted() {
        let mut pending = Pending::default();
        let mut got = Vec::new();
        let mut read = |line: &[u8]| {
            got.push(String::from_utf8(line.to_vec()).unwrap());
            true
        };
        pending.lines(b"one\r\ntw", 5, &mut read);
        pending.lines(b"o\nlonger than five\nx", 5, &mut read);
        assert_eq!(got, ["one", "two", "longe"]);
        assert_eq!(pending.take(), b"x");
    }

    #[test]
    fn reading_lines_stops_when_told() {
        assert_eq!(Pending::default().lines(b"a\nb\nc\n", 9, |line| line != b"b"), 4);
    }
}
