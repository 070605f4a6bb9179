//! From a changed file to a configuration in force, or to a report of why not.
//!
//! Everything that may fail comes before the one swap: reading and checking (on a thread of its own), binding new
//! sockets, opening the access log. After the swap old sockets are closed, once those who wait there have been taken.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::SystemTime;

use tokio::sync::oneshot;

use crate::change::{ReloadCause, ReloadOutcome};
use crate::config::model::{Bind, Listener};
use crate::config::{self, Config, Loaded};
use crate::control::certificates::{Made, read_again, terms};
use crate::control::held::{Asked, Control, Read, Reading};
use crate::control::report::Rejected;
use crate::listener::{Bound, Terms};
use crate::metrics::{Metrics, Reload};
use crate::program;
use crate::snapshot::build;
use crate::socket::{self, Listening, Seat};

/// How much a thread that reads a configuration gives way to those that serve requests.
const NICENESS: i32 = 10;

impl Control {
    /// Begins to read the configuration for all who asked, or only the files of certificates where that is all.
    pub(super) fn begin_reading(&self, next: &mut Vec<Asked>) -> Reading {
        let is_whole = |(cause, _): &Asked| *cause != ReloadCause::Certificate;
        let (whole, certificates): (Vec<Asked>, Vec<Asked>) = next.drain(..).partition(is_whole);
        let taken = match whole.is_empty() {
            true => certificates,
            false => {
                // A configuration that is wrong must not keep a certificate from being renewed.
                next.extend(certificates);
                whole
            }
        };
        let cause = taken.first().map_or(ReloadCause::File, |(cause, _)| *cause);
        if cause != ReloadCause::Certificate {
            self.supervisor.reloading();
        }
        let replies = taken.into_iter().filter_map(|(_, reply)| reply).collect();
        let (done, result) = oneshot::channel();
        let path = self.path.clone();
        let in_force = Arc::clone(&self.store.newest().config);
        let spawned = std::thread::Builder::new()
            .name("fiel-reload".to_owned())
            .spawn(move || {
                give_way();
                // Who asked may have ended meanwhile.
                let read = match cause {
                    ReloadCause::Certificate => Ok(Read::Certificates(read_again(&in_force))),
                    ReloadCause::File | ReloadCause::Signal | ReloadCause::Admin => {
                        config::load(&path).map(|loaded| Read::Whole(Box::new(loaded)))
                    }
                };
                done.send(read).ok();
            });
        if let Err(error) = spawned {
            // The sender is gone with the closure: the reading comes to nothing and is reported as rejected.
            tracing::error!(%error, "Reload could not get a thread");
        }
        Reading {
            result,
            replies,
            cause,
        }
    }

    /// Acts on a configuration that was read.
    pub(super) async fn read(&mut self, result: Result<Read, String>, reading: Reading) {
        let outcome = match result {
            Ok(Read::Whole(loaded)) => self.apply(*loaded, reading.cause).await,
            // Whom nobody asked for.
            Ok(Read::Certificates(renewed)) => return self.renew_certificates(renewed).await,
            Err(problems) => Err(problems),
        };
        let now = SystemTime::now();
        let outcome = match outcome {
            Ok(outcome) => {
                self.supervisor.ready(&self.board.read().hash);
                outcome
            }
            Err(problems) => {
                self.supervisor.rejected(&self.board.read().hash);
                tracing::error!(cause = ?reading.cause, %problems, "Configuration rejected, the old one stays in force");
                let rejected = Rejected {
                    at: now,
                    problems: problems.as_str().into(),
                };
                self.board
                    .update(|report| report.last_error = Some(rejected));
                self.metrics.reloaded(Reload::Rejected, now);
                ReloadOutcome::Rejected { problems }
            }
        };
        tokio::task::spawn_local(program::shed_when_at_rest());
        for reply in reading.replies {
            // Who asked may have gone.
            reply.send(outcome.clone()).ok();
        }
    }

    async fn apply(&mut self, loaded: Loaded, cause: ReloadCause) -> Result<ReloadOutcome, String> {
        let Loaded {
            config: asked,
            hash,
            files,
            redacted,
            warnings,
            ..
        } = loaded;
        for warning in &warnings {
            tracing::warn!(%warning, "Configuration is doubtful");
        }
        self.watched.send_replace(files);
        let before = self.store.newest();
        let (config, restart_needed) = keep_what_needs_a_restart(asked, &before.config);
        let now = SystemTime::now();
        let admit = (self.admit)(&config)
            .map_err(|error| format!("could not read the admin token: {error}\n"))?;
        if config == *before.config {
            // What a file holds may be new all the same.
            admit();
            self.board.update(|report| {
                report.last_error = None;
                report.restart_needed.clone_from(&restart_needed);
            });
            self.metrics.waiting_for_restart(restart_needed.len());
            self.metrics.reloaded(Reload::Unchanged, now);
            tracing::info!(?cause, "Configuration is unchanged");
            name_what_waits(&restart_needed);
            return Ok(ReloadOutcome::Unchanged);
        }
        let made = self.servers.make(&config)?;
        let moves = Moves::between(&before.config, &config, &made, &self.metrics)?;
        if config.access_log != before.config.access_log {
            let changed = self.access_log.reconfigure(&config.access_log);
            changed.map_err(|error| format!("could not open the access log: {error}\n"))?;
        }
        admit();
        self.servers.follow(made);
        let config = Arc::new(config);
        self.endpoints.configure(&config, now);
        let next = build::whole(
            Arc::clone(&config),
            &self.endpoints,
            &self.metrics,
            Some(&before),
        );
        let generation = next.generation;
        self.store.publish(next);
        self.endpoints.log_moves();
        self.prober.follow(self.endpoints.plan(&config));
        self.discovery.follow(self.endpoints.wanted(&config));
        let names = self.endpoints.names();
        let held = self.endpoints.held();
        self.watched_certificates
            .send_replace(config.certificate_files());
        let bound = self.relocate(moves).await;
        self.metrics.certificate_faults(0);
        self.board.update(|report| {
            report.hash = hash;
            report.loaded_at = now;
            report.redacted = Arc::new(redacted);
            report.last_error = None;
            report.certificate_faults.clear();
            report.restart_needed.clone_from(&restart_needed);
            report.held = held;
            report.names = names;
            report.bound.retain(|name, _| {
                config
                    .listeners
                    .iter()
                    .any(|listener| listener.name == *name)
            });
            report.bound.extend(bound);
        });
        self.metrics.waiting_for_restart(restart_needed.len());
        self.metrics.reloaded(Reload::Applied, now);
        self.store.read_everywhere(generation).await;
        tracing::info!(?cause, "Configuration is in force");
        name_what_waits(&restart_needed);
        Ok(ReloadOutcome::Applied { restart_needed })
    }

    /// Carries out what listeners have to do, and tells where the new ones are bound.
    pub(super) async fn relocate(&self, moves: Moves) -> Vec<(Arc<str>, Bind)> {
        let mut addresses = Vec::new();
        let Some(acceptor) = &self.acceptor else {
            return addresses;
        };
        for (bound, address) in moves.opened {
            let name = &bound.terms.listener.name;
            tracing::info!(listener = %name, %address, "Listening");
            addresses.push((Arc::clone(name), address));
            acceptor.listen(bound).await;
        }
        for terms in moves.renewed {
            acceptor.renew(terms).await;
        }
        acceptor.close(&moves.closed).await;
        for listener in moves.closed {
            tracing::info!(listener = %listener.name, bind = %listener.bind, "No longer listening");
        }
        addresses
    }
}

/// What a reload has listeners do.
pub(super) struct Moves {
    opened: Vec<(Bound, Bind)>,
    renewed: Vec<Terms>,
    closed: Vec<Arc<Listener>>,
}

impl Moves {
    /// Binds what is new; tells what could not be.
    pub(super) fn between(
        old: &Config,
        new: &Config,
        made: &Made,
        metrics: &Metrics,
    ) -> Result<Self, String> {
        let mut known: HashMap<Seat, &Arc<Listener>> = old
            .listeners
            .iter()
            .map(|listener| (Seat::of(listener), listener))
            .collect();
        let mut moves = Self {
            opened: Vec::new(),
            renewed: Vec::new(),
            closed: Vec::new(),
        };
        let mut problems = String::new();
        for listener in &new.listeners {
            match known.remove(&Seat::of(listener)) {
                Some(same) if same == listener => {}
                Some(_) => moves.renewed.push(terms(listener, made, metrics)),
                None => match bind(terms(listener, made, metrics)) {
                    Ok(opened) => moves.opened.push(opened),
                    Err(error) => problems.push_str(&format!(
                        "error: listener \"{}\": could not bind {}: {error}\n",
                        listener.name, listener.bind
                    )),
                },
            }
        }
        moves.closed = known.into_values().map(Arc::clone).collect();
        // Last, because it cannot be taken back.
        for renewed in moves.renewed.iter().filter(|_| problems.is_empty()) {
            let listener = &renewed.listener;
            if let (Bind::Unix(path), Some(rights)) = (&listener.bind, &listener.rights)
                && let Err(error) = socket::grant(path, rights)
            {
                problems.push_str(&format!(
                    "error: listener \"{}\": could not give {} its rights: {error}\n",
                    listener.name, listener.bind
                ));
                break;
            }
        }
        if problems.is_empty() {
            Ok(moves)
        } else {
            Err(problems)
        }
    }
}

/// Binds a listener's address.
///
/// # Errors
/// The kernel's.
pub(crate) fn bind(terms: Terms) -> std::io::Result<(Bound, Bind)> {
    let socket = Listening::bind(&terms.listener.bind, terms.listener.rights.as_ref())?;
    let address = socket.bound(&terms.listener.bind)?;
    Ok((Bound { socket, terms }, address))
}

/// The new configuration with the old values of what cannot change while the process runs, and the names of those.
fn keep_what_needs_a_restart(mut asked: Config, old: &Config) -> (Config, Vec<String>) {
    let mut kept = Vec::new();
    if asked.workers != old.workers {
        asked.workers = old.workers;
        kept.push("workers".to_owned());
    }
    if asked.admin.bind != old.admin.bind {
        asked.admin.bind = old.admin.bind.clone();
        kept.push("admin.bind".to_owned());
    }
    if asked.admin.rights != old.admin.rights {
        asked.admin.rights = old.admin.rights.clone();
        kept.push("admin.unix".to_owned());
    }
    if asked.admin.read_bind != old.admin.read_bind {
        asked.admin.read_bind = old.admin.read_bind;
        kept.push("admin.readBind".to_owned());
    }
    (asked, kept)
}

fn name_what_waits(restart_needed: &[String]) {
    if !restart_needed.is_empty() {
        tracing::warn!(keys = ?restart_needed, "Keys keep their old values until a restart");
    }
}

/// Lets the threads that serve requests go first. Where the system does not allow it, reading is only less polite.
fn give_way() {
    let this = rustix::thread::gettid();
    if let Err(error) = rustix::process::setpriority_process(Some(this), NICENESS) {
        tracing::debug!(%error, "Thread keeps its priority");
    }
}
