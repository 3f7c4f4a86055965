//! One request of SMB and its response, as it is logged.

use super::security::{Kerberos, Ntlmssp};
use super::{NAME, names};
use crate::Outcome;
use crate::protocols::dcerpc::calls::{Call, Record};
use crate::protocols::dcerpc::pdu::Uuid;
use flowtrack_event::{AppProto, Direction, LoginOutcome, Secret, Transaction};
use serde::ser::{Serialize, SerializeMap, Serializer};

/// A command, by version.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Command {
    /// Of SMB 1.
    V1(u8),
    /// Of SMB 2 and 3.
    V2(u16),
}

impl Command {
    fn name(self) -> String {
        let known = match self {
            Self::V1(command) => names::v1_command(command),
            Self::V2(command) => names::v2_command(command),
        };
        known.map_or_else(
            || match self {
                Self::V1(command) => format!("UNKNOWN_{command:#04x}"),
                Self::V2(command) => format!("UNKNOWN_{command:#06x}"),
            },
            str::to_owned,
        )
    }
}

/// How a request ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Status {
    /// By a status of Windows NT.
    Nt(u32),
    /// By an error of DOS.
    Dos(u8, u16),
}

/// Identifies an open file.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Debug)]
pub struct Guid(pub [u8; 16]);

impl std::fmt::Display for Guid {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let [b0, b1, b2, b3, b4, b5, b6, b7, b8, b9, b10, b11, b12, b13, b14, b15] = self.0;
        let written = [b3, b2, b1, b0, b5, b4, b7, b6, b9, b8, b11, b10, b15, b14, b13, b12];
        f.write_str(&Uuid(written).text())
    }
}

impl Serialize for Guid {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

/// A request and its response.
#[derive(Clone, Debug)]
pub struct Exchange {
    /// Number in the flow, from 1.
    pub id: u64,
    /// Dialect that was agreed on.
    pub dialect: String,
    /// What was asked.
    pub command: Command,
    /// How it ended, if an answer came.
    pub status: Option<Status>,
    /// Session.
    pub session: u64,
    /// Share.
    pub tree: u32,
    /// What is particular to the command.
    pub details: Details,
}

/// What is particular to a command.
#[derive(Clone, Default, Debug)]
pub enum Details {
    /// Nothing more is known.
    #[default]
    None,
    /// Versions and identities.
    Negotiate(Negotiate),
    /// Who logs on.
    Session(Box<Session>),
    /// What is connected to.
    Tree(Tree),
    /// A file that is opened.
    Create(Create),
    /// A file that is read or written.
    File {
        /// Its name.
        name: String,
        /// Its share.
        share: String,
        /// Which opening of it.
        guid: Guid,
        /// Which way it is carried.
        direction: Direction,
        /// Its beginning, where rules want it.
        content: Vec<u8>,
    },
    /// A file that gets another name.
    Rename {
        /// Class and level of the information that is set.
        set_info: Option<(&'static str, &'static str)>,
        /// Its name.
        from: String,
        /// Its new name.
        to: String,
        /// Which opening of it.
        guid: Option<Guid>,
    },
    /// Deletion of a file that was opened.
    Delete {
        /// Class and level of the information that is set.
        set_info: Option<(&'static str, &'static str)>,
        /// Its name.
        name: String,
        /// Whether it will be deleted.
        delete: bool,
        /// Which opening of it.
        guid: Option<Guid>,
    },
    /// A control function.
    Ioctl(u32),
    /// A call over a named pipe.
    Call(Box<Call>),
}

/// Versions and identities.
#[derive(Clone, Default, Debug)]
pub struct Negotiate {
    /// What the client offers.
    pub dialects: Vec<String>,
    /// Who the client is.
    pub client: Option<Guid>,
    /// Who the server is.
    pub server: Option<Guid>,
    /// Longest read and write that the server allows.
    pub max_sizes: Option<(u32, u32)>,
}

/// Who logs on.
#[derive(Clone, Default, Debug)]
pub struct Session {
    /// By NTLM.
    pub ntlmssp: Option<Ntlmssp>,
    /// By Kerberos.
    pub kerberos: Option<Kerberos>,
    /// The client's system and software.
    pub request: Option<(String, String)>,
    /// The server's system and software.
    pub response: Option<(String, String)>,
}

/// What is connected to.
#[derive(Clone, Default, Debug)]
pub struct Tree {
    /// Path of the share.
    pub share: String,
    /// Whether it is for named pipes.
    pub pipe: bool,
    /// Kind of share (SMB 2).
    pub kind: Option<u8>,
    /// Service asked for and got (SMB 1).
    pub service: (Option<String>, Option<String>),
}

/// A file that is opened.
#[derive(Clone, Default, Debug)]
pub struct Create {
    /// Its name.
    pub name: String,
    /// Whether it is a directory.
    pub directory: bool,
    /// What to do where it exists, or does not.
    pub disposition: u32,
    /// Whether it is deleted when closed.
    pub delete_on_close: bool,
    /// What the server answered.
    pub opened: Option<Opened>,
}

/// What the server says of an opened file.
#[derive(Clone, Copy, Default, Debug)]
pub struct Opened {
    /// Created, accessed, modified and changed, in seconds of Unix.
    pub times: [u64; 4],
    /// Its size.
    pub size: u64,
    /// Which opening of it.
    pub guid: Guid,
}

impl Exchange {
    /// Tells what it means for who logs on (MS-ERREF section 2.3.1).
    pub fn login(&self, out: &mut Outcome) {
        let Details::Session(session) = &self.details else { return };
        let outcome = match self.status {
            Some(Status::Nt(0)) => LoginOutcome::Granted,
            // No such user, wrong password, log-on failure, restricted, outside its hours, not
            // from this computer, password expired, disabled, expired, locked.
            Some(Status::Nt(
                0xc000_0064 | 0xc000_006a..=0xc000_0072 | 0xc000_0193 | 0xc000_0234,
            )) => LoginOutcome::Refused,
            _ => return,
        };
        match &session.ntlmssp {
            // A session of nobody is no log-on.
            Some(ntlm) if ntlm.user.is_empty() => {}
            Some(ntlm) => {
                let user = format!("{}\\{}", ntlm.domain, ntlm.user);
                out.login(user.as_bytes(), outcome, Secret::Hidden);
            }
            None if session.kerberos.is_some() => out.login(b"", outcome, Secret::Hidden),
            None => {}
        }
    }
}

impl Serialize for Exchange {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        let mut map = s.serialize_map(None)?;
        map.serialize_entry("id", &self.id)?;
        map.serialize_entry("dialect", &self.dialect)?;
        map.serialize_entry("command", &self.command.name())?;
        match self.status {
            Some(Status::Nt(status)) => {
                let name = names::nt_status(status);
                map.serialize_entry("status", name.unwrap_or("UNKNOWN"))?;
                map.serialize_entry("status_code", &format_args!("{status:#x}"))?;
            }
            Some(Status::Dos(class, code)) => {
                let name = names::dos_error(class, code);
                map.serialize_entry("status", name.unwrap_or("UNKNOWN"))?;
                map.serialize_entry("status_code", &format_args!("{code:#06x}"))?;
            }
            None => {}
        }
        map.serialize_entry("session_id", &self.session)?;
        map.serialize_entry("tree_id", &self.tree)?;
        self.details.serialize_into(&mut map)?;
        map.end()
    }
}

impl Details {
    fn serialize_into<M: SerializeMap>(&self, map: &mut M) -> Result<(), M::Error> {
        match self {
            Self::None => {}
            Self::Negotiate(n) => {
                if !n.dialects.is_empty() {
                    map.serialize_entry("client_dialects", &n.dialects)?;
                }
                if let Some(client) = n.client {
                    map.serialize_entry("client_guid", &client)?;
                }
                if let Some(server) = n.server {
                    map.serialize_entry("server_guid", &server)?;
                }
                if let Some((read, write)) = n.max_sizes {
                    map.serialize_entry("max_read_size", &read)?;
                    map.serialize_entry("max_write_size", &write)?;
                }
            }
            Self::Session(session) => {
                if let Some(ntlmssp) = &session.ntlmssp {
                    map.serialize_entry("ntlmssp", ntlmssp)?;
                }
                if let Some(kerberos) = &session.kerberos {
                    map.serialize_entry("kerberos", kerberos)?;
                }
                for (side, native) in
                    [("request", &session.request), ("response", &session.response)]
                {
                    if let Some((os, lm)) = native {
                        map.serialize_entry(side, &Native { native_os: os, native_lm: lm })?;
                    }
                }
            }
            Self::Tree(tree) => {
                let path = if tree.pipe { "named_pipe" } else { "share" };
                map.serialize_entry(path, &tree.share)?;
                if let Some(kind) = tree.kind {
                    let kind = match kind {
                        1 => "FILE",
                        2 => "PIPE",
                        3 => "PRINT",
                        _ => "UNKNOWN",
                    };
                    map.serialize_entry("share_type", kind)?;
                }
                let (request, response) = &tree.service;
                if request.is_some() || response.is_some() {
                    map.serialize_entry("service", &Service { request, response })?;
                }
            }
            Self::Create(create) => {
                let name = if create.name.is_empty() { "<share_root>" } else { &create.name };
                map.serialize_entry(if create.directory { "directory" } else { "filename" }, name)?;
                map.serialize_entry("disposition", names::disposition(create.disposition))?;
                let access = if create.delete_on_close { "delete on close" } else { "normal" };
                map.serialize_entry("access", access)?;
                if let Some(opened) = &create.opened {
                    let names = ["created", "accessed", "modified", "changed"];
                    for (name, time) in names.iter().zip(opened.times) {
                        map.serialize_entry(name, &time)?;
                    }
                    map.serialize_entry("size", &opened.size)?;
                    map.serialize_entry("fuid", &opened.guid)?;
                }
            }
            Self::File { name, share, guid, .. } => {
                map.serialize_entry("filename", name)?;
                if !share.is_empty() {
                    map.serialize_entry("share", share)?;
                }
                map.serialize_entry("fuid", guid)?;
            }
            Self::Rename { set_info, from, to, guid } => {
                SetInfo::serialize_into(*set_info, map)?;
                map.serialize_entry("rename", &RenameRecord { from, to })?;
                if let Some(guid) = guid {
                    map.serialize_entry("fuid", guid)?;
                }
            }
            Self::Delete { set_info, name, delete, guid } => {
                SetInfo::serialize_into(*set_info, map)?;
                map.serialize_entry("filename", name)?;
                if *delete {
                    map.serialize_entry("access", "delete on close")?;
                }
                if let Some(guid) = guid {
                    map.serialize_entry("fuid", guid)?;
                }
            }
            Self::Ioctl(code) => map.serialize_entry("function", &names::fsctl(*code))?,
            Self::Call(call) => {
                map.serialize_entry("dcerpc", &Record { call, in_smb: true })?;
            }
        }
        Ok(())
    }
}

#[derive(serde::Serialize)]
struct Native<'a> {
    native_os: &'a str,
    native_lm: &'a str,
}

#[derive(serde::Serialize)]
struct Service<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    request: &'a Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    response: &'a Option<String>,
}

#[derive(serde::Serialize)]
struct SetInfo {
    class: &'static str,
    info_level: &'static str,
}

impl SetInfo {
    fn serialize_into<M: SerializeMap>(
        set_info: Option<(&'static str, &'static str)>,
        map: &mut M,
    ) -> Result<(), M::Error> {
        match set_info {
            Some((class, info_level)) => {
                map.serialize_entry("set_info", &Self { class, info_level })
            }
            None => Ok(()),
        }
    }
}

#[derive(serde::Serialize)]
struct RenameRecord<'a> {
    from: &'a str,
    to: &'a str,
}

impl Transaction for Exchange {
    fn protocol(&self) -> AppProto {
        NAME
    }

    fn record(&self) -> &dyn erased_serde::Serialize {
        self
    }

    fn buffer_towards(&self, way: Direction, name: &str, visit: &mut dyn FnMut(&[u8])) {
        let is_request = way == Direction::ToServer;
        match (name, &self.details) {
            ("smb.named_pipe", Details::Tree(tree)) if tree.pipe && is_request => {
                visit(tree.share.as_bytes());
            }
            ("smb.share", Details::Tree(tree)) if !tree.pipe && is_request => {
                visit(tree.share.as_bytes());
            }
            ("smb.ntlmssp_user", Details::Session(session)) if is_request => {
                session.ntlmssp.iter().for_each(|ntlm| visit(ntlm.user.as_bytes()));
            }
            ("smb.ntlmssp_domain", Details::Session(session)) if is_request => {
                session.ntlmssp.iter().for_each(|ntlm| visit(ntlm.domain.as_bytes()));
            }
            ("file.data", Details::File { direction, content, .. }) if *direction == way => {
                visit(content);
            }
            ("file.name", Details::File { name, direction, .. }) if *direction == way => {
                visit(name.as_bytes());
            }
            (_, Details::Call(call)) => call.buffer_towards(way, name, visit),
            _ => {}
        }
    }

    fn number(&self, _direction: Direction, name: &str, visit: &mut dyn FnMut(u64)) {
        match (name, &self.details) {
            ("smb.version", _) => visit(match self.command {
                Command::V1(_) => 1,
                Command::V2(_) => 2,
            }),
            ("dcerpc.opnum", Details::Call(call)) => call.opnum().into_iter().for_each(visit),
            _ => {}
        }
    }

    fn summary(&self) -> String {
        let command = self.command.name();
        let command = command.split_once("COMMAND_").map_or(&*command, |(_, name)| name);
        let mut text = command.to_ascii_lowercase().replace('_', " ");
        let detail = match &self.details {
            Details::Session(s) => s.ntlmssp.as_ref().map(|n| format!("{}\\{}", n.domain, n.user)),
            Details::Tree(tree) => Some(tree.share.clone()),
            Details::Create(create) => Some(create.name.clone()),
            Details::File { name, .. } | Details::Delete { name, .. } => Some(name.clone()),
            Details::Rename { from, to, .. } => Some(format!("{from} -> {to}")),
            Details::Ioctl(code) => Some(names::fsctl(*code)),
            Details::Call(call) => Some(call.summary()),
            Details::None | Details::Negotiate(_) => None,
        };
        if let Some(detail) = detail.filter(|detail| !detail.is_empty()) {
            text.push(' ');
            text.push_str(&detail);
        }
        match self.status {
            None => text.push_str(", no answer"),
            Some(Status::Nt(0) | Status::Dos(0, 0)) => {}
            Some(Status::Nt(status)) => match names::nt_status(status) {
                Some(name) => text.push_str(&format!(" {name}")),
                None => text.push_str(&format!(" {status:#x}")),
            },
            Some(Status::Dos(class, code)) => {
                text.push_str(&format!(" {}", names::dos_error(class, code).unwrap_or("error")));
            }
        }
        text
    }
}
