//! EVE against its schema, against expected lines, and against failing disks.

use std::io;
use std::path::PathBuf;

use serde_json::{Map, Value};

use super::*;
use crate::samples;

#[test]
fn every_kind_is_written_as_expected() {
    let config = EveConfig { ethernet: true, ..EveConfig::default() };
    let mut encoder = EveEncoder::new(config).with_interfaces(vec!["eth0".to_owned()]);
    let mut out = Vec::new();
    for event in samples::one_of_each() {
        encoder.encode(&event, &mut out).unwrap();
    }
    samples::expect_file("eve.json", std::str::from_utf8(&out).unwrap());
}

#[test]
fn without_the_additions_every_kind_is_valid_eve() {
    let Some(schema) = schema() else { return };
    let mut kinds = std::collections::BTreeSet::new();
    for event in samples::one_of_each() {
        let mut value = encode(&event);
        for addition in ADDITIONS {
            strip(&mut value, addition.path);
        }
        assert_valid(&schema, &schema, &value, "$");
        kinds.insert(value["event_type"].as_str().unwrap().to_owned());
    }
    assert_eq!(
        kinds.into_iter().collect::<Vec<_>>(),
        ["alert", "anomaly", "block", "dns", "fileinfo", "flow", "http", "packet", "stats"]
    );
}

#[test]
fn counters_that_eve_knows_stand_where_eve_has_them() {
    let Some(schema) = schema() else { return };
    let known = |path: &str| -> Vec<&'static str> {
        let object = path.split('/').fold(&schema, |at, name| &at["properties"][name]);
        let names = object["properties"].as_object().unwrap().keys();
        names.map(|name| &*name.clone().leak()).collect()
    };
    let mut stats = samples::stats();
    stats.anomalies.clear();
    stats.app_flows.clear();
    stats.app_transactions.clear();
    for group in known("stats/decoder/event") {
        for name in known(&format!("stats/decoder/event/{group}")) {
            stats.anomalies.insert(format!("{group}.{name}").leak(), 1);
        }
    }
    for name in known("stats/stream") {
        stats.anomalies.insert(format!("stream.{name}").leak(), 1);
    }
    for name in known("stats/app_layer/flow") {
        stats.app_flows.insert(name, 1);
    }
    for name in known("stats/app_layer/tx") {
        stats.app_transactions.insert(name, 1);
    }
    let mut value = encode(&Event::Stats(Box::new(stats)));
    for addition in ADDITIONS.iter().filter(|addition| !addition.path.ends_with('*')) {
        strip(&mut value, addition.path);
    }
    assert_valid(&schema, &schema, &value, "$");
    assert_eq!(value["stats"]["decoder"]["event"]["ipv4"]["trunc_pkt"], 1);
}

#[test]
fn every_addition_is_written_and_is_none_of_eve() {
    let Some(schema) = schema() else { return };
    let values: Vec<Value> = samples::one_of_each()
        .iter()
        .chain([&Event::Flow(Box::new(midstream()))])
        .map(encode)
        .collect();
    for addition in ADDITIONS {
        let path = addition.path;
        let written = values.iter().any(|value| strip(&mut value.clone(), path));
        assert!(written, "{path} is never written");
        let in_schema = path.split('.').fold(&schema, |at, name| &at["properties"][name]);
        assert!(in_schema.is_null(), "{path} is a field of EVE");
    }
}

#[test]
fn the_config_chooses_kinds_and_fields() {
    let config = EveConfig {
        kinds: EveKinds { flow: false, stats: false, ..EveKinds::default() },
        community_id: false,
        pcap_cnt: false,
        ..EveConfig::default()
    };
    let mut writer = EveWriter::new(Vec::new(), config);
    writer.write_all(&samples::one_of_each());
    let out = String::from_utf8(writer.into_inner()).unwrap();
    assert_eq!(out.lines().count(), 9);
    for absent in ["\"flow\":", "\"stats\"", "community_id", "pcap_cnt", "in_iface"] {
        assert!(!out.contains(absent), "{absent} in {out}");
    }
}

#[test]
fn a_flow_is_written_once_when_it_ends() {
    let mut out = Vec::new();
    for phase in [FlowPhase::Start, FlowPhase::Update] {
        let event = flowtrack_event::FlowEvent { phase, ..midstream() };
        let skipped =
            EveEncoder::new(EveConfig::default()).encode(&Event::Flow(Box::new(event)), &mut out);
        assert_eq!(skipped, Err(Skipped::NotWanted));
    }
    assert!(out.is_empty());
}

#[test]
fn a_record_without_a_form_leaves_no_trace() {
    let mut writer = EveWriter::new(Vec::new(), EveConfig::default());
    writer.write(&samples::transaction(&samples::udp_flow(), samples::Broken));
    writer.write(&samples::file());
    writer.flush();
    assert_eq!((writer.counters().unserialisable, writer.counters().events), (1, 1));
    let out = String::from_utf8(writer.into_inner()).unwrap();
    assert!(out.starts_with("{\"timestamp\"") && out.lines().count() == 1, "{out}");
}

#[test]
fn hostile_strings_stay_inside_their_strings() {
    let Value::Object(record) = samples::hostile().record else { panic!("not an object") };
    let value = encode(&samples::transaction(&samples::tcp_flow(), samples::hostile()));
    assert_eq!(value["http"], Value::Object(record));
    assert_eq!(encode(&samples::file())["fileinfo"]["filename"], "/down/a\\xff\"<b>.exe");
}

/// Takes so many bytes, then fails until told otherwise.
struct Disk {
    room: usize,
    kind: io::ErrorKind,
    data: Vec<u8>,
}

impl io::Write for Disk {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.room == 0 {
            return Err(self.kind.into());
        }
        let n = bytes.len().min(self.room);
        self.room -= n;
        self.data.extend_from_slice(&bytes[..n]);
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_full_disk_costs_only_what_did_not_fit() {
    let disk = Disk { room: 1_000, kind: io::ErrorKind::StorageFull, data: Vec::new() };
    let mut writer = EveWriter::new(disk, EveConfig::default());
    for _ in 0..3 {
        writer.write(&samples::file());
    }
    writer.flush();
    writer.write(&samples::file());
    writer.flush();
    assert!(writer.error().is_some());
    assert_eq!((writer.counters().events, writer.counters().lost), (1, 3));
    writer.out.room = usize::MAX;
    writer.write(&samples::file());
    writer.flush();
    assert_eq!(writer.error(), None);
    assert_eq!(writer.counters().errors, 2);
    let out = String::from_utf8(writer.into_inner().data).unwrap();
    let whole = out.lines().filter(|line| serde_json::from_str::<Value>(line).is_ok()).count();
    assert_eq!((whole, out.lines().count()), (2, 3), "one line is torn, none is glued to it");
}

#[test]
fn a_reader_that_went_away_ends_it_quietly() {
    let pipe = Disk { room: 10, kind: io::ErrorKind::BrokenPipe, data: Vec::new() };
    let mut writer = EveWriter::new(pipe, EveConfig::default());
    writer.write(&samples::file());
    writer.flush();
    assert!(writer.is_closed() && writer.error().is_none());
    writer.write(&samples::file());
    writer.flush();
    assert_eq!(writer.counters().errors, 1);
}

fn midstream() -> flowtrack_event::FlowEvent {
    let mut record = samples::tcp_flow();
    record.tcp.as_mut().unwrap().midstream = true;
    flowtrack_event::FlowEvent {
        ts: record.end,
        phase: FlowPhase::End(flowtrack_event::EndReason::Timeout),
        record,
    }
}

fn encode(event: &Event) -> Value {
    let mut out = Vec::new();
    EveEncoder::new(EveConfig::default()).encode(event, &mut out).unwrap();
    serde_json::from_slice(&out).unwrap()
}

/// Takes away what stands at `path`; says whether anything did.
fn strip(value: &mut Value, path: &str) -> bool {
    fn strip_in(object: &mut Map<String, Value>, path: &str) -> bool {
        let (name, rest) =
            path.split_once('.').map_or((path, None), |(name, rest)| (name, Some(rest)));
        let names: Vec<String> = match name {
            "*" => object.keys().cloned().collect(),
            name => object.keys().filter(|key| *key == name).cloned().collect(),
        };
        names.iter().fold(false, |any, name| match rest {
            None => object.remove(name).is_some() || any,
            Some(rest) => object[name].as_object_mut().is_some_and(|o| strip_in(o, rest)) || any,
        })
    }
    strip_in(value.as_object_mut().unwrap(), path)
}

/// The schema, or `None` and a reason where the corpus is absent.
fn schema() -> Option<Value> {
    let root = std::env::var_os("FLOWTRACK_CORPUS").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/corpus"),
        PathBuf::from,
    );
    let path = root.join("eve/schema.json");
    match std::fs::read(&path) {
        Ok(text) => Some(serde_json::from_slice(&text).unwrap()),
        Err(error) => {
            // A test may speak; that it did not run must not pass in silence.
            #[allow(clippy::disallowed_macros)]
            {
                eprintln!("skipped: {}: {error}", path.display());
            }
            None
        }
    }
}

/// Checks a value against the part of JSON Schema that the EVE schema uses; panics at a keyword
/// that it does not know, so that nothing passes unchecked.
fn assert_valid(root: &Value, schema: &Value, value: &Value, at: &str) {
    let schema = schema.as_object().unwrap();
    for (keyword, rule) in schema {
        match keyword.as_str() {
            "description" | "desription" | "$comment" | "suricata" | "$defs" => {}
            "$ref" => {
                let pointer = rule.as_str().unwrap().strip_prefix('#').unwrap();
                assert_valid(root, root.pointer(pointer).unwrap(), value, at);
            }
            "type" => {
                let types = rule.as_array().cloned().unwrap_or_else(|| vec![rule.clone()]);
                let has = |name: &str| match name {
                    "object" => value.is_object(),
                    "array" => value.is_array(),
                    "string" => value.is_string(),
                    "boolean" => value.is_boolean(),
                    "integer" => value.is_i64() || value.is_u64(),
                    "number" => value.is_number(),
                    other => panic!("unknown type {other}"),
                };
                assert!(
                    types.iter().any(|t| has(t.as_str().unwrap())),
                    "{at}: {value} is no {rule}"
                );
            }
            "properties" => {
                for (name, value) in value.as_object().into_iter().flatten() {
                    if let Some(rule) = rule.get(name) {
                        assert_valid(root, rule, value, &format!("{at}.{name}"));
                    }
                }
            }
            "additionalProperties" => {
                let known = schema.get("properties").and_then(Value::as_object);
                for name in value.as_object().into_iter().flat_map(Map::keys) {
                    let is_known = known.is_some_and(|known| known.contains_key(name));
                    assert!(is_known || rule == &Value::Bool(true), "{at}.{name} is not of EVE");
                }
            }
            "required" => {
                for name in rule.as_array().unwrap() {
                    assert!(value.get(name.as_str().unwrap()).is_some(), "{at} lacks {name}");
                }
            }
            "items" => {
                for (i, value) in value.as_array().into_iter().flatten().enumerate() {
                    assert_valid(root, rule, value, &format!("{at}[{i}]"));
                }
            }
            "minItems" => {
                assert!(value.as_array().unwrap().len() as u64 >= rule.as_u64().unwrap(), "{at}");
            }
            "enum" => assert!(rule.as_array().unwrap().contains(value), "{at}: {value}"),
            "pattern" if at == "$.timestamp" => {
                let shape: String = value
                    .as_str()
                    .unwrap()
                    .chars()
                    .map(|c| if c.is_ascii_digit() { '0' } else { c })
                    .collect();
                assert_eq!(shape, "0000-00-00T00:00:00.000000+0000");
            }
            other => panic!("{at}: the schema uses {other}, which this test does not know"),
        }
    }
}
