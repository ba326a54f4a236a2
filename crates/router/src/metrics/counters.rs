//! The counters, each in as many shares as there are threads that count.

use crate::access_log::ErrorCode;
use std::cell::Cell;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

/// Upper bounds of the histogram of service times, in microseconds; one more has all above.
pub(super) const BOUNDS: [u64; 13] = [
    1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000,
    10_000_000, 30_000_000,
];
/// `1xx` to `5xx`; the first has what is none of them.
pub(super) const CLASSES: [&str; 6] = ["other", "1xx", "2xx", "3xx", "4xx", "5xx"];
/// Threads beyond this many share their counters with others.
const SHARES: usize = 4;

/// One request that has ended.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sample {
    pub status: u16,
    /// Of the answer's body.
    pub bytes: u64,
    /// From when the request was sent to its target.
    pub service: Option<Duration>,
}

/// Requests of one class of status.
#[derive(Default)]
struct Share {
    requests: AtomicU64,
    bytes: AtomicU64,
    micros: AtomicU64,
    times: [AtomicU64; BOUNDS.len() + 1],
}

/// What the shares come to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Sums {
    pub requests: u64,
    pub bytes: u64,
    pub micros: u64,
    /// Not cumulative.
    pub times: [u64; BOUNDS.len() + 1],
}

impl Share {
    fn add(&self, sample: &Sample) {
        let relaxed = Ordering::Relaxed;
        self.requests.fetch_add(1, relaxed);
        self.bytes.fetch_add(sample.bytes, relaxed);
        let Some(service) = sample.service else { return };
        let micros = u64::try_from(service.as_micros()).unwrap_or(u64::MAX);
        self.micros.fetch_add(micros, relaxed);
        self.times[BOUNDS.partition_point(|bound| *bound < micros)].fetch_add(1, relaxed);
    }

    fn add_to(&self, sums: &mut Sums) {
        let relaxed = Ordering::Relaxed;
        sums.requests += self.requests.load(relaxed);
        sums.bytes += self.bytes.load(relaxed);
        sums.micros += self.micros.load(relaxed);
        for (sum, count) in sums.times.iter_mut().zip(&self.times) {
            *sum += count.load(relaxed);
        }
    }
}

/// The requests that a target answered, or those of an app that none did.
#[derive(Default)]
pub(crate) struct TargetMetrics {
    classes: [OnceLock<Box<[Share; SHARES]>>; CLASSES.len()],
}

impl TargetMetrics {
    fn add(&self, sample: &Sample) {
        let class = match sample.status / 100 {
            class @ 1..=5 => usize::from(class),
            _ => 0,
        };
        self.classes[class].get_or_init(Box::default)[share()].add(sample);
    }

    /// Returns the sums of each class that has any.
    pub(super) fn sums(&self) -> Vec<(&'static str, Sums)> {
        let of_class = |(name, shares): (&'static str, &OnceLock<Box<[Share; SHARES]>>)| {
            let mut sums = Sums::default();
            shares.get()?.iter().for_each(|share| share.add_to(&mut sums));
            Some((name, sums))
        };
        CLASSES.into_iter().zip(&self.classes).filter_map(of_class).collect()
    }
}

/// The metrics of one app.
#[derive(Default)]
pub(crate) struct AppMetrics {
    /// By the target's name, which the next instance in its place has too.
    targets: Mutex<Vec<(Arc<str>, Arc<TargetMetrics>)>>,
    /// Requests that no target answered.
    unserved: TargetMetrics,
    /// By code; seldom, so in one share.
    errors: Mutex<BTreeMap<&'static str, u64>>,
}

impl AppMetrics {
    /// Counts a request of the app that has ended.
    pub fn record(
        &self,
        target: Option<&TargetMetrics>,
        error: Option<ErrorCode>,
        sample: &Sample,
    ) {
        target.unwrap_or(&self.unserved).add(sample);
        if let Some(error) = error {
            let mut errors = self.errors.lock().unwrap_or_else(PoisonError::into_inner);
            *errors.entry(error.code().0).or_insert(0) += 1;
        }
    }

    /// Returns the counters of the target of this name.
    pub fn target(&self, name: &str) -> Arc<TargetMetrics> {
        let mut targets = self.targets.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, found)) = targets.iter().find(|(known, _)| **known == *name) {
            return Arc::clone(found);
        }
        let made = Arc::<TargetMetrics>::default();
        targets.push((name.into(), Arc::clone(&made)));
        made
    }

    /// Forgets targets whose name the app has no more.
    pub fn retain(&self, has: impl Fn(&str) -> bool) {
        let mut targets = self.targets.lock().unwrap_or_else(PoisonError::into_inner);
        targets.retain(|(name, _)| has(name));
    }

    /// Returns the sums by target and class; the first have an empty name and no target.
    pub(super) fn sums(&self) -> Vec<(Arc<str>, &'static str, Sums)> {
        let targets = self.targets.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let nobody: Arc<str> = "".into();
        let of = |name: &Arc<str>, metrics: &TargetMetrics| {
            let name = Arc::clone(name);
            metrics.sums().into_iter().map(move |(class, sums)| (Arc::clone(&name), class, sums))
        };
        let unserved = of(&nobody, &self.unserved);
        unserved.chain(targets.iter().flat_map(|(name, metrics)| of(name, metrics))).collect()
    }

    pub(super) fn errors(&self) -> BTreeMap<&'static str, u64> {
        self.errors.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Returns the share of the calling thread.
fn share() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static SHARE: Cell<Option<usize>> = const { Cell::new(None) };
    }
    SHARE.with(|share| {
        share.get().unwrap_or_else(|| {
            let mine = NEXT.fetch_add(1, Ordering::Relaxed) % SHARES;
            share.set(Some(mine));
            mine
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(status: u16, micros: Option<u64>) -> Sample {
        Sample { status, bytes: 10, service: micros.map(Duration::from_micros) }
    }

    #[test]
    fn requests_of_all_threads_are_counted_once() {
        let app = Arc::new(AppMetrics::default());
        let target = app.target("web.1");
        let threads: Vec<_> = (0..8)
            .map(|_| {
                let (app, target) = (Arc::clone(&app), Arc::clone(&target));
                std::thread::spawn(move || {
                    for _ in 0..1_000 {
                        app.record(Some(&target), None, &sample(200, Some(3_000)));
                    }
                })
            })
            .collect();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        let sums = app.sums();
        let [(name, class, sums)] = sums.as_slice() else { panic!("{sums:?}") };
        assert_eq!((&**name, *class), ("web.1", "2xx"));
        assert_eq!((sums.requests, sums.bytes, sums.micros), (8_000, 80_000, 24_000_000));
        assert_eq!(sums.times[2], 8_000, "above 2.5 ms and at most 5 ms");
    }

    #[test]
    fn bounds_are_inclusive_and_the_last_has_no_end() {
        let target = TargetMetrics::default();
        for micros in [0, 1_000, 1_001, 30_000_000, 30_000_001] {
            target.add(&sample(404, Some(micros)));
        }
        target.add(&sample(404, None));
        let sums = target.sums().remove(0).1;
        assert_eq!((sums.times[0], sums.times[1]), (2, 1));
        assert_eq!((sums.times[12], sums.times[13], sums.requests), (1, 1, 6));
    }

    #[test]
    fn a_target_of_the_same_name_goes_on_and_one_that_is_gone_is_forgotten() {
        let app = AppMetrics::default();
        app.record(Some(&app.target("web.1")), None, &sample(200, None));
        app.record(Some(&app.target("web.2")), None, &sample(200, None));
        app.record(Some(&app.target("web.1")), None, &sample(500, None));
        app.record(None, Some(ErrorCode::AppCrashed), &sample(503, None));
        app.retain(|name| name == "web.1");
        let names: Vec<_> =
            app.sums().iter().map(|(name, class, _)| format!("{name} {class}")).collect();
        assert_eq!(names, [" 5xx", "web.1 2xx", "web.1 5xx"]);
        assert_eq!(app.errors(), BTreeMap::from([("H10", 1)]));
    }
}
