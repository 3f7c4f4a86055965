//! A piece of one direction of a stream.

/// Bytes in the order in which the end host reads them, or a hole that never arrived.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Chunk<'a> {
    /// The next bytes.
    Bytes(&'a [u8]),
    /// So many bytes were never seen; what follows comes after them.
    Gap(u64),
}
