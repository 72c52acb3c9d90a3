//! What the requests of a log add up to, in memory that does not grow with them.

use std::collections::hash_map::Entry;

use rustc_hash::FxHashMap;

use super::format::{Request, SECOND};

/// Seconds that a request may be behind the newest one, or one ahead of the others, before it is doubted.
const BACK: u64 = 4096;

/// The longest `KeepAliveTimeout` that is counted with, in seconds.
pub const LONGEST_KEEP: u64 = 2000;

/// Seconds that are open at once: those of [`BACK`], and those in which connections of the last ones end.
const RING: u64 = 8192;

/// Connections that one browser opens to one server over HTTP/1.1.
const BROWSER: usize = 6;

/// Requests that take longer are slow, in microseconds.
const SLOW: u64 = SECOND;

/// Parts of a second in which a request may have begun, where the log tells the second only: it counts in each in part.
const PARTS: u64 = 4;

/// How much longer than its connection a client is remembered, in seconds: a request is told when it has ended, and may
/// have begun while the connection was open.
const LATE: u64 = 64;

/// The most points of a plot.
pub(super) const MOST_POINTS: usize = 1024;

/// One second.
#[derive(Debug, Clone, Copy, Default)]
struct Second {
    requests: u64,
    bytes: u64,
    /// Microseconds in which requests were under way that began or ended in it.
    busy: u64,
    /// What changes with it.
    change: State,
}

/// What goes on from second to second.
#[derive(Debug, Clone, Copy, Default)]
struct State {
    /// Requests under way all the second, in parts of [`PARTS`].
    under_way: i64,
    /// Clients.
    clients: i64,
    /// Connections of browsers.
    browsers: i64,
    /// Requests whose connection may still be open.
    kept: i64,
}

/// A client that may still have a connection.
struct Client {
    /// Its time without a break: the first second of it, and the last one in which it was served.
    since: u64,
    last: u64,
    /// The last second of the time before that.
    before: u64,
    /// The last second in which each of its connections served.
    connections: [u64; BROWSER],
    count: usize,
}

/// The greatest of something, and when it was.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Peak {
    /// How much.
    pub value: u64,
    /// When, in seconds since the epoch.
    pub at: u64,
}

impl Peak {
    fn see(&mut self, value: u64, at: u64) {
        if value > self.value {
            *self = Self { value, at };
        }
    }
}

/// An hour of the clock.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Hour {
    /// When it began, in seconds since the epoch.
    pub at: u64,
    /// Requests that began in it.
    pub requests: u64,
    /// Microseconds of all requests.
    pub busy: u64,
    /// Bytes sent.
    pub bytes: u64,
}

/// What a plot shows of a stretch of time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Point {
    /// When it begins, in seconds since the epoch.
    pub at: u64,
    /// The most requests in one of its seconds.
    pub requests: u64,
    /// The most connections in one of its seconds: one for each client, and up to six.
    pub connections: (u64, u64),
}

impl Point {
    fn take(&mut self, other: &Self) {
        self.requests = self.requests.max(other.requests);
        self.connections.0 = self.connections.0.max(other.connections.0);
        self.connections.1 = self.connections.1.max(other.connections.1);
    }
}

/// All sums of a log.
pub struct Tally {
    keep: u64,
    ring: Vec<Second>,
    /// The first second that is open, and the newest one; 0 where none is.
    from: u64,
    front: u64,
    now: State,
    clients: FxHashMap<u64, Client>,
    /// When clients that left were last forgotten.
    swept: u64,
    /// A request far from the others: with a second one like it the log goes on there.
    doubted: Option<Request>,
    /// Requests.
    pub requests: u64,
    /// The first second and the last one.
    pub first: u64,
    /// The last second in which a request was under way.
    pub last: u64,
    /// Requests in a second.
    pub peak_second: Peak,
    hour: Hour,
    /// The hour with the most requests.
    pub busiest_hour: Hour,
    /// Requests under way on average in a second, in thousandths.
    pub peak_busy: Peak,
    /// The same in a minute of the clock.
    pub peak_busy_minute: Peak,
    minute: (u64, u64),
    /// Bytes in a second.
    pub peak_bytes: Peak,
    /// Bytes.
    pub bytes: u64,
    /// Clients that may have had a connection open at one moment.
    pub peak_clients: Peak,
    /// Connections that these may have had open over HTTP/1.1.
    pub peak_browsers: Peak,
    /// Requests whose connection may have been open at one moment, each with its own.
    pub peak_kept: Peak,
    /// Requests that took longer than a second.
    pub slow: u64,
    /// Requests whose duration is known.
    pub timed: u64,
    /// Requests of robots.
    pub robots: u64,
    /// Requests far from their neighbours' time: in the sums only.
    pub misplaced: u64,
    /// What a plot shows.
    pub points: Vec<Point>,
    /// Seconds that one point stands for.
    width: u64,
}

fn slot(at: u64) -> usize {
    // Always below RING.
    usize::try_from(at % RING).unwrap_or(0)
}

fn whole(value: i64) -> u64 {
    u64::try_from(value).unwrap_or(0)
}

/// Returns the second in which a request ended, as far as the log tells.
pub(super) fn ended(request: &Request) -> u64 {
    let took = request.took.unwrap_or(0);
    // Of a second nobody knows which part: its middle.
    let part = if request.exact { 0 } else { SECOND / 2 };
    request.began.saturating_add(part).saturating_add(took) / SECOND
}

impl Tally {
    /// Returns an empty one; a connection is held for `keep` seconds after its last answer, at most [`LONGEST_KEEP`].
    pub fn new(keep: u64) -> Self {
        Self {
            keep: keep.min(LONGEST_KEEP),
            ring: vec![Second::default(); slot(RING - 1) + 1],
            from: 0,
            front: 0,
            now: State::default(),
            clients: FxHashMap::default(),
            swept: 0,
            doubted: None,
            requests: 0,
            first: u64::MAX,
            last: 0,
            peak_second: Peak::default(),
            hour: Hour::default(),
            busiest_hour: Hour::default(),
            peak_busy: Peak::default(),
            peak_busy_minute: Peak::default(),
            minute: (0, 0),
            peak_bytes: Peak::default(),
            bytes: 0,
            peak_clients: Peak::default(),
            peak_browsers: Peak::default(),
            peak_kept: Peak::default(),
            slow: 0,
            timed: 0,
            robots: 0,
            misplaced: 0,
            points: Vec::new(),
            width: 60,
        }
    }

    /// Counts a request. They come in the order in which they ended, roughly.
    pub fn add(&mut self, request: Request) {
        self.requests += 1;
        self.bytes = self.bytes.saturating_add(request.bytes);
        self.robots += u64::from(request.robot);
        if let Some(took) = request.took {
            self.timed += 1;
            self.slow += u64::from(took > SLOW);
        }
        let at = ended(&request);
        if self.front > 0 && self.is_far(at) {
            self.doubt(request, at);
            return;
        }
        if self.doubted.take().is_some() {
            self.misplaced += 1;
        }
        self.place(&request, at);
    }

    /// Ends the log.
    pub fn end(&mut self) {
        if let Some(request) = self.doubted.take() {
            let at = ended(&request);
            if at > self.front {
                self.restart();
                self.place(&request, at);
            } else {
                self.misplaced += 1;
            }
        }
        self.restart();
    }

    fn is_far(&self, at: u64) -> bool {
        at < self.from || at > self.front + BACK
    }

    /// Waits for a second request before the log goes on somewhere else: a line with a wrong date is alone, while a quiet
    /// time or a clock that was set is not.
    fn doubt(&mut self, request: Request, at: u64) {
        let Some(earlier) = self.doubted.replace(request) else { return };
        let then = ended(&earlier);
        let goes_on = at.abs_diff(then) <= BACK || (then > self.front && at >= then);
        if !goes_on {
            self.misplaced += 1;
            return;
        }
        self.restart();
        self.place(&earlier, then);
        if !self.is_far(at) {
            self.doubted = None;
            self.place(&request, at);
        }
    }

    fn place(&mut self, request: &Request, at: u64) {
        self.advance(at);
        let began = (request.began / SECOND).clamp(self.from, at.max(self.from));
        self.first = self.first.min(began);
        self.last = self.last.max(at);
        self.ring[slot(began)].requests += 1;
        let second = &mut self.ring[slot(at)];
        second.bytes = second.bytes.saturating_add(request.bytes);
        if let Some(took) = request.took {
            self.under_way(request, took);
        }
        self.connection(request.client, began, at);
    }

    /// Adds the time of a request to the seconds in which it was under way.
    fn under_way(&mut self, request: &Request, took: u64) {
        let part = SECOND / PARTS;
        if request.exact || took <= part / 2 {
            self.spread(request.began, took, PARTS);
        } else {
            for at in 0..PARTS {
                self.spread(request.began + at * part + part / 2, took, 1);
            }
        }
    }

    fn spread(&mut self, began: u64, took: u64, parts: u64) {
        let began_at = began.max(self.from * SECOND);
        let end = began.saturating_add(took).max(began_at);
        let (first, last) = (began_at / SECOND, end / SECOND);
        if last >= self.from + RING {
            return;
        }
        if first == last {
            self.ring[slot(first)].busy += (end - began_at) * parts / PARTS;
            return;
        }
        self.ring[slot(first)].busy += (SECOND - began_at % SECOND) * parts / PARTS;
        self.ring[slot(last)].busy += end % SECOND * parts / PARTS;
        let parts = i64::try_from(parts).unwrap_or(1);
        self.ring[slot(first + 1)].change.under_way += parts;
        self.ring[slot(last)].change.under_way -= parts;
    }

    /// Counts a client's connection, which may be open from the request's begin until `keep` seconds after its end.
    fn connection(&mut self, name: u64, began: u64, ended: u64) {
        let (keep, ring) = (self.keep, &mut self.ring);
        let until = ended + keep + 1;
        let mut count = |from: u64, until: u64, of: fn(&mut State) -> &mut i64| {
            if from < until {
                *of(&mut ring[slot(from)].change) += 1;
                *of(&mut ring[slot(until)].change) -= 1;
            }
        };
        count(began, until, |state| &mut state.kept);
        let client = match self.clients.entry(name) {
            Entry::Vacant(vacant) => {
                count(began, until, |state| &mut state.clients);
                count(began, until, |state| &mut state.browsers);
                let mut connections = [0; BROWSER];
                connections[0] = ended;
                vacant.insert(Client { since: began, last: ended, before: 0, connections, count: 1 });
                return;
            }
            Entry::Occupied(known) => known.into_mut(),
        };
        // One connection for all.
        if began > client.last + keep + 1 {
            client.before = client.last + keep;
            count(began, until, |state| &mut state.clients);
            client.since = began;
            client.last = ended;
        } else {
            if began < client.since {
                count(began.max(client.before + 1), client.since, |state| &mut state.clients);
                client.since = began;
            }
            if ended > client.last {
                count(client.last + keep + 1, until, |state| &mut state.clients);
                client.last = ended;
            }
        }
        // The connection that was idle for the shortest time, or a new one, or the first that is free again.
        let served = client.connections.get_mut(..client.count).unwrap_or_default();
        if let Some(idle) = served.iter_mut().filter(|last| **last < began).max() {
            count(began.max(*idle + keep + 1).min(until), until, |state| &mut state.browsers);
            *idle = (*idle).max(ended);
        } else if client.count < BROWSER {
            count(began, until, |state| &mut state.browsers);
            if let Some(new) = client.connections.get_mut(client.count) {
                *new = ended;
                client.count += 1;
            }
        } else if let Some(first) = served.iter_mut().min()
            && ended > *first
        {
            count(*first + keep + 1, until, |state| &mut state.browsers);
            *first = ended;
        }
    }

    /// Opens the seconds up to `to`, and closes those that are too far behind.
    fn advance(&mut self, to: u64) {
        if self.front == 0 {
            self.from = to.saturating_sub(BACK);
            self.front = to;
            self.swept = to;
        }
        if to <= self.front {
            return;
        }
        self.front = to;
        while self.from + BACK < to {
            self.close(self.from);
            self.from += 1;
        }
        if to > self.swept + self.keep {
            self.swept = to;
            let keep = self.keep;
            self.clients.retain(|_, client| client.last + keep + LATE >= to);
        }
    }

    fn close(&mut self, at: u64) {
        let second = std::mem::take(&mut self.ring[slot(at)]);
        self.now.under_way += second.change.under_way;
        self.now.clients += second.change.clients;
        self.now.browsers += second.change.browsers;
        self.now.kept += second.change.kept;
        let busy = second.busy + whole(self.now.under_way) * (SECOND / PARTS);
        let (clients, browsers) = (whole(self.now.clients), whole(self.now.browsers));
        if second.requests == 0 && busy == 0 && second.bytes == 0 && browsers == 0 {
            return;
        }
        self.peak_second.see(second.requests, at);
        self.peak_busy.see(busy / 1000, at);
        self.peak_bytes.see(second.bytes, at);
        self.peak_clients.see(clients, at);
        self.peak_browsers.see(browsers, at);
        self.peak_kept.see(whole(self.now.kept), at);
        if self.minute.0 != at / 60 {
            self.end_minute();
            self.minute = (at / 60, 0);
        }
        self.minute.1 += busy;
        if self.hour.at != at / 3600 * 3600 {
            self.end_hour();
            self.hour = Hour { at: at / 3600 * 3600, ..Hour::default() };
        }
        self.hour.requests += second.requests;
        self.hour.busy += busy;
        self.hour.bytes += second.bytes;
        let point = Point {
            at: at / self.width * self.width,
            requests: second.requests,
            connections: (clients, browsers),
        };
        match self.points.last_mut() {
            Some(last) if last.at == point.at => last.take(&point),
            _ => self.points.push(point),
        }
        if self.points.len() > MOST_POINTS {
            self.thin_out();
        }
    }

    fn end_minute(&mut self) {
        self.peak_busy_minute.see(self.minute.1 / 60_000, self.minute.0 * 60);
    }

    fn end_hour(&mut self) {
        if self.hour.requests > self.busiest_hour.requests {
            self.busiest_hour = self.hour;
        }
    }

    /// Puts points together until at most half as many are left.
    fn thin_out(&mut self) {
        while self.points.len() > MOST_POINTS / 2 {
            self.width = self.width.saturating_mul(2);
            let mut thin: Vec<Point> = Vec::with_capacity(self.points.len());
            self.points.sort_by_key(|point| point.at);
            for point in &self.points {
                let point = Point { at: point.at / self.width * self.width, ..*point };
                match thin.last_mut() {
                    Some(last) if last.at == point.at => last.take(&point),
                    _ => thin.push(point),
                }
            }
            self.points = thin;
        }
    }

    /// Closes every second: at the end, and before the log goes on somewhere else.
    fn restart(&mut self) {
        if self.front > 0 {
            for at in self.from..self.from + RING {
                self.close(at);
            }
        }
        self.end_minute();
        self.end_hour();
        self.minute = (0, 0);
        self.hour = Hour::default();
        self.now = State::default();
        self.clients.clear();
        self.front = 0;
        self.from = 0;
        self.points.sort_by_key(|point| point.at);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(client: u64, began: u64, took: Option<u64>) -> Request {
        Request { client, began: began * SECOND, took, bytes: 100, ..Request::default() }
    }

    fn of(requests: impl IntoIterator<Item = Request>) -> Tally {
        let mut tally = Tally::new(5);
        requests.into_iter().for_each(|request| tally.add(request));
        tally.end();
        tally
    }

    #[test]
    fn requests_under_way_are_their_time_in_each_second() {
        // Ten clients, each always with one request of 3 s under way.
        let tally = of((0..100).flat_map(|round| {
            (0..10).map(move |client| request(client, 1_000_000 + round * 3, Some(3_000_000)))
        }));
        assert_eq!((tally.peak_busy.value, tally.peak_busy_minute.value), (10_000, 10_000));
        assert_eq!(
            (tally.peak_clients.value, tally.requests, tally.slow, tally.bytes),
            (10, 1000, 1000, 100_000)
        );
        assert_eq!(tally.busiest_hour.requests, 1000);
        // A request of an hour counts in each of its seconds, and a moment within the second is exact.
        let tally = of([request(1, 1_000_000, Some(3_600_000_000))]);
        assert_eq!((tally.peak_busy.value, tally.misplaced), (1000, 0));
        let half = Request { exact: true, began: 1_000_000_500_000, ..request(1, 0, Some(1_000_000)) };
        assert_eq!(of([half]).peak_busy.value, 500);
    }

    #[test]
    fn a_connection_counts_as_long_as_it_may_be_kept() {
        let tally = of((0..1000).map(|second| request(second, 1_000_000 + second, None)));
        // One new client a second, each seen for its second and the five after it.
        assert_eq!((tally.peak_clients.value, tally.peak_second.value), (6, 1));
        assert_eq!((tally.peak_browsers.value, tally.peak_kept.value), (6, 6));
        // Eight requests of one client in one second are six connections of a browser, and eight at most.
        let tally = of((0..9).map(|n| request(1, if n < 8 { 2_000_000 } else { 2_900_000 }, None)));
        let tally = if tally.misplaced == 0 { tally } else { panic!("a gap is no wrong date") };
        assert_eq!((tally.peak_clients.value, tally.peak_browsers.value, tally.peak_kept.value), (1, 6, 8));
        assert_eq!((tally.first, tally.last), (2_000_000, 2_900_000));
        // A connection that serves one request after another stays one.
        let tally = of((0..100).map(|second| request(1, 1_000_000 + second * 3, None)));
        assert_eq!((tally.peak_clients.value, tally.peak_browsers.value), (1, 1));
    }

    #[test]
    fn a_wrong_date_does_not_hide_what_follows() {
        for wrong in [1, 900_000, 1_009_000, 250_000_000_000] {
            let mut requests: Vec<Request> =
                (0..2000).map(|n| request(n % 7, 1_000_000 + n / 10, Some(1000))).collect();
            requests.insert(1000, request(1, wrong, None));
            let tally = of(requests);
            assert_eq!((tally.misplaced, tally.requests, tally.peak_second.value), (1, 2001, 10), "{wrong}");
            assert_eq!((tally.first, tally.last), (1_000_000, 1_000_199), "{wrong}");
        }
        // A clock that was set back is followed.
        let back = (0..20).map(|n| request(1, 1_000_000 - if n < 10 { 0 } else { 50_000 } + n, None));
        assert_eq!(of(back).misplaced, 0);
    }

    #[test]
    fn the_plot_of_a_year_has_no_more_points_than_that_of_a_day() {
        let tally = of((0..2920).map(|part| request(part % 7, 1_000_000_000 + part * 3 * 3600, None)));
        assert!(tally.points.len() <= MOST_POINTS && tally.points.len() > 100, "{}", tally.points.len());
        assert_eq!(tally.misplaced, 0);
    }
}
