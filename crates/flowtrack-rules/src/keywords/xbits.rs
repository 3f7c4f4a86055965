//! `xbits` and `hostbits`: marks on hosts, pairs of hosts and transactions.

use crate::builder::{Builder, Complaint, Keyword, Memory, Usage, Value};
use crate::context::Context;
use crate::lang::did_you_mean;
use crate::signature::{Effect, Test};
use crate::state::{Bit, Track, VarId};

/// The family.
pub(crate) const KEYWORDS: &[Keyword] = &[
    Keyword {
        name: "xbits",
        aliases: &[],
        doc: "sets, clears or asks for a named mark on a host, a pair of hosts or a transaction",
        example: r#"alert tcp any any -> any any (content:"a"; xbits:set,seen,track ip_src,expire 60; sid:1;)"#,
        parse: xbits,
    },
    Keyword {
        name: "hostbits",
        aliases: &[],
        doc: "sets, clears or asks for a named mark on the sender or the receiver, those of `xbits` with `track ip_src` and `ip_dst` too; it holds for 300 seconds or as many as are given",
        example: r#"alert tcp any any -> any any (content:"a"; hostbits:set,seen,src,3600; sid:1;)"#,
        parse: hostbits,
    },
];

/// Seconds that a mark of `xbits` holds unless said otherwise.
const XBIT_SECONDS: u32 = 30;
/// Seconds that a mark of `hostbits` holds.
const HOSTBIT_SECONDS: u32 = 300;

#[derive(Clone, Debug)]
struct Mark {
    names: Vec<VarId>,
    /// One of them is enough.
    tracks: Vec<Track>,
}

impl Mark {
    fn bits<'a>(&'a self, cx: &'a Context<'_>) -> impl Iterator<Item = Bit> + 'a {
        let flow = cx.flow.as_ref().map(|flow| flow.context.id);
        let tx = flow.zip(cx.tx.map(|tx| tx.id));
        self.names.iter().flat_map(move |name| {
            self.tracks.iter().filter_map(move |track| Bit::of(*name, *track, cx.key.as_ref(), tx))
        })
    }
}

#[derive(Debug)]
struct IsSet(Mark, bool);

impl Test for IsSet {
    fn test(&self, cx: &mut Context<'_>) -> bool {
        let mut known = false;
        let is_set = self.0.bits(cx).any(|bit| {
            known = true;
            cx.shared.has(bit, cx.ts)
        });
        known && is_set == self.1
    }

    fn cost(&self) -> u8 {
        9
    }
}

#[derive(Clone, Copy, Debug)]
enum Change {
    Set(u32),
    Unset,
    Toggle(u32),
}

#[derive(Debug)]
struct ChangeBit(Mark, Change);

impl Effect for ChangeBit {
    fn apply(&self, cx: &mut Context<'_>) {
        let mut forgotten = 0;
        for bit in self.0.bits(cx) {
            match self.1 {
                Change::Toggle(_) if cx.shared.has(bit, cx.ts) => cx.shared.unset(bit),
                Change::Set(seconds) | Change::Toggle(seconds) => {
                    forgotten += u64::from(!cx.shared.set(bit, cx.ts, seconds));
                }
                Change::Unset => cx.shared.unset(bit),
            }
        }
        cx.forgotten += forgotten;
    }
}

const COMMANDS: &[&str] = &["set", "unset", "toggle", "isset", "isnotset", "noalert"];

fn add(
    builder: &mut Builder<'_>,
    memory: Memory,
    command: &str,
    mark: Mark,
    seconds: u32,
) -> Result<(), Complaint> {
    let change = match command {
        "isset" | "isnotset" => {
            builder.usage(memory, Usage::Read);
            builder.test(IsSet(mark, command == "isset"));
            return Ok(());
        }
        "set" => Change::Set(seconds),
        "unset" => Change::Unset,
        "toggle" => Change::Toggle(seconds),
        other => {
            let near = did_you_mean(other, COMMANDS.iter().copied());
            return Err(Complaint::new(format!("unknown command \"{other}\"{near}")));
        }
    };
    builder.usage(memory, Usage::Write);
    builder.effect(ChangeBit(mark, change));
    Ok(())
}

fn xbits(builder: &mut Builder<'_>, value: &Value<'_>) -> Result<(), Complaint> {
    let text = value.needed("such as set,name,track ip_src,expire 60")?;
    if text == "noalert" {
        builder.noalert = true;
        return Ok(());
    }
    let mut parts = text.split(',').map(str::trim);
    let (command, name) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    if name.is_empty() {
        return Err(Complaint::new(format!("{command} needs a name")));
    }
    let (mut track, mut seconds) = (None, XBIT_SECONDS);
    for part in parts {
        match part.split_once(' ').map(|(word, rest)| (word, rest.trim())) {
            Some(("track", "ip_src")) => track = Some(Track::Source),
            Some(("track", "ip_dst")) => track = Some(Track::Destination),
            Some(("track", "ip_pair")) => track = Some(Track::Pair),
            Some(("track", "tx")) => track = Some(Track::Transaction),
            Some(("expire", number)) => seconds = seconds_of(number)?,
            _ => {
                return Err(Complaint::new(format!(
                    "\"{part}\" is not known here; expected track ip_src, ip_dst, ip_pair or tx, \
                     and expire with seconds"
                )));
            }
        }
    }
    let track =
        track.ok_or_else(|| Complaint::new("expected track ip_src, ip_dst, ip_pair or tx"))?;
    let names = name.split('|').map(|name| VarId::of(name.trim())).collect();
    // Marks of a host are the same, whichever keyword sets and asks for them.
    let memory = match track {
        Track::Source | Track::Destination => Memory::HostBits,
        Track::Pair | Track::Transaction => Memory::XBits,
    };
    add(builder, memory, command, Mark { names, tracks: vec![track] }, seconds)
}

fn hostbits(builder: &mut Builder<'_>, value: &Value<'_>) -> Result<(), Complaint> {
    let text = value.needed("such as set,name,src")?;
    if text == "noalert" {
        builder.noalert = true;
        return Ok(());
    }
    let parts: Vec<&str> = text.split(',').map(str::trim).collect();
    let (command, names, end, seconds) = match *parts.as_slice() {
        [command, names] => (command, names, "src", None),
        [command, names, end] => (command, names, end, None),
        [command, names, end, seconds] => (command, names, end, Some(seconds)),
        _ => {
            return Err(Complaint::new(
                "expected a command, a name, src, dst or both, and for how many seconds",
            ));
        }
    };
    let seconds = seconds.map_or(Ok(HOSTBIT_SECONDS), seconds_of)?;
    if names.is_empty() {
        return Err(Complaint::new(format!("{command} needs a name")));
    }
    let tracks = match end {
        "src" => vec![Track::Source],
        "dst" => vec![Track::Destination],
        "both" => vec![Track::Source, Track::Destination],
        other => {
            return Err(Complaint::new(format!(
                "unknown host \"{other}\"; expected src, dst or both"
            )));
        }
    };
    let names = names.split('|').map(|name| VarId::of(name.trim())).collect();
    add(builder, Memory::HostBits, command, Mark { names, tracks }, seconds)
}

fn seconds_of(text: &str) -> Result<u32, Complaint> {
    let wrong = || Complaint::new(format!("\"{text}\" is no number of seconds"));
    text.parse().ok().filter(|&seconds| seconds > 0).ok_or_else(wrong)
}
