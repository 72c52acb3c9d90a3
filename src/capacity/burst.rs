//! How many requests may come at one moment, on new connections or on held ones, before a server closes idle
//! connections or leaves new ones waiting.
//!
//! # What a burst does to event
//! Connections fall unevenly on the processes: of 4,000 on 16 processes one held 483 and another 26. A process takes
//! connections up to `ThreadsPerChild × (1 + AsyncRequestWorkerFactor)`, and one whose workers are all busy closes its
//! idle connections. So the worst split over the processes decides:
//!
//! - on held connections, a process that holds c of N must have workers for its share of the burst, and as chance
//!   gives one process more than another, for two standard deviations more: `T ≥ c×B/N + 2×√(c×B/N)`. c is what the
//!   process takes at most. Where that is more than twice its even share, twice the even share counts: no process was
//!   seen to hold more, whatever it would have taken;
//! - on new connections, all processes together take `W - N / (1 + F) - P` while they hold N: each new one takes a
//!   worker, and with it room for F others, and each process that stopped listening opens again one F lower.
//!
//! Under worker and prefork every connection has its worker: a burst on held ones costs nothing, and one of new
//! connections finds the workers that hold none.

use crate::httpd::Mpm;

/// The share of connections that one process may hold, as a multiple of the even share.
const UNEVEN: u64 = 2;

/// Counting in hundredths keeps the roots whole numbers.
const HUNDREDTHS: u64 = 100;

/// Processes that run, the workers in each, and the factor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Shape {
    pub(super) processes: u64,
    pub(super) threads: u64,
    /// `AsyncRequestWorkerFactor`; 0 except under event.
    pub(super) factor: u64,
}

impl Shape {
    const fn workers(self) -> u64 {
        self.processes.saturating_mul(self.threads)
    }

    /// Returns the most connections that one process takes.
    const fn most_each(self) -> u64 {
        self.threads.saturating_mul(self.factor.saturating_add(1))
    }

    /// Returns how many requests at one moment are answered while `held` connections are open and lie on the processes
    /// as unevenly as they may: no idle connection is closed for them, and no new one waits.
    pub(super) fn survives(self, mpm: Mpm, held: u64) -> u64 {
        if mpm == Mpm::Event {
            self.on_new(held).min(self.on_held(held))
        } else {
            self.workers().saturating_sub(held)
        }
    }

    /// Returns how many new connections event takes at once beside those held.
    pub(super) const fn on_new(self, held: u64) -> u64 {
        let for_held = held.div_ceil(self.factor.saturating_add(1));
        self.workers().saturating_sub(self.processes).saturating_sub(for_held)
    }

    /// Returns how many of the held connections may ask at once under event.
    pub(super) fn on_held(self, held: u64) -> u64 {
        let most = self.most_each().min(held);
        if most <= self.threads {
            return u64::MAX;
        }
        if self.processes == 1 {
            return self.threads;
        }
        let share = largest_share(self.threads);
        let by_ceiling = u128::from(held) * u128::from(share) / (u128::from(most) * u128::from(HUNDREDTHS));
        let by_even = self.processes.saturating_mul(share) / (UNEVEN * HUNDREDTHS);
        // As many as one process has workers can always all be its.
        let most = u64::try_from(by_ceiling).unwrap_or(u64::MAX).max(by_even).max(self.threads);
        // Held ones cannot ask more than all of them at once.
        if most >= held { u64::MAX } else { most }
    }
}

/// Returns the largest mean share of a burst with which a process of so many workers has one for each request, two
/// standard deviations above the mean; in hundredths of a request.
///
/// x + 2√x ≤ T holds up to x = T + 2 - 2√(T + 1).
fn largest_share(threads: u64) -> u64 {
    let threads = threads.min(1 << 20);
    let root = (4 * HUNDREDTHS * HUNDREDTHS * (threads + 1)).isqrt() + 1;
    (HUNDREDTHS * (threads + 2)).saturating_sub(root)
}

/// Returns the highest factor with which a process that holds all it takes has a worker for each request of its share
/// of a burst; 0 where none has.
pub(super) fn highest_factor(threads: u64, held: u64, burst: u64) -> u64 {
    if held <= threads {
        return u64::MAX;
    }
    let share = u128::from(largest_share(threads)) * u128::from(held);
    let of_one = u128::from(threads) * u128::from(burst) * u128::from(HUNDREDTHS);
    let factor = share.checked_div(of_one).map_or(u64::MAX, |most| u64::try_from(most).unwrap_or(u64::MAX));
    factor.saturating_sub(1)
}

/// Returns the fewest processes of so many workers that have a worker for each request of a burst on held connections
/// while one of them holds twice its even share.
pub(super) fn fewest_processes(threads: u64, burst: u64) -> u64 {
    if burst <= threads {
        return 1;
    }
    burst.saturating_mul(UNEVEN * HUNDREDTHS).div_ceil(largest_share(threads).max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_share_is_the_largest_whose_deviation_still_has_workers() {
        for threads in 1..=400_u32 {
            let share = f64::from(u32::try_from(largest_share(u64::from(threads))).unwrap_or(0)) / 100.0;
            let needs = |share: f64| share + 2.0 * share.sqrt();
            assert!(needs(share) <= f64::from(threads), "{threads}: {share}");
            assert!(needs(share + 0.03) > f64::from(threads), "{threads}: {share}");
        }
    }

    #[test]
    fn what_was_seen_is_predicted() {
        // Of 4,000 idle connections: the first two lost some to a burst of 1,000, the third none.
        for (processes, threads, factor, at_least, below) in
            [(4, 74, 89, 100, 150), (16, 64, 8, 340, 500), (38, 64, 2, 1000, 1100), (8, 64, 16, 180, 500)]
        {
            let survives = Shape { processes, threads, factor }.survives(Mpm::Event, 4000);
            assert!((at_least..below).contains(&survives), "{processes} x {threads}, {factor}: {survives}");
        }
        // 4,096 connections are the ceiling: there is no room for new ones.
        assert_eq!(Shape { processes: 16, threads: 64, factor: 3 }.on_new(4000), 8);
        assert_eq!(Shape { processes: 161, threads: 25, factor: 0 }.survives(Mpm::Worker, 4025), 0);
    }

    #[test]
    fn every_way_to_say_it_says_the_same() {
        for threads in [2, 16, 25, 48, 64, 100, 200] {
            for held in [10, 1000, 4025, 10_000] {
                for burst in [1, 50, 250, 1000, 2500] {
                    let factor = highest_factor(threads, held, burst);
                    if (1..1000).contains(&factor) {
                        let shape = Shape { processes: 1000, threads, factor };
                        assert!(shape.on_held(held) >= burst, "{factor} x {threads}, {held}, {burst}");
                    }
                    let processes = fewest_processes(threads, burst);
                    let shape = Shape { processes, threads, factor: 1000 };
                    assert!(shape.on_held(held) >= burst, "{processes} x {threads}, {held}, {burst}");
                }
            }
        }
    }
}
