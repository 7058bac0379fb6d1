//! What is left out of syncing: what systems and programs leave behind, and what `.scaidriveignore` names.

use std::path::Path;

use ignore::gitignore::{Gitignore, GitignoreBuilder};

use crate::fs::STATE_FOLDER;
use crate::model::{Kind, TreePath};
use crate::plan::{Ignore, Verdict};

/// The file at the root that names what else is left out, one pattern a line as in `.gitignore`. It is synced itself.
pub const IGNORE_FILE: &str = ".scaidriveignore";

/// The longest such file that is read, in bytes.
pub(crate) const MAX_IGNORE_FILE: u64 = 1 << 20;

/// What nobody would miss: it goes with the folder it lies in.
const JUNK: [&str; 8] =
    [".DS_Store", "._*", "Thumbs.db", "ehthumbs.db", "[Dd]esktop.ini", ".~lock.*#", "~$*", ".directory"];

/// What is on its way to be something else.
const UNFINISHED: [&str; 10] = [
    "*.tmp",
    "*.part",
    "*.partial",
    "*.crdownload",
    "*.swp",
    "*.swx",
    ".fuse_hidden*",
    ".nfs*",
    ".goutputstream-*",
    ".Trash-*",
];

/// Patterns, the later ones winning.
#[derive(Clone, Debug)]
pub struct IgnoreRules {
    junk: Gitignore,
    rules: Gitignore,
}

impl IgnoreRules {
    /// Returns the usual rules and those of an ignore file; lines that are no pattern count for nothing.
    pub fn new(file: &str) -> Self {
        let usual = JUNK.iter().chain(&UNFINISHED).copied();
        Self { junk: build(JUNK.into_iter()), rules: build(usual.chain(file.lines())) }
    }
}

impl Default for IgnoreRules {
    fn default() -> Self {
        Self::new("")
    }
}

fn build<'a>(lines: impl Iterator<Item = &'a str>) -> Gitignore {
    let mut builder = GitignoreBuilder::new("");
    for line in lines {
        // A line that is no pattern matches nothing.
        let _ = builder.add_line(None, line);
    }
    builder.build().unwrap_or_else(|_| Gitignore::empty())
}

impl Ignore for IgnoreRules {
    fn verdict(&self, path: &TreePath, kind: Kind) -> Verdict {
        if path.names().first().is_some_and(|name| name == STATE_FOLDER) {
            return Verdict::Junk;
        }
        let text = path.to_string();
        let is_folder = kind == Kind::Folder;
        if !self.rules.matched(Path::new(&text), is_folder).is_ignore() {
            Verdict::Synced
        } else if self.junk.matched(Path::new(&text), is_folder).is_ignore() && kind == Kind::File {
            Verdict::Junk
        } else {
            Verdict::LeftOut
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(rules: &str, path: &str) -> Verdict {
        let kind = if path.ends_with('/') { Kind::Folder } else { Kind::File };
        IgnoreRules::new(rules).verdict(&path.into(), kind)
    }

    #[test]
    fn what_programs_leave_behind_is_left_out() {
        for path in [".DS_Store", "docs/Thumbs.db", "docs/~$plan.docx", ".~lock.plan.odt#"] {
            assert_eq!(verdict("", path), Verdict::Junk, "{path}");
        }
        for path in ["video.mp4.part", "docs/.plan.swp"] {
            assert_eq!(verdict("", path), Verdict::LeftOut, "{path}");
        }
        for path in ["plan.odt", ".bashrc", "docs/", "tmp", "a.tmp.txt"] {
            assert_eq!(verdict("", path), Verdict::Synced, "{path}");
        }
    }

    #[test]
    fn the_file_of_the_user_has_the_last_word() {
        let rules = "target/\n*.log\n!important.log\n!*.tmp\n/only-here\n# comment\n[";
        assert_eq!(verdict(rules, "target/"), Verdict::LeftOut);
        assert_eq!(verdict(rules, "target"), Verdict::Synced);
        assert_eq!(verdict(rules, "x/a.log"), Verdict::LeftOut);
        assert_eq!(verdict(rules, "x/important.log"), Verdict::Synced);
        assert_eq!(verdict(rules, "a.tmp"), Verdict::Synced);
        assert_eq!(verdict(rules, "only-here"), Verdict::LeftOut);
        assert_eq!(verdict(rules, "x/only-here"), Verdict::Synced);
    }

    #[test]
    fn nobody_can_have_the_state_synced() {
        assert_eq!(verdict("!.scaidrive", ".scaidrive/"), Verdict::Junk);
        assert_eq!(verdict("", "docs/.scaidrive/"), Verdict::Synced);
    }
}
