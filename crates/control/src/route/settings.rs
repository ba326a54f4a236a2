//! What people choose for the requests of an app: which hold, and others in their place.

use crate::platform::now_ms;
use crate::records::{App, User};
use crate::{Platform, PlatformError, Result};
use ring::pbkdf2;
use std::collections::BTreeMap;
use std::num::NonZeroU32;
use windlass_core::names::Hostname;
use windlass_core::routing_settings::{
    DomainRedirect, MOST_ENTRIES, Page, PageKind, PasswordHash, Reported, RoutingSettings,
    RoutingSettingsError, report,
};

/// About 30 ms of a core for each password that is checked.
const ITERATIONS: NonZeroU32 = NonZeroU32::new(100_000).unwrap();

impl From<RoutingSettingsError> for PlatformError {
    fn from(error: RoutingSettingsError) -> Self {
        Self::Invalid(error.to_string())
    }
}

impl Platform {
    /// Returns what somebody chose for the app.
    pub fn routing_settings(&self, app: &App) -> Result<RoutingSettings> {
        Ok(self.store().routing_settings(app.id)?)
    }

    /// Returns every setting that holds for the app, and where it comes from.
    pub fn routing_report(&self, app: &App) -> Result<Vec<Reported>> {
        Ok(report(&self.routing_settings(app)?, &self.settings().routing))
    }

    /// Changes settings by their names, as text; `None` goes back to the default. They hold for
    /// the next request when this returns, without a deploy.
    ///
    /// # Errors
    /// `Invalid` for what cannot be set; nothing is changed then.
    pub async fn set_routing(
        &self,
        user: &User,
        app: &App,
        mut changes: BTreeMap<String, Option<String>>,
    ) -> Result<Vec<Reported>> {
        if let Some(Some(users)) = changes.get_mut("basic-auth") {
            *users = hashed(std::mem::take(users)).await?;
        }
        let names = changes.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
        self.change_routing(user, app, &format!("Update routing ({names})"), |settings| {
            for (name, value) in &changes {
                settings.set(name, value.as_deref())?;
            }
            settings.check()?;
            // What they share with the server's must fit together as well.
            settings.over(&self.settings().routing).check()?;
            Ok(())
        })
        .await?;
        self.routing_report(app)
    }

    /// Makes a domain of the app lead to another one, or serves the app there again.
    pub async fn redirect_domain(
        &self,
        user: &User,
        app: &App,
        from: &str,
        redirect: Option<DomainRedirect>,
    ) -> Result<()> {
        let from: Hostname = from.to_ascii_lowercase().parse()?;
        let own = self.hosts_of(app)?;
        if !own.contains(&from) {
            return Err(PlatformError::Invalid(format!(
                "{from} is no domain of {}: add it first with windlass domains:add {from}.",
                app.name
            )));
        }
        if let Some(redirect) = &redirect
            && ![301, 308].contains(&redirect.status)
        {
            return Err(RoutingSettingsError::RedirectStatus(redirect.status).into());
        }
        let what = match &redirect {
            Some(redirect) => format!("Redirect {from} to {}", redirect.to),
            None => format!("Serve {from} again"),
        };
        self.change_routing(user, app, &what, |settings| {
            match &redirect {
                Some(redirect) => drop(settings.redirects.insert(from.clone(), redirect.clone())),
                None => drop(settings.redirects.remove(&from)),
            }
            Ok(settings.check()?)
        })
        .await
    }

    /// Puts a page in HTML in the place of the router's, or takes it away.
    pub async fn set_routing_page(
        &self,
        user: &User,
        app: &App,
        kind: PageKind,
        html: Option<&str>,
    ) -> Result<()> {
        let page = html.map(Page::new).transpose()?;
        let verb = if page.is_some() { "Update" } else { "Remove" };
        let what = format!("{verb} {} page", kind.as_str());
        self.change_routing(user, app, &what, |settings| {
            settings.pages.put(kind, page.clone());
            Ok(())
        })
        .await
    }

    async fn change_routing(
        &self,
        user: &User,
        app: &App,
        what: &str,
        change: impl Fn(&mut RoutingSettings) -> Result<()>,
    ) -> Result<()> {
        let before = self.routing_settings(app)?;
        let mut after = before.clone();
        change(&mut after)?;
        // Of those that were there before, the host may have gone meanwhile.
        for mount in after.paths.iter().filter(|mount| !before.paths.contains(mount)) {
            self.host_of_mount(app, mount)?;
        }
        self.store().update_routing_settings(app.id, now_ms(), change)?;
        self.logs().append(app.id, "app[api]", &format!("{what} by user {}", user.email));
        self.refresh(app).await
    }
}

/// Puts hashes in the place of passwords: `ann:secret bob:other`.
async fn hashed(users: String) -> Result<String> {
    let hash = move || {
        let of = |user: &str| match user.split_once(':') {
            // A hash that was read elsewhere.
            Some((_, rest)) if rest.parse::<PasswordHash>().is_ok() => user.to_owned(),
            Some((name, password)) if !password.is_empty() => {
                format!("{name}:{}", hash(password))
            }
            _ => user.to_owned(),
        };
        users.split_whitespace().take(MOST_ENTRIES + 1).map(of).collect::<Vec<_>>().join(" ")
    };
    let failed = |error| PlatformError::internal("passwords could not be hashed", error);
    tokio::task::spawn_blocking(hash).await.map_err(failed)
}

fn hash(password: &str) -> PasswordHash {
    // A salt need only be another each time.
    let (salt, mut hash) = (uuid::Uuid::new_v4().as_bytes().to_vec(), [0; 32]);
    let algorithm = pbkdf2::PBKDF2_HMAC_SHA256;
    pbkdf2::derive(algorithm, ITERATIONS, &salt, password.as_bytes(), &mut hash);
    PasswordHash { iterations: ITERATIONS, salt, hash }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn passwords_are_hashed_and_hashes_kept() {
        let once = hashed("ann:se:cret bob:other".into()).await.unwrap();
        assert!(!once.contains("se:cret") && !once.contains("other"), "{once}");
        let again = hashed(once.clone()).await.unwrap();
        assert_eq!(once, again);
        let mut settings = RoutingSettings::default();
        settings.set("basic-auth", Some(&once)).unwrap();
        let password = &settings.basic_auth[0].password;
        let algorithm = pbkdf2::PBKDF2_HMAC_SHA256;
        let check = |text: &[u8]| {
            pbkdf2::verify(algorithm, password.iterations, &password.salt, text, &password.hash)
        };
        assert!(check(b"se:cret").is_ok() && check(b"secret").is_err());
        // What is no user stays as it is, for the error to name what is wanted.
        assert_eq!(hashed("ann".into()).await.unwrap(), "ann");
    }
}
