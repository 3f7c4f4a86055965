//! Requests to web services: one POST, a time-out, and what the answer means.

use crate::error::{Again, SendError};
use crate::notice::clean;
use crate::tls;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use ureq::tls::{Certificate, RootCerts, TlsConfig};

/// One request.
pub(crate) struct Post<'a> {
    /// Where to.
    pub url: &'a str,
    /// Form of the body.
    pub content_type: &'a str,
    /// Further headers.
    pub headers: &'a [(&'a str, String)],
    /// The body.
    pub body: &'a [u8],
    /// Certificates that are trusted instead of the system's.
    pub ca_file: Option<&'a Path>,
}

/// Whether an address without encryption is right.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Plain {
    /// Only on this machine.
    Loopback,
    /// Anywhere, because somebody chose it.
    Anywhere,
}

/// Sends JSON; `Ok` with the answer's body when it was accepted.
pub(crate) fn post_json(url: &str, body: &serde_json::Value) -> Result<String, SendError> {
    let body = body.to_string();
    let content_type = "application/json";
    post(&Post { url, content_type, headers: &[], body: body.as_bytes(), ca_file: None })
}

/// Sends the request; `Ok` with the answer's body when it was accepted.
pub(crate) fn post(request: &Post<'_>) -> Result<String, SendError> {
    let certificates =
        tls::roots(request.ca_file)?.iter().map(|c| Certificate::from_der(c).to_owned()).collect();
    let tls = TlsConfig::builder()
        .root_certs(RootCerts::Specific(Arc::new(certificates)))
        .unversioned_rustls_crypto_provider(tls::provider())
        .build();
    let mut config = ureq::Agent::config_builder()
        .tls_config(tls)
        .timeout_global(Some(TOTAL))
        .timeout_connect(Some(CONNECT))
        .http_status_as_error(false)
        // A signed body, or one for a secret address, goes nowhere else.
        .max_redirects(0)
        .max_redirects_will_error(false)
        .max_idle_connections(0)
        .user_agent(concat!("FlowTrack/", env!("CARGO_PKG_VERSION")));
    if is_loopback(request.url) {
        config = config.proxy(None);
    }
    let agent: ureq::Agent = config.build().into();
    let mut call = agent.post(request.url).content_type(request.content_type);
    for (name, value) in request.headers {
        call = call.header(*name, value);
    }
    let mut response = call.send(request.body).map_err(|e| failure(&e))?;
    let status = response.status().as_u16();
    let wait = response
        .headers()
        .get("retry-after")
        .and_then(|value| value.to_str().ok()?.trim().parse::<f64>().ok());
    let body =
        response.body_mut().with_config().limit(MAX_ANSWER).read_to_string().unwrap_or_default();
    match status {
        200..=299 => Ok(body),
        408 | 425 | 429 | 500..=599 => {
            // Discord and Telegram also say in the body how long to wait.
            let wait = wait.or_else(|| wait_of(&body));
            let wait = wait
                .filter(|seconds| seconds.is_finite() && *seconds >= 0.0)
                .map(|seconds| Duration::from_secs_f64(seconds.min(MAX_WAIT)));
            Err(SendError { text: answer(status, &body), again: Again::Later(wait) })
        }
        _ => Err(SendError::never(answer(status, &body))),
    }
}

/// Whether `url` may carry what nobody else is to read.
pub(crate) fn check_url(url: &str, plain: Plain) -> Result<(), &'static str> {
    let uri: ureq::http::Uri = url.parse().map_err(|_| "want an address such as https://…")?;
    match (uri.scheme_str(), uri.host()) {
        (Some("https"), Some(_)) => Ok(()),
        (Some("http"), Some(_)) if plain == Plain::Anywhere || is_loopback(url) => Ok(()),
        (Some("http"), _) => Err("want https://; without encryption others read the message"),
        _ => Err("want an address such as https://…"),
    }
}

/// Whether `host` is this machine.
pub(crate) fn is_own(host: &str) -> bool {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

fn is_loopback(url: &str) -> bool {
    url.parse::<ureq::http::Uri>().is_ok_and(|uri| uri.host().is_some_and(is_own))
}

/// What is said of an answer that is no success.
fn answer(status: u16, body: &str) -> String {
    let hint = match status {
        300..=399 => ", it has moved: use the new address",
        401 | 403 => ", the token or address is not accepted",
        404 | 410 => ", there is nothing at this address any more",
        429 => ", too many messages",
        _ => "",
    };
    let said = clean(body.trim(), 200);
    let said = if said.is_empty() { said } else { format!(": {said}") };
    format!("the service answered {status}{hint}{said}")
}

/// `retry_after` of a JSON body, or of its `parameters`.
fn wait_of(body: &str) -> Option<f64> {
    let body: serde_json::Value = serde_json::from_str(body).ok()?;
    let told = body.get("retry_after").or_else(|| body.get("parameters")?.get("retry_after"))?;
    told.as_f64()
}

/// What went wrong before there was an answer; never with the address, which may be secret.
fn failure(error: &ureq::Error) -> SendError {
    use ureq::Error;
    match error {
        Error::BadUri(_) | Error::Http(_) => SendError::never("the address is not a right one"),
        Error::Timeout(_) => SendError::later(format!("no answer within {} s", TOTAL.as_secs())),
        Error::HostNotFound => SendError::later("there is no host of this name, or no name server"),
        Error::ConnectionFailed => SendError::later("cannot connect"),
        Error::Io(e) => SendError::later(e.to_string()),
        Error::Rustls(e) => SendError::later(format!("TLS: {e}")),
        Error::Tls(what) => SendError::later(format!("TLS: {what}")),
        Error::InvalidProxyUrl => SendError::never("the proxy of the environment is not right"),
        _ => SendError::later("the service does not speak HTTP as it should"),
    }
}

/// For connecting, TLS included.
const CONNECT: Duration = Duration::from_secs(8);
/// For the whole request.
const TOTAL: Duration = Duration::from_secs(15);
/// Bytes of an answer that are read.
const MAX_ANSWER: u64 = 64 * 1024;
/// Seconds that a service may make us wait.
const MAX_WAIT: f64 = 3600.0;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machine_is_spoken_to_without_encryption() {
        assert!(check_url("https://hooks.example.org/x", Plain::Loopback).is_ok());
        assert!(check_url("http://127.0.0.1:80/x", Plain::Loopback).is_ok());
        assert!(check_url("http://[::1]:80/x", Plain::Loopback).is_ok());
        assert!(check_url("http://example.org/x", Plain::Loopback).is_err());
        assert!(check_url("http://example.org/x", Plain::Anywhere).is_ok());
        assert!(check_url("ftp://example.org/x", Plain::Anywhere).is_err());
        assert!(check_url("xoxb-1234", Plain::Anywhere).is_err());
    }

    #[test]
    fn services_say_how_long_to_wait() {
        assert_eq!(wait_of(r#"{"retry_after": 1.5, "global": false}"#), Some(1.5));
        assert_eq!(wait_of(r#"{"ok":false,"parameters":{"retry_after":7}}"#), Some(7.0));
        assert_eq!(wait_of("slow down"), None);
    }
}
