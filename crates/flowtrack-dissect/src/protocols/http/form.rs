//! Forms for logging on: who sends one, and whether the answer lets them in.
//!
//! No protocol says how such a form ends, but pages do: who is refused gets the form again, or is
//! sent back to it; who is let in is sent on. An answer that is neither stays unknown.

use super::exchange::Exchange;
use super::uri::decoded;
use flowtrack_event::LoginOutcome;

/// Bytes of a form that is sent, and of the page that answers it, that are looked at: a form for
/// logging on is small, and stands near the beginning of its page.
pub(super) const SENT: usize = 4 * 1024;
pub(super) const ANSWER: usize = 64 * 1024;

/// Whether a request may send a form for logging on, by its method and where it goes.
pub(super) fn is_for_login(method: &[u8], target: &[u8]) -> bool {
    method == b"POST" && is_login_page(target)
}

/// How a form that was sent to a page for logging on ended; `None` where the server did not judge.
pub(super) fn outcome(exchange: &Exchange, status: u16) -> Option<LoginOutcome> {
    Some(match status {
        401 | 403 | 422 | 429 => LoginOutcome::Refused,
        300..=399 => match exchange.response.get("location") {
            Some(location) => sent_to(exchange, &location),
            None => LoginOutcome::Unknown,
        },
        200..=299 if asks_for_password(&exchange.response.body.kept) => LoginOutcome::Refused,
        200..=299 => LoginOutcome::Unknown,
        _ => return None,
    })
}

/// Who logs on by a form; empty where no field says so. A secret is never taken for a name.
pub(super) fn user(sent: &[u8]) -> Vec<u8> {
    /// What fields with a name are usually called, the surest first.
    const NAMES: &[&[u8]] = &[b"user", b"login", b"mail", b"log", b"account", b"name"];
    /// What names of fields have that hold something else, such as `user_password`.
    const SECRETS: &[&[u8]] = &[b"pass", b"pw", b"secret", b"token", b"csrf"];
    let has = |name: &[u8], word: &[u8]| memchr::memmem::find(name, word).is_some();
    let fields = || {
        sent.get(..SENT).unwrap_or(sent).split(|&b| b == b'&').filter_map(|field| {
            let at = memchr::memchr(b'=', field)?;
            let (name, value) = field.split_at_checked(at)?;
            let name = name.to_ascii_lowercase();
            let is_secret = SECRETS.iter().any(|word| has(&name, word));
            (!is_secret).then_some((name, value.get(1..)?))
        })
    };
    if sent.starts_with(b"{") {
        return Vec::new();
    }
    let found = NAMES.iter().find_map(|wanted| fields().find(|(name, _)| has(name, wanted)));
    found.map(|(_, value)| decoded(value)).unwrap_or_default()
}

/// What it means to be sent elsewhere: back to the form is refused, and to another page for logging
/// on, such as one that asks for a second factor, is neither.
fn sent_to(exchange: &Exchange, location: &[u8]) -> LoginOutcome {
    let to = path(location);
    let came_from = exchange.request.get("referer");
    let is_back = path(exchange.target()) == to || came_from.is_some_and(|page| path(&page) == to);
    let says_why = [&b"error"[..], b"fail", b"invalid", b"denied"]
        .iter()
        .any(|word| memchr::memmem::find(&location.to_ascii_lowercase(), word).is_some());
    match (is_back || says_why, is_login_page(location)) {
        (true, _) => LoginOutcome::Refused,
        (false, true) => LoginOutcome::Unknown,
        (false, false) => LoginOutcome::Granted,
    }
}

/// Whether a page has a field for a password.
fn asks_for_password(page: &[u8]) -> bool {
    let page = page.get(..ANSWER).unwrap_or(page).to_ascii_lowercase();
    [&b"type=\"password\""[..], b"type='password'", b"type=password"]
        .iter()
        .any(|field| memchr::memmem::find(&page, field).is_some())
}

/// Whether a target is where people log on, by what such paths are usually called.
fn is_login_page(target: &[u8]) -> bool {
    const WORDS: &[&[u8]] = &[
        b"login",
        b"log-in",
        b"log_in",
        b"logon",
        b"signin",
        b"sign-in",
        b"sign_in",
        b"/auth",
        b"/session",
        b"xmlrpc.php",
        b"/token",
    ];
    /// Longest path looked at.
    const CAP: usize = 1024;
    let path = path(target);
    let path = path.get(..CAP).unwrap_or(path).to_ascii_lowercase();
    WORDS.iter().any(|word| memchr::memmem::find(&path, word).is_some())
}

/// The path of a target or of a whole address; without query, fragment and a last slash.
fn path(target: &[u8]) -> &[u8] {
    let end = target.iter().position(|b| matches!(b, b'?' | b'#')).unwrap_or(target.len());
    let target = target.get(..end).unwrap_or(target);
    let path = match memchr::memmem::find(target, b"://") {
        None => target,
        Some(at) => {
            let rest = target.get(at + 3..).unwrap_or_default();
            memchr::memchr(b'/', rest).and_then(|at| rest.get(at..)).unwrap_or(b"/")
        }
    };
    path.strip_suffix(b"/").unwrap_or(path)
}
