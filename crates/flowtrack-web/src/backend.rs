//! What the server asks of the program.

use std::{io::Write, sync::Arc};

use flowtrack_store::live::{FlowRow, RatePoint, Snapshot};

use crate::api::{
    blocks::Blocking,
    capture::{CaptureRequest, CaptureStatus, FilterProblem, Interface},
    channels::ChannelStatus,
    export::ExportRequest,
    flows::FlowQuery,
    health::Health,
    rules::RulesStatus,
    series::SeriesQuery,
};
use crate::desk::AlertDesk;

/// The program behind the dashboard.
///
/// [`Backend::snapshot`], [`Backend::capture_status`] and [`Backend::health`] are called several
/// times a second on an async thread and must not block. All others run on a thread that may wait
/// for the kernel or the disk.
pub trait Backend: Send + Sync + 'static {
    /// What the live view published last.
    fn snapshot(&self) -> Arc<Snapshot>;

    /// Whether packets are being captured, and from where.
    fn capture_status(&self) -> CaptureStatus;

    /// How each part of the program is.
    fn health(&self) -> Health;

    /// How the signatures are.
    fn rules(&self) -> RulesStatus;

    /// Loads the signatures again; where that fails, those before stay in force.
    fn reload_rules(&self) -> RulesStatus;

    /// Alerts and mutes.
    fn alerts(&self) -> &dyn AlertDesk;

    /// What can be captured from: devices, and files that were given to be replayed.
    fn interfaces(&self) -> anyhow::Result<Vec<Interface>>;

    /// Starts capturing, or changes what is captured where it already runs.
    fn start_capture(&self, request: &CaptureRequest) -> Result<(), CaptureProblem>;

    /// Stops capturing; what was seen stays. Stopping twice is no error.
    fn stop_capture(&self) -> Result<(), CaptureProblem>;

    /// Compiles a capture filter without using it.
    fn check_filter(&self, bpf: &str) -> Result<(), FilterProblem>;

    /// Flows of history, newest first unless the query says otherwise.
    ///
    /// The query's filter has been parsed before and is valid.
    fn flows(&self, query: &FlowQuery) -> anyhow::Result<Page<FlowRow>>;

    /// One flow of history by its run and its number there; run 0 is the one that runs now.
    fn flow(&self, run: u64, id: u64) -> anyhow::Result<Option<FlowRow>>;

    /// Numbers per second or minute of history, oldest first.
    fn series(&self, query: &SeriesQuery) -> anyhow::Result<Vec<RatePoint>>;

    /// The ways to people, and how they are; must not block.
    fn channels(&self) -> Vec<ChannelStatus>;

    /// Sends a test by this channel and waits for what becomes of it; `None` where there is none of
    /// this name.
    fn test_channel(&self, name: &str) -> Option<Result<(), String>>;

    /// Writes flows of history or recorded packets; a failing `out` means that the client has gone.
    ///
    /// An error before the first byte is told to the client, a later one cuts the transfer.
    fn export(&self, request: &ExportRequest, out: &mut dyn Write) -> anyhow::Result<()>;

    /// Blocking, where the program can.
    fn blocking(&self) -> Option<&dyn Blocking> {
        None
    }
}

/// A part of a longer result.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Page<T> {
    /// The rows.
    pub rows: Vec<T>,
    /// What to ask with for the rows that follow; `None` on the last page.
    pub next: Option<String>,
}

/// Why capturing could not be started or stopped.
#[derive(Debug)]
pub enum CaptureProblem {
    /// The filter does not compile.
    Filter(FilterProblem),
    /// The request names an interface that does not exist, or none.
    Request(String),
    /// The system does not permit it; the text says what to do.
    Permission(String),
    /// Something else failed.
    Failed(anyhow::Error),
}
