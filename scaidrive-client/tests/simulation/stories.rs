//! What was once found by chance, told on purpose.

use scaidrive_client::model::TreePath;
use scaidrive_core::model::{FileName, FolderId, ShareRole};
use scaidrive_core::services::members::{self, MemberPatch};
use scaidrive_core::services::{files, folders, trash};

use crate::device::Progress;
use crate::disk::Faults;
use crate::house::House;
use crate::line::Passage;
use crate::world::World;

/// A world of which only the first device matters.
struct Story {
    world: World,
    /// Kept for its files.
    _house: House,
}

impl Story {
    async fn begin() -> Self {
        let house = House::build().await;
        let world = World::build(&house, 4).await;
        Self { world, _house: house }
    }

    fn write(&self, path: &str, text: &str) {
        // Later than anything that was seen before.
        self.world.clock.pass(5_000);
        self.world.devices[0].disk.write(&path.into(), text.to_owned().into()).unwrap();
    }

    async fn make_there(&self, name: &str) -> FolderId {
        let home = &self.world.home;
        let name = FileName::parse(name).unwrap();
        folders::create(&home.drive, &home.admin, home.share, None, name).await.unwrap().id
    }

    async fn write_there(&self, folder: Option<FolderId>, name: &str, text: &str) {
        let home = &self.world.home;
        let name = FileName::parse(name).unwrap();
        let new = files::NewFile { share: home.share, folder, name, mime_type: None, modified_at: None };
        let text = std::io::Cursor::new(text.to_owned());
        files::create(&home.drive, &home.admin, new, text).await.unwrap();
    }

    async fn make_reader(&self) {
        let (home, user) = (&self.world.home, self.world.devices[0].user.to_string());
        let all = members::list(&home.drive, &home.admin, home.share, 100, 0).await.unwrap();
        for member in all.members.iter().filter(|member| [&*user, "G"].contains(&&*member.principal_id)) {
            let patch = MemberPatch { role: Some(ShareRole::Reader), expires_at: None };
            members::patch(&home.drive, &home.admin, home.share, member.id, patch).await.unwrap();
        }
    }

    async fn sync(&mut self) {
        assert!(self.world.run(0).await.is_some(), "the share is lost");
    }

    /// Lets calls pass until this one, of which this becomes.
    async fn sync_until(&mut self, call: &str, passage: Passage) {
        let device = &mut self.world.devices[0];
        let mut progress = device.start(1, Faults::Nothing).await;
        while let Progress::Waiting(name) = progress {
            progress = device.pass(if name == call { passage } else { Passage::Open }).await;
        }
    }

    /// Returns the files and what they hold, and folders.
    fn here(&self) -> Vec<(String, Option<String>)> {
        let text = |bytes: bytes::Bytes| String::from_utf8(bytes.to_vec()).unwrap();
        let all = self.world.devices[0].disk.all().into_iter();
        all.map(|(path, bytes): (TreePath, _)| (path.to_string(), bytes.map(text))).collect()
    }
}

fn file(path: &str, text: &str) -> (String, Option<String>) {
    (path.to_owned(), Some(text.to_owned()))
}

#[test]
fn a_look_at_everything_that_was_cut_off_is_made_up_for() {
    crate::runtime().block_on(async {
        let mut story = Story::begin().await;
        let docs = story.make_there("docs").await;
        story.write_there(Some(docs), "a", "one").await;
        story.sync().await;
        let (drive, admin) = (story.world.home.drive.clone(), story.world.home.admin.clone());
        trash::delete(&drive, &admin, docs.into(), false).await.unwrap();
        story.sync().await;
        assert_eq!(story.here(), []);
        trash::restore(&drive, &admin, docs.into()).await.unwrap();
        story.sync_until("snapshot", Passage::Closed).await;
        story.sync().await;
        assert_eq!(story.here(), [("docs".to_owned(), None), file("docs/a", "one")]);
    });
}

#[test]
fn an_edit_of_who_may_only_read_stays_beside_the_servers_version() {
    crate::runtime().block_on(async {
        let mut story = Story::begin().await;
        story.write_there(None, "a", "one").await;
        story.sync().await;
        story.make_reader().await;
        story.write("a", "edited");
        story.sync().await;
        assert_eq!(story.here(), [file("a", "one"), file("a (conflict, d0, 2026-11-23)", "edited")]);
    });
}

#[test]
fn a_new_file_of_who_may_only_read_gives_way_to_the_servers() {
    crate::runtime().block_on(async {
        let mut story = Story::begin().await;
        story.make_reader().await;
        story.write("a", "own");
        story.write_there(None, "a", "one").await;
        story.sync().await;
        assert_eq!(story.here(), [file("a", "one"), file("a (conflict, d0, 2026-11-23)", "own")]);
    });
}

#[test]
fn a_batch_that_is_too_large_for_somebody_on_the_way_is_sent_in_parts() {
    crate::runtime().block_on(async {
        let mut story = Story::begin().await;
        for name in ["a", "b", "c", "d", "e"] {
            story.write(name, name);
        }
        story.sync_until("apply", Passage::Narrow).await;
        let there = story.world.items(story.world.home.share).await;
        assert_eq!(there.len(), 5);
    });
}
