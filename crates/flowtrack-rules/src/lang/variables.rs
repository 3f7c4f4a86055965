//! What the names in rule headers stand for (`$HOME_NET`, `$HTTP_PORTS`).

use super::{Addresses, Ports, did_you_mean};
use crate::Complaint;
use std::collections::BTreeMap;

/// Address and port variables, by name without the `$`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Variables {
    addresses: BTreeMap<String, String>,
    ports: BTreeMap<String, String>,
}

impl Default for Variables {
    /// The names that rules of the field use, with private networks as one's own.
    fn default() -> Self {
        let table = |pairs: &[(&str, &str)]| {
            pairs.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect()
        };
        Self { addresses: table(ADDRESSES), ports: table(PORTS) }
    }
}

impl Variables {
    /// Sets an address variable; replaces what it was.
    pub fn set_address(&mut self, name: &str, text: &str) {
        self.addresses.insert(name.trim_start_matches('$').to_owned(), text.to_owned());
    }

    /// Sets a port variable; replaces what it was.
    pub fn set_port(&mut self, name: &str, text: &str) {
        self.ports.insert(name.trim_start_matches('$').to_owned(), text.to_owned());
    }

    /// The set of addresses that `text` means.
    pub fn addresses(&self, text: &str) -> Result<Addresses, Complaint> {
        Addresses::parse(text, &|name| {
            look_up(name, &self.addresses, "addresses", &self.ports, "ports")
        })
    }

    /// The set of ports that `text` means.
    pub fn ports(&self, text: &str) -> Result<Ports, Complaint> {
        Ports::parse(text, &|name| {
            look_up(name, &self.ports, "ports", &self.addresses, "addresses")
        })
    }

    /// Says what is wrong with the variables themselves, each with its name.
    pub fn problems(&self) -> Vec<(String, Complaint)> {
        let addresses = self.addresses.iter().filter_map(|(name, text)| {
            self.addresses(text).err().map(|complaint| (name.clone(), complaint))
        });
        let ports = self.ports.iter().filter_map(|(name, text)| {
            self.ports(text).err().map(|complaint| (name.clone(), complaint))
        });
        addresses.chain(ports).collect()
    }
}

fn look_up<'v>(
    name: &str,
    table: &'v BTreeMap<String, String>,
    kind: &str,
    other: &BTreeMap<String, String>,
    other_kind: &str,
) -> Result<&'v str, String> {
    if let Some(text) = table.get(name) {
        return Ok(text);
    }
    if other.contains_key(name) {
        return Err(format!("${name} is a variable of {other_kind}, expected one of {kind}"));
    }
    let near = did_you_mean(name, table.keys().map(String::as_str));
    Err(format!("no variable ${name} of {kind}{near}"))
}

/// Address variables that rules of the field use.
const ADDRESSES: &[(&str, &str)] = &[
    ("HOME_NET", "[192.168.0.0/16,10.0.0.0/8,172.16.0.0/12]"),
    ("EXTERNAL_NET", "!$HOME_NET"),
    ("HTTP_SERVERS", "$HOME_NET"),
    ("SMTP_SERVERS", "$HOME_NET"),
    ("SQL_SERVERS", "$HOME_NET"),
    ("DNS_SERVERS", "$HOME_NET"),
    ("TELNET_SERVERS", "$HOME_NET"),
    ("AIM_SERVERS", "$EXTERNAL_NET"),
    ("DC_SERVERS", "$HOME_NET"),
    ("DNP3_SERVER", "$HOME_NET"),
    ("DNP3_CLIENT", "$HOME_NET"),
    ("MODBUS_CLIENT", "$HOME_NET"),
    ("MODBUS_SERVER", "$HOME_NET"),
    ("ENIP_CLIENT", "$HOME_NET"),
    ("ENIP_SERVER", "$HOME_NET"),
];

/// Port variables that rules of the field use.
const PORTS: &[(&str, &str)] = &[
    ("HTTP_PORTS", "80"),
    ("SHELLCODE_PORTS", "!80"),
    ("ORACLE_PORTS", "1521"),
    ("SSH_PORTS", "22"),
    ("DNP3_PORTS", "20000"),
    ("MODBUS_PORTS", "502"),
    ("FILE_DATA_PORTS", "[$HTTP_PORTS,110,143]"),
    ("FTP_PORTS", "21"),
    ("GENEVE_PORTS", "6081"),
    ("VXLAN_PORTS", "4789"),
    ("TEREDO_PORTS", "3544"),
    ("SIP_PORTS", "[5060,5061]"),
];

#[cfg(test)]
mod tests;
