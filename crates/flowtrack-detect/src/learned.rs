//! What detectors learned in hours and days, as plain data that outlives the program.

use flowtrack_event::{IpProto, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::IpAddr;

/// What detectors learned of a network, to be kept over a restart.
///
/// It is as bounded as what the detectors remember themselves: each of them hands over what it
/// touched last first, and takes back no more than it has room for.
#[derive(Clone, PartialEq, Default, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Learned {
    /// Form of this data; see [`Learned::VERSION`].
    version: u32,
    /// What the network does, by what is measured.
    pub(crate) network: BTreeMap<String, UsualHours>,
    /// What hosts send out.
    pub(crate) uploads: Vec<(IpAddr, Usual)>,
    /// The most connections in a minute that one source has to a service.
    pub(crate) services: Vec<(IpAddr, u16, Usual)>,
    /// The most packets and sources that hosts get in a second.
    pub(crate) targets: Vec<(IpAddr, [Usual; 2])>,
    /// When hosts called others.
    pub(crate) calls: Vec<PastCalls>,
}

impl Learned {
    /// The form that this version of the program writes, and the only one that it reads.
    pub const VERSION: u32 = 1;

    /// Nothing yet.
    pub(crate) fn new() -> Self {
        Self { version: Self::VERSION, ..Self::default() }
    }

    /// Whether this version of the program wrote it, or one that writes the same.
    pub const fn is_known(&self) -> bool {
        self.version == Self::VERSION
    }

    /// Hosts, services and measures of which something is known.
    pub fn len(&self) -> usize {
        self.network.len()
            + self.uploads.len()
            + self.services.len()
            + self.targets.len()
            + self.calls.len()
    }

    /// Whether nothing is known.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// What is taken back of a list: no more than there is room for, what was touched last in the end,
/// so that it is forgotten last.
pub(crate) fn taken_back<T: Copy>(list: &[T], room: usize) -> impl Iterator<Item = T> {
    list.iter().take(room).rev().copied()
}

/// A [`Baseline`](crate::Baseline).
#[derive(Clone, Copy, PartialEq, Default, Debug, Serialize, Deserialize)]
pub(crate) struct Usual {
    pub(crate) mean: f64,
    pub(crate) deviation: f64,
    pub(crate) samples: u64,
}

/// A [`Seasonal`](crate::Seasonal).
#[derive(Clone, PartialEq, Default, Debug, Serialize, Deserialize)]
pub(crate) struct UsualHours {
    pub(crate) all: Usual,
    pub(crate) hours: Vec<Usual>,
}

/// Calls of a host to an address and port.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct PastCalls {
    pub(crate) source: IpAddr,
    pub(crate) target: IpAddr,
    pub(crate) port: u16,
    pub(crate) proto: u8,
    pub(crate) name: String,
    pub(crate) is_quiet: bool,
    pub(crate) by_request: bool,
    pub(crate) is_established: bool,
    pub(crate) total: u64,
    /// Microseconds since the epoch and bytes of the last ones.
    pub(crate) last: Vec<(i64, u64)>,
}

impl PastCalls {
    pub(crate) fn proto(&self) -> IpProto {
        IpProto(self.proto)
    }

    /// The calls in the order of time, the last `most` of them.
    pub(crate) fn last(&self, most: usize) -> Vec<(Timestamp, u64)> {
        let from = self.last.len().saturating_sub(most);
        let mut last: Vec<_> = self
            .last
            .iter()
            .skip(from)
            .map(|&(micros, bytes)| (Timestamp::from_micros(micros), bytes))
            .collect();
        last.sort_unstable();
        last
    }
}
