//! What hosts of a link say of their addresses: ARP, and neighbour discovery of IPv6.

use flowtrack_event::{Claim, MacAddr, Neighbour, RawPacket};
use flowtrack_wire::{Network, Packet, Transport};
use std::net::{IpAddr, Ipv6Addr};

/// What a frame claims, where it claims anything.
#[inline]
pub(crate) fn neighbour(raw: &RawPacket<'_>, packet: &Packet<'_>) -> Option<Neighbour> {
    match (&packet.network, packet.transport) {
        (Network::Arp(arp), _) => {
            let claim = match arp.operation {
                1 => Claim::ArpRequest,
                2 => Claim::ArpReply,
                _ => return None,
            };
            let said = (arp.sender_mac, arp.sender_ip.into(), arp.target_ip.into());
            Some(claimed(raw, packet, claim, said))
        }
        // From a router away it would be forged (RFC 4861 section 6.1.2 and 7.1.2).
        (Network::Ip(ip), Transport::Icmp(icmp)) if ip.src.is_ipv6() && ip.ttl == 255 => {
            match icmp.kind {
                ROUTER_ADVERTISEMENT => {
                    // Reachable time and retransmission timer stand before the options.
                    let mac = link_address(packet.payload.get(8..)?, SOURCE_LINK_ADDRESS);
                    let mac = mac.or(packet.macs.map(|(source, _)| source))?;
                    Some(claimed(raw, packet, Claim::Router, (mac, ip.src, ip.dst)))
                }
                NEIGHBOUR_ADVERTISEMENT => {
                    let (target, options) = packet.payload.split_first_chunk::<16>()?;
                    let mac = link_address(options, TARGET_LINK_ADDRESS);
                    let mac = mac.or(packet.macs.map(|(source, _)| source))?;
                    let target = IpAddr::from(Ipv6Addr::from(*target));
                    Some(claimed(raw, packet, Claim::Advertisement, (mac, target, ip.dst)))
                }
                _ => None,
            }
        }
        _ => None,
    }
}

/// Says who claims an address with which link-layer address, and to whom.
fn claimed(
    raw: &RawPacket<'_>,
    packet: &Packet<'_>,
    claim: Claim,
    (mac, ip, target): (MacAddr, IpAddr, IpAddr),
) -> Neighbour {
    Neighbour {
        ts: raw.ts,
        iface: raw.iface,
        vlans: packet.vlans,
        claim,
        frame_src: packet.macs.map_or(mac, |(source, _)| source),
        mac,
        ip,
        target,
    }
}

/// The Ethernet address in an option of this type (RFC 4861 section 4.6.1).
fn link_address(mut options: &[u8], wanted: u8) -> Option<MacAddr> {
    // Of eight bytes or a multiple of them; eight kinds are defined, each may stand once.
    for _ in 0..OPTIONS_CAP {
        let (&[kind, units], _) = options.split_first_chunk::<2>()?;
        let length = usize::from(units) * 8;
        if length == 0 {
            return None;
        }
        if kind == wanted && units == 1 {
            return options.get(2..8)?.try_into().ok().map(MacAddr);
        }
        options = options.get(length..)?;
    }
    None
}

const ROUTER_ADVERTISEMENT: u8 = 134;
const NEIGHBOUR_ADVERTISEMENT: u8 = 136;
const SOURCE_LINK_ADDRESS: u8 = 1;
const TARGET_LINK_ADDRESS: u8 = 2;
const OPTIONS_CAP: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;
    use flowtrack_event::{DecoderStats, IfaceId, LinkType, Timestamp};
    use flowtrack_wire::decode_into;

    fn claims(frame: &[u8]) -> Option<Neighbour> {
        let raw = RawPacket {
            ts: Timestamp::from_secs(7),
            iface: IfaceId(0),
            number: 1,
            link: LinkType::ETHERNET,
            wire_len: frame.len() as u32,
            vlan_tci: None,
            data: frame,
        };
        let mut packet = Packet::default();
        decode_into(&raw, &mut DecoderStats::default(), &mut packet);
        neighbour(&raw, &packet)
    }

    const A: [u8; 6] = [2, 0, 0, 0, 0, 0xa];
    const B: [u8; 6] = [2, 0, 0, 0, 0, 0xb];

    fn arp(operation: u8) -> Vec<u8> {
        let head = [0x08, 0x06, 0, 1, 8, 0, 6, 4, 0, operation];
        [&B[..], &A, &head, &A, &[10, 0, 0, 1], &B, &[10, 0, 0, 2]].concat()
    }

    #[test]
    fn arp_says_who_has_an_address() {
        let told = claims(&arp(2)).unwrap();
        assert_eq!((told.claim, told.mac), (Claim::ArpReply, MacAddr(A)));
        assert_eq!((told.ip, told.target), ([10, 0, 0, 1].into(), [10, 0, 0, 2].into()));
        assert_eq!(claims(&arp(1)).unwrap().claim, Claim::ArpRequest);
        assert_eq!(claims(&arp(3)), None);
    }

    /// An ICMPv6 message from `fe80::1` to `ff02::1`.
    fn icmp6(hops: u8, message: &[u8]) -> Vec<u8> {
        let length = u16::try_from(message.len()).unwrap().to_be_bytes();
        let mut source = [0; 16];
        source[0] = 0xfe;
        source[1] = 0x80;
        source[15] = 1;
        let mut group = [0; 16];
        group[0] = 0xff;
        group[1] = 2;
        group[15] = 1;
        let ip = [&[0x60, 0, 0, 0][..], &length, &[58, hops], &source, &group].concat();
        [&B[..], &A, &[0x86, 0xdd], &ip, message].concat()
    }

    #[test]
    fn neighbours_and_routers_of_ipv6_are_told() {
        let mut target = [0; 16];
        target[0] = 0x20;
        target[15] = 9;
        let options = [&[14, 1, 0, 0, 0, 0, 0, 0, 2, 1][..], &B].concat();
        let advertisement = [&[136, 0, 0, 0, 0x60, 0, 0, 0][..], &target, &options].concat();
        let told = claims(&icmp6(255, &advertisement)).unwrap();
        assert_eq!((told.claim, told.mac), (Claim::Advertisement, MacAddr(B)));
        assert_eq!((told.ip, told.frame_src), (target.into(), MacAddr(A)));
        assert_eq!(claims(&icmp6(64, &advertisement)), None, "it came over a router");

        let router = [&[134, 0, 0, 0, 64, 0, 7, 8][..], &[0; 8], &[1, 1], &B].concat();
        let told = claims(&icmp6(255, &router)).unwrap();
        assert_eq!((told.claim, told.mac), (Claim::Router, MacAddr(B)));
        // Options that have no end, or say that they are of no length.
        let cut = [&[134, 0, 0, 0, 64, 0, 7, 8][..], &[0; 8], &[5, 0, 1]].concat();
        assert_eq!(claims(&icmp6(255, &cut)).unwrap().mac, MacAddr(A));
    }
}
