//! The example that shows how a device syncs: what the contract tells is enough to write one, in a short program.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use reqwest::Client;
use serde_json::{Value, json};

use crate::Server;

/// The most lines of text that the example may have.
const LINES: usize = 150;

fn example() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/sync_client.py")
}

/// Returns the Python that has what the example needs; nothing, said aloud, where the tests have none.
fn python() -> Option<String> {
    #[expect(clippy::disallowed_methods, reason = "tests learn from it where their services are")]
    let python = std::env::var("SCAIDRIVE_TEST_PYTHON").ok();
    if python.is_none() {
        eprintln!("SKIPPED: SCAIDRIVE_TEST_PYTHON is not set");
    }
    python
}

/// A device: a folder, and the example that syncs it.
struct Device<'s> {
    python: String,
    server: &'s Server,
    share: String,
    folder: PathBuf,
}

impl Device<'_> {
    /// Runs a round; returns how many changes it sent.
    fn sync(&self) -> usize {
        let output = Command::new(&self.python)
            .arg(example())
            .args([self.share.as_ref(), self.folder.as_os_str()])
            .env("SCAIDRIVE_URL", self.server.url.strip_suffix("/api/v1").unwrap())
            .env("TOKEN", &self.server.token)
            .output()
            .unwrap();
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && told.is_empty(), "{told}");
        String::from_utf8(output.stdout).unwrap().split(' ').next().unwrap().parse().unwrap()
    }

    fn write(&self, path: &str, bytes: impl AsRef<[u8]>) {
        let path = self.folder.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }

    fn rename(&self, from: &str, to: &str) {
        fs::rename(self.folder.join(from), self.folder.join(to)).unwrap();
    }

    /// Returns what lies in the folder: files with their bytes, folders without.
    fn tree(&self) -> BTreeMap<PathBuf, Option<Vec<u8>>> {
        let (mut tree, mut open) = (BTreeMap::new(), vec![self.folder.clone()]);
        while let Some(folder) = open.pop() {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                let bytes = path.is_file().then(|| fs::read(&path).unwrap());
                tree.insert(path.strip_prefix(&self.folder).unwrap().to_owned(), bytes);
                if path.is_dir() {
                    open.push(path);
                }
            }
        }
        tree
    }

    fn read(&self, path: &str) -> String {
        fs::read_to_string(self.folder.join(path)).unwrap()
    }
}

/// Syncs both until neither has anything to send, and demands the same tree on both.
fn settle(one: &Device<'_>, other: &Device<'_>) {
    let is_settled = |_: &usize| one.sync() + other.sync() == 0;
    assert!((0..5).find(is_settled).is_some(), "they go on sending");
    assert!(one.tree() == other.tree(), "{:?}\n{:?}", one.tree().keys(), other.tree().keys());
}

#[tokio::test(flavor = "multi_thread")]
async fn two_devices_with_the_example_hold_the_same_tree() {
    let Some(python) = python() else { return };
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(&dir.path().join("data"));
    let create = json!({ "name": "S", "share_type": "project" });
    let share = server.json(Client::new().post(format!("{}/shares", server.url)).json(&create)).await;
    let device = |name: &str| Device {
        python: python.clone(),
        server: &server,
        share: share["id"].as_str().unwrap().to_owned(),
        folder: dir.path().join(name),
    };
    let (laptop, phone) = (device("laptop"), device("phone"));
    let large: Vec<u8> = (0..1_500_000_u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    laptop.write("docs/deep/large.bin", &large);
    laptop.write("docs/\u{dc}bung; \"x\".txt", "text");
    laptop.write("empty.txt", "");
    for number in 0..50 {
        laptop.write(&format!("many/{number}.txt"), format!("number {number}"));
    }
    fs::create_dir(laptop.folder.join("nothing in it")).unwrap();
    phone.write("only here.txt", "of the phone");
    settle(&laptop, &phone);
    assert_eq!(laptop.tree().len(), 4 + 4 + 50, "folders, files, and many");
    assert!(fs::read(phone.folder.join("docs/deep/large.bin")).unwrap() == large);
    assert_eq!(laptop.read("only here.txt"), "of the phone");
    // Edits, deletions, renames of what they have both; each sees the other's.
    laptop.rename("docs", "papers");
    fs::remove_dir_all(laptop.folder.join("many")).unwrap();
    phone.write("empty.txt", "no longer");
    phone.rename("only here.txt", "nothing in it/moved.txt");
    settle(&laptop, &phone);
    assert!(fs::read(phone.folder.join("papers/deep/large.bin")).unwrap() == large);
    assert!(!phone.folder.join("many").exists() && !phone.folder.join("docs").exists());
    assert_eq!(laptop.read("nothing in it/moved.txt"), "of the phone");
    rearrange_on_the_server(&server, &laptop.share).await;
    settle(&laptop, &phone);
    assert!(fs::read(laptop.folder.join("filed/papers/deep/large.bin")).unwrap() == large);
    assert_eq!(phone.read("nothing in it/moved.txt"), "of the phone", "it is back from the trash");
    both_edit_offline(&laptop, &phone);
    server.stop();
}

/// Moves a folder with all it holds into a new one, and deletes and restores another: few rows for many files.
async fn rearrange_on_the_server(server: &Server, share: &str) {
    let client = Client::new();
    let children = format!("{}/folders/root/children?share_id={share}", server.url);
    let children = server.json(client.get(children)).await;
    let id = |name: &str| {
        let items = children["items"].as_array().unwrap();
        items.iter().find(|item| item["name"] == name).unwrap()["id"].as_str().unwrap().to_owned()
    };
    let (papers, other) = (id("papers"), id("nothing in it"));
    let new = json!({ "share_id": share, "name": "filed" });
    let filed: Value = server.json(client.post(format!("{}/folders", server.url)).json(&new)).await;
    let into = json!({ "target_folder_id": filed["id"] });
    server.json(client.post(format!("{}/folders/{papers}/move", server.url)).json(&into)).await;
    let url = format!("{}/folders/{other}", server.url);
    let deleted = client.delete(&url).bearer_auth(&server.token).send().await.unwrap();
    assert_eq!(deleted.status(), 204);
    server.json(client.patch(&url).json(&json!({ "is_deleted": false }))).await;
}

/// What both edited while they saw nothing of each other is kept twice, under its name and under another one.
fn both_edit_offline(laptop: &Device<'_>, phone: &Device<'_>) {
    laptop.write("filed/plan.odt", "the plan");
    settle(laptop, phone);
    let before = laptop.tree().len();
    laptop.write("filed/plan.odt", "as the laptop has it");
    phone.write("filed/plan.odt", "as the phone has it");
    laptop.sync();
    phone.sync();
    settle(laptop, phone);
    assert_eq!(phone.read("filed/plan.odt"), "as the laptop has it", "it came first");
    let copies: Vec<PathBuf> = laptop.tree().into_keys().filter(|path| is_copy(path)).collect();
    assert_eq!((copies.len(), laptop.tree().len()), (1, before + 1));
    assert_eq!(laptop.read(copies[0].to_str().unwrap()), "as the phone has it");
}

fn is_copy(path: &Path) -> bool {
    let name = path.file_name().unwrap().to_str().unwrap();
    name.starts_with("plan (conflict, ") && name.ends_with(").odt")
}

#[test]
fn the_example_is_short() {
    let text = fs::read_to_string(example()).unwrap();
    let lines = text.lines().filter(|line| !line.trim().is_empty()).count();
    assert!(lines <= LINES, "{lines} lines");
}
