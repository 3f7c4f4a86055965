//! Messages of LDAP.

use super::NAME;
use crate::ber::{self, Ber};
use crate::{Keyword, Outcome};
use flowtrack_event::{AppProto, Direction, LoginOutcome, Secret, Transaction, WireText, words};
use serde::ser::{Serialize, SerializeMap, Serializer};

pub const BIND_REQUEST: u8 = 0x60;
pub const UNBIND_REQUEST: u8 = 0x42;
const ABANDON_REQUEST: u8 = 0x50;
const SEARCH_ENTRY: u8 = 0x64;
const SEARCH_REFERENCE: u8 = 0x73;
const EXTENDED_REQUEST: u8 = 0x77;
const INTERMEDIATE: u8 = 0x79;

/// Answers to one request that are kept; more are counted.
const ANSWER_CAP: usize = 128;
/// Attributes, values and changes that are kept of one message.
const LIST_CAP: usize = 128;
/// Bytes of one text that are kept.
const TEXT_CAP: usize = 4096;

type Text = Vec<u8>;

/// A message.
#[derive(Clone, Debug)]
pub struct Message {
    /// Its number, which answers repeat.
    pub id: u32,
    tag: u8,
    operation: Operation,
}

/// What a message says.
#[derive(Clone, Debug)]
enum Operation {
    Bind { version: u32, name: Text, sasl: Option<(Text, Option<Text>)> },
    Unbind,
    Search(Box<Search>),
    Modify { object: Text, changes: Vec<(u32, Attribute)> },
    Add { entry: Text, attributes: Vec<Attribute> },
    Delete(Text),
    ModifyDn { entry: Text, new_rdn: Text, delete_old: bool, superior: Option<Text> },
    Compare { entry: Text, description: Text, value: Text },
    Abandon(u32),
    Extended { name: Text, value: Option<Text> },
    Entry { name: Text, attributes: Vec<Attribute> },
    Reference,
    Intermediate { name: Option<Text>, value: Option<Text> },
    Result { code: u32, matched: Text, message: Text, extra: Extra },
}

#[derive(Clone, Debug)]
struct Search {
    base: Text,
    scope: u32,
    deref: u32,
    size_limit: u32,
    time_limit: u32,
    types_only: bool,
    attributes: Vec<Text>,
}

/// What some results add.
#[derive(Clone, Default, Debug)]
struct Extra {
    sasl: Option<Text>,
    name: Option<Text>,
    value: Option<Text>,
}

#[derive(Clone, Debug)]
struct Attribute {
    name: Text,
    values: Vec<Text>,
}

fn keep(bytes: &[u8]) -> Text {
    bytes.get(..TEXT_CAP).unwrap_or(bytes).to_vec()
}

impl Message {
    /// Reads a whole message.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let mut message = Ber::new(bytes).inside(ber::SEQUENCE)?;
        let id = message.number(ber::INTEGER)?;
        let (tag, value) = message.next()?;
        let operation = Operation::parse(tag, value)?;
        Some(Self { id, tag, operation })
    }

    /// Whether it asks for something.
    pub fn is_request(&self) -> bool {
        !matches!(
            self.operation,
            Operation::Entry { .. }
                | Operation::Reference
                | Operation::Intermediate { .. }
                | Operation::Result { .. }
        )
    }

    /// Whether it is the last answer to its request.
    pub fn is_last(&self) -> bool {
        matches!(self.operation, Operation::Result { .. })
    }

    /// Whether it is a result that says all went well.
    pub fn succeeded(&self) -> bool {
        matches!(self.operation, Operation::Result { code: 0, .. })
    }
}

impl Operation {
    fn parse(tag: u8, value: &[u8]) -> Option<Self> {
        let mut fields = Ber::new(value);
        Some(match tag {
            BIND_REQUEST => {
                const SASL: u8 = 0xa3;
                let version = fields.number(ber::INTEGER)?;
                let name = keep(fields.value(ber::OCTET_STRING)?);
                let sasl = fields.inside(SASL).and_then(|mut sasl| {
                    let mechanism = keep(sasl.value(ber::OCTET_STRING)?);
                    Some((mechanism, sasl.value(ber::OCTET_STRING).map(keep)))
                });
                Self::Bind { version, name, sasl }
            }
            UNBIND_REQUEST => Self::Unbind,
            0x63 => Self::Search(Box::new(Search::parse(&mut fields)?)),
            0x66 => {
                let object = keep(fields.value(ber::OCTET_STRING)?);
                let mut list = fields.inside(ber::SEQUENCE)?;
                let mut changes = Vec::new();
                while let Some(mut change) = list.inside(ber::SEQUENCE) {
                    let operation = change.number(ber::ENUMERATED)?;
                    if changes.len() < LIST_CAP {
                        changes.push((operation, attribute(change.inside(ber::SEQUENCE)?)?));
                    }
                }
                Self::Modify { object, changes }
            }
            0x68 => {
                let entry = keep(fields.value(ber::OCTET_STRING)?);
                Self::Add { entry, attributes: attributes(fields.inside(ber::SEQUENCE)?) }
            }
            0x4a => Self::Delete(keep(value)),
            0x6c => {
                const BOOLEAN: u8 = 0x01;
                let entry = keep(fields.value(ber::OCTET_STRING)?);
                let new_rdn = keep(fields.value(ber::OCTET_STRING)?);
                let delete_old = fields.value(BOOLEAN)?.first().is_some_and(|&b| b != 0);
                Self::ModifyDn {
                    entry,
                    new_rdn,
                    delete_old,
                    superior: fields.value(0x80).map(keep),
                }
            }
            0x6e => {
                let entry = keep(fields.value(ber::OCTET_STRING)?);
                let mut assertion = fields.inside(ber::SEQUENCE)?;
                Self::Compare {
                    entry,
                    description: keep(assertion.value(ber::OCTET_STRING)?),
                    value: keep(assertion.value(ber::OCTET_STRING)?),
                }
            }
            ABANDON_REQUEST => Self::Abandon(ber::number(value)?),
            EXTENDED_REQUEST => Self::Extended {
                name: keep(fields.value(0x80)?),
                value: fields.value(0x81).map(keep),
            },
            SEARCH_ENTRY => {
                let name = keep(fields.value(ber::OCTET_STRING)?);
                Self::Entry { name, attributes: attributes(fields.inside(ber::SEQUENCE)?) }
            }
            SEARCH_REFERENCE => Self::Reference,
            INTERMEDIATE => Self::Intermediate {
                name: fields.value(0x80).map(keep),
                value: fields.value(0x81).map(keep),
            },
            0x61 | 0x65 | 0x67 | 0x69 | 0x6b | 0x6d | 0x6f | 0x78 => {
                let code = fields.number(ber::ENUMERATED)?;
                let matched = keep(fields.value(ber::OCTET_STRING)?);
                let message = keep(fields.value(ber::OCTET_STRING)?);
                let mut extra = Extra::default();
                while let Some((tag, value)) = fields.next() {
                    match tag {
                        0x87 => extra.sasl = Some(keep(value)),
                        0x8a => extra.name = Some(keep(value)),
                        0x8b => extra.value = Some(keep(value)),
                        _ => {}
                    }
                }
                Self::Result { code, matched, message, extra }
            }
            _ => return None,
        })
    }
}

impl Search {
    fn parse(fields: &mut Ber<'_>) -> Option<Self> {
        const BOOLEAN: u8 = 0x01;
        let base = keep(fields.value(ber::OCTET_STRING)?);
        let scope = fields.number(ber::ENUMERATED)?;
        let deref = fields.number(ber::ENUMERATED)?;
        let size_limit = fields.number(ber::INTEGER)?;
        let time_limit = fields.number(ber::INTEGER)?;
        let types_only = fields.value(BOOLEAN)?.first().is_some_and(|&b| b != 0);
        let _filter = fields.next()?;
        let mut attributes = Vec::new();
        if let Some(mut list) = fields.inside(ber::SEQUENCE) {
            while let Some((_, name)) = list.next() {
                if attributes.len() < LIST_CAP {
                    attributes.push(keep(name));
                }
            }
        }
        Some(Self { base, scope, deref, size_limit, time_limit, types_only, attributes })
    }
}

fn attributes(mut list: Ber<'_>) -> Vec<Attribute> {
    let mut found = Vec::new();
    while let Some(one) = list.inside(ber::SEQUENCE) {
        if found.len() == LIST_CAP {
            break;
        }
        found.extend(attribute(one));
    }
    found
}

fn attribute(mut fields: Ber<'_>) -> Option<Attribute> {
    let name = keep(fields.value(ber::OCTET_STRING)?);
    let mut values = Vec::new();
    if let Some(mut set) = fields.inside(ber::SET) {
        while let Some((_, value)) = set.next() {
            if values.len() < LIST_CAP {
                values.push(keep(value));
            }
        }
    }
    Some(Attribute { name, values })
}

/// A request and its answers.
#[derive(Clone, Default, Debug)]
pub struct Exchange {
    request: Option<Message>,
    responses: Vec<Message>,
}

impl Exchange {
    /// Before its first answer.
    pub fn of(request: Message) -> Self {
        Self { request: Some(request), responses: Vec::new() }
    }

    /// Number of the request.
    pub fn message_id(&self) -> Option<u32> {
        self.request.as_ref().map(|request| request.id)
    }

    /// Whether an answer to it may come.
    pub fn awaits_answer(&self) -> bool {
        self.request
            .as_ref()
            .is_some_and(|r| !matches!(r.operation, Operation::Unbind | Operation::Abandon(_)))
    }

    /// Whether it is the extended operation of this number.
    pub fn is_extended(&self, number: &[u8]) -> bool {
        self.request.as_ref().is_some_and(
            |r| matches!(&r.operation, Operation::Extended { name, .. } if name == number),
        )
    }

    /// Adds an answer.
    pub fn answer(&mut self, response: Message) {
        if self.responses.len() < ANSWER_CAP {
            self.responses.push(response);
        }
    }

    /// Tells what a bind means for who logs on (RFC 4511 section 4.2, RFC 4513 section 5.1).
    pub fn login(&self, out: &mut Outcome) {
        let Some(Operation::Bind { name, sasl, .. }) = self.request.as_ref().map(|r| &r.operation)
        else {
            return;
        };
        let Some(Operation::Result { code, .. }) = self.responses.last().map(|r| &r.operation)
        else {
            return;
        };
        let outcome = match code {
            0 => LoginOutcome::Granted,
            49 => LoginOutcome::Refused,
            _ => return,
        };
        match sasl {
            Some((mechanism, _)) => out.login(name, outcome, crate::login::secret(mechanism)),
            // Nobody in particular.
            None if name.is_empty() => {}
            None => out.login(name, outcome, Secret::Readable),
        }
    }

    fn messages(&self) -> impl Iterator<Item = &Message> {
        self.request.iter().chain(&self.responses)
    }
}

impl Serialize for Exchange {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        let mut map = s.serialize_map(None)?;
        if let Some(request) = &self.request {
            map.serialize_entry("request", &MessageRecord { message: request, id: true })?;
        }
        if !self.responses.is_empty() {
            let id = self.request.is_none();
            let responses: Vec<_> =
                self.responses.iter().map(|message| MessageRecord { message, id }).collect();
            map.serialize_entry("responses", &responses)?;
        }
        map.end()
    }
}

struct MessageRecord<'a> {
    message: &'a Message,
    id: bool,
}

impl Serialize for MessageRecord<'_> {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        let mut map = s.serialize_map(None)?;
        let name = operation_name(self.message.tag);
        map.serialize_entry("operation", name)?;
        if self.id {
            map.serialize_entry("message_id", &self.message.id)?;
        }
        if !matches!(self.message.operation, Operation::Unbind | Operation::Reference) {
            map.serialize_entry(name, &self.message.operation)?;
        }
        map.end()
    }
}

struct Texts<'a>(&'a [Text]);

impl Serialize for Texts<'_> {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_seq(self.0.iter().map(|text| WireText(text)))
    }
}

impl Serialize for Operation {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        let mut map = s.serialize_map(None)?;
        match self {
            Self::Bind { version, name, sasl } => {
                map.serialize_entry("version", version)?;
                map.serialize_entry("name", &WireText(name))?;
                if let Some((mechanism, credentials)) = sasl {
                    map.serialize_entry("sasl", &Sasl { mechanism, credentials })?;
                }
            }
            Self::Unbind | Self::Reference => {}
            Self::Search(search) => {
                map.serialize_entry("base_object", &WireText(&search.base))?;
                map.serialize_entry("scope", &search.scope)?;
                map.serialize_entry("deref_alias", &search.deref)?;
                map.serialize_entry("size_limit", &search.size_limit)?;
                map.serialize_entry("time_limit", &search.time_limit)?;
                map.serialize_entry("types_only", &search.types_only)?;
                if !search.attributes.is_empty() {
                    map.serialize_entry("attributes", &Texts(&search.attributes))?;
                }
            }
            Self::Modify { object, changes } => {
                map.serialize_entry("object", &WireText(object))?;
                let changes: Vec<_> = changes.iter().map(ChangeRecord).collect();
                if !changes.is_empty() {
                    map.serialize_entry("changes", &changes)?;
                }
            }
            Self::Add { entry, attributes } => {
                map.serialize_entry("entry", &WireText(entry))?;
                let attributes: Vec<_> =
                    attributes.iter().map(|a| AttributeRecord("name", "values", a)).collect();
                if !attributes.is_empty() {
                    map.serialize_entry("attributes", &attributes)?;
                }
            }
            Self::Delete(dn) => map.serialize_entry("dn", &WireText(dn))?,
            Self::ModifyDn { entry, new_rdn, delete_old, superior } => {
                map.serialize_entry("entry", &WireText(entry))?;
                map.serialize_entry("new_rdn", &WireText(new_rdn))?;
                map.serialize_entry("delete_old_rdn", delete_old)?;
                if let Some(superior) = superior {
                    map.serialize_entry("new_superior", &WireText(superior))?;
                }
            }
            Self::Compare { entry, description, value } => {
                map.serialize_entry("entry", &WireText(entry))?;
                map.serialize_entry(
                    "attribute_value_assertion",
                    &Assertion { description, value },
                )?;
            }
            Self::Abandon(id) => map.serialize_entry("message_id", id)?,
            Self::Extended { name, value } => {
                map.serialize_entry("name", &WireText(name))?;
                if let Some(value) = value {
                    map.serialize_entry("value", &WireText(value))?;
                }
            }
            Self::Entry { name, attributes } => {
                map.serialize_entry("base_object", &WireText(name))?;
                let attributes: Vec<_> =
                    attributes.iter().map(|a| AttributeRecord("type", "values", a)).collect();
                if !attributes.is_empty() {
                    map.serialize_entry("attributes", &attributes)?;
                }
            }
            Self::Intermediate { name, value } => {
                for (key, text) in [("name", name), ("value", value)] {
                    if let Some(text) = text {
                        map.serialize_entry(key, &WireText(text))?;
                    }
                }
            }
            Self::Result { code, matched, message, extra } => {
                map.serialize_entry("result_code", &result_name(*code))?;
                map.serialize_entry("matched_dn", &WireText(matched))?;
                map.serialize_entry("message", &WireText(message))?;
                let extra = [
                    ("server_sasl_creds", &extra.sasl),
                    ("name", &extra.name),
                    ("value", &extra.value),
                ];
                for (key, text) in extra {
                    if let Some(text) = text {
                        map.serialize_entry(key, &WireText(text))?;
                    }
                }
            }
        }
        map.end()
    }
}

struct Sasl<'a> {
    mechanism: &'a Text,
    credentials: &'a Option<Text>,
}

impl Serialize for Sasl<'_> {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        let mut map = s.serialize_map(None)?;
        map.serialize_entry("mechanism", &WireText(self.mechanism))?;
        if let Some(credentials) = self.credentials {
            map.serialize_entry("credentials", &WireText(credentials))?;
        }
        map.end()
    }
}

struct Assertion<'a> {
    description: &'a Text,
    value: &'a Text,
}

impl Serialize for Assertion<'_> {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        let mut map = s.serialize_map(None)?;
        map.serialize_entry("description", &WireText(self.description))?;
        map.serialize_entry("value", &WireText(self.value))?;
        map.end()
    }
}

struct AttributeRecord<'a>(&'static str, &'static str, &'a Attribute);

impl Serialize for AttributeRecord<'_> {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        let mut map = s.serialize_map(None)?;
        map.serialize_entry(self.0, &WireText(&self.2.name))?;
        // Who takes an attribute away need not say which values it has.
        if !self.2.values.is_empty() {
            map.serialize_entry(self.1, &Texts(&self.2.values))?;
        }
        map.end()
    }
}

struct ChangeRecord<'a>(&'a (u32, Attribute));

impl Serialize for ChangeRecord<'_> {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        let (operation, attribute) = self.0;
        let name = match operation {
            0 => "add",
            1 => "delete",
            2 => "replace",
            3 => "increment",
            _ => "unknown",
        };
        let mut map = s.serialize_map(None)?;
        map.serialize_entry("operation", name)?;
        let modification = AttributeRecord("attribute_type", "attribute_values", attribute);
        map.serialize_entry("modification", &modification)?;
        map.end()
    }
}

impl Transaction for Exchange {
    fn protocol(&self) -> AppProto {
        NAME
    }

    fn record(&self) -> &dyn erased_serde::Serialize {
        self
    }

    fn buffer_towards(&self, direction: Direction, name: &str, visit: &mut dyn FnMut(&[u8])) {
        if direction == Direction::ToServer {
            match (name, &self.request) {
                ("ldap.request.dn", Some(request)) => request.dn(visit),
                ("ldap.request.attribute_type", Some(request)) => request.attribute_types(visit),
                _ => {}
            }
            return;
        }
        for response in &self.responses {
            match (name, &response.operation) {
                ("ldap.responses.dn", _) => response.dn(visit),
                ("ldap.responses.attribute_type", _) => response.attribute_types(visit),
                ("ldap.responses.message", Operation::Result { message, .. }) => visit(message),
                _ => {}
            }
        }
    }

    fn number(&self, direction: Direction, name: &str, visit: &mut dyn FnMut(u64)) {
        let number = |message: &Message| u64::from(message.tag & 0x1f);
        if direction == Direction::ToServer {
            if name == "ldap.request.operation" {
                self.request.iter().for_each(|request| visit(number(request)));
            }
            return;
        }
        match name {
            "ldap.responses.operation" => self.responses.iter().for_each(|r| visit(number(r))),
            "ldap.responses.count" => visit(self.responses.len() as u64),
            "ldap.responses.result_code" => {
                for response in &self.responses {
                    if let Operation::Result { code, .. } = &response.operation {
                        visit((*code).into());
                    }
                }
            }
            _ => {}
        }
    }

    fn summary(&self) -> String {
        let mut text = self.messages().next().map_or_else(String::new, |first| {
            let mut text = operation_name(first.tag).replace('_', " ");
            first.dn(&mut |dn| text.push_str(&format!(" {}", WireText(dn))));
            text
        });
        let entries = self.responses.iter().filter(|r| r.tag == SEARCH_ENTRY).count();
        if entries > 0 {
            text.push_str(&format!(", {entries} found"));
        }
        if let Some(Message { operation: Operation::Result { code, .. }, .. }) =
            self.responses.last()
        {
            text.push_str(&format!(", {}", result_name(*code)));
        }
        text
    }
}

impl Message {
    /// The name of the entry that it is about.
    fn dn(&self, visit: &mut dyn FnMut(&[u8])) {
        match &self.operation {
            Operation::Bind { name: dn, .. }
            | Operation::Modify { object: dn, .. }
            | Operation::Add { entry: dn, .. }
            | Operation::Delete(dn)
            | Operation::ModifyDn { entry: dn, .. }
            | Operation::Compare { entry: dn, .. }
            | Operation::Entry { name: dn, .. }
            | Operation::Result { matched: dn, .. } => visit(dn),
            Operation::Search(search) => visit(&search.base),
            Operation::Unbind
            | Operation::Abandon(_)
            | Operation::Extended { .. }
            | Operation::Reference
            | Operation::Intermediate { .. } => {}
        }
    }

    fn attribute_types(&self, visit: &mut dyn FnMut(&[u8])) {
        match &self.operation {
            Operation::Search(search) => search.attributes.iter().for_each(|a| visit(a)),
            Operation::Modify { changes, .. } => changes.iter().for_each(|(_, a)| visit(&a.name)),
            Operation::Add { attributes, .. } | Operation::Entry { attributes, .. } => {
                for attribute in attributes {
                    visit(&attribute.name);
                }
            }
            Operation::Compare { description, .. } => visit(description),
            _ => {}
        }
    }
}

const fn operation_name(tag: u8) -> &'static str {
    match tag {
        BIND_REQUEST => "bind_request",
        0x61 => "bind_response",
        UNBIND_REQUEST => "unbind_request",
        0x63 => "search_request",
        SEARCH_ENTRY => "search_result_entry",
        0x65 => "search_result_done",
        0x66 => "modify_request",
        0x67 => "modify_response",
        0x68 => "add_request",
        0x69 => "add_response",
        0x4a => "del_request",
        0x6b => "del_response",
        0x6c => "mod_dn_request",
        0x6d => "mod_dn_response",
        0x6e => "compare_request",
        0x6f => "compare_response",
        ABANDON_REQUEST => "abandon_request",
        SEARCH_REFERENCE => "search_result_reference",
        EXTENDED_REQUEST => "extended_request",
        0x78 => "extended_response",
        INTERMEDIATE => "intermediate_response",
        _ => "unknown",
    }
}

fn result_name(code: u32) -> String {
    let known = words::LDAP_RESULTS.iter().find(|(_, number)| *number == u64::from(code));
    known.map_or_else(|| format!("unknown-{code}"), |(name, _)| (*name).to_owned())
}

/// What rules may ask for.
pub const KEYWORDS: &[Keyword] = &[
    Keyword::number("ldap.request.operation", "what is asked")
        .to_server()
        .named(words::LDAP_REQUESTS),
    Keyword::buffer("ldap.request.dn", "entry that is asked about").to_server(),
    Keyword::buffer("ldap.request.attribute_type", "attributes asked for").to_server().multi(),
    Keyword::number("ldap.responses.operation", "what is answered")
        .to_client()
        .multi()
        .named(words::LDAP_RESPONSES),
    Keyword::number("ldap.responses.count", "how many answers there are").to_client(),
    Keyword::number("ldap.responses.result_code", "results")
        .to_client()
        .multi()
        .named(words::LDAP_RESULTS),
    Keyword::buffer("ldap.responses.message", "what is said of a result").to_client().multi(),
    Keyword::buffer("ldap.responses.dn", "entries that are told").to_client().multi(),
    Keyword::buffer("ldap.responses.attribute_type", "attributes that are told")
        .to_client()
        .multi(),
];
