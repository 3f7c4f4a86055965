//! From the bytes of a frame to a [`Packet`]: the entry points and the walk over link layers.

use crate::{
    anomaly::DecodeAnomaly,
    ethertype,
    ip::Version,
    packet::{Inner, Network, Packet},
};
use flowtrack_event::{DecoderStats, LinkType, MacAddr, RawPacket, Vlans};

/// Headers below IP that are followed in one packet.
const MAX_LINK_LAYERS: usize = 16;

/// Bytes that memory loads at once.
const CACHE_LINE: usize = 64;

/// Bytes that a capture is believed to have cut from a frame; bounds what a wrong wire length does.
const MAX_CUT: usize = 1 << 24;

/// Reads the headers of a captured frame.
pub fn decode<'a>(raw: &RawPacket<'a>, stats: &mut DecoderStats) -> Packet<'a> {
    let mut packet = Packet::default();
    decode_into(raw, stats, &mut packet);
    packet
}

/// [`decode`] into a packet that is used again, which spares moving it.
pub fn decode_into<'a>(raw: &RawPacket<'a>, stats: &mut DecoderStats, packet: &mut Packet<'a>) {
    packet.reset(raw.data.len());
    stats.pkts += 1;
    stats.bytes += u64::from(packet.len);
    stats.max_pkt_size = stats.max_pkt_size.max(u64::from(packet.len));
    if let Some(tci) = raw.vlan_tci {
        stats.vlan += 1;
        packet.vlans.push(tci);
    }
    Decoder::new(packet, stats, raw.data, raw.wire_len).read(raw.link);
}

/// Touches the headers of frames that are decoded next, so that their memory is loaded together
/// instead of one after the other; a hint that changes nothing. The answer means nothing either,
/// it only keeps the loads from being left out.
#[inline]
pub fn preload(frames: &[RawPacket<'_>]) -> u8 {
    let byte = |data: &[u8], at: usize| data.get(at).copied().unwrap_or_default();
    frames.iter().fold(0, |sum, raw| sum ^ byte(raw.data, 0) ^ byte(raw.data, CACHE_LINE))
}

/// Reads the headers of a packet found inside another one, [`Packet::inner`].
///
/// It counts in the rows of its headers, and not as a frame. `outer_vlans` are the tags of the
/// packet that carried it; its own follow them.
pub fn decode_inner<'a>(
    inner: &Inner<'a>,
    outer_vlans: Vlans,
    stats: &mut DecoderStats,
) -> Packet<'a> {
    let mut packet = Packet::default();
    packet.reset(inner.data.len());
    packet.vlans = outer_vlans;
    let raw = stats.raw;
    Decoder::new(&mut packet, stats, inner.data, inner.wire_len).read(inner.link);
    stats.raw = raw;
    packet
}

/// Reads the headers of an IP packet put together from fragments, from its IP header on.
///
/// `link_len`, `macs` and `vlans` are those of a fragment; the packet's length counts the link
/// layer once. The IP header is not counted again in `stats`, what it carries is.
pub fn decode_reassembled<'a>(
    data: &'a [u8],
    link_len: u32,
    macs: Option<(MacAddr, MacAddr)>,
    vlans: Vlans,
    stats: &mut DecoderStats,
) -> Packet<'a> {
    let mut packet = Packet::default();
    packet.reset(data.len());
    packet.macs = macs;
    packet.vlans = vlans;
    let wire_len = packet.len;
    let before = (stats.raw, stats.ipv4, stats.ipv6);
    Decoder::new(&mut packet, stats, data, wire_len).read(LinkType::RAW);
    (stats.raw, stats.ipv4, stats.ipv6) = before;
    packet.len = packet.len.saturating_add(link_len);
    packet.link_len = link_len;
    packet
}

/// Fills one [`Packet`]; each protocol adds its part in its own file.
pub(crate) struct Decoder<'a, 'p> {
    pub(crate) packet: &'p mut Packet<'a>,
    pub(crate) stats: &'p mut DecoderStats,
    /// The whole packet as captured, from its first header on.
    frame: &'a [u8],
    /// Bytes that the capture cut off behind the data being read.
    pub(crate) cut: usize,
    /// Bytes among them that were captured, but lie behind the end that the link layer tells.
    pub(crate) padding: usize,
}

/// What the next header is, and where it begins.
pub(crate) enum Next<'a> {
    /// An Ethernet header.
    Ethernet(&'a [u8]),
    /// Whatever this ethertype says.
    Ethertype(u16, &'a [u8]),
    /// An IEEE 802.2 header.
    Llc(&'a [u8]),
    /// A PPP header, with or without address and control field.
    Ppp(&'a [u8]),
    /// An IP header of either version.
    Ip(&'a [u8]),
    /// Nothing more below the transport layer.
    End,
}

impl<'a, 'p> Decoder<'a, 'p> {
    #[inline]
    fn new(
        packet: &'p mut Packet<'a>,
        stats: &'p mut DecoderStats,
        data: &'a [u8],
        wire_len: u32,
    ) -> Self {
        let cut = (wire_len as usize).saturating_sub(data.len()).min(MAX_CUT);
        Self { packet, stats, frame: data, cut, padding: 0 }
    }

    /// Reads a frame that begins as `link` says, and settles whether it could be read.
    fn read(&mut self, link: LinkType) {
        let found = if link == LinkType::ETHERNET {
            // Nearly every frame has IP right behind the first header.
            match self.ethernet(self.frame) {
                Next::Ethertype(ethertype::IPV4, data) => Some((Version::V4, data)),
                Next::Ethertype(ethertype::IPV6, data) => Some((Version::V6, data)),
                other => self.follow(other),
            }
        } else {
            let first = self.first_header(link, self.frame);
            self.follow(first)
        };
        if let Some((version, data)) = found {
            let payload = match version {
                Version::V4 => self.ipv4(data),
                Version::V6 => self.ipv6(data),
            };
            if let Some(payload) = payload {
                self.ip_payload(payload);
            }
        }
        if self.packet.malformed {
            self.stats.invalid += 1;
        }
    }

    /// Reads headers until there is IP, or nothing that can be read.
    #[inline(never)]
    fn follow(&mut self, mut next: Next<'a>) -> Option<(Version, &'a [u8])> {
        for _ in 0..MAX_LINK_LAYERS {
            next = match next {
                Next::Ethernet(data) => self.ethernet(data),
                Next::Ethertype(ethertype::IPV4, data) => return Some((Version::V4, data)),
                Next::Ethertype(ethertype::IPV6, data) => return Some((Version::V6, data)),
                Next::Ethertype(kind, data) => self.ethertype(kind, data),
                Next::Llc(data) => self.llc(data),
                Next::Ppp(data) => self.ppp(data),
                Next::Ip(data) => self.ip_by_nibble(data),
                Next::End => return None,
            };
        }
        self.stats.too_many_layers += 1;
        None
    }

    /// Raw IP, whose version is known from nothing but itself.
    fn ip_by_nibble(&mut self, data: &'a [u8]) -> Next<'a> {
        match data.first().map(|b| b >> 4) {
            Some(4) => return Next::Ethertype(ethertype::IPV4, data),
            Some(6) => return Next::Ethertype(ethertype::IPV6, data),
            Some(_) => self.fail(DecodeAnomaly::IprawInvalidIpVersion),
            None => self.short(DecodeAnomaly::IprawInvalidIpVersion),
        }
        Next::End
    }

    /// Notes where the network header begins, given what is left of the frame.
    #[inline]
    pub(crate) fn network_begins(&mut self, rest: &[u8]) {
        self.packet.link_len = (self.frame.len() - rest.len().min(self.frame.len())) as u32;
    }

    /// Whether `len` bytes fit into what was on the wire from `data` on.
    #[inline]
    pub(crate) fn fits(&self, len: usize, data: &[u8]) -> bool {
        len <= data.len() + self.cut
    }

    /// Bytes on the wire from `data` on, padding aside.
    #[inline]
    pub(crate) fn whole(&self, data: &[u8]) -> usize {
        data.len() + self.cut.saturating_sub(self.padding)
    }

    /// Notes something odd that does not keep the packet from being used.
    #[cold]
    pub(crate) fn note(&mut self, anomaly: DecodeAnomaly) {
        self.packet.anomalies.push(anomaly);
    }

    /// Notes a header that cannot be read, so that the packet belongs to no flow.
    #[cold]
    pub(crate) fn fail(&mut self, anomaly: DecodeAnomaly) {
        self.packet.malformed = true;
        self.note(anomaly);
    }

    /// A header ends before its time: the sender's fault, unless the capture cut the frame.
    #[cold]
    pub(crate) fn short(&mut self, anomaly: DecodeAnomaly) {
        if self.cut <= self.padding {
            self.fail(anomaly);
        }
    }

    /// Keeps the addresses of the outermost link layer, source first.
    #[inline]
    pub(crate) fn keep_macs(&mut self, src: [u8; 6], dst: [u8; 6]) {
        if self.packet.macs.is_none() {
            self.packet.macs = Some((MacAddr(src), MacAddr(dst)));
        }
    }

    /// Keeps what the packet carries instead of IP.
    pub(crate) fn no_network(&mut self, ethertype: Option<u16>) {
        self.packet.network = Network::None(ethertype);
    }
}
