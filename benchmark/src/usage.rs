//! CPU time and memory of processes with all their children, from `/proc`. A database's backend that has ended counts
//! through its parent, which has waited for it.

use std::collections::{BTreeMap, HashMap};
use std::fs;

/// Ticks of `/proc/…/stat` in a second: fixed on Linux for what user space sees.
const TICKS: f64 = 100.0;
const KB: f64 = 1024.0;

/// One line of `/proc/PID/stat`.
struct Stat {
    parent: u32,
    /// Ticks of the process, and of its children that have ended.
    own: f64,
    ended: f64,
}

fn stat(pid: u32) -> Option<Stat> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in parentheses may hold anything.
    let fields: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
    let number = |at: usize| fields.get(at)?.parse::<f64>().ok();
    Some(Stat { parent: number(1)? as u32, own: number(11)? + number(12)?, ended: number(13)? + number(14)? })
}

/// The process and all that descends from it.
fn tree(root: u32) -> Vec<(u32, Stat)> {
    let all = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = all.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let stats: HashMap<u32, Stat> = pids.filter_map(|pid| Some((pid, stat(pid)?))).collect();
    let mut members = vec![root];
    let mut at = 0;
    while at < members.len() {
        let parent = members[at];
        members.extend(stats.iter().filter(|(_, stat)| stat.parent == parent).map(|(pid, _)| *pid));
        at += 1;
    }
    let mut stats = stats;
    members.into_iter().filter_map(|pid| Some((pid, stats.remove(&pid)?))).collect()
}

/// Seconds of CPU that the process and its children, ended ones too, have used.
pub fn cpu(root: u32) -> f64 {
    tree(root).iter().map(|(_, stat)| stat.own + stat.ended).sum::<f64>() / TICKS
}

/// CPU by name, several processes of one name together.
pub fn cpu_by_name(processes: &[(String, u32)]) -> BTreeMap<String, f64> {
    let mut by_name = BTreeMap::new();
    for (name, pid) in processes {
        *by_name.entry(name.clone()).or_default() += cpu(*pid);
    }
    by_name
}

fn status_mb(pid: u32, field: &str) -> f64 {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix(field));
    line.and_then(|line| line.trim_start_matches(':').split_whitespace().next()?.parse::<f64>().ok()).unwrap_or_default() / KB
}

/// The most memory that the process or one of its children has had, in MB.
pub fn peak_mb(root: u32) -> f64 {
    tree(root).iter().map(|(pid, _)| status_mb(*pid, "VmHWM")).fold(0.0, f64::max)
}

/// What it has now, in MB.
pub fn now_mb(pid: u32) -> f64 {
    status_mb(pid, "VmRSS")
}

/// Forgets the peak, so that the next one is of what comes.
pub fn reset_peak(pid: u32) {
    // Where it is not allowed the peak is of the whole life, which is only stricter.
    let _ = fs::write(format!("/proc/{pid}/clear_refs"), "5");
}
