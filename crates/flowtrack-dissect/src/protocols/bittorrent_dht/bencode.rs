//! Bencoding (BEP 3): texts, numbers, lists and dictionaries, read in place and without recursion.

/// Values of one message that are passed over.
const STEPS_CAP: usize = 4096;
/// Depth to which lists and dictionaries nest.
const DEPTH_CAP: usize = 16;

/// A value; of a list or dictionary all bytes between its first and its last.
#[derive(Clone, Copy, Debug)]
pub enum Value<'a> {
    Text(&'a [u8]),
    Number(u64),
    List(&'a [u8]),
    Dictionary(&'a [u8]),
}

/// A dictionary.
#[derive(Clone, Copy, Debug)]
pub struct Dictionary<'a>(&'a [u8]);

impl<'a> Dictionary<'a> {
    /// The dictionary that `bytes` begin with.
    pub fn read(bytes: &'a [u8]) -> Option<Self> {
        match value(bytes)?.0 {
            Value::Dictionary(inner) => Some(Self(inner)),
            _ => None,
        }
    }

    fn get(&self, key: &[u8]) -> Option<Value<'a>> {
        let mut entries = Values(self.0);
        while let (Some(Value::Text(found)), Some(value)) = (entries.next(), entries.next()) {
            if found == key {
                return Some(value);
            }
        }
        None
    }

    pub fn text(&self, key: &[u8]) -> Option<&'a [u8]> {
        match self.get(key)? {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    pub fn number(&self, key: &[u8]) -> Option<u64> {
        match self.get(key)? {
            Value::Number(number) => Some(number),
            _ => None,
        }
    }

    pub fn dictionary(&self, key: &[u8]) -> Option<Self> {
        match self.get(key)? {
            Value::Dictionary(inner) => Some(Self(inner)),
            _ => None,
        }
    }

    pub fn list(&self, key: &[u8]) -> Option<Values<'a>> {
        match self.get(key)? {
            Value::List(inner) => Some(Values(inner)),
            _ => None,
        }
    }
}

/// Values behind each other.
#[derive(Default, Debug)]
pub struct Values<'a>(&'a [u8]);

impl<'a> Iterator for Values<'a> {
    type Item = Value<'a>;

    fn next(&mut self) -> Option<Value<'a>> {
        let (value, rest) = value(self.0)?;
        self.0 = rest;
        Some(value)
    }
}

/// The first value, and what stands behind it.
fn value(bytes: &[u8]) -> Option<(Value<'_>, &[u8])> {
    let (&first, inner) = bytes.split_first()?;
    if !matches!(first, b'l' | b'd') {
        return plain(bytes);
    }
    let mut rest = inner;
    let mut depth = 1;
    for _ in 0..STEPS_CAP {
        let (&next, after) = rest.split_first()?;
        match next {
            b'e' => {
                depth -= 1;
                if depth == 0 {
                    let inside = inner.get(..inner.len() - rest.len())?;
                    let value = match first {
                        b'l' => Value::List(inside),
                        _ => Value::Dictionary(inside),
                    };
                    return Some((value, after));
                }
                rest = after;
            }
            b'l' | b'd' => {
                depth += 1;
                if depth > DEPTH_CAP {
                    return None;
                }
                rest = after;
            }
            _ => rest = plain(rest)?.1,
        }
    }
    None
}

/// A text or a number.
fn plain(bytes: &[u8]) -> Option<(Value<'_>, &[u8])> {
    if let Some(rest) = bytes.strip_prefix(b"i") {
        let (number, rest) = digits(rest, b'e')?;
        return Some((Value::Number(number), rest));
    }
    let (length, rest) = digits(bytes, b':')?;
    let (text, rest) = rest.split_at_checked(usize::try_from(length).ok()?)?;
    Some((Value::Text(text), rest))
}

/// A decimal number up to a delimiter, and what stands behind that.
fn digits(bytes: &[u8], delimiter: u8) -> Option<(u64, &[u8])> {
    let at = bytes.iter().take(20).position(|&b| b == delimiter).filter(|&at| at > 0)?;
    let (digits, rest) = bytes.split_at_checked(at)?;
    let mut number: u64 = 0;
    for digit in digits {
        let digit = digit.checked_sub(b'0').filter(|&d| d < 10)?;
        number = number.checked_mul(10)?.checked_add(u64::from(digit))?;
    }
    Some((number, rest.get(1..)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_found_by_their_keys() {
        let all = Dictionary::read(b"d1:ad2:idi7ee1:lli1e2:abe1:x0:e").unwrap();
        assert_eq!(all.dictionary(b"a").unwrap().number(b"id"), Some(7));
        assert_eq!(all.list(b"l").unwrap().count(), 2);
        assert_eq!(all.text(b"x"), Some(&b""[..]));
        assert!(all.text(b"nothing").is_none());
    }

    #[test]
    fn nesting_and_lengths_are_bounded() {
        assert!(Dictionary::read(&[b'd'; 1000]).is_none());
        assert!(Dictionary::read(b"d99999999999999999999:e").is_none());
        assert!(Dictionary::read(b"d3:ab").is_none());
    }
}
