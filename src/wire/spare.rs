//! Buffers for octets to come: those of messages that are done with, so that a message on a busy worker makes none anew, and
//! a connection that waits holds none.
//!
//! Parts of a message that is kept still hold on to its buffer, which is then none to write into: who takes it finds out by
//! `reserve`, which makes another.

use std::cell::RefCell;

use bytes::BytesMut;

/// How many a thread keeps at most.
const KEPT: usize = 16;

/// The most octets that one which is kept has room for.
const ROOM: usize = 64 << 10;

thread_local! {
    static SPARE: RefCell<Vec<BytesMut>> = const { RefCell::new(Vec::new()) };
}

/// Makes room for so many octets more, in a used buffer where there is none yet. Half of it will do in one that others still hold
/// parts of: what came for many streams in one turn of a task is kept until all of it is passed on, and would take a new buffer each.
pub(crate) fn make_room(buffer: &mut BytesMut, room: usize) {
    if buffer.capacity() == 0
        && let Some(spare) = SPARE.with_borrow_mut(Vec::pop)
    {
        *buffer = spare;
    }
    if !buffer.try_reclaim(room) && buffer.capacity() - buffer.len() < room.div_ceil(2) {
        buffer.reserve(room);
    }
}

/// Keeps a buffer that nobody needs any more.
pub(crate) fn give(mut buffer: BytesMut) {
    buffer.clear();
    SPARE.with_borrow_mut(|spare| {
        if spare.len() < KEPT && buffer.capacity() <= ROOM {
            spare.push(buffer);
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_is_used_again_and_never_while_a_part_of_it_is_kept() {
        let mut first = BytesMut::new();
        make_room(&mut first, 64);
        first.extend_from_slice(b"kept");
        let kept = first.split().freeze();
        give(first);

        let mut second = BytesMut::new();
        make_room(&mut second, 4 << 10);
        second.extend_from_slice(b"other");
        assert_eq!(kept, "kept");

        let place = second.as_ptr();
        second.clear();
        give(second);
        let mut third = BytesMut::new();
        make_room(&mut third, 1 << 10);
        assert_eq!(third.as_ptr(), place);
    }

    #[test]
    fn what_is_left_of_a_buffer_will_do_until_it_is_less_than_half() {
        let mut buffer = BytesMut::with_capacity(64);
        let place = buffer.as_ptr();
        let mut kept = Vec::new();
        for octets in [16, 16, 8] {
            buffer.resize(octets, 0);
            kept.push(buffer.split().freeze());
            give(buffer);
            buffer = BytesMut::new();
            make_room(&mut buffer, 64);
        }
        assert_eq!(kept[2].as_ptr(), place.wrapping_add(32));
        assert!(buffer.capacity() >= 64, "{}", buffer.capacity());
        // One that is all its own is whole again.
        let other = buffer.as_ptr();
        buffer.resize(16, 0);
        drop(buffer.split());
        make_room(&mut buffer, 64);
        assert_eq!((buffer.as_ptr(), buffer.capacity()), (other, 64));
    }

    #[test]
    fn no_more_are_kept_than_a_few_and_none_that_is_large() {
        for _ in 0..2 * KEPT {
            give(BytesMut::with_capacity(8));
            give(BytesMut::with_capacity(2 * ROOM));
        }
        let kept =
            SPARE.with_borrow(|spare| spare.iter().map(BytesMut::capacity).collect::<Vec<_>>());
        assert_eq!(kept, [8; KEPT]);
    }
}
