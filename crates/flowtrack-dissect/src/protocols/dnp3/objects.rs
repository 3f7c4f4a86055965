//! The objects of a fragment: headers, and the points that they announce (IEEE 1815 annex A).

use crate::{Reader, Text};
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

/// Object headers read of one fragment.
const OBJECT_CAP: usize = 256;
/// Points kept of one fragment; the others are read and not kept.
const POINT_CAP: usize = 2048;
/// Longest text of a point.
const TEXT_CAP: usize = 1024;
const READ: u8 = 1;

/// An object header and its points.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Object {
    pub(super) group: u8,
    pub(super) variation: u8,
    qualifier: u8,
    prefix_code: u8,
    range_code: u8,
    start: u32,
    stop: u32,
    count: u32,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    points: Vec<Point>,
}

/// One point: what stands before it, its index, and its values.
#[derive(Clone, Debug)]
pub(super) struct Point {
    prefix: u32,
    index: u32,
    size: Option<u32>,
    values: Vec<(&'static str, Value)>,
}

#[derive(Clone, Debug, Serialize)]
#[serde(untagged)]
enum Value {
    Unsigned(u64),
    Signed(i64),
    Float(f64),
    Text(Text),
}

impl Serialize for Point {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        let mut map = s.serialize_map(None)?;
        map.serialize_entry("prefix", &self.prefix)?;
        map.serialize_entry("index", &self.index)?;
        if let Some(size) = self.size {
            map.serialize_entry("size", &size)?;
        }
        for (name, value) in &self.values {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

/// What was read of a fragment.
pub(super) struct Objects {
    pub(super) list: Vec<Object>,
    /// Whether all of it was understood.
    pub(super) complete: bool,
    pub(super) anomaly: Option<&'static str>,
}

/// Reads all objects of a fragment with this function.
pub(super) fn read(mut r: Reader<'_>, function: u8) -> Objects {
    let mut read = Objects { list: Vec::new(), complete: true, anomaly: None };
    let mut room = POINT_CAP;
    while !r.is_empty() {
        if read.list.len() >= OBJECT_CAP {
            read.anomaly = Some("too_many_objects");
            read.complete = false;
            break;
        }
        let Some(mut object) = header(&mut r) else {
            read.anomaly = Some("malformed");
            read.complete = false;
            break;
        };
        let result = points(&mut r, &mut object, function, &mut room);
        read.list.push(object);
        if let Err(anomaly) = result {
            read.anomaly = Some(anomaly);
            read.complete = false;
            break;
        }
    }
    read
}

fn header(r: &mut Reader<'_>) -> Option<Object> {
    let (group, variation, qualifier) = (r.u8()?, r.u8()?, r.u8()?);
    let (prefix_code, range_code) = (qualifier >> 4 & 7, qualifier & 0x0f);
    let (start, stop, count) = match range_code {
        0 | 3 => range(u32::from(r.u8()?), u32::from(r.u8()?))?,
        1 | 4 => range(u32::from(r.u16_le()?), u32::from(r.u16_le()?))?,
        2 | 5 => range(r.u32_le()?, r.u32_le()?)?,
        7 | 11 => (0, 0, u32::from(r.u8()?)),
        8 => (0, 0, u32::from(r.u16_le()?)),
        9 => (0, 0, r.u32_le()?),
        6 => (0, 0, 0),
        _ => return None,
    };
    let points = Vec::new();
    Some(Object {
        group,
        variation,
        qualifier,
        prefix_code,
        range_code,
        start,
        stop,
        count,
        points,
    })
}

fn range(start: u32, stop: u32) -> Option<(u32, u32, u32)> {
    Some((start, stop, stop.checked_sub(start)?.checked_add(1)?))
}

/// Reads the points of one header.
fn points(
    r: &mut Reader<'_>,
    object: &mut Object,
    function: u8,
    room: &mut usize,
) -> Result<(), &'static str> {
    const MALFORMED: &str = "malformed";
    let sized = (4..=6).contains(&object.prefix_code);
    // A request to read names points and carries no values.
    let bare = function == READ && !sized;
    if bare && object.prefix_code == 0 {
        return Ok(());
    }
    let layout = layout(object.group, object.variation);
    if let Some(Layout::Packed(width)) = layout
        && !bare
        && object.prefix_code == 0
    {
        return packed(r, object, width, room).ok_or(MALFORMED);
    }
    for at in 0..object.count {
        let prefix = match object.prefix_code {
            0 => 0,
            1 | 4 => r.u8().map(u32::from).ok_or(MALFORMED)?,
            2 | 5 => r.u16_le().map(u32::from).ok_or(MALFORMED)?,
            3 | 6 => r.u32_le().ok_or(MALFORMED)?,
            _ => return Err(MALFORMED),
        };
        let index = match object.prefix_code {
            0 => object.start.saturating_add(at),
            1..=3 => prefix,
            _ => at,
        };
        let mut point = Point { prefix, index, size: None, values: Vec::new() };
        if sized {
            point.size = Some(prefix);
            let mut inner = r.sub(prefix as usize).ok_or(MALFORMED)?;
            if let Some(Layout::Free(fields)) = layout {
                free(&mut inner, fields, &mut point.values);
            } else if let Some(Layout::Fixed(fields)) = layout {
                fixed(&mut inner, fields, &mut point.values);
            }
        } else if !bare {
            match layout {
                Some(Layout::Fixed(fields)) => {
                    fixed(r, fields, &mut point.values).ok_or(MALFORMED)?;
                }
                Some(Layout::Octets) => {
                    let bytes = r.take(usize::from(object.variation)).ok_or(MALFORMED)?;
                    point.values.push(("data", Value::Text(Text::capped(bytes, TEXT_CAP))));
                }
                _ if object.count == 0 => {}
                _ => return Err("unknown_object"),
            }
        }
        if *room > 0 {
            *room -= 1;
            object.points.push(point);
        }
        // A layout without bytes would otherwise let a count alone cost time.
        if r.is_empty() && at + 1 < object.count {
            return Err(MALFORMED);
        }
    }
    Ok(())
}

/// Points of one or two bits each.
fn packed(r: &mut Reader<'_>, object: &mut Object, width: u32, room: &mut usize) -> Option<()> {
    let per_byte = 8 / width;
    let bytes = r.take(object.count.div_ceil(per_byte) as usize)?;
    let bits = bytes
        .iter()
        .flat_map(|byte| (0..per_byte).map(move |n| byte >> (n * width) & ((1 << width) - 1)));
    for (index, state) in (object.start..=object.stop).zip(bits) {
        if *room == 0 {
            break;
        }
        *room -= 1;
        let values = vec![("state", Value::Unsigned(u64::from(state)))];
        object.points.push(Point { prefix: 0, index, size: None, values });
    }
    Some(())
}

/// How the points of a group and variation look.
#[derive(Clone, Copy)]
enum Layout {
    /// So many bits each, without gaps.
    Packed(u32),
    /// These values one after the other.
    Fixed(&'static [Kind]),
    /// These values, then what is left of the given size.
    Free(&'static [Kind]),
    /// As many bytes as the variation says.
    Octets,
}

#[derive(Clone, Copy)]
enum Kind {
    /// Bits of one byte, from the lowest on, with their widths.
    Bits(&'static [(&'static str, u32)]),
    U8(&'static str),
    U16(&'static str),
    U32(&'static str),
    I16(&'static str),
    I32(&'static str),
    F32(&'static str),
    F64(&'static str),
    /// Milliseconds since 1970 in six bytes.
    Time(&'static str),
    /// Text of the size that an earlier value of this name gives.
    Sized(&'static str, &'static str),
    /// Text up to the end.
    Rest(&'static str),
}

fn fixed(
    r: &mut Reader<'_>,
    kinds: &[Kind],
    values: &mut Vec<(&'static str, Value)>,
) -> Option<()> {
    for kind in kinds {
        let (name, value) = match *kind {
            Kind::Bits(parts) => {
                let mut byte = r.u8()?;
                for (name, width) in parts {
                    let mask = u8::MAX.checked_shr(8 - width).unwrap_or(0);
                    values.push((name, Value::Unsigned(u64::from(byte & mask))));
                    byte = byte.checked_shr(*width).unwrap_or(0);
                }
                continue;
            }
            Kind::U8(name) => (name, Value::Unsigned(u64::from(r.u8()?))),
            Kind::U16(name) => (name, Value::Unsigned(u64::from(r.u16_le()?))),
            Kind::U32(name) => (name, Value::Unsigned(u64::from(r.u32_le()?))),
            Kind::I16(name) => (name, Value::Signed(i64::from(r.u16_le()?.cast_signed()))),
            Kind::I32(name) => (name, Value::Signed(i64::from(r.u32_le()?.cast_signed()))),
            Kind::F32(name) => (name, Value::Float(f64::from(f32::from_bits(r.u32_le()?)))),
            Kind::F64(name) => (name, Value::Float(f64::from_bits(r.u64_le()?))),
            Kind::Time(name) => {
                let [a, b, c, d, e, f] = r.array::<6>()?;
                (name, Value::Unsigned(u64::from_le_bytes([a, b, c, d, e, f, 0, 0])))
            }
            Kind::Sized(name, size) => {
                let size = values.iter().find_map(|(known, value)| match value {
                    Value::Unsigned(n) if *known == size => usize::try_from(*n).ok(),
                    _ => None,
                })?;
                (name, Value::Text(Text::capped(r.take(size)?, TEXT_CAP)))
            }
            Kind::Rest(name) => {
                let rest = r.take(r.rest().len())?;
                (name, Value::Text(Text::capped(rest, TEXT_CAP)))
            }
        };
        values.push((name, value));
    }
    Some(())
}

/// As [`fixed`]; what does not fit is left out, for the size says where the point ends.
fn free(r: &mut Reader<'_>, kinds: &[Kind], values: &mut Vec<(&'static str, Value)>) {
    fixed(r, kinds, values);
}

const BINARY: Kind = Kind::Bits(&[
    ("online", 1),
    ("restart", 1),
    ("comm_lost", 1),
    ("remote_forced", 1),
    ("local_forced", 1),
    ("chatter_filter", 1),
    ("reserved", 1),
    ("state", 1),
]);
const DOUBLE: Kind = Kind::Bits(&[
    ("online", 1),
    ("restart", 1),
    ("comm_lost", 1),
    ("remote_forced", 1),
    ("local_forced", 1),
    ("chatter_filter", 1),
    ("state", 2),
]);
const OUTPUT: Kind = Kind::Bits(&[
    ("online", 1),
    ("restart", 1),
    ("comm_lost", 1),
    ("remote_forced", 1),
    ("local_forced", 1),
    ("reserved0", 1),
    ("reserved1", 1),
    ("state", 1),
]);
const COUNTER: Kind = Kind::Bits(&[
    ("online", 1),
    ("restart", 1),
    ("comm_lost", 1),
    ("remote_forced", 1),
    ("local_forced", 1),
    ("rollover", 1),
    ("discontinuity", 1),
    ("reserved0", 1),
]);
const ANALOG: Kind = Kind::Bits(&[
    ("online", 1),
    ("restart", 1),
    ("comm_lost", 1),
    ("remote_forced", 1),
    ("local_forced", 1),
    ("over_range", 1),
    ("reference_err", 1),
    ("reserved0", 1),
]);
const CONTROL: &[Kind] = &[
    Kind::Bits(&[("op_type", 4), ("qu", 1), ("cr", 1), ("tcc", 2)]),
    Kind::U8("count"),
    Kind::U32("ontime"),
    Kind::U32("offtime"),
    Kind::Bits(&[("status_code", 7), ("reserved", 1)]),
];
const STATUS: Kind = Kind::Bits(&[("status_code", 7), ("reserved", 1)]);
const TIME: Kind = Kind::Time("timestamp");
const COUNT32: Kind = Kind::U32("count");
const COUNT16: Kind = Kind::U16("count");
const INT32: Kind = Kind::I32("value");
const INT16: Kind = Kind::I16("value");
const REAL: Kind = Kind::F32("value");
const DOUBLE_REAL: Kind = Kind::F64("value");

/// The layout of a group and variation; `None` where it is not known.
const fn layout(group: u8, variation: u8) -> Option<Layout> {
    Some(match (group, variation) {
        (1 | 10 | 80, 1) | (12, 3) => Layout::Packed(1),
        (3, 1) => Layout::Packed(2),
        (1, 2) => Layout::Fixed(&[BINARY]),
        (2, 1) => Layout::Fixed(&[Kind::U8("state")]),
        (2, 2) => Layout::Fixed(&[BINARY, TIME]),
        (2, 3) => Layout::Fixed(&[BINARY, Kind::U16("timestamp")]),
        (3, 2) | (4, 1) => Layout::Fixed(&[DOUBLE]),
        (4, 2) => Layout::Fixed(&[DOUBLE, TIME]),
        (4, 3) => Layout::Fixed(&[DOUBLE, Kind::U16("relative_time_ms")]),
        (10, 2) | (11, 1) => Layout::Fixed(&[OUTPUT]),
        (11, 2) => Layout::Fixed(&[OUTPUT, TIME]),
        (12, 1 | 2) => Layout::Fixed(CONTROL),
        (13, 1) => Layout::Fixed(&[STATUS]),
        (13, 2) => Layout::Fixed(&[STATUS, TIME]),
        (20..=23, 1 | 3) => Layout::Fixed(&[COUNTER, COUNT32]),
        (20..=23, 2 | 4) => Layout::Fixed(&[COUNTER, COUNT16]),
        (21..=23, 5 | 7) => Layout::Fixed(&[COUNTER, COUNT32, TIME]),
        (21..=23, 6 | 8) => Layout::Fixed(&[COUNTER, COUNT16, TIME]),
        (20, 5 | 7) | (21, 9 | 11) => Layout::Fixed(&[COUNT32]),
        (20, 6 | 8) | (21, 10 | 12) => Layout::Fixed(&[COUNT16]),
        (30..=33 | 40 | 42, 1) => Layout::Fixed(&[ANALOG, INT32]),
        (30..=33 | 40 | 42, 2) => Layout::Fixed(&[ANALOG, INT16]),
        (30, 3) | (31, 5) => Layout::Fixed(&[INT32]),
        (30, 4) | (31, 6) => Layout::Fixed(&[INT16]),
        (31..=33 | 42, 3) => Layout::Fixed(&[ANALOG, INT32, TIME]),
        (31..=33 | 42, 4) => Layout::Fixed(&[ANALOG, INT16, TIME]),
        (30 | 32 | 33 | 42, 5) | (31, 7) | (40, 3) => Layout::Fixed(&[ANALOG, REAL]),
        (30 | 32 | 33 | 42, 6) | (31, 8) | (40, 4) => Layout::Fixed(&[ANALOG, DOUBLE_REAL]),
        (32 | 33 | 42, 7) => Layout::Fixed(&[ANALOG, REAL, TIME]),
        (32 | 33 | 42, 8) => Layout::Fixed(&[ANALOG, DOUBLE_REAL, TIME]),
        (34, 1) => Layout::Fixed(&[Kind::U16("deadband_value")]),
        (34, 2) => Layout::Fixed(&[Kind::U32("deadband_value")]),
        (34, 3) => Layout::Fixed(&[Kind::F32("deadband_value")]),
        (41, 1) => Layout::Fixed(&[INT32, Kind::U8("control_status")]),
        (41, 2) => Layout::Fixed(&[INT16, Kind::U8("control_status")]),
        (41, 3) => Layout::Fixed(&[REAL, Kind::U8("control_status")]),
        (41, 4) => Layout::Fixed(&[DOUBLE_REAL, Kind::U8("control_status")]),
        (43, 1) => Layout::Fixed(&[STATUS, INT32]),
        (43, 2) => Layout::Fixed(&[STATUS, INT16]),
        (43, 3) => Layout::Fixed(&[STATUS, INT32, TIME]),
        (43, 4) => Layout::Fixed(&[STATUS, INT16, TIME]),
        (43, 5) => Layout::Fixed(&[STATUS, REAL]),
        (43, 6) => Layout::Fixed(&[STATUS, DOUBLE_REAL]),
        (43, 7) => Layout::Fixed(&[STATUS, REAL, TIME]),
        (43, 8) => Layout::Fixed(&[STATUS, DOUBLE_REAL, TIME]),
        (50 | 51, 1) | (50, 3) | (51, 2) => Layout::Fixed(&[TIME]),
        (50, 2) => Layout::Fixed(&[TIME, Kind::U32("interval")]),
        (50, 4) => Layout::Fixed(&[TIME, Kind::U32("interval_count"), Kind::U8("interval_units")]),
        (52, 1) => Layout::Fixed(&[Kind::U16("delay_secs")]),
        (52, 2) => Layout::Fixed(&[Kind::U16("delay_ms")]),
        (70, 2) => Layout::Free(&[
            Kind::U16("username_offset"),
            Kind::U16("username_size"),
            Kind::U16("password_offset"),
            Kind::U16("password_size"),
            Kind::U32("authentication_key"),
            Kind::Sized("username", "username_size"),
        ]),
        (70, 3) => Layout::Free(&[
            Kind::U16("filename_offset"),
            Kind::U16("filename_size"),
            Kind::Time("created"),
            Kind::U16("permissions"),
            Kind::U32("authentication_key"),
            Kind::U32("file_size"),
            Kind::U16("operational_mode"),
            Kind::U16("maximum_block_size"),
            Kind::U16("request_id"),
            Kind::Sized("filename", "filename_size"),
        ]),
        (70, 4) => Layout::Free(&[
            Kind::U32("file_handle"),
            Kind::U32("file_size"),
            Kind::U16("maximum_block_size"),
            Kind::U16("request_id"),
            Kind::U8("status_code"),
            Kind::Rest("optional_text"),
        ]),
        (70, 5) => Layout::Free(&[
            Kind::U32("file_handle"),
            Kind::U32("block_number"),
            Kind::Rest("file_data"),
        ]),
        (70, 6) => Layout::Free(&[
            Kind::U32("file_handle"),
            Kind::U32("block_number"),
            Kind::U8("status_code"),
            Kind::Rest("optional_text"),
        ]),
        (70, 7) => Layout::Free(&[
            Kind::U16("filename_offset"),
            Kind::U16("filename_size"),
            Kind::U16("file_type"),
            Kind::U32("file_size"),
            Kind::Time("created_timestamp"),
            Kind::U16("permissions"),
            Kind::U16("request_id"),
            Kind::Sized("filename", "filename_size"),
        ]),
        (70, 8) => Layout::Free(&[Kind::Rest("file_specification")]),
        (102, 1) => Layout::Fixed(&[Kind::U8("value")]),
        (110 | 111, 1..) => Layout::Octets,
        _ => return None,
    })
}
