//! `/snapshot`, `/hosts` and `/protocols`: what is seen now.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Query, State, rejection::QueryRejection},
};
use flowtrack_store::live;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{App, Problem, flows::Flow};

/// Everything that is seen now.
#[derive(Clone, PartialEq, Debug, Serialize, ToSchema)]
pub(crate) struct Snapshot {
    /// Counts up by one each time one is published.
    revision: u64,
    /// Packet time, seconds since the epoch.
    at: i64,
    /// Numbers per second, oldest first, at most five minutes.
    seconds: Vec<RatePoint>,
    /// Protocols by bytes over those seconds, largest first.
    protocols: Vec<Protocol>,
    /// Hosts by bytes, largest first.
    hosts: Vec<Host>,
    /// Flows, most recently active first, as many as were asked for.
    flows: Vec<Flow>,
    /// Flows tracked now; `flows` may hold fewer.
    flows_active: u64,
    totals: Totals,
    evicted: Evicted,
}

/// One second, or one minute of history, in numbers.
#[derive(Clone, PartialEq, Debug, Serialize, ToSchema)]
pub(crate) struct RatePoint {
    /// Its beginning, seconds since the epoch.
    pub at: i64,
    /// Frames.
    pub packets: u64,
    /// Captured bytes.
    pub bytes: u64,
    /// Flows that began.
    pub flows_new: u64,
    /// Median round-trip time, microseconds.
    pub rtt_p50_us: Option<u32>,
    /// 95th percentile of the round-trip time, microseconds.
    pub rtt_p95_us: Option<u32>,
    /// 99th percentile of the round-trip time, microseconds.
    pub rtt_p99_us: Option<u32>,
    /// TCP segments with data.
    pub tcp_segments: u64,
    /// TCP segments sent again.
    pub retransmissions: u64,
    /// TCP segments acknowledged but never seen: lost before or at the capture.
    pub lost: u64,
    /// Bytes by protocol, largest first; small ones are together in `other`.
    pub shares: Vec<Share>,
}

/// Bytes of one protocol in one second.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, ToSchema)]
pub(crate) struct Share {
    /// Name.
    pub protocol: String,
    /// Captured bytes.
    pub bytes: u64,
}

/// One protocol's part of the traffic.
#[allow(clippy::struct_field_names)] // the name that clients see
#[derive(Clone, PartialEq, Eq, Debug, Serialize, ToSchema)]
pub(crate) struct Protocol {
    /// Name.
    pub protocol: String,
    /// Frames.
    pub packets: u64,
    /// Captured bytes.
    pub bytes: u64,
}

/// One host.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, ToSchema)]
pub(crate) struct Host {
    /// Address.
    pub addr: String,
    /// Host name that the traffic gave it; from the wire, so anything.
    pub name: Option<String>,
    /// Bytes it sent.
    pub bytes_out: u64,
    /// Bytes it received.
    pub bytes_in: u64,
    /// Packets it sent and received.
    pub packets: u64,
    /// Bytes per second now.
    pub rate: u64,
    /// Flows it takes part in now.
    pub flows: u64,
}

/// Totals since the start.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, Serialize, ToSchema)]
pub(crate) struct Totals {
    /// Frames.
    pub packets: u64,
    /// Captured bytes.
    pub bytes: u64,
    /// Flows begun.
    pub flows: u64,
    /// Packets that the kernel dropped because FlowTrack was too slow.
    pub kernel_drops: u64,
    /// Packets that FlowTrack dropped before decoding.
    pub own_drops: u64,
    /// Flow events that a full queue dropped.
    pub events_dropped: u64,
    /// Rows that history could not keep.
    pub store_dropped: u64,
    /// Detections not told: too many for one second.
    pub detections_left_out: u64,
    /// Hosts, services and names that detectors had to forget for lack of room.
    pub detectors_forgot: u64,
    /// Reports of alerts folded with those of other hosts, because their rule opened too many.
    pub alerts_crowded: u64,
    /// Changes of alerts that nobody was told or that history had no room for.
    pub alerts_lost: u64,
    /// Things that rules wanted to remember or count, for which there was no room.
    pub rules_forgot: u64,
    /// Whole files that were not stored although they were to be, or before rules had chosen.
    pub files_not_stored: u64,
    /// Malformed headers and broken streams.
    pub anomalies: u64,
}

/// What the live view had to forget because a table was full; totals are not touched by that.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, Serialize, ToSchema)]
pub(crate) struct Evicted {
    /// Living flows, least recently active first.
    pub flows: u64,
    /// Hosts with the least bytes.
    pub hosts: u64,
    /// Names of addresses, least recently seen first.
    pub names: u64,
}

impl From<&live::RatePoint> for RatePoint {
    fn from(p: &live::RatePoint) -> Self {
        let share =
            |(protocol, bytes): &(String, u64)| Share { protocol: protocol.clone(), bytes: *bytes };
        Self {
            at: p.at,
            packets: p.packets,
            bytes: p.bytes,
            flows_new: p.flows_new,
            rtt_p50_us: p.rtt_p50_us,
            rtt_p95_us: p.rtt_p95_us,
            rtt_p99_us: p.rtt_p99_us,
            tcp_segments: p.tcp_segments,
            retransmissions: p.retransmissions,
            lost: p.lost,
            shares: p.shares.iter().map(share).collect(),
        }
    }
}

impl From<&live::ProtocolRow> for Protocol {
    fn from(p: &live::ProtocolRow) -> Self {
        Self { protocol: p.protocol.clone(), packets: p.packets, bytes: p.bytes }
    }
}

impl From<&live::HostRow> for Host {
    fn from(h: &live::HostRow) -> Self {
        Self {
            addr: h.addr.clone(),
            name: h.name.clone(),
            bytes_out: h.bytes_out,
            bytes_in: h.bytes_in,
            packets: h.packets,
            rate: h.rate,
            flows: h.flows,
        }
    }
}

impl From<&live::Totals> for Totals {
    fn from(t: &live::Totals) -> Self {
        Self {
            packets: t.packets,
            bytes: t.bytes,
            flows: t.flows,
            kernel_drops: t.kernel_drops,
            own_drops: t.own_drops,
            events_dropped: t.events_dropped,
            store_dropped: t.store_dropped,
            detections_left_out: t.detections_left_out,
            detectors_forgot: t.detectors_forgot,
            alerts_crowded: t.alerts_crowded,
            alerts_lost: t.alerts_lost,
            rules_forgot: t.rules_forgot,
            files_not_stored: t.files_not_stored,
            anomalies: t.anomalies,
        }
    }
}

impl From<&live::Evicted> for Evicted {
    fn from(e: &live::Evicted) -> Self {
        Self { flows: e.flows, hosts: e.hosts, names: e.names }
    }
}

/// How much of the snapshot is wanted.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct SnapshotParams {
    /// Flows at most; 100 where not given, 5000 at most.
    flows: Option<usize>,
    /// Hosts at most; 100 where not given, 1000 at most.
    hosts: Option<usize>,
}

/// Everything that is seen now
#[utoipa::path(
    get, path = "/snapshot", tag = "live", params(SnapshotParams),
    responses((status = OK, body = Snapshot))
)]
pub(super) async fn snapshot(
    State(app): State<Arc<App>>,
    params: Result<Query<SnapshotParams>, QueryRejection>,
) -> Result<Json<Snapshot>, Problem> {
    let Query(params) = params?;
    let now = app.backend.snapshot();
    Ok(Json(Snapshot {
        revision: now.revision,
        at: now.at,
        seconds: now.seconds.iter().map(Into::into).collect(),
        protocols: now.protocols.iter().map(Into::into).collect(),
        hosts: now.talkers.iter().take(params.hosts.unwrap_or(100)).map(Into::into).collect(),
        flows: now.flows.iter().take(params.flows.unwrap_or(100)).map(Into::into).collect(),
        flows_active: now.flows_active,
        totals: (&now.totals).into(),
        evicted: (&now.evicted).into(),
    }))
}

/// Which hosts are wanted.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct HostParams {
    /// Only hosts whose address or name contains this, whatever the case.
    #[serde(default)]
    search: String,
    /// How many at most; 100 where not given.
    limit: Option<usize>,
}

/// Hosts that are seen now, by bytes, largest first
#[utoipa::path(
    get, path = "/hosts", tag = "live", params(HostParams),
    responses((status = OK, body = Vec<Host>))
)]
pub(super) async fn hosts(
    State(app): State<Arc<App>>,
    params: Result<Query<HostParams>, QueryRejection>,
) -> Result<Json<Vec<Host>>, Problem> {
    let Query(HostParams { search, limit }) = params?;
    let wanted = search.to_lowercase();
    let matches = |host: &&live::HostRow| {
        let name = host.name.as_deref().unwrap_or_default();
        host.addr.contains(&wanted) || name.to_lowercase().contains(&wanted)
    };
    let now = app.backend.snapshot();
    let found = now.talkers.iter().filter(matches).take(limit.unwrap_or(100));
    Ok(Json(found.map(Into::into).collect()))
}

/// Protocols of the last five minutes by bytes, largest first
#[utoipa::path(
    get, path = "/protocols", tag = "live", responses((status = OK, body = Vec<Protocol>))
)]
pub(super) async fn protocols(State(app): State<Arc<App>>) -> Json<Vec<Protocol>> {
    Json(app.backend.snapshot().protocols.iter().map(Into::into).collect())
}
