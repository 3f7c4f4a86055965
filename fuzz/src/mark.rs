//! The two bytes by which an input names a protocol.

/// A hash of its name, so that inputs keep their meaning when protocols are added.
pub fn mark(name: &str) -> [u8; 2] {
    let hash = name
        .bytes()
        .fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    ((hash >> 16) as u16 ^ hash as u16).to_be_bytes()
}
