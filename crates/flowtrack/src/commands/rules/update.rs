//! `flowtrack rules update`: fetches sets of rules.
//!
//! Each source gets a folder of its own below `rules` in the data directory, which is replaced as
//! a whole once the new rules are there and can be read. A source that fails keeps its old rules.

use super::super::print;
use crate::config::Config;
use crate::rules::files::{Places, folder, read};
use crate::status::Status;
use anyhow::{Context as _, bail};
use std::ffi::OsStr;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// What one source may be packed, and unpacked.
const MAX_PACKED: u64 = 256 << 20;
const MAX_UNPACKED: u64 = 1 << 30;

/// Files of one source.
const MAX_FILES: usize = 10_000;

/// Seconds that fetching one source may take.
const PATIENCE: &str = "300";

/// Runs the command.
pub fn run(sources: &[String], config: &Config, data_dir: &Path) -> anyhow::Result<Status> {
    let sources = if sources.is_empty() { &config.rules.sources } else { sources };
    if sources.is_empty() {
        print("no sources: name one, or set rules.sources\n")?;
        return Ok(Status::Ok);
    }
    let folder = folder(data_dir);
    std::fs::create_dir_all(&folder)
        .with_context(|| format!("cannot make the folder {}", folder.display()))?;
    let mut status = Status::Ok;
    for source in sources {
        match update(source, &folder, config) {
            Ok(report) => print(&format!("{source}: {report}\n"))?,
            Err(e) => {
                eprintln!("flowtrack: {source}: {e:#}");
                status = Status::Failed;
            }
        }
    }
    Ok(status)
}

/// Fetches one source and puts it in its place; says what it holds.
fn update(source: &str, folder: &Path, config: &Config) -> anyhow::Result<String> {
    let name = name_of(source);
    let bytes = fetch(source)?;
    let files = unpack(source, &bytes)?;
    let draft = folder.join(format!(".{name}.new"));
    remove(&draft)?;
    std::fs::create_dir_all(&draft)
        .with_context(|| format!("cannot make the folder {}", draft.display()))?;
    for (file, content) in &files {
        let path = draft.join(file);
        std::fs::write(&path, content)
            .with_context(|| format!("cannot write {}", path.display()))?;
    }
    let rules: Vec<PathBuf> = files
        .iter()
        .map(|(file, _)| draft.join(file))
        .filter(|path| path.extension() == Some(OsStr::new("rules")))
        .collect();
    let read = read(&Places::exactly(&rules), config)?.loaded;
    if read.signatures.is_empty() {
        remove(&draft)?;
        bail!("none of its {} rules can be loaded; the old ones stay", read.read);
    }
    let place = folder.join(&name);
    let old = folder.join(format!(".{name}.old"));
    remove(&old)?;
    if place.is_dir() {
        std::fs::rename(&place, &old)
            .with_context(|| format!("cannot move {}", place.display()))?;
    }
    std::fs::rename(&draft, &place).with_context(|| format!("cannot move {}", draft.display()))?;
    remove(&old)?;
    let skipped: u32 = read.skipped.values().sum();
    Ok(format!(
        "{} rules in {}: {} can be loaded, {} wrong, {skipped} left out",
        read.read,
        place.display(),
        read.signatures.len(),
        read.refused
    ))
}

/// A name for the folder of a source: the last part of it, without what tells how it is packed.
fn name_of(source: &str) -> String {
    let last = source.trim_end_matches('/').rsplit('/').next().unwrap_or(source);
    let last = last.split(['?', '#']).next().unwrap_or(last);
    let stem = [".tar.gz", ".tgz", ".rules.gz", ".rules", ".tar"]
        .iter()
        .find_map(|end| last.strip_suffix(end))
        .unwrap_or(last);
    let name: String = stem
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.') { c } else { '_' })
        .collect();
    let name = name.trim_start_matches('.');
    if name.is_empty() { "source".to_owned() } else { name.to_owned() }
}

/// The bytes of a source: a file, or what `curl` fetches.
fn fetch(source: &str) -> anyhow::Result<Vec<u8>> {
    if !source.starts_with("https://") && !source.starts_with("http://") {
        let file = std::fs::File::open(source).context("cannot open it")?;
        return at_most(file, MAX_PACKED);
    }
    // Fetching over TLS needs the roots of trust of the system and its proxies; `curl` knows both.
    let mut curl = Command::new("curl")
        .args(["--fail", "--silent", "--show-error", "--location", "--proto", "=https,http"])
        .args(["--max-time", PATIENCE, "--"])
        .arg(source)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .context("cannot run curl, which fetches URLs; install it, or name a file")?;
    let output = curl.stdout.take().expect("standard output is piped");
    let bytes = at_most(output, MAX_PACKED);
    if bytes.is_err() {
        // It would wait for a reader for ever.
        let _ = curl.kill();
    }
    let status = curl.wait().context("cannot wait for curl")?;
    let bytes = bytes?;
    if !status.success() {
        bail!("curl could not fetch it ({status})");
    }
    Ok(bytes)
}

/// All bytes of a reader, where they are not more than `limit`.
fn at_most(reader: impl std::io::Read, limit: u64) -> anyhow::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    reader.take(limit + 1).read_to_end(&mut bytes).context("cannot read it")?;
    if bytes.len() as u64 > limit {
        bail!("it is larger than {} MiB", limit >> 20);
    }
    Ok(bytes)
}

/// The files of rules in a source, and those that stand beside rules, each once.
fn unpack(source: &str, bytes: &[u8]) -> anyhow::Result<Vec<(String, Vec<u8>)>> {
    let unpacked;
    let bytes = if bytes.starts_with(&[0x1f, 0x8b]) {
        unpacked = at_most(flate2::read::MultiGzDecoder::new(bytes), MAX_UNPACKED)
            .context("it cannot be unpacked")?;
        &unpacked
    } else {
        bytes
    };
    let mut files: Vec<(String, Vec<u8>)> = Vec::new();
    if is_tar(bytes) {
        for (path, content) in tar(bytes)? {
            // Folders are not kept: nothing of an archive may choose where it is written.
            let name = path.rsplit('/').next().unwrap_or_default();
            let known = files.iter().any(|(file, _)| file == name);
            if is_wanted(name) && !known && files.len() < MAX_FILES {
                files.push((name.to_owned(), content.to_owned()));
            }
        }
    } else {
        files.push((format!("{}.rules", name_of(source)), bytes.to_owned()));
    }
    if files.is_empty() {
        bail!("there are no rules in it");
    }
    Ok(files)
}

/// Files that rules are read from, or that stand beside them.
fn is_wanted(name: &str) -> bool {
    let path = Path::new(name);
    let plain = !name.starts_with('.') && !name.contains('\\');
    let known_end =
        ["rules", "lst", "csv"].iter().any(|end| path.extension() == Some(OsStr::new(end)));
    plain && (known_end || matches!(name, "classification.config" | "reference.config"))
}

/// Length of a block of a tar archive.
const BLOCK: usize = 512;

fn is_tar(bytes: &[u8]) -> bool {
    bytes.get(257..262) == Some(b"ustar")
}

/// The plain files of a tar archive (POSIX.1 ustar, with long names as GNU writes them).
fn tar(bytes: &[u8]) -> anyhow::Result<Vec<(String, &[u8])>> {
    let mut files = Vec::new();
    let mut rest = bytes;
    let mut long_name: Option<String> = None;
    while let Some((header, behind)) = rest.split_at_checked(BLOCK) {
        if header.iter().all(|byte| *byte == 0) {
            break;
        }
        let digits = text(&header[124..136]);
        let size = usize::from_str_radix(digits.trim(), 8)
            .map_err(|_| anyhow::anyhow!("the archive is damaged: \"{digits}\" is no length"))?;
        let content = behind.get(..size).context("the archive ends early")?;
        rest = behind.get(size.next_multiple_of(BLOCK)..).unwrap_or_default();
        match header[156] {
            b'0' | 0 => {
                let prefix = text(&header[345..500]);
                let name = text(&header[..100]);
                let short = if prefix.is_empty() { name } else { format!("{prefix}/{name}") };
                files.push((long_name.take().unwrap_or(short), content));
            }
            b'L' => long_name = Some(text(content)),
            // Folders, links and attributes.
            _ => long_name = None,
        }
    }
    Ok(files)
}

/// Text up to its first zero.
fn text(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    String::from_utf8_lossy(&bytes[..end]).into_owned()
}

/// Removes a folder, where there is one.
fn remove(folder: &Path) -> anyhow::Result<()> {
    match std::fs::remove_dir_all(folder) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
            Err(e).with_context(|| format!("cannot remove {}", folder.display()))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    /// An archive with these files.
    fn archive(files: &[(&str, &str)]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (name, content) in files {
            let mut header = [0u8; BLOCK];
            header[..name.len()].copy_from_slice(name.as_bytes());
            let size = format!("{:011o}", content.len());
            header[124..135].copy_from_slice(size.as_bytes());
            header[156] = b'0';
            header[257..262].copy_from_slice(b"ustar");
            bytes.extend(header);
            bytes.extend(content.as_bytes());
            bytes.resize(bytes.len().next_multiple_of(BLOCK), 0);
        }
        bytes.extend([0; 2 * BLOCK]);
        bytes
    }

    fn packed(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    const RULE: &str = "alert ip any any -> any any (msg:\"x\"; ttl:1; sid:1;)\n";

    #[test]
    fn archives_give_their_rules_and_nothing_else() {
        let bytes = packed(&archive(&[
            ("rules/a.rules", RULE),
            ("rules/../../evil.rules", RULE),
            ("rules/LICENSE", "x"),
            ("rules/classification.config", ""),
        ]));
        let files = unpack("set.tar.gz", &bytes).unwrap();
        let names: Vec<_> = files.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["a.rules", "evil.rules", "classification.config"]);
        assert_eq!(files[0].1, RULE.as_bytes());
        assert!(unpack("x", &archive(&[("README", "x")])).is_err());
        let cut = &archive(&[("a.rules", &RULE.repeat(40))])[..1024];
        assert!(unpack("x", cut).unwrap_err().to_string().contains("ends early"));
    }

    #[test]
    fn sources_have_names_of_their_own() {
        assert_eq!(name_of("https://x.org/open/emerging.rules.tar.gz"), "emerging.rules");
        assert_eq!(name_of("/a/b/my set.rules"), "my_set");
        assert_eq!(name_of("https://x.org/.rules?a=/"), "source");
        assert_eq!(name_of("https://x.org/list.rules?key=1"), "list");
    }

    #[test]
    fn a_source_replaces_its_rules_and_keeps_them_where_it_fails() {
        let dir = tempfile::tempdir().unwrap();
        let source = dir.path().join("set.tar.gz");
        let config = Config::default();
        let folder = folder(dir.path());
        std::fs::create_dir_all(&folder).unwrap();
        let place = folder.join("set");
        let name = source.to_str().unwrap();
        std::fs::write(&source, packed(&archive(&[("a.rules", RULE)]))).unwrap();
        assert!(update(name, &folder, &config).unwrap().contains("1 can be loaded"));
        std::fs::write(&source, packed(&archive(&[("b.rules", RULE)]))).unwrap();
        update(name, &folder, &config).unwrap();
        assert!(place.join("b.rules").is_file() && !place.join("a.rules").exists());
        std::fs::write(&source, packed(&archive(&[("c.rules", "nonsense")]))).unwrap();
        assert!(update(name, &folder, &config).is_err());
        std::fs::write(&source, "garbage").unwrap();
        assert!(update(name, &folder, &config).is_err());
        assert!(place.join("b.rules").is_file());
        assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 1, "nothing is left over");
    }
}
