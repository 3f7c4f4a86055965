use super::route::{ipv4_default, ipv6_default};
use super::*;

const HEADING: &str =
    "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n";

#[test]
fn the_default_route_with_the_best_metric_wins() {
    let table = format!(
        "{HEADING}wlan0\t00000000\t0101A8C0\t0003\t0\t0\t600\t00000000\t0\t0\t0\n\
         eth0\t00000000\t0100000A\t0003\t0\t0\t100\t00000000\t0\t0\t0\n\
         eth1\t0000000A\t00000000\t0001\t0\t0\t0\t000000FF\t0\t0\t0\n"
    );
    assert_eq!(ipv4_default(&table).as_deref(), Some("eth0"));
}

#[test]
fn half_of_all_addresses_is_no_default_route() {
    // 0.0.0.0/1, as VPN clients set it beside the real one.
    let table = format!("{HEADING}tun0\t00000000\t0100000A\t0003\t0\t0\t0\t00000080\t0\t0\t0\n");
    assert_eq!(ipv4_default(&table), None);
    assert_eq!(ipv4_default(HEADING), None);
    assert_eq!(ipv4_default("wrong\n"), None);
}

#[test]
fn ipv6_has_a_default_route_too() {
    let zero = "00000000000000000000000000000000";
    let refusing =
        format!("{zero} 00 {zero} 00 {zero} ffffffff 00000001 00000000 00200200       lo");
    let real = format!(
        "{zero} 00 {zero} 00 fe800000000000000000000000000001 00000400 00000003 00000000 00000003 eth7"
    );
    assert_eq!(ipv6_default(&format!("{refusing}\n{real}\n")).as_deref(), Some("eth7"));
    assert_eq!(ipv6_default(&refusing), None);
}

#[test]
fn without_a_route_the_busiest_real_interface_is_guessed() {
    let interface = |name: &str, kind, rx_bytes| HostInterface {
        name: name.to_owned(),
        index: None,
        kind,
        addresses: vec![IpNetwork { address: "10.0.0.1".parse().unwrap(), prefix: 8 }],
        mac: None,
        up: true,
        running: true,
        loopback: kind == InterfaceKind::Loopback,
        default_route: false,
        speed_mbps: None,
        mtu: None,
        counters: Counters { rx_bytes, ..Counters::default() },
    };
    let mut all = vec![
        interface("lo", InterfaceKind::Loopback, 9000),
        interface("docker0", InterfaceKind::Bridge, 8000),
        interface("eth0", InterfaceKind::Ethernet, 10),
        interface("eth1", InterfaceKind::Ethernet, 20),
    ];
    assert_eq!(best_guess(all.clone()).as_deref(), Some("eth1"));
    all[3].up = false;
    assert_eq!(best_guess(all.clone()).as_deref(), Some("eth0"));
    all[2].addresses.clear();
    assert_eq!(best_guess(all).as_deref(), Some("docker0"));
    assert_eq!(best_guess(Vec::new()), None);
}

#[cfg(target_os = "linux")]
#[test]
fn this_host_has_a_loopback_interface() {
    let all = interfaces();
    let lo = all.iter().find(|i| i.name == "lo").expect("every Linux has it");
    assert!(lo.loopback && lo.kind == InterfaceKind::Loopback);
    assert_eq!(lo.index, Some(1));
    assert_eq!(lo.mac, None);
    assert_eq!(lo.mtu, Some(65_536));
    assert!(all.iter().filter(|i| i.default_route).count() <= 1);
    if let Some(default) = default_interface() {
        assert!(all.iter().any(|i| i.name == default), "{default} is not in {all:?}");
    }
}
