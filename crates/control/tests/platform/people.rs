//! What one user may have.

use windlass_control::PlatformError;
use windlass_core::limits::{KEYS_PER_USER, TEAMS_PER_USER};
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
