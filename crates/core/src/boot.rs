//! What an instance did instead of answering at its port in time.

use std::collections::BTreeSet;
use std::net::SocketAddr;

/// More addresses than these tell nobody more.
const SHOWN: usize = 4;

/// Says where an instance listens that should answer at `port`; `None` where it does not listen.
/// Most apps that do not come up listen at a port of their own choice, or for themselves alone.
#[must_use]
pub fn listens_instead(listening: &[SocketAddr], port: u16) -> Option<String> {
    let is_own = |address: &&SocketAddr| address.ip().to_canonical().is_loopback();
    let mut at_port = listening.iter().filter(|address| address.port() == port).peekable();
    if at_port.peek().is_some() {
        let said = match at_port.find(|address| !is_own(address)) {
            Some(_) => "it listens there, but does not answer".to_owned(),
            None => format!(
                "it listens at port {port} of its own loopback, which nobody else reaches: it must listen on 0.0.0.0"
            ),
        };
        return Some(said);
    }
    let others: BTreeSet<SocketAddr> = listening.iter().copied().collect();
    if others.is_empty() {
        return None;
    }
    let shown: Vec<String> = others.iter().take(SHOWN).map(ToString::to_string).collect();
    Some(format!("it listens at {} instead of 0.0.0.0:{port}", shown.join(" and ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_it_listens_is_said() {
        let own = "which nobody else reaches";
        for (listening, expected) in [
            (&[][..], None),
            (&["0.0.0.0:5000"], Some("it listens there, but does not answer")),
            (&["127.0.0.1:5000", "[::]:5000"], Some("it listens there")),
            (&["127.0.0.1:5000"], Some(own)),
            (&["[::1]:5000", "0.0.0.0:9229"], Some(own)),
            (&["[::ffff:127.0.0.1]:5000"], Some(own)),
            (&["0.0.0.0:8000"], Some("it listens at 0.0.0.0:8000 instead of 0.0.0.0:5000")),
            (
                &["[::]:3000", "127.0.0.1:3000", "127.0.0.1:3000"],
                Some("it listens at 127.0.0.1:3000 and [::]:3000 instead of"),
            ),
        ] {
            let addresses: Vec<SocketAddr> =
                listening.iter().map(|text| text.parse().unwrap()).collect();
            let said = listens_instead(&addresses, 5000);
            assert_eq!(said.is_some(), expected.is_some(), "{listening:?}: {said:?}");
            let (said, expected) = (said.unwrap_or_default(), expected.unwrap_or_default());
            assert!(said.contains(expected), "{listening:?}: {said}");
        }
    }
}
