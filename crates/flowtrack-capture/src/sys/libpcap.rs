//! The compiler of filter expressions in libpcap, found at run time.
//!
//! Everybody knows the language from tcpdump, so its own compiler translates it. The program
//! starts and does everything else where the library is not installed.

use super::instruction::Instruction;
use flowtrack_event::LinkType;
use libloading::Library;
use std::ffi::{CStr, CString, c_char, c_int, c_uint, c_void};
use std::sync::{Mutex, OnceLock, PoisonError};

/// Names of the library on the systems that have it.
const NAMES: &[&str] = if cfg!(windows) {
    &["wpcap.dll"]
} else if cfg!(target_os = "macos") {
    &["libpcap.A.dylib", "libpcap.1.dylib", "libpcap.dylib"]
} else {
    &["libpcap.so.0.8", "libpcap.so.1", "libpcap.so"]
};

/// The library, with what is called of it.
pub struct LibPcap {
    open_dead: unsafe extern "C" fn(c_int, c_int) -> *mut Handle,
    compile: unsafe extern "C" fn(*mut Handle, *mut Program, *const c_char, c_int, c_uint) -> c_int,
    free_code: unsafe extern "C" fn(*mut Program),
    error: unsafe extern "C" fn(*mut Handle) -> *const c_char,
    close: unsafe extern "C" fn(*mut Handle),
    #[cfg(test)]
    offline_filter: unsafe extern "C" fn(*const Program, *const PacketHeader, *const u8) -> c_int,
    /// Compiling was not safe for several threads before version 1.8.
    one_at_a_time: Mutex<()>,
    /// Keeps the code that the functions above point to.
    _library: Library,
}

/// `pcap_t`, known only to the library.
type Handle = c_void;

/// `struct bpf_program`.
#[repr(C)]
struct Program {
    len: c_uint,
    instructions: *mut Instruction,
}

/// `struct pcap_pkthdr`.
#[cfg(test)]
#[repr(C)]
struct PacketHeader {
    time: libc::timeval,
    captured: c_uint,
    wire: c_uint,
}

impl LibPcap {
    /// The library, looked for at the first call; none where it is not installed.
    pub fn get() -> Option<&'static Self> {
        static LOADED: OnceLock<Option<LibPcap>> = OnceLock::new();
        LOADED.get_or_init(Self::load).as_ref()
    }

    fn load() -> Option<Self> {
        let library = open_library()?;
        // SAFETY: the names and types are those of the library's published interface, which has
        // not changed them since version 0.8. The pointers stay good as long as `_library`.
        unsafe {
            Some(Self {
                open_dead: *library.get(b"pcap_open_dead\0").ok()?,
                compile: *library.get(b"pcap_compile\0").ok()?,
                free_code: *library.get(b"pcap_freecode\0").ok()?,
                error: *library.get(b"pcap_geterr\0").ok()?,
                close: *library.get(b"pcap_close\0").ok()?,
                #[cfg(test)]
                offline_filter: *library.get(b"pcap_offline_filter\0").ok()?,
                one_at_a_time: Mutex::new(()),
                _library: library,
            })
        }
    }

    /// Compiles `expression` for frames of `link` of which `snaplen` bytes are kept.
    ///
    /// May ask a name server for what a name in the expression stands for.
    ///
    /// # Errors
    /// The library's own words.
    pub fn compile(
        &self,
        expression: &CStr,
        link: LinkType,
        snaplen: u32,
    ) -> Result<Vec<Instruction>, String> {
        let _guard = self.one_at_a_time.lock().unwrap_or_else(PoisonError::into_inner);
        let snaplen = c_int::try_from(snaplen).unwrap_or(c_int::MAX);
        // SAFETY: takes numbers only, of any value.
        let handle = unsafe { (self.open_dead)(data_link_type(link), snaplen) };
        if handle.is_null() {
            return Err("out of memory".to_owned());
        }
        let mut program = Program { len: 0, instructions: std::ptr::null_mut() };
        // SAFETY: the handle was just opened, `program` is written only, the text ends with a
        // zero byte; the library keeps none of them.
        let refused = unsafe {
            (self.compile)(handle, &raw mut program, expression.as_ptr(), OPTIMIZE, NETMASK_UNKNOWN)
        } != 0;
        let result = if refused {
            // SAFETY: the text lies in the handle, which is still open, and is copied.
            let words = unsafe { CStr::from_ptr((self.error)(handle)) };
            Err(words.to_string_lossy().into_owned())
        } else {
            // SAFETY: after success the program has `len` instructions, in the layout of
            // `Instruction`. They are copied before they are freed.
            let copy = unsafe {
                std::slice::from_raw_parts(program.instructions, program.len as usize).to_vec()
            };
            // SAFETY: filled by `compile` and freed this once.
            unsafe { (self.free_code)(&raw mut program) };
            Ok(copy)
        };
        // SAFETY: the handle is open and not used again.
        unsafe { (self.close)(handle) };
        result
    }

    /// Runs `program` as libpcap does, to compare with.
    #[cfg(test)]
    pub fn run(&self, program: &[Instruction], data: &[u8], wire_len: u32) -> bool {
        let program =
            Program { len: program.len() as c_uint, instructions: program.as_ptr().cast_mut() };
        let header = PacketHeader {
            time: libc::timeval { tv_sec: 0, tv_usec: 0 },
            captured: data.len() as c_uint,
            wire: wire_len,
        };
        // SAFETY: all three are only read, and `data` has the length that the header says.
        unsafe { (self.offline_filter)(&raw const program, &raw const header, data.as_ptr()) != 0 }
    }
}

/// The library under any of its names.
pub(super) fn open_library() -> Option<Library> {
    // SAFETY: libpcap runs nothing when it is loaded.
    NAMES.iter().find_map(|&name| unsafe { Library::new(name) }.ok())
}

const OPTIMIZE: c_int = 1;
const NETMASK_UNKNOWN: c_uint = 0xFFFF_FFFF;

/// An expression as the library takes it; none with a zero byte inside.
pub fn expression(text: &str) -> Option<CString> {
    CString::new(text).ok()
}

/// What the library calls a link type: its numbers are those of files, but for a few old ones.
fn data_link_type(link: LinkType) -> c_int {
    let openbsd = cfg!(target_os = "openbsd");
    match link.0 {
        // Raw IP.
        101 | 12 | 14 => 12 + 2 * c_int::from(openbsd),
        // LLC-encapsulated ATM.
        100 => 11,
        other => c_int::try_from(other).unwrap_or(c_int::MAX),
    }
}
