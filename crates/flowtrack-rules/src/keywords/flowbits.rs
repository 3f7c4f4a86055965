//! `flowbits` and `flowint`: what rules remember about one flow.

use crate::builder::{Builder, Complaint, Keyword, Memory, Usage, Value};
use crate::context::Context;
use crate::lang::did_you_mean;
use crate::signature::{Effect, Test};
use crate::state::VarId;

/// The family.
pub(crate) const KEYWORDS: &[Keyword] = &[
    Keyword {
        name: "flowbits",
        aliases: &[],
        doc: "sets, clears or asks for a named mark on the flow",
        example: r#"alert tcp any any -> any any (content:"a"; flowbits:isset,seen; sid:1;)"#,
        parse: flowbits,
    },
    Keyword {
        name: "flowint",
        aliases: &[],
        doc: "sets, changes or compares a named number of the flow",
        example: r#"alert tcp any any -> any any (content:"a"; flowint:tries,+,1; flowint:tries,>,3; sid:1;)"#,
        parse: flowint,
    },
];

/// What is asked of marks, of which one or more must be so.
#[derive(Debug)]
struct IsSet {
    any_of: Vec<VarId>,
    wanted: bool,
}

impl Test for IsSet {
    fn test(&self, cx: &mut Context<'_>) -> bool {
        let Some(flow) = &cx.flow else { return false };
        if self.wanted {
            self.any_of.iter().any(|bit| flow.vars.has(*bit))
        } else {
            // Of several, one that is not set is enough.
            self.any_of.iter().any(|bit| !flow.vars.has(*bit))
        }
    }

    fn mark(&self) -> Option<VarId> {
        match *self.any_of {
            [only] if self.wanted => Some(only),
            _ => None,
        }
    }
}

#[derive(Clone, Copy, Debug)]
enum Change {
    Set,
    Unset,
    Toggle,
}

#[derive(Debug)]
struct ChangeBit(Change, VarId);

impl Effect for ChangeBit {
    fn apply(&self, cx: &mut Context<'_>) {
        let Some(flow) = &mut cx.flow else { return };
        match self.0 {
            Change::Set => flow.vars.set(self.1),
            Change::Unset => flow.vars.unset(self.1),
            Change::Toggle => flow.vars.toggle(self.1),
        }
    }
}

const COMMANDS: &[&str] = &["set", "unset", "toggle", "isset", "isnotset", "noalert"];

fn flowbits(builder: &mut Builder<'_>, value: &Value<'_>) -> Result<(), Complaint> {
    let text = value.needed("such as set,name")?;
    let (command, names) = text.split_once(',').map_or((text, ""), |(c, n)| (c.trim(), n.trim()));
    if command == "noalert" {
        builder.noalert = true;
        return Ok(());
    }
    if names.is_empty() {
        return Err(Complaint::new(format!("{command} needs a name: {command},name")));
    }
    let ids: Vec<VarId> = names.split('|').map(|name| VarId::of(name.trim())).collect();
    if names.split('|').any(|name| name.trim().is_empty() || name.trim().contains(' ')) {
        return Err(Complaint::new("a name has no blanks in it"));
    }
    match command {
        "isset" | "isnotset" => {
            builder.usage(Memory::FlowBits, Usage::Read);
            builder.test(IsSet { any_of: ids, wanted: command == "isset" });
        }
        "set" | "unset" | "toggle" => {
            let [id] = ids.as_slice() else {
                return Err(Complaint::new(format!("{command} takes one name")));
            };
            let change = match command {
                "set" => Change::Set,
                "unset" => Change::Unset,
                _ => Change::Toggle,
            };
            builder.name(*id, names);
            builder.usage(Memory::FlowBits, Usage::Write);
            builder.effect(ChangeBit(change, *id));
        }
        other => {
            let near = did_you_mean(other, COMMANDS.iter().copied());
            return Err(Complaint::new(format!("unknown command \"{other}\"{near}")));
        }
    }
    Ok(())
}

/// A number, or the name of one.
#[derive(Clone, Copy, Debug)]
enum Operand {
    Value(u32),
    Name(VarId),
}

impl Operand {
    fn get(self, cx: &Context<'_>) -> Option<u32> {
        match self {
            Self::Value(value) => Some(value),
            Self::Name(name) => cx.flow.as_ref()?.vars.number(name),
        }
    }
}

#[derive(Clone, Copy, Debug)]
enum Compare {
    Less,
    LessOrEqual,
    Equal,
    NotEqual,
    MoreOrEqual,
    More,
}

#[derive(Debug)]
enum Ask {
    Compare(Compare, Operand),
    IsSet(bool),
}

#[derive(Debug)]
struct NumberIs(VarId, Ask);

impl Test for NumberIs {
    fn test(&self, cx: &mut Context<'_>) -> bool {
        let Some(flow) = &cx.flow else { return false };
        let number = flow.vars.number(self.0);
        match &self.1 {
            Ask::IsSet(wanted) => number.is_some() == *wanted,
            Ask::Compare(how, operand) => {
                let (Some(number), Some(other)) = (number, operand.get(cx)) else { return false };
                match how {
                    Compare::Less => number < other,
                    Compare::LessOrEqual => number <= other,
                    Compare::Equal => number == other,
                    Compare::NotEqual => number != other,
                    Compare::MoreOrEqual => number >= other,
                    Compare::More => number > other,
                }
            }
        }
    }

    fn cost(&self) -> u8 {
        2
    }
}

#[derive(Clone, Copy, Debug)]
enum Arithmetic {
    Set,
    Add,
    Subtract,
    Unset,
}

#[derive(Debug)]
struct ChangeNumber(VarId, Arithmetic, Operand);

impl Effect for ChangeNumber {
    fn apply(&self, cx: &mut Context<'_>) {
        let operand = self.2.get(cx);
        let Some(flow) = &mut cx.flow else { return };
        let now = flow.vars.number(self.0);
        match (self.1, operand) {
            (Arithmetic::Unset, _) => flow.vars.unset_number(self.0),
            (Arithmetic::Set, Some(value)) => flow.vars.set_number(self.0, value),
            (Arithmetic::Add, Some(value)) => {
                flow.vars.set_number(self.0, now.unwrap_or(0).wrapping_add(value));
            }
            (Arithmetic::Subtract, Some(value)) => {
                flow.vars.set_number(self.0, now.unwrap_or(0).wrapping_sub(value));
            }
            (_, None) => {}
        }
    }
}

fn flowint(builder: &mut Builder<'_>, value: &Value<'_>) -> Result<(), Complaint> {
    let text = value.needed("such as name,+,1")?;
    let parts: Vec<&str> = text.split(',').map(str::trim).collect();
    let (name, sign, operand) = match parts.as_slice() {
        [name, sign] => (*name, *sign, None),
        [name, sign, operand] => (*name, *sign, Some(*operand)),
        _ => return Err(Complaint::new("expected name, sign and number: tries,>,3")),
    };
    if name.is_empty() {
        return Err(Complaint::new("a number needs a name"));
    }
    let id = VarId::of(name);
    let operand = match operand {
        None => None,
        Some(text) => Some(match text.parse() {
            Ok(value) => Operand::Value(value),
            Err(_) if text.starts_with(|c: char| c.is_ascii_digit()) || text.is_empty() => {
                return Err(Complaint::new(format!("\"{text}\" is no number below 2^32")));
            }
            Err(_) => Operand::Name(VarId::of(text)),
        }),
    };
    let compare = match sign {
        "<" => Some(Compare::Less),
        "<=" => Some(Compare::LessOrEqual),
        "==" => Some(Compare::Equal),
        "!=" => Some(Compare::NotEqual),
        ">=" => Some(Compare::MoreOrEqual),
        ">" => Some(Compare::More),
        _ => None,
    };
    let change = match sign {
        "=" => Some(Arithmetic::Set),
        "+" => Some(Arithmetic::Add),
        "-" => Some(Arithmetic::Subtract),
        "unset" => Some(Arithmetic::Unset),
        _ => None,
    };
    match (compare, change, operand, sign) {
        (Some(how), _, Some(operand), _) => {
            builder.usage(Memory::FlowInt, Usage::Read);
            builder.test(NumberIs(id, Ask::Compare(how, operand)));
        }
        (_, Some(Arithmetic::Unset), None, _) => {
            builder.usage(Memory::FlowInt, Usage::Write);
            builder.effect(ChangeNumber(id, Arithmetic::Unset, Operand::Value(0)));
        }
        (_, Some(change), Some(operand), _) => {
            builder.name(id, name);
            builder.usage(Memory::FlowInt, Usage::Write);
            builder.effect(ChangeNumber(id, change, operand));
        }
        (.., None, "isset" | "notset" | "isnotset") => {
            builder.usage(Memory::FlowInt, Usage::Read);
            builder.test(NumberIs(id, Ask::IsSet(sign == "isset")));
        }
        _ => {
            return Err(Complaint::new(format!(
                "\"{sign}\" is no sign here; expected =, +, -, <, <=, ==, !=, >=, > with a number, \
                 or isset, notset, unset without one"
            )));
        }
    }
    Ok(())
}
