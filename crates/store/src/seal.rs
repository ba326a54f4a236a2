//! Sealing of secrets: ChaCha20-Poly1305 with a random nonce in front.

use crate::{Result, StoreError};
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::rand::{SecureRandom, SystemRandom};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

pub struct SealingKey {
    key: LessSafeKey,
    random: SystemRandom,
    path: PathBuf,
}

impl SealingKey {
    /// Reads the 32-byte key file, or makes one that only its owner may read.
    pub fn load_or_create(path: &Path) -> Result<Self> {
        let io = |action| move |source| StoreError::Io { action, path: path.to_owned(), source };
        let random = SystemRandom::new();
        let bytes = match std::fs::read(path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                let mut bytes = vec![0u8; CHACHA20_POLY1305.key_len()];
                random
                    .fill(&mut bytes)
                    .map_err(|_| StoreError::Unreadable("no randomness".into()))?;
                let temporary = path.with_extension("new");
                let mut file = std::fs::OpenOptions::new()
                    .write(true)
                    .create(true)
                    .truncate(true)
                    .mode(0o600)
                    .open(&temporary)
                    .map_err(io("create"))?;
                file.write_all(&bytes).map_err(io("write"))?;
                file.sync_all().map_err(io("write"))?;
                std::fs::rename(&temporary, path).map_err(io("rename"))?;
                bytes
            }
            Err(error) => return Err(io("read")(error)),
        };
        let key = UnboundKey::new(&CHACHA20_POLY1305, &bytes).map_err(|_| {
            StoreError::Unreadable(format!("{} is not a key of 32 bytes", path.display()))
        })?;
        Ok(Self { key: LessSafeKey::new(key), random, path: path.to_owned() })
    }

    pub(crate) fn seal(&self, plain: &[u8]) -> Result<Vec<u8>> {
        let mut nonce = [0u8; NONCE_LEN];
        self.random.fill(&mut nonce).map_err(|_| StoreError::Unreadable("no randomness".into()))?;
        let mut sealed = plain.to_vec();
        self.key
            .seal_in_place_append_tag(
                Nonce::assume_unique_for_key(nonce),
                Aad::empty(),
                &mut sealed,
            )
            .map_err(|_| StoreError::Unreadable("value too long to seal".into()))?;
        let mut out = nonce.to_vec();
        out.append(&mut sealed);
        Ok(out)
    }

    pub(crate) fn open(&self, sealed: &[u8]) -> Result<Vec<u8>> {
        let wrong = || StoreError::WrongKey(self.path.clone());
        let (nonce, rest) = sealed.split_at_checked(NONCE_LEN).ok_or_else(wrong)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| wrong())?;
        let mut rest = rest.to_vec();
        let plain = self.key.open_in_place(nonce, Aad::empty(), &mut rest).map_err(|_| wrong())?;
        Ok(plain.to_vec())
    }
}
