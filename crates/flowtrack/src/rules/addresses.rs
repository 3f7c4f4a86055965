//! What is known of addresses besides traffic: lists of reputations (`iprep`) and a database of
//! countries (`geoip`).

use super::files::text_of;
use crate::config::RulesConfig;
use anyhow::Context as _;
use flowtrack_rules::state::{Countries, Reputation};
use maxminddb::{Reader, path};
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;

/// Reads the lists of reputations that are configured.
pub fn reputation(config: &RulesConfig) -> anyhow::Result<Reputation> {
    let mut reputation = Reputation::default();
    if let Some(path) = &config.reputation_categories {
        reputation.load_categories(&text_of(path)?);
    }
    for path in &config.reputation_lists {
        let (text, bad_before) = (text_of(path)?, reputation.bad_lines);
        let lines = reputation.load_scores(&text);
        anyhow::ensure!(
            lines == 0 || reputation.bad_lines - bad_before < lines,
            "no line of {} is `address,category,score`",
            path.display()
        );
    }
    if reputation.bad_lines > 0 {
        tracing::warn!(
            lines = reputation.bad_lines,
            "lists of reputations have lines that are not `address,category,score`"
        );
    }
    Ok(reputation)
}

/// Opens the database of countries that is configured, if one is.
pub fn countries(config: &RulesConfig) -> anyhow::Result<Option<Arc<dyn Countries>>> {
    let Some(path) = &config.countries else { return Ok(None) };
    Ok(Some(Arc::new(Database::open(path)?)))
}

/// A database in the form of `MaxMind`, in memory.
struct Database(Reader<Vec<u8>>);

impl Database {
    fn open(path: &Path) -> anyhow::Result<Self> {
        let bytes =
            std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        let reader = Reader::from_source(bytes)
            .with_context(|| format!("{} is no database of countries", path.display()))?;
        Ok(Self(reader))
    }
}

impl std::fmt::Debug for Database {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Database").field(&self.0.metadata().database_type).finish()
    }
}

impl Countries for Database {
    fn of(&self, address: IpAddr) -> Option<[u8; 2]> {
        let found = self.0.lookup(address).ok()?;
        let code: &str = found.decode_path(&path!["country", "iso_code"]).ok()??;
        code.as_bytes().try_into().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::rules::{files::Places, load};
    use flowtrack_engine::{Config as EngineConfig, Engine, Output, Seed, Tell};
    use flowtrack_event::{Event, IfaceId, LinkType, RawPacket, Timestamp};

    /// A word of the form: a length below 29 and a type below 8 in a byte.
    fn word(kind: u8, bytes: &[u8]) -> Vec<u8> {
        [&[kind << 5 | bytes.len() as u8], bytes].concat()
    }

    fn text(text: &str) -> Vec<u8> {
        word(2, text.as_bytes())
    }

    fn map_of(entries: &[(&str, Vec<u8>)]) -> Vec<u8> {
        let head = vec![7 << 5 | entries.len() as u8];
        let entries = entries.iter().flat_map(|(name, value)| [text(name), value.clone()]);
        std::iter::once(head).chain(entries).flatten().collect()
    }

    /// A database in which one network of IPv4 is in a country.
    fn database(network: [u8; 4], length: usize, country: &str) -> Vec<u8> {
        let (nodes, unknown) = (length as u32, length as u32);
        let found = nodes + 16;
        let mut bytes = Vec::new();
        for depth in 0..length {
            let bit = network[depth / 8] >> (7 - depth % 8) & 1;
            let on = if depth + 1 == length { found } else { depth as u32 + 1 };
            let sides = if bit == 0 { [on, unknown] } else { [unknown, on] };
            sides.iter().for_each(|side| bytes.extend(&side.to_be_bytes()[1..]));
        }
        bytes.extend([0; 16]);
        bytes.extend(map_of(&[("country", map_of(&[("iso_code", text(country))]))]));
        bytes.extend(b"\xab\xcd\xefMaxMind.com");
        bytes.extend(map_of(&[
            ("node_count", word(6, &nodes.to_be_bytes())),
            ("record_size", word(5, &[24])),
            ("ip_version", word(5, &[4])),
            ("database_type", text("Countries")),
            ("languages", vec![0, 4]),
            ("binary_format_major_version", word(5, &[2])),
            ("binary_format_minor_version", word(5, &[])),
            ("build_epoch", vec![1, 2, 1]),
            ("description", map_of(&[])),
        ]));
        bytes
    }

    /// Judges a packet from one host to another; gives the numbers of the rules that alert.
    fn alerts(config: &Config, rules: &Path, src: [u8; 4], dst: [u8; 4]) -> Vec<u32> {
        let (rules, problems) = load(&Places::exactly(&[rules.to_owned()]), config, None).unwrap();
        assert_eq!(problems, []);
        let engine = EngineConfig { tell: Tell::LOGS, ..EngineConfig::default() };
        let mut engine = Engine::new(&engine, 0, Seed([1; 4]));
        engine.set_rules(rules.set, rules.shared);
        let mut frame = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0];
        frame.extend([0x45, 0, 0, 29, 0, 1, 0, 0, 64, 17, 0, 0]);
        frame.extend([src, dst].concat());
        frame.extend([0x9c, 0x40, 0, 99, 0, 9, 0, 0, b'x']);
        let packet = RawPacket {
            ts: Timestamp::from_secs(1),
            iface: IfaceId(0),
            link: LinkType::ETHERNET,
            number: 1,
            wire_len: frame.len() as u32,
            vlan_tci: None,
            data: &frame,
        };
        let mut out = Output::default();
        engine.process(&[packet], &mut out);
        let sid = |event: &Event| match event {
            Event::Alert(alert) => Some(alert.rule.sid),
            _ => None,
        };
        let mut sids: Vec<u32> = out.events.iter().filter_map(sid).collect();
        sids.sort_unstable();
        sids
    }

    #[test]
    fn rules_ask_for_countries_and_reputations() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        std::fs::write(at("countries.mmdb"), database([203, 0, 113, 0], 24, "FR")).unwrap();
        std::fs::write(at("categories.txt"), "1,BadHosts,known bad\n").unwrap();
        std::fs::write(at("bad.list"), "198.51.100.0/24,1,80\n").unwrap();
        let rules = at("own.rules");
        let text = "alert udp any any -> any any (geoip:src,BE,FR; sid:1;)\n\
                    alert udp any any -> any any (geoip:src,!FR; sid:2;)\n\
                    alert udp any any -> any any (geoip:any,FR; sid:3;)\n\
                    alert udp any any -> any any (geoip:FR; sid:4;)\n\
                    alert udp any any -> any any (iprep:dst,BadHosts,>,50; sid:5;)\n\
                    alert udp any any -> any any (l3_proto:ipv4; sid:6;)\n\
                    alert udp any any -> any any (l3_proto:ipv6; sid:7;)\n";
        std::fs::write(&rules, text).unwrap();
        let mut config = Config::default();
        config.rules.countries = Some(at("countries.mmdb"));
        config.rules.reputation_categories = Some(at("categories.txt"));
        config.rules.reputation_lists = vec![at("bad.list")];
        let (french, bad, other) = ([203, 0, 113, 7], [198, 51, 100, 7], [192, 0, 2, 1]);
        assert_eq!(alerts(&config, &rules, french, bad), [1, 3, 5, 6]);
        assert_eq!(alerts(&config, &rules, bad, french), [3, 6]);
        assert_eq!(alerts(&config, &rules, french, [203, 0, 113, 8]), [1, 3, 4, 6]);
        assert_eq!(alerts(&config, &rules, other, other), [6]);
    }

    #[test]
    fn without_a_database_such_rules_are_left_out_and_say_why() {
        let folder = tempfile::tempdir().unwrap();
        let rules = folder.path().join("own.rules");
        std::fs::write(&rules, "alert ip any any -> any any (geoip:src,FR; sid:1;)\n").unwrap();
        let mut config = Config::default();
        let places = Places::exactly(&[rules]);
        let (loaded, problems) = load(&places, &config, None).unwrap();
        assert!(loaded.set.is_empty());
        assert!(problems[0].message.contains("rules.countries"), "{problems:?}");
        assert!(!problems[0].fatal);
        let nonsense = folder.path().join("nonsense.mmdb");
        std::fs::write(&nonsense, "nonsense").unwrap();
        config.rules.countries = Some(nonsense);
        let error = load(&places, &config, None).unwrap_err();
        assert!(format!("{error:#}").contains("nonsense.mmdb is no database"), "{error:#}");
    }
}
