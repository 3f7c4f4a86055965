//! The corpus of captures, and what the built program makes of them.

use serde_json::Value;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Where the corpus is.
pub struct Corpus(PathBuf);

impl Corpus {
    /// The corpus, or nothing with a printed reason.
    pub fn find() -> Option<Self> {
        let root = std::env::var_os("FLOWTRACK_CORPUS").map_or_else(
            || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/corpus"),
            PathBuf::from,
        );
        if root.join("facts.jsonl").is_file() {
            return Some(Self(root));
        }
        println!("skipped: no corpus at {}; set FLOWTRACK_CORPUS", root.display());
        None
    }

    pub fn read(&self, file: &str) -> String {
        let bytes = std::fs::read(self.0.join(file)).unwrap_or_else(|e| panic!("{file}: {e}"));
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Where a file of the corpus is.
    pub fn path(&self, file: &str) -> PathBuf {
        self.0.join(file)
    }

    /// What other programs measured, one object for each capture.
    pub fn facts(&self) -> Vec<Value> {
        self.read("facts.jsonl").lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// Captures of a folder beside which stands `<capture><suffix>`, sorted.
    pub fn captures_with(&self, folder: &str, suffix: &str) -> Vec<String> {
        let entries = std::fs::read_dir(self.0.join(folder)).unwrap();
        let mut captures: Vec<String> = entries
            .filter_map(|entry| {
                let name = entry.unwrap().file_name().into_string().ok()?;
                Some(format!("{folder}/{}", name.strip_suffix(suffix)?))
            })
            .filter(|capture| self.0.join(capture).is_file())
            .collect();
        captures.sort();
        captures
    }

    /// Runs the program over captures, each on its own.
    pub fn analyze(&self, captures: &[String]) -> Analysis {
        let folder = tempfile::tempdir().unwrap();
        let status = Command::new(env!("CARGO_BIN_EXE_flowtrack"))
            .args(["analyze", "--each", "--eve"])
            .arg(folder.path())
            .args(captures.iter().map(|capture| self.0.join(capture)))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .unwrap();
        // 1 says that a capture is broken, and that the rest was read.
        assert!(matches!(status.code(), Some(0 | 1)), "{status}");
        Analysis(folder)
    }
}

/// The events of captures.
pub struct Analysis(tempfile::TempDir);

impl Analysis {
    /// Events of the capture at a place of the list.
    pub fn events(&self, index: usize) -> Vec<Value> {
        let text = std::fs::read_to_string(self.0.path().join(format!("{index:06}.eve.json")));
        text.unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

/// Protocol and both ends of a flow, whichever way it went.
pub type Pair = (String, [(IpAddr, u16); 2]);

pub fn pair(proto: &str, mut ends: [(IpAddr, u16); 2]) -> Pair {
    ends.sort_unstable();
    (proto.to_ascii_lowercase(), ends)
}

/// The pair that an event is about.
pub fn pair_of(event: &Value) -> Option<Pair> {
    let end = |ip: &str, port: &str| {
        let ip = event[ip].as_str()?.parse().ok()?;
        Some((ip, event[port].as_u64().unwrap_or(0) as u16))
    };
    let ends = [end("src_ip", "src_port")?, end("dest_ip", "dest_port")?];
    Some(pair(event["proto"].as_str()?, ends))
}
