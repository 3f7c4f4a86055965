//! Adds up what flows and handshakes tell, in bounded memory.

use super::{
    CertificateFacts, CertificateRow, Clarity, ClientRow, Encryption, EncryptionView, GradedVolume,
    NamedVolume, Shares, Validity, Volume, is_weak_cipher, is_weak_version,
};
use crate::top::{TopTable, Weight};
use crate::{
    AppProto, FlowEvent, FlowId, FlowKey, FlowPhase, FlowRecord, Timestamp, TransactionEvent,
};
use ahash::AHashMap;
use std::cmp::Reverse;
use std::net::IpAddr;
use std::sync::Arc;

/// Versions told apart.
const VERSIONS: usize = 256;
/// Cipher suites told apart.
const CIPHERS: usize = 1024;
/// Fingerprints of clients told apart.
const CLIENTS: usize = 4096;
/// Certificates told apart.
const CERTIFICATES: usize = 4096;
/// Living flows whose handshake is remembered; as many again of those that were silent longer.
const FLOWS: usize = 32_768;
/// Server names that are kept as examples of one client.
const EXAMPLES: usize = 3;
/// Longest text of the wire that is kept, in bytes.
const TEXT: usize = 256;
const SECONDS_PER_DAY: i64 = 86_400;

/// Adds up how much is encrypted, and by what.
///
/// It is told of every flow event and of every transaction; a transaction that says nothing of
/// encryption costs one call.
#[derive(Debug)]
pub struct EncryptionBook {
    shares: Shares,
    protocols: AHashMap<&'static str, Volume>,
    versions: TopTable<Arc<str>, Volume>,
    ciphers: TopTable<Arc<str>, Volume>,
    clients: TopTable<Arc<str>, Client>,
    certificates: TopTable<Arc<str>, Shown>,
    flows: Recent,
    ech_flows: u64,
}

/// The handshakes of living flows; those longest without a word are forgotten, many at once.
#[derive(Default, Debug)]
struct Recent {
    newer: AHashMap<FlowId, Known>,
    older: AHashMap<FlowId, Known>,
}

/// What is known of a living flow.
#[derive(Default, Debug)]
struct Known {
    version: Option<Arc<str>>,
    cipher: Option<Arc<str>>,
    client: Option<Arc<str>>,
    certificate: Option<Arc<str>>,
    has_ech: bool,
    /// Bytes that the rows of the above already have.
    credited: u64,
}

#[derive(Default, Debug)]
struct Client {
    volume: Volume,
    first: Option<IpAddr>,
    server_names: Vec<Box<str>>,
}

#[derive(Default, Debug)]
struct Shown {
    volume: Volume,
    subject: Box<str>,
    issuer: Box<str>,
    server: Option<IpAddr>,
    server_name: Option<Box<str>>,
    not_before: i64,
    not_after: i64,
    last: i64,
    is_self_signed: bool,
    wrong_name: u64,
}

impl Weight for Volume {
    fn weight(&self) -> u64 {
        self.bytes.saturating_add(self.flows)
    }
}

impl Weight for Client {
    fn weight(&self) -> u64 {
        self.volume.weight()
    }
}

impl Weight for Shown {
    fn weight(&self) -> u64 {
        self.volume.weight()
    }
}

impl Default for EncryptionBook {
    fn default() -> Self {
        Self {
            shares: Shares::default(),
            protocols: AHashMap::new(),
            versions: TopTable::new(VERSIONS),
            ciphers: TopTable::new(CIPHERS),
            clients: TopTable::new(CLIENTS),
            certificates: TopTable::new(CERTIFICATES),
            flows: Recent::default(),
            ech_flows: 0,
        }
    }
}

impl EncryptionBook {
    /// Takes what a transaction says of its flow's encryption, if it says anything.
    pub fn transaction(&mut self, event: &TransactionEvent) {
        if let Some(said) = event.transaction.encryption() {
            self.handshake(event.flow.id, &event.flow.key, event.ts, &said);
        }
    }

    /// Takes a moment of a flow's life; `before` is the record that was taken last, none where this
    /// is the first.
    pub fn flow(&mut self, before: Option<&FlowRecord>, event: &FlowEvent) {
        let now = &event.record;
        if let Some(before) = before {
            self.count(before, u64::saturating_sub);
        }
        if self.count(now, u64::saturating_add) != Clarity::Encrypted {
            // Most flows end here, before anything is looked up.
            return;
        }
        let Some(mut known) = self.flows.take(now.id) else { return };
        let new = bytes_of(now).saturating_sub(known.credited);
        known.credited = known.credited.saturating_add(new);
        self.credit(&known, new);
        if !matches!(event.phase, FlowPhase::End(_)) {
            self.flows.put(now.id, known);
        }
    }

    /// All that is known, with at most `rows` rows in each list, the heaviest first.
    pub fn view(&self, rows: usize) -> EncryptionView {
        let mut protocols: Vec<_> = self.protocols.iter().filter(|(_, v)| v.flows > 0).collect();
        protocols.sort_unstable_by_key(|(name, volume)| (Reverse(volume.bytes), **name));
        let protocols = protocols.into_iter().take(rows).map(|(&name, volume)| NamedVolume {
            name: name.to_owned(),
            flows: volume.flows,
            bytes: volume.bytes,
        });
        let count = |is_so: fn(&Shown) -> bool| {
            self.certificates.iter().filter(|(_, shown)| is_so(shown)).count() as u64
        };
        let clients = self.clients.heaviest(rows).into_iter();
        let certificates = self.certificates.heaviest(rows).into_iter();
        EncryptionView {
            shares: self.shares,
            protocols: protocols.collect(),
            versions: graded(&self.versions, rows, is_weak_version),
            ciphers: graded(&self.ciphers, rows, is_weak_cipher),
            clients: clients.map(|(fingerprint, client)| client.row(fingerprint)).collect(),
            certificates: certificates.map(|(print, shown)| shown.row(print)).collect(),
            certificates_seen: self.certificates.len() as u64,
            certificates_expired: count(|shown| shown.validity() == Validity::Expired),
            certificates_self_signed: count(|shown| shown.is_self_signed),
            ech_flows: self.ech_flows,
            partial: !(self.versions.is_complete()
                && self.ciphers.is_complete()
                && self.clients.is_complete()
                && self.certificates.is_complete()),
        }
    }

    fn handshake(&mut self, id: FlowId, key: &FlowKey, at: Timestamp, said: &Encryption<'_>) {
        let mut known = self.flows.take(id).unwrap_or_default();
        // What is new begins with the bytes that the other rows of this flow have.
        let credited = known.credited;
        if let (None, Some(name)) = (&known.version, &said.version) {
            known.version = Some(begin(&mut self.versions, name, credited, |volume| volume));
        }
        if let (None, Some(name)) = (&known.cipher, &said.cipher) {
            known.cipher = Some(begin(&mut self.ciphers, name, credited, |volume| volume));
        }
        if let (None, Some(fingerprint)) = (&known.client, said.client) {
            let kept = begin(&mut self.clients, fingerprint, credited, |row| &mut row.volume);
            self.clients.row(Arc::clone(&kept)).show(key.src, said.server_name.as_deref());
            known.client = Some(kept);
        }
        if let (None, Some(facts)) = (&known.certificate, &said.certificate) {
            let print = facts.fingerprint;
            let kept = begin(&mut self.certificates, print, credited, |row| &mut row.volume);
            let row = self.certificates.row(Arc::clone(&kept));
            row.show(facts, key.dst, at, said.server_name.as_deref());
            known.certificate = Some(kept);
        }
        if said.has_ech && !known.has_ech {
            known.has_ech = true;
            self.ech_flows += 1;
        }
        self.flows.put(id, known);
    }

    fn credit(&mut self, known: &Known, bytes: u64) {
        if bytes == 0 {
            return;
        }
        let add = |volume: &mut Volume| volume.bytes = volume.bytes.saturating_add(bytes);
        // A row that was let go meanwhile does not come back: it would say nothing but bytes.
        if let Some(volume) = known.version.as_deref().and_then(|n| self.versions.known_mut(n)) {
            add(volume);
        }
        if let Some(volume) = known.cipher.as_deref().and_then(|n| self.ciphers.known_mut(n)) {
            add(volume);
        }
        if let Some(row) = known.client.as_deref().and_then(|n| self.clients.known_mut(n)) {
            add(&mut row.volume);
        }
        if let Some(row) = known.certificate.as_deref().and_then(|n| self.certificates.known_mut(n))
        {
            add(&mut row.volume);
        }
    }

    fn count(&mut self, flow: &FlowRecord, change: impl Fn(u64, u64) -> u64) -> Clarity {
        let bytes = bytes_of(flow);
        let apply = |volume: &mut Volume| {
            volume.flows = change(volume.flows, 1);
            volume.bytes = change(volume.bytes, bytes);
        };
        let clarity = Clarity::of(flow);
        match clarity {
            Clarity::Encrypted => {
                apply(&mut self.shares.encrypted);
                let name = flow.recognised().map_or("esp", AppProto::name);
                apply(self.protocols.entry(name).or_default());
            }
            Clarity::Clear => apply(&mut self.shares.clear),
            Clarity::Unnamed { random } => {
                apply(&mut self.shares.unnamed);
                if random {
                    apply(&mut self.shares.random);
                }
            }
            Clarity::Control => apply(&mut self.shares.control),
        }
        clarity
    }
}

impl Recent {
    fn take(&mut self, id: FlowId) -> Option<Known> {
        self.newer.remove(&id).or_else(|| self.older.remove(&id))
    }

    fn put(&mut self, id: FlowId, known: Known) {
        if self.newer.len() >= FLOWS {
            self.older = std::mem::take(&mut self.newer);
        }
        self.newer.insert(id, known);
    }
}

impl Client {
    fn show(&mut self, client: IpAddr, server_name: Option<&str>) {
        self.first.get_or_insert(client);
        if let Some(name) = server_name.map(cut)
            && self.server_names.len() < EXAMPLES
            && !self.server_names.iter().any(|known| **known == *name)
        {
            self.server_names.push(name.into());
        }
    }

    fn row(&self, fingerprint: &str) -> ClientRow {
        // A HASSH is an MD5 in hexadecimal, a JA4 has three parts.
        let kind = if fingerprint.contains('_') { "ja4" } else { "hassh" };
        ClientRow {
            fingerprint: fingerprint.to_owned(),
            kind,
            client: self.first.map(|address| address.to_string()).unwrap_or_default(),
            server_names: self.server_names.iter().map(ToString::to_string).collect(),
            flows: self.volume.flows,
            bytes: self.volume.bytes,
        }
    }
}

impl Shown {
    fn show(
        &mut self,
        facts: &CertificateFacts<'_>,
        server: IpAddr,
        at: Timestamp,
        name: Option<&str>,
    ) {
        if self.subject.is_empty() && self.issuer.is_empty() {
            self.subject = cut(facts.subject).into();
            self.issuer = cut(facts.issuer).into();
        }
        self.not_before = facts.not_before;
        self.not_after = facts.not_after;
        self.is_self_signed = facts.is_self_signed;
        self.last = self.last.max(at.secs());
        self.server = Some(server);
        if let Some(name) = name.map(cut)
            && self.server_name.as_deref() != Some(name)
        {
            self.server_name = Some(name.into());
        }
        self.wrong_name += u64::from(facts.is_for_name == Some(false));
    }

    fn validity(&self) -> Validity {
        if self.last > self.not_after {
            Validity::Expired
        } else if self.last < self.not_before {
            Validity::NotYet
        } else {
            Validity::Valid
        }
    }

    fn row(&self, fingerprint: &str) -> CertificateRow {
        let days = |from: i64, to: i64| to.saturating_sub(from).div_euclid(SECONDS_PER_DAY);
        CertificateRow {
            fingerprint: fingerprint.to_owned(),
            subject: self.subject.to_string(),
            issuer: self.issuer.to_string(),
            server: self.server.map(|address| address.to_string()).unwrap_or_default(),
            server_name: self.server_name.as_deref().map(str::to_owned),
            not_before: self.not_before,
            not_after: self.not_after,
            age_days: days(self.not_before, self.last),
            days_left: days(self.last, self.not_after),
            validity: self.validity(),
            self_signed: self.is_self_signed,
            wrong_name_flows: self.wrong_name,
            flows: self.volume.flows,
            bytes: self.volume.bytes,
        }
    }
}

/// Counts a flow in the row of a name, and returns the name as it is kept.
fn begin<V: Default + Weight>(
    table: &mut TopTable<Arc<str>, V>,
    name: &str,
    bytes: u64,
    volume: impl Fn(&mut V) -> &mut Volume,
) -> Arc<str> {
    let name = cut(name);
    let kept = table.known(name).map_or_else(|| name.into(), Arc::clone);
    let volume = volume(table.row(Arc::clone(&kept)));
    volume.flows = volume.flows.saturating_add(1);
    volume.bytes = volume.bytes.saturating_add(bytes);
    kept
}

fn graded(
    table: &TopTable<Arc<str>, Volume>,
    rows: usize,
    is_weak: impl Fn(&str) -> bool,
) -> Vec<GradedVolume> {
    let rows = table.heaviest(rows).into_iter();
    rows.map(|(name, volume)| GradedVolume {
        name: name.to_string(),
        weak: is_weak(name),
        flows: volume.flows,
        bytes: volume.bytes,
    })
    .collect()
}

fn bytes_of(flow: &FlowRecord) -> u64 {
    flow.to_server.bytes.saturating_add(flow.to_client.bytes)
}

/// As much of a text as is kept.
fn cut(text: &str) -> &str {
    text.get(..text.floor_char_boundary(TEXT)).unwrap_or_default()
}

#[cfg(test)]
mod tests;
