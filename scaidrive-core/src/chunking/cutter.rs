//! Where content is cut: FastCDC over whatever part of it is at hand.

use bytes::Bytes;
use fastcdc::v2020::{
    AVERAGE_MAX, AVERAGE_MIN, MAXIMUM_MAX, MAXIMUM_MIN, MINIMUM_MAX, MINIMUM_MIN, Normalization, cut_gear,
    get_gear_with_seed, select_masks,
};

use crate::model::ChunkingParams;

/// Finds the boundaries of one set of parameters.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cutter {
    min: usize,
    avg: usize,
    max: usize,
    /// Decides below the average size, where a cut is made unlikely.
    strict_mask: u64,
    /// Decides above it, where a cut is made likely.
    loose_mask: u64,
}

impl Cutter {
    /// Returns a cutter with these parameters.
    ///
    /// # Panics
    /// If they lie outside the limits of FastCDC: odd sizes, for one, would cut one byte beside the right place.
    pub(super) fn new(params: &ChunkingParams) -> Self {
        let [min, avg, max] = [params.min, params.avg, params.max].map(|size| size as usize);
        assert!(
            (MINIMUM_MIN..=MINIMUM_MAX).contains(&min)
                && (AVERAGE_MIN..=AVERAGE_MAX).contains(&avg)
                && (MAXIMUM_MIN..=MAXIMUM_MAX).contains(&max)
                && (min <= avg && avg <= max && params.normalization <= 3)
                && [min, avg, max].iter().all(|size| size.is_multiple_of(2)),
            "chunk sizes are even, ordered and within FastCDC's limits: {params}"
        );
        let (strict_mask, loose_mask) = select_masks(avg, level(params));
        Self { min, avg, max, strict_mask, loose_mask }
    }

    /// Returns the size of the largest chunk.
    pub(super) fn max(&self) -> usize {
        self.max
    }

    /// Cuts off all chunks of bytes that begin at a boundary; returns them and what is left.
    ///
    /// What is left begins the next call's bytes. Nothing is if these were the content's last.
    pub(super) fn cut(&self, mut bytes: Bytes, is_last: bool) -> (Vec<Bytes>, Bytes) {
        let mut pieces = Vec::new();
        while let Some(length) = self.first_cut(&bytes, is_last) {
            pieces.push(bytes.split_to(length));
        }
        (pieces, bytes)
    }

    /// Returns the size of the first chunk, unless that depends on bytes to come.
    fn first_cut(&self, bytes: &[u8], is_last: bool) -> Option<usize> {
        if bytes.is_empty() {
            return None;
        }
        let (gear, shifted_gear) = get_gear_with_seed(0);
        let (_, length) = cut_gear(
            bytes,
            self.min,
            self.avg,
            self.max,
            self.strict_mask,
            self.loose_mask,
            self.strict_mask << 1,
            self.loose_mask << 1,
            &gear,
            &shifted_gear,
        );
        // A cut within the bytes was made by the bytes before it; one at their end only says that they ended.
        (is_last || length < bytes.len() || length == self.max).then_some(length)
    }
}

/// Returns how strongly the sizes are pulled towards the average.
fn level(params: &ChunkingParams) -> Normalization {
    match params.normalization {
        0 => Normalization::Level0,
        1 => Normalization::Level1,
        2 => Normalization::Level2,
        _ => Normalization::Level3,
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use tokio::sync::mpsc;

    use super::super::pipeline::{Source, run};
    use super::*;

    #[tokio::test]
    #[cfg_attr(not(debug_assertions), ignore = "only with debug assertions do odd sizes make FastCDC panic")]
    async fn panicking_job_is_an_error() {
        let odd = Cutter { min: 65, ..Cutter::new(&ChunkingParams::default()) };
        let source = Source::new(Box::new(io::Cursor::new(vec![0; 3 << 20])), odd);
        let (sender, mut chunks) = mpsc::channel(1);
        let (ended, ()) = tokio::join!(run(source, sender), async { while chunks.recv().await.is_some() {} });
        assert!(ended.is_err_and(|error| error.to_string().contains("panicked")));
    }
}
