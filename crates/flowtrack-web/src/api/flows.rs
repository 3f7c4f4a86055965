//! `/flows`: flows of the live view or of history, filtered and sorted.

use std::{borrow::Cow, cmp::Reverse, net::IpAddr, sync::Arc};

use axum::{
    Json,
    extract::{Path, Query, State, rejection::PathRejection, rejection::QueryRejection},
};
use flowtrack_filter::Filter;
use flowtrack_store::live::{FlowRow, Snapshot};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{App, Problem, filter};

/// One flow.
///
/// Names and `info` come from the wire and can hold anything.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, ToSchema)]
pub(crate) struct Flow {
    /// Its name: the run that saw it (0 for the one that runs now), a dash, its number there.
    id: String,
    /// Originator's address.
    src_ip: String,
    /// Host name that the traffic gave the originator.
    src_name: Option<String>,
    /// Originator's port.
    src_port: u16,
    /// Responder's address.
    dest_ip: String,
    /// Host name that the traffic gave the responder.
    dest_name: Option<String>,
    /// Responder's port.
    dest_port: u16,
    /// Transport protocol, such as `TCP`.
    proto: String,
    /// Application protocol.
    app_proto: Option<String>,
    /// Interface.
    in_iface: Option<String>,
    /// First VLAN tag.
    vlan: Option<u16>,
    /// First packet, microseconds since the epoch.
    start_us: i64,
    /// Last packet, microseconds since the epoch.
    end_us: i64,
    /// Packets of the originator.
    pkts_toserver: u64,
    /// Packets of the responder.
    pkts_toclient: u64,
    /// Captured bytes of the originator.
    bytes_toserver: u64,
    /// Captured bytes of the responder.
    bytes_toclient: u64,
    /// Bytes per second now, both ways; 0 in history.
    rate: u64,
    /// `new`, `established` or `closed`.
    state: String,
    /// Why it ended; `null` while it lives.
    reason: Option<String>,
    /// Zeek's summary, such as `SF`.
    conn_state: String,
    /// Zeek's history letters, such as `ShADadFf`.
    history: String,
    /// Handshake round-trip time to the responder, microseconds.
    rtt_server_us: Option<u32>,
    /// Handshake round-trip time to the originator, microseconds.
    rtt_client_us: Option<u32>,
    /// First answer after the first request, microseconds.
    response_us: Option<u32>,
    /// Segments sent again, both ways.
    retransmissions: u32,
    /// Segments out of order, both ways.
    out_of_order: u32,
    /// Segments lost, both ways.
    lost: u32,
    /// Windows closed, both ways.
    zero_windows: u32,
    /// Name of the flow across tools.
    community_id: String,
    /// What was said, in one line.
    info: Option<String>,
    /// Whether an alert was raised on it.
    alerted: bool,
}

impl From<&FlowRow> for Flow {
    fn from(f: &FlowRow) -> Self {
        let f = f.clone();
        Self {
            id: flow_id(&f),
            src_ip: f.src_ip,
            src_name: f.src_name,
            src_port: f.src_port,
            dest_ip: f.dest_ip,
            dest_name: f.dest_name,
            dest_port: f.dest_port,
            proto: f.proto,
            app_proto: f.app_proto,
            in_iface: f.in_iface,
            vlan: f.vlan,
            start_us: f.start_us,
            end_us: f.end_us,
            pkts_toserver: f.pkts_toserver,
            pkts_toclient: f.pkts_toclient,
            bytes_toserver: f.bytes_toserver,
            bytes_toclient: f.bytes_toclient,
            rate: f.rate,
            state: f.state,
            reason: f.reason,
            conn_state: f.conn_state,
            history: f.history,
            rtt_server_us: f.rtt_server_us,
            rtt_client_us: f.rtt_client_us,
            response_us: f.response_us,
            retransmissions: f.retransmissions,
            out_of_order: f.out_of_order,
            lost: f.lost,
            zero_windows: f.zero_windows,
            community_id: f.community_id,
            info: f.info,
            alerted: f.alerted,
        }
    }
}

/// The name of a flow in the API; a string, because numbers of JavaScript lose the low bits.
pub(crate) fn flow_id(flow: &FlowRow) -> String {
    format!("{}-{}", flow.run, flow.id)
}

fn parse_flow_id(text: &str) -> Option<(u64, u64)> {
    let (run, id) = text.split_once('-')?;
    Some((run.parse().ok()?, id.parse().ok()?))
}

/// Which flows are wanted, as the backend gets it.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct FlowQuery {
    /// Which flows; read and found valid.
    pub filter: Filter,
    /// By what they are sorted.
    pub sort: FlowSort,
    /// Which comes first.
    pub order: Order,
    /// How many at most.
    pub limit: usize,
    /// [`crate::Page::next`] of the page before; unchecked, from the client.
    pub cursor: Option<String>,
    /// Only flows that were active then or later, microseconds since the epoch.
    pub since_us: Option<i64>,
    /// Only flows that began before, microseconds since the epoch.
    pub until_us: Option<i64>,
}

/// By what flows are sorted.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum FlowSort {
    /// First packet.
    Start,
    /// Last packet.
    #[default]
    End,
    /// From first to last packet.
    Duration,
    /// Bytes both ways.
    Bytes,
    /// Packets both ways.
    Packets,
    /// Bytes per second now.
    Rate,
    /// Originator's address and port.
    Src,
    /// Responder's address and port.
    Dest,
    /// Application protocol, else transport protocol.
    Protocol,
    /// Round-trip time to the responder.
    Rtt,
    /// Segments sent again.
    Retransmissions,
}

/// Which comes first.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Order {
    /// Smallest first.
    Asc,
    /// Largest first.
    #[default]
    Desc,
}

/// The flows of the snapshot that are wanted, sorted.
pub(crate) fn select<'a>(
    snapshot: &'a Snapshot,
    filter: &Filter,
    sort: FlowSort,
    order: Order,
) -> Vec<&'a FlowRow> {
    let mut rows: Vec<&FlowRow> =
        (snapshot.flows.iter()).filter(|row| filter.is_empty() || filter.matches(*row)).collect();
    // Equal ones stay in the order of their numbers either way, so that they do not dance.
    rows.sort_unstable_by_key(|row| row.id);
    match order {
        Order::Asc => rows.sort_by_cached_key(|row| sort_key(row, sort)),
        Order::Desc => rows.sort_by_cached_key(|row| Reverse(sort_key(row, sort))),
    }
    rows
}

/// What a flow is sorted by; every flow of one sorting has the same variant.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum SortKey<'a> {
    Time(i64),
    Count(u64),
    Latency(Option<u32>),
    /// By number, not by letter: 10.0.0.9 comes before 10.0.0.10.
    Endpoint(Option<IpAddr>, u16),
    Protocol(Cow<'a, str>),
}

fn sort_key(flow: &FlowRow, sort: FlowSort) -> SortKey<'_> {
    match sort {
        FlowSort::Start => SortKey::Time(flow.start_us),
        FlowSort::End => SortKey::Time(flow.end_us),
        FlowSort::Duration => SortKey::Time(flow.end_us.saturating_sub(flow.start_us)),
        FlowSort::Bytes => SortKey::Count(flow.bytes_toserver.saturating_add(flow.bytes_toclient)),
        FlowSort::Packets => SortKey::Count(flow.pkts_toserver.saturating_add(flow.pkts_toclient)),
        FlowSort::Rate => SortKey::Count(flow.rate),
        FlowSort::Src => SortKey::Endpoint(flow.src_ip.parse().ok(), flow.src_port),
        FlowSort::Dest => SortKey::Endpoint(flow.dest_ip.parse().ok(), flow.dest_port),
        FlowSort::Protocol => SortKey::Protocol(match &flow.app_proto {
            Some(app) => Cow::Borrowed(app),
            None => Cow::Owned(flow.proto.to_lowercase()),
        }),
        FlowSort::Rtt => SortKey::Latency(flow.rtt_server_us),
        FlowSort::Retransmissions => SortKey::Count(flow.retransmissions.into()),
    }
}

/// Where flows are looked for.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Source {
    /// What is seen now.
    #[default]
    Live,
    /// What is kept.
    History,
}

/// Which flows are wanted.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct FlowParams {
    /// Where to look.
    #[param(inline)]
    #[serde(default)]
    source: Source,
    /// Filter expression; empty for all.
    #[serde(default)]
    filter: String,
    /// By what to sort.
    #[param(inline)]
    #[serde(default)]
    sort: FlowSort,
    /// Which comes first.
    #[param(inline)]
    #[serde(default)]
    order: Order,
    /// How many at most, up to 1000; 100 where not given.
    limit: Option<usize>,
    /// `next` of the page before.
    cursor: Option<String>,
    /// Only flows that were active then or later, microseconds since the epoch.
    since_us: Option<i64>,
    /// Only flows that began before, microseconds since the epoch.
    until_us: Option<i64>,
}

/// A part of the flows that were asked for.
#[derive(Serialize, ToSchema)]
pub(crate) struct FlowPage {
    /// The flows.
    rows: Vec<Flow>,
    /// What to give as `cursor` for those that follow; `null` on the last page.
    next: Option<String>,
    /// How many there are on all pages, where that is known.
    total: Option<usize>,
}

/// Flows of the live view or of history
#[utoipa::path(
    get, path = "/flows", tag = "flows", params(FlowParams),
    responses(
        (status = OK, body = FlowPage),
        (status = UNPROCESSABLE_ENTITY, description = "A wrong filter, with its place", body = Problem),
    )
)]
pub(super) async fn flows(
    State(app): State<Arc<App>>,
    params: Result<Query<FlowParams>, QueryRejection>,
) -> Result<Json<FlowPage>, Problem> {
    let Query(params) = params?;
    let query = FlowQuery {
        filter: filter::parse(&params.filter)?,
        sort: params.sort,
        order: params.order,
        limit: params.limit.unwrap_or(100).clamp(1, MAX_ROWS),
        cursor: params.cursor,
        since_us: params.since_us,
        until_us: params.until_us,
    };
    match params.source {
        Source::Live => live_page(&app, &query).map(Json),
        Source::History => {
            let page = app.ask(move |backend| backend.flows(&query)).await?;
            let page = page.map_err(|error| Problem::history(&error))?;
            let rows = page.rows.iter().map(Into::into).collect();
            Ok(Json(FlowPage { rows, next: page.next, total: None }))
        }
    }
}

/// A page of the live view; its cursor is the number of rows before it.
fn live_page(app: &App, query: &FlowQuery) -> Result<FlowPage, Problem> {
    let skip = match &query.cursor {
        None => 0,
        Some(text) => {
            text.parse().map_err(|_| Problem::invalid("cursor", "this is no cursor of ours"))?
        }
    };
    let snapshot = app.backend.snapshot();
    let mut rows = select(&snapshot, &query.filter, query.sort, query.order);
    rows.retain(|row| {
        query.since_us.is_none_or(|since| row.end_us >= since)
            && query.until_us.is_none_or(|until| row.start_us < until)
    });
    let total = rows.len();
    let end = total.min(query.limit.saturating_add(skip));
    let page = rows.get(skip..end).unwrap_or_default();
    Ok(FlowPage {
        rows: page.iter().copied().map(Into::into).collect(),
        next: (end < total).then(|| end.to_string()),
        total: Some(total),
    })
}

/// One flow, seen now or kept
#[utoipa::path(
    get, path = "/flows/{id}", tag = "flows", params(("id" = String, description = "`Flow.id`")),
    responses((status = OK, body = Flow), (status = NOT_FOUND, body = Problem))
)]
pub(super) async fn flow(
    State(app): State<Arc<App>>,
    id: Result<Path<String>, PathRejection>,
) -> Result<Json<Flow>, Problem> {
    let gone = || Problem::not_found("this flow is not seen now and was not kept");
    let (run, id) = parse_flow_id(&id?.0).ok_or_else(gone)?;
    if run == 0 {
        let snapshot = app.backend.snapshot();
        if let Some(row) = snapshot.flows.iter().find(|row| row.id == id) {
            return Ok(Json(row.into()));
        }
    }
    let kept = app.ask(move |backend| backend.flow(run, id)).await?;
    let kept = kept.map_err(|error| Problem::history(&error))?;
    kept.as_ref().map(|row| Json(row.into())).ok_or_else(gone)
}

/// Rows of one answer.
pub(crate) const MAX_ROWS: usize = 1_000;

#[cfg(test)]
mod tests {
    use super::*;

    fn snapshot() -> Snapshot {
        let row = |id, bytes, app: &str| FlowRow {
            id,
            bytes_toserver: bytes,
            app_proto: Some(app.into()),
            src_ip: "192.0.2.1".into(),
            dest_ip: "192.0.2.2".into(),
            proto: "TCP".into(),
            ..FlowRow::default()
        };
        let flows = vec![row(1, 5, "tls"), row(2, 9, "http"), row(3, 5, "dns")];
        Snapshot { flows, ..Snapshot::default() }
    }

    fn ids(filter: &str, sort: FlowSort, order: Order) -> Vec<u64> {
        let filter = Filter::parse(filter).unwrap();
        select(&snapshot(), &filter, sort, order).iter().map(|row| row.id).collect()
    }

    #[test]
    fn equal_rows_keep_their_order_either_way() {
        assert_eq!(ids("", FlowSort::Bytes, Order::Desc), [2, 1, 3]);
        assert_eq!(ids("", FlowSort::Bytes, Order::Asc), [1, 3, 2]);
        assert_eq!(ids("", FlowSort::Protocol, Order::Asc), [3, 2, 1]);
    }

    #[test]
    fn addresses_are_sorted_by_number() {
        let row = |id, ip: &str| FlowRow { id, src_ip: ip.into(), ..FlowRow::default() };
        let flows = vec![row(1, "192.0.2.10"), row(2, "2001:db8::1"), row(3, "192.0.2.9")];
        let snapshot = Snapshot { flows, ..Snapshot::default() };
        let sorted = select(&snapshot, &Filter::default(), FlowSort::Src, Order::Asc);
        assert_eq!(sorted.iter().map(|row| row.id).collect::<Vec<_>>(), [3, 1, 2]);
    }

    #[test]
    fn the_filter_language_selects() {
        assert_eq!(ids("app_proto = dns", FlowSort::End, Order::Asc), [3]);
        assert_eq!(ids("bytes > 5", FlowSort::End, Order::Asc), [2]);
    }

    #[test]
    fn flow_ids_name_run_and_number() {
        assert_eq!(parse_flow_id("0-18446744073709551615"), Some((0, u64::MAX)));
        for wrong in ["", "1", "1-", "-1", "1-2-3", "../1-2"] {
            assert_eq!(parse_flow_id(wrong), None, "{wrong}");
        }
    }
}
