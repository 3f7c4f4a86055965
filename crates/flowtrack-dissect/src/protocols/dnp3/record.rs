//! What is logged of a message.

use super::NAME;
use super::objects::Object;
use crate::{Field, Keyword};
use flowtrack_event::{AppProto, Direction, Transaction, words};
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

/// First function code of answers.
pub(super) const RESPONSE: u8 = 129;
const UNSOLICITED: u8 = 130;

pub(super) const FIELDS: &[Field] = &[
    Field::eve("type", "string", "`request`, `response` or `unsolicited_response`"),
    Field::eve("control.dir", "boolean", "whether the master sent it"),
    Field::eve("control.pri", "boolean", "whether it is a primary message of the link"),
    Field::eve("control.fcb", "boolean", "frame count bit"),
    Field::eve("control.fcv", "boolean", "whether the frame count bit counts"),
    Field::eve("control.function_code", "integer", "function of the link"),
    Field::eve("src", "integer", "address of the sender"),
    Field::eve("dst", "integer", "address of the receiver"),
    Field::eve("application.control.con", "boolean", "a confirmation is wanted"),
    Field::eve("application.control.fin", "boolean", "last fragment"),
    Field::eve("application.control.fir", "boolean", "first fragment"),
    Field::eve("application.control.uns", "boolean", "unsolicited"),
    Field::eve("application.control.sequence", "integer", "sequence number"),
    Field::eve("application.function_code", "integer", "function"),
    Field::eve("application.complete", "boolean", "whether all objects were understood"),
    Field::eve("application.objects[].group", "integer", "group of the objects"),
    Field::eve("application.objects[].variation", "integer", "variation of the objects"),
    Field::eve("application.objects[].qualifier", "integer", "qualifier"),
    Field::eve("application.objects[].prefix_code", "integer", "what stands before each object"),
    Field::eve("application.objects[].range_code", "integer", "how the range is given"),
    Field::eve("application.objects[].start", "integer", "first index"),
    Field::eve("application.objects[].stop", "integer", "last index"),
    Field::eve("application.objects[].count", "integer", "number of objects"),
    Field::eve("application.objects[].points", "array", "the objects"),
    Field::eve("iin.indicators", "array", "internal indications of the outstation"),
];

/// What rules may ask for.
pub(super) const KEYWORDS: &[Keyword] = &[
    Keyword::buffer("dnp3_data", "application fragment without checksums"),
    Keyword::number("dnp3_func", "function").named(words::DNP3_FUNCTIONS),
    Keyword::number("dnp3.ind", "internal indications of the outstation")
        .named(words::DNP3_INDICATIONS),
    Keyword::number("dnp3_obj", "group of an object times 256, and its variation").multi(),
];

/// The link header of a frame.
#[derive(Clone, Copy, Debug)]
pub(super) struct Link {
    pub(super) control: u8,
    pub(super) dst: u16,
    pub(super) src: u16,
}

/// One application fragment.
#[derive(Clone, Debug)]
pub(super) struct Message {
    pub(super) direction: Direction,
    pub(super) link: Link,
    pub(super) control: u8,
    pub(super) function: u8,
    pub(super) indications: Option<u16>,
    pub(super) objects: Vec<Object>,
    pub(super) complete: bool,
    /// The whole fragment, for rules.
    pub(super) bytes: Vec<u8>,
}

impl Message {
    fn indicators(&self) -> impl Iterator<Item = &'static str> {
        let bits = u64::from(self.indications.unwrap_or(0));
        let set = words::DNP3_INDICATIONS.iter().filter(move |(_, bit)| bits & bit != 0);
        set.map(|(name, _)| *name)
    }

    const fn kind(&self) -> &'static str {
        match self.function {
            UNSOLICITED => "unsolicited_response",
            RESPONSE.. => "response",
            _ => "request",
        }
    }
}

#[derive(Serialize)]
struct LinkControl {
    dir: bool,
    pri: bool,
    fcb: bool,
    fcv: bool,
    function_code: u8,
}

#[derive(Serialize)]
struct Application<'a> {
    control: ApplicationControl,
    function_code: u8,
    #[serde(skip_serializing_if = "<[Object]>::is_empty")]
    objects: &'a [Object],
    complete: bool,
}

#[derive(Serialize)]
struct ApplicationControl {
    con: bool,
    fin: bool,
    fir: bool,
    sequence: u8,
    uns: bool,
}

#[derive(Serialize)]
struct Indications {
    indicators: Vec<&'static str>,
}

impl Serialize for Message {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        let link = self.link.control;
        let app = self.control;
        let mut map = s.serialize_map(None)?;
        map.serialize_entry("type", self.kind())?;
        let control = LinkControl {
            dir: link & 0x80 != 0,
            pri: link & 0x40 != 0,
            fcb: link & 0x20 != 0,
            fcv: link & 0x10 != 0,
            function_code: link & 0x0f,
        };
        map.serialize_entry("control", &control)?;
        map.serialize_entry("src", &self.link.src)?;
        map.serialize_entry("dst", &self.link.dst)?;
        let application = Application {
            control: ApplicationControl {
                con: app & 0x20 != 0,
                fin: app & 0x40 != 0,
                fir: app & 0x80 != 0,
                sequence: app & 0x0f,
                uns: app & 0x10 != 0,
            },
            function_code: self.function,
            objects: &self.objects,
            complete: self.complete,
        };
        map.serialize_entry("application", &application)?;
        let indicators: Vec<_> = self.indicators().collect();
        if !indicators.is_empty() {
            map.serialize_entry("iin", &Indications { indicators })?;
        }
        map.end()
    }
}

impl Transaction for Message {
    fn protocol(&self) -> AppProto {
        NAME
    }

    fn record(&self) -> &dyn erased_serde::Serialize {
        self
    }

    fn one_way(&self) -> Option<Direction> {
        Some(self.direction)
    }

    fn buffer(&self, name: &str, visit: &mut dyn FnMut(&[u8])) {
        if name == "dnp3_data" && !self.bytes.is_empty() {
            visit(&self.bytes);
        }
    }

    fn number(&self, direction: Direction, name: &str, visit: &mut dyn FnMut(u64)) {
        match name {
            _ if direction != self.direction => {}
            "dnp3_func" => visit(self.function.into()),
            "dnp3.ind" => self.indications.iter().for_each(|&bits| visit(bits.into())),
            "dnp3_obj" => {
                for object in &self.objects {
                    visit(u64::from(object.group) << 8 | u64::from(object.variation));
                }
            }
            _ => {}
        }
    }

    fn summary(&self) -> String {
        let function = function_name(self.function);
        format!("{} -> {} {function}", self.link.src, self.link.dst)
    }
}

const fn function_name(function: u8) -> &'static str {
    match function {
        0 => "confirm",
        1 => "read",
        2 => "write",
        3 => "select",
        4 => "operate",
        5 => "direct operate",
        6 => "direct operate without answer",
        7 | 8 => "immediate freeze",
        9 | 10 => "freeze and clear",
        11 | 12 => "freeze at time",
        13 => "cold restart",
        14 => "warm restart",
        15 => "initialize data",
        16 => "initialize application",
        17 => "start application",
        18 => "stop application",
        19 => "save configuration",
        20 => "enable unsolicited",
        21 => "disable unsolicited",
        22 => "assign class",
        23 => "delay measurement",
        24 => "record current time",
        25 => "open file",
        26 => "close file",
        27 => "delete file",
        28 => "get file information",
        29 => "authenticate file",
        30 => "abort file",
        31 => "activate configuration",
        32 => "authentication request",
        33 => "authentication request without answer",
        RESPONSE => "response",
        UNSOLICITED => "unsolicited response",
        131 => "authentication response",
        _ => "unknown function",
    }
}
