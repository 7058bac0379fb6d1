//! What becomes of claims: they are compared with what is stored, and never believed.

use scaidrive_core::model::{Chunk, Error, Sha256Hash, ShareRole, TenantSettings};
use scaidrive_core::services::delta::{self, Claim};
use scaidrive_core::services::{content, files, tenants};
use serde_json::json;

use super::{assemble, chunk, claim, cost, new_file, noise, put, read, send, user};
use crate::backends::House;

/// Cuts where no algorithm would.
fn oddly_cut(bytes: &[u8]) -> Vec<Chunk> {
    let sizes = [1, 7, 65_537, 1 << 20, 3, 300_000];
    let (mut rest, mut chunks) = (bytes, Vec::new());
    for size in sizes.iter().cycle() {
        if rest.is_empty() {
            return chunks;
        }
        let (piece, after) = rest.split_at(rest.len().min(*size));
        chunks.push(chunk(piece.to_vec()));
        rest = after;
    }
    chunks
}

#[tokio::test(flavor = "multi_thread")]
async fn a_content_may_be_cut_as_the_client_likes() {
    for house in House::both(|_| {}).await {
        let bytes = noise(3, 5_000_000);
        let chunks = oddly_cut(&bytes);
        send(&house, &house.caller, &chunks).await.unwrap();
        let claim = Claim {
            size: Some(bytes.len() as u64),
            checksum: Some(Sha256Hash::of(&bytes)),
            ..claim(&chunks)
        };
        let stored = assemble(&house, &house.caller, claim).await.unwrap();
        assert_eq!((stored.row.checksum, stored.row.size), (Sha256Hash::of(&bytes), bytes.len() as u64));
        assert_eq!(stored.row.chunking, "client");
        let file = files::create_from(&house.drive, &house.caller, new_file(&house, None, "a"), stored).await;
        assert!(read(&house, &house.caller, file.unwrap().id).await == bytes);
        house.check().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_at_all_is_a_content_too() {
    for house in House::both(|_| {}).await {
        let empty = Claim { size: Some(0), checksum: Some(Sha256Hash::of(b"")), ..Claim::default() };
        let stored = assemble(&house, &house.caller, empty).await.unwrap();
        let file = files::create_from(&house.drive, &house.caller, new_file(&house, None, "a"), stored).await;
        assert_eq!(file.unwrap().size, 0);
        let put = put(&house, &house.caller, None, "b", b"").await;
        assert_eq!(put.checksum_sha256, Sha256Hash::of(b""));
        house.check().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn claims_that_do_not_hold_are_refused_each_for_itself() {
    for house in House::both(|_| {}).await {
        let settings = TenantSettings { max_file_size_bytes: 1000, ..TenantSettings::default() };
        tenants::set_settings(&house.drive, &house.caller, settings).await.unwrap();
        let (a, b) = (chunk(noise(1, 400)), chunk(noise(2, 300)));
        send(&house, &house.caller, &[a.clone(), b.clone()]).await.unwrap();
        let never = chunk("never sent");
        let of = |chunks: &[(Sha256Hash, u32)]| Claim { chunks: chunks.to_vec(), ..Claim::default() };
        let good = claim(&[a.clone(), b.clone()]);
        let claims = vec![
            good.clone(),
            claim(&[a.clone(), never.clone()]),
            of(&[(a.hash, 399)]),
            of(&[(a.hash, 400), (a.hash, 401)]),
            of(&[(a.hash, 0)]),
            of(&[(a.hash, u32::MAX)]),
            claim(&[a.clone(), a.clone(), b.clone()]),
            Claim { size: Some(699), ..good.clone() },
            Claim { checksum: Some(a.hash), ..good.clone() },
            Claim { checksum: Some(b.hash), ..claim(std::slice::from_ref(&a)) },
            good,
        ];
        let all = delta::assemble(&house.drive, &house.caller, house.share.id, claims).await.unwrap();
        let codes: Vec<&str> =
            all.iter().map(|outcome| outcome.as_ref().map_or_else(Error::code, |_| "")).collect();
        let missing = "CHUNKS_MISSING";
        let (invalid, mismatch) = ("VALIDATION_FAILED", "CHECKSUM_MISMATCH");
        let large = "PAYLOAD_TOO_LARGE";
        assert_eq!(
            codes,
            ["", missing, missing, missing, invalid, invalid, large, invalid, mismatch, mismatch, ""]
        );
        let Err(Error::ChunksMissing { missing }) = &all[1] else { panic!("{:?}", all[1]) };
        assert_eq!(*missing, [json!(never.hash)]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hash_that_is_not_the_callers_gives_nothing() {
    for house in House::both(|_| {}).await {
        let ada = user(&house, "ada", Some(ShareRole::Contributor)).await;
        let secret = chunk(noise(4, 1000));
        send(&house, &house.caller, std::slice::from_ref(&secret)).await.unwrap();
        let never = chunk(noise(5, 1000));
        let told =
            async |chunk: &Chunk| match assemble(&house, &ada, claim(std::slice::from_ref(chunk))).await {
                Err(Error::ChunksMissing { missing }) => (missing.len(), missing[0] == json!(chunk.hash)),
                other => panic!("{other:?}"),
            };
        assert_eq!(told(&secret).await, told(&never).await);
    }
}

/// The classic poisoning: a content is looked up by what its sender says it hashes to.
#[tokio::test(flavor = "multi_thread")]
async fn a_claimed_checksum_poisons_nobody() {
    for house in House::both(|_| {}).await {
        let mallory = user(&house, "mallory", Some(ShareRole::Contributor)).await;
        let ada = user(&house, "ada", Some(ShareRole::Contributor)).await;
        let (hers, his) = (noise(6, 2_000_000), noise(7, 2_000_000));
        let checksum = Sha256Hash::of(&hers);
        let evil = oddly_cut(&his);
        send(&house, &mallory, &evil).await.unwrap();
        let lie = Claim { checksum: Some(checksum), size: Some(hers.len() as u64), ..claim(&evil) };
        let refused = assemble(&house, &mallory, lie.clone()).await;
        assert!(matches!(refused, Err(Error::ChecksumMismatch { .. })), "{refused:?}");
        // The same chunks under their own name, so that the content is there when the lie comes again.
        let stored = assemble(&house, &mallory, claim(&evil)).await.unwrap();
        files::create_from(&house.drive, &mallory, new_file(&house, None, "his"), stored).await.unwrap();
        assert!(matches!(assemble(&house, &mallory, lie).await, Err(Error::ChecksumMismatch { .. })));
        let file = put(&house, &ada, None, "hers", &hers).await;
        assert_eq!(file.checksum_sha256, checksum);
        assert!(read(&house, &ada, file.id).await == hers);
        // And of one chunk, whose hash is the checksum: bytes that do not match it are never stored under it.
        let short = chunk("short");
        let lie = Claim { checksum: Some(Sha256Hash::of(b"other")), ..claim(std::slice::from_ref(&short)) };
        send(&house, &mallory, std::slice::from_ref(&short)).await.unwrap();
        assert!(matches!(assemble(&house, &mallory, lie).await, Err(Error::ChecksumMismatch { .. })));
        assert_eq!(
            put(&house, &ada, None, "other", b"other").await.checksum_sha256,
            Sha256Hash::of(b"other")
        );
        house.check().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_stored_once_is_one_content_however_it_came() {
    for house in House::both(|_| {}).await {
        let bytes = noise(8, 3_000_000);
        let file = put(&house, &house.caller, None, "a", &bytes).await;
        let (cut, digest) = scaidrive_core::chunking::cut_bytes(bytes.clone().into(), &house.drive.chunking);
        let stored = assemble(&house, &house.caller, claim(&cut)).await.unwrap();
        assert_eq!((stored.row.checksum, stored.row.size), (digest.checksum, digest.size));
        let before = house.drive.read().await.unwrap().chunk_stats(house.caller.tenant).await.unwrap();
        let new = new_file(&house, None, "b");
        let twin = files::create_from(&house.drive, &house.caller, new, stored).await.unwrap();
        let after = house.drive.read().await.unwrap().chunk_stats(house.caller.tenant).await.unwrap();
        assert_eq!(before, after);
        assert_eq!(twin.checksum_sha256, file.checksum_sha256);
        let readable = content::open(&house.drive, &house.caller, twin.id, None).await.unwrap();
        assert!(content::read(&house.drive, &readable, None).await.unwrap() == bytes);
        house.check().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn damaged_bytes_make_no_content() {
    let house = House::embedded().await;
    let chunks = oddly_cut(&noise(9, 200_000));
    send(&house, &house.caller, &chunks).await.unwrap();
    let key = scaidrive_core::ports::Key::chunk(house.caller.tenant, chunks[2].hash);
    house.drive.blobs.put_all(vec![(key.clone(), noise(10, chunks[2].bytes.len()).into())]).await.unwrap();
    assert!(matches!(assemble(&house, &house.caller, claim(&chunks)).await, Err(Error::Corrupt { .. })));
    house.drive.blobs.put_all(vec![(key, chunks[2].bytes.clone())]).await.unwrap();
    assemble(&house, &house.caller, claim(&chunks)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_small_contents_cost_few_statements() {
    for house in House::both(|_| {}).await {
        let chunks: Vec<Chunk> = (0..1000).map(|number| chunk(format!("small {number}"))).collect();
        send(&house, &house.caller, &chunks).await.unwrap();
        let claims: Vec<Claim> = chunks.iter().map(|chunk| claim(std::slice::from_ref(chunk))).collect();
        let work = delta::assemble(&house.drive, &house.caller, house.share.id, claims);
        let (count, all) = cost(work).await;
        assert!(all.unwrap().iter().all(Result::is_ok));
        assert!(count < 30, "{count} statements for 1,000 contents");
        eprintln!("1,000 contents of one chunk: {count} statements");
    }
}
