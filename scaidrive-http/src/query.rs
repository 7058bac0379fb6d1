//! Query parameters, read into what they must be; unknown ones are ignored.

use std::ops::RangeInclusive;
use std::str::FromStr;

use crate::errors::Failure;

/// The page size of lists, and how much of it may be asked for.
const PAGE: (u32, RangeInclusive<u32>) = (50, 1..=100);

/// The parameters of a request.
#[derive(Debug, Default)]
pub(crate) struct Query(Vec<(String, String)>);

impl Query {
    /// Reads the text after the question mark.
    pub(crate) fn parse(text: Option<&str>) -> Self {
        Self::of_form(text.unwrap_or_default().as_bytes())
    }

    /// Reads the body of a form, which is spelled in the same way.
    pub(crate) fn of_form(bytes: &[u8]) -> Self {
        Self(form_urlencoded::parse(bytes).into_owned().collect())
    }

    /// Returns a parameter; an empty one counts as none.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
            .filter(|value| !value.is_empty())
    }

    /// Returns a parameter that must be there.
    pub(crate) fn required(&self, name: &str) -> Result<&str, Failure> {
        self.text(name).ok_or_else(|| Failure::missing("query", &[name]))
    }

    /// Returns a number, if there is one.
    pub(crate) fn number(&self, name: &str, allowed: RangeInclusive<u32>) -> Result<Option<u32>, Failure> {
        let Some(text) = self.text(name) else { return Ok(None) };
        match text.parse() {
            Ok(number) if allowed.contains(&number) => Ok(Some(number)),
            _ => {
                let message = format!("must be a number from {} to {}", allowed.start(), allowed.end());
                Err(Failure::query(name, message, text))
            }
        }
    }

    /// Returns a position in a log, if there is one; one too large to be any is the largest.
    pub(crate) fn position(&self, name: &str) -> Result<Option<i64>, Failure> {
        let Some(text) = self.text(name) else { return Ok(None) };
        if text.len() <= 100 && text.bytes().all(|byte| byte.is_ascii_digit()) {
            return Ok(Some(text.parse().unwrap_or(i64::MAX)));
        }
        Err(Failure::query(name, "must be a number that a cursor was, 0 or more", text))
    }

    /// Returns a yes or no; no where it is not given.
    pub(crate) fn flag(&self, name: &str) -> Result<bool, Failure> {
        match self.text(name) {
            None | Some("false" | "0") => Ok(false),
            Some("true" | "1") => Ok(true),
            Some(other) => Err(Failure::query(name, "must be true or false", other)),
        }
    }

    /// Returns one of a closed set of words.
    pub(crate) fn word<T: FromStr>(&self, name: &str, words: &str) -> Result<Option<T>, Failure> {
        let parse = |text: &str| {
            text.parse().map_err(|_| Failure::query(name, format!("must be one of {words}"), text))
        };
        self.text(name).map(parse).transpose()
    }

    /// Returns `limit`.
    pub(crate) fn limit(&self) -> Result<u32, Failure> {
        Ok(self.number("limit", PAGE.1)?.unwrap_or(PAGE.0))
    }

    /// Returns `offset`.
    pub(crate) fn offset(&self) -> Result<u32, Failure> {
        Ok(self.number("offset", 0..=u32::MAX)?.unwrap_or(0))
    }

    /// Returns the page that `limit` and `offset` ask for of a list that is short enough to be read at once, and how
    /// long it is; without them, all of it.
    pub(crate) fn page<T>(&self, all: Vec<T>) -> Result<(Vec<T>, usize), Failure> {
        let (total, offset) = (all.len(), self.offset()? as usize);
        let limit = self.number("limit", PAGE.1)?.map_or(total, |limit| limit as usize);
        Ok((all.into_iter().skip(offset).take(limit).collect(), total))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_stay_in_their_bounds() {
        for (text, limit) in [("", 50), ("limit=", 50), ("limit=1", 1), ("limit=100&x=y", 100)] {
            assert_eq!(Query::parse(Some(text)).limit().unwrap(), limit);
        }
        for wrong in ["limit=0", "limit=101", "limit=-1", "limit=a", "limit=99999999999", "limit=%00"] {
            assert!(Query::parse(Some(wrong)).limit().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_position_is_a_number_of_any_length() {
        let read = |text: &str| Query::parse(Some(text)).position("cursor");
        assert_eq!(read("").unwrap(), None);
        assert_eq!(read("cursor=42").unwrap(), Some(42));
        assert_eq!(read("cursor=99999999999999999999999").unwrap(), Some(i64::MAX));
        for wrong in ["cursor=-1", "cursor=x", "cursor=1.5", "cursor=%2B1", "cursor=0x1"] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn flags_and_words_refuse_anything_else() {
        assert!(Query::parse(Some("permanent=true")).flag("permanent").unwrap());
        assert!(!Query::parse(None).flag("permanent").unwrap());
        assert!(Query::parse(Some("permanent=maybe")).flag("permanent").is_err());
        assert!(Query::parse(Some("n=x")).word::<u8>("n", "numbers").is_err());
    }
}
