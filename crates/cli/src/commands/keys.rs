//! `windlass keys`, `keys:add`, `keys:remove`

use crate::arguments::{JsonArguments, ServerArguments};
use crate::client::{Range, encoded};
use crate::environment::Environment;
use crate::error::{CliError, Result};
use crate::output::Table;
use crate::session::Session;
use std::fs;
use std::path::PathBuf;
use windlass_wire::{Key, KeyCreate};

const PATH: &str = "/account/keys";

/// Where a public key is looked for if none is named, under the home folder.
const USUAL_FILES: [&str; 3] = [".ssh/id_ed25519.pub", ".ssh/id_ecdsa.pub", ".ssh/id_rsa.pub"];

#[derive(Clone, Debug, clap::Args)]
pub struct List {
    #[command(flatten)]
    server: ServerArguments,
    #[command(flatten)]
    json: JsonArguments,
}

impl List {
    pub fn run(self, session: &mut Session) -> Result<()> {
        let keys: Vec<Key> = session.client(&self.server)?.list(PATH, Range::All)?;
        if self.json.json {
            return session.output.json(&keys);
        }
        if keys.is_empty() {
            let note = "You have no SSH keys. Add one with `windlass keys:add`.";
            return session.output.note(note);
        }
        let mut table = Table::new(&["Comment", "Type", "Fingerprint"]);
        for key in keys {
            let kind = key.public_key.split(' ').next().unwrap_or_default();
            table.row(vec![key.comment.into(), kind.into(), key.fingerprint.into()]);
        }
        session.output.table(&table)
    }
}

#[derive(Clone, Debug, clap::Args)]
pub struct Add {
    /// The public key's file; `-` reads standard input [default: ~/.ssh/id_ed25519.pub etc.]
    file: Option<String>,
    #[command(flatten)]
    server: ServerArguments,
    #[command(flatten)]
    json: JsonArguments,
}

impl Add {
    pub fn run(self, session: &mut Session) -> Result<()> {
        let (name, text) = match self.file.as_deref() {
            Some("-") => ("standard input".to_owned(), session.read_line()?),
            Some(file) => read_key(session.environment.directory.join(file))?,
            None => read_key(usual_file(&session.environment)?)?,
        };
        let body = KeyCreate { public_key: public_key(&name, &text)? };
        let client = session.client(&self.server)?;
        let message = format!("Adding the SSH key of {name}");
        let key: Key = session.output.action(
            &message,
            || client.post(PATH, &body),
            |_, key: &Key| Some(key.fingerprint.clone()),
        )?;
        if self.json.json {
            return session.output.json(&key);
        }
        Ok(())
    }
}

fn usual_file(environment: &Environment) -> Result<PathBuf> {
    let home = environment.home();
    let candidates =
        home.into_iter().flat_map(|home| USUAL_FILES.iter().map(|file| home.join(file)));
    candidates.into_iter().find(|path| path.is_file()).ok_or_else(|| {
        CliError::usage("You have no SSH key in the usual places.")
            .hint("Make one with `ssh-keygen -t ed25519`, or name its public file.")
    })
}

fn read_key(path: PathBuf) -> Result<(String, String)> {
    let name = path.display().to_string();
    let text = fs::read_to_string(&path)
        .map_err(|error| CliError::file(format!("Could not read {name}"), &error))?;
    Ok((name, text))
}

/// The one line of a public key. A private key must never leave the machine.
fn public_key(name: &str, text: &str) -> Result<String> {
    if text.contains("PRIVATE KEY") {
        return Err(CliError::usage(format!("{name} is a private key."))
            .hint("Add the public key beside it, which ends in .pub."));
    }
    let line = text.trim();
    let kind = line.split(' ').next().unwrap_or_default();
    let known = ["ssh-", "ecdsa-", "sk-ssh-", "sk-ecdsa-"];
    if line.lines().count() != 1 || !known.iter().any(|start| kind.starts_with(start)) {
        let message = format!("{name} does not hold one SSH public key.");
        return Err(CliError::usage(message).hint("It looks like: ssh-ed25519 AAAA… me@home"));
    }
    Ok(line.to_owned())
}

#[derive(Clone, Debug, clap::Args)]
pub struct Remove {
    /// The key's comment or fingerprint
    key: String,
    #[command(flatten)]
    server: ServerArguments,
}

impl Remove {
    pub fn run(self, session: &mut Session) -> Result<()> {
        let client = session.client(&self.server)?;
        let keys: Vec<Key> = client.list(PATH, Range::All)?;
        let wanted = |key: &&Key| [&key.comment, &key.fingerprint, &key.id].contains(&&self.key);
        let matching: Vec<&Key> = keys.iter().filter(wanted).collect();
        let key = match matching.as_slice() {
            [key] => key,
            [] => {
                let message = format!("You have no SSH key {}.", self.key);
                return Err(CliError::not_found(message).hint("`windlass keys` lists them."));
            }
            several => {
                let message = format!("{} SSH keys are called {}.", several.len(), self.key);
                return Err(CliError::usage(message).hint("Name the one by its fingerprint."));
            }
        };
        let path = format!("{PATH}/{}", encoded(&key.id));
        let message = format!("Removing the SSH key {}", self.key);
        let remove = || client.delete(&path);
        session.output.action(&message, remove, |_, ()| None)
    }
}
