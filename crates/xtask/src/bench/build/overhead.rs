//! The same commands in the build container and on the host: the same programs, by an ordinary
//! user, in a root without any mount.

use super::super::numbers::{Samples, against_goal};
use super::super::server::{Server, all_output, output, stack_layers};
use super::super::{BenchError, Programs, Result};
use super::{repository_with_buildpack, set_version};
use std::collections::BTreeMap;
use std::os::unix::fs::chown;
use std::path::PathBuf;
use std::process::Command;

const GOAL_RATIO: f64 = 1.05;
const PAIRS: usize = 12;
const APP: &str = "overhead";
const WORK: &str = include_str!("work.py");
/// The user of builds, inside.
const USER: u32 = 1000;
/// The host's side has them all, too.
const ON_ALL_PROCESSORS: &str = "[build]\nspared_processors = 0\n";

/// Seconds and processor seconds of each part of the work.
type Measured = BTreeMap<String, [f64; 2]>;

pub fn run(programs: &Programs) -> Result<()> {
    let server = Server::start_with(&programs.windlass, ON_ALL_PROCESSORS)?;
    let repository = repository_with_buildpack(&server, APP, WORK)?;
    let host = Host::new(&server)?;
    let in_container = |version: &str| -> Result<Measured> {
        set_version(&repository, version)?;
        server.commit_all(&repository)?;
        parse(&server.push(&repository, APP)?)
    };
    // Files are read into memory, and caches made.
    in_container("warm")?;
    host.work()?;
    let mut table = Table::default();
    for pair in 0..PAIRS {
        // In turns, who is first too.
        let version = format!("v{pair}");
        if pair % 2 == 0 {
            let inside = in_container(&version)?;
            table.add(&inside, &host.work()?);
        } else {
            let outside = host.work()?;
            table.add(&in_container(&version)?, &outside);
        }
    }
    table.print();
    Ok(())
}

/// The build stack as a plain directory.
struct Host {
    root: PathBuf,
}

impl Host {
    fn new(server: &Server) -> Result<Self> {
        let root = server.directory().join("host");
        std::fs::create_dir(&root).map_err(BenchError::io("the host's root"))?;
        for layer in stack_layers(&server.data().join("images"), "stack/debian-12-build")? {
            let copy = |how: &str| {
                let mut copy = Command::new("cp");
                copy.arg(how).arg("--force").arg(layer.join("fs/.")).arg(&root);
                output("cp", &mut copy)
            };
            // As links, so that both sides read the same files; a copy where that cannot be.
            copy("-al").or_else(|_| copy("-a"))?;
        }
        for name in ["build", "tmp"] {
            let directory = root.join(name);
            std::fs::create_dir_all(&directory).map_err(BenchError::io("the host's root"))?;
            chown(&directory, Some(USER), Some(USER)).map_err(BenchError::io("the host's root"))?;
        }
        let null = root.join("dev/null");
        let mut device = Command::new("mknod");
        output("mknod", device.args(["-m", "666"]).arg(&null).args(["c", "1", "3"]))?;
        std::fs::write(root.join("build/work.py"), WORK)
            .map_err(BenchError::io("the host's root"))?;
        Ok(Self { root })
    }

    fn work(&self) -> Result<Measured> {
        let mut command = Command::new("chroot");
        command.arg(format!("--userspec={USER}:{USER}")).arg(&self.root);
        command.args(["/usr/bin/python3", "/build/work.py", "/build"]);
        command.env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
        command.env("HOME", "/build").env("LANG", "C.UTF-8");
        parse(&all_output("the work on the host", &mut command)?)
    }
}

fn parse(said: &str) -> Result<Measured> {
    let line = said.lines().find_map(|line| line.split_once("measured ").map(|(_, json)| json));
    let json = line.map(|json| json.rsplit_once('}').map_or(json, |(json, _)| json));
    let parsed = json.and_then(|json| serde_json::from_str(&format!("{json}}}")).ok());
    parsed.ok_or_else(|| BenchError::Failed(format!("the work said nothing clear:\n{said}")))
}

#[derive(Default)]
struct Table {
    /// Inside and outside, by part.
    parts: BTreeMap<String, [Sides; 2]>,
    ratios: Samples,
    processor_ratios: Samples,
}

#[derive(Clone, Default)]
struct Sides {
    inside: Samples,
    outside: Samples,
}

impl Sides {
    fn ratio(&self) -> f64 {
        self.inside.median() / self.outside.median()
    }
}

impl Table {
    fn add(&mut self, inside: &Measured, outside: &Measured) {
        let total = |side: &Measured, which: usize| side.values().map(|v| v[which]).sum::<f64>();
        self.ratios.push(total(inside, 0) / total(outside, 0));
        self.processor_ratios.push(total(inside, 1) / total(outside, 1));
        let all = |side: &Measured| [total(side, 0), total(side, 1)];
        let mut inside = inside.clone();
        let mut outside = outside.clone();
        let totals = (all(&inside), all(&outside));
        inside.insert("together".to_owned(), totals.0);
        outside.insert("together".to_owned(), totals.1);
        for (name, values) in &inside {
            let Some(others) = outside.get(name) else { continue };
            let sides = self.parts.entry(name.clone()).or_default();
            for which in [0, 1] {
                sides[which].inside.push(values[which]);
                sides[which].outside.push(others[which]);
            }
        }
    }

    fn print(&self) {
        println!(
            "the same commands in the build container and on the host, {PAIRS} pairs in turns"
        );
        println!(
            "medians in seconds; the host's side is a chroot of the same files, without mounts\n"
        );
        println!(
            "  {:<24} {:>10} {:>8} {:>8} {:>16} {:>8} {:>8}",
            "", "container", "host", "ratio", "CPU: container", "host", "ratio"
        );
        for (name, [time, processor]) in &self.parts {
            println!(
                "  {:<24} {:>10.3} {:>8.3} {:>8.3} {:>16.3} {:>8.3} {:>8.3}",
                name.replace('_', " "),
                time.inside.median(),
                time.outside.median(),
                time.ratio(),
                processor.inside.median(),
                processor.outside.median(),
                processor.ratio()
            );
        }
        let spread = |samples: &Samples| {
            let (low, middle, high) = (samples.at(0.25), samples.median(), samples.at(0.75));
            format!("{middle:.3} (quartiles {low:.3} to {high:.3})")
        };
        println!("\n  ratio within a pair, median: {}", spread(&self.ratios));
        println!("  of processor time:           {}", spread(&self.processor_ratios));
        let Some([together, _]) = self.parts.get("together") else { return };
        against_goal("container to host", together.ratio(), GOAL_RATIO, "×");
    }
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn reads_what_the_work_says_wherever_it_stands() {
        let said = "remote: x\nremote: measured {\"archives\": [1.5, 1.0]}        \nremote: y";
        assert_eq!(parse(said).unwrap()["archives"], [1.5, 1.0]);
        assert!(parse("nothing").is_err());
    }
}
