//! The references in `docs/` that are made from the code; `UPDATE_EXPECT=1` writes them anew.

use flowtrack_dissect::{KeywordKind, Transport, protocols::ALL};
use flowtrack_output::eve::additions_markdown;

fn compare(name: &str, made: &str) {
    let path = format!("{}/../../docs/{name}", env!("CARGO_MANIFEST_DIR"));
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        std::fs::write(&path, made).unwrap();
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(written == made, "{path} is not up to date; run the tests with UPDATE_EXPECT=1");
}

#[test]
fn protocols() {
    let mut protocols = ALL.to_vec();
    protocols.sort_by_key(|p| p.name().name());
    let mut text = String::from(
        "# Protocols\n\n\
         Every application protocol that FlowTrack recognises, by content; ports are hints.\n\
         Fields are those of its EVE record; *added* ones are FlowTrack's own.\n",
    );
    for protocol in protocols {
        let over = match protocol.transport() {
            Transport::Tcp => "TCP",
            Transport::Udp => "UDP",
            Transport::Both => "TCP and UDP",
        };
        text += &format!("\n## {}\n\nOver {over}", protocol.name().name());
        if !protocol.ports().is_empty() {
            let ports: Vec<_> = protocol.ports().iter().map(u16::to_string).collect();
            text += &format!(", usually on {}", ports.join(", "));
        }
        text += ".\n";
        if protocol.fields().is_empty() {
            text += "Named only.\n";
            continue;
        }
        text += "\n| field | type | meaning |\n|---|---|---|\n";
        for field in protocol.fields() {
            let added = if field.added { " (*added*)" } else { "" };
            text += &format!("| `{}` | {} | {}{added} |\n", field.name, field.kind, field.doc);
        }
        if protocol.keywords().is_empty() {
            continue;
        }
        text += "\nRules may ask:\n\n| keyword | what it compares | meaning |\n|---|---|---|\n";
        for keyword in protocol.keywords() {
            let kind = match keyword.kind {
                KeywordKind::Buffer => "bytes",
                KeywordKind::Number => "a number",
            };
            text += &format!("| `{}` | {kind} | {} |\n", keyword.name, keyword.doc);
        }
    }
    compare("protocols.md", &text);
}

#[test]
fn additions_to_eve() {
    compare("eve.md", &format!("# What FlowTrack adds to EVE\n\n{}", additions_markdown()));
}
