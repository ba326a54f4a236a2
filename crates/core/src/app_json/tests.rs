use super::*;

fn parse(text: &str) -> AppJson {
    AppJson::parse(text.as_bytes()).unwrap()
}

#[test]
fn reads_herokus_form() {
    let app = parse(
        r#"{
            "name": "bibly", "description": "d", "stack": "heroku-24", "keywords": [],
            "env": {
                "PLAIN": "x",
                "KEY": {"description": "signs cookies", "generator": "secret"},
                "OPTIONAL": {"required": false},
                "NEEDED": {"description": "must be set"},
                "BOTH": {"value": "", "generator": "secret"}
            },
            "formation": {"web": {"quantity": 2, "size": "basic"}, "worker": {"quantity": 0}},
            "buildpacks": [{"url": "heroku/nodejs"}, {"url": "heroku/python"}],
            "scripts": {"postdeploy": "python seed.py", "test": {"command": "pytest"}}
        }"#,
    );
    assert_eq!(app.warnings, Vec::<String>::new());
    assert_eq!(app.buildpacks, ["heroku/nodejs", "heroku/python"]);
    assert_eq!(app.stack.as_deref(), Some("heroku-24"));
    let quantities: Vec<_> = app.formation.iter().map(|(p, n)| (p.as_str(), *n)).collect();
    assert_eq!(quantities, [("web", 2), ("worker", 0)]);
    assert_eq!(app.scripts.first_postdeploy.as_ref().unwrap().command, "python seed.py");
    assert_eq!((app.scripts.predeploy.as_ref(), app.scripts.postdeploy.as_ref()), (None, None));
    let set = BTreeMap::new();
    assert_eq!(app.missing(&set), ["NEEDED"]);
    let defaults = app.defaults(&set, || "random".to_owned());
    let pairs: Vec<_> = defaults.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
    assert_eq!(pairs, [("BOTH", ""), ("KEY", "random"), ("PLAIN", "x")]);
}

#[test]
fn what_is_set_is_neither_missing_nor_replaced() {
    let app = parse(r#"{"env": {"A": {}, "B": "theirs", "C": {"generator": "secret"}}}"#);
    let set = ["A", "B", "C"].map(|name| (name.to_owned(), "mine".to_owned())).into();
    assert!(app.missing(&set).is_empty());
    assert!(app.defaults(&set, || unreachable!("no secret is needed")).is_empty());
}

#[test]
fn reads_dokkus_form() {
    let app = parse(
        r#"{
            "scripts": {
                "postdeploy": "once",
                "dokku": {"predeploy": "before", "postdeploy": {"command": "after", "env": {"A": "b"}}}
            },
            "healthchecks": {"web": [{"type": "startup", "path": "/up", "attempts": 3}]},
            "cron": [{"command": "clean", "schedule": "@daily"}]
        }"#,
    );
    let command = |script: &Option<Script>| script.as_ref().unwrap().command.clone();
    assert_eq!(command(&app.scripts.predeploy), "before");
    assert_eq!(command(&app.scripts.postdeploy), "after");
    assert_eq!(command(&app.scripts.first_postdeploy), "once");
    assert_eq!(app.scripts.postdeploy.unwrap().env["A"], "b");
    assert_eq!(app.checks[&ProcessType::web()][0].probe.describe(), "GET /up");
    assert_eq!(app.cron[0].settings.schedule, "@daily");
}

#[test]
fn the_old_form_of_a_formation_is_a_list() {
    let app = parse(r#"{"formation": [{"process": "worker", "quantity": 3, "size": "1X"}]}"#);
    assert_eq!(app.formation[&"worker".parse().unwrap()], 3);
}

#[test]
fn unknown_keys_are_warnings_with_their_place() {
    let table = [
        (r#"{"evn": {}}"#, "evn"),
        (r#"{"env": {"A": {"defualt": "x"}}}"#, "env.A.defualt"),
        (r#"{"formation": {"web": {"count": 1}}}"#, "formation.web.count"),
        (r#"{"buildpacks": [{"url": "x", "ref": "y"}]}"#, "buildpacks[0].ref"),
        (r#"{"scripts": {"dokku": {"prebuild": "x"}}}"#, "scripts.dokku.prebuild"),
        (r#"{"healthchecks": {"web": [{"pth": "/"}]}}"#, "healthchecks.web[0].pth"),
    ];
    for (text, place) in table {
        let warning = format!("app.json: {place} is not known here and is ignored");
        assert_eq!(parse(text).warnings, [warning], "{text}");
    }
    assert_eq!(
        parse(r#"{"addons": ["heroku-postgresql"]}"#).warnings,
        ["app.json: addons: there are none here, they are ignored"]
    );
}

#[test]
fn wrong_types_are_errors_with_their_place() {
    let table = [
        ("[]", "the file must be an object, not a list"),
        (r#"{"name": 1}"#, "name must be text, not a number"),
        (r#"{"env": []}"#, "env must be an object, not a list"),
        (r#"{"env": {"A": 5}}"#, "env.A must be text or an object, not a number"),
        (r#"{"env": {"A": {"value": 5}}}"#, "env.A.value must be text, not a number"),
        (r#"{"env": {"A": {"required": "no"}}}"#, "env.A.required must be true or false, not text"),
        (
            r#"{"env": {"A": {"generator": "uuid"}}}"#,
            "env.A.generator: the only generator is \"secret\"",
        ),
        (
            r#"{"env": {"2A": "x"}}"#,
            "env.2A: \"2A\" is not a config var name: use letters, digits and `_`, not starting with a digit",
        ),
        (r#"{"formation": 1}"#, "formation must be an object or a list, not a number"),
        (r#"{"formation": {"web": 1}}"#, "formation.web must be an object, not a number"),
        (
            r#"{"formation": {"web": {"quantity": "1"}}}"#,
            "formation.web.quantity must be a whole number, not text",
        ),
        (
            r#"{"formation": {"web": {"quantity": -1}}}"#,
            "formation.web.quantity must be a whole number, not a number",
        ),
        (
            r#"{"formation": {"web": {"quantity": 101}}}"#,
            "formation.web.quantity: at most 100 of one process type can run",
        ),
        (r#"{"formation": [{"quantity": 1}]}"#, "formation[0]: `process` is missing"),
        (r#"{"buildpacks": "heroku/python"}"#, "buildpacks must be a list, not text"),
        (r#"{"buildpacks": ["x"]}"#, "buildpacks[0] must be an object, not text"),
        (r#"{"buildpacks": [{"url": 1}]}"#, "buildpacks[0].url must be text, not a number"),
        (r#"{"buildpacks": [{}]}"#, "buildpacks[0]: `url` is missing"),
        (r#"{"stack": []}"#, "stack must be text, not a list"),
        (
            r#"{"scripts": {"postdeploy": ["x"]}}"#,
            "scripts.postdeploy must be text or an object, not a list",
        ),
        (r#"{"scripts": {"postdeploy": " "}}"#, "scripts.postdeploy: must not be empty"),
        (r#"{"scripts": {"dokku": "x"}}"#, "scripts.dokku must be an object, not text"),
        (
            r#"{"healthchecks": {"web": [{"attempts": "3"}]}}"#,
            "healthchecks.web[0].attempts must be a whole number, not text",
        ),
        (r#"{"cron": [{"command": "x"}]}"#, "cron[0]: `schedule` is missing"),
        (r#"{"addons": {}}"#, "addons must be a list, not an object"),
    ];
    for (text, message) in table {
        let error = AppJson::parse(text.as_bytes()).expect_err(text).to_string();
        assert_eq!(error.strip_prefix("app.json: "), Some(message), "{text}");
    }
    let broken = AppJson::parse(b"{\n  \"env\": }").unwrap_err().to_string();
    assert!(broken.starts_with("app.json is not JSON: ") && broken.contains("line 2"), "{broken}");
}

#[test]
fn null_is_nothing() {
    assert_eq!(parse(r#"{"env": null, "scripts": {"postdeploy": null}}"#), AppJson::default());
}

proptest::proptest! {
    #[test]
    fn never_panics(bytes: Vec<u8>) {
        let _ = AppJson::parse(&bytes);
    }
}
