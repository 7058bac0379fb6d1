//! Replicas, crashes and collectors: whoever else is at work, and whenever they stop.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::BoxStream;
use scaidrive_core::config::{Config, ObjectsConfig};
use scaidrive_core::jobs::Worker;
use scaidrive_core::model::{Error, Queue, Result, Timestamp, UploadStatus};
use scaidrive_core::ports::{BlobMeta, BlobStore, Key, Outcome};
use scaidrive_core::services::collect::{self, Plan};
use scaidrive_core::services::uploads;
use scaidrive_core::testing::metadata;
use scaidrive_core::{Drive, Ports, open};
use tokio::sync::Notify;

use super::{Dice, PART, Session, everywhere, put_on, shrink};
use crate::backends::{House, mariadb, s3};

#[tokio::test(flavor = "multi_thread")]
async fn replicas_take_turns_at_one_upload() {
    let Some((url, s3)) = mariadb().zip(s3()) else { return };
    let on_servers = |config: &mut Config| {
        config.database_url = Some(url.clone());
        config.objects = ObjectsConfig::S3(s3.clone());
    };
    let house = House::build(on_servers, shrink).await;
    let mut config = Config::embedded(house.dir.path());
    on_servers(&mut config);
    let mut ports = open::ports(&config).await.unwrap();
    shrink(&mut ports);
    let other = Drive::new(ports);
    let content = Dice(40).bytes(30 * PART + 1);
    let session = Session::begin(&house, "a", content.clone()).await;
    let order = Dice(41).shuffled((0..session.count()).collect());
    for pair in order.chunks(2) {
        let one = session.put(pair[0]);
        let two = async {
            if let [_, part] = pair {
                put_on(&other, &session, *part, session.part(*part)).await.unwrap();
            }
        };
        tokio::join!(one, two);
    }
    let (one, two) = tokio::join!(session.complete(), uploads::complete(&other, &house.caller, session.id));
    let made = one.unwrap();
    assert_eq!(made, two.unwrap());
    session.assert_made(&made, &content).await;
    house.check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn completions_at_once_make_one_file() {
    for house in everywhere(|_| {}).await {
        let session = Session::begin(&house, "a", Dice(42).bytes(20 * PART)).await;
        session.put_all().await;
        let outcomes = futures_util::future::join_all((0..6).map(|_| session.complete())).await;
        let made: BTreeSet<String> =
            outcomes.into_iter().map(|made| made.unwrap().version_id.to_string()).collect();
        assert_eq!(made.len(), 1);
        assert_eq!(session.complete().await.unwrap().version, 1);
        house.check().await;
    }
}

/// Leaves a lease behind, as a replica that died would.
async fn die_with_the_lease(session: &Session<'_>, time: Duration) {
    let (tenant, id) = (session.house.caller.tenant, session.id);
    metadata::write(&*session.house.drive.meta, move |rows| {
        Box::pin(async move {
            let mut row = rows.lock_upload(tenant, id).await?.unwrap();
            row.lease = Some(("a replica that died".to_owned(), rows.now().await?.plus(time)));
            rows.update_upload(&row).await?;
            Ok(Outcome::Commit)
        })
    })
    .await
    .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lease_of_somebody_who_died_is_waited_for_and_then_taken() {
    for house in everywhere(|_| {}).await {
        let session = Session::begin(&house, "a", Dice(43).bytes(20 * PART)).await;
        die_with_the_lease(&session, Duration::from_secs(3600)).await;
        session.put_all().await;
        assert_eq!(session.row().await.frontier, 0, "the lease is respected");
        die_with_the_lease(&session, Duration::from_millis(400)).await;
        let until = session.row().await.lease.unwrap().1;
        let made = session.complete().await.unwrap();
        assert!(house.drive.meta.now().await.unwrap() >= until, "nobody took it before its time");
        session.assert_made(&made, &session.content).await;
        house.check().await;
    }
}

/// A store that holds the first put of a chunk back until it is told to go on.
#[derive(Debug)]
struct Gate {
    inner: Arc<dyn BlobStore>,
    is_shut: AtomicBool,
    reached: Notify,
    opened: Notify,
}

#[async_trait]
impl BlobStore for Gate {
    async fn put_all(&self, objects: Vec<(Key, Bytes)>) -> Result<()> {
        let holds = objects.iter().any(|(key, _)| key.as_chunk().is_some());
        if holds && self.is_shut.swap(false, Ordering::SeqCst) {
            self.reached.notify_one();
            self.opened.notified().await;
        }
        self.inner.put_all(objects).await
    }

    async fn get(&self, key: &Key) -> Result<Option<Bytes>> {
        self.inner.get(key).await
    }

    async fn head(&self, key: &Key) -> Result<Option<BlobMeta>> {
        self.inner.head(key).await
    }

    async fn delete(&self, key: &Key) -> Result<()> {
        self.inner.delete(key).await
    }

    fn list(&self, prefix: &Key) -> BoxStream<'_, Result<BlobMeta>> {
        self.inner.list(prefix)
    }

    async fn ping(&self) -> Result<()> {
        self.inner.ping().await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_slept_through_its_lease_changes_nothing() {
    let gates = std::sync::Mutex::new(Vec::new());
    let houses = House::both(|ports| {
        shrink(ports);
        ports.uploads.lease = Duration::from_millis(200);
        let gate = Arc::new(Gate {
            inner: Arc::clone(&ports.blobs),
            is_shut: AtomicBool::new(true),
            reached: Notify::new(),
            opened: Notify::new(),
        });
        gates.lock().unwrap().push(Arc::clone(&gate));
        ports.blobs = gate;
    })
    .await;
    let gates = gates.into_inner().unwrap();
    for (house, gate) in houses.iter().zip(gates) {
        let session = Session::begin(house, "a", Dice(44).bytes(20 * PART)).await;
        // The second part moves the frontier, and sleeps in the middle of that.
        session.put(0).await;
        let sleeper = session.put(1);
        let rest = async {
            gate.reached.notified().await;
            for part in 2..session.count() {
                session.put(part).await;
            }
            let made = session.complete().await.unwrap();
            gate.opened.notify_one();
            made
        };
        let (_, made) = tokio::join!(sleeper, rest);
        assert_eq!(session.row().await.status, UploadStatus::Completed);
        session.assert_made(&made, &session.content).await;
        house.check().await;
    }
}

/// Leaves everything to completions, and gives them no time.
fn have_no_time(ports: &mut Ports) {
    ports.uploads.complete_within = Duration::ZERO;
    ports.uploads.reach = 0;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_completion_that_takes_too_long_goes_on_as_a_job_and_can_be_joined() {
    for house in everywhere(have_no_time).await {
        let session = Session::begin(&house, "a", Dice(45).bytes(30 * PART)).await;
        // Last to first: all is left for the completion.
        for part in (0..session.count()).rev() {
            session.put(part).await;
        }
        for _ in 0..2 {
            let waiting = session.complete().await;
            let told =
                matches!(&waiting, Err(Error::Unavailable { retry_after, .. }) if !retry_after.is_zero());
            assert!(told, "{waiting:?}");
        }
        assert_eq!(session.info().await.status, UploadStatus::Completing);
        let other = session.put_bytes(3, Bytes::from(vec![1; PART])).await;
        assert!(matches!(other, Err(Error::VersionConflict { .. })), "{other:?}");
        session.put(3).await;
        let worker = Worker::new(house.drive.clone());
        while session.info().await.status == UploadStatus::Completing {
            assert!(worker.run_due().await.unwrap() > 0, "a job goes on with it");
        }
        let made = session.complete().await.unwrap();
        session.assert_made(&made, &session.content).await;
        while worker.run_due().await.unwrap() > 0 {}
        assert_eq!(
            house.drive.read().await.unwrap().next_job_at(Queue::ALL).await.unwrap(),
            None::<Timestamp>
        );
        house.check().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_finds_the_upload_refused_leaves_it_open() {
    for house in everywhere(have_no_time).await {
        let session = Session::begin(&house, "a", Dice(46).bytes(6 * PART)).await;
        session.put_all().await;
        assert!(matches!(session.complete().await, Err(Error::Unavailable { .. })));
        let taken = scaidrive_core::services::files::NewFile {
            share: house.share.id,
            folder: None,
            name: crate::backends::name("a"),
            mime_type: None,
            modified_at: None,
        };
        let bytes = std::io::Cursor::new(b"x");
        scaidrive_core::services::files::create(&house.drive, &house.caller, taken, bytes).await.unwrap();
        let worker = Worker::new(house.drive.clone());
        while worker.run_due().await.unwrap() > 0 {}
        assert_eq!(session.info().await.status, UploadStatus::Open);
        let refused = session.complete().await;
        assert!(matches!(refused, Err(Error::NameConflict { .. })), "{refused:?}");
        house.check().await;
    }
}

/// So short that a session outlives it many times.
const GRACE: Duration = Duration::from_millis(60);

#[tokio::test(flavor = "multi_thread")]
async fn collection_never_takes_what_a_session_needs() {
    let plan = Plan { grace: GRACE, dry_run: false, quarantine: Duration::from_millis(5) };
    for house in everywhere(|ports| ports.gc_grace = GRACE).await {
        let house = Arc::new(house);
        let stop = Arc::new(AtomicBool::new(false));
        let collector = {
            let (house, stop) = (Arc::clone(&house), Arc::clone(&stop));
            tokio::spawn(async move {
                let mut chunks = 0;
                while !stop.load(Ordering::Relaxed) {
                    chunks += collect::run(&house.drive, house.caller.tenant, plan).await.unwrap().chunks;
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
                chunks
            })
        };
        for round in 0..3_u64 {
            // The same bytes every time: what an aborted session held is collected while the next one stores it.
            let content = Dice(48).bytes(16 * PART + 3);
            let session = Session::begin(&house, &format!("{round}"), content.clone()).await;
            for part in 0..session.count() {
                session.put(part).await;
                if part % 6 == 5 {
                    tokio::time::sleep(GRACE * 3).await;
                }
            }
            if round < 2 {
                uploads::abort(&house.drive, &house.caller, session.id).await.unwrap();
                uploads::clear(&house.drive, house.caller.tenant, session.id).await.unwrap();
                continue;
            }
            let made = loop {
                match session.complete().await {
                    Ok(made) => break made,
                    // Its touches grew too old under this grace, which is shorter than a request.
                    Err(Error::TouchExpired | Error::Unavailable { .. }) => {}
                    Err(error) => panic!("{error:?}"),
                }
            };
            session.assert_made(&made, &content).await;
        }
        stop.store(true, Ordering::Relaxed);
        let collected = collector.await.unwrap();
        eprintln!("{collected} chunks were collected beside the sessions");
        assert!(collected > 0, "the race was no race");
        house.check().await;
    }
}
