//! The bytes of a file or of standard input, as they are stored.

use crate::sys::fd;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::time::Duration;

/// An open file, pipe or terminal.
pub struct Raw {
    file: File,
    /// Bytes in all; none of what is no regular file.
    size: Option<u64>,
    /// Whether reading may have to wait for somebody else.
    is_pipe: bool,
    read: u64,
    wait: Duration,
}

impl Raw {
    pub fn open(path: &Path) -> io::Result<Self> {
        Self::new(File::open(path)?)
    }

    /// Standard input, without the small buffer that Rust puts before it.
    pub fn standard_input() -> io::Result<Self> {
        #[cfg(unix)]
        let own = std::os::fd::AsFd::as_fd(&io::stdin()).try_clone_to_owned()?;
        #[cfg(windows)]
        let own = std::os::windows::io::AsHandle::as_handle(&io::stdin()).try_clone_to_owned()?;
        Self::new(File::from(own))
    }

    fn new(file: File) -> io::Result<Self> {
        let meta = file.metadata()?;
        let size = meta.is_file().then_some(meta.len());
        if size.is_some() {
            fd::advise_sequential(&file);
        }
        let is_pipe = !meta.is_file() && !meta.is_dir();
        Ok(Self { file, size, is_pipe, read: 0, wait: Duration::ZERO })
    }

    /// Whether reading may have to wait for somebody else.
    pub fn is_pipe(&self) -> bool {
        self.is_pipe
    }

    /// How long a read may wait for a pipe before it fails with [`io::ErrorKind::WouldBlock`].
    pub fn allow(&mut self, wait: Duration) {
        self.wait = wait;
    }

    /// Bytes read and, where known, all there are.
    pub fn progress(&self) -> (u64, Option<u64>) {
        (self.read, self.size)
    }
}

impl Read for Raw {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.is_pipe && !fd::wait_readable(&self.file, self.wait)? {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        loop {
            match self.file.read(into) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
                Ok(n) => {
                    self.read += n as u64;
                    return Ok(n);
                }
            }
        }
    }
}
