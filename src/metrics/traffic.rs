//! The handles by which traffic is counted, with their labels resolved: one a route and pool, one a pool. What befalls
//! listeners is in `listener.rs`, what probes count is in `probe/counts.rs`.
//!
//! A snapshot is built with them, and requests and connections carry them, so that counting is a look at the
//! worker's own cell and a few additions: no look-up by name, no lock, no allocation once a code or reason has been
//! seen. What is counted where is said at each function; the guards that pair increments with decrements belong to
//! whoever holds the thing that is counted.

use std::collections::BTreeMap;
use std::sync::OnceLock;
use std::time::Duration;

use super::cells::{
    Bounds, Count, Distribution, Durations, PerWorker, RequestBounds, Tally, TunnelBounds, WorkerId,
};
use super::families::{self, Family};
use super::text::Sheet;

/// What a route counts of its requests to one pool.
#[derive(Debug)]
pub struct Traffic {
    route: Box<str>,
    pool: Box<str>,
    cells: PerWorker<TrafficCell>,
}

/// One worker's part: 408 octets for a route that only ever answers with four codes, and opens no tunnel.
#[derive(Debug, Default)]
struct TrafficCell {
    /// Requests given to the pool by the route's split.
    picked: Count,
    codes: Tally<u16, Count, 4>,
    to_head: Durations,
    to_end: Durations,
    local_replies: OnceLock<Box<Tally<(u16, &'static str), Count, 4>>>,
    tunnels: OnceLock<Box<TunnelCell>>,
    /// By the numbers of gRPC's statuses.
    calls: OnceLock<Box<[Count; CALL_STATUSES]>>,
}

/// The statuses of gRPC are the numbers below.
const CALL_STATUSES: usize = 17;

#[derive(Debug, Default)]
struct TunnelCell {
    opened: Count,
    lasted: Durations<TunnelBounds>,
    bytes_in: Count,
    bytes_out: Count,
}

impl Traffic {
    pub(crate) fn new(route: &str, pool: &str, workers: usize) -> Self {
        Self {
            route: route.into(),
            pool: pool.into(),
            cells: PerWorker::new(workers),
        }
    }

    /// The route's split gave a request to the pool.
    pub fn picked(&self, worker: WorkerId) {
        self.cells.of(worker).picked.add(1);
    }

    /// How many requests the route's split has given to the pool.
    #[must_use]
    pub fn picked_total(&self) -> u64 {
        self.cells.iter().map(|cell| cell.picked.value()).sum()
    }

    /// A request is over: its status (499 when the client left first), how long it took to the response's head and in
    /// all. `to_head` is `None` where no head was sent, and for a tunnel, whose `total` ends with the 101.
    pub fn answered(
        &self,
        worker: WorkerId,
        code: u16,
        to_head: Option<Duration>,
        total: Duration,
    ) {
        let cell = self.cells.of(worker);
        cell.codes.of(code).add(1);
        if let Some(to_head) = to_head {
            cell.to_head.observe(to_head);
        }
        cell.to_end.observe(total);
    }

    /// The proxy answered by itself. Counted beside [`Traffic::answered`], not in its place.
    pub fn local_reply(&self, worker: WorkerId, code: u16, reason: &'static str) {
        let replies = &self.cells.of(worker).local_replies;
        replies.get_or_init(Box::default).of((code, reason)).add(1);
    }

    /// A call of gRPC is over, with this status. Counted beside [`Traffic::answered`], not in its place.
    pub fn call_ended(&self, worker: WorkerId, status: u8) {
        let calls = self.cells.of(worker).calls.get_or_init(Box::default);
        if let Some(count) = calls.get(usize::from(status)) {
            count.add(1);
        }
    }

    /// A connection was upgraded. To be followed by one [`Traffic::tunnel_closed`], on whichever worker.
    pub fn tunnel_opened(&self, worker: WorkerId) {
        self.tunnels(worker).opened.add(1);
    }

    /// An upgraded connection has ended, after so long and so many octets from and to the client.
    pub fn tunnel_closed(&self, worker: WorkerId, lasted: Duration, bytes_in: u64, bytes_out: u64) {
        let cell = self.tunnels(worker);
        cell.lasted.observe(lasted);
        cell.bytes_in.add(bytes_in);
        cell.bytes_out.add(bytes_out);
    }

    fn tunnels(&self, worker: WorkerId) -> &TunnelCell {
        self.cells.of(worker).tunnels.get_or_init(Box::default)
    }

    /// A route that no worker has used yet has no series, as there may be very many of them.
    pub(crate) fn gather(&self, sheet: &mut Sheet) {
        if self.cells.iter().next().is_none() {
            return;
        }
        let labels = [&*self.route, &*self.pool];
        for (code, count) in sums(self.cells.iter().flat_map(|cell| cell.codes.iter())) {
            let labels = [&*self.route, &*self.pool, &code.to_string()];
            sheet.count(&families::REQUESTS, &labels, count);
        }
        let to_head = total(self.cells.iter().map(|cell| &cell.to_head));
        sheet.durations::<RequestBounds>(&families::RESPONSE_DURATION, &labels, &to_head);
        let to_end = total(self.cells.iter().map(|cell| &cell.to_end));
        sheet.durations::<RequestBounds>(&families::REQUEST_DURATION, &labels, &to_end);
        let replies = self
            .cells
            .iter()
            .filter_map(|cell| cell.local_replies.get())
            .flat_map(|replies| replies.iter());
        for ((code, reason), count) in sums(replies) {
            let labels = [&*self.route, &*self.pool, &code.to_string(), reason];
            sheet.count(&families::LOCAL_REPLIES, &labels, count);
        }
        let calls = self
            .cells
            .iter()
            .filter_map(|cell| cell.calls.get())
            .flat_map(|calls| calls.iter().enumerate());
        for (status, count) in sums(calls) {
            if count > 0 {
                let labels = [&*self.route, &*self.pool, &status.to_string()];
                sheet.count(&families::GRPC_RESPONSES, &labels, count);
            }
        }
        self.gather_tunnels(sheet);
    }

    fn gather_tunnels(&self, sheet: &mut Sheet) {
        let cells: Vec<&TunnelCell> = self
            .cells
            .iter()
            .filter_map(|cell| cell.tunnels.get().map(|made| &**made))
            .collect();
        if cells.is_empty() {
            return;
        }
        let labels = [&*self.route, &*self.pool];
        let lasted = total(cells.iter().map(|cell| &cell.lasted));
        let opened = cells.iter().map(|cell| cell.opened.value()).sum();
        sheet.level(&families::TUNNELS, &labels, opened, lasted.count());
        sheet.durations::<TunnelBounds>(&families::TUNNEL_DURATION, &labels, &lasted);
        for (direction, bytes) in [
            ("in", cells.iter().map(|cell| cell.bytes_in.value()).sum()),
            ("out", cells.iter().map(|cell| cell.bytes_out.value()).sum()),
        ] {
            let labels = [&*self.route, &*self.pool, direction];
            sheet.count(&families::TUNNEL_BYTES, &labels, bytes);
        }
    }
}

/// What a pool counts of its attempts and connections, whatever the route.
#[derive(Debug)]
pub struct PoolTraffic {
    pool: Box<str>,
    cells: PerWorker<PoolCell>,
}

#[derive(Debug, Default)]
struct PoolCell {
    attempts: Durations,
    /// Wraps below zero where one worker ends what another began; the sum is right.
    in_flight: Count,
    connected: Count,
    disconnected: Count,
    retries: OnceLock<Box<Tally<&'static str, Count, 4>>>,
    failures: OnceLock<Box<Tally<&'static str, Count, 4>>>,
}

impl PoolTraffic {
    pub(crate) fn new(pool: &str, workers: usize) -> Self {
        Self {
            pool: pool.into(),
            cells: PerWorker::new(workers),
        }
    }

    /// The head of a response came, so long after the request was sent.
    pub fn attempt_answered(&self, worker: WorkerId, took: Duration) {
        self.cells.of(worker).attempts.observe(took);
    }

    /// So many requests more are being served, or less: `1` and `-1`, from a guard.
    pub fn in_flight(&self, worker: WorkerId, change: i64) {
        let level = &self.cells.of(worker).in_flight;
        level.add(change.cast_unsigned());
    }

    /// Requests in flight, over all workers.
    #[must_use]
    pub fn in_flight_now(&self) -> u64 {
        let sum = self.sum(|cell| &cell.in_flight);
        // Cells are not read at one moment, so that a sum near zero may seem to be below it.
        if sum > u64::MAX / 2 { 0 } else { sum }
    }

    /// A further attempt is made, because the one before failed for this reason.
    pub fn retried(&self, worker: WorkerId, reason: &'static str) {
        let retries = &self.cells.of(worker).retries;
        retries.get_or_init(Box::default).of(reason).add(1);
    }

    /// An attempt failed, for this reason.
    pub fn failed(&self, worker: WorkerId, reason: &'static str) {
        let failures = &self.cells.of(worker).failures;
        failures.get_or_init(Box::default).of(reason).add(1);
    }

    /// A connection to an endpoint was made. To be followed by one [`PoolTraffic::disconnected`].
    pub fn connected(&self, worker: WorkerId) {
        self.cells.of(worker).connected.add(1);
    }

    /// A connection to an endpoint has ended.
    pub fn disconnected(&self, worker: WorkerId) {
        self.cells.of(worker).disconnected.add(1);
    }

    pub(crate) fn gather(&self, sheet: &mut Sheet) {
        let labels = [&*self.pool];
        let attempts = total(self.cells.iter().map(|cell| &cell.attempts));
        sheet.durations::<RequestBounds>(&families::UPSTREAM_DURATION, &labels, &attempts);
        let in_flight = self.sum(|cell| &cell.in_flight);
        sheet.level(&families::REQUESTS_IN_FLIGHT, &labels, in_flight, 0);
        let disconnected = self.sum(|cell| &cell.disconnected);
        let connected = self.sum(|cell| &cell.connected);
        sheet.level(
            &families::UPSTREAM_CONNECTIONS,
            &labels,
            connected,
            disconnected,
        );
        sheet.count(&families::UPSTREAM_CONNECTS, &labels, connected);
        let retries = self.cells.iter().filter_map(|cell| cell.retries.get());
        self.reasons(&families::RETRIES, retries, sheet);
        let failures = self.cells.iter().filter_map(|cell| cell.failures.get());
        self.reasons(&families::UPSTREAM_FAILURES, failures, sheet);
    }

    fn sum(&self, which: impl Fn(&PoolCell) -> &Count) -> u64 {
        self.cells
            .iter()
            .fold(0, |sum, cell| sum.wrapping_add(which(cell).value()))
    }

    fn reasons<'a>(
        &self,
        family: &Family,
        tallies: impl Iterator<Item = &'a Box<Tally<&'static str, Count, 4>>>,
        sheet: &mut Sheet,
    ) {
        for (reason, count) in sums(tallies.flat_map(|tally| tally.iter())) {
            sheet.count(family, &[&self.pool, reason], count);
        }
    }
}

fn total<'a, B: Bounds + 'a>(cells: impl Iterator<Item = &'a Durations<B>>) -> Distribution {
    let mut sum = Distribution::default();
    for cell in cells {
        cell.add_to(&mut sum);
    }
    sum
}

fn sums<'a, K: Ord>(counts: impl Iterator<Item = (K, &'a Count)>) -> BTreeMap<K, u64> {
    let mut sums = BTreeMap::new();
    for (key, count) in counts {
        *sums.entry(key).or_default() += count.value();
    }
    sums
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::listener::{ListenerCell, ListenerTraffic};

    const FIRST: WorkerId = WorkerId(0);
    const SECOND: WorkerId = WorkerId(1);

    #[test]
    fn a_cell_of_a_usual_route_is_small() {
        assert_eq!(size_of::<TrafficCell>(), 408);
        assert_eq!(size_of::<PoolCell>(), 192);
        assert_eq!(size_of::<ListenerCell>(), 64);
    }

    #[test]
    fn a_scrape_adds_up_the_workers() {
        let traffic = Traffic::new("shop", "v1", 2);
        let (head, end) = (Duration::from_millis(3), Duration::from_millis(300));
        for (worker, code) in [(FIRST, 200), (SECOND, 200), (SECOND, 404)] {
            traffic.answered(worker, code, Some(head), end);
        }
        traffic.answered(FIRST, 499, None, end);
        traffic.local_reply(SECOND, 404, "no_route");
        traffic.call_ended(FIRST, 0);
        traffic.call_ended(SECOND, 0);
        traffic.call_ended(SECOND, 16);
        let text = print(|sheet| traffic.gather(sheet));
        for line in [
            r#"fiel_requests_total{route="shop",pool="v1",code="200"} 2"#,
            r#"fiel_requests_total{route="shop",pool="v1",code="404"} 1"#,
            r#"fiel_requests_total{route="shop",pool="v1",code="499"} 1"#,
            r#"fiel_request_duration_seconds_count{route="shop",pool="v1"} 4"#,
            r#"fiel_request_duration_seconds_sum{route="shop",pool="v1"} 1.2"#,
            r#"fiel_response_duration_seconds_bucket{route="shop",pool="v1",le="0.0025"} 0"#,
            r#"fiel_response_duration_seconds_bucket{route="shop",pool="v1",le="0.005"} 3"#,
            r#"fiel_local_replies_total{route="shop",pool="v1",code="404",reason="no_route"} 1"#,
            r#"fiel_grpc_responses_total{route="shop",pool="v1",grpc_status="0"} 2"#,
            r#"fiel_grpc_responses_total{route="shop",pool="v1",grpc_status="16"} 1"#,
        ] {
            assert!(text.contains(line), "{line}\nis not in\n{text}");
        }
        assert!(!text.contains("fiel_tunnel"), "{text}");
    }

    #[test]
    fn a_tunnel_counts_when_it_opens_and_when_it_closes() {
        let traffic = Traffic::new("chat", "v1", 2);
        traffic.tunnel_opened(FIRST);
        traffic.tunnel_opened(FIRST);
        traffic.tunnel_closed(SECOND, Duration::from_secs(90), 10, 20);
        let text = print(|sheet| traffic.gather(sheet));
        for line in [
            r#"fiel_tunnels{route="chat",pool="v1"} 1"#,
            r#"fiel_tunnel_duration_seconds_bucket{route="chat",pool="v1",le="60"} 0"#,
            r#"fiel_tunnel_duration_seconds_bucket{route="chat",pool="v1",le="300"} 1"#,
            r#"fiel_tunnel_bytes_total{route="chat",pool="v1",direction="in"} 10"#,
            r#"fiel_tunnel_bytes_total{route="chat",pool="v1",direction="out"} 20"#,
        ] {
            assert!(text.contains(line), "{line}\nis not in\n{text}");
        }
    }

    #[test]
    fn a_pool_counts_attempts_failures_and_connections() {
        let pool = PoolTraffic::new("v1", 2);
        pool.in_flight(FIRST, 1);
        pool.in_flight(FIRST, 1);
        pool.in_flight(SECOND, -1);
        pool.connected(FIRST);
        pool.connected(SECOND);
        pool.disconnected(SECOND);
        pool.attempt_answered(FIRST, Duration::from_millis(1));
        pool.failed(FIRST, "reset");
        pool.failed(SECOND, "reset");
        pool.retried(FIRST, "reset");
        let text = print(|sheet| pool.gather(sheet));
        for line in [
            r#"fiel_requests_in_flight{pool="v1"} 1"#,
            r#"fiel_upstream_connections{pool="v1"} 1"#,
            r#"fiel_upstream_connects_total{pool="v1"} 2"#,
            r#"fiel_upstream_duration_seconds_count{pool="v1"} 1"#,
            r#"fiel_upstream_failures_total{pool="v1",reason="reset"} 2"#,
            r#"fiel_retries_total{pool="v1",reason="reset"} 1"#,
        ] {
            assert!(text.contains(line), "{line}\nis not in\n{text}");
        }
    }

    #[test]
    fn a_listener_counts_connections_and_octets() {
        let listener = ListenerTraffic::new("web", 2);
        listener.opened(FIRST);
        listener.opened(FIRST);
        listener.closed(SECOND);
        listener.bytes_in(FIRST, 100);
        listener.bytes_out(SECOND, 1_000);
        let text = print(|sheet| listener.gather(sheet));
        for line in [
            r#"fiel_connections{listener="web"} 1"#,
            r#"fiel_connections_total{listener="web"} 2"#,
            r#"fiel_bytes_total{listener="web",direction="in"} 100"#,
            r#"fiel_bytes_total{listener="web",direction="out"} 1000"#,
        ] {
            assert!(text.contains(line), "{line}\nis not in\n{text}");
        }
    }

    fn print(gather: impl FnOnce(&mut Sheet)) -> String {
        let mut sheet = Sheet::default();
        gather(&mut sheet);
        sheet.print()
    }
}
