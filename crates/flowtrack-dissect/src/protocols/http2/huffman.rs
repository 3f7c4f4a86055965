//! The Huffman code of HPACK (RFC 7541 section 5.2 and appendix B).
//!
//! The code is canonical: how long the code of each byte is says what it is, so the lengths alone
//! are kept and the tables to decode by are made of them when compiling.

/// Bits of each byte's code; the last is of the end of a string.
const LENGTHS: [u8; 257] = [
    13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 30, 28,
    28, 28, 28, 28, 28, 28, 28, 28, 6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6, 5, 5,
    5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10, 13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7,
    7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6, 15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6,
    6, 5, 6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28, 20, 22, 20, 20, 22, 22, 22, 23, 22,
    23, 23, 23, 23, 23, 24, 23, 24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24, 22,
    21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23, 21, 21, 22, 21, 23, 22, 23, 23, 20,
    22, 22, 22, 23, 22, 22, 23, 26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25, 19,
    21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27, 20, 24, 20, 21, 22, 21, 21, 23, 22,
    22, 25, 25, 24, 24, 26, 23, 26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26, 30,
];

/// Longest code.
const LONGEST: usize = 30;
/// The end of a string, which no string may hold.
const END: u16 = 256;
/// Bits that are looked up at once.
const QUICK: u32 = 8;

/// What the codes are.
struct Code {
    /// The bytes, by length of their code and then by value.
    symbols: [u16; 257],
    /// Of each length: its first code, and where its symbols begin.
    first: [(u32, u16); LONGEST + 1],
    /// How many codes each length has.
    count: [u16; LONGEST + 1],
    /// The byte and the length of the code that [`QUICK`] bits begin with; 0 where it is longer.
    quick: [(u8, u8); 1 << QUICK],
}

static CODE: Code = Code::new();

impl Code {
    #[allow(clippy::indexing_slicing, reason = "it is evaluated when compiling")]
    const fn new() -> Self {
        let mut it = Self {
            symbols: [0; 257],
            first: [(0, 0); LONGEST + 1],
            count: [0; LONGEST + 1],
            quick: [(0, 0); 1 << QUICK],
        };
        let (mut code, mut placed, mut length) = (0_u32, 0_usize, 1_usize);
        while length <= LONGEST {
            code <<= 1;
            it.first[length] = (code, placed as u16);
            let mut symbol = 0;
            while symbol < LENGTHS.len() {
                if LENGTHS[symbol] as usize == length {
                    it.symbols[placed] = symbol as u16;
                    it.count[length] += 1;
                    if length <= QUICK as usize {
                        let spare = QUICK - length as u32;
                        let mut at = 0;
                        while at < 1 << spare {
                            let bits = (code << spare | at) as usize;
                            it.quick[bits] = (symbol as u8, length as u8);
                            at += 1;
                        }
                    }
                    placed += 1;
                    code += 1;
                }
                symbol += 1;
            }
            length += 1;
        }
        it
    }

    /// The symbol at the front of `bits`, of which `have` count, and how long its code is.
    fn next(&self, bits: u64, have: u32) -> Option<(u16, u32)> {
        let top = (bits >> (64 - QUICK)) as usize;
        let &(symbol, length) = self.quick.get(top)?;
        if length > 0 {
            let length = u32::from(length);
            return (length <= have).then_some((u16::from(symbol), length));
        }
        for length in QUICK + 1..=have.min(LONGEST as u32) {
            let code = (bits >> (64 - length)) as u32;
            let &(first, at) = self.first.get(length as usize)?;
            let place = code.checked_sub(first)?;
            if place < u32::from(*self.count.get(length as usize)?) {
                let symbol = self.symbols.get(usize::from(at) + place as usize)?;
                return Some((*symbol, length));
            }
        }
        None
    }
}

/// Appends what `bytes` stand for; `None` where they are not of this code.
pub(super) fn decode(bytes: &[u8], text: &mut Vec<u8>) -> Option<()> {
    let mut rest = bytes.iter();
    let (mut bits, mut have) = (0_u64, 0_u32);
    loop {
        while have <= 56
            && let Some(&byte) = rest.next()
        {
            bits |= u64::from(byte) << (56 - have);
            have += 8;
        }
        match CODE.next(bits, have) {
            Some((END, _)) => return None,
            Some((symbol, length)) => {
                text.push(symbol as u8);
                bits <<= length;
                have -= length;
            }
            // What is left is less than a byte, and the beginning of the end: ones.
            None => {
                let is_padding = have < 8 && (have == 0 || bits >> (64 - have) == (1 << have) - 1);
                return is_padding.then_some(());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(bytes: &[u8]) -> Option<Vec<u8>> {
        let mut text = Vec::new();
        decode(bytes, &mut text).map(|()| text)
    }

    #[test]
    fn the_code_is_complete() {
        // Kraft's equality: the codes fill the tree, so no length can be wrong alone.
        let filled: u64 = LENGTHS.iter().map(|&n| 1 << (LONGEST - usize::from(n))).sum();
        assert_eq!(filled, 1 << LONGEST);
        // Codes of appendix B: of a space, of a backslash, of byte 10 and of the end.
        let code = |symbol: u16| {
            let length = usize::from(LENGTHS[usize::from(symbol)]);
            let (first, at) = CODE.first[length];
            let place = CODE.symbols[usize::from(at)..].iter().position(|&s| s == symbol).unwrap();
            first + place as u32
        };
        assert_eq!(
            [code(b' '.into()), code(b'\\'.into()), code(10), code(END), code(255)],
            [0x14, 0x7_fff0, 0x3fff_fffc, 0x3fff_ffff, 0x3ff_ffee]
        );
    }

    #[test]
    fn strings_are_decoded() {
        // RFC 7541 appendix C.4.1 and C.6.1.
        let host = [0xf1, 0xe3, 0xc2, 0xe5, 0xf2, 0x3a, 0x6b, 0xa0, 0xab, 0x90, 0xf4, 0xff];
        assert_eq!(decoded(&host).unwrap(), b"www.example.com");
        let date = [
            0xd0, 0x7a, 0xbe, 0x94, 0x10, 0x54, 0xd4, 0x44, 0xa8, 0x20, 0x05, 0x95, 0x04, 0x0b,
            0x81, 0x66, 0xe0, 0x82, 0xa6, 0x2d, 0x1b, 0xff,
        ];
        assert_eq!(decoded(&date).unwrap(), b"Mon, 21 Oct 2013 20:13:21 GMT");
        assert_eq!(decoded(b"").unwrap(), b"");
    }

    #[test]
    fn what_is_no_string_is_refused() {
        // Padding of a whole byte, padding of zeros, and the end itself.
        assert_eq!(decoded(&[0x1f, 0xff]), None);
        assert_eq!(decoded(&[0x18]), None);
        assert_eq!(decoded(&[0xff, 0xff, 0xff, 0xff]), None);
    }
}
