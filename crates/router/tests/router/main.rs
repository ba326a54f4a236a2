//! The router as its users see it: real sockets, real files, small hyper servers as instances.

#![allow(clippy::unwrap_used)]

mod balancing;
mod bodies;
mod challenges;
mod control;
mod drain;
mod errors;
mod grpc;
mod h2c;
mod h2c_websocket;
mod hand_over;
mod http1;
mod http2;
mod http2_tunnel;
mod http3;
mod http3_connections;
mod http3_tunnel;
mod log;
mod proxies;
mod routing;
mod settings;
mod smuggling;
mod ssh;
mod support;
mod tls;
mod tunnel;
