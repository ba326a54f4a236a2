//! The pages on which people see to their passkeys: which are open, for whom, in which browser.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use windlass_control::access::random_secret;
use windlass_control::records::{Token, User};
use windlass_core::ids::{TokenId, UserId};
use windlass_core::webauthn::Challenge;

/// How long a page is good for.
const LIFETIME: Duration = Duration::from_secs(15 * 60);

/// One at most for each user, by the secret in its URL.
#[derive(Default)]
pub(crate) struct OpenPages(Mutex<HashMap<String, Arc<OpenPage>>>);

pub(super) struct OpenPage {
    pub(super) user: UserId,
    /// The token that it was opened with: without it the page is over.
    pub(super) token: TokenId,
    until: Instant,
    /// What the browser that came first shows when it comes again.
    browser: Mutex<Option<String>>,
    challenge: Mutex<Option<Challenge>>,
}

/// A page that was opened.
pub(super) struct Opened {
    pub(super) path: String,
    /// Milliseconds since the Unix epoch.
    pub(super) expires_at: u64,
}

/// How a browser stands to a page.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Visit {
    /// It was the first, and is to show this from now on.
    First(String),
    Again,
    /// Another one was there before.
    Stranger,
}

impl OpenPages {
    /// Opens a page, and closes the one that its user had.
    pub(super) fn open(&self, user: &User, token: &Token) -> Opened {
        let secret = random_secret();
        let path = format!("/auth/passkeys/{secret}");
        let page = OpenPage {
            user: user.id,
            token: token.id,
            until: Instant::now() + LIFETIME,
            browser: Mutex::default(),
            challenge: Mutex::default(),
        };
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|_, page| page.user != user.id && page.until > Instant::now());
        all.insert(secret, Arc::new(page));
        let now = u64::try_from(jiff::Timestamp::now().as_millisecond()).unwrap_or_default();
        let lifetime = u64::try_from(LIFETIME.as_millis()).unwrap_or_default();
        Opened { path, expires_at: now + lifetime }
    }

    pub(super) fn find(&self, secret: &str) -> Option<Arc<OpenPage>> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.get(secret).filter(|page| page.until > Instant::now()).cloned()
    }
}

impl OpenPage {
    /// Notes a browser that shows this, or nothing; only the first gets in.
    pub(super) fn visit(&self, shown: Option<&str>) -> Visit {
        let mut browser = self.browser.lock().unwrap_or_else(PoisonError::into_inner);
        match browser.as_deref() {
            None => Visit::First(browser.insert(random_secret()).clone()),
            Some(known) if shown == Some(known) => Visit::Again,
            Some(_) => Visit::Stranger,
        }
    }

    /// Remembers what its browser is asked, instead of what it was asked before.
    pub(super) fn ask(&self, challenge: Challenge) {
        *self.challenge.lock().unwrap_or_else(PoisonError::into_inner) = Some(challenge);
    }

    /// Returns what its browser was asked, once.
    pub(super) fn asked(&self) -> Option<Challenge> {
        self.challenge.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    pub(super) fn seconds_left(&self) -> u64 {
        self.until.saturating_duration_since(Instant::now()).as_secs()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use windlass_control::access::new_challenge;
    use windlass_core::access::Scopes;

    fn somebody() -> (User, Token) {
        let user = User {
            id: UserId::random(),
            email: "ada@example.com".into(),
            name: None,
            last_login_at: None,
            created_at: 1,
        };
        let token = Token {
            id: TokenId::random(),
            user: user.id,
            description: String::new(),
            scopes: Scopes::global(),
            created_at: 1,
            updated_at: 1,
            expires_at: None,
            last_used_at: None,
        };
        (user, token)
    }

    #[test]
    fn a_page_is_for_one_browser_and_a_new_one_ends_it() {
        let (pages, (ada, token), (ben, other)) = (OpenPages::default(), somebody(), somebody());
        let secret = |opened: &Opened| opened.path.rsplit('/').next().unwrap().to_owned();
        let first = secret(&pages.open(&ada, &token));
        let page = pages.find(&first).unwrap();
        let Visit::First(cookie) = page.visit(None) else { panic!("nobody was there before") };
        assert_eq!(page.visit(Some(&cookie)), Visit::Again);
        assert_eq!(page.visit(None), Visit::Stranger);
        assert_eq!(page.visit(Some("guessed")), Visit::Stranger);
        let of_ben = secret(&pages.open(&ben, &other));
        assert!(pages.find(&first).is_some() && pages.find(&of_ben).is_some());
        let second = secret(&pages.open(&ada, &token));
        assert!(pages.find(&first).is_none() && pages.find(&second).is_some());
        assert!(pages.find("guessed").is_none());
    }

    #[test]
    fn a_challenge_is_taken_once() {
        let (pages, (ada, token)) = (OpenPages::default(), somebody());
        let path = pages.open(&ada, &token).path;
        let page = pages.find(path.rsplit('/').next().unwrap()).unwrap();
        assert!(page.asked().is_none());
        let (first, second) = (new_challenge(), new_challenge());
        assert_ne!(first, second);
        let text = second.text();
        page.ask(first);
        page.ask(second);
        assert_eq!(page.asked().map(|challenge| challenge.text()), Some(text));
        assert!(page.asked().is_none());
    }
}
