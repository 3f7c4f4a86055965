//! ARP (RFC 826).

use crate::{
    anomaly::DecodeAnomaly,
    bytes::{be16, chunk},
    decode::{Decoder, Next},
    ethertype,
    packet::{Arp, Network},
};
use flowtrack_event::MacAddr;
use std::net::Ipv4Addr;

/// Hardware type of Ethernet.
const HARDWARE_ETHERNET: u16 = 1;

/// The largest operation that somebody defined (RFC 5494).
const LAST_OPERATION: u16 = 25;

impl<'a> Decoder<'a, '_> {
    /// An ARP message; one that is not IPv4 over Ethernet is only named.
    pub(crate) fn arp(&mut self, data: &'a [u8]) -> Next<'a> {
        self.stats.arp += 1;
        self.network_begins(data);
        self.no_network(Some(ethertype::ARP));
        let Some(&[h0, h1, p0, p1, hardware_len, protocol_len, o0, o1]) = data.first_chunk::<8>()
        else {
            self.short(DecodeAnomaly::ArpPktTooSmall);
            return Next::End;
        };
        let operation = u16::from_be_bytes([o0, o1]);
        let wrong = if u16::from_be_bytes([h0, h1]) != HARDWARE_ETHERNET {
            Some(DecodeAnomaly::ArpUnsupportedHardware)
        } else if u16::from_be_bytes([p0, p1]) != ethertype::IPV4 {
            Some(DecodeAnomaly::ArpUnsupportedProtocol)
        } else if hardware_len != 6 {
            Some(DecodeAnomaly::ArpInvalidHardwareSize)
        } else if protocol_len != 4 {
            Some(DecodeAnomaly::ArpInvalidProtocolSize)
        } else {
            None
        };
        if let Some(anomaly) = wrong {
            self.note(anomaly);
            return Next::End;
        }
        let Some(arp) = ethernet_ipv4(data) else {
            self.short(DecodeAnomaly::ArpPktTooSmall);
            return Next::End;
        };
        if !(1..=LAST_OPERATION).contains(&operation) {
            self.note(DecodeAnomaly::ArpUnsupportedOpcode);
        }
        self.packet.network = Network::Arp(arp);
        Next::End
    }
}

fn ethernet_ipv4(data: &[u8]) -> Option<Arp> {
    Some(Arp {
        operation: be16(data, 6)?,
        sender_mac: MacAddr(chunk(data, 8)?),
        sender_ip: Ipv4Addr::from(chunk::<4>(data, 14)?),
        target_mac: MacAddr(chunk(data, 18)?),
        target_ip: Ipv4Addr::from(chunk::<4>(data, 24)?),
    })
}
