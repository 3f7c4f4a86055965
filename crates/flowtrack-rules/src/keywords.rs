//! The words of the language, a family a file.
//!
//! A family is a table of [`Keyword`]s: what each adds to a signature is its `parse` function.

mod app;
pub mod base64;
pub mod buffers;
pub mod bytes;
pub mod content;
mod dataset;
mod field;
mod file;
mod flow;
mod flowbits;
mod frame;
mod header;
mod meta;
mod modbus;
mod number;
mod old;
pub mod pcre;
pub(crate) mod rarity;
mod size;
mod tag;
mod threshold;
mod transforms;
mod xbits;

use crate::builder::{Builder, Complaint, Keyword, Value};
use crate::lang::{Action, Headers, Rule, Span, did_you_mean};
use crate::signature::Signature;
use ahash::AHashMap;
use std::sync::{Arc, LazyLock};

/// The families; a new one is a line here.
const FAMILIES: &[&[Keyword]] = &[
    content::KEYWORDS,
    pcre::KEYWORDS,
    bytes::KEYWORDS,
    size::KEYWORDS,
    old::KEYWORDS,
    frame::KEYWORDS,
    base64::KEYWORDS,
    buffers::KEYWORDS,
    buffers::OTHERS,
    buffers::legacy::KEYWORDS,
    transforms::KEYWORDS,
    meta::KEYWORDS,
    modbus::KEYWORDS,
    header::ip::KEYWORDS,
    header::tcp::KEYWORDS,
    header::icmp::KEYWORDS,
    header::sctp::KEYWORDS,
    header::link::KEYWORDS,
    header::checksum::KEYWORDS,
    header::event::KEYWORDS,
    app::KEYWORDS,
    field::KEYWORDS,
    field::SPECIAL,
    dataset::KEYWORDS,
    file::KEYWORDS,
    flow::KEYWORDS,
    flowbits::KEYWORDS,
    tag::KEYWORDS,
    threshold::KEYWORDS,
    xbits::KEYWORDS,
];

/// All keywords.
pub fn all() -> impl Iterator<Item = &'static Keyword> {
    FAMILIES.iter().copied().flatten()
}

/// The keyword of this name.
pub fn find(name: &str) -> Option<&'static Keyword> {
    static BY_NAME: LazyLock<AHashMap<&'static str, &'static Keyword>> = LazyLock::new(|| {
        all()
            .flat_map(|word| {
                std::iter::once(word.name)
                    .chain(word.aliases.iter().copied())
                    .map(move |name| (name, word))
            })
            .collect()
    });
    BY_NAME.get(name).copied()
}

/// A rule that was understood.
#[derive(Debug)]
pub struct Understood {
    /// The signature.
    pub signature: Signature,
    /// What is odd about it, with the place.
    pub warnings: Vec<(Span, String)>,
}

/// Why a rule was not understood.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Refused {
    /// Where.
    pub at: Span,
    /// Keyword it is about, where there is one.
    pub keyword: Option<Arc<str>>,
    /// What is wrong.
    pub message: String,
    /// Why it is left out without being wrong, where that is so.
    pub skip: Option<&'static str>,
}

/// Understands a rule: asks every keyword in turn to add its part.
pub fn understand(rule: &Rule, headers: &mut Headers) -> Result<Understood, Refused> {
    if let Some(option) = rule.option("requires")
        && let Some(text) = option.value.as_deref()
    {
        meta::unmet(text).map_err(|complaint| Refused {
            keyword: Some(option.name.clone()),
            ..refused(option.value_at, complaint)
        })?;
    }
    if rule.header.action == Action::Accept {
        return Err(Refused {
            at: rule.at,
            keyword: None,
            message: "rules of a firewall that drops what no rule accepts are not applied"
                .to_owned(),
            skip: Some("for a firewall"),
        });
    }
    let header = headers.compile(&rule.header).map_err(|(at, message)| Refused {
        at,
        keyword: None,
        message,
        skip: None,
    })?;
    let mut builder = Builder::new(rule, header, headers);
    for option in &rule.options {
        let Some(keyword) = find(&option.name) else {
            let near = did_you_mean(&option.name, all().map(|keyword| keyword.name));
            return Err(Refused {
                at: option.at,
                keyword: Some(option.name.clone()),
                message: format!("unknown keyword \"{}\"{near}", option.name),
                skip: None,
            });
        };
        builder.at = option.at;
        let value =
            Value { keyword: &option.name, text: option.value.as_deref(), at: option.value_at };
        (keyword.parse)(&mut builder, &value).map_err(|complaint| Refused {
            keyword: Some(option.name.clone()),
            ..refused(if value.text.is_some() { option.value_at } else { option.at }, complaint)
        })?;
    }
    let warnings = std::mem::take(&mut builder.warnings);
    let signature = builder.finish().map_err(|complaint| refused(rule.at, complaint))?;
    Ok(Understood { signature, warnings })
}

fn refused(at: Span, complaint: Complaint) -> Refused {
    let column = at.column.saturating_add(complaint.offset);
    let at = Span { column, ..at };
    Refused { at, keyword: None, message: complaint.message, skip: complaint.skip }
}
