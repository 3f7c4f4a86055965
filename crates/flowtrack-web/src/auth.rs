//! Who may ask: one-time links, browser sessions, the API token.
//!
//! A one-time link carries 128 bits from the operating system, works once and leaves a session
//! cookie. There are no passwords and therefore no default password. All secrets are compared in
//! constant time, and every list here is short.

use std::{
    collections::VecDeque,
    fmt,
    hint::black_box,
    net::{IpAddr, SocketAddr},
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use anyhow::{Result, anyhow};
use axum::http::{HeaderMap, header};

/// How a request proved that it may be answered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Identity {
    /// By the cookie of a browser session; other origins may try to abuse it.
    Session,
    /// By the API token, which no browser adds by itself.
    Token,
}

/// Links, sessions and the API token.
pub(crate) struct Auth {
    api_token: Option<String>,
    cookie: String,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    links: VecDeque<Secret>,
    sessions: VecDeque<Session>,
    /// Where who may ask was last, and when.
    peers: VecDeque<(IpAddr, Instant)>,
}

struct Session {
    secret: Secret,
    created: Instant,
    used: Instant,
}

impl Auth {
    /// The cookie's name carries the port: cookies of one host are shared by all its ports, and
    /// two programs on one machine must not sign each other's users out.
    pub fn new(api_token: Option<String>, listen: SocketAddr) -> Self {
        Self { api_token, cookie: format!("flowtrack_{}", listen.port()), state: Mutex::default() }
    }

    /// Makes a one-time token; the oldest unused one lapses when there are too many.
    pub fn new_link(&self) -> Result<String> {
        let secret = Secret::random()?;
        let mut state = self.state();
        if state.links.len() == MAX_LINKS {
            state.links.pop_front();
        }
        let text = secret.to_string();
        state.links.push_back(secret);
        Ok(text)
    }

    /// Exchanges a one-time token, or the API token, for a session; gives the `Set-Cookie` value.
    pub fn login(&self, token: &str) -> Result<Option<String>> {
        let fresh = Secret::random()?;
        let now = Instant::now();
        let mut state = self.state();
        if !self.is_api_token(token) {
            let Some(index) = Secret::parse(token).and_then(|t| position(&state.links, &t)) else {
                return Ok(None);
            };
            state.links.remove(index);
        }
        state.forget_expired(now);
        if state.sessions.len() == MAX_SESSIONS {
            let oldest = (state.sessions.iter().enumerate()).min_by_key(|(_, s)| s.used);
            if let Some(index) = oldest.map(|(i, _)| i) {
                state.sessions.remove(index);
            }
        }
        let cookie = self.set_cookie(&fresh.to_string(), SESSION_LIFE);
        state.sessions.push_back(Session { secret: fresh, created: now, used: now });
        Ok(Some(cookie))
    }

    /// Ends the session of a request; gives the `Set-Cookie` value that makes the browser forget.
    pub fn logout(&self, headers: &HeaderMap) -> String {
        let mut state = self.state();
        for secret in self.cookies(headers) {
            state.sessions.retain(|s| !s.secret.same(&secret));
        }
        self.set_cookie("", Duration::ZERO)
    }

    /// Who makes a request, if it is somebody.
    pub fn identify(&self, headers: &HeaderMap, now: Instant) -> Option<Identity> {
        let bearer = (headers.get(header::AUTHORIZATION))
            .and_then(|v| v.to_str().ok())
            .and_then(|v| v.strip_prefix("Bearer "));
        if let Some(token) = bearer {
            return self.is_api_token(token.trim()).then_some(Identity::Token);
        }
        let mut state = self.state();
        state.forget_expired(now);
        self.cookies(headers).find_map(|secret| {
            // Looks at every session, so that the time does not tell which one matched.
            let mut found = false;
            for session in &mut state.sessions {
                if session.secret.same(&secret) {
                    session.used = now;
                    found = true;
                }
            }
            found.then_some(Identity::Session)
        })
    }

    /// Notes from where somebody asked who may.
    pub fn note_peer(&self, peer: IpAddr, now: Instant) {
        let peer = peer.to_canonical();
        let mut state = self.state();
        state.peers.retain(|(known, _)| *known != peer);
        if state.peers.len() == MAX_PEERS {
            state.peers.pop_front();
        }
        state.peers.push_back((peer, now));
    }

    /// From where people who may ask did so within the time that a session lasts unused.
    pub fn peers(&self, now: Instant) -> Vec<IpAddr> {
        let mut state = self.state();
        state.peers.retain(|(_, at)| now.saturating_duration_since(*at) < SESSION_IDLE);
        state.peers.iter().map(|(peer, _)| *peer).collect()
    }

    fn is_api_token(&self, token: &str) -> bool {
        let known = self.api_token.as_ref();
        known.is_some_and(|known| same_bytes(known.as_bytes(), token.as_bytes()))
    }

    /// The session secrets that a request's cookies carry, at most a few.
    fn cookies<'a>(&'a self, headers: &'a HeaderMap) -> impl Iterator<Item = Secret> + 'a {
        (headers.get_all(header::COOKIE).iter())
            .filter_map(|v| v.to_str().ok())
            .flat_map(|v| v.split(';'))
            .filter_map(|pair| pair.trim().split_once('='))
            .filter(|(name, _)| *name == self.cookie)
            .filter_map(|(_, value)| Secret::parse(value))
            .take(4)
    }

    /// No `Secure`: the dashboard is plain HTTP on loopback. `Strict` is possible because the
    /// application's own files need no cookie, so links from elsewhere still open it.
    fn set_cookie(&self, value: &str, life: Duration) -> String {
        let (name, life) = (&self.cookie, life.as_secs());
        format!("{name}={value}; Path=/; Max-Age={life}; HttpOnly; SameSite=Strict")
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn forget_expired(&mut self, now: Instant) {
        self.sessions.retain(|s| {
            now.duration_since(s.created) < SESSION_LIFE
                && now.duration_since(s.used) < SESSION_IDLE
        });
    }
}

/// 128 bits that nobody can guess, written as 32 hexadecimal digits.
struct Secret([u8; 16]);

impl Secret {
    fn random() -> Result<Self> {
        let mut bytes = [0; 16];
        getrandom::fill(&mut bytes)
            .map_err(|e| anyhow!("the operating system gives no random bytes: {e}"))?;
        Ok(Self(bytes))
    }

    fn parse(text: &str) -> Option<Self> {
        if text.len() != 32 || !text.bytes().all(|b| b.is_ascii_hexdigit()) {
            return None;
        }
        u128::from_str_radix(text, 16).ok().map(|n| Self(n.to_be_bytes()))
    }

    fn same(&self, other: &Self) -> bool {
        same_bytes(&self.0, &other.0)
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", u128::from_be_bytes(self.0))
    }
}

/// Where `wanted` stands; looks at all, so that the time does not tell.
fn position(secrets: &VecDeque<Secret>, wanted: &Secret) -> Option<usize> {
    let mut found = None;
    for (index, secret) in secrets.iter().enumerate() {
        if secret.same(wanted) {
            found = Some(index);
        }
    }
    found
}

/// Compares in a time that depends on the lengths only.
fn same_bytes(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && black_box(a.iter().zip(b).fold(0, |diff, (x, y)| diff | (x ^ y))) == 0
}

/// One-time links that may wait to be used.
const MAX_LINKS: usize = 8;
/// Browsers that may be signed in; the one unused for longest is signed out for a new one.
const MAX_SESSIONS: usize = 64;
/// Addresses of people that are remembered; the one heard of longest ago goes for a new one.
const MAX_PEERS: usize = 256;
/// A session ends this long after it began.
const SESSION_LIFE: Duration = Duration::from_hours(7 * 24);
/// A session ends when it was not used for this long.
const SESSION_IDLE: Duration = Duration::from_hours(24);

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    fn auth(token: Option<&str>) -> Auth {
        Auth::new(token.map(str::to_owned), ([127, 0, 0, 1], 8080).into())
    }

    fn with(name: header::HeaderName, value: &str) -> HeaderMap {
        HeaderMap::from_iter([(name, HeaderValue::from_str(value).unwrap())])
    }

    fn pair(set_cookie: &str) -> &str {
        set_cookie.split(';').next().unwrap()
    }

    #[test]
    fn a_link_works_once_and_its_session_until_logout() {
        let auth = auth(None);
        let link = auth.new_link().unwrap();
        let cookie = auth.login(&link).unwrap().unwrap();
        assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Strict"));
        assert!(auth.login(&link).unwrap().is_none());

        let headers = with(header::COOKIE, &format!("a=b; {}", pair(&cookie)));
        assert_eq!(auth.identify(&headers, Instant::now()), Some(Identity::Session));
        auth.logout(&headers);
        assert_eq!(auth.identify(&headers, Instant::now()), None);
    }

    #[test]
    fn links_and_sessions_are_bounded() {
        let auth = auth(None);
        let first = auth.new_link().unwrap();
        for _ in 0..MAX_LINKS {
            auth.new_link().unwrap();
        }
        assert!(auth.login(&first).unwrap().is_none(), "the oldest link lapsed");

        let mut first_session = None;
        for _ in 0..=MAX_SESSIONS {
            let cookie = auth.login(&auth.new_link().unwrap()).unwrap().unwrap();
            first_session.get_or_insert(cookie);
        }
        assert_eq!(auth.state().sessions.len(), MAX_SESSIONS);
        let headers = with(header::COOKIE, pair(&first_session.unwrap()));
        assert_eq!(
            auth.identify(&headers, Instant::now()),
            None,
            "the session unused for longest ended"
        );
    }

    #[test]
    fn an_unused_session_ends() {
        let auth = auth(None);
        let cookie = auth.login(&auth.new_link().unwrap()).unwrap().unwrap();
        let headers = with(header::COOKIE, pair(&cookie));
        let mut now = Instant::now();
        for _ in 0..10 {
            now += SESSION_IDLE / 2;
            assert_eq!(auth.identify(&headers, now), Some(Identity::Session), "it is in use");
        }
        assert_eq!(auth.identify(&headers, now + SESSION_IDLE), None);
    }

    #[test]
    fn where_people_are_is_remembered_as_long_as_a_session_and_bounded() {
        let (auth, now) = (auth(None), Instant::now());
        auth.note_peer("::ffff:192.0.2.7".parse().unwrap(), now);
        assert_eq!(auth.peers(now), [IpAddr::from([192, 0, 2, 7])]);
        assert!(auth.peers(now + SESSION_IDLE).is_empty());
        for n in 0..1_000_u32 {
            auth.note_peer(IpAddr::from(n.to_be_bytes()), now);
        }
        assert_eq!(auth.peers(now).len(), MAX_PEERS);
    }

    #[test]
    fn the_api_token_must_match_whole() {
        let auth = auth(Some("0123456789abcdef"));
        let bearer = |token: &str| {
            let headers = with(header::AUTHORIZATION, &format!("Bearer {token}"));
            auth.identify(&headers, Instant::now())
        };
        assert_eq!(bearer("0123456789abcdef"), Some(Identity::Token));
        assert_eq!(bearer("0123456789abcde"), None);
        assert_eq!(bearer("0123456789abcdeF"), None);
        assert_eq!(bearer(""), None);
    }

    #[test]
    fn odd_tokens_are_refused() {
        for text in ["", "+0123456789abcdef0123456789abcde", "zz", &"0".repeat(33)] {
            assert!(Secret::parse(text).is_none(), "{text}");
        }
    }
}
