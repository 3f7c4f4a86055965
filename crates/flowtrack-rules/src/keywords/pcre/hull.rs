//! What an expression surely needs, in a form that is searched in one pass.

use fancy_regex::{Assertion, Expr};

/// An expression that matches in every text in which this one does, and in more: what looks around
/// is left out, and anything may stand for what repeats a group (`\1`). So the engine needs no steps
/// back for it. None where that gains nothing, or the expression has more than that of what only
/// steps back can tell.
pub(super) fn hull(pattern: &str) -> Option<String> {
    let mut tree = Expr::parse_tree(pattern).ok()?;
    let mut is_wider = false;
    widen(&mut tree.expr, &mut is_wider)?;
    let mut text = String::with_capacity(pattern.len() + 16);
    is_wider.then(|| tree.expr.to_str(&mut text, 0))?;
    Some(text)
}

/// Makes an expression match more, until one pass can tell; none where that cannot be.
fn widen(expr: &mut Expr, is_wider: &mut bool) -> Option<()> {
    let wider = match expr {
        Expr::Concat(parts) | Expr::Alt(parts) => {
            return parts.iter_mut().try_for_each(|part| widen(part, is_wider));
        }
        Expr::Group(inner) => {
            let mut own = Expr::clone(inner);
            widen(&mut own, is_wider)?;
            *inner = own.into();
            return Some(());
        }
        Expr::Repeat { child, .. } => return widen(child, is_wider),
        Expr::Delegate { inner, .. } => return inner.is_ascii().then_some(()),
        Expr::Literal { val, casei } => {
            if !val.is_ascii() {
                *expr = by_number(val.chars().map(u32::from), *casei)?;
            }
            return Some(());
        }
        Expr::LiteralBytes { bytes } => {
            *expr = by_number(bytes.iter().map(|byte| u32::from(*byte)), false)?;
            return Some(());
        }
        // Not nothing at all, lest a repetition of it becomes one of what is before it.
        Expr::LookAround(..)
        | Expr::KeepOut
        | Expr::Assertion(Assertion::EndTextIgnoreTrailingNewlines { .. }) => {
            Expr::Delegate { inner: "(?:)".to_owned(), casei: false }
        }
        Expr::Empty | Expr::Any { .. } | Expr::Assertion(_) => return Some(()),
        Expr::AtomicGroup(inner) => {
            let mut inner = std::mem::replace(&mut **inner, Expr::Empty);
            widen(&mut inner, is_wider)?;
            inner
        }
        Expr::Backref { .. } => {
            let any = Expr::Any { newline: true, crlf: false };
            Expr::Repeat { child: Box::new(any), lo: 0, hi: usize::MAX, greedy: true }
        }
        _ => return None,
    };
    *is_wider = true;
    *expr = wider;
    Some(())
}

/// Bytes as the engine reads them whatever they stand for; none where one is no byte.
fn by_number(bytes: impl Iterator<Item = u32>, casei: bool) -> Option<Expr> {
    let text = bytes
        .map(|byte| (byte <= 0xff).then(|| format!("\\x{byte:02x}")))
        .collect::<Option<String>>()?;
    Some(Expr::Delegate { inner: format!("(?:{text})"), casei })
}

#[cfg(test)]
mod tests {
    use super::super::{Pcre, compile};
    use super::*;

    #[test]
    fn what_only_steps_back_can_tell_is_widened() {
        assert_eq!(hull(r"(a+)b\1$").unwrap(), "(a+)b(?s:.)*$");
        assert_eq!(hull(r"x(?=y)(?!z)[^a-f]+").unwrap(), "x(?:)(?:)[^a-f]+");
        assert_eq!(hull(r"x(?>(?=y)){2}").unwrap(), "x(?:){2}");
        assert_eq!(hull(r"(?>ab|a)c{2,3}").unwrap(), "(?:ab|a)c{2,3}");
        assert_eq!(hull(r"(?i)\xe9(?<n>k)\k<n>").unwrap(), "(?i:(?:\\xe9))((?i:k))(?s:.)*");
        assert_eq!(hull(r"(a)\1\Z").unwrap(), "(a)(?s:.)*(?:)");
        assert_eq!(hull("a[bc]+"), None, "one pass can tell as it is");
        assert_eq!(hull(r"(?=a)(b)?(?(1)c|d)"), None);
    }

    #[test]
    fn it_matches_wherever_the_expression_does() {
        let texts: [&[u8]; 8] = [
            b"POST /aab/ HTTP/1.1\r\nHost: aab.net\r\n",
            b"GET /abcabc\n",
            b"abcabc",
            b"\x00\xe9k\xe9K\n",
            b"aaaaaaab",
            b"one\ntwo\none",
            b"",
            b"xy\r\n\r\n",
        ];
        for pattern in [
            r#""/^POST \/(?P<f>[a-z]+)\/ .+?Host\x3a (?P=f)\.net/s""#,
            r#""/(\w+)\1$/""#,
            r#""/^(.+)$(?:\n.*)*^\1$/m""#,
            r#""/\xe9(k)\xe9\1/i""#,
            r#""/(?<!b)a++b/""#,
            r#""/(?=xy)..(\r\n)\1/""#,
            r#""/^(?!one)|two(?=\n)/""#,
            r#""/(a|ab)(?:c|bcd)?$|^(?:\n?)$/""#,
        ] {
            let (pcre, _) = Pcre::parse(pattern).unwrap();
            let hull = hull(pcre.pattern()).unwrap_or_else(|| panic!("none of {pattern}"));
            let (whole, hull) = (compile(pcre.pattern()).unwrap(), compile(&hull).unwrap());
            for text in texts {
                let both = (whole.is_match(text).unwrap(), hull.is_match(text).unwrap());
                assert_ne!(both, (true, false), "{pattern} in {text:?}");
            }
        }
    }
}
