//! The way of records from the workers to the thread: a bounded, lock-free lane for each worker, so that no two of them write
//! to the same place for a request. The thread takes from all in turn, so that lines keep about the order of their requests.

use crossbeam_queue::ArrayQueue;

use super::record::Record;
use crate::metrics::cells::Count;

/// How many records may wait; about a tenth of a second of a very busy proxy.
pub const QUEUE_RECORDS: usize = 16_384;

/// What a lane has room for, however many there are.
const LEAST: usize = 1_024;

/// All lanes.
#[derive(Debug)]
pub(super) struct Lanes(Box<[Lane]>);

#[derive(Debug)]
struct Lane {
    queue: ArrayQueue<Box<Record>>,
    /// Records taken from it so far, by the thread.
    taken: Count,
}

/// How many records have been logged by a moment, a number for each lane.
#[derive(Debug)]
pub(super) struct Marks(Box<[u64]>);

impl Lanes {
    pub(super) fn new(workers: usize) -> Self {
        let room = (QUEUE_RECORDS / workers.max(1)).max(LEAST);
        let lane = |_| Lane {
            queue: ArrayQueue::new(room),
            taken: Count::default(),
        };
        Self((0..workers.max(1)).map(lane).collect())
    }

    /// How many there are.
    pub(super) fn count(&self) -> usize {
        self.0.len()
    }

    /// Puts a record into a lane, where there is room.
    pub(super) fn push(&self, lane: usize, record: Box<Record>) -> Result<(), Box<Record>> {
        self.0[lane].queue.push(record)
    }

    /// Takes a record, from the lane at `turn` or the next that has one; `turn` is moved on. Only the thread does so.
    pub(super) fn pop(&self, turn: &mut usize) -> Option<Box<Record>> {
        self.pop_where(turn, |_, _| true)
    }

    /// The same of those that were logged before these marks.
    pub(super) fn pop_before(&self, marks: &Marks, turn: &mut usize) -> Option<Box<Record>> {
        self.pop_where(turn, |index, lane| lane.taken.value() < marks.0[index])
    }

    fn pop_where(
        &self,
        turn: &mut usize,
        may: impl Fn(usize, &Lane) -> bool,
    ) -> Option<Box<Record>> {
        let count = self.0.len();
        for step in 0..count {
            let index = (*turn + step) % count;
            let lane = &self.0[index];
            if may(index, lane)
                && let Some(record) = lane.queue.pop()
            {
                lane.taken.add(1);
                *turn = (index + 1) % count;
                return Some(record);
            }
        }
        None
    }

    /// How many records have been logged; exact while nobody logs, else within a few.
    pub(super) fn logged(&self) -> Marks {
        let logged = |lane: &Lane| lane.taken.value() + lane.queue.len() as u64;
        Marks(self.0.iter().map(logged).collect())
    }

    /// How many wait.
    pub(super) fn len(&self) -> usize {
        self.0.iter().map(|lane| lane.queue.len()).sum()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.iter().all(|lane| lane.queue.is_empty())
    }

    /// Whether so many wait in a lane that they should be written at once.
    pub(super) fn is_filling(&self) -> bool {
        let fills = |lane: &Lane| lane.queue.len() >= lane.queue.capacity() / 4;
        self.0.iter().any(fills)
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use http::{Method, Version};

    use super::*;
    use crate::access_log::Text;

    fn record(path: &str) -> Box<Record> {
        let now = SystemTime::UNIX_EPOCH;
        let mut record = Record::new(now, None, Method::GET, Version::HTTP_11);
        record.put(Text::Path, path.as_bytes());
        record.into()
    }

    fn path(record: &Record) -> &str {
        std::str::from_utf8(record.text(Text::Path)).unwrap()
    }

    #[test]
    fn lanes_take_turns_and_none_is_passed_over() {
        let lanes = Lanes::new(3);
        for (lane, name) in [(0, "a1"), (0, "a2"), (0, "a3"), (2, "c1"), (2, "c2")] {
            lanes.push(lane, record(name)).unwrap();
        }
        assert_eq!(lanes.len(), 5);
        let mut turn = 0;
        let taken: Vec<_> = std::iter::from_fn(|| lanes.pop(&mut turn)).collect();
        let taken: Vec<_> = taken.iter().map(|record| path(record)).collect();
        assert_eq!(taken, ["a1", "c1", "a2", "c2", "a3"]);
        assert!(lanes.is_empty());
    }

    #[test]
    fn what_came_behind_a_mark_stays_in_its_lane() {
        let lanes = Lanes::new(2);
        lanes.push(0, record("a1")).unwrap();
        lanes.push(1, record("b1")).unwrap();
        let marks = lanes.logged();
        lanes.push(0, record("a2")).unwrap();
        let mut turn = 0;
        let before = std::iter::from_fn(|| lanes.pop_before(&marks, &mut turn));
        let before: Vec<_> = before.collect();
        let before: Vec<_> = before.iter().map(|record| path(record)).collect();
        assert_eq!(before, ["a1", "b1"]);
        assert_eq!(lanes.len(), 1);
    }

    #[test]
    fn no_lane_is_without_room_and_one_alone_has_it_all() {
        assert_eq!(Lanes::new(1).0[0].queue.capacity(), QUEUE_RECORDS);
        assert_eq!(Lanes::new(2).0[1].queue.capacity(), QUEUE_RECORDS / 2);
        assert_eq!(Lanes::new(1_000).0[999].queue.capacity(), LEAST);
    }
}
