//! How the machine is doing, and how much of it FlowTrack itself takes.

use std::path::{Path, PathBuf};

use serde::Serialize;
use sysinfo::{Disk, Disks, Pid, ProcessRefreshKind, ProcessesToUpdate};

/// Answers how the machine is doing; the real one is [`HostSystem`].
pub trait System: Send {
    /// Looks now. Shares of CPU time are those since the last look, and 0 at the first.
    fn sample(&mut self) -> Metrics;
}

/// One look at the machine.
#[derive(Clone, Copy, PartialEq, Default, Debug, Serialize)]
pub struct Metrics {
    /// CPUs.
    pub cpus: usize,
    /// Busy share of all CPUs together, 0 to 100.
    pub cpu_percent: f32,
    /// Bytes of memory.
    pub memory_total: u64,
    /// Bytes of it in use, caches left out.
    pub memory_used: u64,
    /// Bytes on the file system that holds the data.
    pub disk_total: u64,
    /// Bytes of it that are free.
    pub disk_free: u64,
    /// Bytes of memory that FlowTrack holds.
    pub own_memory: u64,
    /// CPU time that FlowTrack takes; 100 is one CPU.
    pub own_cpu_percent: f32,
    /// Seconds that FlowTrack runs.
    pub own_uptime: u64,
}

/// The machine that FlowTrack runs on. What the system does not tell is 0.
pub struct HostSystem {
    system: Option<sysinfo::System>,
    disks: Option<Disks>,
    data_dir: PathBuf,
    own: Option<Pid>,
}

impl HostSystem {
    /// Watches the machine, and the file system that `data_dir` is on.
    pub fn new(data_dir: &Path) -> Self {
        // Mount points are absolute and without links; the folder may not exist yet.
        let data_dir = std::path::absolute(data_dir).unwrap_or_else(|_| data_dir.to_owned());
        let existing = data_dir.ancestors().find_map(|path| path.canonicalize().ok());
        Self {
            system: sysinfo::System::new().ok(),
            disks: Disks::new_with_refreshed_list().ok(),
            data_dir: existing.unwrap_or(data_dir),
            own: sysinfo::get_current_pid().ok(),
        }
    }
}

impl System for HostSystem {
    fn sample(&mut self) -> Metrics {
        let mut metrics = Metrics::default();
        if let Some(system) = &mut self.system {
            system.refresh_cpu_usage();
            system.refresh_memory();
            metrics.cpus = system.cpus().len();
            metrics.cpu_percent = system.global_cpu_usage();
            metrics.memory_total = system.total_memory();
            metrics.memory_used = system.used_memory();
            if let Some(own) = self.own {
                let what = ProcessRefreshKind::nothing().with_cpu().with_memory().without_tasks();
                system.refresh_processes_specifics(ProcessesToUpdate::Some(&[own]), false, what);
                if let Some(process) = system.process(own) {
                    metrics.own_memory = process.memory();
                    metrics.own_cpu_percent = process.cpu_usage();
                    metrics.own_uptime = process.run_time();
                }
            }
        }
        if let Some(disks) = &mut self.disks {
            disks.refresh(false);
            let holds = |disk: &&Disk| self.data_dir.starts_with(disk.mount_point());
            let nearest = |disk: &&Disk| disk.mount_point().as_os_str().len();
            if let Some(disk) = disks.iter().filter(holds).max_by_key(nearest) {
                metrics.disk_total = disk.total_space();
                metrics.disk_free = disk.available_space();
            }
        }
        metrics
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_machine_and_this_process_are_seen() {
        let mut system = HostSystem::new(&std::env::temp_dir().join("not/yet/there"));
        // Some work before each look, longer than the pace at which the system counts time.
        let mut work_and_look = || {
            let until = std::time::Instant::now() + std::time::Duration::from_millis(300);
            while std::time::Instant::now() < until {
                std::hint::black_box(0_u64);
            }
            system.sample()
        };
        work_and_look();
        // On a machine that is busy none of it may be ours for a while.
        let mut now = work_and_look();
        for _ in 0..100 {
            if now.own_cpu_percent == 0.0 {
                now = work_and_look();
            }
        }
        assert!(now.cpus > 0, "{now:?}");
        assert!(now.own_cpu_percent > 0.0, "{now:?}");
        assert!((0.0..=100.0).contains(&now.cpu_percent), "{now:?}");
        assert!(now.memory_total > now.own_memory && now.own_memory > 100_000, "{now:?}");
        assert!(now.disk_total >= now.disk_free && now.disk_total > 0, "{now:?}");
    }
}
