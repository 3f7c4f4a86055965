//! SCTP (RFC 9260): the common header, and whether the chunks behind it can be.

use crate::{
    anomaly::DecodeAnomaly,
    bytes::{be16, behind},
    decode::Decoder,
    packet::{Ports, Transport},
};

/// Length of the common header.
const HEADER: usize = 12;

/// Length of a chunk header.
const CHUNK_HEADER: usize = 4;

/// Length of the header of a chunk of data.
const DATA_HEADER: usize = 16;

/// Chunks that are checked in one packet.
const MAX_CHUNKS: usize = 64;

/// Chunk types.
const DATA: u8 = 0;
const INIT: u8 = 1;
const INTERLEAVED_DATA: u8 = 64;

/// The data of the first of these chunks that has any.
pub(crate) fn user_data(mut chunks: &[u8]) -> Option<&[u8]> {
    for _ in 0..MAX_CHUNKS {
        let kind = *chunks.first()?;
        let len = usize::from(be16(chunks, 2)?);
        if kind == DATA {
            return chunks.get(DATA_HEADER..len.min(chunks.len()));
        }
        if len < CHUNK_HEADER {
            return None;
        }
        chunks = behind(chunks, len.next_multiple_of(4));
    }
    None
}

impl<'a> Decoder<'a, '_> {
    /// An SCTP packet.
    pub(crate) fn sctp(&mut self, data: &'a [u8]) {
        self.stats.sctp += 1;
        let Some((&[s0, s1, d0, d1, tag @ .., _, _, _, _], chunks)) =
            data.split_first_chunk::<HEADER>()
        else {
            return self.unreadable(DecodeAnomaly::SctpPktTooSmall);
        };
        self.packet.transport = Transport::Sctp(Ports {
            src: u16::from_be_bytes([s0, s1]),
            dst: u16::from_be_bytes([d0, d1]),
        });
        self.packet.payload = chunks;
        self.packet.payload_wire_len = (chunks.len() + self.cut) as u32;
        self.sctp_chunks(tag == [0; 4], chunks);
    }

    fn sctp_chunks(&mut self, zero_tag: bool, mut chunks: &[u8]) {
        let mut count = 0;
        let mut has_init = false;
        while let Some(&kind) = chunks.first() {
            if count == MAX_CHUNKS {
                return self.note(DecodeAnomaly::SctpTooManyChunks);
            }
            count += 1;
            let Some(len) = be16(chunks, 2) else {
                return self.short_note(DecodeAnomaly::SctpChunkTooSmall);
            };
            let len = usize::from(len);
            if len < CHUNK_HEADER || !self.fits(len, chunks) {
                return self.note(DecodeAnomaly::SctpChunkLenInvalid);
            }
            match kind {
                DATA | INTERLEAVED_DATA if zero_tag => {
                    self.note(DecodeAnomaly::SctpDataWithZeroVtag);
                }
                INIT => {
                    has_init = true;
                    if !zero_tag {
                        self.note(DecodeAnomaly::SctpInitWithNonZeroVtag);
                    }
                }
                _ => {}
            }
            chunks = behind(chunks, len.next_multiple_of(4));
        }
        if has_init && count > 1 {
            self.note(DecodeAnomaly::SctpInitChunkBundled);
        }
    }
}
