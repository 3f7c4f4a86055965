//! Every protocol: one file below this one, and one line here.

use crate::Protocol;

/// Declares the module of each protocol and lists them.
macro_rules! protocols {
    ($($module:ident :: $name:ident),* $(,)?) => {
        $(pub mod $module;)*

        /// All protocols, in the order in which they are probed.
        pub const ALL: &[&dyn Protocol] = &[$(&$module::$name),*];
    };
}

protocols! {
    amqp::Amqp,
    bacnet::Bacnet,
    bgp::Bgp,
    bittorrent::Bittorrent,
    bittorrent_dht::BittorrentDht,
    dcerpc::Dcerpc,
    dhcp::Dhcp,
    dhcpv6::Dhcpv6,
    dnp3::Dnp3,
    dns::Dns,
    dtls::Dtls,
    enip::Enip,
    ftp::Ftp,
    ftp_data::FtpData,
    git::Git,
    http::Http,
    http2::Http2,
    iec104::Iec104,
    ike::Ike,
    imap::Imap,
    kafka::Kafka,
    krb5::Krb5,
    ldap::Ldap,
    llmnr::Llmnr,
    mdns::Mdns,
    memcached::Memcached,
    modbus::Modbus,
    mongodb::Mongodb,
    mqtt::Mqtt,
    mysql::Mysql,
    netbios_dgm::NetbiosDgm,
    netbios_ns::NetbiosNs,
    nfs::Nfs,
    ntp::Ntp,
    openvpn::Openvpn,
    pgsql::Pgsql,
    pop3::Pop3,
    quic::Quic,
    radius::Radius,
    rdp::Rdp,
    redis::Redis,
    rfb::Rfb,
    rsync::Rsync,
    rtcp::Rtcp,
    rtp::Rtp,
    s7comm::S7comm,
    sip::Sip,
    smb::Smb,
    smtp::Smtp,
    snmp::Snmp,
    socks::Socks,
    ssdp::Ssdp,
    ssh::Ssh,
    stun::Stun,
    syslog::Syslog,
    telnet::Telnet,
    tftp::Tftp,
    tls::Tls,
    websocket::Websocket,
    wireguard::Wireguard,
}

#[cfg(test)]
mod tests {
    use super::ALL;

    #[test]
    fn names_are_unique_per_transport() {
        let mut names: Vec<_> =
            ALL.iter().map(|p| (p.name(), format!("{:?}", p.transport()))).collect();
        names.sort();
        let all = names.len();
        names.dedup();
        assert_eq!(names.len(), all);
    }
}
