//! The fields that FlowTrack writes beside those of EVE.

use std::fmt::Write as _;

/// One field, or one object of fields, that EVE does not have.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Addition {
    /// Its place: names joined by dots, `*` for any one name.
    pub path: &'static str,
    /// What it says.
    pub meaning: &'static str,
}

/// Every place where FlowTrack writes more than EVE has.
///
/// A reader that takes these away is left with records that the EVE schema allows; names that are
/// not of EVE under a `*` are counters for things that only FlowTrack counts.
pub const ADDITIONS: &[Addition] = &[
    add("flow.conn_state", "how the connection went, as Zeek says it: S0, S1, SF, REJ, ..."),
    add("flow.history", "what happened in order, in Zeek's letters; upper case is the originator"),
    add("flow.app_confidence", "why the protocol is believed: port, heuristic or content"),
    add("flow.tunnel", "what carried this inner flow: gre, ip, teredo, vxlan, geneve or erspan"),
    add(
        "flow.latency",
        "microseconds: handshake_client_us (SYN-ACK to ACK), handshake_server_us (SYN to SYN-ACK), \
         response_us (first request to first answer)",
    ),
    add(
        "flow.to_server",
        "the originator's side, zeros left out: ip_bytes, payload_bytes, retransmissions, \
         out_of_order, lost_segments, lost_bytes, zero_windows, rtt{min_us, mean_us, max_us, count}",
    ),
    add("flow.to_client", "the same for the responder's side"),
    add(
        "detection",
        "beside an alert of gid 1000, which a detector raised: explanation, severity (info, low, \
         medium, high, critical), first_seen, last_seen, count of what it saw, source_proved \
         (whether the source's address cannot be spoofed), evidence by name, and some flows",
    ),
    add(
        "block",
        "an event of its own: phase (added, extended, would_add, refused, removed, expired, \
         failed), what, who wanted it, why, until, packets and bytes that it stopped",
    ),
    add("dns.rtt_us", "microseconds from a question to its answer"),
    add("tcp.midstream", "true where the handshake was not seen"),
    add("stats.capture.ring_freezes", "times the receive ring was frozen because it was full"),
    add("stats.capture.own_drops", "packets dropped by FlowTrack itself before decoding"),
    add("stats.capture.filtered", "packets that the capture filter did not want"),
    add("stats.capture.duplicates", "packets seen twice on loopback and counted once"),
    add("stats.decoder.ah", "AH headers"),
    add("stats.decoder.ieee80211", "802.11 data frames"),
    add("stats.decoder.ieee80211_other", "802.11 frames without data"),
    add("stats.decoder.unknown_link", "frames of a link type that is not decoded"),
    add("stats.decoder.unknown_links", "those frames by the number of their link type"),
    add("stats.decoder.event.*", "malformed headers by group; groups that EVE lacks stand beside"),
    add("stats.flow.other", "flows of other IP protocols begun"),
    add("stats.flow.evicted", "flows ended early because the table was full"),
    add("stats.flow.evicted_established", "established ones among them"),
    add("stats.flow.events_dropped", "flow events that a full queue dropped"),
    add("stats.flow.panics", "panics caught on the packet path; 0 unless there is a defect"),
    add("stats.defrag.overlaps", "fragments that overlap"),
    add("stats.tcp.retransmissions", "segments sent again"),
    add("stats.tcp.out_of_order", "segments out of order"),
    add("stats.stream.*", "streams that break TCP; names that EVE lacks stand beside"),
    add("stats.app_layer.flow.*", "flows by protocol; protocols that EVE lacks stand beside"),
    add("stats.app_layer.tx.*", "transactions by protocol; those that EVE lacks stand beside"),
    add("stats.app_layer.anomaly", "malformed application messages by name"),
    add("stats.detect.retries_exhausted", "searches that tried too many occurrences and gave up"),
    add("stats.detect.pcre_given_up", "regular expressions that took too many steps"),
    add("stats.detect.values_dropped", "values of buffers too many or too large to be searched"),
    add(
        "stats.detect.memory_dropped",
        "things that rules wanted to remember of flows and hosts, count, put into data sets or \
         record, without room for them",
    ),
    add(
        "stats.detect.files_unchosen",
        "files told, and not stored, before rules had chosen: too many of one flow waited for that",
    ),
    add(
        "stats.detectors",
        "what looks for attacks by behaviour, where it is on: detections told; repeated within a \
         second; left_out, more than detect.max_per_second; hosts, services and names forgotten for \
         lack of room",
    ),
    add(
        "stats.alerts",
        "the list of alerts, where there is one: reports of rules and detectors; alerts opened; \
         reports folded into an open alert, crowded (folded with other hosts, because their rule \
         opened too many) or muted; alerts that left for history with left_reports; changes \
         untold, because too much left at once, and unkept, because history had no room; alerts \
         open now",
    ),
    add(
        "stats.recorder",
        "the packet recorder, where it is on: packets and bytes written, and packets dropped \
         because it could not keep up (dropped_busy) or the disk failed (dropped_disk)",
    ),
    add("stats.file_store.stored", "files written to the store"),
    add("stats.file_store.known", "files that the store had already"),
    add("stats.file_store.bytes", "bytes of the files written"),
    add("stats.file_store.deleted", "files deleted to make room"),
    add("stats.file_store.dropped", "whole files not stored: too large, or too many at once"),
    add("stats.file_store.undescribed", "files carried too often to be described once more"),
    add(
        "stats.ledger",
        "where every frame went: seen = on_flows + the rows of rest, in packets and bytes; \
         synthetic counts inner and reassembled packets, which are on flows but no frames",
    ),
];

/// The table of [`ADDITIONS`] for the manual.
pub fn additions_markdown() -> String {
    let mut text = String::from("| field | meaning |\n|---|---|\n");
    for addition in ADDITIONS {
        writeln!(text, "| `{}` | {} |", addition.path, addition.meaning)
            .expect("a String takes everything");
    }
    text
}

const fn add(path: &'static str, meaning: &'static str) -> Addition {
    Addition { path, meaning }
}
