//! Answers to a certificate authority that checks who a name belongs to, before anything of an app
//! is looked at: a domain must get its certificate also while its app is down, or wants a password.

use crate::table::TableStore;
use windlass_core::challenges::HTTP_PATH;

/// Returns what to answer to a request for this path of this host (in lower case, without port), as
/// plain text; `None` when it is none of the challenges that are open.
pub(crate) fn find(table: &TableStore, host: &str, path: &str) -> Option<String> {
    let token = path.strip_prefix(HTTP_PATH)?;
    table.challenge(host, token)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;
    use windlass_core::challenges::Challenges;

    #[test]
    fn only_open_challenges_of_the_host_are_answered() {
        let folder = tempfile::tempdir().unwrap();
        let table =
            TableStore::open(folder.path().join("table.json"), String::new(), Default::default());
        let asked = "/.well-known/acme-challenge/token";
        assert_eq!(find(&table, "a.example.com", asked), None);
        let tokens = BTreeMap::from([("token".to_owned(), "token.thumb".to_owned())]);
        let http = BTreeMap::from([("a.example.com".to_owned(), tokens)]);
        table.set_challenges(Challenges { http, ..Challenges::default() });
        assert_eq!(find(&table, "a.example.com", asked).as_deref(), Some("token.thumb"));
        for (host, path) in [
            ("b.example.com", asked),
            ("a.example.com", "/.well-known/acme-challenge/"),
            ("a.example.com", "/.well-known/acme-challenge/other"),
            ("a.example.com", "/.well-known/acme-challenge/token/more"),
            ("a.example.com", "/token"),
        ] {
            assert_eq!(find(&table, host, path), None, "{host}{path}");
        }
        table.set_challenges(Challenges::default());
        assert_eq!(find(&table, "a.example.com", asked), None);
    }
}
