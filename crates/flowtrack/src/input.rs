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

/// Opens a capture file that was open before.
pub fn reopen(
    path: &Path,
    filter: Option<&str>,
) -> Result<Box<dyn PacketSource>, flowtrack_capture::SourceError> {
    open(path, filter).map_err(|e| match e.downcast() {
        Ok(source) => source,
        Err(other) => flowtrack_capture::SourceError::Filter(other.to_string()),
    })
}
