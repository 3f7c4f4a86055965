//! Messages of SMB 1 (MS-CIFS, MS-SMB).

use super::record::{Command, Create, Details, Guid, Negotiate, Opened, Session, Status, Tree};
use super::state::{Context, Sink, State};
use super::{oem, security, unix_time, utf16};
use crate::{Outcome, Reader};
use flowtrack_event::Direction;

/// Length of a message's header.
const HEADER: usize = 32;
/// Commands of one message that are read.
const CHAIN_CAP: usize = 16;
/// Dialects that are kept, and bytes of each.
const DIALECT_CAP: usize = 32;
const TEXT_CAP: usize = 8 * 1024;

const CLOSE: u8 = 0x04;
const RENAME: u8 = 0x07;
const TRANS: u8 = 0x25;
const READ_ANDX: u8 = 0x2e;
const WRITE_ANDX: u8 = 0x2f;
const TRANS2: u8 = 0x32;
const TREE_DISCONNECT: u8 = 0x71;
const NEGOTIATE: u8 = 0x72;
const SESSION_SETUP_ANDX: u8 = 0x73;
const TREE_CONNECT_ANDX: u8 = 0x75;
const NT_CREATE_ANDX: u8 = 0xa2;
/// Ends a chain of commands.
const NO_COMMAND: u8 = 0xff;

const BUFFER_OVERFLOW: u32 = 0x8000_0005;

/// Header of a message.
struct Header {
    command: u8,
    status: Status,
    is_response: bool,
    unicode: bool,
    tree: u16,
    user: u16,
    key: u64,
}

impl Header {
    fn parse(bytes: &[u8]) -> Option<Self> {
        const RESPONSE: u8 = 0x80;
        const UNICODE: u16 = 0x8000;
        const NT_STATUS: u16 = 0x4000;
        let mut r = Reader::new(bytes.get(..HEADER)?);
        r.skip(4)?;
        let command = r.u8()?;
        let [class, reserved, low, high] = r.array()?;
        let flags = r.u8()?;
        let flags2 = r.u16_le()?;
        r.skip(12)?;
        let (tree, process, user, multiplex) = (r.u16_le()?, r.u16_le()?, r.u16_le()?, r.u16_le()?);
        let status = if flags2 & NT_STATUS != 0 {
            Status::Nt(u32::from_le_bytes([class, reserved, low, high]))
        } else {
            Status::Dos(class, u16::from_le_bytes([low, high]))
        };
        Some(Self {
            command,
            status,
            is_response: flags & RESPONSE != 0,
            unicode: flags2 & UNICODE != 0,
            tree,
            user,
            key: u64::from(process) << 16 | u64::from(multiplex),
        })
    }

    fn succeeded(&self) -> bool {
        matches!(self.status, Status::Nt(0 | BUFFER_OVERFLOW) | Status::Dos(0, 0))
    }
}

/// The parameters and bytes of one command.
struct Block<'a> {
    message: &'a [u8],
    words: &'a [u8],
    bytes: &'a [u8],
    /// Where the bytes stand in the message.
    start: usize,
    unicode: bool,
}

impl<'a> Block<'a> {
    fn at(message: &'a [u8], offset: usize, unicode: bool) -> Option<Self> {
        let mut r = Reader::new(message.get(offset..)?);
        let count = usize::from(r.u8()?);
        let words = r.take(count * 2)?;
        // A count of bytes may be wrong, or left at 0 where there are many.
        let _count = r.u16_le();
        let start = offset + r.position();
        Some(Self { message, words, bytes: r.rest(), start, unicode })
    }

    /// The words behind the head of a chained command.
    fn after_andx(&self) -> Reader<'a> {
        Reader::new(self.words.get(4..).unwrap_or_default())
    }

    /// Texts of the bytes behind the first `skip`.
    fn texts(&self, skip: usize) -> Texts<'a> {
        let rest = self.bytes.get(skip..).unwrap_or_default();
        Texts { rest, at: self.start + skip, unicode: self.unicode }
    }

    /// Bytes at an offset in the message, as far as they are there.
    fn data(&self, offset: usize, length: usize) -> &'a [u8] {
        let rest = self.message.get(offset..).unwrap_or_default();
        rest.get(..length).unwrap_or(rest)
    }
}

/// Texts that follow each other, each ended by a zero.
struct Texts<'a> {
    rest: &'a [u8],
    at: usize,
    unicode: bool,
}

impl Texts<'_> {
    fn next(&mut self) -> String {
        if !self.unicode {
            return self.next_oem();
        }
        // Letters of two bytes stand at even places.
        if self.at % 2 == 1 {
            self.advance(1);
        }
        let pairs = self.rest.chunks_exact(2);
        let letters = pairs.take_while(|pair| *pair != [0, 0]).count();
        let bytes = self.rest.get(..(letters * 2).min(TEXT_CAP)).unwrap_or_default();
        let text = utf16(bytes);
        self.advance(letters * 2 + 2);
        text
    }

    fn next_oem(&mut self) -> String {
        let end = memchr::memchr(0, self.rest).unwrap_or(self.rest.len());
        let text = oem(self.rest.get(..end.min(TEXT_CAP)).unwrap_or_default());
        self.advance(end + 1);
        text
    }

    fn advance(&mut self, n: usize) {
        self.rest = self.rest.get(n..).unwrap_or_default();
        self.at += n;
    }
}

/// Reads a message. Of a long one `bytes` is only the first part; answers where the rest goes.
pub fn read(state: &mut State, bytes: &[u8], out: &mut Outcome) -> Option<Sink> {
    let header = Header::parse(bytes)?;
    let direction = if header.is_response { Direction::ToClient } else { Direction::ToServer };
    let mut command = header.command;
    let mut offset = HEADER;
    let mut sink = None;
    // What an earlier command of the chain opened.
    let mut opened = None;
    for _ in 0..CHAIN_CAP {
        let context = Context {
            key: header.key,
            command: Command::V1(command),
            session: header.user.into(),
            tree: header.tree.into(),
            direction,
        };
        let block = Block::at(bytes, offset, header.unicode);
        let mut message = Message { state, context, header: &header, out };
        sink = if header.is_response {
            message.response(command, block.as_ref(), &mut opened)
        } else {
            message.request(command, block.as_ref())
        };
        let Some(block) = block.filter(|_| is_chained(command)) else { break };
        let mut r = Reader::new(block.words);
        let (Some(next), Some(_), Some(next_offset)) = (r.u8(), r.u8(), r.u16_le()) else { break };
        if next == NO_COMMAND || usize::from(next_offset) <= offset {
            break;
        }
        command = next;
        offset = next_offset.into();
    }
    sink
}

const fn is_chained(command: u8) -> bool {
    matches!(command, 0x24 | 0x2d | 0x2e | 0x2f | 0x73 | 0x74 | 0x75 | 0xa2)
}

const fn guid(file: u16) -> Guid {
    let [a, b] = file.to_le_bytes();
    Guid([a, b, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0])
}

struct Message<'a> {
    state: &'a mut State,
    context: Context,
    header: &'a Header,
    out: &'a mut Outcome,
}

impl Message<'_> {
    fn request(&mut self, command: u8, block: Option<&Block<'_>>) -> Option<Sink> {
        match (command, block) {
            (READ_ANDX, Some(block)) => {
                let mut r = block.after_andx();
                let file = guid(r.u16_le()?);
                let low = r.u32_le()?;
                r.skip(10)?;
                let high = r.u32_le().unwrap_or(0);
                let offset = u64::from(high) << 32 | u64::from(low);
                self.state.wait(&self.context, None, Some(file), offset, self.out);
            }
            (WRITE_ANDX, Some(block)) => return self.write(block),
            (TRANS, Some(block)) => {
                self.transaction(block);
            }
            (TRANS2, Some(block)) => {
                if let Some(details) = self.set_information(block) {
                    let exchange = self.state.begin(&self.context, details);
                    self.state.wait(&self.context, Some(exchange), None, 0, self.out);
                }
            }
            _ => {
                let details = block.and_then(|block| self.details(command, block));
                let file = block
                    .filter(|_| command == CLOSE)
                    .and_then(|block| Reader::new(block.words).u16_le())
                    .map(guid);
                let exchange = self.state.begin(&self.context, details.unwrap_or_default());
                self.state.wait(&self.context, Some(exchange), file, 0, self.out);
            }
        }
        None
    }

    fn details(&mut self, command: u8, block: &Block<'_>) -> Option<Details> {
        let mut r = block.after_andx();
        Some(match command {
            NEGOTIATE => {
                let offered = block.bytes.split(|&b| b == 0).take(DIALECT_CAP);
                let dialects: Vec<String> =
                    offered.filter_map(|d| d.strip_prefix(&[2])).map(oem).collect();
                self.state.offered.clone_from(&dialects);
                Details::Negotiate(Negotiate { dialects, ..Negotiate::default() })
            }
            SESSION_SETUP_ANDX => {
                const WITH_BLOB: usize = 12 * 2;
                r.skip(10)?;
                let first = usize::from(r.u16_le()?);
                let mut session = Session::default();
                let mut texts = if block.words.len() == WITH_BLOB {
                    let blob = block.bytes.get(..first).unwrap_or(block.bytes);
                    session.ntlmssp = security::ntlmssp(blob);
                    session.kerberos = security::kerberos(blob);
                    block.texts(first)
                } else {
                    let second = usize::from(r.u16_le()?);
                    let mut texts = block.texts(first + second);
                    let (_account, _domain) = (texts.next(), texts.next());
                    texts
                };
                session.request = Some((texts.next(), texts.next()));
                Details::Session(Box::new(session))
            }
            TREE_CONNECT_ANDX => {
                r.skip(2)?;
                let password = usize::from(r.u16_le()?);
                let mut texts = block.texts(password);
                let share = texts.next();
                let service = texts.next_oem();
                let pipe = share.ends_with("IPC$");
                Details::Tree(Tree { share, pipe, kind: None, service: (Some(service), None) })
            }
            NT_CREATE_ANDX => {
                const DIRECTORY: u32 = 0x0000_0001;
                const DELETE_ON_CLOSE: u32 = 0x0000_1000;
                r.skip(31)?;
                let (disposition, options) = (r.u32_le()?, r.u32_le()?);
                Details::Create(Create {
                    name: block.texts(0).next(),
                    directory: options & DIRECTORY != 0,
                    disposition,
                    delete_on_close: options & DELETE_ON_CLOSE != 0,
                    opened: None,
                })
            }
            RENAME => {
                // Each name has a byte before it that says it is one.
                let mut texts = block.texts(1);
                let from = texts.next();
                texts.advance(1);
                Details::Rename { set_info: None, from, to: texts.next(), guid: None }
            }
            _ => return None,
        })
    }

    fn write(&mut self, block: &Block<'_>) -> Option<Sink> {
        let mut r = block.after_andx();
        let file = guid(r.u16_le()?);
        let low = r.u32_le()?;
        r.skip(8)?;
        let (length_high, length, at) = (r.u16_le()?, r.u16_le()?, r.u16_le()?);
        let high = r.u32_le().unwrap_or(0);
        let offset = u64::from(high) << 32 | u64::from(low);
        let length = usize::from(length_high) << 16 | usize::from(length);
        let bytes = block.data(at.into(), length);
        self.state.data(&self.context, file, (offset, length), bytes, None, self.out)
    }

    /// A transaction on a pipe.
    fn transaction(&mut self, block: &Block<'_>) -> Option<()> {
        const PIPE: u16 = 0x26;
        let transaction = Transaction::request(block)?;
        let (function, file) = (transaction.setup.first()?, transaction.setup.get(1)?);
        if *function == PIPE {
            let file = guid(*file);
            self.state.pipe(&self.context, file, transaction.data, None, self.out);
            self.state.wait(&self.context, None, Some(file), 0, self.out);
        }
        Some(())
    }

    /// A transaction that sets what is known of a file.
    fn set_information(&self, block: &Block<'_>) -> Option<Details> {
        const SET_PATH: u16 = 6;
        const SET_FILE: u16 = 8;
        const DISPOSITION: [u16; 2] = [0x102, 1013];
        const RENAME_INFORMATION: u16 = 1010;
        let transaction = Transaction::request(block)?;
        let mut r = Reader::new(transaction.parameters);
        let (file, level) = match *transaction.setup.first()? {
            SET_FILE => (Some(guid(r.u16_le()?)), r.u16_le()?),
            SET_PATH => (None, r.u16_le()?),
            _ => return None,
        };
        let name = match file {
            Some(file) => self.state.name_of(file),
            None => {
                r.skip(4)?;
                if block.unicode { utf16(r.rest()) } else { oem(r.rest()) }
            }
        };
        if level == RENAME_INFORMATION {
            let mut r = Reader::new(transaction.data);
            r.skip(8)?;
            let length = r.u32_le()? as usize;
            let to = r.rest().get(..length).unwrap_or(r.rest());
            return Some(Details::Rename { set_info: None, from: name, to: utf16(to), guid: file });
        }
        let delete = DISPOSITION.contains(&level) && transaction.data.first() == Some(&1);
        Some(Details::Delete { set_info: None, name, delete, guid: file })
    }

    fn response(
        &mut self,
        command: u8,
        block: Option<&Block<'_>>,
        opened: &mut Option<Guid>,
    ) -> Option<Sink> {
        let waiting = self.state.answered(&self.context);
        let status = match self.header.status {
            Status::Nt(status) => Some(status),
            Status::Dos(..) => None,
        };
        let file = opened.or(waiting.as_ref().and_then(|w| w.guid));
        let mut sink = None;
        if self.header.succeeded() {
            match (command, block, file) {
                (READ_ANDX, Some(block), Some(file)) => {
                    let offset = waiting.as_ref().map_or(0, |w| w.offset);
                    sink = self.read(block, file, offset, status);
                }
                (TRANS, Some(block), Some(file)) => {
                    if let Some(data) = transaction_result(block) {
                        self.state.pipe(&self.context, file, data, status, self.out);
                    }
                }
                (CLOSE, _, Some(file)) => {
                    self.state.close(file, self.context.direction, self.out);
                }
                (TREE_DISCONNECT, ..) => self.state.disconnect(self.context.tree),
                _ => {}
            }
        }
        let Some(mut exchange) = waiting.and_then(|w| w.exchange) else { return sink };
        exchange.status = Some(self.header.status);
        if let Some(block) = block {
            self.complete(&mut exchange.details, block);
        }
        if let Details::Create(Create { opened: Some(file), .. }) = &exchange.details {
            *opened = Some(file.guid);
        }
        if command == TREE_CONNECT_ANDX {
            exchange.tree = self.context.tree;
        }
        self.state.tell(exchange, self.context.direction, self.out);
        sink
    }

    /// Adds what the answer tells.
    fn complete(&mut self, details: &mut Details, block: &Block<'_>) -> Option<()> {
        match details {
            Details::Negotiate(negotiate) => {
                const EXTENDED_SECURITY: u32 = 0x8000_0000;
                let mut r = Reader::new(block.words);
                let chosen = self.state.offered.get(usize::from(r.u16_le()?))?;
                self.state.dialect.clone_from(chosen);
                r.skip(17)?;
                if r.u32_le()? & EXTENDED_SECURITY != 0 {
                    negotiate.server = block.bytes.first_chunk().copied().map(Guid);
                }
            }
            Details::Session(session) => {
                const WITH_BLOB: usize = 4 * 2;
                let mut r = block.after_andx();
                r.skip(2)?;
                let blob = if block.words.len() == WITH_BLOB { r.u16_le()? } else { 0 };
                if block.words.is_empty() {
                    return None;
                }
                let mut texts = block.texts(blob.into());
                session.response = Some((texts.next(), texts.next()));
            }
            Details::Tree(tree) if self.header.succeeded() => {
                let service = block.texts(0).next_oem();
                tree.pipe = service == "IPC";
                tree.service.1 = Some(service);
                self.state.connect(self.context.tree, tree.share.clone(), tree.pipe);
            }
            Details::Create(create) if self.header.succeeded() => {
                let mut r = block.after_andx();
                r.skip(1)?;
                let file = guid(r.u16_le()?);
                r.skip(4)?;
                let mut times = [0; 4];
                for time in &mut times {
                    *time = unix_time(r.u64_le()?);
                }
                r.skip(12)?;
                let size = r.u64_le()?;
                create.opened = Some(Opened { times, size, guid: file });
                self.state.open(file, self.context.tree, &create.name, self.out);
            }
            _ => {}
        }
        Some(())
    }

    fn read(
        &mut self,
        block: &Block<'_>,
        file: Guid,
        offset: u64,
        status: Option<u32>,
    ) -> Option<Sink> {
        let mut r = block.after_andx();
        r.skip(6)?;
        let (length, at) = (usize::from(r.u16_le()?), usize::from(r.u16_le()?));
        let high = usize::from(r.u16_le().unwrap_or(0));
        let length = high << 16 | length;
        let bytes = block.data(at, length);
        self.state.data(&self.context, file, (offset, length), bytes, status, self.out)
    }
}

/// What a transaction carries.
struct Transaction<'a> {
    setup: Vec<u16>,
    parameters: &'a [u8],
    data: &'a [u8],
}

impl<'a> Transaction<'a> {
    fn request(block: &Block<'a>) -> Option<Self> {
        let mut r = Reader::new(block.words);
        r.skip(18)?;
        let mut place = || Some((usize::from(r.u16_le()?), usize::from(r.u16_le()?)));
        let ((parameters, parameters_at), (data, data_at)) = (place()?, place()?);
        let setup = usize::from(r.u8()?).min(8);
        r.skip(1)?;
        let setup = (0..setup).map_while(|_| r.u16_le()).collect();
        let parameters = block.data(parameters_at, parameters);
        Some(Self { setup, parameters, data: block.data(data_at, data) })
    }
}

/// What a transaction brought.
fn transaction_result<'a>(block: &Block<'a>) -> Option<&'a [u8]> {
    let mut r = Reader::new(block.words);
    r.skip(12)?;
    let (length, at) = (usize::from(r.u16_le()?), usize::from(r.u16_le()?));
    Some(block.data(at, length))
}
