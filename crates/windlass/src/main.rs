//! The one binary and its roles: server, router, shim, git hook, client.
#![forbid(unsafe_code)]

mod arguments;
mod backup;
mod config;
mod data_lock;
mod demo;
mod doctor;
mod inherited_children;
mod name_server;
mod notify;
mod owner_token;
mod router_process;
mod router_role;
mod server;
mod setup;
mod upgrade;
mod zone_role;

use arguments::{Arguments, DoctorArguments, Role, ServerArguments, SetupArguments};
use clap::{CommandFactory, FromArgMatches};
use std::ffi::OsString;
use std::io::IsTerminal;
use std::path::Path;
use std::process::ExitCode;

/// The configuration cannot be used (`EX_CONFIG` of sysexits).
const EXIT_CONFIG: u8 = 78;
/// Try again later: another server has the data directory (`EX_TEMPFAIL`).
const EXIT_BUSY: u8 = 75;

fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().collect();
    // Before anything else: these two are started often and must be small.
    if arguments.get(1).is_some_and(|role| role == "shim") {
        return windlass_runtime::shim_main(arguments.into_iter().skip(2));
    }
    let called_as = arguments.first().and_then(|path| Path::new(path).file_name());
    if called_as.is_some_and(|name| name == windlass_control::receive::hook::HOOK_NAME) {
        return windlass_control::receive::hook::main();
    }
    if called_as.is_some_and(|name| name == windlass_control::receive::remote::ssh::SSH_NAME) {
        return windlass_control::receive::remote::ssh::main();
    }
    let known = windlass_cli::command_names(&Arguments::command());
    let mut root = command();
    let words = windlass_cli::normalise_arguments(arguments, &known);
    let matches = root.try_get_matches_from_mut(&words);
    let arguments = match matches.and_then(|matches| Arguments::from_arg_matches(&matches)) {
        Ok(arguments) => arguments,
        Err(error) => return windlass_cli::explain_arguments(&error, &words, &mut root),
    };
    match arguments.role {
        Role::Commands => {
            // The first two are not clap's subcommands of ours.
            ["help", "shim"]
                .into_iter()
                .chain(known.iter().map(String::as_str))
                .for_each(|name| println!("{name}"));
            ExitCode::SUCCESS
        }
        Role::Client(client) => windlass_cli::run(client, command),
        Role::Server(arguments) => server::main(&arguments),
        Role::Teardown(arguments) => server::teardown_main(&arguments),
        Role::OwnerToken(arguments) => owner_token::main(&arguments),
        Role::Router(arguments) => router_role::main(arguments),
        Role::Setup(arguments) => setup_main(&arguments),
        Role::Doctor(arguments) => doctor_main(&arguments),
        Role::Demo(arguments) => demo::main(&arguments),
        Role::Backup(arguments) => backup::main(&arguments),
        Role::Upgrade(arguments) => upgrade::main(&arguments),
        Role::Capabilities => upgrade::capabilities_main(),
        Role::ConfigReference => {
            print!("{}", config::reference());
            ExitCode::SUCCESS
        }
    }
}

/// The whole command line, with examples.
fn command() -> clap::Command {
    windlass_cli::with_help(Arguments::command())
}

/// Prints an error with its causes, once, on one line.
fn fail(error: &dyn std::error::Error, code: u8) -> ExitCode {
    let mut line = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let text = cause.to_string();
        if !line.contains(&text) {
            line = format!("{line}: {text}");
        }
        source = cause.source();
    }
    eprintln!("windlass: {line}");
    ExitCode::from(code)
}

fn load(arguments: &ServerArguments) -> Result<config::Config, ExitCode> {
    arguments.load().map_err(|error| fail(&error, EXIT_CONFIG))
}

fn log_to_stderr(filter: &str) {
    let filter = tracing_subscriber::EnvFilter::try_new(filter)
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none())
        .with_target(false)
        .init();
}

fn setup_main(arguments: &SetupArguments) -> ExitCode {
    let config = match load(&arguments.server) {
        Ok(config) => config,
        Err(code) => return code,
    };
    let wanted = setup::SetupArgs {
        data_dir: config.data_directory,
        yes: arguments.yes,
        suite: setup::DEFAULT_STACK.to_owned(),
        force: arguments.force,
    };
    match setup::run(&wanted, &mut setup::Progress::stderr()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error, 1),
    }
}

fn doctor_main(arguments: &DoctorArguments) -> ExitCode {
    let config = match load(&arguments.server) {
        Ok(config) => config,
        Err(code) => return code,
    };
    let mut addresses =
        vec![("router".to_owned(), config.router_listen), ("api".to_owned(), config.api_listen)];
    addresses.extend(config.api_tls.listen.map(|address| ("api-https".to_owned(), address)));
    addresses.extend(config.ssh_listen.map(|address| ("ssh".to_owned(), address)));
    addresses.extend(config.tls.https_listen.map(|address| ("https".to_owned(), address)));
    let wanted = doctor::DoctorArgs {
        data_dir: config.data_directory,
        suite: setup::DEFAULT_STACK.to_owned(),
        addresses,
        json: arguments.json,
        colour: std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none(),
    };
    match doctor::run(&wanted, &mut std::io::stdout().lock()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => fail(&error, 1),
    }
}
