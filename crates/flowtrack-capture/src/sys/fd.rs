//! Waiting for a descriptor to become readable, and telling the kernel how a file is read.

use std::fs::File;
use std::io;
use std::time::Duration;

/// Waits at most `wait` until `file`, a pipe or terminal, has something to read, or has ended.
#[cfg(unix)]
pub fn wait_readable(file: &File, wait: Duration) -> io::Result<bool> {
    use std::os::fd::AsRawFd;

    let mut poll = libc::pollfd { fd: file.as_raw_fd(), events: libc::POLLIN, revents: 0 };
    let millis = i32::try_from(wait.as_millis()).unwrap_or(i32::MAX);
    // SAFETY: the pointer is to one `pollfd`, which the call writes to and does not keep.
    match unsafe { libc::poll(&raw mut poll, 1, millis) } {
        0 => Ok(false),
        1.. => Ok(true),
        _ => match io::Error::last_os_error() {
            // A signal: the caller looks whether it shall stop.
            error if error.kind() == io::ErrorKind::Interrupted => Ok(false),
            error => Err(error),
        },
    }
}

/// Elsewhere the read itself waits, without a limit.
#[cfg(not(unix))]
pub fn wait_readable(_: &File, _: Duration) -> io::Result<bool> {
    Ok(true)
}

/// Lets the kernel read further ahead; only a hint.
#[cfg(target_os = "linux")]
pub fn advise_sequential(file: &File) {
    use std::os::fd::AsRawFd;

    // SAFETY: takes numbers only; refused for what is no file, which is fine.
    unsafe { libc::posix_fadvise(file.as_raw_fd(), 0, 0, libc::POSIX_FADV_SEQUENTIAL) };
}

/// No such hint here.
#[cfg(not(target_os = "linux"))]
pub fn advise_sequential(_: &File) {}
