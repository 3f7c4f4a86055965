//! `reference.config`: what the systems of references are the beginnings of.

use super::ast::Problem;
use super::logical_lines;
use std::collections::BTreeMap;

/// Beginnings of links by the name of their system (`cve`, `url`).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct References(BTreeMap<String, String>);

impl Default for References {
    /// The systems that rules of the field use.
    fn default() -> Self {
        Self(STOCK.iter().map(|(name, url)| ((*name).to_owned(), (*url).to_owned())).collect())
    }
}

impl References {
    /// Adds the systems of a file; says what of it is none.
    pub fn add(&mut self, file: &str, text: &str) -> Vec<Problem> {
        let mut problems = Vec::new();
        for line in logical_lines(text) {
            match system(&line.text) {
                Some((name, url)) => {
                    self.0.insert(name, url);
                }
                None => problems.push(Problem {
                    file: file.into(),
                    at: line.span(0),
                    sid: None,
                    keyword: None,
                    message: "expected config reference: name https://example.org/".to_owned(),
                    fatal: true,
                }),
            }
        }
        problems
    }

    /// The link that a reference is: the beginning that its system has, and what the rule says.
    pub fn link(&self, system: &str, text: &str) -> Option<String> {
        let start = self.0.get(&system.to_ascii_lowercase())?;
        // A link that is whole already stays so.
        let whole = text.starts_with("http://") || text.starts_with("https://");
        Some(if whole { text.to_owned() } else { format!("{start}{text}") })
    }

    /// The names of all systems.
    pub fn systems(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }
}

/// `config reference: name beginning`.
fn system(line: &str) -> Option<(String, String)> {
    let rest = line.trim().strip_prefix("config")?.trim_start().strip_prefix("reference")?;
    let (name, url) =
        rest.trim_start().strip_prefix(':')?.trim().split_once(char::is_whitespace)?;
    Some((name.to_ascii_lowercase(), url.trim().to_owned()))
}

/// Systems that rules of the field name.
const STOCK: &[(&str, &str)] = &[
    ("arachnids", "http://www.whitehats.com/info/IDS"),
    ("bugtraq", "http://www.securityfocus.com/bid/"),
    ("bid", "http://www.securityfocus.com/bid/"),
    ("cve", "http://cve.mitre.org/cgi-bin/cvename.cgi?name="),
    ("et", "http://doc.emergingthreats.net/"),
    ("etpro", "http://doc.emergingthreatspro.com/"),
    ("exploitdb", "http://www.exploit-db.com/exploits/"),
    ("mcafee", "http://vil.nai.com/vil/dispVirus.asp?virus_k="),
    ("md5", "http://www.threatexpert.com/report.aspx?md5="),
    ("msft", "http://technet.microsoft.com/security/bulletin/"),
    ("nessus", "http://cgi.nessus.org/plugins/dump.php3?id="),
    ("openpacket", "https://www.openpacket.org/capture/grab/"),
    ("osvdb", "http://osvdb.org/show/osvdb/"),
    ("secunia", "http://www.secunia.com/advisories/"),
    ("securitytracker", "http://securitytracker.com/id?"),
    ("telus", "http://"),
    ("threatexpert", "http://www.threatexpert.com/report.aspx?md5="),
    ("url", "http://"),
    ("virus", "http://www.threatexpert.com/report.aspx?md5="),
    ("xforce", "http://xforce.iss.net/xforce/xfdb/"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links() {
        let mut references = References::default();
        assert_eq!(
            references.link("url", "example.org/x").as_deref(),
            Some("http://example.org/x")
        );
        assert_eq!(references.link("url", "https://a.b").as_deref(), Some("https://a.b"));
        assert!(references.add("r", "config reference: mine https://m/\n").is_empty());
        assert_eq!(references.link("MINE", "1").as_deref(), Some("https://m/1"));
        assert_eq!(references.link("none", "1"), None);
        assert_eq!(references.add("r", "config mine").len(), 1);
    }
}
