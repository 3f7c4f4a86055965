//! What expressions of rules captured: of a flow, of the packet in hand, for one alert.

use super::vars::VarId;
use std::sync::Arc;

/// Texts kept of each kind; more are dropped.
const CAP: usize = 32;
/// Longest text kept, in bytes; the rest is cut.
pub(crate) const MAX_TEXT: usize = 1024;

/// A captured text and its name.
pub type Text = (Arc<str>, Box<[u8]>);

/// For whom a text is captured.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum CapturedFor {
    /// The flow, as long as it goes on (`flow:`).
    Flow,
    /// The packet in hand and what is judged with it (`pkt:`).
    Packet,
    /// The alert of the signature itself (`alert:`).
    Alert,
}

/// Texts of one flow; bounded.
#[derive(Clone, Default, Debug)]
pub struct Texts {
    flow: Vec<Text>,
    packet: Vec<Text>,
    /// With the place of the signature.
    alerts: Vec<(u32, Text)>,
    /// Of parts of signatures whose rest was not found yet.
    kept: Vec<(VarId, CapturedFor, Text)>,
}

impl Texts {
    /// Keeps a text that a signature captured, in place of one of the same name; says whether there
    /// was room.
    pub(super) fn set(
        &mut self,
        whom: CapturedFor,
        signature: u32,
        name: &Arc<str>,
        bytes: &[u8],
    ) -> bool {
        let bytes = bytes.get(..MAX_TEXT).unwrap_or(bytes);
        if whom == CapturedFor::Alert {
            let known =
                self.alerts.iter_mut().find(|(of, (known, _))| *of == signature && known == name);
            if let Some((_, (_, text))) = known {
                *text = bytes.into();
                return true;
            }
            let has_room = self.alerts.len() < CAP;
            if has_room {
                self.alerts.push((signature, (Arc::clone(name), bytes.into())));
            }
            return has_room;
        }
        let list = if whom == CapturedFor::Flow { &mut self.flow } else { &mut self.packet };
        if let Some((_, text)) = list.iter_mut().find(|(known, _)| known == name) {
            *text = bytes.into();
            return true;
        }
        let has_room = list.len() < CAP;
        if has_room {
            list.push((Arc::clone(name), bytes.into()));
        }
        has_room
    }

    /// Keeps a text for later; says whether there was room.
    pub(super) fn keep(
        &mut self,
        part: VarId,
        whom: CapturedFor,
        name: &Arc<str>,
        mut bytes: Box<[u8]>,
    ) -> bool {
        let has_room = self.kept.len() < CAP;
        if has_room {
            if bytes.len() > MAX_TEXT {
                bytes = bytes.get(..MAX_TEXT).unwrap_or_default().into();
            }
            self.kept.push((part, whom, (Arc::clone(name), bytes)));
        }
        has_room
    }

    /// Takes what was kept of a part; says how many texts had no room.
    pub(super) fn set_kept(&mut self, part: VarId, signature: u32) -> u32 {
        // They stay for the transactions that follow.
        let of_it = self.kept.iter().filter(|(of, ..)| *of == part).cloned();
        let texts: Vec<_> = of_it.collect();
        let dropped =
            texts.iter().filter(|(_, whom, (name, text))| !self.set(*whom, signature, name, text));
        dropped.count() as u32
    }

    /// The text of a name.
    pub(super) fn get(&self, whom: CapturedFor, name: &str) -> Option<&[u8]> {
        let list = match whom {
            CapturedFor::Flow => &self.flow,
            CapturedFor::Packet => &self.packet,
            CapturedFor::Alert => return None,
        };
        list.iter().find(|(known, _)| **known == *name).map(|(_, text)| &**text)
    }

    /// Texts of the flow, in the order in which they came.
    pub fn of_flow(&self) -> &[Text] {
        &self.flow
    }

    /// Texts of the packet in hand.
    pub fn of_packet(&self) -> &[Text] {
        &self.packet
    }

    /// Texts for the alerts of one signature on the packet in hand.
    pub fn of_alert(&self, signature: u32) -> impl Iterator<Item = &Text> {
        self.alerts.iter().filter(move |(of, _)| *of == signature).map(|(_, text)| text)
    }

    /// What was found of parts belongs to what was judged.
    pub(super) fn forget_kept(&mut self) {
        self.kept.clear();
    }

    /// Another packet is in hand.
    pub(super) fn forget_packet(&mut self) {
        self.packet.clear();
        self.alerts.clear();
    }
}
