//! The command line: roles of the binary beside the client's commands.

use crate::config::{Config, ConfigError, KEYS};
use clap::{Arg, ArgAction, ArgMatches, Command, FromArgMatches};
use std::collections::BTreeMap;
use std::path::PathBuf;

#[derive(clap::Parser)]
#[command(
    name = "windlass",
    version,
    about = "Your own cloud in one binary",
    propagate_version = true,
    arg_required_else_help = true
)]
pub struct Arguments {
    #[command(subcommand)]
    pub role: Role,
}

#[derive(clap::Subcommand)]
#[allow(clippy::large_enum_variant, reason = "one value a process")]
pub enum Role {
    /// Run the server: API, git, builds and the router's supervisor
    Server(ServerArguments),
    /// Install what the server delegates to and build the stack
    Setup(SetupArguments),
    /// Check this machine and say what to mend
    Doctor(DoctorArguments),
    /// Show Windlass at work: set up, push an app, push again under load
    Demo(DemoArguments),
    /// Stop all apps and the router of a stopped server; data stays
    Teardown(ServerArguments),
    /// Make, check and restore backups of the whole server, on its machine
    Backup(BackupArguments),
    /// Run another windlass binary in place of the installed one, without a lost request
    Upgrade(UpgradeArguments),
    /// Make another token for the owner, on the server's machine
    #[command(name = "owner-token")]
    OwnerToken(ServerArguments),
    /// Print the reference of all settings
    #[command(name = "config:reference", hide = true)]
    ConfigReference,
    /// Print what this binary is, as JSON
    #[command(hide = true)]
    Capabilities,
    /// Print the name of every command
    #[command(hide = true)]
    Commands,
    /// Run the router (the server starts it)
    #[command(hide = true)]
    Router(RouterArguments),
    #[command(flatten)]
    Client(windlass_cli::Command),
}

#[derive(clap::Args)]
pub struct SetupArguments {
    /// Do not ask before installing packages
    #[arg(long, short)]
    pub yes: bool,
    /// Build the stack anew even if it is there
    #[arg(long)]
    pub force: bool,
    #[command(flatten)]
    pub server: ServerArguments,
}

#[derive(clap::Args)]
pub struct BackupArguments {
    #[command(subcommand)]
    pub command: BackupCommand,
}

#[derive(clap::Subcommand)]
#[allow(clippy::large_enum_variant, reason = "one value a process")]
pub enum BackupCommand {
    /// Write a backup, whether the server runs or not
    Create(CreateArguments),
    /// Read a backup to its end and check everything in it
    Verify(ReadArguments),
    /// Restore a backup into an empty data directory
    Restore(RestoreArguments),
}

#[derive(clap::Args)]
pub struct CreateArguments {
    /// Where to; - is standard output
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Encrypt it with a passphrase, which is asked for
    #[arg(long)]
    pub encrypt: bool,
    /// Encrypt it with the passphrase in the first line of this file
    #[arg(long, value_name = "FILE")]
    pub passphrase_file: Option<PathBuf>,
    /// Leave images out: every app must be pushed again after a restore
    #[arg(long)]
    pub without_images: bool,
    /// Put the apps' logs in too
    #[arg(long)]
    pub with_logs: bool,
    #[command(flatten)]
    pub server: ServerArguments,
}

#[derive(clap::Args)]
pub struct ReadArguments {
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// The passphrase is the first line of this file
    #[arg(long, value_name = "FILE")]
    pub passphrase_file: Option<PathBuf>,
}

#[derive(clap::Args)]
pub struct RestoreArguments {
    #[command(flatten)]
    pub from: ReadArguments,
    #[command(flatten)]
    pub server: ServerArguments,
}

#[derive(clap::Args)]
pub struct UpgradeArguments {
    /// The new binary; it is copied
    #[arg(value_name = "BINARY")]
    pub binary: PathBuf,
    #[command(flatten)]
    pub server: ServerArguments,
}

#[derive(clap::Args)]
pub struct DoctorArguments {
    /// Print JSON
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub server: ServerArguments,
}

#[derive(clap::Args)]
pub struct DemoArguments {
    /// Stop and clean up when the tour is over, instead of waiting for Ctrl-C
    #[arg(long)]
    pub exit: bool,
    /// How many requests the load makes at least, from 2000: fewer would prove little
    #[arg(long, default_value_t = 3_000, value_parser = clap::value_parser!(u64).range(2_000..))]
    pub requests: u64,
    /// Do not ask before installing packages
    #[arg(long, short)]
    pub yes: bool,
}

#[derive(clap::Args)]
pub struct RouterArguments {
    #[arg(long)]
    pub listen: std::net::SocketAddr,
    #[arg(long)]
    pub control_socket: PathBuf,
    #[arg(long)]
    pub table_file: PathBuf,
    /// Where the name server of instances listens
    #[arg(long, requires = "dns_clients")]
    pub dns_listen: Option<std::net::SocketAddrV4>,
    /// Take the sockets of the router that runs, and its place
    #[arg(long)]
    pub take_over: bool,
    /// The directory that says whose an instance's address is
    #[arg(long)]
    pub dns_clients: Option<PathBuf>,
    #[command(flatten)]
    pub zone: ZoneArguments,
    #[command(flatten)]
    pub options: ListenArguments,
}

/// How the router listens, beside its address for plain requests.
#[derive(clap::Args)]
pub struct ListenArguments {
    /// Where requests are taken over TLS
    #[arg(long)]
    pub https: Option<std::net::SocketAddr>,
    /// The port of https in URLs
    #[arg(long)]
    pub https_public_port: Option<u16>,
    /// Networks of proxies that are believed
    #[arg(long)]
    pub trusted_proxy: Vec<windlass_core::routing_settings::Network>,
    /// These proxies speak the PROXY protocol
    #[arg(long)]
    pub proxy_protocol: bool,
    /// No HTTP/2 without TLS
    #[arg(long)]
    pub without_h2c: bool,
    /// HTTP/3 beside TLS
    #[arg(long)]
    pub http3: bool,
    /// SSH on the plain port goes to the server
    #[arg(long)]
    pub ssh: bool,
}

/// The zone that the router's process answers for.
#[derive(clap::Args)]
pub struct ZoneArguments {
    /// Its name
    #[arg(long, requires = "zone_listen")]
    pub zone: Option<String>,
    /// Where questions are answered
    #[arg(long)]
    pub zone_listen: Option<std::net::SocketAddr>,
    /// Where its host names lead
    #[arg(long)]
    pub zone_address: Vec<std::net::IpAddr>,
}

/// `--config`, and a flag for every setting.
pub struct ServerArguments {
    pub config: Option<PathBuf>,
    pub ready_file: Option<PathBuf>,
    flags: BTreeMap<&'static str, String>,
}

impl ServerArguments {
    /// Reads the configuration that these arguments and the environment give.
    pub fn load(&self) -> Result<Config, ConfigError> {
        Config::load(self.config.as_deref(), |name| std::env::var(name).ok(), &self.flags)
    }
}

impl FromArgMatches for ServerArguments {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let given = |key: &crate::config::Key| {
            matches.get_one::<String>(key.name).map(|value| (key.name, value.clone()))
        };
        Ok(Self {
            config: matches.get_one::<PathBuf>("config").cloned(),
            ready_file: matches.get_one::<PathBuf>("ready_file").cloned(),
            flags: KEYS.iter().filter_map(given).collect(),
        })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

impl clap::Args for ServerArguments {
    fn augment_args(command: Command) -> Command {
        let file = Arg::new("config")
            .long("config")
            .value_name("FILE")
            .value_parser(clap::value_parser!(PathBuf))
            .help("The configuration file [default: /etc/windlass/windlass.toml if it exists]");
        let ready = Arg::new("ready_file")
            .long("ready-file")
            .value_name("FILE")
            .value_parser(clap::value_parser!(PathBuf))
            .help("Where to write the bound addresses once ready [default: <run directory>/ready.json]");
        // clap wants names that live as long as the program; these are made once in it.
        let flags = KEYS.iter().map(|key| {
            let help = if key.default.is_empty() {
                key.help.to_owned()
            } else {
                format!("{} [default: {}]", key.help, key.default)
            };
            Arg::new(key.name)
                .long(key.flag().leak() as &str)
                .value_name("VALUE")
                .action(ArgAction::Set)
                .help(help)
                .help_heading("Settings")
        });
        command.arg(file).arg(ready).args(flags)
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

#[cfg(test)]
mod tests {
    use super::Arguments;
    use clap::CommandFactory;
    use std::ffi::OsString;

    /// Its tables are what `windlass cli:reference` prints.
    #[test]
    fn the_page_of_commands_is_current() {
        let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/reference/cli.md");
        let page = std::fs::read_to_string(page).unwrap();
        let tables = windlass_cli::reference_tables(&Arguments::command()).unwrap();
        let (_, rest) = page.split_once("<!-- made by `windlass cli:reference` -->\n").unwrap();
        let (found, _) = rest.split_once("\n<!-- until here -->").unwrap();
        assert_eq!(found, tables, "put the output of `windlass cli:reference` there");
    }

    #[test]
    fn words_of_the_audit_trail_are_for_endpoints_that_there_are() {
        let endpoints = windlass_api::endpoints();
        let all: Vec<String> =
            endpoints.iter().map(|one| format!("{} {}", one.method, one.path)).collect();
        for (action, words) in windlass_cli::ACTIVITY_WORDS {
            assert!(all.iter().any(|one| one == action), "{action} ({words})");
        }
    }

    /// The words of an example as a shell would give them, up to a redirection.
    fn words(example: &str) -> Vec<OsString> {
        let command = example.split(['>', '<']).next().unwrap();
        let mut parts = command.trim_end_matches(['&', ' ']).split('"');
        let mut words = Vec::new();
        while let Some(plain) = parts.next() {
            words.extend(plain.split_whitespace().map(OsString::from));
            if let Some(quoted) = parts.next() {
                // `command="test -e /tmp/alive"` is one word.
                let before = if plain.ends_with('=') { words.pop() } else { None };
                let mut word = before.unwrap_or_default();
                word.push(quoted);
                words.push(word);
            }
        }
        words
    }

    #[test]
    fn every_command_has_an_example_that_works() {
        let root = Arguments::command();
        let mut examples = windlass_cli::examples();
        for command in root.get_subcommands().filter(|command| !command.is_hide_set()) {
            let name = command.get_name();
            let lines = examples.remove(name);
            let lines = lines.unwrap_or_else(|| panic!("{name} has none in cli/src/examples.txt"));
            for line in lines {
                let parsed = root.clone().try_get_matches_from(words(line));
                assert!(parsed.is_ok(), "{line}: {}", parsed.unwrap_err());
            }
        }
        assert!(examples.is_empty(), "there are no such commands: {examples:?}");
    }
}
