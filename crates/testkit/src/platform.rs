//! A platform over the simulated driver and router, without root and without git pushes.

use crate::simulated::{SimulatedDriver, SimulatedRouter};
use std::collections::BTreeMap;
use std::future::Future;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tokio::runtime::Runtime;
use windlass_control::certificates::PrivateCertificates;
use windlass_control::records::{App, Release, User};
use windlass_control::run::{InstanceDisplayState, InstanceView};
use windlass_control::{Platform, PlatformError, Settings};
use windlass_core::ids::Digest;
use windlass_oci::{ImageConfig, ImageStore};

/// How long tests wait for the platform to reach a state.
const DEADLINE: Duration = crate::wait::LEAST;

/// A platform in a temporary directory, on a runtime of its own.
pub struct TestPlatform {
    pub driver: Arc<SimulatedDriver>,
    pub router: Arc<SimulatedRouter>,
    pub user: User,
    platform: Option<Platform>,
    runtime: Option<Runtime>,
    images: ImageStore,
    directory: TempDir,
    adjust: fn(&mut Settings),
}

fn new_runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

impl TestPlatform {
    /// Opens a platform that has an owner and no apps.
    #[must_use]
    pub fn open() -> Self {
        Self::open_with(|_| {})
    }

    /// The same with other settings.
    #[must_use]
    pub fn open_with(adjust: fn(&mut Settings)) -> Self {
        let directory = tempfile::Builder::new().prefix("windlass-").tempdir().unwrap();
        let images = ImageStore::open(&directory.path().join("data/images")).unwrap();
        let driver = SimulatedDriver::new();
        let router = SimulatedRouter::new(driver.clone());
        let runtime = new_runtime();
        let mut settings = settings(&directory);
        adjust(&mut settings);
        let opened = Platform::open(settings, driver.clone(), images.clone(), router.clone());
        let platform = runtime.block_on(opened).unwrap();
        let (user, _) = platform.create_owner("owner@example.com").unwrap().unwrap();
        Self {
            driver,
            router,
            user,
            platform: Some(platform),
            runtime: Some(runtime),
            images,
            directory,
            adjust,
        }
    }

    /// Returns the platform.
    #[must_use]
    pub fn platform(&self) -> Platform {
        self.platform.clone().expect("it is open")
    }

    /// Returns the data directory.
    #[must_use]
    pub fn data_directory(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    /// Runs a future, and with it all that the platform does meanwhile.
    pub fn block_on<T>(&self, future: impl Future<Output = T>) -> T {
        self.runtime.as_ref().expect("it runs").block_on(future)
    }

    /// Does something that the server may end in: `None` if it did, at the effect that
    /// `driver.faults` was armed for. It has to be opened again then.
    pub fn until_crash<T>(&self, future: impl Future<Output = T>) -> Option<T> {
        self.block_on(async {
            tokio::select! {
                outcome = future => Some(outcome),
                () = self.driver.faults.crashed() => None,
            }
        })
    }

    /// Ends the platform at whatever point it is, as `kill -9` would, and opens it again over the
    /// same data, driver and router.
    pub fn crash_and_open(&mut self) {
        self.crash_and_open_after(|_| {});
    }

    /// The same, with something happening while the server is away.
    pub fn crash_and_open_after(&mut self, meanwhile: impl FnOnce(&SimulatedDriver)) {
        self.platform = None;
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_timeout(Duration::from_secs(5));
        }
        self.driver.faults.revive();
        meanwhile(&self.driver);
        let runtime = new_runtime();
        let (driver, router) = (self.driver.clone(), self.router.clone());
        let mut settings = settings(&self.directory);
        (self.adjust)(&mut settings);
        let opened = Platform::open(settings, driver, self.images.clone(), router);
        self.platform = Some(runtime.block_on(opened).unwrap());
        self.runtime = Some(runtime);
    }

    /// Returns an image that is in the store; equal content gives the same one.
    #[must_use]
    pub fn image(&self, content: &str) -> Digest {
        let staging = self.images.staging_directory().unwrap();
        std::fs::write(staging.join("fs/content"), content).unwrap();
        let layer = self.images.commit_layer(&staging).unwrap();
        self.images.put_image(None, &[layer], &ImageConfig::default()).unwrap()
    }

    #[must_use]
    pub fn create_app(&self, name: &str) -> App {
        self.block_on(self.platform().create_app(&self.user, Some(name))).unwrap()
    }

    /// Returns the app's record as it is now.
    #[must_use]
    pub fn app(&self, app: &App) -> App {
        self.platform().app(&self.user, &app.id.to_string()).unwrap()
    }

    /// Deploys processes, each a type and what it does (see [`crate::simulated::Behaviour`]).
    pub fn deploy(&self, app: &App, processes: &[(&str, &str)]) -> Result<Release, PlatformError> {
        let image = self.image("the same for all");
        let platform = self.platform();
        let processes: BTreeMap<_, _> = processes
            .iter()
            .map(|(name, does)| (name.parse().unwrap(), (*does).to_owned()))
            .collect();
        self.block_on(platform.release_image(
            &self.user,
            app,
            image,
            processes,
            "Deploy from a test",
        ))
    }

    /// Sets a config var.
    pub fn set(&self, app: &App, name: &str, value: &str) -> Result<(), PlatformError> {
        let changes = BTreeMap::from([(name.to_owned(), Some(value.to_owned()))]);
        self.block_on(self.platform().update_config_vars(&self.user, app, changes)).map(|_| ())
    }

    /// Returns the app's instances as people see them.
    #[must_use]
    pub fn instances(&self, app: &App) -> Vec<InstanceView> {
        self.block_on(self.platform().instances(app)).unwrap()
    }

    /// Returns the names of the instances that are up, for example `web.1`.
    #[must_use]
    pub fn up(&self, app: &App) -> Vec<String> {
        let views = self.instances(app).into_iter();
        views.filter(|view| view.state == InstanceDisplayState::Up).map(|view| view.name).collect()
    }

    /// Runs the platform until `condition` is true.
    #[track_caller]
    pub fn wait_until(&self, what: &str, mut condition: impl FnMut(&Self) -> bool) {
        let end = Instant::now() + DEADLINE;
        while !condition(self) {
            assert!(Instant::now() < end, "waited in vain for {what}; {}", self.describe());
            self.block_on(async { tokio::time::sleep(Duration::from_millis(3)).await });
        }
    }

    /// Returns what runs and who is served, for messages.
    fn describe(&self) -> String {
        let running = self.driver.running().into_iter().map(|instance| {
            let labels = &instance.spec.labels;
            let listens =
                if self.driver.listens(&instance.spec.id) { "listens" } else { "is silent" };
            let (name, release) = (labels.display_name(), labels.release.unwrap_or(0));
            format!(
                "{} {name} of v{release} generation {} {listens}",
                labels.app_name, labels.generation
            )
        });
        let apps = self.platform().apps(&self.user).unwrap_or_default();
        let apps = apps.into_iter().map(|app| {
            let views =
                self.instances(&app).into_iter().map(|view| (view.name, view.state, view.release));
            let (name, current, targets) =
                (&app.name, app.current_release, self.router.targets(app.id));
            format!("{name} is at v{current}: {:?}, targets {targets:?}", views.collect::<Vec<_>>())
        });
        running.chain(apps).collect::<Vec<_>>().join("; ")
    }

    /// Waits until nothing but `names` runs of the app, and all of those are up.
    #[track_caller]
    pub fn wait_for_instances(&self, app: &App, names: &[&str]) {
        let what = format!("{} to have {names:?}", app.name);
        self.wait_until(&what, |test| {
            let running = test.driver.running();
            let running =
                running.iter().filter(|instance| instance.spec.labels.app == app.id).count();
            test.up(app) == names && running == names.len()
        });
    }
}

impl Drop for TestPlatform {
    fn drop(&mut self) {
        self.platform = None;
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_timeout(Duration::from_secs(5));
        }
        let violations = self.router.violations();
        if !violations.is_empty() && !std::thread::panicking() {
            panic!("the router saw what must never be:\n{}", violations.join("\n"));
        }
    }
}

/// Limits that let tests be quick.
fn settings(directory: &TempDir) -> Settings {
    let path = directory.path();
    Settings {
        data_directory: path.join("data"),
        run_directory: path.join("run"),
        domain: "localhost".to_owned(),
        routing: Default::default(),
        public: Default::default(),
        outgoing: Default::default(),
        router_port: 8080,
        https_port: Some(8443),
        private_certificates: PrivateCertificates::Off,
        api_url: "http://127.0.0.1:8081".to_owned(),
        api_certificate: None,
        exec_tunnel_host: Default::default(),
        // Never reached by what listens; tests of what does not set their own.
        boot_timeout: Duration::from_secs(20),
        drain_timeout: Duration::from_millis(200),
        stop_grace: Duration::from_millis(100),
        run_timeout: Duration::from_secs(3_600),
        release_timeout: Duration::from_secs(5),
        build: windlass_control::BuildSettings {
            concurrent: 1,
            timeout: Duration::from_secs(5),
            memory_bytes: 1 << 30,
            cpu_millis: 1_000,
            processes: 100,
            spared_processors: 0,
            disk_bytes: 1 << 30,
            image_bytes: 1 << 30,
            environment: BTreeMap::new(),
            cache_max_age: Duration::from_secs(60 * 24 * 60 * 60),
            cache_max_bytes: 10 << 30,
        },
        instance: windlass_control::InstanceSettings {
            memory_bytes: 512 << 20,
            cpu_millis: 0,
            processes: 100,
            disk_bytes: 1 << 30,
        },
        disk_reserve_bytes: 1 << 30,
        requests_per_hour: 0,
        releases_kept: 10,
    }
}
