//! Passkeys with the real client and a real Chromium, whose DevTools play the device.

use crate::support::shared_server;
use std::process::Command;
use std::time::Duration;
use windlass_testkit::browser::{Browser, ENTER};
use windlass_testkit::server::TestServer;
use windlass_testkit::{command, skip, wait_until};

/// Invites somebody, accepts for them, and returns a token of theirs.
fn let_in(server: &TestServer, email: &str) -> String {
    let link = server.cli(&["users:invite", email]).success();
    let home = tempfile::tempdir().unwrap();
    let run = |arguments: &[&str]| {
        command::run(server.bare_client(arguments).env("HOME", home.path()), b"").success()
    };
    run(&["invitations:accept", link.trim()]);
    run(&["authorizations:create", "-S", "-d", "laptop"]).trim().to_owned()
}

fn client(server: &TestServer, token: &str, arguments: &[&str]) -> Command {
    let mut client = server.client(arguments);
    client.env("WINDLASS_TOKEN", token);
    client
}

/// Lets the next requests of the page's scripts fail, as when an address of the machine changes.
fn drop_requests(browser: &Browser, count: u32) {
    let _ = browser.run(&format!(
        "const fetched = window.fetch;
         let left = {count};
         window.fetch = (...asked) =>
           left-- > 0 ? Promise.reject(new TypeError('Failed to fetch')) : fetched(...asked);"
    ));
}

/// Whether nothing sticks out of the page to the right.
fn fits(browser: &Browser) -> bool {
    let script = "return document.documentElement.scrollWidth <= window.innerWidth";
    browser.run(script) == true
}

#[test]
fn somebody_adds_a_passkey_in_chromium_and_logs_in_by_it() {
    let server = shared_server!();
    let Some(browser) = Browser::start(server.api().port()) else {
        return skip("Chromium is not installed");
    };
    let email = "passkeys@example.com";
    let token = let_in(&server, email);
    let _ = command::run(&mut client(&server, &token, &["passkeys"]), b"").success();
    let link = command::run(&mut client(&server, &token, &["passkeys:add"]), b"").success();
    browser.be_a_phone();
    browser.open(link.trim());
    browser.add_authenticator();
    assert!(browser.text().contains(email), "{}", browser.text());
    assert!(fits(&browser), "it is as narrow as a phone");
    // By keyboard alone: what is typed is sent by the return key.
    browser.write("#name", &format!("Chromium{ENTER}"));
    browser.wait_for("The passkey was added.");
    let listed = command::run(&mut client(&server, &token, &["passkeys"]), b"").success();
    assert!(listed.contains("Chromium") && listed.contains("never"), "{listed}");
    browser.write("#name", &format!("Again{ENTER}"));
    browser.wait_for("has a passkey of your account already");

    let (home, url) =
        (tempfile::tempdir().unwrap(), format!("http://localhost:{}", server.api().port()));
    let mut login = server.bare_client(&["login", &url, "--browser"]);
    let waiting = command::start(login.env("HOME", home.path()));
    let mut page = None;
    wait_until("the client says where to log in", Duration::from_secs(60), || {
        let said = waiting.so_far();
        page =
            said.split_whitespace().find(|word| word.contains("/auth/browser/")).map(str::to_owned);
        page.is_some()
    });
    browser.open(&page.unwrap());
    browser.wait_for("Sign in with a passkey");
    assert!(fits(&browser), "it is as narrow as a phone");
    drop_requests(&browser, 2);
    browser.click("form[data-passkey] button");
    browser.wait_for("You are logged in as");
    let logged_in = waiting.wait();
    assert!(logged_in.everything().contains(email), "{logged_in}");
    let mut whoami = server.bare_client(&["whoami"]);
    assert!(command::run(whoami.env("HOME", home.path()), b"").success().contains(email));

    // The page after the login leads to the list, where the passkey is renamed and removed.
    browser.click("a[href^='/auth/passkeys/']");
    browser.wait_for("last used");
    browser.click(".passkeys details:nth-of-type(1) summary");
    browser.write(".passkeys input[name=name]", &format!(" on a phone{ENTER}"));
    browser.wait_for("Chromium on a phone");
    browser.click(".passkeys details:nth-of-type(2) summary");
    browser.click("button[value=remove]");
    browser.wait_for("You have none yet.");
    wait_until("all of it is written down", Duration::from_secs(20), || {
        let trail = server.cli(&["activity", "--all", "--num", "1000"]).success();
        ["passkey add", "passkey login", "passkey rename", "passkey remove"]
            .iter()
            .all(|action| trail.lines().any(|line| line.contains(action) && line.contains(email)))
    });
}
