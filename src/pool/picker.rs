//! A pool's balancer, and what it takes over from the pool before.
//!
//! Turns carry their remainders over, the least loaded its due times, a ring is the same as long as the endpoints and their
//! weights are. Draws by weight have no past. The loads themselves live at the endpoints, which outlive pools.

use std::sync::Arc;

use crate::balance::least_request::LeastRequest;
use crate::balance::pick::Picker;
use crate::balance::random::Random;
use crate::balance::ring_hash::{Ring, RingHash};
use crate::balance::rotation::Rotation;
use crate::config::model::Balance;
use crate::endpoint::Endpoint;
use crate::pool::member::Member;

/// The pool before.
#[derive(Clone, Copy)]
pub(super) struct Before<'p> {
    pub(super) members: &'p [Member],
    pub(super) rotation: &'p Arc<Rotation>,
    pub(super) picker: &'p Picker,
}

/// The rotation and the balancer of a pool with these chances.
pub(super) fn follow(
    balance: &Balance,
    members: &[Member],
    weights: &[u64],
    previous: Option<Before<'_>>,
) -> (Arc<Rotation>, Picker) {
    let origin = previous.map(|previous| origin(members, previous.members));
    let before = previous.zip(origin.as_deref());
    let rotation = match (balance, before) {
        (_, Some((previous, origin))) if goes_on(weights, origin, previous) => {
            Arc::clone(previous.rotation)
        }
        (Balance::RoundRobin, Some((previous, origin))) => {
            let old = Arc::clone(previous.rotation);
            Arc::new(Rotation::following(weights, origin, old))
        }
        // Nobody takes turns from it, so that there are none to carry over.
        _ => Arc::new(Rotation::new(weights)),
    };
    let weights = rotation.weights();
    let picker = match balance {
        Balance::RoundRobin => Picker::RoundRobin(Arc::clone(&rotation)),
        Balance::LeastRequest => {
            let before = before.and_then(|(previous, origin)| match previous.picker {
                Picker::LeastRequest(least) => Some((least, origin)),
                _ => None,
            });
            Picker::LeastRequest(LeastRequest::new(weights, before))
        }
        Balance::PowerOfTwo => Picker::PowerOfTwo(Random::new(weights)),
        Balance::Random => Picker::Random(Random::new(weights)),
        Balance::RingHash(options) => {
            let ring = previous.and_then(|previous| same_ring(members, previous));
            let ring = ring.unwrap_or_else(|| Arc::new(ring_of(members)));
            let factor = options.balance_factor.map(|factor| factor.thousandths());
            Picker::RingHash(RingHash::new(ring, factor, weights))
        }
    };
    (rotation, picker)
}

/// Where each member was in the pool before.
fn origin(members: &[Member], previous: &[Member]) -> Vec<Option<usize>> {
    let old: rustc_hash::FxHashMap<*const Endpoint, usize> = previous
        .iter()
        .enumerate()
        .map(|(index, member)| (Arc::as_ptr(&member.endpoint), index))
        .collect();
    members
        .iter()
        .map(|member| old.get(&Arc::as_ptr(&member.endpoint)).copied())
        .collect()
}

/// Whether the rotation of the pool before is the one of these chances.
fn goes_on(weights: &[u64], origin: &[Option<usize>], previous: Before<'_>) -> bool {
    let in_place = origin.len() == previous.members.len()
        && origin
            .iter()
            .enumerate()
            .all(|(index, old)| *old == Some(index));
    in_place && previous.rotation.runs_on(weights)
}

/// The ring of the pool before, where the same endpoints with the same weights stand in the same order.
fn same_ring(members: &[Member], previous: Before<'_>) -> Option<Arc<Ring>> {
    let Picker::RingHash(ring_hash) = previous.picker else {
        return None;
    };
    let is_same = members.len() == previous.members.len()
        && members.iter().zip(previous.members).all(|(new, old)| {
            new.thousandths == old.thousandths && new.endpoint.address() == old.endpoint.address()
        });
    is_same.then(|| Arc::clone(ring_hash.ring()))
}

fn ring_of(members: &[Member]) -> Ring {
    let entry = |member: &Member| -> (Arc<str>, u64) {
        let identity = Arc::clone(member.endpoint.label());
        (identity, member.thousandths)
    };
    let entries: Vec<(Arc<str>, u64)> = members.iter().map(entry).collect();
    Ring::new(&entries)
}
