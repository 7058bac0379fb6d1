//! The evaluation of permissions, judged by what does not know it: a reference, laws, readable vectors, and Samba.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod judge;
mod laws;
mod reference;
mod vectors;
