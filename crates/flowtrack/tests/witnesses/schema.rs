//! Records beside the JSON schema of EVE.

use crate::corpus::Corpus;
use flowtrack_dissect::protocols::ALL;
use flowtrack_output::eve::ADDITIONS;
use serde_json::Value;
use std::collections::BTreeMap;

#[test]
fn every_record_is_of_eve_once_the_additions_are_taken_off() {
    let Some(corpus) = Corpus::find() else { return };
    let schema: Value = serde_json::from_str(&corpus.read("eve/schema.json")).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let additions = additions(&schema);
    let captures: Vec<String> =
        corpus.facts().iter().map(|fact| fact["file"].as_str().unwrap().to_owned()).collect();
    let analysis = corpus.analyze(&captures);
    let mut records = 0;
    let mut wrong: BTreeMap<String, String> = BTreeMap::new();
    for (index, capture) in captures.iter().enumerate() {
        for mut event in analysis.events(index) {
            records += 1;
            for addition in &additions {
                take_off(&mut event, &schema, addition);
            }
            for error in validator.iter_errors(&event) {
                let kind =
                    format!("{} at {}: {error:.200}", event["event_type"], error.instance_path());
                wrong.entry(kind).or_insert_with(|| format!("{capture}: {event}"));
            }
        }
    }
    println!("{records} records of {} captures, {} wrong kinds", captures.len(), wrong.len());
    assert!(records > 10_000, "only {records} records");
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn additions_are_taken_off_and_nothing_else() {
    let schema = serde_json::json!({ "properties": { "dns": { "properties": {
        "answers": { "items": { "properties": { "ttl": {} } } },
        "counts": { "properties": { "known": { "properties": { "too": {} } } } },
    } } } });
    let mut event = serde_json::json!({ "dns": {
        "answers": [{ "ttl": 1, "srv": 2 }, { "ttl": 3 }],
        "counts": { "known": { "too": 1, "not": 2 }, "own": 2 },
        "rtt_us": 4,
        "own": { "one": 1 },
    } });
    for path in
        ["dns.answers[].srv", "dns.counts.*", "dns.rtt_us", "dns.own.one", "dns.missing.field"]
    {
        take_off(&mut event, &schema, &steps(path));
    }
    let left = serde_json::json!({ "dns": {
        "answers": [{ "ttl": 1 }, { "ttl": 3 }],
        "counts": { "known": { "too": 1 } },
    } });
    assert_eq!(event, left);
}

/// Places of everything that the documentation calls an addition.
fn additions(schema: &Value) -> Vec<Vec<String>> {
    let mut places: Vec<_> = ADDITIONS.iter().map(|addition| steps(addition.path)).collect();
    for protocol in ALL {
        // HTTP/2 is logged under the name of HTTP.
        let record = match protocol.name().name() {
            "http2" => "http".to_owned(),
            name => name.replace('-', "_"),
        };
        let fields = protocol.fields();
        // A record of a protocol that EVE does not know is an addition as a whole.
        if schema["properties"].get(&record).is_none() && fields.iter().all(|field| field.added) {
            places.push(vec![record]);
            continue;
        }
        let added = fields.iter().filter(|field| field.added);
        places.extend(added.map(|field| steps(&format!("{record}.{}", field.name))));
    }
    places
}

/// `a[].b` becomes `a`, `[]`, `b`.
fn steps(path: &str) -> Vec<String> {
    path.replace("[]", ".[]").split('.').map(str::to_owned).collect()
}

/// Removes what stands at a place, with the object that is empty without it; of `*` what the schema
/// does not know there and below.
fn take_off(value: &mut Value, schema: &Value, place: &[String]) {
    let Some((step, rest)) = place.split_first() else { return };
    match value {
        Value::Object(fields) if rest.is_empty() && step == "*" => {
            fields.retain(|name, _| schema["properties"].get(name).is_some());
            for (name, inner) in fields {
                take_off(inner, &schema["properties"][name], place);
            }
        }
        Value::Object(fields) if rest.is_empty() => {
            fields.remove(step);
        }
        Value::Object(fields) => {
            let Some(inner) = fields.get_mut(step) else { return };
            let was_empty = is_empty(inner);
            take_off(inner, &schema["properties"][step], rest);
            if !was_empty && is_empty(inner) {
                fields.remove(step);
            }
        }
        Value::Array(items) if step == "[]" => {
            for item in items {
                take_off(item, &schema["items"], rest);
            }
        }
        _ => {}
    }
}

fn is_empty(value: &Value) -> bool {
    value.as_object().is_some_and(serde_json::Map::is_empty)
}
