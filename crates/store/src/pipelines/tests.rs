use super::*;
use crate::tests::{app, store};
use crate::{NewRelease, Status, User};
use windlass_core::ids::{
    AppSetupId, CouplingId, PromotionId, PromotionTargetId, ReleaseId, ReviewAppId,
};

fn pipeline(store: &Store, user: &User, name: &str) -> Pipeline {
    let pipeline = Pipeline {
        id: PipelineId::random(),
        name: name.parse().unwrap(),
        owner: PipelineOwner { id: user.id.0, kind: OwnerKind::User },
        repository: None,
        created_at: 1,
        updated_at: 1,
    };
    store.save_pipeline(&pipeline).unwrap();
    pipeline
}

fn coupled(pipeline: &Pipeline, app: AppId, stage: Stage) -> Coupling {
    let id = CouplingId::random();
    Coupling { id, pipeline: pipeline.id, app, stage, created_at: 1, updated_at: 1 }
}

#[test]
fn an_app_is_in_one_pipeline_at_most_and_outlives_it() {
    let (_directory, store, user) = store();
    let (one, other) = (pipeline(&store, &user, "shop"), pipeline(&store, &user, "blog"));
    let app = app(&store, &user, "shop-staging");
    let mut place = coupled(&one, app.id, Stage::Staging);
    store.save_coupling(&place).unwrap();
    place.stage = Stage::Production;
    store.save_coupling(&place).unwrap();
    assert_eq!(store.coupling_of_app(app.id).unwrap(), Some(place.clone()));
    let second = store.save_coupling(&coupled(&other, app.id, Stage::Review));
    assert!(matches!(second, Err(StoreError::Taken(_))));
    let mut renamed = other.clone();
    renamed.name = "shop".parse().unwrap();
    assert!(matches!(store.save_pipeline(&renamed), Err(StoreError::Taken(_))));
    assert_eq!(store.pipeline_by_name("blog").unwrap(), Some(other));

    store.delete_pipeline(one.id).unwrap();
    assert_eq!(store.coupling(place.id).unwrap(), None);
    assert!(store.app(app.id).unwrap().is_some());
}

#[test]
fn secrets_of_a_pipeline_are_sealed() {
    let (directory, store, user) = store();
    let pipeline = pipeline(&store, &user, "shop");
    let config_vars = BTreeMap::from([("KEY".to_owned(), "plaintext-of-config".to_owned())]);
    store.set_stage_config_vars(pipeline.id, Stage::Review, &config_vars).unwrap();
    assert_eq!(store.stage_config_vars(pipeline.id, Stage::Review).unwrap(), config_vars);
    assert!(store.stage_config_vars(pipeline.id, Stage::Staging).unwrap().is_empty());
    store.set_pipeline_webhook_secret(pipeline.id, Some("plaintext-of-hook")).unwrap();
    let seed = store.add_pipeline_deploy_key(pipeline.id, b"plaintext-of-key").unwrap();
    assert_eq!(store.add_pipeline_deploy_key(pipeline.id, b"another").unwrap(), seed);
    assert_eq!(store.pipeline_webhook_secret(pipeline.id).unwrap().unwrap(), "plaintext-of-hook");
    store.set_pipeline_webhook_secret(pipeline.id, None).unwrap();
    assert_eq!(store.pipeline_webhook_secret(pipeline.id).unwrap(), None);
    for file in std::fs::read_dir(directory.path()).unwrap().flatten() {
        let bytes = std::fs::read(file.path()).unwrap();
        let found = bytes.windows(12).any(|window| window == b"plaintext-of");
        assert!(!found, "{}", file.path().display());
    }
}

#[test]
fn what_a_stopped_server_left_is_settled() {
    let (_directory, store, user) = store();
    let pipeline = pipeline(&store, &user, "shop");
    let app = app(&store, &user, "shop");
    let release = NewRelease {
        app: app.id,
        description: "Promote".into(),
        user: user.id,
        build: None,
        image: None,
        config_vars: BTreeMap::new(),
        processes: BTreeMap::new(),
        manifest: Default::default(),
        commit: None,
    };
    let release = store.insert_release(&release, 1).unwrap();
    store.commit_release(&release, &BTreeMap::new(), 2).unwrap();
    let promotion = Promotion {
        id: PromotionId::random(),
        pipeline: pipeline.id,
        source_app: app.id,
        source_release: ReleaseId::random(),
        created_at: 1,
        updated_at: 1,
    };
    let target = |release| PromotionTarget {
        id: PromotionTargetId::random(),
        promotion: promotion.id,
        app: app.id,
        release,
        status: Status::Pending,
        error: None,
    };
    let targets = [target(Some(release.id)), target(None)];
    store.insert_promotion(&promotion, &targets).unwrap();
    store.update_promotion_target(&targets[0], 2).unwrap();
    assert_eq!(store.settle_promotions("stopped").unwrap(), 2);
    let settled = store.promotion_targets(promotion.id).unwrap();
    assert_eq!((settled[0].status, settled[0].error.as_deref()), (Status::Succeeded, None));
    assert_eq!((settled[1].status, settled[1].error.as_deref()), (Status::Failed, Some("stopped")));

    let setup = AppSetup {
        id: AppSetupId::random(),
        app: app.id,
        user: user.id,
        status: Status::Pending,
        failure: None,
        build: None,
        postdeploy: Some(("seeded\n".into(), 3)),
        created_at: 1,
        updated_at: 1,
    };
    store.save_app_setup(&setup).unwrap();
    assert_eq!(store.app_setup(setup.id).unwrap(), Some(setup.clone()));
    let review = |status, app| ReviewApp {
        id: ReviewAppId::random(),
        pipeline: pipeline.id,
        branch: "fix".into(),
        request: Some(7),
        creator: user.id,
        app,
        setup: None,
        status,
        message: None,
        created_at: 1,
        updated_at: 1,
    };
    use ReviewAppStatus::{Created, Creating, Deleted, Deleting, Errored};
    let made = review(Created, Some(app.id));
    let cases = [
        (made.clone(), Created),
        (review(Creating, None), Errored),
        (review(Deleting, None), Deleted),
        (review(Created, None), Deleted),
    ];
    for (review, _) in &cases {
        store.save_review_app(review).unwrap();
    }
    assert_eq!(store.review_app_of(app.id).unwrap(), Some(made.clone()));
    assert_eq!(store.fail_pending_app_setups("stopped", 3).unwrap(), 1);
    assert_eq!(store.settle_review_apps("stopped", 3).unwrap(), 3);
    for (review, expected) in &cases {
        assert_eq!(store.review_app(review.id).unwrap().unwrap().status, *expected, "{review:?}");
    }
    assert_eq!(store.review_apps(pipeline.id).unwrap().len(), 2, "deleted ones are not listed");
    store.delete_app(app.id).unwrap();
    assert_eq!(store.review_app(made.id).unwrap().unwrap().app, None, "it outlives its app");
    assert_eq!(store.app_setup(setup.id).unwrap(), None);
}
