//! The access log.

use crate::support::*;
use http::Request;
use http_body_util::Full;
use windlass_core::log_line;
use windlass_core::routing_settings::RoutingSettings;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_line_for_each_request() {
    let router = TestRouter::start().await;
    let backend = Backend::says("hello").await;
    router.upsert(&router.route("logged", &[&backend])).await;
    let request = Request::builder()
        .method("POST")
        .uri("/x?y=1")
        .header("host", "Logged.test:80")
        .header("x-request-id", "abcdefghij-0123456789")
        .header("x-forwarded-for", "203.0.113.9")
        .body(Full::from("body"))
        .unwrap();
    send(&mut connect(router.address).await, request).await;
    let lines = router.log_lines("logged", 1).await;
    let line = log_line::parse(&lines[0]).unwrap();
    assert_eq!((line.source, line.process), ("heroku", "router"));
    // The two times are the only thing not known.
    let words: Vec<&str> = line.message.split(' ').collect();
    let timed = |word: &str, key: &str| {
        word.strip_prefix(key)
            .and_then(|v| v.strip_suffix("ms"))
            .is_some_and(|v| v.parse::<u64>().is_ok())
    };
    // What a client that is no trusted proxy says of others is not believed.
    assert!(timed(words[7], "connect=") && timed(words[8], "service="), "{}", line.message);
    let rest: Vec<&str> =
        words.iter().enumerate().filter(|(at, _)| ![7, 8].contains(at)).map(|(_, w)| *w).collect();
    assert_eq!(
        rest.join(" "),
        "at=info method=POST path=\"/x?y=1\" host=logged.test request_id=abcdefghij-0123456789 \
         fwd=\"127.0.0.1\" dyno=web.1 status=200 bytes=5 protocol=http"
    );
    router.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_at_the_end_or_by_rotation() {
    let router = TestRouter::start().await;
    let backend = Backend::says("hello").await;
    let mut quiet = router.route("quiet", &[&backend]);
    quiet.log_file = None;
    router.upsert(&quiet).await;
    let mut silenced = router.route("silenced", &[&backend]);
    let settings = RoutingSettings { access_log: Some(false), ..RoutingSettings::default() };
    silenced.settings = Some(Box::new(settings));
    router.upsert(&silenced).await;
    router.upsert(&router.route("logged", &[&backend])).await;
    let mut client = connect(router.address).await;
    for number in 0..200 {
        send(&mut client, request("logged.test", &format!("/{number}"))).await;
        send(&mut client, request("quiet.test", "/")).await;
        send(&mut client, request("silenced.test", "/")).await;
        if number == 100 {
            router.log_lines("logged", 1).await;
            std::fs::rename(router.log_file("logged"), router.folder.path().join("rotated"))
                .unwrap();
        }
    }
    let (folder, _) = router.stop().await;
    let read = |name: &str| std::fs::read_to_string(folder.path().join(name)).unwrap();
    let all = read("rotated") + &read("logged.log");
    assert_eq!(all.lines().count(), 200);
    for number in 0..200 {
        assert!(all.contains(&format!("path=\"/{number}\" ")), "{number}");
    }
    assert!(!folder.path().join("quiet.log").exists());
    assert!(!folder.path().join("silenced.log").exists(), "by its setting");
}
