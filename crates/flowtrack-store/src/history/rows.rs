//! Rows of the tables: from events into columns, and from columns to what is shown.

use super::query::{AnomalyRow, TransactionRow};
use crate::live::FlowRow;
use crate::names::Note;
use crate::row::{proto_name, proto_of_name, shown, shown_ports};
use flowtrack_event::{
    Anomaly, AnomalyLayer, AppProto, EndReason, FlowKey, FlowRecord, TransactionEvent, community_id,
};
use rusqlite::functions::FunctionFlags;
use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{CachedStatement, Connection, Row, ToSql, params};
use std::net::IpAddr;

/// Columns and values of a flow.
macro_rules! flow_columns {
    () => {
        "INTO flows \
        (key, run, id, src_ip, dest_ip, src_port, dest_port, icmp, icmp_id, proto, app_proto, \
         in_iface, vlan, start_us, end_us, pkts_toserver, pkts_toclient, bytes_toserver, \
         bytes_toclient, state, reason, conn_state, history, rtt_server_us, rtt_client_us, \
         response_us, retransmissions, out_of_order, lost, zero_windows, alerted, src_name, \
         dest_name, info) \
        VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, \
         ?, ?, ?, ?, ?, ?)"
    };
}

/// Writes a flow of a new key, a fifth faster than [`REPLACE_FLOW`] does.
pub(crate) const INSERT_FLOW: &str = concat!("INSERT ", flow_columns!());

/// Writes a flow over the row of that key.
pub(crate) const REPLACE_FLOW: &str = concat!("INSERT OR REPLACE ", flow_columns!());

/// Flows as they are asked for: the table and what is reckoned from it.
///
/// The community ID costs a hash, so it is reckoned where it is asked for and stored nowhere.
pub(crate) const FLOWS: &str = "(SELECT *, flowtrack_community_id(src_ip, dest_ip, \
    ifnull(icmp, src_port), ifnull(icmp_id, dest_port), proto) AS community_id FROM flows)";

/// What is the same for all flows of a batch.
pub(crate) struct FlowContext<'a> {
    pub run: i64,
    pub interfaces: &'a [String],
}

/// Runs [`INSERT_FLOW`] or [`REPLACE_FLOW`].
pub(crate) fn insert_flow(
    statement: &mut CachedStatement<'_>,
    key: i64,
    record: &FlowRecord,
    reason: Option<EndReason>,
    note: &Note,
    context: &FlowContext<'_>,
) -> rusqlite::Result<()> {
    let (out, back) = (&record.to_server, &record.to_client);
    let (src_port, dest_port) = shown_ports(record);
    let icmp = record.key.is_icmp().then_some((record.key.src_port, record.key.dst_port));
    statement.execute(params![
        key,
        context.run,
        record.id.0 as i64,
        Address::from(record.key.src),
        Address::from(record.key.dst),
        src_port,
        dest_port,
        icmp.map(|(kind, _)| kind),
        icmp.map(|(_, id)| id),
        proto_name(record.key.proto),
        record.recognised().map(AppProto::name),
        context.interfaces.get(usize::from(record.iface.0)),
        record.vlans.as_slice().first(),
        record.start.micros(),
        record.end.micros(),
        count(out.packets),
        count(back.packets),
        count(out.bytes),
        count(back.bytes),
        record.state.name(),
        reason.map(EndReason::name),
        record.conn_state.name(),
        // Letters of a fixed alphabet; anything else would be no text to find again.
        std::str::from_utf8(&record.history).unwrap_or_default(),
        record.latency.handshake_server_us,
        record.latency.handshake_client_us,
        record.latency.response_us,
        out.retransmissions.saturating_add(back.retransmissions),
        out.out_of_order.saturating_add(back.out_of_order),
        out.lost_segments.saturating_add(back.lost_segments),
        out.zero_windows.saturating_add(back.zero_windows),
        record.alerted,
        note.src_name.as_deref(),
        note.dest_name.as_deref(),
        note.info.as_deref(),
    ])?;
    Ok(())
}

/// A flow as it was written.
pub(crate) fn flow_row(row: &Row<'_>) -> rusqlite::Result<FlowRow> {
    let number = |column: &str| row.get::<_, i64>(column).map(|n| n as u64);
    Ok(FlowRow {
        run: number("run")?,
        id: number("id")?,
        src_ip: address(row, "src_ip")?,
        src_name: row.get("src_name")?,
        src_port: row.get("src_port")?,
        dest_ip: address(row, "dest_ip")?,
        dest_name: row.get("dest_name")?,
        dest_port: row.get("dest_port")?,
        proto: row.get("proto")?,
        app_proto: row.get("app_proto")?,
        in_iface: row.get("in_iface")?,
        vlan: row.get("vlan")?,
        start_us: row.get("start_us")?,
        end_us: row.get("end_us")?,
        pkts_toserver: number("pkts_toserver")?,
        pkts_toclient: number("pkts_toclient")?,
        bytes_toserver: number("bytes_toserver")?,
        bytes_toclient: number("bytes_toclient")?,
        rate: 0,
        state: row.get("state")?,
        reason: row.get("reason")?,
        conn_state: row.get("conn_state")?,
        history: row.get("history")?,
        rtt_server_us: row.get("rtt_server_us")?,
        rtt_client_us: row.get("rtt_client_us")?,
        response_us: row.get("response_us")?,
        retransmissions: row.get("retransmissions")?,
        out_of_order: row.get("out_of_order")?,
        lost: row.get("lost")?,
        zero_windows: row.get("zero_windows")?,
        community_id: row.get("community_id")?,
        info: row.get("info")?,
        alerted: row.get("alerted")?,
    })
}

/// Gives a connection the function that [`FLOWS`] calls.
pub(crate) fn add_functions(connection: &Connection) -> rusqlite::Result<()> {
    let flags = FunctionFlags::SQLITE_UTF8
        | FunctionFlags::SQLITE_DETERMINISTIC
        | FunctionFlags::SQLITE_INNOCUOUS;
    connection.create_scalar_function("flowtrack_community_id", 5, flags, |args| {
        let ip = |i| match args.get_raw(i) {
            ValueRef::Blob(bytes) => address_of(bytes),
            _ => None,
        };
        let proto = args.get_raw(4).as_str().ok().and_then(proto_of_name);
        let (Some(src), Some(dst), Some(proto)) = (ip(0), ip(1), proto) else {
            return Ok(String::new());
        };
        let key = FlowKey { src, dst, src_port: args.get(2)?, dst_port: args.get(3)?, proto };
        Ok(community_id(&key, 0))
    })
}

/// Longest record of a transaction that is kept, in bytes of JSON.
const RECORD: usize = 16 << 10;
/// Longest summary that is kept, in characters.
const SUMMARY: usize = 400;

/// Writes a transaction.
pub(crate) fn insert_transaction(
    connection: &Connection,
    run: i64,
    event: &TransactionEvent,
) -> rusqlite::Result<()> {
    let transaction = event.transaction.as_ref();
    // A record that cannot be written as JSON, or not in reason, is not worth losing the row for.
    let record = serde_json::to_string(transaction.record()).ok().filter(|r| r.len() <= RECORD);
    let key = &event.flow.key;
    connection
        .prepare_cached(
            "INSERT INTO transactions (ts_us, run, flow, tx_id, src_ip, src_port, dest_ip, \
             dest_port, protocol, event_type, summary, record) \
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        )?
        .execute(params![
            event.ts.micros(),
            run,
            event.flow.id.0 as i64,
            count(event.tx_id),
            Address::from(key.src),
            if key.has_ports() { key.src_port } else { 0 },
            Address::from(key.dst),
            if key.has_ports() { key.dst_port } else { 0 },
            transaction.protocol().name(),
            transaction.event_type(),
            shown(&transaction.summary(), SUMMARY),
            record,
        ])?;
    Ok(())
}

pub(crate) fn transaction_row(row: &Row<'_>) -> rusqlite::Result<TransactionRow> {
    let number = |column: &str| row.get::<_, i64>(column).map(|n| n as u64);
    let record: Option<String> = row.get("record")?;
    Ok(TransactionRow {
        ts_us: row.get("ts_us")?,
        run: number("run")?,
        flow: number("flow")?,
        tx_id: number("tx_id")?,
        src_ip: address(row, "src_ip")?,
        src_port: row.get("src_port")?,
        dest_ip: address(row, "dest_ip")?,
        dest_port: row.get("dest_port")?,
        protocol: row.get("protocol")?,
        event_type: row.get("event_type")?,
        summary: row.get("summary")?,
        record: record.and_then(|json| serde_json::from_str(&json).ok()),
    })
}

/// Writes an anomaly.
pub(crate) fn insert_anomaly(
    connection: &Connection,
    run: i64,
    anomaly: &Anomaly,
) -> rusqlite::Result<()> {
    let flow = anomaly.flow.as_ref();
    let key = flow.map(|flow| flow.key);
    let ports = key.filter(FlowKey::has_ports);
    connection
        .prepare_cached(
            "INSERT INTO anomalies (ts_us, run, layer, name, app_proto, packet, flow, src_ip, \
             src_port, dest_ip, dest_port) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        )?
        .execute(params![
            anomaly.ts.micros(),
            run,
            layer_name(anomaly.layer),
            anomaly.name,
            anomaly.app.map(AppProto::name),
            count(anomaly.packet),
            flow.map(|flow| flow.id.0 as i64),
            key.map(|key| Address::from(key.src)),
            ports.map(|key| key.src_port),
            key.map(|key| Address::from(key.dst)),
            ports.map(|key| key.dst_port),
        ])?;
    Ok(())
}

pub(crate) fn anomaly_row(row: &Row<'_>) -> rusqlite::Result<AnomalyRow> {
    let number = |n: i64| n as u64;
    let maybe_address = |column: &str| {
        let bytes: Option<Vec<u8>> = row.get(column)?;
        Ok::<_, rusqlite::Error>(bytes.as_deref().and_then(address_of).map(|a| a.to_string()))
    };
    Ok(AnomalyRow {
        ts_us: row.get("ts_us")?,
        run: row.get("run").map(number)?,
        layer: row.get("layer")?,
        name: row.get("name")?,
        app_proto: row.get("app_proto")?,
        packet: row.get("packet").map(number)?,
        flow: row.get::<_, Option<i64>>("flow")?.map(number),
        src_ip: maybe_address("src_ip")?,
        src_port: row.get("src_port")?,
        dest_ip: maybe_address("dest_ip")?,
        dest_port: row.get("dest_port")?,
    })
}

/// The layer as EVE writes it.
const fn layer_name(layer: AnomalyLayer) -> &'static str {
    match layer {
        AnomalyLayer::Decode => "decode",
        AnomalyLayer::Stream => "stream",
        AnomalyLayer::Applayer => "applayer",
    }
}

/// An address as a blob of its bytes.
pub(crate) enum Address {
    V4([u8; 4]),
    V6([u8; 16]),
}

impl From<IpAddr> for Address {
    fn from(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(a) => Self::V4(a.octets()),
            IpAddr::V6(a) => Self::V6(a.octets()),
        }
    }
}

impl ToSql for Address {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(ValueRef::Blob(match self {
            Self::V4(bytes) => bytes,
            Self::V6(bytes) => bytes,
        })))
    }
}

fn address(row: &Row<'_>, column: &str) -> rusqlite::Result<String> {
    let bytes: Vec<u8> = row.get(column)?;
    Ok(address_of(&bytes).map_or_else(String::new, |address| address.to_string()))
}

pub(crate) fn address_of(bytes: &[u8]) -> Option<IpAddr> {
    match bytes.len() {
        4 => <[u8; 4]>::try_from(bytes).ok().map(IpAddr::from),
        16 => <[u8; 16]>::try_from(bytes).ok().map(IpAddr::from),
        _ => None,
    }
}

/// A count as SQLite holds it.
fn count(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}
