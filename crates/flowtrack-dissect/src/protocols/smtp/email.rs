//! The `email` object: what a mail says of itself.

use super::decode;
use crate::Text;
use serde::Serialize;

/// Addresses, links and attachments kept of one mail.
const LIST_CAP: usize = 256;

/// What the headers and parts of a mail say.
#[derive(Clone, Default, Debug, Serialize)]
pub(super) struct Email {
    pub(super) status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) from: Option<Text>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) to: Vec<Text>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) cc: Vec<Text>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) subject: Option<Text>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) date: Option<Text>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) message_id: Option<Text>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) x_mailer: Option<Text>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) received: Vec<Text>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) attachment: Vec<Text>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) url: Vec<Text>,
    /// In hexadecimal digits, for rules.
    #[serde(skip)]
    pub(super) body_md5: Option<Text>,
    /// The beginnings of the files, decoded, for rules.
    #[serde(skip)]
    pub(super) contents: Vec<Vec<u8>>,
}

impl Email {
    /// A header of the mail itself; says whether one was there already that may come once only.
    pub(super) fn header(&mut self, name: &[u8], value: &[u8]) -> bool {
        let once = |slot: &mut Option<Text>| {
            let again = slot.is_some();
            slot.get_or_insert_with(|| Text::new(value));
            again
        };
        match &name.to_ascii_lowercase()[..] {
            b"from" => once(&mut self.from),
            b"subject" => once(&mut self.subject),
            b"date" => once(&mut self.date),
            b"message-id" => once(&mut self.message_id),
            b"x-mailer" => once(&mut self.x_mailer),
            b"to" => addresses(value, &mut self.to),
            b"cc" => addresses(value, &mut self.cc),
            b"received" => {
                push(&mut self.received, value);
                false
            }
            _ => false,
        }
    }

    pub(super) fn attached(&mut self, name: &[u8]) {
        push(&mut self.attachment, name);
    }

    /// Finds links in a line of text.
    pub(super) fn links(&mut self, line: &[u8]) {
        decode::links(line, |link| {
            if !self.url.iter().any(|known| **known == *link) {
                push(&mut self.url, link);
            }
        });
    }

    pub(super) fn buffer(&self, name: &str, visit: &mut dyn FnMut(&[u8])) {
        let one = match name {
            "email.from" => &self.from,
            "email.subject" => &self.subject,
            "email.date" => &self.date,
            "email.message_id" => &self.message_id,
            "email.x_mailer" => &self.x_mailer,
            "email.body_md5" => &self.body_md5,
            "email.to" => return joined(&self.to, visit),
            "email.cc" => return joined(&self.cc, visit),
            "email.url" => return self.url.iter().for_each(|url| visit(url)),
            "email.received" => return self.received.iter().for_each(|line| visit(line)),
            "file.name" => return self.attachment.iter().for_each(|file| visit(file)),
            "file.data" => return self.contents.iter().for_each(|data| visit(data)),
            _ => return,
        };
        if let Some(value) = one {
            visit(value);
        }
    }
}

/// Rules see a header as it stood.
fn joined(list: &[Text], visit: &mut dyn FnMut(&[u8])) {
    if !list.is_empty() {
        let parts: Vec<&[u8]> = list.iter().map(|text| &**text).collect();
        visit(&parts.join(&b", "[..]));
    }
}

fn push(list: &mut Vec<Text>, value: &[u8]) {
    if list.len() < LIST_CAP {
        list.push(Text::new(value));
    }
}

/// Splits addresses at commas that stand neither in quotes nor in angle brackets.
fn addresses(value: &[u8], list: &mut Vec<Text>) -> bool {
    let again = !list.is_empty();
    let (mut quoted, mut bracketed, mut from) = (false, false, 0);
    let mut add = |piece: Option<&[u8]>| {
        let piece = piece.unwrap_or_default().trim_ascii();
        if !piece.is_empty() {
            push(list, piece);
        }
    };
    for (at, byte) in value.iter().enumerate() {
        match byte {
            b'"' => quoted = !quoted,
            b'<' if !quoted => bracketed = true,
            b'>' if !quoted => bracketed = false,
            b',' if !quoted && !bracketed => {
                add(value.get(from..at));
                from = at + 1;
            }
            _ => {}
        }
    }
    add(value.get(from..));
    again
}
