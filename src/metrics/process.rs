//! The standard `process_*` metrics of this process.
//!
//! Written here because the `prometheus` crate counts processor time in whole seconds. A value that the system does
//! not tell (no `/proc`, no descriptor left to read it with) is left out, which is not the same as 0.

use std::fs;
use std::time::Duration;

use rustix::process::{Resource, getrlimit};
use rustix::time::{ClockId, clock_gettime};

use super::families;
use super::text::Sheet;

/// What about the process does not change.
#[derive(Debug)]
pub(crate) struct Process {
    started_seconds: Option<f64>,
}

impl Process {
    /// Looks at this process.
    pub(crate) fn of_this() -> Self {
        Self {
            started_seconds: started_seconds(),
        }
    }

    pub(crate) fn gather(&self, sheet: &mut Sheet) {
        sheet.add(&families::PROCESS_CPU, &[], cpu_time().as_secs_f64());
        if let Some(seconds) = self.started_seconds {
            sheet.add(&families::PROCESS_START_TIME, &[], seconds);
        }
        if let Some(limit) = getrlimit(Resource::Nofile).current {
            sheet.count(&families::PROCESS_MAX_FDS, &[], limit);
        }
        if let Some(open) = open_fds() {
            sheet.count(&families::PROCESS_OPEN_FDS, &[], open);
        }
        if let Some(stat) = Stat::read() {
            sheet.count(&families::PROCESS_THREADS, &[], stat.threads);
            sheet.count(&families::PROCESS_VIRTUAL_MEMORY, &[], stat.virtual_bytes);
            sheet.count(&families::PROCESS_RESIDENT_MEMORY, &[], stat.resident_bytes);
        }
    }
}

/// To the nanosecond; `/proc/self/stat` knows it to the hundredth of a second only.
pub(crate) fn cpu_time() -> Duration {
    let spent = clock_gettime(ClockId::ProcessCPUTime);
    let seconds = u64::try_from(spent.tv_sec).unwrap_or(0);
    let nanos = u32::try_from(spent.tv_nsec).unwrap_or(0);
    Duration::new(seconds, nanos)
}

fn open_fds() -> Option<u64> {
    let entries = fs::read_dir("/proc/self/fd").ok()?.count();
    // Without the descriptor that reads the folder.
    u64::try_from(entries).ok()?.checked_sub(1)
}

fn started_seconds() -> Option<f64> {
    let stat = Stat::read()?;
    let boot: u64 = fs::read_to_string("/proc/stat")
        .ok()?
        .lines()
        .find_map(|line| line.strip_prefix("btime "))?
        .trim()
        .parse()
        .ok()?;
    let ticks_per_second = rustix::param::clock_ticks_per_second();
    Some(boot as f64 + stat.start_ticks as f64 / ticks_per_second as f64)
}

/// The fields of `/proc/self/stat` that are wanted here; proc_pid_stat(5).
#[derive(Debug, PartialEq, Eq)]
struct Stat {
    threads: u64,
    /// After boot.
    start_ticks: u64,
    virtual_bytes: u64,
    resident_bytes: u64,
}

impl Stat {
    fn read() -> Option<Self> {
        let text = fs::read_to_string("/proc/self/stat").ok()?;
        Self::parse(&text, rustix::param::page_size() as u64)
    }

    fn parse(text: &str, page_bytes: u64) -> Option<Self> {
        // The second field is the name in parentheses, which may itself hold spaces and parentheses.
        let (_, fields) = text.rsplit_once(')')?;
        let fields: Vec<&str> = fields.split_ascii_whitespace().collect();
        // Fields are numbered from 1 in the manual, and the third is the first of these.
        let field = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
        Some(Self {
            threads: field(20)?,
            start_ticks: field(22)?,
            virtual_bytes: field(23)?,
            resident_bytes: field(24)?.checked_mul(page_bytes)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_spaces_and_parentheses_moves_no_field() {
        let line = "71 (a) b (c) S 1 71 71 0 -1 4194560 2150 0 0 0 13 7 0 0 20 0 9 0 8423 \
                    227467264 1536 18446744073709551615 1 1 0 0 0 0 0 4096 0 0 0 0 17 1 0 0 0 0 0";
        let expected = Stat {
            threads: 9,
            start_ticks: 8_423,
            virtual_bytes: 227_467_264,
            resident_bytes: 1_536 * 4_096,
        };
        assert_eq!(Stat::parse(line, 4_096), Some(expected));
    }

    #[test]
    fn a_text_that_is_no_stat_is_no_panic() {
        for text in ["", ")", "1 (a)", "1 (a) S x y", "1 (a) S 1 1"] {
            assert_eq!(Stat::parse(text, 4_096), None, "{text:?}");
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_process_tells_all_of_it_in_plausible_numbers() {
        let mut sheet = Sheet::default();
        Process::of_this().gather(&mut sheet);
        let text = sheet.print();
        let value = |name: &str| -> f64 {
            text.lines()
                .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))
                .unwrap_or_else(|| panic!("no {name} in\n{text}"))
                .parse()
                .unwrap()
        };
        let now = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .unwrap()
            .as_secs_f64();
        assert!((now - value("process_start_time_seconds")).abs() < 3_600.0);
        assert!(value("process_cpu_seconds_total") > 0.0);
        assert!(value("process_threads") >= 1.0);
        assert!(value("process_open_fds") >= 3.0);
        assert!(value("process_max_fds") >= value("process_open_fds"));
        assert!(value("process_resident_memory_bytes") > 100_000.0);
        assert!(value("process_virtual_memory_bytes") >= value("process_resident_memory_bytes"));
    }
}
