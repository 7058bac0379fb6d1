//! What programs do to directories.

use std::fs;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::cluster::ran;
use crate::noise::noise;

/// Files in a folder of what is copied.
const FOLDER: usize = 100;

/// What is done, with material from a directory beside the devices'.
pub(crate) struct Acts {
    material: PathBuf,
}

fn git(dir: &Path, args: &[&str]) -> String {
    let who = ["-c", "user.name=Test", "-c", "user.email=test@example.com", "-c", "init.defaultBranch=main"];
    ran(Command::new("git").current_dir(dir).args(who).args(args).env("GIT_CONFIG_GLOBAL", "/dev/null"))
}

/// Returns lines that say which file of which kind they are in.
fn text(kind: &str, number: usize) -> String {
    (0..20 + number % 50).map(|line| format!("line {line} of {kind} {number}\n")).collect()
}

impl Acts {
    pub(crate) fn new(material: PathBuf) -> Self {
        fs::create_dir(&material).unwrap();
        Self { material }
    }

    /// Copies a tree of small files into the directory.
    pub(crate) fn copy(&self, dir: &Path, files: usize) {
        self.copy_as(dir, "copied", files);
    }

    /// Copies another one beside it.
    pub(crate) fn copy_again(&self, dir: &Path, files: usize) {
        self.copy_as(dir, "copied again", files);
    }

    fn copy_as(&self, dir: &Path, name: &str, files: usize) {
        let source = self.material.join(name);
        for number in 0..files {
            let folder = source.join(format!("folder {}", number / FOLDER));
            fs::create_dir_all(&folder).unwrap();
            fs::write(folder.join(format!("file {number}.txt")), text(name, number)).unwrap();
        }
        ran(Command::new("cp").arg("-r").args([&source, dir]));
    }

    /// Clones a repository of three branches, each of which has other files and other text in them.
    pub(crate) fn clone(&self, dir: &Path, files: usize) {
        let origin = self.material.join("origin");
        fs::create_dir(&origin).unwrap();
        git(&origin, &["init", "-q"]);
        let commit = |kind: &str, kept: usize| {
            for number in 0..files {
                let path = origin.join(format!("src/{}/{number}.rs", number / 20));
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                if number % kept == 0 {
                    fs::write(path, text(kind, number)).unwrap();
                } else if kept > 2 {
                    let _ = fs::remove_file(path);
                }
            }
            git(&origin, &["add", "-A"]);
            git(&origin, &["commit", "-q", "-m", kind]);
        };
        commit("main", 1);
        git(&origin, &["checkout", "-q", "-b", "one"]);
        commit("one", 2);
        git(&origin, &["checkout", "-q", "-b", "two"]);
        commit("two", 3);
        git(&origin, &["checkout", "-q", "main"]);
        git(dir, &["clone", "-q", origin.to_str().unwrap(), "clone"]);
    }

    pub(crate) fn check_out(dir: &Path, branch: &str) {
        git(&dir.join("clone"), &["checkout", "-q", branch]);
    }

    /// Demands that what arrived elsewhere is a whole repository with nothing changed in it.
    pub(crate) fn check_clone(dir: &Path) {
        let clone = dir.join("clone");
        git(&clone, &["fsck", "--strict"]);
        assert_eq!(git(&clone, &["status", "--porcelain"]), "");
    }

    /// Edits many files in place, as `sed` does: into a file beside it that takes its place.
    pub(crate) fn edit(dir: &Path, files: usize) {
        let folders = dir.join("copied");
        let path = |number: usize| folders.join(format!("folder {}/file {number}.txt", number / FOLDER));
        let all: Vec<PathBuf> = (0..files).map(path).collect();
        for some in all.chunks(500) {
            ran(Command::new("sed").args(["-i", "s/^line/an edited line/"]).args(some));
        }
    }

    /// Renames files and folders back and forth, faster than anybody can follow: chains, swaps, and moves elsewhere.
    pub(crate) fn rename(dir: &Path, renames: usize) {
        let rename = |from: &str, to: &str| fs::rename(dir.join(from), dir.join(to)).unwrap();
        let storm = dir.join("storm");
        fs::create_dir_all(storm.join("deep/er")).unwrap();
        for number in 0..10 {
            fs::write(storm.join(format!("{number}.txt")), text("storm", number)).unwrap();
        }
        for round in 0..renames {
            let (one, other) = (round % 10, (round * 7 + 3) % 10);
            if one != other {
                rename(&format!("storm/{one}.txt"), "storm/aside.txt");
                rename(&format!("storm/{other}.txt"), &format!("storm/{one}.txt"));
                rename("storm/aside.txt", &format!("storm/{other}.txt"));
            }
            let (from, to) = if round % 2 == 0 { ("deep", "Deep") } else { ("Deep", "deep") };
            rename(&format!("storm/{from}"), &format!("storm/{to}"));
            rename(&format!("storm/{one}.txt"), &format!("storm/{to}/er/{one}.txt"));
            rename(&format!("storm/{to}/er"), "storm/lifted");
            rename("storm/lifted", &format!("storm/{to}/er"));
            rename(&format!("storm/{to}/er/{one}.txt"), &format!("storm/{one}.txt"));
        }
        rename("copied/folder 0", "storm/folder");
        rename("copied/folder 1", "copied/folder 0");
        rename("storm/folder", "copied/folder 1");
    }

    pub(crate) fn write_large(dir: &Path, size: usize) {
        fs::write(dir.join("large.bin"), noise(1, size)).unwrap();
    }

    pub(crate) fn edit_large(dir: &Path, at: usize, size: usize) {
        let file = fs::File::options().write(true).open(dir.join("large.bin")).unwrap();
        file.write_all_at(&noise(2, size), at as u64).unwrap();
    }
}
