//! A network of its own for a test: a namespace with a pair of virtual Ethernet interfaces.

use crate::namespace::Namespace;
use std::process::Command;

/// A network namespace with the pair `left` and `right`, both up; removed on drop.
pub struct Pair(Namespace);

impl Pair {
    /// Makes the network; none, with the reason printed, where that is not permitted.
    pub fn new() -> Option<Self> {
        let pair = Self(Namespace::new()?);
        // Nothing but the test shall speak: no IPv6 neighbour discovery.
        pair.inside(|| {
            std::fs::write("/proc/sys/net/ipv6/conf/default/disable_ipv6", "1")
                .expect("root may write it");
        });
        pair.make();
        Some(pair)
    }

    /// Adds `left` and `right`, as after [`Pair::remove`].
    pub fn make(&self) {
        self.0.ip("link add left type veth peer name right");
        self.0.ip("link set left up");
        self.up();
    }

    /// Takes `right` down; `left` stays up, without anybody to hear it.
    pub fn down(&self) {
        self.0.ip("link set right down");
    }

    /// Brings `right` up, and waits until frames pass.
    pub fn up(&self) {
        self.0.ip("link set right up");
        self.0.await_carrier(&["left", "right"]);
    }

    /// Takes both interfaces away.
    pub fn remove(&self) {
        self.0.ip("link del left");
    }

    /// Runs `ip` inside with these words.
    pub fn ip(&self, words: &str) {
        self.0.ip(words);
    }

    /// A program that will run inside; what it reads of interfaces below `/sys` is of there too.
    pub fn command(&self, program: &str) -> Command {
        self.0.command(program)
    }

    /// Runs `f` on a thread of its own inside the namespace; threads that it starts are inside too.
    pub fn inside<T: Send>(&self, f: impl FnOnce() -> T + Send) -> T {
        self.0.inside(f)
    }
}
