//! What was promised at the beginning is asked again at the end: rights, name, base, size; and whose a session is.

use scaidrive_core::model::{Caller, Error, FileId, Principal, Result, ShareRole, UploadStatus, UserId};
use scaidrive_core::services::files::{self, IfMatch, NewFile};
use scaidrive_core::services::members::{self, NewMember};
use scaidrive_core::services::tenants::{self, NewUser};
use scaidrive_core::services::uploads::{self, NewUpload};
use scaidrive_core::services::{content, folders, trash, versions};

use super::{Dice, PART, Session, everywhere, new_upload, shrink};
use crate::backends::{House, name};

async fn user(house: &House, id: &str) -> Caller {
    let id: UserId = id.parse().unwrap();
    let new = NewUser { id: Some(id.clone()), ..NewUser::default() };
    tenants::create_user(&house.drive, &house.caller, new).await.unwrap();
    tenants::caller_for(&house.drive, house.caller.tenant, &id).await.unwrap()
}

async fn member(house: &House, caller: &Caller, role: ShareRole) -> scaidrive_core::model::MemberId {
    let principal = Principal::User(caller.user.clone());
    let new = NewMember { principal, role, expires_at: None };
    members::add(&house.drive, &house.caller, house.share.id, new).await.unwrap().id
}

async fn stored(house: &House, file: &str, bytes: &'static [u8]) -> FileId {
    let new =
        NewFile { share: house.share.id, folder: None, name: name(file), mime_type: None, modified_at: None };
    files::create(&house.drive, &house.caller, new, std::io::Cursor::new(bytes)).await.unwrap().id
}

async fn begin(house: &House, caller: &Caller, new: NewUpload) -> Result<uploads::Created> {
    uploads::create(&house.drive, caller, new).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_is_there_for_its_user_alone() {
    for house in House::both(shrink).await {
        let session = Session::begin(&house, "a", Dice(20).bytes(2 * PART)).await;
        let other = user(&house, "other").await;
        member(&house, &other, ShareRole::Admin).await;
        let (drive, id) = (&house.drive, session.id);
        let body = futures_util::stream::iter([Ok(session.part(0))]);
        let tried = [
            uploads::get(drive, &other, id).await.map(drop),
            uploads::put_part(drive, &other, id, 0, uploads::Claimed::default(), body).await.map(drop),
            uploads::complete(drive, &other, id).await.map(drop),
            uploads::abort(drive, &other, id).await,
            uploads::created(drive, &other, id).await.map(drop),
        ];
        for outcome in tried {
            assert!(matches!(outcome, Err(Error::NotFound)), "{outcome:?}");
        }
        assert_eq!(
            (session.info().await.status, session.info().await.received_chunks),
            (UploadStatus::Open, 0)
        );
        house.check().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_not_create_may_not_begin() {
    for house in House::both(shrink).await {
        let (reader, stranger) = (user(&house, "reader").await, user(&house, "stranger").await);
        member(&house, &reader, ShareRole::Reader).await;
        let file = stored(&house, "old", b"old").await;
        let create = || new_upload(&house, "new", 10);
        let replace = || NewUpload { replaces: Some(file), ..create() };
        for new in [create(), replace()] {
            let denied = begin(&house, &reader, new.clone()).await;
            assert!(matches!(denied, Err(Error::PermissionDenied { .. })), "{denied:?}");
            assert!(matches!(begin(&house, &stranger, new).await, Err(Error::NotFound)));
        }
        let taken = begin(&house, &house.caller, new_upload(&house, "OLD", 10)).await;
        assert!(matches!(taken, Err(Error::NameConflict { .. })), "{taken:?}");
        let elsewhere =
            NewUpload { folder: Some("fld_01ARZ3NDEKTSV4RRFFQ69G5FAV".parse().unwrap()), ..create() };
        assert!(matches!(begin(&house, &house.caller, elsewhere).await, Err(Error::NotFound)));
        house.check().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_lost_the_right_since_may_not_complete() {
    for house in everywhere(|_| {}).await {
        let ada = user(&house, "ada").await;
        let membership = member(&house, &ada, ShareRole::Contributor).await;
        let content = Dice(21).bytes(6 * PART);
        let id = begin(&house, &ada, new_upload(&house, "a", content.len())).await.unwrap().session_id;
        for part in 0..6 {
            let body = futures_util::stream::iter([Ok(content.slice(part * PART..(part + 1) * PART))]);
            let claimed = uploads::Claimed::default();
            uploads::put_part(&house.drive, &ada, id, part as u32, claimed, body).await.unwrap();
        }
        members::remove(&house.drive, &house.caller, house.share.id, membership).await.unwrap();
        let refused = uploads::complete(&house.drive, &ada, id).await;
        assert!(matches!(refused, Err(Error::NotFound)), "{refused:?}");
        member(&house, &ada, ShareRole::Contributor).await;
        let made = uploads::complete(&house.drive, &ada, id).await.unwrap();
        assert_eq!(files::get(&house.drive, &house.caller, made.file_id).await.unwrap().owner_id, ada.user);
        house.check().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_was_taken_since_is_a_conflict_and_the_session_stays_open() {
    for house in everywhere(|_| {}).await {
        let session = Session::begin(&house, "a", Dice(22).bytes(6 * PART)).await;
        session.put_all().await;
        let rival = stored(&house, "A", b"rival").await;
        let refused = session.complete().await;
        assert!(matches!(refused, Err(Error::NameConflict { .. })), "{refused:?}");
        assert_eq!(session.info().await.status, UploadStatus::Open);
        trash::delete(&house.drive, &house.caller, rival.into(), false).await.unwrap();
        let made = session.complete().await.unwrap();
        session.assert_made(&made, &session.content).await;
        house.check().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replacement_is_the_next_version_if_its_base_is_the_current_one() {
    for house in everywhere(|_| {}).await {
        let file = stored(&house, "a", b"first").await;
        let first = files::get(&house.drive, &house.caller, file).await.unwrap();
        let content = Dice(23).bytes(6 * PART + 3);
        let new =
            |base| NewUpload { replaces: Some(file), base, ..new_upload(&house, "ignored", content.len()) };
        let session = Session::begin_as(&house, new(Some(first.version_id)), content.clone()).await;
        let slow = Session::begin_as(&house, new(Some(first.version_id)), content.clone()).await;
        session.put_all().await;
        slow.put_all().await;
        let made = session.complete().await.unwrap();
        assert_eq!((made.file_id, made.version), (file, 2));
        session.assert_made(&made, &content).await;
        assert_eq!(files::get(&house.drive, &house.caller, file).await.unwrap().name, name("a"));
        let stale = slow.complete().await;
        assert!(matches!(stale, Err(Error::VersionConflict { .. })), "{stale:?}");
        let stale = begin(&house, &house.caller, new(Some(first.version_id))).await;
        assert!(matches!(stale, Err(Error::VersionConflict { .. })), "{stale:?}");
        let blind = Session::begin_as(&house, new(None), content.clone()).await;
        blind.put_all().await;
        assert_eq!(blind.complete().await.unwrap().version, 3);
        versions::restore(&house.drive, &house.caller, file, 1).await.unwrap();
        let readable = content::open(&house.drive, &house.caller, file, None).await.unwrap();
        assert_eq!(content::read(&house.drive, &readable, None).await.unwrap(), b"first");
        house.check().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replaced_file_must_be_there_and_in_the_share() {
    for house in House::both(shrink).await {
        let file = stored(&house, "a", b"first").await;
        let new = || NewUpload { replaces: Some(file), ..new_upload(&house, "a", PART) };
        let share = house.other_share("T").await;
        let misplaced = begin(&house, &house.caller, NewUpload { share, ..new() }).await;
        assert!(matches!(misplaced, Err(Error::NotFound)), "{misplaced:?}");
        let folder =
            folders::create(&house.drive, &house.caller, house.share.id, None, name("d")).await.unwrap();
        let elsewhere = begin(&house, &house.caller, NewUpload { folder: Some(folder.id), ..new() }).await;
        assert!(matches!(elsewhere, Err(Error::Invalid { .. })), "{elsewhere:?}");
        let baseless = NewUpload { base: Some("ver_01ARZ3NDEKTSV4RRFFQ69G5FAV".parse().unwrap()), ..new() };
        let baseless = begin(&house, &house.caller, NewUpload { replaces: None, ..baseless }).await;
        assert!(matches!(baseless, Err(Error::Invalid { .. })), "{baseless:?}");
        let session = Session::begin_as(&house, new(), Dice(24).bytes(PART)).await;
        session.put(0).await;
        trash::delete(&house.drive, &house.caller, file.into(), false).await.unwrap();
        assert!(matches!(session.complete().await, Err(Error::Gone { .. })));
        trash::restore(&house.drive, &house.caller, file.into()).await.unwrap();
        files::write(&house.drive, &house.caller, file, IfMatch::default(), std::io::Cursor::new(b"x"))
            .await
            .unwrap();
        assert_eq!(session.complete().await.unwrap().version, 3);
        house.check().await;
    }
}
