//! The platform: what all methods share, and its start.

use crate::access::{Guard, Recorder};
use crate::acme::Acme;
use crate::build::Builds;
use crate::certificates::CertificateSync;
use crate::distribution::Distribution;
use crate::observe::{LastHealth, LogDrains, LogSessions, LogStore};
use crate::outgoing::Outgoing;
use crate::receive::Receiver;
use crate::release::Stacks;
use crate::route::{LinkSync, Routes};
use crate::run::{Apps, LOOK_EVERY, Watch};
use crate::settings::Settings;
use crate::webhooks::Webhooks;
use crate::{PlatformError, Result};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::{Arc, Weak};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use windlass_core::driver::Driver;
use windlass_core::route::RouterPort;
use windlass_oci::ImageStore;
use windlass_store::Store;

/// Housekeeping comes round every five seconds.
const ROUND: Duration = Duration::from_secs(5);
/// How often cron jobs are looked at.
const CRON_ROUND: Duration = Duration::from_secs(1);
const ROUNDS_A_DAY: u64 = 24 * 60 * 60 / ROUND.as_secs();

/// The control plane of one server. Cheap to clone.
#[derive(Clone)]
pub struct Platform(Arc<Parts>);

pub(crate) struct Parts {
    settings: Settings,
    store: Store,
    images: ImageStore,
    driver: Arc<dyn Driver>,
    guard: Guard,
    recorder: Recorder,
    logs: LogStore,
    log_sessions: LogSessions,
    log_drains: LogDrains,
    last_health: LastHealth,
    webhooks: Webhooks,
    outgoing: Arc<Outgoing>,
    routes: Routes,
    link_sync: LinkSync,
    certificate_sync: CertificateSync,
    acme: Acme,
    apps: Apps,
    receiver: Receiver,
    builds: Builds,
    distribution: Distribution,
    stacks: Stacks,
}

/// Milliseconds since the Unix epoch.
pub(crate) fn now_ms() -> u64 {
    now_us() / 1_000
}

/// Microseconds since the Unix epoch.
pub(crate) fn now_us() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(now.as_micros()).unwrap_or(u64::MAX)
}

impl Platform {
    /// Opens the platform over its data directory, takes over what the driver runs, brings the
    /// router's table up to date and starts the reconcilers.
    pub async fn open(
        settings: Settings,
        driver: Arc<dyn Driver>,
        images: ImageStore,
        router: Arc<dyn RouterPort>,
    ) -> Result<Self> {
        prepare_directories(&settings)?;
        let store = Store::open(&settings.data_directory)?;
        crate::build::unpack_buildpacks(&settings.data_directory)?;
        let logs = LogStore::new(settings.data_directory.join("logs"));
        let concurrent_builds = settings.build.concurrent;
        let platform = Self(Arc::new(Parts {
            receiver: Receiver::new(&settings),
            outgoing: Arc::new(Outgoing::new(settings.outgoing.clone())),
            distribution: Distribution::new(&settings.data_directory),
            stacks: Stacks::default(),
            settings,
            guard: Guard::default(),
            recorder: Recorder::start(store.clone()),
            store,
            images,
            driver,
            logs,
            log_sessions: LogSessions::default(),
            log_drains: LogDrains::default(),
            last_health: LastHealth::default(),
            webhooks: Webhooks::default(),
            routes: Routes::new(router),
            link_sync: LinkSync::default(),
            certificate_sync: CertificateSync::default(),
            acme: Acme::default(),
            apps: Apps::default(),
            builds: Builds::new(concurrent_builds),
        }));
        platform.clean_up_after_last_run().await?;
        platform.receiver().uploads().clear();
        platform.distribution().prepare()?;
        crate::receive::clear_fetches(platform.settings());
        platform.remove_left_logins();
        platform.sync_links_or_later().await;
        platform.take_over_instances().await?;
        platform.sync_certificates_or_later().await;
        platform.drop_unknown_snapshots().await;
        platform.serve_hooks()?;
        platform.spawn_housekeeping();
        platform.spawn_watch();
        Ok(platform)
    }

    /// What was under way when the server stopped is over: say so.
    async fn clean_up_after_last_run(&self) -> Result<()> {
        let reason = "the server stopped before this had ended";
        let builds = self.store().fail_pending_builds(reason, now_ms())?;
        let releases = self.store().fail_pending_releases(reason, now_ms())?;
        self.settle_pipelines(reason)?;
        if builds + releases > 0 {
            tracing::warn!(builds, releases, "marked as failed what the last run left unfinished");
        }
        Ok(())
    }

    /// Starts cron jobs when they are due, from now on.
    pub fn spawn_cron(&self) {
        let weak = Arc::downgrade(&self.0);
        tokio::spawn(async move {
            let mut interval = tokio::time::interval(CRON_ROUND);
            interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
            loop {
                interval.tick().await;
                let Some(parts) = weak.upgrade() else { return };
                Self(parts).cron_round(now_ms()).await;
            }
        });
    }

    fn spawn_housekeeping(&self) {
        let weak = Arc::downgrade(&self.0);
        tokio::spawn(async move {
            let mut interval = tokio::time::interval(ROUND);
            let mut round = 0u64;
            loop {
                interval.tick().await;
                let Some(parts) = weak.upgrade() else { return };
                let platform = Self(parts);
                platform.receiver().uploads().collect();
                platform.sync_links_if_pending().await;
                platform.sync_certificates_if_pending().await;
                if round.is_multiple_of(ROUNDS_A_DAY / 24) {
                    // What has expired meanwhile is replaced by what has not.
                    platform.sync_certificates_or_later().await;
                }
                let logs = platform.logs().clone();
                let rotated = tokio::task::spawn_blocking(move || logs.rotate()).await;
                if let Ok(Err(error)) = rotated {
                    tracing::warn!(%error, "logs could not be rotated");
                }
                if round.is_multiple_of(120) {
                    platform.collect_pushed().await;
                    platform.collect_images().await;
                }
                if round.is_multiple_of(ROUNDS_A_DAY / 24) {
                    platform.destroy_stale_review_apps();
                }
                if round.is_multiple_of(ROUNDS_A_DAY) {
                    platform.collect_expired_tokens();
                    // Beside the rest: it may take minutes.
                    tokio::spawn(async move { platform.collect_build_caches().await });
                }
                round += 1;
            }
        });
    }

    /// Watches what instances take of the machine, beside all else.
    fn spawn_watch(&self) {
        let weak = Arc::downgrade(&self.0);
        tokio::spawn(async move {
            let mut watch = Watch::default();
            loop {
                tokio::time::sleep(LOOK_EVERY).await;
                let Some(parts) = weak.upgrade() else { return };
                Self(parts).watch_instances(&mut watch).await;
            }
        });
    }

    /// Removes images that neither a kept release nor anything that runs needs.
    async fn collect_images(&self) {
        let running: Vec<_> = match self.driver().observe().await {
            Ok(running) => running.into_iter().map(|instance| instance.spec.image).collect(),
            Err(error) => {
                tracing::warn!(%error, "images are not collected: what runs is not known");
                return;
            }
        };
        let (store, images, kept) =
            (self.store().clone(), self.images().clone(), self.settings().releases_kept);
        let collected = tokio::task::spawn_blocking(move || -> Result<usize> {
            let mut in_use = store.images_in_use(kept)?;
            in_use.extend(running);
            Ok(images.collect(&in_use)?)
        });
        match collected.await {
            Ok(Ok(0)) => {}
            Ok(Ok(images)) => tracing::info!(images, "collected images that no release keeps"),
            Ok(Err(error)) => tracing::warn!(%error, "images could not be collected"),
            Err(error) => tracing::warn!(%error, "the image collector stopped"),
        }
    }

    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.0.settings
    }

    pub(crate) fn store(&self) -> &Store {
        &self.0.store
    }

    pub(crate) fn guard(&self) -> &Guard {
        &self.0.guard
    }

    pub(crate) fn recorder(&self) -> &Recorder {
        &self.0.recorder
    }

    pub(crate) fn images(&self) -> &ImageStore {
        &self.0.images
    }

    pub(crate) fn driver(&self) -> &Arc<dyn Driver> {
        &self.0.driver
    }

    pub(crate) fn logs(&self) -> &LogStore {
        &self.0.logs
    }

    pub(crate) fn log_sessions(&self) -> &LogSessions {
        &self.0.log_sessions
    }

    pub(crate) fn log_drain_state(&self) -> &LogDrains {
        &self.0.log_drains
    }

    pub(crate) fn last_health(&self) -> &LastHealth {
        &self.0.last_health
    }

    pub(crate) fn webhook_state(&self) -> &Webhooks {
        &self.0.webhooks
    }

    pub(crate) fn outgoing(&self) -> &Arc<Outgoing> {
        &self.0.outgoing
    }

    pub(crate) fn routes(&self) -> &Routes {
        &self.0.routes
    }

    pub(crate) fn link_sync(&self) -> &LinkSync {
        &self.0.link_sync
    }

    pub(crate) fn acme(&self) -> &Acme {
        &self.0.acme
    }

    /// Returns a platform that does not keep it from ending; see [`Platform::upgrade`].
    pub(crate) fn downgrade(&self) -> Weak<Parts> {
        Arc::downgrade(&self.0)
    }

    /// Returns the platform, unless it has ended.
    pub(crate) fn upgrade(weak: &Weak<Parts>) -> Option<Self> {
        weak.upgrade().map(Self)
    }

    pub(crate) fn certificate_sync(&self) -> &CertificateSync {
        &self.0.certificate_sync
    }

    pub(crate) fn app_tasks(&self) -> &Apps {
        &self.0.apps
    }

    pub(crate) fn receiver(&self) -> &Receiver {
        &self.0.receiver
    }

    pub(crate) fn distribution(&self) -> &Distribution {
        &self.0.distribution
    }

    pub(crate) fn stacks(&self) -> &Stacks {
        &self.0.stacks
    }

    pub(crate) fn builds_under_way(&self) -> &Builds {
        &self.0.builds
    }
}

fn prepare_directories(settings: &Settings) -> Result<()> {
    let data = &settings.data_directory;
    for name in ["repositories", "builds", "cron", "drains", "logs", "sources", "registry", "slugs"]
    {
        make_directory(&data.join(name))?;
        close_to_others(&data.join(name))?;
    }
    for name in ["caches", "hooks"] {
        make_directory(&data.join(name))?;
    }
    make_directory(&settings.run_directory)
}

/// What apps log and push is nobody else's on this machine.
fn close_to_others(directory: &Path) -> Result<()> {
    std::fs::set_permissions(directory, std::fs::Permissions::from_mode(0o700)).map_err(|source| {
        PlatformError::internal("a directory could not be closed to others", source)
    })
}

pub(crate) fn make_directory(path: &Path) -> Result<()> {
    std::fs::create_dir_all(path).map_err(|source| {
        PlatformError::internal(
            &format!("the directory {} could not be made", path.display()),
            source,
        )
    })
}
