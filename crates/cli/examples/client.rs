use clap::{CommandFactory, FromArgMatches, Parser};
/// Your own cloud.
#[derive(Parser)]
#[command(name = "windlass")]
struct Program {
    #[command(subcommand)]
    command: All,
}
#[derive(clap::Subcommand)]
enum All {
    /// Run the server
    Server,
    #[command(flatten)]
    Client(windlass_cli::Command),
}
fn main() -> std::process::ExitCode {
    let root = Program::command();
    let args = windlass_cli::normalise_arguments(
        std::env::args_os().collect(),
        &windlass_cli::command_names(&root),
    );
    let matches = root.get_matches_from(args);
    let program = Program::from_arg_matches(&matches).unwrap_or_else(|e| e.exit());
    match program.command {
        All::Server => std::process::ExitCode::SUCCESS,
        All::Client(c) => windlass_cli::run(c, Program::command),
    }
}
