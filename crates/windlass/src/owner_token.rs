//! `windlass owner-token`: for an owner who has lost theirs.

use crate::arguments::ServerArguments;
use crate::{fail, load};
use std::process::ExitCode;

/// Makes another token for the owner of the server whose data directory is named, and prints it.
pub fn main(arguments: &ServerArguments) -> ExitCode {
    let config = match load(arguments) {
        Ok(config) => config,
        Err(code) => return code,
    };
    // Otherwise a directory that is not there would be told as a key that cannot be made.
    if !config.data_directory.join("windlass.db").is_file() {
        eprintln!(
            "windlass: no server has its data in {:?}: name the --data-directory or --config of yours",
            config.data_directory
        );
        return ExitCode::FAILURE;
    }
    match windlass_control::access::make_owner_token(&config.data_directory) {
        Ok(secret) => {
            println!("{secret}");
            ExitCode::SUCCESS
        }
        Err(error) => fail(&error, 1),
    }
}
