//! What people and programs do on devices.

use scaidrive_client::model::TreePath;

use crate::world::World;

/// Names that collide often, also by case and by form.
const NAMES: [&str; 8] = ["a", "b", "A", "c", "plan.odt", "Plan.odt", "é", "e\u{301}"];

impl World {
    /// Somebody does something on a device.
    pub(crate) fn act_here(&mut self) {
        let number = self.dice.usize(..self.devices.len());
        let all = self.devices[number].disk.all();
        let files: Vec<TreePath> =
            all.iter().filter(|(_, bytes)| bytes.is_some()).map(|(path, _)| path.clone()).collect();
        let mut folders: Vec<TreePath> =
            all.iter().filter(|(_, bytes)| bytes.is_none()).map(|(path, _)| path.clone()).collect();
        folders.push(TreePath::root());
        let everything: Vec<TreePath> = all.keys().cloned().collect();
        let folder = self.pick(&folders).unwrap_or_default();
        let to = folder.join(NAMES[self.dice.usize(..NAMES.len())]);
        let is_free = self.devices[number].disk.text(&to).is_none();
        let what = self.dice.u32(..100);
        let (file, thing) = if what < 64 {
            (self.pick_hot(&files, TreePath::clone), None)
        } else {
            (None, self.pick_hot(&everything, TreePath::clone))
        };
        let what = match (what, file, thing) {
            (0..30, _, _) if is_free => self.write_here(number, &to),
            (30..42, _, _) if is_free => {
                self.devices[number].disk.make_folder(&to).unwrap();
                format!("makes {to}/")
            }
            (42..60, Some(file), _) => self.write_here(number, &file),
            (60..64, Some(file), _) => self.save_by_renaming(number, &file),
            (64..85, _, Some(from)) => self.rename_here(number, &from, &to),
            (85..100, _, Some(gone)) => self.remove_here(number, &gone),
            _ => return,
        };
        self.note(format!("d{number} {what}"));
    }

    fn write_here(&mut self, number: usize, path: &TreePath) -> String {
        if let Some(Some(old)) = self.devices[number].disk.text(path) {
            self.ledger.supersede(&old);
        }
        let content = self.content();
        let token = crate::ledger::token(&content);
        self.devices[number].disk.write(path, content).unwrap();
        format!("writes {token} to {path}")
    }

    /// Saves as many programs do: the old file becomes a backup, which goes.
    fn save_by_renaming(&mut self, number: usize, path: &TreePath) -> String {
        let backup = path.parent().unwrap_or_default().join("backup.tmp");
        let disk = self.devices[number].disk.clone();
        if let Some(Some(old)) = disk.text(path) {
            self.ledger.supersede(&old);
        }
        if disk.rename(path, &backup).is_err() {
            return "cannot save".to_owned();
        }
        let what = self.write_here(number, path);
        disk.remove_all(&backup).unwrap();
        format!("{what} by renaming")
    }

    fn rename_here(&mut self, number: usize, from: &TreePath, to: &TreePath) -> String {
        let disk = self.devices[number].disk.clone();
        let over = disk.text(to).flatten().filter(|_| !disk.is_same(from, to));
        match disk.rename(from, to) {
            Ok(()) => {
                if let Some(over) = over {
                    self.ledger.supersede(&over);
                }
                format!("renames {from} to {to}")
            }
            Err(error) => format!("cannot rename {from} to {to}: {error}"),
        }
    }

    fn remove_here(&mut self, number: usize, path: &TreePath) -> String {
        for (below, bytes) in self.devices[number].disk.all() {
            if let Some(bytes) = bytes.filter(|_| below.names().starts_with(path.names())) {
                self.ledger.supersede(&bytes);
            }
        }
        self.devices[number].disk.remove_all(path).unwrap();
        format!("removes {path}")
    }
}
