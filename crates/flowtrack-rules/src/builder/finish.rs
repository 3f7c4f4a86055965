//! The end of a rule: judging its parts as a whole.

use super::{Builder, Complaint, Source};
use crate::keywords::base64;
use crate::lang::{Arrow, Carrier};
use crate::signature::{Kind, Search, Signature, Step, mark_retries};
use flowtrack_event::Direction;
use std::sync::Arc;

/// TCP.
const TCP: u8 = 6;

impl Builder<'_> {
    /// The signature; a complaint where its parts do not go together.
    pub fn finish(mut self) -> Result<Signature, Complaint> {
        if self.info.sid == 0 {
            return Err(Complaint::new("a rule needs a sid, a number of its own"));
        }
        if let Some(app) = self.header.protocol.app {
            // The header's word is the narrower one: `http1` is one of the protocols of `http.uri`.
            self.apps(&meant_by(app))?;
        }
        self.nest_base64();
        self.drop_moved();
        for search in &mut self.searches {
            mark_retries(&mut search.steps);
            if search.steps.is_empty() && search.absent.is_none() {
                let message =
                    format!("{} is named, but nothing is looked for in it", search.buffer.name);
                return Err(Complaint::new(message));
            }
        }
        let direction = self.way()?;
        let kind = self.kind();
        self.tests.sort_by_key(|test| test.cost());
        Ok(Signature {
            info: Arc::new(self.info),
            action: self.rule.header.action,
            scope: self.rule.header.scope,
            header: self.header,
            kind,
            direction,
            apps: self.apps,
            tests: self.tests,
            searches: self.searches,
            effects: self.effects,
            usage: self.usage,
            names: self.names,
            noalert: self.noalert,
            bypass: self.bypass,
            fast_pattern: self.fast_pattern,
            requirements: self.requirements,
            limits: self.limits,
            datasets: self.datasets,
            tags: self.tags,
            store: self.store,
            of_files: self.of_files,
        })
    }

    /// Forgets the payload where all contents were moved out of it.
    fn drop_moved(&mut self) {
        let is_payload = |search: &Search| matches!(search.buffer.source, Source::Payload);
        let moved =
            self.searches.iter().position(|search| is_payload(search) && search.steps.is_empty());
        if let Some(at) = moved.filter(|at| self.current != Some(*at)) {
            self.remove_search(at);
        }
        self.needs.payload = self.searches.iter().any(is_payload);
    }

    fn remove_search(&mut self, at: usize) -> Vec<Step> {
        self.fast_pattern = match self.fast_pattern {
            Some((search, _)) if search == at => None,
            Some((search, step)) if search > at => Some((search - 1, step)),
            other => other,
        };
        self.current = self.current.map(|current| current - usize::from(current > at));
        self.searches.remove(at).steps
    }

    /// Puts what is looked for in decoded bytes to where they are decoded.
    fn nest_base64(&mut self) {
        let Some(at) = self.searches.iter().position(|search| search.buffer == base64::DATA) else {
            return;
        };
        let nested = self.remove_search(at);
        let mut steps = self.searches.iter_mut().flat_map(|search| &mut search.steps).rev();
        if let Some(Step::Base64(decode)) = steps.find(|step| matches!(step, Step::Base64(_))) {
            decode.steps = nested;
        }
    }

    fn way(&self) -> Result<Option<Direction>, Complaint> {
        if self.header.arrow == Arrow::Transaction {
            return Ok(None);
        }
        match (self.direction, self.toward.as_slice()) {
            (Some(direction), _) => Ok(Some(direction)),
            (None, [direction]) => Ok(Some(*direction)),
            (None, []) => Ok(None),
            (None, _) => Err(Complaint::new(
                "the rule asks for what goes to the server and for what goes to the client: \
                 write => for rules about whole transactions",
            )),
        }
    }

    fn kind(&self) -> Kind {
        let needs = self.needs;
        if needs.transaction {
            return Kind::Transaction;
        }
        let carrier = self.header.protocol.carrier;
        let packet = needs.packet || carrier == Carrier::Packets;
        let stream = needs.stream || carrier == Carrier::Stream;
        if needs.payload {
            let is_tcp = self.header.protocol.base.carries(TCP);
            return match (packet, stream) {
                (true, true) => Kind::PacketAndStream,
                (true, false) => Kind::Packet,
                (false, false) if !is_tcp => Kind::Packet,
                (false, false) if self.is_placed() => Kind::PacketAndStream,
                (false, _) => Kind::Stream,
            };
        }
        if packet {
            Kind::Packet
        } else if needs.recognition && self.tests.len() == self.flow_tests {
            Kind::Recognition
        } else if !self.apps.is_empty() && !needs.recognition {
            Kind::App
        } else if self.tests.len() > self.usage.len()
            || self.rule.option("prefilter").is_some()
            || self.direction.is_some()
            || self.is_placed_on_network()
        {
            Kind::Packet
        } else {
            Kind::Addresses
        }
    }

    /// Whether ports are named, or addresses by what they are not: then every packet is judged.
    fn is_placed_on_network(&self) -> bool {
        let ends = [std::net::Ipv4Addr::UNSPECIFIED, std::net::Ipv4Addr::BROADCAST];
        [&self.header.src, &self.header.dst].into_iter().any(|side| {
            side.ports.is_some()
                || side
                    .addresses
                    .as_ref()
                    .is_some_and(|set| ends.iter().all(|end| set.contains((*end).into())))
        })
    }

    /// Whether a content of the payload has to be at a certain place: then it is one of packets
    /// too.
    fn is_placed(&self) -> bool {
        self.searches.iter().filter(|search| matches!(search.buffer.source, Source::Payload)).any(
            |search| {
                search.steps.iter().any(|step| match step {
                    Step::Content(content) => content.is_placed(),
                    _ => false,
                })
            },
        )
    }
}

/// The application protocols that the word of a header stands for.
fn meant_by(word: &'static str) -> Vec<&'static str> {
    match word {
        "http" => vec!["http", "http2"],
        "http1" => vec!["http"],
        "http2" => vec!["http2", "doh2"],
        "dns" => vec!["dns", "doh2"],
        "dcerpc" => vec!["dcerpc", "smb"],
        word => vec![word],
    }
}
