//! The audit on real databases: sealed without gaps by rivals, and every way to tamper with it found.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use scaidrive_core::model::{AuditCategory, AuditEvent, ResourceKind};
use scaidrive_core::ports::metadata::AuditQuery;
use scaidrive_core::services::{audit, folders, journal};

use crate::backends::{House, name};

impl House {
    async fn mutate(&self, count: usize) {
        for number in 0..count {
            let id = self.drive.ids.ulid();
            folders::create(&self.drive, &self.caller, self.share.id, None, name(&format!("{number} {id}")))
                .await
                .unwrap();
        }
    }

    async fn verify(&self) -> audit::Verification {
        audit::verify(&self.drive, self.caller.tenant, None).await.unwrap()
    }

    /// Does to the SQLite file what somebody could who can write to it.
    fn tamper(&self, sql: &str) {
        let file = self.dir.path().join("scaidrive.db");
        let script = "import sqlite3,sys; c=sqlite3.connect(sys.argv[1],timeout=30); \
             n=c.execute(sys.argv[2]).rowcount; c.commit(); sys.exit(0 if n>=1 else 9)";
        let done = Command::new("python3").args(["-c", script]).arg(file).arg(sql).status().unwrap();
        assert!(done.success(), "{sql}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rivals_seal_every_event_once_and_without_gaps() {
    for house in House::both(|_| {}).await {
        let house = Arc::new(house);
        let writers: Vec<_> = (0..8)
            .map(|_| {
                let house = Arc::clone(&house);
                tokio::spawn(async move { house.mutate(20).await })
            })
            .collect();
        let sealers: Vec<_> = (0..2)
            .map(|_| {
                let house = Arc::clone(&house);
                tokio::spawn(async move {
                    for _ in 0..30 {
                        audit::seal(&house.drive, house.caller.tenant).await.unwrap();
                        tokio::task::yield_now().await;
                    }
                })
            })
            .collect();
        for task in writers.into_iter().chain(sealers) {
            task.await.unwrap();
        }
        audit::seal(&house.drive, house.caller.tenant).await.unwrap();
        let verified = house.verify().await;
        assert_eq!(verified.faults, []);
        let all = house.drive.read().await.unwrap().audit_events(house.caller.tenant, 1000).await.unwrap();
        assert!(all.len() > 160);
        assert_eq!(verified.events, all.len() as u64, "every event has its number");
        assert!(verified.head.starts_with(&format!("{}:", all.len())), "dense: {}", verified.head);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_late_event_gets_the_next_number() {
    for house in House::both(|_| {}).await {
        // Its id is older than those of events that are sealed before it is written.
        let event = AuditEvent::new(AuditCategory::FileAccess, "file.read", ResourceKind::File, "fil_x");
        journal::note(&house.drive, &house.caller, event);
        house.mutate(3).await;
        let sealed = audit::seal(&house.drive, house.caller.tenant).await.unwrap();
        journal::flush(&house.drive).await.unwrap();
        assert_eq!(audit::seal(&house.drive, house.caller.tenant).await.unwrap(), 1);
        let head = audit::head(&house.drive, house.caller.tenant).await.unwrap();
        assert_eq!(head.seq as u64, sealed + 1);
        let query = AuditQuery { action: Some("file.read".to_owned()), limit: 10, ..AuditQuery::default() };
        let found = audit::find(&house.drive, &house.caller, query).await.unwrap();
        assert_eq!(found.events.iter().map(|event| event.seal_seq).collect::<Vec<_>>(), [Some(head.seq)]);
        assert_eq!(house.verify().await.faults, []);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_is_changed_in_a_row_is_found_where_it_is() {
    let columns = [
        ("at", "at + 1"),
        ("category", "'ADMIN'"),
        ("severity", "'critical'"),
        ("action", "'file.delete'"),
        ("user_id", "CAST('somebody' AS BLOB)"),
        ("service_account", "'x'"),
        ("ip", "'192.0.2.1'"),
        ("user_agent", "'x'"),
        ("resource_type", "'file'"),
        ("resource_id", "CAST('x' AS BLOB)"),
        ("path", "'/other'"),
        ("result", "'denied'"),
        ("request_id", "'x'"),
        ("payload", "'{\"a\":1}'"),
        ("seal", "zeroblob(32)"),
    ];
    for (column, value) in columns {
        let house = House::embedded().await;
        house.mutate(10).await;
        audit::seal(&house.drive, house.caller.tenant).await.unwrap();
        assert_eq!(house.verify().await.faults, []);
        house.tamper(&format!("UPDATE audit SET {column} = {value} WHERE seal_seq = 5"));
        let faults = house.verify().await.faults;
        assert_eq!(faults.first().map(|fault| (fault.seq, fault.kind)), Some((5, "changed")), "{column}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn removed_inserted_swapped_and_cut_rows_are_found() {
    let insert = "INSERT INTO audit SELECT tenant_id, 'evt_01ARZ3NDEKTSV4RRFFQ69G5FAV', at, category, severity, action, \
         user_id, service_account, ip, user_agent, resource_type, resource_id, path, result, request_id, payload, \
         seal_seq, seal FROM audit WHERE seal_seq = 5";
    for (sql, found) in [
        ("DELETE FROM audit WHERE seal_seq = 5", (5, "missing")),
        (insert, (5, "inserted")),
        ("UPDATE audit SET seal_seq = 11 - seal_seq WHERE seal_seq IN (5, 6)", (5, "changed")),
        ("DELETE FROM audit WHERE seal_seq > 7", (7, "cut")),
    ] {
        let house = House::embedded().await;
        house.mutate(10).await;
        audit::seal(&house.drive, house.caller.tenant).await.unwrap();
        house.tamper(sql);
        let faults = house.verify().await.faults;
        assert!(faults.iter().any(|fault| (fault.seq, fault.kind) == found), "{sql}: {faults:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kept_head_finds_a_tail_that_was_cut_with_care() {
    let house = House::embedded().await;
    house.mutate(5).await;
    audit::seal(&house.drive, house.caller.tenant).await.unwrap();
    let early = audit::head(&house.drive, house.caller.tenant).await.unwrap();
    house.mutate(5).await;
    audit::seal(&house.drive, house.caller.tenant).await.unwrap();
    let kept = audit::head(&house.drive, house.caller.tenant).await.unwrap();
    let verified = audit::verify(&house.drive, house.caller.tenant, Some(&kept)).await.unwrap();
    assert_eq!(verified.faults, []);
    // The tail goes, and the head says what it said before: only who kept the later one can know.
    house.tamper(&format!("DELETE FROM audit WHERE seal_seq > {}", early.seq));
    let mac = audit::head_text(&early).split(':').nth(1).unwrap().to_owned();
    house.tamper(&format!("UPDATE audit_heads SET seq = {}, mac = x'{mac}'", early.seq));
    assert_eq!(house.verify().await.faults, []);
    let verified = audit::verify(&house.drive, house.caller.tenant, Some(&kept)).await.unwrap();
    assert_eq!(verified.faults.iter().map(|fault| fault.kind).collect::<Vec<_>>(), ["cut"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_in_the_code_changes_or_removes_an_event() {
    let sql = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/src/adapters/sql"));
    for file in crate::layers::sources(sql) {
        let text = std::fs::read_to_string(file).unwrap();
        assert!(!text.contains("DELETE FROM audit"));
        for (at, _) in text.match_indices("UPDATE audit ") {
            assert!(
                text[at..].starts_with("UPDATE audit SET seal_seq = ?, seal = ? "),
                "only seals are added"
            );
        }
    }
}
