//! What one user may have.

use windlass_control::PlatformError;
use windlass_control::access::NewToken;
use windlass_core::access::Scopes;
use windlass_core::ids::AppId;
use windlass_core::limits::{APPS_PER_USER, KEYS_PER_USER, TEAMS_PER_USER, TOKENS_PER_USER};
use windlass_store::Store;
use windlass_testkit::platform::TestPlatform;

#[test]
fn keys_and_teams_of_one_user_are_bounded() {
    let test = TestPlatform::open();
    let platform = test.platform();
    let invitation = platform.invite(&test.user, "eve@example.com", None).unwrap();
    let eve = platform.accept_as_newcomer(&invitation.secret, None).unwrap().user;
    let add = |number: usize| {
        let (line, fingerprint) = (format!("ssh-ed25519 {number}"), format!("SHA256:{number}"));
        platform.add_key(&eve, &line, &fingerprint, "")
    };
    let keys: Vec<_> = (0..KEYS_PER_USER).map(|number| add(number).unwrap()).collect();
    let refused = add(KEYS_PER_USER).unwrap_err();
    assert_eq!(refused.to_string(), "You have 100 SSH keys already: remove one you do not use.");
    platform.remove_key(&eve, keys[0].id).unwrap();
    let _ = add(KEYS_PER_USER).unwrap();

    for number in 0..TEAMS_PER_USER {
        let _ = platform.create_team(&eve, &format!("team-{number}")).unwrap();
    }
    let refused = platform.create_team(&eve, "one-more").unwrap_err();
    assert!(matches!(refused, PlatformError::Invalid(_)), "{refused}");
    let _ = platform.create_team(&test.user, "of-another").unwrap();
}

#[test]
fn apps_and_tokens_of_one_user_are_bounded() {
    let test = TestPlatform::open();
    let platform = test.platform();
    let invitation = platform.invite(&test.user, "eve@example.com", None).unwrap();
    let newcomer = platform.accept_as_newcomer(&invitation.secret, None).unwrap();
    let (eve, token) = (newcomer.user, newcomer.token);
    let mut app = test.create_app("first");
    let store = Store::open(&test.data_directory()).unwrap();
    for number in 0..APPS_PER_USER {
        app.id = AppId::random();
        app.name = format!("app-{number}").parse().unwrap();
        app.owner = eve.id;
        store.insert_app(&app).unwrap();
    }
    let create = |user, name| test.block_on(platform.create_app(user, Some(name)));
    let refused = create(&eve, "one-more").unwrap_err();
    assert!(refused.to_string().starts_with("You have 1000 apps already"), "{refused}");
    let _ = create(&test.user, "of-another").unwrap();

    let make = || {
        let (description, scopes) = (String::new(), Scopes::global());
        let wanted = NewToken { description, scopes, expires_in: None };
        platform.create_authorization(&eve, &token, wanted, None)
    };
    // One is that of their login.
    let mut tokens: Vec<_> = (1..TOKENS_PER_USER).map(|_| make().unwrap().0).collect();
    let refused = make().unwrap_err();
    assert!(refused.to_string().starts_with("You have 1000 tokens already"), "{refused}");
    platform.revoke_authorization(&eve, tokens.pop().unwrap().id).unwrap();
    let _ = make().unwrap();
}
