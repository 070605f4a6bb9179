//! How long tunnels live: over reloads, beside others, to their idle time and to the end of the process.

use futures_util::{SinkExt as _, StreamExt as _};
use h2::Reason;
use rustix::process::Signal;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio_tungstenite::tungstenite::Message;

use super::{WAYS, before};
use crate::support::terms::Terms;
use crate::support::websocket::{Echo, Http, Two, assert_echoes, open, run};
use crate::support::{Endpoint, Fiel, Scrape};

#[test]
fn tunnels_survive_a_reload() {
    for (near, far) in WAYS {
        let endpoint = Echo::over(far);
        let other = Endpoint::start("other");
        let fiel = before(endpoint.address(), far, &[]);
        run(async {
            let mut socket = open(near, fiel.address("web")).await;
            assert_echoes(&mut socket, Message::text("before")).await;
            let text = crate::support::yaml::shop(&[("shop", "1", &[other.address()])]);
            fiel.rewrite(&format!("workers: 1\n{text}"));
            fiel.wait_for_log("Configuration is in force");
            assert_echoes(&mut socket, Message::text("behind")).await;
        });
    }
}

#[test]
fn a_tunnel_has_an_idle_time_of_its_own() {
    for (near, far) in WAYS {
        let endpoint = Echo::over(far);
        let route = ["timeouts: { idle: 0s, tunnel: 300ms }"];
        let fiel = before(endpoint.address(), far, &route);
        run(async {
            let mut socket = open(near, fiel.address("web")).await;
            while let Some(Ok(_)) = socket.next().await {}
        });
        assert_eq!(fiel.wait_for_access_log(1)[0]["status"], 101);
        let series = "fiel_tunnels{route=\"shop\",pool=\"shop\"}";
        Scrape::wait_for(&fiel, &[(series, 0.0)]);
    }
}

#[test]
fn the_idle_time_of_bodies_is_none_of_a_tunnels() {
    let endpoint = Echo::over(Http::One);
    let route = ["timeouts: { idle: 1ms, tunnel: 0s }"];
    let fiel = before(endpoint.address(), Http::One, &route);
    run(async {
        let mut socket = open(Http::Two, fiel.address("web")).await;
        for _ in 0..3 {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            assert_echoes(&mut socket, Message::text("a")).await;
        }
    });
}

#[test]
fn a_tunnel_that_is_cut_is_reset() {
    let endpoint = Echo::over(Http::One);
    let route = ["timeouts: { tunnel: 200ms }"];
    let fiel = before(endpoint.address(), Http::One, &route);
    run(async {
        let mut two = Two::connect(fiel.address("web")).await;
        let mut octets = two.octets("/").await;
        assert_eq!(octets.end().await, Some(Reason::CANCEL));
    });
}

#[test]
fn many_tunnels_go_on_beside_each_other_and_beside_requests() {
    for far in [Http::One, Http::Two] {
        let endpoint = Echo::over(far);
        let fiel = before(endpoint.address(), far, &[]);
        run(async {
            let mut two = Two::connect(fiel.address("web")).await;
            let mut sockets = Vec::new();
            for _ in 0..30 {
                sockets.push(two.socket("/chat").await);
            }
            let series = "fiel_tunnels{route=\"shop\",pool=\"shop\"}";
            Scrape::wait_for(&fiel, &[(series, 30.0)]);
            for round in 0..3 {
                for (number, socket) in sockets.iter_mut().enumerate() {
                    assert_echoes(socket, Message::text(format!("{round} {number}"))).await;
                }
                if far == Http::Two {
                    assert_eq!(two.get("/").await.status(), 200);
                }
            }
        });
    }
}

#[test]
fn a_slow_reader_of_one_tunnel_does_not_hold_up_the_others() {
    for far in [Http::One, Http::Two] {
        let endpoint = Echo::over(far);
        let fiel = before(endpoint.address(), far, &[]);
        run(async {
            // Room for one that is not read and for others.
            let mut builder = h2::client::Builder::new();
            builder.initial_connection_window_size(8 << 20);
            let mut two = Two::with(fiel.address("web"), &builder).await;
            let mut slow = two.octets("/chat").await;
            let mut other = two.socket("/chat").await;
            // A frame of which the echo is never read, begun without a mask's octets in the way: its mask is zero.
            let mut frame = vec![0x82, 0xff];
            frame.extend_from_slice(&(1_u64 << 20).to_be_bytes());
            frame.extend_from_slice(&[0; 4]);
            frame.resize(frame.len() + (1 << 20), 7);
            slow.write_all(&frame).await.unwrap();
            for _ in 0..20 {
                assert_echoes(&mut other, Message::text("on it goes")).await;
            }
            // It was held back and not lost.
            let mut came = vec![0; (1 << 20) + 10];
            slow.read_exact(&mut came).await.unwrap();
            assert_eq!(came[..2], [0x82, 0x7f]);
            assert!(came[10..].iter().all(|octet| *octet == 7));
        });
    }
}

#[test]
fn a_drain_waits_for_a_tunnel_to_end() {
    let endpoint = Echo::over(Http::One);
    let fiel = before(endpoint.address(), Http::One, &[]);
    run(async {
        let mut socket = open(Http::Two, fiel.address("web")).await;
        assert_echoes(&mut socket, Message::text("before")).await;
        fiel.signal(Signal::TERM);
        fiel.wait_for_log("Draining");
        assert_echoes(&mut socket, Message::text("on it goes")).await;
        socket.send(Message::Close(None)).await.unwrap();
        while let Some(Ok(_)) = socket.next().await {}
    });
    assert!(fiel.wait_exit().success());
}

#[test]
fn a_tunnel_that_outlives_the_drain_is_cut_and_logged() {
    let endpoint = Echo::over(Http::One);
    let fiel = Fiel::start(&format!(
        "{}shutdown: {{ delay: 0s, drain: 50ms }}\n",
        crate::support::yaml::shop(&[("shop", "1", &[endpoint.address()])])
    ));
    run(async {
        let mut socket = open(Http::Two, fiel.address("web")).await;
        assert_echoes(&mut socket, Message::text("before")).await;
        fiel.signal(Signal::TERM);
        while let Some(Ok(_)) = socket.next().await {}
    });
    assert!(fiel.wait_exit().success());
    assert_eq!(fiel.access_log()[0]["status"], 101);
}

#[test]
fn a_connection_at_its_age_keeps_its_tunnel_and_takes_no_new_streams() {
    let endpoint = Echo::over(Http::One);
    let terms = Terms {
        listener: &["limits: { maxConnectionAge: 300ms }"],
        ..Terms::default()
    };
    let fiel = terms.before_all(&[endpoint.address()]);
    run(async {
        let mut two = Two::connect(fiel.address("web")).await;
        let mut socket = two.socket("/chat").await;
        two.is_sent_away().await;
        for _ in 0..3 {
            assert_echoes(&mut socket, Message::text("on it goes")).await;
        }
    });
}
