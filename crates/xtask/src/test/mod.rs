//! `cargo xtask test`: everything that CI runs, on a bare machine too.

mod again;
mod needed;
mod programs;
mod report;

use crate::run::{Outcome, shown, silent};
use crate::{clients, vm};
use programs::Program;
use report::Report;
use std::io::Write;
use std::process::ExitCode;
use std::sync::mpsc::{Receiver, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

const MINUTE: Duration = Duration::from_secs(60);

/// Where the stack of the tests is built, unless `WINDLASS_TEST_STACK` says otherwise.
const STACK: &str = "/var/lib/windlass";

/// Most tests wait for something most of the time: more of them than cores run side by side.
const TEST_THREADS: usize = 6;

/// The test program that takes as long as all others together, so that these run beside it.
const LONGEST: &str = "windlass e2e";

/// The one that uses the stack as well, and whose tests run in a virtual machine once more.
const CONTAINERS: &str = "windlass-runtime containers";

/// What the virtual machine's run of them is called.
const VIRTUAL_MACHINE: &str = "cgroup v2";

pub fn main() -> ExitCode {
    let begun = Instant::now();
    if !needed::install_packages() {
        println!("the tests cannot run without these packages");
        return ExitCode::FAILURE;
    }
    let mut report = Report::default();
    // Mostly downloads, so beside what computes.
    let downloads = Downloads::begin();
    let clippy = ["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"];
    report.step("formatting", &shown("cargo", &["fmt", "--all", "--check"], 5 * MINUTE));
    report.step("lints", &shown("cargo", &clippy, 60 * MINUTE));
    let (built, programs) = programs::build();
    report.step("build", &built);
    report.step("tidy", &tidy());
    downloads.end(&mut report);
    println!("\ncompiled after {} s", begun.elapsed().as_secs());
    if built.success {
        run(programs.clone(), &mut report);
    }
    let buildpacks = shown("bash", &["buildpacks/test.sh"], 10 * MINUTE);
    report.program("buildpacks", &buildpacks);
    again::run(&programs, &mut report);
    println!("\nin {} s, compiling included", begun.elapsed().as_secs());
    if report.print() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Runs this very program once more, so that what it says is seen and kept.
fn tidy() -> Outcome {
    let program = std::env::current_exe().unwrap_or_default();
    shown(&program.display().to_string(), &["tidy"], 5 * MINUTE)
}

/// What is fetched while others compile.
struct Downloads {
    clients: JoinHandle<Result<(), String>>,
    others: JoinHandle<Result<(), String>>,
    kernel: JoinHandle<Result<(), String>>,
}

impl Downloads {
    fn begin() -> Self {
        let clients = std::thread::spawn(|| {
            clients::install().map(|_| ()).map_err(|why| {
                format!("Heroku's clients could not be installed: their tests are skipped\n{why}")
            })
        });
        let others = std::thread::spawn(needed::install_others);
        let kernel = std::thread::spawn(vm::fetch_kernel);
        Self { clients, others, kernel }
    }

    fn end(self, report: &mut Report) {
        // Without the kernel the virtual machine says why it is not started.
        let _ = self.kernel.join();
        for ended in [self.clients.join(), self.others.join()] {
            if let Ok(Err(why)) = ended {
                report.note(why);
            }
        }
    }
}

/// Runs the test programs: the longest, beside it the others one after another, and beside both
/// the virtual machine. What one waits for, another computes in.
fn run(programs: Vec<Program>, report: &mut Report) {
    let containers = programs.iter().find(|program| program.name == CONTAINERS);
    let machine = containers
        .ok_or_else(|| "cargo has built no container tests".to_owned())
        .and_then(|program| vm::prepare(&program.path, &[]))
        .map(|machine| std::thread::spawn(move || machine.boot(silent)));
    let (mut others, longest): (Vec<_>, Vec<_>) =
        programs.into_iter().partition(|program| program.name != LONGEST);
    if longest.is_empty() {
        let why = "cargo has not said where it is".to_owned();
        report.step(LONGEST, &Outcome { success: false, lines: vec![why] });
    }
    // Last, because it waits for the stack.
    others.sort_by_key(|program| program.name == CONTAINERS);
    let (stack_is_there, wait_for_stack) = channel();
    let beside = std::thread::spawn(move || run_others(&others, &wait_for_stack));
    let stack = std::env::var("WINDLASS_TEST_STACK").unwrap_or_else(|_| STACK.to_owned());
    let setup = ["setup", "--yes", "--data-directory", &stack];
    report.step("stack", &shown("target/debug/windlass", &setup, 15 * MINUTE));
    drop(stack_is_there);
    for program in longest {
        let begun = Instant::now();
        println!("\n{}:", program.name);
        let outcome = program.run(shown, TEST_THREADS, 60 * MINUTE);
        report.program(&program.name, &outcome);
        println!("{} took {} s", program.name, begun.elapsed().as_secs());
    }
    for (name, outcome) in beside.join().unwrap_or_default() {
        report.program(&name, &outcome);
    }
    let outcome = match machine.map(JoinHandle::join) {
        Ok(Ok(outcome)) => outcome,
        Ok(Err(_)) => Outcome { success: false, lines: vec!["it panicked".to_owned()] },
        Err(why) => Outcome { success: false, lines: vec![why] },
    };
    println!("\nthe container tests on cgroup v2:");
    outcome.lines.iter().for_each(|line| println!("{line}"));
    report.program(VIRTUAL_MACHINE, &outcome);
}

/// Runs programs one after another and shows what each wrote when it has ended.
fn run_others(programs: &[Program], wait_for_stack: &Receiver<()>) -> Vec<(String, Outcome)> {
    let ran = programs.iter().map(|program| {
        if program.name == CONTAINERS {
            // It ends when the sender is gone.
            let _ = wait_for_stack.recv();
        }
        let begun = Instant::now();
        let outcome = program.run(silent, TEST_THREADS, 30 * MINUTE);
        let mut out = std::io::stdout().lock();
        let _ = writeln!(out, "\n{}:", program.name);
        for line in &outcome.lines {
            let _ = writeln!(out, "{line}");
        }
        let _ = writeln!(out, "{} took {} s\n", program.name, begun.elapsed().as_secs());
        (program.name.clone(), outcome)
    });
    ran.collect()
}
