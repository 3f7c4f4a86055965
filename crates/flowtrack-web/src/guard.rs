//! What every request passes before a handler sees it, and what every response gets.
//!
//! In this order: the Host header is one of ours (a page of another name that resolves to
//! 127.0.0.1 must not read us), the request comes from our own page or from no page, its client
//! is not too fast, it is signed in, and it is answered in time.

use std::{
    collections::HashMap,
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use axum::{
    body::Body,
    extract::{Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header, uri::Authority},
    middleware::Next,
    response::{IntoResponse, Response},
};

use crate::{
    api::{App, Problem},
    auth::Identity,
    config::WebConfig,
};

/// The address a connection came from; the accept loop adds it to each request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Peer(pub SocketAddr);

/// Lets a request through to its handler, or answers it.
pub(crate) async fn guard(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let path = request.uri().path();
    let is_api = path.starts_with("/api/");
    let caching = if path.starts_with("/assets/") { FOREVER } else { NO_STORE };
    let mut response = match admit(&app, &request, is_api) {
        Ok(()) => tokio::time::timeout(ANSWER_LIMIT, next.run(request))
            .await
            .unwrap_or_else(|_| Problem::slow().into_response()),
        Err(problem) => problem.into_response(),
    };
    // A wrong asset address must not be remembered for a year.
    let caching = if response.status() == StatusCode::OK { caching } else { NO_STORE };
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(caching));
    for (name, value) in SECURITY_HEADERS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

/// Checks everything that can be known before the body is read.
fn admit(app: &App, request: &Request<Body>, is_api: bool) -> Result<(), Problem> {
    let headers = request.headers();
    let host = headers.get(header::HOST).and_then(|v| v.to_str().ok()).unwrap_or_default();
    if headers.get_all(header::HOST).iter().count() != 1 || !app.hosts.allows(host) {
        return Err(Problem::forbidden(
            "this name is not one that FlowTrack answers to; open it by the address it listens \
             on, or add the name to web.allowed_hosts",
        ));
    }
    if !comes_from_us(request.method(), headers, host) {
        return Err(Problem::forbidden("requests from other sites are refused"));
    }
    let peer = request.extensions().get::<Peer>().map(|p| p.0.ip());
    if peer.is_some_and(|ip| !app.rates.take(ip, Instant::now())) {
        return Err(Problem::too_fast());
    }
    if !is_api || request.uri().path() == "/api/v1/login" {
        return Ok(());
    }
    match app.auth.identify(headers, Instant::now()) {
        None => Err(Problem::unauthorized()),
        // A browser always sends Origin with such a request; one without it was forged by
        // something that is not our page.
        Some(Identity::Session) if !is_safe(request.method()) && !has_origin(headers) => {
            Err(Problem::forbidden("the Origin header is missing"))
        }
        Some(_) => {
            if let Some(peer) = peer {
                app.auth.note_peer(peer, Instant::now());
            }
            Ok(())
        }
    }
}

/// Whether a request may only read.
fn is_safe(method: &Method) -> bool {
    method == Method::GET || method == Method::HEAD
}

fn has_origin(headers: &HeaderMap) -> bool {
    headers.contains_key(header::ORIGIN)
}

/// Whether no page of another origin caused the request.
///
/// `Origin` and `Sec-Fetch-Site` are set by the browser and cannot be set by a page. Programs
/// send neither. Following a link to the dashboard from another site is allowed: that is how
/// people open it.
fn comes_from_us(method: &Method, headers: &HeaderMap, host: &str) -> bool {
    if let Some(origin) = headers.get(header::ORIGIN) {
        let origin = origin.to_str().unwrap_or_default();
        let authority = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
        return authority.is_some_and(|a| a.eq_ignore_ascii_case(host));
    }
    match headers.get("sec-fetch-site").map(HeaderValue::as_bytes) {
        None | Some(b"same-origin" | b"none") => true,
        Some(_) => {
            let mode = headers.get("sec-fetch-mode").map(HeaderValue::as_bytes);
            is_safe(method) && mode == Some(b"navigate")
        }
    }
}

/// The names and addresses that FlowTrack answers to.
pub(crate) struct Hosts {
    listen: IpAddr,
    names: Vec<String>,
}

impl Hosts {
    pub fn new(config: &WebConfig) -> Self {
        let names = config.allowed_hosts.iter().map(|name| name.to_ascii_lowercase()).collect();
        Self { listen: config.listen.ip(), names }
    }

    /// Whether a Host header is ours, whatever port it names: a tunnel may change the port, and
    /// rebinding needs a name.
    fn allows(&self, host: &str) -> bool {
        let Ok(authority) = host.parse::<Authority>() else { return false };
        if host.contains('@') {
            return false;
        }
        let name = authority.host().to_ascii_lowercase();
        let literal = name.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
        match literal {
            Ok(ip) => ip.is_loopback() || ip == self.listen || self.listen.is_unspecified(),
            Err(_) => name == "localhost" || self.names.contains(&name),
        }
    }
}

/// How fast each client address may ask; a token bucket per address.
pub(crate) struct Rates {
    per_second: f64,
    buckets: Mutex<HashMap<IpAddr, Bucket>>,
}

struct Bucket {
    tokens: f64,
    at: Instant,
}

impl Rates {
    /// Addresses that are told apart; beyond them full buckets are forgotten first.
    const MAX_CLIENTS: usize = 1_024;
    /// Requests at once, as a multiple of the rate: a page loads several files.
    const BURST: f64 = 10.0;

    pub fn new(per_second: u32) -> Self {
        Self { per_second: f64::from(per_second), buckets: Mutex::default() }
    }

    /// Counts one request; says whether it may be answered.
    fn take(&self, ip: IpAddr, now: Instant) -> bool {
        let full = self.per_second * Self::BURST;
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        let level = |bucket: &Bucket| {
            let passed = now.saturating_duration_since(bucket.at).as_secs_f64();
            (bucket.tokens + passed * self.per_second).min(full)
        };
        if buckets.len() >= Self::MAX_CLIENTS && !buckets.contains_key(&ip) {
            buckets.retain(|_, bucket| level(bucket) < full);
            if buckets.len() >= Self::MAX_CLIENTS {
                return false;
            }
        }
        let bucket = buckets.entry(ip).or_insert(Bucket { tokens: full, at: now });
        bucket.tokens = level(bucket);
        bucket.at = now;
        let may = bucket.tokens >= 1.0;
        if may {
            bucket.tokens -= 1.0;
        }
        may
    }
}

const SECURITY_HEADERS: [(HeaderName, &str); 6] = [
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
         connect-src 'self'; base-uri 'none'; frame-ancestors 'none'; form-action 'self'",
    ),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
];
/// Built assets carry a hash of their content in their name.
const FOREVER: &str = "public, max-age=31536000, immutable";
const NO_STORE: &str = "no-store";
/// Until a response must have begun; how long a stream goes on is not limited.
const ANSWER_LIMIT: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_own_names_are_hosts() {
        let config = WebConfig { allowed_hosts: vec!["Probe.lan".into()], ..WebConfig::default() };
        let hosts = Hosts::new(&config);
        for ours in ["127.0.0.1:8080", "localhost", "LOCALHOST:9", "[::1]:8080", "probe.lan:1"] {
            assert!(hosts.allows(ours), "{ours}");
        }
        for other in [
            "",
            "evil.example",
            "127.0.0.1.evil.example",
            "192.0.2.1",
            "a@localhost",
            "localhost:x y",
        ] {
            assert!(!hosts.allows(other), "{other}");
        }
        let open = Hosts::new(&WebConfig { listen: ([0, 0, 0, 0], 1).into(), ..config });
        assert!(open.allows("192.0.2.1:1"), "an address cannot be rebound");
        assert!(!open.allows("evil.example"));
    }

    #[test]
    fn other_sites_may_link_to_us_but_not_ask() {
        let check = |method: Method, headers: &[(&'static str, &'static str)]| {
            let headers = (headers.iter())
                .map(|&(n, v)| (HeaderName::from_static(n), HeaderValue::from_static(v)))
                .collect();
            comes_from_us(&method, &headers, "127.0.0.1:8080")
        };
        assert!(check(Method::GET, &[]));
        assert!(check(Method::PUT, &[("origin", "http://127.0.0.1:8080")]));
        assert!(check(Method::GET, &[("sec-fetch-site", "same-origin")]));
        assert!(check(
            Method::GET,
            &[("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "navigate")]
        ));
        assert!(!check(
            Method::GET,
            &[("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "cors")]
        ));
        assert!(!check(
            Method::POST,
            &[("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "navigate")]
        ));
        assert!(!check(Method::GET, &[("origin", "null")]));
        assert!(!check(Method::GET, &[("origin", "http://127.0.0.1:9090")]));
        assert!(!check(Method::GET, &[("origin", "http://127.0.0.1:8080.evil.example")]));
    }

    #[test]
    fn a_fast_client_is_slowed_and_forgiven() {
        let rates = Rates::new(1);
        let (ip, start) = (IpAddr::from([192, 0, 2, 1]), Instant::now());
        let passed = (0..100).filter(|_| rates.take(ip, start)).count();
        assert_eq!(passed, 10);
        assert!(rates.take(ip, start + Duration::from_secs(2)));
        assert!(rates.take(IpAddr::from([192, 0, 2, 2]), start), "others are not slowed");
    }

    #[test]
    fn the_list_of_clients_is_bounded() {
        let rates = Rates::new(1);
        let now = Instant::now();
        for n in 0..5_000_u32 {
            rates.take(IpAddr::from(n.to_be_bytes()), now);
        }
        assert!(rates.buckets.lock().unwrap().len() <= Rates::MAX_CLIENTS);
        let later = now + Duration::from_mins(1);
        assert!(rates.take(IpAddr::from(4_999_u32.to_be_bytes()), later), "full buckets make room");
    }
}
