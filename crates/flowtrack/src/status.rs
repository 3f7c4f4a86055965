//! How the program ended.

use crate::config::Wrong;
use flowtrack_capture::{FilterError, SourceError};
use std::process::ExitCode;

/// The exit status; the larger one wins where several things went wrong.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Debug)]
pub enum Status {
    /// All well.
    #[default]
    Ok = 0,
    /// Some input was broken; what could be read is kept.
    Broken = 1,
    /// Wrong usage or configuration.
    Usage = 2,
    /// The system failed: permission, disk.
    Failed = 3,
}

impl Status {
    /// What an error means, by the first cause that is known.
    pub fn of(error: &anyhow::Error) -> Self {
        error
            .chain()
            .find_map(|cause| {
                if let Some(source) = cause.downcast_ref::<SourceError>() {
                    return Some(Self::of_source(source));
                }
                if cause.downcast_ref::<FilterError>().is_some() || cause.is::<Wrong>() {
                    return Some(Self::Usage);
                }
                None
            })
            .unwrap_or(Self::Failed)
    }

    /// What an error of a packet source means.
    pub fn of_source(error: &SourceError) -> Self {
        match error {
            SourceError::Broken { .. } => Self::Broken,
            SourceError::Filter(_) => Self::Usage,
            SourceError::System { .. } => Self::Failed,
        }
    }
}

impl From<Status> for ExitCode {
    fn from(status: Status) -> Self {
        Self::from(status as u8)
    }
}
