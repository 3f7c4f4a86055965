//! Alerts and mutes as rows.

use super::query::{Cursor, QueryError};
use super::reader::HistoryReader;
use super::rows::{Address, address_of};
use crate::row::{proto_name, proto_of_name};
use flowtrack_detect::alerts::{
    AlertFilter, AlertId, AlertKind, AlertRecord, AlertState, FlowRef, Mute, MuteId, Preview,
    RuleId, Scope, TechniqueName,
};
use flowtrack_event::{Evidence, Severity, Timestamp};
use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension as _, Row, params};
use std::borrow::Cow;
use std::sync::Arc;

/// By what alerts are sorted; equal ones by their numbers.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum AlertSort {
    /// When it was seen last.
    #[default]
    Last,
    /// When it began.
    First,
    /// Severity, and when it was seen last.
    Severity,
    /// Reports folded into it.
    Count,
}

impl AlertSort {
    const fn sql(self) -> &'static str {
        match self {
            Self::Last => "last_us",
            Self::First => "first_us",
            // Times have less than 52 bits until the year 2112.
            Self::Severity => "((severity << 52) + last_us)",
            Self::Count => "count",
        }
    }

    /// What an alert is sorted by, the same as in SQL.
    fn key(self, alert: &AlertRecord) -> i64 {
        match self {
            Self::Last => alert.last_seen.micros(),
            Self::First => alert.first_seen.micros(),
            Self::Severity => ((alert.severity as i64) << 52) + alert.last_seen.micros(),
            Self::Count => alert.count.cast_signed(),
        }
    }
}

/// A question for alerts.
#[derive(Clone, PartialEq, Debug)]
pub struct AlertQuery {
    /// Only alerts seen then or later, in microseconds since the epoch.
    pub since_us: Option<i64>,
    /// Only alerts that began before.
    pub until_us: Option<i64>,
    /// Only alerts that it matches.
    pub filter: AlertFilter,
    /// What the rows are sorted by.
    pub sort: AlertSort,
    /// Whether the largest come first.
    pub descending: bool,
    /// Most rows of a page; at most [`AlertQuery::MAX_LIMIT`] are given.
    pub limit: usize,
    /// Where the page before ended.
    pub after: Option<Cursor>,
}

impl AlertQuery {
    /// Most rows of a page.
    pub const MAX_LIMIT: usize = 10_000;

    /// The page of alerts that are in memory, for when the database does not answer.
    pub fn page_of<'a>(&self, alerts: impl Iterator<Item = &'a AlertRecord>) -> AlertPage {
        let mut rows: Vec<&AlertRecord> = alerts
            .filter(|a| {
                self.since_us.is_none_or(|since| a.last_seen.micros() >= since)
                    && self.until_us.is_none_or(|until| a.first_seen.micros() < until)
                    && self.filter.matches(a)
            })
            .collect();
        let key = |a: &AlertRecord| (self.sort.key(a), a.id);
        rows.sort_unstable_by_key(|a| key(a));
        if self.descending {
            rows.reverse();
        }
        if let Some(Cursor { key: id, value: Value::Integer(value) }) = &self.after {
            let last = (*value, id.cast_unsigned());
            rows.retain(|a| if self.descending { key(a) < last } else { key(a) > last });
        }
        let limit = self.limit.clamp(1, Self::MAX_LIMIT);
        let next = rows
            .get(limit)
            .and_then(|_| rows.get(limit - 1))
            .map(|a| Cursor { key: a.id.cast_signed(), value: Value::Integer(self.sort.key(a)) });
        AlertPage { rows: rows.into_iter().take(limit).cloned().collect(), next }
    }
}

impl Default for AlertQuery {
    /// The newest alerts.
    fn default() -> Self {
        Self {
            since_us: None,
            until_us: None,
            filter: AlertFilter::default(),
            sort: AlertSort::Last,
            descending: true,
            limit: 100,
            after: None,
        }
    }
}

/// Some alerts of an answer.
#[derive(Clone, PartialEq, Default, Debug)]
pub struct AlertPage {
    /// The alerts.
    pub rows: Vec<AlertRecord>,
    /// What to ask with for those that follow; `None` on the last page.
    pub next: Option<Cursor>,
}

/// What an earlier run left for the book.
#[derive(Clone, PartialEq, Default, Debug)]
pub struct Resumed {
    /// Alerts that may go on, the newest first.
    pub alerts: Vec<AlertRecord>,
    /// Mutes, oldest first.
    pub mutes: Vec<Mute>,
    /// The first number that no alert has.
    pub next_alert: AlertId,
    /// The first number that no mute has.
    pub next_mute: MuteId,
}

impl HistoryReader {
    /// One page of alerts.
    pub fn alerts(&self, query: &AlertQuery) -> Result<AlertPage, QueryError> {
        let after = match &query.after {
            None => None,
            Some(Cursor { key, value: Value::Integer(value) }) => Some((*value, *key)),
            Some(_) => return Err(QueryError::Cursor),
        };
        let sort = query.sort.sql();
        let (order, behind) = if query.descending { ("DESC", "<") } else { ("ASC", ">") };
        let place =
            after.map_or_else(String::new, |_| format!("AND ({sort}, key) {behind} (?3, ?4)"));
        let sql = format!(
            "SELECT *, {sort} AS sort_key FROM alerts WHERE last_us >= ?1 AND first_us < ?2 \
             {place} ORDER BY {sort} {order}, key {order}"
        );
        let limit = query.limit.clamp(1, AlertQuery::MAX_LIMIT);
        let (since, until) =
            (query.since_us.unwrap_or(i64::MIN), query.until_us.unwrap_or(i64::MAX));
        self.ask(|connection| {
            let mut statement = connection.prepare_cached(&sql)?;
            let mut found = match after {
                None => statement.query(params![since, until])?,
                Some((value, key)) => statement.query(params![since, until, value, key])?,
            };
            let mut page = AlertPage::default();
            let mut last = None;
            while let Some(row) = found.next()? {
                let alert = alert_row(row)?;
                if !query.filter.matches(&alert) {
                    continue;
                }
                if page.rows.len() == limit {
                    page.next = last;
                    break;
                }
                last = Some(Cursor { key: row.get("key")?, value: row.get("sort_key")? });
                page.rows.push(alert);
            }
            Ok(page)
        })
    }

    /// One alert by its number.
    pub fn alert(&self, id: AlertId) -> Result<Option<AlertRecord>, QueryError> {
        self.ask(|connection| {
            let mut statement = connection.prepare_cached("SELECT * FROM alerts WHERE key = ?")?;
            Ok(statement.query_row([id.cast_signed()], alert_row).optional()?)
        })
    }

    /// Alerts that were written after the `changed` of before, in that order, and the `changed` to
    /// go on from.
    pub fn alerts_changed(
        &self,
        after: i64,
        limit: usize,
    ) -> Result<(Vec<AlertRecord>, i64), QueryError> {
        self.ask(|connection| {
            let mut statement = connection.prepare_cached(
                "SELECT * FROM alerts WHERE changed > ? ORDER BY changed LIMIT ?",
            )?;
            let mut found = statement.query(params![after, limit as i64])?;
            let (mut rows, mut last) = (Vec::new(), after);
            while let Some(row) = found.next()? {
                last = row.get("changed")?;
                rows.push(alert_row(row)?);
            }
            Ok((rows, last))
        })
    }

    /// The highest `changed`, to follow from now on.
    pub fn alerts_now(&self) -> Result<i64, QueryError> {
        self.ask(|connection| Ok(last_change(connection)?))
    }

    /// What a mute would have hidden of the alerts seen since then.
    pub fn preview(&self, scope: &Scope, since_us: i64) -> Result<Preview, QueryError> {
        self.ask(|connection| {
            let mut statement = connection
                .prepare_cached("SELECT * FROM alerts WHERE last_us >= ? ORDER BY last_us DESC")?;
            let mut found = statement.query([since_us])?;
            let mut preview = Preview::default();
            while let Some(row) = found.next()? {
                preview.add(scope, &alert_row(row)?);
            }
            Ok(preview)
        })
    }

    /// What the book goes on with: alerts not older than `window_us` before the newest, at most
    /// `limit` of them.
    pub fn resume(&self, window_us: i64, limit: usize) -> Result<Resumed, QueryError> {
        self.ask(|connection| {
            let mut statement = connection.prepare(
                "SELECT * FROM alerts WHERE last_us >= \
                 (SELECT ifnull(max(last_us), 0) FROM alerts) - ? ORDER BY last_us DESC LIMIT ?",
            )?;
            let alerts = statement.query_map(params![window_us, limit as i64], alert_row)?;
            let alerts = alerts.collect::<Result<_, _>>()?;
            let mut statement = connection.prepare("SELECT * FROM mutes ORDER BY key")?;
            let mutes = statement.query_map([], mute_row)?;
            // A scope that a newer program wrote and this one cannot read hides nothing.
            let mutes = mutes.collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect();
            let next = |table: &str| {
                let sql = format!("SELECT ifnull(max(key), 0) + 1 FROM {table}");
                connection.query_row(&sql, [], |row| row.get::<_, i64>(0)).map(i64::cast_unsigned)
            };
            Ok(Resumed { alerts, mutes, next_alert: next("alerts")?, next_mute: next("mutes")? })
        })
    }
}

/// The highest `changed`.
pub(crate) fn last_change(connection: &Connection) -> rusqlite::Result<i64> {
    connection
        .prepare_cached("SELECT ifnull(max(changed), 0) FROM alerts")?
        .query_row([], |row| row.get(0))
}

/// Writes an alert over the row of its number.
pub(crate) fn write_alert(
    connection: &Connection,
    changed: i64,
    alert: &AlertRecord,
) -> rusqlite::Result<()> {
    let evidence: Vec<_> = alert.evidence.iter().map(|(name, value)| (name, value)).collect();
    let flows: Vec<_> = alert.flows.iter().map(|flow| (flow.run, flow.id)).collect();
    // Numbers that JSON does not have become null; nothing else can fail.
    let json = |value: serde_json::Result<String>| value.unwrap_or_else(|_| "[]".to_owned());
    connection
        .prepare_cached(
            "INSERT OR REPLACE INTO alerts (key, changed, kind, gid, sid, name, severity, \
             category, technique_id, technique_name, title, explanation, src_ip, dest_ip, \
             dest_port, proto, first_us, last_us, count, occurrences, many, evidence, flows, \
             source_proved, state, muted_by, reopened, note) \
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, \
             ?, ?)",
        )?
        .execute(params![
            alert.id.cast_signed(),
            changed,
            alert.kind.name(),
            alert.rule.gid,
            alert.rule.sid,
            &*alert.name,
            alert.severity as u8,
            &*alert.category,
            alert.technique.as_ref().map(|technique| &*technique.id),
            alert.technique.as_ref().map(|technique| &*technique.name),
            &*alert.title,
            &*alert.explanation,
            alert.source.map(Address::from),
            alert.target.map(Address::from),
            alert.port,
            alert.proto.map(proto_name),
            alert.first_seen.micros(),
            alert.last_seen.micros(),
            i64::try_from(alert.count).unwrap_or(i64::MAX),
            i64::try_from(alert.occurrences).unwrap_or(i64::MAX),
            alert.many,
            json(serde_json::to_string(&evidence)),
            json(serde_json::to_string(&flows)),
            alert.source_proved,
            alert.state.name(),
            alert.muted_by.map(u64::cast_signed),
            alert.reopened,
            &*alert.note,
        ])
        .map(drop)
}

/// Changes what a person says of an alert that nobody holds any more.
pub(crate) fn set_alert(
    connection: &Connection,
    changed: i64,
    id: AlertId,
    state: Option<AlertState>,
    note: Option<&str>,
) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "UPDATE alerts SET changed = ?1, state = ifnull(?2, state), note = ifnull(?3, note) \
             WHERE key = ?4",
        )?
        .execute(params![changed, state.map(AlertState::name), note, id.cast_signed()])
        .map(drop)
}

/// Writes all mutes anew.
pub(crate) fn write_mutes(connection: &Connection, mutes: &[Mute]) -> rusqlite::Result<()> {
    connection.execute("DELETE FROM mutes", [])?;
    let mut statement = connection.prepare_cached(
        "INSERT INTO mutes (key, rule, source, target, port, reason, created_us, until_us, hidden) \
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
    )?;
    for mute in mutes {
        let Scope { rule, source, target, port } = &mute.scope;
        statement.execute(params![
            mute.id.cast_signed(),
            rule.to_string(),
            source.to_string(),
            target.to_string(),
            port.to_string(),
            &*mute.reason,
            mute.created.micros(),
            mute.until.micros(),
            i64::try_from(mute.hidden).unwrap_or(i64::MAX),
        ])?;
    }
    Ok(())
}

fn mute_row(row: &Row<'_>) -> rusqlite::Result<Option<Mute>> {
    let text = |column: &str| row.get::<_, String>(column);
    let (rule, source) = (text("rule")?.parse(), text("source")?.parse());
    let (target, port) = (text("target")?.parse(), text("port")?.parse());
    let (Ok(rule), Ok(source), Ok(target), Ok(port)) = (rule, source, target, port) else {
        return Ok(None);
    };
    Ok(Some(Mute {
        id: row.get::<_, i64>("key")?.cast_unsigned(),
        scope: Scope { rule, source, target, port },
        reason: text("reason")?.into(),
        created: Timestamp::from_micros(row.get("created_us")?),
        until: Timestamp::from_micros(row.get("until_us")?),
        hidden: row.get::<_, i64>("hidden")?.cast_unsigned(),
    }))
}

fn alert_row(row: &Row<'_>) -> rusqlite::Result<AlertRecord> {
    let text = |column: &str| row.get::<_, String>(column);
    let number = |column: &str| row.get::<_, i64>(column).map(i64::cast_unsigned);
    let address = |column: &str| {
        row.get::<_, Option<Vec<u8>>>(column).map(|bytes| bytes.as_deref().and_then(address_of))
    };
    let technique: (Option<String>, Option<String>) =
        (row.get("technique_id")?, row.get("technique_name")?);
    let severity = usize::from(row.get::<_, u8>("severity")?);
    let proto: Option<String> = row.get("proto")?;
    let flows: Vec<(u64, u64)> = serde_json::from_str(&text("flows")?).unwrap_or_default();
    Ok(AlertRecord {
        id: number("key")?,
        kind: AlertKind::parse(&text("kind")?).unwrap_or(AlertKind::Signature),
        rule: RuleId { gid: row.get("gid")?, sid: row.get("sid")? },
        name: text("name")?.into(),
        severity: Severity::ALL.get(severity).copied().unwrap_or(Severity::Critical),
        category: text("category")?.into(),
        technique: technique.0.map(|id| TechniqueName {
            id: id.into(),
            name: technique.1.unwrap_or_default().into(),
        }),
        title: text("title")?.into(),
        explanation: text("explanation")?.into(),
        source: address("src_ip")?,
        target: address("dest_ip")?,
        port: row.get("dest_port")?,
        proto: proto.as_deref().and_then(proto_of_name),
        first_seen: Timestamp::from_micros(row.get("first_us")?),
        last_seen: Timestamp::from_micros(row.get("last_us")?),
        count: number("count")?,
        occurrences: number("occurrences")?,
        many: row.get("many")?,
        evidence: evidence_of(&text("evidence")?),
        flows: flows.into_iter().map(|(run, id)| FlowRef { run, id }).collect(),
        source_proved: row.get("source_proved")?,
        state: AlertState::parse(&text("state")?).unwrap_or_default(),
        muted_by: row.get::<_, Option<i64>>("muted_by")?.map(i64::cast_unsigned),
        reopened: row.get("reopened")?,
        note: text("note")?.into(),
    })
}

fn evidence_of(json: &str) -> Arc<[(Cow<'static, str>, Evidence)]> {
    let pairs: Vec<(String, serde_json::Value)> = serde_json::from_str(json).unwrap_or_default();
    pairs
        .into_iter()
        .map(|(name, value)| {
            let value = match value {
                serde_json::Value::Number(n) => match n.as_u64() {
                    Some(count) => Evidence::Count(count),
                    None => Evidence::Number(n.as_f64().unwrap_or_default()),
                },
                serde_json::Value::Array(list) => Evidence::List(
                    list.into_iter().filter_map(|v| v.as_str().map(str::to_owned)).collect(),
                ),
                serde_json::Value::String(text) => Evidence::Text(text),
                other => Evidence::Text(other.to_string()),
            };
            (Cow::Owned(name), value)
        })
        .collect()
}
