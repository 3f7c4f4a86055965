//! `byte_test` and its like: numbers in the bytes, and where they lead.

mod extract;
mod parse;

use super::content::Amount;
use crate::builder::{Builder, Complaint, Keyword, Value};
use crate::signature::Step;
pub use extract::{Base, Number};
use parse::Arguments;

/// Compares a number in the bytes.
#[derive(Clone, Debug)]
pub struct ByteTest {
    /// The number.
    pub number: Number,
    /// How it is compared.
    pub compare: Compare,
    /// Whether it must not be so.
    pub negated: bool,
    /// With what.
    pub value: Amount,
}

/// How numbers are compared.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Compare {
    /// Equal.
    Equal,
    /// Smaller.
    Less,
    /// Smaller or equal.
    AtMost,
    /// Larger.
    Greater,
    /// Larger or equal.
    AtLeast,
    /// Some bit in common.
    And,
    /// Some bit that only one of them has.
    Xor,
}

impl ByteTest {
    /// Whether it holds behind `last`, the end of the match before.
    pub fn holds(&self, bytes: &[u8], last: usize, variables: &[u64]) -> bool {
        let Some((number, _)) = self.number.read(bytes, last, variables) else { return false };
        let value = match self.value {
            Amount::Fixed(value) => value as u64,
            Amount::Variable(at) => variables.get(usize::from(at)).copied().unwrap_or(0),
        };
        let holds = match self.compare {
            Compare::Equal => number == value,
            Compare::Less => number < value,
            Compare::AtMost => number <= value,
            Compare::Greater => number > value,
            Compare::AtLeast => number >= value,
            Compare::And => number & value != 0,
            Compare::Xor => number ^ value != 0,
        };
        holds != self.negated
    }
}

/// Goes to the place that a number in the bytes names.
#[derive(Clone, Debug)]
pub struct ByteJump {
    /// The number.
    pub number: Number,
    /// What it is multiplied with.
    pub multiplier: u64,
    /// Whether it is rounded up to four bytes.
    pub align: bool,
    /// Whether it counts from the start of the buffer.
    pub from_start: bool,
    /// Whether it counts from the end of the buffer.
    pub from_end: bool,
    /// What is added at last.
    pub post_offset: Amount,
}

impl ByteJump {
    /// The place it leads to, where that is in the buffer.
    pub fn target(&self, bytes: &[u8], last: usize, variables: &[u64]) -> Option<usize> {
        let (number, end) = self.number.read(bytes, last, variables)?;
        let mut jump = i64::try_from(number.checked_mul(self.multiplier)?).ok()?;
        if self.align {
            jump = jump.checked_add(3)? & !3;
        }
        jump = jump.checked_add(self.post_offset.value(variables))?;
        let base = if self.from_start {
            0
        } else if self.from_end {
            bytes.len()
        } else {
            end
        };
        // What would lead before the start leads to the start.
        let target = usize::try_from((base as i64).checked_add(jump)?.max(0)).ok()?;
        (target < bytes.len()).then_some(target)
    }
}

/// Remembers a number in the bytes.
#[derive(Clone, Debug)]
pub struct ByteExtract {
    /// The number.
    pub number: Number,
    /// What it is multiplied with.
    pub multiplier: u64,
    /// What it is rounded up to a multiple of; 0 leaves it.
    pub align: u64,
    /// Where it is remembered.
    pub variable: u8,
}

impl ByteExtract {
    /// The number, and the place behind it.
    pub fn read(&self, bytes: &[u8], last: usize, variables: &[u64]) -> Option<(u64, usize)> {
        let (number, end) = self.number.read(bytes, last, variables)?;
        let number = number.wrapping_mul(self.multiplier);
        let rest = number.checked_rem(self.align).unwrap_or(0);
        let number = if rest == 0 { number } else { number.wrapping_add(self.align - rest) };
        Some((number, end))
    }
}

/// Calculates with a number in the bytes and remembers the result.
#[derive(Clone, Debug)]
pub struct ByteMath {
    /// The number.
    pub number: Number,
    /// What is done.
    pub operator: Operator,
    /// With what.
    pub operand: Amount,
    /// Where the result is remembered.
    pub variable: u8,
}

/// What is done with two numbers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Operator {
    /// `+`
    Add,
    /// `-`
    Subtract,
    /// `*`
    Multiply,
    /// `/`
    Divide,
    /// `<<`
    ShiftLeft,
    /// `>>`
    ShiftRight,
}

impl ByteMath {
    /// The result, and the place behind the number.
    pub fn read(&self, bytes: &[u8], last: usize, variables: &[u64]) -> Option<(u64, usize)> {
        let (number, end) = self.number.read(bytes, last, variables)?;
        let operand = match self.operand {
            Amount::Fixed(value) => value as u64,
            Amount::Variable(at) => variables.get(usize::from(at)).copied().unwrap_or(0),
        };
        let shift = || u32::try_from(operand).ok();
        let result = match self.operator {
            Operator::Add => number.wrapping_add(operand),
            Operator::Subtract => number.wrapping_sub(operand),
            Operator::Multiply => number.wrapping_mul(operand),
            Operator::Divide => number.checked_div(operand)?,
            Operator::ShiftLeft => shift().and_then(|by| number.checked_shl(by)).unwrap_or(0),
            Operator::ShiftRight => shift().and_then(|by| number.checked_shr(by)).unwrap_or(0),
        };
        Some((result, end))
    }
}

/// Whether there are so many bytes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct IsDataAt {
    /// How many.
    pub amount: Amount,
    /// Whether they are counted from the end of the match before.
    pub relative: bool,
    /// Whether they must not be there.
    pub negated: bool,
}

impl IsDataAt {
    /// Whether it holds behind `last`, the end of the match before.
    pub fn holds(&self, length: usize, last: usize, variables: &[u64]) -> bool {
        let (length, last) = (length as i64, last as i64);
        let amount = self.amount.value(variables);
        // Absolute amounts are places, relative ones are counts.
        let holds =
            if self.relative { last.saturating_add(amount) <= length } else { amount < length };
        holds != self.negated
    }
}

pub(crate) const KEYWORDS: &[Keyword] = &[
    Keyword {
        name: "byte_test",
        aliases: &[],
        doc: "compares a number in the bytes: bytes, [!]operator, value, offset, and options",
        example: r#"alert tcp any any -> any any (content:"a"; byte_test:2,>,100,0,relative,little; sid:1;)"#,
        parse: byte_test,
    },
    Keyword {
        name: "byte_jump",
        aliases: &[],
        doc: "goes as far as a number in the bytes says: bytes, offset, and options",
        example: r#"alert tcp any any -> any any (content:"a"; byte_jump:2,0,relative; content:"b"; within:1; sid:1;)"#,
        parse: byte_jump,
    },
    Keyword {
        name: "byte_extract",
        aliases: &[],
        doc: "remembers a number in the bytes under a name: bytes, offset, name, and options",
        example: r#"alert tcp any any -> any any (byte_extract:1,0,n; content:"a"; offset:n; sid:1;)"#,
        parse: byte_extract,
    },
    Keyword {
        name: "byte_math",
        aliases: &[],
        doc: "calculates with a number in the bytes and remembers the result under a name",
        example: r"alert tcp any any -> any any (byte_math:bytes 1, offset 0, oper +, rvalue 2, result n; isdataat:n; sid:1;)",
        parse: byte_math,
    },
    Keyword {
        name: "isdataat",
        aliases: &[],
        doc: "whether there are so many bytes, or not with ! before the number",
        example: r#"alert tcp any any -> any any (content:"a"; isdataat:!1,relative; sid:1;)"#,
        parse: isdataat,
    },
];

fn byte_test(builder: &mut Builder<'_>, value: &Value<'_>) -> Result<(), Complaint> {
    let form = "bytes, operator, value, offset, and options";
    let mut arguments = Arguments::new(value, form)?;
    let length = arguments.next()?;
    let operator = arguments.next()?;
    let wanted = arguments.next()?;
    let offset = arguments.next()?;
    let (negated, operator) = match operator.strip_prefix('!') {
        // A lone ! means "not equal".
        Some("" | "=") => (true, "="),
        Some(rest) => (true, rest.trim()),
        None => (false, operator),
    };
    let compare = match operator {
        "=" | "==" => Compare::Equal,
        "<" => Compare::Less,
        "<=" => Compare::AtMost,
        ">" => Compare::Greater,
        ">=" => Compare::AtLeast,
        "&" => Compare::And,
        "^" => Compare::Xor,
        other => {
            return Err(Complaint::new(format!(
                "unknown operator {other}: expected < > <= >= = & ^, with ! before it to negate it"
            )));
        }
    };
    let value = parse::amount(builder, wanted)?;
    let mut number = Number::new(parse::amount(builder, length)?, parse::amount(builder, offset)?);
    for option in arguments.rest() {
        if !parse::option(&mut number, option, builder)? {
            return Err(parse::unknown_option(option));
        }
    }
    number.check()?;
    builder.step(Step::ByteTest(Box::new(ByteTest { number, compare, negated, value })));
    Ok(())
}

fn byte_jump(builder: &mut Builder<'_>, value: &Value<'_>) -> Result<(), Complaint> {
    let mut arguments = Arguments::new(value, "bytes, offset, and options")?;
    let length = parse::amount(builder, arguments.next()?)?;
    let offset = parse::amount(builder, arguments.next()?)?;
    let mut jump = ByteJump {
        number: Number::new(length, offset),
        multiplier: 1,
        align: false,
        from_start: false,
        from_end: false,
        post_offset: Amount::Fixed(0),
    };
    for option in arguments.rest() {
        match option.split_once(' ') {
            Some(("multiplier", by)) => jump.multiplier = parse::positive(by)?,
            Some(("post_offset", by)) => jump.post_offset = parse::amount(builder, by)?,
            None if option == "align" => jump.align = true,
            None if option == "from_beginning" => jump.from_start = true,
            None if option == "from_end" => jump.from_end = true,
            _ if parse::option(&mut jump.number, option, builder)? => {}
            _ => return Err(parse::unknown_option(option)),
        }
    }
    jump.number.check()?;
    builder.step(Step::ByteJump(Box::new(jump)));
    Ok(())
}

fn byte_extract(builder: &mut Builder<'_>, value: &Value<'_>) -> Result<(), Complaint> {
    let mut arguments = Arguments::new(value, "bytes, offset, name, and options")?;
    let length = parse::amount(builder, arguments.next()?)?;
    let offset = parse::amount(builder, arguments.next()?)?;
    let name = arguments.next()?;
    let mut number = Number::new(length, offset);
    let (mut multiplier, mut align) = (1, 0);
    for option in arguments.rest() {
        match option.split_once(' ') {
            Some(("multiplier", by)) => multiplier = parse::positive(by)?,
            Some(("align", to)) => align = parse::positive(to)?,
            _ if parse::option(&mut number, option, builder)? => {}
            _ => return Err(parse::unknown_option(option)),
        }
    }
    number.check()?;
    let variable = builder.define(name)?;
    builder.step(Step::ByteExtract(Box::new(ByteExtract { number, multiplier, align, variable })));
    Ok(())
}

fn byte_math(builder: &mut Builder<'_>, value: &Value<'_>) -> Result<(), Complaint> {
    let form = "bytes N, offset N, oper +, rvalue N, result NAME";
    let arguments = Arguments::new(value, form)?;
    let (mut length, mut offset, mut operator) = (None, None, None);
    let (mut operand, mut result) = (None, None);
    let mut options = Vec::new();
    for argument in arguments.rest() {
        match argument.split_once(' ') {
            Some(("bytes", text)) => length = Some(parse::amount(builder, text.trim())?),
            Some(("offset", text)) => offset = Some(parse::amount(builder, text.trim())?),
            Some(("rvalue", text)) => operand = Some(parse::amount(builder, text.trim())?),
            Some(("result", text)) => result = Some(text.trim()),
            Some(("oper", text)) => {
                operator = Some(match text.trim() {
                    "+" => Operator::Add,
                    "-" => Operator::Subtract,
                    "*" => Operator::Multiply,
                    "/" => Operator::Divide,
                    "<<" => Operator::ShiftLeft,
                    ">>" => Operator::ShiftRight,
                    other => {
                        return Err(Complaint::new(format!(
                            "unknown operator {other}: expected + - * / << >>"
                        )));
                    }
                });
            }
            _ => options.push(argument),
        }
    }
    let missing = |what: &str| Complaint::new(format!("{what} is missing: expected {form}"));
    let mut number = Number::new(
        length.ok_or_else(|| missing("bytes"))?,
        offset.ok_or_else(|| missing("offset"))?,
    );
    for option in options {
        if !parse::option(&mut number, option, builder)? {
            return Err(parse::unknown_option(option));
        }
    }
    number.check()?;
    let operand = operand.ok_or_else(|| missing("rvalue"))?;
    let operator = operator.ok_or_else(|| missing("oper"))?;
    if operator == Operator::Divide && operand == Amount::Fixed(0) {
        return Err(Complaint::new("nothing can be divided by 0"));
    }
    let variable = builder.define(result.ok_or_else(|| missing("result"))?)?;
    builder.step(Step::ByteMath(Box::new(ByteMath { number, operator, operand, variable })));
    Ok(())
}

fn isdataat(builder: &mut Builder<'_>, value: &Value<'_>) -> Result<(), Complaint> {
    let mut arguments = Arguments::new(value, "a number of bytes, and relative")?;
    let first = arguments.next()?;
    let (negated, amount) = match first.strip_prefix('!') {
        Some(amount) => (true, amount.trim()),
        None => (false, first),
    };
    let amount = parse::amount(builder, amount)?;
    let mut relative = false;
    for option in arguments.rest() {
        match option {
            "relative" => relative = true,
            "rawbytes" => {}
            other => return Err(parse::unknown_option(other)),
        }
    }
    builder.step(Step::IsDataAt(IsDataAt { amount, relative, negated }));
    Ok(())
}

#[cfg(test)]
mod tests;
