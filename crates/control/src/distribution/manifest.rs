//! Reading a pushed manifest or index: decided before anything is stored.

use super::{DistributionError, Result};
use serde::Deserialize;
use serde_json::Value;
use windlass_core::ids::Digest;
use windlass_oci::{ImageIndex, ImagePlatform};

pub(super) const DOCKER: &str = "application/vnd.docker.distribution.manifest.v2+json";
pub(super) const OCI: &str = "application/vnd.oci.image.manifest.v1+json";
const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
const KNOWN: [&str; 4] = [DOCKER, OCI, DOCKER_LIST, OCI_INDEX];
const CONFIGS: [&str; 2] =
    ["application/vnd.docker.container.image.v1+json", "application/vnd.oci.image.config.v1+json"];
/// Layers are tars, packed or not: how is told by their bytes.
const LAYERS: [&str; 6] = [
    "application/vnd.docker.image.rootfs.diff.tar",
    "application/vnd.docker.image.rootfs.diff.tar.gzip",
    "application/vnd.docker.image.rootfs.diff.tar.zstd",
    "application/vnd.oci.image.layer.v1.tar",
    "application/vnd.oci.image.layer.v1.tar+gzip",
    "application/vnd.oci.image.layer.v1.tar+zstd",
];
/// Layers of one image; Docker makes at most 127.
const MOST_LAYERS: usize = 500;
/// Images and other documents that one index names.
const MOST_NAMED: usize = 500;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Document {
    schema_version: u64,
    media_type: Option<String>,
    config: Option<Part>,
    #[serde(default)]
    layers: Vec<Part>,
    manifests: Option<Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Part {
    #[serde(default)]
    media_type: String,
    digest: Digest,
    size: u64,
}

/// A blob that an image is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Blob {
    pub digest: Digest,
    pub size: u64,
}

/// What a manifest says.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ImageManifest {
    pub media_type: String,
    pub config: Blob,
    /// Lowest first.
    pub layers: Vec<Blob>,
    /// The line why nobody could run it; `None` for an image.
    pub no_image: Option<String>,
}

/// A document that is pushed as a manifest.
#[derive(Debug)]
pub(super) enum Manifest {
    Image(ImageManifest),
    Index { media_type: String, index: ImageIndex },
}

fn invalid<T>(why: String) -> Result<T> {
    Err(DistributionError::ManifestInvalid(why))
}

impl Manifest {
    /// Reads a document that was sent with this content type.
    pub(super) fn read(document: &[u8], content_type: Option<&str>) -> Result<Self> {
        let parsed: Document = match serde_json::from_slice(document) {
            Ok(parsed) => parsed,
            Err(error) => return invalid(format!("the manifest cannot be read: {error}")),
        };
        let sent_as = content_type.map(|text| text.split(';').next().unwrap_or(text).trim());
        // Two that read it differently would see two images.
        if let (Some(sent_as), Some(named)) = (sent_as, parsed.media_type.as_deref())
            && KNOWN.contains(&sent_as)
            && sent_as != named
        {
            return invalid(format!("it was sent as {sent_as}, and says of itself {named}"));
        }
        let is_index = parsed.manifests.is_some();
        if is_index && (parsed.config.is_some() || !parsed.layers.is_empty()) {
            return invalid("it is both a manifest and an index".to_owned());
        }
        let default = if is_index { OCI_INDEX } else { OCI };
        let media_type = parsed.media_type.as_deref().or(sent_as).unwrap_or(default).to_owned();
        let types = if is_index { [DOCKER_LIST, OCI_INDEX] } else { [DOCKER, OCI] };
        if parsed.schema_version != 2 || !types.contains(&media_type.as_str()) {
            return invalid(format!(
                "what is of the type {media_type} with schema version {} is not taken: push in Docker's format v2 or as OCI",
                parsed.schema_version
            ));
        }
        if is_index { index(document, media_type) } else { image(parsed, media_type) }
    }

    pub(super) fn media_type(&self) -> &str {
        match self {
            Self::Image(image) => &image.media_type,
            Self::Index { media_type, .. } => media_type,
        }
    }
}

/// Returns whether documents of a type are indexes.
pub(super) fn is_index(media_type: &str) -> bool {
    [DOCKER_LIST, OCI_INDEX].contains(&media_type)
}

/// Returns whether a client that sends this `Accept` header reads indexes.
#[must_use]
pub fn takes_indexes(accept: &str) -> bool {
    let kinds = accept.split(',').map(|kind| kind.split(';').next().unwrap_or(kind).trim());
    let takes = |kind: &str| is_index(kind) || ["*/*", "application/*", ""].contains(&kind);
    kinds.into_iter().any(takes)
}

fn index(document: &[u8], media_type: String) -> Result<Manifest> {
    let index: ImageIndex = match serde_json::from_slice(document) {
        Ok(index) => index,
        Err(error) => return invalid(format!("the index cannot be read: {error}")),
    };
    let count = index.manifests.len();
    if count > MOST_NAMED {
        return invalid(format!("an index names at most {MOST_NAMED} images, this {count}"));
    }
    Ok(Manifest::Index { media_type, index })
}

fn image(parsed: Document, media_type: String) -> Result<Manifest> {
    let Some(config) = parsed.config else {
        return invalid("the manifest names no config".to_owned());
    };
    let count = parsed.layers.len();
    if count > MOST_LAYERS {
        return invalid(format!("an image has from 1 to {MOST_LAYERS} layers, this has {count}"));
    }
    let elsewhere = |kind: &str| kind.contains("nondistributable") || kind.contains(".foreign.");
    if let Some(layer) = parsed.layers.iter().find(|layer| elsewhere(&layer.media_type)) {
        return invalid(format!(
            "the layer {} is not distributable (`{}`): its bytes are kept elsewhere and not pushed, and images with such layers are not taken",
            layer.digest, layer.media_type
        ));
    }
    let unknown =
        |layer: &&Part| !layer.media_type.is_empty() && !LAYERS.contains(&&*layer.media_type);
    let no_image = if !CONFIGS.contains(&config.media_type.as_str()) {
        Some(format!("{:?} is not the config of an image.", config.media_type))
    } else {
        let layer = parsed.layers.iter().find(unknown);
        layer.map(|layer| format!("{:?} is not the layer of an image.", layer.media_type))
    };
    if no_image.is_none() && count == 0 {
        return invalid(format!("an image has from 1 to {MOST_LAYERS} layers, this has none"));
    }
    let blob = |part: Part| Blob { digest: part.digest, size: part.size };
    let layers = parsed.layers.into_iter().map(blob).collect();
    Ok(Manifest::Image(ImageManifest { media_type, config: blob(config), layers, no_image }))
}

impl ImageManifest {
    /// Returns the bytes of all its blobs together.
    pub(super) fn size(&self) -> u64 {
        let layers = self.layers.iter().map(|layer| layer.size);
        layers.fold(self.config.size, u64::saturating_add)
    }

    /// Returns the line why this server cannot run the image with this config, if it cannot.
    pub(super) fn why_not(&self, config: &[u8]) -> Option<String> {
        if let Some(line) = &self.no_image {
            return Some(line.clone());
        }
        let platform = ImagePlatform::of_config(config);
        let foreign = platform.filter(|platform| !platform.is_ours())?;
        Some(windlass_oci::for_other_platforms(&foreign.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn part(kind: &str, digit: char, size: u64) -> Value {
        let digest = format!("sha256:{}", digit.to_string().repeat(64));
        json!({"mediaType": kind, "digest": digest, "size": size})
    }

    fn image() -> Value {
        json!({
            "schemaVersion": 2, "mediaType": DOCKER,
            "config": part(CONFIGS[0], 'a', 7),
            "layers": [part("application/vnd.docker.image.rootfs.diff.tar.gzip", 'b', 10)],
        })
    }

    fn with(key: &str, value: Value) -> Value {
        let mut changed = image();
        changed[key] = value;
        changed
    }

    fn read(document: &Value, content_type: Option<&str>) -> Result<Manifest> {
        Manifest::read(document.to_string().as_bytes(), content_type)
    }

    fn read_image(document: &Value, content_type: Option<&str>) -> ImageManifest {
        match read(document, content_type).unwrap() {
            Manifest::Image(image) => image,
            Manifest::Index { .. } => panic!("{document} is no index"),
        }
    }

    #[test]
    fn manifests_of_docker_and_oci_are_read() {
        let manifest = read_image(&image(), None);
        assert_eq!((manifest.media_type.as_str(), manifest.size()), (DOCKER, 17));
        assert_eq!(manifest.no_image, None);
        let mut oci = image();
        oci.as_object_mut().unwrap().remove("mediaType");
        oci["config"]["mediaType"] = json!(CONFIGS[1]);
        for kind in LAYERS {
            oci["layers"] = json!([part(kind, 'b', 10)]);
            assert_eq!(read_image(&oci, Some(OCI)).no_image, None, "{kind}");
        }
        assert_eq!(read_image(&oci, None).media_type, OCI);
    }

    #[test]
    fn indexes_of_docker_and_oci_are_read() {
        for kind in [OCI_INDEX, DOCKER_LIST] {
            let document =
                json!({"schemaVersion": 2, "mediaType": kind, "manifests": [part(OCI, 'a', 1)]});
            for content_type in [Some(kind), Some("application/json"), None] {
                let Manifest::Index { media_type, index } = read(&document, content_type).unwrap()
                else {
                    panic!("an index")
                };
                assert_eq!((media_type.as_str(), index.manifests.len()), (kind, 1));
            }
        }
        let bare = json!({"schemaVersion": 2, "manifests": []});
        assert_eq!(read(&bare, None).unwrap().media_type(), OCI_INDEX);
        assert_eq!(read(&bare, Some(DOCKER_LIST)).unwrap().media_type(), DOCKER_LIST);
    }

    #[test]
    fn what_stands_beside_images_is_told_from_them() {
        let statement = with("layers", json!([part("application/vnd.in-toto+json", 'b', 1)]));
        let line = read_image(&statement, None).no_image.unwrap();
        assert!(line.contains("in-toto") && line.contains("not the layer"), "{line}");
        let mut artifact = with("layers", json!([]));
        artifact["config"] = part("application/vnd.oci.empty.v1+json", 'a', 2);
        let artifact = read_image(&artifact, None);
        assert!(artifact.why_not(b"{}").unwrap().contains("not the config of an image"));
        let of =
            |platform: Value| read_image(&image(), None).why_not(platform.to_string().as_bytes());
        let architecture = windlass_oci::architecture();
        assert_eq!(of(json!({"os": "linux", "architecture": architecture})), None);
        let line = of(json!({"os": "linux", "architecture": "s390x"})).unwrap();
        assert!(line.contains("for linux/s390x"), "{line}");
    }

    #[test]
    fn what_is_neither_is_refused() {
        let index = OCI_INDEX;
        let helm = "application/vnd.docker.distribution.manifest.v1+json";
        let too_many: Vec<Value> = (0..501).map(|_| part(OCI, 'a', 1)).collect();
        let layer = |kind: &str| with("layers", json!([part(kind, 'b', 1)]));
        for (bad, says) in [
            (with("mediaType", json!(helm)), "not taken"),
            (with("mediaType", json!(index)), "not taken"),
            (with("schemaVersion", json!(1)), "not taken"),
            (json!({"schemaVersion": 1, "manifests": []}), "not taken"),
            (json!({"schemaVersion": 2, "mediaType": OCI, "manifests": []}), "not taken"),
            (json!({"schemaVersion": 2, "manifests": {"a": 1}}), "index cannot be read"),
            (json!({"schemaVersion": 2, "manifests": [{"digest": "sha256:.."}]}), "cannot be read"),
            (json!({"schemaVersion": 2, "manifests": too_many}), "at most 500"),
            (with("manifests", json!([])), "both"),
            (with("config", json!(null)), "no config"),
            (with("layers", json!([])), "from 1 to 500"),
            (with("layers", json!(vec![part("x", 'b', 1); 501])), "from 1 to 500"),
            (with("layers", json!([{"digest": "sha256:../../x", "size": 1}])), "cannot be read"),
            (with("layers", json!([{"digest": part("x", 'a', 1)["digest"], "size": -1}])), "read"),
            (
                layer("application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"),
                "is not distributable",
            ),
            (
                layer("application/vnd.oci.image.layer.nondistributable.v1.tar+zstd"),
                "is not distributable",
            ),
            (json!([]), "cannot be read"),
            (json!(2), "cannot be read"),
        ] {
            let refused = read(&bad, None).unwrap_err();
            assert!(matches!(refused, DistributionError::ManifestInvalid(_)));
            assert!(refused.to_string().contains(says), "{bad}: {refused}");
        }
        let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
        assert!(Manifest::read(deep.as_bytes(), None).is_err());
    }

    #[test]
    fn it_is_what_it_was_sent_as() {
        let refused = read(&image(), Some(OCI_INDEX)).unwrap_err().to_string();
        assert!(refused.contains("sent as") && refused.contains(DOCKER), "{refused}");
        let with_charset = format!("{DOCKER}; charset=utf-8");
        for content_type in [Some(DOCKER), Some(&*with_charset), Some("text/plain"), None] {
            assert_eq!(read_image(&image(), content_type).media_type, DOCKER);
        }
    }

    #[test]
    fn clients_say_whether_they_read_indexes() {
        for (accept, expected) in [
            ("*/*", true),
            ("", true),
            (OCI_INDEX, true),
            (
                "application/vnd.oci.image.manifest.v1+json, application/vnd.docker.distribution.manifest.list.v2+json;q=0.5",
                true,
            ),
            (OCI, false),
            ("application/vnd.heroku+json; version=3", false),
        ] {
            assert_eq!(takes_indexes(accept), expected, "{accept}");
        }
    }
}
