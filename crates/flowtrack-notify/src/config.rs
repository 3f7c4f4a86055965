//! The section `notify`: channels, and which alert goes to which.

use crate::channels::{Channel, KINDS, Kind};
use crate::quiet::QuietHours;
use crate::secret::Secret;
use flowtrack_event::Severity;
use serde::de::Error as _;
use serde::ser::SerializeMap as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};

/// Whom alerts are told to, and when.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct NotifyConfig {
    /// Name of this machine in messages; empty for its host name.
    pub sensor: String,
    /// Minutes before the same alert is told again, unless it gets more urgent.
    pub repeat_minutes: u32,
    /// Notices that may wait, for all channels together.
    pub queue_entries: usize,
    /// Hours after which a notice that could not be delivered is dropped.
    pub queue_hours: u32,
    /// Ways to people.
    pub channels: Vec<ChannelConfig>,
    /// Which alert goes to which channel; without any, the high and critical ones go to all.
    pub routes: Vec<Route>,
}

impl Default for NotifyConfig {
    fn default() -> Self {
        Self {
            sensor: String::new(),
            repeat_minutes: 60,
            queue_entries: 1000,
            queue_hours: 24,
            channels: Vec::new(),
            routes: Vec::new(),
        }
    }
}

impl NotifyConfig {
    /// Says what is wrong, if anything.
    pub fn check(&self) -> Result<(), String> {
        if !(1..=MAX_ENTRIES).contains(&self.queue_entries) {
            return Err(format!("notify.queue_entries: want 1 to {MAX_ENTRIES}"));
        }
        if !(1..=24 * 366).contains(&self.queue_hours) {
            return Err("notify.queue_hours: want 1 to 8784".into());
        }
        if self.channels.len() > MAX_CHANNELS || self.routes.len() > MAX_ROUTES {
            return Err(format!(
                "notify: want at most {MAX_CHANNELS} channels and {MAX_ROUTES} routes"
            ));
        }
        for (at, channel) in self.channels.iter().enumerate() {
            if self.channels[..at].iter().any(|other| other.name == channel.name) {
                return Err(format!("notify.channels: two have the name `{}`", channel.name));
            }
        }
        let names: Vec<&str> = self.channels.iter().map(|c| c.name.as_str()).collect();
        for (at, route) in self.routes.iter().enumerate() {
            for name in &route.channels {
                if !names.contains(&name.as_str()) {
                    return Err(format!(
                        "notify.routes[{at}].channels: there is no channel `{name}`{}",
                        suggest(name, names.iter().copied())
                    ));
                }
            }
            if route.channels.is_empty() {
                return Err(format!("notify.routes[{at}].channels: want at least one channel"));
            }
            if route.digest_minutes > MAX_DIGEST {
                return Err(format!(
                    "notify.routes[{at}].digest_minutes: want at most {MAX_DIGEST} (a week)"
                ));
            }
        }
        Ok(())
    }

    /// The routes in force.
    pub fn routes(&self) -> Vec<Route> {
        if !self.routes.is_empty() || self.channels.is_empty() {
            return self.routes.clone();
        }
        let channels = self.channels.iter().map(|c| c.name.clone()).collect();
        vec![Route { channels, ..Route::default() }]
    }

    /// Channels to which no route leads.
    pub fn unreached(&self) -> Vec<&str> {
        let routes = self.routes();
        let names = self.channels.iter().map(|channel| channel.name.as_str());
        names.filter(|name| !routes.iter().any(|r| r.channels.iter().any(|c| c == name))).collect()
    }
}

/// One channel as it is configured.
#[derive(Clone, PartialEq, Debug)]
pub struct ChannelConfig {
    /// Its name, by which routes and people call it.
    pub name: String,
    /// Messages per hour that it takes on average.
    pub per_hour: u32,
    /// Messages that it takes at once.
    pub burst: u32,
    kind: &'static str,
    /// What its kind wants; checked, and without secrets.
    settings: Map<String, Value>,
}

impl ChannelConfig {
    /// What kind it is, such as `slack`.
    pub fn kind(&self) -> &'static str {
        self.kind
    }

    /// The channel itself.
    ///
    /// # Panics
    ///
    /// Never: whatever was read was opened once.
    pub fn open(&self) -> Box<dyn Channel> {
        let kind = Kind::find(self.kind).expect("only known kinds are read");
        kind.open(&self.settings).expect("settings were opened once when they were read")
    }

    /// The secrets that it needs.
    pub fn secrets(&self) -> Vec<Secret> {
        self.open().secrets().into_iter().cloned().collect()
    }

    fn read(mut map: Map<String, Value>) -> Result<Self, String> {
        let name = match map.remove("name") {
            Some(Value::String(name)) if is_name(&name) => name,
            Some(_) => {
                return Err("name: want letters, digits, `-` and `_`, at most 40".into());
            }
            None => return Err("a channel wants a `name`".into()),
        };
        let wrong = |complaint: String| format!("channel `{name}`: {complaint}");
        let kinds = || KINDS.iter().map(|kind| kind.name);
        let kind = match map.remove("type") {
            Some(Value::String(kind)) => Kind::find(&kind).ok_or_else(|| {
                let all: Vec<&str> = kinds().collect();
                let hint = suggest(&kind, kinds());
                wrong(format!("there is no type `{kind}`{hint} (there are {})", all.join(", ")))
            })?,
            _ => {
                return Err(wrong(format!(
                    "want a `type`: {}",
                    kinds().collect::<Vec<_>>().join(", ")
                )));
            }
        };
        let mut number = |key: &str, default: u32| match map.remove(key) {
            None => Ok(default),
            Some(value) => value
                .as_u64()
                .and_then(|n| u32::try_from(n).ok())
                .filter(|n| (1..=MAX_RATE).contains(n))
                .ok_or_else(|| wrong(format!("{key}: want a number from 1 to {MAX_RATE}"))),
        };
        let per_hour = number("per_hour", 30)?;
        let burst = number("burst", 5)?;
        kind.open(&map).map_err(|complaint| wrong(plain(&complaint, kind.name)))?;
        Ok(Self { name, per_hour, burst, kind: kind.name, settings: map })
    }
}

impl<'de> Deserialize<'de> for ChannelConfig {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        Self::read(Map::deserialize(d)?).map_err(D::Error::custom)
    }
}

impl Serialize for ChannelConfig {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        let mut map = s.serialize_map(None)?;
        map.serialize_entry("name", &self.name)?;
        map.serialize_entry("type", self.kind)?;
        map.serialize_entry("per_hour", &self.per_hour)?;
        map.serialize_entry("burst", &self.burst)?;
        for (key, value) in &self.settings {
            map.serialize_entry(key, value)?;
        }
        map.end()
    }
}

/// Which alerts go to which channels, and when.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Route {
    /// Names of channels.
    pub channels: Vec<String>,
    /// Least urgent alert that goes this way.
    #[serde(with = "severity")]
    pub min_severity: Severity,
    /// Categories that go this way; empty for all.
    pub categories: Vec<String>,
    /// Detectors, or numbers of signatures such as `1:2019401`, that go this way; empty for all.
    pub detectors: Vec<String>,
    /// When nobody is to be disturbed; what happens then is told in one message afterwards.
    pub quiet_hours: QuietHours,
    /// Whether critical alerts wait for the end of quiet hours too.
    pub quiet_critical: bool,
    /// Minutes for which alerts are collected into one message; 0 to tell each at once.
    pub digest_minutes: u32,
}

impl Default for Route {
    fn default() -> Self {
        Self {
            channels: Vec::new(),
            min_severity: Severity::High,
            categories: Vec::new(),
            detectors: Vec::new(),
            quiet_hours: QuietHours::default(),
            quiet_critical: false,
            digest_minutes: 0,
        }
    }
}

/// [`Severity`] by its name.
pub(crate) mod severity {
    use super::{Deserialize, Deserializer, Serializer, Severity, suggest};

    // The signature is Serde's.
    #[allow(clippy::trivially_copy_pass_by_ref)]
    pub fn serialize<S: Serializer>(severity: &Severity, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(severity.name())
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Severity, D::Error> {
        let name = String::deserialize(d)?;
        Severity::parse(&name).ok_or_else(|| {
            let hint = suggest(&name, Severity::ALL.iter().map(|severity| severity.name()));
            serde::de::Error::custom(format!(
                "there is no severity `{name}`{hint} (there are info, low, medium, high, critical)"
            ))
        })
    }
}

/// `; did you mean …?`, where one of `known` is near.
pub(crate) fn suggest<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> String {
    known
        .map(|known| (strsim::damerau_levenshtein(name, known), known))
        .min()
        .filter(|&(distance, _)| distance <= 2 + name.len() / 4)
        .map_or(String::new(), |(_, known)| format!("; did you mean `{known}`?"))
}

/// Serde's complaint in the words of this program, with the nearest right one.
fn plain(complaint: &str, kind: &str) -> String {
    let begins = [("unknown field", "setting"), ("unknown variant", "value")];
    if let Some((before, thing)) =
        begins.into_iter().find_map(|(b, thing)| Some((complaint.split_once(b)?.0, thing)))
    {
        let mut words = complaint[before.len()..].split('`').skip(1).step_by(2);
        let wrong = words.next().unwrap_or_default();
        let known: Vec<&str> = words.collect();
        let hint = suggest(wrong, known.iter().copied());
        return format!(
            "{before}unknown {thing} `{wrong}` of type `{kind}`{hint} (there are {})",
            known.join(", ")
        );
    }
    match complaint.strip_prefix("missing field ") {
        Some(field) => format!("type `{kind}` wants {field}"),
        None => complaint.to_owned(),
    }
}

fn is_name(name: &str) -> bool {
    (1..=40).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
}

/// Most channels; each has a thread.
const MAX_CHANNELS: usize = 32;
/// Most routes.
const MAX_ROUTES: usize = 256;
/// Most messages per hour, or at once.
const MAX_RATE: u32 = 100_000;
/// Most notices that may wait: about 100 MB of them.
const MAX_ENTRIES: usize = 100_000;
/// Longest digest, in minutes.
const MAX_DIGEST: u32 = 7 * 24 * 60;

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<NotifyConfig, String> {
        let config: NotifyConfig = toml::from_str(text).map_err(|e| e.message().to_owned())?;
        config.check().map(|()| config)
    }

    #[test]
    fn channels_and_routes_are_read_and_written_back() {
        let text = r#"
            [[channels]]
            name = "ops"
            type = "slack"
            url = "env:SLACK_URL"
            [[routes]]
            channels = ["ops"]
            min_severity = "medium"
            quiet_hours = ["22:00-07:00"]
        "#;
        let config = read(text).unwrap();
        assert_eq!((config.channels[0].kind(), config.channels[0].burst), ("slack", 5));
        let written = toml::to_string(&config).unwrap();
        assert_eq!(toml::from_str::<NotifyConfig>(&written).unwrap(), config);
        assert_eq!(config.channels[0].secrets(), [Secret::Env("SLACK_URL".into())]);
    }

    #[test]
    fn mistakes_are_told_with_the_nearest_right_word() {
        let channel =
            |rest: &str| read(&format!("[[channels]]\nname = \"ops\"\n{rest}")).unwrap_err();
        assert_eq!(
            channel("type = \"slak\""),
            "channel `ops`: there is no type `slak`; did you mean `slack`? (there are email, sms, \
             webhook, slack, discord, teams, telegram, syslog, desktop)"
        );
        assert_eq!(
            channel("type = \"slack\"\nurll = \"env:A\""),
            "channel `ops`: unknown setting `urll` of type `slack`; did you mean `url`? (there are url)"
        );
        assert_eq!(channel("type = \"slack\""), "channel `ops`: type `slack` wants `url`");
        let told = channel("type = \"slack\"\nurl = \"https://hooks.slack.com/services/T/B/x\"");
        assert!(told.contains("url: want the place of a secret"), "{told}");
        assert!(!told.contains("hooks"), "{told}");
        let told = channel(
            "type = \"email\"\nserver = \"m\"\nfrom = \"a@b.c\"\nto = [\"d@e.f\"]\ntls = \"starttl\"",
        );
        assert!(
            told.contains("tls: unknown value `starttl` of type `email`; did you mean `starttls`?"),
            "{told}"
        );
        let slack = "[[channels]]\nname = \"ops\"\ntype = \"slack\"\nurl = \"env:A\"\n";
        let route = |rest: &str| read(&format!("{slack}[[routes]]\n{rest}")).unwrap_err();
        assert_eq!(
            route("channels = [\"opps\"]"),
            "notify.routes[0].channels: there is no channel `opps`; did you mean `ops`?"
        );
        assert!(route("min_severity = \"hihg\"").contains("did you mean `high`?"));
        assert_eq!(
            read(&format!("{slack}{slack}")).unwrap_err(),
            "notify.channels: two have the name `ops`"
        );
    }

    #[test]
    fn without_routes_urgent_alerts_go_everywhere() {
        let config = read("[[channels]]\nname = \"d\"\ntype = \"desktop\"").unwrap();
        assert_eq!(config.routes()[0].channels, ["d"]);
        assert_eq!(config.routes()[0].min_severity, Severity::High);
        assert!(config.unreached().is_empty());
    }
}
