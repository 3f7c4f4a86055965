//! `/blocks`: what the firewall keeps out on our word.

use std::sync::Arc;

use axum::{
    Extension, Json,
    extract::{Query, State, rejection::JsonRejection, rejection::QueryRejection},
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{App, Problem};
use crate::guard::Peer;

/// Blocking, as the program does it. Every method may wait for the firewall.
pub trait Blocking: Send + Sync {
    /// What is blocked.
    fn list(&self) -> Result<BlockList, String>;

    /// Blocks these, all or none; gives the blocks that were made. The error says why not.
    fn block(&self, request: &BlockRequest, confirm: Confirm) -> Result<Vec<BlockRow>, String>;

    /// Undoes a block; all where none is named.
    fn unblock(&self, what: Option<&str>) -> Result<Vec<BlockRow>, String>;

    /// Keeps a block that waits for it; all where none is named.
    fn confirm(&self, what: Option<&str>) -> Result<Vec<BlockRow>, String>;

    /// What these would have cut in the last hours.
    fn preview(&self, whats: &[String], hours: u32) -> Result<BlockPreview, String>;
}

/// Whether a block is undone unless somebody confirms it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Confirm {
    /// It is.
    Needed,
    /// It is where a network is among what is blocked.
    ForNetworks,
    /// It stays.
    Needless,
}

/// A block.
#[derive(Clone, PartialEq, Eq, Default, Debug, Serialize, ToSchema)]
pub struct BlockRow {
    /// Address, network or port: `192.0.2.1`, `192.0.2.0/24`, `tcp/23`.
    pub what: String,
    /// `admin`, or the name of a detector or rule.
    pub who: String,
    /// Why, in words.
    pub why: String,
    /// Whether no person was asked.
    pub automatic: bool,
    /// Microseconds since the epoch.
    pub since_us: i64,
    /// Until when, in microseconds since the epoch; while it is to be confirmed, until when that may
    /// be done.
    pub until_us: i64,
    /// Until when it lasts once it is confirmed; `null` where nothing is to be confirmed.
    pub confirmed_until_us: Option<i64>,
    /// Packets that it stopped, as read last.
    pub packets: u64,
    /// Bytes of these packets.
    pub bytes: u64,
    /// When it ended, in microseconds since the epoch; `null` while it is in force.
    pub ended_us: Option<i64>,
    /// Why it ended; empty while it is in force.
    pub end: String,
}

/// What is blocked, and how blocking is.
#[derive(Clone, PartialEq, Eq, Default, Debug, Serialize, ToSchema)]
pub struct BlockList {
    /// The firewall in use: `nftables`, `ipset`, `pf`, `windows` or `dry_run`.
    pub firewall: String,
    /// What has to be known of it, such as that it is untried.
    pub notes: Vec<String>,
    /// What is wrong with it; empty where nothing is.
    pub problem: String,
    /// Whether attackers are blocked without a person's word.
    pub automatic: bool,
    /// In force, the newest first.
    pub blocks: Vec<BlockRow>,
    /// Ended, the newest first.
    pub past: Vec<BlockRow>,
    /// Blocks made since the program runs.
    pub blocked: u64,
    /// Blocks that would have been made, were blocking automatic.
    pub would_block: u64,
    /// Attacks whose source must never be blocked.
    pub refused: u64,
    /// Attacks whose source may be spoofed.
    pub unproved: u64,
    /// Blocks held back because there were too many at once.
    pub held_back: u64,
}

/// What is to be blocked.
#[derive(Clone, PartialEq, Eq, Default, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BlockRequest {
    /// Addresses, networks and ports.
    pub what: Vec<String>,
    /// For how many seconds; as configured where it is not said.
    #[serde(default)]
    pub secs: Option<u64>,
    /// Why, in words.
    #[serde(default)]
    pub why: String,
    /// Whether it is undone unless it is confirmed. Where it is not said: for networks, and where
    /// the dashboard is open on another machine.
    #[serde(default)]
    pub confirm: Option<bool>,
}

/// Which blocks are meant.
#[derive(Clone, PartialEq, Eq, Default, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct BlockChoice {
    /// One of them; all where it is `null`.
    #[serde(default)]
    what: Option<String>,
}

/// Which block is to be undone.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct UnblockParams {
    /// What is blocked, as the list says it; `all` for all.
    what: String,
}

/// What would have been cut.
#[derive(Clone, PartialEq, Eq, Default, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PreviewRequest {
    /// Addresses, networks and ports.
    what: Vec<String>,
    /// How many hours back, at most 31 days.
    #[serde(default = "a_day")]
    hours: u32,
}

/// What blocks would have cut.
#[derive(Clone, PartialEq, Eq, Default, Debug, Serialize, Deserialize, ToSchema)]
pub struct BlockPreview {
    /// How many hours back.
    pub hours: u32,
    /// Flows.
    pub flows: u64,
    /// Packets of these flows.
    pub packets: u64,
    /// Bytes of these flows.
    pub bytes: u64,
    /// Hosts that would have lost some of these flows, those that are to be blocked left out.
    pub hosts: u64,
    /// Those that would have lost most, and the traffic they would have lost.
    pub top: Vec<PreviewHost>,
    /// Names of the hosts that would have been blocked.
    pub names: Vec<String>,
    /// What would be refused, and why.
    pub refused: Vec<String>,
    /// Whether all of history in these hours was looked at.
    pub complete: bool,
}

/// A host that would have lost traffic.
#[derive(Clone, PartialEq, Eq, Default, Debug, Serialize, Deserialize, ToSchema)]
pub struct PreviewHost {
    /// Address.
    pub addr: String,
    /// Host name, where one is known.
    pub name: Option<String>,
    /// Bytes that it would not have sent or received.
    pub bytes: u64,
}

/// What is blocked
#[utoipa::path(get, path = "/blocks", tag = "blocks", responses((status = OK, body = BlockList)))]
pub(super) async fn blocks(State(app): State<Arc<App>>) -> Result<Json<BlockList>, Problem> {
    ask(&app, |blocking| blocking.list()).await.map(Json)
}

/// Blocks addresses, networks and ports, all or none
#[utoipa::path(
    post, path = "/blocks", tag = "blocks", request_body = BlockRequest,
    responses(
        (status = OK, body = Vec<BlockRow>),
        (status = CONFLICT, description = "It must not be blocked, or cannot be", body = Problem),
    )
)]
pub(super) async fn add(
    State(app): State<Arc<App>>,
    peer: Option<Extension<Peer>>,
    body: Result<Json<BlockRequest>, JsonRejection>,
) -> Result<Json<Vec<BlockRow>>, Problem> {
    let Json(request) = body?;
    check(&request.what)?;
    let is_remote =
        peer.is_some_and(|Extension(Peer(peer))| !peer.ip().to_canonical().is_loopback());
    let confirm = match request.confirm {
        Some(true) => Confirm::Needed,
        Some(false) => Confirm::Needless,
        None if is_remote => Confirm::Needed,
        None => Confirm::ForNetworks,
    };
    ask(&app, move |blocking| blocking.block(&request, confirm)).await.map(Json)
}

/// Undoes blocks
#[utoipa::path(
    delete, path = "/blocks", tag = "blocks", params(UnblockParams),
    responses(
        (status = OK, body = Vec<BlockRow>),
        (status = CONFLICT, description = "There is no such block", body = Problem),
    )
)]
pub(super) async fn remove(
    State(app): State<Arc<App>>,
    params: Result<Query<UnblockParams>, QueryRejection>,
) -> Result<Json<Vec<BlockRow>>, Problem> {
    let Query(UnblockParams { what }) = params?;
    let what = (what != "all").then_some(what);
    ask(&app, move |blocking| blocking.unblock(what.as_deref())).await.map(Json)
}

/// Keeps blocks that are undone unless they are confirmed
#[utoipa::path(
    post, path = "/blocks/confirm", tag = "blocks", request_body = BlockChoice,
    responses(
        (status = OK, body = Vec<BlockRow>),
        (status = CONFLICT, description = "There is no such block", body = Problem),
    )
)]
pub(super) async fn confirm(
    State(app): State<Arc<App>>,
    body: Result<Json<BlockChoice>, JsonRejection>,
) -> Result<Json<Vec<BlockRow>>, Problem> {
    let Json(BlockChoice { what }) = body?;
    ask(&app, move |blocking| blocking.confirm(what.as_deref())).await.map(Json)
}

/// What blocks would have cut, by history
#[utoipa::path(
    post, path = "/blocks/preview", tag = "blocks", request_body = PreviewRequest,
    responses((status = OK, body = BlockPreview))
)]
pub(super) async fn preview(
    State(app): State<Arc<App>>,
    body: Result<Json<PreviewRequest>, JsonRejection>,
) -> Result<Json<BlockPreview>, Problem> {
    let Json(PreviewRequest { what, hours }) = body?;
    check(&what)?;
    if hours == 0 || hours > MAX_HOURS {
        return Err(Problem::invalid("hours", format!("ask for 1 to {MAX_HOURS} hours")));
    }
    ask(&app, move |blocking| blocking.preview(&what, hours)).await.map(Json)
}

async fn ask<T: Send + 'static>(
    app: &Arc<App>,
    question: impl FnOnce(&dyn Blocking) -> Result<T, String> + Send + 'static,
) -> Result<T, Problem> {
    let answer = app.ask(|backend| match backend.blocking() {
        Some(blocking) => question(blocking),
        None => Err("blocking is off".to_owned()),
    });
    answer.await?.map_err(Problem::conflict)
}

/// Whether a request names as much as one may.
fn check(whats: &[String]) -> Result<(), Problem> {
    if (1..=MAX_WHATS).contains(&whats.len()) {
        return Ok(());
    }
    Err(Problem::invalid("what", format!("name 1 to {MAX_WHATS} addresses, networks or ports")))
}

const fn a_day() -> u32 {
    24
}

/// Most that are named in one request.
const MAX_WHATS: usize = 500;
/// As far back as a preview looks.
const MAX_HOURS: u32 = 31 * 24;
