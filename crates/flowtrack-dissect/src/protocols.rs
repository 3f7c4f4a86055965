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
    bacnet::Bacnet,
    bittorrent::Bittorrent,
    bittorrent_dht::BittorrentDht,
    dcerpc::Dcerpc,
    dhcp::Dhcp,
    dhcpv6::Dhcpv6,
    dnp3::Dnp3,
    dns::Dns,
    ftp::Ftp,
    ftp_data::FtpData,
    ike::Ike,
    imap::Imap,
    krb5::Krb5,
    ldap::Ldap,
    llmnr::Llmnr,
    mdns::Mdns,
    modbus::Modbus,
    mqtt::Mqtt,
    netbios_dgm::NetbiosDgm,
    netbios_ns::NetbiosNs,
    nfs::Nfs,
    ntp::Ntp,
    openvpn::Openvpn,
    pop3::Pop3,
    quic::Quic,
    radius::Radius,
    rdp::Rdp,
    rfb::Rfb,
    rtcp::Rtcp,
    rtp::Rtp,
    sip::Sip,
    smb::Smb,
    smtp::Smtp,
    snmp::Snmp,
    ssdp::Ssdp,
    ssh::Ssh,
    stun::Stun,
    syslog::Syslog,
    telnet::Telnet,
    tftp::Tftp,
    tls::Tls,
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
