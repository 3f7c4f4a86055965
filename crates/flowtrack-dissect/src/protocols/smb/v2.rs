//! Messages of SMB 2 and 3 (MS-SMB2).

use super::record::{Command, Create, Details, Guid, Negotiate, Opened, Session, Status, Tree};
use super::state::{Context, OF_COMPOUND, Sink, State, Waiting};
use super::{names, security, unix_time, utf16};
use crate::{Outcome, Reader};
use flowtrack_event::Direction;

/// Length of a message's header.
const HEADER: usize = 64;
/// Dialects that are kept.
const DIALECT_CAP: usize = 32;
/// Longest path, in bytes.
const PATH_CAP: usize = 8 * 1024;
/// Messages of one compound that are read.
const COMPOUND_CAP: usize = 64;

const NEGOTIATE: u16 = 0;
const SESSION_SETUP: u16 = 1;
const TREE_CONNECT: u16 = 3;
const TREE_DISCONNECT: u16 = 4;
const CREATE: u16 = 5;
const CLOSE: u16 = 6;
const READ: u16 = 8;
const WRITE: u16 = 9;
const IOCTL: u16 = 11;
const GET_INFO: u16 = 16;
const SET_INFO: u16 = 17;

const STATUS_PENDING: u32 = 0x103;
const BUFFER_OVERFLOW: u32 = 0x8000_0005;
const PIPE_TRANSCEIVE: u32 = 0x0011_c017;

/// Header of one message.
struct Header {
    status: u32,
    command: u16,
    is_response: bool,
    next: usize,
    message: u64,
    tree: u32,
    session: u64,
}

impl Header {
    fn parse(bytes: &[u8]) -> Option<Self> {
        const RESPONSE: u32 = 0x01;
        const ASYNC: u32 = 0x02;
        let mut r = Reader::new(bytes.get(..HEADER)?);
        r.skip(8)?;
        let status = r.u32_le()?;
        let command = r.u16_le()?;
        r.skip(2)?;
        let flags = r.u32_le()?;
        let next = r.u32_le()? as usize;
        let message = r.u64_le()?;
        r.skip(4)?;
        let tree = r.u32_le()?;
        let session = r.u64_le()?;
        Some(Self {
            status,
            command,
            is_response: flags & RESPONSE != 0,
            next,
            message,
            tree: if flags & ASYNC == 0 { tree } else { 0 },
            session,
        })
    }
}

/// Reads a message, or as many as are compounded. Of a long one `bytes` is only the first part;
/// answers where the rest goes.
pub fn read(state: &mut State, bytes: &[u8], out: &mut Outcome) -> Option<Sink> {
    let mut rest = bytes;
    let mut sink = None;
    let mut opened = None;
    for _ in 0..COMPOUND_CAP {
        let Some(header) = Header::parse(rest) else { break };
        let message = match header.next {
            0 => rest,
            next => rest.get(..next).unwrap_or(rest),
        };
        let direction = if header.is_response { Direction::ToClient } else { Direction::ToServer };
        let context = Context {
            key: header.message,
            command: Command::V2(header.command),
            session: header.session,
            tree: header.tree,
            direction,
        };
        sink = if header.is_response {
            let read = &mut Response { state, context, header: &header, message, out };
            read.read(&mut opened)
        } else {
            Request { state, context, message, out }.read(header.command)
        };
        if header.next < HEADER {
            break;
        }
        rest = rest.get(header.next..).unwrap_or_default();
    }
    sink
}

/// Bytes at an offset from the beginning of the message, as far as they are there.
fn at(message: &[u8], offset: usize, length: usize) -> &[u8] {
    let rest = message.get(offset..).unwrap_or_default();
    rest.get(..length).unwrap_or(rest)
}

fn body(message: &[u8]) -> Reader<'_> {
    let mut r = Reader::new(message.get(HEADER..).unwrap_or_default());
    // Length of the fixed part.
    r.skip(2);
    r
}

struct Request<'a> {
    state: &'a mut State,
    context: Context,
    message: &'a [u8],
    out: &'a mut Outcome,
}

impl Request<'_> {
    fn read(&mut self, command: u16) -> Option<Sink> {
        match command {
            READ => self.read_file(),
            WRITE => return self.write_file(),
            IOCTL => self.ioctl(),
            SET_INFO => self.set_info(),
            GET_INFO => {}
            CLOSE => {
                let mut r = body(self.message);
                r.skip(6);
                let guid = r.array().map(Guid);
                let exchange = self.state.begin(&self.context, Details::None);
                self.state.wait(&self.context, Some(exchange), guid, 0, self.out);
            }
            _ => {
                let details = self.details(command).unwrap_or_default();
                let exchange = self.state.begin(&self.context, details);
                self.state.wait(&self.context, Some(exchange), None, 0, self.out);
            }
        }
        None
    }

    fn details(&self, command: u16) -> Option<Details> {
        let mut r = body(self.message);
        Some(match command {
            NEGOTIATE => {
                let count = r.u16_le()?;
                r.skip(8)?;
                let client = Guid(r.array()?);
                r.skip(8)?;
                let count = usize::from(count).min(DIALECT_CAP);
                let dialects = (0..count).map_while(|_| r.u16_le()).map(names::v2_dialect);
                Details::Negotiate(Negotiate {
                    dialects: dialects.collect(),
                    client: Some(client),
                    ..Negotiate::default()
                })
            }
            SESSION_SETUP => {
                r.skip(10)?;
                let (offset, length) = (r.u16_le()?, r.u16_le()?);
                let blob = at(self.message, offset.into(), length.into());
                Details::Session(Box::new(Session {
                    ntlmssp: security::ntlmssp(blob),
                    kerberos: security::kerberos(blob),
                    ..Session::default()
                }))
            }
            TREE_CONNECT => {
                r.skip(2)?;
                let (offset, length) = (r.u16_le()?, r.u16_le()?);
                let share = self.path(offset, length);
                let pipe = share.ends_with("IPC$");
                Details::Tree(Tree { share, pipe, ..Tree::default() })
            }
            CREATE => {
                const DIRECTORY: u32 = 0x0000_0001;
                const DELETE_ON_CLOSE: u32 = 0x0000_1000;
                r.skip(34)?;
                let (disposition, options) = (r.u32_le()?, r.u32_le()?);
                let (offset, length) = (r.u16_le()?, r.u16_le()?);
                Details::Create(Create {
                    name: self.path(offset, length),
                    directory: options & DIRECTORY != 0,
                    disposition,
                    delete_on_close: options & DELETE_ON_CLOSE != 0,
                    opened: None,
                })
            }
            _ => return None,
        })
    }

    fn path(&self, offset: u16, length: u16) -> String {
        utf16(at(self.message, offset.into(), usize::from(length).min(PATH_CAP)))
    }

    fn read_file(&mut self) {
        let mut r = body(self.message);
        r.skip(6);
        if let (Some(offset), Some(guid)) = (r.u64_le(), r.array()) {
            self.state.wait(&self.context, None, Some(Guid(guid)), offset, self.out);
        }
    }

    fn write_file(&mut self) -> Option<Sink> {
        let mut r = body(self.message);
        let at_offset = usize::from(r.u16_le()?);
        let length = r.u32_le()? as usize;
        let offset = r.u64_le()?;
        let guid = Guid(r.array()?);
        let bytes = at(self.message, at_offset, length);
        self.state.data(&self.context, guid, (offset, length), bytes, None, self.out)
    }

    fn ioctl(&mut self) {
        let mut r = body(self.message);
        r.skip(2);
        let (Some(code), Some(guid)) = (r.u32_le(), r.array().map(Guid)) else { return };
        let (offset, length) = (r.u32_le().unwrap_or(0), r.u32_le().unwrap_or(0));
        if code == PIPE_TRANSCEIVE {
            let bytes = at(self.message, offset as usize, length as usize);
            self.state.pipe(&self.context, guid, bytes, None, self.out);
            self.state.wait(&self.context, None, Some(guid), 0, self.out);
        } else {
            let exchange = self.state.begin(&self.context, Details::Ioctl(code));
            self.state.wait(&self.context, Some(exchange), None, 0, self.out);
        }
    }

    fn set_info(&mut self) {
        const FILE: u8 = 1;
        const RENAME: u8 = 10;
        const DISPOSITION: u8 = 13;
        let mut r = body(self.message);
        let (Some(kind), Some(class), Some(length), Some(offset)) =
            (r.u8(), r.u8(), r.u32_le(), r.u16_le())
        else {
            return;
        };
        r.skip(6);
        let Some(guid) = r.array().map(Guid) else { return };
        let data = at(self.message, offset.into(), length as usize);
        let details = match (kind, class) {
            (FILE, RENAME) => {
                let mut r = Reader::new(data);
                r.skip(16);
                let length = r.u32_le().unwrap_or(0) as usize;
                let name = r.rest().get(..length.min(PATH_CAP)).unwrap_or(r.rest());
                Details::Rename {
                    set_info: Some(("FILE_INFO", "SMB2_FILE_RENAME_INFO")),
                    from: self.state.name_of(guid),
                    to: utf16(name),
                    guid: Some(guid),
                }
            }
            (FILE, DISPOSITION) => Details::Delete {
                set_info: Some(("FILE_INFO", "SMB2_FILE_DISPOSITION_INFO")),
                name: self.state.name_of(guid),
                delete: data.first().is_some_and(|&delete| delete & 1 != 0),
                guid: Some(guid),
            },
            _ => return,
        };
        let exchange = self.state.begin(&self.context, details);
        self.state.wait(&self.context, Some(exchange), None, 0, self.out);
    }
}

struct Response<'a> {
    state: &'a mut State,
    context: Context,
    header: &'a Header,
    message: &'a [u8],
    out: &'a mut Outcome,
}

impl Response<'_> {
    fn read(&mut self, opened: &mut Option<Guid>) -> Option<Sink> {
        let status = self.header.status;
        if status == STATUS_PENDING {
            return None;
        }
        let waiting = self.state.answered(&self.context);
        if let Some(tree) = waiting.as_ref().map(Waiting::tree)
            && self.context.tree == 0
        {
            self.context.tree = tree;
        }
        // A guid of all ones stands for the file that was opened in the same compound.
        let guid = waiting.as_ref().and_then(|w| w.guid);
        let guid = if guid == Some(OF_COMPOUND) { *opened } else { guid };
        let mut sink = None;
        match self.header.command {
            READ if matches!(status, 0 | BUFFER_OVERFLOW) => {
                let offset = waiting.as_ref().map_or(0, |w| w.offset);
                sink = guid.and_then(|guid| self.read_file(guid, offset));
            }
            IOCTL if matches!(status, 0 | BUFFER_OVERFLOW) => self.ioctl(guid),
            CLOSE if status == 0 => {
                if let Some(guid) = guid {
                    self.state.close(guid, self.context.direction, self.out);
                }
            }
            TREE_DISCONNECT if status == 0 => self.state.disconnect(self.context.tree),
            _ => {}
        }
        let Some(mut exchange) = waiting.and_then(|w| w.exchange) else { return sink };
        exchange.status = Some(Status::Nt(status));
        if exchange.session == 0 {
            exchange.session = self.header.session;
        }
        if self.header.command == TREE_CONNECT {
            exchange.tree = self.header.tree;
        }
        if matches!(status, 0 | BUFFER_OVERFLOW) {
            self.complete(&mut exchange.details, opened);
        }
        self.state.tell(exchange, self.context.direction, self.out);
        sink
    }

    /// Adds what the answer tells.
    fn complete(&mut self, details: &mut Details, opened: &mut Option<Guid>) -> Option<()> {
        let mut r = body(self.message);
        match details {
            Details::Negotiate(negotiate) => {
                r.skip(2)?;
                self.state.dialect = names::v2_dialect(r.u16_le()?);
                r.skip(2)?;
                negotiate.server = Some(Guid(r.array()?));
                r.skip(8)?;
                negotiate.max_sizes = Some((r.u32_le()?, r.u32_le()?));
            }
            Details::Tree(tree) => {
                const PIPE: u8 = 2;
                let kind = r.u8()?;
                tree.kind = Some(kind);
                tree.pipe = kind == PIPE;
                self.state.connect(self.header.tree, tree.share.clone(), tree.pipe);
            }
            Details::Create(create) => {
                r.skip(6)?;
                let mut times = [0; 4];
                for time in &mut times {
                    *time = unix_time(r.u64_le()?);
                }
                r.skip(8)?;
                let size = r.u64_le()?;
                r.skip(8)?;
                let guid = Guid(r.array()?);
                create.opened = Some(Opened { times, size, guid });
                *opened = Some(guid);
                self.state.open(guid, self.context.tree, &create.name, self.out);
            }
            _ => {}
        }
        Some(())
    }

    fn read_file(&mut self, guid: Guid, offset: u64) -> Option<Sink> {
        let mut r = body(self.message);
        let at_offset = usize::from(r.u8()?);
        r.skip(1)?;
        let length = r.u32_le()? as usize;
        let bytes = at(self.message, at_offset, length);
        let status = Some(self.header.status);
        self.state.data(&self.context, guid, (offset, length), bytes, status, self.out)
    }

    fn ioctl(&mut self, asked: Option<Guid>) {
        let mut r = body(self.message);
        r.skip(2);
        let (Some(code), Some(guid)) = (r.u32_le(), r.array().map(Guid)) else { return };
        if code != PIPE_TRANSCEIVE {
            return;
        }
        let guid = asked.unwrap_or(guid);
        r.skip(8);
        let (Some(offset), Some(length)) = (r.u32_le(), r.u32_le()) else { return };
        let bytes = at(self.message, offset as usize, length as usize);
        let status = Some(self.header.status);
        self.state.pipe(&self.context, guid, bytes, status, self.out);
    }
}
