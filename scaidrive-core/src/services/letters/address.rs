//! Addresses of mail.

/// The longest address that mail servers take, in bytes (RFC 5321, 4.5.3.1.3), and the longest part before the `@`.
const LONGEST: usize = 254;
const LONGEST_LOCAL: usize = 64;

/// Tells whether a text is one address that mail can go to: as browsers judge it, but beyond ASCII too.
///
/// Quoted local parts and numbers in place of a domain are standard, and nobody's.
pub(in crate::services) fn is_address(text: &str) -> bool {
    let is_plain = |c: char| !c.is_whitespace() && !c.is_control() && !"()<>[],;:\\\"@".contains(c);
    let Some((local, domain)) = text.split_once('@') else { return false };
    text.len() <= LONGEST
        && (1..=LONGEST_LOCAL).contains(&local.len())
        && local.chars().all(is_plain)
        && domain.chars().all(is_plain)
        && domain
            .split('.')
            .all(|label| !label.is_empty() && !label.starts_with('-') && !label.ends_with('-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_address_is_told_from_none_and_from_two() {
        for right in [
            "a@b",
            "Ann.O'Neil+x@example.org",
            "ü@exämple.com",
            "a@x--y.example",
            &("l".repeat(64) + "@d.org"),
        ] {
            assert!(is_address(right), "{right}");
        }
        let (long_local, long) = ("l".repeat(65) + "@d.org", "a@".to_owned() + &"d.".repeat(130) + "org");
        for wrong in [
            "",
            "a",
            "@b",
            "a@",
            "a@b@c",
            "a@b,c@d",
            "a@b;c@d",
            "a <a@b>",
            " a@b",
            "a@b\r\nBcc: c@d",
            "a@.b",
            "a@b.",
            "a@b..c",
            "a@-b",
            "\"q\"@b",
            "a@[1.2.3.4]",
            "a@b\u{2028}c",
            "a\0@b",
            &long_local,
            &long,
        ] {
            assert!(!is_address(wrong), "{wrong:?}");
        }
    }
}
