//! `pcre`: Perl's regular expressions, with a bound on the work that one search may do.

mod dialect;
mod hull;

use super::buffers::legacy;
use crate::builder::{Buffer, Builder, Complaint, Keyword, Memory, Usage, Value};
use crate::signature::Step;
use crate::state::CapturedFor;
use dialect::{Options, translate};
use fancy_regex::{BytesMode, Regex, RegexBuilder};
use hull::hull;
use std::sync::{Arc, OnceLock};

/// Steps back that one search may make, as Suricata limits them by default.
const BACKTRACK_LIMIT: usize = 3500;
/// Memory that one compiled expression may take.
const SIZE_LIMIT: usize = 4 << 20;
/// Values that one expression may capture, as in Suricata.
const MAX_CAPTURES: usize = 8;
/// Memory that one worker may use to run one expression.
const CACHE_LIMIT: usize = 1 << 20;

/// A regular expression that must match, or must not.
#[derive(Debug)]
pub struct Pcre {
    /// Whether it must not match.
    pub negated: bool,
    /// Whether the search begins where the step before it matched.
    pub relative: bool,
    /// Whether a later step depends on where it matched.
    pub(crate) retry: bool,
    /// What is kept of a match.
    pub(crate) captures: Box<[Capture]>,
    /// The expression in the engine's dialect.
    pattern: Box<str>,
    /// Compiled when it is first needed: few of many thousands ever are.
    compiled: OnceLock<Option<Compiled>>,
}

#[derive(Debug)]
struct Compiled {
    regex: Regex,
    /// What is asked first where `regex` takes steps back: without a match of this there is none.
    hull: Option<Regex>,
}

/// A part of a match that is kept under a name.
#[derive(Debug)]
pub(crate) struct Capture {
    pub(crate) whom: CapturedFor,
    pub(crate) name: Arc<str>,
    group: Group,
}

#[derive(Debug)]
enum Group {
    Number(usize),
    Name(Box<str>),
}

impl Pcre {
    /// The expression in the engine's dialect.
    pub(crate) fn pattern(&self) -> &str {
        &self.pattern
    }

    /// Whether another matches the same in the same places, and neither keeps anything of it.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        let keeps_nothing = self.captures.is_empty() && other.captures.is_empty();
        keeps_nothing
            && (self.negated, self.relative, self.retry, &self.pattern)
                == (other.negated, other.relative, other.retry, &other.pattern)
    }

    /// Reads `"/expression/flags"`; the buffer that a flag names comes with it.
    pub(crate) fn parse(text: &str) -> Result<(Self, Option<&'static Buffer>), Complaint> {
        let (negated, rest) = match text.strip_prefix('!') {
            Some(rest) => (true, rest.trim_start()),
            None => (false, text),
        };
        let expected = || Complaint::new("expected \"/expression/flags\"");
        // Old rules leave the quotes out; names of captured values may stand behind them.
        let (inner, behind) = match rest.strip_prefix('"') {
            Some(inner) => {
                let end = inner.rfind('"').ok_or_else(expected)?;
                (inner.get(..end).ok_or_else(expected)?, inner.get(end + 1..).unwrap_or_default())
            }
            None => (rest, ""),
        };
        let inner = inner.strip_prefix('m').filter(|i| i.starts_with('/')).unwrap_or(inner);
        let end = inner.rfind('/').filter(|end| *end > 0).ok_or_else(expected)?;
        let pattern = inner.get(1..end).filter(|_| inner.starts_with('/')).ok_or_else(expected)?;
        // Names of captured values may stand within the quotes too.
        let flags = inner.get(end + 1..).unwrap_or_default();
        let (flags, names) = flags.split_once(',').unwrap_or((flags, ""));
        let captures = captures(pattern, names, behind)?;
        let flags = flags.trim_end();
        let mut options = Options::default();
        let mut relative = false;
        let mut buffer = None;
        for (at, flag) in flags.char_indices() {
            let offset = text.len() - rest.len() + 1 + end + 1 + at;
            match flag {
                'i' => options.nocase = true,
                's' => options.dot_all = true,
                'm' => options.multi_line = true,
                'x' => options.extended = true,
                'A' => options.anchored = true,
                'E' => options.dollar_end = true,
                'G' => options.ungreedy = true,
                'R' => relative = true,
                'B' | 'O' => {}
                other => match legacy::of_pcre_flag(other) {
                    Some(found) if buffer.is_none() => buffer = Some(found),
                    Some(_) => {
                        return Err(Complaint::at(offset, "only one flag can name a buffer"));
                    }
                    None => {
                        let message = format!(
                            "unknown flag {other}: expected i s m x A E G R B O or U I P Q H D M C S Y V W"
                        );
                        return Err(Complaint::at(offset, message));
                    }
                },
            }
        }
        let pattern = translate(pattern, options);
        fancy_regex::Expr::parse_tree(&pattern)
            .map_err(|error| Complaint::new(format!("no regular expression: {error}")))?;
        let pcre = Self {
            negated,
            relative,
            retry: false,
            captures,
            pattern: pattern.into(),
            compiled: OnceLock::new(),
        };
        Ok((pcre, buffer))
    }

    /// Compiles it now, to know whether it can be.
    pub fn check(&self) -> Result<(), String> {
        compile(&self.pattern).map(|_| ()).map_err(|error| error.to_string())
    }

    /// The first match in `bytes` that begins at `from` or later: its start and end. An error where
    /// the search was given up.
    pub fn find(&self, bytes: &[u8], from: usize) -> Result<Option<(usize, usize)>, GaveUp> {
        let Some(Compiled { regex, hull }) = self.compiled() else { return Err(GaveUp) };
        if from > bytes.len() {
            return Ok(None);
        }
        if hull
            .as_ref()
            .is_some_and(|hull| hull.find_from_pos(bytes, from).is_ok_and(|f| f.is_none()))
        {
            return Ok(None);
        }
        match regex.find_from_pos(bytes, from) {
            Ok(found) => Ok(found.map(|found| (found.start(), found.end()))),
            Err(_) => Err(GaveUp),
        }
    }
}

impl Pcre {
    /// None where it cannot be compiled.
    fn compiled(&self) -> Option<&Compiled> {
        let compile_both = || {
            let hull = hull(&self.pattern).and_then(|hull| compile(&hull).ok());
            Some(Compiled { regex: compile(&self.pattern).ok()?, hull })
        };
        self.compiled.get_or_init(compile_both).as_ref()
    }

    /// Hands out what is kept of the first match that begins at `from` or later.
    pub(crate) fn capture(&self, bytes: &[u8], from: usize, keep: &mut dyn FnMut(&Capture, &[u8])) {
        let Some(Compiled { regex, .. }) = self.compiled() else { return };
        let Ok(Some(found)) = regex.captures_from_pos(bytes, from) else { return };
        for capture in &self.captures {
            let group = match &capture.group {
                Group::Number(number) => found.get(*number),
                Group::Name(name) => found.name(name),
            };
            if let Some(text) = group.and_then(|group| bytes.get(group.start()..group.end())) {
                keep(capture, text);
            }
        }
    }

    /// What the first group matched; the whole match where there is no group.
    pub(crate) fn first_group(&self, bytes: &[u8]) -> Option<(usize, usize)> {
        let captures = self.compiled()?.regex.captures(bytes).ok()??;
        let found = captures.get(1).or_else(|| captures.get(0))?;
        Some((found.start(), found.end()))
    }
}

/// What is kept of matches: groups in order by the names behind the flags (`flow:user, pkt:id`),
/// groups with such a name (`(?P<flow_user>...)`).
fn captures(pattern: &str, names: &str, behind: &str) -> Result<Box<[Capture]>, Complaint> {
    let names = names.split(',').chain(behind.split(',')).map(str::trim);
    let mut captures = Vec::new();
    for (number, name) in (1..).zip(names.filter(|name| !name.is_empty())) {
        let (kind, name) = name.split_once(':').unwrap_or((name, ""));
        let Some(whom) = captured_for(kind).filter(|_| !name.is_empty()) else {
            return Err(Complaint::new(format!(
                "\"{kind}\" captures nothing: expected flow:name, pkt:name or alert:name"
            )));
        };
        captures.push(Capture { whom, name: name.into(), group: Group::Number(number) });
    }
    for part in pattern.split("(?P<").skip(1) {
        if let Some((full, _)) = part.split_once('>')
            && let Some((kind, name)) = full.split_once('_')
            && let Some(whom) = captured_for(kind)
        {
            captures.push(Capture { whom, name: name.into(), group: Group::Name(full.into()) });
        }
    }
    if captures.len() > MAX_CAPTURES {
        return Err(Complaint::new(format!("an expression can capture {MAX_CAPTURES} values")));
    }
    Ok(captures.into())
}

fn captured_for(kind: &str) -> Option<CapturedFor> {
    match kind {
        "flow" => Some(CapturedFor::Flow),
        "pkt" => Some(CapturedFor::Packet),
        "alert" => Some(CapturedFor::Alert),
        _ => None,
    }
}

/// A search was given up because it took too many steps.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct GaveUp;

// The error is as large as the library made it, and rare.
#[allow(clippy::result_large_err)]
fn compile(pattern: &str) -> Result<Regex, fancy_regex::Error> {
    RegexBuilder::new(pattern)
        .bytes_mode(BytesMode::Ascii)
        .backtrack_limit(BACKTRACK_LIMIT * 16)
        .delegate_size_limit(SIZE_LIMIT)
        .delegate_dfa_size_limit(CACHE_LIMIT)
        .build()
}

pub(crate) const KEYWORDS: &[Keyword] = &[Keyword {
    name: "pcre",
    aliases: &[],
    doc: "a regular expression that must match the buffer, or must not with ! before it; behind its flags, or as groups named `flow_`, `pkt_` or `alert_` and a name, groups are kept for `flowvar`, `pktvar` and what is told of alert and flow (`flow:name`, `pkt:name`, `alert:name`)",
    example: r#"alert http any any -> any any (http.uri; content:"a"; pcre:"/^\x2fa[bc]+$/R"; sid:1;)"#,
    parse: pcre,
}];

fn pcre(builder: &mut Builder<'_>, value: &Value<'_>) -> Result<(), Complaint> {
    let (pcre, buffer) = Pcre::parse(value.needed("\"/expression/flags\"")?)?;
    let memories = [(CapturedFor::Flow, Memory::FlowVar), (CapturedFor::Packet, Memory::PktVar)];
    for (whom, memory) in memories {
        if pcre.captures.iter().any(|capture| capture.whom == whom) {
            builder.usage(memory, Usage::Write);
        }
    }
    let step = Step::Pcre(Box::new(pcre));
    match buffer {
        Some(buffer) => builder.step_in(buffer, step),
        None => {
            builder.step(step);
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(text: &str, bytes: &[u8]) -> Option<(usize, usize)> {
        Pcre::parse(text).unwrap().0.find(bytes, 0).unwrap()
    }

    #[test]
    fn expressions_match_bytes_and_not_characters() {
        assert_eq!(find(r#""/a.b/""#, b"xa\xffb"), Some((1, 4)));
        assert_eq!(find(r#""/A\x00+b$/i""#, b"a\0\0b\n"), Some((0, 5)));
        assert_eq!(find(r#""/a$/""#, b"a\nb"), None);
        assert_eq!(find(r#""/a$/m""#, b"a\nb"), Some((0, 1)));
        assert_eq!(find(r#""/a.b/s""#, b"a\nb"), Some((0, 3)));
        assert_eq!(find(r#""/(.)\1/""#, b"abccd"), Some((2, 4)));
        assert_eq!(find(r#""/a(?!b)/""#, b"abac"), Some((2, 3)));
        assert_eq!(find(r#""/^\d+$/A""#, b"123"), Some((0, 3)));
        assert_eq!(find(r#""/\w\W/""#, b"a\xe9"), Some((0, 2)));
    }

    #[test]
    fn flags_are_read() {
        assert!(Pcre::parse(r#""/(a)/i, pkt:name, flow:other""#).is_ok());
        let (pcre, buffer) = Pcre::parse(r#"!"/a/URi""#).unwrap();
        assert!(pcre.negated && pcre.relative);
        assert_eq!(buffer.map(|buffer| buffer.name), Some("http.uri"));
        let error = Pcre::parse(r#""/a/K""#).unwrap_err();
        assert!(error.message.contains("unknown flag K") && error.offset == 4, "{error:?}");
        assert!(Pcre::parse(r#""/(a/""#).is_err() && Pcre::parse("abc").is_err());
        assert!(Pcre::parse("/one/U").is_ok_and(|(_, buffer)| buffer.is_some()));
    }

    fn captured(text: &str, bytes: &[u8]) -> Vec<(CapturedFor, String, Vec<u8>)> {
        let mut found = Vec::new();
        Pcre::parse(text).unwrap().0.capture(bytes, 0, &mut |capture, text| {
            found.push((capture.whom, capture.name.to_string(), text.to_vec()));
        });
        found
    }

    #[test]
    fn groups_are_kept_by_the_names_behind_the_flags_and_by_their_own() {
        let text = b"uid=0(root) gid=7";
        let one = |whom, name: &str, text: &[u8]| (whom, name.to_owned(), text.to_vec());
        let both = [one(CapturedFor::Packet, "uid", b"0"), one(CapturedFor::Flow, "user", b"root")];
        assert_eq!(captured(r#""/uid=(\d+)\(([^)]+)\)/, pkt:uid, flow:user""#, text), both);
        assert_eq!(captured(r#""/uid=(\d+)\(([^)]+)\)/i",pkt:uid,flow:user"#, text), both);
        let named = r#""/gid=(?P<alert_gid>\d)(?P<flow_none>x)?/""#;
        assert_eq!(captured(named, text), [one(CapturedFor::Alert, "gid", b"7")]);
        assert_eq!(captured(r#""/gid=(?P<gid>\d)/""#, text), []);
        let error = Pcre::parse(r#""/(a)/, host:x""#).unwrap_err();
        assert!(error.message.contains("flow:name"), "{error:?}");
    }

    #[test]
    fn endless_backtracking_is_given_up() {
        let (pcre, _) = Pcre::parse(r#""/(?=a)(a|aa)+(?<x>b)\k<x>$/""#).unwrap();
        let mut text = vec![b'a'; 60];
        assert_eq!(pcre.find(&text, 0), Ok(None), "one pass shows that there is no b");
        text.extend(b"bc");
        assert_eq!(pcre.find(&text, 0), Err(GaveUp));
    }
}
