//! Switches as clients write them.

use serde::de::{Deserialize, Deserializer, Error, Unexpected};

/// `heroku3` writes 0 for false.
#[derive(serde::Deserialize)]
#[serde(untagged)]
enum Written {
    Boolean(bool),
    Number(u64),
}

/// Reads a boolean, or a 0 or 1 in its place.
pub(crate) fn boolean<'de, D: Deserializer<'de>>(from: D) -> Result<bool, D::Error> {
    match Written::deserialize(from).map_err(|_| D::Error::custom("expected a boolean"))? {
        Written::Boolean(is_on) => Ok(is_on),
        Written::Number(number @ 0..=1) => Ok(number == 1),
        Written::Number(other) => {
            Err(D::Error::invalid_type(Unexpected::Unsigned(other), &"a boolean"))
        }
    }
}

/// The same where it may be left out.
pub(crate) fn optional<'de, D: Deserializer<'de>>(from: D) -> Result<Option<bool>, D::Error> {
    boolean(from).map(Some)
}

#[cfg(test)]
mod tests {
    use crate::{AppUpdate, FeatureUpdate};
    use serde_json::{Value, from_value, json};

    #[test]
    fn a_switch_is_a_boolean_or_0_or_1() {
        let read = |value: Value| from_value::<AppUpdate>(json!({"maintenance": value}));
        for (written, meant) in [(json!(0), false), (json!(1), true), (json!(true), true)] {
            assert_eq!(read(written).unwrap().maintenance, Some(meant));
        }
        assert_eq!(from_value::<AppUpdate>(json!({})).unwrap().maintenance, None);
        assert!(!from_value::<FeatureUpdate>(json!({"enabled": 0})).unwrap().enabled);
        for bad in [json!(2), json!(-1), json!("on"), json!([])] {
            assert!(read(bad.clone()).is_err(), "{bad}");
        }
    }
}
