//! Zip archives made by hand, most of them hostile.

use super::super::UNPACKED_BYTES;
use super::super::tests::Place;
use super::*;
use flate2::Compression;
use flate2::read::DeflateEncoder;
use std::path::Path;

/// An entry as a test wants it; what it does not set is right.
#[derive(Clone)]
struct Made {
    name: Vec<u8>,
    data: Vec<u8>,
    mode: u32,
    made_by: u8,
    method: u16,
    flags: u16,
    size: Option<u32>,
    crc: Option<u32>,
}

fn file(name: &str, data: &str) -> Made {
    Made {
        name: name.as_bytes().to_vec(),
        data: data.as_bytes().to_vec(),
        mode: 0o100_644,
        made_by: 3,
        method: 8,
        flags: 0,
        size: None,
        crc: None,
    }
}

fn link(name: &str, target: &str) -> Made {
    Made { mode: 0o120_777, method: 0, ..file(name, target) }
}

fn directory(name: &str) -> Made {
    Made { mode: 0o040_755, method: 0, ..file(name, "") }
}

fn zip(entries: &[Made]) -> Vec<u8> {
    let (mut out, mut index) = (Vec::new(), Vec::new());
    for entry in entries {
        let mut packed = Vec::new();
        match entry.method {
            8 => {
                let mut encoder = DeflateEncoder::new(entry.data.as_slice(), Compression::fast());
                encoder.read_to_end(&mut packed).unwrap();
            }
            _ => packed.clone_from(&entry.data),
        }
        let mut crc = Crc::new();
        crc.update(&entry.data);
        let mut common = Vec::new();
        for number in [20, entry.flags, entry.method, 0, 0] {
            common.extend_from_slice(&number.to_le_bytes());
        }
        let size = entry.size.unwrap_or(entry.data.len() as u32);
        for number in [entry.crc.unwrap_or(crc.sum()), packed.len() as u32, size] {
            common.extend_from_slice(&number.to_le_bytes());
        }
        common.extend_from_slice(&(entry.name.len() as u16).to_le_bytes());
        common.extend_from_slice(&[0, 0]);
        let offset = out.len() as u32;
        out.extend_from_slice(&LOCAL);
        out.extend_from_slice(&common);
        out.extend_from_slice(&entry.name);
        out.extend_from_slice(&packed);
        index.extend_from_slice(&ENTRY);
        index.extend_from_slice(&[20, entry.made_by]);
        index.extend_from_slice(&common);
        index.extend_from_slice(&[0; 6]);
        index.extend_from_slice(&(entry.mode << 16).to_le_bytes());
        index.extend_from_slice(&offset.to_le_bytes());
        index.extend_from_slice(&entry.name);
    }
    let (offset, size, count) = (out.len() as u32, index.len() as u32, entries.len() as u16);
    out.extend_from_slice(&index);
    out.extend_from_slice(&END);
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(&count.to_le_bytes());
    out.extend_from_slice(&count.to_le_bytes());
    out.extend_from_slice(&size.to_le_bytes());
    out.extend_from_slice(&offset.to_le_bytes());
    out.extend_from_slice(&[0, 0]);
    out
}

#[track_caller]
fn refused(entries: &[Made]) -> String {
    Place::new().refused(&zip(entries))
}

#[test]
fn an_ordinary_archive_is_unpacked() {
    let archive = zip(&[
        directory("app/"),
        file("app/web.py", &"print()\n".repeat(1000)),
        Made { mode: 0o100_755, method: 0, ..file("app/bin/run", "#!") },
        link("app/current", "bin/run"),
        Made { made_by: 0, mode: 0, ..file("app\\windows\\x.txt", "dos") },
    ]);
    let place = Place::new();
    place.unpack(&archive, true).unwrap();
    let into = place.tree();
    assert_eq!(std::fs::read(into.join("web.py")).unwrap().len(), 8000);
    assert_eq!(std::fs::read(into.join("windows/x.txt")).unwrap(), b"dos");
    assert_eq!(std::fs::read_link(into.join("current")).unwrap(), Path::new("bin/run"));
    let executable = |name: &str| {
        use std::os::unix::fs::PermissionsExt;
        into.join(name).metadata().unwrap().permissions().mode() & 0o111 != 0
    };
    assert!(executable("bin/run") && !executable("web.py"));
    place.check_outside();

    // Behind a program that unpacks it, and the bytes of the file are not those of its beginning.
    let shifted = [b"PK\x03\x04 a program", archive.as_slice()].concat();
    Place::new().unpack(&shifted, false).unwrap();
}

#[test]
fn names_and_links_that_lead_out_are_refused() {
    for (name, why) in [("../canary", "`..`"), ("a/../../canary", "`..`"), ("/etc/x", "absolute")] {
        for entry in [file(name, "dead"), directory(name), link(name, "x")] {
            let message = refused(&[entry]);
            assert!(message.contains(name) && message.contains(why), "{message}");
        }
    }
    assert!(refused(&[Made { made_by: 0, ..file("..\\canary", "") }]).contains("`..`"));
    for target in ["/etc/passwd", "..", "../canary"] {
        assert!(refused(&[link("link", target)]).contains("link leads out of it"));
    }
    assert!(refused(&[link("l", ".."), file("l/canary", "dead")]).contains("behind the link"));
    assert!(refused(&[link("l", "")]).contains("leads nowhere"));
    assert!(refused(&[link("l", &"x".repeat(5_000))]).contains("leads nowhere"));
    assert!(refused(&[Made { mode: 0o010_644, ..file("fifo", "") }]).contains("neither a file"));
}

#[test]
fn bombs_are_refused_by_what_they_really_hold() {
    let promised = Made { size: Some((UNPACKED_BYTES + 1) as u32), ..file("big", "x") };
    assert!(refused(&[promised]).contains("larger than 1024 MiB unpacked"));
    // It says that it is small, and is not.
    let place = Place::new();
    let lying = Made { size: Some(10), ..file("bomb", &"0".repeat(1 << 20)) };
    assert!(place.refused(&zip(&[lying])).contains("bomb is damaged"));
    assert!(place.tree().join("bomb").metadata().unwrap().len() <= 11);
    let many: Vec<Made> = (0..=ENTRIES).map(|n| directory(&format!("d{}/", n % 50))).collect();
    assert!(refused(&many).contains("more than 10000 files"));
}

#[test]
fn what_is_damaged_or_not_understood_says_so() {
    assert!(refused(&[Made { crc: Some(1), ..file("a", "text") }]).contains("a is damaged"));
    assert!(refused(&[Made { flags: 1, ..file("a", "text") }]).contains("a is encrypted"));
    assert!(refused(&[Made { method: 14, ..file("a", "text") }]).contains("method 14"));
    assert!(refused(&[]).contains("empty"));
    let whole = zip(&[file("a", "text"), file("b", "text")]);
    for cut in 4..whole.len() {
        let message = Place::new().refused(&whole[..cut]);
        assert!(message.contains("cannot be read"), "{cut}: {message}");
    }
}

/// Whatever a byte is changed to, nothing outside changes and nothing panics.
#[test]
fn nothing_is_ever_written_outside() {
    let whole = zip(&[file("a/x", "text"), link("l", "a/x"), directory("b/"), file("c", "more")]);
    for seed in 0..400 {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut bytes = whole.clone();
        for _ in 0..random.usize(1..4) {
            let at = random.usize(..bytes.len());
            bytes[at] = random.u8(..);
        }
        let place = Place::new();
        let _ = place.unpack(&bytes, false);
        place.check_outside();
    }
}
