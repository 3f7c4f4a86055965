//! What is logged: a message and those that answer it, each under its own name.

use super::NAME;
use super::message::{Body, Kind, Message};
use crate::{Field, Keyword};
use flowtrack_event::{AppProto, Direction, Transaction, words};
use serde::{Serialize, Serializer};

pub(super) const FIELDS: &[Field] = &[
    Field::eve("connect.protocol_string", "string", "`MQTT` or `MQIsdp`"),
    Field::eve("connect.protocol_version", "integer", "3, 4 or 5"),
    Field::eve("connect.flags", "object", "what the client sends along and asks for"),
    Field::eve("connect.client_id", "string", "name of the client"),
    Field::eve("connect.username", "string", "user"),
    Field::eve("connect.password", "string", "password"),
    Field::eve("connect.will", "object", "what is published when the client is lost"),
    Field::eve("connack.session_present", "boolean", "whether the server knew the session"),
    Field::eve("connack.return_code", "integer", "0 where the client is accepted"),
    Field::eve("publish.topic", "string", "topic"),
    Field::eve("publish.message", "string", "what is published"),
    Field::eve("publish.skipped_length", "integer", "bytes of it that are left out"),
    Field::eve("publish.truncated", "boolean", "whether some are"),
    Field::eve("*.qos", "integer", "quality of service"),
    Field::eve("*.retain", "boolean", "retained by the server"),
    Field::eve("*.dup", "boolean", "sent again"),
    Field::eve("*.message_id", "integer", "identifier"),
    Field::eve("*.reason_code", "integer", "result"),
    Field::eve("*.properties", "object", "properties of version 5"),
    Field::eve("subscribe.topics[].topic", "string", "topic"),
    Field::eve("subscribe.topics[].qos", "integer", "quality asked for"),
    Field::eve("suback.qos_granted", "array", "quality granted for each"),
    Field::eve("unsubscribe.topics", "array", "topics"),
    Field::eve("unsuback.reason_codes", "array", "result for each"),
    Field::added("auth.reason_code", "integer", "step of the authentication"),
];

pub(super) const KEYWORDS: &[Keyword] = &[
    Keyword::number("mqtt.type", "kind of the message").multi().named(words::MQTT_TYPES),
    Keyword::number("mqtt.qos", "quality of service").multi(),
    Keyword::number("mqtt.flags", "flags of the message").multi().named(words::MQTT_FLAGS),
    Keyword::number("mqtt.protocol_version", "3, 4 or 5"),
    Keyword::number("mqtt.connect.flags", "what a client sends along and asks for")
        .named(words::MQTT_CONNECT_FLAGS),
    Keyword::buffer("mqtt.connect.clientid", "name of the client"),
    Keyword::buffer("mqtt.connect.username", "user"),
    Keyword::buffer("mqtt.connect.password", "password"),
    Keyword::buffer("mqtt.connect.willtopic", "topic of what is published when it is lost"),
    Keyword::buffer("mqtt.connect.willmessage", "what is published when it is lost"),
    Keyword::buffer("mqtt.connect.protocol_string", "`MQTT` or `MQIsdp`"),
    Keyword::number("mqtt.connack.session_present", "whether the server knew the session")
        .named(&[("no", 0), ("yes", 1), ("false", 0), ("true", 1)]),
    Keyword::number("mqtt.reason_code", "result").multi(),
    Keyword::buffer("mqtt.publish.topic", "topic of what is published"),
    Keyword::buffer("mqtt.publish.message", "what is published"),
    Keyword::buffer("mqtt.subscribe.topic", "topics asked for").multi(),
    Keyword::buffer("mqtt.unsubscribe.topic", "topics given up").multi(),
];

/// Messages that belong together.
#[derive(Clone, Debug)]
pub(super) struct Exchange {
    pub(super) tx_id: u64,
    /// Which way the first one went.
    direction: Direction,
    pub(super) messages: Vec<Message>,
}

impl Exchange {
    pub(super) fn new(tx_id: u64, direction: Direction, first: Message) -> Self {
        Self { tx_id, direction, messages: vec![first] }
    }

    /// Whether nothing answers it.
    pub(super) fn is_alone(&self) -> bool {
        self.messages.first().is_none_or(|first| match first.kind {
            Kind::Disconnect | Kind::Auth => true,
            Kind::Publish => first.qos == 0 || first.qos == 3,
            _ => false,
        })
    }

    /// Whether a message belongs to it.
    pub(super) fn expects(&self, message: &Message, direction: Direction) -> bool {
        let Some(first) = self.messages.first() else { return false };
        let answers = direction != self.direction;
        match (first.kind, message.kind) {
            (Kind::Connect, Kind::Connack) | (Kind::Pingreq, Kind::Pingresp) => answers,
            (Kind::Publish, Kind::Pubrel) => !answers && first.id == message.id,
            (Kind::Publish, Kind::Puback | Kind::Pubrec | Kind::Pubcomp)
            | (Kind::Subscribe, Kind::Suback)
            | (Kind::Unsubscribe, Kind::Unsuback) => answers && first.id == message.id,
            _ => false,
        }
    }
}

impl Serialize for Exchange {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        // A message sent again stands once.
        let first_of_kind = |at: usize, kind: Kind| {
            self.messages.iter().take(at).all(|message| message.kind != kind)
        };
        let named = self.messages.iter().enumerate();
        let named = named.filter(|(at, message)| first_of_kind(*at, message.kind));
        s.collect_map(named.map(|(_, message)| (message.kind.name(), message)))
    }
}

impl Transaction for Exchange {
    fn protocol(&self) -> AppProto {
        NAME
    }

    fn record(&self) -> &dyn erased_serde::Serialize {
        self
    }

    /// What answers belongs to what asked.
    fn one_way(&self) -> Option<Direction> {
        Some(self.direction)
    }

    fn buffer(&self, name: &str, visit: &mut dyn FnMut(&[u8])) {
        for message in &self.messages {
            message.frame(name, visit);
            match (&message.body, name) {
                (Body::Connect { client_id, .. }, "mqtt.connect.clientid") => visit(client_id),
                (Body::Connect { protocol_string, .. }, "mqtt.connect.protocol_string") => {
                    visit(protocol_string);
                }
                (Body::Connect { username: Some(user), .. }, "mqtt.connect.username") => {
                    visit(user);
                }
                (Body::Connect { password: Some(password), .. }, "mqtt.connect.password") => {
                    visit(password);
                }
                (Body::Connect { will: Some(will), .. }, "mqtt.connect.willtopic") => {
                    visit(&will.topic);
                }
                (Body::Connect { will: Some(will), .. }, "mqtt.connect.willmessage") => {
                    visit(&will.message);
                }
                (Body::Publish { topic, .. }, "mqtt.publish.topic") => visit(topic),
                (Body::Publish { message, .. }, "mqtt.publish.message") => visit(message),
                (Body::Subscribe(topics), "mqtt.subscribe.topic") => {
                    for subscription in topics {
                        visit(&subscription.topic);
                    }
                }
                (Body::Unsubscribe(topics), "mqtt.unsubscribe.topic") => {
                    for topic in topics {
                        visit(topic);
                    }
                }
                _ => {}
            }
        }
    }

    fn number(&self, direction: Direction, name: &str, visit: &mut dyn FnMut(u64)) {
        if direction != self.direction {
            return;
        }
        for message in &self.messages {
            match (&message.body, name) {
                (_, "mqtt.type") => visit(message.kind.code()),
                (_, "mqtt.qos") => visit(message.qos.into()),
                (_, "mqtt.flags") => {
                    visit(u64::from(message.dup) << 3 | u64::from(message.retain));
                }
                (Body::Connect { protocol_version, .. }, "mqtt.protocol_version") => {
                    visit((*protocol_version).into());
                }
                (Body::Connect { flags, .. }, "mqtt.connect.flags") => visit((*flags).into()),
                (Body::Connack { session_present, .. }, "mqtt.connack.session_present") => {
                    visit((*session_present).into());
                }
                (
                    Body::Reason(Some(code)) | Body::Connack { return_code: code, .. },
                    "mqtt.reason_code",
                ) => visit((*code).into()),
                (Body::Codes(codes), "mqtt.reason_code") if message.kind == Kind::Unsuback => {
                    codes.iter().for_each(|&code| visit(code.into()));
                }
                _ => {}
            }
        }
    }

    fn summary(&self) -> String {
        let Some(first) = self.messages.first() else { return String::new() };
        let name = first.kind.name();
        match &first.body {
            Body::Connect { client_id, .. } => format!("{name} {client_id}"),
            Body::Publish { topic, .. } => format!("{name} {topic}"),
            Body::Subscribe(topics) => match topics.first() {
                Some(subscription) => format!("{name} {}", subscription.topic),
                None => name.to_owned(),
            },
            Body::Unsubscribe(topics) => match topics.first() {
                Some(topic) => format!("{name} {topic}"),
                None => name.to_owned(),
            },
            _ => name.to_owned(),
        }
    }
}
