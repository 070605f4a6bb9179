//! What becomes of a pool's places as its names change their addresses.

use super::*;
use proptest::prelude::*;

fn endpoint(address: &str, thousandths: u64) -> EndpointSpec {
    let address = match address.parse() {
        Ok(location) => Address::At(location),
        Err(_) => {
            let (host, port) = address.rsplit_once(':').unwrap();
            Address::Name {
                host: host.into(),
                port: port.parse().unwrap(),
            }
        }
    };
    EndpointSpec {
        address,
        weight: Weight::from_thousandths(thousandths),
        zone: None,
        backup: false,
    }
}

fn pool(endpoints: Vec<EndpointSpec>) -> model::Pool {
    model::Pool {
        name: "p".into(),
        version: None,
        deployment: None,
        balance: model::Balance::RoundRobin,
        endpoints,
        protocol: model::UpstreamProtocol::Http1,
        connect: model::Connect::default(),
        tls: None,
        proxy_protocol: None,
        startup_probe: None,
        readiness_probe: None,
        liveness_probe: None,
        when_none_ready: model::WhenNoneReady::Fail,
        drain_timeout: None,
    }
}

/// So many addresses of the network with this number.
fn addresses(network: usize, count: usize) -> Vec<IpAddr> {
    let address = |number: usize| {
        let bits = u32::try_from(network << 12 | number).unwrap();
        IpAddr::from((0x0a00_0000 | bits).to_be_bytes())
    };
    (1..=count).map(address).collect()
}

fn weights(roster: &Roster) -> Vec<(String, u64)> {
    let entries = roster.entries().iter();
    entries
        .map(|entry| (entry.address.to_string(), entry.weight))
        .collect()
}

#[test]
fn a_second_address_of_a_name_takes_nothing_from_another_name() {
    let pool = pool(vec![endpoint("v1:80", 10_000), endpoint("v2:80", 90_000)]);
    let (one, two) = (addresses(1, 2), addresses(2, 1));

    let roster = Roster::new(&pool, |host| if host == "v1" { &one } else { &two });

    let [a, b, c] = roster.entries() else {
        panic!("{roster:?}");
    };
    assert_eq!((a.weight, b.weight, c.weight), (10_000, 10_000, 180_000));
    assert_eq!(
        roster.weight(a),
        Written::Exact(Weight::from_thousandths(5_000))
    );
    assert_eq!(
        roster.weight(c),
        Written::Exact(Weight::from_thousandths(90_000))
    );
    assert_eq!(a.names, ["v1:80".into()]);
}

#[test]
fn addresses_alone_keep_their_weights_and_a_name_without_any_takes_no_part() {
    let pool = pool(vec![
        endpoint("10.0.0.1:80", 1_000),
        endpoint("gone:80", 7_000),
        endpoint("10.0.0.2:80", 3_500),
    ]);

    let roster = Roster::new(&pool, |_| &[]);

    let wanted = [
        ("10.0.0.1:80".to_owned(), 1_000),
        ("10.0.0.2:80".to_owned(), 3_500),
    ];
    assert_eq!(weights(&roster), wanted);
}

#[test]
fn a_name_and_an_address_that_lead_to_one_endpoint_are_one_with_both_weights() {
    let mut named = endpoint("shop:80", 1_000);
    named.zone = Some("a".into());
    let pool = pool(vec![endpoint("10.0.16.2:80", 2_000), named]);
    let answer = addresses(1, 2);
    assert_eq!(answer[1].to_string(), "10.0.16.2");

    let roster = Roster::new(&pool, |_| &answer);

    let wanted = [
        ("10.0.16.2:80".to_owned(), 5_000),
        ("10.0.16.1:80".to_owned(), 1_000),
    ];
    assert_eq!(weights(&roster), wanted);
    let both = &roster.entries()[0];
    assert_eq!(both.zone.as_deref(), Some("a"));
    assert_eq!(both.names, ["shop:80".into()]);
    assert_eq!(
        roster.weight(both),
        Written::Exact(Weight::from_thousandths(2_500))
    );
}

#[test]
fn a_backup_that_is_a_main_endpoint_too_is_a_main_endpoint() {
    for turned in [false, true] {
        let mut backup = endpoint("spare:80", 9_000);
        backup.backup = true;
        let mut endpoints = vec![backup, endpoint("10.0.16.1:80", 1_000)];
        if turned {
            endpoints.reverse();
        }
        let answer = addresses(1, 1);

        let roster = Roster::new(&pool(endpoints), |_| &answer);

        assert_eq!(weights(&roster), [("10.0.16.1:80".to_owned(), 1_000)]);
        assert!(!roster.entries()[0].backup);
    }
}

#[test]
fn a_third_is_written_as_the_nearest_number() {
    let answer = addresses(1, 3);
    let roster = Roster::new(&pool(vec![endpoint("shop:80", 1_000)]), |_| &answer);

    let Written::Near(weight) = roster.weight(&roster.entries()[0]) else {
        panic!("{roster:?}");
    };
    assert!((weight - 1.0 / 3.0).abs() < 1e-15, "{weight}");
}

#[test]
fn a_thousand_names_of_up_to_twenty_two_addresses_are_within_the_bound() {
    let endpoints = (0..1_000).map(|i| endpoint(&format!("n{i}:80"), 1_000));
    let pool = pool(endpoints.collect());
    let answers: Vec<Vec<IpAddr>> = (0..1_000).map(|i| addresses(i, i % 22 + 1)).collect();

    let roster = Roster::new(&pool, |host| &answers[host[1..].parse::<usize>().unwrap()]);

    assert_eq!(roster.scale, 232_792_560);
    let of_name = |i: usize| {
        let name: Arc<str> = format!("n{i}:80").into();
        let own = roster.entries().iter().filter(|one| one.names[0] == name);
        own.map(|one| one.weight).sum::<u64>()
    };
    for i in [0, 1, 6, 21, 999] {
        assert_eq!(of_name(i), 1_000 * roster.scale, "{i}");
    }
}

proptest! {
    /// Each name's addresses have equal parts, which add up to its whole weight, within the bound; beyond it they
    /// are off by less than is promised.
    #[test]
    fn a_weight_is_shared_exactly(
        parts in proptest::collection::vec(
            (prop_oneof![0..=5_000_u64, 0..=Weight::MAX.thousandths()], 1..=40_usize),
            1..12,
        ),
    ) {
        let endpoints = parts.iter().enumerate();
        let endpoints = endpoints.map(|(i, (weight, _))| endpoint(&format!("n{i}:80"), *weight));
        let pool = pool(endpoints.collect());
        let answers: Vec<_> = parts.iter().enumerate().map(|(i, (_, count))| addresses(i, *count)).collect();

        let roster = Roster::new(&pool, |host| &answers[host[1..].parse::<usize>().unwrap()]);

        let total: u128 = roster.entries().iter().map(|entry| u128::from(entry.weight)).sum();
        prop_assert!(total <= MOST);
        let counts = parts.iter().filter(|(weight, _)| *weight > 0).map(|(_, count)| *count as u128);
        let multiple = counts.fold(1, |multiple, count| multiple / gcd(multiple, count) * count);
        let sum: u128 = parts.iter().map(|(weight, _)| u128::from(*weight)).sum();
        let is_exact = multiple * sum <= MOST;
        let mut entries = roster.entries().iter();
        for (weight, count) in &parts {
            let own: Vec<u64> = entries.by_ref().take(*count).map(|entry| entry.weight).collect();
            prop_assert!(own.iter().all(|one| *one == own[0]), "{:?}", own);
            prop_assert_eq!(own[0] == 0, *weight == 0);
            let got: u128 = own.iter().map(|one| u128::from(*one)).sum();
            let wanted = u128::from(*weight) * u128::from(roster.scale);
            if is_exact {
                prop_assert_eq!(got, wanted);
            } else {
                prop_assert!(wanted.abs_diff(got) <= *count as u128);
            }
        }
    }

    #[test]
    fn entries_that_meet_have_the_sum_of_their_weights(
        weights in proptest::collection::vec(0..=9_000_u64, 1..6),
        counts in proptest::collection::vec(1..=6_usize, 6),
    ) {
        // All names have the first addresses of one network.
        let endpoints = weights.iter().enumerate();
        let endpoints = endpoints.map(|(i, weight)| endpoint(&format!("n{i}:80"), *weight));
        let pool = pool(endpoints.collect());
        let answers: Vec<_> = counts.iter().map(|count| addresses(1, *count)).collect();

        let roster = Roster::new(&pool, |host| &answers[host[1..].parse::<usize>().unwrap()]);

        let got: u128 = roster.entries().iter().map(|entry| u128::from(entry.weight)).sum();
        let wanted: u64 = weights.iter().sum();
        prop_assert_eq!(got, u128::from(wanted) * u128::from(roster.scale));
        let places: std::collections::BTreeSet<_> = roster.entries().iter().map(|one| &one.address).collect();
        prop_assert_eq!(places.len(), roster.entries().len());
    }
}
