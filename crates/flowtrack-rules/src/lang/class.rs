//! `classification.config`: what the classes of rules are called, and how urgent they are.

use super::ast::Problem;
use super::{did_you_mean, logical_lines};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The classes that `classtype` may name.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Classifications(BTreeMap<Arc<str>, Class>);

/// A class of rules.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Class {
    /// What it means, as alerts say it.
    pub description: Arc<str>,
    /// How urgent alerts of it are, 1 most.
    pub priority: u8,
}

impl Default for Classifications {
    /// The classes that rules of the field use.
    fn default() -> Self {
        Self(
            STOCK
                .iter()
                .map(|(name, description, priority)| {
                    let class = Class { description: (*description).into(), priority: *priority };
                    ((*name).into(), class)
                })
                .collect(),
        )
    }
}

impl Classifications {
    /// Adds the classes of a file, which go before those that are known; says what of it is none.
    pub fn add(&mut self, file: &str, text: &str) -> Vec<Problem> {
        let mut problems = Vec::new();
        for line in logical_lines(text) {
            match class(&line.text) {
                Ok((name, class)) => {
                    self.0.insert(name, class);
                }
                Err(message) => problems.push(Problem {
                    file: file.into(),
                    at: line.span(0),
                    sid: None,
                    keyword: None,
                    message,
                    fatal: true,
                }),
            }
        }
        problems
    }

    /// The class of this name.
    pub fn get(&self, name: &str) -> Option<&Class> {
        self.0.get(name.to_ascii_lowercase().as_str())
    }

    /// All names.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(|name| &**name)
    }
}

/// `config classification: name,description,priority`.
fn class(line: &str) -> Result<(Arc<str>, Class), String> {
    const EXPECTED: &str = "expected config classification: name,description,priority";
    let rest = line.trim().strip_prefix("config").map(str::trim_start).ok_or_else(|| {
        let word = line.split_whitespace().next().unwrap_or_default();
        format!("{EXPECTED}{}", did_you_mean(word, ["config"]))
    })?;
    let fields = rest
        .strip_prefix("classification")
        .and_then(|rest| rest.trim_start().strip_prefix(':'))
        .ok_or(EXPECTED)?;
    let (name, rest) = fields.split_once(',').ok_or(EXPECTED)?;
    // The description may hold commas, the priority cannot.
    let (description, priority) = rest.rsplit_once(',').ok_or(EXPECTED)?;
    let priority = priority.trim();
    let Ok(priority @ 1..=255) = priority.parse() else {
        return Err(format!("\"{priority}\" is no priority: expected 1 to 255"));
    };
    let name: Arc<str> = name.trim().to_ascii_lowercase().into();
    if name.is_empty() {
        return Err(EXPECTED.to_owned());
    }
    Ok((name, Class { description: description.trim().into(), priority }))
}

/// Name, description and priority of the classes that rules of the field use.
const STOCK: &[(&str, &str, u8)] = &[
    ("not-suspicious", "Not Suspicious Traffic", 3),
    ("unknown", "Unknown Traffic", 3),
    ("bad-unknown", "Potentially Bad Traffic", 2),
    ("attempted-recon", "Attempted Information Leak", 2),
    ("successful-recon-limited", "Information Leak", 2),
    ("successful-recon-largescale", "Large Scale Information Leak", 2),
    ("attempted-dos", "Attempted Denial of Service", 2),
    ("successful-dos", "Denial of Service", 2),
    ("attempted-user", "Attempted User Privilege Gain", 1),
    ("unsuccessful-user", "Unsuccessful User Privilege Gain", 1),
    ("successful-user", "Successful User Privilege Gain", 1),
    ("attempted-admin", "Attempted Administrator Privilege Gain", 1),
    ("successful-admin", "Successful Administrator Privilege Gain", 1),
    ("rpc-portmap-decode", "Decode of an RPC Query", 2),
    ("shellcode-detect", "Executable code was detected", 1),
    ("string-detect", "A suspicious string was detected", 3),
    ("suspicious-filename-detect", "A suspicious filename was detected", 2),
    ("suspicious-login", "An attempted login using a suspicious username was detected", 2),
    ("system-call-detect", "A system call was detected", 2),
    ("tcp-connection", "A TCP connection was detected", 4),
    ("trojan-activity", "A Network Trojan was detected", 1),
    ("unusual-client-port-connection", "A client was using an unusual port", 2),
    ("network-scan", "Detection of a Network Scan", 3),
    ("denial-of-service", "Detection of a Denial of Service Attack", 2),
    ("non-standard-protocol", "Detection of a non-standard protocol or event", 2),
    ("protocol-command-decode", "Generic Protocol Command Decode", 3),
    ("web-application-activity", "access to a potentially vulnerable web application", 2),
    ("web-application-attack", "Web Application Attack", 1),
    ("misc-activity", "Misc activity", 3),
    ("misc-attack", "Misc Attack", 2),
    ("icmp-event", "Generic ICMP event", 3),
    ("policy-violation", "Potential Corporate Privacy Violation", 1),
    ("default-login-attempt", "Attempt to login by a default username and password", 2),
    ("targeted-activity", "Targeted Malicious Activity was Detected", 1),
    ("exploit-kit", "Exploit Kit Activity Detected", 1),
    ("external-ip-check", "Device Retrieving External IP Address Detected", 2),
    ("domain-c2", "Domain Observed Used for C2 Detected", 1),
    ("pup-activity", "Possibly Unwanted Program Detected", 2),
    ("credential-theft", "Successful Credential Theft Detected", 1),
    ("social-engineering", "Possible Social Engineering Attempted", 2),
    ("coin-mining", "Crypto Currency Mining Activity Detected", 2),
    ("command-and-control", "Malware Command and Control Activity Detected", 1),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_add_to_what_is_known() {
        let mut classes = Classifications::default();
        assert_eq!(classes.get("Trojan-Activity").unwrap().priority, 1);
        let text = "# comment\nconfig classification: trojan-activity,Bad, and worse, 4\n\
                    config  classification:mine,My own,2\nconfig classification: x,y\n";
        let problems = classes.add("c", text);
        assert_eq!(
            problems.iter().map(ToString::to_string).collect::<Vec<_>>(),
            ["c:4:1: expected config classification: name,description,priority"]
        );
        let known = classes.get("trojan-activity").unwrap();
        assert_eq!((&*known.description, known.priority), ("Bad, and worse", 4));
        assert_eq!(&*classes.get("mine").unwrap().description, "My own");
    }
}
