//! What is done with text.

/// White space as C's `isspace` has it.
pub(super) const fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | 9..=13)
}

/// Keeps the first of white space that stands together.
pub(super) fn compress_whitespace(bytes: &mut Vec<u8>) {
    let mut before = false;
    bytes.retain(|byte| {
        let keep = !(is_space(*byte) && before);
        before = is_space(*byte);
        keep
    });
}

/// Resolves `%41` and `+`; what is neither stays.
pub(super) fn url_decode(bytes: &mut Vec<u8>) {
    let digit = |byte: Option<&u8>| byte.and_then(|byte| char::from(*byte).to_digit(16));
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        at += 1;
        match (byte, digit(bytes.get(at)), digit(bytes.get(at + 1))) {
            (b'%', Some(high), Some(low)) => {
                out.push((high << 4 | low) as u8);
                at += 2;
            }
            (b'+', ..) => out.push(b' '),
            _ => out.push(byte),
        }
    }
    *bytes = out;
}

/// Small letters in the names of fields, up to the colon of each line.
pub(super) fn header_lowercase(bytes: &mut Vec<u8>) {
    let mut in_name = true;
    for byte in bytes {
        match *byte {
            b':' => in_name = false,
            b'\n' => in_name = true,
            _ if in_name => byte.make_ascii_lowercase(),
            _ => {}
        }
    }
}

/// Leaves out lines that begin with a colon.
pub(super) fn strip_pseudo_headers(bytes: &mut Vec<u8>) {
    let kept: Vec<u8> = bytes
        .split_inclusive(|byte| *byte == b'\n')
        .filter(|line| line.first() != Some(&b':'))
        .flatten()
        .copied()
        .collect();
    *bytes = kept;
}

/// Second levels under which countries register names.
const SECOND_LEVELS: &[&[u8]] = &[
    b"ac", b"co", b"com", b"edu", b"go", b"gob", b"gov", b"gub", b"ltd", b"mil", b"net", b"ne",
    b"nom", b"or", b"org", b"plc", b"sch",
];

/// Where the public part of a name begins.
fn public_part(name: &[u8]) -> usize {
    let dots: Vec<usize> = memchr::memrchr_iter(b'.', name).take(2).collect();
    let Some(last) = dots.first() else { return 0 };
    let top = name.len() - last - 1;
    let second_from = dots.get(1).map_or(0, |dot| dot + 1);
    let second = name.get(second_from..*last).unwrap_or_default();
    if top == 2 && SECOND_LEVELS.contains(&second) { second_from } else { last + 1 }
}

/// The public part of a name.
pub(super) fn top_level(name: &mut Vec<u8>) {
    let from = public_part(name);
    if from > 0 {
        name.drain(..from);
    }
}

/// The public part of a name and one label before it.
pub(super) fn domain(name: &mut Vec<u8>) {
    let public = public_part(name);
    let before = name.get(..public.saturating_sub(1)).unwrap_or_default();
    let from = memchr::memrchr(b'.', before).map_or(0, |dot| dot + 1);
    name.drain(..from);
}
