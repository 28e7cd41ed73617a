//! What processes cost, from `/proc`: processor time and memory, children included.

use std::collections::HashMap;
use std::fs;

/// Ticks a second in `/proc`: part of the kernel's interface, 100 wherever Rust's Linux targets run.
const TICKS: f64 = 100.0;

/// Times of one process, in seconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Stat {
    /// The parent's number.
    pub parent: u32,
    /// In user and kernel mode.
    pub own: f64,
    /// The same of descendants that have ended.
    pub ended: f64,
}

/// Read `/proc/PID/stat`; nothing if there is no such process.
pub fn stat(pid: u32) -> Option<Stat> {
    parse(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

/// proc(5): the name, which may hold anything, stands in parentheses; the fourth field is the parent, the 14th to 17th
/// are times.
fn parse(text: &str) -> Option<Stat> {
    let (_, rest) = text.rsplit_once(") ")?;
    let fields: Vec<&str> = rest.split(' ').collect();
    let ticks = |index: usize| fields.get(index)?.parse::<f64>().ok();
    Some(Stat {
        parent: fields.get(1)?.parse().ok()?,
        own: (ticks(11)? + ticks(12)?) / TICKS,
        ended: (ticks(13)? + ticks(14)?) / TICKS,
    })
}

/// `root` and all its living descendants.
pub fn tree(root: u32) -> Vec<u32> {
    let mut children: HashMap<u32, Vec<u32>> = HashMap::new();
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    for pid in entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok()) {
        if let Some(stat) = stat(pid) {
            children.entry(stat.parent).or_default().push(pid);
        }
    }
    let (mut found, mut open) = (Vec::new(), vec![root]);
    while let Some(pid) = open.pop() {
        found.push(pid);
        open.extend(children.remove(&pid).unwrap_or_default());
    }
    found
}

/// Seconds of processor time of `root` and its descendants.
pub fn cpu(root: u32) -> f64 {
    tree(root).into_iter().filter_map(stat).map(|stat| stat.own + stat.ended).sum()
}

/// Bytes of resident memory of `root` and its descendants. `smaps_rollup` counts pages; `status` may lag behind.
pub fn resident(root: u32) -> u64 {
    let of = |pid| {
        let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?;
        let line = text.lines().find_map(|line| line.strip_prefix("Rss:"))?;
        line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()
    };
    tree(root).into_iter().filter_map(of).sum::<u64>() * 1024
}

/// Seconds for which the machine's processors were busy since it started, time stolen by its host included.
pub fn busy() -> Option<f64> {
    let text = fs::read_to_string("/proc/stat").ok()?;
    let line = text.lines().next()?.strip_prefix("cpu ")?;
    let ticks: Vec<f64> = line.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    let [user, nice, system, _idle, _waiting, interrupts, soft, stolen, ..] = *ticks.as_slice() else { return None };
    Some((user + nice + system + interrupts + soft + stolen) / TICKS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_found_behind_any_name() {
        let text = "42 (a) b (c) S 7 42 42 0 -1 4194304 1 2 3 4 150 50 30 20 20 0 1 0";
        assert_eq!(parse(text), Some(Stat { parent: 7, own: 2.0, ended: 0.5 }));
        assert_eq!(parse("42 (a"), None);
        assert_eq!(parse("42 (a) S 7"), None);
    }

    #[test]
    fn a_process_finds_itself() {
        let own = std::process::id();
        assert!(tree(own).contains(&own));
        assert!(resident(own) > 100_000);
        assert!(busy().unwrap() > 0.0);
    }
}
