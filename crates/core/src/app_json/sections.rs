//! The sections of app.json, one function each.

use super::at::{AppJsonError, At};
use super::{AppJson, EnvEntry, EnvSource, Script, Scripts};
use crate::checks::{Check, CheckSettings, InvalidCheck, MOST_CHECKS};
use crate::limits;
use crate::names::{ConfigVarName, ProcessType};
use std::collections::BTreeMap;

type Result<T> = std::result::Result<T, AppJsonError>;

/// Keys at the top that are understood, or that describe the app to people and shops.
const TOP: &[&str] = &[
    "$schema",
    "name",
    "description",
    "keywords",
    "website",
    "repository",
    "logo",
    "success_url",
    "image",
    "env",
    "formation",
    "buildpacks",
    "stack",
    "scripts",
    "healthchecks",
    "cron",
    "addons",
    "environments",
];

pub(super) fn read(root: &At<'_>) -> Result<AppJson> {
    let mut warnings = Vec::new();
    root.warn_of_others(TOP, &mut warnings)?;
    for key in ["name", "description", "website", "repository", "logo", "success_url"] {
        if let Some(at) = root.field(key) {
            at.text()?;
        }
    }
    if let Some(addons) = root.field("addons")
        && !addons.items()?.is_empty()
    {
        warnings.push("app.json: addons: there are none here, they are ignored".to_owned());
    }
    let mut app = AppJson::default();
    if let Some(at) = root.field("env") {
        app.env = env(&at, &mut warnings)?;
    }
    if let Some(at) = root.field("formation") {
        app.formation = formation(&at, &mut warnings)?;
    }
    if let Some(at) = root.field("buildpacks") {
        app.buildpacks = buildpacks(&at, &mut warnings)?;
    }
    if let Some(at) = root.field("stack") {
        app.stack = Some(at.some_text()?.to_owned());
    }
    if let Some(at) = root.field("scripts") {
        app.scripts = scripts(&at, &mut warnings)?;
    }
    if let Some(at) = root.field("healthchecks") {
        for (name, checks) in at.entries()? {
            let process = process_type(&checks, name)?;
            let items = checks.items()?;
            if items.len() > MOST_CHECKS {
                let problem = format!("at most {MOST_CHECKS} checks of one process type");
                return Err(checks.invalid(problem));
            }
            let read: Result<_> = items.iter().map(|at| check(at, &mut warnings)).collect();
            app.checks.insert(process, read?);
        }
    }
    if let Some(at) = root.field("cron") {
        app.cron = super::cron::read(&at, &mut warnings)?;
    }
    app.warnings = warnings;
    Ok(app)
}

fn env(at: &At<'_>, warnings: &mut Vec<String>) -> Result<BTreeMap<ConfigVarName, EnvEntry>> {
    let mut env = BTreeMap::new();
    for (name, at) in at.entries()? {
        let name: ConfigVarName = name.parse().map_err(|error| at.invalid(format!("{error}")))?;
        env.insert(name, env_entry(&at, warnings)?);
    }
    Ok(env)
}

fn env_entry(at: &At<'_>, warnings: &mut Vec<String>) -> Result<EnvEntry> {
    if let Some(value) = at.value().as_str() {
        let source = EnvSource::Value(without_nul(at, value)?);
        return Ok(EnvEntry { source, required: true, description: None });
    }
    if !at.value().is_object() {
        return Err(at.wrong("text or an object"));
    }
    at.warn_of_others(&["value", "required", "generator", "description", "sync"], warnings)?;
    let generator = at.field("generator");
    if let Some(generator) = &generator
        && generator.text()? != "secret"
    {
        return Err(generator.invalid("the only generator is \"secret\""));
    }
    let source = match at.field("value") {
        Some(value) => EnvSource::Value(without_nul(&value, value.text()?)?),
        None if generator.is_some() => EnvSource::Secret,
        None => EnvSource::Nowhere,
    };
    let required = at.field("required").map_or(Ok(true), |at| at.truth())?;
    let description = at.field("description").map(|at| at.text()).transpose()?;
    Ok(EnvEntry { source, required, description: description.map(str::to_owned) })
}

fn without_nul(at: &At<'_>, value: &str) -> Result<String> {
    if value.contains('\0') {
        return Err(at.invalid("contains a NUL byte, which no environment can hold"));
    }
    Ok(value.to_owned())
}

/// Heroku's `{type: {quantity, size}}`, and its old form, a list of `{process, quantity, size}`.
fn formation(at: &At<'_>, warnings: &mut Vec<String>) -> Result<BTreeMap<ProcessType, u32>> {
    let mut formation = BTreeMap::new();
    if at.value().is_array() {
        for at in at.items()? {
            let process = process_type(&at, at.needed_text("process")?)?;
            formation.extend(quantity(&at, warnings)?.map(|quantity| (process, quantity)));
        }
        return Ok(formation);
    }
    if !at.value().is_object() {
        return Err(at.wrong("an object or a list"));
    }
    for (name, at) in at.entries()? {
        let process = process_type(&at, name)?;
        formation.extend(quantity(&at, warnings)?.map(|quantity| (process, quantity)));
    }
    Ok(formation)
}

fn quantity(at: &At<'_>, warnings: &mut Vec<String>) -> Result<Option<u32>> {
    at.warn_of_others(
        &["process", "quantity", "size", "command", "max_parallel", "service"],
        warnings,
    )?;
    if let Some(size) = at.field("size") {
        size.text()?;
    }
    let Some(quantity) = at.field("quantity") else { return Ok(None) };
    let most = limits::INSTANCES_PER_PROCESS;
    match u32::try_from(quantity.whole_number()?) {
        Ok(number) if number <= most => Ok(Some(number)),
        _ => Err(quantity.invalid(format!("at most {most} of one process type can run"))),
    }
}

fn process_type(at: &At<'_>, name: &str) -> Result<ProcessType> {
    name.parse().map_err(|error| at.invalid(format!("{error}")))
}

fn buildpacks(at: &At<'_>, warnings: &mut Vec<String>) -> Result<Vec<String>> {
    let mut buildpacks = Vec::new();
    for at in at.items()? {
        at.warn_of_others(&["url"], warnings)?;
        buildpacks.push(at.needed_text("url")?.to_owned());
    }
    Ok(buildpacks)
}

fn scripts(at: &At<'_>, warnings: &mut Vec<String>) -> Result<Scripts> {
    // Those of tests are checked and have no effect.
    let known = ["predeploy", "postdeploy", "dokku", "test", "test-setup", "pr-predestroy", "lint"];
    at.warn_of_others(&known, warnings)?;
    for key in ["test", "test-setup", "lint"] {
        script(at, key, warnings)?;
    }
    let mut scripts = Scripts {
        predeploy: script(at, "predeploy", warnings)?,
        first_postdeploy: script(at, "postdeploy", warnings)?,
        postdeploy: None,
        predestroy: script(at, "pr-predestroy", warnings)?,
    };
    if let Some(dokku) = at.field("dokku") {
        dokku.warn_of_others(&["predeploy", "postdeploy"], warnings)?;
        scripts.predeploy = script(&dokku, "predeploy", warnings)?.or(scripts.predeploy);
        scripts.postdeploy = script(&dokku, "postdeploy", warnings)?;
    }
    Ok(scripts)
}

/// A command, or `{command, env, size}`.
fn script(at: &At<'_>, key: &str, warnings: &mut Vec<String>) -> Result<Option<Script>> {
    let Some(at) = at.field(key) else { return Ok(None) };
    if at.value().is_string() {
        let command = at.some_text()?.to_owned();
        return Ok(Some(Script { command, env: BTreeMap::new() }));
    }
    if !at.value().is_object() {
        return Err(at.wrong("text or an object"));
    }
    at.warn_of_others(&["command", "env", "size"], warnings)?;
    let command = at.needed_text("command")?.to_owned();
    let mut env = BTreeMap::new();
    if let Some(at) = at.field("env") {
        for (name, at) in at.entries()? {
            let _: ConfigVarName = name.parse().map_err(|error| at.invalid(format!("{error}")))?;
            env.insert(name.to_owned(), without_nul(&at, at.text()?)?);
        }
    }
    Ok(Some(Script { command, env }))
}

fn check(at: &At<'_>, warnings: &mut Vec<String>) -> Result<Check> {
    let texts = ["type", "name", "description", "path", "content", "scheme", "onFailure"];
    let numbers = ["attempts", "timeout", "wait", "initialDelay", "port", "uptime"];
    let others = ["command", "httpHeaders", "warn", "listening"];
    at.warn_of_others(&[&texts[..], &numbers, &others].concat(), warnings)?;
    let text = |key| at.field(key).map(|at| at.text().map(str::to_owned)).transpose();
    let number = |key| at.field(key).map(|at| at.whole_number()).transpose();
    let truth = |key| at.field(key).map_or(Ok(false), |at| at.truth());
    let mut command = Vec::new();
    if let Some(words) = at.field("command") {
        for word in words.items()? {
            command.push(word.text()?.to_owned());
        }
    }
    let mut headers = Vec::new();
    if let Some(list) = at.field("httpHeaders") {
        for header in list.items()? {
            let value = header.field("value").map_or(Ok(""), |value| value.text())?;
            headers.push((header.needed_text("name")?.to_owned(), value.to_owned()));
        }
    }
    for key in ["scheme", "onFailure"] {
        if at.field(key).is_some() {
            at.field(key).map(|at| at.text()).transpose()?;
            warnings.push(format!("app.json: {}.{key} has no effect here", at.shown()));
        }
    }
    let settings = CheckSettings {
        name: text("name")?,
        kind: text("type")?,
        path: text("path")?,
        content: text("content")?,
        headers,
        port: number("port")?,
        listening: truth("listening")?,
        command,
        uptime: number("uptime")?,
        attempts: number("attempts")?,
        wait: number("wait")?,
        timeout: number("timeout")?,
        initial_delay: number("initialDelay")?,
        only_warns: truth("warn")?,
    };
    settings.check().map_err(|InvalidCheck(what, problem)| at.invalid(format!("{what} {problem}")))
}
