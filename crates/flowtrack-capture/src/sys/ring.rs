//! The receive ring of a packet socket (`TPACKET_V3`, see the kernel's `packet_mmap`).
//!
//! The kernel fills blocks of memory that both sides see and hands over whole blocks; a system
//! call is needed only to wait. A block belongs to the kernel or to us, as its status word says:
//! we read a block only between the kernel setting it to "user" and us setting it back, and all
//! borrows of frames end before that.

use std::io;
use std::mem::{offset_of, size_of};
use std::ptr::{NonNull, null_mut};
use std::slice;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use flowtrack_event::Timestamp;
use libc::{sockaddr_ll, tpacket_block_desc, tpacket_hdr_v1, tpacket_req3, tpacket3_hdr};

use super::instruction::Instruction;
use super::socket::{PacketSocket, RingCounters};

/// How a [`Ring`] is laid out and what it receives.
#[derive(Clone, Debug)]
pub struct RingConfig {
    /// Number of the interface; 0 for all.
    pub ifindex: u32,
    /// Bytes of a block, a multiple of the page size; also limits the length of a frame.
    pub block_size: u32,
    /// Blocks. All of them together cover the time in which the reader is not scheduled.
    pub blocks: u32,
    /// When the kernel hands over a block that is not full.
    pub block_timeout: Duration,
    /// Ask the interface for frames that are not addressed to it.
    pub promiscuous: bool,
}

/// A ring and its socket; unmapped and closed on drop.
#[derive(Debug)]
pub struct Ring {
    memory: Memory,
    socket: PacketSocket,
    block_size: usize,
    blocks: usize,
    /// The block that the kernel hands over next, or that is being read.
    block: usize,
    /// How far that block is read; none while it is the kernel's.
    cursor: Option<Cursor>,
}

#[derive(Clone, Copy, Debug)]
struct Cursor {
    /// Of the next frame in the block.
    offset: usize,
    /// Frames not yet read.
    left: u32,
}

impl Ring {
    /// Opens a socket with a ring on an interface.
    ///
    /// It lets nothing in until [`Ring::start`], so that no frame comes past the filter, or to
    /// the wrong member of a fanout group that is not yet complete.
    pub fn open(config: &RingConfig) -> io::Result<Self> {
        let socket = PacketSocket::open()?;
        socket.attach_filter(&[Instruction::ret(0)])?;
        let version = libc::tpacket_versions::TPACKET_V3 as i32;
        socket.set(libc::SOL_PACKET, libc::PACKET_VERSION, &version)?;
        let frames_per_block = config.block_size / FRAME_SIZE;
        let layout = tpacket_req3 {
            tp_block_size: config.block_size,
            tp_block_nr: config.blocks,
            // Version 3 packs frames of any size; the kernel only checks the arithmetic.
            tp_frame_size: FRAME_SIZE,
            tp_frame_nr: frames_per_block * config.blocks,
            tp_retire_blk_tov: u32::try_from(config.block_timeout.as_millis()).unwrap_or(0),
            tp_sizeof_priv: 0,
            tp_feature_req_word: 0,
        };
        socket.set(libc::SOL_PACKET, libc::PACKET_RX_RING, &layout)?;
        let (block_size, blocks) = (config.block_size as usize, config.blocks as usize);
        let memory = Memory::map(&socket, block_size * blocks)?;
        socket.bind(config.ifindex)?;
        if config.promiscuous {
            socket.promiscuous(config.ifindex)?;
        }
        Ok(Self { memory, socket, block_size, blocks, block: 0, cursor: None })
    }

    /// The socket, for its options.
    pub fn socket(&self) -> &PacketSocket {
        &self.socket
    }

    /// Lets in what `filter` accepts.
    pub fn start(&self, filter: &[Instruction]) -> io::Result<()> {
        self.socket.attach_filter(filter)
    }

    /// What the kernel counted since the last call.
    pub fn take_counters(&self) -> io::Result<RingCounters> {
        self.socket.take_counters()
    }

    /// The block to read now: the one last read, if frames are left in it, else the next that the
    /// kernel handed over. None where there is nothing yet.
    pub fn block(&mut self) -> Option<Block<'_>> {
        if self.cursor.is_none() {
            // Acquire: what the kernel wrote into the block before this word is visible after it.
            let status = self.status().load(Ordering::Acquire);
            if status & libc::TP_STATUS_USER == 0 {
                return None;
            }
            // SAFETY: the header lies in the mapping, and the block is ours.
            let head = unsafe {
                self.block_start().add(HEAD_OFFSET).cast::<tpacket_hdr_v1>().read_unaligned()
            };
            self.cursor =
                Some(Cursor { offset: head.offset_to_first_pkt as usize, left: head.num_pkts });
        }
        Some(Block { ring: self })
    }

    /// Gives the block being read back to the kernel.
    fn release(&mut self) {
        self.cursor = None;
        // Release: our reads of the block are over before the kernel sees the word.
        self.status().store(libc::TP_STATUS_KERNEL, Ordering::Release);
        self.block = (self.block + 1) % self.blocks;
    }

    fn status(&self) -> &AtomicU32 {
        let offset = HEAD_OFFSET + offset_of!(tpacket_hdr_v1, block_status);
        // SAFETY: the word lies in the mapping, which lives as long as `self`, is aligned as the
        // page-aligned block is, and both sides use it as one atomic word only.
        unsafe { AtomicU32::from_ptr(self.block_start().add(offset).cast()) }
    }

    /// The first byte of the current block.
    fn block_start(&self) -> *mut u8 {
        // SAFETY: `block` is below `blocks`, so this stays within the mapping.
        unsafe { self.memory.start.as_ptr().add(self.block * self.block_size) }
    }
}

/// A block of frames; given back to the kernel on drop if all of them were read.
#[derive(Debug)]
pub struct Block<'r> {
    ring: &'r mut Ring,
}

impl Block<'_> {
    /// The frames not yet read; may be left half-way, and gone on with later.
    pub fn frames(&mut self) -> Frames<'_> {
        Frames { ring: self.ring }
    }
}

impl Drop for Block<'_> {
    fn drop(&mut self) {
        if self.ring.cursor.is_some_and(|cursor| cursor.left == 0) {
            self.ring.release();
        }
    }
}

/// Iterator over the frames of a [`Block`], which stays ours as long as this lives.
#[derive(Debug)]
pub struct Frames<'b> {
    ring: &'b mut Ring,
}

impl<'b> Iterator for Frames<'b> {
    type Item = Frame<'b>;

    #[inline]
    fn next(&mut self) -> Option<Frame<'b>> {
        let block = self.ring.block_start();
        let block_size = self.ring.block_size;
        let cursor = self.ring.cursor.as_mut().filter(|cursor| cursor.left > 0)?;
        // The kernel keeps frames inside the block; a slip of its would be ours, so look.
        let fits =
            |from: usize, len: usize| from.checked_add(len).is_some_and(|end| end <= block_size);
        if !fits(cursor.offset, ADDRESS_OFFSET + size_of::<sockaddr_ll>()) {
            cursor.left = 0;
            return None;
        }
        // SAFETY: the block is ours and the frame's header and address lie inside it, as just
        // checked; both are plain integers, of which any bytes are a value.
        let (head, address) = unsafe {
            let at = block.add(cursor.offset);
            (
                at.cast::<tpacket3_hdr>().read_unaligned(),
                at.add(ADDRESS_OFFSET).cast::<sockaddr_ll>().read_unaligned(),
            )
        };
        let start = cursor.offset + usize::from(head.tp_mac);
        let len = head.tp_snaplen as usize;
        if !fits(start, len) {
            cursor.left = 0;
            return None;
        }
        cursor.left -= 1;
        cursor.offset += head.tp_next_offset as usize;
        // SAFETY: these bytes lie inside the block, as just checked. It stays ours, unwritten by
        // anybody, until it is released, which needs the ring that 'b borrows.
        let data = unsafe { slice::from_raw_parts(block.add(start), len) };
        let tagged = head.tp_status & libc::TP_STATUS_VLAN_VALID != 0;
        Some(Frame {
            ts: Timestamp::from_nanos(
                i64::from(head.tp_sec) * 1_000_000_000 + i64::from(head.tp_nsec),
            ),
            wire_len: head.tp_len,
            vlan_tci: tagged.then_some(head.hv1.tp_vlan_tci as u16),
            ifindex: address.sll_ifindex as u32,
            hardware_type: address.sll_hatype,
            outgoing: address.sll_pkttype == libc::PACKET_OUTGOING,
            protocol: u16::from_be(address.sll_protocol),
            network: usize::from(head.tp_net.saturating_sub(head.tp_mac)),
            data,
        })
    }
}

/// A frame as it lies in the ring.
#[derive(Clone, Copy, Debug)]
pub struct Frame<'b> {
    /// When the kernel saw it.
    pub ts: Timestamp,
    /// Length in bytes before the filter cut it, without a tag taken out.
    pub wire_len: u32,
    /// VLAN tag that card or kernel took out of the frame.
    pub vlan_tci: Option<u16>,
    /// Number of the interface.
    pub ifindex: u32,
    /// Kind of the interface (`ARPHRD_*`).
    pub hardware_type: u16,
    /// Whether this host sent it.
    pub outgoing: bool,
    /// `EtherType` of what it carries.
    pub protocol: u16,
    /// Where in `data` the network header begins.
    pub network: usize,
    /// The bytes from the link header on.
    pub data: &'b [u8],
}

/// Memory shared with the kernel; unmapped on drop.
#[derive(Debug)]
struct Memory {
    start: NonNull<u8>,
    len: usize,
}

impl Memory {
    fn map(socket: &PacketSocket, len: usize) -> io::Result<Self> {
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: asks for a new mapping at a place of the kernel's choice.
        let start =
            unsafe { libc::mmap(null_mut(), len, protection, libc::MAP_SHARED, socket.raw(), 0) };
        if start == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let start =
            NonNull::new(start.cast()).ok_or_else(|| io::Error::from_raw_os_error(libc::ENOMEM))?;
        Ok(Self { start, len })
    }
}

// SAFETY: a mapping is not bound to a thread, and `Memory` owns it alone.
unsafe impl Send for Memory {}

impl Drop for Memory {
    fn drop(&mut self) {
        // SAFETY: exactly the mapping made in `map`; no borrow of it outlives the ring.
        unsafe { libc::munmap(self.start.as_ptr().cast(), self.len) };
    }
}

/// Only has to divide the block size; frames are packed tighter.
const FRAME_SIZE: u32 = 2048;

/// Where a block's header begins, after version and private offset.
const HEAD_OFFSET: usize = offset_of!(tpacket_block_desc, hdr);

/// Where a frame's link-layer address begins, after its header.
const ADDRESS_OFFSET: usize =
    (size_of::<tpacket3_hdr>() + libc::TPACKET_ALIGNMENT - 1) & !(libc::TPACKET_ALIGNMENT - 1);
