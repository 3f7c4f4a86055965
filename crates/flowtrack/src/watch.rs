//! Who looks at all events as they pass the hub.

use flowtrack_event::{Event, Stats, Timestamp};

/// Sees all events of all workers, detections included, on the hub's thread: it must not wait.
///
/// What it has to say itself joins the events on their way to the live view, to history and to
/// sinks, but is shown to no other watcher.
pub trait Watcher: Send {
    /// Looks at events as they come.
    fn watch(&mut self, events: &[Event], out: &mut Vec<Event>);

    /// About a second is over. `now` is the time that it is, whatever the packets' is.
    fn tick(&mut self, _now: Timestamp, _out: &mut Vec<Event>) {}

    /// Writes what it counted since the start among the counters of the program.
    fn count(&self, _stats: &mut Stats) {}

    /// A new capture begins; all events that come now are of it.
    fn begin(&mut self, _from: Origin) {}
}

/// What a capture reads.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Origin {
    /// Interfaces: what is seen happens now, and here.
    Interfaces,
    /// A file, at whatever pace: what is seen happened some time, somewhere.
    File,
}
