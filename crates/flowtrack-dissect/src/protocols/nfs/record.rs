//! One call of NFS and its reply, as it is logged.

use super::rpc::{Call, Credentials, Reply};
use super::{NAME, v3};
use flowtrack_event::{AppProto, Direction, Transaction, WireText};
use serde::ser::{Serialize, SerializeMap, Serializer};

/// A call and its reply.
#[derive(Clone, Debug)]
pub struct Exchange {
    /// Number of the call.
    pub xid: u32,
    /// Name of the file.
    pub filename: Vec<u8>,
    /// Its new name.
    pub to: Option<Vec<u8>>,
    /// Its handle.
    pub handle: Option<Vec<u8>>,
    id: u64,
    version: u32,
    procedure: u32,
    credentials: Credentials,
    /// Whether the reply came, and was accepted.
    accepted: Option<bool>,
    status: Option<u32>,
}

impl Exchange {
    /// Before its reply.
    pub fn of(id: u64, call: &Call<'_>) -> Self {
        Self {
            xid: call.xid,
            filename: Vec::new(),
            to: None,
            handle: None,
            id,
            version: call.version,
            procedure: call.procedure,
            credentials: call.credentials.clone(),
            accepted: None,
            status: None,
        }
    }

    /// Adds the reply.
    pub fn answer(&mut self, reply: &Reply<'_>, version: u32) {
        self.accepted = Some(reply.accepted);
        // The null procedure returns nothing.
        let returns = self.procedure != 0 && reply.succeeded && (2..=4).contains(&version);
        self.status = if returns { v3::status(reply.body) } else { Some(0) };
    }

    /// Number of the transaction in its flow, from 0.
    pub fn tx(&self) -> u64 {
        self.id.saturating_sub(1)
    }

    fn is_file(&self) -> bool {
        matches!((self.version, self.procedure), (2, 6 | 8) | (3, 6 | 7))
    }

    /// The first bytes of a handle's hash are enough to tell files apart.
    fn handle_hash(&self) -> Option<String> {
        let handle = self.handle.as_ref()?;
        crate::sha256_hex(handle).get(..8).map(str::to_owned)
    }
}

impl Serialize for Exchange {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        let mut map = s.serialize_map(None)?;
        map.serialize_entry("version", &self.version)?;
        map.serialize_entry("procedure", &procedure_name(self.version, self.procedure))?;
        map.serialize_entry("filename", &WireText(&self.filename))?;
        if let Some(hash) = self.handle_hash() {
            map.serialize_entry("hhash", &hash)?;
        }
        map.serialize_entry("id", &self.id)?;
        map.serialize_entry("file_tx", &self.is_file())?;
        let kind = if self.accepted.is_some() { "response" } else { "request" };
        map.serialize_entry("type", kind)?;
        if let Some(status) = self.status {
            map.serialize_entry("status", &status_name(status))?;
        }
        if let Some(to) = &self.to {
            map.serialize_entry("rename", &Rename { from: &self.filename, to })?;
        }
        map.end()
    }
}

struct Rename<'a> {
    from: &'a [u8],
    to: &'a [u8],
}

impl Serialize for Rename<'_> {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        let mut map = s.serialize_map(None)?;
        map.serialize_entry("from", &WireText(self.from))?;
        map.serialize_entry("to", &WireText(self.to))?;
        map.end()
    }
}

/// The RPC side of the exchange, which EVE writes beside it.
struct RpcRecord<'a>(&'a Exchange);

impl Serialize for RpcRecord<'_> {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        let exchange = self.0;
        let mut map = s.serialize_map(None)?;
        map.serialize_entry("xid", &exchange.xid)?;
        if let Some(accepted) = exchange.accepted {
            map.serialize_entry("status", if accepted { "ACCEPTED" } else { "DENIED" })?;
        }
        let kind = match exchange.credentials.flavor {
            0 => "NULL",
            1 => "UNIX",
            2 => "SHORT",
            3 => "DES",
            6 => "GSSAPI",
            _ => "UNKNOWN",
        };
        map.serialize_entry("auth_type", kind)?;
        if let Some((machine, uid, gid)) = &exchange.credentials.unix {
            map.serialize_entry("creds", &Unix { machine, uid: *uid, gid: *gid })?;
        }
        map.end()
    }
}

struct Unix<'a> {
    machine: &'a [u8],
    uid: u32,
    gid: u32,
}

impl Serialize for Unix<'_> {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        let mut map = s.serialize_map(None)?;
        map.serialize_entry("machine_name", &WireText(self.machine))?;
        map.serialize_entry("uid", &self.uid)?;
        map.serialize_entry("gid", &self.gid)?;
        map.end()
    }
}

impl Transaction for Exchange {
    fn protocol(&self) -> AppProto {
        NAME
    }

    fn record(&self) -> &dyn erased_serde::Serialize {
        self
    }

    fn siblings(&self, visit: &mut dyn FnMut(&'static str, &dyn erased_serde::Serialize)) {
        visit("rpc", &RpcRecord(self));
    }

    fn buffer_towards(&self, direction: Direction, name: &str, visit: &mut dyn FnMut(&[u8])) {
        if (direction, name) == (Direction::ToServer, "nfs.filename") {
            let names = std::iter::once(&self.filename).chain(&self.to);
            names.filter(|name| !name.is_empty()).for_each(|name| visit(name));
        }
    }

    fn number(&self, direction: Direction, name: &str, visit: &mut dyn FnMut(u64)) {
        match name {
            _ if direction == Direction::ToClient => {}
            "nfs_procedure" => visit(self.procedure.into()),
            "nfs.version" => visit(self.version.into()),
            _ => {}
        }
    }

    fn summary(&self) -> String {
        let procedure = procedure_name(self.version, self.procedure);
        let mut text = procedure.to_ascii_lowercase();
        if !self.filename.is_empty() {
            text.push_str(&format!(" {}", WireText(&self.filename)));
        }
        if let Some(to) = &self.to {
            text.push_str(&format!(" -> {}", WireText(to)));
        }
        match self.status {
            Some(0) => {}
            Some(status) => text.push_str(&format!(" {}", status_name(status))),
            None => text.push_str(", no answer"),
        }
        text
    }
}

fn procedure_name(version: u32, procedure: u32) -> String {
    const V2: [&str; 18] = [
        "NULL",
        "GETATTR",
        "SETATTR",
        "ROOT",
        "LOOKUP",
        "READLINK",
        "READ",
        "WRITECACHE",
        "WRITE",
        "CREATE",
        "REMOVE",
        "RENAME",
        "LINK",
        "SYMLINK",
        "MKDIR",
        "RMDIR",
        "READDIR",
        "STATFS",
    ];
    const V3: [&str; 22] = [
        "NULL",
        "GETATTR",
        "SETATTR",
        "LOOKUP",
        "ACCESS",
        "READLINK",
        "READ",
        "WRITE",
        "CREATE",
        "MKDIR",
        "SYMLINK",
        "MKNOD",
        "REMOVE",
        "RMDIR",
        "RENAME",
        "LINK",
        "READDIR",
        "READDIRPLUS",
        "FSSTAT",
        "FSINFO",
        "PATHCONF",
        "COMMIT",
    ];
    const V4: [&str; 2] = ["NULL", "COMPOUND"];
    let names: &[&str] = match version {
        2 => &V2,
        3 => &V3,
        4 => &V4,
        _ => &[],
    };
    let name = names.get(procedure as usize);
    name.map_or_else(|| procedure.to_string(), |name| (*name).to_owned())
}

fn status_name(status: u32) -> String {
    let name = match status {
        0 => "OK",
        1 => "ERR_PERM",
        2 => "ERR_NOENT",
        5 => "ERR_IO",
        6 => "ERR_NXIO",
        13 => "ERR_ACCES",
        17 => "ERR_EXIST",
        18 => "ERR_XDEV",
        19 => "ERR_NODEV",
        20 => "ERR_NOTDIR",
        21 => "ERR_ISDIR",
        22 => "ERR_INVAL",
        27 => "ERR_FBIG",
        28 => "ERR_NOSPC",
        30 => "ERR_ROFS",
        31 => "ERR_MLINK",
        63 => "ERR_NAMETOOLONG",
        66 => "ERR_NOTEMPTY",
        69 => "ERR_DQUOT",
        70 => "ERR_STALE",
        71 => "ERR_REMOTE",
        10001 => "ERR_BADHANDLE",
        10002 => "ERR_NOT_SYNC",
        10003 => "ERR_BAD_COOKIE",
        10004 => "ERR_NOTSUPP",
        10005 => "ERR_TOOSMALL",
        10006 => "ERR_SERVERFAULT",
        10007 => "ERR_BADTYPE",
        10008 => "ERR_JUKEBOX",
        other => return format!("UNKNOWN_{other}"),
    };
    name.to_owned()
}
