//! Settings of the dashboard's server.

use std::{
    fmt,
    net::{Ipv4Addr, SocketAddr},
};

use anyhow::{Result, ensure};
use serde::{Deserialize, Serialize};

/// Settings of the dashboard's server (section `[web]`).
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct WebConfig {
    /// Address and port to listen on. Anything but loopback shows the dashboard to the network
    /// without encryption.
    pub listen: SocketAddr,
    /// Token for programs, sent as `Authorization: Bearer <token>`; without one only browsers that
    /// used a one-time link get in.
    pub api_token: Option<String>,
    /// Host names under which browsers may reach the dashboard, besides `localhost` and addresses
    /// it listens on.
    pub allowed_hosts: Vec<String>,
    /// Dashboards that may be open at once.
    pub max_live_clients: usize,
    /// Connections that may be open at once.
    pub max_connections: usize,
    /// Requests per second that one client address may make, on average; ten times as many at once.
    pub requests_per_second: u32,
}

impl WebConfig {
    /// Shortest API token: 16 characters of a random token are beyond guessing at the rate that
    /// `requests_per_second` allows.
    const MIN_TOKEN: usize = 16;

    /// Says what is wrong with the settings, if anything.
    pub fn check(&self) -> Result<()> {
        if let Some(token) = &self.api_token {
            ensure!(
                token.len() >= Self::MIN_TOKEN && token.bytes().all(|b| b.is_ascii_graphic()),
                "web.api_token must be at least {} printable ASCII characters without spaces; \
                 `openssl rand -hex 16` makes one",
                Self::MIN_TOKEN
            );
        }
        ensure!(self.max_live_clients > 0, "web.max_live_clients must be at least 1");
        ensure!(self.max_connections > 0, "web.max_connections must be at least 1");
        ensure!(self.requests_per_second > 0, "web.requests_per_second must be at least 1");
        Ok(())
    }
}

impl Default for WebConfig {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 8080)),
            api_token: None,
            allowed_hosts: Vec::new(),
            max_live_clients: 32,
            max_connections: 256,
            requests_per_second: 50,
        }
    }
}

/// Leaves the token out, because settings end up in logs.
impl fmt::Debug for WebConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebConfig")
            .field("listen", &self.listen)
            .field("api_token", &self.api_token.as_ref().map(|_| "(set)"))
            .field("allowed_hosts", &self.allowed_hosts)
            .field("max_live_clients", &self.max_live_clients)
            .field("max_connections", &self.max_connections)
            .field("requests_per_second", &self.requests_per_second)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::WebConfig;

    #[test]
    fn a_short_or_unprintable_token_is_refused() {
        let with =
            |token: &str| WebConfig { api_token: Some(token.into()), ..WebConfig::default() };
        assert!(with("0123456789abcdef").check().is_ok());
        assert!(with("short").check().unwrap_err().to_string().contains("at least 16"));
        assert!(with("0123456789 abcdef").check().is_err());
    }

    #[test]
    fn the_token_is_not_in_the_debug_output() {
        let config =
            WebConfig { api_token: Some("very-secret-token".into()), ..WebConfig::default() };
        assert!(!format!("{config:?}").contains("very-secret"));
    }
}
