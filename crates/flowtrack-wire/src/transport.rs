//! Transport layers: what stands behind IP.

pub(crate) mod icmp;
mod igmp;
pub(crate) mod sctp;
pub(crate) mod tcp;
mod udp;
