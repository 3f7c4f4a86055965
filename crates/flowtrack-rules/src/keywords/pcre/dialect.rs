//! Perl's regular expressions, written for the engine that runs them.
//!
//! The engine knows nearly all of the language, but reads some of it more strictly (`\x4`, `[[`,
//! `{` that repeats nothing) and some of it differently (`$`, `\v`).

/// What an expression means beyond its text.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct Options {
    /// `i`.
    pub(super) nocase: bool,
    /// `s`: a dot matches a line end too.
    pub(super) dot_all: bool,
    /// `m`: `^` and `$` match at line ends too.
    pub(super) multi_line: bool,
    /// `x`: white space and comments mean nothing.
    pub(super) extended: bool,
    /// `A`: it must begin where the search begins.
    pub(super) anchored: bool,
    /// `E`: `$` does not match before a line end at the end.
    pub(super) dollar_end: bool,
    /// `G`: repetitions are as short as possible.
    pub(super) ungreedy: bool,
}

/// The expression in the engine's dialect.
pub(super) fn translate(pattern: &str, options: Options) -> String {
    let mut writer = Writer {
        bytes: pattern.as_bytes(),
        at: 0,
        out: String::with_capacity(pattern.len() + 16),
        options,
    };
    let flags: String = [
        (options.nocase, 'i'),
        (options.dot_all, 's'),
        (options.multi_line, 'm'),
        (options.extended, 'x'),
        (options.ungreedy, 'U'),
    ]
    .iter()
    .filter(|(on, _)| *on)
    .map(|(_, flag)| *flag)
    .collect();
    if !flags.is_empty() {
        writer.out.push_str(&format!("(?{flags})"));
    }
    if options.anchored {
        writer.out.push_str("\\A(?:");
    }
    writer.all();
    if options.anchored {
        writer.out.push(')');
    }
    writer.out
}

struct Writer<'a> {
    bytes: &'a [u8],
    at: usize,
    out: String,
    options: Options,
}

impl Writer<'_> {
    fn peek(&self, ahead: usize) -> Option<u8> {
        self.bytes.get(self.at + ahead).copied()
    }

    fn take(&mut self) -> Option<u8> {
        let byte = self.peek(0)?;
        self.at += 1;
        Some(byte)
    }

    fn all(&mut self) {
        while let Some(byte) = self.take() {
            match byte {
                b'\\' => self.escape(false),
                b'[' => self.class(),
                b'$' if self.options.multi_line => self.out.push('$'),
                b'$' if self.options.dollar_end => self.out.push_str("\\z"),
                // At the end, or before a line end that is the end.
                b'$' if self.at == self.bytes.len() => self.out.push_str("(?:\\n?\\z)"),
                b'$' => self.out.push_str("(?=\\n?\\z)"),
                b'{' if !self.is_repetition() => self.out.push_str("\\{"),
                b'{' => {
                    self.out.push('{');
                    while let Some(byte) = self.take() {
                        self.out.push(char::from(byte));
                        if byte == b'}' {
                            break;
                        }
                    }
                }
                b'}' => self.out.push_str("\\}"),
                b']' => self.out.push_str("\\]"),
                b'(' if self.bytes.get(self.at..).is_some_and(|rest| rest.starts_with(b"?#")) => {
                    while self.take().is_some_and(|byte| byte != b')') {}
                }
                byte => self.literal(byte),
            }
        }
    }

    /// Whether what follows a `{` says how often.
    fn is_repetition(&self) -> bool {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let Some(end) = rest.iter().position(|byte| *byte == b'}') else { return false };
        let inside = rest.get(..end).unwrap_or_default();
        let mut parts = inside.splitn(2, |byte| *byte == b',');
        let is_number = |part: &[u8]| part.iter().all(u8::is_ascii_digit);
        let first = parts.next().unwrap_or_default();
        !first.is_empty() && is_number(first) && parts.next().is_none_or(is_number)
    }

    fn literal(&mut self, byte: u8) {
        if byte.is_ascii() {
            self.out.push(char::from(byte));
        } else {
            self.hex(byte);
        }
    }

    fn hex(&mut self, byte: u8) {
        self.out.push_str(&format!("\\x{byte:02X}"));
    }

    /// What follows a backslash.
    fn escape(&mut self, in_class: bool) {
        let Some(byte) = self.take() else {
            self.out.push_str("\\\\");
            return;
        };
        match byte {
            b'x' => {
                let number = self.hex_number();
                self.hex(number);
            }
            b'0' => {
                let number = self.octal(0);
                self.hex(number);
            }
            b'1'..=b'7' if in_class || self.is_octal(byte) => {
                let number = self.octal(byte - b'0');
                self.hex(number);
            }
            b'e' => self.hex(0x1b),
            b'a' => self.hex(0x07),
            b'f' => self.hex(0x0c),
            b'c' => {
                let control = self.take().unwrap_or(b'@').to_ascii_uppercase() ^ 0x40;
                self.hex(control);
            }
            b'v' if in_class => self.out.push_str("\\x0A-\\x0D\\x85"),
            b'v' => self.out.push_str("[\\x0A-\\x0D\\x85]"),
            b'h' if in_class => self.out.push_str("\\t\\x20\\xA0"),
            b'h' => self.out.push_str("[\\t\\x20\\xA0]"),
            b'H' if !in_class => self.out.push_str("[^\\t\\x20\\xA0]"),
            b'V' if !in_class => self.out.push_str("[^\\x0A-\\x0D\\x85]"),
            b'R' if !in_class => self.out.push_str("(?>\\r\\n|[\\x0A-\\x0D\\x85])"),
            b'N' if !in_class => self.out.push_str("[^\\n]"),
            b'Z' if !in_class => self.out.push_str("(?=\\n?\\z)"),
            b'b' if in_class => self.hex(0x08),
            b'Q' => self.quoted(),
            b'E' => {}
            b'n' | b'r' | b't' | b'd' | b'D' | b'w' | b'W' | b's' | b'S' => {
                self.out.push('\\');
                self.out.push(char::from(byte));
            }
            b'b' | b'B' | b'A' | b'z' | b'G' | b'K' | b'k' | b'g' | b'1'..=b'9' | b'p' | b'P'
                if !in_class =>
            {
                self.out.push('\\');
                self.out.push(char::from(byte));
            }
            byte if byte.is_ascii_alphanumeric() => self.out.push(char::from(byte)),
            byte => self.hex(byte),
        }
    }

    /// `\Q` up to `\E`.
    fn quoted(&mut self) {
        while let Some(byte) = self.take() {
            if byte == b'\\' && self.peek(0) == Some(b'E') {
                self.at += 1;
                return;
            }
            self.hex(byte);
        }
    }

    /// Up to two digits, or any number of them in braces.
    fn hex_number(&mut self) -> u8 {
        let braced = self.peek(0) == Some(b'{');
        if braced {
            self.at += 1;
        }
        let mut number = 0u8;
        let mut digits = 0;
        while let Some(digit) = self.peek(0).and_then(|byte| char::from(byte).to_digit(16))
            && (braced || digits < 2)
        {
            number = number.wrapping_shl(4) | digit as u8;
            digits += 1;
            self.at += 1;
        }
        if braced && self.peek(0) == Some(b'}') {
            self.at += 1;
        }
        number
    }

    /// Whether digits that begin with this one are a character, not a group.
    fn is_octal(&self, first: u8) -> bool {
        let digit = |ahead| self.peek(ahead).filter(|byte| (b'0'..=b'7').contains(byte));
        first <= b'3' && digit(0).is_some() && digit(1).is_some()
    }

    fn octal(&mut self, first: u8) -> u8 {
        let mut number = first;
        for _ in 0..2 {
            match self.peek(0) {
                Some(byte @ b'0'..=b'7') => {
                    number = number.wrapping_mul(8).wrapping_add(byte - b'0');
                    self.at += 1;
                }
                _ => break,
            }
        }
        number
    }

    /// A class, behind its `[`.
    fn class(&mut self) {
        self.out.push('[');
        if self.peek(0) == Some(b'^') {
            self.at += 1;
            self.out.push('^');
        }
        if self.peek(0) == Some(b']') {
            self.at += 1;
            self.out.push_str("\\]");
        }
        while let Some(byte) = self.take() {
            match byte {
                b']' => {
                    self.out.push(']');
                    return;
                }
                b'\\' => {
                    let is_set = self.peek(0).is_some_and(|byte| b"dDwWsShv".contains(&byte));
                    self.escape(true);
                    // `[\w-.]`: no range can begin with a set.
                    if is_set && self.peek(0) == Some(b'-') {
                        self.at += 1;
                        self.out.push_str("\\-");
                    }
                }
                b'[' if self.peek(0) == Some(b':') && self.posix() => {}
                b'[' | b'&' | b'~' | b' ' | b'#' => self.hex(byte),
                b'-' => {
                    // A hyphen at an end, or before a set, stands for itself.
                    let next = self.peek(0);
                    let before_set = next == Some(b'\\')
                        && self.peek(1).is_some_and(|byte| b"dDwWsShv".contains(&byte));
                    let at_start = self.out.ends_with('[') || self.out.ends_with("[^");
                    if next == Some(b']') || at_start || before_set {
                        self.out.push_str("\\-");
                    } else {
                        self.out.push('-');
                        if self.peek(0) == Some(b'-') {
                            self.at += 1;
                            self.out.push_str("\\-");
                        }
                    }
                }
                byte => self.literal(byte),
            }
        }
    }

    /// `[:alpha:]` and its like, behind the inner `[`.
    fn posix(&mut self) -> bool {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let Some(end) = rest.windows(2).position(|pair| pair == b":]") else { return false };
        let Some(name) = rest.get(1..end) else { return false };
        if !name.iter().all(|byte| byte.is_ascii_lowercase() || *byte == b'^') {
            return false;
        }
        self.out.push('[');
        let whole = rest.get(..end + 2).unwrap_or_default();
        self.out.extend(whole.iter().map(|byte| char::from(*byte)));
        self.at += end + 2;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(pattern: &str) -> String {
        translate(pattern, Options::default())
    }

    #[test]
    fn what_the_engine_reads_differently_is_rewritten() {
        assert_eq!(plain(r"\x2f\x4\xm"), r"\x2F\x04\x00m");
        assert_eq!(plain(r"a{,5}{x"), r"a\{,5\}\{x");
        assert_eq!(plain("a{2,5}b{3}"), "a{2,5}b{3}");
        assert_eq!(plain(r"[\w-.]+[[a]"), r"[\w\-.]+[\x5Ba]");
        assert_eq!(plain(r"[^]a]"), r"[^\]a]");
        assert_eq!(plain(r"[[:alpha:]\d]"), r"[[:alpha:]\d]");
        assert_eq!(plain(r"\/\_\i"), r"\x2F\x5Fi");
        assert_eq!(plain("a$"), r"a(?:\n?\z)");
        assert_eq!(plain(r"\0\012(a)\1"), r"\x00\x0A(a)\1");
        assert_eq!(plain(r"\Qa.b\Ec"), r"\x61\x2E\x62c");
        assert_eq!(plain("é"), r"\xC3\xA9");
        assert_eq!(plain("(?#remark)a"), "a");
        let options = Options { nocase: true, dot_all: true, ..Options::default() };
        assert_eq!(translate("a", options), "(?is)a");
    }
}
