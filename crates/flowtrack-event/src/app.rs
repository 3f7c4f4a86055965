//! Names of application protocols.

use serde::Serialize;

/// An application protocol by the name EVE gives it (`http`, `dns`, `krb5`, ...).
///
/// Open on purpose: a dissector brings its own name, and no list of all protocols stands here.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize)]
#[serde(transparent)]
pub struct AppProto(pub &'static str);

impl AppProto {
    /// Detection was tried and gave up (EVE `failed`).
    pub const FAILED: Self = Self("failed");

    /// The name as EVE writes it.
    pub const fn name(self) -> &'static str {
        self.0
    }
}

/// Why a flow is believed to speak a protocol.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Confidence {
    /// Only the port number says so.
    Port,
    /// A heuristic over bytes or behaviour.
    Heuristic,
    /// The bytes are of this protocol's form.
    Content,
}

/// What is known about the application protocol of a flow.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct AppRecord {
    /// The protocol of the flow.
    pub proto: AppProto,
    /// As recognised from the originator's bytes, where that differs.
    pub to_server: Option<AppProto>,
    /// As recognised from the responder's bytes, where that differs.
    pub to_client: Option<AppProto>,
    /// The protocol before a change on the way (STARTTLS, CONNECT, upgrade).
    pub original: Option<AppProto>,
    /// The protocol that the change was expected to lead to.
    pub expected: Option<AppProto>,
    /// How sure this is.
    pub confidence: Confidence,
    /// Where recognition gave up: the bytes it was shown look encrypted or compressed.
    pub looks_random: bool,
}
