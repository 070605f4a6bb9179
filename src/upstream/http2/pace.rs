//! When a connection that says nothing is asked whether it is still there, and when it is taken as dead: a pure step.
//!
//! Only while requests are on it. Servers of gRPC count PINGs that come more often than every five minutes without
//! anything of theirs in between, and after two of them end the connection (`ENHANCE_YOUR_CALM`, gRPC's A8): so a silence
//! is asked into once soon, twice more where new requests are not answered either, and then every five minutes.

use std::time::Duration;

use tokio::time::Instant;

/// So long nothing may come before a PING is sent; it is looked at no more often.
pub(super) const SILENCE: Duration = Duration::from_secs(10);

/// So long the answer to a PING may take.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);

/// From one PING to the next in the same silence, in any case.
const QUIET: Duration = Duration::from_secs(5 * 60 + 1);

/// PINGs in one silence that may come sooner, where requests were opened after the last.
const SOON: u32 = 3;

/// What has happened on a connection so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Facts {
    /// Octets that came.
    pub(super) octets: u64,
    /// Frames of answers that came.
    pub(super) answers: u64,
    /// Requests that were opened.
    pub(super) opened: u64,
}

/// What to do now, and when to look again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Look again after [`SILENCE`].
    Wait,
    /// Send a PING, and look again after [`PATIENCE`].
    Ping,
    /// Nothing came in answer to the PING.
    Dead,
}

/// The silence of one connection.
#[derive(Debug, Default)]
pub(super) struct Pace {
    seen: Facts,
    /// A PING is out and nothing has come since.
    asks: bool,
    /// PINGs since the last frame of an answer.
    pings: u32,
    opened_at_ping: u64,
    last: Option<Instant>,
}

impl Pace {
    /// Looks at what has happened.
    pub(super) fn look(&mut self, facts: Facts, now: Instant) -> Step {
        let silent = facts.octets == self.seen.octets;
        self.note(facts);
        if !silent {
            self.asks = false;
            return Step::Wait;
        }
        if self.asks {
            return Step::Dead;
        }
        let soon = self.pings < SOON && facts.opened != self.opened_at_ping;
        let late = self
            .last
            .is_none_or(|last| now.duration_since(last) >= QUIET);
        if self.pings > 0 && !soon && !late {
            return Step::Wait;
        }
        self.asks = true;
        self.pings += 1;
        self.opened_at_ping = facts.opened;
        self.last = Some(now);
        Step::Ping
    }

    /// There are requests again: what came before says nothing about a silence.
    pub(super) fn begin(&mut self, facts: Facts) {
        self.asks = false;
        self.note(facts);
    }

    fn note(&mut self, facts: Facts) {
        if facts.answers != self.seen.answers {
            self.pings = 0;
        }
        self.seen = facts;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const fn facts(octets: u64, answers: u64, opened: u64) -> Facts {
        Facts {
            octets,
            answers,
            opened,
        }
    }

    #[test]
    fn a_connection_that_answers_no_ping_is_dead() {
        let (mut pace, now) = (Pace::default(), Instant::now());
        pace.begin(facts(100, 1, 1));
        assert_eq!(pace.look(facts(100, 1, 1), now + SILENCE), Step::Ping);
        assert_eq!(pace.look(facts(100, 1, 1), now + SILENCE * 2), Step::Dead);
    }

    #[test]
    fn whatever_comes_is_a_sign_of_life() {
        let (mut pace, now) = (Pace::default(), Instant::now());
        pace.look(facts(100, 1, 1), now);
        assert_eq!(pace.look(facts(100, 1, 1), now), Step::Ping);
        assert_eq!(pace.look(facts(117, 1, 1), now), Step::Wait);
    }

    #[test]
    fn a_long_silence_is_asked_into_once_and_then_every_five_minutes() {
        let (mut pace, start) = (Pace::default(), Instant::now());
        let (mut octets, mut pings) = (100, Vec::new());
        pace.look(facts(octets, 1, 1), start);
        for round in 1..=70_u32 {
            if pace.look(facts(octets, 1, 1), start + SILENCE * round) == Step::Ping {
                pings.push(round * 10);
                octets += 17;
            }
        }
        assert_eq!(pings, [10, 320, 630]);
    }

    #[test]
    fn requests_that_are_not_answered_either_are_reason_to_ask_again() {
        let (mut pace, now) = (Pace::default(), Instant::now());
        pace.look(facts(100, 1, 1), now);
        let mut pings = 0;
        for round in 0..40 {
            // Something like a PONG comes each time, and a request is opened each time.
            pings += u32::from(pace.look(facts(100 + round / 2, 1, round), now) == Step::Ping);
        }
        assert_eq!(pings, SOON);
    }

    proptest! {
        #[test]
        fn no_server_of_grpc_has_reason_to_complain(
            rounds in prop::collection::vec((0_u64..2, 0_u64..2, 0_u64..3), 0..400),
        ) {
            let (mut pace, mut now) = (Pace::default(), Instant::now());
            let (mut told, mut strikes, mut last) = (Facts::default(), 0, None::<Instant>);
            for (octets, answers, opened) in rounds {
                now += SILENCE;
                told.octets += octets + answers;
                told.answers += answers;
                told.opened += opened;
                if answers > 0 {
                    strikes = 0;
                    last = None;
                }
                if pace.look(told, now) == Step::Ping {
                    if last.is_some_and(|last| now - last < Duration::from_secs(300)) {
                        strikes += 1;
                    }
                    last = Some(now);
                    prop_assert!(strikes <= 2);
                    // It is answered.
                    told.octets += 17;
                }
            }
        }
    }
}
