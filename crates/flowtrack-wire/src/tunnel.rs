//! Tunnels: packets that carry packets.

mod erspan;
mod gre;
mod teredo;
mod vxlan;

use crate::{decode::Decoder, packet::Ports};

/// UDP ports of tunnels: Teredo (RFC 4380), VXLAN (RFC 7348; Linux used 8472 before), its generic
/// extension, GENEVE (RFC 8926).
const TEREDO: u16 = 3544;
const VXLAN: u16 = 4789;
const VXLAN_GPE: u16 = 4790;
const GENEVE: u16 = 6081;
const VXLAN_LINUX: u16 = 8472;

/// Whether the ports are worth a closer look.
#[inline]
pub(crate) const fn may_be_tunnel(ports: Ports) -> bool {
    matches!(ports.dst, TEREDO | VXLAN | VXLAN_GPE | GENEVE | VXLAN_LINUX) || ports.src == TEREDO
}

impl<'a> Decoder<'a, '_> {
    /// A tunnel in UDP, known by its port and only where the payload agrees.
    #[inline(never)]
    pub(crate) fn udp_tunnel(&mut self, ports: Ports, payload: &'a [u8]) {
        match ports.dst {
            VXLAN | VXLAN_LINUX | VXLAN_GPE => self.vxlan(payload),
            GENEVE => self.geneve(payload),
            _ => self.teredo(payload),
        }
    }
}
