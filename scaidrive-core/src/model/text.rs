//! Closed sets of words (states, kinds, roles) that the database and the wire spell as text.

/// Makes an enum whose values have one spelling each, with serde, `as_str` and `FromStr`.
macro_rules! text_enum {
    ($(#[$doc:meta])* $vis:vis enum $name:ident { $($(#[$vdoc:meta])* $variant:ident = $text:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
        $vis enum $name { $($(#[$vdoc])* #[serde(rename = $text)] $variant),+ }

        impl $name {
            /// Every value, in the order of their declaration.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// Returns the word used on the wire and in the database.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text),+ }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl std::str::FromStr for $name {
            type Err = $crate::model::UnknownWord;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                match text { $($text => Ok(Self::$variant),)+ _ => Err($crate::model::UnknownWord) }
            }
        }
    };
}

pub(crate) use text_enum;

use serde_json::{Map, Value};

use super::FieldError;

/// Returns what another system calls something, fit to be kept: without control characters and space around it,
/// cut to 255 bytes; nothing if nothing is left.
pub fn tidy(text: &str) -> Option<String> {
    let mut text: String = text.trim().chars().filter(|letter| !letter.is_control()).collect();
    text.truncate(text.floor_char_boundary(255));
    if text.is_empty() { None } else { Some(text) }
}

/// The most bytes of a description: every database takes so many, and a person reads no more.
const MOST_DESCRIPTION: usize = 10_000;

/// Fails if a text in many words is too long to be kept, or holds what no text does.
pub fn check_description(field: &str, text: Option<&str>) -> Result<(), FieldError> {
    match text {
        Some(text) if text.len() > MOST_DESCRIPTION || text.contains('\0') => {
            let message = format!("has at most {MOST_DESCRIPTION} bytes, no NUL");
            Err(FieldError::new(field, message, text))
        }
        _ => Ok(()),
    }
}

/// The most bytes of settings as JSON: they are read with what they belong to, many at once.
const MOST_SETTINGS: usize = 64 << 10;

/// Fails if settings are too many to be carried along wherever their owner goes.
pub fn check_settings(settings: &Map<String, Value>) -> Result<(), FieldError> {
    let size: usize = settings.iter().map(|(key, value)| key.len() + value.to_string().len() + 4).sum();
    if size <= MOST_SETTINGS {
        return Ok(());
    }
    let message = format!("have at most {MOST_SETTINGS} bytes as JSON");
    Err(FieldError::new("settings", message, size))
}

/// Says that a text is not in a closed set of words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnknownWord;

impl std::fmt::Display for UnknownWord {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("not one of the known words")
    }
}

impl std::error::Error for UnknownWord {}

#[cfg(test)]
mod tests {
    use super::tidy;

    #[test]
    fn what_others_call_something_is_cut_and_cleaned() {
        assert_eq!(tidy("  Ada\u{0} L\n ").as_deref(), Some("Ada L"));
        assert_eq!(tidy(&"é".repeat(200)).unwrap().len(), 254);
        assert_eq!(tidy(" \t"), None);
    }
}
