//! A first look at the whole core on SQLite and local files.
use scaidrive_core::config::Config;
use scaidrive_core::model::*;
use scaidrive_core::services::files::*;
use scaidrive_core::services::moves::Target;
use scaidrive_core::services::*;
use std::sync::Arc;

#[tokio::test(flavor = "multi_thread")]
async fn whole_life() {
    let dir = tempfile::tempdir().unwrap();
    let mut config = Config::embedded(dir.path());
    if let Ok(url) = std::env::var("SMOKE_URL") {
        config.database_url = Some(url);
    }
    let drive = scaidrive_core::open::open(&config).await.unwrap();
    scaidrive_core::open::migrate(&drive).await.unwrap();
    scaidrive_core::open::migrate(&drive).await.unwrap();
    let (tenant, admin, _) = tenants::bootstrap(&drive).await.unwrap();
    let caller = tenants::caller_for(&drive, tenant.id, &admin.id).await.unwrap();
    let share = shares::create(
        &drive,
        &caller,
        shares::NewShare {
            name: "a".into(),
            share_type: ShareType::Project,
            owner: None,
            description: None,
            quota_bytes: None,
        },
    )
    .await
    .unwrap();
    let name = |n: &str| FileName::parse(n).unwrap();
    let new = |n: &str, folder| NewFile {
        share: share.id,
        folder,
        name: name(n),
        mime_type: None,
        modified_at: None,
    };
    let data: Vec<u8> = (0..3_000_000u32).map(|i| (i.wrapping_mul(2654435761) >> 13) as u8).collect();
    let f =
        files::create(&drive, &caller, new("a.txt", None), std::io::Cursor::new(data.clone())).await.unwrap();
    assert_eq!(f.size, 3_000_000);
    assert!(matches!(
        files::create(&drive, &caller, new("A.TXT", None), &b"x"[..]).await,
        Err(Error::NameConflict { .. })
    ));
    let r = content::open(&drive, &caller, f.id, None).await.unwrap();
    assert_eq!(content::read(&drive, &r, None).await.unwrap(), data);
    assert_eq!(
        content::read(&drive, &r, Some(ByteRange { start: 1_000_000, end: 2_000_001 })).await.unwrap(),
        data[1_000_000..2_000_001]
    );
    let d = folders::create(&drive, &caller, share.id, None, name("D")).await.unwrap();
    let e = folders::create(&drive, &caller, share.id, Some(d.id), name("E")).await.unwrap();
    let moved = moves::file(&drive, &caller, f.id, Target { parent: ParentId::Folder(e.id), name: None })
        .await
        .unwrap();
    assert_eq!(moved.path, "/D/E/a.txt");
    let w = files::write(&drive, &caller, f.id, IfMatch::default(), &b"hello"[..]).await.unwrap();
    assert_eq!(w.version, 2);
    let rest = versions::restore(&drive, &caller, f.id, 1).await.unwrap();
    assert_eq!(rest.version, 3);
    let c = copies::folder(
        &drive,
        &caller,
        d.id,
        Target { parent: ParentId::Root(share.id), name: Some(name("D2")) },
    )
    .await
    .unwrap();
    assert!(matches!(
        moves::folder(&drive, &caller, d.id, Target { parent: ParentId::Folder(e.id), name: None }).await,
        Err(Error::Cycle)
    ));
    let ren = folders::rename(&drive, &caller, d.id, name("DD")).await.unwrap();
    assert_eq!(ren.path, "/DD");
    trash::delete(&drive, &caller, e.id.into(), false).await.unwrap();
    assert!(matches!(files::get(&drive, &caller, f.id).await, Err(Error::Gone { .. })));
    check(&drive, &caller).await;
    let other = shares::create(
        &drive,
        &caller,
        shares::NewShare {
            name: "b".into(),
            share_type: ShareType::Project,
            owner: None,
            description: None,
            quota_bytes: None,
        },
    )
    .await
    .unwrap();
    moves::folder(&drive, &caller, d.id, Target { parent: ParentId::Root(other.id), name: None })
        .await
        .unwrap();
    check(&drive, &caller).await;
    trash::restore(&drive, &caller, e.id.into()).await.unwrap();
    check(&drive, &caller).await;
    trash::delete(&drive, &caller, c.id.into(), true).await.unwrap();
    check(&drive, &caller).await;
    trash::delete(&drive, &caller, d.id.into(), false).await.unwrap();
    trash::restore(&drive, &caller, f.id.into()).await.unwrap();
    check(&drive, &caller).await;
    let n = trash::empty(&drive, &caller, other.id).await.unwrap();
    assert_eq!(n, 1);
    check(&drive, &caller).await;
    versions::delete(&drive, &caller, f.id, 2).await.unwrap();
    check(&drive, &caller).await;
    let top = ParentId::Root(share.id);
    let folders_ = bulk::ensure_folders(
        &drive,
        &caller,
        share.id,
        top,
        vec![SharePath::parse("x/y").unwrap(), SharePath::parse("x/z").unwrap()],
    )
    .await
    .unwrap();
    let files_: Vec<_> = (0..300)
        .map(|i| bulk::BulkFile {
            parent: folders_[&SharePath::parse(if i % 2 == 0 { "x/y" } else { "x/z" }).unwrap()],
            name: name(&format!("f{}", i / 2)),
            modified_at: None,
            bytes: bytes::Bytes::from(format!("content {}", i % 100)),
        })
        .collect();
    let out = bulk::write(&drive, &caller, share.id, files_.clone()).await.unwrap();
    assert!(out.iter().all(|o| matches!(o, Ok(bulk::BulkOutcome::Created))), "{out:?}");
    let out = bulk::write(&drive, &caller, share.id, files_).await.unwrap();
    assert!(out.iter().all(|o| matches!(o, Ok(bulk::BulkOutcome::Unchanged))), "{out:?}");
    check(&drive, &caller).await;
    let plan = collect::Plan {
        grace: std::time::Duration::ZERO,
        dry_run: false,
        quarantine: std::time::Duration::ZERO,
    };
    let a = collect::run(&drive, tenant.id, plan).await.unwrap();
    let b = collect::run(&drive, tenant.id, plan).await.unwrap();
    let c2 = collect::run(&drive, tenant.id, plan).await.unwrap();
    eprintln!("{a:?} {b:?} {c2:?}");
    let ch = feed::changes(&drive, &caller, share.id, 0, 10_000).await.unwrap();
    let head = feed::head(&drive, &caller).await.unwrap();
    assert_eq!(ch.cursor, head);
    let all = Arc::new(drive.read().await.unwrap().changes(tenant.id, 0, 10_000).await.unwrap());
    assert!(all.iter().enumerate().all(|(i, c)| c.position == i as i64 + 1));
    assert!(drive.read().await.unwrap().dangling_contents(tenant.id, 10).await.unwrap().is_empty());
}

async fn check(drive: &scaidrive_core::Drive, caller: &Caller) {
    let mut rows = drive.read().await.unwrap();
    let counted = rows.recount(caller.tenant).await.unwrap();
    for (key, usage) in rows.usages(caller.tenant).await.unwrap() {
        let mut sum = Usage::default();
        for (share, user, u) in &counted {
            if key == "tenant" || key == format!("share:{share}") || key == format!("user:{user}") {
                sum += *u;
            }
        }
        assert_eq!(usage, sum, "{key}");
    }
}
