//! The rules of the field load, all of them.

#![allow(clippy::disallowed_methods, clippy::disallowed_macros, reason = "tests read the corpus")]

use flowtrack_rules::keywords::understand;
use flowtrack_rules::lang::{Headers, Variables, parse_rules};
use flowtrack_rules::{RuleSet, Signature, Step};
use std::io::Read;
use std::path::PathBuf;

/// The corpus, where it is.
fn corpus() -> Option<PathBuf> {
    let folder = std::env::var_os("FLOWTRACK_CORPUS").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/corpus"),
        PathBuf::from,
    );
    let found = folder.is_dir().then_some(folder);
    if found.is_none() {
        eprintln!("skipped: no corpus (set FLOWTRACK_CORPUS)");
    }
    found
}

fn signatures(text: &str) -> Vec<Signature> {
    let (rules, problems) = parse_rules("et.rules", text);
    assert_eq!(problems, []);
    let mut headers = Headers::new(Variables::default());
    let mut wrong = Vec::new();
    let mut signatures = Vec::new();
    for rule in &rules {
        match understand(rule, &mut headers) {
            Ok(understood) => signatures.push(understood.signature),
            Err(refused) => wrong.push((refused.message, refused.keyword, rule.text.clone())),
        }
    }
    assert!(wrong.is_empty(), "{} of {}: {wrong:#?}", wrong.len(), rules.len());
    signatures
}

#[test]
fn the_open_rules_load_and_compile() {
    let Some(corpus) = corpus() else { return };
    let packed = std::fs::read(corpus.join("rules/et-open-merged.rules.gz")).unwrap();
    let mut text = String::new();
    flate2::read::GzDecoder::new(&*packed).read_to_string(&mut text).unwrap();
    let began = std::time::Instant::now();
    let signatures = signatures(&text);
    let understood = began.elapsed();
    assert!(signatures.len() >= 24_252, "{}", signatures.len());
    let mut expressions = 0;
    let mut wrong = Vec::new();
    for signature in &signatures {
        for step in signature.searches.iter().flat_map(|search| &search.steps) {
            if let Step::Pcre(pcre) = step {
                expressions += 1;
                if let Err(error) = pcre.check() {
                    wrong.push((signature.sid(), error));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    let checked = began.elapsed();
    let set = RuleSet::compile(signatures);
    let compiled = began.elapsed();
    println!(
        "understood in {understood:?}, {expressions} expressions in {:?}, compiled in {:?}",
        checked.saturating_sub(understood),
        compiled.saturating_sub(checked)
    );
    assert!(set.len() >= 24_253);
}
