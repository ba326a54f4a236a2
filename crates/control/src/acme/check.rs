//! Whether names lead here, found out before an authority is asked: it counts what fails.

use super::challenges::Challenge;
use crate::Platform;
use crate::settings::PublicSettings;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::path::PathBuf;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use windlass_core::acme::{Subject, Way};
use windlass_core::challenges::HTTP_PATH;
use windlass_dns::{Resolver, Unresolved, Upstream};

/// Where authorities ask.
const PORT: u16 = 80;
/// One address.
const LIMIT: Duration = Duration::from_secs(5);
/// As much of an answer as is looked at, in bytes.
const ANSWER_BYTES: u64 = 4_096;
const RESOLV_CONF: &str = "/etc/resolv.conf";

/// Returns who is asked for names as the world sees them.
pub(crate) fn resolver(settings: &PublicSettings) -> Resolver {
    match settings.name_server {
        Some(server) => Resolver::of(server),
        None => Resolver::new(Upstream::new(PathBuf::from(RESOLV_CONF))),
    }
}

impl Platform {
    /// Finds out whether all names of a certificate lead here; else says what is wrong and what to
    /// do.
    pub(super) async fn check_names(&self, subject: &Subject) -> Result<(), String> {
        match &subject.way {
            Way::Impossible(why) => Err(why.clone()),
            Way::Zone => self.check_delegation().await,
            Way::Request => {
                for name in &subject.names {
                    self.check_host(name, subject).await?;
                }
                Ok(())
            }
        }
    }

    /// Finds out whether the world asks us about our zone.
    async fn check_delegation(&self) -> Result<(), String> {
        let Some(zone) = &self.settings().public.zone else {
            return Err("This server answers for no zone any more (dns.zone).".to_owned());
        };
        let wanted = zone.name_server();
        let found = match resolver(&self.settings().public).name_servers(&zone.name).await {
            Ok(found) if found.contains(&wanted) => return Ok(()),
            Ok(found) if found.is_empty() => "it has no name server".to_owned(),
            Ok(found) => format!("it is answered by {}", found.join(", ")),
            Err(error) => error.to_string(),
        };
        Err(format!(
            "The zone {} is not delegated to this server: {found}. Set the records that windlass dns prints.",
            zone.name
        ))
    }

    async fn check_host(&self, host: &str, subject: &Subject) -> Result<(), String> {
        let settings = &self.settings().public;
        let addresses = match resolver(settings).addresses(host).await {
            Ok(addresses) if !addresses.is_empty() => addresses,
            Ok(_) | Err(Unresolved::NoSuchName) => {
                return Err(format!("{host} has no address yet. {}", self.advice(subject)));
            }
            Err(error) => return Err(format!("{host} cannot be looked up: {error}.")),
        };
        let foreign: Vec<_> = addresses.into_iter().filter(|a| !settings.is_ours(*a)).collect();
        if foreign.is_empty() {
            return Ok(());
        }
        let token = uuid::Uuid::new_v4().simple().to_string();
        let answer = format!("{token}.windlass");
        let challenge = Challenge::Http {
            host: host.to_owned(),
            token: token.clone(),
            key_authorization: answer.clone(),
        };
        let opened = self.open_challenge(challenge.clone()).await;
        let mut outcome = opened.map_err(|error| error.to_string());
        for address in foreign {
            if outcome.is_ok() {
                outcome = probe(SocketAddr::new(address, PORT), host, &token, &answer)
                    .await
                    .map_err(|why| format!(
                        "{host} leads to {address}, where this server was not found: {why}. {} If it is right all the same, say so with public_addresses.",
                        self.advice(subject)
                    ));
            }
        }
        self.close_challenges(&[challenge]).await;
        outcome
    }

    /// Returns what to set so that a name leads here.
    fn advice(&self, subject: &Subject) -> String {
        let addresses = &self.settings().public.addresses;
        let app = subject.app.and_then(|app| self.store().app(app).ok().flatten());
        let own = app.map(|app| self.default_hostname(&app));
        match own.filter(|own| !own.ends_with(".localhost") && *own != subject.name()) {
            Some(own) => format!("Set a CNAME record to {own}."),
            None if addresses.is_empty() => {
                "Set an A record to this machine's public address.".to_owned()
            }
            None => {
                let list: Vec<_> = addresses.iter().map(ToString::to_string).collect();
                format!("Set an A or AAAA record to {}.", list.join(" and "))
            }
        }
    }
}

impl PublicSettings {
    /// Returns whether an address is this machine's as the world sees it.
    fn is_ours(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        if self.addresses.iter().any(|own| own.to_canonical() == address) {
            return true;
        }
        // Only an address of this machine can be bound to.
        let is_of_this_machine_alone = address.is_loopback() || address.is_unspecified();
        !is_of_this_machine_alone && UdpSocket::bind((address, 0)).is_ok()
    }
}

/// Asks at an address for a token that only this server's router knows.
async fn probe(address: SocketAddr, host: &str, token: &str, expected: &str) -> Result<(), String> {
    let ask = async {
        let mut stream = TcpStream::connect(address).await.map_err(|error| error.to_string())?;
        let request = format!(
            "GET {HTTP_PATH}{token} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: windlass\r\nConnection: close\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).await.map_err(|error| error.to_string())?;
        let mut answer = Vec::new();
        stream
            .take(ANSWER_BYTES)
            .read_to_end(&mut answer)
            .await
            .map_err(|error| error.to_string())?;
        let answer = String::from_utf8_lossy(&answer);
        match answer.split_once("\r\n\r\n") {
            Some((_, body)) if body.trim() == expected => Ok(()),
            Some((head, _)) => {
                let first = head.lines().next().unwrap_or_default();
                Err(format!("something else answers there ({first})"))
            }
            None => Err("what answers there is not HTTP".to_owned()),
        }
    };
    let answered = tokio::time::timeout(LIMIT, ask).await;
    answered.unwrap_or_else(|_| Err(format!("nothing answers within {} s", LIMIT.as_secs())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::TcpListener;

    async fn answering(text: &'static str) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = [0; 1_024];
            let length = stream.read(&mut request).await.unwrap();
            let request = String::from_utf8_lossy(&request[..length]).into_owned();
            assert!(request.starts_with("GET /.well-known/acme-challenge/token HTTP/1.1\r\n"));
            assert!(request.contains("\r\nHost: www.example.com\r\n"), "{request}");
            stream.write_all(text.as_bytes()).await.unwrap();
        });
        address
    }

    #[tokio::test]
    async fn only_our_own_answer_counts() {
        for (text, is_ours) in [
            ("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nright", true),
            ("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nwrong", false),
            ("HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n", false),
            ("220 smtp.example.com\r\n", false),
        ] {
            let address = answering(text).await;
            let outcome = probe(address, "www.example.com", "token", "right").await;
            assert_eq!(outcome.is_ok(), is_ours, "{text}: {outcome:?}");
        }
    }

    #[test]
    fn the_loopback_is_ours_only_where_it_was_said() {
        let loopback: IpAddr = [127, 0, 0, 1].into();
        let settings = PublicSettings::default();
        assert!(!settings.is_ours(loopback));
        assert!(!settings.is_ours([192, 0, 2, 1].into()));
        let settings = PublicSettings { addresses: vec![loopback], ..settings };
        assert!(settings.is_ours(loopback));
    }
}
