//! Many random histories: deploys, config changes, scaling, crashes, restarts and server crashes.
//! After each, what is wanted is there, and nothing that must never be was seen on the way.

use super::scaling::scale;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use windlass_control::records::App;
use windlass_control::run::Selection;
use windlass_core::deploy_settings::{DeploySettings, Strategy};
use windlass_core::instance::ObservedInstance;
use windlass_core::route::Availability;
use windlass_testkit::platform::TestPlatform;

/// How many histories, unless `WINDLASS_SEEDS` says otherwise.
const SEEDS: u64 = 200;
const THREADS: usize = 12;
const STEPS: usize = 10;

/// What the test knows of an app.
struct Model {
    app: App,
    web: u32,
    /// Whether instances ended, or cannot be started: then an empty table is no fault.
    hurt: bool,
    /// Whether deploys may empty the table, as those of the strategy `recreate` do.
    recreates: bool,
}

struct History {
    test: TestPlatform,
    random: fastrand::Rng,
    apps: Vec<Model>,
}

impl History {
    fn new(seed: u64) -> Self {
        let test = TestPlatform::open_with(|settings| {
            settings.boot_timeout = Duration::from_millis(400);
        });
        let apps = ["red", "blue"].map(|name| test.create_app(name));
        let apps = apps.map(|app| Model { app, web: 1, hurt: false, recreates: false });
        Self { test, random: fastrand::Rng::with_seed(seed), apps: apps.into() }
    }

    /// Whether something was deployed. A deploy that was cut off may still have been made current.
    fn is_deployed(&self, which: usize) -> bool {
        let release = self.test.platform().release(&self.apps[which].app, "current");
        release.unwrap().image.is_some()
    }

    fn is_served(&self, which: usize) -> bool {
        let model = &self.apps[which];
        self.is_deployed(which) && model.web > 0 && !model.hurt && !model.recreates
    }

    fn step(&mut self) {
        let which = self.random.usize(..self.apps.len());
        self.converge(which);
        let app = self.apps[which].app.clone();
        self.test.router.must_stay_served(app.id, self.is_served(which));
        let action = self.random.u32(..11);
        match action {
            0 | 1 => self.deploy(which),
            2 => {
                let behaviour = self.behaviour();
                let _ = self.test.set(&app, "BEHAVIOUR", behaviour);
            }
            3 => self.rollback(which),
            4 if self.is_deployed(which) => self.scale(which),
            5 => {
                self.test
                    .block_on(self.test.platform().restart(&self.test.user, &app, Selection::All))
                    .unwrap();
            }
            6 => self.crash_one(which),
            7 => self.cut_off_deploy(which),
            8 => self.choose_strategy(which),
            9 => self.end_canary(which),
            _ => self.test.crash_and_open(),
        }
    }

    fn behaviour(&mut self) -> &'static str {
        ["serve", "slow 10", "ignore-term", "crash 3", "never-listen"][self.random.usize(..5)]
    }

    fn deploy(&mut self, which: usize) {
        let (app, behaviour) = (self.apps[which].app.clone(), self.behaviour());
        let served = self.test.deploy(&app, &[("web", behaviour)]).is_ok();
        if served && self.apps[which].web > 0 {
            self.apps[which].hurt = false;
            assert_eq!(self.test.router.availability(app.id), Some(Availability::Serving));
        }
    }

    fn choose_strategy(&mut self, which: usize) {
        let strategies = [Strategy::Rolling, Strategy::Recreate, Strategy::Canary];
        let strategy = strategies[self.random.usize(..3)];
        let surge = [None, Some(1), Some(2)][self.random.usize(..3)];
        let settings = DeploySettings { strategy, surge, ..DeploySettings::default() };
        let model = &mut self.apps[which];
        model.recreates = strategy == Strategy::Recreate;
        if model.recreates {
            self.test.router.must_stay_served(model.app.id, false);
        }
        let platform = self.test.platform();
        self.test
            .block_on(platform.set_deploy_settings(&self.test.user, &model.app, settings))
            .unwrap();
    }

    fn end_canary(&mut self, which: usize) {
        let (platform, app) = (self.test.platform(), self.apps[which].app.clone());
        let had_one = self.test.app(&app).deploys.canary.is_some();
        let done = if self.random.bool() {
            self.test.block_on(platform.promote_canary(&self.test.user, &app)).map(|_| ())
        } else {
            self.test.block_on(platform.abort_canary(&self.test.user, &app)).map(|_| ())
        };
        // One that crashed in between has ended by itself.
        assert!(had_one || done.is_err(), "there was no canary to end");
    }

    fn rollback(&mut self, which: usize) {
        let app = self.test.app(&self.apps[which].app);
        let version = self.random.u32(1..=app.current_release.max(1));
        let _ = self.test.block_on(self.test.platform().rollback(
            &self.test.user,
            &app,
            &version.to_string(),
        ));
    }

    fn scale(&mut self, which: usize) {
        let count = self.random.u32(..4);
        self.apps[which].web = count;
        let app = self.apps[which].app.clone();
        self.test
            .router
            .must_stay_served(app.id, self.is_served(which) && !self.test.up(&app).is_empty());
        scale(&self.test, &app, "web", count);
    }

    fn crash_one(&mut self, which: usize) {
        let app = &self.apps[which].app;
        let running = self.test.driver.running();
        let mine: Vec<_> = running.into_iter().filter(|i| i.spec.labels.app == app.id).collect();
        if mine.is_empty() {
            return;
        }
        self.test.router.must_stay_served(app.id, false);
        self.apps[which].hurt = true;
        let victim = &mine[self.random.usize(..mine.len())].spec.id;
        assert!(self.test.driver.crash(victim, 1));
    }

    /// A client that goes away, or a server that ends, in the middle of a deploy.
    fn cut_off_deploy(&mut self, which: usize) {
        let app = self.apps[which].app.clone();
        let (platform, user) = (self.test.platform(), self.test.user.clone());
        let (image, behaviour) = (self.test.image("another"), self.behaviour());
        let processes = [("web".parse().unwrap(), behaviour.to_owned())].into();
        let limit = Duration::from_millis(self.random.u64(..40));
        self.test.block_on(async {
            let released = platform.release_image(&user, &app, image, processes, "cut off");
            let _ = tokio::time::timeout(limit, released).await;
        });
        drop(platform);
        if self.random.bool() {
            self.test.crash_and_open();
        }
    }

    /// Waits until every wanted slot has an instance that is up or waits for its next attempt.
    fn converge(&mut self, which: usize) {
        let (app, web) = (self.apps[which].app.clone(), self.apps[which].web);
        self.test.wait_until("what is wanted", |test| {
            let current = test.platform().release(&app, "current").unwrap();
            let wanted = if current.image.is_some() { web as usize } else { 0 };
            let views = test.instances(&app);
            let crashed = views.iter().filter(|view| view.state.as_str() == "crashed").count();
            let up = views.iter().filter(|view| view.state.as_str() == "up").count();
            let running = test.driver.running();
            let canary = test.app(&app).deploys.canary.map(|canary| canary.release);
            let mine = |i: &&ObservedInstance| {
                i.spec.labels.app == app.id && i.spec.labels.release != canary
            };
            let running = running.iter().filter(mine).count();
            (views.len(), up + crashed, running) == (wanted, wanted, up)
                && test.router.targets(app.id).len() == up
        });
        let wanted = if self.is_deployed(which) { web as usize } else { 0 };
        self.apps[which].hurt = self.test.up(&app).len() != wanted;
    }

    fn end(mut self) {
        for which in 0..self.apps.len() {
            self.converge(which);
        }
        let violations = self.test.router.violations();
        assert!(violations.is_empty(), "{violations:?}");
        let running = self.test.driver.running();
        for model in &self.apps {
            let current = self.test.app(&model.app).current_release;
            let canary = self.test.app(&model.app).deploys.canary.map(|canary| canary.release);
            let of_app = |i: &&ObservedInstance| i.spec.labels.app == model.app.id;
            let mine = running.iter().filter(of_app).filter(|i| i.spec.labels.release != canary);
            assert!(
                mine.clone().all(|i| i.spec.labels.release == Some(current)),
                "an old release runs"
            );
            let mut indices: Vec<u32> = mine.map(|i| i.spec.labels.index).collect();
            indices.sort_unstable();
            indices.dedup();
            let up = self.test.up(&model.app).len();
            assert_eq!(indices.len(), up, "two instances in one slot");
        }
    }
}

fn play(seed: u64) {
    let mut history = History::new(seed);
    for _ in 0..STEPS {
        history.step();
    }
    history.end();
}

#[test]
fn random_histories_end_well() {
    let seeds =
        std::env::var("WINDLASS_SEEDS").ok().and_then(|text| text.parse().ok()).unwrap_or(SEEDS);
    let only: Option<u64> = std::env::var("WINDLASS_SEED").ok().and_then(|text| text.parse().ok());
    if let Some(seed) = only {
        return play(seed);
    }
    let next = AtomicU64::new(0);
    let failed: Vec<u64> = std::thread::scope(|scope| {
        let worker = || {
            let mut failed = Vec::new();
            loop {
                let seed = next.fetch_add(1, Ordering::Relaxed);
                if seed >= seeds {
                    return failed;
                }
                if std::panic::catch_unwind(|| play(seed)).is_err() {
                    failed.push(seed);
                }
            }
        };
        let workers: Vec<_> = (0..THREADS).map(|_| scope.spawn(worker)).collect();
        workers.into_iter().flat_map(|worker| worker.join().unwrap()).collect()
    });
    assert!(failed.is_empty(), "failed; run one again with WINDLASS_SEED=<seed>: {failed:?}");
}
