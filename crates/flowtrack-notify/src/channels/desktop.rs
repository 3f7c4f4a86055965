//! The desktop: `org.freedesktop.Notifications` over D-Bus.

use super::{Channel, escape};
use crate::error::SendError;
use crate::message::Message;
use crate::secret::{Secret, Vault};
use flowtrack_event::Severity;
use serde::Deserialize;
use std::collections::HashMap;
use std::time::Duration;
use zbus::Variant as Value;
use zbus::connection::Builder;

/// The desktop of whoever is signed in.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Desktop {
    /// The session's bus, such as `unix:path=/run/user/1000/bus`; where it is not said, that of
    /// the environment.
    address: Option<String>,
}

impl Channel for Desktop {
    fn destination(&self) -> String {
        match &self.address {
            Some(address) => format!("the desktop at {address}"),
            None => "the desktop of this session".into(),
        }
    }

    fn secrets(&self) -> Vec<&Secret> {
        Vec::new()
    }

    fn send(&self, message: &Message, _vault: &Vault<'_>) -> Result<(), SendError> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|e| SendError::later(e.to_string()))?;
        let sent =
            runtime.block_on(async { tokio::time::timeout(TIMEOUT, self.show(message)).await });
        match sent {
            Ok(Ok(())) => Ok(()),
            Ok(Err(e)) => Err(SendError::later(format!(
                "no desktop took it: {e}; FlowTrack must run as whoever is signed in, or `address` \
                 must name the bus of the session"
            ))),
            Err(_) => Err(SendError::later(format!("no answer within {} s", TIMEOUT.as_secs()))),
        }
    }
}

impl Desktop {
    async fn show(&self, message: &Message) -> zbus::Result<()> {
        let builder = match &self.address {
            Some(address) => Builder::address(address.as_str()),
            None => Builder::session(),
        };
        let bus = builder.method_timeout(TIMEOUT).build().await?;
        let urgency: u8 = match message.severity() {
            Severity::Critical | Severity::High => 2,
            Severity::Medium => 1,
            Severity::Low | Severity::Info => 0,
        };
        let hints = HashMap::from([
            ("urgency", Value::from(urgency)),
            ("category", Value::from("network.error")),
        ]);
        let body = match message.single() {
            Some(notice) => notice.explanation.clone(),
            None => {
                let lines: Vec<&str> = message.notices.iter().map(|n| n.title.as_str()).collect();
                let rest = message.rest().unwrap_or_default();
                format!("{}\n{rest}", lines.join("\n"))
            }
        };
        let arguments = (
            "FlowTrack",
            0u32,
            "dialog-warning",
            message.subject(),
            // Desktops read the body as markup.
            escape(body.trim_end()),
            Vec::<&str>::new(),
            hints,
            -1i32,
        );
        let name = Some("org.freedesktop.Notifications");
        bus.call_method(name, "/org/freedesktop/Notifications", name, "Notify", &arguments).await?;
        Ok(())
    }
}

/// For connecting and for the answer.
const TIMEOUT: Duration = Duration::from_secs(5);
