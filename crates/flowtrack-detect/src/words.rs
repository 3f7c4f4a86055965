//! How detections put numbers and names.

use flowtrack_event::{Evidence, FlowId};
use std::borrow::Cow;
use std::net::IpAddr;

/// Flows that a detection names at most.
pub(crate) const MAX_FLOWS: usize = 16;

pub(crate) type Row = (Cow<'static, str>, Evidence);

/// How many.
pub(crate) fn count(name: &'static str, n: u64) -> Row {
    (Cow::Borrowed(name), Evidence::Count(n))
}

/// How much, to two decimals.
pub(crate) fn number(name: &'static str, value: f64) -> Row {
    (Cow::Borrowed(name), Evidence::Number((value * 100.0).round() / 100.0))
}

/// What.
pub(crate) fn text(name: &'static str, value: impl Into<String>) -> Row {
    (Cow::Borrowed(name), Evidence::Text(value.into()))
}

/// Which ones.
pub(crate) fn list(name: &'static str, items: impl IntoIterator<Item = String>) -> Row {
    (Cow::Borrowed(name), Evidence::List(items.into_iter().collect()))
}

/// `1 port`, `20 ports`.
pub(crate) fn plural(n: u64, one: &str) -> String {
    match n {
        1 => format!("1 {one}"),
        n => format!("{n} {one}s"),
    }
}

/// An address and its port, IPv6 in brackets; the address alone where there is no port.
pub(crate) fn at(addr: IpAddr, port: u16) -> String {
    match (addr, port) {
        (addr, 0) => addr.to_string(),
        (IpAddr::V4(v4), port) => format!("{v4}:{port}"),
        (IpAddr::V6(v6), port) => format!("[{v6}]:{port}"),
    }
}

/// Adds flows that are not there yet, so many at most.
pub(crate) fn add_flows(list: &mut Vec<FlowId>, more: impl IntoIterator<Item = FlowId>) {
    keep_first(list, more, MAX_FLOWS);
}

/// Keeps the first `most` distinct values.
pub(crate) fn keep_first<T: PartialEq>(
    list: &mut Vec<T>,
    more: impl IntoIterator<Item = T>,
    most: usize,
) {
    for value in more {
        if list.len() >= most {
            return;
        }
        if !list.contains(&value) {
            list.push(value);
        }
    }
}

/// Keeps the last `most` distinct values.
pub(crate) fn keep_last<T: PartialEq>(list: &mut Vec<T>, value: T, most: usize) {
    if list.contains(&value) {
        return;
    }
    if list.len() >= most {
        list.remove(0);
    }
    list.push(value);
}

/// Whether a name is `domain` or below it.
pub(crate) fn is_below(name: &str, domain: &str) -> bool {
    name.strip_suffix(domain).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

/// Whether a word in small letters looks as if a program had drawn its letters: hardly any two of
/// them stand together as in words.
pub(crate) fn looks_made_up(label: &str) -> bool {
    /// Pairs of letters that make up most of English and of what is close to it.
    const PAIRS: &str = "th he in er an re on at en nd ti es or te of ed is it al ar st to nt ng se \
        ha as ou io le ve co me de hi ri ro ic ne ea ra ce li ch ll be ma si om ur ca el ta la ns di \
        fo ho pe ec pr no ct us ac ot il tr ly nc et ut ss so rs un lo wa ge ie wh ee wi em ad ol rt \
        po we na ul ni ts mo ow pa im mi ai sh ir su id os iv ia am fi ci vi pl ig tu ev ld ry mp fe \
        bl ab gh ty op wo sa ay ex ke fr oo av ag if ap gr od bo sp rd do uc bu ei ov by rm ep tt oc \
        fa ef cu rn sc gi da yo cr cl du ga qu ue ff ba ey ls va um pp ua up lu go ht ru ug ds lt pi \
        rc rr eg au ck ew mu br bi pt ak pu ui rg ib tl ny ki rk ys ob mm fu ph og ms ye ud mb ip ub \
        oi rl gu dr hr cc tw ft wn nu af hu nn eo vo rv nf xp gn sm fl iz ok nl my gl aw ju oa eq sy \
        sl ps jo lf nv je nk kn gs dy hy ze ks xt bs ik dd pt ax";
    let letters = label.as_bytes();
    if letters.len() < 8 {
        return false;
    }
    let mut pairs = 0u32;
    let mut usual = 0u32;
    for pair in letters.windows(2) {
        pairs += 1;
        let is_usual = PAIRS.split_ascii_whitespace().any(|known| known.as_bytes() == pair);
        usual += u32::from(is_usual);
    }
    // Letters drawn evenly from 26 give such a pair in 4 of 10, words in 9.
    usual * 100 < pairs * 55
}
