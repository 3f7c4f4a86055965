//! Where the lines of a response's head end, as browsers and the servers before them see it: with
//! CR LF, LF, LF CR or a CR alone. Attackers mix them to hide a field from those who read strictly.

/// White space at the beginning of a line that goes on with the one before; a NUL counts too.
const fn folds(b: u8) -> bool {
    matches!(b, b' ' | b'\t' | 0)
}

/// A line and how many bytes it takes with its end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Line {
    /// Bytes before its end.
    len: usize,
    /// Bytes in all.
    whole: usize,
    /// It ended with LF CR.
    turned: bool,
    /// It is the empty line behind the fields.
    ends: bool,
}

/// Finds the end of a response's head however it is cut.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct Finder {
    /// Where the present line begins.
    line_at: usize,
    /// Everything before was looked at.
    scanned: usize,
    /// The first line is over.
    began: bool,
    /// The line before ended with LF CR.
    turned: bool,
}

impl Finder {
    /// How long the head at the front of `bytes` is, once it is whole; `bytes` only grows between
    /// calls.
    pub(super) fn find(&mut self, bytes: &[u8]) -> Option<usize> {
        while let Some(line) = self.line(bytes, false) {
            self.pass(line);
            if line.ends {
                return Some(self.line_at);
            }
        }
        None
    }

    /// Goes on to the next line.
    fn pass(&mut self, line: Line) {
        // Empty lines before the first one are passed over.
        self.began |= line.len > 0;
        self.turned = line.turned;
        self.line_at += line.whole;
        self.scanned = self.line_at;
    }

    /// The present line; `None` where its end cannot be told yet. What is over needs no more.
    fn line(&mut self, bytes: &[u8], is_over: bool) -> Option<Line> {
        loop {
            let rest = bytes.get(self.scanned..)?;
            let Some(n) = memchr::memchr2(b'\r', b'\n', rest) else {
                self.scanned = bytes.len();
                let len = bytes.len() - self.line_at;
                return (is_over && len > 0).then_some(Line {
                    len,
                    whole: len,
                    turned: false,
                    ends: false,
                });
            };
            let at = self.scanned + n;
            self.scanned = at;
            let len = at - self.line_at;
            let next = bytes.get(at + 1).copied();
            let end = |ending: usize, turned, ends| {
                Some(Line { len, whole: len + ending, turned, ends: ends && self.began })
            };
            if rest.get(n) == Some(&b'\n') {
                return match next {
                    _ if len == 0 => end(1, false, true),
                    // White space alone ends the fields where another line end does not follow.
                    Some(next) if len == 1 && bytes.get(at - 1).is_some_and(|&b| folds(b)) => {
                        end(1, false, next != b'\n')
                    }
                    Some(b'\r') if self.began => end(2, true, false),
                    None if !is_over => None,
                    _ => end(1, false, false),
                };
            }
            match next {
                None if !is_over => return None,
                Some(b'\n') => {
                    // LF CR CR LF CR LF are two ends of line.
                    let doubled = self.turned && len == 0;
                    let more = bytes.get(at + 2..).unwrap_or_default();
                    return match more {
                        [b'\r', b'\n', ..] if doubled => end(4, false, true),
                        [] | [b'\r'] if doubled && !is_over => None,
                        _ => end(2, false, len == 0),
                    };
                }
                Some(b'\r') if self.began => self.scanned = at + 1,
                _ => return end(1, false, false),
            }
        }
    }
}

/// A head whose every line ends with CR LF and holds a whole field; `None` where it is so already.
/// The second is where the fields begin in the original.
pub(super) fn canonical(head: &[u8]) -> Option<(Vec<u8>, usize)> {
    if is_canonical(head) {
        return None;
    }
    let mut clean: Vec<u8> = Vec::with_capacity(head.len() + 2);
    let mut fields_at = 0;
    let mut finder = Finder::default();
    let mut is_1_1 = false;
    // Where the field begins that may be folded.
    let mut open: Option<usize> = None;
    while let Some(line) = finder.line(head, true) {
        let from = finder.line_at;
        let text = head.get(from..from + line.len).unwrap_or_default().trim_ascii_end();
        let was_begun = finder.began;
        finder.pass(line);
        if line.ends {
            break;
        }
        if !was_begun {
            if line.len > 0 {
                clean.extend_from_slice(text);
                clean.extend_from_slice(b"\r\n");
                fields_at = finder.line_at;
                is_1_1 = text.trim_ascii_start().get(5..8) == Some(b"1.1");
            }
            continue;
        }
        if text.is_empty() {
            continue;
        }
        let folded = text.first().is_some_and(|&b| folds(b));
        let has_colon = |text: &[u8]| memchr::memchr(b':', text).is_some();
        let before = open.filter(|_| folded).and_then(|at| clean.get(at..));
        match before {
            // A folded field with a name of its own is one of its own.
            Some(before) if !(is_1_1 && has_colon(before) && has_colon(text)) => {
                clean.truncate(clean.len().saturating_sub(2));
                clean.push(b' ');
            }
            _ => open = Some(clean.len()),
        }
        let is_first = |b: &u8| !matches!(b, b' ' | b'\t');
        let start = text.iter().position(is_first).unwrap_or(text.len());
        clean.extend_from_slice(text.get(start..).unwrap_or_default());
        clean.extend_from_slice(b"\r\n");
    }
    clean.extend_from_slice(b"\r\n");
    Some((clean, fields_at))
}

/// Whether all lines end with CR LF and none is folded.
fn is_canonical(head: &[u8]) -> bool {
    let mut at = 0;
    while let Some(n) = head.get(at..).and_then(|rest| memchr::memchr2(b'\r', b'\n', rest)) {
        let end = at + n;
        if head.get(end..end + 2) != Some(b"\r\n")
            || (end > 0 && head.get(end + 2).is_some_and(|&b| folds(b)))
        {
            return false;
        }
        at = end + 2;
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    fn end_of(head: &[u8]) -> Option<usize> {
        let whole = Finder::default().find(head);
        let mut finder = Finder::default();
        let cut = (1..=head.len()).find_map(|n| finder.find(&head[..n]));
        assert_eq!(whole, cut);
        whole
    }

    #[test]
    fn heads_end_where_browsers_think() {
        for (head, body) in [
            (&b"HTTP/1.1 200 ok\r\nA: b\r\n\r\n"[..], &b"body"[..]),
            (b"HTTP/1.1 200 ok\nA: b\n\n", b"body"),
            (b"HTTP/1.1 200 ok\rA: b\rC: d\r\n\n", b"4\r\n"),
            (b"HTTP/1.1 200 ok\r\nA: b\n \n", b"4\r\n"),
            (b"HTTP/1.1 200 ok\r\nA: b\n\r\r\n\r\n", b"body"),
            (b"\r\nHTTP/1.1 200 ok\r\nA: b\r\n\r\r\nC: d\r\n\r\n", b"body"),
        ] {
            let all = [head, body].concat();
            assert_eq!(end_of(&all), Some(head.len()), "{}", all.escape_ascii());
        }
        assert_eq!(end_of(b"HTTP/1.1 200 ok\r\nA: b\r\n"), None);
    }

    #[test]
    fn lines_are_put_right() {
        for (head, want) in [
            (&b"HTTP/1.1 200\rA: b\r\n\r\n"[..], "HTTP/1.1 200|A: b||"),
            (b"HTTP/1.1 200\r\nA\r\n :\r\n b\r\n\r\n", "HTTP/1.1 200|A : b||"),
            (b"HTTP/1.1 200\r\nA: b\r\n\tC: d\r\n\r\n", "HTTP/1.1 200|A: b|C: d||"),
            (b"HTTP/1.0 200\r\nA: b\r\n\tC: d\r\n\r\n", "HTTP/1.0 200|A: b C: d||"),
            (b"HTTP/1.1 200\nA: b\n\n", "HTTP/1.1 200|A: b||"),
        ] {
            let (clean, fields_at) = canonical(head).unwrap();
            assert_eq!(String::from_utf8(clean).unwrap().replace("\r\n", "|"), want);
            assert!(matches!(head[fields_at], b'A'));
        }
        assert_eq!(canonical(b"HTTP/1.1 200 ok\r\nA: b\r\n\r\n"), None);
    }
}
