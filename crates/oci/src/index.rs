//! Indexes: documents that name several images, one for each platform.

use serde::Deserialize;
use std::collections::BTreeMap;
use std::fmt;
use windlass_core::ids::Digest;

/// Docker says with this annotation what stands beside an image, such as how it was built.
const BESIDE: &str = "vnd.docker.reference.type";

/// An OCI index or Docker's manifest list.
#[derive(Clone, Debug, Deserialize)]
pub struct ImageIndex {
    #[serde(default)]
    pub manifests: Vec<IndexEntry>,
}

/// An image, or another index.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct IndexEntry {
    #[serde(default)]
    pub media_type: String,
    pub digest: Digest,
    /// Bytes of the document that it names.
    pub size: Option<u64>,
    pub platform: Option<ImagePlatform>,
    #[serde(default)]
    annotations: Option<BTreeMap<String, String>>,
}

/// What an image runs on, as indexes and configs of images say it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct ImagePlatform {
    #[serde(default)]
    pub os: String,
    #[serde(default)]
    pub architecture: String,
    pub variant: Option<String>,
}

/// Why an index has no image for this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoneForUs {
    /// It names none at all.
    Empty,
    /// The platforms that its images are for.
    Foreign(String),
    /// So many, of which none says what it is for.
    Unclear(usize),
}

/// Returns the name that images have for the processor this was compiled for.
#[must_use]
pub fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

/// Returns the line for an image that is for `platforms` alone.
#[must_use]
pub fn for_other_platforms(platforms: &str) -> String {
    format!("The image is for {platforms}; this server runs linux/{} only.", architecture())
}

impl ImagePlatform {
    /// Reads for what the image with this config is; `None` if that is no config.
    #[must_use]
    pub fn of_config(config: &[u8]) -> Option<Self> {
        serde_json::from_slice(config).ok()
    }

    /// Whether it is this machine's.
    #[must_use]
    pub fn is_ours(&self) -> bool {
        self.os == "linux" && self.architecture == architecture()
    }

    /// Variants that every processor of the kind runs come first.
    fn demands(&self) -> u32 {
        let variant = self.variant.as_deref().unwrap_or_default();
        let number = variant.strip_prefix('v').and_then(|number| number.parse().ok());
        number.unwrap_or(0)
    }
}

impl fmt::Display for ImagePlatform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (os, architecture) = (shown(&self.os), shown(&self.architecture));
        write!(f, "{os}/{architecture}")
    }
}

/// Somebody else wrote it, and it becomes part of a line.
fn shown(name: &str) -> String {
    let plain = |c: &char| c.is_ascii_alphanumeric() || "-_.".contains(*c);
    let name: String = name.chars().filter(plain).take(32).collect();
    if name.is_empty() { "unknown".to_owned() } else { name }
}

impl IndexEntry {
    /// Whether it stands beside an image and is none itself.
    fn is_beside(&self) -> bool {
        let marked = self.annotations.as_ref().is_some_and(|all| all.contains_key(BESIDE));
        marked || self.platform.as_ref().is_some_and(|p| p.architecture == "unknown")
    }

    /// Whether it names another index.
    #[must_use]
    pub fn is_index(&self) -> bool {
        is_index_type(&self.media_type)
    }
}

pub(crate) fn is_index_type(media_type: &str) -> bool {
    media_type.contains("image.index") || media_type.contains("manifest.list")
}

impl ImageIndex {
    /// Chooses the image for this machine. An only one that does not say what it is for is taken.
    pub fn for_this_machine(&self) -> Result<&IndexEntry, NoneForUs> {
        let images: Vec<_> = self.manifests.iter().filter(|entry| !entry.is_beside()).collect();
        let ours =
            images.iter().filter(|e| e.platform.as_ref().is_some_and(ImagePlatform::is_ours));
        let demands = |entry: &&&IndexEntry| entry.platform.as_ref().map(ImagePlatform::demands);
        if let Some(ours) = ours.min_by_key(demands) {
            return Ok(ours);
        }
        match images.as_slice() {
            [] => Err(NoneForUs::Empty),
            [only] if only.platform.is_none() => Ok(only),
            several => {
                let mut platforms: Vec<String> = Vec::new();
                for platform in several.iter().filter_map(|entry| entry.platform.as_ref()) {
                    let name = platform.to_string();
                    if !platforms.contains(&name) && platforms.len() < 10 {
                        platforms.push(name);
                    }
                }
                if platforms.is_empty() {
                    return Err(NoneForUs::Unclear(several.len()));
                }
                Err(NoneForUs::Foreign(platforms.join(", ")))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn entry(digit: char, platform: Option<(&str, &str)>) -> Value {
        let digest = format!("sha256:{}", digit.to_string().repeat(64));
        let mut entry = json!({"mediaType": "application/x", "digest": digest, "size": 1});
        if let Some((os, architecture)) = platform {
            entry["platform"] = json!({"os": os, "architecture": architecture});
        }
        entry
    }

    fn chosen(entries: &[Value]) -> Result<char, NoneForUs> {
        let index: ImageIndex = serde_json::from_value(json!({"manifests": entries})).unwrap();
        index.for_this_machine().map(|entry| entry.digest.hex().chars().next().unwrap())
    }

    #[test]
    fn the_machines_own_image_is_chosen() {
        let (ours, other) = (Some(("linux", architecture())), Some(("linux", "s390x")));
        let beside = Some(("unknown", "unknown"));
        let of_variant = |digit: char, variant: &str| {
            let mut entry = entry(digit, ours);
            entry["platform"]["variant"] = json!(variant);
            entry
        };
        let mut marked = entry('c', ours);
        marked["annotations"] = json!({BESIDE: "attestation-manifest"});
        let foreign = |text: &str| Err(NoneForUs::Foreign(text.to_owned()));
        for (entries, expected) in [
            (vec![entry('a', other), entry('b', ours), entry('c', beside)], Ok('b')),
            (vec![entry('c', beside), entry('a', ours)], Ok('a')),
            (vec![marked, entry('a', ours)], Ok('a')),
            (vec![entry('a', ours), entry('b', ours)], Ok('a')),
            (vec![of_variant('a', "v3"), of_variant('b', "v2"), entry('c', ours)], Ok('c')),
            (vec![entry('a', None)], Ok('a')),
            (vec![], Err(NoneForUs::Empty)),
            (vec![entry('c', beside)], Err(NoneForUs::Empty)),
            (vec![entry('a', None), entry('b', None)], Err(NoneForUs::Unclear(2))),
            (vec![entry('a', other)], foreign("linux/s390x")),
            (
                vec![entry('a', other), entry('b', Some(("windows", "amd64"))), entry('c', other)],
                foreign("linux/s390x, windows/amd64"),
            ),
            (vec![entry('a', Some(("linux\n", "")))], foreign("linux/unknown")),
        ] {
            assert_eq!(chosen(&entries), expected, "{entries:?}");
        }
    }

    #[test]
    fn a_config_says_what_it_is_for() {
        let config = json!({"architecture": architecture(), "os": "linux", "rootfs": {}});
        assert!(ImagePlatform::of_config(config.to_string().as_bytes()).unwrap().is_ours());
        assert!(!ImagePlatform::of_config(b"{}").unwrap().is_ours());
        assert_eq!(ImagePlatform::of_config(b"[1]"), None);
        assert_eq!(ImagePlatform::of_config(b"no JSON"), None);
    }
}
