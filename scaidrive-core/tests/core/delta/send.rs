//! What senders have pending, and what collection leaves them.

use std::time::Duration;

use futures_util::stream;

use scaidrive_core::model::acl::AceType;
use scaidrive_core::model::{
    Caller, ChunkHash, Error, Limits, QuotaTarget, ResourceId, Result, Right, Rights, ShareRole,
};
use scaidrive_core::services::acl::{self, NewEntry};
use scaidrive_core::services::collect::{self, Plan};
use scaidrive_core::services::delta::Frame;
use scaidrive_core::services::{delta, files, folders, quotas};

use super::{
    assemble, chunk, claim, collect_all, hours_ago, new_file, noise, present, read, send, sent_at, user,
};
use crate::backends::{House, name, rounds};

async fn limit(house: &House, target: QuotaTarget, bytes: u64) {
    let limits = Limits { limit_bytes: Some(bytes), ..Limits::default() };
    quotas::set(&house.drive, &house.caller, target, limits).await.unwrap();
}

async fn send_noise(house: &House, caller: &Caller, seed: u64, size: usize) -> Result<ChunkHash> {
    let chunk = chunk(noise(seed, size));
    send(house, caller, std::slice::from_ref(&chunk)).await.map(|_| chunk.hash)
}

fn is_full<T: std::fmt::Debug>(outcome: Result<T>) -> bool {
    matches!(outcome, Err(Error::QuotaExceeded { level: "user" }))
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_pending_counts_until_a_file_holds_it_or_a_day_has_passed() {
    for house in House::both(|_| {}).await {
        let ada = user(&house, "ada", Some(ShareRole::Contributor)).await;
        limit(&house, QuotaTarget::User(ada.user.clone()), 1000).await;
        let first = send_noise(&house, &ada, 1, 600).await.unwrap();
        assert!(is_full(send_noise(&house, &ada, 2, 401).await));
        // What is refused is not even stored.
        let stats = house.drive.read().await.unwrap().chunk_stats(ada.tenant).await.unwrap();
        assert_eq!(stats.bytes, 600);
        send_noise(&house, &ada, 1, 600).await.expect("it is there already");
        send_noise(&house, &ada, 2, 400).await.unwrap();
        assert!(is_full(send_noise(&house, &ada, 3, 1).await));
        let stored = assemble(&house, &ada, claim(&[chunk(noise(1, 600))])).await.unwrap();
        files::create_from(&house.drive, &ada, new_file(&house, None, "a"), stored).await.unwrap();
        assert!(is_full(send_noise(&house, &ada, 3, 1).await), "charged once: 600 used, 400 pending");
        sent_at(&house, &ada, &[chunk(noise(2, 400)).hash], hours_ago(&house, 25).await).await;
        send_noise(&house, &ada, 3, 400).await.unwrap();
        assert!(is_full(send_noise(&house, &ada, 2, 1).await));
        assert_eq!(present(&house, &ada, &[first]).await, [first].into(), "it counts as sent all the same");
        // Nobody else is any the fuller for it.
        send_noise(&house, &house.caller, 9, 5000).await.unwrap();
        house.check().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_sixteen_senders_with_room_for_ten_exactly_ten_succeed() {
    for house in House::both(|_| {}).await {
        let ada = user(&house, "ada", Some(ShareRole::Contributor)).await;
        limit(&house, QuotaTarget::User(ada.user.clone()), 1000).await;
        let senders = (0..16).map(|number| send_noise(&house, &ada, number, 100));
        let outcomes = futures_util::future::join_all(senders).await;
        let (good, bad): (Vec<_>, Vec<_>) = outcomes.into_iter().partition(Result::is_ok);
        assert_eq!((good.len(), bad.len()), (10, 6));
        assert!(bad.into_iter().all(is_full));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_sent_is_not_collected_before_its_day_is_over() {
    for house in House::both(|_| {}).await {
        let sent = send_noise(&house, &house.caller, 1, 1000).await.unwrap();
        assert_eq!(collect_all(&house).await.chunks, 0);
        house.check().await;
        sent_at(&house, &house.caller, &[sent], hours_ago(&house, 24).await).await;
        assert_eq!(collect_all(&house).await.chunks, 0, "kept a little longer than it counts");
        sent_at(&house, &house.caller, &[sent], hours_ago(&house, 26).await).await;
        assert_eq!(collect_all(&house).await.chunks, 1);
        assert_eq!(present(&house, &house.caller, &[sent]).await, [].into());
        send_noise(&house, &house.caller, 1, 1000).await.unwrap();
        assert_eq!(present(&house, &house.caller, &[sent]).await, [sent].into());
        house.check().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chunk_stays_while_one_of_its_senders_day_lasts() {
    for house in House::both(|_| {}).await {
        let ada = user(&house, "ada", Some(ShareRole::Contributor)).await;
        let sent = send_noise(&house, &house.caller, 1, 1000).await.unwrap();
        send_noise(&house, &ada, 1, 1000).await.unwrap();
        sent_at(&house, &house.caller, &[sent], hours_ago(&house, 26).await).await;
        assert_eq!(collect_all(&house).await.chunks, 0);
        assert_eq!(present(&house, &house.caller, &[sent]).await, [].into());
        assert_eq!(present(&house, &ada, &[sent]).await, [sent].into());
        house.check().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_frame_is_judged_by_itself_and_the_good_ones_before_a_break_are_kept() {
    for house in House::both(|_| {}).await {
        let (a, b) = (chunk("a"), chunk("b"));
        let frame = |hash, bytes: &[u8]| Ok(Frame { hash, bytes: Some(bytes.to_vec().into()) });
        let large = noise(1, (house.drive.chunking.max + 1) as usize);
        let frames = vec![
            frame(a.hash, b"a"),
            frame(b.hash, b"not b"),
            frame(chunk(&b""[..]).hash, b""),
            Ok(Frame { hash: b.hash, bytes: None }),
            frame(chunk(large.clone()).hash, &large),
            frame(a.hash, b"a"),
            frame(b.hash, b"b"),
        ];
        let receipts = delta::receive(&house.drive, &house.caller, stream::iter(frames)).await.unwrap();
        let told: Vec<(ChunkHash, &str)> = receipts
            .iter()
            .map(|(hash, outcome)| match outcome {
                Ok(true) => (*hash, "new"),
                Ok(false) => (*hash, "known"),
                Err(error) => (*hash, error.code()),
            })
            .collect();
        let (mismatch, large_code) = ("CHECKSUM_MISMATCH", "PAYLOAD_TOO_LARGE");
        let wanted = [
            (a.hash, "new"),
            (b.hash, mismatch),
            (chunk(&b""[..]).hash, "VALIDATION_FAILED"),
            (b.hash, large_code),
            (chunk(large).hash, large_code),
            (a.hash, "known"),
            (b.hash, "new"),
        ];
        assert_eq!(told, wanted);
        let broken = || Err(Error::BadStream { reason: "torn".to_owned() });
        let frames = vec![frame(chunk("c").hash, b"c"), broken(), frame(chunk("d").hash, b"d")];
        let outcome = delta::receive(&house.drive, &house.caller, stream::iter(frames)).await;
        assert!(matches!(outcome, Err(Error::BadStream { .. })), "{outcome:?}");
        let hashes = ["a", "b", "c", "d"].map(|text| chunk(text).hash);
        assert_eq!(present(&house, &house.caller, &hashes).await, hashes[..3].iter().copied().collect());
        house.check().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn much_that_was_sent_is_forgotten_in_parts() {
    for house in House::both(|_| {}).await {
        let chunks: Vec<_> = (0..6000).map(|number: u32| chunk(number.to_le_bytes().to_vec())).collect();
        send(&house, &house.caller, &chunks).await.unwrap();
        let hashes: Vec<ChunkHash> = chunks.iter().map(|chunk| chunk.hash).collect();
        let (old, kept) = hashes.split_at(5900);
        sent_at(&house, &house.caller, old, hours_ago(&house, 26).await).await;
        sent_at(&house, &house.caller, &hashes[5000..5800], hours_ago(&house, 27).await).await;
        let plan = Plan { grace: Duration::from_secs(3600), dry_run: false, quarantine: Duration::ZERO };
        collect::run(&house.drive, house.caller.tenant, plan).await.unwrap();
        assert_eq!(present(&house, &house.caller, &hashes).await, kept.iter().copied().collect());
    }
}

/// Senders, and collectors whose grace is over before a content is made of what was sent.
#[tokio::test(flavor = "multi_thread")]
async fn collectors_take_nothing_from_senders() {
    let grace = Duration::from_millis(300);
    for house in House::both(|ports| ports.gc_grace = grace).await {
        let stop = std::sync::atomic::AtomicBool::new(false);
        let collecting = async {
            let plan = Plan { grace, dry_run: false, quarantine: Duration::from_millis(500) };
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                collect::run(&house.drive, house.caller.tenant, plan).await.unwrap();
            }
        };
        let sending = async {
            for round in 0..rounds(6) {
                let bytes = noise(u64::from(round % 3) + 1, 1000);
                let sent = chunk(bytes.clone());
                send(&house, &house.caller, std::slice::from_ref(&sent)).await.unwrap();
                tokio::time::sleep(grace * 2).await;
                let stored =
                    assemble(&house, &house.caller, claim(std::slice::from_ref(&sent))).await.unwrap();
                let new = new_file(&house, None, &round.to_string());
                let file = files::create_from(&house.drive, &house.caller, new, stored).await.unwrap();
                assert!(read(&house, &house.caller, file.id).await == bytes);
            }
            stop.store(true, std::sync::atomic::Ordering::Relaxed);
        };
        tokio::join!(collecting, sending);
        house.check().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_write_somewhere_in_a_share_may_send() {
    for house in House::both(|_| {}).await {
        let folder =
            folders::create(&house.drive, &house.caller, house.share.id, None, name("F")).await.unwrap();
        let entry = |trustee: &str, rights: &[Right]| NewEntry {
            trustee: trustee.parse().unwrap(),
            kind: AceType::Allow,
            rights: rights.iter().copied().collect::<Rights>(),
            inherits: true,
        };
        let on = ResourceId::Node(folder.id.into());
        for (who, rights) in [
            ("user:creator", &[Right::Create][..]),
            ("user:writer", &[Right::Write][..]),
            ("user:sharer", &[Right::Share][..]),
            ("user:stranger", &[Right::Read, Right::Write][..]),
        ] {
            let id = who.strip_prefix("user:").unwrap();
            let role = (id != "stranger").then_some(ShareRole::Reader);
            user(&house, id, role).await;
            acl::add(&house.drive, &house.caller, on, entry(who, rights)).await.unwrap();
        }
        user(&house, "contributor", Some(ShareRole::Contributor)).await;
        user(&house, "reader", Some(ShareRole::Reader)).await;
        let told = async |id: &str| {
            let id = id.parse().unwrap();
            let caller = super::tenants::caller_for(&house.drive, house.caller.tenant, &id).await.unwrap();
            match delta::check_send(&house.drive, &caller, house.share.id).await {
                Ok(()) => "",
                Err(error) => error.code(),
            }
        };
        for (id, code) in [
            ("contributor", ""),
            ("creator", ""),
            ("writer", ""),
            ("reader", "PERMISSION_DENIED"),
            ("sharer", "PERMISSION_DENIED"),
            ("stranger", "NOT_FOUND"),
        ] {
            assert_eq!(told(id).await, code, "{id}");
        }
    }
}
