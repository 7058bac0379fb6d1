//! Resumable uploads: where a session stands, and how its content is laid out in parts.

use std::ops::RangeInclusive;

use super::{Error, Result, text_enum};

text_enum! {
    /// Where an upload session stands.
    pub enum UploadStatus {
        /// It takes parts.
        Open = "open",
        /// Its parts are all there and are being made a file.
        Completing = "completing",
        /// The file is there.
        Completed = "completed",
        /// Its user gave it up.
        Aborted = "aborted",
        /// Nothing came for too long.
        Expired = "expired",
    }
}

impl UploadStatus {
    /// Tells whether the session can still become a file.
    pub const fn is_live(self) -> bool {
        matches!(self, Self::Open | Self::Completing)
    }
}

/// Sizes that a part may have, in bytes; only powers of two.
pub const PART_SIZES: RangeInclusive<u32> = (64 << 10)..=(4 << 20);

/// The most parts of a content: what is missing must still be a list that can be sent.
pub const MAX_PARTS: u32 = 1 << 17;

/// A content in parts: each of one size, but for the last, which is the rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    /// Bytes of the content.
    pub size: u64,
    /// Bytes of a part.
    pub part_size: u32,
}

impl Layout {
    /// Returns the layout of a content of `size` bytes in parts of `part_size`, if there may be such a one.
    pub fn new(size: u64, part_size: u32) -> Result<Self> {
        if !PART_SIZES.contains(&part_size) || !part_size.is_power_of_two() {
            let message = "must be a power of two from 65536 to 4194304";
            return Err(Error::invalid("chunk_size", message, part_size));
        }
        if size.div_ceil(part_size.into()) > MAX_PARTS.into() {
            let message = format!("would make more than {MAX_PARTS} parts of the file: choose larger ones");
            return Err(Error::invalid("chunk_size", message, part_size));
        }
        Ok(Self { size, part_size })
    }

    /// Returns the number of parts; nothing has none.
    pub fn count(self) -> u32 {
        self.size.div_ceil(self.part_size.into()) as u32
    }

    /// Returns where a part begins.
    pub fn start(self, part: u32) -> u64 {
        u64::from(part) * u64::from(self.part_size)
    }

    /// Returns where a part ends.
    pub fn end(self, part: u32) -> u64 {
        (self.start(part) + u64::from(self.part_size)).min(self.size)
    }

    /// Returns the size of a part, or that there is no such part.
    pub fn part_len(self, part: u32) -> Result<u32> {
        if part >= self.count() {
            let message = format!("the file has {} parts, counted from 0", self.count());
            return Err(Error::invalid("index", message, part));
        }
        Ok((self.end(part) - self.start(part)) as u32)
    }

    /// Returns how many parts lie wholly before an offset, which is also the part that holds it.
    pub fn parts_before(self, offset: u64) -> u32 {
        if offset >= self.size { self.count() } else { (offset / u64::from(self.part_size)) as u32 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KIB_64: u32 = 64 << 10;

    #[test]
    fn every_part_has_its_size_but_the_last() {
        let layout = Layout::new(200_000, KIB_64).unwrap();
        assert_eq!(layout.count(), 4);
        let sizes: Vec<u32> = (0..4).map(|part| layout.part_len(part).unwrap()).collect();
        assert_eq!(sizes, [KIB_64, KIB_64, KIB_64, 200_000 - 3 * KIB_64]);
        assert!(layout.part_len(4).is_err());
        assert_eq!(Layout::new(2 * 65_536, KIB_64).unwrap().part_len(1).unwrap(), KIB_64);
    }

    #[test]
    fn nothing_has_no_parts() {
        let layout = Layout::new(0, KIB_64).unwrap();
        assert_eq!((layout.count(), layout.parts_before(0)), (0, 0));
        assert!(layout.part_len(0).is_err());
    }

    #[test]
    fn an_offset_lies_in_the_part_after_those_before_it() {
        let layout = Layout::new(200_000, KIB_64).unwrap();
        let before: Vec<u32> = [0, 65_535, 65_536, 199_999, 200_000].map(|at| layout.parts_before(at)).into();
        assert_eq!(before, [0, 0, 1, 3, 4]);
    }

    #[test]
    fn odd_sizes_and_too_many_parts_are_refused() {
        for size in [0, 1, 65_535, 65_537, 3 << 16, 8 << 20, u32::MAX] {
            assert!(Layout::new(1, size).is_err(), "{size}");
        }
        assert!(Layout::new(u64::from(MAX_PARTS) << 16, KIB_64).is_ok());
        assert!(Layout::new((u64::from(MAX_PARTS) << 16) + 1, KIB_64).is_err());
        assert!(Layout::new(u64::MAX, 4 << 20).is_err());
    }
}
