//! Pipelines: what was tested is promoted as it is.

use std::collections::BTreeMap;
use windlass_control::pipelines::{PromotionRequest, ReviewAppConfigUpdate, ReviewAppRequest};
use windlass_control::receive::SourceRequest;
use windlass_control::records::{
    App, NewRelease, Pipeline, Promotion, PromotionTarget, Release, ReleaseStatus, ReviewAppStatus,
    Store,
};
use windlass_control::{PlatformError, Result};
use windlass_core::app_json::Script;
use windlass_core::ids::UserId;
use windlass_core::pipeline::Stage;
use windlass_core::release::ReleaseManifest;
use windlass_testkit::platform::TestPlatform;

/// A pipeline with an app in each of some stages.
fn pipeline(test: &TestPlatform, stages: &[(&str, Stage)]) -> (Pipeline, Vec<App>) {
    let pipeline = test.platform().create_pipeline(&test.user, "shop", None).unwrap();
    let couple = |(name, stage): &(&str, Stage)| {
        let app = test.create_app(name);
        test.platform().couple(&test.user, &app, &pipeline, *stage).unwrap();
        app
    };
    let apps = stages.iter().map(couple).collect();
    (pipeline, apps)
}

fn start(
    test: &TestPlatform,
    pipeline: &Pipeline,
    source: &App,
    targets: &[&App],
) -> Result<(Promotion, Vec<PromotionTarget>)> {
    let request = PromotionRequest {
        pipeline: pipeline.clone(),
        source: source.clone(),
        release: None,
        targets: targets.iter().map(|app| (*app).clone()).collect(),
    };
    let platform = test.platform();
    test.block_on(async { platform.promote_apps(&test.user, request) })
}

/// Promotes to the next stage; returns what became of each target.
fn promote(test: &TestPlatform, pipeline: &Pipeline, source: &App) -> Vec<PromotionTarget> {
    let (promotion, _) = start(test, pipeline, source, &[]).unwrap();
    let id = promotion.id.to_string();
    let targets = || test.platform().promotion(&test.user, &id).unwrap().1;
    test.wait_until("the end of the promotion", |_| {
        targets().iter().all(|target| target.status != ReleaseStatus::Pending)
    });
    targets()
}

fn current(test: &TestPlatform, app: &App) -> Release {
    test.platform().release(app, "current").unwrap()
}

#[test]
fn the_same_image_is_released_with_the_targets_own_config() {
    let test = TestPlatform::open();
    let places = [
        ("shop-staging", Stage::Staging),
        ("shop-one", Stage::Production),
        ("shop-two", Stage::Production),
    ];
    let (pipeline, apps) = pipeline(&test, &places);
    let [staging, one, two] = &apps[..] else { panic!("three apps") };
    test.set(one, "WHO", "production").unwrap();
    test.set(staging, "WHO", "staging").unwrap();
    let _ = test.deploy(one, &[("web", "serve")]).unwrap();
    test.wait_for_instances(one, &["web.1"]);
    test.router.must_stay_served(one.id, true);
    let tested = test
        .deploy(staging, &[("web", "serve"), ("worker", "serve"), ("release", "slow 5")])
        .unwrap();

    let ended = promote(&test, &pipeline, staging);

    assert_eq!(ended.len(), 2, "all of the next stage");
    for (target, app) in ended.iter().zip([one, two]) {
        assert_eq!((target.status, target.error.as_deref()), (ReleaseStatus::Succeeded, None));
        let release = current(&test, app);
        assert_eq!(target.release, Some(release.id));
        assert_eq!((&release.image, &release.processes), (&tested.image, &tested.processes));
        assert_eq!(release.description, "Promote shop-staging v3");
        assert_eq!(release.build, None);
        assert!(test.platform().has_release_output(&release), "its release command ran");
        assert!(test.platform().builds(app, 10).unwrap().is_empty(), "nothing was built");
        test.wait_for_instances(app, &["web.1"]);
    }
    assert_eq!(current(&test, one).config_vars["WHO"], "production");
    assert!(current(&test, two).config_vars.is_empty());
    assert_eq!(test.router.violations(), [""; 0]);
}

#[test]
fn a_target_that_fails_keeps_its_release_and_the_others_go_on() {
    let test = TestPlatform::open();
    let places = [
        ("shop-staging", Stage::Staging),
        ("shop-bad", Stage::Production),
        ("shop-locked", Stage::Production),
        ("shop-good", Stage::Production),
    ];
    let (pipeline, apps) = pipeline(&test, &places);
    let [staging, bad, locked, good] = &apps[..] else { panic!("four apps") };
    // Its own config makes the release command fail in this one only.
    test.set(bad, "BEHAVIOUR", "crash 4").unwrap();
    let served = test.deploy(locked, &[("web", "serve")]).unwrap();
    test.wait_for_instances(locked, &["web.1"]);
    test.router.must_stay_served(locked.id, true);
    let why = Some("frozen".to_owned());
    test.block_on(test.platform().lock_deploys(&test.user, locked, why)).unwrap();
    let tested = test.deploy(staging, &[("web", "serve"), ("release", "slow 1")]).unwrap();
    let broken = test.deploy(staging, &[("web", "serve"), ("release", "crash 3")]);
    assert!(matches!(broken, Err(PlatformError::ReleaseFailed(_))), "{broken:?}");

    let ended = promote(&test, &pipeline, staging);

    let (failed, succeeded) = (ReleaseStatus::Failed, ReleaseStatus::Succeeded);
    let status: Vec<_> = ended.iter().map(|target| target.status).collect();
    assert_eq!(status, [failed, failed, succeeded], "{ended:?}");
    let said = |at: usize| ended[at].error.clone().unwrap_or_default();
    assert!(said(0).contains("the release command exited with status 4"), "{ended:?}");
    assert!(said(1).contains("frozen"), "{ended:?}");
    let told = ended[0].release.unwrap().to_string();
    assert_eq!(test.platform().release(bad, &told).unwrap().status, failed);
    assert_eq!(current(&test, bad).image, None);
    assert_eq!(current(&test, locked).id, served.id);
    let released = current(&test, good);
    assert_eq!(released.processes, tested.processes, "what failed in staging is not promoted");
    test.wait_for_instances(locked, &["web.1"]);
    assert_eq!(test.router.violations(), [""; 0]);
}

#[test]
fn what_cannot_be_promoted_is_refused_before_anything_happens() {
    let test = TestPlatform::open();
    let places = [("shop-staging", Stage::Staging), ("shop", Stage::Production)];
    let (pipeline, apps) = pipeline(&test, &places);
    let [staging, production] = &apps[..] else { panic!("two apps") };
    let stranger = test.create_app("stranger");
    let refused = |source: &App, targets: &[&App]| {
        let error = start(&test, &pipeline, source, targets).unwrap_err();
        assert!(matches!(error, PlatformError::Invalid(_)), "{error:?}");
        error.to_string()
    };
    assert!(refused(staging, &[]).contains("has no release to promote"));
    let _ = test.deploy(staging, &[("web", "serve")]).unwrap();
    let _ = test.deploy(&stranger, &[("web", "serve")]).unwrap();
    assert!(refused(production, &[]).contains("nowhere to be promoted to"));
    assert!(refused(&stranger, &[]).contains("is not in the pipeline shop"));
    assert!(refused(staging, &[&stranger]).contains("stranger is not in the pipeline"));
    assert!(refused(staging, &[staging]).contains("itself or twice"));
    assert!(refused(staging, &[production, production]).contains("itself or twice"));
    assert_eq!(current(&test, production).version, 1);
}

#[test]
fn a_promotion_that_the_server_does_not_survive_is_settled_by_the_next() {
    let mut test = TestPlatform::open();
    let places = [("shop-staging", Stage::Staging), ("shop", Stage::Production)];
    let (pipeline, apps) = pipeline(&test, &places);
    let before = test.deploy(&apps[1], &[("web", "serve")]).unwrap();
    // Long enough for the server to end in it, on a slow machine too.
    let _ = test.deploy(&apps[0], &[("web", "serve"), ("release", "slow 1000")]).unwrap();
    let (promotion, _) = start(&test, &pipeline, &apps[0], &[]).unwrap();
    let id = promotion.id.to_string();
    test.wait_until("a release of it", |test| {
        test.platform().promotion(&test.user, &id).unwrap().1[0].release.is_some()
    });
    test.crash_and_open();
    let (_, targets) = test.platform().promotion(&test.user, &id).unwrap();
    assert_eq!(targets[0].status, ReleaseStatus::Failed, "{targets:?}");
    assert!(targets[0].error.as_deref().unwrap().contains("the server stopped"), "{targets:?}");
    assert_eq!(current(&test, &apps[1]).version, before.version);
    test.wait_for_instances(&apps[1], &["web.1"]);
}

#[test]
fn strangers_neither_see_nor_change_a_pipeline() {
    let test = TestPlatform::open();
    let (pipeline, _) = pipeline(&test, &[("shop", Stage::Production)]);
    let mut stranger = test.user.clone();
    stranger.id = UserId::random();
    let platform = test.platform();
    let id = pipeline.id.to_string();
    assert!(matches!(platform.pipeline(&stranger, &id), Err(PlatformError::NotFound { .. })));
    assert!(platform.pipelines(&stranger).unwrap().is_empty());
    let refused = platform.rename_pipeline(&stranger, &pipeline, "theirs");
    assert!(matches!(refused, Err(PlatformError::Forbidden(_))), "{refused:?}");
    assert_eq!(platform.pipeline(&test.user, "shop").unwrap(), pipeline, "by name too");
    platform.destroy_pipeline(&test.user, &pipeline).unwrap();
    assert!(platform.app(&test.user, "shop").is_ok(), "its apps stay");
}

/// A release of long ago that wants to say something before its app is destroyed.
fn release_of_long_ago(test: &TestPlatform, app: &App) {
    let store = Store::open(&test.data_directory()).unwrap();
    let predestroy = Script { command: "slow 200".to_owned(), env: BTreeMap::new() };
    let release = NewRelease {
        app: app.id,
        description: "Deploy".to_owned(),
        user: test.user.id,
        build: None,
        image: Some(test.image("of a branch")),
        config_vars: BTreeMap::new(),
        processes: BTreeMap::new(),
        manifest: ReleaseManifest { predestroy: Some(predestroy), ..ReleaseManifest::default() },
        commit: None,
    };
    let release = store.insert_release(&release, 1).unwrap();
    store.commit_release(&release, &BTreeMap::new(), 1).unwrap();
}

#[test]
fn a_stale_review_app_is_destroyed_with_its_last_words() {
    let mut test = TestPlatform::open();
    let (pipeline, _) = pipeline(&test, &[("shop", Stage::Production)]);
    let platform = test.platform();
    let update = ReviewAppConfigUpdate {
        destroy_stale: Some(true),
        stale_days: Some(1),
        base_name: Some("review".to_owned()),
        ..ReviewAppConfigUpdate::default()
    };
    platform.enable_review_apps(&test.user, &pipeline, &update).unwrap();
    // Nothing answers there: an app without a deploy is enough.
    let url = "http://127.0.0.1:1/none.tgz".to_owned();
    let request = |branch: &str| ReviewAppRequest {
        branch: branch.to_owned(),
        source: Some(SourceRequest { url: url.clone(), ..SourceRequest::default() }),
        ..ReviewAppRequest::default()
    };
    let create = |branch| {
        let made = platform.create_review_app(&test.user, &pipeline, request(branch));
        test.block_on(made)
    };
    let (old, new) = (create("old").unwrap(), create("new").unwrap());
    assert!(matches!(create("old"), Err(PlatformError::Conflict(_))), "one app a branch");
    let app = platform.app(&test.user, &old.app.unwrap().to_string()).unwrap();
    assert!(app.name.as_str().starts_with("review-old-"), "{}", app.name);
    let failed = |id: &str| platform.review_app(&test.user, id).unwrap().message.is_some();
    test.wait_until("the end of both setups", |_| {
        failed(&old.id.to_string()) && failed(&new.id.to_string())
    });
    drop(platform);
    release_of_long_ago(&test, &app);
    test.crash_and_open();

    let mut spoke = false;
    let id = old.id.to_string();
    test.wait_until("the end of the stale one", |test| {
        let running = test.driver.running();
        spoke |= running.iter().any(|one| one.spec.labels.process.as_str() == "predestroy");
        let now = test.platform().review_app(&test.user, &id).unwrap();
        now.status == ReviewAppStatus::Deleted
    });
    assert!(spoke, "its pr-predestroy ran");
    let gone = test.platform().app(&test.user, app.name.as_str());
    assert!(matches!(gone, Err(PlatformError::NotFound { .. })));
    let left = test.platform().review_apps(&pipeline).unwrap();
    assert_eq!(left.iter().map(|review| review.id).collect::<Vec<_>>(), [new.id]);
}
