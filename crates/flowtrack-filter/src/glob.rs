//! Patterns with `*` and `?`, over whole texts.

/// A pattern: `*` is any text, `?` any one character; ASCII case does not count.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Glob(Box<str>);

impl Glob {
    pub fn new(pattern: &str) -> Self {
        Self(pattern.into())
    }

    /// Whether the pattern covers all of `text`.
    ///
    /// Only the last `*` is ever tried again, so this takes at most pattern times text steps.
    pub fn matches(&self, text: &str) -> bool {
        let mut text = text.chars();
        let mut pattern = self.0.chars();
        let mut retry = None;
        loop {
            let (before, at_star) = (text.clone(), pattern.clone());
            match (pattern.next(), text.next()) {
                (Some('*'), _) => {
                    text = before;
                    retry = Some((pattern.clone(), text.clone()));
                    if pattern.as_str().is_empty() {
                        return true;
                    }
                }
                (Some(p), Some(t)) if p == '?' || p.eq_ignore_ascii_case(&t) => {}
                (None, None) => return true,
                (_, None) => {
                    // The text is used up; trying a shorter rest cannot help.
                    return at_star.as_str().chars().all(|p| p == '*');
                }
                _ => match &mut retry {
                    Some((after_star, from)) => {
                        from.next();
                        pattern = after_star.clone();
                        text = from.clone();
                    }
                    None => return false,
                },
            }
        }
    }

    /// The same as a pattern for `LIKE .. ESCAPE '\'`.
    pub fn to_like(&self) -> String {
        let mut like = String::with_capacity(self.0.len() + 4);
        for c in self.0.chars() {
            match c {
                '*' => like.push('%'),
                '?' => like.push('_'),
                '%' | '_' | '\\' => like.extend(['\\', c]),
                c => like.push(c),
            }
        }
        like
    }
}

#[cfg(test)]
mod tests {
    use super::Glob;

    #[test]
    fn covers_the_whole_text() {
        for (pattern, text, yes) in [
            ("", "", true),
            ("", "a", false),
            ("*", "", true),
            ("a*", "abc", true),
            ("*c", "abc", true),
            ("*b", "abc", false),
            ("a*b*c", "a-bb-b-c", true),
            ("a?c", "aéc", true),
            ("a?c", "ac", false),
            ("GET *", "get /x", true),
            ("*ab", "aab", true),
            ("*aab*", "aaaab", true),
            ("a**", "a", true),
            ("a*?", "a", false),
        ] {
            assert_eq!(Glob::new(pattern).matches(text), yes, "{pattern} {text}");
        }
    }

    #[test]
    fn many_stars_stay_cheap() {
        let pattern = "*a".repeat(500) + "b";
        assert!(!Glob::new(&pattern).matches(&"a".repeat(5_000)));
    }

    #[test]
    fn like_keeps_its_own_wildcards_literal() {
        assert_eq!(Glob::new("50%_*?\\").to_like(), "50\\%\\_%_\\\\");
    }
}
