//! How a person's words reach the responder: over a socket in the data folder, which only who may
//! write that folder can open.
//!
//! One line of JSON goes each way, then the connection ends.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::book::{Block, PastBlock};
use crate::net::What;
use crate::responder::{Request, RespondStats};

/// What a person wants.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case")]
pub enum Command {
    /// Block these, all or none.
    Block {
        /// What, and for how long.
        requests: Vec<Request>,
    },
    /// Undo these blocks; all where none is named.
    Unblock {
        /// Which.
        whats: Vec<What>,
        /// Who wants it.
        who: String,
    },
    /// Keep the blocks that wait for it; all where none is named.
    Confirm {
        /// Which.
        whats: Vec<What>,
    },
    /// Say what is blocked.
    List,
}

/// What the responder answers.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "snake_case")]
pub enum Reply {
    /// These blocks were made, undone or confirmed.
    Done {
        /// The blocks.
        blocks: Vec<Block>,
    },
    /// What is blocked.
    Blocked(Box<Status>),
    /// It was not done.
    Refused {
        /// Why, and what to do.
        why: String,
        /// Whether it is no fault of the wish: the firewall, or the program, could not.
        #[serde(default)]
        failed: bool,
    },
}

/// What is blocked, and how blocking is.
#[derive(Clone, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
pub struct Status {
    /// The firewall in use.
    pub firewall: String,
    /// What has to be known of it, such as that it is untried.
    #[serde(default)]
    pub notes: Vec<String>,
    /// What is wrong with it; empty where nothing is.
    pub problem: String,
    /// Whether attackers are blocked without a person's word.
    pub automatic: bool,
    /// In force, the newest first.
    pub blocks: Vec<Block>,
    /// Ended, the newest first.
    pub past: Vec<PastBlock>,
    /// Counters.
    pub stats: RespondStats,
}

/// Where commands come in.
pub struct Door {
    listener: UnixListener,
    path: PathBuf,
}

impl Door {
    /// Opens the socket; one that a killed program left behind is replaced. The caller holds the
    /// book, so no living program has it.
    pub fn open(folder: &Path) -> std::io::Result<Self> {
        let path = folder.join(SOCKET);
        match std::fs::remove_file(&path) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(e),
            _ => {}
        }
        let listener = UnixListener::bind(&path)?;
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600))?;
        Ok(Self { listener, path })
    }

    /// Waits for the next command and has it answered; false once the door is shut.
    pub fn next(&self, answer: impl FnOnce(Command) -> Reply) -> bool {
        let Ok((stream, _)) = self.listener.accept() else {
            // Out of file handles, for one; trying again at once would burn a core.
            std::thread::sleep(PAUSE);
            return self.path.exists();
        };
        if let Err(error) = serve(&stream, answer) {
            tracing::debug!(%error, "a command was not answered");
        }
        self.path.exists()
    }

    /// The path by which [`shut`] ends the wait in [`Door::next`].
    pub fn path(&self) -> PathBuf {
        self.path.clone()
    }
}

/// Shuts a door: takes its socket away and wakes whoever waits at it.
pub fn shut(path: &Path) {
    let waiting = UnixStream::connect(path);
    let _ = std::fs::remove_file(path);
    drop(waiting);
}

fn serve(mut stream: &UnixStream, answer: impl FnOnce(Command) -> Reply) -> std::io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let mut line = Vec::new();
    BufReader::new(stream.take(MAX_LINE)).read_until(b'\n', &mut line)?;
    if line.is_empty() {
        return Ok(());
    }
    let reply = match serde_json::from_slice(&line) {
        Ok(command) => answer(command),
        Err(e) => Reply::Refused { why: format!("the command cannot be read: {e}"), failed: true },
    };
    let mut text = serde_json::to_vec(&reply)?;
    text.push(b'\n');
    stream.write_all(&text)
}

/// Asks the program that runs on this data folder; `None` where none does.
pub fn ask(folder: &Path, command: &Command) -> std::io::Result<Option<Reply>> {
    use std::io::ErrorKind;
    let mut stream = match UnixStream::connect(folder.join(SOCKET)) {
        Ok(stream) => stream,
        // A socket without a program behind it refuses.
        Err(e) if matches!(e.kind(), ErrorKind::NotFound | ErrorKind::ConnectionRefused) => {
            return Ok(None);
        }
        Err(e) => return Err(e),
    };
    // The firewall has its own patience, which is shorter.
    stream.set_read_timeout(Some(2 * PATIENCE))?;
    let mut text = serde_json::to_vec(command)?;
    text.push(b'\n');
    stream.write_all(&text)?;
    let mut line = Vec::new();
    BufReader::new(stream.take(MAX_LINE)).read_until(b'\n', &mut line)?;
    Ok(Some(serde_json::from_slice(&line)?))
}

/// Name of the socket in the data folder.
const SOCKET: &str = "blocks.sock";
/// Time that either side has.
const PATIENCE: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(200);
/// Longest line: 50,000 blocks take less.
const MAX_LINE: u64 = 32 << 20;
