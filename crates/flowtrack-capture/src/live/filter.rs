//! The programs that filter a live capture in the kernel.

use std::collections::HashMap;

use flowtrack_event::LinkType;

use crate::sys::instruction::Instruction;
use crate::{Filter, FilterError};

/// A filter expression, compiled once for each link type of a capture.
pub struct Filters<'e> {
    expression: Option<&'e str>,
    snaplen: u32,
    compiled: HashMap<LinkType, Result<Filter, FilterError>>,
}

impl<'e> Filters<'e> {
    /// Wants everything without an expression.
    pub fn new(expression: Option<&'e str>, snaplen: u32) -> Self {
        // A program that keeps 0 bytes would drop every packet.
        Self { expression, snaplen: snaplen.max(1), compiled: HashMap::new() }
    }

    /// The program for an interface with frames of `link`; it also cuts packets to the length to
    /// be kept.
    pub fn for_link(&mut self, link: LinkType) -> Result<Vec<Instruction>, FilterError> {
        let filter = self.compile(link)?;
        Ok(filter.map_or_else(|| vec![Instruction::ret(self.snaplen)], |f| f.program().to_vec()))
    }

    /// The program for all interfaces at once, Ethernet and others.
    ///
    /// An expression that makes no sense without Ethernet headers wants nothing of the others.
    pub fn for_any(&mut self) -> Result<Vec<Instruction>, FilterError> {
        let ethernet = self.for_link(LinkType::ETHERNET)?;
        let other = self.for_link(LinkType::RAW).unwrap_or_else(|_| vec![Instruction::ret(0)]);
        Ok(by_hardware_type(&ethernet, &other))
    }

    fn compile(&mut self, link: LinkType) -> Result<Option<Filter>, FilterError> {
        let Some(expression) = self.expression else { return Ok(None) };
        let compile = || Filter::compile(expression, link, self.snaplen);
        self.compiled.entry(link).or_insert_with(compile).clone().map(Some)
    }
}

/// A program that runs `ethernet` on frames of Ethernet and loopback interfaces, `other` on those
/// of any other.
fn by_hardware_type(ethernet: &[Instruction], other: &[Instruction]) -> Vec<Instruction> {
    let load_type = (libc::SKF_AD_OFF + libc::SKF_AD_HATYPE) as u32;
    let step = |code, jt, jf, k| Instruction { code, jt, jf, k };
    let mut program = vec![
        step(0x20, 0, 0, load_type),
        step(0x15, 2, 0, u32::from(libc::ARPHRD_ETHER)),
        step(0x15, 1, 0, u32::from(libc::ARPHRD_LOOPBACK)),
        step(0x05, 0, 0, ethernet.len() as u32),
    ];
    program.extend(ethernet);
    program.extend(other);
    program
}
