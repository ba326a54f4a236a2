use crate::test_support::{Machine, root};
use std::fs;
use std::process::Command;

#[test]
fn the_command_tree_is_sound() {
    root().debug_assert();
    let names = crate::command_names(&root());
    for name in ["config:set", "apps:create", "create", "ps:scale", "releases:rollback"] {
        assert!(names.iter().any(|known| known == name), "{name}");
    }
    let mut unique = names.clone();
    unique.sort();
    unique.dedup();
    assert_eq!(unique.len(), names.len(), "a name is used twice");
}

/// What bash offers for a line that is cut into words as bash does it.
fn offered_by_bash(words: &[&str]) -> Vec<String> {
    let machine = Machine::bare();
    let script = machine.path("windlass.bash");
    fs::write(&script, machine.run("completions bash").stdout).unwrap();
    let quoted: Vec<_> = words.iter().map(|word| format!("'{word}'")).collect();
    let program = format!(
        "set -eu; source '{}'; COMP_WORDBREAKS=$' \\t\\n:='; COMP_WORDS=({}); COMP_CWORD={}; \
         compopt() {{ :; }}; _windlass_with_colons windlass; printf '%s\\n' \"${{COMPREPLY[@]}}\"",
        script.display(),
        quoted.join(" "),
        words.len() - 1
    );
    let output = Command::new("bash").args(["-c", &program]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().map(str::to_owned).collect()
}

#[test]
fn bash_completes_names_with_colons() {
    assert_eq!(offered_by_bash(&["windlass", "rollb"]), ["rollback"]);
    // Only what follows the colon is offered: the rest is on the line already.
    assert_eq!(offered_by_bash(&["windlass", "config", ":", "s"]), ["set"]);
    let after_colon = offered_by_bash(&["windlass", "domains", ":"]);
    assert_eq!(after_colon, ["add", "remove", "wait", "redirect"]);
    let options = offered_by_bash(&["windlass", "config", ":", "get", "--js"]);
    assert_eq!(options, ["--json"]);
}

#[test]
fn zsh_gets_names_with_their_colons_escaped() {
    let script = Machine::bare().run("completions zsh").stdout;
    assert!(script.contains("\n'config:Show an app"));
    assert!(script.contains("\n'config\\:set:Set config vars"));
    assert!(!script.contains("\n'config:set:"));
}

#[test]
fn every_shell_gets_a_script() {
    let machine = Machine::bare();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = machine.run(&format!("completions {shell}")).stdout;
        assert!(script.contains("config"), "{shell}");
    }
}
