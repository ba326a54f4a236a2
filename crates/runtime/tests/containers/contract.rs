//! The driver contract, on this driver.

use crate::harness::Machine;
use crate::private_network::{reaches, start_server};
use std::sync::Arc;
use windlass_core::driver::Driver;
use windlass_core::ids::{AppId, Digest, InstanceId};
use windlass_core::instance::InstanceSpec;
use windlass_testkit::contract::{self, Does, Fixture};

/// Sends its input back if somebody is attached; the input of others is empty.
const WAIT: &str = "[ $(readlink /proc/self/fd/0) = /dev/null ] && exec sleep 1000; exec cat";

const IGNORE_TERM: &str = "trap '' TERM; echo at work; while :; do sleep 1; done";

impl Fixture for Machine {
    fn driver(&self) -> Arc<dyn Driver> {
        self.driver.clone()
    }

    fn spec(&self, does: Does) -> InstanceSpec {
        match does {
            Does::Wait => self.script(WAIT),
            Does::Exit(code) => self.script(&format!("echo crashing with {code}; exit {code}")),
            Does::IgnoreTerm => self.script(IGNORE_TERM),
            Does::NotFound => self.command(&["no-such-program"]),
        }
    }

    fn app(&self) -> AppId {
        self.app
    }

    fn unknown_image(&self) -> Digest {
        Digest::from_sha256(&[0; 32])
    }

    async fn at_work(&self, id: &InstanceId) {
        let observed = self.observe(id).await.unwrap();
        if observed.spec.command.iter().any(|word| word == IGNORE_TERM) {
            self.wait_for_log("at work").await;
        }
    }

    async fn reaches(&self, from: AppId, to: AppId) -> bool {
        let server = start_server(self, to).await;
        reaches(self, self.script(""), from, server.private_address.unwrap()).await
    }

    async fn open_again(self) -> Self {
        self.restart().await
    }

    async fn finish(self) {
        Machine::finish(self).await;
    }
}

macro_rules! run {
    ($($name:ident),* $(,)?) => {
        $(async fn $name() {
            contract::$name(Machine::start().await).await;
        })*
        crate::tests![$($name),*];
    };
}

windlass_testkit::contract!(run);
