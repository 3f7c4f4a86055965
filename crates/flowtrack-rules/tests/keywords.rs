//! The table of keywords: its examples are the reference, so they have to be right.

use flowtrack_rules::keywords::{all, understand};
use flowtrack_rules::lang::{Headers, Variables, parse_rules};
use std::collections::BTreeMap;

#[test]
fn every_example_is_a_rule_that_uses_its_keyword() {
    let mut wrong = Vec::new();
    for keyword in all() {
        let (rules, problems) = parse_rules(keyword.name, keyword.example);
        wrong.extend(problems.iter().map(ToString::to_string));
        for rule in &rules {
            let uses = |name: &str| rule.option(name).is_some();
            if !uses(keyword.name) && !keyword.aliases.iter().any(|alias| uses(alias)) {
                wrong.push(format!("{}: its example does not use it", keyword.name));
            }
            match understand(rule, &mut Headers::new(Variables::default())) {
                Ok(_) => {}
                Err(refused) if refused.skip.is_some() => {}
                Err(refused) => wrong.push(format!("{}: {}", keyword.name, refused.message)),
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_name_means_one_keyword() {
    let mut known = BTreeMap::new();
    for keyword in all() {
        for name in std::iter::once(keyword.name).chain(keyword.aliases.iter().copied()) {
            if let Some(other) = known.insert(name, keyword.name) {
                panic!("{name} means both {other} and {}", keyword.name);
            }
        }
    }
}

#[test]
fn every_keyword_is_described() {
    for keyword in all() {
        assert!(keyword.doc.len() > 3, "{}: {:?}", keyword.name, keyword.doc);
    }
}
