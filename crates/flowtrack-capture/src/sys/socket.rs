//! A packet socket (`AF_PACKET`, see packet(7)) and its options.

use std::io;
use std::mem::{size_of, zeroed};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::time::Duration;

use super::instruction::Instruction;

/// A packet socket of the calling thread's network namespace; closed on drop.
#[derive(Debug)]
pub struct PacketSocket {
    fd: OwnedFd,
}

/// What the kernel counted on a ring since it was last asked.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct RingCounters {
    /// Packets that passed the filter, those dropped included.
    pub packets: u32,
    /// Packets dropped because no block was free.
    pub drops: u32,
    /// Times that the ring froze because no block was free.
    pub freezes: u32,
}

/// An interface as a socket knows it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Bound {
    /// Its number; 0 for all interfaces.
    pub ifindex: u32,
    /// Its kind (`ARPHRD_*`); 0 for all interfaces.
    pub hardware_type: u16,
}

impl PacketSocket {
    /// Opens a socket that takes part in nothing until it is bound.
    ///
    /// # Errors
    /// `EPERM` without the capability `CAP_NET_RAW`.
    pub fn open() -> io::Result<Self> {
        let kind = libc::SOCK_RAW | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
        // SAFETY: takes numbers only. Protocol 0 keeps packets out until `bind`.
        let fd = unsafe { libc::socket(libc::AF_PACKET, kind, 0) };
        check(fd)?;
        // SAFETY: the descriptor was just opened and belongs to nobody else.
        Ok(Self { fd: unsafe { OwnedFd::from_raw_fd(fd) } })
    }

    /// Attaches the socket to one interface, or with 0 to all, and receives every protocol.
    ///
    /// # Errors
    /// `ENODEV` for an unknown interface, `ENETDOWN` for one that is down.
    pub fn bind(&self, ifindex: u32) -> io::Result<()> {
        self.bind_protocol(ifindex, libc::ETH_P_ALL as u16)
    }

    /// Attaches the socket to one interface to send only.
    pub fn bind_to_send(&self, ifindex: u32) -> io::Result<()> {
        self.bind_protocol(ifindex, 0)
    }

    fn bind_protocol(&self, ifindex: u32, protocol: u16) -> io::Result<()> {
        let address = libc::sockaddr_ll {
            sll_family: libc::AF_PACKET as u16,
            sll_protocol: protocol.to_be(),
            sll_ifindex: ifindex as i32,
            // SAFETY: all zeroes is a value of this plain struct.
            ..unsafe { zeroed() }
        };
        // SAFETY: address and length describe one `sockaddr_ll`.
        check(unsafe {
            libc::bind(self.raw(), (&raw const address).cast(), size_of_val(&address) as u32)
        })?;
        self.take_error()
    }

    /// The error that the kernel left on the socket, such as `ENETDOWN`; asking clears it.
    pub fn take_error(&self) -> io::Result<()> {
        match self.get::<i32>(libc::SOL_SOCKET, libc::SO_ERROR)? {
            0 => Ok(()),
            code => Err(io::Error::from_raw_os_error(code)),
        }
    }

    /// The interface that the socket is bound to; its number is no longer that of
    /// [`PacketSocket::bind`] once the interface was removed.
    pub fn bound_to(&self) -> io::Result<Bound> {
        // SAFETY: all zeroes is a value of this plain struct.
        let mut address: libc::sockaddr_ll = unsafe { zeroed() };
        let mut len = size_of::<libc::sockaddr_ll>() as libc::socklen_t;
        // SAFETY: address and length describe one `sockaddr_ll`, which the call fills.
        check(unsafe { libc::getsockname(self.raw(), (&raw mut address).cast(), &raw mut len) })?;
        Ok(Bound { ifindex: address.sll_ifindex as u32, hardware_type: address.sll_hatype })
    }

    /// Runs `program` on every packet before it takes up memory; replaces an earlier one without
    /// a moment of no filter.
    pub fn attach_filter(&self, program: &[Instruction]) -> io::Result<()> {
        self.set_program(libc::SOL_SOCKET, libc::SO_ATTACH_FILTER, program)
    }

    /// Asks the interface for frames that are not addressed to it, as long as the socket is open.
    pub fn promiscuous(&self, ifindex: u32) -> io::Result<()> {
        let request = libc::packet_mreq {
            mr_ifindex: ifindex as i32,
            mr_type: libc::PACKET_MR_PROMISC as u16,
            mr_alen: 0,
            mr_address: [0; 8],
        };
        self.set(libc::SOL_PACKET, libc::PACKET_ADD_MEMBERSHIP, &request)
    }

    /// Leaves out what this host sends. Linux 4.20 or later.
    pub fn ignore_outgoing(&self) -> io::Result<()> {
        self.set(libc::SOL_PACKET, libc::PACKET_IGNORE_OUTGOING, &1_i32)
    }

    /// Joins the bound socket to a fanout group whose program chooses the member, or founds one
    /// with a number that nobody uses; answers that number.
    pub fn join_fanout(&self, group: Option<u16>, ignore_outgoing: bool) -> io::Result<u16> {
        let mut flags = libc::PACKET_FANOUT_CBPF;
        if group.is_none() {
            flags |= libc::PACKET_FANOUT_FLAG_UNIQUEID;
        }
        let join = |flags: u32| {
            let request = u32::from(group.unwrap_or(0)) | flags << 16;
            self.set(libc::SOL_PACKET, libc::PACKET_FANOUT, &request)
        };
        // Kernels before 5.18 do not know the flag.
        if !ignore_outgoing || join(flags | libc::PACKET_FANOUT_FLAG_IGNORE_OUTGOING).is_err() {
            join(flags)?;
        }
        // The number stands in the lower half; type and flags above it.
        Ok(self.get::<u32>(libc::SOL_PACKET, libc::PACKET_FANOUT)? as u16)
    }

    /// Sets the program that answers with a hash, by which the kernel chooses the member.
    pub fn set_fanout_program(&self, program: &[Instruction]) -> io::Result<()> {
        self.set_program(libc::SOL_PACKET, libc::PACKET_FANOUT_DATA, program)
    }

    /// What the kernel counted since the last call; needs a version 3 ring.
    pub fn take_counters(&self) -> io::Result<RingCounters> {
        let stats: libc::tpacket_stats_v3 = self.get(libc::SOL_PACKET, libc::PACKET_STATISTICS)?;
        Ok(RingCounters {
            packets: stats.tp_packets,
            drops: stats.tp_drops,
            freezes: stats.tp_freeze_q_cnt,
        })
    }

    pub(super) fn raw(&self) -> RawFd {
        self.fd.as_raw_fd()
    }

    /// Sets an option. `T` must be the plain C type that the option takes.
    pub(super) fn set<T: Copy>(&self, level: i32, option: i32, value: &T) -> io::Result<()> {
        // SAFETY: pointer and length describe `value`; the kernel only reads it and checks the
        // length against what the option takes.
        check(unsafe {
            libc::setsockopt(
                self.raw(),
                level,
                option,
                std::ptr::from_ref(value).cast(),
                size_of::<T>() as u32,
            )
        })
    }

    /// Reads an option. `T` must be a plain C type, of which any bytes are a value.
    fn get<T: Copy>(&self, level: i32, option: i32) -> io::Result<T> {
        // SAFETY: used with integers and structs of integers only, for which zeroes are a value.
        let mut value: T = unsafe { zeroed() };
        let mut len = size_of::<T>() as libc::socklen_t;
        // SAFETY: pointer and length describe `value`; the kernel writes at most so much.
        check(unsafe {
            libc::getsockopt(self.raw(), level, option, (&raw mut value).cast(), &raw mut len)
        })?;
        Ok(value)
    }

    fn set_program(&self, level: i32, option: i32, program: &[Instruction]) -> io::Result<()> {
        let len = u16::try_from(program.len())
            .map_err(|_| io::Error::new(io::ErrorKind::InvalidInput, "filter program too long"))?;
        // `Instruction` is laid out as `sock_filter`; the kernel copies the program and does not
        // write to it, in spite of the `*mut`.
        let program = libc::sock_fprog { len, filter: program.as_ptr().cast_mut().cast() };
        self.set(level, option, &program)
    }
}

/// Waits for several sockets at once; keeps its list between calls.
#[derive(Debug, Default)]
pub struct Poller {
    polled: Vec<libc::pollfd>,
}

impl Poller {
    /// Waits until one of the sockets has something, or an error, and at most `wait`.
    ///
    /// A signal ends the wait early, as if the time were over.
    pub fn wait<'a>(
        &mut self,
        sockets: impl IntoIterator<Item = &'a PacketSocket>,
        wait: Duration,
    ) -> io::Result<()> {
        self.polled.clear();
        self.polled.extend(sockets.into_iter().map(|socket| libc::pollfd {
            fd: socket.raw(),
            events: libc::POLLIN,
            revents: 0,
        }));
        // Rounded up, since a wait of 0 would spin.
        let millis = i32::try_from(wait.as_micros().div_ceil(1000)).unwrap_or(i32::MAX);
        let count = self.polled.len() as libc::nfds_t;
        // SAFETY: pointer and length describe the vector, which outlives the call.
        match check(unsafe { libc::poll(self.polled.as_mut_ptr(), count, millis) }) {
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {
                self.polled.clear();
                Ok(())
            }
            answer => answer,
        }
    }

    /// Whether the n-th socket of the last wait holds an error.
    pub fn failed(&self, n: usize) -> bool {
        self.polled.get(n).is_some_and(|polled| polled.revents & !libc::POLLIN != 0)
    }
}

/// The system's error where a call answered below zero.
pub(super) fn check(answer: i32) -> io::Result<()> {
    if answer < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
