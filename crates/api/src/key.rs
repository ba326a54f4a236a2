//! SSH public keys as people paste them.

use russh::keys::ssh_key::public::KeyData;
use russh::keys::{HashAlg, PublicKey};

/// RSA keys below this many bits can be broken.
const SHORTEST_RSA: u32 = 2_048;

/// A public key that was understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParsedKey {
    /// One line as OpenSSH writes it: algorithm, key, comment.
    pub normalised: String,
    /// `SHA256:` and unpadded base64, as OpenSSH prints it.
    pub fingerprint_sha256: String,
    /// Pairs of hexadecimal digits with colons, as Heroku prints it.
    pub fingerprint_md5: String,
    /// Often `user@host`; may be empty.
    pub comment: String,
}

/// The text is not a public key that can be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidKey {
    #[error(
        "That is a private key. Never give it away; add the file whose name ends in .pub instead."
    )]
    Private,
    #[error(
        "That is not an SSH public key. It is one line like `ssh-ed25519 AAAA… you@host`, from a file whose name ends in .pub."
    )]
    Unreadable,
    #[error("An RSA key of {0} bits is too short: use 2048 bits or more, or an Ed25519 key.")]
    TooShort(u32),
    #[error(
        "Keys of the type {0} are no longer safe: make an Ed25519 key with `ssh-keygen -t ed25519`."
    )]
    Unsafe(String),
}

/// Parses an OpenSSH public key line, as found in `id_ed25519.pub`.
pub fn parse_public_key(line: &str) -> Result<ParsedKey, InvalidKey> {
    let line = line.trim();
    if line.contains("PRIVATE KEY-----") {
        return Err(InvalidKey::Private);
    }
    if line.contains(['\n', '\r']) {
        return Err(InvalidKey::Unreadable);
    }
    let key = PublicKey::from_openssh(line).map_err(|_| InvalidKey::Unreadable)?;
    match key.key_data() {
        KeyData::Rsa(rsa) if rsa.key_size() < SHORTEST_RSA => {
            return Err(InvalidKey::TooShort(rsa.key_size()));
        }
        KeyData::Dsa(_) => return Err(InvalidKey::Unsafe(key.algorithm().to_string())),
        _ => {}
    }
    let bytes = key.to_bytes().map_err(|_| InvalidKey::Unreadable)?;
    let digest: Vec<String> =
        md5::compute(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(ParsedKey {
        normalised: key.to_openssh().map_err(|_| InvalidKey::Unreadable)?.trim_end().to_owned(),
        fingerprint_sha256: key.fingerprint(HashAlg::Sha256).to_string(),
        fingerprint_md5: digest.join(":"),
        comment: key.comment().as_str_lossy().to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    // Made with `ssh-keygen`; the fingerprints are what `ssh-keygen -l` and `-l -E md5` print.
    const ED25519: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHf9ZNi1l7Sv7FmmcPKEjJOaeQXju7TlyBqyNMvZC3Ne ada lovelace@host";
    const RSA: &str = "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAABAQDO0MA4g+7rswLB3ne9bMfnAef43VpRpgp6wqAubrEbzqYeBmrRKcC5VM+h6XKMZwSiWfHWkDHtQtGs8fY7d0lOgT1hO2H/tc2NVvKwuxfK14QPqLI92dOAZNUOL7S0jiA1TVbF4hKGpsYm2jc3n0AIvOhZrZMSFN/R4X5kJacVHNIGhJ9DcBoX7lIgnhiju8zGY8p/zjaRAnphkNgxe3JETNpGwWh5oAhwbb08oiOej/zAFM5bQh4tyolwuYaCJQoHLdVz3H+83BbSmzj6mFE7VZ34igau5Tw6DGootzJH769znl6JuMyf7uL2UyiOw9EPkRDt5WJvtTMaKRvdeyfN";
    const SHORT_RSA: &str = "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAAAgQCpGfS/stKybRNMDvFv7kqYeBHCN/ba4WHBSNkDWHbfRw8/PqYVbV710MOkv58aQ9eOh7FdOUb7mGjnZilcuNyAftvMaSrpIFU1OC0bCirmtCrxpdtnT+ZtXQCkumnygfAIdSTcAP+yg+yjwIe7Ne4LTbVGrV8i/3xj3N19R7GZ4w==";

    #[test]
    fn fingerprints_are_those_of_ssh_keygen() {
        let key = parse_public_key(&format!("  {ED25519}\n")).unwrap();
        assert_eq!(key.fingerprint_sha256, "SHA256:Q+xjb1ieXQKNpAGWuZ/JupG70jKYRqv1KGejcHN5+DQ");
        assert_eq!(key.fingerprint_md5, "df:ee:fc:3e:59:06:e2:8e:72:35:b1:c4:fa:9a:0e:5b");
        assert_eq!(key.comment, "ada lovelace@host");
        assert_eq!(key.normalised, ED25519);
        let key = parse_public_key(RSA).unwrap();
        assert_eq!(key.fingerprint_sha256, "SHA256:zub+oZKW/9SyECHg5Pxm51ByLFHPraHkPrM7MupB9eI");
        assert_eq!(key.comment, "");
    }

    #[test]
    fn refuses_what_is_no_safe_public_key() {
        let private =
            "-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END OPENSSH PRIVATE KEY-----";
        assert_eq!(parse_public_key(private), Err(InvalidKey::Private));
        for text in
            ["", "ssh-ed25519", "ssh-ed25519 AAAA", "hello world", &format!("{ED25519}\n{ED25519}")]
        {
            assert_eq!(parse_public_key(text), Err(InvalidKey::Unreadable), "{text}");
        }
        assert!(matches!(
            parse_public_key(&RSA.replace("ssh-rsa", "ssh-ed25519")),
            Err(InvalidKey::Unreadable)
        ));
        assert_eq!(parse_public_key(SHORT_RSA), Err(InvalidKey::TooShort(1024)));
        let with_options = format!("command=\"ls\" {ED25519}");
        assert_eq!(parse_public_key(&with_options), Err(InvalidKey::Unreadable));
    }
}
