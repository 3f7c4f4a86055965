//! TCP (RFC 9293) and its options.

use crate::{
    anomaly::DecodeAnomaly,
    bytes::behind,
    decode::Decoder,
    packet::{Tcp, Transport},
};

/// Length of a TCP header without options.
const HEADER: usize = 20;

/// Option kinds (IANA "TCP Option Kind Numbers").
const END: u8 = 0;
const NO_OPERATION: u8 = 1;
const MSS: u8 = 2;
const WINDOW_SCALE: u8 = 3;
const SACK_PERMITTED: u8 = 4;
const SACK: u8 = 5;
const TIMESTAMPS: u8 = 8;
const FAST_OPEN: u8 = 34;

/// How nearly every segment's options begin, and are: two fillers, then time stamps.
const USUAL: [u8; 4] = [NO_OPERATION, NO_OPERATION, TIMESTAMPS, 10];

/// One TCP option.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TcpOption<'a> {
    /// Maximum segment size.
    Mss(u16),
    /// Shift of the window.
    WindowScale(u8),
    /// Selective acknowledgement permitted.
    SackPermitted,
    /// Selective acknowledgement.
    Sack(SackBlocks<'a>),
    /// Time stamps (RFC 7323).
    Timestamps {
        /// Clock of the sender.
        value: u32,
        /// Clock of the other side as the sender last saw it.
        echo: u32,
    },
    /// Fast open cookie (RFC 7413); empty where one is asked for.
    FastOpen(&'a [u8]),
    /// Any other, and those above whose length is wrong.
    Other {
        /// Kind.
        kind: u8,
        /// What stands behind kind and length.
        data: &'a [u8],
    },
}

/// The options of a segment in their order, fillers left out; ends at the first that cannot be.
#[derive(Clone, Debug)]
pub struct TcpOptions<'a> {
    rest: &'a [u8],
}

/// Selectively acknowledged blocks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SackBlocks<'a>(&'a [u8]);

impl<'a> Tcp<'a> {
    /// The options one by one.
    pub fn options(&self) -> TcpOptions<'a> {
        TcpOptions { rest: self.options }
    }
}

impl<'a> Iterator for TcpOptions<'a> {
    type Item = TcpOption<'a>;

    fn next(&mut self) -> Option<TcpOption<'a>> {
        let (kind, data) = self.next_raw()?.ok()?;
        Some(match (kind, data) {
            (MSS, &[a, b]) => TcpOption::Mss(u16::from_be_bytes([a, b])),
            (WINDOW_SCALE, &[shift]) => TcpOption::WindowScale(shift),
            (SACK_PERMITTED, []) => TcpOption::SackPermitted,
            (SACK, blocks) if is_sack(blocks) => TcpOption::Sack(SackBlocks(blocks)),
            (TIMESTAMPS, &[a, b, c, d, e, f, g, h]) => TcpOption::Timestamps {
                value: u32::from_be_bytes([a, b, c, d]),
                echo: u32::from_be_bytes([e, f, g, h]),
            },
            (FAST_OPEN, cookie) => TcpOption::FastOpen(cookie),
            (kind, data) => TcpOption::Other { kind, data },
        })
    }
}

/// A length that does not fit into the options.
struct WrongLength;

impl<'a> TcpOptions<'a> {
    /// The next kind with its content.
    fn next_raw(&mut self) -> Option<Result<(u8, &'a [u8]), WrongLength>> {
        loop {
            let (&kind, rest) = self.rest.split_first()?;
            match kind {
                END => {
                    self.rest = &[];
                    return None;
                }
                NO_OPERATION => self.rest = rest,
                kind => {
                    let len = rest.first().map_or(0, |len| usize::from(*len));
                    let Some(data) = self.rest.get(2..len) else {
                        self.rest = &[];
                        return Some(Err(WrongLength));
                    };
                    self.rest = behind(self.rest, len);
                    return Some(Ok((kind, data)));
                }
            }
        }
    }
}

impl<'a> SackBlocks<'a> {
    /// The blocks as first and behind-last sequence number.
    pub fn iter(&self) -> impl Iterator<Item = (u32, u32)> + use<'a> {
        self.0.chunks_exact(8).filter_map(|block| {
            let &[a, b, c, d, e, f, g, h] = block.first_chunk::<8>()?;
            Some((u32::from_be_bytes([a, b, c, d]), u32::from_be_bytes([e, f, g, h])))
        })
    }
}

fn is_sack(blocks: &[u8]) -> bool {
    !blocks.is_empty() && blocks.len().is_multiple_of(8)
}

impl<'a> Decoder<'a, '_> {
    /// A TCP header.
    #[inline]
    pub(crate) fn tcp(&mut self, data: &'a [u8]) {
        self.stats.tcp += 1;
        let Some(header) = data.first_chunk::<HEADER>() else {
            return self.unreadable(DecodeAnomaly::TcpPktTooSmall);
        };
        let [s0, s1, d0, d1, q0, q1, q2, q3, a0, a1, a2, a3, offset, flags, w0, w1, _, _, u0, u1] =
            *header;
        let header_len = usize::from(offset >> 4) * 4;
        if header_len < HEADER {
            return self.broken(DecodeAnomaly::TcpHlenTooSmall);
        }
        if !self.fits(header_len, data) {
            return self.broken(DecodeAnomaly::TcpInvalidOptlen);
        }
        let options = match data.get(HEADER..header_len) {
            Some(options) => options,
            None => behind(data, HEADER),
        };
        self.packet.transport = Transport::Tcp(Tcp {
            src: u16::from_be_bytes([s0, s1]),
            dst: u16::from_be_bytes([d0, d1]),
            seq: u32::from_be_bytes([q0, q1, q2, q3]),
            ack: u32::from_be_bytes([a0, a1, a2, a3]),
            flags,
            window: u16::from_be_bytes([w0, w1]),
            urgent: u16::from_be_bytes([u0, u1]),
            options,
        });
        self.packet.payload = behind(data, header_len);
        self.packet.payload_wire_len = (data.len() + self.cut - header_len) as u32;
        let usual = options.len() == 12 && options.starts_with(&USUAL);
        if !options.is_empty() && !usual {
            self.tcp_options(options);
        }
    }

    /// Checks the options.
    #[inline(never)]
    fn tcp_options(&mut self, options: &'a [u8]) {
        let mut seen = 0_u64;
        let mut options = TcpOptions { rest: options };
        while let Some(option) = options.next_raw() {
            let Ok((kind, data)) = option else {
                return self.short_note(DecodeAnomaly::TcpOptInvalidLen);
            };
            let (fits, once) = match kind {
                MSS => (data.len() == 2, true),
                WINDOW_SCALE => (data.len() == 1, true),
                SACK_PERMITTED => (data.is_empty(), true),
                // Without any block it is pointless, and harmless.
                SACK => (data.len().is_multiple_of(8), true),
                TIMESTAMPS => (data.len() == 8, true),
                // No cookie, or 4 to 16 bytes.
                FAST_OPEN => (data.is_empty() || (4..=16).contains(&data.len()), true),
                _ => (true, false),
            };
            if !fits {
                self.note(DecodeAnomaly::TcpOptInvalidLen);
            }
            if once {
                let bit = 1 << kind;
                if seen & bit != 0 {
                    self.note(DecodeAnomaly::TcpOptDuplicate);
                }
                seen |= bit;
            }
        }
    }
}
