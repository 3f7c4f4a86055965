//! Every detector: one file below this one, and one line here.

use crate::{About, Detector, Net, Networks};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Declares the module of each detector, its section of the configuration and its place in the set.
///
/// `file: Type` wants in `detectors/file.rs`: `ABOUT: About`, a `Config` with a field `enabled`
/// (serde with `default` and `deny_unknown_fields`, `Default`), and `Type` with
/// `new(&Config, &Arc<Networks>)`, which is a [`Detector`].
macro_rules! detectors {
    ($($module:ident: $name:ident),* $(,)?) => {
        $(pub mod $module;)*

        /// Which detectors are on, and their thresholds.
        #[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
        #[serde(default, deny_unknown_fields)]
        pub struct Config {
            /// Look for attacks by behaviour at all.
            pub enabled: bool,
            /// Networks of one's own beside the private ones, such as `198.51.100.0/24`.
            pub home: Vec<Net>,
            /// Detections that are told in a second at most; the rest is counted.
            pub max_per_second: u32,
            $(
                #[doc = concat!("Detector `", stringify!($module), "`.")]
                pub $module: $module::Config,
            )*
        }

        impl Default for Config {
            fn default() -> Self {
                Self {
                    enabled: true,
                    home: Vec::new(),
                    max_per_second: 100,
                    $($module: $module::Config::default(),)*
                }
            }
        }

        /// The detectors that are on.
        pub(crate) fn build(
            config: &Config,
            networks: &Arc<Networks>,
        ) -> Vec<Box<dyn Detector>> {
            let all: Vec<Option<Box<dyn Detector>>> = vec![$(
                config
                    .$module
                    .enabled
                    .then(|| Box::new($module::$name::new(&config.$module, networks)) as Box<_>)
            ),*];
            all.into_iter().flatten().collect()
        }

        /// What detectors there are, in the order of their names.
        pub const fn registry() -> &'static [&'static About] {
            &[$(&$module::ABOUT),*]
        }
    };
}

detectors! {
    beacon: Beacons,
    brute_force: BruteForce,
    connection_flood: ConnectionFlood,
    covert: Covert,
    ddos: Ddos,
    dns_tunnel: DnsTunnel,
    exfiltration: Exfiltration,
    hygiene: Hygiene,
    layer2: Layer2,
    port_scan: PortScan,
    spikes: Spikes,
    syn_flood: SynFlood,
}

#[cfg(test)]
pub(crate) mod testing;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_names_are_unique() {
        let mut sids: Vec<u32> =
            registry().iter().flat_map(|about| about.kinds.iter().map(|kind| kind.sid)).collect();
        let all = sids.len();
        sids.sort_unstable();
        sids.dedup();
        assert_eq!(sids.len(), all);
        assert!(registry().windows(2).all(|pair| pair[0].name < pair[1].name));
        for about in registry() {
            assert!(!about.kinds.is_empty() && !about.summary.is_empty(), "{}", about.name);
        }
    }

    #[test]
    fn the_default_configuration_survives_being_written_down() {
        let config = Config::default();
        let text = toml::to_string(&config).unwrap();
        assert_eq!(toml::from_str::<Config>(&text).unwrap(), config);
        assert!(toml::from_str::<Config>("nonsense = 1").is_err());
    }
}
