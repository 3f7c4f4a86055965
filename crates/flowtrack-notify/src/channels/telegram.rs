//! Telegram: a bot's `sendMessage`, <https://core.telegram.org/bots/api#sendmessage>.

use super::{Channel, escape, reveal};
use crate::error::SendError;
use crate::http::{self, Plain};
use crate::message::Message;
use crate::notice::cut;
use crate::secret::{Secret, Vault};
use flowtrack_event::Severity;
use serde::Deserialize;
use serde_json::{Value, json};

/// A chat of Telegram.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Telegram {
    /// The bot's token.
    token: Secret,
    /// Number of the chat, or `@name` of a public channel.
    chat_id: String,
    /// Number of the topic in a forum.
    topic: Option<i64>,
    /// Another server of the Bot API than Telegram's own.
    #[serde(default = "default_api")]
    api: String,
}

fn default_api() -> String {
    "https://api.telegram.org".into()
}

impl Channel for Telegram {
    fn check(&self) -> Result<(), String> {
        let chat = self.chat_id.strip_prefix('@');
        if chat.is_none_or(str::is_empty) && self.chat_id.parse::<i64>().is_err() {
            return Err(
                "chat_id: want a number in quotes, such as \"-100123\", or \"@name\"".into()
            );
        }
        http::check_url(&self.api, Plain::Loopback).map_err(|complaint| format!("api: {complaint}"))
    }

    fn destination(&self) -> String {
        format!("chat {}", self.chat_id)
    }

    fn secrets(&self) -> Vec<&Secret> {
        vec![&self.token]
    }

    fn send(&self, message: &Message, vault: &Vault<'_>) -> Result<(), SendError> {
        let token = reveal(vault, &self.token)?;
        if !token.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b':' | b'_' | b'-')) {
            return Err(SendError::later(format!("{} is not a bot's token", self.token)));
        }
        let url = format!("{}/bot{token}/sendMessage", self.api.trim_end_matches('/'));
        http::post_json(&url, &self.body(message)).map(drop)
    }
}

impl Telegram {
    fn body(&self, message: &Message) -> Value {
        // 4096 characters count after the marks are taken away, so the text is cut before.
        let text = if let Some(notice) = message.single() {
            let mut parts = vec![format!("<b>{}</b>", escape(&message.subject()))];
            if !notice.explanation.is_empty() {
                parts.push(escape(&notice.explanation));
            }
            let mut room = MAX_FACTS;
            let facts: Vec<String> = message
                .facts(notice)
                .iter()
                .take_while(|(name, value)| {
                    let length = name.chars().count() + value.chars().count() + 3;
                    room = room.saturating_sub(length);
                    room > 0
                })
                .map(|(name, value)| format!("<b>{}</b>: {}", escape(name), escape(value)))
                .collect();
            parts.push(facts.join("\n"));
            parts.push(escape(&message.footer()));
            parts.join("\n\n")
        } else {
            escape(&cut(&message.text(), MAX_TEXT))
        };
        let mut body = json!({
            "chat_id": self.chat_id,
            "text": text,
            "parse_mode": "HTML",
            "link_preview_options": { "is_disabled": true },
            "disable_notification": message.severity() < Severity::Medium,
        });
        if let Some(topic) = self.topic {
            body["message_thread_id"] = topic.into();
        }
        body
    }
}

/// Longest text.
const MAX_TEXT: usize = 4000;
/// Longest part of it for what is known of a notice; title and explanation take 800 at most.
const MAX_FACTS: usize = 2800;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::tests::sample;

    #[test]
    fn text_is_html_with_strangers_words_escaped() {
        let settings = json!({ "token": "env:T", "chat_id": "-1001", "topic": 7 });
        let channel: Telegram = serde_json::from_value(settings).unwrap();
        assert_eq!(channel.check(), Ok(()));
        let body = channel.body(&sample(1, 0));
        let text = body["text"].as_str().unwrap();
        assert!(text.starts_with("<b>[high] 192.0.2.7 scans ports of 10.0.0.1 &lt;b&gt;&amp;</b>"));
        assert_eq!(body["message_thread_id"], 7);
        assert!(channel.body(&sample(10, 37))["text"].as_str().unwrap().contains("and 37 more"));
    }
}
