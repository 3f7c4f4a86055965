//! DHCP for IPv4 (RFC 2131, options RFC 2132): who asked for an address and what was given.

use crate::{
    Datagram, Datagrams, Dissector, Field, First, Keyword, Moment, Probe, Protocol, Reader,
};
use crate::{Transport, Wants};
use flowtrack_event::{AppProto, Direction, Transaction, WireText};
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr};

const NAME: AppProto = AppProto("dhcp");
/// Stands before the options (RFC 2131 section 3).
const COOKIE: [u8; 4] = [0x63, 0x82, 0x53, 0x63];
/// Bytes before the options.
const HEADER: usize = 236;
/// Options read of one message.
const OPTIONS_CAP: usize = 256;
/// Addresses or parameters kept of one option.
const LIST_CAP: usize = 64;

const KEYWORDS: &[Keyword] = &[
    Keyword::number("dhcp.leasetime", "seconds for which an address is given"),
    Keyword::number("dhcp.renewal_time", "seconds until the client should ask again"),
    Keyword::number("dhcp.rebinding_time", "seconds until it should ask any server"),
];

const FIELDS: &[Field] = &[
    Field::eve("type", "string", "`request` of a client or `reply` of a server"),
    Field::eve("id", "integer", "identifier that ties messages together"),
    Field::eve("client_mac", "string", "hardware address of the client"),
    Field::eve("assigned_ip", "string", "address given to the client"),
    Field::eve("client_ip", "string", "address the client already has"),
    Field::eve("relay_ip", "string", "agent that relayed a reply"),
    Field::eve("next_server_ip", "string", "server to boot from"),
    Field::eve(
        "dhcp_type",
        "string",
        "discover, offer, request, decline, ack, nak, release, inform",
    ),
    Field::eve("requested_ip", "string", "address the client asks for"),
    Field::eve("client_id", "string", "identifier of the client"),
    Field::eve("hostname", "string", "name of the client"),
    Field::eve("vendor_class_identifier", "string", "kind of client or its operating system"),
    Field::eve("params[]", "array", "options the client asks for; their order tells systems apart"),
    Field::eve("subnet_mask", "string", "mask of the network"),
    Field::eve("routers[]", "array", "routers of the network"),
    Field::eve("dns_servers[]", "array", "name servers of the network"),
    Field::eve("lease_time", "integer", "seconds for which the address is given"),
    Field::eve("renewal_time", "integer", "seconds after which it is to be renewed"),
    Field::eve("rebinding_time", "integer", "seconds after which any server may renew it"),
    Field::added("domain", "string", "domain of the network"),
    Field::added("server_id", "string", "address of the server"),
];

/// DHCP.
pub struct Dhcp;

impl Protocol for Dhcp {
    fn name(&self) -> AppProto {
        NAME
    }

    fn transport(&self) -> Transport {
        Transport::Udp
    }

    fn ports(&self) -> &'static [u16] {
        &[67, 68]
    }

    fn probe(&self, first: &First<'_>) -> Probe {
        let is_operation = matches!(first.bytes.first(), Some(1 | 2));
        let is_mine = match first.bytes.get(HEADER..HEADER + COOKIE.len()) {
            Some(cookie) if cookie == COOKIE => true,
            // BOOTP, from which it grew, leaves what stands there to the vendor (RFC 951).
            Some(_) => first.has_port(self.ports()),
            None => false,
        };
        Probe::content(is_operation && is_mine)
    }

    fn dissector(&self, wants: Wants) -> Option<Box<dyn Dissector>> {
        (wants.records || wants.buffers).then(Datagrams::<Message>::boxed)
    }

    fn fields(&self) -> &'static [Field] {
        FIELDS
    }

    fn keywords(&self) -> &'static [Keyword] {
        KEYWORDS
    }
}

/// One message.
#[derive(Default, Debug)]
struct Message {
    direction: Option<Direction>,
    is_reply: bool,
    id: u32,
    hardware: Vec<u8>,
    client: u32,
    assigned: u32,
    next_server: u32,
    relay: u32,
    kind: Option<u8>,
    requested: Option<u32>,
    server: Option<u32>,
    client_id: Vec<u8>,
    hostname: Vec<u8>,
    domain: Vec<u8>,
    vendor_class: Vec<u8>,
    params: Vec<u8>,
    mask: Option<u32>,
    routers: Vec<u32>,
    dns_servers: Vec<u32>,
    lease: Option<u32>,
    renewal: Option<u32>,
    rebinding: Option<u32>,
}

impl Message {
    fn parse(bytes: &[u8]) -> Option<Self> {
        let mut r = Reader::new(bytes);
        let operation = r.u8()?;
        let _hardware_type = r.u8()?;
        let hardware_length = usize::from(r.u8()?.min(16));
        r.skip(1)?;
        let id = r.u32()?;
        r.skip(4)?;
        let (client, assigned) = (r.u32()?, r.u32()?);
        let (next_server, relay) = (r.u32()?, r.u32()?);
        let hardware = r.take(16)?.get(..hardware_length)?.to_vec();
        let (server_name, file) = (r.take(64)?, r.take(128)?);
        let has_options = r.array()? == COOKIE;
        let mut it = Self {
            is_reply: operation == 2,
            id,
            hardware,
            client,
            assigned,
            next_server,
            relay,
            ..Self::default()
        };
        if !has_options {
            return Some(it);
        }
        // Options may go on in the fields for the file and the server's name (RFC 2131 section 4.1).
        let overload = it.options(r.rest());
        if overload & 1 != 0 {
            it.options(file);
        }
        if overload & 2 != 0 {
            it.options(server_name);
        }
        Some(it)
    }

    /// Reads options; answers the value of the overload option.
    fn options(&mut self, bytes: &[u8]) -> u8 {
        let mut r = Reader::new(bytes);
        let mut overload = 0;
        for _ in 0..OPTIONS_CAP {
            let value = match r.u8() {
                Some(0) => continue,
                None | Some(255) => break,
                Some(code) => r.u8().and_then(|n| r.take(usize::from(n))).map(|v| (code, v)),
            };
            let Some((code, value)) = value else { break };
            let number = || value.first_chunk().map(|n| u32::from_be_bytes(*n));
            let numbers = || {
                let all = value.chunks_exact(4).filter_map(|c| c.first_chunk());
                all.take(LIST_CAP).map(|n| u32::from_be_bytes(*n)).collect()
            };
            match code {
                1 => self.mask = number(),
                3 => self.routers = numbers(),
                6 => self.dns_servers = numbers(),
                12 => self.hostname = value.to_vec(),
                15 => self.domain = value.to_vec(),
                50 => self.requested = number(),
                51 => self.lease = number(),
                52 => overload = value.first().copied().unwrap_or(0),
                53 => self.kind = value.first().copied(),
                54 => self.server = number(),
                55 => self.params = value.get(..LIST_CAP).unwrap_or(value).to_vec(),
                58 => self.renewal = number(),
                59 => self.rebinding = number(),
                60 => self.vendor_class = value.to_vec(),
                61 => self.client_id = value.to_vec(),
                _ => {}
            }
        }
        overload
    }

    fn kind_name(&self) -> Option<&'static str> {
        const NAMES: [&str; 13] = [
            "discover",
            "offer",
            "request",
            "decline",
            "ack",
            "nak",
            "release",
            "inform",
            "forcerenew",
            "leasequery",
            "leaseunassigned",
            "leaseunknown",
            "leaseactive",
        ];
        let kind = self.kind?;
        Some(NAMES.get(usize::from(kind).wrapping_sub(1)).copied().unwrap_or("unknown"))
    }

    /// The address that the client has, by this message.
    fn address(&self) -> Option<Ipv4Addr> {
        let given = if self.kind == Some(5) { self.assigned } else { 0 };
        [given, self.client].into_iter().find(|&ip| ip != 0).map(Ipv4Addr::from)
    }
}

impl Datagram for Message {
    fn read(_: &Moment<'_>, direction: Direction, bytes: &[u8]) -> Option<Self> {
        let direction = Some(direction);
        Self::parse(bytes).map(|message| Self { direction, ..message })
    }
}

impl Transaction for Message {
    fn protocol(&self) -> AppProto {
        NAME
    }

    fn record(&self) -> &dyn erased_serde::Serialize {
        self
    }

    fn one_way(&self) -> Option<Direction> {
        self.direction
    }

    fn number(&self, direction: Direction, name: &str, visit: &mut dyn FnMut(u64)) {
        let number = match name {
            _ if self.direction != Some(direction) => None,
            "dhcp.leasetime" => self.lease,
            "dhcp.renewal_time" => self.renewal,
            "dhcp.rebinding_time" => self.rebinding,
            _ => None,
        };
        number.iter().for_each(|&number| visit(number.into()));
    }

    fn names(&self, visit: &mut dyn FnMut(IpAddr, &str)) {
        if let (Some(ip), Ok(name)) = (self.address(), std::str::from_utf8(&self.hostname)) {
            let name = name.trim_end_matches('\0');
            if !name.is_empty() {
                visit(ip.into(), name);
            }
        }
    }

    fn summary(&self) -> String {
        let mut text = self.kind_name().unwrap_or("bootp").to_string();
        text += &format!(" {}", Colons(&self.hardware));
        if !self.hostname.is_empty() {
            text += &format!(" {}", WireText(&self.hostname));
        }
        if let Some(ip) = self.address().or(self.requested.map(Ipv4Addr::from)) {
            text += &format!(" {ip}");
        }
        text
    }
}

impl Serialize for Message {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        let mut map = s.serialize_map(None)?;
        map.serialize_entry("type", if self.is_reply { "reply" } else { "request" })?;
        map.serialize_entry("id", &self.id)?;
        map.serialize_entry("client_mac", &Colons(&self.hardware))?;
        map.serialize_entry("assigned_ip", &Ipv4Addr::from(self.assigned))?;
        map.serialize_entry("client_ip", &Ipv4Addr::from(self.client))?;
        if self.is_reply {
            map.serialize_entry("relay_ip", &Ipv4Addr::from(self.relay))?;
            map.serialize_entry("next_server_ip", &Ipv4Addr::from(self.next_server))?;
        }
        if let Some(kind) = self.kind_name() {
            map.serialize_entry("dhcp_type", kind)?;
        }
        for (name, ip) in [
            ("requested_ip", self.requested),
            ("subnet_mask", self.mask),
            ("server_id", self.server),
        ] {
            if let Some(ip) = ip {
                map.serialize_entry(name, &Ipv4Addr::from(ip))?;
            }
        }
        if !self.client_id.is_empty() {
            // A hardware address follows its type (RFC 2132 section 9.14).
            let id = self.client_id.strip_prefix(&[1]).filter(|id| id.len() == 6);
            map.serialize_entry("client_id", &Colons(id.unwrap_or(&self.client_id)))?;
        }
        for (name, text) in [
            ("hostname", &self.hostname),
            ("domain", &self.domain),
            ("vendor_class_identifier", &self.vendor_class),
        ] {
            if !text.is_empty() {
                map.serialize_entry(name, &WireText(text))?;
            }
        }
        if !self.params.is_empty() {
            let params: Vec<_> = self.params.iter().map(|&code| Param(code)).collect();
            map.serialize_entry("params", &params)?;
        }
        for (name, addresses) in [("routers", &self.routers), ("dns_servers", &self.dns_servers)] {
            if !addresses.is_empty() {
                let addresses: Vec<_> = addresses.iter().map(|&ip| Ipv4Addr::from(ip)).collect();
                map.serialize_entry(name, &addresses)?;
            }
        }
        for (name, seconds) in [
            ("lease_time", self.lease),
            ("renewal_time", self.renewal),
            ("rebinding_time", self.rebinding),
        ] {
            if let Some(seconds) = seconds {
                map.serialize_entry(name, &seconds)?;
            }
        }
        map.end()
    }
}

/// Bytes as hexadecimal digits with colons between them.
pub struct Colons<'a>(pub &'a [u8]);

impl fmt::Display for Colons<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, byte) in self.0.iter().enumerate() {
            write!(f, "{}{byte:02x}", if i == 0 { "" } else { ":" })?;
        }
        Ok(())
    }
}

impl Serialize for Colons<'_> {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

/// An option that is asked for, by name where it is a usual one.
struct Param(u8);

impl Serialize for Param {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        let name = match self.0 {
            1 => "subnet_mask",
            2 => "time_offset",
            3 => "router",
            4 => "time_server",
            6 => "dns_server",
            12 => "hostname",
            15 => "domain",
            26 => "mtu",
            28 => "broadcast",
            31 => "router_discovery",
            33 => "static_route",
            35 => "arp_timeout",
            42 => "ntp_server",
            43 => "vendor_specific",
            44 => "netbios_name_server",
            46 => "netbios_node_type",
            47 => "netbios_scope",
            51 => "lease_time",
            54 => "server_id",
            58 => "renewal_time",
            59 => "rebinding_time",
            66 => "tftp_server_name",
            67 => "boot_file",
            119 => "domain_search",
            121 => "classless_static_route",
            150 => "tftp_server_ip",
            252 => "proxy_autodiscovery",
            code => return s.collect_str(&code),
        };
        s.serialize_str(name)
    }
}
