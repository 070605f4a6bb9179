//! From an endpoint's answer to the client's: its fields, its body on its way, or the tunnel that it begins.

use std::rc::Rc;

use http::{Response, StatusCode, Version};

use crate::clock::Clock;
use crate::config::model;
use crate::error::Kind;
use crate::header::present::Present;
use crate::header::{self, hop};
use crate::request::attempts::Won;
use crate::request::context::Client;
use crate::request::outcome::Ledger;
use crate::request::switch::Switch;
use crate::response::Body;
use crate::response::relay::{Relay, RequestSide};
use crate::response::upgrade::Tunnel;
use crate::upstream::Answer;

/// What an endpoint's answer becomes.
pub(super) enum Relayed<T> {
    Answer(Response<Body>),
    Switch(Response<()>, T),
}

/// From an endpoint's answer to the client's.
pub(super) fn relay(
    won: Won,
    (route, edits): (&model::Route, &model::HeaderEdits),
    client: &Rc<Client>,
    switch: Option<&Switch>,
    ledger: &mut Ledger,
) -> Result<Relayed<impl FnOnce(Box<Ledger>) -> Tunnel + use<>>, Kind> {
    let Won {
        answer,
        engaged,
        body: sent,
    } = won;
    let Answer {
        response,
        present,
        carrier,
        connect,
        took,
    } = answer;
    let (mut head, ()) = response.into_parts();
    engaged.traffic().attempt_answered(engaged.worker(), took);
    if head.status == StatusCode::SWITCHING_PROTOCOLS {
        // Octets are a tunnel's only where one was asked for.
        let asked = switch.ok_or(Kind::MalformedResponse)?;
        let far = carrier.switch().ok_or(Kind::MalformedResponse)?;
        let protocol = asked.agreed(&mut head.headers, &far)?;
        header::forward_response(&mut head.headers, present, head.version, edits);
        hop::announce(&mut head.headers, Present::default(), Some(protocol));
        ledger.answered(head.status, connect);
        client.clocks.stop(Clock::Total);
        let idle = route.timeouts.tunnel;
        let tunnel =
            move |ledger: Box<Ledger>| Tunnel::new(far, engaged, idle, ledger.into_tunnel());
        return Ok(Relayed::Switch(
            Response::from_parts(versioned(head), ()),
            tunnel,
        ));
    }
    if let Some(asked) = switch
        && asked.is_mistaken_for(head.status)
    {
        return Err(Kind::UpgradeFailed);
    }
    header::forward_response(&mut head.headers, present, head.version, edits);
    ledger.answered(head.status, connect);
    ledger.call_ended(&head.headers);
    let request_side = match sent {
        Some(sent) if !sent.has_ended() => RequestSide::Flows(sent),
        Some(_) | None => RequestSide::Ended,
    };
    let idle = route.timeouts.idle;
    let mut relay = Relay::new(
        carrier,
        request_side,
        engaged,
        Rc::clone(&client.clocks),
        idle,
    );
    relay.settle();
    Ok(Relayed::Answer(Response::from_parts(
        versioned(head),
        Body::Relay(relay),
    )))
}

/// The proxy answers in its own version, whatever the endpoint spoke (RFC 9110 §2.5).
fn versioned(mut head: http::response::Parts) -> http::response::Parts {
    head.version = Version::HTTP_11;
    head
}
