//! How rare bytes are in what travels.

/// How common a byte is, 0 the rarest, as a rough guess over text protocols, binary protocols and
/// compressed data. What is searched for by its rarest byte is found with few false starts.
#[inline]
pub(crate) fn commonness(byte: u8) -> u8 {
    TABLE.get(usize::from(byte)).copied().unwrap_or(0)
}

/// It is asked for every byte of many thousand patterns at the start.
static TABLE: [u8; 256] = {
    let mut table = [0; 256];
    let mut rest: &mut [u8] = &mut table;
    let mut byte = 0;
    while let Some((first, behind)) = rest.split_first_mut() {
        *first = guess(byte);
        byte = byte.wrapping_add(1);
        rest = behind;
    }
    table
};

const fn guess(byte: u8) -> u8 {
    match byte {
        0 => 255,
        b' ' => 245,
        b'e' | b't' | b'a' | b'o' | b'i' | b'n' | b's' | b'r' => 230,
        b'\r' | b'\n' => 225,
        b'l' | b'd' | b'c' | b'h' | b'p' | b'm' | b'u' => 215,
        b'0' | b'1' | b'/' | b'.' | b'-' | b'=' | b'"' | b':' => 205,
        b'f' | b'g' | b'w' | b'b' | b'y' | b'v' => 190,
        b'2'..=b'9' => 180,
        b'E' | b'T' | b'A' | b'O' | b'I' | b'N' | b'S' | b'R' | b'C' | b'P' | 0xff | 1 => 170,
        b'<' | b'>' | b';' | b',' | b'_' | b'&' | b'?' | b'%' | b'(' | b')' => 160,
        b'k' | b'x' | b'L' | b'D' | b'H' | b'M' | b'U' | b'F' | b'G' | b'B' => 150,
        2..=8 => 130,
        b'W' | b'V' | b'K' | b'X' | b'Y' | b'j' | b'q' | b'z' => 110,
        b'J' | b'Q' | b'Z' | b'{' | b'}' | b'[' | b']' | b'\'' | b'+' | b'*' => 90,
        9 | 0x0b..=0x0c | 0x0e..=0x1f => 80,
        b'!' | b'#' | b'$' | b'@' | b'\\' | b'|' | b'^' | b'`' | b'~' | 0x7f => 70,
        0x80..=0xfe => 75,
    }
}

#[cfg(test)]
mod tests {
    use super::commonness;

    #[test]
    fn letters_are_more_common_than_signs() {
        assert!(commonness(b'e') > commonness(b'q'));
        assert!(commonness(0) > commonness(0x90));
    }
}
