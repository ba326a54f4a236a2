//! Serves a greeting that counts its requests, on Rust's standard library.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;

fn main() -> std::io::Result<()> {
    let port = std::env::var("PORT").ok().and_then(|text| text.parse().ok()).unwrap_or(8080);
    let listener = TcpListener::bind(("0.0.0.0", port))?;
    println!("listening on {port}");
    for (count, stream) in listener.incoming().enumerate() {
        let mut stream = stream?;
        let head = BufReader::new(&stream).lines();
        head.map_while(Result::ok).take_while(|line| !line.is_empty()).for_each(drop);
        let body = format!("Hello from Rust, number {}!\n", count + 1);
        // A client that has gone away is no reason to stop.
        let _ = write!(
            stream,
            "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
            body.len()
        );
    }
    Ok(())
}
