//! Commands inside simulated instances.

use bytes::Bytes;
use tokio::sync::broadcast;
use windlass_core::driver::{Attached, AttachedInput, DriverError, ExecCommand, InstanceEvent};
use windlass_core::instance::ObservedInstance;

use super::attached::{Ends, Next};
use super::driver::exit_status;

/// Returns the words of a command: those of the line that a shell is given, else its own.
fn words(command: &ExecCommand) -> Vec<String> {
    let shell = |word: &String| word.ends_with("/bash") || word.ends_with("/sh");
    match command.command.as_slice() {
        [first, .., line] if shell(first) => line.split_whitespace().map(str::to_owned).collect(),
        words => words.to_vec(),
    }
}

/// Runs `true`, `false`, `echo WORD…`, `printenv NAME` of the command's own variables, or `cat`,
/// which sends back what it is sent.
pub(super) fn run(
    instance: ObservedInstance,
    events: broadcast::Receiver<InstanceEvent>,
    command: &ExecCommand,
) -> Result<Attached, DriverError> {
    let words = words(command);
    let (name, arguments) = words.split_first().map_or(("", &[][..]), |(n, a)| (n.as_str(), a));
    let says = match name {
        "true" | "false" | "cat" => String::new(),
        "echo" => format!("{}\n", arguments.join(" ")),
        "printenv" => {
            let value = arguments.first().and_then(|name| command.environment.get(name));
            format!("{}\n", value.cloned().unwrap_or_default())
        }
        other => return Err(DriverError::CommandNotFound(format!("{other}: not found in PATH"))),
    };
    let code = i32::from(name == "false");
    let waits = name == "cat";
    let (mut ends, attached) = Ends::connect(instance, events);
    tokio::spawn(async move {
        if !says.is_empty() {
            ends.say(Bytes::from(says)).await;
        }
        let mut code = code;
        loop {
            if !waits {
                break;
            }
            match ends.next().await {
                Next::Input(AttachedInput::Stdin(bytes)) => ends.say(bytes).await,
                Next::Input(AttachedInput::Resize(_)) => {}
                Next::Input(AttachedInput::StdinClosed) => break,
                Next::Input(AttachedInput::Signal(number)) => {
                    code = 128 + number;
                    break;
                }
                Next::Ended(_) => {
                    code = 137;
                    break;
                }
                Next::Left => return,
            }
        }
        ends.end(exit_status(code)).await;
    });
    Ok(attached)
}
