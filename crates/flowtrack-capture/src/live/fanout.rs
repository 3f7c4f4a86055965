//! The program by which the kernel shares out frames among the workers.
//!
//! A worker must see all of a flow: both directions, every fragment, and all that goes through a
//! tunnel. The kernel's own flow hash (`PACKET_FANOUT_HASH`) does not promise that: of a fragment
//! it lacks the ports, so fragments and whole packets of one flow part; the two directions of a
//! flow inside VXLAN differ in the outer source port, so they part too; and the reassembly that
//! the kernel offers covers IPv4 only and hides fragments from us.
//!
//! So the worker is chosen by a hash of the two outer IP addresses alone, the same both ways.
//! Whatever is exchanged between two hosts, tunnelled flows included, then meets in one worker.
//! An ICMP error is hashed by the addresses of the packet it quotes, to reach the worker that
//! knows that flow. The price is that one pair of hosts never uses two workers.
//! Each address is mixed with a random seed before the two are added, so that nobody outside can
//! choose addresses that all meet in one worker. Frames without IP go to the first worker.
//!
//! Classic BPF, since every kernel takes it from an ordinary process and checks that it ends.

use crate::sys::instruction::Instruction;

/// The program; it answers with a hash, of which the kernel takes the remainder by the number of
/// workers.
pub fn program(seed: u32) -> Vec<Instruction> {
    let mut asm = Assembler::default();
    let [cooked, ethernet] = [asm.label(), asm.label()];
    asm.load_abs(HARDWARE_TYPE);
    asm.jump_if(EQ, ARPHRD_ETHER, ethernet);
    asm.jump_if(EQ, ARPHRD_LOOPBACK, ethernet);
    asm.jump(cooked);

    // Ethernet: find the IP header from the link header on. The network header would be simpler,
    // but for a tag left in the frame the kernel's versions differ in what they call by that name.
    asm.place(ethernet);
    let tail = Tail::new(&mut asm, LINK_HEADER, seed);
    let [mpls, pppoe, end] = [asm.label(), asm.label(), asm.label()];
    asm.set_x(12);
    for tag in 0..=MAX_TAGS {
        asm.load_half(LINK_HEADER);
        asm.add_x(2);
        asm.jump_if(EQ, 0x0800, tail.ipv4);
        asm.jump_if(EQ, 0x86dd, tail.ipv6);
        asm.jump_if(EQ, 0x8847, mpls);
        asm.jump_if(EQ, 0x8848, mpls);
        asm.jump_if(EQ, 0x8864, pppoe);
        if tag < MAX_TAGS {
            let tagged = asm.label();
            asm.jump_if(EQ, 0x8100, tagged);
            asm.jump_if(EQ, 0x88a8, tagged);
            asm.jump_if(EQ, 0x9100, tagged);
            asm.jump(end);
            asm.place(tagged);
            asm.add_x(2);
        }
    }
    asm.jump(end);

    asm.place(pppoe);
    asm.load_half(LINK_HEADER + 6);
    asm.add_x(8);
    asm.jump_if(EQ, 0x0021, tail.ipv4);
    asm.jump_if(EQ, 0x0057, tail.ipv6);
    asm.jump(end);

    asm.place(mpls);
    let bottom = asm.label();
    for _ in 0..MAX_LABELS {
        asm.load_byte(LINK_HEADER + 2);
        asm.add_x(4);
        asm.jump_if(SET, 0x01, bottom);
    }
    asm.jump(end);
    asm.place(bottom);
    asm.load_byte(LINK_HEADER);
    asm.and(0xf0);
    asm.jump_if(EQ, 0x40, tail.ipv4);
    asm.jump_if(EQ, 0x60, tail.ipv6);
    asm.place(end);
    asm.ret(0);
    tail.emit(&mut asm);

    // Other interfaces: the kernel knows where the network header is.
    asm.place(cooked);
    let tail = Tail::new(&mut asm, NETWORK_HEADER, seed);
    asm.set_x(0);
    asm.load_abs(PROTOCOL);
    asm.jump_if(EQ, 0x0800, tail.ipv4);
    asm.jump_if(EQ, 0x86dd, tail.ipv6);
    asm.ret(0);
    tail.emit(&mut asm);

    asm.assemble()
}

/// The part of the program that hashes an IP header at `base` + X.
struct Tail {
    base: u32,
    seed: u32,
    ipv4: Label,
    ipv6: Label,
}

impl Tail {
    fn new(asm: &mut Assembler, base: u32, seed: u32) -> Self {
        Self { base, seed, ipv4: asm.label(), ipv6: asm.label() }
    }

    fn emit(&self, asm: &mut Assembler) {
        let base = self.base;
        let hash = asm.label();
        asm.place(self.ipv4);
        // Anything but the first fragment of an ICMP message is hashed by its own addresses.
        asm.load_byte(base + 9);
        asm.jump_unless(EQ, 1, hash);
        asm.load_half(base + 6);
        asm.and(0x1fff);
        asm.jump_unless(EQ, 0, hash);
        // X += length of the IP header.
        asm.load_byte(base);
        asm.and(0x0f);
        asm.shift_left(2);
        asm.store_x(BASE);
        asm.add_from_x();
        asm.tax();
        asm.load_byte(base);
        let quotes = asm.label();
        for error in [3, 4, 5, 11, 12] {
            asm.jump_if(EQ, error, quotes);
        }
        asm.load_x(BASE);
        asm.jump(hash);
        asm.place(quotes);
        asm.add_x(8);
        asm.place(hash);
        self.emit_hash(asm, 12, 1);

        let hash = asm.label();
        asm.place(self.ipv6);
        asm.load_byte(base + 6);
        asm.jump_unless(EQ, 58, hash);
        // ICMPv6 types below 128 are errors.
        asm.load_byte(base + 40);
        asm.jump_if(SET, 0x80, hash);
        asm.add_x(48);
        asm.place(hash);
        self.emit_hash(asm, 8, 4);
    }

    /// Hashes two addresses of so many words, the first at `offset`, and ends.
    fn emit_hash(&self, asm: &mut Assembler, offset: u32, words: u32) {
        asm.store_x(BASE);
        for address in 0..2 {
            asm.load_imm(self.seed);
            asm.store(HASH);
            for word in 0..words {
                asm.load_x(BASE);
                asm.load_word(self.base + offset + 4 * (address * words + word));
                asm.load_x(HASH);
                asm.xor_x();
                asm.mul(0x9e37_79b1);
                asm.tax();
                asm.shift_right(15);
                asm.xor_x();
                asm.mul(0x85eb_ca77);
                asm.store(HASH);
            }
            if address == 0 {
                asm.store(FIRST);
            }
        }
        // The sum is the same both ways; a last mix lets its high bits count for few workers too.
        asm.load_x(FIRST);
        asm.add_from_x();
        asm.tax();
        asm.shift_right(16);
        asm.xor_x();
        asm.ret_a();
    }
}

/// Builds a program with forward jumps to labels.
#[derive(Default)]
struct Assembler {
    code: Vec<Instruction>,
    /// Where each label stands, once placed.
    labels: Vec<Option<usize>>,
    /// Jumps whose distance is not known before the end.
    jumps: Vec<(usize, Label)>,
}

#[derive(Clone, Copy)]
struct Label(usize);

impl Assembler {
    fn label(&mut self) -> Label {
        self.labels.push(None);
        Label(self.labels.len() - 1)
    }

    fn place(&mut self, label: Label) {
        self.labels[label.0] = Some(self.code.len());
    }

    fn assemble(mut self) -> Vec<Instruction> {
        for (at, label) in self.jumps {
            let target = self.labels[label.0].expect("every label that is jumped to is placed");
            self.code[at].k = (target - at - 1) as u32;
        }
        self.code
    }

    fn emit(&mut self, code: u16, k: u32) {
        self.code.push(Instruction { code, jt: 0, jf: 0, k });
    }

    fn jump(&mut self, to: Label) {
        self.jumps.push((self.code.len(), to));
        self.emit(0x05, 0);
    }

    /// Jumps where the comparison of A with `k` holds. A conditional jump reaches 255
    /// instructions at most, so it only steps over one that reaches everywhere.
    fn jump_if(&mut self, test: u16, k: u32, to: Label) {
        self.code.push(Instruction { code: test, jt: 0, jf: 1, k });
        self.jump(to);
    }

    fn jump_unless(&mut self, test: u16, k: u32, to: Label) {
        self.code.push(Instruction { code: test, jt: 1, jf: 0, k });
        self.jump(to);
    }

    fn load_abs(&mut self, at: u32) {
        self.emit(0x20, at);
    }

    fn load_word(&mut self, at: u32) {
        self.emit(0x40, at);
    }

    fn load_half(&mut self, at: u32) {
        self.emit(0x48, at);
    }

    fn load_byte(&mut self, at: u32) {
        self.emit(0x50, at);
    }

    fn load_imm(&mut self, k: u32) {
        self.emit(0x00, k);
    }

    fn load(&mut self, cell: u32) {
        self.emit(0x60, cell);
    }

    fn load_x(&mut self, cell: u32) {
        self.emit(0x61, cell);
    }

    fn store(&mut self, cell: u32) {
        self.emit(0x02, cell);
    }

    fn store_x(&mut self, cell: u32) {
        self.emit(0x03, cell);
    }

    fn set_x(&mut self, k: u32) {
        self.emit(0x01, k);
    }

    /// X += k; A stays.
    fn add_x(&mut self, k: u32) {
        self.store(SCRATCH);
        self.emit(0x87, 0);
        self.emit(0x04, k);
        self.tax();
        self.load(SCRATCH);
    }

    fn add_from_x(&mut self) {
        self.emit(0x0c, 0);
    }

    fn mul(&mut self, k: u32) {
        self.emit(0x24, k);
    }

    fn and(&mut self, k: u32) {
        self.emit(0x54, k);
    }

    fn shift_left(&mut self, k: u32) {
        self.emit(0x64, k);
    }

    fn shift_right(&mut self, k: u32) {
        self.emit(0x74, k);
    }

    fn xor_x(&mut self) {
        self.emit(0xac, 0);
    }

    fn tax(&mut self) {
        self.emit(0x07, 0);
    }

    fn ret(&mut self, k: u32) {
        self.emit(0x06, k);
    }

    fn ret_a(&mut self) {
        self.emit(0x16, 0);
    }
}

/// Comparisons of A with a constant.
const EQ: u16 = 0x15;
const SET: u16 = 0x45;

/// Offsets that the kernel does not count from the frame's first byte.
const LINK_HEADER: u32 = libc::SKF_LL_OFF as u32;
const NETWORK_HEADER: u32 = libc::SKF_NET_OFF as u32;
const PROTOCOL: u32 = (libc::SKF_AD_OFF + libc::SKF_AD_PROTOCOL) as u32;
const HARDWARE_TYPE: u32 = (libc::SKF_AD_OFF + libc::SKF_AD_HATYPE) as u32;

const ARPHRD_ETHER: u32 = libc::ARPHRD_ETHER as u32;
const ARPHRD_LOOPBACK: u32 = libc::ARPHRD_LOOPBACK as u32;

/// Cells of the program's scratch memory.
const BASE: u32 = 0;
const HASH: u32 = 1;
const FIRST: u32 = 2;
const SCRATCH: u32 = 3;

/// VLAN tags and MPLS labels looked behind.
const MAX_TAGS: usize = 3;
const MAX_LABELS: usize = 4;
