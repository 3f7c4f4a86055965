//! Web services that take JSON at a secret address, and differ in what it says only.

use super::{Channel, reveal_url};
use crate::error::SendError;
use crate::http;
use crate::message::Message;
use crate::secret::{Secret, Vault};
use serde::Deserialize;
use serde_json::Value;
use std::marker::PhantomData;

/// What such a service is told.
pub(super) trait Form: Send + Sync {
    /// What stands at the address, such as `webhook`.
    const PLACE: &'static str;

    /// The message in the service's own words.
    fn body(message: &Message) -> Value;
}

/// A channel of such a service.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, bound = "")]
pub(super) struct Posted<F> {
    /// The address; whoever has it can post.
    url: Secret,
    #[serde(skip)]
    form: PhantomData<F>,
}

impl<F: Form> Channel for Posted<F> {
    fn destination(&self) -> String {
        format!("the {} in {}", F::PLACE, self.url)
    }

    fn secrets(&self) -> Vec<&Secret> {
        vec![&self.url]
    }

    fn send(&self, message: &Message, vault: &Vault<'_>) -> Result<(), SendError> {
        let url = reveal_url(vault, &self.url)?;
        http::post_json(&url, &F::body(message)).map(drop)
    }
}
