//! What can be asked about a flow: names, types, and where `SQLite` has it.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::net::IpAddr;

/// One property of a flow.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum Field {
    /// Number of the flow in its run.
    Id,
    /// Originator's address.
    SrcIp,
    /// Originator's host name.
    SrcName,
    /// Originator's port.
    SrcPort,
    /// Responder's address.
    DestIp,
    /// Responder's host name.
    DestName,
    /// Responder's port.
    DestPort,
    /// Transport protocol.
    Proto,
    /// Application protocol.
    AppProto,
    /// Interface.
    InIface,
    /// First VLAN tag.
    Vlan,
    /// First packet, microseconds since the epoch.
    Start,
    /// Last packet, microseconds since the epoch.
    End,
    /// From first to last packet, microseconds.
    Duration,
    /// Packets of the originator.
    PktsToserver,
    /// Packets of the responder.
    PktsToclient,
    /// Packets both ways.
    Packets,
    /// Bytes of the originator.
    BytesToserver,
    /// Bytes of the responder.
    BytesToclient,
    /// Bytes both ways.
    Bytes,
    /// Bytes per second now.
    Rate,
    /// How far it has come.
    State,
    /// Why it ended.
    Reason,
    /// Zeek's summary.
    ConnState,
    /// Zeek's history letters.
    History,
    /// Handshake round-trip time to the responder, microseconds.
    RttServer,
    /// Handshake round-trip time to the originator, microseconds.
    RttClient,
    /// First answer after the first request, microseconds.
    Response,
    /// Segments sent again.
    Retransmissions,
    /// Segments out of order.
    OutOfOrder,
    /// Segments lost.
    Lost,
    /// Windows closed.
    ZeroWindows,
    /// Name of the flow across tools.
    CommunityId,
    /// What was said, in one line.
    Info,
    /// Whether an alert was raised on it.
    Alerted,
}

impl Field {
    /// The `SQLite` expression that yields it, over the columns of the history.
    ///
    /// Addresses are blobs of 4 or 16 bytes, times and durations microseconds, truth values 0
    /// and 1.
    pub const fn column(self) -> &'static str {
        match self {
            Self::Id => "id",
            Self::SrcIp => "src_ip",
            Self::SrcName => "src_name",
            Self::SrcPort => "src_port",
            Self::DestIp => "dest_ip",
            Self::DestName => "dest_name",
            Self::DestPort => "dest_port",
            Self::Proto => "proto",
            Self::AppProto => "app_proto",
            Self::InIface => "in_iface",
            Self::Vlan => "vlan",
            Self::Start => "start_us",
            Self::End => "end_us",
            Self::Duration => "max(end_us - start_us, 0)",
            Self::PktsToserver => "pkts_toserver",
            Self::PktsToclient => "pkts_toclient",
            Self::Packets => "(pkts_toserver + pkts_toclient)",
            Self::BytesToserver => "bytes_toserver",
            Self::BytesToclient => "bytes_toclient",
            Self::Bytes => "(bytes_toserver + bytes_toclient)",
            // What was fast then is not fast now.
            Self::Rate => "0",
            Self::State => "state",
            Self::Reason => "reason",
            Self::ConnState => "conn_state",
            Self::History => "history",
            Self::RttServer => "rtt_server_us",
            Self::RttClient => "rtt_client_us",
            Self::Response => "response_us",
            Self::Retransmissions => "retransmissions",
            Self::OutOfOrder => "out_of_order",
            Self::Lost => "lost",
            Self::ZeroWindows => "zero_windows",
            Self::CommunityId => "community_id",
            Self::Info => "info",
            Self::Alerted => "alerted",
        }
    }

    /// Whether a flow may lack it.
    pub const fn is_optional(self) -> bool {
        matches!(
            self,
            Self::SrcName
                | Self::DestName
                | Self::AppProto
                | Self::InIface
                | Self::Vlan
                | Self::Reason
                | Self::RttServer
                | Self::RttClient
                | Self::Response
                | Self::Info
        )
    }

    /// The field of this name or alias, where it is one property and not several.
    pub fn named(name: &str) -> Option<Self> {
        match FieldInfo::named(name)?.parts {
            &[field] => Some(field),
            _ => None,
        }
    }
}

/// What a flow answers when it is asked for a field.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Value<'a> {
    /// The flow does not have it.
    None,
    /// An address.
    Address(IpAddr),
    /// A number; times and durations are microseconds, truth values 0 and 1.
    Number(i64),
    /// A text.
    Text(Cow<'a, str>),
}

impl<'a> Value<'a> {
    /// A count; what no `i64` can hold is as good as the largest.
    pub fn count(n: u64) -> Self {
        Self::Number(i64::try_from(n).unwrap_or(i64::MAX))
    }

    /// A number that may be lacking.
    pub fn maybe_number(n: Option<impl Into<i64>>) -> Self {
        n.map_or(Self::None, |n| Self::Number(n.into()))
    }

    /// A text.
    pub fn text(text: &'a str) -> Self {
        Self::Text(Cow::Borrowed(text))
    }

    /// A text that may be lacking.
    pub fn maybe_text(text: Option<&'a str>) -> Self {
        text.map_or(Self::None, Self::text)
    }
}

/// Something that can be filtered.
pub trait Fields {
    /// The value of a field.
    fn get(&self, field: Field) -> Value<'_>;
}

/// How values of a field are written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// An address or network: `10.0.0.1`, `10.0.0.0/8`, `2001:db8::/32`.
    Address,
    /// An address, a network or a host name.
    Host,
    /// A port or a range of ports: `443`, `8000-8100`.
    Port,
    /// A whole number or a range of them.
    Number,
    /// Bytes: `1500`, `10k`, `1.5M`, `2GiB`.
    Size,
    /// A length of time: `250us`, `10ms`, `1.5s`, `2m`, `1h`, `7d`.
    Duration,
    /// A moment in UTC: `2026-03-01`, `2026-03-01T12:30`, `2026-03-01T12:30:00.5+02:00`.
    Time,
    /// A text, quoted where it has blanks or operators.
    Text,
    /// One of these words.
    Word(&'static [&'static str]),
    /// A transport protocol by name or number.
    Protocol,
    /// `true` or `false`; the name alone means `true`.
    Bool,
}

impl Kind {
    /// What is expected here, as an error message says it.
    pub const fn expected(self) -> &'static str {
        match self {
            Self::Address => "an address or network such as 10.0.0.1 or 10.0.0.0/8",
            Self::Host => "an address, network or host name",
            Self::Port => "a port from 0 to 65535 or a range such as 8000-8100",
            Self::Number => "a whole number or a range such as 10-20",
            Self::Size => "a number of bytes such as 1500, 10k or 1.5M",
            Self::Duration => "a length of time with its unit such as 250ms, 10s or 2h",
            Self::Time => "a time in UTC such as 2026-03-01 or 2026-03-01T12:30:00",
            Self::Text => "a text",
            Self::Word(_) => "one of its words",
            Self::Protocol => "a transport protocol such as tcp, or its number",
            Self::Bool => "true or false",
        }
    }

    /// Whether values of it are texts in a flow.
    pub(crate) const fn is_text(self) -> bool {
        matches!(self, Self::Text | Self::Word(_) | Self::Protocol)
    }
}

/// A field as a person names it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FieldInfo {
    /// Its name.
    pub name: &'static str,
    /// Other names it answers to.
    pub aliases: &'static [&'static str],
    /// How its values are written.
    pub kind: Kind,
    /// The properties it asks; any of them may answer yes.
    pub parts: &'static [Field],
    /// What it is, in one line.
    pub doc: &'static str,
    /// A filter that uses it.
    pub example: &'static str,
}

impl FieldInfo {
    /// The field of this name or alias, in any case.
    pub fn named(name: &str) -> Option<&'static Self> {
        FIELDS.iter().find(|info| info.names().any(|n| n.eq_ignore_ascii_case(name)))
    }

    /// Its name and its aliases.
    pub(crate) fn names(&self) -> impl Iterator<Item = &'static str> + use<> {
        std::iter::once(self.name).chain(self.aliases.iter().copied())
    }
}

/// Names that [`Kind::Protocol`] knows besides those that FlowTrack decodes.
pub(crate) const PROTOCOLS: &[&str] =
    &["tcp", "udp", "icmp", "ipv6-icmp", "sctp", "gre", "esp", "ah", "igmp", "ipip", "ipv6"];

const STATES: &[&str] = &["new", "established", "closed"];
const REASONS: &[&str] = &["timeout", "shutdown", "tcp_reuse", "forced", "interrupted"];
const CONN_STATES: &[&str] =
    &["S0", "S1", "SF", "REJ", "S2", "S3", "RSTO", "RSTR", "RSTOS0", "RSTRH", "SH", "SHR", "OTH"];

/// One row of [`FIELDS`].
const fn info(
    name: &'static str,
    aliases: &'static [&'static str],
    kind: Kind,
    parts: &'static [Field],
    doc: &'static str,
    example: &'static str,
) -> FieldInfo {
    FieldInfo { name, aliases, kind, parts, doc, example }
}

/// Every field that a filter can ask for, in the order in which people need them.
#[rustfmt::skip]
pub const FIELDS: &[FieldInfo] = &[
    info("host", &["ip", "addr", "address"], Kind::Host, &[Field::SrcIp, Field::DestIp],
        "either side, by address, network or name", "host = 192.0.2.0/24"),
    info("src_ip", &["src", "source", "src_addr"], Kind::Address, &[Field::SrcIp],
        "originator's address", "src_ip = 10.0.0.0/8"),
    info("dest_ip", &["dst", "dest", "dst_ip", "destination", "dest_addr"], Kind::Address, &[Field::DestIp],
        "responder's address", "dest_ip = 2001:db8::1"),
    info("port", &[], Kind::Port, &[Field::SrcPort, Field::DestPort],
        "port of either side", "port in (80, 443, 8000-8100)"),
    info("src_port", &["sport"], Kind::Port, &[Field::SrcPort],
        "originator's port", "src_port >= 49152"),
    info("dest_port", &["dst_port", "dport"], Kind::Port, &[Field::DestPort],
        "responder's port", "dest_port = 443"),
    info("name", &["hostname", "domain"], Kind::Text, &[Field::SrcName, Field::DestName],
        "host name of either side", "name ~ *.example.org"),
    info("src_name", &[], Kind::Text, &[Field::SrcName],
        "originator's host name", "src_name = printer"),
    info("dest_name", &["dst_name"], Kind::Text, &[Field::DestName],
        "responder's host name", "dest_name contains example"),
    info("proto", &["protocol", "transport"], Kind::Protocol, &[Field::Proto],
        "transport protocol", "proto in (tcp, udp)"),
    info("app_proto", &["app", "service"], Kind::Text, &[Field::AppProto],
        "application protocol", "app_proto = tls"),
    info("info", &["summary"], Kind::Text, &[Field::Info],
        "what was said, in one line", "info ~ \"GET *\""),
    info("state", &[], Kind::Word(STATES), &[Field::State],
        "how far it has come", "state = established"),
    info("reason", &[], Kind::Word(REASONS), &[Field::Reason],
        "why it ended; living flows have none", "reason = timeout"),
    info("conn_state", &[], Kind::Word(CONN_STATES), &[Field::ConnState],
        "Zeek's summary of the connection", "conn_state in (S0, REJ)"),
    info("history", &[], Kind::Text, &[Field::History],
        "Zeek's history letters (case does not count)", "history ~ s*"),
    info("bytes", &["size"], Kind::Size, &[Field::Bytes],
        "bytes both ways", "bytes > 1M"),
    info("bytes_toserver", &["bytes_out"], Kind::Size, &[Field::BytesToserver],
        "bytes of the originator", "bytes_toserver >= 64k"),
    info("bytes_toclient", &["bytes_in"], Kind::Size, &[Field::BytesToclient],
        "bytes of the responder", "bytes_toclient = 0"),
    info("rate", &[], Kind::Size, &[Field::Rate],
        "bytes per second now; 0 in history", "rate > 100k"),
    info("packets", &["pkts"], Kind::Number, &[Field::Packets],
        "packets both ways", "packets < 4"),
    info("pkts_toserver", &["packets_toserver"], Kind::Number, &[Field::PktsToserver],
        "packets of the originator", "pkts_toserver > 100"),
    info("pkts_toclient", &["packets_toclient"], Kind::Number, &[Field::PktsToclient],
        "packets of the responder", "pkts_toclient = 0"),
    info("duration", &["age"], Kind::Duration, &[Field::Duration],
        "from first to last packet", "duration > 10s"),
    info("start", &["first"], Kind::Time, &[Field::Start],
        "first packet", "start >= 2026-03-01T12:00"),
    info("end", &["last"], Kind::Time, &[Field::End],
        "last packet", "end < 2026-03-02"),
    info("rtt_server", &["rtt"], Kind::Duration, &[Field::RttServer],
        "round trip to the responder, by handshake", "rtt_server > 200ms"),
    info("rtt_client", &[], Kind::Duration, &[Field::RttClient],
        "round trip to the originator, by handshake", "rtt_client > 50ms"),
    info("response", &["latency"], Kind::Duration, &[Field::Response],
        "from first request to first answer", "response > 1s"),
    info("retransmissions", &["retrans"], Kind::Number, &[Field::Retransmissions],
        "segments sent again, both ways", "retransmissions > 10"),
    info("out_of_order", &["ooo"], Kind::Number, &[Field::OutOfOrder],
        "segments out of order, both ways", "out_of_order > 0"),
    info("lost", &[], Kind::Number, &[Field::Lost],
        "segments lost, both ways", "lost > 0"),
    info("zero_windows", &[], Kind::Number, &[Field::ZeroWindows],
        "windows closed, both ways", "zero_windows > 0"),
    info("in_iface", &["iface", "interface"], Kind::Text, &[Field::InIface],
        "interface", "in_iface = eth0"),
    info("vlan", &[], Kind::Number, &[Field::Vlan],
        "first VLAN tag", "vlan = 100"),
    info("community_id", &[], Kind::Text, &[Field::CommunityId],
        "name of the flow across tools", "community_id = \"1:LQU9qZlK+B5F3KDmev6m5PMibrg=\""),
    info("alerted", &["alert"], Kind::Bool, &[Field::Alerted],
        "whether an alert was raised on it", "alerted"),
    info("id", &["flow_id"], Kind::Number, &[Field::Id],
        "number of the flow in its run", "id = 4711"),
];

/// The reference of the fields as a Markdown table.
pub fn field_docs() -> String {
    let mut out =
        String::from("| field | also | value | meaning | example |\n|---|---|---|---|---|\n");
    for f in FIELDS {
        let value = match f.kind {
            Kind::Word(words) => words.join(", "),
            kind => kind.expected().to_owned(),
        };
        // Writing to a string does not fail.
        let _ = writeln!(
            out,
            "| `{}` | {} | {value} | {} | `{}` |",
            f.name,
            f.aliases.join(", "),
            f.doc,
            f.example
        );
    }
    out
}
