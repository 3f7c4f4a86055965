//! The rules that others wrote, read in place from the corpus; skipped with a reason where it is
//! absent.

// A test reads files, and says when it cannot.
#![allow(clippy::disallowed_methods, clippy::disallowed_macros)]

use flowtrack_rules::Loader;
use flowtrack_rules::lang::{Headers, Rule, Variables, parse_rules};
use std::io::{BufReader, Read as _};
use std::path::{Path, PathBuf};

#[test]
fn every_rule_of_emerging_threats_is_loaded() {
    let Some(path) = corpus("rules/et-open-merged.rules.gz") else { return };
    let packed = BufReader::new(std::fs::File::open(path).unwrap());
    let mut text = String::new();
    flate2::bufread::MultiGzDecoder::new(packed).read_to_string(&mut text).unwrap();
    let (rules, problems) = parse_rules("et.rules", &text);
    assert_eq!(problems, []);
    assert_eq!(rules.len(), 24_253);
    assert!(rules.iter().all(|rule| rule.sid().is_some() && rule.option("msg").is_some()));
    let mut loader = Loader::new(Variables::default());
    loader.add("et.rules", &text);
    let loaded = loader.finish();
    let wrong: Vec<_> = loaded.problems.iter().filter(|problem| problem.fatal).collect();
    assert!(wrong.is_empty(), "{wrong:?}");
    assert_eq!(loaded.signatures.len(), rules.len());
}

#[test]
fn every_rule_of_suricata_verify_is_read() {
    let Some(folder) = corpus("suricata-verify/tests") else { return };
    let mut read = 0;
    for path in rule_files(&folder) {
        let text = String::from_utf8_lossy(&std::fs::read(&path).unwrap()).into_owned();
        let (rules, problems) = parse_rules(&path.display().to_string(), &text);
        assert_eq!(problems, []);
        read += rules.len();
        // `requires` and the protocol of Suricata's template decide what is loaded of the rest.
        let wrong = wrong_headers(&rules);
        assert!(
            wrong.iter().all(|wrong| wrong.contains("\"template\"") || wrong.contains("\"vxlan\"")),
            "{}: {wrong:?}",
            path.display()
        );
    }
    assert!(read > 1_500, "{read}");
}

fn wrong_headers(rules: &[Rule]) -> Vec<String> {
    let mut headers = Headers::new(Variables::default());
    let mut wrong = Vec::new();
    for rule in rules {
        if let Err((_, message)) = headers.compile(&rule.header) {
            wrong.push(format!("{message} in {}", rule.text));
        }
    }
    wrong
}

/// All rule files below a folder.
fn rule_files(folder: &Path) -> Vec<PathBuf> {
    let (mut waiting, mut files) = (vec![folder.to_owned()], Vec::new());
    while let Some(path) = waiting.pop() {
        if path.is_dir() {
            waiting.extend(std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()));
        } else if path.extension().is_some_and(|end| end == "rules") {
            files.push(path);
        }
    }
    files
}

fn corpus(path: &str) -> Option<PathBuf> {
    let root = std::env::var_os("FLOWTRACK_CORPUS").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/corpus"),
        PathBuf::from,
    );
    let path = root.join(path);
    if path.exists() {
        return Some(path);
    }
    eprintln!("skipped: {} is absent", path.display());
    None
}
