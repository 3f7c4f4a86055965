//! The distributed hash table of BitTorrent (BEP 5, BEP 32): who looks for which torrent.

mod bencode;

use crate::{
    Datagram, Datagrams, Dissector, Field, First, Moment, Probe, Protocol, Reader, Transport,
    Wants, hex,
};
use bencode::{Dictionary, Value};
use flowtrack_event::{AppProto, Direction, Transaction, WireText};
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

const NAME: AppProto = AppProto("bittorrent-dht");
/// Nodes or peers kept of one message.
const NODES_CAP: usize = 128;
/// Bytes of a node's identifier.
const ID: usize = 20;

const FIELDS: &[Field] = &[
    Field::eve("transaction_id", "string", "identifier that ties an answer to its question"),
    Field::eve("client_version", "string", "program and version, as hexadecimal digits"),
    Field::eve("request_type", "string", "ping, find_node, get_peers or announce_peer"),
    Field::eve("request.id", "string", "node that asks"),
    Field::eve("request.target", "string", "node that is looked for"),
    Field::eve("request.info_hash", "string", "torrent that is looked for or announced"),
    Field::eve("request.port", "integer", "port on which the torrent is offered"),
    Field::eve("request.implied_port", "integer", "1: offered on the port that this came from"),
    Field::eve("request.token", "string", "token of an earlier answer"),
    Field::eve("response.id", "string", "node that answers"),
    Field::eve("response.token", "string", "token for announcing"),
    Field::eve("response.nodes[]", "array", "nodes that may know: id, ip, port"),
    Field::eve("response.nodes6[]", "array", "the same with IPv6 addresses"),
    Field::eve("response.values[]", "array", "peers that have the torrent: ip, port"),
    Field::eve("error.num", "integer", "number of an error"),
    Field::eve("error.msg", "string", "text of an error"),
];

/// The distributed hash table of BitTorrent.
pub struct BittorrentDht;

impl Protocol for BittorrentDht {
    fn name(&self) -> AppProto {
        NAME
    }

    fn transport(&self) -> Transport {
        Transport::Udp
    }

    fn ports(&self) -> &'static [u16] {
        &[6881]
    }

    fn probe(&self, first: &First<'_>) -> Probe {
        // A dictionary whose first key is that of a question, an answer, an error, or the
        // address of the asker (BEP 42); keys are sorted.
        // The first ones are too long to stand there by chance.
        let sure = [&b"d1:ad2:id20:"[..], b"d1:rd2:id20:", b"d2:ip6:"];
        let keys = [&b"d2:ip"[..], b"d1:el"];
        let begins = |keys: &[&[u8]]| keys.iter().any(|key| first.bytes.starts_with(key));
        Probe::content(begins(&sure) || (begins(&keys) && Message::parse(first.bytes).is_some()))
    }

    fn dissector(&self, wants: Wants) -> Option<Box<dyn Dissector>> {
        (wants.records || wants.buffers).then(Datagrams::<Message>::boxed)
    }

    fn fields(&self) -> &'static [Field] {
        FIELDS
    }
}

/// One message.
#[derive(Debug)]
struct Message {
    id: Vec<u8>,
    version: Option<Vec<u8>>,
    body: Body,
}

#[derive(Debug)]
enum Body {
    Request {
        kind: Vec<u8>,
        id: Vec<u8>,
        target: Option<Vec<u8>>,
        info_hash: Option<Vec<u8>>,
        token: Option<Vec<u8>>,
        port: Option<u64>,
        implied_port: Option<u64>,
    },
    Response {
        id: Vec<u8>,
        token: Option<Vec<u8>>,
        nodes: Vec<Node>,
        nodes6: Vec<Node>,
        values: Vec<Peer>,
    },
    Error {
        number: u64,
        text: Vec<u8>,
    },
}

#[derive(Serialize, Debug)]
struct Node {
    id: String,
    ip: IpAddr,
    port: u16,
}

#[derive(Serialize, Debug)]
struct Peer {
    ip: IpAddr,
    port: u16,
}

impl Message {
    fn parse(bytes: &[u8]) -> Option<Self> {
        let all = Dictionary::read(bytes)?;
        let owned = |value: Option<&[u8]>| value.map(<[u8]>::to_vec);
        let body = match all.text(b"y")? {
            b"q" => {
                let arguments = all.dictionary(b"a")?;
                Body::Request {
                    kind: all.text(b"q")?.to_vec(),
                    id: arguments.text(b"id")?.to_vec(),
                    target: owned(arguments.text(b"target")),
                    info_hash: owned(arguments.text(b"info_hash")),
                    token: owned(arguments.text(b"token")),
                    port: arguments.number(b"port"),
                    implied_port: arguments.number(b"implied_port"),
                }
            }
            b"r" => {
                let told = all.dictionary(b"r")?;
                Body::Response {
                    id: told.text(b"id")?.to_vec(),
                    token: owned(told.text(b"token")),
                    nodes: told.text(b"nodes").map(nodes::<4>).unwrap_or_default(),
                    nodes6: told.text(b"nodes6").map(nodes::<16>).unwrap_or_default(),
                    values: told.list(b"values").unwrap_or_default().filter_map(peer).collect(),
                }
            }
            b"e" => {
                let mut list = all.list(b"e")?;
                let (Value::Number(number), Value::Text(text)) = (list.next()?, list.next()?)
                else {
                    return None;
                };
                Body::Error { number, text: text.to_vec() }
            }
            _ => return None,
        };
        Some(Self { id: all.text(b"t")?.to_vec(), version: owned(all.text(b"v")), body })
    }
}

/// An address of `N` bytes and a port.
fn endpoint<const N: usize>(r: &mut Reader<'_>) -> Option<(IpAddr, u16)> {
    let bytes = r.take(N)?;
    let ip = match (bytes.first_chunk::<16>(), bytes.first_chunk::<4>()) {
        (Some(v6), _) => IpAddr::V6(Ipv6Addr::from(*v6)),
        (None, v4) => IpAddr::V4(Ipv4Addr::from(*v4?)),
    };
    Some((ip, r.u16()?))
}

fn nodes<const N: usize>(bytes: &[u8]) -> Vec<Node> {
    let mut r = Reader::new(bytes);
    let mut found = Vec::new();
    while found.len() < NODES_CAP
        && let Some(id) = r.take(ID)
        && let Some((ip, port)) = endpoint::<N>(&mut r)
    {
        found.push(Node { id: hex(id), ip, port });
    }
    found
}

fn peer(value: Value<'_>) -> Option<Peer> {
    let Value::Text(bytes) = value else { return None };
    let mut r = Reader::new(bytes);
    let (ip, port) = match bytes.len() {
        6 => endpoint::<4>(&mut r)?,
        18 => endpoint::<16>(&mut r)?,
        _ => return None,
    };
    Some(Peer { ip, port })
}

impl Datagram for Message {
    fn read(_: &Moment<'_>, _: Direction, bytes: &[u8]) -> Option<Self> {
        Self::parse(bytes)
    }

    /// Peers exchange data on the same port (BEP 29).
    fn is_mine(bytes: &[u8]) -> bool {
        bytes.starts_with(b"d1:") || bytes.starts_with(b"d2:")
    }
}

impl Transaction for Message {
    fn protocol(&self) -> AppProto {
        NAME
    }

    fn event_type(&self) -> &'static str {
        "bittorrent_dht"
    }

    fn record(&self) -> &dyn erased_serde::Serialize {
        self
    }

    fn summary(&self) -> String {
        match &self.body {
            Body::Request { kind, info_hash, .. } => match info_hash {
                Some(hash) => format!("{} {}", WireText(kind), hex(hash)),
                None => WireText(kind).to_string(),
            },
            Body::Response { nodes, nodes6, values, .. } => {
                format!("{} nodes, {} peers", nodes.len() + nodes6.len(), values.len())
            }
            Body::Error { number, text } => format!("error {number} {}", WireText(text)),
        }
    }
}

impl Serialize for Message {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        let mut map = s.serialize_map(None)?;
        map.serialize_entry("transaction_id", &hex(&self.id))?;
        if let Some(version) = &self.version {
            map.serialize_entry("client_version", &hex(version))?;
        }
        match &self.body {
            Body::Request { kind, .. } => {
                map.serialize_entry("request_type", &WireText(kind))?;
                map.serialize_entry("request", &self.body)?;
            }
            Body::Response { .. } => map.serialize_entry("response", &self.body)?,
            Body::Error { .. } => map.serialize_entry("error", &self.body)?,
        }
        map.end()
    }
}

impl Serialize for Body {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        let mut map = s.serialize_map(None)?;
        match self {
            Self::Request { id, target, info_hash, token, port, implied_port, kind: _ } => {
                map.serialize_entry("id", &hex(id))?;
                for (name, value) in
                    [("target", target), ("info_hash", info_hash), ("token", token)]
                {
                    if let Some(value) = value {
                        map.serialize_entry(name, &hex(value))?;
                    }
                }
                for (name, value) in [("port", port), ("implied_port", implied_port)] {
                    if let Some(value) = value {
                        map.serialize_entry(name, value)?;
                    }
                }
            }
            Self::Response { id, token, nodes, nodes6, values } => {
                map.serialize_entry("id", &hex(id))?;
                if let Some(token) = token {
                    map.serialize_entry("token", &hex(token))?;
                }
                for (name, nodes) in [("nodes", nodes), ("nodes6", nodes6)] {
                    if !nodes.is_empty() {
                        map.serialize_entry(name, nodes)?;
                    }
                }
                if !values.is_empty() {
                    map.serialize_entry("values", values)?;
                }
            }
            Self::Error { number, text } => {
                map.serialize_entry("num", number)?;
                map.serialize_entry("msg", &WireText(text))?;
            }
        }
        map.end()
    }
}
