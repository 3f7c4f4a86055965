//! Conditions on files: name, type, size, hashes, and which to store.

use super::number::Comparison;
use crate::builder::{Builder, Complaint, Keyword, Needs, Value};
use crate::context::Context;
use crate::lang::option_text;
use crate::signature::{FileScope, FileStoring, Test};
use crate::state::{Dataset, DatasetForm, DatasetKind, DatasetSpec, VarId};
use flowtrack_event::{Direction, FileRecord};

/// The family.
pub(crate) const KEYWORDS: &[Keyword] = &[
    Keyword {
        name: "filename",
        aliases: &[],
        doc: "the name of a file has this in it",
        example: r#"alert http any any -> any any (filename:"secret"; sid:1;)"#,
        parse: |b, v| words(b, v, Words::InName),
    },
    Keyword {
        name: "fileext",
        aliases: &[],
        doc: "the name of a file ends in a dot and this",
        example: r#"alert http any any -> any any (fileext:"exe"; sid:1;)"#,
        parse: |b, v| words(b, v, Words::Extension),
    },
    Keyword {
        name: "filemagic",
        aliases: &[],
        doc: "the type of a file by its first bytes has this in its description",
        example: r#"alert http any any -> any any (filemagic:"PDF document"; sid:1;)"#,
        parse: |b, v| words(b, v, Words::Type),
    },
    Keyword {
        name: "filesize",
        aliases: &[],
        doc: "how long a file is",
        example: "alert http any any -> any any (filesize:>100KB; sid:1;)",
        parse: filesize,
    },
    Keyword {
        name: "filemd5",
        aliases: &[],
        doc: "the MD5 of a file stands in a list",
        example: "alert http any any -> any any (filemd5:bad.txt; sid:1;)",
        parse: |b, v| hashes(b, v, Sum::Md5),
    },
    Keyword {
        name: "filesha1",
        aliases: &[],
        doc: "the SHA-1 of a file stands in a list",
        example: "alert http any any -> any any (filesha1:bad.txt; sid:1;)",
        parse: |b, v| hashes(b, v, Sum::Sha1),
    },
    Keyword {
        name: "filesha256",
        aliases: &[],
        doc: "the SHA-256 of a file stands in a list",
        example: "alert http any any -> any any (filesha256:bad.txt; sid:1;)",
        parse: |b, v| hashes(b, v, Sum::Sha256),
    },
    Keyword {
        name: "filestore",
        aliases: &[],
        doc: "there is a file, and the file store is to keep it: the one that matched, or with `request`, `response` or `both` all of the transaction that go this way (`tx`), of the flow from now on (`flow`, `ssn`), or the one that matched (`file`)",
        example: r#"alert http any any -> any any (http.uri; content:".exe"; filestore:both,flow; sid:1;)"#,
        parse: filestore,
    },
];

/// One of the transaction's files that go this way is so.
fn any(cx: &Context<'_>, is_so: impl Fn(&FileRecord) -> bool) -> bool {
    cx.tx.is_some_and(|tx| tx.files.iter().any(|f| f.direction == cx.direction && is_so(f)))
}

fn needs_files(builder: &mut Builder<'_>) {
    builder.needs(Needs::Transaction);
    builder.requirements.files = true;
    builder.of_files = true;
}

#[derive(Clone, Copy, Debug)]
enum Words {
    InName,
    Extension,
    Type,
}

#[derive(Debug)]
struct Described {
    of: Words,
    wanted: bool,
    /// In lower case.
    text: Vec<u8>,
}

impl Test for Described {
    fn test(&self, cx: &mut Context<'_>) -> bool {
        any(cx, |file| self.fits_file(file, cx))
    }

    fn fits_file(&self, file: &FileRecord, _: &Context<'_>) -> bool {
        let text = &self.text;
        let name = file.filename.to_ascii_lowercase();
        let holds = match self.of {
            Words::InName => memchr::memmem::find(&name, text).is_some(),
            Words::Extension => {
                name.strip_suffix(text.as_slice()).is_some_and(|rest| rest.ends_with(b"."))
            }
            Words::Type => {
                let words = [file.description.as_deref(), file.magic];
                words.into_iter().flatten().any(|words| {
                    memchr::memmem::find(words.to_ascii_lowercase().as_bytes(), text).is_some()
                })
            }
        };
        holds == self.wanted
    }

    fn cost(&self) -> u8 {
        5
    }
}

fn words(builder: &mut Builder<'_>, value: &Value<'_>, of: Words) -> Result<(), Complaint> {
    let text = value.needed("a text in quotes")?;
    let (wanted, text) = match text.strip_prefix('!') {
        Some(text) => (false, text.trim()),
        None => (true, text),
    };
    let text = text.trim().trim_matches('"');
    let text = option_text(text);
    if text.is_empty() {
        return Err(Complaint::new(format!("{} needs a text", value.keyword)));
    }
    needs_files(builder);
    builder.test(Described { of, wanted, text: text.to_ascii_lowercase().into_bytes() });
    Ok(())
}

#[derive(Debug)]
struct Size {
    must: Comparison,
    /// The way that the file goes; that of what is judged if `None`.
    toward: Option<Direction>,
}

impl Test for Size {
    fn test(&self, cx: &mut Context<'_>) -> bool {
        cx.tx.is_some_and(|tx| tx.files.iter().any(|file| self.fits_file(file, cx)))
    }

    fn fits_file(&self, file: &FileRecord, cx: &Context<'_>) -> bool {
        file.direction == self.toward.unwrap_or(cx.direction) && self.must.holds(file.size)
    }

    fn cost(&self) -> u8 {
        3
    }
}

fn filesize(builder: &mut Builder<'_>, value: &Value<'_>) -> Result<(), Complaint> {
    let text = value.needed("a size, such as >100KB")?;
    let (toward, text) = match text.split_once(',') {
        Some((way, rest)) => (Some(direction(way.trim())?), rest),
        None => (None, text),
    };
    let must = Comparison::parse(text, u64::MAX)?;
    needs_files(builder);
    if let Some(toward) = toward {
        builder.toward(toward);
    }
    builder.test(Size { must, toward });
    Ok(())
}

fn direction(word: &str) -> Result<Direction, Complaint> {
    match word {
        "to_server" | "toserver" => Ok(Direction::ToServer),
        "to_client" | "toclient" => Ok(Direction::ToClient),
        _ => Err(Complaint::new(format!("\"{word}\" is neither to_server nor to_client"))),
    }
}

#[derive(Clone, Copy, Debug)]
enum Sum {
    Md5,
    Sha1,
    Sha256,
}

#[derive(Debug)]
struct Listed {
    sum: Sum,
    list: VarId,
    wanted: bool,
}

impl Test for Listed {
    fn test(&self, cx: &mut Context<'_>) -> bool {
        any(cx, |file| self.fits_file(file, cx))
    }

    fn fits_file(&self, file: &FileRecord, cx: &Context<'_>) -> bool {
        let is_listed =
            |sum: &[u8]| cx.shared.dataset(self.list, |set: &mut Dataset| set.get(sum).is_some());
        let found = match self.sum {
            Sum::Md5 => file.md5.as_ref().and_then(|sum| is_listed(sum)),
            Sum::Sha1 => file.sha1.as_ref().and_then(|sum| is_listed(sum)),
            Sum::Sha256 => file.sha256.as_ref().and_then(|sum| is_listed(sum)),
        };
        found.is_some_and(|found| found == self.wanted)
    }

    fn cost(&self) -> u8 {
        9
    }
}

fn hashes(builder: &mut Builder<'_>, value: &Value<'_>, sum: Sum) -> Result<(), Complaint> {
    let text = value.needed("the name of a file with a sum a line")?;
    let (wanted, file) = match text.strip_prefix('!') {
        Some(file) => (false, file.trim()),
        None => (true, text),
    };
    let kind = match sum {
        Sum::Md5 => DatasetKind::Md5,
        Sum::Sha1 => DatasetKind::Sha1,
        Sum::Sha256 => DatasetKind::Sha256,
    };
    let spec = DatasetSpec {
        name: format!("{} {file}", value.keyword).into(),
        kind,
        load: Some(file.into()),
        may_be_missing: false,
        form: DatasetForm::Lines,
    };
    let list = spec.id();
    builder.datasets.push(spec);
    needs_files(builder);
    builder.requirements.hashes = true;
    builder.test(Listed { sum, list, wanted });
    Ok(())
}

/// There is a file.
#[derive(Debug)]
struct HasFile;

impl Test for HasFile {
    fn test(&self, cx: &mut Context<'_>) -> bool {
        any(cx, |_| true)
    }
}

fn filestore(builder: &mut Builder<'_>, value: &Value<'_>) -> Result<(), Complaint> {
    let words: Vec<&str> = value.text.unwrap_or_default().split(',').map(str::trim).collect();
    let (way, scope) = match *words.as_slice() {
        [] | [""] => (None, None),
        [way] => (Some(way), None),
        [way, scope] => (Some(way), Some(scope)),
        _ => return Err(Complaint::new("expected a way and a scope, such as response,flow")),
    };
    let ways = match way {
        None => None,
        Some("request" | "to_server") => Some([true, false]),
        Some("response" | "to_client") => Some([false, true]),
        Some("both") => Some([true, true]),
        Some(other) => {
            return Err(Complaint::new(format!(
                "\"{other}\" is none of request, response, both, to_server, to_client"
            )));
        }
    };
    let scope = match scope {
        None if way.is_some() => FileScope::Transaction,
        None | Some("file") => FileScope::File,
        Some("tx") => FileScope::Transaction,
        Some("ssn" | "flow") => FileScope::Flow,
        Some(other) => {
            return Err(Complaint::new(format!("\"{other}\" is none of file, tx, ssn, flow")));
        }
    };
    if builder.store.is_some() {
        return Err(Complaint::new("a rule can have one filestore"));
    }
    needs_files(builder);
    builder.requirements.file_store = true;
    builder.store = Some(FileStoring { ways, scope });
    builder.test(HasFile);
    Ok(())
}
