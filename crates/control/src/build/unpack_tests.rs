//! Archives made by hand, most of them hostile.

use super::*;
use flate2::Compression;
use flate2::write::GzEncoder;
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use tar::Header;

/// A place to unpack in, beside a file that nobody may touch.
pub(super) struct Place {
    folder: tempfile::TempDir,
}

impl Place {
    pub(super) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        for name in ["outer", "outer/into", "outer/scratch"] {
            fs::create_dir(folder.path().join(name)).unwrap();
        }
        fs::write(folder.path().join("outer/canary"), "alive").unwrap();
        fs::write(folder.path().join("canary"), "alive").unwrap();
        Self { folder }
    }

    pub(super) fn tree(&self) -> PathBuf {
        self.folder.path().join("outer/into")
    }

    pub(super) fn unpack(&self, archive: &[u8], strip: bool) -> Result<()> {
        let file = self.folder.path().join("archive");
        fs::write(&file, archive).unwrap();
        let unpacked =
            unpack(&file, &self.tree(), &self.folder.path().join("outer/scratch"), strip);
        fs::remove_file(file).unwrap();
        unpacked
    }

    #[track_caller]
    pub(super) fn refused(&self, archive: &[u8]) -> String {
        let message = self.unpack(archive, false).unwrap_err().to_string();
        assert!(!message.contains('\n'), "one line: {message}");
        self.check_outside();
        message
    }

    /// Nothing is there but what was, and every link that was made leads inside.
    #[track_caller]
    pub(super) fn check_outside(&self) {
        let names = |path: &Path| -> Vec<String> {
            let entries = fs::read_dir(path).unwrap();
            let mut names: Vec<String> =
                entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
            names.sort();
            names
        };
        let outer = self.folder.path().join("outer");
        assert_eq!(names(self.folder.path()), ["canary", "outer"]);
        assert_eq!(names(&outer), ["canary", "into", "scratch"]);
        for canary in [self.folder.path().join("canary"), outer.join("canary")] {
            assert_eq!(fs::read(&canary).unwrap(), b"alive");
            assert_eq!(canary.metadata().unwrap().nlink(), 1);
        }
    }

    #[track_caller]
    fn check_links(&self, directory: &Path) {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            let kind = path.symlink_metadata().unwrap();
            if kind.is_dir() {
                self.check_links(&path);
            } else if kind.is_symlink()
                && let Ok(real) = path.canonicalize()
            {
                let root = self.tree().canonicalize().unwrap();
                assert!(real.starts_with(&root), "{path:?} leads to {real:?}");
            }
        }
    }
}

#[derive(Default)]
struct Archived(Vec<u8>);

impl Archived {
    fn raw(mut self, name: &[u8], kind: EntryType, link: &[u8], size: u64, data: &[u8]) -> Self {
        let mut header = Header::new_gnu();
        header.set_entry_type(kind);
        header.set_mode(0o644);
        header.set_size(size);
        header.as_old_mut().name[..name.len()].copy_from_slice(name);
        header.as_old_mut().linkname[..link.len()].copy_from_slice(link);
        header.set_cksum();
        self.0.extend_from_slice(header.as_bytes());
        self.0.extend_from_slice(data);
        self.0.resize(self.0.len().next_multiple_of(512), 0);
        self
    }

    fn file(self, name: &str, data: &str) -> Self {
        self.raw(name.as_bytes(), EntryType::Regular, b"", data.len() as u64, data.as_bytes())
    }

    fn link(self, name: &str, target: &str) -> Self {
        self.raw(name.as_bytes(), EntryType::Symlink, target.as_bytes(), 0, b"")
    }

    fn hard_link(self, name: &str, target: &str) -> Self {
        self.raw(name.as_bytes(), EntryType::Link, target.as_bytes(), 0, b"")
    }

    fn directory(self, name: &str) -> Self {
        self.raw(name.as_bytes(), EntryType::Directory, b"", 0, b"")
    }

    fn done(mut self) -> Vec<u8> {
        self.0.extend_from_slice(&[0; 1024]);
        self.0
    }
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn an_ordinary_archive_is_unpacked_packed_or_not() {
    let archive = Archived::default()
        .raw(b"pax_global_header", EntryType::XGlobalHeader, b"", 12, b"12 comment=x\n")
        .directory("./")
        .file("./web.py", "print()")
        .raw(b"bin/run", EntryType::Regular, b"", 2, b"#!")
        .link("current", "releases/1/../2")
        .link("releases/back", "../web.py")
        .hard_link("copy.py", "web.py")
        .file("web.py", "newer")
        .done();
    for archive in [archive.clone(), gzip(&archive)] {
        let place = Place::new();
        place.unpack(&archive, false).unwrap();
        let into = place.tree();
        assert_eq!(fs::read(into.join("web.py")).unwrap(), b"newer", "the last one counts");
        assert_eq!(fs::read(into.join("copy.py")).unwrap(), b"print()");
        assert_eq!(fs::read(into.join("releases/back")).unwrap(), b"newer");
        assert_eq!(fs::read_link(into.join("current")).unwrap(), Path::new("releases/1/../2"));
        place.check_outside();
    }
}

#[test]
fn a_single_folder_is_left_out_only_if_asked() {
    let one = Archived::default()
        .directory("app-1")
        .file("app-1/web.py", "x")
        .link("app-1/deep/link", "../web.py")
        .done();
    let place = Place::new();
    place.unpack(&one, false).unwrap();
    assert!(place.tree().join("app-1/web.py").is_file());
    let place = Place::new();
    place.unpack(&one, true).unwrap();
    assert!(place.tree().join("web.py").is_file());
    assert_eq!(fs::read(place.tree().join("deep/link")).unwrap(), b"x");
    place.check_outside();
    let two = Archived::default().file("a/x", "").link("b", "a/x").done();
    let place = Place::new();
    place.unpack(&two, true).unwrap();
    assert!(place.tree().join("a/x").is_file());
    let out = Archived::default().file("app/x", "").link("app/up", "../app/x").done();
    assert!(Place::new().unpack(&out, true).is_err(), "out of what is left");
}

#[test]
fn names_that_lead_out_are_refused() {
    for (name, why) in [
        ("../canary", "`..`"),
        ("a/../../canary", "`..`"),
        ("/etc/passwd", "an absolute path"),
        ("..", "`..`"),
    ] {
        let message = Place::new().refused(&Archived::default().file(name, "dead").done());
        assert!(message.contains(name) && message.contains(why), "{message}");
        Place::new().refused(&Archived::default().directory(name).done());
        Place::new().refused(&Archived::default().link(name, "x").done());
        Place::new().refused(&Archived::default().file("x", "").hard_link(name, "x").done());
        Place::new().refused(&Archived::default().hard_link("x", name).done());
    }
}

#[test]
fn links_that_lead_out_are_refused() {
    for target in ["/etc/passwd", "..", "../canary", "a/../../canary", "./.././into"] {
        let message = Place::new().refused(&Archived::default().link("link", target).done());
        assert!(
            message.contains("link leads out of it") || message.contains("The archive's link link"),
            "{message}"
        );
    }
    // Looks as if it stayed inside, but not when the first link is followed.
    let chain =
        Archived::default().link("x/y/z/up", "../../..").link("out", "x/y/z/up/../canary").done();
    assert!(Place::new().refused(&chain).contains("link out leads out"));
    let endless = Archived::default().link("a", "b").link("b", "a").done();
    Place::new().refused(&endless);
}

#[test]
fn nothing_is_written_through_a_link() {
    let archives = [
        Archived::default().link("l", "..").file("l/canary", "dead"),
        Archived::default().link("l", "sub").file("l/x", "dead"),
        Archived::default().file("l/x", "").link("l", "sub"),
        Archived::default().link("l", "sub").directory("l/x"),
        Archived::default().link("l", "../canary").hard_link("l2", "l"),
    ];
    for archive in archives {
        Place::new().refused(&archive.done());
    }
    // The last entry of a name counts, whatever it is.
    let place = Place::new();
    place.unpack(&Archived::default().link("l", "other").file("l", "file").done(), false).unwrap();
    assert!(place.tree().join("l").symlink_metadata().unwrap().is_file());
}

#[test]
fn devices_and_pipes_are_refused() {
    for kind in [EntryType::Char, EntryType::Block, EntryType::Fifo] {
        let archive = Archived::default().raw(b"dev", kind, b"", 0, b"").done();
        assert!(Place::new().refused(&archive).contains("neither a file"));
    }
}

#[test]
fn too_many_entries_are_refused() {
    let mut archive = Archived::default();
    for number in 0..=ENTRIES {
        archive = archive.directory(&format!("d{}", number % 50));
    }
    assert!(Place::new().refused(&gzip(&archive.done())).contains("more than 10000 files"));
}

#[test]
fn what_is_too_large_is_refused_before_it_is_written() {
    // A header that promises more than it may; nothing of it follows.
    let archive = Archived::default().raw(b"big", EntryType::Regular, b"", UNPACKED_BYTES + 1, b"");
    let place = Place::new();
    assert!(place.refused(&archive.done()).contains("larger than 1024 MiB unpacked"));
    assert!(!place.tree().join("big").exists());
    // A sparse file of 20 GiB in one block.
    let mut header = Header::new_gnu();
    header.set_entry_type(EntryType::GNUSparse);
    header.set_path("sparse").unwrap();
    header.set_size(0);
    header.set_mode(0o644);
    let gnu = header.as_gnu_mut().unwrap();
    gnu.realsize.copy_from_slice(b"240000000000");
    gnu.sparse[0].offset.copy_from_slice(b"240000000000");
    gnu.sparse[0].numbytes.copy_from_slice(b"000000000000");
    header.set_cksum();
    let mut bytes = header.as_bytes().to_vec();
    bytes.extend_from_slice(&[0; 1024]);
    assert!(Place::new().refused(&bytes).contains("larger than 1024 MiB unpacked"));
}

#[test]
fn a_name_that_never_ends_does_not_fill_the_memory() {
    let archive = Archived::default().raw(
        b"././@LongLink",
        EntryType::GNULongName,
        b"",
        64 << 20,
        &vec![b'x'; 64 << 20],
    );
    let message = Place::new().refused(&gzip(&archive.done()));
    assert!(message.contains("far too long"), "{message}");
}

#[test]
fn what_is_no_archive_says_so() {
    assert!(Place::new().refused(b"").contains("empty"));
    assert!(Place::new().refused(&[0; 1024]).contains("empty"));
    assert!(Place::new().refused(b"PK\x03\x04....").contains("cannot be read"), "a cut zip");
    assert!(Place::new().refused(b"BZh91AY....").contains("in the form bzip2 are not taken"));
    assert!(Place::new().refused(&[b'x'; 2000]).contains("cannot be read"));
    let whole = gzip(&Archived::default().file("a", &"text".repeat(9_000)).done());
    assert!(Place::new().refused(&whole[..whole.len() / 2]).contains("cannot be read"));
}

/// Archives of random entries with hostile names: whatever happens, nothing outside changes.
#[test]
fn nothing_is_ever_written_outside() {
    let parts = ["..", ".", "a", "b", "c", "", "canary", "into", "outer"];
    for seed in 0..600 {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut name = |most: usize| -> String {
            let chosen: Vec<&str> =
                (0..random.usize(1..=most)).map(|_| parts[random.usize(..parts.len())]).collect();
            // Half of them without `..`, so that something is unpacked.
            if random.bool() { chosen.join("/") } else { chosen.join("/").replace("..", "a") }
        };
        let mut names: Vec<String> = Vec::new();
        for _ in 0..24 {
            let one = name(4);
            names.push(one);
        }
        let mut archive = Archived::default();
        for pair in names.chunks(2) {
            archive = match random.u8(..5) {
                0 => archive.link(&pair[0].replace("..", "b"), &pair[1]),
                1 => archive.hard_link(&pair[0], &pair[1]),
                2 => archive.directory(&pair[0].replace("..", "c")),
                _ => archive.file(&pair[0].replace("..", "a"), "dead"),
            };
        }
        let mut bytes = archive.done();
        if random.u8(..4) == 0 {
            let place = random.usize(..bytes.len());
            bytes[place] = random.u8(..);
        }
        let place = Place::new();
        let _ = place.unpack(&bytes, random.bool());
        // A folder that is being left out may stay in the scratch directory after a refusal.
        let _ = fs::remove_dir_all(place.folder.path().join("outer/scratch/stripped"));
        if !place.tree().exists() {
            fs::create_dir(place.tree()).unwrap();
        }
        place.check_outside();
        place.check_links(&place.tree());
    }
}
