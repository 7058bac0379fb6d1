//! Byte ranges of RFC 9110: what a client may ask of a content.

/// The most ranges answered in one response; more would let a small request cost a large answer.
const MAX_RANGES: usize = 64;

/// A half-open range of bytes, never empty, always inside its content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ByteRange {
    /// The first byte.
    pub start: u64,
    /// The byte after the last one.
    pub end: u64,
}

impl ByteRange {
    /// Returns the number of bytes.
    #[expect(clippy::len_without_is_empty, reason = "a range is never empty")]
    pub const fn len(self) -> u64 {
        self.end - self.start
    }
}

/// Why a range header cannot be honoured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RangeError {
    /// The header does not follow the grammar, or asks for too many ranges.
    Malformed,
    /// No range touches the content.
    Unsatisfiable,
}

/// Returns the ranges that a `Range` header asks of a content of `size` bytes.
///
/// Nothing for a unit other than bytes, which RFC 9110 tells servers to ignore. Ranges that overlap or touch
/// are joined, so that no byte is sent twice; those outside are left out while another one fits.
pub fn parse_ranges(header: &str, size: u64) -> Result<Option<Vec<ByteRange>>, RangeError> {
    let (unit, list) = header.split_once('=').ok_or(RangeError::Malformed)?;
    if !unit.trim().eq_ignore_ascii_case("bytes") {
        return Ok(None);
    }
    let specs: Vec<&str> = list.split(',').map(str::trim).filter(|spec| !spec.is_empty()).collect();
    if specs.is_empty() || specs.len() > MAX_RANGES {
        return Err(RangeError::Malformed);
    }
    let mut ranges = Vec::with_capacity(specs.len());
    for spec in specs {
        ranges.extend(parse_spec(spec, size)?);
    }
    if ranges.is_empty() { Err(RangeError::Unsatisfiable) } else { Ok(Some(coalesce(ranges))) }
}

fn parse_spec(spec: &str, size: u64) -> Result<Option<ByteRange>, RangeError> {
    let (first, last) = spec.split_once('-').ok_or(RangeError::Malformed)?;
    let range = match (first.trim(), last.trim()) {
        ("", "") => return Err(RangeError::Malformed),
        ("", suffix) => ByteRange { start: size.saturating_sub(number(suffix)?), end: size },
        (first, "") => ByteRange { start: number(first)?, end: size },
        (first, last) => {
            let (start, last) = (number(first)?, number(last)?);
            if last < start {
                return Err(RangeError::Malformed);
            }
            ByteRange { start, end: size.min(last.saturating_add(1)) }
        }
    };
    Ok((range.start < range.end).then_some(range))
}

fn number(digits: &str) -> Result<u64, RangeError> {
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(RangeError::Malformed);
    }
    // More digits than u64 holds is a valid number that lies outside every content.
    Ok(digits.parse().unwrap_or(u64::MAX))
}

/// Joins what overlaps or touches; keeps the order asked for otherwise.
fn coalesce(ranges: Vec<ByteRange>) -> Vec<ByteRange> {
    let mut joined: Vec<ByteRange> = Vec::with_capacity(ranges.len());
    for mut range in ranges {
        joined.retain(|seen| {
            let apart = seen.end < range.start || range.end < seen.start;
            if !apart {
                range = ByteRange { start: seen.start.min(range.start), end: seen.end.max(range.end) };
            }
            apart
        });
        joined.push(range);
    }
    joined
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ranges(header: &str, size: u64) -> Result<Option<Vec<(u64, u64)>>, RangeError> {
        parse_ranges(header, size)
            .map(|found| found.map(|list| list.iter().map(|r| (r.start, r.end)).collect()))
    }

    #[test]
    fn every_form_of_the_grammar_is_read() {
        assert_eq!(ranges("bytes=0-4", 10), Ok(Some(vec![(0, 5)])));
        assert_eq!(ranges("bytes=5-", 10), Ok(Some(vec![(5, 10)])));
        assert_eq!(ranges("bytes=-3", 10), Ok(Some(vec![(7, 10)])));
        assert_eq!(ranges("bytes=-30", 10), Ok(Some(vec![(0, 10)])));
        assert_eq!(ranges("bytes=0-0, 8-99", 10), Ok(Some(vec![(0, 1), (8, 10)])));
        assert_eq!(ranges("bytes=0-4,2-6", 10), Ok(Some(vec![(0, 7)])));
        assert_eq!(ranges("lines=0-4", 10), Ok(None));
    }

    #[test]
    fn malformed_is_told_from_unsatisfiable() {
        for wrong in
            ["bytes", "bytes=", "bytes=a-b", "bytes=--1", "bytes=4-2", "bytes=-", "bytes=1", "bytes=+1-2"]
        {
            assert_eq!(ranges(wrong, 10), Err(RangeError::Malformed), "{wrong}");
        }
        assert_eq!(ranges(&format!("bytes={}", "0-0,".repeat(65)), 10), Err(RangeError::Malformed));
        for outside in ["bytes=10-", "bytes=-0", "bytes=99999999999999999999999-"] {
            assert_eq!(ranges(outside, 10), Err(RangeError::Unsatisfiable), "{outside}");
        }
        assert_eq!(ranges("bytes=0-", 0), Err(RangeError::Unsatisfiable));
    }

    proptest! {
        #[test]
        fn ranges_stay_inside_and_apart(header in "bytes=[0-9,\\- ]{1,30}", size in 0u64..200) {
            if let Ok(Some(found)) = parse_ranges(&header, size) {
                for (i, a) in found.iter().enumerate() {
                    prop_assert!(a.start < a.end && a.end <= size);
                    for b in &found[i + 1..] {
                        prop_assert!(a.end < b.start || b.end < a.start);
                    }
                }
            }
        }
    }
}
