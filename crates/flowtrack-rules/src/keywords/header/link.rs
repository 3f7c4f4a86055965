//! Headers below IP.

use super::{buffer, number, numbers};
use crate::builder::Keyword;
use flowtrack_wire::{Network, Packet};

/// Ethertypes that the header is put together with.
const IPV4: u16 = 0x0800;
const ARP: u16 = 0x0806;
const VLAN: u16 = 0x8100;
const IPV6: u16 = 0x86dd;

/// Length of an Ethernet header.
const ETHERNET: u32 = 14;

pub(crate) const KEYWORDS: &[Keyword] = &[
    Keyword {
        name: "ether.hdr",
        aliases: &[],
        doc: "The Ethernet header: destination, source, type.",
        example: "alert ether any any -> any any (ether.hdr; content:\"|08 06|\"; offset:12; sid:1;)",
        parse: |builder, value| buffer(builder, value, "ether.hdr", ethernet),
    },
    Keyword {
        name: "vlan.id",
        aliases: &[],
        doc: "Identifiers of the VLAN tags, outermost first; behind a comma, which of them: a \
              place such as `0` or `-1`, `all`, `any`.",
        example: "alert ip any any -> any any (vlan.id:100-200,0; sid:1;)",
        parse: |builder, value| {
            numbers(builder, value, 4095, &|_| None, |packet, out| {
                out.extend(packet.vlans.as_slice().iter().map(|id| u64::from(*id)));
            })
        },
    },
    Keyword {
        name: "vlan.layers",
        aliases: &[],
        doc: "How many VLAN tags there are.",
        example: "alert ip any any -> any any (vlan.layers:>1; sid:1;)",
        parse: |builder, value| {
            number(builder, value, 255, |packet| Some(packet.vlans.as_slice().len() as u64))
        },
    },
];

/// Puts the header together again, for the packet keeps what it says rather than its bytes.
fn ethernet(packet: &Packet<'_>, visit: &mut dyn FnMut(&[u8])) {
    let Some((src, dst)) = packet.macs else { return };
    let kind = match &packet.network {
        _ if !packet.vlans.as_slice().is_empty() => VLAN,
        Network::Ip(ip) if ip.src.is_ipv4() => IPV4,
        Network::Ip(_) => IPV6,
        Network::Arp(_) => ARP,
        Network::None(Some(kind)) => *kind,
        Network::None(None) => return,
    };
    // Linux cooked and wireless captures have addresses without an Ethernet header.
    // How long the header was is known where something decoded follows it.
    let is_followed = !matches!(packet.network, Network::None(_));
    let has_none =
        packet.link_len < ETHERNET || packet.link_len == 16 && packet.vlans.as_slice().is_empty();
    if is_followed && has_none {
        return;
    }
    let mut header = Vec::with_capacity(ETHERNET as usize);
    header.extend_from_slice(&dst.0);
    header.extend_from_slice(&src.0);
    header.extend_from_slice(&kind.to_be_bytes());
    visit(&header);
}
