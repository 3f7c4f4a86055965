//! The configuration: one TOML file, overridden by the environment and by `--set`.
//!
//! Each crate owns the section that steers it. The list of keys below is what `config docs`
//! prints, what messages suggest from, and, by a test, exactly the keys that exist.

mod keys;
mod rules;

pub use keys::KEYS;
pub use rules::RulesConfig;

use crate::cli::Global;
use anyhow::Context as _;
use flowtrack_capture::{LiveConfig, RecorderConfig};
use flowtrack_detect::Config as DetectConfig;
use flowtrack_detect::alerts::Config as AlertsConfig;
use flowtrack_engine::{DefragConfig, Dissect, FlowConfig};
use flowtrack_notify::NotifyConfig;
use flowtrack_output::{EveConfig, FileStoreConfig};
use flowtrack_respond::RespondConfig;
use flowtrack_store::HistoryConfig;
use flowtrack_web::WebConfig;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use toml::{Table, Value};

/// Everything that can be set.
#[derive(Clone, PartialEq, Default, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Where packets come from.
    pub capture: LiveConfig,
    /// The flow table.
    pub flow: FlowConfig,
    /// Fragments.
    pub defrag: DefragConfig,
    /// Streams and application protocols.
    pub dissect: Dissect,
    /// Signatures.
    pub rules: RulesConfig,
    /// Attacks noticed by behaviour.
    pub detect: DetectConfig,
    /// Whom alerts are told to.
    pub notify: NotifyConfig,
    /// How alerts are folded.
    pub alerts: AlertsConfig,
    /// EVE JSON.
    pub eve: EveConfig,
    /// Files that the network carried.
    pub files: FileStoreConfig,
    /// What is kept of flows and events.
    pub history: HistoryConfig,
    /// What is kept of packets.
    pub recorder: RecorderConfig,
    /// Blocking.
    pub respond: RespondConfig,
    /// The dashboard.
    pub web: WebConfig,
}

/// The configuration is wrong; the message names the place and the nearest right word.
#[derive(Debug)]
pub struct Wrong(pub String);

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Wrong {}

impl Config {
    /// Reads the file, then the environment, then `--set`; later ones win.
    pub fn load(global: &Global) -> anyhow::Result<Self> {
        let file = read_file(global)?;
        let file = file.as_ref().map(|(path, text)| (path.as_path(), text.as_str()));
        Ok(Self::read(file, std::env::vars(), &global.settings)?)
    }

    fn read(
        file: Option<(&Path, &str)>,
        variables: impl Iterator<Item = (String, String)>,
        settings: &[String],
    ) -> Result<Self, Wrong> {
        // Over the defaults: of a table that is given in part, the rest keeps its own.
        let mut table = Table::try_from(Self::default()).expect("every setting has a form in TOML");
        if let Some((path, text)) = file {
            overlay(&mut table, parse_file(path, text)?);
        }
        for (name, value) in variables {
            if let Some(key) = key_of_variable(&name)? {
                insert(&mut table, key, value_of(&value));
                check_form(&table, &name, &value)?;
            }
        }
        for setting in settings {
            let (key, value) = setting.split_once('=').ok_or_else(|| {
                Wrong(format!("--set {setting}: want KEY=VALUE, such as flow.max_flows=200000"))
            })?;
            let key = key.trim();
            check_key(key).map_err(|hint| Wrong(format!("--set {setting}: {hint}")))?;
            insert(&mut table, key, value_of(value.trim()));
            check_form(&table, &format!("--set {key}"), value)?;
        }
        let config: Self = Value::Table(table)
            .try_into()
            .map_err(|e: toml::de::Error| Wrong(format!("configuration: {}", e.message())))?;
        config.check().map_err(|complaint| {
            // What the file alone makes wrong has a place in it.
            let place = file.and_then(|(path, text)| place_of(path, text, &complaint));
            Wrong(format!("{}: {complaint}", place.as_deref().unwrap_or("configuration")))
        })?;
        Ok(config)
    }

    /// What no single value can say to be wrong; complaints begin with the key.
    fn check(&self) -> Result<(), String> {
        self.web.check().map_err(|e| e.to_string())?;
        self.notify.check()?;
        self.respond.check()?;
        self.rules.check()
    }

    /// Every value that is set, by its key, as TOML writes it.
    pub fn values(&self) -> BTreeMap<String, String> {
        fn flatten(prefix: &str, value: &Value, into: &mut BTreeMap<String, String>) {
            match value {
                Value::Table(table) => {
                    for (key, value) in table {
                        let name =
                            if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
                        flatten(&name, value, into);
                    }
                }
                value => {
                    into.insert(prefix.to_owned(), value.to_string());
                }
            }
        }
        let mut values = BTreeMap::new();
        let table = Value::try_from(self).expect("every setting has a form in TOML");
        flatten("", &table, &mut values);
        values
    }

    /// The configuration as TOML, every default included.
    pub fn to_toml(&self) -> String {
        toml::to_string(self).expect("every setting has a form in TOML")
    }
}

/// Where history, packets and keys are kept: as told, else as the system suggests.
pub fn data_dir(global: &Global) -> PathBuf {
    if let Some(dir) = &global.data_dir {
        return dir.clone();
    }
    let root = std::env::var_os("HOME").is_none_or(|home| home == "/root");
    match std::env::var_os("XDG_DATA_HOME") {
        Some(dir) => PathBuf::from(dir).join("flowtrack"),
        None if root => PathBuf::from("/var/lib/flowtrack"),
        None => PathBuf::from(std::env::var_os("HOME").unwrap_or_default())
            .join(".local/share/flowtrack"),
    }
}

fn read_file(global: &Global) -> anyhow::Result<Option<(PathBuf, String)>> {
    let (path, asked_for) = match &global.config {
        Some(path) => (path.clone(), true),
        None => (data_dir(global).join("flowtrack.toml"), false),
    };
    match std::fs::read_to_string(&path) {
        Ok(text) => Ok(Some((path, text))),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound && !asked_for => Ok(None),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
            Err(Wrong(format!("{}: no such file", path.display())).into())
        }
        Err(e) => Err(e).with_context(|| format!("cannot read {}", path.display())),
    }
}

/// Parses the file and checks each key where it stands, then each value.
fn parse_file(path: &Path, text: &str) -> Result<Table, Wrong> {
    let at = |span| place(path, text, span);
    let keys = toml::de::DeTable::parse(text)
        .map_err(|e| Wrong(format!("{}: {}", at(e.span()), e.message())))?;
    check_table(keys.get_ref(), "")
        .map_err(|(span, hint)| Wrong(format!("{}: {hint}", at(Some(span)))))?;
    toml::from_str::<Config>(text)
        .map_err(|e| Wrong(format!("{}: {}", at(e.span()), form(e.message()))))?;
    toml::from_str(text).map_err(|e| Wrong(format!("{}: {}", at(e.span()), e.message())))
}

/// File, line and column of a piece of its text.
fn place(path: &Path, text: &str, span: Option<std::ops::Range<usize>>) -> String {
    let before = text.get(..span.map_or(0, |span| span.start)).unwrap_or_default();
    let line = before.matches('\n').count() + 1;
    let column = before.chars().rev().take_while(|&c| c != '\n').count() + 1;
    format!("{}:{line}:{column}", path.display())
}

/// Where the setting stands that a complaint begins with, or as much of it as the file has.
fn place_of(path: &Path, text: &str, complaint: &str) -> Option<String> {
    let is_key = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
    let key = complaint.split(|c| !is_key(c)).next().unwrap_or_default();
    let keys = toml::de::DeTable::parse(text).ok()?;
    let mut table = Some(keys.get_ref());
    let mut found = None;
    for part in key.split('.') {
        let Some((key, value)) = table.and_then(|table| table.get_key_value(part)) else { break };
        found = Some(key.span());
        table = match value.get_ref() {
            toml::de::DeValue::Table(inner) => Some(inner),
            _ => None,
        };
    }
    found.map(|span| place(path, text, Some(span)))
}

/// Whether settings have the form that they need, once this one is among them.
fn check_form(table: &Table, setting: &str, value: &str) -> Result<(), Wrong> {
    let read: Result<Config, toml::de::Error> = Value::Table(table.clone()).try_into();
    read.map(drop).map_err(|e| Wrong(format!("{setting}={value}: {}", form(e.message()))))
}

/// What a form is to be, in words that are no programmer's.
fn form(message: &str) -> String {
    let numbers = ["u8", "u16", "u32", "u64", "usize", "i64"];
    let words = numbers.map(|kind| (kind, "a whole number"));
    let others = [("f64", "a number"), ("a boolean", "true or false"), ("a sequence", "a list")];
    let (what, kind) = message.split_once("expected ").unwrap_or((message, ""));
    if let (Some(what), Some(known)) =
        (what.strip_prefix("unknown variant "), kind.strip_prefix("one of "))
    {
        return format!("there is no {what}take one of {known}");
    }
    let found = words.iter().chain(&others).find(|(name, _)| *name == kind);
    found.map_or_else(|| message.to_owned(), |(_, word)| format!("{what}want {word}"))
}

type Misplaced = (std::ops::Range<usize>, String);

fn check_table(table: &toml::de::DeTable<'_>, prefix: &str) -> Result<(), Misplaced> {
    for (key, value) in table {
        let name = format!("{prefix}{}", key.get_ref());
        match value.get_ref() {
            toml::de::DeValue::Table(inner) if !is_key(&name) => {
                if !KEYS.iter().any(|k| k.name.starts_with(&format!("{name}."))) {
                    return Err((key.span(), unknown(&name)));
                }
                check_table(inner, &format!("{name}."))?;
            }
            _ => check_key(&name).map_err(|hint| (key.span(), hint))?,
        }
    }
    Ok(())
}

fn is_key(name: &str) -> bool {
    // Variables have names of their own behind the setting.
    let is_variable = ["rules.addresses.", "rules.ports."]
        .iter()
        .any(|of| name.strip_prefix(of).is_some_and(|name| !name.contains('.')));
    is_variable || KEYS.iter().any(|key| key.name == name)
}

fn check_key(name: &str) -> Result<(), String> {
    if is_key(name) { Ok(()) } else { Err(unknown(name)) }
}

fn unknown(name: &str) -> String {
    let sections = KEYS.iter().filter_map(|k| k.name.split('.').next());
    let known = KEYS.iter().map(|k| k.name).chain(sections);
    let nearest = known
        .map(|known| (strsim::damerau_levenshtein(name, known), known))
        .min()
        .filter(|&(distance, _)| distance <= 3 + name.len() / 4);
    match nearest {
        Some((_, known)) if known == name => {
            format!("`{name}` is a section: write [{name}], and its settings below")
        }
        Some((_, known)) => format!("unknown setting `{name}`; did you mean `{known}`?"),
        None => format!("unknown setting `{name}`; `flowtrack config docs` lists all"),
    }
}

/// The key that an environment variable sets, if it is one of ours.
fn key_of_variable(name: &str) -> Result<Option<&'static str>, Wrong> {
    let variable = |key: &str| format!("FLOWTRACK_{}", key.replace('.', "_").to_uppercase());
    if let Some(key) = KEYS.iter().find(|key| variable(key.name) == name) {
        return Ok(Some(key.name));
    }
    let ours = KEYS
        .iter()
        .filter_map(|k| k.name.split_once('.'))
        .any(|(section, _)| name.starts_with(&format!("{}_", variable(section))));
    if !ours {
        return Ok(None);
    }
    let nearest =
        KEYS.iter().map(|k| variable(k.name)).min_by_key(|v| strsim::levenshtein(v, name));
    Err(Wrong(format!(
        "environment: unknown setting {name}; did you mean {}?",
        nearest.unwrap_or_default()
    )))
}

/// A value as typed on a command line: TOML where it is, else text.
fn value_of(text: &str) -> Value {
    format!("v = {text}")
        .parse::<Table>()
        .ok()
        .and_then(|mut table| table.remove("v"))
        .unwrap_or_else(|| Value::String(text.to_owned()))
}

/// Puts values over those that are there, tables into tables.
fn overlay(table: &mut Table, over: Table) {
    for (key, value) in over {
        match (table.get_mut(&key), value) {
            (Some(Value::Table(inner)), Value::Table(over)) => overlay(inner, over),
            (_, value) => {
                table.insert(key, value);
            }
        }
    }
}

fn insert(table: &mut Table, key: &str, value: Value) {
    match key.split_once('.') {
        None => {
            table.insert(key.to_owned(), value);
        }
        Some((section, rest)) => {
            let inner =
                table.entry(section.to_owned()).or_insert_with(|| Value::Table(Table::new()));
            if let Value::Table(inner) = inner {
                insert(inner, rest, value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_setting_is_documented_and_every_documented_setting_exists() {
        let mut exist: BTreeSet<String> = Config::default().values().into_keys().collect();
        // Settings without a default have no form in TOML; they are named here.
        exist
            .extend(["web.api_token", "capture.filter", "recorder.max_age_secs"].map(String::from));
        exist.extend(["rules.addresses", "rules.ports"].map(String::from));
        exist.extend(["rules.reputation_categories", "rules.countries"].map(String::from));
        let documented: BTreeSet<String> = KEYS.iter().map(|k| k.name.to_owned()).collect();
        assert_eq!(exist, documented);
    }

    fn error_of(text: &str) -> String {
        parse_file(Path::new("f.toml"), text).unwrap_err().to_string()
    }

    #[test]
    fn wrong_files_are_told_with_place_and_suggestion() {
        assert_eq!(
            error_of("[capture]\nsnaplen = 96\nfiltr = \"tcp\"\n"),
            "f.toml:3:1: unknown setting `capture.filtr`; did you mean `capture.filter`?"
        );
        assert_eq!(
            error_of("[capure]\nx = 1\n"),
            "f.toml:1:2: unknown setting `capure`; did you mean `capture`?"
        );
        assert!(error_of("[web]\nlisten = 80\n").starts_with("f.toml:2:10: "));
        assert!(error_of("[web\n").starts_with("f.toml:1:5: "), "{}", error_of("[web\n"));
    }

    #[test]
    fn values_are_read_as_toml_or_as_text() {
        assert_eq!(value_of("5"), Value::Integer(5));
        assert_eq!(value_of("tcp port 80"), Value::String("tcp port 80".into()));
        assert_eq!(value_of("[\"a\"]"), Value::Array(vec![Value::String("a".into())]));
    }

    fn read(text: &str) -> Result<Config, Wrong> {
        Config::read(Some((Path::new("f.toml"), text)), std::iter::empty(), &[])
    }

    #[test]
    fn what_is_shown_can_be_read_back() {
        let text = Config::default().to_toml();
        assert_eq!(read(&text).unwrap(), Config::default());
    }

    #[test]
    fn every_default_can_be_set_alone() {
        for (key, value) in Config::default().values() {
            assert_eq!(read(&format!("{key} = {value}\n")).unwrap(), Config::default(), "{key}");
            let set = [format!("{key}={value}")];
            let config = Config::read(None, std::iter::empty(), &set).unwrap();
            assert_eq!(config, Config::default(), "{key}");
            let variable = format!("FLOWTRACK_{}", key.replace('.', "_").to_uppercase());
            let config = Config::read(None, std::iter::once((variable, value)), &[]).unwrap();
            assert_eq!(config, Config::default(), "{key}");
        }
    }

    #[test]
    fn a_table_that_is_given_in_part_keeps_the_rest() {
        let config = read("[flow.emergency_timeouts.tcp]\nnew = 3\n").unwrap();
        let mut want = Config::default();
        want.flow.emergency_timeouts.tcp.new = 3;
        assert_eq!(config, want);
    }

    #[test]
    fn what_only_the_whole_makes_wrong_has_its_place_too() {
        for (text, start) in [
            ("[flow]\n[respond]\nfirst_secs = 0\n", "f.toml:3:1: respond.first_secs must be"),
            ("notify.queue_hours = 0\n", "f.toml:1:8: notify.queue_hours: want"),
            ("\n[rules.ports]\nMINE = \"$NO\"\n", "f.toml:3:1: rules.ports.MINE: "),
            ("[web]\napi_token = \"x\"\n", "f.toml:2:1: web.api_token must"),
        ] {
            let told = read(text).unwrap_err().to_string();
            assert!(told.starts_with(start), "{told}");
        }
        // What is wrong elsewhere is not blamed on the file.
        let set = ["respond.first_secs=0".to_owned()];
        let file = Some((Path::new("f.toml"), "[flow]\n"));
        let told = Config::read(file, std::iter::empty(), &set).unwrap_err().to_string();
        assert!(told.starts_with("configuration: respond.first_secs"), "{told}");
    }

    /// Text that is nearly a configuration: keys that exist or nearly do, with values of all kinds.
    fn nearly() -> impl Strategy<Value = String> {
        let value = prop_oneof![
            any::<i64>().prop_map(|n| n.to_string()),
            any::<f64>().prop_map(|n| format!("{n:?}")),
            Just("true".to_owned()),
            ".*".prop_map(|text| format!("{text:?}")),
            "\\PC{0,20}",
            prop::collection::vec("[a-z0-9.:/$!,-]{0,12}", 0..4).prop_map(|all| format!("{all:?}")),
            Just("[[\"a\"], {b = 1}]".to_owned()),
            "[a-z]{1,6}".prop_map(|key| format!("{{ {key} = 1, name = \"x\" }}")),
            (0_usize..5_000).prop_map(|deep| "[".repeat(deep)),
        ];
        let key = prop_oneof![
            8 => prop::sample::select(KEYS).prop_map(|key| key.name.to_owned()),
            1 => (prop::sample::select(KEYS), any::<prop::sample::Index>())
                .prop_map(|(key, at)| key.name[..at.index(key.name.len())].to_owned()),
            1 => "[a-z_.\"']{0,20}",
        ];
        let line = prop_oneof![
            12 => (key.clone(), value).prop_map(|(key, value)| format!("{key} = {value}")),
            2 => key.clone().prop_map(|key| format!("[{key}]")),
            1 => key.prop_map(|key| format!("[[{key}]]")),
            1 => "\\PC*",
        ];
        prop::collection::vec(line, 0..6).prop_map(|lines| lines.join("\n"))
    }

    fn is_read_or_told_with_its_place(text: &str) {
        match read(text) {
            Ok(config) => {
                let again = read(&config.to_toml()).expect("what is right can be read back");
                assert_eq!(again.to_toml(), config.to_toml());
            }
            Err(wrong) => {
                let told = wrong.to_string();
                let place: Option<Vec<usize>> = told.strip_prefix("f.toml:").map(|rest| {
                    rest.splitn(3, ':').take(2).map_while(|number| number.parse().ok()).collect()
                });
                let [line, column] = place.as_deref().unwrap_or_default() else {
                    panic!("no place: {told}");
                };
                assert!((1..=text.matches('\n').count() + 1).contains(line), "{told}");
                let length = text.split('\n').nth(line - 1).map_or(0, |line| line.chars().count());
                assert!((1..=length + 1).contains(column), "{told}");
                assert!(!told.ends_with(": "), "it says what is wrong: {told}");
            }
        }
    }

    proptest! {
        #[test]
        fn whatever_a_file_holds_is_read_or_told_with_its_place(text in any::<String>()) {
            is_read_or_told_with_its_place(&text);
        }

        #[test]
        fn nearly_right_files_are_read_or_told_with_their_place(text in nearly()) {
            is_read_or_told_with_its_place(&text);
        }

        #[test]
        fn whatever_is_set_is_read_or_told(key in "[a-z_.=]*", value in any::<String>()) {
            for setting in [format!("{key}={value}"), format!("{}={value}", KEYS[0].name), value] {
                let _ = Config::read(None, std::iter::empty(), &[setting]);
            }
        }
    }
}
