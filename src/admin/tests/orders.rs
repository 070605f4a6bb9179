//! Orders, with a stand-in for `control` at the other end.

use super::*;

/// Stands where `control` would: answers one change, and tells what it was.
fn answer(
    mut changes: mpsc::Receiver<Change>,
    outcome: ReloadOutcome,
) -> oneshot::Receiver<Change> {
    let (told, tells) = oneshot::channel();
    tokio::spawn(async move {
        match changes.recv().await.unwrap() {
            Change::Reload { cause, reply } => {
                reply.unwrap().send(outcome).unwrap();
                told.send(Change::Reload { cause, reply: None }).unwrap();
            }
            other => panic!("{other:?}"),
        }
    });
    tells
}

#[tokio::test]
async fn a_reload_is_answered_with_what_came_of_it() {
    for (outcome, status, needle) in [
        (
            ReloadOutcome::Applied {
                restart_needed: vec!["workers".to_owned()],
            },
            200,
            "\"restartNeeded\": [\n    \"workers\"\n  ]",
        ),
        (ReloadOutcome::Unchanged, 200, "\"result\": \"unchanged\""),
        (
            ReloadOutcome::Rejected {
                problems: "t.yaml:3:1: wrong".to_owned(),
            },
            400,
            "t.yaml:3:1: wrong\n",
        ),
    ] {
        let house = house(|_| {});
        let told = answer(house.changes, outcome);
        let (got, text) = ask(&house.admin, "POST", "/reload").await;
        assert_eq!(got, status, "{text}");
        assert!(text.contains(needle), "{text}");
        let told = told.await.unwrap();
        assert!(matches!(
            told,
            Change::Reload {
                cause: ReloadCause::Admin,
                ..
            }
        ));
    }
}

#[tokio::test]
async fn an_order_to_drain_names_its_endpoint() {
    for (found, status) in [(Found::Known, 200), (Found::Unknown, 404)] {
        for (word, order) in [("drain", DrainOrder::Begin), ("undrain", DrainOrder::End)] {
            let mut house = house(|_| {});
            let path = format!("/pools/v2/endpoints/%5B::1%5D:80/{word}");
            let control = async {
                let Some(Change::Drain {
                    endpoint,
                    order: told,
                    reply,
                }) = house.changes.recv().await
                else {
                    panic!("no order came");
                };
                assert_eq!((endpoint, told), (key("v2", "[::1]:80"), order));
                reply.send(found).unwrap();
            };
            let (reply, ()) = tokio::join!(ask(&house.admin, "POST", &path), control);
            assert_eq!(reply.0, status, "{}", reply.1);
            assert!(reply.1.contains("[::1]:80"), "{}", reply.1);
        }
    }
}

#[tokio::test]
async fn orders_are_refused_when_control_has_gone() {
    let house = house(|_| {});
    drop(house.changes);
    for path in ["/reload", "/pools/v1/endpoints/10.0.0.1:80/drain"] {
        assert_eq!(ask(&house.admin, "POST", path).await.0, 503, "{path}");
    }
}

#[tokio::test(start_paused = true)]
async fn reloads_that_wait_are_bounded_in_number_and_time_and_delay_no_probe() {
    let house = house(|_| {});
    let service = service(Arc::clone(&house.admin), open());
    let mut waiting = tokio::task::JoinSet::new();
    for _ in 0..MOST_ORDERS {
        waiting.spawn(service.clone().oneshot(request("POST", "/reload")));
    }
    tokio::time::sleep(Duration::from_secs(1)).await;

    let shed = service.clone().oneshot(request("POST", "/reload"));
    let shed = shed.await.unwrap();
    assert_eq!(shed.status(), 503);
    assert_eq!(shed.headers()["retry-after"], "1");
    let alive = service.oneshot(request("GET", "/livez"));
    assert_eq!(alive.await.unwrap().status(), 200);

    let start = tokio::time::Instant::now();
    while let Some(reply) = waiting.join_next().await {
        assert_eq!(reply.unwrap().unwrap().status(), 504);
    }
    assert_eq!(start.elapsed().as_secs(), 59);
}
