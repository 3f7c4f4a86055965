//! The program as the dashboard sees it.

use crate::alerts::Alerts;
use crate::control::{Control, Live, State};
use crate::export::{self, PacketForm, Span};
use crate::notify::People;
use crate::respond::Respond;
use crate::rules::book::{self, Rulebook};
use flowtrack_capture::{ANY, Filter as BpfFilter, FilterError, LiveConfig, Recorder, SourceError};
use flowtrack_event::LinkType;
use flowtrack_filter::Field;
use flowtrack_output::TableFormat;
use flowtrack_store::live::{FlowRow, RatePoint, Snapshot};
use flowtrack_store::{HistoryReader, HistoryWriter, LiveReader, Query, StoreState};
use flowtrack_web::{
    AlertDesk, Backend, Blocking, CaptureProblem, CaptureRequest, CaptureState, CaptureStatus,
    ChannelStatus, ExportKind, ExportRequest, FilterProblem, FlowQuery, FlowSort, Health,
    HealthPart, HealthState, Interface, InterfaceKind, Order, Page, RulesStatus, SeriesQuery,
};
use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// Time that an export may take.
const EXPORT_PATIENCE: Duration = Duration::from_mins(10);

/// What the dashboard reads and steers.
pub struct Program {
    /// What is shown.
    pub live: LiveReader,
    /// Alerts and mutes.
    pub alerts: Arc<Alerts>,
    /// The capture.
    pub control: Arc<Control>,
    /// How live capture is set up, apart from what a request says.
    pub capture: LiveConfig,
    /// Worker threads.
    pub workers: usize,
    /// History, where it is kept.
    pub history: Option<(Arc<HistoryWriter>, HistoryReader)>,
    /// The rules.
    pub rules: Arc<Rulebook>,
    /// Whoever is told of alerts, where anybody is.
    pub people: Option<Arc<People>>,
    /// The recorder, where packets are kept, and its folder.
    pub recorder: Option<(Arc<Recorder>, PathBuf)>,
    /// Blocking.
    pub respond: Arc<Respond>,
}

impl Program {
    fn reader(&self) -> anyhow::Result<&HistoryReader> {
        let history = self.history.as_ref();
        history.map(|(_, reader)| reader).ok_or_else(|| anyhow::anyhow!("history is off"))
    }
}

impl Backend for Program {
    fn snapshot(&self) -> Arc<Snapshot> {
        self.live.load()
    }

    fn capture_status(&self) -> CaptureStatus {
        let status = self.control.status();
        let (state, problem) = match status.state {
            State::Stopped => (CaptureState::Stopped, String::new()),
            State::Running => (CaptureState::Running, String::new()),
            State::Finished => (CaptureState::Finished, String::new()),
            State::Failed(why) => (CaptureState::Failed, why),
        };
        CaptureStatus {
            state,
            interfaces: status.interfaces,
            filter: status.filter.unwrap_or_default(),
            promiscuous: status.promiscuous,
            since_us: status.since.and_then(micros),
            message: if problem.is_empty() { status.note } else { problem },
            recorder: self.recorder.is_some(),
            history: self.history.is_some(),
        }
    }

    fn health(&self) -> Health {
        Health {
            parts: {
                let mut parts = vec![
                    self.capture_health(),
                    self.history_health(),
                    self.recorder_health(),
                    self.blocking_health(),
                ];
                parts.extend(self.people.as_ref().map(|people| people.health()));
                parts
            },
        }
    }

    fn alerts(&self) -> &dyn AlertDesk {
        &*self.alerts
    }

    fn interfaces(&self) -> anyhow::Result<Vec<Interface>> {
        let mut list: Vec<Interface> = flowtrack_host::interfaces()
            .into_iter()
            .map(|i| Interface {
                description: format!("{:?}", i.kind).to_lowercase(),
                kind: if i.loopback { InterfaceKind::Loopback } else { InterfaceKind::Device },
                addresses: i.addresses.iter().map(ToString::to_string).collect(),
                up: i.up,
                default_route: i.default_route,
                name: i.name,
            })
            .collect();
        list.extend(self.control.replayable().map(|name| Interface {
            name,
            description: "capture file".into(),
            kind: InterfaceKind::File,
            addresses: Vec::new(),
            up: true,
            default_route: false,
        }));
        list.push(Interface {
            name: ANY.into(),
            description: "all interfaces".into(),
            kind: InterfaceKind::Any,
            addresses: Vec::new(),
            up: true,
            default_route: false,
        });
        Ok(list)
    }

    fn channels(&self) -> Vec<ChannelStatus> {
        self.people.as_ref().map(|people| people.channels()).unwrap_or_default()
    }

    fn test_channel(&self, name: &str) -> Option<Result<(), String>> {
        self.people.as_ref()?.test(name)
    }

    fn rules(&self) -> RulesStatus {
        rules_status(self.rules.state())
    }

    fn reload_rules(&self) -> RulesStatus {
        rules_status(self.rules.reload())
    }

    fn start_capture(&self, request: &CaptureRequest) -> Result<(), CaptureProblem> {
        if request.interfaces.is_empty() {
            return Err(CaptureProblem::Request("choose at least one interface".into()));
        }
        if let [name] = &request.interfaces[..]
            && self.control.replayable().is_some_and(|file| file == *name)
        {
            return self.control.replay_again().map_err(CaptureProblem::Failed);
        }
        let known = flowtrack_host::interfaces();
        for name in &request.interfaces {
            if name != ANY && !known.iter().any(|i| i.name == *name) {
                return Err(CaptureProblem::Request(format!("there is no interface `{name}`")));
            }
        }
        if !request.filter.is_empty() {
            self.check_filter(&request.filter).map_err(CaptureProblem::Filter)?;
        }
        flowtrack_host::can_capture().map_err(|e| CaptureProblem::Permission(e.to_string()))?;
        let config = LiveConfig {
            interfaces: request.interfaces.clone(),
            promiscuous: request.promiscuous,
            filter: Some(request.filter.clone()).filter(|filter| !filter.is_empty()),
            ..self.capture.clone()
        };
        let live = Live { config, workers: self.workers };
        self.control.start_live(&live).map_err(|e| match e {
            SourceError::System { ref source, .. }
                if source.kind() == std::io::ErrorKind::PermissionDenied =>
            {
                CaptureProblem::Permission(e.to_string())
            }
            other => CaptureProblem::Failed(other.into()),
        })
    }

    fn stop_capture(&self) -> Result<(), CaptureProblem> {
        self.control.stop();
        Ok(())
    }

    fn check_filter(&self, bpf: &str) -> Result<(), FilterProblem> {
        BpfFilter::compile(bpf, LinkType::ETHERNET, self.capture.snaplen).map(|_| ()).map_err(|e| {
            match e {
                FilterError::Wrong(wrong) => FilterProblem {
                    column: wrong.column().and_then(|c| u32::try_from(c).ok()),
                    message: wrong.message,
                },
                other => FilterProblem { message: other.to_string(), column: None },
            }
        })
    }

    fn flows(&self, query: &FlowQuery) -> anyhow::Result<Page<FlowRow>> {
        let after = query.cursor.as_deref().map(str::parse).transpose()?;
        let page = self.reader()?.query(&Query {
            since_us: query.since_us,
            until_us: query.until_us,
            filter: query.filter.clone(),
            run: None,
            sort: field_of(query.sort),
            descending: query.order == Order::Desc,
            limit: query.limit,
            after,
        })?;
        Ok(Page { rows: page.rows, next: page.next.map(|cursor| cursor.to_string()) })
    }

    fn flow(&self, run: u64, id: u64) -> anyhow::Result<Option<FlowRow>> {
        Ok(self.reader()?.flow(run, id)?)
    }

    fn series(&self, query: &SeriesQuery) -> anyhow::Result<Vec<RatePoint>> {
        Ok(self.reader()?.series(query.since, query.until, i64::from(query.step))?)
    }

    fn blocking(&self) -> Option<&dyn Blocking> {
        Some(&*self.respond)
    }

    fn export(&self, request: &ExportRequest, out: &mut dyn Write) -> anyhow::Result<()> {
        let span = Span {
            since_us: request.since_us,
            until_us: request.until_us,
            filter: request.filter.clone(),
        };
        if let Some((history, _)) = &self.history {
            // What is shown now is to be in the file too.
            history.flush();
        }
        let history = self.history.as_ref().map(|(writer, _)| writer);
        let reader = history
            .map(|writer| writer.reader().with_patience(EXPORT_PATIENCE))
            .ok_or_else(|| anyhow::anyhow!("history is off"));
        let form = match request.kind {
            ExportKind::FlowsCsv => {
                return export::flows(&reader?, &span, TableFormat::Csv, out).map(|_| ());
            }
            ExportKind::FlowsJson => {
                return export::flows(&reader?, &span, TableFormat::Json, out).map(|_| ());
            }
            ExportKind::AlertsCsv | ExportKind::AlertsJson => {
                let csv = request.kind == ExportKind::AlertsCsv;
                let format = if csv { TableFormat::Csv } else { TableFormat::Json };
                return export::alerts(&reader?, &span, &request.alerts, format, out).map(|_| ());
            }
            ExportKind::PacketsPcap => PacketForm::Pcap,
            ExportKind::PacketsPcapng => PacketForm::Pcapng,
        };
        let Some((_, folder)) = &self.recorder else {
            anyhow::bail!("packets are not recorded; start flowtrack with --record");
        };
        export::packets(folder, reader.as_ref().ok(), &span, form, out).map(|_| ())
    }
}

impl Program {
    fn capture_health(&self) -> HealthPart {
        let totals = &self.live.load().totals;
        let dropped = totals.kernel_drops + totals.own_drops;
        let (state, message) = match self.control.status().state {
            State::Failed(why) => (HealthState::Failed, why),
            State::Stopped => (HealthState::Off, "stopped".into()),
            State::Finished => (HealthState::Ok, "the file is at its end".into()),
            State::Running if dropped > 0 => (
                HealthState::Degraded,
                format!("{dropped} packets were dropped; what is shown is short of them"),
            ),
            State::Running if totals.events_dropped > 0 => (
                HealthState::Degraded,
                format!("{} flow events were dropped", totals.events_dropped),
            ),
            State::Running => (HealthState::Ok, "no packet was dropped".into()),
        };
        HealthPart { name: "capture".into(), state, message }
    }

    fn history_health(&self) -> HealthPart {
        let name = "history".into();
        let Some((writer, _)) = &self.history else {
            return HealthPart { name, state: HealthState::Off, message: "not kept".into() };
        };
        let health = writer.health();
        let state = match health.state {
            StoreState::Ok => HealthState::Ok,
            StoreState::Congested => HealthState::Degraded,
            StoreState::Failing | StoreState::Stopped => HealthState::Failed,
        };
        let message = health.message.unwrap_or_else(|| {
            format!("{} rows written, {} dropped", health.rows_written, health.rows_dropped)
        });
        HealthPart { name, state, message }
    }

    fn blocking_health(&self) -> HealthPart {
        let health = self.respond.health();
        let (state, message) = match (&*health.problem, health.dropped) {
            ("", 0) if health.blocks == 0 && !health.automatic => {
                (HealthState::Off, "attackers are not blocked (respond.automatic)".into())
            }
            ("", 0) => (HealthState::Ok, format!("{} blocks in force", health.blocks)),
            ("", dropped) => (HealthState::Degraded, format!("{dropped} attacks were not judged")),
            (problem, _) if health.blocks > 0 || health.automatic => {
                (HealthState::Failed, problem.to_owned())
            }
            (problem, _) => (HealthState::Off, problem.to_owned()),
        };
        HealthPart { name: "blocking".into(), state, message }
    }

    fn recorder_health(&self) -> HealthPart {
        let name = "recorder".into();
        let Some((recorder, _)) = &self.recorder else {
            return HealthPart { name, state: HealthState::Off, message: "off".into() };
        };
        let stats = recorder.stats();
        let dropped = stats.dropped_busy + stats.dropped_disk;
        let state = match (stats.dropped_disk, dropped) {
            (0, 0) => HealthState::Ok,
            (0, _) => HealthState::Degraded,
            _ => HealthState::Failed,
        };
        let message = format!(
            "{} packets kept in {} segments, {dropped} dropped",
            stats.packets, stats.segments
        );
        HealthPart { name, state, message }
    }
}

fn micros(time: SystemTime) -> Option<i64> {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).ok()?;
    i64::try_from(since.as_micros()).ok()
}

fn field_of(sort: FlowSort) -> Field {
    match sort {
        FlowSort::Start => Field::Start,
        FlowSort::End | FlowSort::Rate => Field::End,
        FlowSort::Duration => Field::Duration,
        FlowSort::Bytes => Field::Bytes,
        FlowSort::Packets => Field::Packets,
        FlowSort::Src => Field::SrcIp,
        FlowSort::Dest => Field::DestIp,
        FlowSort::Protocol => Field::AppProto,
        FlowSort::Rtt => Field::RttServer,
        FlowSort::Retransmissions => Field::Retransmissions,
    }
}

fn rules_status(state: book::State) -> RulesStatus {
    RulesStatus {
        loaded: state.loaded as u64,
        wrong: state.wrong as u64,
        loaded_at_us: state.at.and_then(micros),
        problem: state.problem,
    }
}
