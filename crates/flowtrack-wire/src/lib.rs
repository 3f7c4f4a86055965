//! Views over frame bytes: link layers, IP, transport, tunnels.
//!
//! [`decode`] reads the headers of one frame into a [`Packet`] without copying or allocating and
//! without ever failing: what cannot be read is an entry in [`Packet::anomalies`].

mod packet;

pub use packet::{
    Arp, Fragment, Icmp, Inner, Ip, Network, Packet, Ports, Tcp, Transport,
};
