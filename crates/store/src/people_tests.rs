//! Teams, collaborators, invitations, transfers, second factors and the audit trail.

use crate::tests::{app, store};
use crate::{
    ACTIVITY_KEPT, Activity, AppTransfer, Invitation, Passkey, Store, Team, Token, TransferState,
    User,
};
use windlass_core::access::{Permission, Permissions, Scopes, TeamRole};
use windlass_core::ids::{AppTransferId, InvitationId, PasskeyId, TeamId, TokenId, UserId};

fn another(store: &Store, email: &str) -> User {
    let user = User {
        id: UserId::random(),
        email: email.into(),
        name: None,
        last_login_at: None,
        created_at: 2,
    };
    store.insert_user(&user).unwrap();
    user
}

fn team(store: &Store, name: &str, admin: &User) -> Team {
    let team = Team { id: TeamId::random(), name: name.into(), created_at: 3, updated_at: 3 };
    store.insert_team(&team, admin.id).unwrap();
    team
}

#[test]
fn what_somebody_was_given_comes_and_goes() {
    let (_directory, store, owner) = store();
    let ben = another(&store, "ben@example.com");
    let makers = team(&store, "makers", &owner);
    let app = app(&store, &owner, "bibly");
    store.put_member(makers.id, ben.id, TeamRole::Viewer, 4).unwrap();
    store.put_member(makers.id, ben.id, TeamRole::Member, 5).unwrap();
    let deploy: Permissions = [Permission::Deploy].into_iter().collect();
    let made = store.put_collaborator(app.id, ben.id, deploy, 6).unwrap().unwrap();
    assert_eq!((made.user.id, made.permissions), (ben.id, deploy));
    let given = store.given(ben.id).unwrap();
    assert_eq!(given.teams[&makers.id], TeamRole::Member);
    assert_eq!(given.apps[&app.id], deploy);
    assert_eq!(store.members(makers.id).unwrap().len(), 2);

    store.hand_over_app(app.id, owner.id, Some(makers.id), 7).unwrap();
    assert_eq!(store.apps_of_team(makers.id).unwrap()[0].id, app.id);
    assert!(store.delete_team(makers.id).is_err(), "it has an app");
    let eve = another(&store, "eve@example.com");
    store.put_collaborator(app.id, eve.id, deploy, 8).unwrap();
    let outside: Vec<_> = store.outsiders(makers.id).unwrap();
    assert_eq!(outside.iter().map(|one| one.user.id).collect::<Vec<_>>(), [eve.id]);

    store.delete_member(makers.id, ben.id).unwrap();
    assert_eq!(store.given(ben.id).unwrap(), crate::Given::default());
    store.delete_app(app.id).unwrap();
    assert!(store.given(eve.id).unwrap().apps.is_empty());
    store.delete_team(makers.id).unwrap();
}

#[test]
fn an_invitation_lets_one_in_once() {
    let (_directory, store, owner) = store();
    let makers = team(&store, "makers", &owner);
    let invitation = Invitation {
        id: InvitationId::random(),
        email: "ben@example.com".into(),
        invited_by: owner.id,
        team: Some((makers.id, TeamRole::Member)),
        created_at: 10,
        expires_at: 20,
    };
    store.insert_invitation(&invitation, "first").unwrap();
    store
        .insert_invitation(&Invitation { id: InvitationId::random(), ..invitation.clone() }, "s")
        .unwrap();
    assert!(store.invitation("first", 15).unwrap().is_none(), "the second one replaced it");
    assert!(store.invitation("s", 20).unwrap().is_none(), "it has expired");
    let found = store.invitation("s", 19).unwrap().unwrap();
    assert_eq!(store.invitations(Some(makers.id), 19).unwrap(), std::slice::from_ref(&found));
    assert!(store.invitations(None, 19).unwrap().is_empty());

    let newcomer = User {
        id: UserId::random(),
        email: "ben@example.com".into(),
        name: Some("Ben".into()),
        last_login_at: None,
        created_at: 0,
    };
    let ben = store.accept_invitation(&found, &newcomer, 16).unwrap().unwrap();
    assert_eq!((ben.id, ben.created_at), (newcomer.id, 16));
    assert!(store.accept_invitation(&found, &newcomer, 17).unwrap().is_none());
    assert_eq!(store.given(ben.id).unwrap().teams[&makers.id], TeamRole::Member);
    assert_eq!(store.owner().unwrap().unwrap().id, owner.id);

    let token = Token {
        id: TokenId::random(),
        user: ben.id,
        description: String::new(),
        scopes: Scopes::global(),
        created_at: 1,
        updated_at: 1,
        expires_at: None,
        last_used_at: None,
    };
    store.insert_token(&token, "ben's").unwrap();
    store.remove_user(ben.id, owner.id, 18).unwrap();
    assert!(store.authenticate("ben's", 18).unwrap().is_none());
    assert!(store.user_by_email("Ben@example.com").unwrap().is_none());
    assert!(store.user(ben.id).unwrap().is_some(), "releases go on naming them");
    let again = Invitation { id: InvitationId::random(), team: None, ..invitation };
    store.insert_invitation(&again, "again").unwrap();
    let back = User { id: UserId::random(), ..newcomer };
    assert_eq!(store.accept_invitation(&again, &back, 19).unwrap().unwrap().id, ben.id);
    assert!(store.given(ben.id).unwrap().teams.is_empty(), "nothing came back with them");
}

#[test]
fn an_accepted_transfer_changes_the_owner() {
    let (_directory, store, owner) = store();
    let ben = another(&store, "ben@example.com");
    let app = app(&store, &owner, "bibly");
    store.put_collaborator(app.id, ben.id, Permissions::of_collaborator(), 4).unwrap();
    let offer = AppTransfer {
        id: AppTransferId::random(),
        app: app.id,
        owner: owner.id,
        recipient: ben.id,
        state: TransferState::Pending,
        created_at: 5,
        updated_at: 5,
    };
    store.insert_app_transfer(&offer).unwrap();
    assert_eq!(store.app_transfers(ben.id).unwrap(), std::slice::from_ref(&offer));
    assert!(store.close_app_transfer(&offer, TransferState::Accepted, 6).unwrap());
    assert!(!store.close_app_transfer(&offer, TransferState::Declined, 7).unwrap());
    let closed = store.app_transfer(offer.id).unwrap().unwrap();
    assert_eq!(closed.state, TransferState::Accepted);
    assert_eq!(store.app(app.id).unwrap().unwrap().owner, ben.id);
    assert!(store.collaborators(app.id).unwrap().is_empty());
    assert!("maybe".parse::<TransferState>().is_err());
}

#[test]
fn second_factors_are_sealed_and_used_once() {
    let (directory, store, owner) = store();
    store.propose_second_factor(owner.id, b"a secret of twenty b").unwrap();
    let file = std::fs::read(directory.path().join("windlass.db-wal")).unwrap();
    assert!(!file.windows(8).any(|part| part == b"a secret"), "it is sealed");
    assert_eq!(store.second_factor(owner.id).unwrap().unwrap().confirmed_at, None);
    store.confirm_second_factor(owner.id, &["one".into(), "two".into()], 9).unwrap();
    let factor = store.second_factor(owner.id).unwrap().unwrap();
    assert_eq!(
        (factor.secret.as_slice(), factor.confirmed_at),
        (&b"a secret of twenty b"[..], Some(9))
    );
    assert!(store.use_step(owner.id, 5).unwrap());
    assert!(!store.use_step(owner.id, 5).unwrap() && !store.use_step(owner.id, 4).unwrap());
    assert!(store.use_recovery_code(owner.id, "one").unwrap());
    assert!(!store.use_recovery_code(owner.id, "one").unwrap());
    assert_eq!(store.recovery_codes_left(owner.id).unwrap(), 1);
    store.delete_second_factor(owner.id).unwrap();
    assert!(!store.use_recovery_code(owner.id, "two").unwrap());
}

#[test]
fn passkeys_are_told_apart_and_count_on() {
    let (_directory, store, owner) = store();
    let ben = another(&store, "ben@example.com");
    let passkey = |name: &str, credential_id: &[u8], sign_count| Passkey {
        id: PasskeyId::random(),
        user: ben.id,
        name: name.into(),
        credential_id: credential_id.into(),
        public_key: vec![1, 2],
        relying_party: "localhost".into(),
        sign_count,
        transports: vec!["internal".into(), "hybrid".into()],
        backup_eligible: true,
        backed_up: false,
        created_at: 3,
        last_used_at: None,
    };
    let (laptop, key) = (passkey("Laptop", b"a", 0), passkey("Key", b"b", 7));
    assert!(!store.has_passkeys("localhost").unwrap());
    store.insert_passkey(&laptop).unwrap();
    store.insert_passkey(&key).unwrap();
    assert!(store.insert_passkey(&passkey("Again", b"b", 0)).is_err());
    assert!(store.has_passkeys("localhost").unwrap() && !store.has_passkeys("other").unwrap());
    assert_eq!(store.passkeys(ben.id).unwrap(), [laptop.clone(), key.clone()]);
    assert_eq!(store.passkey_of_credential(b"b").unwrap().as_ref(), Some(&key));
    assert_eq!(store.passkey_of_credential(b"c").unwrap(), None);

    assert!(store.use_passkey(laptop.id, 0, true, 9).unwrap(), "it does not count");
    assert!(store.use_passkey(key.id, 8, false, 9).unwrap());
    assert!(!store.use_passkey(key.id, 8, false, 10).unwrap(), "it has not counted on");
    assert!(!store.use_passkey(key.id, 0, false, 10).unwrap());
    let used = store.passkeys(ben.id).unwrap();
    assert_eq!((used[0].last_used_at, used[0].backed_up), (Some(9), true));
    assert_eq!((used[1].last_used_at, used[1].sign_count), (Some(9), 8));

    assert!(!store.rename_passkey(owner.id, key.id, "Mine").unwrap(), "another's");
    assert!(store.rename_passkey(ben.id, key.id, "Yellow").unwrap());
    assert!(!store.delete_passkey(owner.id, key.id).unwrap(), "another's");
    assert!(store.delete_passkey(ben.id, laptop.id).unwrap());
    assert_eq!(store.passkeys(ben.id).unwrap()[0].name, "Yellow");
    store.remove_user(ben.id, owner.id, 11).unwrap();
    assert_eq!(store.passkey_of_credential(b"b").unwrap(), None);
    assert_eq!(store.delete_passkeys(ben.id).unwrap(), 0);
}

#[test]
fn the_trail_is_kept_bounded() {
    let (_directory, store, owner) = store();
    let app = app(&store, &owner, "bibly");
    let entry = |at: u64| Activity {
        at,
        user: owner.id,
        email: owner.email.clone(),
        token: Some("laptop".into()),
        app: at.is_multiple_of(2).then(|| (app.id, "bibly".into())),
        action: "PATCH /apps/{app}".into(),
        address: Some("127.0.0.1".into()),
        request: None,
    };
    let entries: Vec<_> = (0..ACTIVITY_KEPT + 10).map(entry).collect();
    store.insert_activity(&entries).unwrap();
    store.insert_activity(&[entry(7)]).unwrap();
    let all = store.activity(None, u32::MAX).unwrap();
    assert_eq!(all.len() as u64, ACTIVITY_KEPT);
    assert_eq!(all[0].1, entry(7));
    let of_app = store.activity(Some(app.id), 3).unwrap();
    assert_eq!(of_app.len(), 3);
    assert!(of_app.iter().all(|(_, entry)| entry.app.is_some()));
}

#[test]
fn uses_of_tokens_are_written_once_a_minute() {
    let (_directory, store, owner) = store();
    let token = Token {
        id: TokenId::random(),
        user: owner.id,
        description: String::new(),
        scopes: Scopes::global(),
        created_at: 1,
        updated_at: 1,
        expires_at: None,
        last_used_at: None,
    };
    store.insert_token(&token, "s").unwrap();
    let used = || store.tokens(owner.id, 0).unwrap()[0].last_used_at;
    store.note_token_uses(&[(token.id, 100_000), (token.id, 100_500)]).unwrap();
    assert_eq!(used(), Some(100_000));
    store.note_token_uses(&[(token.id, 159_999)]).unwrap();
    assert_eq!(used(), Some(100_000));
    store.note_token_uses(&[(token.id, 160_000)]).unwrap();
    assert_eq!(used(), Some(160_000));
    let expiring = Token { id: TokenId::random(), expires_at: Some(5), ..token };
    store.insert_token(&expiring, "t").unwrap();
    assert_eq!(store.delete_expired_tokens(5).unwrap(), 0);
    assert_eq!(store.delete_expired_tokens(6).unwrap(), 1);
}
