//! What is wrong with a command line, in the form of our other errors.

use crate::error::CliError;
use crate::help;
use clap::Command;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use std::error::Error as _;
use std::ffi::OsString;

/// Says in one line what is wrong with the arguments, and below it how the command is used.
///
/// `words` is the whole command line; clap does not always tell which command it was. `None` if it
/// is no error but help or the version that was asked for.
pub fn usage_error(
    error: &clap::Error,
    words: &[OsString],
    root: &mut Command,
) -> Option<CliError> {
    if !error.use_stderr() || error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        return None;
    }
    if let (ErrorKind::InvalidSubcommand, Some(unknown)) =
        (error.kind(), texts(error, ContextKind::InvalidSubcommand).first())
    {
        return Some(help::unknown_command(unknown, root));
    }
    Some(CliError::usage(sentence(&what_is_wrong(error))).hint(usage(words, root)))
}

fn what_is_wrong(error: &clap::Error) -> String {
    let wrong = texts(error, ContextKind::InvalidArg);
    let argument = wrong.join(", ");
    let value = texts(error, ContextKind::InvalidValue).join(" ");
    match error.kind() {
        _ if wrong.is_empty() => in_the_parsers_words(error),
        ErrorKind::UnknownArgument if argument.starts_with('-') => {
            let guess = texts(error, ContextKind::SuggestedArg).join(" or ");
            format!("There is no option {argument}{}", or_rather(&guess))
        }
        ErrorKind::UnknownArgument => format!("Nothing is expected where {argument} stands"),
        ErrorKind::MissingRequiredArgument if wrong.len() > 1 => format!("{argument} are missing"),
        ErrorKind::MissingRequiredArgument => format!("{argument} is missing"),
        ErrorKind::InvalidValue if value.is_empty() => format!("{argument} needs a value"),
        ErrorKind::InvalidValue => {
            let guess = texts(error, ContextKind::SuggestedValue).join(" or ");
            let possible = match texts(error, ContextKind::ValidValue).join(", ") {
                none if none.is_empty() => none,
                possible => format!(", which is one of {possible}"),
            };
            format!("'{value}' is no value for {argument}{possible}{}", or_rather(&guess))
        }
        ErrorKind::ValueValidation => {
            let why = error.source().map(|why| format!(": {why}")).unwrap_or_default();
            format!("'{value}' is no value for {argument}{why}")
        }
        ErrorKind::ArgumentConflict => match texts(error, ContextKind::PriorArg).join(", ") {
            none if none.is_empty() => in_the_parsers_words(error),
            prior if prior == argument => format!("{argument} is given more than once"),
            prior => format!("{argument} cannot be used with {prior}"),
        },
        _ => in_the_parsers_words(error),
    }
}

fn or_rather(guess: &str) -> String {
    if guess.is_empty() { String::new() } else { format!("; did you mean {guess}?") }
}

/// Returns what clap knows of one kind about its error.
fn texts(error: &clap::Error, kind: ContextKind) -> Vec<String> {
    match error.get(kind) {
        Some(ContextValue::String(text)) => vec![text.clone()],
        Some(ContextValue::Strings(texts)) => texts.clone(),
        _ => Vec::new(),
    }
}

/// For what is seldom wrong: the first paragraph of clap's own message, as one line.
fn in_the_parsers_words(error: &clap::Error) -> String {
    let text = error.render().to_string();
    let text = text.strip_prefix("error: ").unwrap_or(&text);
    let paragraph: Vec<&str> =
        text.lines().map(str::trim).take_while(|line| !line.is_empty()).collect();
    paragraph.join(" ")
}

/// With a capital letter and an end.
fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next().map(|letter| letter.to_uppercase().to_string()).unwrap_or_default();
    let end = if text.ends_with(['.', '?', '!']) { "" } else { "." };
    format!("{first}{}{end}", letters.as_str())
}

fn usage(words: &[OsString], root: &mut Command) -> String {
    // Only then do the commands know what stands before their names.
    root.build();
    match words.split_first() {
        Some((_program, words)) => usage_below(words, Vec::new(), root),
        None => usage_below(&[], Vec::new(), root),
    }
}

/// The usage of the command that `words` begin with; `names` lead to `command`.
fn usage_below(words: &[OsString], mut names: Vec<String>, command: &mut Command) -> String {
    if let Some((word, rest)) = words.split_first()
        && let Some(found) = command.find_subcommand_mut(word)
    {
        names.push(found.get_name().to_owned());
        return usage_below(rest, names, found);
    }
    if names.is_empty() {
        return "Usage: windlass COMMAND [ARGUMENTS]\n`windlass help` lists the commands.".into();
    }
    let usage = command.render_usage().to_string();
    format!("{}\n`windlass help {}` says more.", usage.trim_end(), names.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_support::root;

    fn words(line: &str) -> Vec<OsString> {
        std::iter::once("windlass").chain(line.split(' ')).map(OsString::from).collect()
    }

    /// The error of a line as typed, as a person sees it but for the marks.
    fn told(line: &str) -> String {
        let (mut root, words) = (root(), words(line));
        let error = root.try_get_matches_from_mut(&words).unwrap_err();
        let error = usage_error(&error, &words, &mut root).unwrap();
        assert_eq!(error.kind.exit_code(), 2, "as clap's own");
        format!("{}\n{}", error.message, error.hint.unwrap())
    }

    #[test]
    fn wrong_arguments_are_told_in_one_line_with_the_usage() {
        assert_eq!(
            told("deploy a b"),
            "Nothing is expected where b stands.\n\
             Usage: windlass deploy [OPTIONS] [DIR]\n\
             `windlass help deploy` says more."
        );
        let cases = [
            ("apps:create --fo", "There is no option --fo."),
            ("logs --sorce app", "There is no option --sorce; did you mean --source?"),
            ("config:unset", "<NAME>... is missing."),
            ("webhooks:add", "--include <ENTITIES>, --url <URL> are missing."),
            ("logs -n x", "'x' is no value for --num <NUMBER>: invalid digit found in string."),
            ("logs --num", "--num <NUMBER> needs a value."),
            ("apps --context a --server b", "--context <NAME> cannot be used with --server <URL>."),
            ("logs -t -t", "--tail is given more than once."),
            ("confg", "There is no command confg."),
        ];
        for (line, expected) in cases {
            let told = told(line);
            assert_eq!(told.lines().next(), Some(expected), "{line}: {told}");
        }
        assert!(told("apps:create --fo").contains("\nUsage: windlass create [OPTIONS] [NAME]\n"));
        assert!(told("--frob").ends_with("\n`windlass help` lists the commands."));
    }

    #[test]
    fn help_that_was_asked_for_is_no_error() {
        for line in ["deploy --help", "help deploy", "help"] {
            let (mut root, words) = (root(), words(line));
            let error = root.try_get_matches_from_mut(&words).unwrap_err();
            assert_eq!(usage_error(&error, &words, &mut root), None, "{line}");
        }
    }
}
