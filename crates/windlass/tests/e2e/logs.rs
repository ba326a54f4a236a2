//! `windlass logs`.

use crate::support::{python, shared_server};
use std::time::Duration;
use windlass_testkit::app::TestApp;
use windlass_testkit::wait_until;

#[test]
fn lines_of_app_router_and_platform_are_in_one_log() {
    let server = shared_server!();
    let app = TestApp::deployed(&server, "logs", &python());
    assert_eq!(app.get("/log?n=5&text=needle").status, 200);
    app.wait_for_log("app[web.1]: needle 5");
    app.wait_for_log("method=GET path=\"/log?n=5&text=needle\"");

    let log = app.logs();
    for part in [
        "app[api]: Deploy",
        "heroku[web.1]: Starting process with command `python3 server.py`",
        "heroku[router]: at=info",
    ] {
        assert!(log.contains(part), "{part:?} is not in\n{log}");
    }
    let times: Vec<&str> = log.lines().map(|line| line.split(' ').next().unwrap()).collect();
    assert!(times.iter().all(|time| time.ends_with("+00:00")), "{log}");
    let last = app.cli(&["logs", "-n", "2", "--ps", "web.1", "--source", "app"]).success();
    let messages: Vec<&str> =
        last.lines().filter_map(|line| line.split_once(": ").map(|(_, text)| text)).collect();
    assert_eq!(messages, ["needle 4", "needle 5"]);
}

#[test]
fn a_tail_shows_lines_as_they_come() {
    let server = shared_server!();
    let app = TestApp::deployed(&server, "tail", &python());
    let tail = app.start_cli(&["logs", "--tail", "--ps", "web"]);
    wait_until("what was there before", Duration::from_secs(20), || {
        tail.so_far().contains("listening on port")
    });
    for number in 1..=3 {
        let text = format!("live-{number}");
        assert_eq!(app.get(&format!("/log?n=1&text={text}")).status, 200);
        wait_until(&text, Duration::from_secs(20), || tail.so_far().contains(&format!("{text} 1")));
    }
}

#[test]
fn a_flood_of_lines_is_kept_whole_and_in_order() {
    let server = shared_server!();
    let app = TestApp::deployed(&server, "flood", &python());
    assert_eq!(app.get("/log?n=1200&text=flood").status, 200);
    app.wait_for_log("flood 1200");
    let log = app.cli(&["logs", "-n", "1500", "--ps", "web.1", "--source", "app"]).success();
    let numbers: Vec<u32> = log
        .lines()
        .filter_map(|line| line.rsplit_once("flood ").and_then(|(_, number)| number.parse().ok()))
        .collect();
    assert_eq!(numbers, (1..=1200).collect::<Vec<u32>>());
}
