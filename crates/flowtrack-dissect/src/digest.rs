//! Hashes as the lower-case hexadecimal text that logs carry.

pub use flowtrack_event::hex;
use md5::{Digest, Md5};
use sha1::Sha1;
use sha2::Sha256;

/// MD5 of `bytes`: for fingerprints that are defined by it, not for security.
pub fn md5_hex(bytes: &[u8]) -> String {
    hex(&Md5::digest(bytes))
}

/// SHA-1 of `bytes`.
pub fn sha1_hex(bytes: &[u8]) -> String {
    hex(&Sha1::digest(bytes))
}

/// SHA-256 of `bytes`.
pub fn sha256_hex(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}
