//! Signatures: the rule language of Suricata, read, compiled and matched.
//!
//! Text becomes a [`Rule`] (its header and its options, each with its place), a rule becomes a
//! [`Signature`] by asking every option's [`Keyword`] to add its part to a [`Builder`], and many
//! signatures become a [`RuleSet`], which is shared by all workers and never changes. A worker's
//! [`Inspector`] holds what one worker needs to match: scratch memory and counters. What a flow has
//! to remember stands in [`FlowVars`], what hosts have to remember in [`Shared`].
//!
//! No file is read here: callers bring text.

#![cfg_attr(
    not(test),
    deny(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing,
        clippy::unreachable
    )
)]

mod builder;
mod context;
mod explain;
mod inspect;
pub mod keywords;
pub mod lang;
mod load;
mod prefilter;
mod search;
mod set;
mod signature;
pub mod state;

pub use builder::{
    Buffer, Builder, Complaint, Keyword, MAX_VARIABLES, Memory, Needs, PacketBytes, Source, Usage,
    Value,
};
pub use context::{Context, FlowScope, Requirements, TxScope};
pub use explain::{advice, explain, first_pattern, searched_first};
pub use inspect::{Clock, Counters, Hit, Inspector, On, Spent, Window};
pub use lang::{Action, Problem, Rule, Span};
pub use load::{Loaded, Loader};
pub use set::RuleSet;
pub use signature::{
    Absent, Check, Effect, FileScope, FileStoring, Kind, Search, Signature, Step, Test, Transform,
};
pub use state::{FlowVars, Shared};
