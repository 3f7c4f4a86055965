//! What reading a chunk brought.

use crate::Text;
use flowtrack_event::{
    AppProto, Direction, FileContent, FileState, LoginEvent, LoginOutcome, Secret, Transaction,
};
use std::net::IpAddr;
use std::sync::Arc;

/// Collects what dissectors find; reused from packet to packet.
#[derive(Default, Debug)]
pub struct Outcome {
    /// Finished transactions.
    pub transactions: Vec<Completed>,
    /// Finished files.
    pub files: Vec<FileDone>,
    /// Anomalies.
    pub anomalies: Vec<Raised>,
    /// Whether attempts to log on are asked for.
    pub wants_logins: bool,
    /// Such attempts.
    pub logins: Vec<Login>,
    /// Flows that this one announced.
    pub expectations: Vec<Expectation>,
    /// Whether halves of transactions are asked for before the other half is there.
    pub wants_halves: bool,
    /// Such halves, by the way that they went.
    pub halves: Vec<Completed>,
    /// What is odd about the flow as a whole, as `app-layer-event` names it.
    pub flow_events: Vec<&'static str>,
    /// Frames, where rules ask for them.
    pub frames: Vec<Arc<dyn Transaction>>,
    /// What the flow speaks turned out to deserve a closer name, such as `doh2`.
    pub renamed: Option<AppProto>,
    /// The flow's first message turned out to be an answer: its originator is the one who was
    /// asked. What is told of that message has its direction turned already.
    pub reversed: bool,
}

impl Outcome {
    /// Things one call may bring; more are dropped and counted.
    const CAP: usize = 1024;

    /// Whether nothing was found.
    pub fn is_empty(&self) -> bool {
        self.transactions.is_empty()
            && self.files.is_empty()
            && self.logins.is_empty()
            && self.anomalies.is_empty()
            && self.expectations.is_empty()
            && self.frames.is_empty()
            && self.halves.is_empty()
            && self.flow_events.is_empty()
    }

    /// A transaction is complete. `tx_id` counts from 0 in its flow, in the order in which
    /// transactions began.
    pub fn transaction(
        &mut self,
        direction: Direction,
        tx_id: u64,
        transaction: impl Transaction + 'static,
    ) {
        if self.transactions.len() < Self::CAP {
            let transaction = Arc::new(transaction);
            self.transactions.push(Completed { direction, tx_id, transaction });
        }
    }

    /// What goes this way of a transaction is complete, the other half may never come.
    pub(crate) fn half<T: Transaction + 'static>(
        &mut self,
        direction: Direction,
        tx_id: u64,
        half: impl FnOnce() -> T,
    ) {
        if self.wants_halves && self.halves.len() < Self::CAP {
            self.halves.push(Completed { direction, tx_id, transaction: Arc::new(half()) });
        }
    }

    /// A frame was cut out.
    pub(crate) fn frame(&mut self, frame: impl Transaction + 'static) {
        if self.frames.len() < Self::CAP {
            self.frames.push(Arc::new(frame));
        }
    }

    /// A file is complete.
    pub fn file(&mut self, file: FileDone) {
        if self.files.len() < Self::CAP {
            self.files.push(file);
        }
    }

    /// Something is malformed, yet reading goes on.
    pub fn anomaly(&mut self, name: &'static str, tx_id: Option<u64>) {
        if self.anomalies.len() < Self::CAP {
            self.anomalies.push(Raised { app: None, name, tx_id, is_fatal: false });
        }
    }

    /// Somebody tried to log on; the user is empty where nobody said who.
    pub fn login(&mut self, user: &[u8], outcome: LoginOutcome, secret: Secret) {
        self.add_login(None, user, outcome, secret);
    }

    /// Somebody tried to log on inside a session that hides which protocol it is of.
    pub(crate) fn login_of(
        &mut self,
        app: AppProto,
        user: &[u8],
        outcome: LoginOutcome,
        secret: Secret,
    ) {
        self.add_login(Some(app), user, outcome, secret);
    }

    fn add_login(
        &mut self,
        app: Option<AppProto>,
        user: &[u8],
        outcome: LoginOutcome,
        secret: Secret,
    ) {
        if self.wants_logins && self.logins.len() < Self::CAP {
            let user = Text::capped(user, LoginEvent::USER_CAP);
            self.logins.push(Login { app, user, outcome, secret });
        }
    }

    /// Another flow will follow, such as the data connection of FTP.
    pub fn expect(&mut self, expectation: Expectation) {
        if self.expectations.len() < Self::CAP {
            self.expectations.push(expectation);
        }
    }
}

/// A finished transaction.
#[derive(Clone, Debug)]
pub struct Completed {
    /// Which way the packet that completed it went.
    pub direction: Direction,
    /// Counted from 0 in its flow.
    pub tx_id: u64,
    /// What was said.
    pub transaction: Arc<dyn Transaction>,
}

/// An attempt to log on, before its flow is added.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Login {
    /// Whose dissector noticed; `None` for the flow's present one.
    pub app: Option<AppProto>,
    /// Who; empty where nobody said.
    pub user: Text,
    /// How it ended.
    pub outcome: LoginOutcome,
    /// How the secret crossed the wire.
    pub secret: Secret,
}

/// An anomaly, before its flow is added. The flow fills in the protocol.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Raised {
    /// Whose dissector noticed; `None` for the flow's present one.
    pub app: Option<AppProto>,
    /// Name without its protocol, such as `invalid_record_type`.
    pub name: &'static str,
    /// Transaction it belongs to.
    pub tx_id: Option<u64>,
    /// Whether nothing of the flow is read any more because of it.
    pub is_fatal: bool,
}

/// A finished file, before its flow is added.
#[derive(Clone, Debug)]
pub struct FileDone {
    /// Which protocol carried it; `None` for the flow's present one, which is filled in.
    pub app: Option<AppProto>,
    /// Transaction that carried it.
    pub tx_id: u64,
    /// Which way it went.
    pub direction: Direction,
    /// Name as the wire gave it.
    pub filename: Vec<u8>,
    /// First and last offset where only a range was carried.
    pub range: Option<(u64, u64)>,
    /// Bytes it had, those that are missing inside it too.
    pub size: u64,
    /// Type by its first bytes.
    pub magic: Option<&'static str>,
    /// The same in the words of `file(1)`, if rules may ask.
    pub description: Option<Arc<str>>,
    /// How it ended.
    pub state: FileState,
    /// Whether bytes are missing inside it.
    pub gaps: bool,
    /// MD5, SHA-1 and SHA-256, if asked for and all bytes were seen.
    pub hashes: Option<Box<Hashes>>,
    /// Its bytes, if asked for, all seen, and within the limits.
    pub content: Option<Arc<FileContent>>,
}

/// Hashes of a whole file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Hashes {
    /// MD5.
    pub md5: [u8; 16],
    /// SHA-1.
    pub sha1: [u8; 20],
    /// SHA-256.
    pub sha256: [u8; 32],
}

/// A flow that another one announced.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Expectation {
    /// Who will be connected to.
    pub responder: (IpAddr, u16),
    /// Who will connect, where known.
    pub originator: Option<IpAddr>,
    /// Whether it is UDP.
    pub udp: bool,
    /// What it will speak.
    pub protocol: AppProto,
    /// What it will carry, where known.
    pub transfer: Option<Arc<Transfer>>,
}

/// What an announced flow will carry.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Transfer {
    /// The command that asked for it.
    pub command: &'static str,
    /// Name of the file; empty where it is no file.
    pub filename: Vec<u8>,
}
