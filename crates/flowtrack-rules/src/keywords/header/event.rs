//! What was found odd while packets were decoded and streams put together.

use crate::builder::{Builder, Complaint, Keyword, Value};
use crate::context::Context;
use crate::lang::did_you_mean;
use crate::signature::Test;
use flowtrack_wire::{DecodeAnomaly, Network};

pub(crate) const KEYWORDS: &[Keyword] = &[
    Keyword {
        name: "decode-event",
        aliases: &[],
        doc: "A header is malformed, as `anomaly` events of the layer `decode` name it.",
        example: "alert pkthdr any any -> any any (decode-event:ipv4.trunc_pkt; sid:1;)",
        parse: |builder, value| decode_event(builder, name(value)?),
    },
    Keyword {
        name: "stream-event",
        aliases: &[],
        doc: "A stream breaks TCP.",
        example: "alert tcp any any -> any any (stream-event:reassembly_seq_gap; sid:1;)",
        parse: |builder, value| stream_event(builder, name(value)?),
    },
    Keyword {
        name: "engine-event",
        aliases: &[],
        doc: "Either of both: `stream.` stands before events of streams.",
        example: "alert tcp any any -> any any (engine-event:stream.reassembly_seq_gap; sid:1;)",
        parse: |builder, value| match name(value)? {
            name if name.starts_with("stream.") => stream_event(builder, name),
            name => decode_event(builder, name),
        },
    },
];

fn name<'a>(value: &Value<'a>) -> Result<&'a str, Complaint> {
    Ok(super::unquoted(value.needed("the name of an event")?))
}

fn decode_event(builder: &mut Builder<'_>, name: &str) -> Result<(), Complaint> {
    let name = name.strip_prefix("decoder.").unwrap_or(name);
    if name == "ethernet.unknown_ethertype" {
        builder.packet_test(UnknownEthertype);
        return Ok(());
    }
    let found = DecodeAnomaly::ALL.iter().copied().find(|event| event.name() == name);
    if found.is_none() {
        if !NEVER_RAISED.contains(&name) {
            let near = did_you_mean(name, DecodeAnomaly::ALL.iter().map(|event| event.name()));
            return Err(Complaint::new(format!("unknown event \"{name}\"{near}")));
        }
        builder.warn(format!("the event {name} is never raised: the rule cannot match"));
    }
    builder.packet_test(DecodeEvent(found));
    Ok(())
}

/// Whether decoding the packet raised an event; none for those that are never raised.
#[derive(Debug)]
struct DecodeEvent(Option<DecodeAnomaly>);

impl Test for DecodeEvent {
    fn test(&self, cx: &mut Context<'_>) -> bool {
        match (cx.packet, self.0) {
            (Some(packet), Some(event)) => packet.anomalies.contains(&event),
            _ => false,
        }
    }

    fn cost(&self) -> u8 {
        0
    }
}

/// Whether a frame carries a protocol that is not decoded: that is nothing malformed, so decoding
/// raises no event for it.
#[derive(Debug)]
struct UnknownEthertype;

impl Test for UnknownEthertype {
    fn test(&self, cx: &mut Context<'_>) -> bool {
        cx.packet.is_some_and(|packet| match packet.network {
            Network::None(Some(kind)) => !matches!(kind, ARP | PPPOE_DISCOVERY),
            _ => false,
        })
    }

    fn cost(&self) -> u8 {
        0
    }
}

/// Ethertypes that are decoded, as far as a packet of theirs is whole.
const ARP: u16 = 0x0806;
const PPPOE_DISCOVERY: u16 = 0x8863;

fn stream_event(builder: &mut Builder<'_>, name: &str) -> Result<(), Complaint> {
    let name = name.strip_prefix("stream.").unwrap_or(name);
    let Some(known) = STREAM.iter().find(|known| **known == name) else {
        let near = did_you_mean(name, STREAM.iter().copied());
        return Err(Complaint::new(format!("unknown event \"{name}\"{near}")));
    };
    if !STREAM_RAISED.contains(known) {
        builder.warn(format!("the event stream.{known} is not noticed: the rule cannot match"));
    }
    builder.requirements.stream_events = true;
    builder.packet_test(StreamEvent(known));
    Ok(())
}

/// Whether the packet raised an event in its stream.
#[derive(Debug)]
struct StreamEvent(&'static str);

impl Test for StreamEvent {
    fn test(&self, cx: &mut Context<'_>) -> bool {
        cx.stream_events
            .iter()
            .any(|raised| raised.strip_prefix("stream.").unwrap_or(raised) == self.0)
    }

    fn cost(&self) -> u8 {
        0
    }
}

/// Events of decoding that rules of the field name and that cannot come up here: what they are
/// about is decoded without limit, or not at all.
const NEVER_RAISED: &[&str] = &[
    "too_many_layers",
    "erspan.too_many_vlan_layers",
    "geneve.unknown_payload_type",
    "ipv4.opt_eol_required",
    "ipv4.opt_invalid",
    "ipv4.opt_pad_required",
    "mpls.pkt_too_small",
    "vlan.unknown_type",
    "vntag.unknown_type",
    "ieee8021ah.unknown_type",
    "udp.hlen_invalid",
];

/// Those events of streams that are noticed.
const STREAM_RAISED: &[&str] = &[
    "3whs_syn_resend_diff_seq_on_syn_recv",
    "3whs_syn_toclient_on_syn_recv",
    "3whs_synack_resend_with_diff_seq",
    "3whs_synack_resend_with_different_ack",
    "3whs_synack_toserver_on_syn_recv",
    "3whs_synack_with_wrong_ack",
    "est_invalid_ack",
    "est_syn_resend",
    "est_syn_resend_diff_seq",
    "est_syn_toclient",
    "est_synack_resend",
    "est_synack_resend_with_diff_seq",
    "est_synack_resend_with_different_ack",
    "est_synack_toserver",
    "fin_but_no_session",
    "fin_syn",
    "pkt_broken_ack",
    "pkt_invalid_ack",
    "pkt_invalid_timestamp",
    "reassembly_overlap_different_data",
    "reassembly_seq_gap",
    "rst_but_no_session",
    "rst_with_data",
    "suspected_rst_inject",
];

/// Events of streams.
const STREAM: &[&str] = &[
    "3whs_ack_data_inject",
    "3whs_ack_in_wrong_dir",
    "3whs_async_wrong_seq",
    "3whs_right_seq_wrong_ack_evasion",
    "3whs_syn_flood",
    "3whs_syn_resend_diff_seq_on_syn_recv",
    "3whs_syn_toclient_on_syn_recv",
    "3whs_synack_flood",
    "3whs_synack_in_wrong_direction",
    "3whs_synack_resend_with_diff_ack",
    "3whs_synack_resend_with_diff_seq",
    "3whs_synack_resend_with_different_ack",
    "3whs_synack_toserver_on_syn_recv",
    "3whs_synack_with_wrong_ack",
    "3whs_wrong_seq_wrong_ack",
    "4whs_invalid_ack",
    "4whs_synack_with_wrong_ack",
    "4whs_synack_with_wrong_syn",
    "4whs_wrong_seq",
    "closewait_ack_out_of_window",
    "closewait_fin_out_of_window",
    "closewait_invalid_ack",
    "closewait_pkt_before_last_ack",
    "closing_ack_wrong_seq",
    "closing_invalid_ack",
    "est_ack_zwp_data",
    "est_invalid_ack",
    "est_packet_out_of_window",
    "est_pkt_before_last_ack",
    "est_syn_resend",
    "est_syn_resend_diff_seq",
    "est_syn_toclient",
    "est_synack_resend",
    "est_synack_resend_with_diff_ack",
    "est_synack_resend_with_diff_seq",
    "est_synack_resend_with_different_ack",
    "est_synack_toserver",
    "fin1_ack_wrong_seq",
    "fin1_fin_wrong_seq",
    "fin1_invalid_ack",
    "fin2_ack_wrong_seq",
    "fin2_fin_wrong_seq",
    "fin2_invalid_ack",
    "fin_but_no_session",
    "fin_invalid_ack",
    "fin_out_of_window",
    "fin_syn",
    "lastack_ack_wrong_seq",
    "lastack_invalid_ack",
    "pkt_bad_window_update",
    "pkt_broken_ack",
    "pkt_invalid_ack",
    "pkt_invalid_timestamp",
    "pkt_retransmission",
    "pkt_spurious_retransmission",
    "reassembly_depth_reached",
    "reassembly_insert_invalid",
    "reassembly_insert_limit",
    "reassembly_insert_memcap",
    "reassembly_no_segment",
    "reassembly_overlap_different_data",
    "reassembly_segment_before_base_seq",
    "reassembly_seq_gap",
    "reassembly_urgent_oob_limit_reached",
    "rst_but_no_session",
    "rst_invalid_ack",
    "rst_with_data",
    "shutdown_syn_resend",
    "suspected_rst_inject",
    "timewait_ack_wrong_seq",
    "timewait_invalid_ack",
    "wrong_thread",
];
