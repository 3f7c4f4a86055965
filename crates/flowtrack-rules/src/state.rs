//! What rules remember: about a flow, about hosts, and how often they fired.

mod dataset;
mod reputation;
mod shared;
mod tags;
mod texts;
mod threshold;
mod vars;

pub(crate) use texts::MAX_TEXT;

pub use dataset::{Dataset, DatasetForm, DatasetKind, DatasetSpec};
pub use reputation::{Countries, Reputation};
pub use shared::{Bit, Shared, Track, Turn};
pub use tags::{TagRequest, TagUnit, Tagged, Tags};
pub use texts::{CapturedFor, Text, Texts};
pub use threshold::{
    Count, Distinct, Limits, RateFilter, Scope, Suppress, Threshold, Thresholds, Verdict,
};
pub use vars::{FlowVars, VarId};
