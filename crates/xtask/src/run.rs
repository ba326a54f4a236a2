//! Running other programs: argument vectors, output passed on, a time limit.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How a program ended, and what it wrote.
pub struct Outcome {
    pub success: bool,
    pub lines: Vec<String>,
}

/// Returns the repository's root.
pub fn root() -> PathBuf {
    let manifest = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    manifest.ancestors().nth(2).map_or_else(|| manifest.clone(), PathBuf::from)
}

/// Runs a program in the repository's root, shows its output, and returns it. It is killed after
/// `limit`.
pub fn shown(program: &str, arguments: &[&str], limit: Duration) -> Outcome {
    println!("\n$ {program} {}", arguments.join(" "));
    run(program, arguments, limit, Show::Everything)
}

/// The same without showing anything, beside others whose output would be mixed with it.
pub fn silent(program: &str, arguments: &[&str], limit: Duration) -> Outcome {
    run(program, arguments, limit, Show::Nothing)
}

/// Runs a program and shows what it writes to its standard error: the rest is for us.
pub fn errors_shown(program: &str, arguments: &[&str], limit: Duration) -> Outcome {
    println!("\n$ {program} {}", arguments.join(" "));
    run(program, arguments, limit, Show::Errors)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Show {
    Everything,
    Errors,
    Nothing,
}

fn run(program: &str, arguments: &[&str], limit: Duration, show: Show) -> Outcome {
    let spawned = Command::new(program)
        .args(arguments)
        .current_dir(root())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let mut child = match spawned {
        Ok(child) => child,
        Err(error) => {
            println!("{program} cannot be run: {error}");
            return Outcome { success: false, lines: Vec::new() };
        }
    };
    let readers = [
        child.stdout.take().map(|from| read(from, show == Show::Everything)),
        child.stderr.take().map(|from| read(from, show != Show::Nothing)),
    ];
    let success = wait(&mut child, limit);
    let lines =
        readers.into_iter().flatten().filter_map(|reader| reader.join().ok()).flatten().collect();
    Outcome { success, lines }
}

/// Collects the lines of one of a program's outputs, and shows them if wanted.
fn read(
    from: impl std::io::Read + Send + 'static,
    show: bool,
) -> std::thread::JoinHandle<Vec<String>> {
    std::thread::spawn(move || {
        let lines = BufReader::new(from).lines().map_while(Result::ok);
        let shown = lines.inspect(|line| {
            if show {
                println!("{line}");
            }
        });
        shown.collect()
    })
}

fn wait(child: &mut Child, limit: Duration) -> bool {
    let since = Instant::now();
    loop {
        match child.try_wait() {
            Ok(Some(status)) => return status.success(),
            Ok(None) if since.elapsed() > limit => {
                println!("it took longer than {} s and was killed", limit.as_secs());
                let _ = child.kill();
                let _ = child.wait();
                return false;
            }
            Ok(None) => std::thread::sleep(Duration::from_millis(20)),
            Err(_) => return false,
        }
    }
}

/// Whether a program can be found in `PATH`.
pub fn is_installed(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain([PathBuf::from("/usr/sbin"), PathBuf::from("/sbin")])
        .any(|directory| directory.join(program).is_file())
}
