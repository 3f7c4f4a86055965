//! Over random hosts, settings and attacks: nothing that must not be blocked ever reaches the
//! firewall, and nothing without an end.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use flowtrack_event::{Severity, Timestamp};
use flowtrack_respond::{
    Blocker, Command, Decision, FirewallError, Net, Request, RespondConfig, Responder, Stopped,
    Surroundings, Trigger, What, When,
};
use proptest::collection::vec;
use proptest::prelude::*;

/// Remembers everything that was ever in it, with the seconds it was to stay.
#[derive(Clone, Default)]
struct Remembers {
    ever: Arc<Mutex<Vec<(What, u64)>>>,
}

impl Blocker for Remembers {
    fn name(&self) -> &'static str {
        "memory"
    }

    fn start(&mut self, blocks: &[Decision], now: Timestamp) -> Result<(), FirewallError> {
        self.change(blocks, &[], now)
    }

    fn change(
        &mut self,
        added: &[Decision],
        _removed: &[What],
        now: Timestamp,
    ) -> Result<(), FirewallError> {
        let noted = added.iter().map(|block| (block.what(), block.kernel_secs(now)));
        self.ever.lock().unwrap().extend(noted);
        Ok(())
    }

    fn list(&mut self) -> Result<Vec<Stopped>, FirewallError> {
        let ever = self.ever.lock().unwrap();
        Ok(ever.iter().map(|&(what, _)| Stopped { what, packets: 0, bytes: 0 }).collect())
    }

    fn clear(&mut self) -> Result<(), FirewallError> {
        Ok(())
    }
}

/// Few enough addresses that attackers and what must be spared meet often.
fn address() -> impl Strategy<Value = IpAddr> {
    let last = prop_oneof![0..8_u8, 250..=255_u8, any::<u8>()];
    prop_oneof![
        4 => last.clone().prop_map(|n| IpAddr::from([192, 0, 2, n])),
        2 => (0..4_u8, last.clone()).prop_map(|(a, n)| IpAddr::from([10, a, 0, n])),
        2 => last.clone().prop_map(|n| IpAddr::V6(Ipv4Addr::new(192, 0, 2, n).to_ipv6_mapped())),
        4 => (0..3_u16, last).prop_map(|(net, n)| {
            IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, net, 0, 0, 0, n.into()))
        }),
        1 => any::<u32>().prop_map(|n| IpAddr::from(n.to_be_bytes())),
        1 => any::<u128>().prop_map(|n| IpAddr::from(n.to_be_bytes())),
        1 => prop_oneof![
            Just(IpAddr::from([127, 0, 0, 1])),
            Just(IpAddr::from([0, 0, 0, 0])),
            Just(IpAddr::from([255, 255, 255, 255])),
            Just(IpAddr::from([169, 254, 1, 1])),
            Just(IpAddr::from([224, 0, 0, 251])),
            Just(IpAddr::V6(Ipv6Addr::LOCALHOST)),
            Just(IpAddr::V6(Ipv6Addr::UNSPECIFIED)),
            Just("fe80::1".parse().unwrap()),
            Just("ff02::fb".parse().unwrap()),
        ],
    ]
}

fn net() -> impl Strategy<Value = Net> {
    (address(), 0..=128_u8).prop_map(|(address, len)| {
        let most = if address.is_ipv4() { 32 } else { 128 };
        Net::new(address, len % (most + 1)).unwrap()
    })
}

fn surroundings() -> impl Strategy<Value = Surroundings> {
    (
        vec((address(), 0..=32_u8), 0..4),
        vec(address(), 0..3),
        vec(address(), 0..3),
        vec(address(), 0..2),
        vec(address(), 0..3),
        vec(1..30_u16, 0..3),
    )
        .prop_map(|(own, gateways, resolvers, dhcp_servers, admins, admin_ports)| {
            Surroundings { own, gateways, resolvers, dhcp_servers, admins, admin_ports }
        })
}

fn config() -> impl Strategy<Value = RespondConfig> {
    (vec(net(), 0..3), 8..=32_u8, 32..=128_u8, any::<bool>(), 0..3_u32).prop_map(
        |(allow, widest_v4, widest_v6, automatic, request_rate)| RespondConfig {
            automatic,
            allow,
            widest_v4,
            widest_v6,
            request_rate,
            when: vec![When::default()],
            max_per_minute: 1_000,
            ..RespondConfig::default()
        },
    )
}

#[derive(Clone, Debug)]
enum Step {
    Attack(Vec<(IpAddr, IpAddr, bool, bool)>),
    Block(What, u64, bool),
    Confirm,
    Unblock,
    Move(Surroundings),
    Pass(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let what = prop_oneof![
        3 => net().prop_map(What::Net),
        2 => address().prop_map(|address| What::Net(Net::of(address))),
        1 => (0..30_u16).prop_map(|port| format!("tcp/{port}").parse().unwrap()),
        1 => (address(), 0..30_u16).prop_map(|(address, port)| What::Requests(address.to_canonical(), port)),
    ];
    prop_oneof![
        6 => vec((address(), address(), any::<bool>(), any::<bool>()), 1..12).prop_map(Step::Attack),
        4 => (what, prop_oneof![Just(0), 1..200_u64, Just(u64::MAX)], any::<bool>())
            .prop_map(|(what, secs, confirm)| Step::Block(what, secs, confirm)),
        1 => Just(Step::Confirm),
        1 => Just(Step::Unblock),
        1 => surroundings().prop_map(Step::Move),
        2 => (0..90_u64).prop_map(Step::Pass),
    ]
}

/// Numbers of an address in one space for both families, written anew so that the code under test
/// does not judge itself.
fn number(address: IpAddr) -> u128 {
    u128::from(match address {
        IpAddr::V4(v4) => v4.to_ipv6_mapped(),
        IpAddr::V6(v6) => v6,
    })
}

fn range(net: Net) -> (u128, u128) {
    let first = number(net.address());
    let bits = if net.address().is_ipv4() { 32 - net.prefix() } else { 128 - net.prefix() };
    let size = 1_u128.checked_shl(bits.into()).map_or(u128::MAX, |size| size - 1);
    (first, first | size)
}

fn overlap(a: (u128, u128), b: (u128, u128)) -> bool {
    a.0 <= b.1 && b.0 <= a.1
}

/// Says what is wrong with what reached the firewall while the host was like this.
fn wrong(what: What, secs: u64, around: &Surroundings, config: &RespondConfig) -> Option<String> {
    if secs == 0 || secs > config.max_secs + 1 {
        return Some(format!("{what} for {secs} s"));
    }
    match what {
        What::Net(net) => {
            let blocked = range(net);
            let single = |address: IpAddr| (number(address), number(address));
            let lists = [&around.gateways, &around.resolvers, &around.dhcp_servers, &around.admins];
            let mut spared: Vec<_> = lists.into_iter().flatten().copied().map(single).collect();
            spared.extend(around.own.iter().map(|(own, _)| single(*own)));
            spared.extend(config.allow.iter().map(|net| range(*net)));
            for text in [
                "0.0.0.0/8",
                "127.0.0.0/8",
                "169.254.0.0/16",
                "224.0.0.0/3",
                "::/127",
                "fe80::/10",
                "ff00::/8",
            ] {
                spared.push(range(text.parse().unwrap()));
            }
            if let Some(met) = spared.into_iter().find(|spared| overlap(blocked, *spared)) {
                return Some(format!("{what} meets {met:?}"));
            }
            let widest = if net.address().is_ipv4() { config.widest_v4 } else { config.widest_v6 };
            (net.prefix() < widest).then(|| format!("{what} is too wide"))
        }
        What::Port(_, port) => {
            (port == 0 || around.admin_ports.contains(&port)).then(|| format!("{what}"))
        }
        What::Requests(address, port) => {
            let own = around.own.iter().any(|(own, _)| number(*own) == number(address));
            (!own || port == 0 || around.admin_ports.contains(&port)).then(|| format!("{what}"))
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, ..ProptestConfig::default() })]

    #[test]
    fn nothing_forbidden_ever_enters_the_firewall(
        config in config(),
        first in surroundings(),
        steps in vec(step(), 1..40),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let firewall = Remembers::default();
        let around = Arc::new(Mutex::new(first));
        let look = { let around = Arc::clone(&around); Box::new(move || around.lock().unwrap().clone()) };
        let mut now = Timestamp::from_secs(1_800_000_000);
        let mut responder =
            Responder::open(config.clone(), Box::new(firewall.clone()), look, folder.path(), now).unwrap();
        let mut unproved = Vec::new();
        let mut by_hand = Vec::new();
        for step in steps {
            match step {
                Step::Attack(attacks) => {
                    let triggers: Vec<_> = attacks.iter().map(|&(source, target, proved, tcp)| {
                        if !proved {
                            unproved.push(source.to_canonical());
                        }
                        Trigger {
                            source: Some(source),
                            target: Some(target),
                            target_port: Some(7),
                            is_tcp: tcp,
                            source_proved: proved,
                            detector: "test",
                            sid: 1,
                            category: "denial of service".into(),
                            severity: Severity::High,
                            title: "attack".into(),
                        }
                    }).collect();
                    now = now.plus(Duration::from_millis(1));
                    let proved: Vec<_> = triggers.iter().filter(|t| t.source_proved).filter_map(|t| t.source).collect();
                    let before = firewall.ever.lock().unwrap().len();
                    responder.judge(&triggers, now);
                    for (what, _) in &firewall.ever.lock().unwrap()[before..] {
                        let is_new = !by_hand.contains(what);
                        if let What::Net(net) = what && is_new {
                            prop_assert!(net.is_single(), "{what} was blocked automatically");
                            let known = proved.iter().any(|p| p.to_canonical() == net.address());
                            prop_assert!(known || !unproved.contains(&net.address()), "{what} is not proved");
                        }
                        prop_assert!(config.automatic || by_hand.contains(what), "{what} without being asked");
                        by_hand.push(*what);
                    }
                }
                Step::Block(what, secs, confirm) => {
                    by_hand.push(what);
                    let request = Request { what, secs: Some(secs), who: "admin".into(), why: String::new(), confirm };
                    responder.answer(Command::Block { requests: vec![request] }, now);
                }
                Step::Confirm => drop(responder.answer(Command::Confirm { whats: Vec::new() }, now)),
                Step::Unblock => drop(responder.answer(Command::Unblock { whats: Vec::new(), who: "admin".into() }, now)),
                Step::Move(new) => {
                    // What is in the firewall now is judged by what the host was like so far.
                    firewall.ever.lock().unwrap().clear();
                    *around.lock().unwrap() = new;
                    now = now.plus(Duration::from_secs(10));
                    responder.tick(now);
                }
                Step::Pass(secs) => {
                    for _ in 0..secs {
                        now = now.plus(Duration::from_secs(1));
                        responder.tick(now);
                    }
                }
            }
            let here = around.lock().unwrap();
            for &(what, secs) in &*firewall.ever.lock().unwrap() {
                let wrong = wrong(what, secs, &here, &config);
                prop_assert!(wrong.is_none(), "{}", wrong.unwrap());
            }
            let status = responder.status();
            for block in &status.blocks {
                prop_assert!(block.until_us > block.since_us);
            }
        }
        // A second life: whatever the book holds passes the same checks.
        drop(responder);
        firewall.ever.lock().unwrap().clear();
        let look = { let around = Arc::clone(&around); Box::new(move || around.lock().unwrap().clone()) };
        let _responder =
            Responder::open(config.clone(), Box::new(firewall.clone()), look, folder.path(), now).unwrap();
        let here = around.lock().unwrap();
        for &(what, secs) in &*firewall.ever.lock().unwrap() {
            let wrong = wrong(what, secs, &here, &config);
            prop_assert!(wrong.is_none(), "{}", wrong.unwrap());
        }
    }
}
