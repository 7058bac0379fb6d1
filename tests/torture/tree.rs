//! What lies in a directory, to compare.

use std::collections::BTreeMap;
use std::fs;
use std::hash::{DefaultHasher, Hasher};
use std::path::{Path, PathBuf};

/// Paths with what a file holds: its size, and a digest of its bytes. Folders hold nothing.
#[derive(PartialEq, Eq)]
pub(crate) struct Tree(BTreeMap<PathBuf, Option<(usize, u64)>>);

impl Tree {
    /// Returns what lies in a directory, but what the client remembers there; what vanishes meanwhile is not there.
    pub(crate) fn of(root: &Path) -> Self {
        let (mut tree, mut open) = (BTreeMap::new(), vec![root.to_owned()]);
        while let Some(folder) = open.pop() {
            for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
                let path = entry.path();
                let name = path.strip_prefix(root).unwrap().to_owned();
                if name.as_os_str() == ".scaidrive" {
                    continue;
                }
                if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                    tree.insert(name, None);
                    open.push(path);
                } else if let Ok(bytes) = fs::read(&path) {
                    let mut hasher = DefaultHasher::new();
                    hasher.write(&bytes);
                    tree.insert(name, Some((bytes.len(), hasher.finish())));
                }
            }
        }
        Self(tree)
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// Tells the first few differences.
    pub(crate) fn difference(&self, got: &Self) -> String {
        let missing = self.0.iter().filter(|(path, held)| got.0.get(*path) != Some(*held));
        let more = got.0.keys().filter(|path| !self.0.contains_key(*path));
        let told = |paths: Vec<&PathBuf>| {
            format!("{} such as {:?}", paths.len(), paths.iter().take(5).collect::<Vec<_>>())
        };
        let missing = told(missing.map(|(path, _)| path).collect());
        format!("missing or different: {missing}; too many: {}", told(more.collect()))
    }
}
