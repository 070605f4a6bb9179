//! Where the messages of a stream begin and end: each has five octets in front, a flag and its length
//! (gRPC over HTTP2, "Length-Prefixed-Message"). What they say is nobody's business here.

/// How many octets stand in front of a message.
const PREFIX: u8 = 5;

/// How far a stream of messages has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Messages {
    /// Octets of a prefix that have passed.
    prefix: u8,
    /// The length, as far as the prefix has told it.
    length: u32,
    /// Octets of the message that are to come.
    left: u32,
}

impl Messages {
    /// These octets have passed.
    pub fn pass(&mut self, mut octets: &[u8]) {
        while let [first, rest @ ..] = octets {
            if self.left > 0 {
                let whole = usize::try_from(self.left).unwrap_or(usize::MAX);
                let (passed, rest) = octets.split_at(whole.min(octets.len()));
                self.left -= u32::try_from(passed.len()).unwrap_or(self.left);
                octets = rest;
                continue;
            }
            // The flag in front is shifted out again by the four octets of the length.
            self.length = self.length << 8 | u32::from(*first);
            self.prefix += 1;
            octets = rest;
            if self.prefix == PREFIX {
                *self = Self {
                    left: self.length,
                    ..Self::default()
                };
            }
        }
    }

    /// Whether what has passed are whole messages.
    #[must_use]
    pub fn are_whole(&self) -> bool {
        self.prefix == 0 && self.left == 0
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn message(text: &[u8]) -> Vec<u8> {
        let length = u32::try_from(text.len()).unwrap().to_be_bytes();
        [&[1], &length[..], text].concat()
    }

    proptest! {
        #[test]
        fn messages_are_whole_at_their_ends_and_nowhere_else(
            texts in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..400), 1..5),
            cuts in prop::collection::vec(1_usize..300, 1..20),
        ) {
            let mut ends = vec![0];
            let mut octets = Vec::new();
            for text in &texts {
                octets.extend(message(text));
                ends.push(octets.len());
            }
            let mut messages = Messages::default();
            let mut passed = 0;
            for cut in cuts.iter().cycle() {
                prop_assert_eq!(messages.are_whole(), ends.contains(&passed), "{}", passed);
                if passed == octets.len() {
                    break;
                }
                let end = (passed + cut).min(octets.len());
                messages.pass(&octets[passed..end]);
                passed = end;
            }
        }
    }

    #[test]
    fn the_largest_length_is_no_smaller_one() {
        let mut messages = Messages::default();
        messages.pass(&[1, 0xff, 0xff, 0xff, 0xff]);
        messages.pass(&[0; 70_000]);
        assert_eq!(messages.left, u32::MAX - 70_000);
    }
}
