//! The driver contract, on the simulated driver.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::sync::Arc;
use windlass_core::driver::Driver;
use windlass_core::ids::{AppId, Digest, InstanceId};
use windlass_core::instance::{InstanceKind, InstanceLabels, InstanceSpec, Output, Resources};
use windlass_testkit::contract::{self, Does, Fixture};
use windlass_testkit::simulated::SimulatedDriver;

struct Simulated {
    driver: Arc<SimulatedDriver>,
    app: AppId,
}

impl Simulated {
    fn new() -> Self {
        Self { driver: SimulatedDriver::new(), app: AppId::random() }
    }
}

fn digest(byte: u8) -> Digest {
    Digest::from_sha256(&[byte; 32])
}

impl Fixture for Simulated {
    fn driver(&self) -> Arc<dyn Driver> {
        self.driver.clone()
    }

    fn spec(&self, does: Does) -> InstanceSpec {
        let does = match does {
            Does::Wait => "serve".to_owned(),
            Does::Exit(code) => format!("crash {code}"),
            Does::IgnoreTerm => "ignore-term".to_owned(),
            Does::NotFound => "not-found".to_owned(),
        };
        InstanceSpec {
            id: InstanceId::random("web", 1),
            labels: InstanceLabels {
                app: self.app,
                app_name: "testapp".parse().unwrap(),
                kind: InstanceKind::Formation,
                process: "web".parse().unwrap(),
                index: 1,
                release: Some(1),
                generation: 0,
                time_limit_ms: None,
            },
            image: digest(1),
            command: vec![does],
            working_directory: "/".to_owned(),
            environment: BTreeMap::new(),
            user: 1000,
            group: None,
            mounts: Vec::new(),
            resources: Resources::default(),
            port: None,
            output: Output::Log { file: "/nowhere".into(), source: "app[web.1]".to_owned() },
        }
    }

    fn app(&self) -> AppId {
        self.app
    }

    fn unknown_image(&self) -> Digest {
        let image = digest(2);
        self.driver.lose_image(image.clone());
        image
    }

    async fn at_work(&self, _id: &InstanceId) {}

    async fn reaches(&self, from: AppId, to: AppId) -> bool {
        self.driver.reaches(from, to)
    }

    /// It outlives its platform, as shims do.
    async fn open_again(self) -> Self {
        self
    }

    async fn finish(self) {}
}

macro_rules! run {
    ($($name:ident),* $(,)?) => {
        $(#[test]
        fn $name() {
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(contract::$name(Simulated::new()));
        })*
    };
}

windlass_testkit::contract!(run);

/// In the platform's simulation the runtime is the server.
#[test]
fn attached_instances_end_with_their_runtime() {
    let simulated = Simulated::new();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut spec = simulated.spec(Does::Wait);
    spec.output = Output::Attached { terminal: None };
    let attached = runtime.block_on(simulated.driver.start_attached(spec)).unwrap();
    assert_eq!(simulated.driver.running().len(), 1);
    drop(runtime);
    assert_eq!(simulated.driver.running(), []);
    drop(attached);
}
