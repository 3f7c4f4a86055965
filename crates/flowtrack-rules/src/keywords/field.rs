//! Numbers of transactions: what the readers of protocols know as numbers, by the names that rules
//! use.

use super::number::{Comparison, ListComparison};
use crate::builder::{Builder, Complaint, Keyword, Needs, Value};
use crate::context::Context;
use crate::lang::did_you_mean;
use crate::signature::Test;
use flowtrack_event::Direction::{self, ToClient, ToServer};
use flowtrack_event::words::{
    DNP3_FUNCTIONS, DNP3_INDICATIONS, ENIP_COMMANDS, ENIP_STATUS, LDAP_REQUESTS, LDAP_RESPONSES,
    LDAP_RESULTS, MQTT_CONNECT_FLAGS, MQTT_FLAGS, MQTT_TYPES, RFB_RESULTS, SNMP_PDUS, SNMP_TRAPS,
    Words,
};
use smallvec::SmallVec;

mod special;

pub(crate) use special::KEYWORDS as SPECIAL;

/// Values of one keyword in one transaction that are looked at.
const MAX_VALUES: usize = 1024;

/// A number of a protocol.
struct Field {
    name: &'static str,
    aliases: &'static [&'static str],
    /// Under which name transactions know it.
    asked: &'static str,
    apps: &'static [&'static str],
    toward: Option<Direction>,
    max: u64,
    form: Form,
    words: Words,
}

/// How a value is written.
#[derive(Clone, Copy)]
enum Form {
    /// A comparison, and of which of several numbers it must hold.
    List,
    /// Flags with commas between them, `!` before those that must not be set.
    Bits,
    /// Numbers and ranges with commas between them, both ends included.
    Ranges,
}

/// Declares number keywords.
macro_rules! fields {
    ($($name:literal $(| $alias:literal)*, $asked:literal, $proto:literal, $apps:expr, $toward:expr, $max:ident, $form:ident, $words:expr, $doc:literal, $value:literal;)*) => {
        const FIELDS: &[Field] = &[$(Field {
            name: $name,
            aliases: &[$($alias),*],
            asked: $asked,
            apps: &$apps,
            toward: $toward,
            max: $max,
            form: Form::$form,
            words: $words,
        },)*];

        /// The family.
        pub(crate) const KEYWORDS: &[Keyword] = &[$(Keyword {
            name: $name,
            aliases: &[$($alias),*],
            doc: $doc,
            example: concat!("alert ", $proto, " any any -> any any (", $name, ":", $value, "; sid:1;)"),
            parse,
        },)*];
    };
}

const U8: u64 = u8::MAX as u64;
const U16: u64 = u16::MAX as u64;
const U32: u64 = u32::MAX as u64;
const U64: u64 = u64::MAX;
const NONE: Words = &[];

fields! {
    "dns.opcode", "dns.opcode", "dns", ["dns", "doh2", "mdns", "llmnr"], None, U8, List, DNS_OPCODES, "Kind of a query.", "4";
    "dns.rcode", "dns.rcode", "dns", ["dns", "doh2", "mdns", "llmnr"], None, U16, List, DNS_RCODES, "Outcome of a query.", "NXDOMAIN";
    "dns.rrtype", "dns.rrtype", "dns", ["dns", "doh2", "mdns", "llmnr"], None, U16, List, DNS_TYPES, "Types that are asked for, or answered.", "TXT";
    "dhcp.leasetime", "dhcp.leasetime", "dhcp", ["dhcp"], None, U64, List, NONE, "Seconds for which an address is given.", "<60";
    "dhcp.renewal_time", "dhcp.renewal_time", "dhcp", ["dhcp"], None, U64, List, NONE, "Seconds until the client should ask again.", "<60";
    "dhcp.rebinding_time", "dhcp.rebinding_time", "dhcp", ["dhcp"], None, U64, List, NONE, "Seconds until the client should ask any server.", "<60";
    "dcerpc.opnum" | "dce_opnum", "dcerpc.opnum", "dcerpc", ["dcerpc", "smb"], None, U16, Ranges, NONE, "Number of the procedure that is called: numbers and ranges, both ends included.", "0-3,15";
    "dnp3_func" | "dnp3.func", "dnp3_func", "dnp3", ["dnp3"], None, U8, List, DNP3_FUNCTIONS, "Function.", "cold_restart";
    "dnp3_ind" | "dnp3.ind", "dnp3.ind", "dnp3", ["dnp3"], None, U16, Bits, DNP3_INDICATIONS, "Internal indications of the outstation.", "device_restart,!need_time";
    "enip_command" | "enip.command", "enip_command", "enip", ["enip"], None, U16, List, ENIP_COMMANDS, "Command.", "list_identity";
    "enip.status", "enip.status", "enip", ["enip"], None, U32, List, ENIP_STATUS, "Status.", "!success";
    "enip.protocol_version", "enip.protocol_version", "enip", ["enip"], None, U16, List, NONE, "Version of the protocol.", "1";
    "enip.capabilities", "enip.capabilities", "enip", ["enip"], None, U16, List, NONE, "What the service can do.", "1";
    "enip.revision", "enip.revision", "enip", ["enip"], None, U16, List, NONE, "Revision of the device, its major half times 256.", "1";
    "enip.vendor_id", "enip.vendor_id", "enip", ["enip"], None, U16, List, NONE, "Maker of the device.", "1";
    "enip.device_type", "enip.device_type", "enip", ["enip"], None, U16, List, NONE, "Kind of device.", "1";
    "enip.product_code", "enip.product_code", "enip", ["enip"], None, U16, List, NONE, "Product.", "1";
    "enip.identity_status", "enip.identity_status", "enip", ["enip"], None, U16, List, NONE, "Status of the device.", "1";
    "enip.serial", "enip.serial", "enip", ["enip"], None, U32, List, NONE, "Serial number of the device.", "1";
    "enip.state", "enip.state", "enip", ["enip"], None, U8, List, NONE, "State of the device.", "1";
    "enip.cip_class", "enip.cip_class", "enip", ["enip"], None, U32, List, NONE, "Classes that are asked.", "1";
    "enip.cip_instance", "enip.cip_instance", "enip", ["enip"], None, U32, List, NONE, "Instances that are asked.", "1";
    "enip.cip_attribute", "enip.cip_attribute", "enip", ["enip"], None, U32, List, NONE, "Attributes that are asked.", "1";
    "enip.cip_status", "enip.cip_status", "enip", ["enip"], None, U8, List, NONE, "Status of the service.", "1";
    "enip.cip_extendedstatus", "enip.cip_extendedstatus", "enip", ["enip"], None, U16, List, NONE, "Words that follow that status.", "1";
    "ftp.mode", "ftp.mode", "ftp", ["ftp"], None, U8, List, FTP_MODES, "Who opens the data connection: `active` or `passive`.", "passive";
    "ftp.dynamic_port", "ftp.dynamic_port", "ftp", ["ftp"], None, U16, List, NONE, "Port of the connection for data.", ">1023";
    "ftp.reply_received", "ftp.reply_received", "ftp", ["ftp"], Some(ToClient), U8, List, NO_YES, "Whether a reply came.", "no";
    "http2.frametype", "http2.frametype", "http2", ["http2", "doh2"], None, U8, List, HTTP2_FRAMES, "Kinds of the frames.", "GOAWAY";
    "http2.errorcode", "http2.errorcode", "http2", ["http2", "doh2"], None, U32, List, HTTP2_ERRORS, "Why a stream or the connection was ended.", "!NO_ERROR";
    "http2.priority", "http2.priority", "http2", ["http2", "doh2"], None, U8, List, NONE, "Weight of a stream.", ">100";
    "http2.window", "http2.window", "http2", ["http2", "doh2"], None, U32, List, NONE, "How much a window grew.", ">36000,all";
    "http2.size_update", "http2.size_update", "http2", ["http2", "doh2"], None, U64, List, NONE, "New size of the table of the sender.", ">1000";
    "ike.exchtype", "ike.exchtype", "ike", ["ike"], None, U8, List, NONE, "Type of the exchange.", "34";
    "ike.key_exchange_payload_length", "ike.key_exchange_payload_length", "ike", ["ike"], None, U32, List, NONE, "Bytes of the key exchange.", ">100";
    "ike.nonce_payload_length", "ike.nonce_payload_length", "ike", ["ike"], None, U32, List, NONE, "Bytes of the nonce.", "<200";
    "krb5_msg_type" | "krb5.msg_type", "krb5_msg_type", "krb5", ["krb5"], None, U8, List, NONE, "Type of the message.", "10";
    "krb5_err_code" | "krb5.err_code", "krb5_err_code", "krb5", ["krb5"], None, U32, List, NONE, "Why a request was refused.", "25";
    "ldap.request.operation", "ldap.request.operation", "ldap", ["ldap"], Some(ToServer), U8, List, LDAP_REQUESTS, "What is asked.", "search_request";
    "ldap.responses.operation", "ldap.responses.operation", "ldap", ["ldap"], Some(ToClient), U8, List, LDAP_RESPONSES, "What is answered.", "search_result_done,-1";
    "ldap.responses.count", "ldap.responses.count", "ldap", ["ldap"], Some(ToClient), U32, List, NONE, "How many answers there are.", ">2";
    "ldap.responses.result_code", "ldap.responses.result_code", "ldap", ["ldap"], Some(ToClient), U32, List, LDAP_RESULTS, "Results.", "invalid_credentials";
    "mqtt.type", "mqtt.type", "mqtt", ["mqtt"], None, U8, List, MQTT_TYPES, "Kind of the message.", "CONNECT";
    "mqtt.qos", "mqtt.qos", "mqtt", ["mqtt"], None, U8, List, NONE, "Quality of service.", "2";
    "mqtt.flags", "mqtt.flags", "mqtt", ["mqtt"], None, U8, Bits, MQTT_FLAGS, "Flags of the message.", "retain,!dup";
    "mqtt.protocol_version", "mqtt.protocol_version", "mqtt", ["mqtt"], None, U8, List, NONE, "Version: 3, 4 or 5.", "5";
    "mqtt.connect.flags", "mqtt.connect.flags", "mqtt", ["mqtt"], None, U8, Bits, MQTT_CONNECT_FLAGS, "What a client sends along and asks for.", "username,password";
    "mqtt.connack.session_present", "mqtt.connack.session_present", "mqtt", ["mqtt"], None, U8, List, NO_YES, "Whether the server knew the session.", "yes";
    "mqtt.reason_code" | "mqtt.connack.return_code", "mqtt.reason_code", "mqtt", ["mqtt"], None, U8, List, NONE, "Result.", ">127";
    "nfs.version" | "nfs_version", "nfs.version", "nfs", ["nfs"], None, U32, List, NONE, "Version of NFS.", "3";
    "ntp.version", "ntp.version", "ntp", ["ntp"], None, U8, List, NONE, "Version.", "4";
    "ntp.mode", "ntp.mode", "ntp", ["ntp"], None, U8, List, NTP_MODES, "Who says it: 3 is a client, 4 a server.", "!server";
    "ntp.stratum", "ntp.stratum", "ntp", ["ntp"], None, U8, List, NONE, "Steps to a reference clock.", "16";
    "rfb.sectype", "rfb.sectype", "rfb", ["rfb"], None, U32, List, NONE, "Way to log on.", "1";
    "rfb.secresult", "rfb.secresult", "rfb", ["rfb"], Some(ToClient), U32, List, RFB_RESULTS, "Outcome of the log-on.", "fail";
    "smb.version", "smb.version", "smb", ["smb"], None, U8, List, NONE, "Version: 1, or 2 for all later ones.", "1";
    "snmp.version", "snmp.version", "snmp", ["snmp"], None, U32, List, NONE, "Version: 1, 2 or 3.", "1";
    "snmp.pdu_type", "snmp.pdu_type", "snmp", ["snmp"], None, U32, List, SNMP_PDUS, "What is asked.", "set_request";
    "snmp.trap_type", "snmp.trap_type", "snmp", ["snmp"], None, U8, List, SNMP_TRAPS, "Generic kind of a trap of version 1.", "cold_start";
    "tls.version", "tls.version", "tls", ["tls"], None, U16, List, TLS_VERSIONS, "Version that is offered, or chosen: `1.2`, or as a number.", "<0x0303";
    "tls.cert_chain_len", "tls.cert_chain_len", "tls", ["tls"], None, U32, List, NONE, "Certificates of the chain.", ">3";
    "websocket.opcode", "websocket.opcode", "websocket", ["websocket"], None, U8, List, WEBSOCKET_OPCODES, "Kind of the frame.", "text";
    "websocket.mask", "websocket.mask", "websocket", ["websocket"], None, U32, List, NONE, "Key that the payload was masked with.", "0";
    "websocket.flags", "websocket.flags", "websocket", ["websocket"], None, U8, Bits, WEBSOCKET_FLAGS, "Upper four bits of the first byte.", "fin,!comp";
}

fn parse(builder: &mut Builder<'_>, value: &Value<'_>) -> Result<(), Complaint> {
    let Some(field) = FIELDS
        .iter()
        .find(|field| field.name == value.keyword || field.aliases.contains(&value.keyword))
    else {
        return Err(Complaint::new("this keyword has no field"));
    };
    let text = value.needed("a number, such as 7, <7, >7, 3-9 or !7")?;
    let text =
        text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(text).trim();
    let wanted = match field.form {
        Form::List => Wanted::List(
            ListComparison::parse(text, field.max, &|word| by_name(field.words, word))
                .map_err(|complaint| suggest(&complaint, text, field.words))?,
        ),
        Form::Bits => bits(text, field)?,
        Form::Ranges => Wanted::Ranges(ranges(text, field.max)?),
    };
    add(builder, field.apps, field.toward, Number { asked: field.asked, wanted })
}

/// Adds a condition on a transaction.
fn add(
    builder: &mut Builder<'_>,
    apps: &[&'static str],
    toward: Option<Direction>,
    test: impl Test + 'static,
) -> Result<(), Complaint> {
    builder.apps(apps)?;
    builder.needs(Needs::Transaction);
    if let Some(direction) = toward {
        builder.toward(direction);
    }
    builder.test(test);
    Ok(())
}

/// A condition on a number of a transaction.
#[derive(Debug)]
struct Number {
    asked: &'static str,
    wanted: Wanted,
}

#[derive(Debug)]
enum Wanted {
    List(ListComparison),
    Any(Comparison),
    Ranges(Vec<(u64, u64)>),
}

impl Test for Number {
    fn test(&self, cx: &mut Context<'_>) -> bool {
        let Some(numbers) = numbers(cx, self.asked) else { return false };
        match &self.wanted {
            Wanted::List(comparison) => comparison.holds(&numbers),
            Wanted::Any(comparison) => numbers.iter().any(|number| comparison.holds(*number)),
            Wanted::Ranges(ranges) => numbers
                .iter()
                .any(|number| ranges.iter().any(|(first, last)| (first..=last).contains(&number))),
        }
    }

    fn cost(&self) -> u8 {
        2
    }
}

/// The values of a keyword in the transaction that is judged.
fn numbers(cx: &Context<'_>, name: &str) -> Option<SmallVec<[u64; 8]>> {
    let tx = cx.tx?;
    let mut numbers = SmallVec::new();
    tx.transaction.number(cx.direction, name, &mut |number| {
        if numbers.len() < MAX_VALUES {
            numbers.push(number);
        }
    });
    Some(numbers)
}

fn by_name(words: Words, word: &str) -> Option<u64> {
    words.iter().find(|(known, _)| known.eq_ignore_ascii_case(word)).map(|(_, number)| *number)
}

/// Adds the word that was meant.
fn suggest(complaint: &Complaint, text: &str, words: Words) -> Complaint {
    let word = text.split(',').next().unwrap_or_default().trim_matches(['!', '=', '<', '>', ' ']);
    let near = did_you_mean(word, words.iter().map(|(word, _)| *word));
    Complaint { message: format!("{}{near}", complaint.message), ..complaint.clone() }
}

/// Flags: a number, or words with a mark before them that says how they are compared.
fn bits(text: &str, field: &Field) -> Result<Wanted, Complaint> {
    if let Ok(comparison) = Comparison::parse(text, field.max) {
        return Ok(Wanted::Any(comparison));
    }
    let (mark, words) = match text.chars().next() {
        Some(mark @ ('+' | '-' | '*' | '=')) => (mark, text.get(1..).unwrap_or_default()),
        _ => ('+', text),
    };
    let (mut mask, mut value) = (0, 0);
    for word in words.split([',', ' ']).filter(|word| !word.is_empty()) {
        let (set, word) = match word.strip_prefix('!') {
            Some(word) => (false, word),
            None => (true, word),
        };
        let Some(bit) = by_name(field.words, word) else {
            let near = did_you_mean(word, field.words.iter().map(|(word, _)| *word));
            return Err(Complaint::new(format!("\"{word}\" is no flag{near}")));
        };
        mask |= bit;
        if set {
            value |= bit;
        }
    }
    Ok(Wanted::Any(match mark {
        '=' => Comparison::Equal(value),
        '-' => Comparison::NotBits { mask, value },
        '*' => Comparison::NotBits { mask, value: 0 },
        _ => Comparison::Bits { mask, value },
    }))
}

fn ranges(text: &str, max: u64) -> Result<Vec<(u64, u64)>, Complaint> {
    let number = |text: &str| super::number::plain_number(text.trim(), max).map_err(Complaint::new);
    text.split(',')
        .map(|part| match part.split_once('-') {
            Some((first, last)) => Ok((number(first)?, number(last)?)),
            None => match part.trim().strip_prefix('>') {
                Some(more) => Ok((number(more)?.saturating_add(1), max)),
                None => match part.trim().strip_prefix('<') {
                    Some(less) => Ok((0, number(less)?.saturating_sub(1))),
                    None => number(part).map(|number| (number, number)),
                },
            },
        })
        .collect()
}

const NO_YES: Words = &[("no", 0), ("yes", 1), ("false", 0), ("true", 1), ("off", 0), ("on", 1)];

const NTP_MODES: Words = &[
    ("reserved", 0),
    ("symmetric_active", 1),
    ("symmetric_passive", 2),
    ("client", 3),
    ("server", 4),
    ("broadcast", 5),
    ("control", 6),
    ("private", 7),
];

const FTP_MODES: Words = &[("active", 0), ("passive", 1)];

const HTTP2_FRAMES: Words = &[
    ("DATA", 0),
    ("HEADERS", 1),
    ("PRIORITY", 2),
    ("RSTSTREAM", 3),
    ("SETTINGS", 4),
    ("PUSHPROMISE", 5),
    ("PING", 6),
    ("GOAWAY", 7),
    ("WINDOWUPDATE", 8),
    ("CONTINUATION", 9),
    ("RST_STREAM", 3),
    ("PUSH_PROMISE", 5),
    ("WINDOW_UPDATE", 8),
];

const HTTP2_ERRORS: Words = &[
    ("NO_ERROR", 0),
    ("PROTOCOL_ERROR", 1),
    ("INTERNAL_ERROR", 2),
    ("FLOW_CONTROL_ERROR", 3),
    ("SETTINGS_TIMEOUT", 4),
    ("STREAM_CLOSED", 5),
    ("FRAME_SIZE_ERROR", 6),
    ("REFUSED_STREAM", 7),
    ("CANCEL", 8),
    ("COMPRESSION_ERROR", 9),
    ("CONNECT_ERROR", 10),
    ("ENHANCE_YOUR_CALM", 11),
    ("INADEQUATE_SECURITY", 12),
    ("HTTP_1_1_REQUIRED", 13),
    ("HTTP11_REQUIRED", 13),
];

const WEBSOCKET_OPCODES: Words = &[
    ("continuation", 0),
    ("text", 1),
    ("binary", 2),
    ("connection_close", 8),
    ("close", 8),
    ("ping", 9),
    ("pong", 10),
];

const WEBSOCKET_FLAGS: Words = &[("fin", 0x80), ("comp", 0x40)];

const DNS_OPCODES: Words =
    &[("query", 0), ("iquery", 1), ("status", 2), ("notify", 4), ("update", 5)];

const DNS_RCODES: Words = &[
    ("NOERROR", 0),
    ("FORMERR", 1),
    ("SERVFAIL", 2),
    ("NXDOMAIN", 3),
    ("NOTIMP", 4),
    ("REFUSED", 5),
    ("YXDOMAIN", 6),
    ("YXRRSET", 7),
    ("NXRRSET", 8),
    ("NOTAUTH", 9),
    ("NOTZONE", 10),
    ("BADVERS", 16),
    ("BADSIG", 16),
    ("BADKEY", 17),
    ("BADTIME", 18),
    ("BADMODE", 19),
    ("BADNAME", 20),
    ("BADALG", 21),
    ("BADTRUNC", 22),
    ("BADCOOKIE", 23),
];

const DNS_TYPES: Words = &[
    ("A", 1),
    ("NS", 2),
    ("MD", 3),
    ("MF", 4),
    ("CNAME", 5),
    ("SOA", 6),
    ("MB", 7),
    ("MG", 8),
    ("MR", 9),
    ("NULL", 10),
    ("WKS", 11),
    ("PTR", 12),
    ("HINFO", 13),
    ("MINFO", 14),
    ("MX", 15),
    ("TXT", 16),
    ("RP", 17),
    ("AFSDB", 18),
    ("X25", 19),
    ("ISDN", 20),
    ("RT", 21),
    ("NSAP", 22),
    ("NSAP-PTR", 23),
    ("NSAPPTR", 23),
    ("SIG", 24),
    ("KEY", 25),
    ("PX", 26),
    ("GPOS", 27),
    ("AAAA", 28),
    ("LOC", 29),
    ("NXT", 30),
    ("EID", 31),
    ("NIMLOC", 32),
    ("SRV", 33),
    ("ATMA", 34),
    ("NAPTR", 35),
    ("KX", 36),
    ("CERT", 37),
    ("A6", 38),
    ("DNAME", 39),
    ("SINK", 40),
    ("OPT", 41),
    ("APL", 42),
    ("DS", 43),
    ("SSHFP", 44),
    ("IPSECKEY", 45),
    ("RRSIG", 46),
    ("NSEC", 47),
    ("DNSKEY", 48),
    ("DHCID", 49),
    ("NSEC3", 50),
    ("NSEC3PARAM", 51),
    ("TLSA", 52),
    ("SMIMEA", 53),
    ("HIP", 55),
    ("CDS", 59),
    ("CDNSKEY", 60),
    ("OPENPGPKEY", 61),
    ("CSYNC", 62),
    ("ZONEMD", 63),
    ("SVCB", 64),
    ("HTTPS", 65),
    ("SPF", 99),
    ("UINFO", 100),
    ("UID", 101),
    ("GID", 102),
    ("UNSPEC", 103),
    ("NID", 104),
    ("L32", 105),
    ("L64", 106),
    ("LP", 107),
    ("EUI48", 108),
    ("EUI64", 109),
    ("TKEY", 249),
    ("TSIG", 250),
    ("IXFR", 251),
    ("AXFR", 252),
    ("MAILB", 253),
    ("MAILA", 254),
    ("ANY", 255),
    ("URI", 256),
    ("CAA", 257),
    ("DOA", 259),
    ("AMTRELAY", 260),
    ("TA", 32768),
    ("DLV", 32769),
];

const TLS_VERSIONS: Words = &[("1.0", 0x0301), ("1.1", 0x0302), ("1.2", 0x0303), ("1.3", 0x0304)];
