//! Apps: making, naming and destroying them; their domains, logs and URLs.

use crate::access::random_secret;
use crate::platform::now_ms;
use crate::records::{App, Build, Deploys, Domain, NewRelease, User};
use crate::run::Message;
use crate::{Platform, PlatformError, Result};
use std::collections::BTreeMap;
use windlass_core::ids::{AppId, BuildId, DomainId};
use windlass_core::limits;
use windlass_core::names::{AppName, Hostname};
use windlass_core::release::ReleaseManifest;

const ADJECTIVES: &[&str] = &[
    "able", "brisk", "calm", "deft", "eager", "fair", "gentle", "hardy", "keen", "lively", "merry",
    "noble", "plain", "quick", "rapid", "steady", "tidy", "vivid", "warm", "young",
];
const NOUNS: &[&str] = &[
    "anchor", "bay", "brook", "cape", "cliff", "cove", "delta", "dune", "fjord", "harbor",
    "island", "lagoon", "mast", "oar", "pier", "reef", "sail", "shore", "tide", "wharf",
];

/// Labels of the platform's own domain that no app may take.
const RESERVED_NAMES: &[&str] = &["api", "git", "registry", "dashboard", "www"];

impl Platform {
    /// Makes an app with release v1, an empty repository and a route that says it is blank.
    ///
    /// # Errors
    /// `Invalid` for a name that nobody may have, and beyond [`limits::APPS_PER_USER`]; a name that
    /// is taken.
    pub async fn create_app(&self, user: &User, name: Option<&str>) -> Result<App> {
        let name: AppName = match name {
            Some(name) => name.parse()?,
            None => self.unused_name()?,
        };
        if RESERVED_NAMES.contains(&name.as_str()) {
            return Err(PlatformError::Invalid(format!(
                "Name {name} is reserved for the platform itself."
            )));
        }
        self.check_room_for_app(user)?;
        let now = now_ms();
        let app = App {
            id: AppId::random(),
            name,
            owner: user.id,
            team: None,
            locked: false,
            maintenance: false,
            restart_generation: 0,
            current_release: 0,
            deploys: Deploys::default(),
            created_at: now,
            updated_at: now,
            released_at: None,
        };
        crate::receive::create_repository(self.settings(), app.id).await?;
        self.store().insert_app(&app)?;
        let first = NewRelease {
            app: app.id,
            description: "Initial release".to_owned(),
            user: user.id,
            build: None,
            image: None,
            config_vars: BTreeMap::new(),
            processes: BTreeMap::new(),
            manifest: ReleaseManifest::default(),
            commit: None,
        };
        let release = self.store().insert_release(&first, now)?;
        self.store().commit_release(&release, &BTreeMap::new(), now)?;
        self.sync_links_or_later().await;
        self.start_task_of_new_app(&app)?;
        self.logs().append(app.id, "app[api]", &format!("Initial release by user {}", user.email));
        self.refresh(&app).await?;
        self.follow_hosts().await;
        self.store().app(app.id)?.ok_or(PlatformError::NotFound { resource: "app" })
    }

    /// The server's owner may have as many as the machine bears.
    fn check_room_for_app(&self, user: &User) -> Result<()> {
        let is_owner = self.store().owner()?.is_some_and(|owner| owner.id == user.id);
        if is_owner || self.store().number_of_apps(user.id)? < limits::APPS_PER_USER {
            return Ok(());
        }
        let most = limits::APPS_PER_USER;
        Err(PlatformError::Invalid(format!(
            "You have {most} apps already: destroy one you do not need, or ask the server's owner to make this one."
        )))
    }

    fn unused_name(&self) -> Result<AppName> {
        loop {
            let random = random_secret();
            let number = |at: usize| usize::from_str_radix(&random[at..at + 4], 16).unwrap_or(0);
            let (adjective, noun) =
                (ADJECTIVES[number(0) % ADJECTIVES.len()], NOUNS[number(4) % NOUNS.len()]);
            let name: AppName =
                format!("{adjective}-{noun}-{}", 10_000 + number(8) % 90_000).parse()?;
            if self.store().app_by_name(name.as_str())?.is_none() {
                return Ok(name);
            }
        }
    }

    pub async fn rename_app(&self, user: &User, app: &App, name: &str) -> Result<App> {
        let name: AppName = name.parse()?;
        self.store().rename_app(app.id, &name, now_ms())?;
        self.logs().append(
            app.id,
            "app[api]",
            &format!("Renamed {} to {name} by user {}", app.name, user.email),
        );
        self.refresh(app).await?;
        self.follow_hosts().await;
        self.store().app(app.id)?.ok_or(PlatformError::NotFound { resource: "app" })
    }

    pub async fn set_maintenance(&self, user: &User, app: &App, on: bool) -> Result<App> {
        self.store().set_maintenance(app.id, on, now_ms())?;
        let word = if on { "on" } else { "off" };
        self.logs().append(
            app.id,
            "app[api]",
            &format!("Maintenance mode {word} by user {}", user.email),
        );
        self.refresh(app).await?;
        self.store().app(app.id)?.ok_or(PlatformError::NotFound { resource: "app" })
    }

    /// Stops and removes everything of an app. Its name is free again afterwards. Its volumes stay,
    /// without an app, unless they are to go too.
    pub async fn destroy_app(&self, user: &User, app: &App, with_volumes: bool) -> Result<()> {
        tracing::info!(app = %app.name, user = user.email, "destroying an app");
        self.receiver().cancel_builds(app.id);
        self.builds_under_way().cancel_all_of(app.id);
        self.end_cron_of(app).await?;
        self.stop_one_offs(app.id).await;
        self.ask(app.id, Message::Destroy).await?;
        self.app_tasks().forget(app.id);
        if with_volumes {
            self.destroy_volumes(app).await?;
        }
        self.store().delete_app(app.id)?;
        self.sync_links_or_later().await;
        self.follow_hosts().await;
        self.remove_files(app.id);
        Ok(())
    }

    fn remove_files(&self, app: AppId) {
        let data = &self.settings().data_directory;
        let directories = [
            crate::receive::repository_path(self.settings(), app),
            data.join("caches").join(app.to_string()),
            data.join("builds").join(app.to_string()),
            data.join("logs").join(app.to_string()),
            crate::run::cron_output_directory(data, app),
        ];
        for directory in directories {
            if let Err(error) = std::fs::remove_dir_all(&directory)
                && error.kind() != std::io::ErrorKind::NotFound
            {
                tracing::warn!(directory = %directory.display(), %error, "left behind by an app that was destroyed");
            }
        }
    }

    /// Returns where the app is served, with a slash at the end.
    #[must_use]
    pub fn app_url(&self, app: &App) -> String {
        let host = self.default_hostname(app);
        match (self.settings().https_port, self.settings().router_port) {
            (Some(443), _) if self.has_public_certificate(&host) => format!("https://{host}/"),
            (Some(port), _) if self.has_public_certificate(&host) => {
                format!("https://{host}:{port}/")
            }
            (_, 80) => format!("http://{host}/"),
            (_, 443) => format!("https://{host}/"),
            (_, port) => format!("http://{host}:{port}/"),
        }
    }

    #[must_use]
    pub fn git_url(&self, app: &App) -> String {
        format!("{}/{}.git", self.settings().api_url, app.name)
    }

    #[must_use]
    pub fn default_hostname(&self, app: &App) -> String {
        format!("{}.{}", app.name, self.settings().domain)
    }

    /// Returns the build of the current release; `None` if it came about in another way.
    pub fn current_build(&self, app: &App) -> Result<Option<Build>> {
        match self.current_release(app)?.build {
            Some(build) => Ok(self.store().build(app.id, build)?),
            None => Ok(None),
        }
    }

    pub fn builds(&self, app: &App, limit: u32) -> Result<Vec<Build>> {
        Ok(self.store().builds(app.id, limit)?)
    }

    pub fn build(&self, app: &App, id: &str) -> Result<Build> {
        let missing = PlatformError::NotFound { resource: "build" };
        let Ok(id) = id.parse::<BuildId>() else { return Err(missing) };
        self.store().build(app.id, id)?.ok_or(missing)
    }

    /// Returns the custom domains.
    pub fn domains(&self, app: &App) -> Result<Vec<Domain>> {
        Ok(self.store().domains(app.id)?)
    }

    pub async fn add_domain(&self, user: &User, app: &App, hostname: &str) -> Result<Domain> {
        let hostname: Hostname = hostname.to_ascii_lowercase().parse()?;
        let platform_domain = &self.settings().domain;
        let own = hostname.as_str() == platform_domain
            || hostname.as_str().ends_with(&format!(".{platform_domain}"));
        if own {
            return Err(PlatformError::Invalid(format!(
                "{hostname} belongs to the platform's own domain: every app has <app>.{platform_domain} already."
            )));
        }
        if self.store().domains(app.id)?.len() >= limits::DOMAINS_PER_APP {
            return Err(PlatformError::Invalid(format!(
                "An app can have at most {} domains.",
                limits::DOMAINS_PER_APP
            )));
        }
        let domain = Domain {
            id: DomainId::random(),
            app: app.id,
            hostname,
            certificate: None,
            created_at: now_ms(),
        };
        self.store().insert_domain(&domain)?;
        self.logs().append(
            app.id,
            "app[api]",
            &format!("Add {} domain by user {}", domain.hostname, user.email),
        );
        self.refresh(app).await?;
        self.follow_hosts().await;
        Ok(domain)
    }

    pub async fn remove_domain(
        &self,
        user: &User,
        app: &App,
        hostname_or_id: &str,
    ) -> Result<Domain> {
        let domain = self
            .store()
            .domains(app.id)?
            .into_iter()
            .find(|domain| {
                domain.hostname.as_str() == hostname_or_id
                    || domain.id.to_string() == hostname_or_id
            })
            .ok_or(PlatformError::NotFound { resource: "domain" })?;
        self.store().delete_domain(app.id, domain.id)?;
        self.forget_redirect(app, &domain)?;
        self.logs().append(
            app.id,
            "app[api]",
            &format!("Remove {} domain by user {}", domain.hostname, user.email),
        );
        self.refresh(app).await?;
        self.follow_hosts().await;
        Ok(domain)
    }
}
