//! Behaviour that looks like an attack, noticed over events, and the [`alerts`] that come of it.
//!
//! A [`Detector`] sees events and says [`Detection`]s; [`DetectorSet`] runs all that are on. There
//! is no thread and no clock: time is the events' own. Each detector is one file in `detectors/`
//! and one line in its list, which makes its section of [`Config`] and its row in [`registry`].
//!
//! [`Detection`]: flowtrack_event::Detection

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

mod about;
pub mod alerts;
mod baseline;
pub mod detectors;
mod findings;
mod learned;
mod networks;
mod pace;
mod set;
mod window;
mod words;

pub use about::{About, Kind};
pub use baseline::{Baseline, Seasonal};
pub use detectors::{Config, registry};
pub use findings::Findings;
pub(crate) use flowtrack_event::Recent;
pub use learned::Learned;
pub use networks::{Net, Networks};
pub use pace::{Once, Pace};
pub(crate) use pace::{Over, lately};
pub use set::{Detector, DetectorSet};
pub(crate) use window::Minute;
pub use window::{DistinctWindow, Window};
