//! The reference of detectors in `docs/`, made from the code; `UPDATE_EXPECT=1` writes it anew.

#![allow(clippy::disallowed_methods, reason = "the reference is a file")]

use flowtrack_detect::{Config, registry};
use flowtrack_event::Detection;

#[test]
fn detectors() {
    let config = toml::Table::try_from(Config::default()).unwrap();
    let mut text = format!(
        "# Detectors\n\n\
         What FlowTrack notices without a signature. Detectors are on in `flowtrack run`, and in\n\
         `flowtrack analyze` with `--detect`; each has a section `[detect.NAME]` of its own, whose\n\
         settings are explained in [configuration.md](configuration.md).\n\
         Numbers are `signature_id` with `gid` {}.\n",
        Detection::GID
    );
    for about in registry() {
        text += &format!("\n## {}\n\nNotices: {}.\n\n{}\n", about.name, about.summary, about.text);
        text += &format!("\nCategory {}", about.category);
        if let Some(technique) = about.technique {
            text += &format!("; MITRE ATT&CK {}, {}", technique.id, technique.name);
        }
        text += ".\n\n| number | kind | what it is |\n|---|---|---|\n";
        for kind in about.kinds {
            let name = if kind.name.is_empty() { "-" } else { kind.name };
            text += &format!("| {} | {name} | {} |\n", kind.sid, kind.summary);
        }
        text += "\n| setting | default |\n|---|---|\n";
        for (setting, value) in config[about.name].as_table().unwrap() {
            text += &format!("| `{setting}` | `{value}` |\n");
        }
    }
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/detectors.md");
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        std::fs::write(path, &text).unwrap();
    }
    let written = std::fs::read_to_string(path).unwrap_or_default();
    assert!(written == text, "{path} is not up to date; run the tests with UPDATE_EXPECT=1");
}
