//! Where an expression is wrong, which libpcap does not say.

use super::WrongExpression;

/// What libpcap stumbles over as soon as it reads it, with words of its own. So it shows how far
/// the words before are right.
const MARKER: &str = " f:e:d:c:b:a:9:8:7:6";
const MARKER_SEEN: &str = "bogus";

/// Words of the language, to find what may have been meant.
const WORDS: &[&str] = &[
    "and",
    "arp",
    "broadcast",
    "dst",
    "ether",
    "gateway",
    "geneve",
    "greater",
    "host",
    "icmp",
    "icmp6",
    "igmp",
    "inbound",
    "ip",
    "ip6",
    "less",
    "mpls",
    "multicast",
    "net",
    "not",
    "or",
    "outbound",
    "port",
    "portrange",
    "pppoed",
    "pppoes",
    "proto",
    "protochain",
    "rarp",
    "sctp",
    "src",
    "stp",
    "tcp",
    "udp",
    "vlan",
    "vrrp",
    "wlan",
];

/// Finds the place that `message`, libpcap's answer to `expression`, is about.
///
/// `answer` is what libpcap says to another text; none where it takes it.
pub fn diagnose(
    expression: &str,
    message: &str,
    mut answer: impl FnMut(&str) -> Option<String>,
) -> WrongExpression {
    let syntax = message.contains("syntax error");
    let tokens = tokens(expression);
    let span = if syntax {
        first_wrong(expression, &tokens, |prefix| {
            answer(&format!("{prefix}{MARKER}")).is_some_and(|words| words.contains(MARKER_SEEN))
        })
    } else {
        named(expression, &tokens, message)
    };
    let hint = span.and_then(|(start, end)| hint(&expression[start..end]));
    WrongExpression {
        expression: expression.to_owned(),
        message: if syntax { "syntax error".to_owned() } else { message.to_owned() },
        span,
        hint,
        syntax,
    }
}

/// Whether `word` stands in the expression as a word of its own.
pub fn has_word(expression: &str, word: &str) -> bool {
    tokens(expression).iter().any(|&(start, end)| &expression[start..end] == word)
}

/// The first token that cannot stand where it stands; the end where all can, but something is
/// missing. None where libpcap does not react to the marker.
fn first_wrong(
    expression: &str,
    tokens: &[(usize, usize)],
    mut right: impl FnMut(&str) -> bool,
) -> Option<(usize, usize)> {
    if !right("") {
        return None;
    }
    // If so many tokens are right, then so are fewer. By bisection, because each question may
    // look up host names.
    let (mut good, mut bad) = (0, tokens.len() + 1);
    while bad - good > 1 {
        let middle = good + (bad - good) / 2;
        let (_, end) = tokens[middle - 1];
        if right(&expression[..end]) {
            good = middle;
        } else {
            bad = middle;
        }
    }
    let end = expression.trim_end().len();
    Some(tokens.get(good).copied().unwrap_or((end, end)))
}

/// The token that the message names; the last one, because libpcap puts it at the end.
fn named(expression: &str, tokens: &[(usize, usize)], message: &str) -> Option<(usize, usize)> {
    let quoted = message.split(['\'', '"']).nth(1);
    let words = message.split([' ', '\'', '"', ',']).rev().filter(|word| !word.is_empty());
    quoted.into_iter().chain(words).find_map(|word| {
        let token = tokens.iter().copied().find(|&(start, end)| &expression[start..end] == word);
        // A network with its mask is several tokens.
        token.or_else(|| {
            let start = word.contains(['/', '.', ':']).then(|| expression.find(word))??;
            Some((start, start + word.len()))
        })
    })
}

/// What may have been meant by a word that is none.
fn hint(word: &str) -> Option<String> {
    // A word this long is a slip of no keyword, and comparing costs its length.
    if word.is_empty() || word.len() > 20 || WORDS.contains(&word) {
        return None;
    }
    let lower = word.to_lowercase();
    let distance = |known: &&&str| edits(known, &lower);
    let closest = WORDS.iter().min_by_key(distance)?;
    let allowed = if word.chars().count() <= 4 { 1 } else { 2 };
    (edits(closest, &lower) <= allowed).then(|| format!("did you mean \"{closest}\"?"))
}

/// How many letters must be put in, left out, changed or swapped with their neighbour to make one
/// of the other.
fn edits(one: &str, other: &str) -> usize {
    let one: Vec<char> = one.chars().collect();
    let other: Vec<char> = other.chars().collect();
    let mut cost = vec![vec![0; other.len() + 1]; one.len() + 1];
    for i in 0..=one.len() {
        for j in 0..=other.len() {
            cost[i][j] = match (i, j) {
                (0, n) | (n, 0) => n,
                _ => {
                    let changed = cost[i - 1][j - 1] + usize::from(one[i - 1] != other[j - 1]);
                    let swapped = if i > 1
                        && j > 1
                        && one[i - 1] == other[j - 2]
                        && one[i - 2] == other[j - 1]
                    {
                        cost[i - 2][j - 2] + 1
                    } else {
                        usize::MAX
                    };
                    changed.min(swapped).min(cost[i - 1][j] + 1).min(cost[i][j - 1] + 1)
                }
            };
        }
    }
    cost[one.len()][other.len()]
}

/// Where the words and signs of an expression begin and end, in bytes.
fn tokens(expression: &str) -> Vec<(usize, usize)> {
    const DOUBLE: [&str; 7] = ["&&", "||", "<=", ">=", "!=", "==", "<<"];
    let is_word = |c: char| c.is_alphanumeric() || "_.:-\\".contains(c);
    let mut tokens = Vec::new();
    let mut at = 0;
    while let Some(c) = expression[at..].chars().next() {
        let rest = &expression[at..];
        let len = if c.is_whitespace() {
            at += c.len_utf8();
            continue;
        } else if is_word(c) {
            rest.find(|c| !is_word(c)).unwrap_or(rest.len())
        } else if DOUBLE.iter().any(|double| rest.starts_with(double)) || rest.starts_with(">>") {
            2
        } else {
            c.len_utf8()
        };
        tokens.push((at, at + len));
        at += len;
    }
    tokens
}
