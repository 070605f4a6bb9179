//! The states of an endpoint, and how verdicts and orders lead from one to the next, as a pure step.
//!
//! [`Health`] remembers the last verdict of each probe and derives the [`State`] from them, so that no order of
//! arrival can leave a state behind that its facts do not bear out. It knows neither the clock nor the pool: how many
//! of a pool may be dead at a time is decided in `endpoint/liveness.rs` and comes in as [`Held`]. Thresholds are not
//! counted here either: what arrives is a verdict already.

use crate::change::{DrainOrder, Finding, ProbeKind};

/// What an endpoint may be given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum State {
    /// Its startup probe has not succeeded yet: nothing.
    Starting = 0,
    /// New requests.
    Ready = 1,
    /// No new requests; those in flight go on to their end.
    Unready = 2,
    /// Nothing; what is in flight is cut.
    Dead = 3,
    /// No new requests; it has left the configuration or was drained by hand.
    Draining = 4,
}

impl State {
    /// All states, in the order in which they are shown.
    pub const ALL: [Self; 5] = [
        Self::Starting,
        Self::Ready,
        Self::Unready,
        Self::Dead,
        Self::Draining,
    ];

    /// The word in metrics, logs and the status.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Ready => "ready",
            Self::Unready => "unready",
            Self::Dead => "dead",
            Self::Draining => "draining",
        }
    }

    /// The state that `state as u8` stands for; what stands for none is taken as [`State::Starting`].
    #[must_use]
    pub fn from_u8(number: u8) -> Self {
        match number {
            1 => Self::Ready,
            2 => Self::Unready,
            3 => Self::Dead,
            4 => Self::Draining,
            _ => Self::Starting,
        }
    }
}

/// Which probes an endpoint has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Probes(u8);

impl Probes {
    /// None at all: ready from the start.
    pub const NONE: Self = Self(0);

    /// These and one more.
    #[must_use]
    pub const fn with(self, kind: ProbeKind) -> Self {
        Self(self.0 | Self::bit(kind))
    }

    /// Whether there is a probe of this kind.
    #[must_use]
    pub const fn has(self, kind: ProbeKind) -> bool {
        self.0 & Self::bit(kind) != 0
    }

    const fn bit(kind: ProbeKind) -> u8 {
        match kind {
            ProbeKind::Startup => 1,
            ProbeKind::Readiness => 2,
            ProbeKind::Liveness => 4,
        }
    }
}

impl FromIterator<ProbeKind> for Probes {
    fn from_iter<I: IntoIterator<Item = ProbeKind>>(kinds: I) -> Self {
        kinds.into_iter().fold(Self::NONE, Self::with)
    }
}

/// Whether the bound on the dead of its pool holds back an endpoint that fails liveness.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Held {
    /// Its pool has as many dead as it may: it is unready instead, and nothing of its is cut.
    Held,
    /// Nothing holds it back: when it fails liveness, it is dead.
    Free,
}

/// What is known of an endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Health {
    probes: Probes,
    startup: Option<Finding>,
    readiness: Option<Finding>,
    liveness: Option<Finding>,
    judgement: Judgement,
    hand: Hand,
    membership: Membership,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Judgement {
    Awaited,
    Made,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Hand {
    Off,
    Draining,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Membership {
    Configured,
    Left,
}

impl Health {
    /// What is known of an endpoint that has just come into the configuration: nothing but its probes.
    #[must_use]
    pub fn new(probes: Probes) -> Self {
        let mut health = Self {
            probes,
            startup: None,
            readiness: None,
            liveness: None,
            judgement: Judgement::Awaited,
            hand: Hand::Off,
            membership: Membership::Configured,
        };
        health.judge();
        health
    }

    /// Takes in a verdict. One of a probe that it does not have, sent before a reload took it away, changes nothing.
    pub fn apply(&mut self, probe: ProbeKind, finding: Finding) {
        if !self.probes.has(probe) {
            return;
        }
        match probe {
            ProbeKind::Startup => self.startup = Some(finding),
            ProbeKind::Readiness => self.readiness = Some(finding),
            ProbeKind::Liveness => {
                let recovered = !self.is_live() && finding == Finding::Passing;
                self.liveness = Some(finding);
                if recovered {
                    self.start_anew();
                }
            }
        }
        self.judge();
    }

    /// Begins or ends draining by hand. It outlives verdicts, reloads, leaving the configuration and coming back.
    pub fn drain(&mut self, order: DrainOrder) {
        self.hand = match order {
            DrainOrder::Begin => Hand::Draining,
            DrainOrder::End => Hand::Off,
        };
    }

    /// Its pool or its address left the configuration.
    pub fn leave(&mut self) {
        self.membership = Membership::Left;
    }

    /// It is in the configuration (again), with these probes.
    ///
    /// A reload alone takes nothing out of service: a probe that a started endpoint did not have before counts as
    /// passing until its first verdict. One that came back after it had left is as a new one, since nobody looked
    /// after it meanwhile.
    pub fn configure(&mut self, probes: Probes) {
        if self.membership == Membership::Left {
            let hand = self.hand;
            *self = Self::new(probes);
            self.hand = hand;
            return;
        }
        let was_started = self.is_live() && self.is_started();
        let was_ready = was_started && self.passes_readiness();
        let before = std::mem::replace(&mut self.probes, probes);
        if !probes.has(ProbeKind::Liveness) {
            if !self.is_live() {
                self.start_anew();
            }
            self.liveness = None;
        }
        let kept = |kind, finding, passed| match (before.has(kind), probes.has(kind)) {
            (true, true) => finding,
            (_, false) => None,
            (false, true) if passed => Some(Finding::Passing),
            (false, true) => None,
        };
        self.startup = kept(ProbeKind::Startup, self.startup, was_started);
        self.readiness = kept(ProbeKind::Readiness, self.readiness, was_ready);
        self.judge();
    }

    /// What it may be given.
    #[must_use]
    pub fn state(&self, held: Held) -> State {
        if self.hand == Hand::Draining || self.membership == Membership::Left {
            return State::Draining;
        }
        match (self.is_live(), held) {
            (false, Held::Free) => State::Dead,
            (false, Held::Held) => State::Unready,
            (true, _) if !self.is_started() => State::Starting,
            (true, _) if self.passes_readiness() => State::Ready,
            (true, _) => State::Unready,
        }
    }

    /// Whether it has had a verdict that decides something; what has nothing to wait for is judged from the start.
    ///
    /// The success of a startup probe decides nothing yet where a readiness probe follows. Once judged, it stays so.
    #[must_use]
    pub fn is_judged(&self) -> bool {
        self.judgement == Judgement::Made
    }

    /// Whether its liveness probe has not failed; without one it is taken to live.
    #[must_use]
    pub fn is_live(&self) -> bool {
        self.liveness != Some(Finding::Failing)
    }

    /// Whether it is being drained by hand.
    #[must_use]
    pub fn is_drained_by_hand(&self) -> bool {
        self.hand == Hand::Draining
    }

    /// Its probes.
    #[must_use]
    pub fn probes(&self) -> Probes {
        self.probes
    }

    fn is_started(&self) -> bool {
        !self.probes.has(ProbeKind::Startup) || self.startup == Some(Finding::Passing)
    }

    fn passes_readiness(&self) -> bool {
        !self.probes.has(ProbeKind::Readiness) || self.readiness == Some(Finding::Passing)
    }

    fn start_anew(&mut self) {
        self.startup = None;
        self.readiness = None;
    }

    fn judge(&mut self) {
        let decided = !self.is_live()
            || self.startup == Some(Finding::Failing)
            || self.is_started()
                && (!self.probes.has(ProbeKind::Readiness) || self.readiness.is_some());
        if decided {
            self.judgement = Judgement::Made;
        }
    }
}

#[cfg(test)]
mod tests;
