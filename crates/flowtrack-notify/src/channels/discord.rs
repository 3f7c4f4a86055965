//! Discord: a webhook, <https://discord.com/developers/docs/resources/webhook#execute-webhook>.

use super::colour;
use super::posted::Form;
use crate::message::Message;
use crate::notice::cut;
use serde_json::{Value, json};

/// A channel of Discord.
pub(super) struct Discord;

impl Form for Discord {
    const PLACE: &'static str = "webhook";

    /// One embed; together its texts stay below Discord's 6000 characters.
    fn body(message: &Message) -> Value {
        let (description, fields) = if let Some(notice) = message.single() {
            let fields: Vec<Value> = message
                .facts(notice)
                .iter()
                .take(25)
                .map(|(name, value)| {
                    let (name, value) = (cut(&escape(name), 100), cut(&escape(value), 200));
                    json!({ "name": name, "value": value, "inline": true })
                })
                .collect();
            (cut(&escape(&notice.explanation), 1000), fields)
        } else {
            let mut lines: Vec<String> =
                message.notices.iter().map(|notice| escape(&message.line(notice))).collect();
            lines.extend(message.rest());
            (lines.join("\n"), Vec::new())
        };
        json!({
            "username": "FlowTrack",
            // A title or host name with `@everyone` wakes nobody.
            "allowed_mentions": { "parse": [] },
            "embeds": [{
                "title": cut(&escape(&message.subject()), 256),
                "description": cut(&description, 3500),
                "color": colour(message.severity()),
                "fields": fields,
                "footer": { "text": cut(&message.footer(), 200) },
            }],
        })
    }
}

/// `text` where Markdown's signs mean themselves.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        if matches!(c, '*' | '_' | '~' | '`' | '|' | '>' | '<' | '[' | ']' | '\\' | '#') {
            escaped.push('\\');
        }
        escaped.push(c);
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::tests::sample;

    #[test]
    fn an_embed_carries_colour_and_escaped_text() {
        let body = Discord::body(&sample(1, 0));
        let embed = &body["embeds"][0];
        assert_eq!(embed["title"], "\\[high\\] 192.0.2.7 scans ports of 10.0.0.1 \\<b\\>&");
        assert_eq!(embed["color"], 0xd3_2f_2f);
        assert_eq!(body["allowed_mentions"]["parse"], json!([]));
        assert!(Discord::body(&sample(10, 37)).to_string().chars().count() < 6000);
    }
}
