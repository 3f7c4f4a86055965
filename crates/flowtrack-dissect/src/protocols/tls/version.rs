//! Versions of SSL, TLS and DTLS, and the values that stand for none (GREASE).

use std::borrow::Cow;

/// SSL 2.0.
pub const SSL_2: u16 = 0x0002;
/// SSL 3.0.
pub const SSL_3: u16 = 0x0300;
/// TLS 1.0.
pub const TLS_1_0: u16 = 0x0301;
/// TLS 1.1.
pub const TLS_1_1: u16 = 0x0302;
/// TLS 1.2.
pub const TLS_1_2: u16 = 0x0303;
/// TLS 1.3.
pub const TLS_1_3: u16 = 0x0304;
/// What was DTLS before its standard, which some VPNs still speak.
pub const DTLS_OLD: u16 = 0x0100;
/// DTLS 1.0.
pub const DTLS_1_0: u16 = 0xfeff;
/// DTLS 1.2.
pub const DTLS_1_2: u16 = 0xfefd;
/// DTLS 1.3.
pub const DTLS_1_3: u16 = 0xfefc;

/// The drafts of TLS 1.3 are this and their number, those of its largest user that and their
/// number.
const DRAFT: u8 = 0x7f;
const DRAFT_FACEBOOK: u8 = 0x7e;

/// The name that logs give a version.
pub fn name(version: u16) -> Cow<'static, str> {
    Cow::Borrowed(match version {
        0 => "UNDETERMINED",
        SSL_2 => "SSLv2",
        SSL_3 => "SSLv3",
        TLS_1_0 => "TLSv1",
        TLS_1_1 => "TLS 1.1",
        TLS_1_2 => "TLS 1.2",
        TLS_1_3 => "TLS 1.3",
        DTLS_OLD => "DTLS 0.9",
        DTLS_1_0 => "DTLS 1.0",
        DTLS_1_2 => "DTLS 1.2",
        DTLS_1_3 => "DTLS 1.3",
        0x7f01 => "TLS 1.3 draft-<16",
        _ => {
            let [family, draft] = version.to_be_bytes();
            return Cow::Owned(match (family, draft) {
                (DRAFT, 16..=28) => format!("TLS 1.3 draft-{draft}"),
                (DRAFT_FACEBOOK, 20..=28) => format!("TLS 1.3 draft-{draft}-fb"),
                _ => format!("0x{version:04x}"),
            });
        }
    })
}

/// Whether it is TLS or DTLS 1.3 or one of its drafts, which encrypt what follows the hellos.
pub const fn is_1_3(version: u16) -> bool {
    matches!(version, TLS_1_3 | DTLS_1_3) || is_draft(version)
}

const fn is_draft(version: u16) -> bool {
    let [family, _] = version.to_be_bytes();
    matches!(family, DRAFT | DRAFT_FACEBOOK)
}

/// Whether it is a draft that put its number into the legacy field.
pub const fn is_old_draft(legacy_version: u16) -> bool {
    is_draft(legacy_version)
}

/// Orders versions from old to new; 0 for numbers that are no version, which some clients offer
/// for tests of their own.
pub const fn age(version: u16) -> u32 {
    const DRAFTS: u32 = 100;
    const FINAL: u32 = 1000;
    match version {
        SSL_2 => 1,
        SSL_3..=TLS_1_2 => 2 + (version - SSL_3) as u32,
        // Those of DTLS count downwards.
        DTLS_OLD | DTLS_1_0 => 2,
        DTLS_1_2 => 3,
        TLS_1_3 | DTLS_1_3 => FINAL,
        _ => match version.to_be_bytes() {
            // Those before were hardly in use.
            [DRAFT, draft @ 18..=28] => DRAFTS + draft as u32,
            _ => 0,
        },
    }
}

/// Whether a value stands for none, sent to keep others tolerant (RFC 8701).
pub const fn is_grease(value: u16) -> bool {
    let [high, low] = value.to_be_bytes();
    high == low && low & 0x0f == 0x0a
}
