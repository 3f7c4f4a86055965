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

/// An error with its causes in one line, each said once, and what to do about a lack of rights.
pub fn told(error: &anyhow::Error) -> String {
    let mut text = String::new();
    for cause in error.chain() {
        let cause = cause.to_string();
        // Many errors name their cause themselves.
        if !text.contains(&cause) {
            if !text.is_empty() {
                text += ": ";
            }
            text += &cause;
        }
    }
    let denied = error.chain().any(|cause| {
        cause
            .downcast_ref::<std::io::Error>()
            .is_some_and(|e| e.kind() == std::io::ErrorKind::PermissionDenied)
    });
    // Who says already what to do is not talked over.
    if denied && !["sudo", "--data-dir"].iter().any(|advice| text.contains(advice)) {
        text += "; run it as the owner of that file or folder, or with sudo";
    }
    text
}

impl From<Status> for ExitCode {
    fn from(status: Status) -> Self {
        Self::from(status as u8)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flowtrack_store::history::OpenError;
    use std::io::{Error, ErrorKind};

    #[test]
    fn each_cause_is_said_once() {
        let source = Error::new(ErrorKind::NotFound, "no such file");
        let error = OpenError::Io { path: "x".into(), source };
        let error = anyhow::Error::new(error).context("nothing is read");
        assert_eq!(told(&error), "nothing is read: cannot open history x: no such file");
    }

    #[test]
    fn a_lack_of_rights_says_what_to_do() {
        let denied = || Error::new(ErrorKind::PermissionDenied, "denied");
        let error = anyhow::Error::new(denied()).context("cannot read x");
        assert_eq!(
            told(&error),
            "cannot read x: denied; run it as the owner of that file or folder, or with sudo"
        );
        let error = anyhow::Error::new(denied()).context("cannot read x; try sudo");
        assert_eq!(told(&error), "cannot read x; try sudo: denied");
    }
}
