//! `modbus`: unit, function, or what is accessed.

use super::number::{Comparison, plain_number};
use crate::builder::{Builder, Complaint, Keyword, Needs, Value};
use crate::context::Context;
use crate::lang::did_you_mean;
use crate::signature::Test;
use flowtrack_event::Direction::ToServer;
use smallvec::SmallVec;

/// The family.
pub(crate) const KEYWORDS: &[Keyword] = &[Keyword {
    name: "modbus",
    aliases: &[],
    doc: "a request of Modbus: `unit 1<>9`, `function 8, subfunction 4`, `function !reserved`, or \
          `access write holding, address 500, value >200`",
    example: "alert modbus any any -> any any (modbus:access read coils, address 100<>200; sid:1;)",
    parse: modbus,
}];

/// A condition on a number of the request.
#[derive(Debug)]
struct Asks {
    asked: &'static str,
    must: Comparison,
}

impl Test for Asks {
    fn test(&self, cx: &mut Context<'_>) -> bool {
        numbers(cx, self.asked).iter().any(|number| self.must.holds(*number))
    }
}

/// A condition on one of the addresses from the first on.
#[derive(Debug)]
struct Addresses(Comparison);

impl Test for Addresses {
    fn test(&self, cx: &mut Context<'_>) -> bool {
        let quantity = numbers(cx, "modbus.quantity").first().copied().unwrap_or(1).max(1);
        numbers(cx, "modbus.address").iter().enumerate().any(|(at, first)| {
            // What is read comes first, and only of that it is known how many there are.
            let last = if at == 0 { first + quantity - 1 } else { *first };
            match self.0 {
                Comparison::Equal(address) => (*first..=last).contains(&address),
                Comparison::Between(from, to) => *first < to && last > from,
                must => must.holds(*first) || must.holds(last),
            }
        })
    }
}

fn numbers(cx: &Context<'_>, name: &str) -> SmallVec<[u64; 4]> {
    let mut numbers = SmallVec::new();
    if let Some(tx) = cx.tx {
        tx.transaction.number(ToServer, name, &mut |number| {
            if numbers.len() < 256 {
                numbers.push(number);
            }
        });
    }
    numbers
}

fn modbus(builder: &mut Builder<'_>, value: &Value<'_>) -> Result<(), Complaint> {
    let text = value.needed("such as function 8, subfunction 4")?;
    let mut accesses = false;
    for part in text.split(',').map(str::trim) {
        let (word, rest) = part.split_once(' ').unwrap_or((part, ""));
        let rest = rest.trim();
        let compared = |asked, max| Ok(Asks { asked, must: Comparison::parse(rest, max)? });
        match word {
            "unit" => builder.test(compared("modbus.unit", 255)?),
            "function" => builder.test(function(rest)?),
            "subfunction" => builder.test(compared("modbus.subfunction", 65_535)?),
            "access" => {
                builder.test(access(rest)?);
                accesses = true;
            }
            "address" if accesses => builder.test(Addresses(Comparison::parse(rest, 65_535)?)),
            "value" if accesses => builder.test(compared("modbus.value", 65_535)?),
            "address" | "value" => {
                return Err(Complaint::new(format!("{word} stands behind access")));
            }
            other => {
                let words = ["unit", "function", "subfunction", "access", "address", "value"];
                let near = did_you_mean(other, words);
                return Err(Complaint::new(format!("unknown condition \"{other}\"{near}")));
            }
        }
    }
    builder.app("modbus")?;
    builder.needs(Needs::Transaction);
    builder.toward(ToServer);
    Ok(())
}

/// A number, or a kind of functions.
fn function(text: &str) -> Result<Asks, Complaint> {
    let (negated, word) = match text.strip_prefix('!') {
        Some(word) => (true, word.trim()),
        None => (false, text),
    };
    let kinds = match word {
        "assigned" => 1,
        "unassigned" => 2,
        "public" => 3,
        "user" => 4,
        "reserved" => 8,
        "all" => 15,
        _ => {
            let number = plain_number(word, 255).map_err(Complaint::new)?;
            let must =
                if negated { Comparison::NotEqual(number) } else { Comparison::Equal(number) };
            return Ok(Asks { asked: "modbus.function", must });
        }
    };
    let must = if negated {
        Comparison::Bits { mask: kinds, value: 0 }
    } else {
        Comparison::NotBits { mask: kinds, value: 0 }
    };
    Ok(Asks { asked: "modbus.category", must })
}

/// Read or write, and maybe what.
fn access(text: &str) -> Result<Asks, Complaint> {
    let mut mask = 0;
    for word in text.split_whitespace() {
        mask |= match word {
            "read" => 1,
            "write" => 2,
            "discretes" => 4,
            "coils" => 8,
            "input" => 16,
            "holding" => 32,
            _ => {
                let words = ["read", "write", "discretes", "coils", "input", "holding"];
                let near = did_you_mean(word, words);
                return Err(Complaint::new(format!("unknown access \"{word}\"{near}")));
            }
        };
    }
    let (read, write) = (mask & 1 != 0, mask & 2 != 0);
    if !read && !write {
        return Err(Complaint::new("access is read or write"));
    }
    Ok(Asks { asked: "modbus.access", must: Comparison::Bits { mask, value: mask } })
}
