//! Views over frame bytes: link layers, IP, transport, tunnels.
//!
//! [`decode`] reads the headers of one frame into a [`Packet`] without copying or allocating and
//! without ever failing: what cannot be read is an entry in [`Packet::anomalies`]. A tunnel's
//! packet keeps its own headers, and what it carries is [`Packet::inner`], which
//! [`decode_inner`] reads in turn. The checksums are functions of their own, for whoever wants
//! them verified.

#![cfg_attr(
    not(test),
    deny(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing,
        clippy::unreachable
    )
)]

mod anomaly;
mod bytes;
mod checksum;
mod decode;
mod ethertype;
mod ip;
mod link;
mod packet;
mod quoted;
mod transport;
mod tunnel;
mod whole;

pub use anomaly::{Anomalies, DecodeAnomaly};
pub use checksum::{checksum_ok, ipv4_checksum_ok, transport_checksum_ok};
pub use decode::{decode, decode_inner, decode_into, decode_reassembled, preload};
pub use packet::{Arp, Fragment, Icmp, Inner, Ip, Network, Packet, Ports, Tcp, Transport};
pub use quoted::quoted_key;
pub use transport::tcp::{SackBlocks, TcpOption, TcpOptions};
pub use whole::whole_header;
