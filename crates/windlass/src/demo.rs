//! `windlass demo`.
pub fn main(_arguments: &crate::arguments::DemoArguments) -> std::process::ExitCode {
    std::process::ExitCode::FAILURE
}
