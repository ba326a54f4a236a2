use crate::{
    App, GitCredential, GitSource, NetworkLink, NewRelease, Registry, ReleaseStatus, Store,
    StoreError, Token, User,
};
use std::collections::BTreeMap;
use windlass_core::access::Scopes;
use windlass_core::ids::{AppId, NetworkLinkId, TokenId, UserId};

pub(crate) fn store() -> (tempfile::TempDir, Store, User) {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path()).unwrap();
    let user = User {
        id: UserId::random(),
        email: "owner@localhost".into(),
        name: None,
        last_login_at: None,
        created_at: 1,
    };
    store.insert_user(&user).unwrap();
    (directory, store, user)
}

pub(crate) fn app(store: &Store, user: &User, name: &str) -> App {
    let app = App {
        id: AppId::random(),
        name: name.parse().unwrap(),
        owner: user.id,
        team: None,
        locked: false,
        maintenance: false,
        restart_generation: 0,
        current_release: 0,
        deploys: crate::Deploys::default(),
        created_at: 1,
        updated_at: 1,
        released_at: None,
    };
    store.insert_app(&app).unwrap();
    app
}

fn new_release(app: &App, secret: &str) -> NewRelease {
    NewRelease {
        app: app.id,
        description: "Deploy 1a2b3c4d".into(),
        user: app.owner,
        build: None,
        image: None,
        config_vars: BTreeMap::from([("SECRET".into(), secret.into())]),
        processes: BTreeMap::from([("web".parse().unwrap(), "python3 server.py".into())]),
        manifest: Default::default(),
        commit: None,
    }
}

#[test]
fn releases_are_numbered_from_one_and_keep_their_config() {
    let (_directory, store, user) = store();
    let app = app(&store, &user, "bibly");
    let first = store.insert_release(&new_release(&app, "one"), 5).unwrap();
    let second = store.insert_release(&new_release(&app, "two"), 6).unwrap();
    assert_eq!((first.version, second.version), (1, 2));
    let formation = BTreeMap::from([("web".parse().unwrap(), 1)]);
    store.commit_release(&first, &formation, 7).unwrap();
    store.fail_release(second.id, "did not boot", 8).unwrap();
    assert_eq!(store.app(app.id).unwrap().unwrap().current_release, 1);
    let read = store.release(app.id, 1).unwrap().unwrap();
    assert_eq!(
        (read.status, read.config_vars["SECRET"].as_str()),
        (ReleaseStatus::Succeeded, "one")
    );
    let failed = store.release(app.id, 2).unwrap().unwrap();
    assert_eq!(failed.failure.as_deref(), Some("did not boot"));
}

#[test]
fn committing_drops_process_types_that_vanished() {
    let (_directory, store, user) = store();
    let app = app(&store, &user, "bibly");
    let release = store.insert_release(&new_release(&app, "x"), 5).unwrap();
    let both = BTreeMap::from([("web".parse().unwrap(), 2), ("worker".parse().unwrap(), 1)]);
    store.commit_release(&release, &both, 5).unwrap();
    store.commit_release(&release, &BTreeMap::from([("web".parse().unwrap(), 2)]), 6).unwrap();
    let formation = store.formation(app.id).unwrap();
    assert_eq!(formation.len(), 1);
    assert_eq!((formation[0].process.as_str(), formation[0].quantity), ("web", 2));
}

#[test]
fn config_vars_are_not_readable_in_the_file() {
    let (directory, store, user) = store();
    let app = app(&store, &user, "bibly");
    store.insert_release(&new_release(&app, "correct-horse-battery"), 5).unwrap();
    drop(store);
    for file in std::fs::read_dir(directory.path()).unwrap() {
        let bytes = std::fs::read(file.unwrap().path()).unwrap();
        assert!(!bytes.windows(13).any(|window| window == b"correct-horse"));
    }
}

#[test]
fn a_foreign_key_file_is_noticed() {
    let (directory, store, user) = store();
    let app = app(&store, &user, "bibly");
    store.insert_release(&new_release(&app, "x"), 5).unwrap();
    drop(store);
    std::fs::write(directory.path().join("secret.key"), [7u8; 32]).unwrap();
    let store = Store::open(directory.path()).unwrap();
    assert!(matches!(store.release(app.id, 1), Err(StoreError::WrongKey(_))));
}

#[test]
fn names_are_taken_once() {
    let (_directory, store, user) = store();
    let first = app(&store, &user, "bibly");
    let again = App { id: AppId::random(), ..first };
    assert!(
        matches!(store.insert_app(&again), Err(StoreError::Taken(what)) if what == "Name bibly")
    );
}

#[test]
fn tokens_authenticate_and_are_revoked() {
    let (_directory, store, user) = store();
    let token = Token {
        id: TokenId::random(),
        user: user.id,
        description: "laptop".into(),
        scopes: Scopes::of_names(["read"]).unwrap(),
        created_at: 1,
        updated_at: 1,
        expires_at: Some(10),
        last_used_at: None,
    };
    store.insert_token(&token, "s3cret").unwrap();
    assert_eq!(store.authenticate("s3cret", 9).unwrap().unwrap(), (token.clone(), user.clone()));
    assert!(store.authenticate("S3cret", 9).unwrap().is_none());
    assert!(store.authenticate("s3cret", 10).unwrap().is_none(), "it has expired");
    assert!(store.tokens(user.id, 10).unwrap().is_empty());
    store.replace_token_secret(token.id, "other", None, 11).unwrap();
    assert!(store.authenticate("s3cret", 9).unwrap().is_none());
    assert_eq!(store.authenticate("other", 99).unwrap().unwrap().0.updated_at, 11);
    assert!(store.delete_token(user.id, token.id).unwrap());
    assert!(store.authenticate("other", 9).unwrap().is_none());
}

#[test]
fn buildpacks_keep_their_order_and_go_with_their_app() {
    let (_directory, store, user) = store();
    let (app, other) = (app(&store, &user, "one"), app(&store, &user, "two"));
    let chosen = ["heroku/nodejs", "heroku/python", "./mine"].map(str::to_owned);
    store.set_buildpacks(app.id, &chosen).unwrap();
    assert_eq!(store.buildpacks(app.id).unwrap(), chosen);
    assert!(store.buildpacks(other.id).unwrap().is_empty());
    store.set_buildpacks(app.id, &chosen[1..2]).unwrap();
    assert_eq!(store.buildpacks(app.id).unwrap(), ["heroku/python"]);
    store.delete_app(app.id).unwrap();
    assert!(store.buildpacks(app.id).unwrap().is_empty());
}

#[test]
fn registries_are_kept_by_host_and_their_passwords_sealed() {
    let (directory, store, _user) = store();
    let mine = |password: &str| Registry {
        host: "registry.example.com:5000".into(),
        username: Some("me".into()),
        password: password.into(),
        insecure: true,
        updated_at: 7,
    };
    store.save_registry(&mine("first")).unwrap();
    store.save_registry(&mine("correct-horse-battery")).unwrap();
    assert_eq!(store.registries().unwrap(), [mine("correct-horse-battery")]);
    assert!(!format!("{:?}", mine("correct-horse")).contains("horse"));
    for file in std::fs::read_dir(directory.path()).unwrap() {
        let bytes = std::fs::read(file.unwrap().path()).unwrap();
        assert!(!bytes.windows(13).any(|window| window == b"correct-horse"));
    }
    assert!(store.delete_registry("registry.example.com:5000").unwrap());
    assert!(!store.delete_registry("registry.example.com:5000").unwrap());
    assert!(store.registries().unwrap().is_empty());
}

#[test]
fn what_fetches_a_source_is_kept_and_secrets_are_sealed() {
    let (directory, store, user) = store();
    let app = app(&store, &user, "bibly");
    assert_eq!(store.git_source(app.id).unwrap(), None);
    for reference in [None, Some("main".to_owned())] {
        let source = GitSource { url: "https://example.com/a.git".into(), reference };
        store.set_git_source(app.id, &source).unwrap();
        assert_eq!(store.git_source(app.id).unwrap(), Some(source));
    }
    assert_eq!(store.add_deploy_key(app.id, b"the first seed").unwrap(), b"the first seed");
    assert_eq!(store.add_deploy_key(app.id, b"another").unwrap(), b"the first seed");
    store.set_webhook_secret(app.id, Some("hook secret")).unwrap();
    assert_eq!(store.webhook_secret(app.id).unwrap().as_deref(), Some("hook secret"));
    let credential = |token: &str| GitCredential {
        origin: "https://example.com".into(),
        username: "git".into(),
        token: token.into(),
    };
    store.set_git_credential(user.id, &credential("old")).unwrap();
    store.set_git_credential(user.id, &credential("token secret")).unwrap();
    assert!(store.git_credentials(user.id).unwrap() == [credential("token secret")]);
    for file in std::fs::read_dir(directory.path()).unwrap() {
        let bytes = std::fs::read(file.unwrap().path()).unwrap();
        for secret in ["the first seed", "hook secret", "token secret"] {
            let found = bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
            assert!(!found, "{secret} is not sealed");
        }
    }
    assert!(store.delete_git_credential(user.id, "https://example.com").unwrap());
    assert!(!store.delete_git_credential(user.id, "https://example.com").unwrap());
    store.set_webhook_secret(app.id, None).unwrap();
    assert_eq!(store.webhook_secret(app.id).unwrap(), None);
    store.set_git_source(app.id, &GitSource { url: "x".into(), reference: None }).unwrap();
    store.delete_app(app.id).unwrap();
    assert_eq!(store.git_source(app.id).unwrap(), None);
}

#[test]
fn links_have_no_direction_and_end_with_an_app() {
    let (_directory, store, user) = store();
    let [one, two, three] = ["one", "two", "three"].map(|name| app(&store, &user, name).id);
    let link = |apps| NetworkLink { id: NetworkLinkId::random(), apps, created_at: 1 };
    store.insert_network_link(&link((one, two))).unwrap();
    store.insert_network_link(&link((three, one))).unwrap();
    let twice = store.insert_network_link(&link((two, one)));
    assert!(matches!(twice, Err(StoreError::Taken(_))), "{twice:?}");
    let others = |app| -> Vec<AppId> {
        let links = store.network_links(app).unwrap();
        links.iter().map(|link| link.other_than(app)).collect()
    };
    assert_eq!((others(one).len(), others(two), others(three)), (2, vec![one], vec![one]));
    let links = store.links().unwrap();
    assert!(links.allows(two, one) && links.allows(one, three) && !links.allows(two, three));
    store.delete_app(three).unwrap();
    assert_eq!(others(one), [two]);
    let id = store.network_links(one).unwrap()[0].id;
    assert!(store.delete_network_link(id).unwrap());
    assert!(!store.delete_network_link(id).unwrap());
    assert!(!store.links().unwrap().allows(one, two));
}
