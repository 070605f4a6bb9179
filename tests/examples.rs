//! The walk-throughs of `examples/` at work, and the very words and counts that they print.

// `cfg(test)` always holds here; it tells the lints that `unwrap` is at home.
#![cfg(test)]

#[path = "../examples/stage/clients.rs"]
mod clients;
#[path = "../examples/stage/endpoint.rs"]
mod endpoint;
#[path = "../examples/stage/load.rs"]
mod load;
#[path = "../examples/stage/proxy.rs"]
mod proxy;
#[path = "../examples/canary/release.rs"]
mod release;
#[path = "../examples/stage/status.rs"]
mod status;
#[path = "../examples/blue_green/switch.rs"]
mod switch;
#[path = "../examples/rolling_update/update.rs"]
mod update;

#[test]
fn a_canary_gets_exactly_what_the_file_says_at_each_weight() {
    let mut printed = Vec::new();
    release::walk(&mut printed).unwrap();

    assert_eq!(
        String::from_utf8(printed).unwrap(),
        "       weights     v1     v2  failed
       100 : 0   1000      0       0
    99.9 : 0.1    999      1       0
        99 : 1    990     10       0
       90 : 10    900    100       0
       50 : 50    500    500       0
       0 : 100      0   1000       0
the four replicas of v1 answered 1098, 1097, 1097, 1097
"
    );
}

#[test]
fn a_blue_green_switch_turns_every_request_over_and_fails_none() {
    let mut printed = Vec::new();
    switch::walk(&mut printed).unwrap();

    assert_eq!(
        String::from_utf8(printed).unwrap(),
        "in force   blue  green  failed
    blue    200      0       0
   green      0    200       0
    blue    200      0       0
the load beside it: 0 failed
"
    );
}

#[test]
fn a_rolling_update_of_all_replicas_under_load_fails_no_request() {
    let mut printed = Vec::new();
    update::walk(&mut printed).unwrap();

    assert_eq!(
        String::from_utf8(printed).unwrap(),
        "replaced 1 of 4
replaced 2 of 4
replaced 3 of 4
replaced 4 of 4
failed under way: 0
afterwards: 0 of v1, 200 of v2
"
    );
}
