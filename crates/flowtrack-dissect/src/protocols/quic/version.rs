//! Versions of QUIC: the standards, their drafts, and Google's own before them.

/// QUIC 1 (RFC 9000).
pub const V1: u32 = 1;
/// QUIC 2 (RFC 9369).
pub const V2: u32 = 0x6b33_43cf;
/// The draft of QUIC 2.
pub const V2_DRAFT: u32 = 0x709a_50c4;

/// Drafts are this and their number.
const DRAFT: u32 = 0xff00_0000;
/// Google's versions are `Q` or `T` and three digits.
const GOOGLE_Q: u8 = b'Q';
const GOOGLE_T: u8 = b'T';

/// The number of Google's version.
pub fn google(version: u32) -> Option<u16> {
    match version.to_be_bytes() {
        [GOOGLE_Q | GOOGLE_T, b'0', tens @ b'0'..=b'9', ones @ b'0'..=b'9'] => {
            Some(u16::from(tens - b'0') * 10 + u16::from(ones - b'0'))
        }
        _ => None,
    }
}

/// The number of the draft, or of the draft that a version is built upon.
pub fn draft(version: u32) -> Option<u8> {
    match version {
        0xff00_000a..=0xff00_0022 => Some((version - DRAFT) as u8),
        // Facebook's mvfst, and picoquic.
        0xface_b001 => Some(22),
        0xface_b002 | 0xface_b00e | 0xface_b00f | 0xface_b010 | 0x5043_5130 => Some(27),
        0xface_b011 | 0xface_b013 => Some(29),
        _ => None,
    }
}

/// Whether it is one that a client sends to make the server name its own (RFC 9000 section 15).
pub const fn is_reserved(version: u32) -> bool {
    version & 0x0f0f_0f0f == 0x0a0a_0a0a
}

/// Versions whose keys a client's first packet may have, likeliest first. One that is reserved has
/// none of its own: clients take those of a version that they mean to speak.
pub fn keyed_as(version: &u32) -> &[u32] {
    /// The newest version, and the drafts that were deployed for long.
    const SPOKEN: [u32; 3] = [V1, DRAFT + 29, DRAFT + 27];
    if is_reserved(*version) { &SPOKEN } else { std::slice::from_ref(version) }
}

/// Whether its packets can be told from those of other protocols.
pub fn is_known(version: u32) -> bool {
    matches!(version, V1 | V2 | V2_DRAFT)
        || google(version).is_some()
        || draft(version).is_some()
        || is_reserved(version)
}

/// The name that logs give a version.
pub fn name(version: u32) -> String {
    if google(version).is_some() {
        version.to_be_bytes().iter().copied().map(char::from).collect()
    } else {
        format!("{version:x}")
    }
}

/// The name that people give it.
pub fn title(version: u32) -> String {
    match (version, draft(version)) {
        (0, _) => "version negotiation".into(),
        (V2, _) => "2".into(),
        (0xff00_0000.., Some(draft)) => format!("draft-{draft}"),
        _ => name(version),
    }
}

/// What the keys of Initial packets are made from.
#[derive(Clone, Copy, Debug)]
pub struct Recipe {
    /// The salt of the secret.
    pub salt: [u8; 20],
    /// Labels of key, initialisation vector and header protection key.
    pub labels: [&'static [u8]; 3],
}

/// How the Initial packets of a version are protected; `None` where they are not, or not known.
pub fn recipe(version: u32) -> Option<Recipe> {
    const LABELS: [&[u8]; 3] = [b"quic key", b"quic iv", b"quic hp"];
    const LABELS_2: [&[u8]; 3] = [b"quicv2 key", b"quicv2 iv", b"quicv2 hp"];
    let salt = match version {
        V2 => return Some(Recipe { salt: SALT_V2, labels: LABELS_2 }),
        V2_DRAFT => return Some(Recipe { salt: SALT_V2_DRAFT, labels: LABELS_2 }),
        V1 => SALT_V1,
        0x5130_3530 => SALT_Q050,
        0x5430_3530 => SALT_T050,
        0x5430_3531 => SALT_T051,
        _ if is_reserved(version) => SALT_V1,
        _ => match draft(version)? {
            10..=16 => SALT_DRAFT_10,
            17..=20 => SALT_DRAFT_17,
            21 | 22 => SALT_DRAFT_21,
            23..=28 => SALT_DRAFT_23,
            29..=32 => SALT_DRAFT_29,
            33 | 34 => SALT_V1,
            _ => return None,
        },
    };
    Some(Recipe { salt, labels: LABELS })
}

/// Bytes written as hexadecimal digits.
const fn salt(digits: &str) -> [u8; 20] {
    const fn value(digit: u8) -> u8 {
        if digit >= b'a' { digit - b'a' + 10 } else { digit - b'0' }
    }
    let (pairs, _) = digits.as_bytes().as_chunks::<2>();
    let mut bytes = [0; 20];
    let mut rest: &[[u8; 2]] = pairs;
    let mut to: &mut [u8] = &mut bytes;
    while let ([[high, low], after @ ..], [byte, behind @ ..]) = (rest, to) {
        *byte = value(*high) << 4 | value(*low);
        rest = after;
        to = behind;
    }
    bytes
}

/// RFC 9001 section 5.2.
const SALT_V1: [u8; 20] = salt("38762cf7f55934b34d179ae6a4c80cadccbb7f0a");
/// RFC 9369 section 3.3.1.
const SALT_V2: [u8; 20] = salt("0dede3def700a6db819381be6e269dcbf9bd2ed9");
const SALT_V2_DRAFT: [u8; 20] = salt("a707c203a59b47184a1d62ca570406ea7ae3e5d3");
const SALT_DRAFT_29: [u8; 20] = salt("afbfec289993d24c9e9786f19c6111e04390a899");
const SALT_DRAFT_23: [u8; 20] = salt("c3eef712c72ebb5a11a7d2432bb46365bef9f502");
const SALT_DRAFT_21: [u8; 20] = salt("7fbcdb0e7c66bbe92a96cd21519ebd7a021a5c7a");
const SALT_DRAFT_17: [u8; 20] = salt("ef4fb0abb47470c41befcf8031334fae485e09a0");
const SALT_DRAFT_10: [u8; 20] = salt("9c108f98520a5c5c32968e950e8a2c5fe06d6c38");
const SALT_Q050: [u8; 20] = salt("504574efd066fe2f9d945cfcdbd3a7f0d3b56b45");
const SALT_T050: [u8; 20] = salt("7ff579e5acd072915580304c43a2367c60488310");
const SALT_T051: [u8; 20] = salt("7a4edef4e7ccee5fa4506c19124fc8ccda6e033d");
