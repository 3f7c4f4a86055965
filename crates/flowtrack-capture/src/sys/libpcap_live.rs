//! Live capture through libpcap, found at run time.

use std::ffi::{CStr, CString, c_char, c_int, c_uint, c_void};
use std::ptr::{NonNull, null, null_mut};
use std::slice;
use std::sync::OnceLock;

use flowtrack_event::{LinkType, Timestamp};
use libloading::Library;

use super::libpcap::open_library;

/// How a [`PcapHandle`] captures.
#[derive(Clone, Debug)]
pub struct PcapConfig<'c> {
    /// Name of the interface as libpcap knows it.
    pub interface: &'c str,
    /// Bytes kept of each packet.
    pub snaplen: u32,
    /// Ask the interface for frames that are not addressed to this host.
    pub promiscuous: bool,
    /// Bytes that the system may hold back for us.
    pub buffer: u32,
    /// Expression of what to capture.
    pub filter: Option<&'c str>,
}

/// Why libpcap did not open.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum PcapError {
    /// It is not installed.
    Missing,
    /// It is not permitted.
    Permission(String),
    /// The expression is wrong.
    Filter(String),
    /// Any other, in the library's own words.
    Other(String),
}

/// A running capture; closed on drop.
pub struct PcapHandle {
    library: &'static LibPcapLive,
    handle: NonNull<Handle>,
    nanoseconds: bool,
}

/// A packet that lies in the library's buffer until the next is asked for.
#[derive(Clone, Copy, Debug)]
pub struct PcapPacket<'h> {
    /// When it was captured.
    pub ts: Timestamp,
    /// Its length on the wire.
    pub wire_len: u32,
    /// Its captured bytes.
    pub data: &'h [u8],
}

/// What libpcap counted since the start, modulo 2^32.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct PcapCounters {
    /// Packets dropped because its buffer was full.
    pub drops: u32,
    /// Packets dropped by the interface.
    pub interface_drops: u32,
}

impl PcapHandle {
    /// Opens a capture that never waits for packets.
    pub fn open(config: &PcapConfig<'_>) -> Result<Self, PcapError> {
        let library = LibPcapLive::get().ok_or(PcapError::Missing)?;
        let zero_byte = |_| PcapError::Other("zero byte in the name".to_owned());
        let interface = CString::new(config.interface).map_err(zero_byte)?;
        let mut error = [0 as c_char; ERROR_SIZE];
        // SAFETY: the name ends with a zero byte; the buffer has the size that the library demands.
        let handle = unsafe { (library.create)(interface.as_ptr(), error.as_mut_ptr()) };
        let Some(handle) = NonNull::new(handle) else {
            // SAFETY: the library left a text in the buffer, which ends with a zero byte.
            let words = unsafe { CStr::from_ptr(error.as_ptr()) };
            return Err(PcapError::Other(words.to_string_lossy().into_owned()));
        };
        let mut capture = Self { library, handle, nanoseconds: false };
        let raw = handle.as_ptr();
        let number = |n: u32| c_int::try_from(n).unwrap_or(c_int::MAX);
        // SAFETY: the handle is open and not yet active, as these calls demand; they take numbers.
        unsafe {
            (library.set_snaplen)(raw, number(config.snaplen));
            (library.set_promisc)(raw, c_int::from(config.promiscuous));
            (library.set_timeout)(raw, TIMEOUT_MILLIS);
            (library.set_buffer_size)(raw, number(config.buffer));
            if let Some(set_precision) = library.set_tstamp_precision {
                capture.nanoseconds = set_precision(raw, NANOSECONDS) == 0;
            }
        }
        // SAFETY: the handle is open and not yet active.
        match unsafe { (library.activate)(raw) } {
            ERROR_PERMISSION | ERROR_PROMISC_PERMISSION => {
                return Err(PcapError::Permission(capture.words()));
            }
            // Above zero are warnings, such as promiscuous mode not being supported.
            0.. => {}
            _ => return Err(PcapError::Other(capture.words())),
        }
        if let Some(filter) = config.filter {
            capture.set_filter(filter)?;
        }
        // SAFETY: the handle is active; the buffer has the size that the library demands.
        if unsafe { (library.set_nonblock)(raw, 1, error.as_mut_ptr()) } != 0 {
            return Err(PcapError::Other(capture.words()));
        }
        Ok(capture)
    }

    fn set_filter(&mut self, expression: &str) -> Result<(), PcapError> {
        let text = CString::new(expression)
            .map_err(|_| PcapError::Filter("zero byte in the expression".to_owned()))?;
        let raw = self.handle.as_ptr();
        let mut program = Program { len: 0, instructions: null_mut() };
        // SAFETY: the handle is active, the text ends with a zero byte, and `program` is filled on
        // success only, then used and freed once.
        unsafe {
            if (self.library.compile)(raw, &raw mut program, text.as_ptr(), 1, NETMASK_UNKNOWN) != 0
            {
                return Err(PcapError::Filter(self.words()));
            }
            let refused = (self.library.setfilter)(raw, &raw mut program) != 0;
            (self.library.freecode)(&raw mut program);
            if refused { Err(PcapError::Other(self.words())) } else { Ok(()) }
        }
    }

    /// How the frames begin.
    pub fn link(&self) -> LinkType {
        // SAFETY: the handle is active.
        let number = unsafe { (self.library.datalink)(self.handle.as_ptr()) };
        match u32::try_from(number).unwrap_or(u32::MAX) {
            // The one number that differs from system to system; files have one of their own.
            12 | 14 => LinkType::RAW,
            other => LinkType(other),
        }
    }

    /// The next packet, if one is there.
    ///
    /// # Errors
    /// The library's words, such as that the interface went down.
    #[allow(
        clippy::useless_conversion,
        reason = "not every system has 64 bits for seconds and their fraction"
    )]
    pub fn next_packet(&mut self) -> Result<Option<PcapPacket<'_>>, String> {
        let mut header: *const PacketHeader = null();
        let mut data: *const u8 = null();
        let raw = self.handle.as_ptr();
        // SAFETY: the handle is active; header and data are written on success.
        match unsafe { (self.library.next_ex)(raw, &raw mut header, &raw mut data) } {
            1 => {
                // SAFETY: after success both point to a packet of `captured` bytes, which stays
                // until the next call, which needs the borrow of `self` that the packet holds.
                let (header, data) = unsafe {
                    let header = header.read_unaligned();
                    (header, slice::from_raw_parts(data, header.captured as usize))
                };
                let fraction = i64::from(header.time.tv_usec);
                let nanos = if self.nanoseconds { fraction } else { fraction * 1000 };
                let seconds = i64::from(header.time.tv_sec);
                Ok(Some(PcapPacket {
                    ts: Timestamp::from_nanos(seconds.saturating_mul(1_000_000_000) + nanos),
                    wire_len: header.wire,
                    data,
                }))
            }
            0 => Ok(None),
            _ => Err(self.words()),
        }
    }

    /// What the library counted; zeroes where it cannot.
    pub fn counters(&mut self) -> PcapCounters {
        // More room than any system's struct takes.
        let mut stats = [0 as c_uint; 16];
        // SAFETY: the handle is active and the room is enough; the first three numbers are
        // packets received, dropped, and dropped by the interface.
        let failed =
            unsafe { (self.library.stats)(self.handle.as_ptr(), stats.as_mut_ptr().cast()) } != 0;
        if failed {
            return PcapCounters::default();
        }
        PcapCounters { drops: stats[1], interface_drops: stats[2] }
    }

    /// The library's words about the last error.
    fn words(&self) -> String {
        // SAFETY: the text lies in the open handle, ends with a zero byte, and is copied.
        let words = unsafe { CStr::from_ptr((self.library.geterr)(self.handle.as_ptr())) };
        words.to_string_lossy().into_owned()
    }
}

// SAFETY: a handle may be used by any one thread at a time, and this owns it alone.
unsafe impl Send for PcapHandle {}

impl Drop for PcapHandle {
    fn drop(&mut self) {
        // SAFETY: the handle is open and not used again.
        unsafe { (self.library.close)(self.handle.as_ptr()) };
    }
}

/// What is called of the library.
struct LibPcapLive {
    create: unsafe extern "C" fn(*const c_char, *mut c_char) -> *mut Handle,
    set_snaplen: unsafe extern "C" fn(*mut Handle, c_int) -> c_int,
    set_promisc: unsafe extern "C" fn(*mut Handle, c_int) -> c_int,
    set_timeout: unsafe extern "C" fn(*mut Handle, c_int) -> c_int,
    set_buffer_size: unsafe extern "C" fn(*mut Handle, c_int) -> c_int,
    /// Since version 1.5.
    set_tstamp_precision: Option<unsafe extern "C" fn(*mut Handle, c_int) -> c_int>,
    activate: unsafe extern "C" fn(*mut Handle) -> c_int,
    set_nonblock: unsafe extern "C" fn(*mut Handle, c_int, *mut c_char) -> c_int,
    compile: unsafe extern "C" fn(*mut Handle, *mut Program, *const c_char, c_int, c_uint) -> c_int,
    setfilter: unsafe extern "C" fn(*mut Handle, *mut Program) -> c_int,
    freecode: unsafe extern "C" fn(*mut Program),
    datalink: unsafe extern "C" fn(*mut Handle) -> c_int,
    next_ex: unsafe extern "C" fn(*mut Handle, *mut *const PacketHeader, *mut *const u8) -> c_int,
    stats: unsafe extern "C" fn(*mut Handle, *mut c_void) -> c_int,
    geterr: unsafe extern "C" fn(*mut Handle) -> *const c_char,
    close: unsafe extern "C" fn(*mut Handle),
    /// Keeps the code that the functions above point to.
    _library: Library,
}

impl LibPcapLive {
    /// The library, looked for at the first call; none where it is not installed.
    fn get() -> Option<&'static Self> {
        static LOADED: OnceLock<Option<LibPcapLive>> = OnceLock::new();
        LOADED.get_or_init(Self::load).as_ref()
    }

    fn load() -> Option<Self> {
        let library = open_library()?;
        // SAFETY: the names and types are those of the library's published interface, the same
        // since version 1.0. The pointers stay good as long as `_library`.
        unsafe {
            Some(Self {
                create: *library.get(b"pcap_create\0").ok()?,
                set_snaplen: *library.get(b"pcap_set_snaplen\0").ok()?,
                set_promisc: *library.get(b"pcap_set_promisc\0").ok()?,
                set_timeout: *library.get(b"pcap_set_timeout\0").ok()?,
                set_buffer_size: *library.get(b"pcap_set_buffer_size\0").ok()?,
                set_tstamp_precision: library
                    .get(b"pcap_set_tstamp_precision\0")
                    .ok()
                    .map(|symbol| *symbol),
                activate: *library.get(b"pcap_activate\0").ok()?,
                set_nonblock: *library.get(b"pcap_setnonblock\0").ok()?,
                compile: *library.get(b"pcap_compile\0").ok()?,
                setfilter: *library.get(b"pcap_setfilter\0").ok()?,
                freecode: *library.get(b"pcap_freecode\0").ok()?,
                datalink: *library.get(b"pcap_datalink\0").ok()?,
                next_ex: *library.get(b"pcap_next_ex\0").ok()?,
                stats: *library.get(b"pcap_stats\0").ok()?,
                geterr: *library.get(b"pcap_geterr\0").ok()?,
                close: *library.get(b"pcap_close\0").ok()?,
                _library: library,
            })
        }
    }
}

/// `pcap_t`, known only to the library.
type Handle = c_void;

/// `struct bpf_program`.
#[repr(C)]
struct Program {
    len: c_uint,
    instructions: *mut c_void,
}

/// `struct pcap_pkthdr`.
#[repr(C)]
#[derive(Clone, Copy)]
struct PacketHeader {
    time: libc::timeval,
    captured: c_uint,
    wire: c_uint,
}

/// `PCAP_ERRBUF_SIZE`.
const ERROR_SIZE: usize = 256;

/// `PCAP_TSTAMP_PRECISION_NANO`.
const NANOSECONDS: c_int = 1;

/// `PCAP_ERROR_PERM_DENIED` and `PCAP_ERROR_PROMISC_PERM_DENIED`.
const ERROR_PERMISSION: c_int = -8;
const ERROR_PROMISC_PERMISSION: c_int = -11;

/// How long the system may hold packets back to hand them over together.
const TIMEOUT_MILLIS: c_int = 10;

const NETMASK_UNKNOWN: c_uint = 0xFFFF_FFFF;
