//! `Expect: 100-continue` (RFC 9110 §10.1.1): the endpoint decides whether the body is wanted.
//!
//! The body is held back until the endpoint's own 100 comes, which reads it, which tells the client to go on. A final
//! answer passes without any 100. An endpoint that says nothing is given the body after a while, as a client would.

use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Sleep, sleep};

use crate::request::context::Client;
use crate::upstream::{BodySlot, Hold};

/// How long an endpoint may be silent before it is given the body.
const PATIENCE: Duration = Duration::from_secs(1);

/// Holds a body back until the endpoint says 100.
pub(super) fn hold(slot: &Rc<BodySlot>, client: &Rc<Client>) {
    slot.hold(Box::new(Gate {
        client: Rc::clone(client),
        patience: None,
    }));
}

#[derive(Debug)]
struct Gate {
    /// Who hears what the endpoint says.
    client: Rc<Client>,
    /// Runs from the first time the body is wanted, which is when the head has been sent.
    patience: Option<Pin<Box<Sleep>>>,
}

impl Hold for Gate {
    fn poll_open(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.client.interims.continues(cx.waker()) {
            return Poll::Ready(());
        }
        let patience = self
            .patience
            .get_or_insert_with(|| Box::pin(sleep(PATIENCE)));
        patience.as_mut().poll(cx)
    }
}
