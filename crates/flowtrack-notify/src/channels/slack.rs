//! Slack: an incoming webhook, <https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks>.

use super::escape;
use super::posted::Form;
use crate::message::Message;
use crate::notice::cut;
use serde_json::{Value, json};

/// A channel of Slack, or of what takes the same messages, such as Mattermost.
pub(super) struct Slack;

impl Form for Slack {
    const PLACE: &'static str = "webhook";

    /// Blocks, and the same as text for notifications.
    fn body(message: &Message) -> Value {
        let title = json!({
            "type": "header",
            "text": { "type": "plain_text", "text": cut(&message.subject(), MAX_HEADER), "emoji": false },
        });
        let mut blocks = vec![title];
        if let Some(notice) = message.single() {
            if !notice.explanation.is_empty() {
                blocks.push(section(&escape(&notice.explanation)));
            }
            // A section holds ten fields.
            for facts in message.facts(notice).chunks(10) {
                let fields: Vec<Value> = facts
                    .iter()
                    .map(|(name, value)| {
                        markdown(&format!("*{}*\n{}", escape(name), escape(value)))
                    })
                    .collect();
                blocks.push(json!({ "type": "section", "fields": fields }));
            }
        } else {
            let lines: Vec<String> =
                message.notices.iter().map(|notice| escape(&message.line(notice))).collect();
            // Ten lines of 200 characters may be longer than a section.
            for lines in lines.chunks(5) {
                blocks.push(section(&lines.join("\n")));
            }
            if let Some(rest) = message.rest() {
                blocks.push(section(&rest));
            }
        }
        blocks
            .push(json!({ "type": "context", "elements": [markdown(&escape(&message.footer()))] }));
        json!({
            "text": escape(&message.subject()),
            "blocks": blocks,
            // Addresses that an attacker chose are not to be looked up.
            "unfurl_links": false,
            "unfurl_media": false,
        })
    }
}

fn section(text: &str) -> Value {
    json!({ "type": "section", "text": markdown(&cut(text, MAX_SECTION)) })
}

fn markdown(text: &str) -> Value {
    // Not `verbatim: false`: names of hosts are not to become links.
    json!({ "type": "mrkdwn", "text": cut(text, MAX_SECTION), "verbatim": true })
}

/// Longest header.
const MAX_HEADER: usize = 150;
/// Longest text of a section; a field may be shorter, and ours are.
const MAX_SECTION: usize = 1990;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::tests::sample;

    #[test]
    fn text_is_escaped_and_within_limits() {
        let body = Slack::body(&sample(1, 0));
        assert_eq!(body["text"], "[high] 192.0.2.7 scans ports of 10.0.0.1 &lt;b&gt;&amp;");
        assert_eq!(body["blocks"][2]["fields"][0]["text"], "*who*\n192.0.2.7 → 10.0.0.1 port 22");
        let many = Slack::body(&sample(10, 37));
        // The header is plain text, where nothing is a mark.
        let rest = Value::from(many["blocks"].as_array().unwrap()[1..].to_vec()).to_string();
        assert!(rest.contains("and 37 more") && !rest.contains("<b>"));
    }
}
