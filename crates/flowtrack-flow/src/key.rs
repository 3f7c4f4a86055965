//! Which flow a packet belongs to: its key, the same for both directions, and its hash.

use crate::At;
use ahash::RandomState;
use flowtrack_event::{Direction, FlowKey, IpProto, Vlans};
use flowtrack_wire::{Icmp, Ip, Network, Packet, Transport, quoted_key};
use std::hash::{BuildHasher, Hasher};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Random numbers that make hashes unpredictable; the pure crates cannot roll dice themselves.
#[derive(Clone, Copy, Debug)]
pub struct Seed(pub [u64; 4]);

/// The key of one packet, with its hash; computed once and carried along.
#[derive(Clone, Copy, Debug)]
pub struct PacketKey {
    pub(crate) hash: u32,
    pub(crate) key: Key,
    /// Which end of [`Key`] sent this packet.
    pub(crate) sender: End,
    pub(crate) purpose: Purpose,
}

/// What the packet wants of the flow it is looked up for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Purpose {
    /// Belongs to it, and begins it where there is none.
    Belong,
    /// An ICMPv4 message that says the flow's packet could not be delivered: it counts on that
    /// flow, and begins none.
    Quote,
    /// An ICMPv4 error of another type: noted on the flow, counted nowhere.
    Note,
}

/// One of the two ends of a flow, in the order of [`Key`]; says nothing of who began.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) enum End {
    #[default]
    Low,
    High,
}

impl End {
    pub(crate) const fn other(self) -> Self {
        match self {
            Self::Low => Self::High,
            Self::High => Self::Low,
        }
    }
}

/// Addresses, ports, protocol and place, with the ends in an order that does not depend on the
/// direction of the packet.
#[derive(Clone, Copy, Eq, Debug, Default)]
pub(crate) struct Key {
    /// Both addresses; an IPv4 pair fills only the first word.
    addrs: [u64; 4],
    /// Low port, high port, protocol, IP version and tunnel depth, interface.
    meta: u64,
    /// Tags of 12 bits each, with their number above.
    vlans: u64,
}

impl PartialEq for Key {
    /// Without a branch per word, and without calling `memcmp` for six of them.
    #[inline]
    fn eq(&self, other: &Self) -> bool {
        let [a, b, c, d] = self.addrs;
        let [e, f, g, h] = other.addrs;
        let differ = (a ^ e) | (b ^ f) | (c ^ g) | (d ^ h);
        differ | (self.meta ^ other.meta) | (self.vlans ^ other.vlans) == 0
    }
}

/// An end of a conversation before it is put in order: address and port.
type Endpoint<Addr> = (Addr, u16);

impl Key {
    pub(crate) const fn proto(&self) -> IpProto {
        IpProto((self.meta >> 32) as u8)
    }

    const fn is_v4(&self) -> bool {
        self.meta >> 40 & 1 == 0
    }

    /// Address and port of one end; for ICMP the port is not one.
    pub(crate) fn end(&self, end: End) -> (IpAddr, u16) {
        let [a, b, c, d] = self.addrs;
        let port = match end {
            End::Low => self.meta as u16,
            End::High => (self.meta >> 16) as u16,
        };
        let addr = match (self.is_v4(), end) {
            (true, End::Low) => Ipv4Addr::from((a >> 32) as u32).into(),
            (true, End::High) => Ipv4Addr::from(a as u32).into(),
            (false, End::Low) => Ipv6Addr::from(u128::from(a) << 64 | u128::from(b)).into(),
            (false, End::High) => Ipv6Addr::from(u128::from(c) << 64 | u128::from(d)).into(),
        };
        (addr, port)
    }

    /// The key as the rest of the program knows it, seen from `originator`.
    pub(crate) fn flow_key(&self, originator: End) -> FlowKey {
        let (src, src_port) = self.end(originator);
        let (dst, dst_port) = self.end(originator.other());
        FlowKey { src, dst, src_port, dst_port, proto: self.proto() }
    }
}

/// Makes keys; holds what decides when two packets are of one flow.
#[derive(Clone, Debug)]
pub(crate) struct Keys {
    hasher: RandomState,
    use_vlan: bool,
    use_interface: bool,
}

impl Keys {
    pub(crate) fn new(seed: Seed, use_vlan: bool, use_interface: bool) -> Self {
        let [a, b, c, d] = seed.0;
        Self { hasher: RandomState::with_seeds(a, b, c, d), use_vlan, use_interface }
    }

    /// Puts the key of a packet into `slot`; `None` where it belongs to no flow.
    #[inline]
    pub(crate) fn of(&self, packet: &Packet<'_>, at: &At, slot: &mut Option<PacketKey>) {
        *slot = None;
        let Network::Ip(ip) = &packet.network else { return };
        if packet.malformed {
            return;
        }
        let proto = ip.proto;
        let (src_port, dst_port, ordered) = match packet.transport {
            Transport::Tcp(tcp) => (tcp.src, tcp.dst, true),
            Transport::Udp(ports) | Transport::Sctp(ports) => (ports.src, ports.dst, true),
            Transport::Icmp(icmp) => {
                if ip.src.is_ipv4() && is_icmp4_error(icmp.kind) {
                    self.of_error(ip, &icmp, packet.vlans, at, slot);
                    return;
                }
                let (src, dst) = icmp_ports(ip.src.is_ipv4(), icmp.kind, icmp.code);
                (src, dst, true)
            }
            // ESP knows no way back: each direction has a security parameter index of its own.
            Transport::Other if proto == IpProto::ESP => {
                let Some(&[a, b, c, d]) = ip.payload.first_chunk() else { return };
                (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]), false)
            }
            Transport::Other => (0, 0, true),
            Transport::None => return,
        };
        let (src, dst) = ((ip.src, src_port), (ip.dst, dst_port));
        self.join(src, dst, (proto, ordered), packet.vlans, at, slot);
    }

    /// The key of the flow whose packet an ICMP error quotes; the sender is that of the quoted
    /// packet.
    #[cold]
    pub(crate) fn of_quote(&self, quoted: &[u8], vlans: Vlans, at: &At) -> Option<PacketKey> {
        let FlowKey { src, dst, src_port, dst_port, proto } = quoted_key(quoted)?;
        let [kind, code] = src_port.to_be_bytes();
        let (src_port, dst_port) = match proto {
            IpProto::ICMP => icmp_ports(true, kind, code),
            IpProto::ICMPV6 => icmp_ports(false, kind, code),
            _ => (src_port, dst_port),
        };
        let mut key = None;
        self.join((src, src_port), (dst, dst_port), (proto, true), vlans, at, &mut key);
        Some(PacketKey { purpose: Purpose::Note, ..key? })
    }

    /// The key of an ICMPv4 error.
    #[cold]
    fn of_error(
        &self,
        ip: &Ip<'_>,
        icmp: &Icmp<'_>,
        vlans: Vlans,
        at: &At,
        slot: &mut Option<PacketKey>,
    ) {
        let Some(mut key) = icmp.quoted.and_then(|quoted| self.of_quote(quoted, vlans, at)) else {
            // A key that no packet has.
            let key = Key { meta: u64::MAX, ..Key::default() };
            let sender = End::Low;
            *slot = Some(PacketKey { hash: 0, key, sender, purpose: Purpose::Note });
            return;
        };
        if icmp.kind == ICMP4_UNREACHABLE && matches!(key.key.proto(), IpProto::TCP | IpProto::UDP)
        {
            key.purpose = Purpose::Quote;
        }
        // A message of the flow's own end goes that end's way; one of a router goes back to the
        // sender of the packet it quotes.
        if key.key.end(key.sender).0 != ip.src {
            key.sender = key.sender.other();
        }
        *slot = Some(key);
    }

    /// Puts both ends in order. The key is written where it is to stay, since a key that was just
    /// written and is moved at once keeps the processor waiting.
    #[inline]
    fn join(
        &self,
        (src, src_port): Endpoint<IpAddr>,
        (dst, dst_port): Endpoint<IpAddr>,
        (proto, ordered): (IpProto, bool),
        vlans: Vlans,
        at: &At,
        slot: &mut Option<PacketKey>,
    ) {
        // Seven bits of depth: tunnels are followed far less deep.
        let mut meta = u64::from(at.depth & 0x7f) << 41 | u64::from(proto.0) << 32;
        if self.use_interface {
            meta |= u64::from(at.iface.0) << 48;
        }
        let (sender, addrs, ports) = match (src, dst) {
            (IpAddr::V4(src), IpAddr::V4(dst)) => {
                let (src, dst) = ((u32::from(src), src_port), (u32::from(dst), dst_port));
                let (sender, low, high) = in_order(src, dst, ordered);
                let addrs = [u64::from(low.0) << 32 | u64::from(high.0), 0, 0, 0];
                (sender, addrs, (low.1, high.1))
            }
            (IpAddr::V6(src), IpAddr::V6(dst)) => {
                let (src, dst) = ((u128::from(src), src_port), (u128::from(dst), dst_port));
                let (sender, low, high) = in_order(src, dst, ordered);
                let words = |addr: u128| ((addr >> 64) as u64, addr as u64);
                let ((a, b), (c, d)) = (words(low.0), words(high.0));
                meta |= 1 << 40;
                (sender, [a, b, c, d], (low.1, high.1))
            }
            _ => return,
        };
        meta |= u64::from(ports.1) << 16 | u64::from(ports.0);
        let vlans = if self.use_vlan { pack_vlans(vlans) } else { 0 };
        let key = Key { addrs, meta, vlans };
        *slot = Some(PacketKey { hash: self.hash(&key), key, sender, purpose: Purpose::Belong });
    }

    /// The hash that the index wants.
    #[inline]
    pub(crate) fn hash(&self, key: &Key) -> u32 {
        let mut hasher = self.hasher.build_hasher();
        let [a, b, c, d] = key.addrs;
        hasher.write_u128(u128::from(a) << 64 | u128::from(key.meta));
        if !key.is_v4() {
            hasher.write_u128(u128::from(b) << 64 | u128::from(c));
            hasher.write_u64(d);
        }
        if key.vlans != 0 {
            hasher.write_u64(key.vlans);
        }
        (hasher.finish() >> 32) as u32
    }
}

/// Twelve bits for each tag, with their number above.
pub(crate) fn pack_vlans(vlans: Vlans) -> u64 {
    let ids = vlans.as_slice();
    if ids.is_empty() {
        return 0;
    }
    let tags = ids.iter().fold(0, |sum, &id| sum << 12 | u64::from(id & 0x0fff));
    tags | (ids.len() as u64) << 36
}

/// What [`pack_vlans`] made.
pub(crate) fn unpack_vlans(packed: u64) -> Vlans {
    let mut vlans = Vlans::default();
    for i in (0..packed >> 36 & 3).rev() {
        vlans.push((packed >> (12 * i)) as u16 & 0x0fff);
    }
    vlans
}

/// Which way a packet of `sender` goes, where `originator` began.
pub(crate) const fn direction(sender: End, originator: End) -> Direction {
    match (sender, originator) {
        (End::Low, End::Low) | (End::High, End::High) => Direction::ToServer,
        _ => Direction::ToClient,
    }
}

#[inline]
fn in_order<A: Ord + Copy>(
    src: Endpoint<A>,
    dst: Endpoint<A>,
    ordered: bool,
) -> (End, Endpoint<A>, Endpoint<A>) {
    if !ordered || src <= dst { (End::Low, src, dst) } else { (End::High, dst, src) }
}

const ICMP4_UNREACHABLE: u8 = 3;

/// Whether an ICMPv4 message reports an error: unreachable, quench, redirect, time exceeded,
/// parameter problem.
const fn is_icmp4_error(kind: u8) -> bool {
    matches!(kind, 3 | 4 | 5 | 11 | 12)
}

/// What stands in for the ports of an ICMP message: its type, and the type that answers it, so
/// that request and reply are each other's way back. ICMPv6 tells codes apart as well.
fn icmp_ports(v4: bool, kind: u8, code: u8) -> (u16, u16) {
    let answer = icmp_answer(v4, kind).unwrap_or(0);
    if v4 {
        (u16::from(kind), u16::from(answer))
    } else {
        (u16::from(kind) << 8 | u16::from(code), u16::from(answer) << 8)
    }
}

/// The type that answers `kind`, or that it answers.
const fn icmp_answer(v4: bool, kind: u8) -> Option<u8> {
    Some(match (v4, kind) {
        (true, 8) => 0,
        (true, 0) => 8,
        (true, 13) => 14,
        (true, 14) => 13,
        (true, 15) => 16,
        (true, 16) => 15,
        (true, 10) => 9,
        (true, 9) => 10,
        (true, 17) => 18,
        (true, 18) => 17,
        (false, 128) => 129,
        (false, 129) => 128,
        (false, 133) => 134,
        (false, 134) => 133,
        (false, 135) => 136,
        (false, 136) => 135,
        (false, 130) => 131,
        (false, 131) => 130,
        (false, 144) => 145,
        (false, 145) => 144,
        (false, 139) => 140,
        (false, 140) => 139,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    fn join(
        keys: &Keys,
        src: Endpoint<IpAddr>,
        dst: Endpoint<IpAddr>,
        how: (IpProto, bool),
        vlans: Vlans,
        at: &At,
    ) -> PacketKey {
        let mut key = None;
        keys.join(src, dst, how, vlans, at, &mut key);
        key.unwrap()
    }

    fn hash(seed: [u64; 4], src_port: u16) -> u32 {
        let keys = Keys::new(Seed(seed), true, false);
        let (src, dst) = (IpAddr::from([10, 0, 0, 1]), IpAddr::from([10, 0, 0, 2]));
        let at = At::default();
        join(&keys, (src, src_port), (dst, 80), (IpProto::TCP, true), Vlans::default(), &at).hash
    }

    #[test]
    fn hashes_depend_on_the_seed() {
        let all: HashSet<u32> = (0..100)
            .flat_map(|port| [hash([1, 2, 3, 4], port), hash([1, 2, 3, 5], port)])
            .collect();
        assert!(all.len() > 195, "{}", all.len());
    }

    #[test]
    fn tags_survive_packing() {
        for tags in [&[][..], &[0], &[4095], &[0, 0], &[1, 2], &[4095, 0, 7]] {
            let mut vlans = Vlans::default();
            for &tag in tags {
                vlans.push(tag);
            }
            assert_eq!(unpack_vlans(pack_vlans(vlans)).as_slice(), tags);
        }
    }

    #[test]
    fn keys_give_back_what_they_were_made_of() {
        let keys = Keys::new(Seed([1; 4]), true, false);
        for (src, dst) in [("10.0.0.9", "10.0.0.1"), ("fe80::9", "fe80::1"), ("::1", "::1")] {
            let (src, dst): (IpAddr, IpAddr) = (src.parse().unwrap(), dst.parse().unwrap());
            let (vlans, at) = (Vlans::default(), At::default());
            let there = join(&keys, (src, 7), (dst, 9), (IpProto::UDP, true), vlans, &at);
            let back = join(&keys, (dst, 9), (src, 7), (IpProto::UDP, true), vlans, &at);
            assert_eq!(there.key, back.key);
            assert_eq!(there.sender, back.sender.other());
            let flow = there.key.flow_key(there.sender);
            assert_eq!((flow.src, flow.src_port, flow.dst, flow.dst_port), (src, 7, dst, 9));
        }
    }
}
