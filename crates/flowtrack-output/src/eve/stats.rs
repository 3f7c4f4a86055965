//! The `stats` event: counters since the start, in the sections that EVE has for them.

use std::collections::BTreeMap;

use flowtrack_event::{LedgerRow, Stats};

use super::{EveEncoder, json::Object};

impl EveEncoder {
    /// All counters; zeros are written too, so that a reader finds every field each time.
    pub(super) fn stats(&mut self, stats: &Stats, out: &mut Vec<u8>) -> bool {
        let mut object = Object::begin(out);
        object.time("timestamp", stats.at, &mut self.clock);
        object.name("event_type", "stats");
        let mut body = object.object("stats");
        body.number("uptime", stats.uptime);
        write_capture(&mut body, stats);
        write_decoder(&mut body, stats);
        write_flow(&mut body, stats);
        write_defrag(&mut body, stats);
        write_tcp(&mut body, stats);
        write_stream(&mut body, stats);
        write_app_layer(&mut body, stats);
        write_detect(&mut body, stats);
        write_detectors(&mut body, stats);
        write_alerts(&mut body, stats);
        write_recorder(&mut body, stats);
        write_file_store(&mut body, stats);
        write_ledger(&mut body, stats);
        body.end();
        object.end();
        true
    }
}

/// Writes counters under their own names.
macro_rules! fields {
    ($object:ident, $counters:expr, $($field:ident),* $(,)?) => {
        $($object.number(stringify!($field), $counters.$field);)*
    };
}

fn write_capture(body: &mut Object<'_>, stats: &Stats) {
    let capture = &stats.capture;
    let mut object = body.object("capture");
    fields!(object, capture, kernel_packets, kernel_drops, kernel_ifdrops, errors);
    fields!(object, capture, ring_freezes, own_drops, filtered, duplicates);
    object.end();
}

fn write_decoder(body: &mut Object<'_>, stats: &Stats) {
    let decoder = &stats.decoder;
    let mut object = body.object("decoder");
    fields!(object, decoder, pkts, bytes, invalid, ipv4, ipv6, ethernet, arp, unknown_ethertype);
    fields!(object, decoder, chdlc, raw, null, sll, sll2, tcp, udp, sctp, esp, icmpv4, icmpv6);
    fields!(object, decoder, igmp, ppp, pppoe, geneve, gre, vlan, vlan_qinq, vlan_qinqinq, vxlan);
    fields!(object, decoder, mpls, erspan, teredo, ipv4_in_ipv4, ipv6_in_ipv4, ipv4_in_ipv6);
    fields!(object, decoder, ipv6_in_ipv6, max_pkt_size, too_many_layers);
    object.number("avg_pkt_size", decoder.bytes.checked_div(decoder.pkts).unwrap_or_default());
    fields!(object, decoder, ah, ieee80211, ieee80211_other, unknown_link);
    if !stats.unknown_links.is_empty() {
        let mut links = object.object("unknown_links");
        for (link, &packets) in &stats.unknown_links {
            links.number_named(itoa::Buffer::new().format(*link), packets);
        }
        links.end();
    }
    let mut groups: BTreeMap<&str, Vec<(&str, u64)>> = BTreeMap::new();
    for (&name, &count) in &stats.anomalies {
        if let Section::Decoder(group, name) = section(stats, name) {
            groups.entry(group).or_default().push((name, count));
        }
    }
    if !groups.is_empty() {
        let mut event = object.object("event");
        for (group, names) in groups {
            let mut object = event.object_named(group);
            for (name, count) in names {
                object.number_named(name, count);
            }
            object.end();
        }
        event.end();
    }
    object.end();
}

fn write_flow(body: &mut Object<'_>, stats: &Stats) {
    let flow = &stats.flow;
    let mut object = body.object("flow");
    fields!(object, flow, total, active, tcp, udp, icmpv4, icmpv6, tcp_reuse, memcap, memuse);
    fields!(object, flow, other, evicted, evicted_established, events_dropped, panics);
    object.end();
}

fn write_defrag(body: &mut Object<'_>, stats: &Stats) {
    let defrag = &stats.defrag;
    let mut object = body.object("defrag");
    let mut ipv4 = object.object("ipv4");
    ipv4.number("fragments", defrag.ipv4_fragments);
    ipv4.number("reassembled", defrag.ipv4_reassembled);
    ipv4.end();
    let mut ipv6 = object.object("ipv6");
    ipv6.number("fragments", defrag.ipv6_fragments);
    ipv6.number("reassembled", defrag.ipv6_reassembled);
    ipv6.end();
    let mut manager = object.object("mgr");
    manager.number("tracker_timeout", defrag.timeouts);
    manager.end();
    fields!(object, defrag, max_frags_reached, max_trackers_reached, memuse, overlaps);
    object.end();
}

fn write_tcp(body: &mut Object<'_>, stats: &Stats) {
    let tcp = &stats.tcp;
    let mut object = body.object("tcp");
    fields!(object, tcp, sessions, midstream_pickups, syn, synack, rst, invalid_checksum);
    fields!(object, tcp, reassembly_gap, reassembly_memuse, segment_memcap_drop);
    fields!(object, tcp, stream_depth_reached, overlap, overlap_diff_data);
    fields!(object, tcp, retransmissions, out_of_order);
    object.end();
}

fn write_stream(body: &mut Object<'_>, stats: &Stats) {
    let mut names =
        stats.anomalies.iter().filter_map(|(&name, &count)| match section(stats, name) {
            Section::Stream(name) => Some((name, count)),
            _ => None,
        });
    let Some(first) = names.next() else { return };
    let mut object = body.object("stream");
    for (name, count) in std::iter::once(first).chain(names) {
        object.number_named(name, count);
    }
    object.end();
}

fn write_app_layer(body: &mut Object<'_>, stats: &Stats) {
    let mut object = body.object("app_layer");
    for (key, counts) in [("flow", &stats.app_flows), ("tx", &stats.app_transactions)] {
        let mut protocols = object.object(key);
        for (name, &count) in counts {
            protocols.number_named(&name.replace('-', "_"), count);
        }
        protocols.end();
    }
    let mut anomalies =
        stats.anomalies.iter().filter_map(|(&name, &count)| match section(stats, name) {
            Section::App(name) => Some((name, count)),
            _ => None,
        });
    if let Some(first) = anomalies.next() {
        let mut names = object.object("anomaly");
        for (name, count) in std::iter::once(first).chain(anomalies) {
            names.number_named(name, count);
        }
        names.end();
    }
    object.end();
}

fn write_recorder(body: &mut Object<'_>, stats: &Stats) {
    let Some(recorder) = &stats.recorder else { return };
    let mut object = body.object("recorder");
    fields!(object, recorder, packets, bytes, dropped_busy, dropped_disk, errors);
    object.end();
}

fn write_detect(body: &mut Object<'_>, stats: &Stats) {
    let Some(detect) = &stats.detect else { return };
    let mut object = body.object("detect");
    fields!(object, detect, alert, alert_queue_overflow, alerts_suppressed);
    fields!(object, detect, retries_exhausted, pcre_given_up, values_dropped);
    fields!(object, detect, memory_dropped, files_unchosen);
    object.end();
}

fn write_detectors(body: &mut Object<'_>, stats: &Stats) {
    let Some(detectors) = &stats.detectors else { return };
    let mut object = body.object("detectors");
    fields!(object, detectors, told, repeated, left_out, forgotten);
    object.end();
}

fn write_alerts(body: &mut Object<'_>, stats: &Stats) {
    let Some(alerts) = &stats.alerts else { return };
    let mut object = body.object("alerts");
    fields!(object, alerts, reports, opened, folded, crowded, muted, left, left_reports);
    fields!(object, alerts, untold, unkept, open);
    object.end();
}

fn write_file_store(body: &mut Object<'_>, stats: &Stats) {
    let Some(store) = &stats.file_store else { return };
    let mut object = body.object("file_store");
    fields!(object, store, fs_errors, stored, known, bytes, deleted, dropped, undescribed);
    object.end();
}

fn write_ledger(body: &mut Object<'_>, stats: &Stats) {
    fn row(object: &mut Object<'_>, name: &str, row: &LedgerRow) {
        let mut object = object.object_named(name);
        fields!(object, row, packets, bytes);
        object.end();
    }
    let ledger = &stats.ledger;
    let mut object = body.object("ledger");
    row(&mut object, "seen", &ledger.seen);
    row(&mut object, "on_flows", &ledger.on_flows);
    row(&mut object, "synthetic", &ledger.synthetic);
    let mut rest = object.object("rest");
    for (name, counts) in &ledger.rest {
        row(&mut rest, name, counts);
    }
    rest.end();
    object.end();
}

/// Where the counter of an anomaly stands.
enum Section<'a> {
    /// `decoder.event.<group>.<name>`.
    Decoder(&'a str, &'a str),
    /// `stream.<name>`.
    Stream(&'a str),
    /// `app_layer.anomaly.<name>`.
    App(&'a str),
}

/// Sorts an anomaly by the first word of its name: `stream`, a protocol that some flow or
/// transaction was counted for, or else a header.
fn section<'a>(stats: &Stats, name: &'a str) -> Section<'a> {
    let name = name.strip_prefix("decoder.").unwrap_or(name);
    let Some((group, rest)) = name.split_once('.') else { return Section::App(name) };
    let is_app = stats.app_flows.contains_key(group) || stats.app_transactions.contains_key(group);
    match group {
        "stream" => Section::Stream(rest),
        "applayer" => Section::App(rest),
        _ if is_app => Section::App(name),
        _ => Section::Decoder(group, rest),
    }
}
