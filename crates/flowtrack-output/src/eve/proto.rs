//! IP protocols by the names that EVE gives them.

use flowtrack_event::IpProto;

/// The name of an IP protocol, or its number in three digits where it has none.
pub(crate) fn proto_name(proto: IpProto, digits: &mut [u8; 3]) -> &str {
    match NAMES.binary_search_by_key(&proto.0, |&(number, _)| number) {
        Ok(at) => NAMES[at].1,
        Err(_) => {
            *digits = [b'0' + proto.0 / 100, b'0' + proto.0 / 10 % 10, b'0' + proto.0 % 10];
            std::str::from_utf8(digits).expect("decimal digits are UTF-8")
        }
    }
}

/// By number (IANA "Assigned Internet Protocol Numbers").
const NAMES: &[(u8, &str)] = &[
    (0, "HOPOPT"),
    (1, "ICMP"),
    (2, "IGMP"),
    (3, "GGP"),
    (4, "IP-in-IP"),
    (5, "ST"),
    (6, "TCP"),
    (7, "CBT"),
    (8, "EGP"),
    (9, "IGP"),
    (10, "BBN-RCC-MON"),
    (11, "NVP-II"),
    (12, "PUP"),
    (13, "ARGUS"),
    (14, "EMCON"),
    (15, "XNET"),
    (16, "CHAOS"),
    (17, "UDP"),
    (18, "MUX"),
    (19, "DCN-MEAS"),
    (20, "HMP"),
    (21, "PRM"),
    (22, "XNS-IDP"),
    (27, "RDP"),
    (28, "IRTP"),
    (29, "ISO-TP4"),
    (30, "NETBLT"),
    (33, "DCCP"),
    (35, "IDPR"),
    (36, "XTP"),
    (37, "DDP"),
    (38, "IDPR-CMTP"),
    (39, "TP++"),
    (40, "IL"),
    (41, "IPv6"),
    (42, "SDRP"),
    (43, "IPv6-Route"),
    (44, "IPv6-Frag"),
    (45, "IDRP"),
    (46, "RSVP"),
    (47, "GRE"),
    (48, "DSR"),
    (49, "BNA"),
    (50, "ESP"),
    (51, "AH"),
    (52, "I-NLSP"),
    (54, "NARP"),
    (55, "MOBILE"),
    (56, "TLSP"),
    (57, "SKIP"),
    (58, "IPv6-ICMP"),
    (59, "IPv6-NoNxt"),
    (60, "IPv6-Opts"),
    (62, "CFTP"),
    (73, "CPHB"),
    (80, "ISO-IP"),
    (81, "VMTP"),
    (83, "VINES"),
    (88, "EIGRP"),
    (89, "OSPF"),
    (90, "Sprite-RPC"),
    (92, "MTP"),
    (93, "AX.25"),
    (94, "IPIP"),
    (97, "ETHERIP"),
    (98, "ENCAP"),
    (102, "PNNI"),
    (103, "PIM"),
    (105, "SCPS"),
    (106, "QNX"),
    (108, "IPComp"),
    (109, "SNP"),
    (112, "VRRP"),
    (113, "PGM"),
    (115, "L2TP"),
    (118, "STP"),
    (121, "SMP"),
    (123, "PTP"),
    (124, "ISIS"),
    (132, "SCTP"),
    (133, "FC"),
    (134, "RSVP-E2E-IGNORE"),
    (135, "Mobility"),
    (136, "UDPLite"),
    (137, "MPLS-in-IP"),
    (138, "MANET"),
    (139, "HIP"),
    (140, "Shim6"),
    (141, "WESP"),
    (142, "ROHC"),
    (143, "Ethernet"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_or_numbers_every_protocol() {
        assert!(NAMES.is_sorted_by_key(|&(number, _)| number));
        let name = |number| proto_name(IpProto(number), &mut [0; 3]).to_owned();
        assert_eq!([6, 58, 132, 253, 25].map(name), ["TCP", "IPv6-ICMP", "SCTP", "253", "025"]);
    }
}
