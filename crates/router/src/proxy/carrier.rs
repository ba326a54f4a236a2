//! What carries a request to its target: a connection of its own, or a stream of a shared one.

use super::body::RequestBody;
use crate::http2::target::Lease;
use crate::target::pool::Connection;
use futures_util::future::Either;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::TrySendError;

pub(crate) type SendError = TrySendError<Request<RequestBody>>;

pub(crate) enum Carrier {
    /// HTTP/1.1
    Own(Connection),
    /// h2c
    Shared(Lease),
}

impl Carrier {
    /// Returns whether the target may be asked for a WebSocket, as far as its protocol goes.
    pub async fn takes_websockets(&self) -> bool {
        match self {
            Self::Own(_) => true,
            Self::Shared(lease) => lease.takes_websockets().await,
        }
    }

    /// Sends the request; it is on its way when this returns.
    pub fn send(
        &mut self,
        request: Request<RequestBody>,
    ) -> impl Future<Output = Result<Response<Incoming>, SendError>> + use<> {
        match self {
            Self::Own(connection) => Either::Left(connection.try_send_request(request)),
            Self::Shared(lease) => Either::Right(lease.sender().try_send_request(request)),
        }
    }
}
