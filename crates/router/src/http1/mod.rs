//! HTTP/1 between clients and targets, without hyper: one task a client connection, which reads
//! heads strictly ([`request`], [`response`]), writes them again by copying bytes, and passes bodies
//! on from where they came in ([`relay`], [`body`], [`io`]).

mod alarm;
mod body;
mod carry;
mod chunked;
mod connection;
#[cfg(test)]
mod fuzz;
mod general;
mod head;
mod io;
mod outgoing;
mod page;
mod pool;
mod relay;
mod request;
mod response;
mod settings;
mod strict;
mod tunnel;

pub(crate) use alarm::Alarms;
pub(crate) use chunked::may_trail;
#[cfg(test)]
pub(crate) use fuzz::found;
pub(crate) use head::is_alias;
pub(crate) use outgoing::{AnswerStream, Interrupted, NoAnswer, ask, write_head};
pub(crate) use pool::{Pool, settle};
pub(crate) use request::is_of_http;

use crate::listen::{Client, ClientStream};
use crate::run::Router;
use connection::{Connection, Next};
use std::sync::Arc;

/// Serves one connection, of whatever transport, to its end.
pub(crate) async fn serve<S: ClientStream>(stream: S, client: Client, router: Arc<Router>) {
    // What leads here may be large: a connection that waits needs only this.
    Box::pin(serve_all(stream, client, router)).await;
}

async fn serve_all<S: ClientStream>(stream: S, client: Client, router: Arc<Router>) {
    let mut connection = Connection::new(stream, Arc::new(client), router);
    loop {
        match connection.serve_next().await {
            Next::Request => {}
            Next::Close => return connection.close().await,
            Next::Gone => return,
            Next::General => {
                let Connection { io, side } = connection;
                let (input, client, router) = side.into_parts();
                return Box::pin(general::serve(io, input, client, router)).await;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::TcpStream;

    fn size<A, B, C, F: Future>(_: fn(A, B, C) -> F) -> usize {
        size_of::<F>()
    }

    #[test]
    fn ten_thousand_connections_that_wait_are_small() {
        let bytes = size(serve_all::<TcpStream>);
        assert!(bytes <= 2_048, "{bytes} bytes");
    }
}
