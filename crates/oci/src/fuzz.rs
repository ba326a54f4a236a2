//! Mutated inputs for what reads images of other people: a few on each run of the tests, and as
//! many as fit into the minutes that `WINDLASS_FUZZ_MINUTES` says (see `cargo xtask fuzz`).

use crate::compression::decompressed;
use crate::unpack::unpack;
use crate::{ImageConfig, ImageIndex, ImagePlatform, ImageStore, ImportLimits, digest_of};
use fastrand::Rng;
use std::io::{Read, Write};
use std::path::Path;
use std::time::{Duration, Instant};

/// Inputs of each kind on an ordinary run.
const FEW: u64 = 400;
const LIMITS: ImportLimits = ImportLimits { bytes: 1 << 20, entries: 100 };
/// What a stream may become while it is read, in bytes.
const MOST_READ: u64 = 4 << 20;

/// Changes a few bytes, leaves some out or repeats them; what it puts in is of other inputs.
fn mutate(random: &mut Rng, pool: &[Vec<u8>]) -> Vec<u8> {
    let mut input = pool[random.usize(..pool.len())].clone();
    for _ in 0..random.usize(1..5) {
        let at = random.usize(..=input.len());
        let to = random.usize(at..=input.len().min(at + 600));
        let other = &pool[random.usize(..pool.len())];
        match random.u8(..6) {
            0 if at < input.len() => input[at] ^= 1 << random.u8(..8),
            1 | 2 if at < input.len() => input[at] = random.u8(..),
            3 => drop(input.drain(at..to)),
            4 => {
                let piece = input[at..to].to_vec();
                input.splice(at..at, piece);
            }
            _ => {
                let from = random.usize(..=other.len());
                let end = random.usize(from..=other.len().min(from + 600));
                input.splice(at..at, other[from..end].iter().copied());
            }
        }
    }
    input
}

fn fuzz(name: &str, pool: &[Vec<u8>], mut check: impl FnMut(&[u8])) {
    let read = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let minutes = read("WINDLASS_FUZZ_MINUTES");
    let mut random = Rng::with_seed(read("WINDLASS_FUZZ_SEED").unwrap_or(1));
    pool.iter().for_each(|input| check(input));
    let end = minutes.map(|minutes| Instant::now() + Duration::from_secs(60 * minutes));
    let mut count = 0_u64;
    while end.map_or(count < FEW, |end| !count.is_multiple_of(64) || Instant::now() < end) {
        count += 1;
        let input = mutate(&mut random, pool);
        let shown = Shown(&input);
        check(&input);
        drop(shown);
    }
    println!("{name}: {count} inputs");
}

/// Shows an input that a check failed with.
struct Shown<'a>(&'a [u8]);

impl Drop for Shown<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("input: b\"{}\"", self.0.escape_ascii());
        }
    }
}

/// A tar with a file of each kind that is treated differently.
fn tar_of_all_kinds() -> Vec<u8> {
    use tar::EntryType as Kind;
    let mut tar = tar::Builder::new(Vec::new());
    let mut add = |name: &[u8], kind: Kind, link: &[u8], data: &[u8]| {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(kind);
        header.set_mode(0o644);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(7);
        header.as_old_mut().name[..name.len()].copy_from_slice(name);
        header.as_old_mut().linkname[..link.len()].copy_from_slice(link);
        header.set_size(data.len() as u64);
        header.set_cksum();
        tar.append(&header, data).unwrap();
    };
    add(b"d/", Kind::Directory, b"", b"");
    add(b"d/file", Kind::Regular, b"", &[b'x'; 700]);
    add(b"d/hard", Kind::Link, b"d/file", b"");
    add(b"link", Kind::Symlink, b"../..", b"");
    add(b"link/through", Kind::Regular, b"", b"y");
    add(b"fifo", Kind::Fifo, b"", b"");
    add(b"d/.wh.gone", Kind::Regular, b"", b"");
    add(b"d/.wh..wh..opq", Kind::Regular, b"", b"");
    add(b"././@LongLink", Kind::GNULongName, b"", &[b'n'; 300]);
    add(b"short", Kind::Regular, b"", b"");
    add(b"././@LongLink", Kind::GNULongLink, b"", b"/away/and/away\0");
    add(b"long", Kind::Symlink, b"", b"");
    add(b"pax", Kind::XHeader, b"", b"18 path=pax/inside\n12 size=512\n");
    add(b"of-pax", Kind::Regular, b"", &[b'p'; 512]);
    add(b"xattr", Kind::XHeader, b"", b"42 SCHILY.xattr.security.capability=\x01\x00\x00\x02\n");
    add(b"capable", Kind::Regular, b"", b"z");
    tar.into_inner().unwrap()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    ruzstd::encoding::compress_to_vec(bytes, ruzstd::encoding::CompressionLevel::Fastest)
}

/// What no layer may touch, whatever it says.
fn outside(folder: &Path) -> Vec<String> {
    let list = |path: &Path| {
        std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path().display().to_string())
    };
    let mut all: Vec<String> = list(folder).chain(list(&folder.join("beside"))).collect();
    all.sort();
    all
}

#[test]
fn layers_stay_where_they_are_unpacked_and_are_limited() {
    let plain = tar_of_all_kinds();
    let pool = [plain.clone(), gzip(&plain), zstd(&plain), gzip(&plain[..2048])];
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("beside")).unwrap();
    let before = outside(folder.path());
    fuzz("layers", &pool, |input| {
        let target = folder.path().join("beside/target");
        std::fs::create_dir(&target).unwrap();
        let start = &input[..input.len().min(4)];
        // Whether it is taken or refused does not matter here.
        let _ = unpack(decompressed(start, input), &target, &LIMITS);
        std::fs::remove_dir_all(&target).unwrap();
        assert_eq!(outside(folder.path()), before);
    });
}

#[test]
fn compressed_streams_end() {
    let text = b"some text, and some text again, and some more text. ".repeat(40);
    let noise: Vec<u8> =
        (0..3_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let mut pool = vec![gzip(&text), zstd(&text), zstd(&noise), zstd(&[7; 400_000]), zstd(b"")];
    pool.push(include_bytes!("../fuzz/hello.zst").to_vec());
    pool.push([&pool[1][..], &[0x50, 0x2a, 0x4d, 0x18, 2, 0, 0, 0, 1, 2], &pool[2]].concat());
    // Of the program `zstd`, which uses more of the format.
    pool.push(include_bytes!("../fuzz/words.zst").to_vec());
    fuzz("streams", &pool, |input| {
        let mut stream = decompressed(&input[..input.len().min(4)], input).take(MOST_READ);
        let mut out = Vec::new();
        let _ = stream.read_to_end(&mut out);
        assert!(out.len() as u64 <= MOST_READ);
    });
}

#[test]
fn documents_of_images_are_read_or_refused() {
    let digest = digest_of(b"x");
    let platform =
        serde_json::json!({"os": "linux", "architecture": crate::architecture(), "variant": "v8"});
    let kind = "application/vnd.oci.image.index.v1+json";
    let entry = serde_json::json!({
        "mediaType": kind, "digest": digest, "size": 7, "platform": platform,
        "annotations": {"vnd.docker.reference.type": "attestation-manifest"},
    });
    let other =
        serde_json::json!({"digest": digest, "platform": {"os": "linux", "architecture": "s390x"}});
    let index = serde_json::json!({"schemaVersion": 2, "manifests": [entry, other]});
    let config = serde_json::json!({
        "os": "linux", "architecture": crate::architecture(),
        "config": {"Env": ["A=1"], "Cmd": null, "ExposedPorts": {"80/tcp": {}}, "Healthcheck": {"Test": []}},
        "rootfs": {"type": "layers", "diff_ids": [digest]},
    });
    let pool = [index.to_string().into_bytes(), config.to_string().into_bytes()];
    let folder = tempfile::tempdir().unwrap();
    let store = ImageStore::open(folder.path()).unwrap();
    fuzz("documents", &pool, |input| {
        if let Ok(index) = serde_json::from_slice::<ImageIndex>(input)
            && let Ok(chosen) = index.for_this_machine()
        {
            assert!(chosen.platform.as_ref().is_none_or(ImagePlatform::is_ours));
        }
        // No layer is given: nothing but an image without layers can come of it.
        let imported =
            store.import_blobs(input.to_vec(), &[], &LIMITS, |config: ImageConfig| config);
        assert!(imported.is_err() || ImagePlatform::of_config(input).unwrap().is_ours());
    });
}
