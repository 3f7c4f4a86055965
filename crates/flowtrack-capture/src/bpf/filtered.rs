//! A source with a filter behind it, for what cannot filter by itself.

use super::{Filter, FilterError};
use crate::batch::{Batch, Handler};
use crate::{Burst, Interface, PacketSource, SourceError};
use flowtrack_event::{CaptureStats, LinkType, RawPacket, Verdict};
use std::time::Duration;

/// The packets of `S` that a filter wants; the others are counted.
///
/// A burst of which nothing is wanted is [`Burst::Packets`] of none.
pub struct Filtered<S> {
    source: S,
    expression: String,
    /// For each link type seen so far; none for one that the expression cannot be about, whose
    /// packets are not wanted.
    filters: Vec<(LinkType, Option<Filter>)>,
    unwanted: u64,
    failure: Option<FilterError>,
    over: bool,
}

impl<S: PacketSource> Filtered<S> {
    /// What files hold at most of a packet.
    const SNAPLEN: u32 = 256 * 1024;

    /// Puts a filter behind `source`.
    ///
    /// # Errors
    /// Where the expression is wrong whatever the link type. One that fits no link type of the
    /// capture is reported when the first packet comes.
    pub fn new(source: S, expression: &str) -> Result<Self, FilterError> {
        let mut filters = Vec::new();
        match Filter::compile(expression, LinkType::ETHERNET, Self::SNAPLEN) {
            Ok(filter) => filters.push((LinkType::ETHERNET, Some(filter))),
            Err(FilterError::Wrong(wrong)) if !wrong.syntax => {}
            Err(error) => return Err(error),
        }
        let expression = expression.to_owned();
        Ok(Self { source, expression, filters, unwanted: 0, failure: None, over: false })
    }

    /// The source below.
    pub fn get_ref(&self) -> &S {
        &self.source
    }
}

impl<S: PacketSource> PacketSource for Filtered<S> {
    fn next_burst(&mut self, wait: Duration, f: &mut Handler<'_>) -> Result<Burst, SourceError> {
        if self.over {
            return Ok(Burst::End);
        }
        let Self { source, expression, filters, unwanted, failure, .. } = self;
        let mut wanted = 0;
        let burst = source.next_burst(wait, &mut |packets, verdicts| {
            for (packets, verdicts) in
                packets.chunks(Batch::CAPACITY).zip(verdicts.chunks_mut(Batch::CAPACITY))
            {
                wanted += sift(
                    packets,
                    verdicts,
                    |packet| {
                        if failure.is_some() {
                            return false;
                        }
                        match filter_for(packet.link, expression, filters) {
                            Ok(filter) => filter.is_some_and(|filter| filter.matches(packet)),
                            Err(error) => {
                                *failure = Some(error);
                                false
                            }
                        }
                    },
                    f,
                );
                *unwanted += packets.len() as u64;
            }
        });
        *unwanted -= wanted as u64;
        if let Some(failure) = failure.take() {
            self.over = true;
            return Err(failure.into());
        }
        match burst {
            Ok(Burst::Packets(_)) => Ok(Burst::Packets(wanted)),
            other => other,
        }
    }

    fn interfaces(&self) -> &[Interface] {
        self.source.interfaces()
    }

    fn stats(&mut self) -> CaptureStats {
        let mut stats = self.source.stats();
        stats.filtered += self.unwanted;
        stats
    }

    fn progress(&self) -> (u64, Option<u64>) {
        self.source.progress()
    }
}

/// Link types that a filter is made for; no real capture has so many.
const MAX_LINKS: usize = 64;

/// Hands the wanted ones of at most a batch of packets to `f`, and puts its verdicts where the
/// packets stood; answers how many they were.
fn sift(
    packets: &[RawPacket<'_>],
    verdicts: &mut [Verdict],
    mut wanted: impl FnMut(&RawPacket<'_>) -> bool,
    f: &mut Handler<'_>,
) -> usize {
    let mut batch = Batch::new();
    let mut places = [0_u8; Batch::CAPACITY];
    for (place, packet) in packets.iter().enumerate() {
        if wanted(packet) {
            places[batch.len()] = place as u8;
            batch.push(*packet);
        }
    }
    let count = batch.len();
    let answers = batch.deliver(f);
    for (&place, answer) in places[..count].iter().zip(answers) {
        verdicts[usize::from(place)] = answer;
    }
    count
}

/// The filter for a link type, made when its first packet comes.
fn filter_for<'f>(
    link: LinkType,
    expression: &str,
    filters: &'f mut Vec<(LinkType, Option<Filter>)>,
) -> Result<Option<&'f Filter>, FilterError> {
    if let Some(at) = filters.iter().position(|&(known, _)| known == link) {
        return Ok(filters[at].1.as_ref());
    }
    if filters.len() == MAX_LINKS {
        return Ok(None);
    }
    let filter = match Filter::compile(expression, link, Filtered::<crate::FileSource>::SNAPLEN) {
        Ok(filter) => Some(filter),
        // Sound, but about something that these frames do not have.
        Err(FilterError::Wrong(wrong)) if !filters.is_empty() => {
            tracing::warn!(link = link.0, reason = wrong.message, "the filter wants none of these");
            None
        }
        Err(error) => return Err(error),
    };
    let at = filters.len();
    filters.push((link, filter));
    Ok(filters[at].1.as_ref())
}
