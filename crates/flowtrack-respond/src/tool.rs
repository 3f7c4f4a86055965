//! Running the program that speaks to a firewall: no shell, arguments as they are, input by pipe,
//! and an end to patience.

use std::io::{Read, Write};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::blocker::FirewallError;

/// Runs a program; gives what it prints.
pub fn run(program: &'static str, args: &[&str], input: &[u8]) -> Result<Vec<u8>, FirewallError> {
    let path = find(program).ok_or(FirewallError::Missing(program))?;
    let refused = |message: String| FirewallError::Refused { program, message };
    let mut child = Command::new(path)
        .args(args)
        // Messages are compared, so they must not be translated.
        .env("LC_ALL", "C")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|e| refused(e.to_string()))?;
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let patience = PATIENCE + Duration::from_secs(input.len() as u64 / BYTES_A_SECOND);
    let deadline = Instant::now() + patience;
    // Three pipes at once, so that neither side waits for the other for ever. Their threads end
    // with the child, which is ended at the latest when patience is.
    std::thread::scope(|scope| {
        scope.spawn(|| stdin.map(|mut pipe| pipe.write_all(input)));
        let out = scope.spawn(|| drain(stdout));
        let err = scope.spawn(|| drain(stderr));
        let status = loop {
            match child.try_wait() {
                Ok(Some(status)) => break Some(status),
                Ok(None) if Instant::now() < deadline => std::thread::sleep(PAUSE),
                _ => {
                    let _ = child.kill();
                    let _ = child.wait();
                    break None;
                }
            }
        };
        let (out, err) = (out.join().unwrap_or_default(), err.join().unwrap_or_default());
        let message = first_lines(&err);
        match status {
            None => Err(FirewallError::Slow(program, patience.as_secs())),
            Some(status) if status.success() => Ok(out),
            Some(_)
                if ["not permitted", "ermission denied", "ccess is denied"]
                    .iter()
                    .any(|denied| message.contains(denied)) =>
            {
                Err(FirewallError::NotPermitted { program, message })
            }
            Some(status) if message.is_empty() => Err(refused(status.to_string())),
            Some(_) => Err(refused(message)),
        }
    })
}

/// Where a program stands; services often lack the folders of the system's own in their `PATH`.
pub fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin", "/sbin", "/usr/local/sbin"].map(PathBuf::from))
        .filter(|folder| folder.is_absolute())
        .map(|folder| folder.join(program))
        .find(|path| path.is_file())
}

fn drain(pipe: Option<impl Read>) -> Vec<u8> {
    let mut bytes = Vec::new();
    if let Some(pipe) = pipe {
        // What was read before an error is all there is to tell.
        let _ = pipe.take(MAX_OUTPUT).read_to_end(&mut bytes);
    }
    bytes
}

/// What `pfctl` of macOS says each time, whatever it is asked, and where it reads rules of an anchor.
fn is_noise(line: &str) -> bool {
    const SAID: [&str; 5] = [
        "No ALTQ support",
        "ALTQ related functions",
        "pfctl: Use of -f option, could result in flushing of rules",
        "present in the main ruleset added by the system at startup",
        "See /etc/pf.conf for further details",
    ];
    SAID.iter().any(|said| line.starts_with(said))
}

fn first_lines(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let lines: Vec<_> = text
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !is_noise(line))
        .take(2)
        .collect();
    lines.join(" ").chars().take(300).collect()
}

/// How long a firewall may take for a few blocks.
const PATIENCE: Duration = Duration::from_secs(20);
/// For how many bytes of input it may take a second longer. Ten thousand blocks are about a megabyte,
/// for which `nft` takes two seconds, and half a minute on a machine that is under attack.
const BYTES_A_SECOND: u64 = 10_000;
const PAUSE: Duration = Duration::from_millis(1);
/// Bytes that are read of what it prints.
const MAX_OUTPUT: u64 = 64 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_lines_that_say_something_are_kept() {
        let said = b"pfctl: Use of -f option, could result in flushing of rules\n\
            present in the main ruleset added by the system at startup.\n\
            See /etc/pf.conf for further details.\n\n\
            No ALTQ support in kernel\nALTQ related functions disabled\nstdin:1: x\n y\nz";
        assert_eq!(first_lines(said), "stdin:1: x y");
    }

    #[test]
    fn input_output_and_errors_pass() {
        let big = vec![b'x'; 1 << 20];
        assert_eq!(run("cat", &[], &big).unwrap(), big);
        let error = run("ls", &["/does/not/exist"], b"").unwrap_err();
        assert!(error.to_string().contains("No such file"), "{error}");
        assert_eq!(run("flowtrack-none", &[], b""), Err(FirewallError::Missing("flowtrack-none")));
    }
}
