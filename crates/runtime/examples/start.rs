//! The measuring half of `cargo xtask bench start`: starts a container for each line that it
//! reads, and answers with what that took, as JSON.
//!
//! ```text
//! start driver <images> <directory> <run directory> <windlass>   line: anything
//! start commands <root> <layer:layer…>                           line: program and arguments
//! ```

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;
use std::collections::BTreeMap;
use std::error::Error;
use std::io::{BufRead, Read, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};
use windlass_core::driver::{AttachedOutput, Driver};
use windlass_core::ids::{AppId, Digest, InstanceId};
use windlass_core::instance::{InstanceKind, InstanceLabels, InstanceSpec, Output, Resources};
use windlass_oci::ImageStore;
use windlass_runtime::{EmbeddedDriver, RuntimeConfig};

const STACK: &str = "stack/debian-12-run";

type Outcome<T> = Result<T, Box<dyn Error>>;

fn main() -> Outcome<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["driver", images, directory, run, windlass] => {
            let runtime = tokio::runtime::Builder::new_multi_thread()
                .worker_threads(2)
                .enable_all()
                .build()?;
            runtime.block_on(measure_driver(images, directory, run, windlass))
        }
        ["commands", root, layers] => measure_commands(Path::new(root), layers),
        _ => Err("started by `cargo xtask bench start`".into()),
    }
}

fn say(answer: &serde_json::Value) {
    println!("{answer}");
    let _ = std::io::stdout().flush();
}

/// Processor time of this process and of all children that it has reaped.
fn processor_time() -> Outcome<Duration> {
    let mut sum = 0;
    for who in [UsageWho::RUSAGE_SELF, UsageWho::RUSAGE_CHILDREN] {
        let usage = getrusage(who)?;
        sum += usage.user_time().num_microseconds() + usage.system_time().num_microseconds();
    }
    Ok(Duration::from_micros(sum.cast_unsigned()))
}

fn answer(first_output: Duration, gone: Duration, processor: Duration) {
    let ms = |time: Duration| time.as_secs_f64() * 1e3;
    say(&serde_json::json!({
        "first_output": ms(first_output), "gone": ms(gone), "processor": ms(processor),
    }));
}

async fn measure_driver(images: &str, directory: &str, run: &str, windlass: &str) -> Outcome<()> {
    let images = ImageStore::open(Path::new(images))?;
    let image = images.tag(STACK)?.ok_or("the stack is not there: run `windlass setup`")?;
    let layers = images.resolve(&image)?.layer_directories;
    let name = format!("{:06x}", std::process::id() & 0xff_ffff);
    let mut config = RuntimeConfig::new(name, run, Path::new(directory).join("work"), images);
    config.shim_executable = Some(windlass.into());
    let driver = EmbeddedDriver::open(config).await?;
    say(&serde_json::json!({ "layers": layers }));
    let mut outcome = Ok(());
    for line in std::io::stdin().lock().lines() {
        line?;
        outcome = start_once(&driver, &image).await;
        if outcome.is_err() {
            break;
        }
    }
    driver.shutdown_everything().await;
    outcome
}

async fn start_once(driver: &Arc<EmbeddedDriver>, image: &Digest) -> Outcome<()> {
    let spec = specification(image)?;
    let id = spec.id.clone();
    let processor = processor_time()?;
    let begun = Instant::now();
    let mut attached = driver.start_attached(spec).await?;
    let first = attached.output.recv().await;
    let first_output = begun.elapsed();
    if !matches!(first, Some(AttachedOutput::Stdout(_))) {
        return Err(format!("instead of output there came {first:?}").into());
    }
    while let Some(output) = attached.output.recv().await {
        if matches!(output, AttachedOutput::Exited(_)) {
            break;
        }
    }
    driver.forget(&id).await?;
    let gone = begun.elapsed();
    answer(first_output, gone, processor_time()?.saturating_sub(processor));
    Ok(())
}

fn specification(image: &Digest) -> Outcome<InstanceSpec> {
    Ok(InstanceSpec {
        id: InstanceId::random("run", 1),
        labels: InstanceLabels {
            app: AppId(Default::default()),
            app_name: "bench".parse()?,
            kind: InstanceKind::OneOff,
            process: "run".parse()?,
            index: 1,
            release: Some(1),
            time_limit_ms: None,
            generation: 0,
        },
        image: image.clone(),
        command: vec!["/bin/echo".to_owned(), "started".to_owned()],
        working_directory: "/".to_owned(),
        environment: BTreeMap::from([("HOME".to_owned(), "/app".to_owned())]),
        user: 1000,
        group: None,
        mounts: Vec::new(),
        resources: Resources {
            memory_bytes: Some(512 << 20),
            cpu_millis: None,
            cpu_shares: Some(1024),
            processes: Some(256),
            spared_processors: 0,
        },
        port: None,
        output: Output::Attached { terminal: None },
    })
}

/// Other runtimes get the same layers as a root that is mounted already. Runs in a mount
/// namespace of its own, which ends with it.
fn measure_commands(root: &Path, layers: &str) -> Outcome<()> {
    let data = format!(
        "lowerdir={layers},upperdir={0}/upper,workdir={0}/work",
        root.parent().unwrap_or(root).display()
    );
    mount(Some("overlay"), root, Some("overlay"), MsFlags::empty(), Some(data.as_str()))?;
    // crun 1.8 refuses a version 2 hierarchy beside those of version 1.
    let unified = Path::new("/sys/fs/cgroup/unified");
    if unified.join("cgroup.procs").exists() {
        umount2(unified, MntFlags::MNT_DETACH)?;
    }
    say(&serde_json::json!({}));
    for (number, line) in std::io::stdin().lock().lines().enumerate() {
        let line = line?;
        let mut words = line.split(' ');
        let program = words.next().unwrap_or_default();
        let name = format!("windlass-bench-{}-{number}", std::process::id());
        run_once(Command::new(program).args(words).arg(name), program)?;
    }
    Ok(())
}

fn run_once(command: &mut Command, program: &str) -> Outcome<()> {
    let processor = processor_time()?;
    let begun = Instant::now();
    let mut child =
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let mut output = child.stdout.take().ok_or("it has no output")?;
    let count = output.read(&mut [0; 64])?;
    let first_output = begun.elapsed();
    let mut rest = Vec::new();
    output.read_to_end(&mut rest)?;
    let ended = child.wait_with_output()?;
    let gone = begun.elapsed();
    if count == 0 || !ended.status.success() {
        let said = String::from_utf8_lossy(&ended.stderr).into_owned();
        return Err(format!("{program} ({}): {said}", ended.status).into());
    }
    answer(first_output, gone, processor_time()?.saturating_sub(processor));
    Ok(())
}
