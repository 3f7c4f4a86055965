//! `dataset`, `datarep` and `iprep`: what lists say about a value or an address.

use super::number::Comparison;
use crate::builder::{Builder, Complaint, Keyword, Needs, Value};
use crate::context::Context;
use crate::lang::did_you_mean;
use crate::signature::{Check, Test};
use crate::state::{DatasetForm, DatasetKind, DatasetSpec, VarId};

/// The family.
pub(crate) const KEYWORDS: &[Keyword] = &[
    Keyword {
        name: "dataset",
        aliases: &[],
        doc: "asks whether the value of the buffer is in a named set, or puts it there",
        example: "alert dns any any -> any any (dns.query; dataset:isset,names,type string; sid:1;)",
        parse: dataset,
    },
    Keyword {
        name: "datarep",
        aliases: &[],
        doc: "compares the number that a named set has for the value of the buffer",
        example: "alert dns any any -> any any (dns.query; datarep:names,>,10,type string; sid:1;)",
        parse: datarep,
    },
    Keyword {
        name: "iprep",
        aliases: &[],
        doc: "compares what lists of reputations say of an address: any, src, dst or both",
        example: "alert ip any any -> any any (iprep:src,BadHosts,>,30; sid:1;)",
        parse: iprep,
    },
];

#[derive(Clone, Copy, Debug)]
enum Command {
    IsSet,
    IsNotSet,
    Set,
    Unset,
}

#[derive(Debug)]
struct InSet(Command, VarId);

impl Check for InSet {
    fn check(&self, bytes: &[u8], cx: &mut Context<'_>) -> bool {
        let found = cx.shared.dataset(self.1, |set| {
            let before = set.dropped;
            let holds = match self.0 {
                Command::IsSet => set.get(bytes).is_some(),
                Command::IsNotSet => set.get(bytes).is_none(),
                // Only what is new counts.
                Command::Set => set.add(bytes),
                Command::Unset => set.remove(bytes),
            };
            (holds, set.dropped - before)
        });
        let (holds, forgotten) = found.unwrap_or_default();
        cx.forgotten += forgotten;
        holds
    }
}

#[derive(Debug)]
struct Reputation(VarId, Comparison);

impl Check for Reputation {
    fn check(&self, bytes: &[u8], cx: &mut Context<'_>) -> bool {
        let number = cx.shared.dataset(self.0, |set| set.get(bytes)).flatten();
        number.is_some_and(|number| self.1.holds(number.into()))
    }
}

/// What stands behind the commas.
#[derive(Default)]
struct Options<'a> {
    kind: Option<&'a str>,
    load: Option<&'a str>,
    may_be_missing: bool,
    format: Option<&'a str>,
    value: Option<&'a str>,
    array: Option<&'a str>,
}

const OPTIONS: &[&str] = &[
    "type",
    "load",
    "save",
    "state",
    "memcap",
    "hashsize",
    "format",
    "value_key",
    "array_key",
    "context_key",
    "enrichment_key",
    "remove_key",
];

impl<'a> Options<'a> {
    fn read(fields: &[&'a str]) -> Result<Self, Complaint> {
        let mut options = Self::default();
        for field in fields {
            let (name, value) = match field.split_once(char::is_whitespace) {
                Some((name, value)) => (name, value.trim()),
                None => (*field, ""),
            };
            match name {
                "type" => options.kind = Some(value),
                "load" => options.load = Some(value),
                "state" => {
                    options.load = options.load.or(Some(value));
                    options.may_be_missing = true;
                }
                "format" => options.format = Some(value),
                "value_key" => options.value = Some(value),
                "array_key" => options.array = Some(value),
                name if OPTIONS.contains(&name) => {}
                other => {
                    let near = did_you_mean(other, OPTIONS.iter().copied());
                    return Err(Complaint::new(format!("unknown option \"{other}\"{near}")));
                }
            }
        }
        Ok(options)
    }

    fn spec(&self, name: &str) -> Result<DatasetSpec, Complaint> {
        let kind = self.kind.unwrap_or("string");
        let kind = DatasetKind::by_name(kind).ok_or_else(|| {
            let known = "string, md5, sha256, ipv4, ipv6 or ip";
            Complaint::new(format!("unknown type \"{kind}\"; expected {known}"))
        })?;
        let value = || self.value.unwrap_or("value").into();
        let form = match self.format.unwrap_or("csv") {
            "csv" => DatasetForm::Lines,
            "json" | "jsonline" | "ndjson" if self.value.is_none() => {
                return Err(Complaint::new("a set in JSON needs value_key"));
            }
            "json" => DatasetForm::Json { array: self.array.unwrap_or("").into(), value: value() },
            "jsonline" | "ndjson" => DatasetForm::Ndjson { value: value() },
            other => {
                return Err(Complaint::new(format!(
                    "unknown format \"{other}\"; expected csv, json or ndjson"
                )));
            }
        };
        Ok(DatasetSpec {
            name: name.into(),
            kind,
            load: self.load.map(Into::into),
            may_be_missing: self.may_be_missing,
            form,
        })
    }
}

/// Notes that the signature uses a set; says by which identifier.
fn uses(builder: &mut Builder<'_>, spec: DatasetSpec) -> VarId {
    let id = spec.id();
    builder.datasets.push(spec);
    id
}

fn dataset(builder: &mut Builder<'_>, value: &Value<'_>) -> Result<(), Complaint> {
    let text = value.needed("such as isset,name,type string")?;
    let fields: Vec<&str> = text.split(',').map(str::trim).collect();
    let [command, name, options @ ..] = fields.as_slice() else {
        return Err(Complaint::new("expected a command and the name of a set: isset,name"));
    };
    let command = match *command {
        "isset" => Command::IsSet,
        "isnotset" => Command::IsNotSet,
        "set" => Command::Set,
        "unset" => Command::Unset,
        other => {
            return Err(Complaint::new(format!(
                "unknown command \"{other}\"; expected isset, isnotset, set or unset"
            )));
        }
    };
    if !builder.has_buffer() {
        return Err(Complaint::new("a set is asked about the buffer named before it: name one"));
    }
    let spec = Options::read(options)?.spec(name)?;
    let id = uses(builder, spec);
    builder.check(InSet(command, id));
    Ok(())
}

fn datarep(builder: &mut Builder<'_>, value: &Value<'_>) -> Result<(), Complaint> {
    let text = value.needed("such as name,>,10,type string")?;
    let fields: Vec<&str> = text.split(',').map(str::trim).collect();
    let [name, sign, number, options @ ..] = fields.as_slice() else {
        return Err(Complaint::new("expected a name, a comparison and a number: name,>,10"));
    };
    if !builder.has_buffer() {
        return Err(Complaint::new("a set is asked about the buffer named before it: name one"));
    }
    let must = Comparison::parse(&format!("{}{number}", sign.replace("==", "=")), 65_535)?;
    let spec = Options::read(options)?.spec(name)?;
    let id = uses(builder, spec);
    builder.check(Reputation(id, must));
    Ok(())
}

#[derive(Clone, Copy, Debug)]
enum Whose {
    Any,
    Source,
    Destination,
    Both,
}

#[derive(Debug)]
struct AddressScore {
    whose: Whose,
    category: String,
    must: Option<Comparison>,
    /// Whether a list is to know the address (`isset`) or not (`isnotset`).
    known: bool,
}

impl Test for AddressScore {
    fn test(&self, cx: &mut Context<'_>) -> bool {
        let (Some(key), lists) = (cx.key, &cx.shared.reputation) else { return false };
        let Some(category) = lists.category(&self.category) else { return false };
        let holds = |addr| match (lists.score(addr, category), self.must) {
            (Some(score), Some(must)) => must.holds(score.into()),
            (score, None) => score.is_some() == self.known,
            (None, Some(_)) => false,
        };
        match self.whose {
            Whose::Any => holds(key.src) || holds(key.dst),
            Whose::Source => holds(key.src),
            Whose::Destination => holds(key.dst),
            Whose::Both => holds(key.src) && holds(key.dst),
        }
    }

    fn cost(&self) -> u8 {
        4
    }
}

fn iprep(builder: &mut Builder<'_>, value: &Value<'_>) -> Result<(), Complaint> {
    let text = value.needed("such as src,BadHosts,>,30")?;
    let fields: Vec<&str> = text.split(',').map(str::trim).collect();
    let (whose, category, must, known) = match fields.as_slice() {
        [whose, category, sign, number] => {
            let must = Comparison::parse(&format!("{}{number}", sign.replace("==", "=")), 127)?;
            (*whose, *category, Some(must), true)
        }
        [whose, category, "isset"] => (*whose, *category, None, true),
        [whose, category, "isnotset"] => (*whose, *category, None, false),
        _ => return Err(Complaint::new("expected host, category, comparison and number")),
    };
    let whose = match whose {
        "any" => Whose::Any,
        "src" => Whose::Source,
        "dst" => Whose::Destination,
        "both" => Whose::Both,
        other => {
            return Err(Complaint::new(format!(
                "unknown host \"{other}\"; expected any, src, dst or both"
            )));
        }
    };
    builder.needs(Needs::Packet);
    builder.test(AddressScore { whose, category: category.to_owned(), must, known });
    Ok(())
}
