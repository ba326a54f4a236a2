//! From a release and a slot to what a driver starts.

use super::container_image::ContainerImage;
use crate::Platform;
use crate::records::{App, Release};
use std::collections::BTreeMap;
use windlass_core::ids::{Digest, InstanceId};
use windlass_core::instance::{InstanceKind, InstanceLabels, InstanceSpec, Output};
use windlass_core::names::ProcessType;
use windlass_core::plan::Slot;

/// The port that every web process gets as `PORT`: each has a network of its own, so it can be
/// the same for all.
pub(crate) const WEB_PORT: u16 = 5000;

/// The user `app` of the stack.
pub(crate) const APP_USER: u32 = 1000;

const LAUNCH: &str = r#"for file in /app/.profile.d/*.sh /app/.profile; do [ -r "$file" ] && . "$file"; done; unset file; exec bash -c "$1""#;

/// Heroku's launch: `.profile.d` in order of name, `.profile`, then the command by `bash -c`.
/// The command is an argument of a fixed script and never pasted into it.
pub(crate) fn launch_command(command: &str) -> Vec<String> {
    ["/bin/bash", "-c", LAUNCH, "bash", command].map(str::to_owned).to_vec()
}

/// Returns the command of a [`launch_command`]; `None` for any other.
pub(crate) fn slug_command(arguments: &[String]) -> Option<String> {
    let (command, fixed) = arguments.split_last()?;
    (launch_command(command).split_last()?.1 == fixed).then(|| command.clone())
}

/// Heroku's run-time environment: config vars may replace `PATH` and `HOME`, never `PORT` or `DYNO`.
pub(crate) fn environment(release: &Release, name: &str) -> BTreeMap<String, String> {
    let mut environment = BTreeMap::from([
        ("PATH".to_owned(), "/usr/local/bin:/usr/bin:/bin".to_owned()),
        ("HOME".to_owned(), "/app".to_owned()),
        ("PWD".to_owned(), "/app".to_owned()),
        ("LANG".to_owned(), "C.UTF-8".to_owned()),
    ]);
    environment.extend(release.config_vars.clone());
    environment.insert("DYNO".to_owned(), name.to_owned());
    environment.insert("PORT".to_owned(), WEB_PORT.to_string());
    environment
}

impl Platform {
    /// Returns how to run `slot` of a release that has an image.
    pub(crate) fn formation_spec(
        &self,
        app: &App,
        release: &Release,
        image: &Digest,
        slot: &Slot,
        generation: u64,
    ) -> InstanceSpec {
        let name = slot.to_string();
        let command = release.processes.get(&slot.process).map(String::as_str).unwrap_or_default();
        let mut spec = InstanceSpec {
            id: InstanceId::random(slot.process.as_str(), slot.index),
            labels: InstanceLabels {
                app: app.id,
                app_name: app.name.clone(),
                kind: InstanceKind::Formation,
                process: slot.process.clone(),
                index: slot.index,
                release: Some(release.version),
                time_limit_ms: None,
                generation,
            },
            image: image.clone(),
            command: launch_command(command),
            working_directory: "/app".to_owned(),
            environment: environment(release, &name),
            user: APP_USER,
            group: None,
            mounts: self.volume_mounts(app.id, &slot.process),
            resources: self.limits_of(app, &slot.process).resources(),
            port: slot.process.is_web().then_some(WEB_PORT),
            output: Output::Log { file: self.logs().file(app.id), source: format!("app[{name}]") },
        };
        if let Some(container) = self.container_image(image) {
            container.apply(&mut spec, release, command);
        }
        self.add_metadata(&mut spec, app, release);
        spec
    }

    /// Returns how an image wants to be run, unless it is a slug's. One that cannot be read is not
    /// run either: the driver says why.
    pub(super) fn container_image(&self, image: &Digest) -> Option<ContainerImage> {
        ContainerImage::of(self.images(), image).unwrap_or_else(|error| {
            tracing::error!(%image, %error, "an image cannot be read");
            None
        })
    }

    /// Returns how to run a one-off command on a release that has an image.
    pub(crate) fn one_off_spec(
        &self,
        app: &App,
        release: &Release,
        image: &Digest,
        index: u32,
        command: &str,
        process: &ProcessType,
    ) -> InstanceSpec {
        let slot = Slot { process: process.clone(), index };
        let mut spec = self.formation_spec(app, release, image, &slot, 0);
        spec.labels.kind = InstanceKind::OneOff;
        spec.command = self
            .container_image(image)
            .map_or_else(|| launch_command(command), |container| container.command(command));
        spec.port = None;
        spec
    }
}
