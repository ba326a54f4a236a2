//! Setups: an app from a source with an app.json in one step. Review apps are made this way too.

use crate::platform::now_ms;
use crate::receive::{SetupSource, SourceRequest};
use crate::records::{App, AppSetup, ReleaseStatus, User};
use crate::{Platform, PlatformError, Result};
use std::collections::BTreeMap;
use windlass_core::access::Permission;
use windlass_core::ids::{AppId, AppSetupId};
use windlass_core::pipeline::Stage;

const MISSING: PlatformError = PlatformError::NotFound { resource: "app_setup" };

/// What an app is set up from.
#[derive(Clone, Debug, Default)]
pub struct AppSetupRequest {
    /// `None`: one is made up.
    pub name: Option<String>,
    /// `None`: the default one.
    pub stack: Option<&'static str>,
    pub source: SourceRequest,
    /// In place of the values in app.json.
    pub env: BTreeMap<String, String>,
    /// In place of the buildpacks in app.json.
    pub buildpacks: Vec<String>,
}

/// The rest of a setup whose app is there.
pub(super) struct SetupWork {
    pub setup: AppSetup,
    pub user: User,
    pub app: App,
    pub source: SetupSource,
    pub config_vars: BTreeMap<String, String>,
    pub buildpacks: Vec<String>,
}

impl Platform {
    /// Makes an app and starts to build and deploy it.
    ///
    /// # Errors
    /// `Invalid` if the request makes no sense. What goes wrong later is told by the record.
    pub async fn set_up_app(&self, user: &User, request: AppSetupRequest) -> Result<AppSetup> {
        if request.source.url.is_empty() {
            return Err(PlatformError::Invalid(
                "A setup needs source_blob.url: see POST /sources.".to_owned(),
            ));
        }
        let app = self.create_app(user, request.name.as_deref()).await?;
        if let Some(stack) = request.stack {
            self.set_build_stack(user, &app, stack)?;
        }
        let work = SetupWork {
            setup: self.new_setup(user, &app)?,
            user: user.clone(),
            app,
            source: SetupSource::Archive(request.source),
            config_vars: request.env,
            buildpacks: request.buildpacks,
        };
        let setup = work.setup.clone();
        let platform = self.clone();
        tokio::spawn(async move { platform.run_setup(work).await });
        Ok(setup)
    }

    pub(super) fn new_setup(&self, user: &User, app: &App) -> Result<AppSetup> {
        let now = now_ms();
        let setup = AppSetup {
            id: AppSetupId::random(),
            app: app.id,
            user: user.id,
            status: ReleaseStatus::Pending,
            failure: None,
            build: None,
            postdeploy: None,
            created_at: now,
            updated_at: now,
        };
        self.store().save_app_setup(&setup)?;
        Ok(setup)
    }

    /// Does the work of a setup to its end; the record tells what came of it.
    pub(super) async fn run_setup(&self, mut work: SetupWork) -> AppSetup {
        let failure = match self.set_up(&mut work).await {
            Ok(failure) => failure,
            Err(error) => {
                if matches!(error, PlatformError::Internal(..)) {
                    tracing::error!(app = %work.app.name, error = &error as &dyn std::error::Error, "a setup failed");
                }
                Some(error.to_string())
            }
        };
        let mut setup = work.setup;
        setup.status = match failure {
            None => ReleaseStatus::Succeeded,
            Some(_) => ReleaseStatus::Failed,
        };
        setup.failure = failure;
        self.keep_setup(&mut setup);
        setup
    }

    /// Returns why the setup failed; an error is one that came before the build.
    async fn set_up(&self, work: &mut SetupWork) -> Result<Option<String>> {
        let (user, app) = (&work.user, &work.app);
        let config_vars = std::mem::take(&mut work.config_vars).into_iter();
        let changes = config_vars.map(|(name, value)| (name, Some(value))).collect();
        self.update_config_vars(user, app, changes).await?;
        if !work.buildpacks.is_empty() {
            self.set_buildpacks(user, app, &work.buildpacks)?;
        }
        let (build, building) = self.begin_setup_build(user, app, work.source.clone()).await?;
        work.setup.build = Some(build);
        self.keep_setup(&mut work.setup);
        let done = building.await;
        work.setup.postdeploy = done.postdeploy.map(|ended| (ended.output, ended.code));
        // As on Heroku: an app without its data is not set up, though it is served.
        let failed = work.setup.postdeploy.as_ref().filter(|(_, code)| *code != 0);
        let failed = failed.map(|(_, code)| format!("postdeploy exited with status {code}"));
        Ok(done.failure.or(failed))
    }

    fn keep_setup(&self, setup: &mut AppSetup) {
        setup.updated_at = now_ms();
        if let Err(error) = self.store().save_app_setup(setup) {
            // Its app may have been destroyed meanwhile, and the record with it.
            tracing::warn!(setup = %setup.id, %error, "what became of a setup could not be kept");
        }
    }

    /// Returns a setup whose app this user may see.
    pub fn app_setup(&self, user: &User, id: &str) -> Result<(AppSetup, App)> {
        let id: AppSetupId = id.parse().map_err(|_| MISSING)?;
        let setup = self.store().app_setup(id)?.ok_or(MISSING)?;
        match self.app(user, &setup.app.to_string()) {
            // What a script said may be secret, as the app's code is.
            Ok(app) if self.permissions(user, &app)?.contains(Permission::Deploy) => {
                Ok((setup, app))
            }
            Ok(_) | Err(PlatformError::NotFound { .. }) => Err(MISSING),
            Err(other) => Err(other),
        }
    }

    /// Returns the environment of app.json that counts for an app.
    pub(crate) fn environment_of(&self, app: AppId) -> Result<Option<&'static str>> {
        let coupling = self.store().coupling_of_app(app)?;
        Ok(coupling.filter(|c| c.stage == Stage::Review).map(|_| Stage::Review.as_str()))
    }

    /// What was under way when the server stopped is over: say so.
    pub(crate) fn settle_pipelines(&self, reason: &str) -> Result<()> {
        let promotions = self.store().settle_promotions(reason)?;
        let setups = self.store().fail_pending_app_setups(reason, now_ms())?;
        let reviews = self.store().settle_review_apps(reason, now_ms())?;
        if promotions + setups + reviews > 0 {
            tracing::warn!(
                promotions,
                setups,
                reviews,
                "settled what the last run left unfinished"
            );
        }
        Ok(())
    }
}
