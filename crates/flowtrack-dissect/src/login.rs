//! Ways to prove who logs on (SASL, RFC 4422).

use flowtrack_event::Secret;

/// How the secret crosses the wire by this mechanism.
pub(crate) fn secret(mechanism: &[u8]) -> Secret {
    let is = |name: &[u8]| mechanism.eq_ignore_ascii_case(name);
    if is(b"PLAIN") || is(b"LOGIN") || is(b"XOAUTH2") || is(b"OAUTHBEARER") {
        Secret::Readable
    } else if is(b"ANONYMOUS") {
        Secret::None
    } else {
        Secret::Hidden
    }
}
