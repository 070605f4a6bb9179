//! TLS handshakes: within their time, so many at once, and never two of them in a row while other connections wait.
//!
//! A handshake costs up to a millisecond of arithmetic where a request costs some microseconds. Each step of one therefore
//! takes a turn, of which a worker has one, and before it the worker looks after everybody else.
//!
//! Who has said nothing takes up no place among those under way. Where all places are taken, who has had one for longest
//! gives it up: an honest client needs it for two round trips, and who lets handshakes stand about must not keep it out.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::future::{Future as _, poll_fn};
use std::io;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Poll, Waker};

use rustls::{CertificateError, Error, HandshakeKind, ServerConfig};
use tokio::sync::Semaphore;
use tokio::task::yield_now;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::connection::arrival::in_time;
use crate::connection::ending::refuse;
use crate::connection::registry::Member;
use crate::error::Kind;
use crate::header::network;
use crate::metrics::{Handshake, Refusal};
use crate::request::context::WorkerContext;
use crate::request::secured::Secured;
use crate::tls::{Identity, Server, tls_error};
use crate::wire::{Metered, Socket, Stream};

/// Handshakes under way on a worker at once, some kilobytes each.
const UNDER_WAY: usize = 1024;

/// The handshakes of a worker.
#[derive(Debug)]
pub(crate) struct Handshakes {
    turn: Semaphore,
    /// Those under way, in the order in which they began.
    places: RefCell<BTreeMap<u64, Rc<Seated>>>,
    next: Cell<u64>,
}

/// A handshake under way.
#[derive(Debug)]
struct Seated {
    task: Waker,
    is_given_up: Cell<bool>,
}

/// A place among those under way, to be left when this is dropped.
struct Place<'a> {
    handshakes: &'a Handshakes,
    number: u64,
    seated: Rc<Seated>,
}

impl Default for Handshakes {
    fn default() -> Self {
        Self {
            turn: Semaphore::new(1),
            places: RefCell::default(),
            next: Cell::new(0),
        }
    }
}

impl Handshakes {
    /// A place for this task; where there is none, that of the oldest.
    fn sit_down(&self, task: Waker) -> Place<'_> {
        let mut places = self.places.borrow_mut();
        if places.len() >= UNDER_WAY
            && let Some((_, oldest)) = places.pop_first()
        {
            oldest.is_given_up.set(true);
            oldest.task.wake_by_ref();
        }
        let number = self.next.replace(self.next.get() + 1);
        let seated = Rc::new(Seated {
            task,
            is_given_up: Cell::new(false),
        });
        places.insert(number, Rc::clone(&seated));
        Place {
            handshakes: self,
            number,
            seated,
        }
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.handshakes.places.borrow_mut().remove(&self.number);
    }
}

/// Brings a handshake to its end; none where there is no connection then.
pub(super) async fn shake_hands(
    socket: Socket,
    server: Arc<Server>,
    member: &Member,
    handshakes: &Handshakes,
    context: &Rc<WorkerContext>,
) -> Option<Stream> {
    let edge = &member.edge;
    edge.begin_handshake();
    let mut first = [0];
    let came = in_time(member, socket.peek(&mut first)).await;
    if came.is_ok() && first[0].is_ascii_uppercase() {
        // A record of TLS begins with a small number, a request with the letters of its method.
        edge.end_handshake(Handshake::Failed);
        edge.refuses(Refusal::Plaintext);
        refuse(Stream::Plain(socket), edge, context, Kind::Plaintext).await;
        return None;
    }
    let work = shake(socket, server.config(), handshakes);
    let spec = Arc::clone(server.spec());
    let done = match came {
        Ok(_) => in_time(member, work).await,
        Err(error) => Err(error),
    };
    let done = done.and_then(|stream| {
        let secured = secured(&stream, server)?;
        Ok((stream, secured))
    });
    match done {
        Ok((stream, secured)) => {
            let result = match stream.get_ref().1.handshake_kind() {
                Some(HandshakeKind::Resumed) => Handshake::Resumed,
                _ => Handshake::Full,
            };
            edge.end_handshake(result);
            edge.client.is_secured(secured);
            Some(Stream::Tls(Box::new(stream)))
        }
        Err(error) => {
            edge.end_handshake(Handshake::Failed);
            if error.kind() == io::ErrorKind::InvalidData {
                edge.refuses_for(called(&error), Some(&spec.explained(error)));
            } else {
                // As who only looks whether the port is open, or was too slow.
                let client = network::shown(edge.client.address());
                tracing::debug!(%client, %error, "Handshake broke off");
            }
            None
        }
    }
}

async fn shake(
    socket: Socket,
    config: Arc<ServerConfig>,
    handshakes: &Handshakes,
) -> io::Result<TlsStream<Metered>> {
    let closed = |_| io::Error::from(io::ErrorKind::NotConnected);
    let task = poll_fn(|cx| Poll::Ready(cx.waker().clone())).await;
    let place = handshakes.sit_down(task);
    let acceptor = TlsAcceptor::from(config);
    let mut accept = pin!(acceptor.accept(Metered::new(socket)));
    loop {
        let turn = handshakes.turn.acquire().await.map_err(closed)?;
        // Everybody else, and whatever has come meanwhile.
        yield_now().await;
        let polled = poll_fn(|cx| Poll::Ready(accept.as_mut().poll(cx))).await;
        drop(turn);
        if let Poll::Ready(done) = polled {
            return done;
        }
        if place.seated.is_given_up.get() {
            return Err(io::Error::other("too many handshakes are under way"));
        }
        // Nothing lies between that look and this wait: no notice is missed.
        let mut is_woken = false;
        poll_fn(|_| match std::mem::replace(&mut is_woken, true) {
            true => Poll::Ready(()),
            false => Poll::Pending,
        })
        .await;
    }
}

/// What the failure of a handshake is called that was the client's doing.
fn called(error: &io::Error) -> Refusal {
    use CertificateError::{Expired, ExpiredContext, NotValidYet, NotValidYetContext};
    match tls_error(error) {
        Some(Error::InvalidCertificate(
            Expired | ExpiredContext { .. } | NotValidYet | NotValidYetContext { .. },
        )) => Refusal::Expired,
        Some(
            Error::InvalidCertificate(_)
            | Error::InvalidCertRevocationList(_)
            | Error::NoCertificatesPresented,
        ) => Refusal::Certificate,
        _ => Refusal::Handshake,
    }
}

/// What a connection is known by. A session that was taken up again has a certificate that is still good: its ticket would
/// have been none.
fn secured(stream: &TlsStream<Metered>, server: Arc<Server>) -> io::Result<Secured> {
    let (_, session) = stream.get_ref();
    let identity = match session.peer_certificates().and_then(<[_]>::first) {
        None => None,
        Some(certificate) => Some(Identity::of(certificate).ok_or_else(|| {
            let why = Error::from(CertificateError::BadEncoding);
            io::Error::new(io::ErrorKind::InvalidData, why)
        })?),
    };
    Ok(Secured::new(server, session.server_name(), identity))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_gives_its_place_up_where_all_are_taken() {
        let handshakes = Handshakes::default();
        let mut places: Vec<Place<'_>> = (0..UNDER_WAY)
            .map(|_| handshakes.sit_down(Waker::noop().clone()))
            .collect();
        let given_up = |places: &[Place<'_>]| -> Vec<u64> {
            let gone = places.iter().filter(|place| place.seated.is_given_up.get());
            gone.map(|place| place.number).collect()
        };
        assert!(given_up(&places).is_empty());

        places.push(handshakes.sit_down(Waker::noop().clone()));
        assert_eq!(given_up(&places), [0]);
        drop(places.remove(0));
        drop(places.remove(0));
        places.push(handshakes.sit_down(Waker::noop().clone()));

        assert!(given_up(&places).is_empty());
        drop(places);
        assert!(handshakes.places.borrow().is_empty());
    }
}
