//! Names of files and folders, and the key under which siblings must differ.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize};
use unicode_normalization::UnicodeNormalization;

use super::FieldError;

/// The longest name, in bytes of UTF-8 after NFC.
pub const MAX_NAME_BYTES: usize = 255;

/// A name that may be given to a file or folder: NFC, 1–255 bytes, no `/`, no control characters, not `.` or `..`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct FileName(String);

/// What two siblings may not have in common: the simple case folding of a name, as Windows compares names.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NameKey(String);

impl FileName {
    /// Returns the name in NFC, or what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, FieldError> {
        let name: String = text.nfc().collect();
        let fault = if name.is_empty() {
            "a name must not be empty"
        } else if name.len() > MAX_NAME_BYTES {
            "a name must not be longer than 255 bytes of UTF-8"
        } else if name == "." || name == ".." {
            "a name must not be . or .."
        } else if name.contains('/') {
            "a name must not contain /"
        } else if name.chars().any(char::is_control) {
            "a name must not contain control characters"
        } else {
            return Ok(Self(name));
        };
        Err(FieldError::new("name", fault, text))
    }

    /// Returns the text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the key under which siblings must differ.
    ///
    /// Simple folding, not full: full folding would make `straße` and `strasse` one name, which Windows does not.
    pub fn key(&self) -> NameKey {
        NameKey(self.0.chars().map(fold).nfc().collect())
    }

    /// Returns this name with `marker` before the extension, cut so that it still fits.
    #[must_use]
    pub fn with_marker(&self, marker: &str) -> Self {
        let (stem, extension) = self.split_extension();
        let room = MAX_NAME_BYTES.saturating_sub(marker.len() + extension.len());
        let cut = (0..=room.min(stem.len())).rev().find(|at| stem.is_char_boundary(*at)).unwrap_or(0);
        Self(format!("{}{marker}{extension}", &stem[..cut]))
    }

    fn split_extension(&self) -> (&str, &str) {
        match self.0.rfind('.') {
            // An "extension" of half the name is no extension: keep the marker visible.
            Some(dot) if dot > 0 && self.0.len() - dot <= 32 => self.0.split_at(dot),
            _ => (&self.0, ""),
        }
    }
}

fn fold(letter: char) -> char {
    unicode_case_mapping::case_folded(letter).and_then(|code| char::from_u32(code.get())).unwrap_or(letter)
}

/// Tells whether some file system refuses this character in a name, or some reader is misled by it.
pub fn is_unsafe_somewhere(letter: char) -> bool {
    let turns_text = matches!(letter, '\u{61C}' | '\u{200E}' | '\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}');
    turns_text || letter.is_control() || "\\/:*?\"<>|".contains(letter)
}

impl NameKey {
    /// Returns the text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for FileName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for FileName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        Self::parse(&text).map_err(|fault| serde::de::Error::custom(fault.message))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn key(name: &str) -> NameKey {
        FileName::parse(name).unwrap().key()
    }

    #[test]
    fn names_that_no_file_system_should_see_are_refused() {
        for wrong in ["", ".", "..", "a/b", "a\0b", "a\nb", "\u{85}", &"x".repeat(256), &"é".repeat(128)] {
            assert!(FileName::parse(wrong).is_err(), "{wrong:?}");
        }
        assert!(FileName::parse(&"é".repeat(127)).is_ok());
    }

    #[test]
    fn names_are_kept_in_nfc() {
        assert_eq!(FileName::parse("e\u{301}.txt").unwrap().as_str(), "é.txt");
    }

    #[test]
    fn the_fold_is_simple_not_full() {
        assert_eq!(key("PLAN.odt"), key("plan.ODT"));
        assert_eq!(key("ΣΑΣ"), key("σας"));
        assert_ne!(key("straße"), key("strasse"));
        assert_ne!(key("plan "), key("plan"));
    }

    #[test]
    fn a_marker_goes_before_the_extension_and_fits() {
        let name = |text: &str| FileName::parse(text).unwrap();
        assert_eq!(name("plan.odt").with_marker(" (restored)").as_str(), "plan (restored).odt");
        assert_eq!(name(".profile").with_marker(" (2)").as_str(), ".profile (2)");
        let long = name(&format!("{}.odt", "é".repeat(125))).with_marker(" (restored)");
        assert!(long.as_str().len() <= MAX_NAME_BYTES && long.as_str().ends_with(" (restored).odt"));
    }

    proptest! {
        #[test]
        fn folding_twice_is_folding_once(text in "\\PC{1,40}") {
            if let Ok(name) = FileName::parse(&text) {
                if let Ok(folded) = FileName::parse(name.key().as_str()) {
                    prop_assert_eq!(folded.key(), name.key());
                }
                prop_assert_eq!(FileName::parse(name.as_str()).unwrap(), name);
            }
        }
    }
}
