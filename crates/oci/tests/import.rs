//! Images that somebody else made: in, read, and out again.

#![allow(clippy::unwrap_used)]

use std::io::Write;
use std::path::{Path, PathBuf};
use windlass_core::ids::Digest;
use windlass_oci::{ImageConfig, ImageStore, ImportLimits, OciError, architecture, digest_of};

const LIMITS: ImportLimits = ImportLimits { bytes: 1 << 30, entries: 1_000 };

struct Fixture {
    directory: tempfile::TempDir,
    store: ImageStore,
}

fn fixture() -> Fixture {
    let directory = tempfile::tempdir().unwrap();
    let store = ImageStore::open(&directory.path().join("images")).unwrap();
    Fixture { directory, store }
}

impl Fixture {
    fn file(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.directory.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    }

    fn import(&self, archive: &[u8]) -> Result<Digest, OciError> {
        let path = self.file("archive.tar", archive);
        self.store.import_archive(&path, &LIMITS, |config| config)
    }

    #[track_caller]
    fn refused(&self, archive: &[u8]) -> String {
        let error = self.import(archive).unwrap_err();
        assert!(matches!(error, OciError::Archive(_)), "{error:?}");
        let text = error.to_string();
        assert_eq!(text.lines().count(), 1, "{text}");
        let staged = std::fs::read_dir(self.store.root().join("staging")).unwrap().count();
        assert_eq!(staged, 0, "nothing is left behind");
        text
    }
}

enum Item<'a> {
    File(&'a str, &'a str),
    Directory(&'a str),
    Link(&'a str, &'a str),
    HardLink(&'a str, &'a str),
}

fn tar_of(items: &[Item<'_>]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for item in items {
        let mut header = tar::Header::new_gnu();
        header.set_mode(0o755);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(7);
        let (name, data, link) = match item {
            Item::File(name, text) => (*name, *text, None),
            Item::Directory(name) => {
                header.set_entry_type(tar::EntryType::Directory);
                (*name, "", None)
            }
            Item::Link(name, to) => {
                header.set_entry_type(tar::EntryType::Symlink);
                (*name, "", Some(*to))
            }
            Item::HardLink(name, to) => {
                header.set_entry_type(tar::EntryType::Link);
                (*name, "", Some(*to))
            }
        };
        // Written into the header as it is: the tar crate refuses what these tests are about.
        header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
        if let Some(to) = link {
            header.as_old_mut().linkname[..to.len()].copy_from_slice(to.as_bytes());
        }
        header.set_size(data.len() as u64);
        header.set_cksum();
        builder.append(&header, data.as_bytes()).unwrap();
    }
    builder.into_inner().unwrap()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// What `docker save` writes.
fn saved(layers: &[Vec<u8>], architecture: &str) -> Vec<u8> {
    let diff_ids: Vec<Digest> = layers.iter().map(|layer| digest_of(layer)).collect();
    let config = serde_json::json!({
        "architecture": architecture, "os": "linux",
        "config": {
            "Entrypoint": ["/bin/serve"], "Cmd": null, "User": "web", "ExposedPorts": {"8000/tcp": {}},
            "Labels": null, "Env": ["A=1"],
        },
        "rootfs": {"type": "layers", "diff_ids": diff_ids},
    })
    .to_string();
    let names: Vec<String> = (0..layers.len()).map(|n| format!("{n}/layer.tar")).collect();
    let manifest =
        serde_json::json!([{"Config": "config.json", "RepoTags": [], "Layers": names}]).to_string();
    let documents =
        [("manifest.json", manifest.as_bytes()), ("config.json", config.as_bytes())].into_iter();
    let layers = layers.iter().map(Vec::as_slice);
    archive(documents.chain(names.iter().map(String::as_str).zip(layers)))
}

/// A tar of plain files.
fn archive<'a>(files: impl IntoIterator<Item = (&'a str, &'a [u8])>) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (name, bytes) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        builder.append_data(&mut header, name, bytes).unwrap();
    }
    builder.into_inner().unwrap()
}

fn two_layers() -> Vec<Vec<u8>> {
    let low = tar_of(&[
        Item::Directory("usr/"),
        Item::Directory("usr/bin/"),
        Item::File("usr/bin/sh", "the shell"),
        Item::HardLink("usr/bin/ash", "usr/bin/sh"),
        Item::Link("bin", "usr/bin"),
        Item::Directory("etc/"),
        Item::File("etc/passwd", "old"),
        Item::File("etc/gone", "x"),
        Item::Directory("data/"),
        Item::File("data/hidden", "x"),
        Item::Link("out", "../../../../etc/passwd"),
    ]);
    let top = tar_of(&[
        Item::File("etc/passwd", "new"),
        Item::File("etc/.wh.gone", ""),
        Item::File("data/.wh..wh..opq", ""),
    ]);
    vec![low, gzip(&top), top]
}

#[test]
fn a_saved_image_is_imported_once_and_read_like_overlayfs_would_show_it() {
    let fixture = fixture();
    let layers = two_layers();
    let archive = saved(&[layers[0].clone(), layers[2].clone()], architecture());
    let image = fixture.import(&archive).unwrap();
    let resolved = fixture.store.resolve(&image).unwrap();
    assert_eq!(
        resolved.config,
        ImageConfig {
            env: vec!["A=1".into()],
            entrypoint: vec!["/bin/serve".into()],
            user: Some("web".into()),
            exposed_ports: vec!["8000/tcp".into()],
            ..ImageConfig::default()
        }
    );
    let read = |path: &str| resolved.read_file(Path::new(path), 100).unwrap();
    assert_eq!(read("/bin/sh").as_deref(), Some(&b"the shell"[..]), "through a link");
    assert_eq!(read("/usr/bin/ash").as_deref(), Some(&b"the shell"[..]), "a hard link");
    assert_eq!(read("/etc/passwd").as_deref(), Some(&b"new"[..]), "the upper layer wins");
    assert_eq!(read("/out").as_deref(), Some(&b"new"[..]), "a link does not lead out");
    assert_eq!(read("/etc/gone"), None, "removed");
    assert_eq!(read("/data/hidden"), None, "hidden by an opaque directory");
    assert_eq!(read("/etc"), None, "a directory");
    assert!(!resolved.has_file(Path::new("/bin/bash")).unwrap());

    // Its layers are known now: they are not looked at again, be they what they may.
    assert_eq!(fixture.import(&archive).unwrap(), image);
    let zipped = gzip(&archive);
    assert_eq!(fixture.import(&zipped).unwrap(), image, "compressed as a whole");
    let kept = std::fs::read_dir(fixture.store.root().join("layers")).unwrap().count();
    assert_eq!(kept, 2);
}

#[test]
fn an_exported_image_comes_in_again_as_the_same() {
    let (here, there) = (fixture(), fixture());
    let layers = two_layers();
    let image =
        here.import(&saved(&[layers[0].clone(), layers[2].clone()], architecture())).unwrap();
    let mut archive = Vec::new();
    here.store.export_archive(&image, "app:v1", &mut archive).unwrap();
    assert_eq!(there.import(&archive).unwrap(), image);

    let names: Vec<String> = tar::Archive::new(&archive[..])
        .entries()
        .unwrap()
        .map(|entry| entry.unwrap().path().unwrap().display().to_string())
        .collect();
    for name in ["oci-layout", "index.json", "manifest.json"] {
        assert!(names.iter().any(|found| found == name), "{name} of {names:?}");
    }
}

#[test]
fn what_is_cut_or_damaged_is_refused_in_one_line() {
    let fixture = fixture();
    let layers = two_layers();
    let archive = saved(&[layers[0].clone()], architecture());
    for (length, says) in [
        (0, "is empty"),
        (100, "not an image archive"),
        (1_400, "cut short"),
        (2_100, "cut short"),
        (archive.len() - 3_000, "cut short"),
    ] {
        let text = fixture.refused(&archive[..length]);
        assert!(text.contains(says), "{length}: {text}");
    }
    let mut changed = archive.clone();
    let at = changed.windows(9).position(|window| window == b"the shell").unwrap();
    changed[at] = b'T';
    assert!(fixture.refused(&changed).contains("does not match its digest"));
    assert!(fixture.refused(b"just some text, and then more of it").contains("not an image"));
    assert!(fixture.refused(&tar_of(&[Item::File("x", "y")])).contains("holds no image"));
    let stored = saved(&[layers[1].clone()], architecture());
    assert!(fixture.refused(&stored).contains("does not match"), "digest of the compressed tar");
}

#[test]
fn an_image_for_another_processor_is_refused() {
    let fixture = fixture();
    let text = fixture.refused(&saved(&[tar_of(&[Item::File("x", "y")])], "s390x"));
    assert_eq!(
        text,
        format!("The image is for linux/s390x; this server runs linux/{} only.", architecture())
    );
}

#[test]
fn nothing_leads_out_of_a_layer() {
    let fixture = fixture();
    let outside = fixture.directory.path().join("outside");
    std::fs::create_dir(&outside).unwrap();
    let away = outside.display().to_string();
    for items in [
        vec![Item::File("../../../evil", "x")],
        vec![Item::File("a/../../evil", "x")],
        vec![Item::Link("door", &away), Item::File("door/evil", "x")],
        vec![Item::HardLink("mine", "../../../../etc/passwd")],
        vec![Item::Link("door", &away), Item::HardLink("mine", "door/evil")],
    ] {
        fixture.refused(&saved(&[tar_of(&items)], architecture()));
    }
    assert_eq!(std::fs::read_dir(&outside).unwrap().count(), 0);
    // A link itself may say what it likes: only a container follows it.
    fixture.import(&saved(&[tar_of(&[Item::Link("door", &away)])], architecture())).unwrap();
}

#[test]
fn size_and_number_of_files_are_limited() {
    let fixture = fixture();
    let layer = tar_of(&[Item::File("a", "12345"), Item::File("b", "12345")]);
    let path = fixture.file("archive.tar", &saved(&[layer], architecture()));
    for (limits, says) in [
        (ImportLimits { bytes: 9, entries: 100 }, "larger than"),
        (ImportLimits { bytes: 1 << 30, entries: 1 }, "more than 1 files"),
    ] {
        let error = fixture.store.import_archive(&path, &limits, |config| config).unwrap_err();
        assert!(error.to_string().contains(says), "{error}");
    }
}

#[test]
fn layers_may_be_packed_with_gzip_or_zstd() {
    let fixture = fixture();
    let layer = tar_of(&[Item::File("a", "12345"), Item::Link("b", "a")]);
    let zstd = |bytes: &[u8]| {
        ruzstd::encoding::compress_to_vec(bytes, ruzstd::encoding::CompressionLevel::Fastest)
    };
    let config = serde_json::json!({
        "architecture": architecture(), "os": "linux", "config": {},
        "rootfs": {"type": "layers", "diff_ids": [digest_of(&layer)]},
    });
    let config = config.to_string().into_bytes();
    // Frames may follow each other, and some tools put in such as are to be skipped.
    let skipped = [&[0x50, 0x2a, 0x4d, 0x18, 1, 0, 0, 0, 9][..], &zstd(&layer)].concat();
    let halves = [zstd(&layer[..600]), zstd(&layer[600..])].concat();
    let mut images = Vec::new();
    for packed in [layer.clone(), gzip(&layer), zstd(&layer), skipped, halves] {
        // Each time into a store that knows nothing.
        let store = ImageStore::open(&fixture.directory.path().join(digest_of(&packed).hex()));
        let (store, file) = (store.unwrap(), fixture.file("layer", &packed));
        let layers = [(file.clone(), digest_of(&packed))];
        let image = store.import_blobs(config.clone(), &layers, &LIMITS, |config| config).unwrap();
        let resolved = store.resolve(&image).unwrap();
        let read = resolved.read_file(Path::new("/b"), 100).unwrap();
        assert_eq!(read.as_deref(), Some(&b"12345"[..]));
        images.push(image);
        // What was pushed is not what the manifest says.
        std::fs::write(&file, zstd(b"something else")).unwrap();
        let other = ImageStore::open(&fixture.directory.path().join("other")).unwrap();
        assert!(other.import_blobs(config.clone(), &layers, &LIMITS, |config| config).is_err());
    }
    images.dedup();
    assert_eq!(images.len(), 1, "how it was packed does not matter");
    let archive = saved(&[layer], architecture());
    let plain = fixture.import(&archive).unwrap();
    assert_eq!(fixture.import(&zstd(&archive)).unwrap(), plain, "an archive as a whole, too");
}

#[test]
fn a_few_compressed_bytes_do_not_fill_the_memory() {
    let fixture = fixture();
    // A name of 64 MiB, which is held in memory.
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(tar::EntryType::GNULongName);
    header.set_size(64 << 20);
    header.set_mode(0o644);
    header.set_cksum();
    let mut layer = header.as_bytes().to_vec();
    layer.resize(layer.len() + (64 << 20), b'n');
    layer.extend(tar_of(&[Item::File("a", "x")]));
    let text = fixture.refused(&saved(&[gzip(&layer)], architecture()));
    assert!(text.contains("headers of a file take more than 1024 KiB"), "{text}");
    // As the archive itself.
    let text = fixture.refused(&gzip(&layer));
    assert!(text.contains("headers of a file take more than 1024 KiB"), "{text}");
}

/// An OCI layout with an image for each of these processors.
fn layout(processors: &[&str]) -> Vec<u8> {
    let layer = tar_of(&[Item::File("a", "12345")]);
    let mut blobs = vec![layer.clone()];
    let entries: Vec<_> = processors
        .iter()
        .map(|processor| {
            let config = serde_json::json!({
                "architecture": processor, "os": "linux", "config": {},
                "rootfs": {"type": "layers", "diff_ids": [digest_of(&layer)]},
            });
            let config = config.to_string().into_bytes();
            let manifest = serde_json::json!({
                "config": {"digest": digest_of(&config)}, "layers": [{"digest": digest_of(&layer)}],
            });
            let manifest = manifest.to_string().into_bytes();
            let digest = digest_of(&manifest);
            blobs.extend([config, manifest]);
            serde_json::json!({"digest": digest, "platform": {"os": "linux", "architecture": processor}})
        })
        .collect();
    let inner = serde_json::json!({"manifests": entries}).to_string().into_bytes();
    let kind = "application/vnd.oci.image.index.v1+json";
    let outer =
        serde_json::json!({"manifests": [{"mediaType": kind, "digest": digest_of(&inner)}]});
    blobs.push(inner);
    let outer = outer.to_string();
    let names: Vec<String> =
        blobs.iter().map(|blob| format!("blobs/sha256/{}", digest_of(blob).hex())).collect();
    let blobs = names.iter().map(String::as_str).zip(blobs.iter().map(Vec::as_slice));
    archive([("index.json", outer.as_bytes())].into_iter().chain(blobs))
}

#[test]
fn of_an_index_the_machines_own_image_is_taken() {
    let fixture = fixture();
    let image = fixture.import(&layout(&["s390x", architecture()])).unwrap();
    assert_eq!(fixture.store.resolve(&image).unwrap().layers.len(), 1);
    let text = fixture.refused(&layout(&["s390x", "riscv64"]));
    assert!(text.contains("is for linux/s390x, linux/riscv64; this server"), "{text}");
    assert_eq!(fixture.refused(&layout(&["unknown"])), "The archive holds no image.");
}
