//! Requests and responses of HTTP/1, as tshark and Arkime read them.

use crate::Agreement;
use crate::corpus::{Analysis, Corpus, pair, pair_of};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// What a request or a response says of one thing: its method, its host, its path, its status.
type Values = BTreeMap<&'static str, Vec<String>>;

/// Longest path that the facts of tshark tell.
const PATH_CAP: usize = 200;

/// Carriers of HTTP that tshark reads and FlowTrack does not.
const OTHER_CARRIERS: &[&str] = &["sctp", "gtp", "ayiya", "nflog", "arcnet"];

#[test]
fn requests_and_responses_are_those_of_tshark() {
    let Some(corpus) = Corpus::find() else { return };
    let mut facts = corpus.facts();
    facts.retain(|fact| fact["tshark"]["http"].is_array() && !is_carried_otherwise(fact));
    let captures: Vec<String> =
        facts.iter().map(|fact| fact["file"].as_str().unwrap().to_owned()).collect();
    let analysis = corpus.analyze(&captures);
    let mut agreement = Agreement::on("HTTP of tshark");
    for (index, (capture, fact)) in captures.iter().zip(&facts).enumerate() {
        let ours = of_events(analysis.events(index).iter());
        compare(&mut agreement, capture, of_tshark(&fact["tshark"]), ours);
    }
    agreement.assert_at_least(99, 1_000);
}

#[test]
fn requests_and_responses_are_those_of_arkime() {
    let Some(corpus) = Corpus::find() else { return };
    let mut captures = corpus.captures_with("arkime", ".arkime.json");
    let facts = corpus.facts();
    captures.retain(|capture| {
        let fact = facts.iter().find(|fact| fact["file"] == **capture);
        fact.is_some_and(|fact| !is_carried_otherwise(fact))
    });
    let analysis = corpus.analyze(&captures);
    let mut agreement = Agreement::on("HTTP of Arkime");
    for (index, capture) in captures.iter().enumerate() {
        let text = corpus.read(&format!("{capture}.arkime.json"));
        let sessions: Value = serde_json::from_str(&text).unwrap();
        for session in sessions["sessions3"].as_array().unwrap() {
            arkime_session(&mut agreement, capture, &session["body"], &analysis, index);
        }
    }
    agreement.assert_at_least(99, 100);
}

fn is_carried_otherwise(fact: &Value) -> bool {
    let carried = |name: &&str| fact["tshark"]["protocols"].get(*name).is_some();
    OTHER_CARRIERS.iter().any(carried)
}

/// Values that Arkime lists for a session, against those of our flow; it tells each value once.
fn arkime_session(
    agreement: &mut Agreement,
    capture: &str,
    session: &Value,
    analysis: &Analysis,
    index: usize,
) {
    let spoken = session["protocol"].as_array().into_iter().flatten();
    if session["ipProtocol"] != 6 || !spoken.clone().any(|name| name == "http") {
        return;
    }
    let Some(flow) = arkime_flow(session) else { return };
    let events = analysis.events(index);
    let ours = of_events(events.iter().filter(|event| pair_of(event).as_ref() == Some(&flow)));
    let list = |name: &str| session["http"][name].as_array().cloned().unwrap_or_default();
    let texts = |name: &str| -> Vec<String> {
        list(name).iter().filter_map(|text| Some(text.as_str()?.to_owned())).collect()
    };
    let hosts = texts("host").iter().map(|host| plain_host(host)).collect::<BTreeSet<_>>();
    let statuses = list("statuscode").into_iter().map(|status| status.to_string());
    let theirs = Values::from([
        ("method", texts("method")),
        ("host", hosts.into_iter().collect()),
        ("path", texts("path")),
        ("status", statuses.filter(|status| !is_interim(status)).collect()),
    ]);
    let ours = ours.into_iter().map(|(name, values)| {
        // Paths of Arkime end where the query begins.
        let until_query = |value: String| match name {
            "path" => value.split('?').next().unwrap_or_default().to_owned(),
            _ => value,
        };
        let once: BTreeSet<String> = values.into_iter().map(until_query).collect();
        (name, once.into_iter().collect())
    });
    let ours = ours.collect();
    compare(agreement, capture, theirs, ours);
}

fn arkime_flow(session: &Value) -> Option<crate::corpus::Pair> {
    let end = |side: &str| {
        let ip = session[side]["ip"].as_str()?.parse().ok()?;
        Some((ip, session[side]["port"].as_u64()? as u16))
    };
    Some(pair("tcp", [end("source")?, end("destination")?]))
}

/// Looks for every value of theirs among ours, each of which stands for one only.
fn compare(agreement: &mut Agreement, capture: &str, theirs: Values, mut ours: Values) {
    for (name, values) in theirs {
        let found = ours.entry(name).or_default();
        for value in values {
            let place = found.iter().position(|ours| *ours == value);
            if let Some(place) = place {
                found.swap_remove(place);
            }
            agreement.count(place.is_some(), || {
                format!(
                    "{capture}: {name} {value:?}, ours {:?}",
                    found.iter().take(5).collect::<Vec<_>>()
                )
            });
        }
    }
}

fn of_events<'a>(events: impl Iterator<Item = &'a Value>) -> Values {
    let mut values = Values::new();
    for event in events.filter(|event| event["event_type"] == "http") {
        let http = &event["http"];
        let text = |name: &str| http[name].as_str().unwrap_or_default();
        let mut add = |name, value: String| values.entry(name).or_default().push(value);
        if http["http_method"].is_string() {
            add("method", text("http_method").to_owned());
            add("host", plain_host(text("hostname")));
            add("path", plain_path(text("url")));
        }
        // What is no number to FlowTrack is told as text, `2000` or `200\0`.
        match (http["status"].as_u64(), http["status_string"].as_str()) {
            (Some(status), _) => add("status", status.to_string()),
            (None, Some(status)) => add("status", leading_digits(status)),
            (None, None) => {}
        }
    }
    values
}

/// Requests of the facts are method, host and target each; statuses come with their count.
fn of_tshark(facts: &Value) -> Values {
    let mut values = Values::new();
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    for request in list(&facts["http"]) {
        let fields: Vec<&str> =
            request.as_array().unwrap().iter().map(|field| field.as_str().unwrap()).collect();
        let &[methods, hosts, paths] = fields.as_slice() else { panic!("{request}") };
        // Requests that share a packet share a line, with commas between them.
        let several = methods.split(',').count();
        let split = |text: &str| -> Vec<String> {
            let parts: Vec<String> = text.split(',').map(str::to_owned).collect();
            if parts.len() == several { parts } else { vec![text.to_owned()] }
        };
        for (method, (host, path)) in
            split(methods).into_iter().zip(split(hosts).into_iter().zip(split(paths)))
        {
            // SSDP has the form of HTTP, over UDP.
            if matches!(method.as_str(), "NOTIFY" | "M-SEARCH") && host.ends_with(":1900") {
                continue;
            }
            values.entry("host").or_default().push(plain_host(&host));
            values.entry("path").or_default().push(plain_path(&path));
            values.entry("method").or_default().push(method);
        }
    }
    // Answers of SSDP are counted among those of HTTP.
    let statuses = facts["http_codes"].as_object().filter(|_| !speaks_ssdp(facts));
    for (status, count) in statuses.into_iter().flatten() {
        if !is_interim(status) {
            let statuses = values.entry("status").or_default();
            statuses.extend((0..count.as_u64().unwrap_or(0)).map(|_| status.clone()));
        }
    }
    values
}

fn speaks_ssdp(facts: &Value) -> bool {
    facts["protocols"].get("ssdp").is_some()
}

/// A host in small letters, without its port.
fn plain_host(host: &str) -> String {
    let host = host.to_ascii_lowercase();
    match host.rsplit_once(':') {
        Some((name, port)) if port.parse::<u16>().is_ok() => name.to_owned(),
        _ => host,
    }
}

fn plain_path(path: &str) -> String {
    path.chars().take(PATH_CAP).collect()
}

/// `100 Continue` and its like are no answer yet; EVE tells the status of the answer.
fn is_interim(status: &str) -> bool {
    status.len() == 3 && status.starts_with('1')
}

fn leading_digits(text: &str) -> String {
    text.chars().take_while(char::is_ascii_digit).take(3).collect()
}
