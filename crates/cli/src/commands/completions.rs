//! `windlass completions`

use crate::arguments::command_names;
use crate::error::Result;
use crate::session::Session;
use clap_complete::Shell;

const PROGRAM: &str = "windlass";

/// Bash cuts words at colons. This wrapper joins `config` `:` `set` before the generated
/// function sees them, and cuts what bash has already typed off the answers.
const BASH_WRAPPER: &str = r#"
_windlass_with_colons() {
    local words=() word index=0 cword=0
    for word in "${COMP_WORDS[@]}"; do
        if ((${#words[@]} > 1)) && [[ $word == :* || ${words[-1]} == *: ]]; then
            words[-1]+=$word
        else
            words+=("$word")
        fi
        if ((index == COMP_CWORD)); then
            cword=$((${#words[@]} - 1))
        fi
        index=$((index + 1))
    done
    local COMP_WORDS=("${words[@]}") COMP_CWORD=$cword
    local current=${words[cword]} before=
    if ((cword > 0)); then
        before=${words[cword - 1]}
    fi
    _windlass "$1" "$current" "$before"
    if [[ $current == *:* && ${COMP_WORDBREAKS-} == *:* ]]; then
        COMPREPLY=("${COMPREPLY[@]#"${current%"${current##*:}"}"}")
    fi
}
complete -F _windlass_with_colons -o nosort -o bashdefault -o default windlass
"#;

#[derive(Clone, Debug, clap::Args)]
pub struct Completions {
    /// The shell: source the output in its start-up file
    shell: Shell,
}

impl Completions {
    pub fn run(self, session: &mut Session, root: fn() -> clap::Command) -> Result<()> {
        let mut root = root();
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut root, PROGRAM, &mut script);
        let mut script = String::from_utf8_lossy(&script).into_owned();
        match self.shell {
            Shell::Bash => script.push_str(BASH_WRAPPER),
            Shell::Zsh => script = with_escaped_colons(&script, &command_names(&root)),
            _ => {}
        }
        session.output.bytes(script.as_bytes())?;
        Ok(())
    }
}

/// In zsh's `'name:description'` lists a colon within a name needs a backslash.
fn with_escaped_colons(script: &str, names: &[String]) -> String {
    let mut escaped = String::with_capacity(script.len());
    for line in script.lines() {
        let listed = |name: &&String| {
            let rest = line.strip_prefix('\'').and_then(|rest| rest.strip_prefix(name.as_str()));
            rest.is_some_and(|rest| rest.starts_with(':'))
        };
        // The longest match: `config` is the start of `config:set`.
        match names.iter().filter(listed).max_by_key(|name| name.len()) {
            Some(name) => {
                let rest = &line[1 + name.len()..];
                escaped.push_str(&format!("'{}{rest}", name.replace(':', "\\:")));
            }
            None => escaped.push_str(line),
        }
        escaped.push('\n');
    }
    escaped
}
