//! Reading a pushed manifest: decided before anything is stored.

use super::{DistributionError, Result};
use serde::Deserialize;
use windlass_core::ids::Digest;

pub(super) const DOCKER: &str = "application/vnd.docker.distribution.manifest.v2+json";
pub(super) const OCI: &str = "application/vnd.oci.image.manifest.v1+json";
const CONFIGS: &[&str] =
    &["application/vnd.docker.container.image.v1+json", "application/vnd.oci.image.config.v1+json"];
/// Layers of one image; Docker makes at most 127.
const MOST_LAYERS: usize = 500;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Document {
    schema_version: u64,
    media_type: Option<String>,
    config: Option<Part>,
    #[serde(default)]
    layers: Vec<Part>,
    manifests: Option<serde_json::Value>,
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
}

impl ImageManifest {
    /// Reads a manifest that was sent with this content type.
    pub(super) fn read(document: &[u8], content_type: Option<&str>) -> Result<Self> {
        let invalid = |why: String| Err(DistributionError::ManifestInvalid(why));
        let parsed: Document = match serde_json::from_slice(document) {
            Ok(parsed) => parsed,
            Err(error) => return invalid(format!("the manifest cannot be read: {error}")),
        };
        let content_type = content_type.map(|text| text.split(';').next().unwrap_or(text).trim());
        let media_type = parsed.media_type.or_else(|| content_type.map(str::to_owned));
        let media_type = media_type.unwrap_or_else(|| OCI.to_owned());
        if parsed.manifests.is_some() || media_type.contains("index") || media_type.contains("list")
        {
            return invalid(
                "this is an index of several images, and a process type runs one: push the image for this server's \
                 processor alone (with docker build: --provenance=false --sbom=false)"
                    .to_owned(),
            );
        }
        if parsed.schema_version != 2 || ![DOCKER, OCI].contains(&media_type.as_str()) {
            return invalid(format!(
                "manifests of the type {media_type} with schema version {} are not taken: push in Docker's format v2 or as OCI",
                parsed.schema_version
            ));
        }
        let Some(config) = parsed.config else {
            return invalid("the manifest names no config".to_owned());
        };
        if !CONFIGS.contains(&config.media_type.as_str()) {
            return invalid(format!("{:?} is not the config of an image", config.media_type));
        }
        if parsed.layers.is_empty() || parsed.layers.len() > MOST_LAYERS {
            let count = parsed.layers.len();
            return invalid(format!(
                "an image has from 1 to {MOST_LAYERS} layers, this has {count}"
            ));
        }
        let blob = |part: Part| Blob { digest: part.digest, size: part.size };
        let layers = parsed.layers.into_iter().map(blob).collect();
        Ok(Self { media_type, config: blob(config), layers })
    }

    /// Returns the bytes of all its blobs together.
    pub(super) fn size(&self) -> u64 {
        let layers = self.layers.iter().map(|layer| layer.size);
        layers.fold(self.config.size, u64::saturating_add)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

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

    fn read(document: &Value, content_type: Option<&str>) -> Result<ImageManifest> {
        ImageManifest::read(document.to_string().as_bytes(), content_type)
    }

    #[test]
    fn manifests_of_docker_and_oci_are_read() {
        let manifest = read(&image(), None).unwrap();
        assert_eq!((manifest.media_type.as_str(), manifest.size()), (DOCKER, 17));
        let mut oci = image();
        oci.as_object_mut().unwrap().remove("mediaType");
        oci["config"]["mediaType"] = json!(CONFIGS[1]);
        assert_eq!(read(&oci, Some(OCI)).unwrap().media_type, OCI);
        assert_eq!(read(&oci, None).unwrap().media_type, OCI);
    }

    #[test]
    fn what_is_no_image_is_refused() {
        let with = |key: &str, value: Value| {
            let mut changed = image();
            changed[key] = value;
            changed
        };
        let index = "application/vnd.oci.image.index.v1+json";
        for (bad, says) in [
            (json!({"schemaVersion": 2, "mediaType": index, "manifests": []}), "index of several"),
            (
                with("mediaType", json!("application/vnd.docker.distribution.manifest.v1+json")),
                "not taken",
            ),
            (with("schemaVersion", json!(1)), "not taken"),
            (with("config", json!(null)), "no config"),
            (
                with("config", part("application/vnd.cncf.helm.config.v1+json", 'a', 1)),
                "not the config",
            ),
            (with("layers", json!([])), "from 1 to 500"),
            (with("layers", json!([{"digest": "sha256:../../x", "size": 1}])), "cannot be read"),
            (json!([]), "cannot be read"),
        ] {
            let refused = read(&bad, None).unwrap_err();
            assert!(matches!(refused, DistributionError::ManifestInvalid(_)));
            assert!(refused.to_string().contains(says), "{bad}: {refused}");
        }
        let bare = json!({"schemaVersion": 2});
        assert!(read(&bare, Some(index)).unwrap_err().to_string().contains("index of several"));
    }
}
