//! Real firewalls against real traffic, in namespaces.

use std::time::{Duration, Instant, SystemTime};

use flowtrack_event::Timestamp;
use flowtrack_lab::net::{ATTACKER, NEIGHBOUR, Net, PORTS, while_it_lasts};
use flowtrack_respond::{
    Blocker, Decision, FirewallError, Ipset, Nftables, Origin, RespondConfig, Safety, Surroundings,
    What, Wish,
};

const NFT: &[&str] = &["nft"];
const IPSET: &[&str] = &["ipset", "iptables"];

fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    Timestamp::from_nanos(since.as_nanos() as i64)
}

fn decide(what: &str, secs: u64) -> Decision {
    let around = Surroundings { own: vec![([10, 77, 0, 1].into(), 32)], ..Surroundings::default() };
    let config = RespondConfig::default();
    let safety = Safety::new(&around, &config);
    let what: What = what.parse().unwrap();
    let origin = match what {
        What::Requests(..) => Origin::Automatic { source_proved: false },
        _ => Origin::Person,
    };
    Decision::new(&Wish { what, origin, lasts: Duration::from_secs(secs) }, &safety, &config, now())
        .unwrap()
}

/// Both firewalls, each in a network of its own.
fn each(test: impl Fn(&Net, &mut dyn Blocker) + Sync) {
    if let Some(net) = Net::new(NFT) {
        net.inside("t", || test(&net, &mut Nftables::new(0)));
    }
    if let Some(net) = Net::new(IPSET) {
        if let Err(error) = net.inside("t", Ipset::check) {
            skip(&format!("ipset cannot be used here: {error}"));
            return;
        }
        net.inside("t", || test(&net, &mut Ipset));
    }
}

#[expect(clippy::disallowed_macros, reason = "a skipped test says so")]
fn skip(why: &str) {
    eprintln!("skipped: {why}");
}

fn set(blocker: &mut dyn Blocker, add: &[Decision], remove: &[&str]) {
    let removed: Vec<What> = remove.iter().map(|what| what.parse().unwrap()).collect();
    blocker.change(add, &removed, now()).unwrap();
}

/// Waits until something is so; how long that took.
fn until(what: &str, mut is_so: impl FnMut() -> bool) -> Duration {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < Duration::from_mins(1), "not within a minute: {what}");
    }
    begun.elapsed()
}

#[test]
fn the_attacker_is_cut_off_and_nobody_else() {
    each(|net, blocker| {
        blocker.start(&[], now()).unwrap();
        let [telnet, web] = PORTS;
        for (family, address) in ATTACKER.into_iter().enumerate() {
            assert!(net.reaches("a", family, web), "{address} before");
            set(blocker, &[decide(address, 600)], &[]);
            assert!(net.is_cut_off("a", family, web), "{address} is blocked");
            assert!(net.reaches("n", family, web), "the neighbour is not");
            assert!(net.reaches("a", 1 - family, web), "nor the other family");
            set(blocker, &[], &[address]);
            assert!(net.reaches("a", family, web), "{address} after");
        }
        for (family, (small, large)) in
            [("10.77.0.2/31", "10.77.0.2"), ("2001:db8:77::2/127", "2001:db8:77::2")]
                .into_iter()
                .enumerate()
        {
            // The network and an address in it, at the same time.
            set(blocker, &[decide(small, 600), decide(large, 600)], &[]);
            assert!(
                net.is_cut_off("a", family, web) && net.is_cut_off("n", family, web),
                "{small}"
            );
            set(blocker, &[], &[small]);
            assert!(net.is_cut_off("a", family, web) && net.reaches("n", family, web), "{large}");
            set(blocker, &[], &[large]);
        }
        set(blocker, &[decide(&telnet.to_string(), 600)], &[]);
        for (host, family) in [("a", 0), ("n", 0), ("a", 1)] {
            assert!(net.is_cut_off(host, family, telnet) && net.reaches(host, family, web));
        }
        set(blocker, &[], &[&telnet.to_string()]);
        assert!(net.reaches("a", 0, telnet));
    });
}

#[test]
fn what_was_stopped_is_counted() {
    each(|net, blocker| {
        let whats = [ATTACKER[0], ATTACKER[1], "tcp/8023"];
        blocker.start(&whats.map(|what| decide(what, 600)), now()).unwrap();
        let count = |blocker: &mut dyn Blocker, what: &str| {
            let what: What = what.parse().unwrap();
            let stopped = blocker.list().unwrap();
            let stopped = stopped.into_iter().find(|stopped| stopped.what == what).unwrap();
            (stopped.packets, stopped.bytes)
        };
        assert!(whats.iter().all(|what| count(blocker, what) == (0, 0)));
        assert!(net.is_cut_off("a", 0, PORTS[1]) && net.is_cut_off("n", 0, PORTS[0]));
        let (packets, bytes) = count(blocker, ATTACKER[0]);
        assert!(packets >= 1 && bytes >= 40 * packets, "{packets} packets, {bytes} bytes");
        assert!(count(blocker, "tcp/8023").0 >= 1);
        assert_eq!(count(blocker, ATTACKER[1]), (0, 0));
    });
}

#[test]
fn the_kernel_ends_blocks_by_itself() {
    each(|net, blocker| {
        // As after `kill -9`: nobody takes anything out.
        while_it_lasts(|secs| {
            let begun = Instant::now();
            blocker.start(&[decide(ATTACKER[0], secs), decide(NEIGHBOUR[0], 600)], now()).unwrap();
            let was_cut_off = net.is_cut_off("a", 0, PORTS[1]);
            until("reachable again", || !net.is_cut_off("a", 0, PORTS[1]));
            assert!(begun.elapsed() >= Duration::from_secs(secs) || !was_cut_off);
            was_cut_off
        });
        assert!(net.is_cut_off("n", 0, PORTS[1]), "the other block goes on");
        let left: Vec<_> = blocker.list().unwrap().iter().map(|s| s.what.to_string()).collect();
        assert_eq!(left, [NEIGHBOUR[0]]);
    });
}

#[test]
fn a_block_can_be_given_another_end() {
    each(|net, blocker| {
        blocker.start(&[decide(ATTACKER[0], 1)], now()).unwrap();
        set(blocker, &[decide(ATTACKER[0], 600)], &[]);
        set(blocker, &[decide("10.77.0.2/31", 600)], &[]);
        set(blocker, &[decide("10.77.0.2/31", 1)], &[]);
        until("the neighbour is reachable again", || !net.is_cut_off("n", 0, PORTS[1]));
        assert!(net.is_cut_off("a", 0, PORTS[1]), "the attacker's block was made longer");
    });
}

#[test]
fn taking_out_what_is_not_there_is_no_error() {
    each(|_, blocker| {
        blocker.start(&[], now()).unwrap();
        set(
            blocker,
            &[decide("192.0.2.1", 600)],
            &["192.0.2.2", "198.51.100.0/24", "2001:db8::/64", "23"],
        );
        let left: Vec<_> = blocker.list().unwrap().iter().map(|s| s.what.to_string()).collect();
        assert_eq!(left, ["192.0.2.1"]);
    });
}

#[test]
fn starting_twice_is_starting_once_and_other_tables_are_untouched() {
    let Some(net) = Net::new(NFT) else { return };
    net.on_target("nft add table inet other");
    net.on_target(
        "nft add chain inet other in { type filter hook input priority 0 ; policy accept ; }",
    );
    net.on_target("nft add rule inet other in tcp dport 9 counter drop");
    let other = || net.on_target("nft list table inet other");
    let ours = || net.on_target("nft -t list table inet flowtrack");
    let before = other();
    net.inside("t", || {
        let mut blocker = Nftables::new(100);
        let blocks = [decide(ATTACKER[0], 600), decide("198.51.100.0/24", 600)];
        blocker.start(&blocks, now()).unwrap();
        let once = ours();
        // A second program, after the first was killed.
        let mut second = Nftables::new(100);
        second.start(&blocks, now()).unwrap();
        assert_eq!(ours(), once);
        assert_eq!(second.list().unwrap().len(), 2);
        assert_eq!(other(), before);
        second.clear().unwrap();
        second.clear().unwrap();
        assert_eq!(second.list(), Err(FirewallError::Gone));
    });
    assert_eq!(other(), before);
    assert_eq!(net.on_target("nft list tables").trim(), "table inet other");
}

#[test]
fn ipset_leaves_nothing_behind() {
    let Some(net) = Net::new(IPSET) else { return };
    if let Err(error) = net.inside("t", Ipset::check) {
        skip(&format!("ipset cannot be used here: {error}"));
        return;
    }
    net.on_target("iptables -t raw -A PREROUTING -p tcp --dport 9 -j DROP");
    let rules = || net.on_target("iptables -t raw -S") + &net.on_target("ip6tables -t raw -S");
    let before = rules();
    net.inside("t", || {
        let mut blocker = Ipset;
        blocker.start(&[decide(ATTACKER[0], 600)], now()).unwrap();
        let once = rules();
        Ipset.start(&[decide(ATTACKER[0], 600)], now()).unwrap();
        assert_eq!(rules(), once);
        blocker.clear().unwrap();
        blocker.clear().unwrap();
    });
    assert_eq!(rules(), before);
    assert_eq!(net.on_target("ipset list -n").trim(), "");
}

#[test]
fn ten_thousand_blocks_are_made_at_once() {
    each(|net, blocker| {
        blocker.start(&[], now()).unwrap();
        let many: Vec<_> = (0..10_000_u32)
            .map(|n| match n % 3 {
                0 => format!("198.18.{}.{}", n >> 8, n & 255),
                1 => format!("2001:db8:1::{n:x}"),
                _ => format!("100.{}.{}.0/24", 64 + (n >> 8), n & 255),
            })
            .map(|what| decide(&what, 600))
            .collect();
        // The shortest of three, on a machine that is as busy as for the many.
        let mut alone = Duration::MAX;
        for what in &["192.0.2.1", "192.0.2.2", "192.0.2.3"] {
            let begun = Instant::now();
            set(blocker, &[decide(what, 600)], &[]);
            alone = alone.min(begun.elapsed());
            set(blocker, &[], &[what]);
        }
        let begun = Instant::now();
        set(blocker, &many, &[]);
        let made = begun.elapsed();
        assert_eq!(blocker.list().unwrap().len(), many.len());
        let listed = begun.elapsed().saturating_sub(made);
        note(&format!(
            "{}: 10,000 blocks in {made:?}, listed in {listed:?}, one in {alone:?}",
            blocker.name()
        ));
        // One after another they would take ten thousand times as long as one.
        let most = 2_000 * alone + Duration::from_secs(5);
        assert!(made < most && listed < most, "{made:?}, {listed:?}, most {most:?}");
        assert!(net.reaches("a", 0, PORTS[1]));
    });
}

#[expect(clippy::disallowed_macros, reason = "figures are printed")]
fn note(text: &str) {
    eprintln!("{text}");
}

#[test]
fn a_flooded_service_gets_as_many_requests_as_it_may() {
    let Some(net) = Net::new(NFT) else { return };
    net.inside("t", || {
        let mut blocker = Nftables::new(2);
        blocker.start(&[decide("requests/10.77.0.1/8080", 600)], now()).unwrap();
        // The first few pass, what comes faster does not; other services do not notice.
        assert!(net.reaches("a", 0, PORTS[1]));
        until("what comes too fast is stopped", || {
            net.is_cut_off("a", 0, PORTS[1]) && blocker.list().unwrap()[0].packets >= 1
        });
        assert!((0..12).all(|_| net.reaches("a", 0, PORTS[0])));
        let mut off = Nftables::new(0);
        let shield = [decide("requests/10.77.0.1/8080", 600)];
        assert!(matches!(off.change(&shield, &[], now()), Err(FirewallError::Cannot { .. })));
    });
}

#[test]
fn a_table_that_is_gone_is_noticed() {
    let Some(net) = Net::new(NFT) else { return };
    net.inside("t", || {
        let mut blocker = Nftables::new(0);
        blocker.check().unwrap();
        blocker.start(&[], now()).unwrap();
        net.on_target("nft flush ruleset");
        assert_eq!(blocker.list(), Err(FirewallError::Gone));
        let block = [decide("192.0.2.1", 600)];
        assert_eq!(blocker.change(&block, &[], now()), Err(FirewallError::Gone));
    });
}
