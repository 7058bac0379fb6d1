//! What people do on the server, with a browser.

use scaidrive_core::model::{FileName, FolderId, NodeId, ParentId, ShareId};
use scaidrive_core::services::folders::Walked;
use scaidrive_core::services::retention::{self, Retention};
use scaidrive_core::services::{files, folders, moves, trash};

use crate::world::World;

/// Names that collide often, also by case.
const NAMES: [&str; 7] = ["a", "b", "A", "c", "plan.odt", "Plan.odt", "é"];

impl World {
    pub(crate) async fn items(&self, share: ShareId) -> Vec<Walked> {
        folders::walk(&self.home.drive, &self.home.admin, share, None).await.unwrap()
    }

    /// Somebody does something on the server.
    pub(crate) async fn act_there(&mut self) {
        let items = self.items(self.home.share).await;
        let folder = self.pick(&items).and_then(|item| item.node.id.as_folder());
        let name = FileName::parse(NAMES[self.dice.usize(..NAMES.len())]).unwrap();
        let item = self.pick_hot(&items, |item| item.path.to_string().as_str().into());
        let done = match (self.dice.u32(..100), item) {
            (0..30, _) => self.create_there(&items, folder, name).await,
            (30..48, Some(item)) => self.edit_there(&item).await,
            (48..68, Some(item)) => self.move_there(&item, folder, name).await,
            (68..73, Some(item)) => self.move_out(&item).await,
            (73..77, _) => self.move_in(folder).await,
            (77..92, Some(item)) => self.delete_there(&items, &item).await,
            (92..96, _) => self.restore_there().await,
            (96..98, _) => self.empty_trash().await,
            (98, _) => {
                let all = Retention { age: std::time::Duration::ZERO, rows: 0, ..Retention::default() };
                retention::compact(&self.home.drive, self.home.admin.tenant, all).await.unwrap();
                "forgets its log".to_owned()
            }
            (99, _) => {
                retention::raise(&self.home.drive, self.home.admin.tenant).await.unwrap();
                "was restored from a backup".to_owned()
            }
            _ => return,
        };
        self.note(format!("server: {done}"));
    }

    async fn create_there(&mut self, items: &[Walked], folder: Option<FolderId>, name: FileName) -> String {
        let (drive, admin, share) = (self.home.drive.clone(), self.home.admin.clone(), self.home.share);
        if self.dice.u32(..3) == 0 {
            let made = folders::create(&drive, &admin, share, folder, name.clone()).await;
            return format!("makes {name}/: {:?}", made.map(|made| made.path));
        }
        let taken = items.iter().any(|item| {
            item.node.parent == folder.map_or(ParentId::Root(share), ParentId::Folder)
                && item.node.name.key() == name.key()
        });
        if taken {
            return "nothing".to_owned();
        }
        let content = self.content();
        let token = crate::ledger::token(&content);
        let new = files::NewFile { share, folder, name: name.clone(), mime_type: None, modified_at: None };
        let made = files::create(&drive, &admin, new, std::io::Cursor::new(content)).await.unwrap();
        self.ledger.acknowledge(token);
        format!("writes {token} to {}", made.path)
    }

    async fn edit_there(&mut self, item: &Walked) -> String {
        let (Some(file), Some(old)) = (item.node.id.as_file(), self.ledger.content_of(&item.node)) else {
            return "nothing".to_owned();
        };
        self.ledger.drop_token(old);
        let content = self.content();
        let token = crate::ledger::token(&content);
        let (drive, admin) = (&self.home.drive, &self.home.admin);
        let body = std::io::Cursor::new(content);
        files::write(drive, admin, file, files::IfMatch::default(), body).await.unwrap();
        self.ledger.acknowledge(token);
        format!("writes {token} over {}", item.path)
    }

    async fn relocate(&self, item: NodeId, target: moves::Target) -> Result<String, String> {
        let (drive, admin) = (&self.home.drive, &self.home.admin);
        let moved = match item {
            NodeId::File(id) => moves::file(drive, admin, id, target).await.map(|file| file.path),
            NodeId::Folder(id) => moves::folder(drive, admin, id, target).await.map(|folder| folder.path),
        };
        moved.map_err(|error| error.to_string())
    }

    async fn move_there(&mut self, item: &Walked, folder: Option<FolderId>, name: FileName) -> String {
        let parent = folder.map_or(ParentId::Root(self.home.share), ParentId::Folder);
        let moved = self.relocate(item.node.id, moves::Target { parent, name: Some(name.clone()) }).await;
        format!("moves {} to {name}: {moved:?}", item.path)
    }

    /// Moves something into a share that no device syncs.
    async fn move_out(&mut self, item: &Walked) -> String {
        let parent = ParentId::Root(self.home.attic);
        let moved = self.relocate(item.node.id, moves::Target { parent, name: None }).await;
        format!("moves {} to the attic: {moved:?}", item.path)
    }

    /// Moves something back from there.
    async fn move_in(&mut self, folder: Option<FolderId>) -> String {
        let attic = self.items(self.home.attic).await;
        let Some(item) = self.pick(&attic) else { return "nothing".to_owned() };
        let parent = folder.map_or(ParentId::Root(self.home.share), ParentId::Folder);
        let moved = self.relocate(item.node.id, moves::Target { parent, name: None }).await;
        format!("moves {} from the attic: {moved:?}", item.path)
    }

    async fn delete_there(&mut self, items: &[Walked], item: &Walked) -> String {
        let below: Vec<&Walked> =
            items.iter().filter(|below| below.path.names().starts_with(item.path.names())).collect();
        for below in &below {
            if let Some(token) = self.ledger.content_of(&below.node) {
                self.ledger.drop_token(token);
            }
        }
        let permanent = self.dice.u32(..4) == 0;
        if permanent {
            let files = below.iter().filter_map(|below| below.node.id.as_file());
            let gone = self.versions_of(files).await;
            self.ledger.purge(gone);
        }
        trash::delete(&self.home.drive, &self.home.admin, item.node.id, permanent).await.unwrap();
        format!("deletes {}, permanently: {permanent}", item.path)
    }

    async fn restore_there(&mut self) -> String {
        let (drive, admin) = (&self.home.drive, &self.home.admin);
        let trash = trash::list(drive, admin, self.home.share, None, 100).await.unwrap();
        let Some(item) = self.pick(&trash.items) else { return "nothing".to_owned() };
        let restored = trash::restore(&self.home.drive, &self.home.admin, item.id).await;
        format!("restores {}: {}", item.name, restored.is_ok())
    }

    async fn empty_trash(&mut self) -> String {
        let files = self.trashed_files(self.home.share).await;
        let gone = self.versions_of(files.into_iter()).await;
        self.ledger.purge(gone);
        trash::empty(&self.home.drive, &self.home.admin, self.home.share).await.unwrap();
        "empties the trash".to_owned()
    }
}
