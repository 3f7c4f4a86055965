//! One message (MQTT 3.1.1 section 3, MQTT 5.0 sections 2.2.2 and 3).

use crate::{Reader, Text};
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

/// Topics kept of one subscription.
const TOPIC_CAP: usize = 256;
/// Properties kept of one message.
const PROPERTY_CAP: usize = 64;
/// Bytes kept of a published message.
const PAYLOAD_CAP: usize = 16 * 1024;

/// Kind of a message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    Connect,
    Connack,
    Publish,
    Puback,
    Pubrec,
    Pubrel,
    Pubcomp,
    Subscribe,
    Suback,
    Unsubscribe,
    Unsuback,
    Pingreq,
    Pingresp,
    Disconnect,
    Auth,
}

impl Kind {
    pub(super) const fn of(code: u8) -> Option<Self> {
        Some(match code {
            1 => Self::Connect,
            2 => Self::Connack,
            3 => Self::Publish,
            4 => Self::Puback,
            5 => Self::Pubrec,
            6 => Self::Pubrel,
            7 => Self::Pubcomp,
            8 => Self::Subscribe,
            9 => Self::Suback,
            10 => Self::Unsubscribe,
            11 => Self::Unsuback,
            12 => Self::Pingreq,
            13 => Self::Pingresp,
            14 => Self::Disconnect,
            15 => Self::Auth,
            _ => return None,
        })
    }

    /// The anomaly where what it answers was not seen.
    pub(super) const fn missing(self) -> &'static str {
        match self {
            Self::Connack => "missing_connect",
            Self::Puback | Self::Pubrec | Self::Pubrel | Self::Pubcomp => "missing_publish",
            Self::Suback => "missing_subscribe",
            Self::Unsuback => "missing_unsubscribe",
            _ => "unintroduced_message",
        }
    }

    /// Its number in the protocol.
    pub(super) const fn code(self) -> u64 {
        match self {
            Self::Connect => 1,
            Self::Connack => 2,
            Self::Publish => 3,
            Self::Puback => 4,
            Self::Pubrec => 5,
            Self::Pubrel => 6,
            Self::Pubcomp => 7,
            Self::Subscribe => 8,
            Self::Suback => 9,
            Self::Unsubscribe => 10,
            Self::Unsuback => 11,
            Self::Pingreq => 12,
            Self::Pingresp => 13,
            Self::Disconnect => 14,
            Self::Auth => 15,
        }
    }

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Connack => "connack",
            Self::Publish => "publish",
            Self::Puback => "puback",
            Self::Pubrec => "pubrec",
            Self::Pubrel => "pubrel",
            Self::Pubcomp => "pubcomp",
            Self::Subscribe => "subscribe",
            Self::Suback => "suback",
            Self::Unsubscribe => "unsubscribe",
            Self::Unsuback => "unsuback",
            Self::Pingreq => "pingreq",
            Self::Pingresp => "pingresp",
            Self::Disconnect => "disconnect",
            Self::Auth => "auth",
        }
    }

    /// Whether flags and length are such that a message of this kind may have them.
    pub(super) const fn allows(self, flags: u8, length: usize) -> bool {
        match self {
            Self::Publish => flags & 6 != 6 && length >= 3,
            Self::Pubrel => flags == 2 && length >= 2,
            Self::Subscribe | Self::Unsubscribe => flags == 2 && length >= 5,
            Self::Connack | Self::Puback | Self::Pubrec | Self::Pubcomp => {
                flags == 0 && length >= 2 && length < 256
            }
            Self::Suback | Self::Unsuback => flags == 0 && length >= 2 && length < 1024,
            Self::Pingreq | Self::Pingresp => flags == 0 && length == 0,
            Self::Disconnect => flags == 0 && length < 256,
            Self::Connect | Self::Auth => false,
        }
    }

    /// Whether it begins an exchange.
    pub(super) const fn begins(self) -> bool {
        matches!(
            self,
            Self::Connect
                | Self::Publish
                | Self::Subscribe
                | Self::Unsubscribe
                | Self::Pingreq
                | Self::Disconnect
                | Self::Auth
        )
    }

    /// Whether it ends an exchange.
    pub(super) const fn ends(self) -> bool {
        matches!(
            self,
            Self::Connack
                | Self::Puback
                | Self::Pubcomp
                | Self::Suback
                | Self::Unsuback
                | Self::Pingresp
        )
    }
}

/// A message.
#[derive(Clone, Debug)]
pub(super) struct Message {
    pub(super) kind: Kind,
    pub(super) qos: u8,
    pub(super) retain: bool,
    pub(super) dup: bool,
    pub(super) id: Option<u16>,
    pub(super) body: Body,
    properties: Properties,
    /// As it was sent, for rules, and how long its header is.
    pub(super) sent: Vec<u8>,
    pub(super) header_len: usize,
}

/// What a kind of message has of its own.
#[derive(Clone, Debug)]
pub(super) enum Body {
    Connect {
        protocol_string: Text,
        protocol_version: u8,
        flags: u8,
        client_id: Text,
        username: Option<Text>,
        password: Option<Text>,
        will: Option<Will>,
    },
    Connack {
        session_present: bool,
        return_code: u8,
    },
    Publish {
        topic: Text,
        message: Text,
        skipped: usize,
    },
    Reason(Option<u8>),
    Subscribe(Vec<Subscription>),
    Codes(Vec<u8>),
    Unsubscribe(Vec<Text>),
    Nothing,
}

#[derive(Clone, Debug, Serialize)]
pub(super) struct Subscription {
    pub(super) topic: Text,
    qos: u8,
}

#[derive(Clone, Debug, Serialize)]
pub(super) struct Will {
    pub(super) topic: Text,
    pub(super) message: Text,
    #[serde(skip_serializing_if = "Properties::is_empty")]
    properties: Properties,
}

impl Message {
    /// Visits a piece of it as it was sent.
    pub(super) fn frame(&self, name: &str, visit: &mut dyn FnMut(&[u8])) {
        let (header, data) = self.sent.split_at_checked(self.header_len).unwrap_or_default();
        match name {
            "frame.mqtt.pdu" if !self.sent.is_empty() => visit(&self.sent),
            "frame.mqtt.header" if !header.is_empty() => visit(header),
            "frame.mqtt.data" if !data.is_empty() => visit(data),
            _ => {}
        }
    }

    /// Reads a message; `skipped` bytes of it are not in `body`.
    pub(super) fn read(
        kind: Kind,
        header: u8,
        body: &[u8],
        skipped: usize,
        version: u8,
    ) -> Option<Self> {
        let mut r = Reader::new(body);
        let qos = header >> 1 & 3;
        let v5 = version == 5;
        let mut message = Self {
            kind,
            qos,
            retain: header & 1 != 0,
            dup: header & 8 != 0,
            id: None,
            body: Body::Nothing,
            properties: Properties::default(),
            sent: Vec::new(),
            header_len: 0,
        };
        match kind {
            Kind::Connect => message.connect(&mut r)?,
            Kind::Connack => {
                let (flags, return_code) = (r.u8()?, r.u8()?);
                message.body = Body::Connack { session_present: flags & 1 != 0, return_code };
                message.rest(&mut r, v5)?;
            }
            Kind::Publish => {
                let topic = text(&mut r)?;
                if qos > 0 {
                    message.id = Some(r.u16()?);
                }
                message.rest(&mut r, v5)?;
                let payload = Text::capped(r.rest(), PAYLOAD_CAP);
                let skipped = skipped + r.rest().len() - payload.len();
                message.body = Body::Publish { topic, message: payload, skipped };
            }
            Kind::Puback | Kind::Pubrec | Kind::Pubrel | Kind::Pubcomp => {
                message.id = Some(r.u16()?);
                let reason = r.u8();
                message.body = Body::Reason(reason.or(v5.then_some(0)));
                message.rest(&mut r, v5)?;
            }
            Kind::Subscribe => {
                message.id = Some(r.u16()?);
                message.rest(&mut r, v5)?;
                let mut topics = Vec::new();
                while !r.is_empty() && topics.len() < TOPIC_CAP {
                    topics.push(Subscription { topic: text(&mut r)?, qos: r.u8()? & 3 });
                }
                message.body = Body::Subscribe(topics);
            }
            Kind::Suback | Kind::Unsuback => {
                message.id = Some(r.u16()?);
                message.rest(&mut r, v5)?;
                message.body = Body::Codes(r.rest().iter().take(TOPIC_CAP).copied().collect());
            }
            Kind::Unsubscribe => {
                message.id = Some(r.u16()?);
                message.rest(&mut r, v5)?;
                let mut topics = Vec::new();
                while !r.is_empty() && topics.len() < TOPIC_CAP {
                    topics.push(text(&mut r)?);
                }
                message.body = Body::Unsubscribe(topics);
            }
            Kind::Disconnect | Kind::Auth => {
                message.body = Body::Reason(r.u8().or(v5.then_some(0)));
                message.rest(&mut r, v5)?;
            }
            Kind::Pingreq | Kind::Pingresp => {}
        }
        Some(message)
    }

    fn connect(&mut self, r: &mut Reader<'_>) -> Option<()> {
        let protocol_string = text(r)?;
        let (protocol_version, flags, _keep_alive) = (r.u8()?, r.u8()?, r.u16()?);
        let v5 = protocol_version == 5;
        self.rest(r, v5)?;
        let client_id = text(r)?;
        let will = if flags & 4 != 0 {
            let properties = if v5 { Properties::read(r)? } else { Properties::default() };
            Some(Will { topic: text(r)?, message: text(r)?, properties })
        } else {
            None
        };
        let username = if flags & 0x80 != 0 { Some(text(r)?) } else { None };
        let password = if flags & 0x40 != 0 { Some(text(r)?) } else { None };
        self.body = Body::Connect {
            protocol_string,
            protocol_version,
            flags,
            client_id,
            username,
            password,
            will,
        };
        Some(())
    }

    /// Properties, which only version 5 has; at the end of a message they may be left out.
    fn rest(&mut self, r: &mut Reader<'_>, v5: bool) -> Option<()> {
        if v5 && !r.is_empty() {
            self.properties = Properties::read(r)?;
        }
        Some(())
    }
}

fn text(r: &mut Reader<'_>) -> Option<Text> {
    let length = r.u16()?;
    Some(Text::new(r.take(length.into())?))
}

#[derive(Serialize)]
struct ConnectFlags {
    username: bool,
    password: bool,
    will: bool,
    will_retain: bool,
    clean_session: bool,
}

impl Serialize for Message {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        let mut map = s.serialize_map(None)?;
        map.serialize_entry("qos", &self.qos)?;
        map.serialize_entry("retain", &self.retain)?;
        map.serialize_entry("dup", &self.dup)?;
        if let Some(id) = self.id {
            map.serialize_entry("message_id", &id)?;
        }
        match &self.body {
            Body::Connect {
                protocol_string,
                protocol_version,
                flags,
                client_id,
                username,
                password,
                will,
            } => {
                map.serialize_entry("protocol_string", protocol_string)?;
                map.serialize_entry("protocol_version", protocol_version)?;
                let flags = ConnectFlags {
                    username: flags & 0x80 != 0,
                    password: flags & 0x40 != 0,
                    will: flags & 4 != 0,
                    will_retain: flags & 0x20 != 0,
                    clean_session: flags & 2 != 0,
                };
                map.serialize_entry("flags", &flags)?;
                map.serialize_entry("client_id", client_id)?;
                if let Some(username) = username {
                    map.serialize_entry("username", username)?;
                }
                if let Some(password) = password {
                    map.serialize_entry("password", password)?;
                }
                if let Some(will) = will {
                    map.serialize_entry("will", will)?;
                }
            }
            Body::Connack { session_present, return_code } => {
                map.serialize_entry("session_present", session_present)?;
                map.serialize_entry("return_code", return_code)?;
            }
            Body::Publish { topic, message, skipped } => {
                map.serialize_entry("topic", topic)?;
                map.serialize_entry("message", message)?;
                if *skipped > 0 {
                    map.serialize_entry("skipped_length", skipped)?;
                    map.serialize_entry("truncated", &true)?;
                }
            }
            Body::Reason(Some(code)) => map.serialize_entry("reason_code", code)?,
            Body::Subscribe(topics) if !topics.is_empty() => {
                map.serialize_entry("topics", topics)?;
            }
            Body::Unsubscribe(topics) if !topics.is_empty() => {
                map.serialize_entry("topics", topics)?;
            }
            Body::Codes(codes) if !codes.is_empty() => {
                let unsuback = self.kind == Kind::Unsuback;
                map.serialize_entry(if unsuback { "reason_codes" } else { "qos_granted" }, codes)?;
            }
            _ => {}
        }
        if !self.properties.is_empty() {
            map.serialize_entry("properties", &self.properties)?;
        }
        map.end()
    }
}

/// Properties of version 5, in their order.
#[derive(Clone, Default, Debug)]
pub(super) struct Properties(Vec<(Text, Value)>);

#[derive(Clone, Debug, Serialize)]
#[serde(untagged)]
enum Value {
    Number(u32),
    Text(Text),
}

impl Properties {
    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn read(r: &mut Reader<'_>) -> Option<Self> {
        let length = super::length(r).ok()??;
        let mut r = r.sub(length)?;
        let mut list: Vec<(Text, Value)> = Vec::new();
        while !r.is_empty() {
            let id = r.u8()?;
            let (name, form) = property(id)?;
            let mut name = Text::new(name.as_bytes());
            let value = match form {
                Form::Byte => Value::Number(r.u8()?.into()),
                Form::Two => Value::Number(r.u16()?.into()),
                Form::Four => Value::Number(r.u32()?),
                Form::Varying => Value::Number(u32::try_from(super::length(&mut r).ok()??).ok()?),
                Form::Text => Value::Text(text(&mut r)?),
                Form::Pair => {
                    name = text(&mut r)?;
                    Value::Text(text(&mut r)?)
                }
            };
            // A name stands once in a JSON object.
            if list.len() < PROPERTY_CAP && !list.iter().any(|(known, _)| *known == name) {
                list.push((name, value));
            }
        }
        Some(Self(list))
    }
}

impl Serialize for Properties {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_map(self.0.iter().map(|(name, value)| (name, value)))
    }
}

enum Form {
    Byte,
    Two,
    Four,
    Varying,
    Text,
    Pair,
}

/// Name and form of a property (MQTT 5.0 section 2.2.2.2).
const fn property(id: u8) -> Option<(&'static str, Form)> {
    Some(match id {
        1 => ("payload_format_indicator", Form::Byte),
        2 => ("message_expiry_interval", Form::Four),
        3 => ("content_type", Form::Text),
        8 => ("response_topic", Form::Text),
        9 => ("correlation_data", Form::Text),
        11 => ("subscription_identifier", Form::Varying),
        17 => ("session_expiry_interval", Form::Four),
        18 => ("assigned_client_identifier", Form::Text),
        19 => ("server_keep_alive", Form::Two),
        21 => ("authentication_method", Form::Text),
        22 => ("authentication_data", Form::Text),
        23 => ("request_problem_information", Form::Byte),
        24 => ("will_delay_interval", Form::Four),
        25 => ("request_response_information", Form::Byte),
        26 => ("response_information", Form::Text),
        28 => ("server_reference", Form::Text),
        31 => ("reason_string", Form::Text),
        33 => ("receive_maximum", Form::Two),
        34 => ("topic_alias_maximum", Form::Two),
        35 => ("topic_alias", Form::Two),
        36 => ("maximum_qos", Form::Byte),
        37 => ("retain_available", Form::Byte),
        38 => ("user_property", Form::Pair),
        39 => ("maximum_packet_size", Form::Four),
        40 => ("wildcard_subscription_available", Form::Byte),
        41 => ("subscription_identifiers_available", Form::Byte),
        42 => ("shared_subscription_available", Form::Byte),
        _ => return None,
    })
}
