//! Who sees and does what through handles: judged by what is true now, not when the handle was made.

use std::collections::BTreeSet;
use std::time::Duration;

use futures_util::StreamExt;
use scaidrive_embed::{
    AceType, Error, NewEntry, Principal, Right, Rights, ScaiDrive, Share, ShareRole, Timestamp, Trustee,
    User, blocking,
};

use crate::open;

/// Makes a user and returns it with the drive as it sees it.
async fn user(drive: &ScaiDrive, id: &str) -> (User, ScaiDrive) {
    let user = drive.create_user(Some(id.parse().unwrap()), None).await.unwrap();
    let theirs = drive.as_user(&user.id).await.unwrap();
    (user, theirs)
}

fn who(user: &User) -> Principal {
    Principal::User(user.id.clone())
}

/// Writes `docs/plan` and `docs/secret/key`.
async fn fill(share: &Share) {
    share.write_bytes("docs/plan", "plan").await.unwrap();
    share.write_bytes("docs/secret/key", "key").await.unwrap();
}

async fn tree(share: &Share) -> BTreeSet<String> {
    share.walk("/").await.unwrap().into_iter().map(|found| found.path.to_string()).collect()
}

fn set<const N: usize>(paths: [&str; N]) -> BTreeSet<String> {
    paths.into_iter().map(str::to_owned).collect()
}

const OPEN: [&str; 2] = ["/docs", "/docs/plan"];
const ALL: [&str; 4] = ["/docs", "/docs/plan", "/docs/secret", "/docs/secret/key"];

#[tokio::test(flavor = "multi_thread")]
async fn a_membership_counts_at_once_and_ends_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let (drive, share) = open(&dir).await;
    fill(&share).await;
    let (ann, hers) = user(&drive, "ann").await;
    assert!(hers.shares().await.unwrap().is_empty());
    assert!(matches!(hers.share("S").await, Err(Error::NotFound)));
    share.add_member(&who(&ann), ShareRole::Reader, None).await.unwrap();
    let view = hers.share("S").await.unwrap();
    assert_eq!(tree(&view).await, set(ALL));
    assert!(matches!(view.write_bytes("docs/plan", "x").await, Err(Error::PermissionDenied { .. })));
    assert!(matches!(view.remove("docs/plan").await, Err(Error::PermissionDenied { .. })));
    assert!(matches!(view.create_folder("new").await, Err(Error::PermissionDenied { .. })));
    assert_eq!(view.effective("docs/plan").await.unwrap(), Right::Read.into());
    let twice = share.add_member(&who(&ann), ShareRole::Admin, None).await;
    assert!(matches!(twice, Err(Error::AlreadyExists { .. })));
    assert_eq!(view.members().await.unwrap().len(), 2);
    share.remove_member(&who(&ann)).await.unwrap();
    assert!(matches!(view.read_to_vec("docs/plan").await, Err(Error::NotFound)));
    assert!(matches!(view.list("/").await, Err(Error::NotFound)));
    assert!(matches!(view.trash().await, Err(Error::NotFound)));
    assert!(matches!(view.members().await, Err(Error::NotFound)));
    assert!(matches!(view.write_bytes("new", "x").await, Err(Error::NotFound)));
    assert!(matches!(share.remove_member(&who(&ann)).await, Err(Error::NotFound)));
    drive.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_no_principal_of_the_tenant_becomes_no_member() {
    let dir = tempfile::tempdir().unwrap();
    let (drive, share) = open(&dir).await;
    let (ann, hers) = user(&drive, "ann").await;
    let nobody = Principal::User("nobody".parse().unwrap());
    let add = async |who: &Principal, role, until| share.add_member(who, role, until).await;
    assert!(matches!(add(&nobody, ShareRole::Reader, None).await, Err(Error::Invalid { .. })));
    assert!(matches!(add(&who(&ann), ShareRole::Owner, None).await, Err(Error::Invalid { .. })));
    let over = Some(Timestamp::from_micros(1));
    assert!(matches!(add(&who(&ann), ShareRole::Reader, over).await, Err(Error::Invalid { .. })));
    assert!(matches!(share.grant("/", nobody, Right::Read).await, Err(Error::Invalid { .. })));
    assert!(matches!(share.grant("/", who(&ann), Rights::NONE).await, Err(Error::Invalid { .. })));
    // Administration is for administrators.
    assert!(matches!(hers.create_user(None, None).await, Err(Error::PermissionDenied { .. })));
    assert!(matches!(hers.create_group("G").await, Err(Error::PermissionDenied { .. })));
    assert!(matches!(hers.groups().await, Err(Error::PermissionDenied { .. })));
    assert!(matches!(hers.suspend_user(&ann.id).await, Err(Error::PermissionDenied { .. })));
    drive.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn entries_open_and_close_what_lies_below() {
    let dir = tempfile::tempdir().unwrap();
    let (drive, share) = open(&dir).await;
    fill(&share).await;
    let (ann, hers) = user(&drive, "ann").await;
    share.add_member(&who(&ann), ShareRole::Contributor, None).await.unwrap();
    let view = hers.share("S").await.unwrap();
    share.deny("docs/secret", who(&ann), Rights::ALL).await.unwrap();
    assert_eq!(tree(&view).await, set(OPEN));
    let names: Vec<String> =
        view.list("docs").await.unwrap().iter().map(|child| child.name.to_string()).collect();
    assert_eq!(names, ["plan"]);
    for path in ["docs/secret", "docs/secret/key", "docs/secret/nothing"] {
        assert!(matches!(view.metadata(path).await, Err(Error::NotFound)), "{path}");
        assert!(matches!(view.acl(path).await, Err(Error::NotFound)), "{path}");
        assert!(matches!(view.effective(path).await, Err(Error::NotFound)), "{path}");
    }
    // Nearer beats farther: one file in there is for her, though no listing leads to it.
    share.grant("docs/secret/key", who(&ann), Right::Read).await.unwrap();
    assert_eq!(view.read_to_vec("docs/secret/key").await.unwrap(), b"key");
    assert_eq!(view.metadata("docs/secret/key").await.unwrap().path(), "…/key");
    assert_eq!(tree(&view).await, set(OPEN));
    let again = share.grant("docs/secret/key", who(&ann), Right::Write).await;
    assert!(matches!(again, Err(Error::AlreadyExists { .. })));
    share.remove_entry("docs/secret/key", who(&ann), AceType::Allow).await.unwrap();
    assert!(matches!(view.read_to_vec("docs/secret/key").await, Err(Error::NotFound)));
    share.remove_entry("docs/secret", who(&ann), AceType::Deny).await.unwrap();
    assert_eq!(tree(&view).await, set(ALL));
    let again = share.remove_entry("docs/secret", who(&ann), AceType::Deny).await;
    assert!(matches!(again, Err(Error::NotFound)));
    assert!(matches!(view.acl("docs").await, Err(Error::PermissionDenied { .. })));
    assert!(matches!(view.grant("docs", who(&ann), Rights::ALL).await, Err(Error::PermissionDenied { .. })));
    drive.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fence_keeps_roles_out_and_a_copy_keeps_them_in() {
    let dir = tempfile::tempdir().unwrap();
    let (drive, share) = open(&dir).await;
    fill(&share).await;
    let (ann, hers) = user(&drive, "ann").await;
    let (boss, his) = user(&drive, "boss").await;
    share.add_member(&who(&ann), ShareRole::Contributor, None).await.unwrap();
    share.add_member(&who(&boss), ShareRole::Admin, None).await.unwrap();
    let (view, managed) = (hers.share("S").await.unwrap(), his.share("S").await.unwrap());
    managed.set_inheritance("docs/secret", false, false).await.unwrap();
    assert_eq!((tree(&view).await, tree(&managed).await), (set(OPEN), set(ALL)));
    assert!(matches!(view.write_bytes("docs/secret/new", "x").await, Err(Error::NotFound)));
    // Only the folder itself, nothing in it.
    let entry = NewEntry {
        trustee: Trustee::Everyone,
        kind: AceType::Allow,
        rights: Right::Read.into(),
        inherits: false,
    };
    managed.add_entry("docs/secret", entry).await.unwrap();
    assert_eq!(tree(&view).await, set(["/docs", "/docs/plan", "/docs/secret"]));
    managed.remove_entry("docs/secret", Trustee::Everyone, AceType::Allow).await.unwrap();
    managed.set_inheritance("docs/secret", true, false).await.unwrap();
    share.deny("/", who(&ann), Right::Delete).await.unwrap();
    share.grant("docs", who(&ann), Right::Delete).await.unwrap();
    let changed = managed.set_inheritance("docs/secret", false, true).await.unwrap();
    assert!(!changed.acl.inherit_from_parent);
    assert_eq!(changed.narrowed.len(), 1, "{:?}", changed.narrowed);
    assert_eq!(changed.narrowed[0].permissions, Right::Delete.into());
    view.write_bytes("docs/secret/new", "x").await.unwrap();
    assert!(matches!(view.remove("docs/secret/new").await, Err(Error::PermissionDenied { .. })));
    assert!(matches!(managed.set_inheritance("/", false, false).await, Err(Error::Invalid { .. })));
    drive.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handle_follows_its_users_groups() {
    let dir = tempfile::tempdir().unwrap();
    let (drive, share) = open(&dir).await;
    fill(&share).await;
    let (ann, hers) = user(&drive, "ann").await;
    let outer = drive.create_group("Everybody").await.unwrap();
    let inner = drive.create_group("Builders").await.unwrap();
    let group = |group: &scaidrive_embed::Group| Principal::Group(group.id.clone());
    drive.add_group_member(&outer.id, &group(&inner)).await.unwrap();
    assert!(matches!(drive.add_group_member(&inner.id, &group(&outer)).await, Err(Error::Cycle)));
    share.add_member(&group(&outer), ShareRole::Reader, None).await.unwrap();
    assert!(hers.shares().await.unwrap().is_empty());
    drive.add_group_member(&inner.id, &who(&ann)).await.unwrap();
    let view = hers.share("S").await.unwrap();
    assert_eq!(tree(&view).await, set(ALL));
    assert_eq!(drive.group_members(&inner.id).await.unwrap()[0].principal_id, "ann");
    drive.remove_group_member(&inner.id, &who(&ann)).await.unwrap();
    assert!(matches!(view.read_to_vec("docs/plan").await, Err(Error::NotFound)));
    assert!(matches!(drive.remove_group_member(&inner.id, &who(&ann)).await, Err(Error::NotFound)));
    drive.add_group_member(&inner.id, &who(&ann)).await.unwrap();
    assert_eq!(view.read_to_vec("docs/plan").await.unwrap(), b"plan");
    drive.remove_group(&outer.id).await.unwrap();
    assert!(matches!(view.read_to_vec("docs/plan").await, Err(Error::NotFound)));
    assert_eq!(drive.groups().await.unwrap().len(), 1);
    drive.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_suspended_users_handles_fail_until_it_may_act_again() {
    let dir = tempfile::tempdir().unwrap();
    let (drive, share) = open(&dir).await;
    fill(&share).await;
    let (ann, hers) = user(&drive, "ann").await;
    share.add_member(&who(&ann), ShareRole::Contributor, None).await.unwrap();
    let view = hers.share("S").await.unwrap();
    let mut changes = view.watch().await.unwrap();
    drive.suspend_user(&ann.id).await.unwrap();
    assert!(matches!(hers.shares().await, Err(Error::Suspended)));
    assert!(matches!(hers.share("S").await, Err(Error::Suspended)));
    assert!(matches!(hers.create_share("Own").await, Err(Error::Suspended)));
    assert!(matches!(view.list("/").await, Err(Error::Suspended)));
    assert!(matches!(view.read_to_vec("docs/plan").await, Err(Error::Suspended)));
    assert!(matches!(view.read("docs/plan").await, Err(Error::Suspended)));
    assert!(matches!(view.write_bytes("docs/plan", "x").await, Err(Error::Suspended)));
    assert!(matches!(view.position().await, Err(Error::Suspended)));
    assert!(matches!(drive.as_user(&ann.id).await, Err(Error::Suspended)));
    share.write_bytes("docs/plan", "new").await.unwrap();
    assert!(matches!(next(&mut changes).await, Err(Error::Suspended)));
    let admin = drive.caller().user.clone();
    assert!(matches!(drive.suspend_user(&admin).await, Err(Error::Invalid { .. })));
    drive.activate_user(&ann.id).await.unwrap();
    assert_eq!(view.read_to_vec("docs/plan").await.unwrap(), b"new");
    drive.close().await;
}

type Row = scaidrive_embed::Result<scaidrive_embed::FeedRow>;

async fn next(changes: &mut (impl futures_util::Stream<Item = Row> + Unpin)) -> Row {
    tokio::time::timeout(Duration::from_secs(20), changes.next())
        .await
        .expect("a row in time")
        .expect("a row")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watcher_is_told_no_name_of_what_is_hidden_from_it() {
    let dir = tempfile::tempdir().unwrap();
    let (drive, share) = open(&dir).await;
    fill(&share).await;
    let (ann, hers) = user(&drive, "ann").await;
    share.add_member(&who(&ann), ShareRole::Reader, None).await.unwrap();
    share.set_inheritance("docs/secret", false, false).await.unwrap();
    let view = hers.share("S").await.unwrap();
    let mut changes = view.watch_from(0);
    share.write_bytes("docs/secret/merger", "x").await.unwrap();
    share.rename("docs/secret/merger", "docs/secret/takeover").await.unwrap();
    share.write_bytes("docs/secret/key", "another").await.unwrap();
    share.remove("docs/secret/takeover").await.unwrap();
    share.write_bytes("docs/last", "x").await.unwrap();
    let mut told = Vec::new();
    loop {
        let row = next(&mut changes).await.unwrap();
        let is_last = row.new_path() == Some("/docs/last");
        told.push(serde_json::to_string(&row).unwrap());
        if is_last {
            break;
        }
    }
    assert!(told.iter().any(|row| row.contains("/docs/plan")), "{told:?}");
    for name in ["secret", "merger", "takeover", "key"] {
        assert!(!told.iter().any(|row| row.contains(name)), "{name} in {told:?}");
    }
    // Out of the share, out of its changes.
    share.remove_member(&who(&ann)).await.unwrap();
    assert!(matches!(next(&mut changes).await, Err(Error::NotFound)));
    drive.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rights_are_told_and_explained() {
    let dir = tempfile::tempdir().unwrap();
    let (drive, share) = open(&dir).await;
    fill(&share).await;
    let (ann, hers) = user(&drive, "ann").await;
    let (bob, _) = user(&drive, "bob").await;
    share.add_member(&who(&ann), ShareRole::Contributor, None).await.unwrap();
    share.deny("docs", who(&ann), Right::Write).await.unwrap();
    let view = hers.share("S").await.unwrap();
    assert_eq!(view.effective("/").await.unwrap(), ShareRole::Contributor.rights());
    assert_eq!(view.effective("docs/plan").await.unwrap().bits(), 15 - 2);
    assert_eq!(share.effective("docs/plan").await.unwrap(), Rights::ALL);
    let told = view.explain("docs/plan", None).await.unwrap();
    let told = told.explanation.unwrap();
    let by = |right: Right| {
        let found = told.iter().find(|told| told.right == right).unwrap();
        (found.allowed, found.decided_by)
    };
    assert_eq!((by(Right::Read), by(Right::Write)), ((true, "role"), (false, "entry")));
    let others = share.explain("docs", Some(&bob.id)).await.unwrap();
    assert_eq!(others.permissions, 0);
    assert!(matches!(view.explain("docs", Some(&bob.id)).await, Err(Error::PermissionDenied { .. })));
    let unknown = "nobody".parse().unwrap();
    assert!(matches!(share.explain("docs", Some(&unknown)).await, Err(Error::Invalid { .. })));
    drive.close().await;
}

/// How often a right is given and taken while somebody reads.
const ROUNDS: usize = 50;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_the_answer_of_a_revoke_no_read_that_begins_succeeds() {
    let dir = tempfile::tempdir().unwrap();
    let (drive, share) = open(&dir).await;
    fill(&share).await;
    let (ann, hers) = user(&drive, "ann").await;
    share.add_member(&who(&ann), ShareRole::Reader, None).await.unwrap();
    let view = hers.share("S").await.unwrap();
    for _ in 0..ROUNDS {
        let reading = {
            let view = view.clone();
            tokio::spawn(async move { view.read_to_vec("docs/plan").await })
        };
        share.deny("docs", who(&ann), Right::Read).await.unwrap();
        assert!(matches!(view.read_to_vec("docs/plan").await, Err(Error::NotFound)));
        // Beside the revoke either is right.
        assert!(matches!(reading.await.unwrap(), Ok(_) | Err(Error::NotFound)));
        share.remove_entry("docs", who(&ann), AceType::Deny).await.unwrap();
        assert_eq!(view.read_to_vec("docs/plan").await.unwrap(), b"plan");
    }
    drive.close().await;
}

#[test]
fn blocking_code_judges_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let drive = blocking::ScaiDrive::open_dir(dir.path()).unwrap();
    let share = drive.create_share("S").unwrap();
    share.write_bytes("docs/plan", "plan").unwrap();
    let ann = drive.create_user(Some("ann".parse().unwrap()), None).unwrap();
    let team = drive.create_group("Team").unwrap();
    drive.add_group_member(&team.id, &who(&ann)).unwrap();
    share.add_member(&Principal::Group(team.id.clone()), ShareRole::Reader, None).unwrap();
    let view = drive.as_user(&ann.id).unwrap().share("S").unwrap();
    assert_eq!(view.list("docs").unwrap().len(), 1);
    share.deny("docs/plan", Trustee::Everyone, Rights::ALL).unwrap();
    assert!(view.list("docs").unwrap().is_empty());
    assert_eq!(share.acl("docs/plan").unwrap().entries.len(), 1);
    share.remove_entry("docs/plan", Trustee::Everyone, AceType::Deny).unwrap();
    assert_eq!(view.effective("docs/plan").unwrap(), Right::Read.into());
    drive.suspend_user(&ann.id).unwrap();
    assert!(matches!(view.list("docs"), Err(Error::Suspended)));
    drive.close();
}
