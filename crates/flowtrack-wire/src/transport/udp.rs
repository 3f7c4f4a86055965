//! UDP (RFC 768) and the tunnels that are known by their port.

use crate::{
    anomaly::DecodeAnomaly,
    bytes::at_most,
    decode::Decoder,
    packet::{Ports, Transport},
    tunnel,
};

/// Length of a UDP header.
const HEADER: usize = 8;

/// The longest payload that the length field can tell.
const MAX_LEN: usize = 0xffff;

impl<'a> Decoder<'a, '_> {
    /// A UDP header, and a tunnel behind it.
    #[inline]
    pub(crate) fn udp(&mut self, data: &'a [u8]) {
        self.stats.udp += 1;
        let Some((&[s0, s1, d0, d1, l0, l1, _, _], rest)) = data.split_first_chunk::<HEADER>()
        else {
            return self.unreadable(DecodeAnomaly::UdpHlenTooSmall);
        };
        let whole = data.len() + self.cut;
        let len = match usize::from(u16::from_be_bytes([l0, l1])) {
            // A jumbogram (RFC 2675).
            0 if whole > MAX_LEN => whole,
            told => told,
        };
        if len < HEADER {
            return self.broken(DecodeAnomaly::UdpLenInvalid);
        }
        if len > whole {
            return self.broken(DecodeAnomaly::UdpPktTooSmall);
        }
        let payload = at_most(rest, len - HEADER);
        let ports = Ports { src: u16::from_be_bytes([s0, s1]), dst: u16::from_be_bytes([d0, d1]) };
        self.cut = len - HEADER - payload.len();
        self.packet.transport = Transport::Udp(ports);
        self.packet.payload = payload;
        self.packet.payload_wire_len = (len - HEADER) as u32;
        if tunnel::may_be_tunnel(ports) {
            self.udp_tunnel(ports, payload);
        }
    }
}
