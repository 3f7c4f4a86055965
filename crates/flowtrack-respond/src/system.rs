//! Which firewalls there are on which system: the one place that knows.

use crate::blocker::{Blocker, DryRun, FirewallError};
use crate::config::{Firewall, RespondConfig};
use crate::ipset::Ipset;
use crate::nft::Nftables;
use crate::pf::Pf;
use crate::windows::Windows;

/// Systems, told apart by their firewalls.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum System {
    /// Linux, and whatever is not named here.
    Linux,
    /// macOS, FreeBSD, OpenBSD and `DragonFly`, whose firewall is pf.
    Pf,
    /// Windows.
    Windows,
}

impl System {
    /// The one that this program was built for.
    pub fn here() -> Self {
        match std::env::consts::OS {
            "macos" | "freebsd" | "openbsd" | "dragonfly" => Self::Pf,
            "windows" => Self::Windows,
            _ => Self::Linux,
        }
    }

    /// The settings that make sense on it.
    pub const fn firewalls(self) -> &'static [Firewall] {
        match self {
            Self::Linux => &[Firewall::Auto, Firewall::Nftables, Firewall::Ipset, Firewall::DryRun],
            Self::Pf => &[Firewall::Auto, Firewall::Pf, Firewall::DryRun],
            Self::Windows => &[Firewall::Auto, Firewall::Windows, Firewall::DryRun],
        }
    }

    /// Says what is wrong with a setting on this system, if anything.
    pub(crate) fn check(self, firewall: Firewall) -> Result<(), FirewallError> {
        if self.firewalls().contains(&firewall) {
            return Ok(());
        }
        let known: Vec<_> = self.firewalls().iter().map(|firewall| firewall.name()).collect();
        Err(FirewallError::OtherSystem {
            firewall: firewall.name(),
            of: match firewall {
                Firewall::Pf => "macOS and the BSDs",
                Firewall::Windows => "Windows",
                _ => "Linux",
            },
            known: known.join(", "),
        })
    }
}

/// The firewall that the settings name, and why it cannot be used.
pub fn choose(config: &RespondConfig) -> (Box<dyn Blocker>, Option<FirewallError>) {
    choose_on(System::here(), config)
}

fn choose_on(system: System, config: &RespondConfig) -> (Box<dyn Blocker>, Option<FirewallError>) {
    let asked = match (config.firewall, system) {
        (Firewall::Auto, System::Pf) => Firewall::Pf,
        (Firewall::Auto, System::Windows) => Firewall::Windows,
        (named, _) => named,
    };
    let nft = Nftables::new(config.request_rate);
    let misplaced = system.check(config.firewall).err();
    // What is of another system is not even asked.
    let problem = |check: &mut dyn FnMut() -> Result<(), FirewallError>| {
        misplaced.clone().or_else(|| check().err())
    };
    match asked {
        Firewall::DryRun => (Box::new(DryRun::default()), None),
        Firewall::Nftables => {
            let problem = problem(&mut || nft.check());
            (Box::new(nft), problem)
        }
        Firewall::Ipset => (Box::new(Ipset), problem(&mut Ipset::check)),
        Firewall::Pf => {
            let mut pf = Pf::new();
            let problem = problem(&mut || pf.check());
            (Box::new(pf), problem)
        }
        Firewall::Windows => {
            let mut windows = Windows::new();
            let problem = problem(&mut || windows.check());
            (Box::new(windows), problem)
        }
        Firewall::Auto => match nft.check().err() {
            None => (Box::new(nft), None),
            Some(_) if Ipset::check().is_ok() => (Box::new(Ipset), None),
            // What is missing is said where something is to be blocked.
            problem => (Box::new(nft), problem),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(firewall: Firewall) -> RespondConfig {
        RespondConfig { firewall, ..RespondConfig::default() }
    }

    #[test]
    fn each_system_has_its_own_firewall() {
        // On none but its own system is its program asked, so nothing but a name is learnt here.
        for (system, name) in [(System::Pf, "pf"), (System::Windows, "windows")] {
            let (blocker, _) = choose_on(system, &config(Firewall::Auto));
            assert_eq!(blocker.name(), name);
        }
        for system in [System::Linux, System::Pf, System::Windows] {
            let (blocker, problem) = choose_on(system, &config(Firewall::DryRun));
            assert_eq!((blocker.name(), problem), ("dry_run", None));
        }
    }

    #[test]
    fn a_firewall_of_another_system_is_refused_with_those_of_this_one() {
        let said = |system, firewall| {
            let (_, problem) = choose_on(system, &config(firewall));
            problem.unwrap().to_string()
        };
        assert_eq!(
            said(System::Linux, Firewall::Pf),
            "`pf` is the firewall of macOS and the BSDs, not of this system; take one of \
             auto, nftables, ipset, dry_run"
        );
        assert!(said(System::Linux, Firewall::Windows).contains("firewall of Windows"));
        assert!(said(System::Pf, Firewall::Nftables).contains("one of auto, pf, dry_run"));
        assert!(said(System::Windows, Firewall::Ipset).contains("one of auto, windows, dry_run"));
    }
}
