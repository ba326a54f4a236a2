//! A forwarder on this machine: `windlass connect`.
//!
//! Heroku's CLI sends its token to `localhost` only, over https for git and for attached
//! processes. So this serves https on the loopback, with a certificate of an authority that every
//! user has for themselves, and passes on to a Windlass server what comes: requests, streams,
//! upgrades, and the rendezvous connections of `heroku run`.
//!
//! It holds no token: what clients send is what the server gets.
#![forbid(unsafe_code)]

mod authority;
mod exports;
mod forward;
mod rendezvous;
mod serve;
mod upstream;

pub use authority::{LocalAuthority, LocalAuthorityError};
pub use exports::{CertificateFiles, Exports, exports};
pub use forward::PROBE_PATH;
pub use serve::{Forwarder, StartError};
pub use upstream::{InvalidUpstream, Upstream};
