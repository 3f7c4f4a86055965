//! Reading numbers at fixed places of a slice that may be too short.

/// The big-endian 16-bit number at `at`.
#[inline]
pub(crate) fn be16(data: &[u8], at: usize) -> Option<u16> {
    chunk(data, at).map(u16::from_be_bytes)
}

/// The big-endian 32-bit number at `at`.
#[inline]
pub(crate) fn be32(data: &[u8], at: usize) -> Option<u32> {
    chunk(data, at).map(u32::from_be_bytes)
}

/// The `N` bytes at `at`.
#[inline]
pub(crate) fn chunk<const N: usize>(data: &[u8], at: usize) -> Option<[u8; N]> {
    data.get(at..)?.first_chunk::<N>().copied()
}

/// The first `len` bytes, or all where there are fewer.
#[inline]
pub(crate) fn at_most(data: &[u8], len: usize) -> &[u8] {
    data.get(..len).unwrap_or(data)
}

/// What follows the first `len` bytes, or nothing where there are fewer.
#[inline]
pub(crate) fn behind(data: &[u8], len: usize) -> &[u8] {
    data.get(len..).unwrap_or_default()
}
