//! With a script in hadolint's place, which is really run.

use super::*;
use async_trait::async_trait;
use bytes::Bytes;
use std::os::unix::fs::PermissionsExt;
use tokio::sync::mpsc;
use windlass_core::driver::DriverError;
use windlass_core::host_job::HostJobOutput;
use windlass_core::instance::ExitStatus;

/// Runs programs without limits and namespaces.
struct Plainly;

#[async_trait]
impl HostJobs for Plainly {
    async fn run(
        &self,
        job: HostJob,
    ) -> std::result::Result<mpsc::Receiver<HostJobOutput>, DriverError> {
        let (sender, receiver) = mpsc::channel(4);
        let mut command = tokio::process::Command::new(&job.command[0]);
        command.args(&job.command[1..]).env_clear().envs(&job.environment).kill_on_drop(true);
        command.current_dir(&job.working_directory).stdin(std::process::Stdio::null());
        tokio::spawn(async move {
            let done = command.output().await.unwrap();
            let said = Bytes::from([done.stderr, done.stdout].concat());
            let _ = sender.send(HostJobOutput::Output(said)).await;
            let code = done.status.code().unwrap_or(1);
            let status = ExitStatus {
                code,
                out_of_memory: false,
                out_of_processes: false,
                reason: None,
                at_ms: 0,
            };
            let _ = sender.send(HostJobOutput::Ended(status)).await;
        });
        Ok(receiver)
    }
}

struct Bench {
    folder: tempfile::TempDir,
    config_vars: BTreeMap<String, String>,
}

impl Bench {
    /// A source, and a program that does what `script` says.
    fn new(script: Option<&str>, mode: Option<&str>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for name in ["bin", "source/docker"] {
            std::fs::create_dir_all(folder.path().join(name)).unwrap();
        }
        std::fs::write(folder.path().join("source/docker/web"), "FROM debian\n").unwrap();
        if let Some(script) = script {
            let program = folder.path().join("bin/hadolint");
            std::fs::write(&program, format!("#!/bin/sh\n{script}\n")).unwrap();
            std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
        }
        let config_vars = mode.map(|mode| (MODE.to_owned(), mode.to_owned())).into_iter().collect();
        Self { folder, config_vars }
    }

    /// Returns how it ended, and what was said.
    async fn run(&self) -> (Result<()>, String) {
        let path = |name: &str| self.folder.path().join(name);
        let (bin, source, dockerfile) = (path("bin"), path("source"), path("source/docker/web"));
        let lint = Lint {
            jobs: &Plainly,
            path: Some(bin.as_os_str()),
            source: &source,
            dockerfile: &dockerfile,
            scratch: self.folder.path(),
            config_vars: &self.config_vars,
        };
        let (sender, mut receiver) = mpsc::unbounded_channel();
        let mut output = BuildOutput::to(sender);
        let done = lint.run(&mut output).await;
        drop(output);
        let mut said = String::new();
        while let Some(bytes) = receiver.recv().await {
            said.push_str(std::str::from_utf8(&bytes).unwrap());
        }
        (done, said)
    }
}

const REPORT: &str = r#"printf "%s\n" '[{"code":"DL3006","column":1,"file":"x","level":"warning","line":1,"message":"Always tag\nthe version"},{"code":"SC2086","column":1,"file":"x","level":"info","line":7,"message":"Quote"}]'"#;

#[tokio::test]
async fn findings_are_shown_as_warnings_and_hold_nothing_up() {
    let (done, said) = Bench::new(Some(REPORT), None).run().await;
    done.unwrap();
    assert_eq!(
        said,
        "-----> Linting the Dockerfile with hadolint...\n !     docker/web:1 DL3006 Always tag the version\n !     docker/web:7 SC2086 Quote\n"
    );
}

#[tokio::test]
async fn errors_and_warnings_end_the_build_if_the_app_wants_it() {
    let (done, said) = Bench::new(Some(REPORT), Some("error")).run().await;
    assert!(said.contains("DL3006"), "{said}");
    let error = done.unwrap_err().to_string();
    assert!(error.contains("has 1 finding of hadolint"), "only what is serious: {error}");
    let (done, said) = Bench::new(Some("echo '[]'"), Some("error")).run().await;
    done.unwrap();
    assert!(said.contains("Nothing to complain about."), "{said}");
}

#[tokio::test]
async fn it_can_be_switched_off_and_need_not_be_there() {
    let (done, said) = Bench::new(Some(REPORT), Some("off")).run().await;
    done.unwrap();
    assert_eq!(said, "");
    let (done, said) = Bench::new(None, None).run().await;
    done.unwrap();
    assert_eq!(said, "");
    let (done, said) = Bench::new(None, Some("error")).run().await;
    done.unwrap();
    assert!(said.contains("hadolint is not installed"), "{said}");
    let (done, _) = Bench::new(None, Some("loud")).run().await;
    assert!(done.unwrap_err().to_string().contains("warn, error or off"));
}

#[tokio::test]
async fn one_that_does_not_work_holds_nothing_up() {
    let (done, said) = Bench::new(Some("echo broken >&2; exit 3"), Some("error")).run().await;
    done.unwrap();
    assert!(said.contains("could not look at it: it ended with status 3."), "{said}");
    // Words about the settings stand before the report.
    let noisy = format!("echo 'Error [in] your config'; {REPORT}");
    let (done, said) = Bench::new(Some(&noisy), None).run().await;
    done.unwrap();
    assert!(said.contains("DL3006"), "{said}");
}

#[tokio::test]
async fn the_apps_own_settings_are_given_unless_they_are_a_link() {
    let bench = Bench::new(Some(r#"echo "$@" > arguments; echo '[]'"#), None);
    let settings = bench.folder.path().join("source/.hadolint.yaml");
    let arguments = || std::fs::read_to_string(bench.folder.path().join("arguments")).unwrap();
    std::os::unix::fs::symlink("/etc/hostname", &settings).unwrap();
    bench.run().await.0.unwrap();
    assert!(!arguments().contains("--config"), "{}", arguments());
    std::fs::remove_file(&settings).unwrap();
    std::fs::write(&settings, "ignored: [DL3006]\n").unwrap();
    bench.run().await.0.unwrap();
    assert!(arguments().contains(&format!("--config {}", settings.display())), "{}", arguments());
}
