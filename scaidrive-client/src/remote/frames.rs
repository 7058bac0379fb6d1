//! Many contents in one body: the SHA-256 in 32 bytes, the length as a big-endian u32, the bytes, and so on.

use bytes::{Buf, BufMut, Bytes, BytesMut};

use crate::chunker::Chunk;
use crate::error::{Error, Result};
use crate::model::Sha256Hash;

/// Bytes before each content.
const HEAD: usize = 36;

/// The hash that stands for no content.
const NOTHING: [u8; 32] = [0; 32];

/// Writes contents into one body.
pub fn encode_frames(contents: &[Chunk]) -> Bytes {
    let size = contents.iter().map(|content| HEAD + content.bytes.len()).sum();
    let mut body = BytesMut::with_capacity(size);
    for content in contents {
        body.put_slice(content.hash.as_bytes());
        body.put_u32(content.bytes.len() as u32);
        body.put_slice(&content.bytes);
    }
    body.freeze()
}

/// Reads contents out of a body, and makes sure that they are what their hashes say.
///
/// A hash of zeros, which no content has, stands for what the caller cannot have: it is left out.
pub fn decode_frames(mut body: Bytes) -> Result<Vec<Chunk>> {
    let mut contents = Vec::new();
    while body.has_remaining() {
        if body.remaining() < HEAD {
            return Err(Error::Garbled("a frame is cut off".to_owned()));
        }
        let mut hash = [0; 32];
        body.copy_to_slice(&mut hash);
        let length = body.get_u32() as usize;
        if body.remaining() < length {
            return Err(Error::Garbled("a frame is cut off".to_owned()));
        }
        if hash == NOTHING && length == 0 {
            continue;
        }
        let content = Chunk::of(body.split_to(length));
        if content.hash != Sha256Hash::from_bytes(hash) {
            return Err(Error::Damaged("a frame".to_owned()));
        }
        contents.push(content);
    }
    Ok(contents)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_was_written_is_read(contents in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..50), 0..5)) {
            let contents: Vec<Chunk> = contents.into_iter().map(|bytes| Chunk::of(bytes.into())).collect();
            let body = encode_frames(&contents);
            prop_assert_eq!(decode_frames(body.clone()).unwrap(), contents);
            // A frame is at least its head: cutting off less never leaves whole frames.
            for cut in 1..body.len().min(HEAD) {
                prop_assert!(decode_frames(body.slice(..body.len() - cut)).is_err());
            }
        }
    }

    #[test]
    fn what_the_caller_cannot_have_is_left_out() {
        let there = Chunk::of(Bytes::from_static(b"abc"));
        let body = [&[0; HEAD][..], &encode_frames(std::slice::from_ref(&there))].concat();
        assert_eq!(decode_frames(body.into()).unwrap(), [there]);
    }

    #[test]
    fn bytes_that_are_not_what_their_hash_says_are_refused() {
        let mut body = encode_frames(&[Chunk::of(Bytes::from_static(b"abc"))]).to_vec();
        body[HEAD] ^= 1;
        assert!(matches!(decode_frames(body.into()), Err(Error::Damaged(_))));
    }
}
