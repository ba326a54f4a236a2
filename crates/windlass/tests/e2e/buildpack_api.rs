//! What Heroku's buildpack API promises to a buildpack, with packs of the test's own.

use crate::outside::Outside;
use crate::support::{own_server, python, shared_server};
use windlass_testkit::app::TestApp;
use windlass_testkit::git::Repository;

/// Writes scripts of a buildpack below a folder.
fn pack(repository: &Repository, folder: &str, scripts: &[(&str, &str)]) {
    for (name, body) in scripts {
        repository.write(&format!("{folder}bin/{name}"), &format!("#!/bin/bash\n{body}\n"));
    }
}

/// Returns what follows `key` on its line.
#[track_caller]
fn said<'a>(output: &'a str, key: &str) -> &'a str {
    let at = output.find(key).unwrap_or_else(|| panic!("{key:?} in {output}"));
    output[at + key.len()..].lines().next().unwrap_or_default().trim()
}

#[test]
fn a_buildpack_sees_what_heroku_shows_it_and_nothing_else() {
    let server = shared_server!();
    let app = TestApp::create(&server, "environment");
    let _ = app.cli(&["config:set", "GREETING=two\nlines", "HOME=/elsewhere"]).success();
    let repository = python();
    let compile = r#"echo "names: $(compgen -e | sort | tr '\n' ' ')"
echo "home: $HOME, stack: $STACK, at: $PWD, user: $(id -u)"
echo "version: $SOURCE_VERSION."
echo "request: $REQUEST_ID."
echo "build: $1."
echo "cache: $2 $(cat "$2/mark" 2>/dev/null; echo kept > "$2/mark")."
echo "vars: $(ls "$3" | tr '\n' ' ')- $(wc -c <"$3/GREETING")."
echo mine > /app/scratch && echo "app: $(ls -A /app)""#;
    pack(&repository, "", &[("detect", "echo Inline"), ("compile", compile)]);
    repository.write(".buildpacks", "inline\n");
    let commit = repository.commit("looks around");

    let output = app.push(&repository).everything();

    // Besides these only what finds the authorities of certificates.
    for name in said(&output, "names:").split_whitespace() {
        let known = ["DYNO", "HOME", "LANG", "OLDPWD", "PATH", "PWD", "REQUEST_ID", "SHLVL"];
        let known = known.contains(&name) || ["SOURCE_VERSION", "STACK", "_"].contains(&name);
        assert!(known || name.contains("CA") || name.contains("CERT"), "{name} in {output}");
    }
    assert_eq!(said(&output, "home:").split(", at:").next(), Some("/app, stack: debian-12"));
    assert!(said(&output, "user:").contains("1000"), "{output}");
    assert_eq!(said(&output, "version:"), format!("{commit}."));
    assert!(said(&output, "request:").len() > 8, "{output}");
    assert!(said(&output, "build:").starts_with("/tmp/build_"), "apart from /app: {output}");
    assert_eq!(said(&output, "vars:"), "GREETING HOME - 9.", "without a line's end of ours");
    assert_eq!(said(&output, "app:"), "scratch", "empty and writable: {output}");
    assert!(!said(&output, "cache:").contains("kept"), "{output}");
    repository.commit("again");
    assert!(said(&app.push(&repository).everything(), "cache:").contains("kept"));
    assert!(!app.cli(&["run", "ls -A /app"]).success().contains("scratch"), "is not the app");
}

#[test]
fn bin_release_gives_processes_and_a_first_deploy_its_config_vars() {
    let server = shared_server!();
    let app = TestApp::create(&server, "yaml");
    let _ = app.cli(&["config:set", "MINE=kept"]).success();
    let repository = python();
    std::fs::remove_file(repository.path().join("Procfile")).unwrap();
    let release = "cat <<END\n---\naddons:\n  - heroku-postgresql:mini\nconfig_vars:\n  MINE: theirs\n  WORKERS: 3\n\
                   default_process_types:\n  web: python3 server.py\nEND";
    pack(&repository, "", &[("detect", "echo Inline"), ("compile", "true"), ("release", release)]);
    repository.change(".buildpacks", "inline\n");
    let output = app.push(&repository).everything();
    assert!(output.contains("Config vars from the buildpack: WORKERS"), "{output}");
    assert!(output.contains("add-ons, which are not made for it: heroku-postgresql:mini"));
    assert_eq!(app.cli(&["run", "echo $MINE $WORKERS"]).success().trim(), "kept 3");
    assert_eq!(app.get("/").status, 200);

    let _ = app.cli(&["config:unset", "WORKERS"]).success();
    repository.commit("again");
    assert!(!app.push(&repository).everything().contains("add-ons"));
    assert_eq!(app.cli(&["run", "echo -$WORKERS-"]).success().trim(), "--", "only the first");

    pack(&repository, "", &[("release", "echo 'config_vars: [}'")]);
    repository.commit("broken");
    let refused = app.push(&repository).failure();
    assert!(refused.contains("bin/release wrote YAML that cannot be used"), "{refused}");
    assert_eq!(app.get("/").status, 200);
}

#[test]
fn exports_reach_the_next_buildpack_and_profiles_run_in_order() {
    let server = shared_server!();
    let app = TestApp::create(&server, "exports");
    let repository = python();
    let first = r#"mkdir -p "$1/.profile.d" "$1/tools"
printf '#!/bin/sh\necho a tool\n' >"$1/tools/a-tool" && chmod +x "$1/tools/a-tool"
echo 'export ORDER="${ORDER}b"' >"$1/.profile.d/20-b.sh"
echo "export PATH=\"$1/tools:\$PATH\" FROM_FIRST=yes" >"${BASH_SOURCE[0]%/*}/../export""#;
    let second = r#"echo "tool: $(a-tool), $FROM_FIRST"
echo 'export ORDER="${ORDER}a"' >"$1/.profile.d/10-a.sh""#;
    pack(&repository, "one/", &[("detect", "echo One"), ("compile", first)]);
    pack(&repository, "two/", &[("detect", "echo Two"), ("compile", second)]);
    repository.write(".profile", "export ORDER=\"${ORDER}c\"\n");
    repository.change(".buildpacks", "./one\n./two\n");
    let output = app.push(&repository).everything();
    assert_eq!(said(&output, "tool:"), "a tool, yes", "{output}");
    assert_eq!(app.cli(&["run", "echo $ORDER-$FROM_FIRST"]).success().trim(), "abc-");
}

#[test]
fn buildpacks_come_from_archives_and_from_git_by_branch_tag_or_commit() {
    let Some(outside) = Outside::start() else { return };
    let server = shared_server!();
    let app = TestApp::create(&server, "remote");
    let packs = Repository::empty();
    pack(&packs, "", &[("detect", "echo Remote"), ("compile", "echo remote one")]);
    let commit = packs.commit("one");
    let _ = packs.git(&["tag", "v1"]).success();
    pack(&packs, "", &[("compile", "echo remote two")]);
    packs.commit("two");
    let target = outside.directory().join("pack.git").display().to_string();
    let _ = packs.git(&["clone", "--quiet", "--bare", ".", &target]).success();
    let _ = packs.git(&["--git-dir", &target, "update-server-info"]).success();
    for (prefix, name) in [("", "flat.tgz"), ("pack-1/", "folder.tar.gz")] {
        let output = format!("--output={}", outside.directory().join(name).display());
        let prefix = format!("--prefix={prefix}");
        let _ = packs.git(&["archive", "--format=tgz", &prefix, &output, "v1"]).success();
    }
    let address = outside.address();
    let repository = python();
    for (buildpack, words) in [
        ("pack.git".to_owned(), "remote two"),
        ("pack.git#main".to_owned(), "remote two"),
        ("pack.git#v1".to_owned(), "remote one"),
        (format!("pack.git#{commit}"), "remote one"),
        ("flat.tgz".to_owned(), "remote one"),
        ("folder.tar.gz".to_owned(), "remote one"),
    ] {
        let _ = app.cli(&["buildpacks:set", &format!("http://{address}/{buildpack}")]).success();
        repository.commit("again");
        let pushed = app.push(&repository);
        assert!(pushed.everything().contains(words), "{buildpack}: {pushed}");
        let _ = pushed.success();
    }
    let _ = app.cli(&["buildpacks:set", &format!("http://{address}/pack.git#none")]).success();
    repository.commit("again");
    let refused = app.push(&repository).failure();
    assert!(refused.contains("The repository has no branch, tag or commit none."), "{refused}");
    assert!(
        refused.contains(&format!("the buildpack http://{address}/pack.git#none")),
        "{refused}"
    );
    assert_eq!(app.get("/").status, 200, "the release before it is served");
}

#[test]
fn an_app_that_is_too_large_is_refused_and_slugignore_makes_it_smaller() {
    let server = own_server!(&[("build-image", "8")]);
    let repository = python();
    let app = TestApp::deployed(&server, "large", &repository);
    std::fs::create_dir(repository.path().join("psd")).unwrap();
    std::fs::write(repository.path().join("psd/large.bin"), vec![7u8; 9 << 20]).unwrap();
    repository.commit("large");
    let refused = app.push(&repository).failure();
    assert!(refused.contains("Done: 9.0M"), "{refused}");
    assert!(refused.contains("over the limit of 8.0M (`build.image`"), "{refused}");
    assert_eq!(app.get("/").status, 200);
    repository.change(".slugignore", "# pictures\npsd/\n");
    let _ = app.push(&repository).success();
    assert_eq!(app.cli(&["run", "ls psd 2>&1; true"]).success().matches("No such file").count(), 1);
}
