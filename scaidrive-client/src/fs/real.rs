//! A directory of this computer.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs::{self, DirEntry, File, Metadata, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::{Draft, Found, FoundKind, LocalFs, OpenFile};
use crate::model::TreePath;
use crate::trees::{FileKey, Stamp};

/// The directory below the root that holds what the client remembers; it is never synced.
pub const STATE_FOLDER: &str = ".scaidrive";

/// Where files are written before they get their names.
const DRAFTS: &str = "drafts";

/// A directory of this computer, and the client's own one in it. Only one process may have it.
#[derive(Debug)]
pub struct RealFs {
    root: PathBuf,
    /// Tells the directory from another one that is mounted in its place.
    key: FileKey,
    is_case_sensitive: bool,
    /// Held as long as this lives.
    _lock: File,
}

impl RealFs {
    /// Opens a directory, made where it is missing.
    ///
    /// # Errors
    /// `ErrorKind::ResourceBusy` if another process has it.
    pub fn open(root: &Path) -> io::Result<Self> {
        let own = root.join(STATE_FOLDER);
        fs::create_dir_all(own.join(DRAFTS))?;
        let lock = OpenOptions::new().create(true).write(true).truncate(false).open(own.join("lock"))?;
        lock.try_lock().map_err(|error| match error {
            fs::TryLockError::WouldBlock => io::ErrorKind::ResourceBusy.into(),
            fs::TryLockError::Error(error) => error,
        })?;
        for left in fs::read_dir(own.join(DRAFTS))? {
            fs::remove_file(left?.path())?;
        }
        let root = root.canonicalize()?;
        let key = stamp(&fs::symlink_metadata(&own)?).key;
        // The file `lock` is there; whether `LOCK` is, too, tells the rest.
        let is_case_sensitive = !own.join("LOCK").exists();
        Ok(Self { root, key, is_case_sensitive, _lock: lock })
    }

    /// Returns the directory.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Returns the directory that holds what the client remembers.
    pub fn state_folder(&self) -> PathBuf {
        self.root.join(STATE_FOLDER)
    }

    fn at(&self, path: &TreePath) -> PathBuf {
        path.names().iter().fold(self.root.clone(), |path, name| path.join(name))
    }
}

impl LocalFs for RealFs {
    fn check(&self) -> io::Result<()> {
        let own = fs::symlink_metadata(self.state_folder())?;
        if stamp(&own).key == self.key { Ok(()) } else { Err(io::ErrorKind::NotFound.into()) }
    }

    fn list(&self, path: &TreePath) -> io::Result<Vec<Found>> {
        let entries = fs::read_dir(self.at(path))?;
        let mut found: Vec<Found> =
            entries.map(|entry| entry.and_then(|entry| of_entry(&entry))).collect::<Result<_, _>>()?;
        found.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(found)
    }

    fn look(&self, path: &TreePath) -> io::Result<Option<Found>> {
        match fs::symlink_metadata(self.at(path)) {
            Ok(metadata) => Ok(Some(found(OsStr::new(path.name().unwrap_or_default()), &metadata))),
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    fn open(&self, path: &TreePath) -> io::Result<Box<dyn OpenFile>> {
        let mut options = OpenOptions::new();
        options.read(true);
        #[cfg(unix)]
        {
            use std::os::unix::fs::OpenOptionsExt;
            // A pipe that took a file's place meanwhile must not make the client wait for ever.
            options.custom_flags((nix::fcntl::OFlag::O_NOFOLLOW | nix::fcntl::OFlag::O_NONBLOCK).bits());
        }
        let file = options.open(self.at(path))?;
        if file.metadata()?.is_file() {
            Ok(Box::new(RealFile(file)))
        } else {
            Err(io::ErrorKind::InvalidInput.into())
        }
    }

    fn draft(&self) -> io::Result<Box<dyn Draft>> {
        let drafts = self.state_folder().join(DRAFTS);
        let mut builder = tempfile::Builder::new();
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            // As open as any new file: the umask decides.
            builder.permissions(fs::Permissions::from_mode(0o666));
        }
        Ok(Box::new(RealDraft { file: builder.tempfile_in(drafts)?, root: self.root.clone() }))
    }

    fn make_folder(&self, path: &TreePath) -> io::Result<Stamp> {
        let path = self.at(path);
        fs::create_dir(&path)?;
        Ok(stamp(&fs::symlink_metadata(&path)?))
    }

    fn rename(&self, from: &TreePath, to: &TreePath) -> io::Result<()> {
        rename(&self.at(from), &self.at(to))
    }

    fn remove_file(&self, path: &TreePath, before: &Stamp) -> io::Result<bool> {
        let target = self.at(path);
        if !looks_like(&target, before) {
            return Ok(false);
        }
        // It may change just now: out of everybody's way it is looked at once more.
        let aside = self.state_folder().join(DRAFTS).join(format!("removed-{}", before.key.number));
        rename(&target, &aside)?;
        let removed = stamp(&fs::symlink_metadata(&aside)?);
        if (Stamp { changed: before.changed, ..removed }) == *before {
            return fs::remove_file(&aside).map(|()| true);
        }
        rename(&aside, &target)?;
        Ok(false)
    }

    fn is_case_sensitive(&self) -> bool {
        self.is_case_sensitive
    }

    fn remove_folder(&self, path: &TreePath) -> io::Result<()> {
        fs::remove_dir(self.at(path))
    }

    fn sync_folders(&self, folders: &BTreeSet<TreePath>) -> io::Result<()> {
        for folder in folders {
            match File::open(self.at(folder)) {
                Ok(folder) => folder.sync_all()?,
                // It was moved or removed since: what holds it now is among these too.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

fn of_entry(entry: &DirEntry) -> io::Result<Found> {
    entry.metadata().map(|metadata| found(&entry.file_name(), &metadata))
}

fn found(name: &OsStr, metadata: &Metadata) -> Found {
    let kind = match name.to_str() {
        None => FoundKind::Other("its name is not UTF-8"),
        Some(_) if metadata.is_dir() => FoundKind::Folder,
        Some(_) if metadata.is_file() => FoundKind::File,
        Some(_) if metadata.is_symlink() => FoundKind::Other("a symbolic link"),
        Some(_) => FoundKind::Other("neither a file nor a directory"),
    };
    Found { name: name.to_string_lossy().into_owned(), kind, stamp: stamp(metadata) }
}

fn nanos(time: io::Result<SystemTime>) -> Option<i64> {
    let since = time.ok()?.duration_since(UNIX_EPOCH).ok()?;
    i64::try_from(since.as_nanos()).ok()
}

fn stamp(metadata: &Metadata) -> Stamp {
    #[cfg(unix)]
    let (number, changed) = {
        use std::os::unix::fs::MetadataExt;
        (metadata.ino(), metadata.ctime() * 1_000_000_000 + metadata.ctime_nsec())
    };
    #[cfg(not(unix))]
    let (number, changed) = (0, 0);
    let born = if number == 0 { None } else { nanos(metadata.created()) };
    Stamp {
        key: FileKey { number, born },
        size: if metadata.is_file() { metadata.len() } else { 0 },
        modified: nanos(metadata.modified()).unwrap_or(0),
        changed,
    }
}

/// Moves a file or directory to where nothing is.
fn rename(from: &Path, to: &Path) -> io::Result<()> {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        use nix::fcntl::{AT_FDCWD, RenameFlags, renameat2};
        match renameat2(AT_FDCWD, from, AT_FDCWD, to, RenameFlags::RENAME_NOREPLACE) {
            // The file system cannot promise it.
            Err(nix::errno::Errno::EINVAL | nix::errno::Errno::ENOSYS) => {}
            outcome => return outcome.map_err(io::Error::from),
        }
    }
    // Renaming only the case is renaming to what is there already, where case does not count.
    let is_itself = || {
        let keys = [from, to].map(|path| fs::symlink_metadata(path).map(|metadata| stamp(&metadata)).ok());
        keys[0].is_some() && keys[0] == keys[1]
    };
    if fs::symlink_metadata(to).is_ok() && !is_itself() {
        return Err(io::ErrorKind::AlreadyExists.into());
    }
    fs::rename(from, to)
}

struct RealFile(File);

impl Read for RealFile {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}

impl OpenFile for RealFile {
    fn stamp(&self) -> io::Result<Stamp> {
        self.0.metadata().map(|metadata| stamp(&metadata))
    }

    fn seek(&mut self, offset: u64) -> io::Result<()> {
        self.0.seek(SeekFrom::Start(offset)).map(drop)
    }
}

struct RealDraft {
    file: tempfile::NamedTempFile,
    root: PathBuf,
}

impl Write for RealDraft {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Draft for RealDraft {
    fn place(
        self: Box<Self>,
        path: &TreePath,
        over: Option<&Stamp>,
        modified: i64,
    ) -> io::Result<Option<Stamp>> {
        let target = path.names().iter().fold(self.root.clone(), |path, name| path.join(name));
        let time = UNIX_EPOCH + Duration::from_nanos(u64::try_from(modified).unwrap_or(0));
        self.file.as_file().set_modified(time)?;
        self.file.as_file().sync_all()?;
        let is_placed = match over {
            None => match rename(self.file.path(), &target) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => false,
                outcome => outcome.map(|()| true)?,
            },
            Some(over) => {
                looks_like(&target, over)
                    && keep_mode(self.file.as_file(), &target).is_ok()
                    && exchange(self.file.path(), &target, over)?
            }
        };
        if !is_placed {
            return Ok(None);
        }
        let stamp = stamp(&fs::symlink_metadata(&target)?);
        // What the draft's name stands for by now, if for anything, is what was replaced: it goes.
        drop(self.file.into_temp_path().close());
        Ok(Some(stamp))
    }
}

/// Lets whoever may read, write or run a file do so with what replaces it.
fn keep_mode(draft: &File, target: &Path) -> io::Result<()> {
    draft.set_permissions(fs::symlink_metadata(target)?.permissions())
}

/// Tells whether what is at a path is a file, and unchanged since it was looked at.
fn looks_like(path: &Path, before: &Stamp) -> bool {
    fs::symlink_metadata(path).is_ok_and(|now| now.is_file() && stamp(&now) == *before)
}

/// Puts a draft in place of a file, which gets the draft's name; nothing changes if the file changes just now.
fn exchange(draft: &Path, target: &Path, over: &Stamp) -> io::Result<bool> {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        use nix::fcntl::{AT_FDCWD, RenameFlags, renameat2};
        let swap = || renameat2(AT_FDCWD, draft, AT_FDCWD, target, RenameFlags::RENAME_EXCHANGE);
        match swap() {
            Ok(()) => {
                let replaced = stamp(&fs::symlink_metadata(draft)?);
                // Renaming is a change of the file, too: all but that must be as before.
                if (Stamp { changed: over.changed, ..replaced }) == *over {
                    return Ok(true);
                }
                swap()?;
                return Ok(false);
            }
            Err(nix::errno::Errno::EINVAL | nix::errno::Errno::ENOSYS) => {}
            Err(error) => return Err(error.into()),
        }
    }
    let _ = over;
    fs::rename(draft, target).map(|()| true)
}
