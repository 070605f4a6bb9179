//! Where the first try of a request goes: whose turn it is by the exact shares, and which endpoint of that pool takes it.
//!
//! All that is shared is read through the worker's own handle on a snapshot, so that placing a request touches nothing that
//! other workers touch but the positions of the two schedules.

use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;

use crate::config::model::{self, Action, PoolId, RouteId};
use crate::endpoint::Endpoint;
use crate::metrics::WorkerId;
use crate::pool::{Keys, Picked, Pool, Standing};
use crate::request::context::WorkerContext;
use crate::request::outcome::Ledger;
use crate::route::host::{HostBuffer, normalized};
use crate::snapshot::{Spoken, Store, View};
use crate::split::Turn;

/// Rounds until a request gives up finding a schedule that counts on. A schedule is closed only after its successor was
/// published, so that more than one round is needed only where that is closed in its turn meanwhile.
const ROUNDS: usize = 64;

/// The route of a request, in the newest snapshot that the request has looked at.
pub(super) struct Placing {
    view: View,
    route: RouteId,
    /// Which of its splits: there are several where the host names the pool.
    part: usize,
    /// By which it may stick to an endpoint.
    keys: Keys,
}

/// An endpoint that takes a request, in the snapshot that says so. Where its pool claims, a place is claimed there: the
/// try begins at once, and gives it back in the end.
pub(super) struct Spot {
    view: View,
    pool: PoolId,
    member: usize,
}

/// What a look for an endpoint comes to.
pub(super) enum Look {
    /// This one takes the request.
    At(Spot),
    /// The pool of this name has no verdict yet.
    Unjudged(Arc<str>),
    /// Nobody takes it.
    Nobody,
}

impl Spot {
    pub(super) fn pool(&self) -> &Arc<Pool> {
        self.view.pool(self.pool)
    }

    pub(super) fn endpoint(&self) -> &Arc<Endpoint> {
        &self.pool().members()[self.member].endpoint
    }
}

impl Placing {
    pub(super) fn new(view: View, route: RouteId, part: usize, keys: Keys) -> Self {
        Self {
            view,
            route,
            part,
            keys,
        }
    }

    /// The keys of the request.
    pub(super) fn keys(&self) -> &Keys {
        &self.keys
    }

    /// The configuration of the route in force for this request.
    pub(super) fn spec(&self) -> &Arc<model::Route> {
        &self.view.route(self.route).spec
    }

    /// What a worker puts into its messages.
    pub(super) fn spoken(&self, worker: WorkerId) -> &Spoken {
        self.view.route(self.route).spoken(worker)
    }

    /// Takes the request's turn in its split, books it there, and looks for an endpoint.
    pub(super) fn place(&mut self, context: &WorkerContext, ledger: &mut Ledger) -> Look {
        for _ in 0..ROUNDS {
            let view = Rc::clone(&self.view);
            let route = view.route(self.route);
            let Some(split) = route.splits().get(self.part) else {
                break;
            };
            match split.take() {
                Turn::Entry { entry, position } => {
                    let pool = view.pool(entry.pool);
                    ledger.book_on(context.account(&entry.traffic, || {
                        (
                            Some(Arc::clone(&route.spec.name)),
                            Some(Arc::clone(&entry.name)),
                            pool.spec().version.clone(),
                        )
                    }));
                    ledger.placed(position);
                    let place = entry.pool;
                    return look(context, view, place, &self.keys);
                }
                Turn::Nobody { position } => {
                    ledger.positioned(position);
                    break;
                }
                Turn::Outdated if self.renew(context) => {}
                Turn::Outdated => break,
            }
        }
        Look::Nobody
    }

    /// Takes up the newest snapshot; false if it no longer has this split.
    fn renew(&mut self, context: &WorkerContext) -> bool {
        let newest = context.reader.newest();
        let name = &self.spec().name;
        let mut routes = newest.routes.iter();
        let Some(index) = routes.position(|route| route.spec.name == *name) else {
            return false;
        };
        let route = RouteId(index);
        let older = self.view.route(self.route);
        let Some(part) = newest.route(route).successor(older, self.part) else {
            return false;
        };
        self.part = part;
        self.route = route;
        self.view = newest;
        true
    }
}

/// Which split of a route a request takes, by its host where that names the pool.
pub(super) fn part(action: &Action, host: &str) -> Option<usize> {
    match action {
        Action::PoolByHost(by_host) => by_host.position(normalized(host, &mut HostBuffer::new())),
        Action::Split(_) | Action::Redirect(_) | Action::Respond(_) => Some(0),
    }
}

/// Looks for an endpoint of the pool with this place in the snapshot.
fn look(context: &WorkerContext, mut view: View, mut place: PoolId, keys: &Keys) -> Look {
    for _ in 0..ROUNDS {
        let pool = view.pool(place);
        let picked = pool.pick(&mut context.chance(), keys);
        match picked {
            Picked::Member(member) => {
                return Look::At(Spot {
                    view,
                    pool: place,
                    member,
                });
            }
            Picked::Outdated => {
                let newest = context.reader.newest();
                let Some(same) = newest.place_of(&pool.spec().name) else {
                    break;
                };
                (view, place) = (newest, same);
            }
            Picked::Nobody if pool.standing() == Standing::Unjudged => {
                return Look::Unjudged(Arc::clone(&pool.spec().name));
            }
            Picked::Nobody => break,
        }
    }
    Look::Nobody
}

/// Looks for an endpoint of the pool of this name in the newest snapshot.
pub(super) fn look_again(context: &WorkerContext, name: &str, keys: &Keys) -> Look {
    let newest = context.reader.newest();
    match newest.place_of(name) {
        Some(place) => look(context, newest, place, keys),
        None => Look::Nobody,
    }
}

/// A wait for the first verdict on a pool.
pub(super) type Verdict = Pin<Box<dyn Future<Output = ()>>>;

/// Waits until a pool has its first verdict, or is gone.
pub(super) fn verdict_on(store: &Arc<Store>, name: Arc<str>) -> Verdict {
    let store = Arc::clone(store);
    Box::pin(async move {
        let mut published = store.follow();
        loop {
            let judged = store
                .newest()
                .pool_named(&name)
                .is_none_or(|pool| pool.standing() != Standing::Unjudged);
            if judged || published.changed().await.is_err() {
                return;
            }
        }
    })
}
