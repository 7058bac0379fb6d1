//! What is written through every front door.

/// What is written: path, then the bytes of each version.
pub(crate) fn scenario() -> Vec<(&'static str, Vec<Vec<u8>>)> {
    let large =
        |seed: u8| (0..2_500_000_u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 11) as u8 ^ seed).collect();
    vec![
        ("plain.txt", vec![b"one".to_vec()]),
        ("docs/plan.odt", vec![b"first".to_vec(), b"second".to_vec(), b"third".to_vec()]),
        ("docs/deep/er/large.bin", vec![large(0), large(1)]),
        ("docs/\u{dc}bung 1; \"x\".txt", vec![Vec::new(), b"no longer empty".to_vec()]),
    ]
}
