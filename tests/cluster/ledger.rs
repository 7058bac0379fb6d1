//! What was acknowledged, and whether it is still there.

use std::collections::{BTreeMap, HashMap};
use std::sync::Mutex;

use serde_json::Value;

use crate::answers::Caller;
use crate::sha256;

/// A file that a writer was told is there.
#[derive(Clone)]
pub(crate) struct Written {
    pub(crate) id: String,
    pub(crate) path: String,
    pub(crate) checksum: String,
}

/// Everything acknowledged, by the id of the file; and every row of the feed that was read.
#[derive(Default)]
pub(crate) struct Ledger {
    files: Mutex<Vec<Written>>,
    /// Changes that were acknowledged by their id.
    changes: Mutex<Vec<String>>,
    feed: Mutex<HashMap<String, usize>>,
}

impl Ledger {
    pub(crate) fn wrote(&self, file: Written) {
        self.files.lock().unwrap().push(file);
    }

    pub(crate) fn changed(&self, change: &str) {
        self.changes.lock().unwrap().push(change.to_owned());
    }

    pub(crate) fn read(&self, change: &str) {
        *self.feed.lock().unwrap().entry(change.to_owned()).or_default() += 1;
    }

    /// Returns some file that was acknowledged; which one, the number decides.
    pub(crate) fn some(&self, number: u64) -> Option<Written> {
        let files = self.files.lock().unwrap();
        let at = number.wrapping_mul(0x9E37_79B9_7F4A_7C15) % (files.len() as u64).max(1);
        files.get(at as usize).cloned()
    }

    /// Demands that the share holds what was acknowledged, each file where it is said to be and with its bytes, and
    /// nothing besides; returns how many there are.
    pub(crate) async fn check_files(&self, caller: &Caller, share: &str) -> usize {
        let files = self.files.lock().unwrap().clone();
        let wanted: BTreeMap<&str, &str> =
            files.iter().map(|file| (file.path.as_str(), file.checksum.as_str())).collect();
        assert_eq!(wanted.len(), files.len(), "every file has a path of its own");
        let path = format!("/sync/snapshot?share_id={share}");
        let told = caller.insist(|| caller.request(reqwest::Method::GET, &path)).await;
        let rows: Vec<Value> =
            told.split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice(line).ok()).collect();
        let of_files = rows.iter().filter(|row| row["resource_type"] == "file");
        let held: BTreeMap<&str, &str> = of_files
            .map(|row| (row["path"].as_str().unwrap(), row["checksum_sha256"].as_str().unwrap()))
            .collect();
        let missing: Vec<_> = wanted.iter().filter(|(path, sum)| held.get(*path) != Some(sum)).collect();
        let more: Vec<_> = held.keys().filter(|path| !wanted.contains_key(*path)).collect();
        assert!(missing.is_empty() && more.is_empty(), "lost: {missing:#?}; nobody's: {more:#?}");
        for file in &files {
            let path = format!("/files/{}/content", file.id);
            let bytes = caller.insist(|| caller.request(reqwest::Method::GET, &path)).await;
            assert_eq!(sha256(&bytes), file.checksum, "{}", file.path);
        }
        files.len()
    }

    /// Demands that the feed brought every acknowledged change, each once; returns how many rows it had.
    pub(crate) fn check_feed(&self) -> usize {
        let feed = self.feed.lock().unwrap();
        let twice: Vec<_> = feed.iter().filter(|(_, times)| **times != 1).collect();
        let changes = self.changes.lock().unwrap();
        let missing: Vec<_> = changes.iter().filter(|change| !feed.contains_key(*change)).collect();
        assert!(twice.is_empty() && missing.is_empty(), "twice: {twice:?}; never: {missing:?}");
        feed.len()
    }
}
