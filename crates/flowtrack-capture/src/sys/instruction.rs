//! One instruction of classic BPF, as the kernel and libpcap lay it out in memory.

/// An instruction of a classic BPF program (`struct sock_filter`, `struct bpf_insn`).
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Instruction {
    /// What to do.
    pub code: u16,
    /// Instructions to skip where a comparison holds.
    pub jt: u8,
    /// Instructions to skip where it does not.
    pub jf: u8,
    /// The operand.
    pub k: u32,
}

impl Instruction {
    /// Ends the program; a socket filter keeps so many bytes of the packet, 0 drops it.
    pub const fn ret(k: u32) -> Self {
        Self { code: 0x06, jt: 0, jf: 0, k }
    }
}
