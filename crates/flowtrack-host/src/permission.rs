//! Whether this process may capture, before it tries.

use std::fmt;

/// Why capturing is not permitted, and what to do about it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NotPermitted {
    /// What is missing.
    pub why: String,
    /// Commands that permit it.
    pub what_to_do: String,
}

impl fmt::Display for NotPermitted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; {}", self.why, self.what_to_do)
    }
}

impl std::error::Error for NotPermitted {}

/// Whether this process may open a live capture.
///
/// On Linux that is the capability `CAP_NET_RAW`. A container without its own network may refuse
/// in spite of it; opening the capture then tells. Other systems can only be tried.
pub fn can_capture() -> Result<(), NotPermitted> {
    if cfg!(target_os = "linux") {
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        // Without /proc nothing is known, and trying is the better answer.
        if effective_capabilities(&status).is_some_and(|held| held & CAP_NET_RAW == 0) {
            return Err(not_permitted());
        }
    }
    Ok(())
}

fn not_permitted() -> NotPermitted {
    let program = std::env::current_exe()
        .map_or_else(|_| "flowtrack".to_owned(), |path| path.display().to_string());
    NotPermitted {
        why: "live capture needs the capability CAP_NET_RAW".to_owned(),
        what_to_do: format!(
            "run it with sudo, or permit it once and for all: \
             sudo setcap cap_net_raw,cap_net_admin+ep {program}"
        ),
    }
}

/// The line `CapEff:` of `/proc/PID/status`, see capabilities(7).
fn effective_capabilities(status: &str) -> Option<u64> {
    let hex = status.lines().find_map(|line| line.strip_prefix("CapEff:"))?;
    u64::from_str_radix(hex.trim(), 16).ok()
}

const CAP_NET_RAW: u64 = 1 << 13;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn capabilities_are_read_from_the_status() {
        let status = "Name:\tx\nCapPrm:\tffff\nCapEff:\t0000000000002000\nCapBnd:\tffff\n";
        assert_eq!(effective_capabilities(status), Some(CAP_NET_RAW));
        assert_eq!(effective_capabilities("CapEff:\tzz\n"), None);
        assert_eq!(effective_capabilities(""), None);
    }

    #[test]
    fn the_refusal_says_what_to_do() {
        let text = not_permitted().to_string();
        assert!(text.contains("sudo setcap cap_net_raw,cap_net_admin+ep /"), "{text}");
    }
}
