//! The page about notifications: each example is one that works, and each kind has one.

use flowtrack_notify::{ChannelConfig, KINDS, NotifyConfig};
use std::collections::BTreeSet;

#[derive(serde::Deserialize)]
struct File {
    notify: NotifyConfig,
}

#[test]
fn every_kind_has_an_example_that_is_right() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/notifications.md");
    let page = std::fs::read_to_string(path).unwrap();
    let mut kinds = BTreeSet::new();
    for block in page.split("```toml\n").skip(1) {
        let block = block.split("```").next().unwrap();
        let file: File = toml::from_str(block).unwrap_or_else(|e| panic!("{block}\n{e}"));
        file.notify.check().unwrap_or_else(|e| panic!("{block}\n{e}"));
        kinds.extend(file.notify.channels.iter().map(ChannelConfig::kind));
    }
    assert_eq!(kinds, KINDS.iter().map(|kind| kind.name).collect());
}
