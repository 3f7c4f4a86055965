//! Conditions on the application protocol: `app-layer-protocol`, `app-layer-event`.

use crate::builder::{Builder, Complaint, Keyword, Needs, Value};
use crate::context::Context;
use crate::lang::{Protocol, did_you_mean};
use crate::signature::Test;
use flowtrack_event::{AppProto, AppRecord, Direction};

/// The family.
pub(crate) const KEYWORDS: &[Keyword] = &[
    Keyword {
        name: "app-layer-protocol",
        aliases: &[],
        doc: "which application protocol was recognised, or was not (`!http`, `failed`)",
        example: "alert tcp any any -> any 80 (app-layer-protocol:!http; sid:1;)",
        parse: protocol,
    },
    Keyword {
        name: "app-layer-event",
        aliases: &[],
        doc: "what a protocol's reader found odd",
        example: "alert http any any -> any any (app-layer-event:http.request_field_missing_colon; sid:1;)",
        parse: event,
    },
    Keyword {
        name: "app-layer-state",
        aliases: &[],
        doc: "how far one way of a transaction was read: a state of its protocol, beyond one \
              (`>request_headers`), or before one (`<request_complete`) when packets were judged; \
              transactions are judged when they are whole",
        example: "alert http any any -> any any (app-layer-state:>request_headers; sid:1;)",
        parse: state,
    },
];

/// What one way of a transaction goes through, to the server and to the client.
struct States {
    app: &'static str,
    ways: [&'static [&'static str]; 2],
    /// The state in which a way of it is while its packets come: those that end the states before
    /// it come at once.
    between: [usize; 2],
}

/// What transactions of protocols go through; those of others only begin and end.
const STATES: &[States] = &[
    States {
        app: "http",
        ways: [
            &[
                "request_started",
                "request_line",
                "request_headers",
                "request_body",
                "request_trailer",
                "request_complete",
            ],
            &[
                "response_started",
                "response_line",
                "response_headers",
                "response_body",
                "response_trailer",
                "response_complete",
            ],
        ],
        between: [3, 3],
    },
    States {
        app: "tls",
        ways: [
            &[
                "client_in_progress",
                "client_hello_done",
                "client_cert_done",
                "client_handshake_done",
                "client_finished",
            ],
            &[
                "server_in_progress",
                "server_hello",
                "server_cert_done",
                "server_hello_done",
                "server_handshake_done",
                "server_finished",
            ],
        ],
        between: [1, 1],
    },
];

/// What transactions of all other protocols go through.
const ANY: [&[&str]; 2] =
    [&["request_started", "request_complete"], &["response_started", "response_complete"]];

/// Of which bytes the name is asked.
#[derive(Clone, Copy, Debug)]
enum Of {
    /// The way that the packet goes.
    Direction,
    ToServer,
    ToClient,
    Either,
    Both,
    Final,
    Original,
}

#[derive(Debug)]
struct Speaks {
    /// In lower case, as EVE writes it; `failed` where nothing was recognised.
    name: String,
    of: Of,
    /// Whether protocols of the same family do not count.
    exact: bool,
    wanted: bool,
}

impl Speaks {
    fn is(&self, app: AppProto) -> bool {
        let name = app.name();
        name == self.name
            || !self.exact
                && match self.name.as_str() {
                    "http" | "http2" if name == "doh2" => self.name == "http2",
                    "http" => name == "http2",
                    "http1" => name == "http",
                    "dcerpc" => name == "smb",
                    "dns" => name == "doh2",
                    _ => false,
                }
    }
}

impl Test for Speaks {
    fn test(&self, cx: &mut Context<'_>) -> bool {
        let direction = cx.direction;
        let Some(app) = cx.flow.as_ref().and_then(|flow| flow.app) else {
            // Not decided yet: neither is this protocol spoken, nor another one.
            return false;
        };
        let towards = |direction| towards(&app, direction);
        let is = |name: AppProto| self.is(name);
        let found = match self.of {
            Of::Direction => is(towards(direction)),
            Of::ToServer => is(towards(Direction::ToServer)),
            Of::ToClient => is(towards(Direction::ToClient)),
            Of::Either => is(towards(Direction::ToServer)) || is(towards(Direction::ToClient)),
            Of::Both => is(towards(Direction::ToServer)) && is(towards(Direction::ToClient)),
            Of::Final => is(app.proto),
            Of::Original => app.original.is_some_and(is),
        };
        found == self.wanted
    }

    fn cost(&self) -> u8 {
        0
    }
}

/// What the bytes of one way were recognised as.
fn towards(app: &AppRecord, direction: Direction) -> AppProto {
    let own = match direction {
        Direction::ToServer => app.to_server,
        Direction::ToClient => app.to_client,
    };
    own.unwrap_or(app.proto)
}

fn protocol(builder: &mut Builder<'_>, value: &Value<'_>) -> Result<(), Complaint> {
    let text = value.needed("the name of a protocol")?;
    let (text, exact) = match text.strip_suffix("exact").map(str::trim_end) {
        Some(rest) if rest.ends_with(',') => (rest.trim_end_matches(','), true),
        _ => (text, false),
    };
    let (name, of) = match text.split_once(',') {
        None => (text.trim(), Of::Direction),
        Some((name, mode)) => {
            let of = match mode.trim() {
                "direction" => Of::Direction,
                "toserver" | "to_server" => Of::ToServer,
                "toclient" | "to_client" => Of::ToClient,
                "either" => Of::Either,
                "both" => Of::Both,
                "final" => Of::Final,
                "original" => Of::Original,
                other => {
                    return Err(Complaint::new(format!(
                        "unknown mode \"{other}\"; expected toserver, toclient, either, both, \
                         final, original, direction or exact"
                    )));
                }
            };
            (name.trim(), of)
        }
    };
    let (wanted, name) = match name.strip_prefix('!') {
        Some(name) => (false, name.trim()),
        None => (true, name),
    };
    let name = name.to_ascii_lowercase();
    let is_known = matches!(name.as_str(), "failed" | "unknown")
        || Protocol::by_word(&name).is_ok_and(|known| known.app.is_some());
    if !is_known {
        let near = did_you_mean(&name, Protocol::words());
        return Err(Complaint::new(format!("unknown protocol \"{name}\"{near}")));
    }
    let name = Protocol::by_word(&name)
        .ok()
        .and_then(|known| known.app)
        .filter(|_| name != "http1")
        .map_or(name.clone(), str::to_owned);
    builder.needs(Needs::Recognition);
    builder.requirements.both_ways = true;
    builder.flow_test(Speaks { name, of, exact, wanted });
    Ok(())
}

/// Whether a transaction that is whole was in a state, is beyond it, or was before it when packets
/// were judged.
#[derive(Debug)]
struct InState {
    towards: Direction,
    asks: State,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    Always,
    /// Where it came in parts, between which something was judged.
    InParts,
    Never,
}

impl Test for InState {
    fn test(&self, cx: &mut Context<'_>) -> bool {
        cx.direction == self.towards
            && cx.tx.is_some_and(|tx| match self.asks {
                State::Always => true,
                State::InParts => tx.was_partial,
                State::Never => false,
            })
    }

    fn cost(&self) -> u8 {
        0
    }
}

fn state(builder: &mut Builder<'_>, value: &Value<'_>) -> Result<(), Complaint> {
    let text = value.needed("such as >request_headers")?;
    let (sign, name) = match text.as_bytes().first() {
        Some(sign @ (b'<' | b'>')) => (Some(*sign), text.get(1..).unwrap_or_default().trim()),
        _ => (None, text),
    };
    let app = builder.only_app().ok_or_else(|| {
        Complaint::new("is about one application protocol: begin the rule with it, as alert http")
    })?;
    let known = STATES.iter().find(|states| app.starts_with(states.app) && app != "http2");
    let ways = known.map_or(ANY, |states| states.ways);
    let sides = [Direction::ToServer, Direction::ToClient];
    let between = known.map_or([0, 0], |states| states.between);
    let found =
        sides.into_iter().zip(ways).zip(between).find_map(|((towards, states), between)| {
            let at = states.iter().position(|state| *state == name)?;
            Some((towards, at, states.len().saturating_sub(1), between))
        });
    let Some((towards, at, last, between)) = found else {
        let near = did_you_mean(name, ways.into_iter().flatten().copied());
        return Err(Complaint::new(format!("{app} has no state \"{name}\"{near}")));
    };
    let asks = match sign {
        Some(b'>') if last > at => State::Always,
        Some(b'<') if at > between => State::InParts,
        // What is whole went through all of them.
        None => State::Always,
        _ => State::Never,
    };
    if asks == State::Never {
        builder.warn(format!("never holds: {app} is judged when a transaction is whole"));
    }
    if asks == State::InParts {
        // When a request was complete is only known by its half.
        builder.requirements.halves = true;
    }
    builder.needs(Needs::Transaction);
    builder.test(InState { towards, asks });
    Ok(())
}

#[derive(Debug)]
struct HasEvent(String);

impl Test for HasEvent {
    fn test(&self, cx: &mut Context<'_>) -> bool {
        let mut found = cx.app_events.iter().any(|event| event.eq_ignore_ascii_case(&self.0));
        if let Some(tx) = cx.tx {
            tx.transaction.events(&mut |event| found |= event.eq_ignore_ascii_case(&self.0));
        }
        found
    }
}

fn event(builder: &mut Builder<'_>, value: &Value<'_>) -> Result<(), Complaint> {
    let text = value.needed("such as http.missing_host_header")?;
    if let Some((protocol, event)) = text.split_once('.') {
        builder.needs(Needs::Transaction);
        let known = Protocol::by_word(&protocol.to_ascii_lowercase()).map_err(Complaint::new)?;
        match known.app {
            Some(app) => builder.app(app)?,
            None => return Err(Complaint::new(format!("{protocol} has no such events"))),
        }
        builder.test(HasEvent(event.to_owned()));
    } else {
        // About the flow as a whole, whatever its protocol.
        builder.requirements.both_ways = true;
        builder.packet_test(HasEvent(text.to_owned()));
    }
    Ok(())
}
