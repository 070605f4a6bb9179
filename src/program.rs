//! What of the program itself stays in memory: its pages that only the start, or the reading of a configuration, has needed are
//! given back to the system.
//!
//! A page of the program that was once touched stays mapped, and 15 neighbours with it, though what runs but once is a large
//! part of them: arguments, YAML, the check, certificates. What is given back is the mapping; the page stays in the system's
//! cache as long as that has room, and the next touch maps it again (a minor fault, about a microsecond for 16 pages). So a
//! request that comes after a rest pays some of them once, and nothing is paid while requests come: it waits for a second
//! in which next to nothing is done, and is left alone where there is none. What requests have touched goes back as well, but
//! only once they have stayed away for half a minute. This is no smaller program. Libraries that the system shares among all
//! processes are let be.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::ops::Range;
use std::ptr::with_exposed_provenance_mut;
use std::time::Duration;

use rustix::mm::{Advice, madvise};
use rustix::param::page_size;

use crate::metrics::cpu_time;

/// The time in which nothing may be done.
const REST: Duration = Duration::from_secs(1);

/// What may be done in it all the same: probes, a scrape.
const NOTHING: Duration = Duration::from_millis(20);

/// How often it is looked for. Who was busy for so long goes on.
const LOOKS: usize = 60;

/// The time in which next to nothing may be done before what requests have needed is given back, and what may be done in it:
/// an idle proxy with a few probes takes half of that.
const LONG_REST: Duration = Duration::from_secs(30);
const NEXT_TO_NOTHING: Duration = Duration::from_millis(40);

/// Fewer octets of files that came in since the last time are not worth the faults.
const WORTH_IT: u64 = 1 << 20;

/// Gives back what the start has needed at the first rest, and what requests have needed at each long one, as long as it is
/// polled.
pub(crate) async fn shed_at_rests() {
    shed_when_at_rest().await;
    shed_at_long_rests(cpu_time, mapped, shed).await;
}

async fn shed_at_long_rests(
    spent: impl Fn() -> Duration,
    mapped: impl Fn() -> u64,
    mut shed: impl FnMut(),
) {
    let mut before = spent();
    let mut at_last = mapped();
    loop {
        tokio::time::sleep(LONG_REST).await;
        let now = spent();
        let is_rest = now.saturating_sub(before) < NEXT_TO_NOTHING;
        before = now;
        if is_rest && mapped().saturating_sub(at_last) >= WORTH_IT {
            shed();
            at_last = mapped();
        }
    }
}

/// Octets of files that are in memory, the program's above all; 0 without /proc.
fn mapped() -> u64 {
    let sizes = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let shared = sizes.split_ascii_whitespace().nth(2);
    let pages: u64 = shared.and_then(|pages| pages.parse().ok()).unwrap_or(0);
    pages * page_size() as u64
}

/// Waits for the first rest and gives back what only the time before it has needed.
pub(crate) async fn shed_when_at_rest() {
    let mut before = cpu_time();
    for _ in 0..LOOKS {
        tokio::time::sleep(REST).await;
        let now = cpu_time();
        if now.saturating_sub(before) < NOTHING {
            return shed();
        }
        before = now;
    }
}

/// Gives back what can be read from the program's file again.
fn shed() {
    // Without /proc everything stays as it is.
    let Ok(maps) = File::open("/proc/self/smaps") else {
        return;
    };
    for range in pristine(BufReader::new(maps), &own()) {
        if let Err(error) = give_back(&range) {
            tracing::debug!(%error, "Pages of the program are kept");
        }
    }
}

/// Where the program lies, from its first octet to its last.
fn own() -> Range<usize> {
    #[expect(
        unsafe_code,
        reason = "the linker knows it, and names are all that it tells"
    )]
    unsafe extern "C" {
        static __ehdr_start: u8;
        static _end: u8;
    }
    (&raw const __ehdr_start).addr()..(&raw const _end).addr()
}

/// The mappings within a range that are their file's octets and nothing else: never written, and not to be written.
fn pristine(smaps: impl BufRead, within: &Range<usize>) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut mapping = None;
    for line in smaps.lines().map_while(Result::ok) {
        if let Some(next) = header(&line) {
            mapping = next.filter(|next| within.start <= next.start && next.end <= within.end);
        } else if let Some(rest) = line.strip_prefix("Anonymous:") {
            // Relocated by the loader, or by a debugger: only this process has it so.
            let is_the_file = rest.trim() == "0 kB";
            found.extend(mapping.take().filter(|_| is_the_file));
        }
    }
    found
}

/// The first line of a mapping, as in `55d0c0a00000-55d0c0d13000 r--p 00000000 fe:00 9137 /usr/bin/fiel` (proc_pid_maps(5)); its
/// range where it is private, not for writing, and of a file.
fn header(line: &str) -> Option<Option<Range<usize>>> {
    let mut words = line.split_ascii_whitespace();
    let (start, end) = words.next()?.split_once('-')?;
    let address = |hex| usize::from_str_radix(hex, 16).ok();
    let range = address(start)?..address(end)?;
    let rights = words.next()?;
    let inode = words.nth(2)?;
    let is_read_only = matches!(rights, "r--p" | "r-xp");
    Some((is_read_only && inode != "0").then_some(range))
}

#[expect(unsafe_code, reason = "there is no safe call that gives pages back")]
fn give_back(pages: &Range<usize>) -> rustix::io::Result<()> {
    let start = with_exposed_provenance_mut(pages.start);
    // SAFETY: whole pages of this very program, which nobody unmaps or maps anew while it runs, which nobody may write, and of
    // which none differs from the file. What is dropped is what the next access maps again, as it does with any page of
    // the program that was not touched before or that the system has taken back by itself.
    unsafe { madvise(start, pages.len(), Advice::LinuxDontNeed) }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::slice::from_ref;

    use super::*;

    const SMAPS: &str = "\
55d0c0a00000-55d0c0d13000 r--p 00000000 fe:00 9137    /usr/bin/fiel
Rss:                2048 kB
Anonymous:             0 kB
VmFlags: rd mr mw me
55d0c0d13000-55d0c16e1000 r-xp 00312000 fe:00 9137    /usr/bin/fiel (deleted)
Rss:                8280 kB
Anonymous:             0 kB
55d0c16e1000-55d0c1743000 r--p 00cdf000 fe:00 9137    /usr/bin/fiel
Rss:                 392 kB
Anonymous:           384 kB
55d0c1743000-55d0c174a000 rw-p 00d40000 fe:00 9137    /usr/bin/fiel
Anonymous:             0 kB
55d0c174a000-55d0c1757000 r--p 00000000 00:00 0
Anonymous:             0 kB
7fb513053000-7fb5131a9000 r-xp 00026000 fe:00 4711    /usr/lib/libc.so.6
Anonymous:             0 kB
";

    #[test]
    fn only_what_is_as_in_the_file_of_the_program_is_found() {
        let program = 0x55d0_c0a0_0000..0x55d0_c175_7000;
        let found = pristine(SMAPS.as_bytes(), &program);
        let text = 0x55d0_c0d1_3000..0x55d0_c16e_1000;
        assert_eq!(found, [0x55d0_c0a0_0000..0x55d0_c0d1_3000, text]);
    }

    #[test]
    fn a_mapping_that_is_partly_outside_is_let_be() {
        let found = pristine(SMAPS.as_bytes(), &(0x55d0_c0a0_1000..0x55d0_c175_7000));
        let text = 0x55d0_c0d1_3000..0x55d0_c16e_1000;
        assert_eq!(found, from_ref(&text));
    }

    #[test]
    fn what_is_no_list_of_mappings_holds_none() {
        for text in ["", "Anonymous: 0 kB\n", "x-y r--p 0 0 1\nAnonymous: 0 kB\n"] {
            assert!(pristine(text.as_bytes(), &(0..usize::MAX)).is_empty());
        }
    }

    /// How often a program sheds that works for so many milliseconds, and has so many octets come in, in each half minute.
    async fn sheds(halves: &[(u64, u64)]) -> u32 {
        let (spent, mapped, shed) = (
            Cell::new(Duration::ZERO),
            Cell::new(9_000_000),
            Cell::new(0),
        );
        let give_back = || {
            mapped.set(5_000_000);
            shed.set(shed.get() + 1);
        };
        let watch = shed_at_long_rests(|| spent.get(), || mapped.get(), give_back);
        let work = async {
            for (milliseconds, octets) in halves {
                tokio::time::sleep(LONG_REST / 2).await;
                spent.set(spent.get() + Duration::from_millis(*milliseconds));
                mapped.set(mapped.get() + octets);
                tokio::time::sleep(LONG_REST / 2).await;
            }
        };
        tokio::select! {
            biased;
            () = watch => {}
            () = work => {}
        }
        shed.get()
    }

    #[tokio::test(start_paused = true)]
    async fn what_requests_have_needed_is_given_back_at_the_next_long_rest_and_once() {
        let (busy, rest) = ((500, 2_000_000), (20, 4_096));
        assert_eq!(sheds(&[busy, busy, rest, rest, rest]).await, 1);
        assert_eq!(sheds(&[busy, rest, busy, rest, rest]).await, 2);
    }

    #[tokio::test(start_paused = true)]
    async fn who_works_on_or_has_needed_little_gives_nothing_back() {
        assert_eq!(sheds(&[(500, 2_000_000); 20]).await, 0);
        assert_eq!(sheds(&[(20, 4_096); 20]).await, 0);
    }

    #[test]
    fn files_are_in_memory() {
        assert!(mapped() > 100_000);
    }

    #[test]
    fn a_program_that_has_given_its_pages_back_goes_on() {
        let maps = || BufReader::new(File::open("/proc/self/smaps").unwrap());
        let mapped = pristine(maps(), &own());
        let code = (shed as *const ()).addr();
        assert!(
            mapped.iter().any(|range| range.contains(&code)),
            "{mapped:?}"
        );
        shed();
        assert_eq!(pristine(maps(), &own()), mapped);
    }
}
