//! What is logged of a mail: how it was sent, and what it is.

use super::NAME;
use super::email::Email;
use crate::{Field, Keyword, Text};
use flowtrack_event::{AppProto, Direction, Transaction};
use serde::Serialize;

pub(super) const FIELDS: &[Field] = &[
    Field::eve("helo", "string", "name the client gave itself"),
    Field::eve("mail_from", "string", "sender of the envelope"),
    Field::eve("rcpt_to", "array", "recipients of the envelope"),
];

pub(super) const KEYWORDS: &[Keyword] = &[
    Keyword::buffer("smtp.helo", "name the client gave itself").to_server(),
    Keyword::buffer("smtp.mail_from", "sender of the envelope").to_server(),
    Keyword::buffer("smtp.rcpt_to", "recipients of the envelope").to_server().multi(),
    Keyword::buffer("email.from", "`From` of the mail").to_server(),
    Keyword::buffer("email.to", "`To` of the mail").to_server(),
    Keyword::buffer("email.cc", "`Cc` of the mail").to_server(),
    Keyword::buffer("email.subject", "`Subject` of the mail").to_server(),
    Keyword::buffer("email.date", "`Date` of the mail").to_server(),
    Keyword::buffer("email.message_id", "`Message-ID` of the mail").to_server(),
    Keyword::buffer("email.x_mailer", "`X-Mailer` of the mail").to_server(),
    Keyword::buffer("email.body_md5", "MD5 of the body of the mail, as text").to_server(),
    Keyword::buffer("email.url", "links in the mail").to_server().multi(),
    Keyword::buffer("email.received", "each `Received` of the mail").to_server().multi(),
    Keyword::buffer("file.name", "names of the attachments").to_server().multi(),
    Keyword::buffer("file.data", "attachments, decoded").to_server().multi(),
];

/// One mail and its envelope.
#[expect(clippy::struct_field_names, reason = "the names are those of the record")]
#[derive(Clone, Default, Debug, Serialize)]
pub(super) struct Mail {
    #[serde(skip_serializing_if = "is_empty")]
    pub(super) helo: Text,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) mail_from: Option<Text>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) rcpt_to: Vec<Text>,
    #[serde(skip)]
    pub(super) email: Option<Email>,
}

fn is_empty(text: &Text) -> bool {
    text.is_empty()
}

impl Transaction for Mail {
    fn protocol(&self) -> AppProto {
        NAME
    }

    fn record(&self) -> &dyn erased_serde::Serialize {
        self
    }

    fn siblings(&self, visit: &mut dyn FnMut(&'static str, &dyn erased_serde::Serialize)) {
        if let Some(email) = &self.email {
            visit("email", email);
        }
    }

    /// All of it is what the client says.
    fn one_way(&self) -> Option<Direction> {
        Some(Direction::ToServer)
    }

    fn buffer(&self, name: &str, visit: &mut dyn FnMut(&[u8])) {
        match name {
            "smtp.helo" if !self.helo.is_empty() => visit(&self.helo),
            "smtp.mail_from" => self.mail_from.iter().for_each(|from| visit(from)),
            "smtp.rcpt_to" => self.rcpt_to.iter().for_each(|to| visit(to)),
            _ => {
                if let Some(email) = &self.email {
                    email.buffer(name, visit);
                }
            }
        }
    }

    fn summary(&self) -> String {
        let from = self.mail_from.clone().unwrap_or_default();
        let to = self.rcpt_to.first().cloned().unwrap_or_default();
        let mut line = match self.rcpt_to.len() {
            0 if from.is_empty() => format!("hello from {}", self.helo),
            0 | 1 => format!("{from} -> {to}"),
            n => format!("{from} -> {to} and {} more", n - 1),
        };
        if let Some(subject) = self.email.as_ref().and_then(|e| e.subject.as_ref()) {
            line.push_str(": ");
            line.push_str(&super::decode::words(subject));
        }
        line
    }
}
