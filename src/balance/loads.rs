//! What a balancer may ask about the load of entries, and how it takes a place at one.
//!
//! Who counts, and where, is not known here: `pool` answers from its endpoints, tests from an array.

/// The requests in flight at an entry, as one reader saw them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Load {
    /// Places taken by [`Loads::try_claim`] and [`Loads::claim`].
    pub claimed: u64,
    /// All others.
    pub beside: u64,
}

impl Load {
    /// All requests in flight.
    #[must_use]
    pub fn total(self) -> u64 {
        self.claimed.saturating_add(self.beside)
    }
}

/// The loads of the entries that a balancer chooses from.
pub trait Loads {
    /// The load of an entry.
    fn load(&self, entry: usize) -> Load;

    /// Takes a place at an entry if nobody has taken or left one there since it was `seen`.
    #[must_use]
    fn try_claim(&self, entry: usize, seen: Load) -> bool;

    /// Takes a place whatever its load.
    fn claim(&self, entry: usize);

    /// The requests in flight at all of them together; those that are on their way in may be missing.
    fn sum(&self) -> u64;
}

#[cfg(test)]
pub(super) mod tests {
    use super::{Load, Loads};
    use std::cell::RefCell;

    /// Loads in an array, for one thread.
    #[derive(Debug)]
    pub(crate) struct Array(pub(crate) RefCell<Vec<u64>>);

    impl Array {
        pub(crate) fn idle(entries: usize) -> Self {
            Self(RefCell::new(vec![0; entries]))
        }

        pub(crate) fn leave(&self, entry: usize) {
            self.0.borrow_mut()[entry] -= 1;
        }
    }

    impl Loads for Array {
        fn load(&self, entry: usize) -> Load {
            Load {
                claimed: self.0.borrow()[entry],
                beside: 0,
            }
        }

        fn try_claim(&self, entry: usize, seen: Load) -> bool {
            let is_same = self.load(entry) == seen;
            if is_same {
                self.claim(entry);
            }
            is_same
        }

        fn claim(&self, entry: usize) {
            self.0.borrow_mut()[entry] += 1;
        }

        fn sum(&self) -> u64 {
            self.0.borrow().iter().sum()
        }
    }
}
