//! Which buildpacks build an app, and what they do not leak.

use crate::support::{python, shared_server};
use windlass_testkit::app::TestApp;
use windlass_testkit::git::Repository;

/// Scripts of a buildpack that leaves a mark, below a folder.
fn pack(repository: &Repository, folder: &str, name: &str) {
    repository.write(&format!("{folder}bin/detect"), &format!("#!/bin/sh\necho {name}\n"));
    let compile = format!("#!/bin/sh\necho compiling {name}\necho {name} >> \"$1/order\"\n");
    repository.write(&format!("{folder}bin/compile"), &compile);
    for script in ["detect", "compile"] {
        use std::os::unix::fs::PermissionsExt;
        let path = repository.path().join(folder).join("bin").join(script);
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
    }
}

/// The names of the buildpacks that built what was committed last.
fn used(app: &TestApp, repository: &Repository) -> Vec<String> {
    let head = repository.git(&["rev-parse", "HEAD"]).success();
    let builds = app.json(&["builds"]);
    let mut builds = builds.as_array().unwrap().iter();
    let build = builds.find(|build| build["source_blob"]["version"] == head.trim());
    let used = build.unwrap()["buildpacks"].as_array().unwrap().iter();
    used.map(|pack| pack["name"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn inline_folder_and_our_own_run_in_order() {
    let server = shared_server!();
    let app = TestApp::create(&server, "order");
    let repository = python();
    pack(&repository, "", "Inline");
    pack(&repository, "tools/pack/", "Folder");
    repository.commit("buildpacks");
    for buildpack in ["./tools/pack", "urn:buildpack:heroku/python"] {
        let _ = app.cli(&["buildpacks:add", buildpack]).success();
    }
    let said = app.cli(&["buildpacks:add", "inline", "-i", "1"]).success();
    assert!(said.contains("  1. inline\n  2. ./tools/pack\n  3. heroku/python\n"), "{said}");

    let pushed = app.push(&repository);
    let (pushed, worked) = (pushed.everything(), pushed.status.success());
    assert!(worked, "{pushed}");

    let at = |what: &str| pushed.find(what).unwrap_or_else(|| panic!("{what:?} in {pushed}"));
    assert!(at("compiling Inline") < at("compiling Folder"), "{pushed}");
    assert!(at("compiling Folder") < at("Python app detected"), "{pushed}");
    assert_eq!(app.cli(&["run", "cat order"]).success(), "Inline\nFolder\n");
    assert_eq!(used(&app, &repository), ["inline", "./tools/pack", "python"]);

    let _ = app.cli(&["buildpacks:clear"]).success();
    repository.change("VERSION", "two");
    let _ = app.push(&repository).success();
    assert_eq!(used(&app, &repository), ["python"], "detected");
}

#[test]
fn the_app_comes_before_app_json_and_that_before_the_file_and_the_config_var() {
    let server = shared_server!();
    let app = TestApp::create(&server, "choice");
    let repository = python();
    let names = ["cli", "json", "file", "var"];
    for name in names {
        pack(&repository, &format!("packs/{name}/"), name);
    }
    repository.write("app.json", r#"{"buildpacks": [{"url": "./packs/json"}]}"#);
    repository.write(".buildpacks", "# ours\n./packs/file\n");
    repository.commit("buildpacks");
    let _ = app.cli(&["config:set", "BUILDPACK_URL=./packs/var"]).success();
    let _ = app.cli(&["buildpacks:set", "./packs/cli"]).success();
    let undo: [&dyn Fn(); 4] = [
        &|| drop(app.cli(&["buildpacks:clear"]).success()),
        &|| drop(repository.change("app.json", "{}")),
        &|| drop(repository.change(".buildpacks", "# none\n")),
        &|| {},
    ];
    for (name, undo) in names.iter().zip(undo) {
        repository.commit("again");
        let said = app.push(&repository).everything();
        assert!(said.contains(&format!("compiling {name}")), "{name}: {said}");
        assert_eq!(used(&app, &repository), [format!("./packs/{name}")]);
        undo();
    }
}

#[test]
fn nodejs_and_python_together() {
    let server = shared_server!();
    let app = TestApp::create(&server, "two");
    let repository = python();
    repository.write("package.json", r#"{"name": "two", "version": "1.0.0"}"#);
    repository.change(".buildpacks", "heroku/nodejs\nheroku/python\n");
    let pushed = app.push(&repository);
    if !pushed.status.success() && pushed.everything().contains("Could not resolve") {
        return windlass_testkit::skip("the package registry cannot be reached");
    }
    let said = pushed.everything();
    assert!(pushed.status.success(), "{said}");
    let at = |what: &str| said.find(what).unwrap_or_else(|| panic!("{what:?} in {said}"));
    assert!(at("Node.js app detected") < at("Python app detected"), "{said}");
    assert_eq!(used(&app, &repository), ["nodejs", "python"]);
    assert!(app.cli(&["run", "node --version"]).success().starts_with('v'));
    assert_eq!(app.get("/").status, 200);
}

#[test]
fn what_does_not_exist_is_refused_in_one_line() {
    let server = shared_server!();
    let repository = python();
    let app = TestApp::deployed(&server, "nopack", &repository);
    let unknown = app.cli(&["buildpacks:set", "heroku/cobol"]);
    assert_eq!(unknown.code(), 5, "{unknown}");
    assert!(unknown.stderr.contains("There is no buildpack named heroku/cobol."), "{unknown}");

    for (buildpack, problem) in [
        (
            "http://127.0.0.1:1/none.tgz",
            "failed to fetch the buildpack http://127.0.0.1:1/none.tgz",
        ),
        (
            "http://127.0.0.1:1/none.git#v1",
            "failed to fetch the buildpack http://127.0.0.1:1/none.git#v1",
        ),
        ("./none", "the app has no folder none, which is set as its buildpack."),
        ("static", "App not compatible with buildpack: static"),
    ] {
        let _ = app.cli(&["buildpacks:set", buildpack]).success();
        repository.commit("again");
        let said = app.push(&repository).failure();
        assert!(said.contains(problem), "{said}");
        assert_eq!(app.version(), 2);
        assert_eq!(app.get("/").status, 200);
    }
}

#[test]
fn a_config_var_is_not_in_the_image_nor_in_what_the_build_says() {
    let server = shared_server!();
    let app = TestApp::create(&server, "secrets");
    // The tail is made at run time, so that this file in the binary's sources is no hit.
    let secret = format!("hush-{}-{}", app.name, std::process::id());
    let _ = app.cli(&["config:set", &format!("TOKEN={secret}")]).success();
    let repository = python();
    pack(&repository, "", "Inline");
    let compile = "#!/bin/sh\ntest -s \"$3/TOKEN\" && echo it has a token of $(wc -c < \"$3/TOKEN\")\n\
                   test -z \"$TOKEN\" && echo but not in its environment\n";
    repository.write("bin/compile", compile);
    repository.change(".buildpacks", "inline\nheroku/python\n");

    let said = app.push(&repository).everything();

    assert!(said.contains(&format!("it has a token of {}", secret.len())), "{said}");
    assert!(said.contains("but not in its environment"), "{said}");
    assert!(!said.contains(&secret), "{said}");
    assert!(!app.cli(&["builds:output"]).everything().contains(&secret));
    assert!(!app.logs().contains(&secret));
    // Layers, image configurations, build output, logs, caches; config vars in the database are
    // sealed. What instances get at their start is in the run directory, which is not kept.
    let hits = std::process::Command::new("grep")
        .args(["--recursive", "--files-with-matches", "--text", "--fixed-strings", "--", &secret])
        .arg(server.data_directory())
        .output()
        .unwrap();
    assert_eq!(hits.status.code(), Some(1), "{}", String::from_utf8_lossy(&hits.stdout));
    assert_eq!(app.cli(&["run", "echo $TOKEN"]).success().trim(), secret, "the app has it");
}
