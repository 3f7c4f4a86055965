//! Windows Firewall: a group of rules of our own, spoken to by PowerShell's `NetFirewallRule`
//! commands.
//!
//! Group `FlowTrack` holds, for every few hundred addresses and networks, one rule for what comes
//! in and one for what goes out, and one rule each for TCP and UDP ports. Rules that block win over
//! rules that allow. They count nothing and never end by themselves, not even when Windows is
//! started again, so the program ends blocks (see [`Nature`]). What is forwarded passes.
//!
//! It has not run on a real system: what is tested is the text that goes to PowerShell, the order
//! of its runs, and how what it prints is read.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr};

use flowtrack_event::Timestamp;

use crate::blocker::{Blocker, FirewallError, Nature, Stopped, undone};
use crate::decision::Decision;
use crate::net::{Net, Transport, What};
use crate::tool;

/// Runs PowerShell with a script and its input, and gives what it prints.
type Run = Box<dyn FnMut(&str, &[u8]) -> Result<Vec<u8>, FirewallError> + Send>;

/// Blocks by Windows Firewall.
pub struct Windows {
    run: Run,
    /// The addresses of each pair of rules; what is not started holds none.
    parts: Vec<BTreeSet<Net>>,
    tcp: BTreeSet<u16>,
    udp: BTreeSet<u16>,
    is_started: bool,
}

impl Default for Windows {
    fn default() -> Self {
        Self::new()
    }
}

impl Windows {
    /// For the PowerShell of this machine.
    pub fn new() -> Self {
        Self::speaking_to(Box::new(|script, input| {
            tool::run(POWERSHELL, &["-NoProfile", "-NonInteractive", "-Command", script], input)
        }))
    }

    fn speaking_to(run: Run) -> Self {
        let (parts, tcp, udp) = Default::default();
        Self { run, parts, tcp, udp, is_started: false }
    }

    /// Whether rules of ours would be obeyed; what is to be done where they would not.
    pub fn check(&mut self) -> Result<(), FirewallError> {
        let printed = (self.run)(CHECK, b"")?;
        check(&String::from_utf8_lossy(&printed))
    }

    /// Has the firewall hold what this holds in the parts and ports that changed.
    fn put(&mut self, changed: &Changed, only: bool) -> Result<(), FirewallError> {
        let mut text = String::new();
        for &part in &changed.parts {
            let nets = self.parts.get(part).into_iter().flatten();
            let _ = writeln!(text, "addresses {part} {}", joined(nets));
        }
        for (transport, ports) in [(Transport::Tcp, &self.tcp), (Transport::Udp, &self.udp)] {
            if changed.ports.contains(&transport) {
                let _ = writeln!(text, "ports {} {}", transport.name(), joined(ports));
            }
        }
        if only {
            text += "only\n";
        }
        if text.is_empty() { Ok(()) } else { (self.run)(PUT, text.as_bytes()).map(drop) }
    }

    fn ports(&mut self, transport: Transport) -> &mut BTreeSet<u16> {
        match transport {
            Transport::Tcp => &mut self.tcp,
            Transport::Udp => &mut self.udp,
        }
    }

    fn add(&mut self, what: What, changed: &mut Changed) -> Result<(), FirewallError> {
        match what {
            What::Net(net) if self.parts.iter().any(|part| part.contains(&net)) => {}
            What::Net(net) => {
                let free = self.parts.iter().position(|part| part.len() < MAX_PART);
                let at = free.unwrap_or(self.parts.len());
                match self.parts.get_mut(at) {
                    Some(part) => drop(part.insert(net)),
                    None => self.parts.push(BTreeSet::from([net])),
                }
                changed.parts.insert(at);
            }
            What::Port(transport, port) => {
                if self.ports(transport).insert(port) {
                    changed.ports.insert(transport);
                }
            }
            What::Requests(..) => return Err(FirewallError::Cannot { firewall: NAME, what }),
        }
        Ok(())
    }

    fn remove(&mut self, what: What, changed: &mut Changed) {
        match what {
            What::Net(net) => {
                let parts = self.parts.iter_mut().enumerate();
                changed
                    .parts
                    .extend(parts.filter_map(|(at, part)| part.remove(&net).then_some(at)));
            }
            What::Port(transport, port) => {
                if self.ports(transport).remove(&port) {
                    changed.ports.insert(transport);
                }
            }
            What::Requests(..) => {}
        }
    }
}

impl Blocker for Windows {
    fn name(&self) -> &'static str {
        NAME
    }

    fn nature(&self) -> Nature {
        Nature { ends_blocks: false, counts: false, is_tried: false }
    }

    fn start(&mut self, blocks: &[Decision], _now: Timestamp) -> Result<(), FirewallError> {
        self.check()?;
        (self.parts, self.tcp, self.udp) = Default::default();
        let mut changed = Changed::default();
        for block in blocks {
            self.add(block.what(), &mut changed)?;
        }
        // Whatever else of ours is there was left by an earlier run.
        self.put(&changed, true)?;
        self.is_started = true;
        Ok(())
    }

    fn change(
        &mut self,
        added: &[Decision],
        removed: &[What],
        _now: Timestamp,
    ) -> Result<(), FirewallError> {
        if !self.is_started {
            return Err(FirewallError::Gone);
        }
        let mut changed = Changed::default();
        for what in undone(added, removed) {
            self.remove(what, &mut changed);
        }
        for block in added {
            self.add(block.what(), &mut changed)?;
        }
        let put = self.put(&changed, false);
        // Half of it may be there; the caller starts again.
        self.is_started = put.is_ok();
        put
    }

    fn list(&mut self) -> Result<Vec<Stopped>, FirewallError> {
        let printed = (self.run)(LIST, b"")?;
        let found = listed(&String::from_utf8_lossy(&printed));
        if found.is_empty() {
            return Err(FirewallError::Gone);
        }
        Ok(found.into_iter().map(|what| Stopped { what, packets: 0, bytes: 0 }).collect())
    }

    fn clear(&mut self) -> Result<(), FirewallError> {
        (self.parts, self.tcp, self.udp) = Default::default();
        (self.run)(PUT, b"only\n").map(drop)
    }
}

/// What differs from what the firewall holds.
#[derive(Default)]
struct Changed {
    parts: BTreeSet<usize>,
    ports: BTreeSet<Transport>,
}

fn joined<T: ToString>(values: impl IntoIterator<Item = T>) -> String {
    values.into_iter().map(|value| value.to_string()).collect::<Vec<_>>().join(",")
}

/// Reads what [`CHECK`] prints: `administrator True`, then for each profile whether the firewall
/// is on and whether rules of this machine count: `Public True NotConfigured`.
fn check(printed: &str) -> Result<(), FirewallError> {
    let not_ready = |what: String| Err(FirewallError::NotReady { firewall: NAME, what });
    let rows: Vec<Vec<&str>> =
        printed.lines().map(|line| line.split_whitespace().collect()).collect();
    let profiles = |is_bad: fn(&str, &str) -> bool| {
        let named = rows.iter().filter_map(|row| match row[..] {
            [name, on, local] if is_bad(on, local) => Some(name),
            _ => None,
        });
        named.collect::<Vec<_>>().join(", ")
    };
    if !rows.iter().any(|row| row.len() == 3) {
        return not_ready("PowerShell does not say how it is set".into());
    }
    let off = profiles(|on, _| on != "True");
    if !off.is_empty() {
        return not_ready(format!(
            "it is off for networks of the kind {off}; turn it on with \
             `Set-NetFirewallProfile -All -Enabled True`"
        ));
    }
    let closed = profiles(|_, local| local == "False");
    if !closed.is_empty() {
        return not_ready(format!(
            "a group policy has it ignore rules of this machine for networks of the kind \
             {closed}; ask who sets that policy to allow local firewall rules"
        ));
    }
    if rows.iter().any(|row| row[..] == ["administrator", "False"]) {
        return not_ready("it takes an administrator; run FlowTrack as one".into());
    }
    Ok(())
}

/// Reads what [`LIST`] prints of each rule: `FlowTrack-0-in|True|Block|ADDRESSES|PORTS`. An address
/// is blocked where both its rules hold it.
fn listed(printed: &str) -> Vec<What> {
    let (mut incoming, mut outgoing) = (BTreeSet::new(), BTreeSet::new());
    let mut ports = Vec::new();
    for line in printed.lines() {
        let fields: Vec<_> = line.trim().split('|').collect();
        let [name, "True", "Block", addresses, numbers] = fields[..] else { continue };
        let nets = || addresses.split(',').filter_map(net);
        let transport = match name.strip_prefix("FlowTrack-") {
            Some("tcp") => Transport::Tcp,
            Some("udp") => Transport::Udp,
            Some(part) if part.ends_with("-in") => {
                incoming.extend(nets());
                continue;
            }
            Some(part) if part.ends_with("-out") => {
                outgoing.extend(nets());
                continue;
            }
            _ => continue,
        };
        let numbers = numbers.split(',').filter_map(|number| number.parse().ok());
        ports.extend(numbers.map(|port| What::Port(transport, port)));
    }
    incoming.intersection(&outgoing).copied().map(What::Net).chain(ports).collect()
}

/// An address as Windows prints it: IPv4 networks with a mask, others with the length of a prefix.
fn net(text: &str) -> Option<Net> {
    let Some((address, mask)) = text.split_once('/') else { return text.parse().ok() };
    let Ok(mask) = mask.parse::<Ipv4Addr>() else { return text.parse().ok() };
    let bits = u32::from(mask);
    let len = bits.leading_ones();
    let is_prefix = bits.trailing_zeros() + len >= 32;
    let address = address.parse::<IpAddr>().ok().filter(IpAddr::is_ipv4)?;
    Net::new(address, u8::try_from(len).ok()?).filter(|_| is_prefix)
}

const POWERSHELL: &str = "powershell.exe";
const NAME: &str = "windows";
/// Addresses of one rule; some versions of Windows take no more than 1,000.
const MAX_PART: usize = 500;

// The scripts never change; what changes is data, read from the input a line at a time. None has a
// double quote, which a command line would have to hide.

const CHECK: &str = "\
$ErrorActionPreference = 'Stop'
$me = [Security.Principal.WindowsPrincipal][Security.Principal.WindowsIdentity]::GetCurrent()
'administrator ' + $me.IsInRole([Security.Principal.WindowsBuiltInRole]::Administrator)
Get-NetFirewallProfile -PolicyStore ActiveStore | ForEach-Object {
  '{0} {1} {2}' -f $_.Name, $_.Enabled, $_.AllowLocalFirewallRules
}";

/// Lines `addresses PART LIST` and `ports tcp|udp LIST` give rules these values, or take them out
/// where there are none; `only` takes out every rule of the group that no line named.
const PUT: &str = "\
$ErrorActionPreference = 'Stop'
$named = @()
function Put($name, $fixed, $what, $list) {
  $script:named += $name
  $rule = Get-NetFirewallRule -Name $name -ErrorAction SilentlyContinue
  if (-not $list) { if ($rule) { $rule | Remove-NetFirewallRule }; return }
  $values = @{ $what = $list }
  if ($rule) { Set-NetFirewallRule -Name $name -Enabled True -Action Block @values; return }
  New-NetFirewallRule -Name $name -DisplayName $name -Group 'FlowTrack' -Enabled True `
    -Action Block -Profile Any @fixed @values | Out-Null
}
try {
  foreach ($line in [Console]::In.ReadToEnd() -split '\\r?\\n') {
    $kind, $key, $list = $line -split ' '
    $list = @($list -split ',' | Where-Object { $_ })
    if ($kind -eq 'addresses') {
      Put ('FlowTrack-' + $key + '-in') @{ Direction = 'Inbound' } 'RemoteAddress' $list
      Put ('FlowTrack-' + $key + '-out') @{ Direction = 'Outbound' } 'RemoteAddress' $list
    } elseif ($kind -eq 'ports') {
      Put ('FlowTrack-' + $key) @{ Direction = 'Inbound'; Protocol = $key.ToUpper() } `
        'LocalPort' $list
    } elseif ($kind -eq 'only') {
      Get-NetFirewallRule -Group 'FlowTrack' -ErrorAction SilentlyContinue |
        Where-Object { $named -notcontains $_.Name } | Remove-NetFirewallRule
    }
  }
} catch { [Console]::Error.WriteLine($_.Exception.Message); exit 1 }";

const LIST: &str = "\
$ErrorActionPreference = 'Stop'
Get-NetFirewallRule -Group 'FlowTrack' -ErrorAction SilentlyContinue | ForEach-Object {
  $addresses = ($_ | Get-NetFirewallAddressFilter).RemoteAddress -join ','
  $ports = ($_ | Get-NetFirewallPortFilter).LocalPort -join ','
  '{0}|{1}|{2}|{3}|{4}' -f $_.Name, $_.Enabled, $_.Action, $addresses, $ports
}";

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;
    use crate::config::RespondConfig;
    use crate::decision::{Origin, Wish};
    use crate::safety::{Safety, Surroundings};

    const NOW: Timestamp = Timestamp::from_secs(1_700_000_000);
    const READY: &str = "administrator True\r\nDomain True NotConfigured\r\n\
                         Private True NotConfigured\r\nPublic True True\r\n";

    /// Writes down what PowerShell is asked and answers from a script. It shows the order of the
    /// runs, and nothing of whether Windows does what they mean.
    #[derive(Clone)]
    struct Script {
        put: Arc<Mutex<Vec<String>>>,
        check: &'static str,
        list: &'static str,
        refuses: bool,
    }

    impl Default for Script {
        fn default() -> Self {
            Self { put: Arc::default(), check: READY, list: "", refuses: false }
        }
    }

    impl Script {
        fn windows(&self) -> Windows {
            let script = self.clone();
            Windows::speaking_to(Box::new(move |text, input| {
                let answer = match text {
                    CHECK => script.check,
                    LIST => script.list,
                    PUT if script.refuses => {
                        let message = "The address is invalid.".to_owned();
                        return Err(FirewallError::Refused { program: POWERSHELL, message });
                    }
                    PUT => {
                        let input = std::str::from_utf8(input).unwrap().to_owned();
                        script.put.lock().unwrap().push(input);
                        ""
                    }
                    other => panic!("unknown script {other}"),
                };
                Ok(answer.as_bytes().to_vec())
            }))
        }

        fn put(&self) -> Vec<String> {
            std::mem::take(&mut *self.put.lock().unwrap())
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
    fn starting_names_everything_and_takes_out_the_rest() {
        let script = Script::default();
        let blocks = ["192.0.2.1", "198.51.100.0/24", "2001:db8::/64", "23", "udp/53"].map(decide);
        script.windows().start(&blocks, NOW).unwrap();
        assert_eq!(
            script.put(),
            ["addresses 0 192.0.2.1,198.51.100.0/24,2001:db8::/64\n\
              ports tcp 23\nports udp 53\nonly\n"]
        );
        script.windows().start(&[], NOW).unwrap();
        assert_eq!(script.put(), ["only\n"]);
        script.windows().clear().unwrap();
        assert_eq!(script.put(), ["only\n"]);
    }

    #[test]
    fn a_change_writes_the_rules_that_change() {
        let script = Script::default();
        let mut windows = script.windows();
        let many: Vec<_> =
            (0..=MAX_PART).map(|n| decide(&format!("198.18.{}.{}", n >> 8, n & 255))).collect();
        windows.start(&many, NOW).unwrap();
        script.put();
        // The last address has a rule of its own; the first rule has no room.
        windows.change(&[decide("192.0.2.1")], &[], NOW).unwrap();
        assert_eq!(script.put(), ["addresses 1 192.0.2.1,198.18.1.244\n"]);
        let gone = ["198.18.1.244", "192.0.2.1", "203.0.113.9"].map(|what| what.parse().unwrap());
        windows.change(&[], &gone, NOW).unwrap();
        assert_eq!(script.put(), ["addresses 1 \n"], "rules without addresses go");
        windows.change(&[decide("23")], &["udp/53".parse().unwrap()], NOW).unwrap();
        assert_eq!(script.put(), ["ports tcp 23\n"]);
        // What is there, or is not, needs nothing.
        windows.change(&[decide("23")], &["23".parse().unwrap()], NOW).unwrap();
        windows.change(&[decide("198.18.0.0")], &["192.0.2.77".parse().unwrap()], NOW).unwrap();
        assert!(script.put().is_empty());
    }

    #[test]
    fn after_a_refusal_it_has_to_be_started_again() {
        let script = Script { refuses: true, ..Script::default() };
        let mut windows = script.windows();
        assert!(matches!(windows.start(&[], NOW), Err(FirewallError::Refused { .. })));
        assert_eq!(windows.change(&[decide("192.0.2.1")], &[], NOW), Err(FirewallError::Gone));
    }

    #[test]
    fn rules_are_read_as_windows_prints_them() {
        let list = "FlowTrack-0-in|True|Block|192.0.2.1,198.51.100.0/255.255.255.0,2001:db8::/64|Any\r\n\
                    FlowTrack-0-out|True|Block|192.0.2.1,198.51.100.0/255.255.255.0,2001:db8::/64|Any\r\n\
                    FlowTrack-1-in|True|Block|203.0.113.1|Any\r\n\
                    FlowTrack-1-out|False|Block|203.0.113.1|Any\r\n\
                    FlowTrack-2-in|True|Block|203.0.113.2|Any\r\n\
                    FlowTrack-tcp|True|Block|Any|23,8023\r\n\
                    FlowTrack-udp|True|Allow|Any|53\r\n\
                    Other|True|Block|203.0.113.3|Any\r\n";
        let script = Script { list, ..Script::default() };
        let found: Vec<_> =
            script.windows().list().unwrap().iter().map(|s| s.what.to_string()).collect();
        // What somebody turned off, or half of, does not block.
        assert_eq!(found, ["192.0.2.1", "198.51.100.0/24", "2001:db8::/64", "tcp/23", "tcp/8023"]);
        assert_eq!(Script::default().windows().list(), Err(FirewallError::Gone));
        assert_eq!(net("192.0.2.0/255.0.255.0"), None);
        assert_eq!(net("0.0.0.0/0.0.0.0").unwrap().to_string(), "0.0.0.0/0");
    }

    #[test]
    fn what_is_missing_is_said_with_what_to_do() {
        let said = |check| {
            let script = Script { check, ..Script::default() };
            script.windows().check().unwrap_err().to_string()
        };
        let off = said("administrator True\nDomain True True\nPublic False True\n");
        assert!(off.contains("kind Public;") && off.contains("Set-NetFirewallProfile"), "{off}");
        let policy = said("administrator True\nDomain True False\nPublic True True\n");
        assert!(policy.contains("kind Domain;") && policy.contains("group policy"), "{policy}");
        let user = said("administrator False\nDomain True True\n");
        assert!(user.contains("administrator"), "{user}");
        assert!(said("").contains("does not say"));
        assert!(Script::default().windows().check().is_ok());
    }

    #[test]
    fn scripts_pass_a_command_line_as_they_are() {
        for script in [CHECK, PUT, LIST] {
            assert!(!script.contains('"') && script.contains("'Stop'"), "{script}");
            let pairs = [('{', '}'), ('(', ')'), ('[', ']')];
            for (open, close) in pairs {
                assert_eq!(script.matches(open).count(), script.matches(close).count());
            }
        }
        assert!(PUT.contains("-split '\\r?\\n'"));
    }

    #[test]
    fn requests_cannot_be_limited() {
        let mut windows = Script::default().windows();
        let mut changed = Changed::default();
        let what = "requests/192.0.2.1/80".parse().unwrap();
        let error = windows.add(what, &mut changed).unwrap_err();
        assert!(matches!(error, FirewallError::Cannot { firewall: "windows", .. }), "{error}");
    }
}
