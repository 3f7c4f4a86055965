//! Traffic that breaks its own protocol.

use crate::{AppProto, FlowContext, Timestamp};
use serde::Serialize;

/// Which part of the packet path noticed (EVE `anomaly.type`).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum AnomalyLayer {
    /// A header is malformed.
    Decode,
    /// A stream breaks TCP.
    Stream,
    /// An application protocol is malformed.
    Applayer,
}

/// One malformed thing, with its place.
#[derive(Clone, Debug)]
pub struct Anomaly {
    /// When.
    pub ts: Timestamp,
    /// Who noticed.
    pub layer: AnomalyLayer,
    /// Name as EVE writes it, such as `stream.pkt_broken_ack` or `ipv4.trunc_pkt`.
    pub name: &'static str,
    /// The protocol whose dissector noticed, for [`AnomalyLayer::Applayer`].
    pub app: Option<AppProto>,
    /// Place of the packet in its capture, from 1.
    pub packet: u64,
    /// The flow it belongs to, where there is one.
    pub flow: Option<FlowContext>,
    /// Transaction it belongs to, counted from 0 in its flow.
    pub tx_id: Option<u64>,
}
