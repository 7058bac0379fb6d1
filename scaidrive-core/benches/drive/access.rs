//! Permission checks and filtered listings in a database that holds a million entries.

use std::io::Cursor;

use divan::Bencher;
use scaidrive_core::model::acl::AceType;
use scaidrive_core::model::{
    Caller, FileId, FileName, FolderId, GroupId, NodeId, Principal, ResourceId, Right, Rights, ShareRole,
    UserId,
};
use scaidrive_core::services::acl::{self, NewEntry};
use scaidrive_core::services::files::{self, NewFile};
use scaidrive_core::services::folders::{self, Listing};
use scaidrive_core::services::groups::{self, NewGroup};
use scaidrive_core::services::members::{self, NewMember};
use scaidrive_core::services::permissions::{self, Question};
use scaidrive_core::services::tenants::{self, NewUser};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{AssertSqlSafe, ConnectOptions};

use crate::{Bench, runtime};

const DEPTH: usize = 20;
const ENTRIES: usize = 1_000_000;
const GROUPS: usize = 5;

/// A file 20 folders deep that a reader reaches through groups, among a million entries about others.
struct Deep {
    bench: Bench,
    reader: Caller,
    file: FileId,
}

impl Deep {
    fn new() -> Self {
        let bench = Bench::new();
        runtime().block_on(async {
            let reader = reader(&bench).await;
            let (folders, file) = deep_file(&bench).await;
            bench.fill_entries(&folders).await;
            Self { bench, reader, file }
        })
    }

    async fn connect(&self) -> SqliteConnection {
        self.bench.connect().await
    }
}

impl Bench {
    async fn connect(&self) -> SqliteConnection {
        let path = self.dir.path().join("scaidrive.db");
        SqliteConnectOptions::new().filename(path).connect().await.expect("the database")
    }

    /// Puts a million entries about other people into the table: 50 on each of these folders, the rest elsewhere.
    async fn fill_entries(&self, folders: &[FolderId]) {
        let mut conn = self.connect().await;
        let (tenant, share) = (self.caller.tenant, self.share);
        let on_path: Vec<String> = folders.iter().map(|id| format!("SELECT '{id}' AS id")).collect();
        let fill = format!(
            "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {ENTRIES}) \
             INSERT INTO acl_entries SELECT '{tenant}', printf('fil_%026d', i / 3), \
             CAST('user:u' || i AS BLOB), 'deny', printf('ace_%026d', i), '{share}', 1, 1, \
             CAST('x' AS BLOB), 0 FROM n; \
             WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 50) \
             INSERT INTO acl_entries SELECT '{tenant}', f.id, CAST('user:v' || i AS BLOB), 'deny', \
             'ace_' || f.id || i, '{share}', 1, 1, CAST('x' AS BLOB), 0 FROM n, ({}) f; ANALYZE;",
            on_path.join(" UNION ALL ")
        );
        sqlx::raw_sql(AssertSqlSafe(fill)).execute(&mut conn).await.expect("a million entries");
    }
}

async fn reader(bench: &Bench) -> Caller {
    let (drive, admin) = (&bench.drive, &bench.caller);
    let id: UserId = "reader".parse().expect("an id");
    let new = NewUser { id: Some(id.clone()), ..NewUser::default() };
    tenants::create_user(drive, admin, new).await.expect("a user");
    for number in 0..GROUPS {
        let group: GroupId = format!("group{number}").parse().expect("an id");
        let new = NewGroup { id: Some(group.clone()), name: group.to_string(), ..NewGroup::default() };
        groups::create(drive, admin, new).await.expect("a group");
        let user = Principal::User(id.clone());
        groups::set_member(drive, admin, &group, user, true).await.expect("a place in it");
        let principal = Principal::Group(group);
        let member = NewMember { principal, role: ShareRole::Reader, expires_at: None };
        members::add(drive, admin, bench.share, member).await.expect("a member");
    }
    tenants::caller_for(drive, admin.tenant, &id).await.expect("a caller")
}

async fn deep_file(bench: &Bench) -> (Vec<FolderId>, FileId) {
    let mut folders: Vec<FolderId> = Vec::new();
    for depth in 0..DEPTH {
        let name = FileName::parse(&format!("level {depth}")).expect("a name");
        let parent = folders.last().copied();
        let made = folders::create(&bench.drive, &bench.caller, bench.share, parent, name).await;
        folders.push(made.expect("a folder").id);
    }
    let new = NewFile { folder: folders.last().copied(), ..bench.new_file("deep") };
    let file = files::create(&bench.drive, &bench.caller, new, Cursor::new(b"x")).await.expect("a file");
    (folders, file.id)
}

/// What a check cannot do without: the walk up, on a connection of its own.
#[divan::bench(sample_count = 500, sample_size = 1)]
fn bare_walk_up_from_depth_20(bencher: Bencher) {
    let deep = Deep::new();
    let mut conn = runtime().block_on(deep.connect());
    let (tenant, file) = (deep.bench.caller.tenant.to_string(), deep.file.to_string());
    bencher.bench_local(|| {
        let walk = sqlx::query(
            "WITH RECURSIVE up (id, parent_id, depth) AS ( \
             SELECT id, parent_id, 0 FROM nodes WHERE tenant_id = ? AND id = ? UNION ALL \
             SELECT p.id, p.parent_id, up.depth + 1 FROM up CROSS JOIN nodes p \
             ON p.tenant_id = ? AND p.id = up.parent_id WHERE up.depth < 1000) \
             SELECT id, depth FROM up ORDER BY depth",
        );
        let walk = walk.bind(&tenant).bind(&file).bind(&tenant);
        let rows = runtime().block_on(walk.fetch_all(&mut conn)).expect("a chain");
        assert_eq!(rows.len(), DEPTH + 1);
    });
}

#[divan::bench(sample_count = 500, sample_size = 1)]
fn check_at_depth_20_among_a_million_entries(bencher: Bencher) {
    let deep = Deep::new();
    let question = [Question { resource: ResourceId::Node(deep.file.into()), right: Right::Read }];
    bencher.bench_local(|| {
        let answers = permissions::check(&deep.bench.drive, &deep.reader, &question);
        assert_eq!(runtime().block_on(answers).expect("answers"), [true]);
    });
}

/// A page of 1,000 children of whom every tenth is denied to the reader, and the same page for an administrator.
#[divan::bench(args = ["reader", "administrator"], sample_count = 50, sample_size = 1)]
fn page_of_1000_children_with_entries_for(bencher: Bencher, who: &str) {
    let deep = Deep::new();
    let bench = &deep.bench;
    let folder = bench.filled_folder(1000);
    let listing = Listing { limit: 1000, ..Listing::default() };
    runtime().block_on(async {
        let all = folders::children(&bench.drive, &bench.caller, bench.share, Some(folder), &listing).await;
        for child in all.expect("children").items.iter().step_by(10) {
            deny(bench, child.id).await;
        }
    });
    let (caller, seen) = if who == "reader" { (&deep.reader, 900) } else { (&bench.caller, 1000) };
    bencher.bench_local(|| {
        let page = folders::children(&bench.drive, caller, bench.share, Some(folder), &listing);
        assert_eq!(runtime().block_on(page).expect("a page").items.len(), seen);
    });
}

async fn deny(bench: &Bench, node: NodeId) {
    let trustee = "user:reader".parse().expect("a trustee");
    let entry = NewEntry { trustee, kind: AceType::Deny, rights: Rights::from(Right::Read), inherits: true };
    acl::add(&bench.drive, &bench.caller, ResourceId::Node(node), entry).await.expect("an entry");
}
