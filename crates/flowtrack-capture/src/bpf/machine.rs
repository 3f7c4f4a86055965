//! The machine that classic BPF programs run on (USENIX Winter 1993).

use super::Instruction;
use flowtrack_event::{LinkType, RawPacket};

/// A program that was checked: every jump goes forward to an instruction, every memory cell
/// exists, no constant divisor is zero, and the last instruction returns. So it ends, and needs no
/// limit when it runs.
#[derive(Clone, Debug)]
pub struct Program {
    instructions: Vec<Instruction>,
}

/// Cells of scratch memory.
const CELLS: usize = 16;

/// Fields of an instruction's code.
mod code {
    pub const CLASS: u16 = 0x07;
    pub const LD: u16 = 0x00;
    pub const LDX: u16 = 0x01;
    pub const ST: u16 = 0x02;
    pub const STX: u16 = 0x03;
    pub const ALU: u16 = 0x04;
    pub const JMP: u16 = 0x05;
    pub const RET: u16 = 0x06;
    pub const MISC: u16 = 0x07;

    pub const SIZE: u16 = 0x18;
    pub const WORD: u16 = 0x00;
    pub const HALF: u16 = 0x08;
    pub const BYTE: u16 = 0x10;

    pub const MODE: u16 = 0xE0;
    pub const IMM: u16 = 0x00;
    pub const ABS: u16 = 0x20;
    pub const IND: u16 = 0x40;
    pub const MEM: u16 = 0x60;
    pub const LEN: u16 = 0x80;
    pub const MSH: u16 = 0xA0;

    pub const OP: u16 = 0xF0;
    pub const ADD: u16 = 0x00;
    pub const SUB: u16 = 0x10;
    pub const MUL: u16 = 0x20;
    pub const DIV: u16 = 0x30;
    pub const OR: u16 = 0x40;
    pub const AND: u16 = 0x50;
    pub const LSH: u16 = 0x60;
    pub const RSH: u16 = 0x70;
    pub const NEG: u16 = 0x80;
    pub const MOD: u16 = 0x90;
    pub const XOR: u16 = 0xA0;

    pub const JA: u16 = 0x00;
    pub const JEQ: u16 = 0x10;
    pub const JGT: u16 = 0x20;
    pub const JGE: u16 = 0x30;
    pub const JSET: u16 = 0x40;

    /// The operand is the index register, not the constant.
    pub const X: u16 = 0x08;
    /// A return gives the accumulator.
    pub const RET_A: u16 = 0x10;
    /// Index to accumulator; without it the other way.
    pub const TXA: u16 = 0x80;
}

impl Program {
    /// Checks a program; none if it could fail.
    pub fn new(instructions: Vec<Instruction>) -> Option<Self> {
        let ends = instructions.last()?.code & code::CLASS == code::RET;
        let sound = instructions.iter().enumerate().all(|(at, i)| {
            let left = instructions.len() - 1 - at;
            match i.code & code::CLASS {
                code::JMP if i.code & code::OP == code::JA => (i.k as usize) < left,
                code::JMP => usize::from(i.jt.max(i.jf)) < left,
                code::ST | code::STX => (i.k as usize) < CELLS,
                code::LD | code::LDX if i.code & code::MODE == code::MEM => (i.k as usize) < CELLS,
                code::ALU if matches!(i.code & code::OP, code::DIV | code::MOD) => {
                    i.code & code::X != 0 || i.k != 0
                }
                _ => true,
            }
        });
        (ends && sound).then_some(Self { instructions })
    }

    /// The instructions.
    pub fn instructions(&self) -> &[Instruction] {
        &self.instructions
    }

    /// Whether the program keeps the packet.
    #[inline]
    pub fn run(&self, packet: &RawPacket<'_>) -> bool {
        match packet.vlan_tci {
            Some(tci) if packet.link == LinkType::ETHERNET => {
                self.execute(&Tagged::new(packet.data, tci), packet.wire_len.saturating_add(4))
            }
            _ => self.execute(packet.data, packet.wire_len),
        }
        .is_some_and(|kept| kept != 0)
    }

    /// The returned number; none, as for 0, where a load or division fails.
    fn execute<F: Frame + ?Sized>(&self, frame: &F, wire_len: u32) -> Option<u32> {
        let mut a = 0_u32;
        let mut x = 0_u32;
        let mut cells = [0_u32; CELLS];
        let mut at = 0;
        loop {
            let i = self.instructions.get(at)?;
            at += 1;
            let operand = if i.code & code::X == 0 { i.k } else { x };
            match i.code & code::CLASS {
                code::LD => {
                    a = match i.code & code::MODE {
                        code::IMM => i.k,
                        code::ABS => frame.load(i.code, i.k)?,
                        code::IND => frame.load(i.code, x.checked_add(i.k)?)?,
                        code::MEM => *cells.get(i.k as usize)?,
                        code::LEN => wire_len,
                        _ => return None,
                    }
                }
                code::LDX => {
                    x = match i.code & code::MODE {
                        code::IMM => i.k,
                        code::MEM => *cells.get(i.k as usize)?,
                        code::LEN => wire_len,
                        // Length of the IPv4 header at that place.
                        code::MSH => (frame.load(code::BYTE, i.k)? & 0x0F) * 4,
                        _ => return None,
                    }
                }
                code::ST => *cells.get_mut(i.k as usize)? = a,
                code::STX => *cells.get_mut(i.k as usize)? = x,
                code::ALU => {
                    a = match i.code & code::OP {
                        code::ADD => a.wrapping_add(operand),
                        code::SUB => a.wrapping_sub(operand),
                        code::MUL => a.wrapping_mul(operand),
                        code::DIV => a.checked_div(operand)?,
                        code::MOD => a.checked_rem(operand)?,
                        code::OR => a | operand,
                        code::AND => a & operand,
                        code::XOR => a ^ operand,
                        code::LSH => a.checked_shl(operand).unwrap_or(0),
                        code::RSH => a.checked_shr(operand).unwrap_or(0),
                        code::NEG => a.wrapping_neg(),
                        _ => return None,
                    }
                }
                code::JMP => {
                    let holds = match i.code & code::OP {
                        code::JA => {
                            at += i.k as usize;
                            continue;
                        }
                        code::JEQ => a == operand,
                        code::JGT => a > operand,
                        code::JGE => a >= operand,
                        code::JSET => a & operand != 0,
                        _ => return None,
                    };
                    at += usize::from(if holds { i.jt } else { i.jf });
                }
                code::RET => return Some(if i.code & code::RET_A == 0 { i.k } else { a }),
                code::MISC if i.code & code::TXA == 0 => x = a,
                code::MISC => a = x,
                // The mask leaves no other.
                _ => return None,
            }
        }
    }
}

/// What a program loads from.
trait Frame {
    /// So many bytes from `at`; none where the frame is shorter.
    fn bytes<const N: usize>(&self, at: u32) -> Option<[u8; N]>;

    /// A number of the size in `code`, in network order.
    #[inline]
    fn load(&self, code: u16, at: u32) -> Option<u32> {
        match code & code::SIZE {
            code::WORD => self.bytes(at).map(u32::from_be_bytes),
            code::HALF => self.bytes(at).map(|b| u16::from_be_bytes(b).into()),
            code::BYTE => self.bytes(at).map(|[b]| b.into()),
            _ => None,
        }
    }
}

impl Frame for [u8] {
    #[inline]
    fn bytes<const N: usize>(&self, at: u32) -> Option<[u8; N]> {
        self.get(at as usize..)?.first_chunk().copied()
    }
}

/// An Ethernet frame with the VLAN tag back at its place, without copying the frame.
struct Tagged<'a> {
    frame: &'a [u8],
    tag: [u8; 4],
}

impl<'a> Tagged<'a> {
    /// Behind the two addresses.
    const TAG_AT: usize = 12;

    fn new(frame: &'a [u8], tci: u16) -> Self {
        let [high, low] = tci.to_be_bytes();
        Self { frame, tag: [0x81, 0x00, high, low] }
    }
}

impl Frame for Tagged<'_> {
    fn bytes<const N: usize>(&self, at: u32) -> Option<[u8; N]> {
        let mut bytes = [0; N];
        for (i, byte) in bytes.iter_mut().enumerate() {
            let at = (at as usize).checked_add(i)?;
            *byte = match at.checked_sub(Self::TAG_AT) {
                None => *self.frame.get(at)?,
                Some(behind) => match self.tag.get(behind) {
                    Some(&byte) => byte,
                    None => *self.frame.get(at - self.tag.len())?,
                },
            };
        }
        Some(bytes)
    }
}
