//! HTTP/1 as it comes over the wire, in both directions.

use crate::support::*;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Notify;

/// An instance that reads one head and answers with these bytes, and keeps the connection.
async fn answers(answer: &'static str) -> Backend {
    Backend::raw(move |mut stream| async move {
        while read_head(&mut stream).await.is_some() {
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
    })
    .await
}

/// Reads to the end of a head; `None` when the connection ends.
async fn read_head(stream: &mut TcpStream) -> Option<String> {
    let mut seen = Vec::new();
    while !seen.ends_with(b"\r\n\r\n") {
        seen.push(stream.read_u8().await.ok()?);
    }
    Some(String::from_utf8(seen).unwrap())
}

fn get_request(host: &str, path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nhost: {host}\r\n\r\n")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_sent_ahead_are_answered_in_order() {
    let router = TestRouter::start().await;
    let backend = Backend::start(|request| async move {
        let path = request.uri().path().to_owned();
        if path.starts_with("/slow") {
            tokio::time::sleep(Duration::from_millis(30)).await;
        }
        http::Response::new(full(path))
    })
    .await;
    router.upsert(&router.route("many", &[&backend])).await;
    let mut stream = TcpStream::connect(router.address).await.unwrap();
    let mut all = String::new();
    for number in 0..50 {
        let path = format!("/{}{number}.", if number % 7 == 0 { "slow" } else { "quick" });
        all += &get_request("many.test", &path);
    }
    all += "POST /slow-post HTTP/1.1\r\nhost: many.test\r\ncontent-length: 3\r\n\r\nabc";
    all += "GET /last HTTP/1.1\r\nhost: many.test\r\nconnection: close\r\n\r\n";
    // In pieces that end anywhere.
    for piece in all.as_bytes().chunks(97) {
        stream.write_all(piece).await.unwrap();
    }
    let mut text = String::new();
    stream.read_to_string(&mut text).await.unwrap();
    let mut at = 0;
    for number in 0..50 {
        at += text[at..].find(&format!("{number}.")).unwrap_or_else(|| panic!("{number}: {text}"));
    }
    assert!(text[at..].contains("/slow-post") && text.ends_with("/last"), "{text}");
    assert_eq!(text.matches("HTTP/1.1 200 OK\r\n").count(), 52);
    router.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn interim_answers_are_passed_on() {
    let router = TestRouter::start().await;
    let backend = answers(
        "HTTP/1.1 103 Early Hints\r\nlink: </a.css>\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n\
         HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok",
    )
    .await;
    router.upsert(&router.route("hints", &[&backend])).await;
    let mut stream = TcpStream::connect(router.address).await.unwrap();
    for _ in 0..2 {
        stream.write_all(get_request("hints.test", "/").as_bytes()).await.unwrap();
        let text = read_until(&mut stream, "\r\n\r\nok").await;
        let start = "HTTP/1.1 103 Early Hints\r\nlink: </a.css>\r\n\r\nHTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 200 OK\r\n";
        assert!(text.starts_with(start), "{text}");
    }
    let text = raw(router.address, "GET / HTTP/1.0\r\nhost: hints.test\r\n\r\n").await;
    assert!(text.starts_with("HTTP/1.0 200 OK\r\n"), "HTTP/1.0 has none: {text}");
    // One for each thread that has served a client.
    assert!(backend.connections() <= 2, "they are kept");
    router.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn chunks_and_trailers_pass_and_http_1_0_gets_neither() {
    let router = TestRouter::start().await;
    let backend = answers(
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntrailer: x-sum\r\n\r\n\
         3;a=b\r\nabc\r\n2\r\nde\r\n0\r\nx-sum: 5\r\nset-cookie: a=b\r\n\r\n",
    )
    .await;
    router.upsert(&router.route("chunks", &[&backend])).await;
    let mut stream = TcpStream::connect(router.address).await.unwrap();
    stream.write_all(get_request("chunks.test", "/").as_bytes()).await.unwrap();
    let text = read_until(&mut stream, "x-sum: 5\r\n\r\n").await;
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    assert!(
        head.contains("transfer-encoding: chunked") && head.contains("trailer: x-sum"),
        "{head}"
    );
    assert_eq!(body, "3;a=b\r\nabc\r\n2\r\nde\r\n0\r\nx-sum: 5\r\n\r\n");
    for keep in ["", "connection: keep-alive\r\n"] {
        let old = format!("GET / HTTP/1.0\r\nhost: chunks.test\r\n{keep}\r\n");
        let text = raw(router.address, &old).await;
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert_eq!(body, "abcde");
        assert!(!head.contains("chunked") && !head.contains("keep-alive"), "{head}");
    }
    let lines = router.log_lines("chunks", 3).await;
    assert!(lines.iter().all(|line| line.contains("status=200 bytes=5 ")), "{lines:?}");
    router.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_that_ends_with_the_connection_gets_an_end() {
    let router = TestRouter::start().await;
    let backend = Backend::raw(|mut stream| async move {
        read_head(&mut stream).await;
        stream.write_all(b"HTTP/1.0 200 OK\r\n\r\nfirst").await.unwrap();
        tokio::time::sleep(Duration::from_millis(20)).await;
        stream.write_all(b", second").await.unwrap();
    })
    .await;
    router.upsert(&router.route("old", &[&backend])).await;
    let mut client = connect(router.address).await;
    for _ in 0..2 {
        let (status, headers, text) = send(&mut client, request("old.test", "/")).await;
        assert_eq!((status.as_u16(), text.as_str()), (200, "first, second"));
        assert_eq!(headers["transfer-encoding"], "chunked");
        assert!(headers.contains_key("date") && headers.contains_key("via"), "{headers:?}");
    }
    router.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_early_answer_arrives_whole_while_the_upload_goes_on() {
    let router = TestRouter::start().await;
    let backend = Backend::raw(|mut stream| async move {
        read_head(&mut stream).await;
        stream.write_all(b"HTTP/1.1 413 Too Large\r\ncontent-length: 3\r\n\r\nno!").await.unwrap();
        // And no word more is read.
        tokio::time::sleep(Duration::from_secs(600)).await;
    })
    .await;
    router.upsert(&router.route("early", &[&backend])).await;
    for framing in ["content-length: 100000000", "transfer-encoding: chunked"] {
        let stream = TcpStream::connect(router.address).await.unwrap();
        let (mut reading, mut writing) = stream.into_split();
        let head = format!("POST / HTTP/1.1\r\nhost: early.test\r\n{framing}\r\n\r\n");
        let sending = tokio::spawn(async move {
            let _ = writing.write_all(head.as_bytes()).await;
            let piece = [b"10000\r\n".as_slice(), &vec![b'x'; 0x10000], b"\r\n"].concat();
            while writing.write_all(&piece).await.is_ok() {}
        });
        let mut text = Vec::new();
        let _ = reading.read_to_end(&mut text).await;
        let text = String::from_utf8(text).unwrap();
        assert!(
            text.starts_with("HTTP/1.1 413 Too Large\r\n") && text.ends_with("\r\n\r\nno!"),
            "{text}"
        );
        sending.await.unwrap();
    }
    let lines = router.log_lines("early", 2).await;
    assert!(
        lines.iter().all(|line| line.contains("at=info") && line.contains("status=413 bytes=3 "))
    );
    router.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upload_and_its_answer_go_both_ways_at_once() {
    const SIZE: usize = 8 << 20;
    let router = TestRouter::start().await;
    let backend = Backend::raw(|mut stream| async move {
        read_head(&mut stream).await;
        let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {SIZE}\r\n\r\n");
        stream.write_all(head.as_bytes()).await.unwrap();
        let (mut reading, mut writing) = stream.split();
        let mut body = (&mut reading).take(SIZE as u64);
        tokio::io::copy(&mut body, &mut writing).await.unwrap();
    })
    .await;
    router.upsert(&router.route("echo", &[&backend])).await;
    let stream = TcpStream::connect(router.address).await.unwrap();
    let (mut reading, mut writing) = stream.into_split();
    let body: Vec<u8> = (0..SIZE).map(|at| (at / 7) as u8).collect();
    let sent = body.clone();
    let sending = tokio::spawn(async move {
        let head = format!(
            "PUT / HTTP/1.1\r\nhost: echo.test\r\ncontent-length: {SIZE}\r\nconnection: close\r\n\r\n"
        );
        writing.write_all(head.as_bytes()).await.unwrap();
        writing.write_all(&sent).await.unwrap();
        writing
    });
    let mut text = Vec::new();
    reading.read_to_end(&mut text).await.unwrap();
    let start = text.windows(4).position(|four| four == b"\r\n\r\n").unwrap() + 4;
    assert!(text[start..] == body, "{} bytes", text.len() - start);
    drop(sending.await.unwrap());
    router.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_that_send_or_read_too_slowly_are_given_up() {
    let router = TestRouter::with(|limits| {
        limits.client_idle = Duration::from_millis(1_000);
        limits.idle = Duration::from_millis(1_000);
    })
    .await;
    let backend = Backend::raw(|mut stream| async move {
        read_head(&mut stream).await;
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 100000000\r\n\r\n").await;
        let piece = vec![b'x'; 1 << 20];
        while stream.write_all(&piece).await.is_ok() {}
    })
    .await;
    router.upsert(&router.route("slow", &[&backend])).await;
    assert_eq!(raw(router.address, "").await, "", "nothing was asked");
    let text = raw(router.address, "GET / HTTP/1.1\r\nhost: slow.test\r\n").await;
    assert!(text.starts_with("HTTP/1.1 408 Request Timeout\r\n"), "{text}");
    // A byte now and then does not help.
    let mut stream = TcpStream::connect(router.address).await.unwrap();
    let dripping = async {
        while stream.write_all(b"x").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), dripping).await.expect("it is cut off");
    let mut stream = TcpStream::connect(router.address).await.unwrap();
    stream.write_all(get_request("slow.test", "/").as_bytes()).await.unwrap();
    read_until(&mut stream, "\r\n\r\n").await;
    let lines = router.log_lines("slow", 1).await;
    assert!(
        lines[0].contains("at=warning code=H28 desc=\"Client Connection Idle\""),
        "{}",
        lines[0]
    );
    router.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_expectation_is_the_apps_to_meet() {
    let router = TestRouter::start().await;
    let backend = answers("HTTP/1.1 401 Unauthorized\r\ncontent-length: 0\r\n\r\n").await;
    router.upsert(&router.route("picky", &[&backend])).await;
    let upload =
        "PUT / HTTP/1.1\r\nhost: picky.test\r\ncontent-length: 100\r\nexpect: 100-continue\r\n\r\n";
    let text = raw(router.address, upload).await;
    assert!(
        text.starts_with("HTTP/1.1 401 Unauthorized\r\n"),
        "without a byte of the body: {text}"
    );
    router.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bytes_that_follow_an_upgrade_at_once_are_not_lost() {
    let router = TestRouter::start().await;
    let backend = Backend::raw(|mut stream| async move {
        read_head(&mut stream).await;
        let switch =
            "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x\r\n\r\nfirst";
        stream.write_all(switch.as_bytes()).await.unwrap();
        let mut word = [0; 5];
        stream.read_exact(&mut word).await.unwrap();
        stream.write_all(&word).await.unwrap();
    })
    .await;
    router.upsert(&router.route("quick", &[&backend])).await;
    let upgrade =
        "GET / HTTP/1.1\r\nhost: quick.test\r\nconnection: upgrade\r\nupgrade: x\r\n\r\nahead";
    let mut stream = TcpStream::connect(router.address).await.unwrap();
    stream.write_all(upgrade.as_bytes()).await.unwrap();
    let text = read_until(&mut stream, "ahead").await;
    assert!(text.ends_with("\r\n\r\nfirstahead"), "{text}");
    stream.shutdown().await.unwrap();
    let lines = router.log_lines("quick", 1).await;
    assert!(lines[0].contains("status=101 bytes=10 "), "{}", lines[0]);
    router.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_that_is_cut_off_is_not_taken_for_whole() {
    let router = TestRouter::start().await;
    let cut = Arc::new(Notify::new());
    let cutting = Arc::clone(&cut);
    let backend = Backend::raw(move |mut stream| {
        let cut = Arc::clone(&cutting);
        async move {
            read_head(&mut stream).await;
            stream
                .write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n")
                .await
                .unwrap();
            cut.notified().await;
        }
    })
    .await;
    router.upsert(&router.route("cut", &[&backend])).await;
    let mut stream = TcpStream::connect(router.address).await.unwrap();
    stream.write_all(get_request("cut.test", "/").as_bytes()).await.unwrap();
    read_until(&mut stream, "hello\r\n").await;
    cut.notify_one();
    let mut rest = Vec::new();
    let _ = stream.read_to_end(&mut rest).await;
    assert!(rest.is_empty(), "{:?}", String::from_utf8_lossy(&rest));
    let lines = router.log_lines("cut", 1).await;
    assert!(lines[0].contains("code=H18") && lines[0].contains("bytes=5 "), "{}", lines[0]);
    router.stop().await;
}
