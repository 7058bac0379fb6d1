//! Names of files and folders: what the server takes, and when two siblings are one to it (conventions.md, Names).

use unicode_normalization::{UnicodeNormalization, is_nfc};

/// The longest name, in bytes of UTF-8 after NFC.
const MAX_BYTES: usize = 255;

/// The longest extension that a marker goes before; more than that is no extension.
const MAX_EXTENSION: usize = 32;

/// Returns a name as the server keeps it: in NFC. Some file systems give it in another form.
pub fn nfc(name: &str) -> String {
    if is_nfc(name) { name.to_owned() } else { name.nfc().collect() }
}

/// Returns what two siblings may not have in common: the simple case folding of the name.
pub fn fold(name: &str) -> String {
    let lower = |letter: char| {
        unicode_case_mapping::case_folded(letter)
            .and_then(|code| char::from_u32(code.get()))
            .unwrap_or(letter)
    };
    if name.is_ascii() { name.to_ascii_lowercase() } else { name.nfc().map(lower).nfc().collect() }
}

/// Tells why the server would not take this name.
pub fn fault(name: &str) -> Option<&'static str> {
    let name = nfc(name);
    if name.is_empty() || name == "." || name == ".." || name.contains('/') {
        Some("is no name")
    } else if name.len() > MAX_BYTES {
        Some("its name is longer than 255 bytes")
    } else if name.chars().any(char::is_control) {
        Some("its name has control characters")
    } else {
        None
    }
}

/// Returns a name with `marker` before the extension, cut so that it still fits.
pub fn with_marker(name: &str, marker: &str) -> String {
    let name = nfc(name);
    let (stem, extension) = match name.rfind('.') {
        Some(dot) if dot > 0 && name.len() - dot <= MAX_EXTENSION => name.split_at(dot),
        _ => (name.as_str(), ""),
    };
    let room = MAX_BYTES.saturating_sub(marker.len() + extension.len());
    let cut = (0..=room.min(stem.len())).rev().find(|at| stem.is_char_boundary(*at)).unwrap_or(0);
    format!("{}{marker}{extension}", &stem[..cut])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use scaidrive_core::model::FileName;

    use super::*;

    #[test]
    fn a_marker_goes_before_the_extension_and_fits() {
        assert_eq!(with_marker("plan.odt", " (2)"), "plan (2).odt");
        assert_eq!(with_marker(".profile", " (2)"), ".profile (2)");
        let long = with_marker(&format!("{}.odt", "é".repeat(125)), " (conflict)");
        assert!(long.len() <= MAX_BYTES && long.ends_with(" (conflict).odt"));
    }

    proptest! {
        #[test]
        fn names_are_one_to_the_client_exactly_where_they_are_to_the_server(text in "\\PC{1,12}|[a-zäßσς.İK]{1,4}") {
            match FileName::parse(&text) {
                Ok(name) => {
                    prop_assert_eq!(fault(&text), None);
                    prop_assert_eq!(&nfc(&text), name.as_str());
                    let (folded, key) = (fold(&text), name.key());
                    prop_assert_eq!(folded.as_str(), key.as_str());
                }
                Err(_) => prop_assert!(fault(&text).is_some()),
            }
        }
    }
}
