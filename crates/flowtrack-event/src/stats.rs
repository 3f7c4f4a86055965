//! Counters since the start, grouped and named as EVE `stats` names them.

use crate::Timestamp;
use serde::Serialize;
use std::collections::BTreeMap;

/// Defines a struct of counters that can be added up.
macro_rules! counters {
    ($(#[$doc:meta])* $name:ident { $($(#[$fdoc:meta])* $field:ident,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Default, Debug, Serialize)]
        pub struct $name { $($(#[$fdoc])* pub $field: u64,)* }

        impl $name {
            /// Adds the counters of another worker.
            pub fn merge(&mut self, other: &Self) {
                $(self.$field = self.$field.saturating_add(other.$field);)*
            }
        }
    };
}

counters! {
    /// What the packet source did.
    CaptureStats {
        /// Packets the kernel or the file handed over.
        kernel_packets,
        /// Packets the kernel dropped because the ring was full.
        kernel_drops,
        /// Packets the interface dropped.
        kernel_ifdrops,
        /// Times the ring was frozen because it was full.
        ring_freezes,
        /// Packets dropped by FlowTrack itself before decoding.
        own_drops,
        /// Packets that the filter did not want, where it is not in the kernel.
        filtered,
        /// Packets seen twice on loopback and counted once.
        duplicates,
        /// Failed reads, interface going down included.
        errors,
    }
}

counters! {
    /// Frames by what they contain; a frame counts in every row that applies, inner headers
    /// included.
    DecoderStats {
        /// Frames.
        pkts,
        /// Captured bytes of those frames.
        bytes,
        /// Frames with a header that cannot be read.
        invalid,
        /// IPv4 headers.
        ipv4,
        /// IPv6 headers.
        ipv6,
        /// Ethernet headers.
        ethernet,
        /// ARP messages.
        arp,
        /// Frames of an ethertype that is not decoded.
        unknown_ethertype,
        /// Cisco HDLC headers.
        chdlc,
        /// Frames that begin with an IP header.
        raw,
        /// BSD loopback headers.
        null,
        /// Linux cooked headers.
        sll,
        /// Linux cooked headers, version 2.
        sll2,
        /// IEEE 802.11 data frames.
        ieee80211,
        /// IEEE 802.11 frames without data.
        ieee80211_other,
        /// Frames of a link type that is not decoded.
        unknown_link,
        /// TCP headers.
        tcp,
        /// UDP headers.
        udp,
        /// SCTP headers.
        sctp,
        /// ESP headers.
        esp,
        /// AH headers.
        ah,
        /// ICMPv4 messages.
        icmpv4,
        /// ICMPv6 messages.
        icmpv6,
        /// IGMP messages.
        igmp,
        /// PPP headers.
        ppp,
        /// PPPoE headers.
        pppoe,
        /// GENEVE headers.
        geneve,
        /// GRE headers.
        gre,
        /// VLAN tags, first of a frame.
        vlan,
        /// VLAN tags, second of a frame.
        vlan_qinq,
        /// VLAN tags, third of a frame.
        vlan_qinqinq,
        /// VXLAN headers.
        vxlan,
        /// MPLS label stacks.
        mpls,
        /// ERSPAN headers.
        erspan,
        /// Teredo packets.
        teredo,
        /// IPv4 in IPv4.
        ipv4_in_ipv4,
        /// IPv6 in IPv4.
        ipv6_in_ipv4,
        /// IPv4 in IPv6.
        ipv4_in_ipv6,
        /// IPv6 in IPv6.
        ipv6_in_ipv6,
        /// Longest frame.
        max_pkt_size,
        /// Frames with more layers than are followed.
        too_many_layers,
    }
}

counters! {
    /// The flow table.
    FlowStats {
        /// Flows begun.
        total,
        /// Flows tracked now.
        active,
        /// TCP flows begun.
        tcp,
        /// UDP flows begun.
        udp,
        /// ICMPv4 flows begun.
        icmpv4,
        /// ICMPv6 flows begun.
        icmpv6,
        /// Flows of other protocols begun.
        other,
        /// TCP five-tuples that began again.
        tcp_reuse,
        /// Flows ended early because the table was full.
        evicted,
        /// Established ones among them.
        evicted_established,
        /// Packets without a flow because nothing could be evicted.
        memcap,
        /// Bytes that the table holds.
        memuse,
        /// Flow events that a full queue dropped.
        events_dropped,
        /// Panics caught; the burst's remaining packets were dropped.
        panics,
    }
}

counters! {
    /// TCP sessions and streams.
    TcpStats {
        /// Sessions begun.
        sessions,
        /// Sessions whose handshake was not seen.
        midstream_pickups,
        /// SYN segments.
        syn,
        /// SYN-ACK segments.
        synack,
        /// RST segments.
        rst,
        /// Segments with a wrong checksum, when checksums are verified.
        invalid_checksum,
        /// Segments sent again.
        retransmissions,
        /// Segments out of order.
        out_of_order,
        /// Holes given up.
        reassembly_gap,
        /// Bytes kept for reassembly.
        reassembly_memuse,
        /// Segments not kept because of the memory cap.
        segment_memcap_drop,
        /// Streams that reached their depth.
        stream_depth_reached,
        /// Segments that repeat bytes.
        overlap,
        /// Segments that repeat bytes with other values.
        overlap_diff_data,
    }
}

counters! {
    /// IP fragments.
    DefragStats {
        /// IPv4 fragments.
        ipv4_fragments,
        /// IPv4 packets put together.
        ipv4_reassembled,
        /// IPv6 fragments.
        ipv6_fragments,
        /// IPv6 packets put together.
        ipv6_reassembled,
        /// Packets given up after their time.
        timeouts,
        /// Fragments not kept because of the memory cap.
        max_frags_reached,
        /// Packets not tracked because of the tracker cap.
        max_trackers_reached,
        /// Fragments that overlap.
        overlaps,
        /// Bytes kept.
        memuse,
    }
}

counters! {
    /// One row of the [`Ledger`].
    LedgerRow {
        /// Frames.
        packets,
        /// Captured bytes of those frames.
        bytes,
    }
}

/// Where every captured frame went: onto a flow, or into exactly one named rest.
#[derive(Clone, PartialEq, Eq, Default, Debug, Serialize)]
pub struct Ledger {
    /// All frames decoded.
    pub seen: LedgerRow,
    /// Frames counted on a flow.
    pub on_flows: LedgerRow,
    /// Frames on no flow, by the reason: `arp`, `non_ip`, `fragment`, `malformed`, ...
    pub rest: BTreeMap<&'static str, LedgerRow>,
    /// Packets that were no frames of their own yet count on flows: inner and reassembled ones.
    pub synthetic: LedgerRow,
}

impl Ledger {
    /// Adds the ledger of another worker.
    pub fn merge(&mut self, other: &Self) {
        self.seen.merge(&other.seen);
        self.on_flows.merge(&other.on_flows);
        self.synthetic.merge(&other.synthetic);
        for (&name, row) in &other.rest {
            self.rest.entry(name).or_default().merge(row);
        }
    }

    /// Whether every frame seen is on a flow or in a rest, to the byte.
    pub fn balances(&self) -> bool {
        let mut sum = self.on_flows;
        for row in self.rest.values() {
            sum.merge(row);
        }
        sum == self.seen
    }
}

counters! {
    /// The packet recorder.
    RecordStats {
        /// Packets written.
        packets,
        /// Captured bytes of those packets.
        bytes,
        /// Packets dropped because the recorder could not keep up.
        dropped_busy,
        /// Packets dropped because the disk was full or failed.
        dropped_disk,
        /// Failed writes.
        errors,
    }
}

counters! {
    /// The store of files.
    FileStoreStats {
        /// Files written.
        stored,
        /// Files that were there already.
        known,
        /// Bytes written.
        bytes,
        /// Files deleted to make room.
        deleted,
        /// Whole files not stored: too large, too many at once, or the queue was full.
        dropped,
        /// Files carried again too often to be described once more.
        undescribed,
        /// Failures of the file system.
        fs_errors,
    }
}

counters! {
    /// Signatures.
    DetectStats {
        /// Alerts told.
        alert,
        /// Alerts not told, because one packet raised too many.
        alert_queue_overflow,
        /// Alerts not told, because a rule or a threshold says so.
        alerts_suppressed,
        /// Searches that tried too many occurrences and gave up.
        retries_exhausted,
        /// Regular expressions that took too many steps and were given up.
        pcre_given_up,
        /// Values of buffers that were too many or too large to be searched.
        values_dropped,
        /// Things that rules wanted to remember of flows and hosts, to count, to put into data sets
        /// or to record, for which there was no room.
        memory_dropped,
        /// Files told, and not stored, before signatures had chosen, because too many of one flow
        /// waited for that.
        files_unchosen,
    }
}

counters! {
    /// What looks for attacks by behaviour.
    DetectorStats {
        /// Detections told.
        told,
        /// Repeats of these within the same second, which say nothing more.
        repeated,
        /// Detections that were too many for one second.
        left_out,
        /// Hosts, services and names that detectors had to forget for lack of room.
        forgotten,
    }
}

counters! {
    /// The book of alerts: what became of reports of rules and detectors.
    BookStats {
        /// Reports.
        reports,
        /// Alerts opened.
        opened,
        /// Reports folded into an alert that was open.
        folded,
        /// Reports folded with those of other hosts, because their rule opened too many alerts.
        crowded,
        /// Reports that a mute hid.
        muted,
        /// Alerts that left to make room, or because a repeat came too late to fold.
        left,
        /// Reports folded into those.
        left_reports,
        /// Alerts that left before anybody took their last state.
        untold,
        /// Changes of alerts that history had no room for.
        unkept,
        /// Alerts open now.
        open,
    }
}

/// All counters of a worker, or of all workers together.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Stats {
    /// When these were taken, in packet time.
    pub at: Timestamp,
    /// Packet time covered, in seconds.
    pub uptime: u64,
    /// The packet source.
    pub capture: CaptureStats,
    /// Decoding.
    pub decoder: DecoderStats,
    /// The flow table.
    pub flow: FlowStats,
    /// TCP.
    pub tcp: TcpStats,
    /// Fragments.
    pub defrag: DefragStats,
    /// The packet recorder, where there is one; it is one for all workers.
    pub recorder: Option<RecordStats>,
    /// The store of files, where there is one; it is one for all workers.
    pub file_store: Option<FileStoreStats>,
    /// Signatures, where there are any.
    pub detect: Option<DetectStats>,
    /// What looks for attacks by behaviour, where it is on; it is one for all workers.
    pub detectors: Option<DetectorStats>,
    /// The book of alerts, where there is one; it is one for all workers.
    pub alerts: Option<BookStats>,
    /// Where every frame went.
    pub ledger: Ledger,
    /// Anomalies by name.
    pub anomalies: BTreeMap<&'static str, u64>,
    /// Flows by application protocol.
    pub app_flows: BTreeMap<&'static str, u64>,
    /// Transactions by application protocol.
    pub app_transactions: BTreeMap<&'static str, u64>,
    /// Link types that are not decoded, with their frames.
    pub unknown_links: BTreeMap<u32, u64>,
}

impl Stats {
    /// Adds the counters of another worker.
    pub fn merge(&mut self, other: &Self) {
        self.at = self.at.max(other.at);
        self.uptime = self.uptime.max(other.uptime);
        let longest = self.decoder.max_pkt_size.max(other.decoder.max_pkt_size);
        self.capture.merge(&other.capture);
        self.decoder.merge(&other.decoder);
        self.decoder.max_pkt_size = longest;
        self.flow.merge(&other.flow);
        self.tcp.merge(&other.tcp);
        self.defrag.merge(&other.defrag);
        self.recorder = self.recorder.or(other.recorder);
        self.file_store = self.file_store.or(other.file_store);
        self.detectors = self.detectors.or(other.detectors);
        self.alerts = self.alerts.or(other.alerts);
        if let Some(other) = &other.detect {
            self.detect.get_or_insert_default().merge(other);
        }
        self.ledger.merge(&other.ledger);
        for (mine, theirs) in [
            (&mut self.anomalies, &other.anomalies),
            (&mut self.app_flows, &other.app_flows),
            (&mut self.app_transactions, &other.app_transactions),
        ] {
            for (&name, n) in theirs {
                *mine.entry(name).or_default() += n;
            }
        }
        for (&link, n) in &other.unknown_links {
            *self.unknown_links.entry(link).or_default() += n;
        }
    }
}
