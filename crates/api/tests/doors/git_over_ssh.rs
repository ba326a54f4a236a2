//! The real git and ssh against the SSH door.

use super::git::{
    Checkout, SILENT_HOOK, WAITING_HOOK, app_with_hook, killed_client_ends_hook, output_is_live,
};
use super::support::Server;
use tokio::process::Command;

/// A key pair in the checkout; the server knows it when `known`.
async fn key(server: &Server, checkout: &Checkout, kind: &str, known: bool) -> String {
    let file = checkout.path().join(format!("key-{kind}-{known}"));
    let mut command = Command::new("ssh-keygen");
    command.args(["-q", "-t", kind, "-N", "", "-C", "ada@host", "-f"]).arg(&file);
    assert!(command.status().await.unwrap().success());
    if known {
        let public_key = std::fs::read_to_string(file.with_extension("pub")).unwrap();
        let added =
            server.post("/account/keys", serde_json::json!({ "public_key": public_key })).await;
        assert_eq!(added.status, 201, "{added:?}");
    }
    file.display().to_string()
}

fn ssh_arguments(server: &Server, key: &str) -> Vec<String> {
    let port = server.ssh.port().to_string();
    let options = [
        "IdentitiesOnly=yes",
        "StrictHostKeyChecking=no",
        "UserKnownHostsFile=/dev/null",
        "BatchMode=yes",
        "LogLevel=ERROR",
    ];
    let mut arguments =
        vec!["-F".into(), "/dev/null".into(), "-i".into(), key.to_owned(), "-p".into(), port];
    arguments.extend(options.into_iter().flat_map(|option| ["-o".to_owned(), option.to_owned()]));
    arguments
}

fn git(server: &Server, checkout: &Checkout, key: &str, arguments: &[&str]) -> Command {
    let mut command = checkout.git(arguments);
    command.env("GIT_SSH_COMMAND", format!("ssh {}", ssh_arguments(server, key).join(" ")));
    command
}

fn url(app: &str) -> String {
    format!("ssh://anybody@127.0.0.1/{app}.git")
}

#[tokio::test(flavor = "multi_thread")]
async fn pushes_and_clones() {
    let server = Server::start().await;
    app_with_hook(&server, "cat > /dev/null; echo building").await;
    let checkout = Checkout::new().await;
    for kind in ["ed25519", "rsa", "ecdsa"] {
        let key = key(&server, &checkout, kind, true).await;
        checkout.commit(kind).await;
        let (success, text) =
            checkout.run(git(&server, &checkout, &key, &["push", &url("bibly"), "main"])).await;
        assert!(success && text.contains("remote: building"), "{kind}: {text}");
    }
    let key = checkout.path().join("key-ed25519-true").display().to_string();
    // Larger than a window, so that it only comes through when windows are kept.
    std::fs::write(checkout.path().join("noise"), vec![b'x'; 1 << 20]).unwrap();
    let noise: Vec<u8> =
        (0..8u64 << 20).map(|n| (n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8).collect();
    std::fs::write(checkout.path().join("noise"), &noise).unwrap();
    checkout.succeed(&["-c", "core.compression=0", "add", "noise"]).await;
    checkout.commit("more").await;
    let push = ["-c", "core.compression=0", "push", &url("bibly"), "main"];
    let (success, text) = checkout.run(git(&server, &checkout, &key, &push)).await;
    assert!(success, "{text}");
    for version in ["0", "2"] {
        let (target, protocol) =
            (format!("clone-{version}"), format!("protocol.version={version}"));
        let clone = ["-c", &protocol, "clone", "--quiet", &url("bibly"), &target];
        let (success, text) = checkout.run(git(&server, &checkout, &key, &clone)).await;
        assert!(success, "{text}");
        assert!(std::fs::read(checkout.path().join(&target).join("noise")).unwrap() == noise);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn strangers_and_shells_are_refused() {
    let server = Server::start().await;
    app_with_hook(&server, "true").await;
    let checkout = Checkout::new().await;
    let stranger = key(&server, &checkout, "ed25519", false).await;
    let (success, text) =
        checkout.run(git(&server, &checkout, &stranger, &["push", &url("bibly"), "main"])).await;
    assert!(!success && text.contains("Permission denied (publickey)"), "{text}");

    let known = key(&server, &checkout, "ed25519", true).await;
    let (success, text) =
        checkout.run(git(&server, &checkout, &known, &["push", &url("nosuch"), "main"])).await;
    assert!(!success && text.contains("Couldn't find an app named \"nosuch\""), "{text}");
    for command in [None, Some("ls /"), Some("git-receive-pack '/bibly.git'; id")] {
        let mut ssh = Command::new("ssh");
        ssh.args(ssh_arguments(&server, &known)).arg("anybody@127.0.0.1").args(command);
        let output = ssh.stdin(std::process::Stdio::null()).output().await.unwrap();
        let text = String::from_utf8_lossy(&output.stderr);
        assert_eq!(
            text.trim_end(),
            "Hi ada@example.com! Windlass does not give shell access.",
            "{command:?}"
        );
        assert_eq!((output.status.code(), output.stdout.len()), (Some(1), 0), "{command:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn refused_pushes_have_gits_exit_status() {
    let server = Server::start().await;
    app_with_hook(&server, "echo 'no Procfile'; exit 1").await;
    let checkout = Checkout::new().await;
    let key = key(&server, &checkout, "ed25519", true).await;
    let (success, text) =
        checkout.run(git(&server, &checkout, &key, &["push", &url("bibly"), "main"])).await;
    assert!(
        !success
            && text.contains("remote: no Procfile")
            && text.contains("pre-receive hook declined"),
        "{text}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn output_of_the_hook_is_shown_at_once() {
    let server = Server::start().await;
    let signal = app_with_hook(&server, WAITING_HOOK).await;
    let checkout = Checkout::new().await;
    let key = key(&server, &checkout, "ed25519", true).await;
    output_is_live(&signal, git(&server, &checkout, &key, &["push", &url("bibly"), "main"])).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_client_ends_a_silent_build() {
    let server = Server::start().await;
    let signal = app_with_hook(&server, SILENT_HOOK).await;
    let checkout = Checkout::new().await;
    let key = key(&server, &checkout, "ed25519", true).await;
    killed_client_ends_hook(
        &signal,
        git(&server, &checkout, &key, &["push", &url("bibly"), "main"]),
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_open_connection_is_worth_nothing_without_its_key() {
    let server = Server::start().await;
    server.app("bibly").await;
    let checkout = Checkout::new().await;
    let key = key(&server, &checkout, "ed25519", true).await;
    let socket = checkout.path().join("control");
    let ssh = |arguments: &[&str]| {
        let mut ssh = Command::new("ssh");
        ssh.args(ssh_arguments(&server, &key)).arg("-S").arg(&socket).args(arguments);
        ssh.stdin(std::process::Stdio::null()).kill_on_drop(true);
        ssh
    };
    let _master = ssh(&["-M", "-N", "anybody@127.0.0.1"]).spawn().unwrap();
    let started = std::time::Instant::now();
    while !socket.exists() {
        assert!(started.elapsed() < std::time::Duration::from_secs(120), "no connection");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    let ask = async || ssh(&["anybody@127.0.0.1", "ls"]).output().await.unwrap();
    let greeted = ask().await;
    assert!(String::from_utf8_lossy(&greeted.stderr).contains("Hi ada@"), "{greeted:?}");
    let keys = server.get("/account/keys").await.json();
    let id = keys[0]["id"].as_str().unwrap();
    assert_eq!(server.delete(&format!("/account/keys/{id}")).await.status, 200);
    let refused = ask().await;
    assert!(!String::from_utf8_lossy(&refused.stderr).contains("Hi ada@"), "{refused:?}");
    assert_ne!(refused.status.code(), Some(0));
}
