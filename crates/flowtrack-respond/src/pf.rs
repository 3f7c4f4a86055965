//! pf, the firewall of macOS and the BSDs: an anchor of our own, spoken to by `pfctl`.
//!
//! Anchor `flowtrack` holds one table for addresses and networks of both families, whose entries
//! count what they stop, and one rule for each blocked port. pf knows no entry that ends by itself,
//! so the program ends blocks (see [`Nature`]). A packet of a connection that pf already follows is
//! never asked about, so what is blocked is also cut off from such connections.
//!
//! It has not run on a real system: what is tested is the text that goes to `pfctl`, the order of
//! its runs, and how what it prints is read.

use std::collections::{BTreeSet, HashMap};
use std::fmt::Write as _;

use flowtrack_event::Timestamp;

use crate::blocker::{Blocker, FirewallError, Nature, Stopped, undone};
use crate::decision::Decision;
use crate::net::{Net, Transport, What};
use crate::tool;

/// Runs `pfctl` with arguments and input, and gives what it prints.
type Run = Box<dyn FnMut(&[&str], &[u8]) -> Result<Vec<u8>, FirewallError> + Send>;

/// Blocks by pf.
pub struct Pf {
    run: Run,
    /// Ports that have a rule, and what their rules stopped before the rules were last loaded,
    /// which begins to count anew.
    ports: BTreeSet<(Transport, u16)>,
    carried: HashMap<What, (u64, u64)>,
}

impl Default for Pf {
    fn default() -> Self {
        Self::new()
    }
}

impl Pf {
    /// For the `pfctl` of this machine.
    pub fn new() -> Self {
        Self::speaking_to(Box::new(|args, input| tool::run(PFCTL, args, input)))
    }

    fn speaking_to(run: Run) -> Self {
        Self { run, ports: BTreeSet::new(), carried: HashMap::new() }
    }

    /// Whether pf is on and asks our anchor; what is to be done where it is not.
    pub fn check(&mut self) -> Result<(), FirewallError> {
        let not_ready = |what: &str| FirewallError::NotReady { firewall: NAME, what: what.into() };
        if !is_on(&self.ask(&["-s", "info"], "")?) {
            return Err(not_ready("it is off; turn it on with `pfctl -e`"));
        }
        if !calls_anchor(&self.ask(&["-s", "rules"], "")?) {
            return Err(not_ready(
                "nothing asks for its blocks; write the line `anchor \"flowtrack\"` into \
                 /etc/pf.conf, before the first rule that passes or blocks, then run \
                 `pfctl -f /etc/pf.conf`",
            ));
        }
        Ok(())
    }

    /// Runs a command of pf as a whole.
    fn ask(&mut self, args: &[&str], input: &str) -> Result<String, FirewallError> {
        (self.run)(args, input.as_bytes()).map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
    }

    /// Runs a command of our anchor.
    fn anchor(&mut self, args: &[&str], input: &str) -> Result<String, FirewallError> {
        self.ask(&[&["-a", ANCHOR], args].concat(), input)
    }

    /// Whether our anchor still holds what was loaded into it.
    fn must_have_rules(&mut self) -> Result<(), FirewallError> {
        let is_there = has_rules(&self.anchor(&["-s", "rules"], "")?);
        if is_there { Ok(()) } else { Err(FirewallError::Gone) }
    }

    /// Runs a command of our table with these entries.
    fn table(&mut self, command: &str, nets: &[Net]) -> Result<(), FirewallError> {
        let lines = nets.iter().fold(String::new(), |mut text, net| {
            let _ = writeln!(text, "{net}");
            text
        });
        self.anchor(&["-t", TABLE, "-T", command, "-f", "-"], &lines).map(drop)
    }

    /// Loads the rules; the table keeps what is in it.
    fn load(&mut self) -> Result<(), FirewallError> {
        let loaded = self.anchor(&["-f", "-"], &rules(&self.ports, Counting::Asked));
        match loaded {
            // Where the word is not known, tables count without being asked, or not at all.
            Err(FirewallError::Refused { message, .. }) if message.contains("syntax error") => {
                self.anchor(&["-f", "-"], &rules(&self.ports, Counting::Default)).map(drop)
            }
            other => other.map(drop),
        }
    }

    /// Ends what pf follows of these: it would let that pass whatever the rules say.
    fn cut(&mut self, nets: &[Net]) {
        for net in nets.iter().take(MAX_CUT) {
            let all = if net.address().is_ipv4() { "0.0.0.0/0" } else { "::/0" };
            let net = net.to_string();
            // The block is made; what this misses ends by itself.
            for args in [&["-k", &net] as &[&str], &["-k", all, "-k", &net]] {
                if let Err(error) = (self.run)(args, b"") {
                    tracing::warn!(%error, net, "connections of what is blocked may go on");
                }
            }
        }
        if nets.len() > MAX_CUT {
            tracing::warn!(
                "of {} blocks at once, connections of the first {MAX_CUT} are cut; others go on \
                 until they end",
                nets.len()
            );
        }
    }

    /// What the rules of ports stopped, those before them included.
    fn ports_stopped(&mut self) -> Result<Vec<Stopped>, FirewallError> {
        let printed = self.anchor(&["-s", "labels"], "")?;
        let mut found = labels(&printed);
        for stopped in &mut found {
            let (packets, bytes) = self.carried.get(&stopped.what).copied().unwrap_or_default();
            stopped.packets = stopped.packets.saturating_add(packets);
            stopped.bytes = stopped.bytes.saturating_add(bytes);
        }
        Ok(found)
    }
}

impl Blocker for Pf {
    fn name(&self) -> &'static str {
        NAME
    }

    fn nature(&self) -> Nature {
        Nature { ends_blocks: false, counts: true, is_tried: false }
    }

    fn start(&mut self, blocks: &[Decision], _now: Timestamp) -> Result<(), FirewallError> {
        self.check()?;
        let (nets, ports) = sorted(blocks.iter().map(Decision::what))?;
        self.ports = ports.into_iter().collect();
        self.carried.clear();
        self.load()?;
        self.table("replace", &nets)?;
        // What was there before begins to count anew, as the caller believes.
        self.anchor(&["-t", TABLE, "-T", "zero"], "")?;
        self.cut(&nets);
        Ok(())
    }

    fn change(
        &mut self,
        added: &[Decision],
        removed: &[What],
        _now: Timestamp,
    ) -> Result<(), FirewallError> {
        let (new, new_ports) = sorted(added.iter().map(Decision::what))?;
        let (mut old, old_ports) = sorted(undone(added, removed))?;
        // Adding to a table that is gone makes one that no rule asks.
        self.must_have_rules()?;
        if !new_ports.is_empty() || !old_ports.is_empty() {
            let stopped = self.ports_stopped()?;
            self.carried = stopped.into_iter().map(|s| (s.what, (s.packets, s.bytes))).collect();
            for (transport, port) in old_ports.iter().chain(&new_ports) {
                self.carried.remove(&What::Port(*transport, *port));
            }
            self.ports.retain(|port| !old_ports.contains(port));
            self.ports.extend(&new_ports);
            self.load()?;
        }
        // What is there already is taken out too, so that it counts anew, as the caller believes.
        old.extend(&new);
        if !old.is_empty() {
            self.table("delete", &old)?;
        }
        if !new.is_empty() {
            self.table("add", &new)?;
            self.cut(&new);
        }
        Ok(())
    }

    fn list(&mut self) -> Result<Vec<Stopped>, FirewallError> {
        self.check()?;
        self.must_have_rules()?;
        let mut found = entries(&self.anchor(&["-t", TABLE, "-T", "show", "-v"], "")?);
        found.extend(self.ports_stopped()?);
        Ok(found)
    }

    fn clear(&mut self) -> Result<(), FirewallError> {
        self.ports.clear();
        self.carried.clear();
        self.anchor(&["-F", "rules"], "")?;
        self.anchor(&["-F", "Tables"], "").map(drop)
    }
}

/// Whether tables are asked to count.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Counting {
    Asked,
    Default,
}

/// The rules of the anchor. Loopback passes; `in` is also what is forwarded.
fn rules(ports: &BTreeSet<(Transport, u16)>, counting: Counting) -> String {
    let counters = if counting == Counting::Asked { " counters" } else { "" };
    let mut text = format!(
        "table <{TABLE}> persist{counters}\n\
         block drop in quick on ! lo0 from <{TABLE}> to any\n\
         block drop in quick on ! lo0 from any to <{TABLE}>\n\
         block drop out quick on ! lo0 from any to <{TABLE}>\n"
    );
    for (transport, port) in ports {
        let name = transport.name();
        let _ = writeln!(
            text,
            "block drop in quick on ! lo0 proto {name} from any to any port {port} \
             label \"{name}/{port}\""
        );
    }
    text
}

type Sorted = (Vec<Net>, Vec<(Transport, u16)>);

/// Networks and ports apart; an error for what pf is not asked to do.
fn sorted(whats: impl Iterator<Item = What>) -> Result<Sorted, FirewallError> {
    let (mut nets, mut ports) = (Vec::new(), Vec::new());
    for what in whats {
        match what {
            What::Net(net) => nets.push(net),
            What::Port(transport, port) => ports.push((transport, port)),
            What::Requests(..) => return Err(FirewallError::Cannot { firewall: NAME, what }),
        }
    }
    Ok((nets, ports))
}

/// `Status: Enabled for 0 days 00:01:02` in what `pfctl -s info` prints.
fn is_on(printed: &str) -> bool {
    printed.lines().any(|line| line.trim_start().starts_with("Status: Enabled"))
}

/// `anchor "flowtrack" all` in what `pfctl -s rules` prints; `anchor "*"` asks every anchor.
fn calls_anchor(printed: &str) -> bool {
    printed.lines().any(|line| {
        let name = line.trim().strip_prefix("anchor \"").and_then(|rest| rest.split('"').next());
        matches!(name, Some(ANCHOR | "*"))
    })
}

/// Whether the anchor holds the rules that ask our table.
fn has_rules(printed: &str) -> bool {
    printed.lines().any(|line| line.contains(&format!("<{TABLE}")))
}

/// Entries as `pfctl -T show -v` prints them: the address on a line of its own, then lines such as
/// `In/Block: [ Packets: 7 Bytes: 420 ]`.
fn entries(printed: &str) -> Vec<Stopped> {
    let mut found: Vec<Stopped> = Vec::new();
    for line in printed.lines() {
        let mut words = line.split_whitespace();
        let Some(first) = words.next() else { continue };
        if let Ok(net) = first.parse::<Net>() {
            found.push(Stopped { what: What::Net(net), packets: 0, bytes: 0 });
        } else if let ("In/Block:" | "Out/Block:", Some(entry)) = (first, found.last_mut()) {
            let words: Vec<_> = words.collect();
            let number = |name: &str| {
                let at = words.iter().position(|word| *word == name)?;
                words.get(at + 1)?.parse::<u64>().ok()
            };
            entry.packets += number("Packets:").unwrap_or(0);
            entry.bytes += number("Bytes:").unwrap_or(0);
        }
    }
    found
}

/// Rules as `pfctl -s labels` prints them: the label, then evaluations, packets, bytes and more.
fn labels(printed: &str) -> Vec<Stopped> {
    let label = |line: &str| {
        let mut words = line.split_whitespace();
        let what = words.next()?.parse().ok().filter(|what| matches!(what, What::Port(..)))?;
        let mut numbers = words.skip(1).map(|word| word.parse::<u64>().ok());
        Some(Stopped { what, packets: numbers.next()??, bytes: numbers.next()?? })
    };
    printed.lines().filter_map(label).collect()
}

const PFCTL: &str = "pfctl";
const NAME: &str = "pf";
/// The anchor, which nobody else uses.
const ANCHOR: &str = "flowtrack";
const TABLE: &str = "blocked";
/// Blocks made at once whose connections are cut: each costs two runs of `pfctl`.
const MAX_CUT: usize = 64;

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;
    use crate::config::RespondConfig;
    use crate::decision::{Origin, Wish};
    use crate::safety::{Safety, Surroundings};

    const NOW: Timestamp = Timestamp::from_secs(1_700_000_000);
    const ON: &str = "Status: Enabled for 0 days 00:01:02           Debug: Urgent\n";
    const HOOKED: &str = "scrub-anchor \"com.apple/*\" all fragment reassemble\n\
                          anchor \"com.apple/*\" all\nanchor \"flowtrack\" all\n";
    const LOADED: &str = "block drop in quick on ! lo0 from <blocked> to any\n";

    /// Writes down what `pfctl` is asked and answers from a script. It shows the order of the
    /// runs, and nothing of whether pf does what they mean.
    #[derive(Clone, Default)]
    struct Script {
        asked: Arc<Mutex<Vec<String>>>,
        labels: &'static str,
        info: Option<&'static str>,
        main: Option<&'static str>,
        anchor: Option<&'static str>,
        knows_no_counters: bool,
    }

    impl Script {
        fn pf(&self) -> Pf {
            let script = self.clone();
            Pf::speaking_to(Box::new(move |args, input| {
                let line = args.join(" ");
                let input = std::str::from_utf8(input).unwrap();
                let is_new = script.knows_no_counters && input.contains("counters");
                let text = format!("{line} {}", input.replace('\n', ";"));
                script.asked.lock().unwrap().push(text.trim_end().to_owned());
                let answer = match line.as_str() {
                    "-a flowtrack -f -" if is_new => {
                        let message = "stdin:1: syntax error".to_owned();
                        return Err(FirewallError::Refused { program: PFCTL, message });
                    }
                    "-s info" => script.info.unwrap_or(ON),
                    "-s rules" => script.main.unwrap_or(HOOKED),
                    "-a flowtrack -s rules" => script.anchor.unwrap_or(LOADED),
                    "-a flowtrack -s labels" => script.labels,
                    _ => "",
                };
                Ok(answer.as_bytes().to_vec())
            }))
        }

        /// What was asked but for questions.
        fn changes(&self) -> Vec<String> {
            let mut asked = std::mem::take(&mut *self.asked.lock().unwrap());
            asked.retain(|line| !line.contains("-s "));
            asked
        }
    }

    fn decide(what: &str) -> Decision {
        let config = RespondConfig::default();
        let safety = Safety::new(&Surroundings::default(), &config);
        let lasts = std::time::Duration::from_mins(1);
        let wish = Wish { what: what.parse().unwrap(), origin: Origin::Person, lasts };
        Decision::new(&wish, &safety, &config, NOW).unwrap()
    }

    #[test]
    fn the_anchor_holds_a_table_and_a_rule_for_each_port() {
        let ports = BTreeSet::from([(Transport::Tcp, 23), (Transport::Udp, 53)]);
        assert_eq!(
            rules(&ports, Counting::Asked),
            "table <blocked> persist counters\n\
             block drop in quick on ! lo0 from <blocked> to any\n\
             block drop in quick on ! lo0 from any to <blocked>\n\
             block drop out quick on ! lo0 from any to <blocked>\n\
             block drop in quick on ! lo0 proto tcp from any to any port 23 label \"tcp/23\"\n\
             block drop in quick on ! lo0 proto udp from any to any port 53 label \"udp/53\"\n"
        );
        assert!(rules(&ports, Counting::Default).starts_with("table <blocked> persist\n"));
    }

    #[test]
    fn what_is_printed_is_read() {
        let printed = "   192.0.2.1\n\
             \tCleared:     Thu Feb 13 18:55:18 2025\n\
             \tIn/Block:    [ Packets: 7                  Bytes: 420                ]\n\
             \tIn/Pass:     [ Packets: 90                 Bytes: 9000               ]\n\
             \tOut/Block:   [ Packets: 1                  Bytes: 60                 ]\n\
             \tOut/Pass:    [ Packets: 0                  Bytes: 0                  ]\n   \
             198.51.100.0/24\n   2001:db8::/64\n\
             \tCleared:     Thu Feb 13 18:55:18 2025\n\
             \tIn/Block:    [ Packets: 2                  Bytes: 160                ]\n";
        let read: Vec<_> =
            entries(printed).iter().map(|s| (s.what.to_string(), s.packets, s.bytes)).collect();
        assert_eq!(
            read,
            [
                ("192.0.2.1".into(), 8, 480),
                ("198.51.100.0/24".into(), 0, 0),
                ("2001:db8::/64".into(), 2, 160)
            ]
        );
        let read: Vec<_> = labels("tcp/23 100 7 420 7 420 0 0 0\nother 1 2 3\nudp/53 1 x 3\n")
            .iter()
            .map(|s| (s.what.to_string(), s.packets, s.bytes))
            .collect();
        assert_eq!(read, [("tcp/23".into(), 7, 420)]);
        assert!(is_on(ON) && !is_on("Status: Disabled                  Debug: Urgent\n"));
        assert!(calls_anchor(HOOKED) && calls_anchor("anchor \"*\" all\n"));
        assert!(!calls_anchor("anchor \"com.apple/*\" all\nanchor \"flowtrack2\" all\n"));
    }

    #[test]
    fn starting_replaces_whatever_an_earlier_run_left() {
        let script = Script::default();
        script
            .pf()
            .start(&[decide("192.0.2.1"), decide("2001:db8::/64"), decide("23")], NOW)
            .unwrap();
        let asked = script.changes();
        assert!(asked[0].starts_with("-a flowtrack -f - table <blocked> persist counters;"));
        assert!(asked[0].contains("proto tcp from any to any port 23 "), "{}", asked[0]);
        assert_eq!(
            asked[1..],
            [
                "-a flowtrack -t blocked -T replace -f - 192.0.2.1;2001:db8::/64;",
                "-a flowtrack -t blocked -T zero",
                "-k 192.0.2.1",
                "-k 0.0.0.0/0 -k 192.0.2.1",
                "-k 2001:db8::/64",
                "-k ::/0 -k 2001:db8::/64",
            ]
        );
    }

    #[test]
    fn where_tables_cannot_be_asked_to_count_they_are_not() {
        let script = Script { knows_no_counters: true, ..Script::default() };
        script.pf().start(&[], NOW).unwrap();
        let asked = script.changes();
        assert!(asked[0].contains("persist counters;") && asked[1].contains("persist;block"));
    }

    #[test]
    fn a_change_takes_out_before_it_adds() {
        let script = Script::default();
        let mut pf = script.pf();
        let removed = ["192.0.2.1", "192.0.2.9"].map(|what| what.parse().unwrap());
        pf.change(&[decide("192.0.2.9")], &removed, NOW).unwrap();
        assert_eq!(
            script.changes(),
            [
                "-a flowtrack -t blocked -T delete -f - 192.0.2.1;192.0.2.9;",
                "-a flowtrack -t blocked -T add -f - 192.0.2.9;",
                "-k 192.0.2.9",
                "-k 0.0.0.0/0 -k 192.0.2.9",
            ]
        );
    }

    #[test]
    fn other_ports_keep_their_counts_when_one_comes_or_goes() {
        let script = Script { labels: "tcp/23 9 7 420 7 420 0 0 0\n", ..Script::default() };
        let mut pf = script.pf();
        pf.start(&[decide("23")], NOW).unwrap();
        script.changes();
        pf.change(&[decide("udp/53")], &[], NOW).unwrap();
        let asked = script.changes();
        assert!(asked[0].contains("port 23 ") && asked[0].contains("port 53 "), "{}", asked[0]);
        assert_eq!(asked.len(), 1, "the table is left alone: {asked:?}");
        // Its rule, loaded anew, has stopped 7 more.
        let stopped = pf.list().unwrap();
        assert_eq!((stopped[0].packets, stopped[0].bytes), (14, 840));
        pf.change(&[], &["23".parse().unwrap()], NOW).unwrap();
        assert!(!script.changes()[0].contains("port 23 "));
    }

    #[test]
    fn what_is_missing_is_said_with_what_to_do() {
        let said = |script: &Script| script.pf().start(&[], NOW).unwrap_err().to_string();
        let off = Script { info: Some("Status: Disabled\n"), ..Script::default() };
        assert_eq!(said(&off), "pf cannot block yet: it is off; turn it on with `pfctl -e`");
        let unhooked = Script { main: Some("anchor \"com.apple/*\" all\n"), ..Script::default() };
        let why = said(&unhooked);
        assert!(why.contains("`anchor \"flowtrack\"`") && why.contains("/etc/pf.conf"), "{why}");
        assert!(unhooked.changes().is_empty(), "nothing is changed");
    }

    #[test]
    fn rules_that_are_gone_are_noticed() {
        let script = Script { anchor: Some(""), ..Script::default() };
        assert_eq!(script.pf().list(), Err(FirewallError::Gone));
        assert_eq!(script.pf().change(&[decide("192.0.2.1")], &[], NOW), Err(FirewallError::Gone));
        assert!(script.changes().is_empty());
    }

    #[test]
    fn everything_of_ours_is_taken_out_and_requests_cannot_be_limited() {
        let script = Script::default();
        script.pf().clear().unwrap();
        assert_eq!(script.changes(), ["-a flowtrack -F rules", "-a flowtrack -F Tables"]);
        let what = ["requests/192.0.2.1/80".parse().unwrap()];
        let error = script.pf().change(&[], &what, NOW).unwrap_err();
        assert!(matches!(error, FirewallError::Cannot { firewall: "pf", .. }), "{error}");
    }
}
