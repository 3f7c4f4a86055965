//! `flowtrack config`: check, show or explain the configuration.

use super::print;
use crate::cli::{ConfigAction, Global};
use crate::config::{Config, KEYS};
use crate::status::Status;

/// Runs the command.
pub fn run(action: ConfigAction, global: &Global) -> anyhow::Result<Status> {
    match action {
        ConfigAction::Check => {
            Config::load(global)?;
            print("the configuration is right\n")?;
        }
        ConfigAction::Show => print(&Config::load(global)?.to_toml())?,
        ConfigAction::Docs => print(&docs())?,
    }
    Ok(Status::Ok)
}

/// Every setting with its default and its meaning, as Markdown.
pub fn docs() -> String {
    let defaults = Config::default().values();
    let mut text = String::from(
        "# Configuration\n\n\
         One TOML file: `--config FILE`, or `flowtrack.toml` in the data directory.\n\
         Every setting can be overridden by `--set section.name=value`, or by an environment \
         variable such as `FLOWTRACK_CAPTURE_SNAPLEN`.\n",
    );
    let mut section = "";
    for key in KEYS {
        let (of, name) = key.name.split_once('.').unwrap_or(("", key.name));
        if of != section {
            section = of;
            text +=
                &format!("\n## [{section}]\n\n| setting | default | meaning |\n|---|---|---|\n");
        }
        let default = defaults.get(key.name).map_or("not set", String::as_str);
        text += &format!("| `{name}` | `{default}` | {} |\n", key.doc);
    }
    text
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_reference_is_up_to_date() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/configuration.md");
        if std::env::var_os("UPDATE_EXPECT").is_some() {
            std::fs::write(path, super::docs()).unwrap();
        }
        let written = std::fs::read_to_string(path).unwrap_or_default();
        assert_eq!(written, super::docs(), "run the tests with UPDATE_EXPECT=1");
    }
}
