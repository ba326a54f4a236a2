//! `windlass trust`: has this computer believe the server's own authority, or no more.

use crate::arguments::ServerArguments;
use crate::error::{CliError, Result};
use crate::session::Session;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use windlass_wire::CertificateAuthority;

/// For the programs, and for the password that `sudo` asks for.
const LIMIT: Duration = Duration::from_secs(120);

/// Where a system keeps the authorities that its owner added, and what makes it look there after
/// one was added or removed.
struct TrustStore {
    directory: &'static str,
    update: &'static [&'static str],
    forget: &'static [&'static str],
}

/// Debian, Ubuntu and Alpine; Fedora and its kin; Arch.
const STORES: [TrustStore; 3] = [
    TrustStore {
        directory: "/usr/local/share/ca-certificates",
        update: &["/usr/sbin/update-ca-certificates"],
        forget: &["/usr/sbin/update-ca-certificates", "--fresh"],
    },
    TrustStore {
        directory: "/etc/pki/ca-trust/source/anchors",
        update: &["/usr/bin/update-ca-trust", "extract"],
        forget: &["/usr/bin/update-ca-trust", "extract"],
    },
    TrustStore {
        directory: "/etc/ca-certificates/trust-source/anchors",
        update: &["/usr/bin/update-ca-trust"],
        forget: &["/usr/bin/update-ca-trust"],
    },
];

/// Have this computer trust the certificates that the server makes itself
#[derive(Clone, Debug, clap::Args)]
pub struct Trust {
    /// Print the authority's certificate and change nothing
    #[arg(long, conflicts_with = "remove")]
    print: bool,
    /// Print the SHA-256 fingerprint of the authority's certificate and change nothing
    #[arg(long, conflicts_with_all = ["print", "remove"])]
    fingerprint: bool,
    /// Trust it no more
    #[arg(long)]
    remove: bool,
    #[command(flatten)]
    server: ServerArguments,
}

impl Trust {
    pub fn run(self, session: &mut Session) -> Result<()> {
        let client = session.client(&self.server)?;
        let authority: CertificateAuthority = client.get("/certificate-authority")?;
        if self.fingerprint {
            return session.output.line(with_colons(&authority.fingerprint));
        }
        if self.print {
            return session.output.line(authority.certificate.trim_end());
        }
        let store =
            STORES.iter().find(|store| Path::new(store.update[0]).exists()).ok_or_else(|| {
                CliError::general("This system's way to add an authority is not known.")
                    .hint("Write it to a file with `windlass trust --print` and add that by hand.")
            })?;
        let name = authority.fingerprint.get(..8).unwrap_or("authority");
        let installed = Path::new(store.directory).join(format!("windlass-{name}.crt"));
        match self.remove {
            true => remove(session, store, &installed),
            false => install(session, store, &installed, &authority),
        }
    }
}

/// As people compare them: `AB:CD…`.
fn with_colons(digits: &str) -> String {
    let digits = digits.to_ascii_uppercase();
    let pairs: Vec<&str> =
        (0..digits.len()).step_by(2).filter_map(|at| digits.get(at..at + 2)).collect();
    pairs.join(":")
}

fn install(
    session: &mut Session,
    store: &TrustStore,
    installed: &Path,
    authority: &CertificateAuthority,
) -> Result<()> {
    let written = temporary(&authority.certificate)?;
    let outcome = run(session, &install_arguments(&written, installed));
    let _ = std::fs::remove_file(&written);
    outcome?;
    run(session, &words(store.update))?;
    session.output.note(format!(
        "This computer trusts the server's authority now, for names below {}.",
        authority.permitted.join(", ")
    ))?;
    session.output.note(format!(
        "Firefox, and Chromium on Linux, have stores of their own. For Chromium (package libnss3-tools):\n  certutil -d sql:$HOME/.pki/nssdb -A -t C,, -n windlass -i {}\nIn Firefox: Settings, Certificates, Authorities, Import the same file.",
        installed.display()
    ))
}

fn remove(session: &mut Session, store: &TrustStore, installed: &Path) -> Result<()> {
    if !installed.exists() {
        let message = format!("There is no {}.", installed.display());
        return Err(CliError::not_found(message).hint("It was not trusted, or is not any more."));
    }
    run(session, &["rm".to_owned(), "--".to_owned(), installed.display().to_string()])?;
    run(session, &words(store.forget))?;
    session.output.note("This computer does not trust the server's authority any more.")?;
    session.output.note("What you added to Firefox or Chromium by hand is to be removed there.")
}

fn install_arguments(from: &Path, to: &Path) -> Vec<String> {
    let mut arguments = words(&["install", "-D", "-m", "644", "--"]);
    arguments.extend([from.display().to_string(), to.display().to_string()]);
    arguments
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(ToString::to_string).collect()
}

/// Writes the certificate where only this user may have written.
fn temporary(certificate: &str) -> Result<PathBuf> {
    let name = format!("windlass-authority-{}.crt", std::process::id());
    let path = std::env::temp_dir().join(name);
    let failed = |error| CliError::file(format_args!("write {}", path.display()), &error);
    let mut file =
        std::fs::File::options().write(true).create_new(true).open(&path).map_err(failed)?;
    file.write_all(certificate.as_bytes()).map_err(failed)?;
    Ok(path)
}

/// Runs a program as root: by `sudo` where this is somebody else.
fn run(session: &mut Session, arguments: &[String]) -> Result<()> {
    let mut words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    if !rustix::process::geteuid().is_root() {
        words.insert(0, "sudo");
        session.output.note(format!("Running {}", words.join(" ")))?;
    }
    let (program, rest) = (words[0], &words[1..]);
    let cannot = |error| CliError::general(format!("Could not run {program}: {error}"));
    // What it says is for the person, not for a program that reads our output.
    let said = Stdio::from(std::io::stderr());
    let mut child = Command::new(program).args(rest).stdout(said).spawn().map_err(cannot)?;
    let end = Instant::now() + LIMIT;
    let status = loop {
        if let Some(status) = child.try_wait().map_err(cannot)? {
            break status;
        }
        if Instant::now() > end {
            let _ = child.kill();
            let _ = child.wait();
            let seconds = LIMIT.as_secs();
            return Err(CliError::general(format!("{program} did not end within {seconds} s.")));
        }
        std::thread::sleep(Duration::from_millis(20));
    };
    match status.success() {
        true => Ok(()),
        false => Err(CliError::general(format!("{program} failed ({status})."))),
    }
}
