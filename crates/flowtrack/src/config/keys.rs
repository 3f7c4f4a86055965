//! Every setting and what it means.

/// One setting.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Key {
    /// Section and name, such as `flow.max_flows`.
    pub name: &'static str,
    /// What it does, and in which unit.
    pub doc: &'static str,
}

const fn key(name: &'static str, doc: &'static str) -> Key {
    Key { name, doc }
}

/// All settings.
pub const KEYS: &[Key] = &[
    key(
        "capture.interfaces",
        "interfaces to capture on, or `any`; empty for the one with the default route",
    ),
    key("capture.promiscuous", "see traffic that is not for this machine"),
    key("capture.snaplen", "bytes kept of each packet"),
    key("capture.filter", "capture filter in the language of tcpdump"),
    key(
        "capture.ring_mib",
        "MiB of ring for each worker; it bridges the time in which the worker is not scheduled",
    ),
    key("capture.backend", "`native` for the system's own way, `libpcap` for that library"),
    key(
        "flow.max_flows",
        "flows that each worker tracks at once; beyond, the flow least worth keeping ends",
    ),
    key("flow.use_vlan", "packets of different VLANs are different flows"),
    key("flow.use_interface", "packets of different interfaces are different flows"),
    key(
        "flow.midstream",
        "a TCP session whose handshake was not seen gets a state of its own instead of staying `new`, and rules judge its stream and its transactions",
    ),
    key(
        "flow.reverse_syn_ack",
        "the sender of a SYN-ACK is the responder, even where the SYN was not seen",
    ),
    key(
        "flow.timeouts.tcp.new",
        "seconds that a TCP flow may be idle until both sides have spoken",
    ),
    key("flow.timeouts.tcp.established", "seconds that a TCP flow may be idle while it goes on"),
    key("flow.timeouts.tcp.closed", "seconds that a TCP flow may be idle after its end"),
    key(
        "flow.timeouts.udp.new",
        "seconds that a UDP flow may be idle until both sides have spoken",
    ),
    key("flow.timeouts.udp.established", "seconds that a UDP flow may be idle while it goes on"),
    key("flow.timeouts.udp.closed", "seconds that a UDP flow may be idle after its end"),
    key(
        "flow.timeouts.icmp.new",
        "seconds that a ICMP flow may be idle until both sides have spoken",
    ),
    key("flow.timeouts.icmp.established", "seconds that a ICMP flow may be idle while it goes on"),
    key("flow.timeouts.icmp.closed", "seconds that a ICMP flow may be idle after its end"),
    key(
        "flow.timeouts.other.new",
        "seconds that a other flow may be idle until both sides have spoken",
    ),
    key(
        "flow.timeouts.other.established",
        "seconds that a other flow may be idle while it goes on",
    ),
    key("flow.timeouts.other.closed", "seconds that a other flow may be idle after its end"),
    key(
        "flow.emergency_timeouts.tcp.new",
        "seconds that a TCP flow may be idle until both sides have spoken, while the table is nearly full",
    ),
    key(
        "flow.emergency_timeouts.tcp.established",
        "seconds that a TCP flow may be idle while it goes on, while the table is nearly full",
    ),
    key(
        "flow.emergency_timeouts.tcp.closed",
        "seconds that a TCP flow may be idle after its end, while the table is nearly full",
    ),
    key(
        "flow.emergency_timeouts.udp.new",
        "seconds that a UDP flow may be idle until both sides have spoken, while the table is nearly full",
    ),
    key(
        "flow.emergency_timeouts.udp.established",
        "seconds that a UDP flow may be idle while it goes on, while the table is nearly full",
    ),
    key(
        "flow.emergency_timeouts.udp.closed",
        "seconds that a UDP flow may be idle after its end, while the table is nearly full",
    ),
    key(
        "flow.emergency_timeouts.icmp.new",
        "seconds that a ICMP flow may be idle until both sides have spoken, while the table is nearly full",
    ),
    key(
        "flow.emergency_timeouts.icmp.established",
        "seconds that a ICMP flow may be idle while it goes on, while the table is nearly full",
    ),
    key(
        "flow.emergency_timeouts.icmp.closed",
        "seconds that a ICMP flow may be idle after its end, while the table is nearly full",
    ),
    key(
        "flow.emergency_timeouts.other.new",
        "seconds that a other flow may be idle until both sides have spoken, while the table is nearly full",
    ),
    key(
        "flow.emergency_timeouts.other.established",
        "seconds that a other flow may be idle while it goes on, while the table is nearly full",
    ),
    key(
        "flow.emergency_timeouts.other.closed",
        "seconds that a other flow may be idle after its end, while the table is nearly full",
    ),
    key("defrag.max_packets", "incomplete packets kept at once"),
    key("defrag.max_fragments", "fragments of one packet; beyond, it is given up"),
    key("defrag.memory", "bytes that incomplete packets may keep"),
    key("defrag.timeout", "seconds after which an incomplete packet is given up"),
    key(
        "defrag.use_interface",
        "fragments seen on different interfaces belong to different packets",
    ),
    key(
        "defrag.policy",
        "whose bytes count where fragments overlap: `first`, `last`, `bsd`, `bsd_right`, `linux`, `windows`, `solaris`",
    ),
    key(
        "defrag.hosts",
        "policies for some destinations: `[{ network = \"10.0.0.0/8\", policy = \"linux\" }]`; the longest prefix counts",
    ),
    key("dissect.enabled", "recognise application protocols at all"),
    key(
        "dissect.depth",
        "bytes of each direction of a stream that are read; beyond, it is only counted",
    ),
    key("dissect.stream_bytes", "bytes that one direction of a stream may keep behind holes"),
    key("dissect.memory", "bytes that all streams of a worker may keep behind holes"),
    key(
        "dissect.overlap",
        "whose bytes win where segments overlap: `first`, `last`, `bsd`, `linux`, `windows` or `solaris`",
    ),
    key(
        "dissect.hosts",
        "the same for some receivers: `[{ network = \"10.0.0.0/8\", policy = \"linux\" }]`; the longest prefix counts",
    ),
    key("dissect.hashes", "compute MD5, SHA-1 and SHA-256 of files"),
    key(
        "rules.files",
        "rule files, and folders of them, to judge traffic by; empty for the folder `rules` of the data directory",
    ),
    key("rules.builtin", "judge by the rules that come with the program too"),
    key("rules.sources", "files and URLs that `flowtrack rules update` reads rules from"),
    key(
        "rules.addresses",
        "what address variables of rules stand for, such as `HOME_NET = \"[10.0.0.0/8,192.168.0.0/16]\"`",
    ),
    key(
        "rules.ports",
        "what port variables of rules stand for, such as `HTTP_PORTS = \"[80,8080]\"`",
    ),
    key(
        "rules.action_order",
        "in which order rules are judged by what they do; one that passes silences those behind it",
    ),
    key(
        "rules.reputation_categories",
        "file that gives the categories of `iprep` their names: `1,BadHosts,known bad` a line",
    ),
    key(
        "rules.reputation_lists",
        "files of reputations for `iprep`: `203.0.113.0/24,1,80` a line, a score of 0 to 127",
    ),
    key("rules.countries", "database of countries for `geoip`, a file in MaxMind's form (.mmdb)"),
    key("detect.enabled", "look for attacks by behaviour while traffic is captured"),
    key(
        "detect.home",
        "networks of one's own besides the private ones, such as `[\"198.51.100.0/24\"]`",
    ),
    key("detect.max_per_second", "detections told in a second; the rest is counted"),
    key("detect.connection_flood.enabled", "look for floods of connections"),
    key(
        "detect.connection_flood.per_minute",
        "connections of one source to one service in a minute, above which they are judged",
    ),
    key(
        "detect.connection_flood.learn_minutes",
        "minutes for which a service is watched before connections that carry data are judged",
    ),
    key(
        "detect.connection_flood.times",
        "times as many connections as any source usually opens, where they carry data",
    ),
    key("detect.connection_flood.max_tracked", "sources and services watched at once, each"),
    key("detect.ddos.enabled", "look for floods of packets"),
    key("detect.ddos.per_second", "packets in a second that nobody answers"),
    key(
        "detect.ddos.stream_times",
        "times as many packets that a steady stream of large datagrams may have",
    ),
    key("detect.ddos.reflected_per_second", "answers in a second that nobody asked for"),
    key("detect.ddos.senders", "services that send such answers"),
    key("detect.ddos.learn_minutes", "minutes for which a target is only watched"),
    key("detect.ddos.times", "times as much as usual, from as many times the sources"),
    key("detect.ddos.max_tracked", "sources and targets watched at once, each"),
    key("detect.port_scan.enabled", "look for port scans and sweeps"),
    key(
        "detect.port_scan.per_second",
        "distinct targets that fail in one second, above which a source scans",
    ),
    key(
        "detect.port_scan.distinct",
        "distinct ports of a host, or hosts on a port, that fail in five minutes",
    ),
    key("detect.port_scan.slow_distinct", "the same in 24 hours"),
    key("detect.port_scan.ping_distinct", "hosts that are sent a ping within ten seconds"),
    key("detect.port_scan.arp_distinct", "addresses asked for by ARP within ten seconds"),
    key(
        "detect.port_scan.max_tracked",
        "pairs of source and target that are remembered, of each kind",
    ),
    key("detect.spikes.enabled", "look for far more traffic than usual"),
    key("detect.spikes.deviations", "standard deviations above what is usual"),
    key("detect.spikes.times", "times as much as usual"),
    key("detect.spikes.learn_minutes", "minutes for which only is learned what is usual"),
    key("detect.syn_flood.enabled", "look for floods of SYNs"),
    key("detect.syn_flood.per_second", "SYNs that one service gets in a second"),
    key(
        "detect.syn_flood.completed_percent",
        "percent of them that complete, below which they are a flood",
    ),
    key("detect.syn_flood.max_tracked", "services and hosts watched at once"),
    key("detect.beacon.enabled", "look for calls home"),
    key("detect.beacon.samples", "calls before anything is judged"),
    key("detect.beacon.score", "regularity from which on it is told, 0 to 1"),
    key("detect.beacon.min_interval", "seconds; what is faster is no beacon but a conversation"),
    key("detect.beacon.quiet_names", "names whose regular calls are expected, with all below them"),
    key("detect.beacon.max_pairs", "sources with their targets that are remembered"),
    key("detect.beacon.max_sessions", "long sessions that are remembered while they go on"),
    key("detect.brute_force.enabled", "look for guessed passwords"),
    key("detect.brute_force.failures", "refused log-ons of one source to one service in a minute"),
    key(
        "detect.brute_force.spray",
        "users or hosts that refused one source in ten minutes, at most three times each",
    ),
    key(
        "detect.brute_force.distributed",
        "refused log-ons to one service in a minute, from at least ten sources",
    ),
    key("detect.brute_force.short_sessions", "short encrypted sessions to one service in a minute"),
    key("detect.brute_force.forms", "forms for logging on sent to one host in a minute"),
    key("detect.brute_force.max_pairs", "sources with their targets that are remembered"),
    key("detect.covert.enabled", "look for programs that pretend and carriers that hide"),
    key("detect.covert.echoes", "echoes each way before their lengths are judged"),
    key("detect.covert.max_pairs", "sources with their targets that are remembered"),
    key("detect.dns_tunnel.enabled", "look for data in DNS names and for made-up domains"),
    key("detect.dns_tunnel.names", "distinct names below one domain in five minutes"),
    key("detect.dns_tunnel.mean_length", "mean letters in front of the registrable domain"),
    key("detect.dns_tunnel.mean_entropy", "mean entropy of these letters, in bits each"),
    key("detect.dns_tunnel.made_up", "made-up domains that do not exist in five minutes"),
    key("detect.dns_tunnel.missing", "domains of any kind that do not exist in five minutes"),
    key(
        "detect.dns_tunnel.quiet_domains",
        "domains below which long names are usual, with all below them",
    ),
    key("detect.dns_tunnel.max_domains", "clients with their domains that are remembered"),
    key("detect.exfiltration.enabled", "look for unusual uploads"),
    key("detect.exfiltration.min_bytes", "bytes in an interval below which nothing is unusual"),
    key("detect.exfiltration.deviations", "standard deviations above what is usual"),
    key("detect.exfiltration.warm_up", "intervals of a host before it is judged"),
    key("detect.exfiltration.interval", "seconds of an interval"),
    key("detect.exfiltration.max_hosts", "hosts that are remembered"),
    key("detect.exfiltration.max_flows", "flows that are remembered while they go on"),
    key("detect.hygiene.enabled", "look for what makes attacks easy"),
    key("detect.hygiene.clear_text", "passwords that cross the network readable"),
    key("detect.hygiene.old_encryption", "old versions and weak ciphers of TLS, and old SSH"),
    key(
        "detect.hygiene.certificates",
        "certificates that are expired, not valid yet, or vouched for by their owner alone",
    ),
    key("detect.hygiene.wrong_ports", "protocols on the ports of others"),
    key("detect.hygiene.max_remembered", "sources with targets and services that are remembered"),
    key("detect.layer2.enabled", "watch the local link"),
    key("detect.layer2.learning", "seconds in which every device of a new link is taken as known"),
    key(
        "detect.layer2.dhcp_servers",
        "DHCP servers that may be there; with an empty list the first one is right",
    ),
    key(
        "detect.layer2.routers",
        "IPv6 routers that may be there; with an empty list the first one is right",
    ),
    key("detect.layer2.claims", "forged claims after which they are told"),
    key("detect.layer2.max_addresses", "addresses that are remembered"),
    key("notify.sensor", "name of this machine in messages; empty for its host name"),
    key(
        "notify.repeat_minutes",
        "minutes before the same alert is told again, unless it gets more urgent",
    ),
    key(
        "notify.queue_entries",
        "notices that may wait for all channels together; more are counted",
    ),
    key("notify.queue_hours", "hours after which a notice that cannot be delivered is dropped"),
    key(
        "notify.channels",
        "ways to people, `[[notify.channels]]` with `name`, `type` and what the type wants; [Telling people](notifications.md) has an example of each",
    ),
    key(
        "notify.routes",
        "which alert goes to which channel and when, `[[notify.routes]]`; without any, the high and critical ones go to all",
    ),
    key(
        "alerts.fold_minutes",
        "minutes without a repeat after which the next one is an alert of its own",
    ),
    key(
        "alerts.max_open",
        "alerts held at once; beyond, the least severe and oldest stay in history only",
    ),
    key(
        "alerts.max_per_rule",
        "alerts that one rule may open in a minute; further hosts fold into one alert",
    ),
    key("alerts.max_mutes", "mutes held at once"),
    key("alerts.mute_days", "days after which a mute ends, where nothing else is said"),
    key("eve.community_id", "write the Community ID of flows"),
    key(
        "eve.community_id_seed",
        "seed of the Community ID; the same on all sensors that are to agree",
    ),
    key("eve.pcap_cnt", "write the place of a packet in its capture"),
    key("eve.ethernet", "write the Ethernet addresses of a flow's first frame"),
    key("eve.local_time", "write local times instead of UTC"),
    key("eve.alert_payload", "write with alerts the first 4 KiB of what was searched"),
    key("eve.alert_packet", "write with alerts the packet, from its first header on"),
    key("eve.kinds.flow", "write flows, when they end"),
    key("eve.kinds.transaction", "write transactions of all application protocols"),
    key("eve.kinds.fileinfo", "write files"),
    key("eve.kinds.alert", "write alerts, of signatures and of behaviour"),
    key("eve.kinds.packet", "write packets that signatures ask for behind their alerts (tag)"),
    key("eve.kinds.block", "write what became of blocks of the firewall"),
    key("eve.kinds.anomaly", "write malformed traffic"),
    key("eve.kinds.stats", "write counters"),
    key(
        "history.max_age_days",
        "days for which flows, transactions and anomalies are kept; 0 for ever",
    ),
    key(
        "history.max_bytes",
        "bytes that the database may use, 0 without limit; the oldest rows go first",
    ),
    key(
        "history.seconds_hours",
        "hours for which each second is kept; 0 for ever; minutes are kept for ever",
    ),
    key("history.transactions", "keep application transactions"),
    key("history.transactions_per_second", "transactions kept per second of packet time"),
    key("history.max_alerts", "alerts kept, 0 without limit; the oldest go first"),
    key("history.anomalies_per_second", "anomalies kept per second of packet time"),
    key(
        "history.checkpoint_seconds",
        "seconds after which a living flow is written, and between two times that it is",
    ),
    key("history.queue", "batches that may wait for the disk"),
    key("history.block_ms", "milliseconds for which a full queue may delay the hub, once"),
    key("history.commit_ms", "milliseconds between two commits"),
    key("recorder.max_mib", "MiB that recorded packets and their index take at most"),
    key("recorder.segment_mib", "MiB of one segment; what is deleted at once"),
    key(
        "recorder.max_age_secs",
        "seconds after which a packet is deleted at the latest; not set for as long as there is room",
    ),
    key("files.dir", "folder for the files that the network carries; empty to keep none"),
    key(
        "files.all",
        "keep all files, although rules choose some (filestore); without such rules all are kept",
    ),
    key(
        "files.max_file_kib",
        "KiB of the largest file kept; `dissect.depth` is raised to it at least",
    ),
    key("files.max_total_mib", "MiB that all kept files take; the oldest is deleted first"),
    key("files.max_memory_mib", "MiB that files on their way take in memory"),
    key(
        "files.fileinfo",
        "write beside each file what carried it, as a `fileinfo` event: HASH.SECONDS.ID.json",
    ),
    key(
        "respond.automatic",
        "block attackers without a person's word; off, it is only said whom that would have been",
    ),
    key(
        "respond.when",
        "which attacks are blocked automatically: `[{ detector = \"port_scan\", category = \"\", severity = \"medium\", secs = 600 }]`; what is empty or left out says nothing, one that fits is enough; `rules` is any signature, `sid:2024897` one",
    ),
    key(
        "respond.firewall",
        "`auto` for the system's own; on Linux `nftables` or `ipset` (with iptables), on macOS and the BSDs `pf`, on Windows `windows`, both untried; `dry_run` for none",
    ),
    key("respond.allow", "addresses and networks that are never blocked, whatever they do"),
    key("respond.widest_v4", "prefix length of the largest IPv4 network that may be blocked"),
    key("respond.widest_v6", "prefix length of the largest IPv6 network that may be blocked"),
    key("respond.first_secs", "seconds for which an attacker is blocked for the first time"),
    key("respond.repeat_factor", "how many times longer each time it comes back"),
    key("respond.max_secs", "seconds that no block exceeds"),
    key("respond.max_blocks", "blocks in force at once"),
    key("respond.max_per_minute", "addresses that are blocked automatically within a minute"),
    key("respond.confirm_secs", "seconds after which a block is undone that is to be confirmed"),
    key(
        "respond.keep_on_exit",
        "leave blocks in the firewall when the program ends, each until its time is over",
    ),
    key(
        "respond.request_rate",
        "requests for connections per second that a service of this host still gets while it is flooded from spoofed addresses; 0 to leave it to SYN cookies",
    ),
    key("web.listen", "address and port of the dashboard"),
    key(
        "web.api_token",
        "token for programs, sent as `Authorization: Bearer TOKEN`; at least 16 characters",
    ),
    key(
        "web.allowed_hosts",
        "host names under which browsers may reach the dashboard, besides `localhost` and its addresses",
    ),
    key("web.max_live_clients", "dashboards that may be open at once"),
    key("web.max_connections", "connections that may be open at once"),
    key(
        "web.requests_per_second",
        "requests per second that one client address may make, on average",
    ),
];
