//! Text messages: Twilio's API, <https://www.twilio.com/docs/messaging/api/message-resource>.

use super::{Channel, reveal};
use crate::error::SendError;
use crate::http::{self, Plain, Post};
use crate::message::Message;
use crate::secret::{Secret, Vault};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde::Deserialize;

/// A telephone, by Twilio.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Sms {
    /// Identifier of the account, `AC…`.
    account_sid: String,
    /// Token of the account, or secret of the key.
    auth_token: Secret,
    /// Identifier of an API key, `SK…`, where `auth_token` is its secret.
    api_key_sid: Option<String>,
    /// The sender: a number of Twilio's such as `+15005550006`, or an alphanumeric name.
    from: Option<String>,
    /// A messaging service, `MG…`, instead of a sender.
    messaging_service_sid: Option<String>,
    /// The receiver, such as `+4915112345678`; one, so that none gets a message twice when another
    /// fails.
    to: String,
    /// Another address of the API, such as that of a region.
    #[serde(default = "default_api")]
    api: String,
}

fn default_api() -> String {
    "https://api.twilio.com".into()
}

impl Channel for Sms {
    fn check(&self) -> Result<(), String> {
        let is_sid = |sid: &str, prefix: &str| {
            sid.strip_prefix(prefix)
                .is_some_and(|rest| rest.len() == 32 && rest.bytes().all(|b| b.is_ascii_hexdigit()))
        };
        let sids = [
            ("account_sid", "AC", Some(&self.account_sid)),
            ("api_key_sid", "SK", self.api_key_sid.as_ref()),
            ("messaging_service_sid", "MG", self.messaging_service_sid.as_ref()),
        ];
        for (name, prefix, sid) in sids {
            if sid.is_some_and(|sid| !is_sid(sid, prefix)) {
                return Err(format!("{name}: want {prefix} and 32 digits from 0 to f"));
            }
        }
        let digits = self.to.strip_prefix('+').unwrap_or_default();
        if !(7..=15).contains(&digits.len()) || !digits.bytes().all(|b| b.is_ascii_digit()) {
            return Err("to: want a number with its country, such as \"+4915112345678\"".into());
        }
        if self.from.is_some() == self.messaging_service_sid.is_some() {
            return Err("want either `from` or `messaging_service_sid`".into());
        }
        http::check_url(&self.api, Plain::Loopback).map_err(|complaint| format!("api: {complaint}"))
    }

    fn destination(&self) -> String {
        // The last digits tell receivers apart; the whole number is nobody's business.
        let shown = self.to.len().saturating_sub(3);
        format!("+{}{}", "•".repeat(shown.saturating_sub(1)), self.to.get(shown..).unwrap_or(""))
    }

    fn secrets(&self) -> Vec<&Secret> {
        vec![&self.auth_token]
    }

    fn send(&self, message: &Message, vault: &Vault<'_>) -> Result<(), SendError> {
        let token = reveal(vault, &self.auth_token)?;
        let user = self.api_key_sid.as_ref().unwrap_or(&self.account_sid);
        let login = BASE64_STANDARD.encode(format!("{user}:{token}"));
        let api = self.api.trim_end_matches('/');
        let url = format!("{api}/2010-04-01/Accounts/{}/Messages.json", self.account_sid);
        let text = message.brief(MAX_TEXT);
        let sender = match (&self.from, &self.messaging_service_sid) {
            (Some(from), _) => ("From", from),
            (None, Some(service)) => ("MessagingServiceSid", service),
            (None, None) => return Err(SendError::never("no sender")),
        };
        let body = form(&[("To", &self.to), sender, ("Body", &text)]);
        http::post(&Post {
            url: &url,
            content_type: "application/x-www-form-urlencoded",
            headers: &[("authorization", format!("Basic {login}"))],
            body: body.as_bytes(),
            ca_file: None,
        })
        .map(drop)
    }
}

/// Fields as a form sends them.
fn form(fields: &[(&str, &String)]) -> String {
    let encode = |text: &str| {
        let mut encoded = String::new();
        for byte in text.bytes() {
            match byte {
                b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'*' => {
                    encoded.push(char::from(byte));
                }
                b' ' => encoded.push('+'),
                _ => encoded += &format!("%{byte:02X}"),
            }
        }
        encoded
    };
    let pairs: Vec<String> =
        fields.iter().map(|(name, value)| format!("{name}={}", encode(value))).collect();
    pairs.join("&")
}

/// Longest text: two segments of GSM-7.
const MAX_TEXT: usize = 300;

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn fields_are_encoded_as_forms_are() {
        let (to, body) = ("+4915".to_owned(), "a b&c=ä".to_owned());
        assert_eq!(form(&[("To", &to), ("Body", &body)]), "To=%2B4915&Body=a+b%26c%3D%C3%A4");
    }

    #[test]
    fn wrong_settings_are_told() {
        let sid = "AC0123456789abcdef0123456789abcdef";
        let check = |to: &str, from: &str| {
            let settings =
                json!({ "account_sid": sid, "auth_token": "env:T", "from": from, "to": to });
            serde_json::from_value::<Sms>(settings).unwrap().check()
        };
        assert_eq!(check("+4915112345678", "+15005550006"), Ok(()));
        assert!(check("015112345678", "+15005550006").unwrap_err().starts_with("to: "));
    }
}
