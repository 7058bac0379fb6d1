//! Where records are kept.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, BufReader, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use super::Record;
use crate::model::Sha256Hash;

/// Records in one line of a log that is written anew.
const PER_LINE: usize = 1000;

/// Hex digits that guard a line.
const GUARD: usize = 16;

/// A log of records, in lines that are there as a whole or not at all.
pub trait Log: Send + fmt::Debug {
    /// Returns all lines.
    fn read(&mut self) -> io::Result<Vec<Vec<Record>>>;

    /// Adds a line; it is durable when this returns.
    fn append(&mut self, records: &[Record]) -> io::Result<()>;

    /// Puts these records in place of all there are, at once.
    fn replace(&mut self, records: &[Record]) -> io::Result<()>;
}

/// A log in a file: lines of JSON, each after the first digits of its SHA-256.
///
/// A line that does not match its digits was being written when the power went: it and all after it count for
/// nothing, and are cut off before anything is added.
#[derive(Debug)]
pub struct FileLog {
    path: PathBuf,
    file: File,
    /// Where the last whole line ends; what is beyond was never promised.
    end: u64,
}

impl FileLog {
    /// Opens a log, made where it is missing.
    pub fn open(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
        sync_folder(path)?;
        Ok(Self { path: path.to_owned(), end: file.metadata()?.len(), file })
    }
}

impl Log for FileLog {
    fn read(&mut self) -> io::Result<Vec<Vec<Record>>> {
        self.file.seek(SeekFrom::Start(0))?;
        let mut reader = BufReader::new(&self.file);
        let (mut lines, mut good, mut line) = (Vec::new(), 0, Vec::new());
        while reader.read_until(b'\n', &mut line)? > 0 {
            let Some(records) = decode(&line) else { break };
            good += line.len() as u64;
            lines.push(records);
            line.clear();
        }
        self.file.set_len(good)?;
        self.end = good;
        Ok(lines)
    }

    fn append(&mut self, records: &[Record]) -> io::Result<()> {
        let line = encode(records)?;
        // Half a line, left by a write that failed, would hide all that come after it.
        self.file.set_len(self.end)?;
        self.file.seek(SeekFrom::Start(self.end))?;
        self.file.write_all(&line)?;
        self.file.sync_data()?;
        self.end += line.len() as u64;
        Ok(())
    }

    fn replace(&mut self, records: &[Record]) -> io::Result<()> {
        let draft = self.path.with_extension("new");
        let mut file = File::create(&draft)?;
        for records in records.chunks(PER_LINE) {
            file.write_all(&encode(records)?)?;
        }
        file.sync_all()?;
        fs::rename(&draft, &self.path)?;
        sync_folder(&self.path)?;
        self.file = OpenOptions::new().read(true).write(true).open(&self.path)?;
        self.end = self.file.metadata()?.len();
        Ok(())
    }
}

fn sync_folder(path: &Path) -> io::Result<()> {
    // Other systems neither need nor allow it.
    if cfg!(unix) { File::open(path.parent().unwrap_or(Path::new(".")))?.sync_all() } else { Ok(()) }
}

fn guard(json: &[u8]) -> String {
    let mut digits = Sha256Hash::of(json).to_string();
    digits.truncate(GUARD);
    digits
}

fn encode(records: &[Record]) -> io::Result<Vec<u8>> {
    let json = serde_json::to_vec(records)?;
    Ok([guard(&json).as_bytes(), b" ", &json, b"\n"].concat())
}

fn decode(line: &[u8]) -> Option<Vec<Record>> {
    let (digits, json) = line.strip_suffix(b"\n")?.split_at_checked(GUARD)?;
    let json = json.strip_prefix(b" ")?;
    if digits != guard(json).as_bytes() {
        return None;
    }
    serde_json::from_slice(json).ok()
}

#[cfg(test)]
mod tests {
    use super::super::Store;
    use super::*;
    use crate::model::{DeviceId, ItemId, ShareId};
    use crate::trees::RemoteItem;

    fn item(number: usize) -> Record {
        let id = ItemId::new(format!("fld_{number}"));
        Record::Remote(RemoteItem { id, parent: None, name: format!("folder {number}"), file: None })
    }

    fn written(path: &Path, lines: usize) {
        let mut store = Store::open(Box::new(FileLog::open(path).unwrap())).unwrap();
        let opened = Record::Opened { share: ShareId::new("shr_1"), device: DeviceId::new("dev") };
        store.commit(vec![opened]).unwrap();
        for number in 0..lines {
            store.commit(vec![item(number), Record::Cursor(number as i64)]).unwrap();
        }
    }

    #[test]
    fn whatever_is_cut_off_leaves_what_was_whole_before_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state.log");
        written(&path, 3);
        let whole = fs::read(&path).unwrap();
        let mut seen = Vec::new();
        for length in 0..=whole.len() {
            fs::write(&path, &whole[..length]).unwrap();
            let mut store = Store::open(Box::new(FileLog::open(&path).unwrap())).unwrap();
            let count = store.state().remote.len();
            assert_eq!(store.state().cursor, (count > 0).then(|| count as i64 - 1), "both or neither");
            seen.push(count);
            store.commit(vec![item(99)]).unwrap();
            let again = Store::open(Box::new(FileLog::open(&path).unwrap())).unwrap();
            assert_eq!(again.state().remote.len(), count + 1, "what is added after a cut is found");
        }
        assert!(seen.is_sorted() && seen.last() == Some(&3));
    }

    #[test]
    fn a_line_that_was_changed_is_no_line() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state.log");
        written(&path, 2);
        let mut bytes = fs::read(&path).unwrap();
        let last = bytes.len() - 5;
        bytes[last] ^= 1;
        fs::write(&path, &bytes).unwrap();
        let store = Store::open(Box::new(FileLog::open(&path).unwrap())).unwrap();
        assert_eq!((store.state().remote.len(), store.state().cursor), (1, Some(0)));
    }

    #[test]
    fn half_a_line_that_a_full_disk_left_hides_nothing_that_comes_after_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state.log");
        let mut store = Store::open(Box::new(FileLog::open(&path).unwrap())).unwrap();
        store.commit(vec![item(1)]).unwrap();
        let mut file = OpenOptions::new().append(true).open(&path).unwrap();
        file.write_all(b"half a li").unwrap();
        store.commit(vec![item(2)]).unwrap();
        let again = Store::open(Box::new(FileLog::open(&path).unwrap())).unwrap();
        assert_eq!(again.state().remote.len(), 2);
    }

    #[test]
    fn a_log_that_grew_is_written_anew_with_the_same_meaning() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state.log");
        written(&path, 3);
        let mut store = Store::open_with(Box::new(FileLog::open(&path).unwrap()), 20).unwrap();
        for cursor in 0..50 {
            store.commit(vec![Record::Cursor(cursor)]).unwrap();
        }
        assert!(fs::read_to_string(&path).unwrap().lines().count() < 25);
        let again = Store::open(Box::new(FileLog::open(&path).unwrap())).unwrap();
        assert_eq!(again.state().cursor, store.state().cursor);
        assert_eq!(again.state().remote, store.state().remote);
        assert_eq!(again.state().device, Some(DeviceId::new("dev")));
    }
}
