//! What happens per second: cheap additions per packet, one [`Second`] when it is over.

use crate::{Asked, Response, Segment, TcpFacts};
use flowtrack_event::{Second, Share, Timestamp};

/// Adds up the current second.
///
/// A packet that is a little older than the current second counts in it, so that every second
/// comes out once; where the clock was set back further, time begins anew. Seconds without a packet
/// do not come out.
#[derive(Debug, Default)]
pub struct Rates {
    second: Second,
    /// Packets between these times count in the current second; there is none before the first
    /// packet.
    span: Option<(Timestamp, Timestamp)>,
    /// Place of the share that was counted last: packets of a protocol come in rows.
    last: usize,
}

/// Protocols told apart in one second; further ones count as `other`.
const MAX_SHARES: usize = 256;

/// Seconds that a packet may come late.
const MAX_LATE: i64 = 10;

const NANOS: i64 = 1_000_000_000;

impl Rates {
    /// Nothing counted yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Moves on to the second of `ts`; hands out the one before, where that is over.
    #[inline]
    pub fn advance(&mut self, ts: Timestamp) -> Option<Second> {
        match self.span {
            Some((from, to)) if from <= ts && ts < to => None,
            _ => self.turn(ts),
        }
    }

    /// Hands out what was counted so far.
    pub fn finish(&mut self) -> Option<Second> {
        self.span.take()?;
        self.last = 0;
        Some(std::mem::take(&mut self.second))
    }

    /// Counts a frame of a protocol: of the application where known, else of transport or network.
    #[inline]
    pub fn frame(&mut self, protocol: &'static str, bytes: u32) {
        let bytes = u64::from(bytes);
        self.second.packets += 1;
        self.second.bytes += bytes;
        // The same name is nearly always the same pointer, which is quicker to compare.
        let at = match self.second.shares.get(self.last) {
            Some(share) if std::ptr::eq(share.protocol, protocol) => self.last,
            _ => self.find(protocol),
        };
        if let Some(share) = self.second.shares.get_mut(at) {
            share.packets += 1;
            share.bytes += bytes;
        }
        self.last = at;
    }

    /// Counts what a TCP segment told.
    #[inline]
    pub fn tcp(&mut self, facts: &TcpFacts) {
        match facts.segment {
            Segment::Retransmission => self.second.tcp_retransmissions += 1,
            Segment::OutOfOrder => self.second.tcp_out_of_order += 1,
            Segment::Empty | Segment::InOrder | Segment::Ahead | Segment::KeepAlive => {}
        }
        self.second.tcp_data_segments += u64::from(facts.payload > 0);
        self.second.tcp_lost += u64::from(facts.lost_segments);
        if let Some(micros) = facts.rtt_us {
            self.second.rtt.record(micros);
        }
    }

    /// Counts the time from a request to its answer.
    pub fn response(&mut self, Response { kind, micros }: Response) {
        self.second.response.record(micros);
        match kind {
            Asked::Dns => self.second.dns.record(micros),
            Asked::Echo => self.second.echo.record(micros),
            Asked::Other => {}
        }
    }

    /// Counts a flow that began.
    pub fn flow_began(&mut self) {
        self.second.flows_new += 1;
    }

    /// Counts a flow that ended.
    pub fn flow_ended(&mut self) {
        self.second.flows_ended += 1;
    }

    #[cold]
    fn turn(&mut self, ts: Timestamp) -> Option<Second> {
        let over = self.finish();
        let at = Timestamp::from_secs(ts.secs());
        self.second.at = at;
        self.span = Some((
            Timestamp::from_nanos(at.nanos().saturating_sub(MAX_LATE * NANOS)),
            Timestamp::from_nanos(at.nanos().saturating_add(NANOS)),
        ));
        over
    }

    #[cold]
    fn find(&mut self, protocol: &'static str) -> usize {
        let shares = &mut self.second.shares;
        let same = |share: &Share| std::ptr::eq(share.protocol, protocol);
        let equal = |share: &Share| share.protocol == protocol;
        if let Some(at) = shares.iter().position(same).or_else(|| shares.iter().position(equal)) {
            return at;
        }
        if shares.len() >= MAX_SHARES {
            return match shares.iter().position(|share| share.protocol == "other") {
                Some(at) => at,
                None => {
                    shares.push(Share { protocol: "other", packets: 0, bytes: 0 });
                    shares.len() - 1
                }
            };
        }
        shares.push(Share { protocol, packets: 0, bytes: 0 });
        shares.len() - 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_come_out_when_over() {
        let mut rates = Rates::new();
        let at = |millis: i64| Timestamp::from_micros(millis * 1_000);
        assert_eq!(rates.advance(at(10_900)), None);
        rates.frame("tcp", 100);
        assert_eq!(rates.advance(at(10_999)), None);
        rates.frame("udp", 50);
        // Older than the second, but counted.
        assert_eq!(rates.advance(at(9_000)), None);
        rates.frame("tcp", 1);
        let first = rates.advance(at(15_000)).unwrap();
        assert_eq!(first.at, Timestamp::from_secs(10));
        assert_eq!((first.packets, first.bytes), (3, 151));
        let tcp = Share { protocol: "tcp", packets: 2, bytes: 101 };
        let udp = Share { protocol: "udp", packets: 1, bytes: 50 };
        assert_eq!(first.shares, [tcp, udp]);
        rates.flow_began();
        let last = rates.finish().unwrap();
        assert_eq!((last.at, last.flows_new, last.packets), (Timestamp::from_secs(15), 1, 0));
        assert_eq!(rates.finish(), None);
    }

    #[test]
    fn a_clock_that_was_set_back_goes_on() {
        let mut rates = Rates::new();
        for second in [1_000_000, 10, 11] {
            rates.advance(Timestamp::from_secs(second));
            rates.frame("tcp", 1);
        }
        assert_eq!(rates.finish().unwrap().at, Timestamp::from_secs(11));
    }

    #[test]
    fn shares_are_bounded_and_add_up() {
        let mut rates = Rates::new();
        rates.advance(Timestamp::ZERO);
        for i in 0..1_000 {
            rates.frame(Box::leak(format!("p{i}").into_boxed_str()), 10);
        }
        let second = rates.finish().unwrap();
        assert_eq!(second.shares.len(), MAX_SHARES + 1);
        assert_eq!(second.shares.iter().map(|share| share.packets).sum::<u64>(), 1_000);
    }
}
