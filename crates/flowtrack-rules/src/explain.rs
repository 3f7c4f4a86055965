//! What a rule says, in words, and what is unwise about it.

use crate::builder::Source;
use crate::keywords::content::Content;
use crate::keywords::{find, rarity::commonness};
use crate::lang::{Arrow, Opt, Rule};
use crate::signature::{Kind, Search, Signature, Step};
use std::fmt::Write as _;

/// Keywords that say what a rule is rather than what it looks for.
const ABOUT: &[&str] = &[
    "msg",
    "sid",
    "gid",
    "rev",
    "classtype",
    "priority",
    "reference",
    "metadata",
    "target",
    "requires",
];

/// Keywords that belong to the content before them.
const MODIFIERS: &[&str] = &[
    "nocase",
    "offset",
    "depth",
    "distance",
    "within",
    "startswith",
    "endswith",
    "fast_pattern",
    "rawbytes",
];

/// Says in words what a rule looks for.
pub fn explain(rule: &Rule, signature: &Signature) -> String {
    let info = &signature.info;
    let mut text = String::new();
    let _ = writeln!(text, "{} (sid {}, revision {})", info.signature, info.sid, info.rev);
    let class =
        if info.category.is_empty() { String::new() } else { format!(": {}", info.category) };
    let _ = writeln!(text, "Priority {}{class}.", info.severity);
    let _ = writeln!(text, "\nJudged on {}{}.", judged_on(signature), ends(rule));
    let _ = writeln!(text, "\nAll of this must hold, in this order within each buffer:");
    wanted(rule, &mut text);
    match first_pattern(signature) {
        Some((search, content)) => {
            let _ = writeln!(
                text,
                "\nSearched for first: {} in {}; what does not have it is not looked at further.",
                quoted(content.fast_bytes(), content.nocase),
                place(search)
            );
        }
        None if matches!(signature.kind, Kind::Addresses | Kind::Recognition) => {
            let _ = writeln!(text, "\nNothing has to be searched for: it is judged once a flow.");
        }
        None => {
            let _ = writeln!(text, "\nNo pattern is searched for first: it is judged each time.");
        }
    }
    let then = match (signature.noalert, signature.action) {
        (true, crate::Action::Pass) => "what matches is let through, and no rule below it is asked",
        (true, _) => "a match is silent: it only sets what other rules ask for",
        (false, crate::Action::Alert) => "a match alerts",
        (false, _) => "a match alerts, and says what would be done with the traffic",
    };
    let _ = writeln!(text, "Then: {then}.");
    for warning in advice(signature) {
        let _ = writeln!(text, "Note: {warning}.");
    }
    text
}

/// What is unwise about a signature: why it costs much.
pub fn advice(signature: &Signature) -> Vec<String> {
    let mut notes = Vec::new();
    let often = match signature.kind {
        Kind::Addresses | Kind::Recognition => return notes,
        Kind::Packet | Kind::App => "on every packet",
        Kind::Stream | Kind::PacketAndStream => "on every piece of stream",
        Kind::Transaction => "on every transaction",
    };
    let has_pcre = signature
        .searches
        .iter()
        .flat_map(|search| &search.steps)
        .any(|step| matches!(step, Step::Pcre(_)));
    match first_pattern(signature) {
        None if has_pcre => notes.push(format!(
            "an expression without a content before it is run {often}; add a content that must be \
             there too"
        )),
        // Conditions on headers alone are cheap, and there is nothing to search for.
        None if signature.searches.is_empty() => {}
        None => {
            notes.push(format!("it has no content to search for first, so it is judged {often}"));
        }
        Some((_, content)) => {
            let expected = occurrences(content);
            if expected >= OFTEN {
                notes.push(format!(
                    "its first pattern {} is expected about {} times in a MB: choose a longer or \
                     rarer one with fast_pattern",
                    quoted(content.fast_bytes(), content.nocase),
                    rounded(expected)
                ));
            }
        }
    }
    notes
}

/// Occurrences in a MB from which on a first pattern is a poor one.
const OFTEN: f64 = 200.0;

/// How often a pattern is expected in a MB, were bytes independent of each other: an upper bound
/// for words, whose letters are not.
fn occurrences(content: &Content) -> f64 {
    /// Sum over all bytes of how common they are, as [`commonness`] weighs them.
    const TOTAL: f64 = 25_000.0;
    let share = |byte: u8| f64::from(commonness(byte)) / TOTAL;
    let bytes = content.fast_bytes();
    bytes.iter().fold(1_000_000.0, |expected, byte| {
        let other = if content.nocase && byte.is_ascii_lowercase() {
            share(byte.to_ascii_uppercase())
        } else {
            0.0
        };
        expected * (share(*byte) + other)
    })
}

fn rounded(number: f64) -> u64 {
    let exact = number as u64;
    let magnitude = 10u64.pow(exact.max(1).ilog10().saturating_sub(1));
    exact / magnitude * magnitude
}

/// The content that is searched for first: the one that was chosen, else the one that is expected
/// least often.
pub fn first_pattern(signature: &Signature) -> Option<(&Search, &Content)> {
    if let Some((search, step)) = signature.fast_pattern {
        let search = signature.searches.get(search)?;
        return match search.steps.get(step)? {
            Step::Content(content) => Some((search, content)),
            _ => None,
        };
    }
    signature
        .searches
        .iter()
        .flat_map(|search| contents(search).map(move |content| (search, content)))
        .filter(|(_, content)| !content.negated)
        .min_by(|(_, a), (_, b)| occurrences(a).total_cmp(&occurrences(b)))
}

/// That content and where it is searched for, in words.
pub fn searched_first(signature: &Signature) -> Option<String> {
    let (search, content) = first_pattern(signature)?;
    Some(format!("{} in {}", quoted(content.fast_bytes(), content.nocase), place(search)))
}

fn contents(search: &Search) -> impl Iterator<Item = &Content> {
    search.steps.iter().filter_map(|step| match step {
        Step::Content(content) => Some(content),
        _ => None,
    })
}

fn place(search: &Search) -> String {
    let name = match search.buffer.source {
        Source::Payload => "the payload",
        Source::Packet(_) | Source::Transaction => search.buffer.name,
    };
    let transforms: Vec<String> =
        search.transforms.iter().map(|transform| transform.id()).collect();
    if transforms.is_empty() {
        name.to_owned()
    } else {
        format!("{name} after {}", transforms.join(", "))
    }
}

fn judged_on(signature: &Signature) -> String {
    let of = if signature.apps.is_empty() {
        String::new()
    } else {
        format!(" of {}", signature.apps.join(" or "))
    };
    let what = match signature.kind {
        Kind::Addresses => "the first packet of each direction of a flow".to_owned(),
        Kind::Packet => "every packet".to_owned(),
        Kind::Stream => "the bytes of streams".to_owned(),
        Kind::PacketAndStream => "every packet and the bytes of streams".to_owned(),
        Kind::Recognition => "flows whose protocol was just recognised".to_owned(),
        Kind::App => format!("every packet of flows{of}"),
        Kind::Transaction => format!("every transaction{of}"),
    };
    match signature.direction {
        Some(flowtrack_event::Direction::ToServer) => format!("{what}, what goes to the server"),
        Some(flowtrack_event::Direction::ToClient) => format!("{what}, what goes to the client"),
        None => what,
    }
}

fn ends(rule: &Rule) -> String {
    let header = &rule.header;
    let side = |addresses: &str, ports: &str| match (addresses, ports) {
        ("any", "any") => "anybody".to_owned(),
        (addresses, "any") => addresses.to_owned(),
        ("any", ports) => format!("anybody's port {ports}"),
        (addresses, ports) => format!("{addresses} port {ports}"),
    };
    let src = side(&header.src, &header.src_ports);
    let dst = side(&header.dst, &header.dst_ports);
    match header.arrow {
        Arrow::Right | Arrow::Transaction if src == "anybody" && dst == "anybody" => String::new(),
        Arrow::Right => format!(", from {src} to {dst}"),
        Arrow::Both => format!(", between {src} and {dst}"),
        Arrow::Transaction => format!(", both directions of what {src} asks {dst}"),
    }
}

/// One line for each thing that must hold.
fn wanted(rule: &Rule, text: &mut String) {
    let mut options =
        rule.options.iter().filter(|option| !ABOUT.contains(&&*option.name)).peekable();
    while let Some(option) = options.next() {
        let doc = find(&option.name).map(|keyword| keyword.doc).unwrap_or_default();
        match (&*option.name, option.value.as_deref()) {
            ("content", Some(value)) => {
                let _ = write!(text, "  - {}", found(value));
                while let Some(next) =
                    options.next_if(|next| MODIFIERS.contains(&&*next.name) || is_legacy(next))
                {
                    modifier(next, text);
                }
                text.push('\n');
            }
            (name, None) => {
                let _ = writeln!(text, "  - {name}: {doc}");
            }
            (name, Some(value)) => {
                let _ = writeln!(text, "  - {name} {value}: {doc}");
            }
        }
    }
}

/// Whether an option moves the content before it into a buffer (`http_uri`).
fn is_legacy(option: &Opt) -> bool {
    option.value.is_none() && option.name.starts_with("http_")
}

fn found(value: &str) -> String {
    match value.strip_prefix('!') {
        Some(bytes) => format!("{} is not there", bytes.trim()),
        None => value.to_owned(),
    }
}

fn modifier(option: &Opt, text: &mut String) {
    let value = option.value.as_deref().unwrap_or_default();
    let _ = match &*option.name {
        "nocase" => write!(text, ", in either case"),
        "offset" => write!(text, ", from byte {value} on"),
        "depth" => write!(text, ", within {value} bytes from there"),
        "distance" => write!(text, ", at least {value} bytes behind the match before"),
        "within" => write!(text, ", ending within {value} bytes behind the match before"),
        "startswith" => write!(text, ", at the beginning"),
        "endswith" => write!(text, ", at the end"),
        name if name.starts_with("http_") => write!(text, ", in {name}"),
        _ => Ok(()),
    };
}

/// Bytes as a rule writes them.
fn quoted(bytes: &[u8], nocase: bool) -> String {
    let mut text = String::from("\"");
    let mut in_hex = false;
    for byte in bytes {
        let plain =
            (b' '..=b'~').contains(byte) && !matches!(byte, b'"' | b'|' | b';' | b'\\' | b':');
        if plain == in_hex {
            text.push('|');
            in_hex = !plain;
        } else if in_hex {
            text.push(' ');
        }
        if plain {
            text.push(char::from(*byte));
        } else {
            let _ = write!(text, "{byte:02x}");
        }
    }
    if in_hex {
        text.push('|');
    }
    text.push('"');
    if nocase {
        text.push_str(" (either case)");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keywords::understand;
    use crate::lang::{Headers, Variables, parse_rules};

    fn signature(text: &str) -> (Rule, Signature) {
        let (mut rules, problems) = parse_rules("x", text);
        assert_eq!(problems, []);
        let rule = rules.remove(0);
        let understood = understand(&rule, &mut Headers::new(Variables::default())).unwrap();
        (rule, understood.signature)
    }

    #[test]
    fn a_rule_in_words() {
        let (rule, signature) = signature(
            "alert http $HOME_NET any -> any 80 (msg:\"Shell asked for\"; flow:established,to_server; \
             http.uri; content:\"/cmd.exe\"; nocase; fast_pattern; content:!\"help\"; distance:1; \
             classtype:web-application-attack; sid:7; rev:2;)",
        );
        let text = explain(&rule, &signature);
        for line in [
            "Shell asked for (sid 7, revision 2)",
            "Priority 1: Web Application Attack.",
            "Judged on every transaction of http or http2, what goes to the server, from $HOME_NET to anybody's port 80.",
            "  - \"/cmd.exe\", in either case",
            "  - \"help\" is not there, at least 1 bytes behind the match before",
            "Searched for first: \"/cmd.exe\" (either case) in http.uri; what does not have it is not looked at further.",
            "Then: a match alerts.",
        ] {
            assert!(text.contains(line), "{line}\n--\n{text}");
        }
        assert!(!text.contains("Note:"), "{text}");
    }

    #[test]
    fn what_is_unwise() {
        let notes = |options: &str| {
            let text = format!("alert tcp any any -> any any ({options}; sid:1;)");
            advice(&signature(&text).1).join("\n")
        };
        assert!(notes("content:\"e\"").contains("\"e\" is expected about"));
        assert_eq!(notes("content:\"User-Agent|3a 20|evil\""), "");
        assert!(notes("pcre:\"/a+b/\"").contains("expression without a content"));
        assert!(notes("content:!\"abcdefgh\"").contains("no content to search for first"));
        assert_eq!(notes("flags:S"), "");
    }

    #[test]
    fn bytes_are_shown_as_rules_write_them() {
        assert_eq!(quoted(b"a\x00\x01b|", false), "\"a|00 01|b|7c|\"");
    }
}
