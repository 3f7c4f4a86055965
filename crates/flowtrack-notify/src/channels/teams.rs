//! Microsoft Teams: a workflow "when a Teams webhook request is received", with an Adaptive Card.

use super::posted::Form;
use crate::message::Message;
use flowtrack_event::Severity;
use serde_json::{Value, json};

/// A channel of Microsoft Teams.
pub(super) struct Teams;

impl Form for Teams {
    const PLACE: &'static str = "workflow";

    /// A card of rich text only: other texts of a card are Markdown, with links that strangers chose.
    fn body(message: &Message) -> Value {
        let tint = match message.severity() {
            Severity::Critical | Severity::High => "attention",
            Severity::Medium | Severity::Low => "warning",
            Severity::Info => "accent",
        };
        let mut parts = vec![rich(&[run(&message.subject(), "bolder", tint)])];
        if let Some(notice) = message.single() {
            if !notice.explanation.is_empty() {
                parts.push(rich(&[run(&notice.explanation, "default", "default")]));
            }
            for (name, value) in message.facts(notice) {
                let name = run(&format!("{name}: "), "bolder", "default");
                parts.push(rich(&[name, run(&value, "default", "default")]));
            }
        } else {
            for notice in &message.notices {
                parts.push(rich(&[run(&message.line(notice), "default", "default")]));
            }
            if let Some(rest) = message.rest() {
                parts.push(rich(&[run(&rest, "default", "default")]));
            }
        }
        parts.push(rich(&[run(&message.footer(), "lighter", "default")]));
        json!({
            "type": "message",
            "attachments": [{
                "contentType": "application/vnd.microsoft.card.adaptive",
                "contentUrl": null,
                "content": {
                    "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
                    "type": "AdaptiveCard",
                    "version": "1.4",
                    "body": parts,
                },
            }],
        })
    }
}

fn rich(runs: &[Value]) -> Value {
    json!({ "type": "RichTextBlock", "inlines": runs })
}

fn run(text: &str, weight: &str, color: &str) -> Value {
    json!({ "type": "TextRun", "text": text, "weight": weight, "color": color })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::tests::sample;

    #[test]
    fn a_card_stays_below_the_28_kib_that_teams_takes() {
        let body = Teams::body(&sample(10, 37)).to_string();
        assert!(body.len() < 28 * 1024 && body.contains("and 37 more"), "{}", body.len());
    }
}
