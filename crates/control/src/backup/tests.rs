use super::seal::{Opener, Sealer};
use super::*;
use std::fs;
use std::io::{Read, Write};
use windlass_store::Store;

fn sealed(plain: &[u8]) -> Vec<u8> {
    let mut sealer = Sealer::new(Vec::new(), b"secret").unwrap();
    sealer.write_all(plain).unwrap();
    sealer.finish().unwrap()
}

fn opened(sealed: &[u8], passphrase: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut plain = Vec::new();
    Opener::new(&sealed[seal::MAGIC.len()..], passphrase)?.read_to_end(&mut plain)?;
    Ok(plain)
}

#[test]
fn encrypted_streams_come_back_and_changes_are_noticed() {
    for length in [0, 1, 65_535, 65_536, 65_537, 200_000] {
        let plain: Vec<u8> = (0..length).map(|n| u8::try_from(n % 251).unwrap()).collect();
        assert_eq!(opened(&sealed(&plain), b"secret").unwrap(), plain, "{length}");
    }
    let whole = sealed(&vec![7; 200_000]);
    assert!(opened(&whole, b"Secret").is_err());
    // Cut off, also exactly between two pieces.
    let head = seal::MAGIC.len() + 16 + 4 + 7;
    for end in [whole.len() - 1, head + 65_552, head + 2 * 65_552, head] {
        assert!(opened(&whole[..end], b"secret").is_err(), "cut at {end}");
    }
    let mut changed = whole.clone();
    changed[head + 100_000] ^= 1;
    assert!(opened(&changed, b"secret").is_err());
    let (first, second) = (whole[head..head + 65_552].to_vec(), whole[head + 65_552..].to_vec());
    let swapped = [&whole[..head], &second[..65_552], &first, &second[65_552..]].concat();
    assert!(opened(&swapped, b"secret").is_err());
}

/// A data directory with a repository, a volume's image and a key.
fn data(directory: &Path) -> PathBuf {
    let data = directory.join("data");
    drop(Store::open_in(&data));
    fs::write(data.join("ssh_host_ed25519_key"), "host key").unwrap();
    fs::create_dir_all(data.join("logs")).unwrap();
    fs::write(data.join("logs/app.log"), "a line\n").unwrap();
    let repository = data.join("repositories/a.git");
    for name in ["refs/heads", "refs/tags", "objects/ab", "objects/pack"] {
        fs::create_dir_all(repository.join(name)).unwrap();
    }
    fs::write(repository.join("HEAD"), "ref: refs/heads/main\n").unwrap();
    fs::write(repository.join("config"), "[core]\n\tbare = true\n\thooksPath = \"/old\"\n")
        .unwrap();
    fs::write(repository.join("objects/ab/cdef"), [9; 3_000]).unwrap();
    data
}

trait OpenIn {
    fn open_in(data: &Path) -> Store;
}

impl OpenIn for Store {
    fn open_in(data: &Path) -> Store {
        fs::create_dir_all(data).unwrap();
        Store::open(data).unwrap()
    }
}

fn make(data: &Path, file: &Path, passphrase: Option<&[u8]>) -> Summary {
    let source = Source {
        data_directory: data,
        configuration: None,
        releases_kept: 10,
        with_images: true,
        with_logs: false,
        copy_volume: &|_, _| Ok(()),
    };
    create(&source, passphrase, fs::File::create(file).unwrap()).unwrap()
}

#[test]
fn a_backup_comes_back_into_an_empty_directory_only() {
    let directory = tempfile::tempdir().unwrap();
    let (data, file) = (data(directory.path()), directory.path().join("backup"));
    let summary = make(&data, &file, None);
    assert_eq!(summary.apps, 0);
    assert!(!data.join("backup.new").exists());
    let manifest = verify(&file, None).unwrap();
    assert!(manifest.entries.iter().any(|entry| entry.path == "windlass.db"));
    assert!(manifest.entries.iter().all(|entry| !entry.path.starts_with("logs")));

    let to = directory.path().join("to");
    restore(&file, None, &to).unwrap();
    let repository = to.join("repositories/a.git");
    assert_eq!(fs::read(repository.join("objects/ab/cdef")).unwrap(), [9; 3_000]);
    assert!(repository.join("refs/heads").is_dir(), "git wants it although it is empty");
    let config = fs::read_to_string(repository.join("config")).unwrap();
    assert!(config.contains(&format!("hooksPath = \"{}/hooks\"", to.display())), "{config}");
    assert_eq!(
        fs::read(to.join("secret.key")).unwrap(),
        fs::read(data.join("secret.key")).unwrap()
    );
    assert!(Store::open(&to).unwrap().apps().unwrap().is_empty());
    let again = restore(&file, None, &to).unwrap_err();
    assert!(again.to_string().contains("is not empty"), "{again}");
}

#[test]
fn damage_is_found_and_leaves_nothing_behind() {
    let directory = tempfile::tempdir().unwrap();
    let (data, file) = (data(directory.path()), directory.path().join("backup"));
    for passphrase in [None, Some(b"secret".as_slice())] {
        make(&data, &file, passphrase);
        let whole = fs::read(&file).unwrap();
        verify(&file, passphrase).unwrap();
        let (cut, mut changed) = (&whole[..whole.len() - 40], whole.clone());
        let middle = whole.len() / 2;
        changed[middle] ^= 0xff;
        for (what, bytes) in [("cut", cut), ("changed", &changed)] {
            fs::write(&file, bytes).unwrap();
            let error = verify(&file, passphrase).unwrap_err();
            assert!(
                matches!(error, BackupError::Damaged(_) | BackupError::WrongPassphrase),
                "{what}: {error}"
            );
            let to = directory.path().join("to");
            assert!(restore(&file, passphrase, &to).is_err(), "{what}");
            assert_eq!(fs::read_dir(&to).unwrap().count(), 0, "{what}");
        }
    }
    make(&data, &file, Some(b"secret"));
    assert!(matches!(verify(&file, None).unwrap_err(), BackupError::Encrypted));
    assert!(matches!(verify(&file, Some(b"other")).unwrap_err(), BackupError::WrongPassphrase));
    fs::write(&file, "something else").unwrap();
    assert!(matches!(verify(&file, None).unwrap_err(), BackupError::NoBackup));
}
