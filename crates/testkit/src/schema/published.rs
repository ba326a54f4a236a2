//! Heroku's published schema, where a copy is at hand, less what is known to be wrong in it.

use super::{Contract, Objects};
use crate::skip;
use serde_json::Value;
use std::path::PathBuf;
use std::sync::OnceLock;

/// Something in the published schema that is not so in reality.
#[derive(Clone, Copy, Debug)]
pub struct Difference {
    /// Where in the document, as a JSON pointer below `/definitions`.
    pub place: &'static str,
    /// The keyword there that is left out of the check.
    pub keyword: &'static str,
    pub reason: &'static str,
}

/// All that is known, each with its reason.
pub const DIFFERENCES: &[Difference] = &[
    Difference {
        place: "/app/definitions/git_url",
        keyword: "pattern",
        reason: "it names Heroku's own host",
    },
    Difference {
        place: "/app/definitions/web_url",
        keyword: "pattern",
        reason: "it names Heroku's own domain",
    },
    Difference {
        place: "/domain/definitions/hostname",
        keyword: "format",
        reason: "a host name is no URI",
    },
    Difference {
        place: "/team/definitions/role",
        keyword: "enum",
        reason: "it lacks the role viewer, which members can be given",
    },
    Difference {
        place: "/region/definitions/provider/properties/region",
        keyword: "enum",
        reason: "it lists the regions of Heroku's own provider",
    },
];

/// Returns the published schema, or `None` (and says so once) where there is no copy.
///
/// It is the file that `WINDLASS_HEROKU_SCHEMA` names, or `shared/reference/heroku-schema.json`
/// beside the checkout.
pub fn published() -> Option<&'static Contract> {
    static PUBLISHED: OnceLock<Option<Contract>> = OnceLock::new();
    PUBLISHED.get_or_init(read).as_ref()
}

fn read() -> Option<Contract> {
    let beside =
        concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/reference/heroku-schema.json");
    let named = std::env::var_os("WINDLASS_HEROKU_SCHEMA").map(PathBuf::from);
    let file = named.unwrap_or_else(|| PathBuf::from(beside));
    let Ok(text) = std::fs::read_to_string(&file) else {
        skip("answers are not checked against Heroku's published schema: there is no copy of it");
        return None;
    };
    let mut document =
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    for difference in DIFFERENCES {
        apply(&mut document, difference);
    }
    Some(Contract::new(document, Objects::Published))
}

fn apply(document: &mut Value, difference: &Difference) {
    let pointer = format!("/definitions{}", difference.place);
    let place = document.pointer_mut(&pointer).and_then(Value::as_object_mut);
    let place = place.unwrap_or_else(|| panic!("{pointer} is no longer in the published schema"));
    let keyword = difference.keyword;
    assert!(place.remove(keyword).is_some(), "{pointer} has no {keyword} any more");
}
