//! What is logged of a request and its answer.

use super::NAME;
use crate::{Field, Keyword, Text};
use flowtrack_event::{AppProto, Direction, Transaction};
use serde::{Serialize, Serializer};

pub(super) const FIELDS: &[Field] = &[
    Field::eve("tx_id", "integer", "number of the transaction in its flow, from 1"),
    Field::eve("request.message", "string", "what is asked, where it has no text"),
    Field::eve("request.protocol_version", "string", "version of the protocol"),
    Field::eve("request.startup_parameters.user", "string", "user"),
    Field::eve("request.startup_parameters.optional_parameters", "array", "other parameters"),
    Field::eve("request.password_redacted", "boolean", "a password was sent and is not kept"),
    Field::eve("request.sasl_authentication_mechanism", "string", "way to log in"),
    Field::eve("request.sasl_param", "string", "first message of it"),
    Field::eve("request.sasl_response", "string", "answer to a challenge"),
    Field::eve("request.simple_query", "string", "query"),
    Field::added("request.query", "string", "query of the extended protocol"),
    Field::eve("request.process_id", "integer", "process to cancel"),
    Field::eve("request.secret_key", "integer", "the right to do so"),
    Field::eve("request.copy_data_in.msg_count", "integer", "messages of data"),
    Field::eve("request.copy_data_in.data_size", "integer", "bytes of data"),
    Field::eve("response.ssl_accepted", "boolean", "whether TLS begins"),
    Field::eve("response.message", "string", "what the server says"),
    Field::eve("response.authentication_sasl_final", "string", "proof of the server"),
    Field::eve("response.parameter_status", "array", "parameters of the session"),
    Field::eve("response.process_id", "integer", "process of the session"),
    Field::eve("response.secret_key", "integer", "key to cancel with"),
    Field::eve("response.field_count", "integer", "columns of the answer"),
    Field::eve("response.data_rows", "integer", "rows of the answer"),
    Field::eve("response.data_size", "integer", "bytes of the rows"),
    Field::eve("response.command_completed", "string", "what was done"),
    Field::eve("response.copy_in_response.columns", "integer", "columns to copy"),
    Field::eve("response.copy_out_response.columns", "integer", "columns copied"),
    Field::eve("response.copy_data_out.row_count", "integer", "rows copied"),
    Field::eve("response.copy_data_out.data_size", "integer", "bytes copied"),
    Field::eve("response.severity_localizable", "string", "severity of an error"),
    Field::eve("response.severity_non_localizable", "string", "the same, never translated"),
    Field::eve("response.code", "string", "code of an error"),
    Field::eve("response.file", "string", "where the server raised it"),
    Field::eve("response.line", "string", "in which line"),
    Field::eve("response.routine", "string", "in which routine"),
];

pub(super) const KEYWORDS: &[Keyword] = &[Keyword::buffer("pgsql.query", "query").to_server()];

/// A request and its answer.
#[derive(Clone, Default, Debug, Serialize)]
pub(super) struct Exchange {
    pub(super) tx_id: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) request: Option<Request>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) response: Option<Response>,
}

impl Exchange {
    pub(super) fn response(&mut self) -> &mut Response {
        self.response.get_or_insert_default()
    }
}

#[derive(Clone, Default, Debug, Serialize)]
pub(super) struct Request {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) message: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) protocol_version: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) startup_parameters: Option<Startup>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) password_redacted: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) sasl_authentication_mechanism: Option<Text>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) sasl_param: Option<Text>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) sasl_response: Option<Text>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) simple_query: Option<Text>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) query: Option<Text>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) process_id: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) secret_key: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "copied_in")]
    pub(super) copy_data_in: Option<Copied>,
}

#[derive(Clone, Default, Debug, Serialize)]
pub(super) struct Startup {
    pub(super) user: Text,
    #[serde(skip_serializing_if = "Vec::is_empty", serialize_with = "objects")]
    pub(super) optional_parameters: Vec<(Text, Text)>,
}

#[expect(clippy::struct_field_names, reason = "the names are those of the record")]
#[derive(Clone, Default, Debug, Serialize)]
pub(super) struct Response {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) ssl_accepted: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) message: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) authentication_sasl_final: Option<Text>,
    #[serde(skip_serializing_if = "Vec::is_empty", serialize_with = "objects")]
    pub(super) parameter_status: Vec<(Text, Text)>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) process_id: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) secret_key: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) field_count: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) data_rows: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) data_size: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) command_completed: Option<Text>,
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "columns")]
    pub(super) copy_in_response: Option<Copied>,
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "columns")]
    pub(super) copy_out_response: Option<Copied>,
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "copied_out")]
    pub(super) copy_data_out: Option<Copied>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) severity_localizable: Option<Text>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) severity_non_localizable: Option<Text>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) code: Option<Text>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) file: Option<Text>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) line: Option<Text>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) routine: Option<Text>,
}

/// Data copied in or out: messages, or columns where they are announced, and bytes.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct Copied {
    count: u64,
    size: u64,
}

impl Copied {
    pub(super) fn columns(columns: u16) -> Self {
        Self { count: columns.into(), size: 0 }
    }

    pub(super) const fn add(&mut self, bytes: usize) {
        self.count = self.count.saturating_add(1);
        self.size = self.size.saturating_add(bytes as u64);
    }
}

/// Each pair as an object of its own.
fn objects<S: Serializer>(pairs: &[(Text, Text)], s: S) -> Result<S::Ok, S::Error> {
    struct Pair<'a>(&'a Text, &'a Text);
    impl Serialize for Pair<'_> {
        fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
            s.collect_map([(self.0, self.1)])
        }
    }
    s.collect_seq(pairs.iter().map(|(name, value)| Pair(name, value)))
}

#[expect(clippy::ref_option, reason = "as serde calls it")]
fn copied_in<S: Serializer>(copied: &Option<Copied>, s: S) -> Result<S::Ok, S::Error> {
    let Copied { count, size } = copied.unwrap_or_default();
    s.collect_map([("msg_count", count), ("data_size", size)])
}

#[expect(clippy::ref_option, reason = "as serde calls it")]
fn copied_out<S: Serializer>(copied: &Option<Copied>, s: S) -> Result<S::Ok, S::Error> {
    let Copied { count, size } = copied.unwrap_or_default();
    s.collect_map([("row_count", count), ("data_size", size)])
}

#[expect(clippy::ref_option, reason = "as serde calls it")]
fn columns<S: Serializer>(copied: &Option<Copied>, s: S) -> Result<S::Ok, S::Error> {
    s.collect_map([("columns", copied.unwrap_or_default().count)])
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
            self.buffer(name, visit);
        }
    }

    fn buffer(&self, name: &str, visit: &mut dyn FnMut(&[u8])) {
        if name == "pgsql.query"
            && let Some(request) = &self.request
        {
            request.simple_query.iter().chain(&request.query).for_each(|query| visit(query));
        }
    }

    fn summary(&self) -> String {
        let request = self.request.as_ref();
        let asked = request.and_then(|r| {
            let query = r.simple_query.as_ref().or(r.query.as_ref()).map(ToString::to_string);
            let login = r.startup_parameters.as_ref().map(|s| format!("login {}", s.user));
            query.or(login).or_else(|| r.message.map(str::to_owned))
        });
        let response = self.response.as_ref();
        let answered = response.and_then(|r| {
            let done = r.command_completed.as_ref().map(ToString::to_string);
            done.or_else(|| r.message.clone())
        });
        match (asked, answered) {
            (Some(asked), Some(answered)) => format!("{asked} -> {answered}"),
            (asked, answered) => asked.or(answered).unwrap_or_default(),
        }
    }
}
