//! What detectors need to know of this machine.

use crate::config::Config;
use flowtrack_detect::Networks;

/// Which addresses are one's own: private ones, configured ones and those of this machine.
pub fn networks(config: &Config) -> Networks {
    let hosts = flowtrack_host::interfaces()
        .into_iter()
        .flat_map(|interface| interface.addresses)
        .map(|network| network.address)
        .collect();
    Networks::new(config.detect.home.clone()).with_hosts(hosts)
}
