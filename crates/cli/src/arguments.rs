//! Arguments that commands share, and the two spellings of a command's name.

use std::ffi::OsString;

/// Which server.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct ServerArguments {
    /// The server's URL [default: $WINDLASS_URL, else that of your login]
    #[arg(long, value_name = "URL")]
    pub server: Option<String>,
    /// One of your logins, by its name or host [default: $WINDLASS_CONTEXT, else the current one]
    #[arg(long, value_name = "NAME", conflicts_with = "server")]
    pub context: Option<String>,
}

/// Which app, on which server.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct AppArguments {
    /// The app [default: $WINDLASS_APP, else that of the git remote]
    #[arg(short, long, value_name = "NAME")]
    pub app: Option<String>,
    /// The git remote that names the app [default: windlass]
    #[arg(short, long, value_name = "NAME")]
    pub remote: Option<String>,
    #[command(flatten)]
    pub server: ServerArguments,
}

/// Whether to print data for programs.
#[derive(Clone, Copy, Debug, Default, clap::Args)]
pub struct JsonArguments {
    /// Print JSON as the API gave it
    #[arg(long)]
    pub json: bool,
}

/// Names are at most so many words long: `certs:auto:enable`.
const MOST_WORDS: usize = 3;

/// Every name and alias of the commands under `root`.
pub fn command_names(root: &clap::Command) -> Vec<String> {
    root.get_subcommands()
        .flat_map(|command| std::iter::once(command.get_name()).chain(command.get_all_aliases()))
        .map(str::to_owned)
        .collect()
}

/// Joins the words of a command's name: `config set X=1` becomes `config:set X=1`.
///
/// `args` starts with the program's name. Words are joined if the joined name is in
/// `known`, the longest first; after `help` in the same way. All else stays as it is.
pub fn normalise_arguments<S: AsRef<str>>(args: Vec<OsString>, known: &[S]) -> Vec<OsString> {
    let first = match args.get(1) {
        Some(word) if word == "help" => 2,
        _ => 1,
    };
    for words in (2..=MOST_WORDS).rev() {
        let Some(parts) = args.get(first..first + words) else {
            continue;
        };
        let parts: Option<Vec<&str>> = parts.iter().map(|part| part.to_str()).collect();
        let Some(name) = parts.map(|parts| parts.join(":")) else {
            continue;
        };
        if known.iter().any(|known| known.as_ref() == name) {
            let mut joined = args[..first].to_vec();
            joined.push(name.into());
            joined.extend_from_slice(&args[first + words..]);
            return joined;
        }
    }
    args
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_words_are_one_command_if_that_is_known() {
        let known = ["config", "config:set", "run", "certs:auto:enable", "apps:create"];
        let cases = [
            ("windlass config set X=1", "windlass config:set X=1"),
            ("windlass config:set X=1", "windlass config:set X=1"),
            ("windlass config", "windlass config"),
            ("windlass config -a set", "windlass config -a set"),
            ("windlass run config set", "windlass run config set"),
            ("windlass certs auto enable -a x", "windlass certs:auto:enable -a x"),
            ("windlass apps create", "windlass apps:create"),
            ("windlass help config set", "windlass help config:set"),
            ("windlass", "windlass"),
            ("windlass --version", "windlass --version"),
        ];
        for (given, expected) in cases {
            let args = given.split(' ').map(OsString::from).collect();
            let joined: Vec<_> = normalise_arguments(args, &known)
                .into_iter()
                .map(|word| word.into_string().unwrap())
                .collect();
            assert_eq!(joined.join(" "), expected);
        }
    }
}
