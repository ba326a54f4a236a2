//! Keys of Heroku's CLI for `ps:exec`: it makes one for each command, hands it in over the API and
//! logs in with it over SSH. Such a key is for one instance, and goes soon.

use super::attached::Holder;
use super::exec::ExecRequest;
use super::views::{InstanceDisplayState, InstanceView};
use crate::records::{App, Token, User};
use crate::{Platform, PlatformError, Result};
use std::collections::HashMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};
use uuid::Uuid;
use windlass_core::driver::Attached;

/// How long a key waits for its client.
const UNUSED: Duration = Duration::from_secs(60);
/// How long a key with which connections are forwarded waits for the next one.
const FORWARDING: Duration = Duration::from_secs(10 * 60);

/// What a client logs in with, and where the instance is.
#[derive(Clone, Debug)]
pub struct ExecLogin {
    /// The user name of the SSH connection; nobody can guess it.
    pub login: String,
    /// The instance's address on the private network, if it has one.
    pub address: Option<IpAddr>,
}

/// Somebody who has logged in with such a key, and may still operate the app.
#[derive(Clone, Debug)]
pub struct ExecSession {
    login: String,
    /// Who handed the key in, with which token.
    holder: Holder,
    instance: Uuid,
    /// The instance's name, for example `web.1`.
    pub name: String,
}

/// The keys that are good now, by the user names of their connections.
#[derive(Default)]
pub(crate) struct ExecKeys(HashMap<String, ExecKey>);

#[derive(Clone)]
struct ExecKey {
    fingerprint: String,
    holder: Holder,
    instance: Uuid,
    name: String,
    until: Instant,
}

impl ExecKeys {
    fn add(&mut self, login: String, key: ExecKey, now: Instant) {
        self.0.retain(|_, key| key.until > now);
        self.0.insert(login, key);
    }

    fn find(&self, login: &str, fingerprint: &str, now: Instant) -> Option<&ExecKey> {
        self.0.get(login).filter(|key| key.until > now && key.fingerprint == fingerprint)
    }

    fn spend(&mut self, login: &str) -> bool {
        self.0.remove(login).is_some()
    }

    fn keep(&mut self, login: &str, now: Instant) -> bool {
        let Some(key) = self.0.get_mut(login).filter(|key| key.until > now) else { return false };
        key.until = now + FORWARDING;
        true
    }
}

impl Platform {
    /// Lets the key with this `SHA256:…` fingerprint in for one command or copy inside the
    /// instance called `name`, if it is used within a minute; where connections are forwarded with
    /// it, for ten minutes after each.
    ///
    /// # Errors
    /// `NotFound` without such an instance, `Conflict` when it does not run.
    pub async fn let_exec_key_in(
        &self,
        (user, token): (&User, &Token),
        app: &App,
        name: &str,
        fingerprint: String,
    ) -> Result<ExecLogin> {
        let view = self.instance_where(app, |view| view.name == name).await?;
        let running = self.running_instance(app, &view).await?;
        let login = crate::access::random_secret();
        let now = Instant::now();
        let key = ExecKey {
            fingerprint,
            holder: Holder { user: user.id, token: Some(token.id), app: app.id },
            instance: view.id,
            name: view.name,
            until: now + UNUSED,
        };
        self.app_tasks().exec_keys().add(login.clone(), key, now);
        Ok(ExecLogin { login, address: running.private_address })
    }

    /// Returns the names of the instances in which commands can be run.
    pub async fn exec_names(&self, app: &App) -> Result<Vec<String>> {
        let up = |view: &InstanceView| view.state == InstanceDisplayState::Up;
        let views = self.instances(app).await?.into_iter().filter(up);
        Ok(views.map(|view| view.name).collect())
    }

    /// Returns who logs in with a key; `None` if it is not good, its user may no longer operate the
    /// app, or their token was revoked.
    #[must_use]
    pub fn exec_session(&self, login: &str, fingerprint: &str) -> Option<ExecSession> {
        let key = self.app_tasks().exec_keys().find(login, fingerprint, Instant::now())?.clone();
        self.require_holder(key.holder).ok()?;
        let login = login.to_owned();
        Some(ExecSession { login, holder: key.holder, instance: key.instance, name: key.name })
    }

    /// Uses the session's key up; false if it was already.
    pub fn spend_exec_key(&self, session: &ExecSession) -> bool {
        self.app_tasks().exec_keys().spend(&session.login)
    }

    /// Keeps the session's key good for the next connection that is forwarded; false if it is not
    /// any more.
    pub fn keep_exec_key(&self, session: &ExecSession) -> bool {
        self.app_tasks().exec_keys().keep(&session.login, Instant::now())
    }

    /// Starts a command inside the session's instance at once. Dropping what is returned kills it,
    /// and so does the loss of the token or the app.
    ///
    /// `doing` is what the app's log says of it, for example "Copying notes.txt from".
    ///
    /// # Errors
    /// `NotFound` or `Conflict` when the instance has gone meanwhile, `Invalid` when the command
    /// cannot be started, and what [`Platform::app_to`] says to who may not any more.
    pub async fn exec_in_session(
        &self,
        session: &ExecSession,
        request: ExecRequest,
        doing: &str,
    ) -> Result<Attached> {
        let (user, app) = self.require_holder(session.holder)?;
        let view = self.instance_where(&app, |view| view.id == session.instance).await?;
        let running = self.running_instance(&app, &view).await?;
        let message = format!("{doing} {} by user {}", view.name, user.email);
        self.logs().append(app.id, "app[api]", &message);
        let command = self.exec_command(&running.spec, request);
        let attached = self.start_exec(&view.name, &running.spec.id, command).await?;
        Ok(self.while_held(session.holder, attached))
    }

    async fn instance_where(
        &self,
        app: &App,
        is_meant: impl Fn(&InstanceView) -> bool,
    ) -> Result<InstanceView> {
        let found = self.instances(app).await?.into_iter().find(is_meant);
        found.ok_or(PlatformError::NotFound { resource: "dyno" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use windlass_core::ids::{AppId, TokenId, UserId};

    fn key(now: Instant) -> ExecKey {
        ExecKey {
            fingerprint: "SHA256:a".to_owned(),
            holder: Holder {
                user: UserId::random(),
                token: Some(TokenId::random()),
                app: AppId::random(),
            },
            instance: Uuid::nil(),
            name: "web.1".to_owned(),
            until: now + UNUSED,
        }
    }

    #[test]
    fn a_key_is_good_for_its_login_and_its_time() {
        let (mut keys, now) = (ExecKeys::default(), Instant::now());
        keys.add("u".to_owned(), key(now), now);
        assert!(keys.find("u", "SHA256:a", now).is_some());
        assert!(keys.find("u", "SHA256:b", now).is_none(), "another key");
        assert!(keys.find("v", "SHA256:a", now).is_none(), "another login");
        assert!(keys.find("u", "SHA256:a", now + UNUSED).is_none(), "too late");
        assert!(!keys.keep("u", now + UNUSED), "what is over stays so");
        keys.add("w".to_owned(), key(now + UNUSED), now + UNUSED);
        assert_eq!(keys.0.len(), 1, "what is over is forgotten");
    }

    #[test]
    fn a_command_uses_its_key_up_and_a_forwarded_connection_keeps_it() {
        let (mut keys, now) = (ExecKeys::default(), Instant::now());
        keys.add("u".to_owned(), key(now), now);
        let later = now + Duration::from_secs(30);
        assert!(keys.keep("u", later));
        assert!(keys.find("u", "SHA256:a", now + FORWARDING).is_some());
        assert!(keys.find("u", "SHA256:a", later + FORWARDING).is_none());
        assert!(keys.spend("u") && !keys.spend("u"));
        assert!(keys.find("u", "SHA256:a", now).is_none());
    }
}
