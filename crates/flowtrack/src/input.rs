//! Capture files as packet sources.

use flowtrack_capture::{FileOptions, FileSource, Filtered, PacketSource};
use std::path::Path;

/// Opens a capture file, with a filter where one is given.
pub fn open(path: &Path, filter: Option<&str>) -> anyhow::Result<Box<dyn PacketSource>> {
    let file = FileSource::open(path, FileOptions::default())?;
    Ok(match filter {
        Some(expression) => Box::new(Filtered::new(file, expression)?),
        None => Box::new(file),
    })
}
