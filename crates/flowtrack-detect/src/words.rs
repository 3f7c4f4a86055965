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
