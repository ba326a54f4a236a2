//! Deploys of images from registries. They go on in the background, as builds of archives do.

use super::Session;
use crate::build::{BuildJob, BuildOutput, Timings};
use crate::records::{App, Build, NewRelease, User};
use crate::registry::ImageReference;
use crate::release::{DeployOptions, ReleaseRequest};
use crate::{Platform, Result};

impl Platform {
    /// Starts to pull an image and to deploy it; returns the pending build.
    ///
    /// # Errors
    /// `Invalid` if it is no reference to an image. What goes wrong later is in the build's output.
    pub fn start_image_deploy(&self, user: &User, app: &App, reference: &str) -> Result<Build> {
        let reference = ImageReference::parse(reference)?;
        let job = self.begin_build(user, app, None)?;
        let build = job.build.clone();
        let session = Session::without_git(user, app);
        let platform = self.clone();
        tokio::spawn(async move { platform.deploy_image(&session, &job, &reference).await });
        Ok(build)
    }

    async fn deploy_image(&self, session: &Session, job: &BuildJob, reference: &ImageReference) {
        let mut output = BuildOutput::to_nobody();
        output.keep_in(&self.build_output_file(&job.build));
        let line = self.receiver().line_of(session.app.id);
        let mut timings = Timings::default();
        let work = async {
            let _turn = match line.turn.try_lock() {
                Ok(turn) => turn,
                Err(_) => {
                    output
                        .heading("Another build of this app is under way; waiting for its turn...");
                    line.turn.lock().await
                }
            };
            self.pull_and_release(session, job, reference, &mut output, &mut timings).await
        };
        let done = job.unless_canceled(work).await;
        timings.stop();
        self.keep_timings(session, &timings);
        if let Err(error) = done {
            self.explain(session, &error, &mut output);
        }
    }

    async fn pull_and_release(
        &self,
        session: &Session,
        job: &BuildJob,
        reference: &ImageReference,
        output: &mut BuildOutput,
        timings: &mut Timings,
    ) -> Result<()> {
        let pulled = self.pull_image(job.build.clone(), reference, output, timings).await?;
        output.heading("Launching...");
        let _turn = self.release_turn(&session.app).await;
        let new = NewRelease {
            app: session.app.id,
            description: format!("Deploy image {}", reference.with_digest(&pulled.digest)),
            user: session.user.id,
            build: Some(pulled.build.id),
            image: Some(pulled.image),
            config_vars: self.config_vars(&session.app)?,
            processes: pulled.processes,
            manifest: windlass_core::release::ReleaseManifest::default(),
            commit: None,
        };
        let options =
            DeployOptions { output: Some(output), may_be_canary: true, ..DeployOptions::default() };
        let request = ReleaseRequest { new, even_if_broken: false };
        let deployed =
            self.release_and_deploy_with(&session.user, &session.app, request, options).await?;
        timings.add_stages(&deployed.stages.map(|(stage, ms)| (stage.to_owned(), ms)).into());
        output.detail(&format!("Released v{}", deployed.release.version));
        let app = self.store().app(session.app.id)?.unwrap_or_else(|| session.app.clone());
        output.detail(&format!("{} deployed to Windlass", self.app_url(&app)));
        self.hint_at_scaling(&deployed.release.processes, session, output);
        Ok(())
    }
}
