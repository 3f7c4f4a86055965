//! IEC 60870-5-104, telecontrol over TCP.

use crate::brief::{Brief, Messages, Step};
use crate::{Field, First, Malformed, Probe, Reader};
use flowtrack_event::{AppProto, Confidence, Direction};

const PORTS: &[u16] = &[2404];
const FIELDS: &[Field] = &[
    Field::added("control", "array", "control functions used"),
    Field::added("types", "array", "types of the data units"),
    Field::added("causes", "array", "causes of transmission"),
    Field::added("stations", "array", "common addresses"),
];

crate::brief_protocol!(
    /// IEC 60870-5-104.
    Iec104, Iec104Messages, PORTS, FIELDS, probe
);

fn probe(first: &First<'_>) -> Probe {
    // Two bytes are too weak for other ports.
    if !first.has_port(PORTS) {
        return Probe::No;
    }
    match first.bytes.first_chunk::<6>() {
        None if first.bytes.first() == Some(&0x68) => Probe::NeedMore,
        Some([0x68, length @ 4..=253, control, ..]) => {
            let short = *length == 4;
            // Numbered and unnumbered control have no data; information always has.
            if (control & 1 == 1) == short { Probe::Match(Confidence::Content) } else { Probe::No }
        }
        _ => Probe::No,
    }
}

#[derive(Default)]
struct Iec104Messages;

impl Messages for Iec104Messages {
    const NAME: AppProto = AppProto("iec104");
    const CAP: usize = 256;

    fn read(
        &mut self,
        _direction: Direction,
        bytes: &[u8],
        brief: &mut Brief,
    ) -> Result<Step, Malformed> {
        let Some([start, length]) = bytes.first_chunk::<2>() else { return Ok(Step::Need(2)) };
        if *start != 0x68 || !(4..=253).contains(length) {
            return Err(Malformed("invalid_start"));
        }
        let total = 2 + usize::from(*length);
        let Some(unit) = bytes.get(2..total) else { return Ok(Step::Need(total)) };
        let mut r = Reader::new(unit);
        let control = r.array::<4>().map_or(0, |[first, ..]| first);
        match control & 3 {
            3 => brief.list("control", control_name(control).as_bytes()),
            1 => {}
            _ => {
                data_unit(&mut r, brief);
            }
        }
        Ok(Step::Used(total))
    }
}

const fn control_name(control: u8) -> &'static str {
    match control {
        0x07 => "startdt_act",
        0x0b => "startdt_con",
        0x13 => "stopdt_act",
        0x23 => "stopdt_con",
        0x43 => "testfr_act",
        0x83 => "testfr_con",
        _ => "unknown",
    }
}

fn data_unit(r: &mut Reader<'_>, brief: &mut Brief) -> Option<()> {
    let (kind, _count, cause, _originator) = (r.u8()?, r.u8()?, r.u8()?, r.u8()?);
    let station = r.u16_le()?;
    brief.list("types", type_name(kind).as_bytes());
    brief.list("causes", (cause & 0x3f).to_string().as_bytes());
    brief.list("stations", station.to_string().as_bytes());
    Some(())
}

const fn type_name(kind: u8) -> &'static str {
    match kind {
        1 => "M_SP_NA_1",
        3 => "M_DP_NA_1",
        5 => "M_ST_NA_1",
        7 => "M_BO_NA_1",
        9 => "M_ME_NA_1",
        11 => "M_ME_NB_1",
        13 => "M_ME_NC_1",
        15 => "M_IT_NA_1",
        30 => "M_SP_TB_1",
        31 => "M_DP_TB_1",
        34 => "M_ME_TD_1",
        35 => "M_ME_TE_1",
        36 => "M_ME_TF_1",
        37 => "M_IT_TB_1",
        45 => "C_SC_NA_1",
        46 => "C_DC_NA_1",
        47 => "C_RC_NA_1",
        48 => "C_SE_NA_1",
        49 => "C_SE_NB_1",
        50 => "C_SE_NC_1",
        58 => "C_SC_TA_1",
        59 => "C_DC_TA_1",
        70 => "M_EI_NA_1",
        100 => "C_IC_NA_1",
        101 => "C_CI_NA_1",
        102 => "C_RD_NA_1",
        103 => "C_CS_NA_1",
        105 => "C_RP_NA_1",
        107 => "C_TS_TA_1",
        110 => "P_ME_NA_1",
        113 => "P_AC_NA_1",
        120 => "F_FR_NA_1",
        _ => "other",
    }
}
