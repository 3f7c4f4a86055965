//! What the path notes with a flow so that each of its packets finds it at once: the name of its
//! protocol, and whether the application layer is through with it.

use flowtrack_event::AppProto;

/// Two bytes that stand with a flow.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(crate) struct Tag(pub(crate) u16);

/// The application layer wants no more bytes.
const DONE: u16 = 1 << 15;

impl Tag {
    /// Whether the application layer wants no more bytes.
    #[inline]
    pub(crate) const fn is_done(self) -> bool {
        self.0 & DONE != 0
    }

    /// This tag with the application layer through, or not.
    pub(crate) const fn done(self, is_done: bool) -> Self {
        Self(if is_done { self.0 | DONE } else { self.0 & !DONE })
    }
}

/// Names of protocols by number; 0 is that of a flow whose protocol is not known.
#[derive(Default)]
pub(crate) struct Labels {
    names: Vec<AppProto>,
}

impl Labels {
    /// The protocol that a tag tells.
    #[inline]
    pub(crate) fn name(&self, tag: Tag) -> Option<AppProto> {
        let number = usize::from(tag.0 & !DONE);
        self.names.get(number.checked_sub(1)?).copied()
    }

    /// `tag` telling `name` instead.
    pub(crate) fn rename(&mut self, tag: Tag, name: Option<AppProto>) -> Tag {
        if self.name(tag) == name {
            return tag;
        }
        let number = name.map_or(0, |name| {
            1 + self.names.iter().position(|&known| known == name).unwrap_or_else(|| {
                self.names.push(name);
                self.names.len() - 1
            })
        });
        Tag(tag.0 & DONE | number as u16 & !DONE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_name_and_end() {
        let (http, dns) = (AppProto("http"), AppProto("dns"));
        let mut labels = Labels::default();
        let tag = labels.rename(Tag::default(), Some(http));
        assert_eq!((labels.name(tag), tag.is_done()), (Some(http), false));
        let tag = labels.rename(tag.done(true), Some(dns));
        assert_eq!((labels.name(tag), tag.is_done()), (Some(dns), true));
        let nameless = labels.rename(tag, None);
        assert_eq!(labels.name(nameless), None);
    }
}
