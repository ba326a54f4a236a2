//! The server ends at every single effect of every operation, before and after it. The next one
//! must find its way: nothing that is served is lost, nothing is left behind, what was answered
//! with success is there, and the operation can be done again.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use windlass_control::records::App;
use windlass_control::run::{Quantity, Selection};
use windlass_core::deploy_settings::{DeploySettings, Strategy};
use windlass_testkit::platform::TestPlatform;
use windlass_testkit::simulated::Side;

/// More effects than any operation has, with what goes on after its answer.
const MOST_EFFECTS: usize = 60;
const THREADS: usize = 8;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operation {
    Deploy,
    DeployGradually,
    DeployRecreating,
    DeployThatFails,
    Canary,
    Promote,
    Configure,
    Rollback,
    ScaleUp,
    ScaleDown,
    Restart,
    MendCrash,
}

use Operation::{
    Canary, Configure, Deploy, DeployGradually, DeployRecreating, DeployThatFails, MendCrash,
    Promote, Restart, Rollback, ScaleDown, ScaleUp,
};

const ALL: [Operation; 12] = [
    Deploy,
    DeployGradually,
    DeployRecreating,
    DeployThatFails,
    Canary,
    Promote,
    Configure,
    Rollback,
    ScaleUp,
    ScaleDown,
    Restart,
    MendCrash,
];

impl Operation {
    /// How an app looks before it.
    fn prepare(self, test: &TestPlatform) -> App {
        let app = test.create_app("crashes");
        let _ = test.deploy(&app, &[("web", "serve")]).unwrap();
        test.set(&app, "FIRST", "1").unwrap();
        scale(test, &app, 2).unwrap();
        let settings = DeploySettings {
            strategy: match self {
                DeployRecreating => Strategy::Recreate,
                Canary | Promote => Strategy::Canary,
                _ => Strategy::Rolling,
            },
            surge: (self == DeployGradually).then_some(1),
            ..DeploySettings::default()
        };
        let platform = test.platform();
        test.block_on(platform.set_deploy_settings(&test.user, &app, settings)).unwrap();
        if self == Promote {
            let _ = test.deploy(&app, &[("web", "serve")]).unwrap();
        }
        settle(test, &app, 2);
        app
    }

    /// Does it; true if it was answered with success.
    async fn run(self, test: &TestPlatform, app: &App) -> bool {
        let (platform, user) = (test.platform(), &test.user);
        match self {
            Deploy | DeployGradually | DeployRecreating | Canary | DeployThatFails => {
                let does = if self == DeployThatFails { "crash 1" } else { "serve" };
                let processes = BTreeMap::from([("web".parse().unwrap(), does.to_owned())]);
                let image = test.image("the same for all");
                platform.release_image(user, app, image, processes, "again").await.is_ok()
            }
            Promote => platform.promote_canary(user, app).await.is_ok(),
            Configure => {
                let changes = BTreeMap::from([("SECOND".to_owned(), Some("2".to_owned()))]);
                platform.update_config_vars(user, app, changes).await.is_ok()
            }
            Rollback => platform.rollback(user, app, "3").await.is_ok(),
            ScaleUp | ScaleDown => {
                let quantity = Quantity::Absolute(self.wanted_after() as u32);
                let updates = vec![("web".parse().unwrap(), quantity)];
                platform.scale(user, app, updates).await.is_ok()
            }
            Restart => platform.restart(user, app, Selection::All).await.is_ok(),
            MendCrash => {
                let victim = test.driver.running()[0].spec.id.clone();
                test.driver.crash(&victim, 1)
            }
        }
    }

    fn wanted_after(self) -> usize {
        match self {
            ScaleUp => 4,
            ScaleDown => 1,
            _ => 2,
        }
    }

    /// Whether its success can be seen in the store.
    fn is_there(self, test: &TestPlatform, app: &App, before: &App) -> bool {
        let now = test.app(app);
        match self {
            Deploy | DeployGradually | DeployRecreating | Promote | Configure | Rollback => {
                now.current_release > before.current_release
            }
            Canary => now.deploys.canary.is_some(),
            _ => true,
        }
    }
}

fn scale(
    test: &TestPlatform,
    app: &App,
    count: u32,
) -> Result<(), windlass_control::PlatformError> {
    let updates = vec![("web".parse().unwrap(), Quantity::Absolute(count))];
    test.block_on(test.platform().scale(&test.user, app, updates)).map(drop)
}

/// Waits until so many instances of the current release are up and routed, and nothing runs beside
/// them but a canary.
fn settle(test: &TestPlatform, app: &App, wanted: usize) {
    test.wait_until("what is wanted", |test| {
        let now = test.app(app);
        let canary = now.deploys.canary.map(|canary| canary.release);
        let running = test.driver.running();
        let of = |release: Option<u32>| {
            running.iter().filter(|i| i.spec.labels.release == release).count()
        };
        let canaries = canary.map_or(0, |release| of(Some(release)));
        of(Some(now.current_release)) == wanted
            && running.len() == wanted + canaries
            && test.up(app).len() == wanted
            && test.router.targets(app.id).len() == wanted
    });
}

/// Plays the operation with a crash at one effect; false if it has not so many.
fn play(operation: Operation, effect: usize, side: Side) -> bool {
    let mut test = TestPlatform::open();
    let app = operation.prepare(&test);
    let before = test.app(&app);
    test.router.must_stay_served(app.id, operation != DeployRecreating);
    test.driver.faults.arm(effect, side);
    let mut succeeded = false;
    let crashed = test.until_crash(async {
        succeeded = operation.run(&test, &app).await;
        // What goes on after the answer: draining, stopping, forgetting, mending.
        tokio::time::sleep(Duration::from_millis(250)).await;
    });
    let effects = test.driver.faults.effects();
    let hit = crashed.is_none();
    if hit {
        test.crash_and_open();
    }
    test.driver.faults.revive();
    let context = format!("{operation:?}, crash {side:?} effect {effect} of {effects:?}");
    if succeeded {
        assert!(operation.is_there(&test, &app, &before), "an answered success is gone: {context}");
    }
    let app_now = test.app(&app);
    let formation = test.platform().formation(&app_now).unwrap();
    let wanted = formation.iter().find(|entry| entry.process.is_web()).map_or(0, |e| e.quantity);
    assert!(
        [2, operation.wanted_after()].contains(&(wanted as usize)),
        "{wanted} wanted: {context}"
    );
    settle(&test, &app, wanted as usize);
    let kept = test.platform().config_vars(&app_now).unwrap();
    assert_eq!(kept.get("FIRST").map(String::as_str), Some("1"), "{context}");
    // Nothing of the crash is in the way of the next change.
    test.router.must_stay_served(app.id, false);
    let again = test.block_on(operation.run(&test, &app));
    assert_eq!(again, operation_can_be_repeated(operation, &app_now), "done again: {context}");
    let violations = test.router.violations();
    assert!(violations.is_empty(), "{violations:?}: {context}");
    hit
}

/// A release that fails does so each time, there is one canary at a time, and nothing to promote
/// where it was done.
fn operation_can_be_repeated(operation: Operation, app: &App) -> bool {
    match operation {
        DeployThatFails => false,
        Canary => app.deploys.canary.is_none(),
        Promote => app.deploys.canary.is_some(),
        _ => true,
    }
}

#[test]
fn a_crash_at_every_effect_is_repaired() {
    let work: Vec<(Operation, Side)> =
        ALL.into_iter().flat_map(|o| [(o, Side::Before), (o, Side::After)]).collect();
    let (next, crashes) = (AtomicUsize::new(0), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                while let Some((operation, side)) = work.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let hits =
                        (0..MOST_EFFECTS).take_while(|at| play(*operation, *at, *side)).count();
                    assert!(hits > 0 && hits < MOST_EFFECTS, "{operation:?}: {hits} effects");
                    println!("{operation:?}: a crash {side:?} each of {hits} effects");
                    crashes.fetch_add(hits, Ordering::Relaxed);
                }
            });
        }
    });
    println!("{} crashes were repaired", crashes.into_inner());
}
