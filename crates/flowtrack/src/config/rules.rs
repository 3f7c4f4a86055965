//! The section `rules`: which signatures are judged by.

use flowtrack_rules::lang::{ActionOrder, Variables};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// Which signatures are judged by.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RulesConfig {
    /// Rule files, and folders of them.
    pub files: Vec<PathBuf>,
    /// Whether the rules that come with the program are loaded too.
    pub builtin: bool,
    /// Where `flowtrack rules update` reads from.
    pub sources: Vec<String>,
    /// What address variables stand for, by name.
    pub addresses: BTreeMap<String, String>,
    /// What port variables stand for, by name.
    pub ports: BTreeMap<String, String>,
    /// The order in which rules are judged by what they do.
    pub action_order: Vec<String>,
    /// What the numbers of categories in lists of reputations stand for.
    pub reputation_categories: Option<PathBuf>,
    /// Lists of reputations.
    pub reputation_lists: Vec<PathBuf>,
    /// A database of countries, in the form of `MaxMind`.
    pub countries: Option<PathBuf>,
}

impl Default for RulesConfig {
    fn default() -> Self {
        Self {
            files: Vec::new(),
            builtin: true,
            sources: vec![EMERGING_THREATS.to_owned()],
            addresses: BTreeMap::new(),
            ports: BTreeMap::new(),
            action_order: ["pass", "drop", "reject", "alert"].map(String::from).to_vec(),
            reputation_categories: None,
            reputation_lists: Vec::new(),
            countries: None,
        }
    }
}

/// The set of rules that everybody may use.
const EMERGING_THREATS: &str =
    "https://rules.emergingthreats.net/open/suricata-7.0.3/emerging.rules.tar.gz";

impl RulesConfig {
    /// The variables of rule headers: those of the field, with what is set here.
    ///
    /// `own` are the networks of this machine; they count as home where nothing else is said.
    pub fn variables(&self, own: &[String]) -> Variables {
        let mut variables = Variables::default();
        if !own.is_empty() {
            let home = [&["192.168.0.0/16", "10.0.0.0/8", "172.16.0.0/12"].map(String::from), own];
            variables.set_address("HOME_NET", &format!("[{}]", home.concat().join(",")));
        }
        for (name, text) in &self.addresses {
            variables.set_address(name, text);
        }
        for (name, text) in &self.ports {
            variables.set_port(name, text);
        }
        variables
    }

    /// The order in which rules are judged by what they do.
    pub fn order(&self) -> ActionOrder {
        ActionOrder::of(&self.action_order).unwrap_or_default()
    }

    /// Says what of the variables and of the order cannot be understood.
    pub fn check(&self) -> Result<(), String> {
        if ActionOrder::of(&self.action_order).is_none() {
            return Err("rules.action_order: want pass, drop, reject and alert, each once".into());
        }
        let problems = self.variables(&[]).problems();
        match problems.first() {
            None => Ok(()),
            Some((name, complaint)) => {
                let section = if self.ports.contains_key(name) { "ports" } else { "addresses" };
                Err(format!("rules.{section}.{name}: {}", complaint.message))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn home_is_what_is_said_else_private_networks_and_ones_own() {
        let holds = |config: &RulesConfig, own: &[String], address: &str| {
            let home = config.variables(own).addresses("$HOME_NET").unwrap();
            home.contains(address.parse().unwrap())
        };
        let mut config = RulesConfig::default();
        let own = ["198.51.100.0/24".to_owned(), "2001:db8::/64".to_owned()];
        assert!(holds(&config, &own, "198.51.100.7") && holds(&config, &own, "10.1.1.1"));
        assert!(holds(&config, &own, "2001:db8::1") && !holds(&config, &own, "203.0.113.1"));
        assert!(!holds(&config, &[], "198.51.100.7"));
        config.addresses.insert("HOME_NET".to_owned(), "203.0.113.0/24".to_owned());
        assert!(holds(&config, &own, "203.0.113.1") && !holds(&config, &own, "10.1.1.1"));
    }

    #[test]
    fn wrong_variables_are_named() {
        let mut config = RulesConfig::default();
        assert_eq!(config.check(), Ok(()));
        config.action_order = vec!["drop".into(), "drop".into(), "alert".into(), "pass".into()];
        assert!(config.check().unwrap_err().starts_with("rules.action_order: want pass"));
        config.action_order[1] = "reject".into();
        assert_eq!(config.check(), Ok(()));
        config.ports.insert("MY_PORTS".to_owned(), "$HTTP_PORT".to_owned());
        assert_eq!(
            config.check().unwrap_err(),
            "rules.ports.MY_PORTS: no variable $HTTP_PORT of ports; did you mean \"HTTP_PORTS\"?"
        );
    }
}
