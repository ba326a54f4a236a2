//! Who asks: from the address of an instance to its app.

use std::net::IpAddr;
use std::path::PathBuf;
use windlass_core::ids::AppId;

/// Whose address it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Client {
    /// An instance of this app.
    Of(AppId),
    /// An instance that has no names to ask for, such as a build: it gets outside names only.
    OfNone,
}

/// The directory in which a driver notes whose address is whose: a link an address, its target the
/// app's identifier or `none`. It is read at each question, so it is never behind.
#[derive(Clone, Debug)]
pub struct Clients(PathBuf);

impl Clients {
    #[must_use]
    pub fn new(directory: PathBuf) -> Self {
        Self(directory)
    }

    /// Returns whose address it is; `None` for no instance's, which gets no answer at all.
    pub(crate) fn find(&self, address: IpAddr) -> Option<Client> {
        let owner = std::fs::read_link(self.0.join(address.to_string())).ok()?;
        Some(match owner.to_str()?.parse() {
            Ok(app) => Client::Of(app),
            Err(_) => Client::OfNone,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn addresses_are_known_or_not() {
        let directory = tempfile::tempdir().unwrap();
        let app = AppId::random();
        symlink(app.to_string(), directory.path().join("10.0.0.1")).unwrap();
        symlink("none", directory.path().join("10.0.0.2")).unwrap();
        let clients = Clients::new(directory.path().to_owned());
        let find = |text: &str| clients.find(text.parse().unwrap());
        assert_eq!(find("10.0.0.1"), Some(Client::Of(app)));
        assert_eq!(find("10.0.0.2"), Some(Client::OfNone));
        assert_eq!(find("10.0.0.3"), None);
    }
}
