//! The ways to a person, one file each.
//!
//! A channel's type holds its settings as they stand in the configuration; a new one is a file
//! here and a line in [`KINDS`].

mod desktop;
mod discord;
mod email;
mod posted;
mod slack;
mod sms;
mod syslog;
mod teams;
mod telegram;
mod webhook;

use crate::error::SendError;
use crate::message::Message;
use crate::secret::{Secret, Vault};
use flowtrack_event::Severity;
use posted::Posted;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

/// All kinds of channels.
pub static KINDS: &[Kind] = &[
    Kind { name: "email", about: "e-mail by SMTP", open: open::<email::Email> },
    Kind { name: "sms", about: "text message by Twilio", open: open::<sms::Sms> },
    Kind { name: "webhook", about: "signed JSON to a web server", open: open::<webhook::Webhook> },
    Kind { name: "slack", about: "Slack, by incoming webhook", open: open::<Posted<slack::Slack>> },
    Kind { name: "discord", about: "Discord, by webhook", open: open::<Posted<discord::Discord>> },
    Kind {
        name: "teams",
        about: "Microsoft Teams, by workflow",
        open: open::<Posted<teams::Teams>>,
    },
    Kind { name: "telegram", about: "Telegram, by a bot", open: open::<telegram::Telegram> },
    Kind { name: "syslog", about: "syslog of RFC 5424", open: open::<syslog::Syslog> },
    Kind { name: "desktop", about: "notification on the desktop", open: open::<desktop::Desktop> },
];

/// A kind of channels.
pub struct Kind {
    /// Value of `type`.
    pub name: &'static str,
    /// What it is, in few words.
    pub about: &'static str,
    open: Opener,
}

/// Makes a channel of settings.
type Opener = fn(&Map<String, Value>) -> Result<Box<dyn Channel>, String>;

impl Kind {
    /// The kind of this name.
    pub fn find(name: &str) -> Option<&'static Self> {
        KINDS.iter().find(|kind| kind.name == name)
    }

    /// A channel with these settings; the complaint names the wrong one.
    pub fn open(&self, settings: &Map<String, Value>) -> Result<Box<dyn Channel>, String> {
        (self.open)(settings)
    }
}

/// A way to a person.
///
/// Sending blocks, for a time that has a bound.
pub trait Channel: Send + Sync {
    /// Says what is wrong with the settings, if anything.
    fn check(&self) -> Result<(), String> {
        Ok(())
    }

    /// Where messages go, without what is secret of it.
    fn destination(&self) -> String;

    /// The secrets that it needs.
    fn secrets(&self) -> Vec<&Secret>;

    /// Sends one message, and waits until the other side has taken it.
    fn send(&self, message: &Message, vault: &Vault<'_>) -> Result<(), SendError>;
}

fn open<T: Channel + DeserializeOwned + 'static>(
    settings: &Map<String, Value>,
) -> Result<Box<dyn Channel>, String> {
    let read = |settings: Map<String, Value>| serde_json::from_value::<T>(Value::Object(settings));
    let channel = read(settings.clone()).map_err(|e| {
        let complaint = e.to_string();
        if complaint.starts_with("unknown field") || complaint.starts_with("missing field") {
            return complaint;
        }
        // Without the setting that is wrong, the complaint is another one.
        let wrong = settings.keys().find(|key| {
            let mut others = settings.clone();
            others.remove(*key);
            read(others).err().is_none_or(|e| e.to_string() != complaint)
        });
        wrong.map_or(complaint.clone(), |key| format!("{key}: {complaint}"))
    })?;
    channel.check()?;
    Ok(Box::new(channel))
}

/// Opens a secret that is needed to send.
fn reveal(vault: &Vault<'_>, secret: &Secret) -> Result<String, SendError> {
    // Whoever forgot to set it can do so while the message waits.
    vault.open(secret).map_err(SendError::later)
}

/// Opens a secret that is the address of a web service.
fn reveal_url(vault: &Vault<'_>, secret: &Secret) -> Result<String, SendError> {
    let url = reveal(vault, secret)?;
    crate::http::check_url(&url, crate::http::Plain::Loopback)
        .map_err(|complaint| SendError::later(format!("{secret}: {complaint}")))?;
    Ok(url)
}

/// Red, green and blue of a severity.
const fn colour(severity: Severity) -> u32 {
    match severity {
        Severity::Critical => 0x8e_24_aa,
        Severity::High => 0xd3_2f_2f,
        Severity::Medium => 0xf5_7c_00,
        Severity::Low => 0xfb_c0_2d,
        Severity::Info => 0x19_76_d2,
    }
}

/// `text` where `<`, `>` and `&` mean themselves, as HTML, Slack and desktops want it.
fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
