//! What can be wrong with headers, by the names that Suricata's rules and events use.

/// Defines the enum, its names and the list of all of them from one table.
macro_rules! anomalies {
    ($($(#[$doc:meta])* $variant:ident => $name:literal,)*) => {
        /// One thing that is wrong with the headers of a packet.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        #[repr(u8)]
        pub enum DecodeAnomaly { $($(#[$doc])* $variant,)* }

        impl DecodeAnomaly {
            /// Every anomaly, in the order of their names.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The name as rules (`decode-event:`) and EVE write it.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }
        }
    };
}

anomalies! {
    /// ARP for Ethernet with hardware addresses that are not 6 bytes.
    ArpInvalidHardwareSize => "arp.invalid_hardware_size",
    /// ARP for IPv4 with protocol addresses that are not 4 bytes.
    ArpInvalidProtocolSize => "arp.invalid_protocol_size",
    /// ARP message that ends early.
    ArpPktTooSmall => "arp.pkt_too_small",
    /// ARP for a hardware type other than Ethernet.
    ArpUnsupportedHardware => "arp.unsupported_hardware",
    /// ARP operation that nobody defined.
    ArpUnsupportedOpcode => "arp.unsupported_opcode",
    /// ARP for a protocol other than IPv4.
    ArpUnsupportedProtocol => "arp.unsupported_protocol",
    /// Cisco HDLC header that ends early.
    ChdlcPktTooSmall => "chdlc.pkt_too_small",
    /// `FabricPath` tag that ends early.
    DcePktTooSmall => "dce.pkt_too_small",
    /// ERSPAN header that ends early.
    ErspanHeaderTooSmall => "erspan.header_too_small",
    /// ERSPAN version that does not belong to its GRE protocol.
    ErspanUnsupportedVersion => "erspan.unsupported_version",
    /// ESP header that ends early.
    EspPktTooSmall => "esp.pkt_too_small",
    /// 802.1BR tag that ends early.
    EtagHeaderTooSmall => "etag.header_too_small",
    /// Ethernet header that ends early.
    EthernetPktTooSmall => "ethernet.pkt_too_small",
    /// GENEVE header or options that end early.
    GeneveHeaderTooSmall => "geneve.header_too_small",
    /// GENEVE version that nobody defined.
    GeneveUnsupportedVersion => "geneve.unsupported_version",
    /// GRE header that ends early.
    GrePktTooSmall => "gre.pkt_too_small",
    /// Reserved flags of GRE version 0 are set.
    GreVersion0Flags => "gre.version0_flags",
    /// GRE version 0 header longer than its packet.
    GreVersion0HdrTooBig => "gre.version0_hdr_too_big",
    /// Source route of GRE version 0 that cannot be read.
    GreVersion0MalformedSreHdr => "gre.version0_malformed_sre_hdr",
    /// Recursion control of GRE version 0 is set.
    GreVersion0Recur => "gre.version0_recur",
    /// GRE version 1 with a checksum.
    GreVersion1Chksum => "gre.version1_chksum",
    /// Reserved flags of GRE version 1 are set.
    GreVersion1Flags => "gre.version1_flags",
    /// GRE version 1 header longer than its packet.
    GreVersion1HdrTooBig => "gre.version1_hdr_too_big",
    /// GRE version 1 without a key.
    GreVersion1NoKey => "gre.version1_no_key",
    /// Recursion control of GRE version 1 is set.
    GreVersion1Recur => "gre.version1_recur",
    /// GRE version 1 with routing.
    GreVersion1Route => "gre.version1_route",
    /// GRE version 1 with a strict source route.
    GreVersion1Ssr => "gre.version1_ssr",
    /// GRE version 1 that does not carry PPP.
    GreVersion1WrongProtocol => "gre.version1_wrong_protocol",
    /// GRE version that nobody defined.
    GreWrongVersion => "gre.wrong_version",
    /// ICMP error that quotes less than an IPv4 header.
    Icmpv4Ipv4TruncPkt => "icmpv4.ipv4_trunc_pkt",
    /// ICMP error that quotes something other than IPv4.
    Icmpv4Ipv4UnknownVer => "icmpv4.ipv4_unknown_ver",
    /// ICMP header that ends early.
    Icmpv4PktTooSmall => "icmpv4.pkt_too_small",
    /// ICMP code that its type does not have.
    Icmpv4UnknownCode => "icmpv4.unknown_code",
    /// ICMP type that nobody assigned.
    Icmpv4UnknownType => "icmpv4.unknown_type",
    /// `ICMPv6` type for private experiments.
    Icmpv6ExperimentationType => "icmpv6.experimentation_type",
    /// `ICMPv6` error that quotes less than an IPv6 header.
    Icmpv6Ipv6TruncPkt => "icmpv6.ipv6_trunc_pkt",
    /// `ICMPv6` error that quotes something other than IPv6.
    Icmpv6Ipv6UnknownVersion => "icmpv6.ipv6_unknown_version",
    /// Multicast listener message with a hop limit other than 1.
    Icmpv6MldMessageWithInvalidHl => "icmpv6.mld_message_with_invalid_hl",
    /// `ICMPv6` header that ends early.
    Icmpv6PktTooSmall => "icmpv6.pkt_too_small",
    /// `ICMPv6` error type that nobody assigned.
    Icmpv6UnassignedType => "icmpv6.unassigned_type",
    /// `ICMPv6` code that its type does not have.
    Icmpv6UnknownCode => "icmpv6.unknown_code",
    /// `ICMPv6` type that nobody assigned.
    Icmpv6UnknownType => "icmpv6.unknown_type",
    /// 802.1ah tag that ends early.
    Ieee8021ahHeaderTooSmall => "ieee8021ah.header_too_small",
    /// 802.11 or radiotap header that ends early.
    Ieee80211PktTooSmall => "ieee80211.pkt_too_small",
    /// `IGMPv3` message whose records do not fit.
    IgmpMalformed => "igmp.malformed",
    /// IGMP message that ends early.
    IgmpPktTooSmall => "igmp.pkt_too_small",
    /// `IGMPv3` message that ends early.
    IgmpV3PktTooSmall => "igmp.v3_pkt_too_small",
    /// Raw IP that is neither version 4 nor 6.
    IprawInvalidIpVersion => "ipraw.invalid_ip_version",
    /// Fragment that is not used because its packet is given up.
    Ipv4FragIgnored => "ipv4.frag_ignored",
    /// Fragments that overlap.
    Ipv4FragOverlap => "ipv4.frag_overlap",
    /// Fragments that overlap with different bytes.
    Ipv4FragOverlapDiffers => "ipv4.frag_overlap_differs",
    /// Fragments that make more than 65,535 bytes.
    Ipv4FragPktTooLarge => "ipv4.frag_pkt_too_large",
    /// IPv4 header length below 20.
    Ipv4HlenTooSmall => "ipv4.hlen_too_small",
    /// `ICMPv6` in IPv4.
    Ipv4Icmpv6 => "ipv4.icmpv6",
    /// IPv4 total length below its header length.
    Ipv4IplenSmallerThanHlen => "ipv4.iplen_smaller_than_hlen",
    /// IPv4 option that may come once came twice.
    Ipv4OptDuplicate => "ipv4.opt_duplicate",
    /// IPv4 option with a length that it cannot have.
    Ipv4OptInvalidLen => "ipv4.opt_invalid_len",
    /// IPv4 option whose content cannot be.
    Ipv4OptMalformed => "ipv4.opt_malformed",
    /// IPv4 option that nobody defined.
    Ipv4OptUnknown => "ipv4.opt_unknown",
    /// IPv4 header that ends early.
    Ipv4PktTooSmall => "ipv4.pkt_too_small",
    /// IPv4 packet that ends before its total length.
    Ipv4TruncPkt => "ipv4.trunc_pkt",
    /// IP protocol number that nobody assigned.
    Ipv4UnknownProtocol => "ipv4.unknown_protocol",
    /// Frame that says IPv4 and holds another version.
    Ipv4WrongIpVersion => "ipv4.wrong_ip_version",
    /// Bytes behind "no next header".
    Ipv6DataAfterNoneHeader => "ipv6.data_after_none_header",
    /// Destination options with nothing but padding.
    Ipv6DstoptsOnlyPadding => "ipv6.dstopts_only_padding",
    /// Destination option that nobody defined.
    Ipv6DstoptsUnknownOpt => "ipv6.dstopts_unknown_opt",
    /// Reserved field of an authentication header is set.
    Ipv6ExthdrAhResNotNull => "ipv6.exthdr_ah_res_not_null",
    /// Second authentication header.
    Ipv6ExthdrDuplAh => "ipv6.exthdr_dupl_ah",
    /// Third destination options header.
    Ipv6ExthdrDuplDh => "ipv6.exthdr_dupl_dh",
    /// Second fragment header.
    Ipv6ExthdrDuplFh => "ipv6.exthdr_dupl_fh",
    /// Second hop-by-hop options header.
    Ipv6ExthdrDuplHh => "ipv6.exthdr_dupl_hh",
    /// Second routing header.
    Ipv6ExthdrDuplRh => "ipv6.exthdr_dupl_rh",
    /// Option in an extension header with a length that it cannot have.
    Ipv6ExthdrInvalidOptlen => "ipv6.exthdr_invalid_optlen",
    /// Fragment header of a packet that is whole.
    Ipv6ExthdrUselessFh => "ipv6.exthdr_useless_fh",
    /// Reserved field of a fragment header is set.
    Ipv6FhNonZeroReservedField => "ipv6.fh_non_zero_reserved_field",
    /// Fragment that is not used because its packet is given up.
    Ipv6FragIgnored => "ipv6.frag_ignored",
    /// Fragment, not the last, whose length is no multiple of 8.
    Ipv6FragInvalidLength => "ipv6.frag_invalid_length",
    /// Fragments that overlap.
    Ipv6FragOverlap => "ipv6.frag_overlap",
    /// Fragments that overlap with different bytes.
    Ipv6FragOverlapDiffers => "ipv6.frag_overlap_differs",
    /// Fragments that make more than 65,535 bytes.
    Ipv6FragPktTooLarge => "ipv6.frag_pkt_too_large",
    /// Hop-by-hop options with nothing but padding.
    Ipv6HopoptsOnlyPadding => "ipv6.hopopts_only_padding",
    /// Hop-by-hop option that nobody defined.
    Ipv6HopoptsUnknownOpt => "ipv6.hopopts_unknown_opt",
    /// `ICMPv4` in IPv6.
    Ipv6Icmpv4 => "ipv6.icmpv4",
    /// IPv4 in IPv6 that ends early.
    Ipv6Ipv4InIpv6TooSmall => "ipv6.ipv4_in_ipv6_too_small",
    /// IPv4 in IPv6 that has another version.
    Ipv6Ipv4InIpv6WrongVersion => "ipv6.ipv4_in_ipv6_wrong_version",
    /// IPv6 in IPv6 that ends early.
    Ipv6Ipv6InIpv6TooSmall => "ipv6.ipv6_in_ipv6_too_small",
    /// IPv6 in IPv6 that has another version.
    Ipv6Ipv6InIpv6WrongVersion => "ipv6.ipv6_in_ipv6_wrong_version",
    /// IPv6 header that ends early.
    Ipv6PktTooSmall => "ipv6.pkt_too_small",
    /// Routing header of type 0 (RFC 5095 forbids it).
    Ipv6RhType0 => "ipv6.rh_type_0",
    /// More extension headers than are followed.
    Ipv6TooManyExthdrs => "ipv6.too_many_exthdrs",
    /// Extension header that ends early.
    Ipv6TruncExthdr => "ipv6.trunc_exthdr",
    /// IPv6 packet that ends before its payload length.
    Ipv6TruncPkt => "ipv6.trunc_pkt",
    /// Next header that nobody assigned.
    Ipv6UnknownNextHeader => "ipv6.unknown_next_header",
    /// Frame that says IPv6 and holds another version.
    Ipv6WrongIpVersion => "ipv6.wrong_ip_version",
    /// Padding option without padding.
    Ipv6ZeroLenPadn => "ipv6.zero_len_padn",
    /// Loopback header that ends early.
    LtnullPktTooSmall => "ltnull.pkt_too_small",
    /// Loopback header of an address family other than IP.
    LtnullUnsupportedType => "ltnull.unsupported_type",
    /// MPLS label 3 in a packet; it may only be signalled.
    MplsBadLabelImplicitNull => "mpls.bad_label_implicit_null",
    /// MPLS label that is reserved.
    MplsBadLabelReserved => "mpls.bad_label_reserved",
    /// MPLS router alert at the bottom of the stack.
    MplsBadLabelRouterAlert => "mpls.bad_label_router_alert",
    /// MPLS stack that ends early.
    MplsHeaderTooSmall => "mpls.header_too_small",
    /// MPLS payload that is neither IP nor Ethernet.
    MplsUnknownPayloadType => "mpls.unknown_payload_type",
    /// NSH length that does not fit its metadata type.
    NshBadHeaderLength => "nsh.bad_header_length",
    /// NSH header that ends early.
    NshHeaderTooSmall => "nsh.header_too_small",
    /// NSH metadata type 0.
    NshReservedType => "nsh.reserved_type",
    /// NSH payload that is not decoded.
    NshUnknownPayload => "nsh.unknown_payload",
    /// NSH metadata type that nobody defined.
    NshUnsupportedType => "nsh.unsupported_type",
    /// NSH version that nobody defined.
    NshUnsupportedVersion => "nsh.unsupported_version",
    /// IPv4 in PPP that ends early.
    PppIp4PktTooSmall => "ppp.ip4_pkt_too_small",
    /// IPv6 in PPP that ends early.
    PppIp6PktTooSmall => "ppp.ip6_pkt_too_small",
    /// PPP header that ends early.
    PppPktTooSmall => "ppp.pkt_too_small",
    /// PPP protocol that is known and not decoded.
    PppUnsupProto => "ppp.unsup_proto",
    /// Van Jacobson header that ends early.
    PppVjuPktTooSmall => "ppp.vju_pkt_too_small",
    /// PPP protocol that nobody assigned.
    PppWrongType => "ppp.wrong_type",
    /// PPPoE discovery whose tags do not fit.
    PppoeMalformedTags => "pppoe.malformed_tags",
    /// PPPoE header that ends early.
    PppoePktTooSmall => "pppoe.pkt_too_small",
    /// PPPoE code that nobody defined.
    PppoeWrongCode => "pppoe.wrong_code",
    /// SCTP chunk whose length does not fit.
    SctpChunkLenInvalid => "sctp.chunk_len_invalid",
    /// SCTP chunk header that ends early.
    SctpChunkTooSmall => "sctp.chunk_too_small",
    /// SCTP data without a verification tag.
    SctpDataWithZeroVtag => "sctp.data_with_zero_vtag",
    /// SCTP INIT together with other chunks.
    SctpInitChunkBundled => "sctp.init_chunk_bundled",
    /// SCTP INIT with a verification tag.
    SctpInitWithNonZeroVtag => "sctp.init_with_non_zero_vtag",
    /// SCTP header that ends early.
    SctpPktTooSmall => "sctp.pkt_too_small",
    /// More SCTP chunks than are followed.
    SctpTooManyChunks => "sctp.too_many_chunks",
    /// Linux cooked header that ends early.
    SllPktTooSmall => "sll.pkt_too_small",
    /// Linux cooked header, version 2, that ends early.
    Sll2PktTooSmall => "sll2.pkt_too_small",
    /// TCP header length below 20.
    TcpHlenTooSmall => "tcp.hlen_too_small",
    /// TCP header longer than its packet.
    TcpInvalidOptlen => "tcp.invalid_optlen",
    /// TCP option that may come once came twice.
    TcpOptDuplicate => "tcp.opt_duplicate",
    /// TCP option with a length that it cannot have.
    TcpOptInvalidLen => "tcp.opt_invalid_len",
    /// TCP header that ends early.
    TcpPktTooSmall => "tcp.pkt_too_small",
    /// UDP header that ends early.
    UdpHlenTooSmall => "udp.hlen_too_small",
    /// UDP length below 8.
    UdpLenInvalid => "udp.len_invalid",
    /// UDP packet that ends before its length.
    UdpPktTooSmall => "udp.pkt_too_small",
    /// VLAN tag that ends early.
    VlanHeaderTooSmall => "vlan.header_too_small",
    /// More VLAN tags than are kept.
    VlanTooManyLayers => "vlan.too_many_layers",
    /// VN-Tag that ends early.
    VntagHeaderTooSmall => "vntag.header_too_small",
    /// VXLAN payload that is not decoded.
    VxlanUnknownPayloadType => "vxlan.unknown_payload_type",
}

/// How many anomalies of one packet are kept.
const KEPT: usize = 7;

/// What is wrong with one packet, each thing once; beyond the first seven nothing is kept.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Anomalies {
    len: u8,
    /// Only the first `len` count.
    list: [DecodeAnomaly; KEPT],
}

impl Anomalies {
    /// Adds one more, unless it is known already or there is no room.
    pub fn push(&mut self, anomaly: DecodeAnomaly) {
        if self.contains(&anomaly) {
            return;
        }
        if let Some(slot) = self.list.get_mut(usize::from(self.len)) {
            *slot = anomaly;
            self.len += 1;
        }
    }

    /// Forgets them all.
    #[inline]
    pub fn clear(&mut self) {
        self.len = 0;
    }
}

impl Default for Anomalies {
    fn default() -> Self {
        Self { len: 0, list: [DecodeAnomaly::ArpInvalidHardwareSize; KEPT] }
    }
}

impl std::ops::Deref for Anomalies {
    type Target = [DecodeAnomaly];

    fn deref(&self) -> &[DecodeAnomaly] {
        self.list.get(..usize::from(self.len)).unwrap_or_default()
    }
}

impl<'a> IntoIterator for &'a Anomalies {
    type Item = &'a DecodeAnomaly;
    type IntoIter = std::slice::Iter<'a, DecodeAnomaly>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl std::fmt::Debug for Anomalies {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self).finish()
    }
}
