//! Any web server: JSON, signed as <https://www.standardwebhooks.com> says.

use super::{Channel, reveal};
use crate::error::SendError;
use crate::http::{self, Plain, Post};
use crate::message::Message;
use crate::secret::{Secret, Vault};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde::Deserialize;
use serde_json::{Value, json};
use sha2::Sha256;
use std::path::PathBuf;

/// A web server of one's own.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Webhook {
    /// Where messages are posted to, where that is no secret.
    url: Option<String>,
    /// The same where it is one.
    secret_url: Option<Secret>,
    /// Key of the signature: `whsec_` and base64, else its bytes as they are.
    signing_key: Option<Secret>,
    /// Value of the header `authorization`, such as `Bearer …`.
    authorization: Option<Secret>,
    /// Certificates that are trusted instead of the system's, as PEM.
    ca_file: Option<PathBuf>,
}

impl Channel for Webhook {
    fn check(&self) -> Result<(), String> {
        match (&self.url, &self.secret_url) {
            (Some(url), None) => http::check_url(url, Plain::Anywhere)
                .map_err(|complaint| format!("url: {complaint}")),
            (None, Some(_)) => Ok(()),
            _ => Err("want either `url` or `secret_url`".into()),
        }
    }

    fn destination(&self) -> String {
        match (&self.url, &self.secret_url) {
            // What follows `?` may be a token.
            (Some(url), _) => url.split('?').next().unwrap_or_default().to_owned(),
            (None, Some(secret)) => format!("the address in {secret}"),
            (None, None) => String::new(),
        }
    }

    fn secrets(&self) -> Vec<&Secret> {
        [&self.secret_url, &self.signing_key, &self.authorization].into_iter().flatten().collect()
    }

    fn send(&self, message: &Message, vault: &Vault<'_>) -> Result<(), SendError> {
        let url = match (&self.url, &self.secret_url) {
            (Some(url), _) => url.clone(),
            (None, Some(secret)) => {
                let url = reveal(vault, secret)?;
                http::check_url(&url, Plain::Anywhere)
                    .map_err(|complaint| SendError::later(format!("{secret}: {complaint}")))?;
                url
            }
            (None, None) => return Err(SendError::never("no address")),
        };
        let body = body(message).to_string();
        // The time of sending, so that a receiver can refuse what somebody sends again later.
        let at = jiff::Timestamp::now().as_second();
        let mut headers =
            vec![("webhook-id", message.id.clone()), ("webhook-timestamp", at.to_string())];
        if let Some(key) = &self.signing_key {
            let key = key_of(&reveal(vault, key)?)?;
            headers.push(("webhook-signature", sign(&key, &message.id, at, &body)));
        }
        if let Some(authorization) = &self.authorization {
            headers.push(("authorization", reveal(vault, authorization)?));
        }
        http::post(&Post {
            url: &url,
            content_type: "application/json",
            headers: &headers,
            body: body.as_bytes(),
            ca_file: self.ca_file.as_deref(),
        })
        .map(drop)
    }
}

fn body(message: &Message) -> Value {
    json!({
        "type": message.reason.name(),
        "sensor": message.sensor,
        "sent_us": message.at.micros(),
        "severity": message.severity().name(),
        "title": message.subject(),
        "alerts": message.notices,
        "more": message.more,
    })
}

/// The bytes of a signing key.
fn key_of(text: &str) -> Result<Vec<u8>, SendError> {
    match text.strip_prefix("whsec_") {
        Some(encoded) => BASE64_STANDARD
            .decode(encoded)
            .map_err(|_| SendError::later("the signing key is not base64 after `whsec_`")),
        None => Ok(text.as_bytes().to_vec()),
    }
}

/// `v1,` and the signature of identifier, time and body.
fn sign(key: &[u8], id: &str, at: i64, body: &str) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
    mac.update(format!("{id}.{at}.{body}").as_bytes());
    format!("v1,{}", BASE64_STANDARD.encode(mac.finalize().into_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_signature_is_that_of_the_standard() {
        // The example of the standard's own libraries.
        let key = key_of("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let signature =
            sign(&key, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, r#"{"test": 2432232314}"#);
        assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }
}
