//! The data connections of FTP: one file each, or a listing.

use crate::{
    Dissector, Field, FileTracker, First, Keyword, Malformed, Moment, Next, Outcome, Probe,
    Protocol, Text, Transfer, Transport, Wants,
};
use flowtrack_event::{AppProto, Chunk, Direction, FileState, Transaction};
use serde::Serialize;
use std::sync::Arc;

const NAME: AppProto = AppProto("ftp-data");
/// Bytes kept for rules.
const CONTENT_CAP: usize = 100_000;

const FIELDS: &[Field] = &[
    Field::eve("filename", "string", "name of the file"),
    Field::eve("command", "string", "the command that asked for it"),
];

const KEYWORDS: &[Keyword] = &[
    Keyword::buffer("ftpdata_command", "the command that asked for it, in lower case"),
    Keyword::buffer("file.data", "beginning of what is carried"),
    Keyword::buffer("file.name", "name of the file"),
];

/// Data connections of FTP, known only by their announcement.
pub struct FtpData;

impl Protocol for FtpData {
    fn name(&self) -> AppProto {
        NAME
    }

    fn transport(&self) -> Transport {
        Transport::Tcp
    }

    fn probe(&self, _first: &First<'_>) -> Probe {
        Probe::No
    }

    fn dissector(&self, wants: Wants) -> Option<Box<dyn Dissector>> {
        Some(Box::new(Reading { wants, ..Reading::default() }))
    }

    fn fields(&self) -> &'static [Field] {
        FIELDS
    }

    fn keywords(&self) -> &'static [Keyword] {
        KEYWORDS
    }
}

/// What was carried.
#[derive(Clone, Debug, Serialize)]
struct Carried {
    #[serde(skip_serializing_if = "Option::is_none")]
    filename: Option<Text>,
    command: &'static str,
    #[serde(skip)]
    content: Vec<u8>,
    #[serde(skip)]
    direction: Direction,
}

impl Transaction for Carried {
    fn protocol(&self) -> AppProto {
        NAME
    }

    fn event_type(&self) -> &'static str {
        "ftp_data"
    }

    fn record(&self) -> &dyn erased_serde::Serialize {
        self
    }

    fn buffer_towards(&self, direction: Direction, name: &str, visit: &mut dyn FnMut(&[u8])) {
        match name {
            "ftpdata_command" => visit(self.command.to_ascii_lowercase().as_bytes()),
            _ if direction != self.direction => {}
            "file.data" if !self.content.is_empty() => visit(&self.content),
            "file.name" => self.filename.iter().for_each(|name| visit(name)),
            _ => {}
        }
    }

    fn summary(&self) -> String {
        match &self.filename {
            Some(name) => format!("{} {name}", self.command),
            None => self.command.to_owned(),
        }
    }
}

#[derive(Default)]
struct Reading {
    wants: Wants,
    transfer: Option<Arc<Transfer>>,
    file: Option<FileTracker>,
    content: Vec<u8>,
    direction: Option<Direction>,
    told: bool,
}

impl Dissector for Reading {
    fn announced(&mut self, transfer: &Arc<Transfer>) {
        self.transfer = Some(Arc::clone(transfer));
    }

    fn feed(
        &mut self,
        _at: &Moment<'_>,
        direction: Direction,
        chunk: Chunk<'_>,
        _out: &mut Outcome,
    ) -> Result<Next, Malformed> {
        // Data goes one way.
        if *self.direction.get_or_insert(direction) != direction {
            return Ok(Next::More);
        }
        let Self { wants, transfer, file, content, .. } = self;
        if let Some(transfer) = transfer.as_ref().filter(|t| wants.files && !t.filename.is_empty())
        {
            let file = file
                .get_or_insert_with(|| FileTracker::new(*wants, 0, direction, &transfer.filename));
            match chunk {
                Chunk::Bytes(bytes) => file.data(bytes),
                Chunk::Gap(bytes) => file.gap(bytes),
            }
        }
        if let Chunk::Bytes(bytes) = chunk
            && wants.buffers
        {
            let room = CONTENT_CAP.saturating_sub(content.len());
            content.extend_from_slice(bytes.get(..room).unwrap_or(bytes));
        }
        Ok(Next::More)
    }

    fn finish(&mut self, _at: &Moment<'_>, direction: Direction, out: &mut Outcome) {
        if self.told || self.direction.is_some_and(|d| d != direction) {
            return;
        }
        self.told = true;
        if let Some(file) = self.file.take() {
            out.file(file.done(FileState::Closed));
        }
        let Some(transfer) = self.transfer.take() else { return };
        if self.wants.records || self.wants.buffers {
            let filename = Some(Text::new(&transfer.filename)).filter(|name| !name.is_empty());
            let content = std::mem::take(&mut self.content);
            let way = self.direction.unwrap_or(direction);
            let carried = Carried { filename, command: transfer.command, content, direction: way };
            out.transaction(direction, 0, carried);
        }
    }
}
