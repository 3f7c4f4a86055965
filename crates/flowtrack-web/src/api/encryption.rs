//! `/encryption`: how much is encrypted, and by what.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Query, State, rejection::QueryRejection},
};
use flowtrack_event::{EncryptionView, encryption as words};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{App, Problem};

/// How much is encrypted, and by what
#[derive(Clone, PartialEq, Debug, Serialize, ToSchema)]
pub(crate) struct Encryption {
    /// Packet time, seconds since the epoch.
    at: i64,
    shares: Shares,
    /// Encrypted flows by protocol, largest first.
    protocols: Vec<Kind>,
    /// Flows whose handshake was seen, by version, largest first.
    versions: Vec<Kind>,
    /// The same by cipher suite.
    ciphers: Vec<Kind>,
    /// Clients by fingerprint, largest first.
    clients: Vec<ClientGroup>,
    /// Certificates of servers, largest first.
    certificates: Vec<Certificate>,
    /// Certificates that are kept apart; `certificates` may hold fewer.
    certificates_seen: u64,
    /// How many of those had expired.
    certificates_expired: u64,
    /// How many of those name themselves as their signer.
    certificates_self_signed: u64,
    /// Flows whose client sent an encrypted hello (ECH), or feigned one.
    ech_flows: u64,
    /// Whether rows were let go for want of room; if so, all are lower bounds.
    partial: bool,
}

/// All flows by what can be told of their bytes
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, ToSchema)]
pub(crate) struct Shares {
    /// Of protocols that encrypt.
    encrypted: Volume,
    /// Of protocols that can be read.
    clear: Volume,
    /// With content that nobody could name.
    unnamed: Volume,
    /// The part of `unnamed` that looks encrypted or compressed.
    random: Volume,
    /// Without content to name: empty connections, ICMP, routing.
    control: Volume,
}

/// Flows and bytes
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, ToSchema)]
pub(crate) struct Volume {
    /// Flows.
    flows: u64,
    /// Captured bytes, both ways.
    bytes: u64,
}

/// A protocol, version or cipher suite
#[derive(Clone, PartialEq, Eq, Debug, Serialize, ToSchema)]
pub(crate) struct Kind {
    /// Name.
    name: String,
    /// Whether it is broken or deprecated.
    weak: bool,
    /// Flows.
    flows: u64,
    /// Captured bytes, both ways.
    bytes: u64,
}

/// Clients that offer the same
#[derive(Clone, PartialEq, Eq, Debug, Serialize, ToSchema)]
pub(crate) struct ClientGroup {
    /// JA4, or HASSH for SSH.
    fingerprint: String,
    /// `ja4` or `hassh`.
    kind: &'static str,
    /// Address of the first that was seen.
    client: String,
    /// Names of servers that they asked for, a few; from the wire, so anything.
    server_names: Vec<String>,
    /// Flows.
    flows: u64,
    /// Captured bytes, both ways.
    bytes: u64,
}

/// A certificate that a server showed; nobody checked its signature
#[derive(Clone, PartialEq, Eq, Debug, Serialize, ToSchema)]
pub(crate) struct Certificate {
    /// SHA-1 of the whole, bytes with colons.
    fingerprint: String,
    /// Whom it names.
    subject: String,
    /// Who signed it.
    issuer: String,
    /// Address of the server that showed it last.
    server: String,
    /// Name that it was last asked for by.
    server_name: Option<String>,
    /// Seconds since the epoch from which it is valid.
    not_before: i64,
    /// Seconds since the epoch up to which it is valid.
    not_after: i64,
    /// Days for which it has been valid; negative where it is not yet.
    age_days: i64,
    /// Days for which it is still valid; negative where it has expired.
    days_left: i64,
    /// Whether it was valid when it was last shown.
    validity: Validity,
    /// Whether owner and signer are the same.
    self_signed: bool,
    /// Flows in which the client had asked for another name.
    wrong_name_flows: u64,
    /// Flows.
    flows: u64,
    /// Captured bytes, both ways.
    bytes: u64,
}

/// Whether a certificate was valid when it was last shown
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Validity {
    /// It was.
    Valid,
    /// Its time is over.
    Expired,
    /// Its time had not come.
    NotYet,
}

impl Encryption {
    fn new(at: i64, view: &EncryptionView, rows: usize) -> Self {
        Self {
            at,
            shares: (&view.shares).into(),
            protocols: view.protocols.iter().take(rows).map(Into::into).collect(),
            versions: view.versions.iter().take(rows).map(Into::into).collect(),
            ciphers: view.ciphers.iter().take(rows).map(Into::into).collect(),
            clients: view.clients.iter().take(rows).map(Into::into).collect(),
            certificates: view.certificates.iter().take(rows).map(Into::into).collect(),
            certificates_seen: view.certificates_seen,
            certificates_expired: view.certificates_expired,
            certificates_self_signed: view.certificates_self_signed,
            ech_flows: view.ech_flows,
            partial: view.partial,
        }
    }
}

impl From<&words::Shares> for Shares {
    fn from(s: &words::Shares) -> Self {
        let volume = |v: &words::Volume| Volume { flows: v.flows, bytes: v.bytes };
        Self {
            encrypted: volume(&s.encrypted),
            clear: volume(&s.clear),
            unnamed: volume(&s.unnamed),
            random: volume(&s.random),
            control: volume(&s.control),
        }
    }
}

impl From<&words::NamedVolume> for Kind {
    fn from(v: &words::NamedVolume) -> Self {
        Self { name: v.name.clone(), weak: false, flows: v.flows, bytes: v.bytes }
    }
}

impl From<&words::GradedVolume> for Kind {
    fn from(v: &words::GradedVolume) -> Self {
        Self { name: v.name.clone(), weak: v.weak, flows: v.flows, bytes: v.bytes }
    }
}

impl From<&words::ClientRow> for ClientGroup {
    fn from(c: &words::ClientRow) -> Self {
        Self {
            fingerprint: c.fingerprint.clone(),
            kind: c.kind,
            client: c.client.clone(),
            server_names: c.server_names.clone(),
            flows: c.flows,
            bytes: c.bytes,
        }
    }
}

impl From<&words::CertificateRow> for Certificate {
    fn from(c: &words::CertificateRow) -> Self {
        Self {
            fingerprint: c.fingerprint.clone(),
            subject: c.subject.clone(),
            issuer: c.issuer.clone(),
            server: c.server.clone(),
            server_name: c.server_name.clone(),
            not_before: c.not_before,
            not_after: c.not_after,
            age_days: c.age_days,
            days_left: c.days_left,
            validity: match c.validity {
                words::Validity::Valid => Validity::Valid,
                words::Validity::Expired => Validity::Expired,
                words::Validity::NotYet => Validity::NotYet,
            },
            self_signed: c.self_signed,
            wrong_name_flows: c.wrong_name_flows,
            flows: c.flows,
            bytes: c.bytes,
        }
    }
}

/// How much is wanted.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct EncryptionParams {
    /// Rows of each list at most; 50 where not given, 200 at most.
    limit: Option<usize>,
}

/// How much is encrypted, and by what
///
/// Since the start of the capture. Versions, ciphers, clients and certificates are of flows whose
/// handshake was seen.
#[utoipa::path(
    get, path = "/encryption", tag = "live", params(EncryptionParams),
    responses((status = OK, body = Encryption))
)]
pub(super) async fn encryption(
    State(app): State<Arc<App>>,
    params: Result<Query<EncryptionParams>, QueryRejection>,
) -> Result<Json<Encryption>, Problem> {
    let Query(params) = params?;
    let now = app.backend.snapshot();
    Ok(Json(Encryption::new(now.at, &now.encryption, params.limit.unwrap_or(50))))
}
