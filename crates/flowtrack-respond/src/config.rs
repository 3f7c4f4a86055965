//! Settings of the section `respond`.

use flowtrack_event::Severity;
use serde::{Deserialize, Serialize};

use crate::net::Net;
use crate::system::System;

/// Who is blocked, for how long, and who never is (section `[respond]`).
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RespondConfig {
    /// Whether attackers are blocked without a person's word. Off, it is only said whom that would
    /// have been.
    pub automatic: bool,
    /// Which attacks are blocked automatically: those that one of these describes.
    pub when: Vec<When>,
    /// Which firewall is used.
    pub firewall: Firewall,
    /// Networks that are never blocked, whatever they do.
    pub allow: Vec<Net>,
    /// Length of the prefix of the largest IPv4 network that may be blocked; at least 8.
    pub widest_v4: u8,
    /// Length of the prefix of the largest IPv6 network that may be blocked; at least 32.
    pub widest_v6: u8,
    /// Seconds for which an address is blocked automatically for the first time.
    pub first_secs: u64,
    /// How many times longer it is blocked each time it comes back.
    pub repeat_factor: u32,
    /// Seconds that no block exceeds, whoever wants it.
    pub max_secs: u64,
    /// Blocks in force at once.
    pub max_blocks: usize,
    /// Automatic blocks within a minute; more than that is an attack on the blocking itself.
    pub max_per_minute: usize,
    /// Seconds after which a block that a person has to confirm is undone.
    pub confirm_secs: u64,
    /// Whether blocks stay when the program ends, each until its time is over.
    pub keep_on_exit: bool,
    /// Requests for connections per second that a flooded service of this host still gets while
    /// the sources are spoofed; 0 to leave it to SYN cookies.
    pub request_rate: u32,
}

impl Default for RespondConfig {
    fn default() -> Self {
        Self {
            automatic: false,
            when: vec![When { severity: "high".to_owned(), ..When::default() }],
            firewall: Firewall::Auto,
            allow: Vec::new(),
            widest_v4: 24,
            widest_v6: 64,
            first_secs: 3_600,
            repeat_factor: 4,
            max_secs: 7 * 86_400,
            max_blocks: 10_000,
            max_per_minute: 60,
            confirm_secs: 60,
            keep_on_exit: false,
            request_rate: 0,
        }
    }
}

impl RespondConfig {
    /// Says what is wrong with the settings, if anything.
    pub fn check(&self) -> Result<(), String> {
        System::here().check(self.firewall).map_err(|e| format!("respond.firewall: {e}"))?;
        for (name, value, allowed) in
            [("widest_v4", self.widest_v4, 8..=32), ("widest_v6", self.widest_v6, 32..=128)]
        {
            if !allowed.contains(&value) {
                let (least, most) = (allowed.start(), allowed.end());
                return Err(format!("respond.{name} must be from {least} to {most}, not {value}"));
            }
        }
        for (name, value, most) in [
            ("first_secs", self.first_secs, self.max_secs),
            ("max_secs", self.max_secs, MAX_SECS),
            ("confirm_secs", self.confirm_secs, 3_600),
            ("repeat_factor", self.repeat_factor.into(), 1_000),
            ("max_blocks", self.max_blocks as u64, MAX_BLOCKS),
        ] {
            if value == 0 || value > most {
                return Err(format!("respond.{name} must be from 1 to {most}, not {value}"));
            }
        }
        for when in &self.when {
            if !when.severity.is_empty() && Severity::parse(&when.severity).is_none() {
                let known = Severity::ALL.map(Severity::name).join(", ");
                return Err(format!(
                    "respond.when: no severity `{}`; there are {known}",
                    when.severity
                ));
            }
        }
        Ok(())
    }
}

/// Describes attacks; what is empty says nothing.
#[derive(Clone, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct When {
    /// Name of the detector, such as `port_scan`; `rules` for all signatures, `sid:2024897` for
    /// one.
    pub detector: String,
    /// Category, such as `reconnaissance`.
    pub category: String,
    /// This severity or a higher one.
    pub severity: String,
    /// Seconds of the first block, instead of `respond.first_secs`; 0 for that.
    pub secs: u64,
}

/// Which firewall is used.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Firewall {
    /// The system's own: on Linux nftables where it works, else ipset; on macOS and the BSDs pf;
    /// on Windows its firewall.
    #[default]
    Auto,
    /// nftables.
    Nftables,
    /// iptables with ipset.
    Ipset,
    /// pf of macOS and the BSDs; untried.
    Pf,
    /// Windows Firewall; untried.
    Windows,
    /// None: everything is decided and told, nothing is blocked.
    DryRun,
}

impl Firewall {
    /// As settings name it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Nftables => "nftables",
            Self::Ipset => "ipset",
            Self::Pf => "pf",
            Self::Windows => "windows",
            Self::DryRun => "dry_run",
        }
    }
}

/// Longest time of a block in seconds: ipset knows no longer one.
const MAX_SECS: u64 = 2_000_000;
/// Most blocks at once: what is listed and counted every few seconds.
const MAX_BLOCKS: u64 = 50_000;
