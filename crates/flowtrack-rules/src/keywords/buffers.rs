//! Named buffers: where contents are looked for.
//!
//! A sticky buffer (`http.uri`) holds for what follows it; the old modifiers (`http_uri`) move the
//! content before them. Which transactions have a buffer is said by its protocols; what they answer
//! is theirs.

pub(crate) mod legacy;

use crate::builder::{Buffer, Builder, Complaint, Keyword, Value};
use crate::signature::Absent;
use ahash::AHashMap;
use flowtrack_event::Direction;
use std::sync::LazyLock;

/// HTTP of every version.
const HTTP: &[&str] = &["http", "http2", "doh2"];
const HTTP2: &[&str] = &["http2", "doh2"];
const DNS: &[&str] = &["dns", "doh2"];
const TLS: &[&str] = &["tls"];
/// Whoever sends a hello of TLS.
const HELLO: &[&str] = &["tls", "quic", "dtls"];
const SSH: &[&str] = &["ssh"];
const SMB: &[&str] = &["smb"];
const DCERPC: &[&str] = &["dcerpc", "smb"];
const KRB5: &[&str] = &["krb5"];
const SIP: &[&str] = &["sip"];
const SDP: &[&str] = &["sip"];
const MQTT: &[&str] = &["mqtt"];
const FTP: &[&str] = &["ftp"];
const SMTP: &[&str] = &["smtp"];
const MAIL: &[&str] = &["smtp", "pop3", "imap"];
const IKE: &[&str] = &["ike"];
const LDAP: &[&str] = &["ldap"];
const SNMP: &[&str] = &["snmp"];
const RFB: &[&str] = &["rfb"];
const QUIC: &[&str] = &["quic"];
const PGSQL: &[&str] = &["pgsql"];
const IMAP: &[&str] = &["imap"];
const NTP: &[&str] = &["ntp"];
const NFS: &[&str] = &["nfs"];
const MDNS: &[&str] = &["mdns"];
const LLMNR: &[&str] = &["llmnr"];
const WEBSOCKET: &[&str] = &["websocket"];
const ENIP: &[&str] = &["enip"];
const DNP3: &[&str] = &["dnp3"];
/// Whoever carries files.
const FILES: &[&str] = &["http", "http2", "smtp", "ftp-data", "smb", "nfs", "pop3", "imap"];

const UP: Option<Direction> = Some(Direction::ToServer);
const DOWN: Option<Direction> = Some(Direction::ToClient);
const BOTH: Option<Direction> = None;

/// Declares a sticky buffer: keyword and other names, protocols, direction, whether there may be
/// several values, the word of a rule about it, and what it is.
macro_rules! buffers {
    ($($name:literal $(| $alias:literal)*, $apps:expr, $toward:expr, $multi:literal, $word:literal, $doc:literal;)*) => {
        /// Every sticky buffer.
        pub(crate) const BUFFERS: &[Buffer] = &[$(
            Buffer { toward: $toward, multi: $multi, ..Buffer::of_transaction($name, $apps) },
        )*];

        const STICKY: &[Keyword] = &[$(
            Keyword {
                name: $name,
                aliases: &[$($alias),*],
                doc: $doc,
                example: concat!("alert ", $word, " any any -> any any (", $name, "; content:\"a\"; sid:1;)"),
                parse: sticky,
            },
        )*];

        const ALIASES: &[(&str, &str)] = &[$($(($alias, $name),)*)*];
    };
}

buffers! {
    "http.uri", HTTP, UP, false, "http", "the target of a request, normalized";
    "http.uri.raw", HTTP, UP, false, "http", "the target of a request, as it was sent";
    "http.method", HTTP, UP, false, "http", "the method of a request";
    "http.request_line" | "http_request_line", HTTP, UP, false, "http", "the first line of a request";
    "http.host", HTTP, UP, false, "http", "the host asked, in lower case and without its port";
    "http.host.raw", HTTP, UP, false, "http", "the host asked, as it was sent";
    "http.user_agent", HTTP, UP, false, "http", "the User-Agent field";
    "http.referer" | "http_referer", HTTP, UP, false, "http", "the Referer field";
    "http.accept" | "http_accept", HTTP, UP, false, "http", "the Accept field";
    "http.accept_enc" | "http_accept_enc", HTTP, UP, false, "http", "the Accept-Encoding field";
    "http.accept_lang" | "http_accept_lang", HTTP, UP, false, "http", "the Accept-Language field";
    "http.request_header" | "http_request_header", HTTP, UP, true, "http", "each field of a request";
    "http.request_body", HTTP, UP, false, "http", "the body of a request";
    "http.stat_code", HTTP, DOWN, false, "http", "the status of a response";
    "http.stat_msg", HTTP, DOWN, false, "http", "what a response says of its status";
    "http.response_line" | "http_response_line", HTTP, DOWN, false, "http", "the first line of a response";
    "http.server" | "http_server", HTTP, DOWN, false, "http", "the Server field";
    "http.location" | "http_location", HTTP, DOWN, false, "http", "the Location field";
    "http.response_header" | "http_response_header", HTTP, DOWN, true, "http", "each field of a response";
    "http.response_body", HTTP, DOWN, false, "http", "the body of a response";
    "http.header", HTTP, BOTH, false, "http", "the fields but cookies, one a line";
    "http.header.raw", HTTP, BOTH, false, "http", "the fields as they were sent";
    "http.header_names" | "http_header_names", HTTP, BOTH, false, "http", "the names of the fields, between line ends";
    "http.start" | "http_start", HTTP, BOTH, false, "http", "the first line and the fields";
    "http.protocol" | "http_protocol", HTTP, BOTH, false, "http", "the version of the protocol";
    "http.cookie", HTTP, BOTH, false, "http", "the Cookie or Set-Cookie field";
    "http.connection" | "http_connection", HTTP, BOTH, false, "http", "the Connection field";
    "http.content_type" | "http_content_type", HTTP, BOTH, false, "http", "the Content-Type field";
    "http.content_len" | "http_content_len", HTTP, BOTH, false, "http", "the Content-Length field";
    "http2.header_name", HTTP2, BOTH, true, "http2", "each name of a field";
    "http2.header", HTTP2, BOTH, true, "http2", "each field";
    "file.data" | "file_data", FILES, BOTH, true, "http", "the content of files and the bodies of responses";
    "file.name" | "filename_buffer", FILES, BOTH, true, "http", "the names of files";
    "file.magic", FILES, BOTH, true, "http", "what kind of file it is, by its first bytes";
    "dns.query" | "dns_query", DNS, UP, true, "dns", "the name that is asked for";
    "dns.queries.rrname" | "dns.query.name", DNS, BOTH, true, "dns", "the names of the questions";
    "dns.answers.rrname" | "dns.answer.name", DNS, BOTH, true, "dns", "the names of the answers";
    "dns.authorities.rrname", DNS, BOTH, true, "dns", "the names of the authority section";
    "dns.additionals.rrname", DNS, BOTH, true, "dns", "the names of the additional section";
    "dns.response.rrname", DNS, DOWN, true, "dns", "every name in a response";
    "mdns.queries.rrname", MDNS, BOTH, true, "mdns", "the names of the questions";
    "mdns.answers.rrname", MDNS, BOTH, true, "mdns", "the names of the answers";
    "mdns.authorities.rrname", MDNS, BOTH, true, "mdns", "the names of the authority section";
    "mdns.additionals.rrname", MDNS, BOTH, true, "mdns", "the names of the additional section";
    "mdns.response.rrname", MDNS, BOTH, true, "mdns", "every name in a response";
    "llmnr.queries.rrname", LLMNR, BOTH, true, "llmnr", "the names of the questions";
    "llmnr.answers.rrname", LLMNR, BOTH, true, "llmnr", "the names of the answers";
    "llmnr.authorities.rrname", LLMNR, BOTH, true, "llmnr", "the names of the authority section";
    "llmnr.additionals.rrname", LLMNR, BOTH, true, "llmnr", "the names of the additional section";
    "llmnr.response.rrname", LLMNR, BOTH, true, "llmnr", "every name in a response";
    "tls.sni" | "tls_sni", HELLO, UP, false, "tls", "the host that the client asked for";
    "tls.cert_subject" | "tls_cert_subject", TLS, BOTH, false, "tls", "the owner of the certificate";
    "tls.cert_issuer" | "tls_cert_issuer", TLS, BOTH, false, "tls", "the signer of the certificate";
    "tls.cert_serial" | "tls_cert_serial", TLS, BOTH, false, "tls", "the serial number of the certificate";
    "tls.cert_fingerprint" | "tls_cert_fingerprint", TLS, BOTH, false, "tls", "SHA-1 of the certificate";
    "tls.certs", TLS, BOTH, true, "tls", "each certificate as it was sent";
    "tls.subjectaltname", TLS, BOTH, true, "tls", "the other names in the certificate";
    "tls.alpn", HELLO, BOTH, true, "tls", "the application protocols offered or chosen";
    "tls.random", TLS, BOTH, false, "tls", "the random bytes of a hello";
    "tls.random_time", TLS, BOTH, false, "tls", "the first four random bytes";
    "tls.random_bytes", TLS, BOTH, false, "tls", "the other 28 random bytes";
    "ja3.hash" | "ja3_hash", HELLO, UP, false, "tls", "MD5 of what the client offered";
    "ja3.string" | "ja3_string", HELLO, UP, false, "tls", "what the client offered";
    "ja3s.hash" | "ja3s_hash", HELLO, DOWN, false, "tls", "MD5 of what the server chose";
    "ja3s.string" | "ja3s_string", HELLO, DOWN, false, "tls", "what the server chose";
    "ja4.hash" | "ja4_hash", HELLO, UP, false, "tls", "JA4 of what the client offered";
    "ssh.proto" | "ssh_proto", SSH, BOTH, false, "ssh", "the version of the protocol";
    "ssh.software" | "ssh_software", SSH, BOTH, false, "ssh", "the name and version of the software";
    "ssh.hassh", SSH, UP, false, "ssh", "MD5 of what the client offered";
    "ssh.hassh.string", SSH, UP, false, "ssh", "what the client offered";
    "ssh.hassh.server", SSH, DOWN, false, "ssh", "MD5 of what the server offered";
    "ssh.hassh.server.string", SSH, DOWN, false, "ssh", "what the server offered";
    "smb.named_pipe" | "smb_named_pipe", SMB, UP, false, "smb", "the share for named pipes that is connected";
    "smb.share" | "smb_share", SMB, UP, false, "smb", "the share that is connected";
    "smb.ntlmssp_user", SMB, UP, false, "smb", "who logs on";
    "smb.ntlmssp_domain", SMB, UP, false, "smb", "the domain of who logs on";
    "dcerpc.stub_data" | "dce_stub_data", DCERPC, BOTH, false, "dcerpc", "the arguments of a call, or its results";
    "krb5.cname" | "krb5_cname", KRB5, DOWN, true, "krb5", "the name of the client";
    "krb5.sname" | "krb5_sname", KRB5, DOWN, true, "krb5", "the name of the server";
    "sip.method", SIP, UP, false, "sip", "the method of a request";
    "sip.uri", SIP, UP, false, "sip", "the target of a request";
    "sip.request_line", SIP, UP, false, "sip", "the first line of a request";
    "sip.stat_code", SIP, DOWN, false, "sip", "the status of a response";
    "sip.stat_msg", SIP, DOWN, false, "sip", "what a response says of its status";
    "sip.response_line", SIP, DOWN, false, "sip", "the first line of a response";
    "sip.protocol", SIP, BOTH, false, "sip", "the version of the protocol";
    "sip.from", SIP, BOTH, true, "sip", "the From field";
    "sip.to", SIP, BOTH, true, "sip", "the To field";
    "sip.via", SIP, BOTH, true, "sip", "the Via field";
    "sip.user_agent", SIP, BOTH, true, "sip", "the User-Agent field";
    "sip.content_type", SIP, BOTH, true, "sip", "the Content-Type field";
    "sip.content_length", SIP, BOTH, true, "sip", "the Content-Length field";
    "sdp.session_name", SDP, BOTH, false, "sip", "the name of the session";
    "sdp.session_info", SDP, BOTH, false, "sip", "what is said of the session";
    "sdp.origin", SDP, BOTH, false, "sip", "who began the session";
    "sdp.uri", SDP, BOTH, false, "sip", "where more is said of the session";
    "sdp.email", SDP, BOTH, false, "sip", "whom to write to about the session";
    "sdp.phone_number", SDP, BOTH, false, "sip", "whom to call about the session";
    "sdp.connection_data", SDP, BOTH, false, "sip", "the address of the session";
    "sdp.bandwidth", SDP, BOTH, true, "sip", "the bandwidth of the session";
    "sdp.time", SDP, BOTH, true, "sip", "when the session is";
    "sdp.repeat_time", SDP, BOTH, true, "sip", "when the session is repeated";
    "sdp.timezone", SDP, BOTH, false, "sip", "the time zone of the session";
    "sdp.encryption_key", SDP, BOTH, false, "sip", "the key of the session";
    "sdp.attribute", SDP, BOTH, true, "sip", "the attributes of the session";
    "sdp.media.media", SDP, BOTH, true, "sip", "the kinds of media";
    "sdp.media.media_info", SDP, BOTH, true, "sip", "what is said of media";
    "sdp.media.connection_data", SDP, BOTH, true, "sip", "the addresses of media";
    "sdp.media.encryption_key", SDP, BOTH, true, "sip", "the keys of media";
    "mqtt.connect.clientid", MQTT, UP, false, "mqtt", "the name of the client";
    "mqtt.connect.username", MQTT, UP, false, "mqtt", "who logs on";
    "mqtt.connect.password", MQTT, UP, false, "mqtt", "the password";
    "mqtt.connect.willtopic", MQTT, UP, false, "mqtt", "the topic of the last will";
    "mqtt.connect.willmessage", MQTT, UP, false, "mqtt", "the last will";
    "mqtt.connect.protocol_string", MQTT, UP, false, "mqtt", "the name of the protocol";
    "mqtt.publish.topic", MQTT, UP, false, "mqtt", "the topic that is published to";
    "mqtt.publish.message", MQTT, UP, false, "mqtt", "the message that is published";
    "mqtt.subscribe.topic", MQTT, UP, true, "mqtt", "the topics subscribed to";
    "mqtt.unsubscribe.topic", MQTT, UP, true, "mqtt", "the topics no longer subscribed to";
    "ftp.command", FTP, UP, false, "ftp", "the command";
    "ftp.command_data", FTP, UP, false, "ftp", "what follows the command";
    "ftp.reply", FTP, DOWN, true, "ftp", "each line of the reply";
    "ftp.completion_code", FTP, DOWN, true, "ftp", "the number of each reply";
    "smtp.helo", SMTP, UP, false, "smtp", "how the client names itself";
    "smtp.mail_from", SMTP, UP, false, "smtp", "the sender";
    "smtp.rcpt_to", SMTP, UP, true, "smtp", "the receivers";
    "email.from", MAIL, BOTH, false, "smtp", "the From field of a mail";
    "email.to", MAIL, BOTH, false, "smtp", "the To field of a mail";
    "email.cc", MAIL, BOTH, false, "smtp", "the Cc field of a mail";
    "email.subject", MAIL, BOTH, false, "smtp", "the Subject field of a mail";
    "email.date", MAIL, BOTH, false, "smtp", "the Date field of a mail";
    "email.message_id", MAIL, BOTH, false, "smtp", "the Message-Id field of a mail";
    "email.x_mailer", MAIL, BOTH, false, "smtp", "the X-Mailer field of a mail";
    "email.body_md5", MAIL, BOTH, false, "smtp", "the MD5 of the body of a mail, in hexadecimal digits";
    "email.url", MAIL, BOTH, true, "smtp", "the addresses of pages in a mail";
    "email.received", MAIL, BOTH, true, "smtp", "the Received fields of a mail";
    "ike.init_spi", IKE, BOTH, false, "ike", "the initiator's index";
    "ike.resp_spi", IKE, BOTH, false, "ike", "the responder's index";
    "ike.vendor", IKE, BOTH, true, "ike", "the vendors' identifiers";
    "ike.nonce_payload", IKE, BOTH, false, "ike", "the nonce";
    "ike.key_exchange_payload", IKE, BOTH, false, "ike", "the public key";
    "ldap.request.dn", LDAP, UP, false, "ldap", "the name that a request is about";
    "ldap.responses.dn", LDAP, DOWN, true, "ldap", "the names in the responses";
    "ldap.responses.message", LDAP, DOWN, true, "ldap", "what the responses say";
    "ldap.request.attribute_type", LDAP, UP, true, "ldap", "the attributes in a request";
    "ldap.responses.attribute_type", LDAP, DOWN, true, "ldap", "the attributes in the responses";
    "snmp.community", SNMP, BOTH, false, "snmp", "the community";
    "snmp.usm", SNMP, BOTH, false, "snmp", "the user";
    "snmp.trap_oid", SNMP, BOTH, false, "snmp", "what a trap is about";
    "snmp.trap_address", SNMP, BOTH, false, "snmp", "where a trap came from";
    "rfb.name", RFB, DOWN, false, "rfb", "the name of the desktop";
    "quic.version", QUIC, BOTH, false, "quic", "the version of the protocol";
    "quic.sni", QUIC, UP, false, "quic", "the host that the client asked for";
    "quic.ua", QUIC, UP, false, "quic", "the name of the client's software";
    "quic.cyu.hash", QUIC, BOTH, true, "quic", "MD5 of what the client offered";
    "quic.cyu.string", QUIC, BOTH, true, "quic", "what the client offered";
    "ntp.reference_id", NTP, BOTH, false, "ntp", "what names the reference clock: four bytes";
    "imap.request", IMAP, UP, true, "imap", "each line of a command";
    "imap.response", IMAP, DOWN, true, "imap", "each line of the answers to a command";
    "pgsql.query", PGSQL, UP, false, "pgsql", "the query";
    "nfs.filename", NFS, BOTH, false, "nfs", "the name of the file";
    "websocket.payload", WEBSOCKET, BOTH, false, "websocket", "the payload without its mask";
    "enip.product_name", ENIP, DOWN, false, "enip", "the name of the product";
    "enip.service_name", ENIP, DOWN, false, "enip", "the name of the service";
    "dnp3_data" | "dnp3.data", DNP3, BOTH, false, "dnp3", "the application layer, reassembled";
}

/// The buffer of a sticky keyword, by any of its names.
pub(crate) fn find(keyword: &str) -> Option<&'static Buffer> {
    static BY_NAME: LazyLock<AHashMap<&'static str, &'static Buffer>> = LazyLock::new(|| {
        let mut by_name: AHashMap<_, _> =
            BUFFERS.iter().map(|buffer| (buffer.name, buffer)).collect();
        for (alias, name) in ALIASES {
            if let Some(buffer) = by_name.get(name).copied() {
                by_name.insert(alias, buffer);
            }
        }
        by_name
    });
    BY_NAME.get(keyword).copied()
}

/// Makes the buffer that a keyword names the current one.
pub(crate) fn sticky(builder: &mut Builder<'_>, value: &Value<'_>) -> Result<(), Complaint> {
    let toward = match value.text {
        None => None,
        Some("to_server") => UP,
        Some("to_client") => DOWN,
        Some(_) => return Err(Complaint::new("expected nothing, to_server or to_client")),
    };
    match find(value.keyword) {
        Some(buffer) if buffer.toward.is_none() => {
            builder.set_buffer(&Buffer { toward, ..*buffer })
        }
        Some(buffer) if toward.is_none() => builder.set_buffer(buffer),
        Some(_) => Err(Complaint::new("there is this buffer in one direction alone")),
        None => Err(Complaint::new(format!("{} is no buffer", value.keyword))),
    }
}

pub(crate) const KEYWORDS: &[Keyword] = STICKY;

pub(crate) const OTHERS: &[Keyword] = &[
    Keyword {
        name: "pkt_data",
        aliases: &[],
        doc: "what follows is looked for in the payload again",
        example: r#"alert http any any -> any any (file.data; content:"a"; pkt_data; content:"b"; sid:1;)"#,
        parse: |builder, value| {
            value.none()?;
            builder.reset_buffer();
            Ok(())
        },
    },
    Keyword {
        name: "absent",
        aliases: &[],
        doc: "holds where there is no such buffer; or_else: also where what follows holds of it",
        example: "alert http any any -> any any (http.referer; absent; sid:1;)",
        parse: |builder, value| {
            let absent = match value.text {
                None => Absent::Only,
                Some("or_else") => Absent::OrElse,
                Some(_) => return Err(Complaint::new("expected nothing, or or_else")),
            };
            if !builder.has_buffer() {
                return Err(Complaint::new("name a buffer before absent"));
            }
            if let Some(search) = builder.search() {
                if !search.steps.is_empty() {
                    return Err(Complaint::new("absent stands directly behind the buffer"));
                }
                search.absent = Some(absent);
            }
            Ok(())
        },
    },
];
