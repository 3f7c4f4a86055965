//! Rules beside Suricata with settings of its own: what of them FlowTrack has too is set as there.

use crate::corpus::Corpus;
use flowtrack_dissect::protocols::ALL;
use serde_json::Value;
use std::collections::BTreeMap;
use std::process::{Command, Stdio};

/// Of cases whose settings all exist, so many in a hundred agree.
const AGREE: usize = 85;

#[test]
fn rules_agree_where_settings_differ() {
    let Some(corpus) = Corpus::find() else { return };
    let cases = corpus.read("suricata-verify/cases.jsonl");
    let cases = cases.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let (mut agreed, mut differ) = (0, Vec::new());
    let mut left_out: BTreeMap<String, (usize, usize)> = BTreeMap::new();
    for case in cases.filter(|case| case["oracle"] == "own-config" && case["rules"].is_string()) {
        let name = case["test"].as_str().unwrap();
        let facts = corpus.read(&format!("suricata-verify/tests/{name}/expected.json"));
        let facts: Value = serde_json::from_str(&facts).unwrap();
        let mut arguments = Vec::new();
        let mut lacks: Vec<String> = Vec::new();
        for (setting, value) in settings(&case, facts["config"].as_str()) {
            match translated(&setting, &value) {
                Means::Arguments(more) => arguments.extend(more),
                Means::Nothing => {}
                Means::Lacks(what) => lacks.push(what),
            }
        }
        if facts["config"].as_str().is_some_and(|file| !file.contains("- alert")) {
            lacks.push("alerts that are not written".to_owned());
        }
        let (raised, complaints) = run(&corpus, &case, &arguments);
        if complaints.contains("its data set cannot be filled") {
            lacks.push("a file that rules name".to_owned());
        }
        let wanted = wanted(&case);
        let agrees = raised == wanted;
        match lacks.into_iter().next() {
            Some(what) => {
                let (all, agree) = left_out.entry(what).or_default();
                *all += 1;
                *agree += usize::from(agrees);
            }
            None if agrees => agreed += 1,
            None => differ.push(format!("{name}: {raised:?}, there {wanted:?}")),
        }
    }
    let all = agreed + differ.len();
    println!("cases with settings that exist: {agreed} of {all} agree");
    for (what, (cases, agree)) in &left_out {
        println!("left out for {what}: {cases}, of which {agree} agree all the same");
    }
    assert!(all >= 20, "only {all} cases");
    assert!(agreed * 100 >= all * AGREE, "{differ:#?}");
    differ.iter().for_each(|case| println!("differs: {case}"));
}

/// What a setting means here.
enum Means {
    /// These arguments of the command line.
    Arguments(Vec<String>),
    /// It is so anyway, or about something else than rules.
    Nothing,
    /// There is no such setting.
    Lacks(String),
}

fn translated(setting: &str, value: &str) -> Means {
    let set = |setting: String| Means::Arguments(vec!["--set".to_owned(), setting]);
    if let Some(name) = setting.strip_prefix("vars.address-groups.") {
        return set(format!("rules.addresses.{name}={value}"));
    }
    if let Some(name) = setting.strip_prefix("vars.port-groups.") {
        return set(format!("rules.ports.{name}={value}"));
    }
    if let Some(protocol) = setting.strip_prefix("app-layer.protocols.") {
        let (protocol, what) = protocol.split_once('.').unwrap_or((protocol, ""));
        return match what {
            _ if !ALL.iter().any(|known| known.name().name() == protocol) => {
                Means::Lacks(format!("the protocol {protocol}"))
            }
            "enabled" if value == "true" || value == "yes" => Means::Nothing,
            "stream-depth" if value == "0" => set(format!("dissect.depth={}", i64::MAX)),
            // Bodies are read as far as streams are, through so many layers.
            "libhtp.default-config.response-body-limit"
            | "libhtp.default-config.response-body-decompress-layer-limit" => Means::Nothing,
            // The ports that protocols have anyway.
            _ if what.ends_with("detection-ports.dp") && value == "20000" => Means::Nothing,
            _ if what.ends_with("detection-ports.dp") => {
                Means::Lacks("protocols known by their port".to_owned())
            }
            _ => Means::Lacks(setting.to_owned()),
        };
    }
    match (setting, value) {
        ("checksums", "verify") => {
            Means::Arguments(vec!["--checksums".to_owned(), "verify".to_owned()])
        }
        ("stream.midstream", "true") => set("flow.midstream=true".to_owned()),
        ("stream.reassembly.depth", "0") => set(format!("dissect.depth={}", i64::MAX)),
        ("vlan.use-for-tracking", "false") => set("flow.use_vlan=false".to_owned()),
        ("action-order", _) => {
            let quoted: Vec<String> =
                value.split(',').map(|word| format!("\"{}\"", word.trim())).collect();
            set(format!("rules.action_order=[{}]", quoted.join(",")))
        }
        // The file of thresholds is read from beside the rules.
        (
            "threshold-file" | "include" | "detect.guess-applayer-tx" | "detect.prefilter.default",
            _,
        ) => Means::Nothing,
        _ if setting.starts_with("stats.") || setting.starts_with("outputs") => Means::Nothing,
        ("inline" | "stream.inline", _) => Means::Lacks("inline judging".to_owned()),
        _ if setting.starts_with("host-os-policy") => {
            Means::Lacks("streams as systems of long ago put them together".to_owned())
        }
        _ => Means::Lacks(setting.to_owned()),
    }
}

/// What the case sets, on the command line and in its file.
fn settings(case: &Value, file: Option<&str>) -> Vec<(String, String)> {
    let mut settings = file.map(yaml).unwrap_or_default();
    let arguments: Vec<&str> =
        case["args"].as_array().unwrap().iter().map(|a| a.as_str().unwrap()).collect();
    let arguments = arguments.join(" ");
    if !arguments.contains("-k none") {
        settings.push(("checksums".to_owned(), "verify".to_owned()));
    }
    let mut words = arguments.split_whitespace();
    while let Some(word) = words.next() {
        match word {
            "--set" => {
                let (name, value) = words.next().unwrap().split_once('=').unwrap();
                settings.push((name.to_owned(), value.to_owned()));
            }
            "-k" => drop(words.next()),
            "--simulate-ips" => settings.push(("inline".to_owned(), "true".to_owned())),
            "--runmode=single" | "--no-random" => {}
            other => settings.push((other.to_owned(), String::new())),
        }
    }
    settings
}

/// The values of a YAML file by their path: maps of maps and lists of words, which is all there is
/// outside `outputs`.
fn yaml(text: &str) -> Vec<(String, String)> {
    let mut values: Vec<(String, String)> = Vec::new();
    let mut path: Vec<(usize, String)> = Vec::new();
    for line in text.lines() {
        let line = line.split(" #").next().unwrap().trim_end();
        let content = line.trim_start();
        let depth = line.len() - content.len();
        if content.is_empty() || content.starts_with(['#', '%']) || content == "---" {
            continue;
        }
        if let Some(item) = content.strip_prefix("- ") {
            let is_output = path.first().is_some_and(|(_, name)| name == "outputs");
            let Some((_, list)) = values.last_mut().filter(|_| !is_output) else { continue };
            let separator = if list.is_empty() { "" } else { "," };
            *list = format!("{list}{separator}{}", item.trim());
            continue;
        }
        let Some((name, value)) = content.split_once(':') else { continue };
        path.retain(|(outer, _)| *outer < depth);
        path.push((depth, name.trim().to_owned()));
        if path[0].1 == "outputs" {
            continue;
        }
        let whole: Vec<&str> = path.iter().map(|(_, name)| name.as_str()).collect();
        // What turned out to hold others is no value itself.
        if let Some((outer, empty)) = values.last()
            && empty.is_empty()
            && whole.join(".").starts_with(&format!("{outer}."))
        {
            values.pop();
        }
        values.push((whole.join("."), value.trim().trim_matches('"').to_owned()));
    }
    values
}

type Raised = BTreeMap<String, u64>;

fn wanted(case: &Value) -> Raised {
    let counts = case["expected"].as_array().unwrap().iter();
    let counts = counts.flat_map(|counts| counts.as_object().unwrap());
    counts.map(|(sid, count)| (sid.clone(), count.as_u64().unwrap())).collect()
}

/// Runs a case; gives the alerts of its rules, and what was said on standard error.
fn run(corpus: &Corpus, case: &Value, arguments: &[String]) -> (Raised, String) {
    let [rules, capture] = ["rules", "pcap"].map(|file| corpus.path(case[file].as_str().unwrap()));
    let output = Command::new(env!("CARGO_BIN_EXE_flowtrack"))
        .args(["analyze", "--eve", "-", "-S"])
        .arg(&rules)
        .args(arguments)
        .arg(&capture)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let complaints = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(matches!(output.status.code(), Some(0 | 1)), "{}: {complaints}", case["test"]);
    let mut raised = Raised::new();
    for line in String::from_utf8_lossy(&output.stdout).lines() {
        let event: Value = serde_json::from_str(line).unwrap();
        let sid = &event["alert"]["signature_id"];
        if case["rule_sids"].as_array().unwrap().contains(sid) {
            *raised.entry(sid.to_string()).or_default() += 1;
        }
    }
    (raised, complaints)
}

#[test]
fn settings_are_read_from_their_file() {
    let text = "%YAML 1.1\n---\nlast: 1\noutputs:\n  - eve-log:\n      enabled: yes\n      types:\n        - \
                alert\nvars:\n  address-groups:\n    HOME: \"[10.0.0.0/8]\"\n\naction-order:\n  - \
                drop\n  - pass # last\nstream:\n  depth: 0\n";
    let wanted = [
        ("last", "1"),
        ("vars.address-groups.HOME", "[10.0.0.0/8]"),
        ("action-order", "drop,pass"),
        ("stream.depth", "0"),
    ];
    assert_eq!(yaml(text), wanted.map(|(name, value)| (name.to_owned(), value.to_owned())));
}
