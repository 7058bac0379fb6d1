//! Watches the directory: whatever changes in it is a reason to look, and nothing more.
//!
//! Events get lost, come late, and come for what the client does itself. So they are only counted; what changed is
//! found out by looking. When the system says that it lost count, that is a reason to look, too.

use std::path::{Path, PathBuf};

use notify::{Event, EventKind, RecursiveMode, Watcher};
use tokio::sync::watch;

use crate::engine::Nudge;
use crate::fs::STATE_FOLDER;

/// A watch over a directory, as long as it lives.
#[derive(Debug)]
pub struct Watch {
    _watcher: notify::RecommendedWatcher,
}

impl Watch {
    /// Watches a directory and everything below it; the number that comes with the watch grows with every change.
    ///
    /// # Errors
    /// Where the system cannot watch so much. Then only time tells when to look.
    pub fn over(root: &Path) -> notify::Result<(Self, Nudge)> {
        let (sender, nudge) = watch::channel(0);
        let own = root.join(STATE_FOLDER);
        let mut watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
            if is_news(event.as_ref(), &own) {
                sender.send_modify(|count: &mut u64| *count += 1);
            }
        })?;
        watcher.watch(root, RecursiveMode::Recursive)?;
        Ok((Self { _watcher: watcher }, nudge))
    }
}

/// Tells whether an event is a reason to look: not that something was read, nor what happens in the client's own folder.
fn is_news(event: Result<&Event, &notify::Error>, own: &PathBuf) -> bool {
    let Ok(event) = event else { return true };
    let is_own = !event.paths.is_empty() && event.paths.iter().all(|path| path.starts_with(own));
    event.need_rescan() || (!matches!(event.kind, EventKind::Access(_)) && !is_own)
}

#[cfg(test)]
mod tests {
    use notify::event::{AccessKind, CreateKind, Flag};

    use super::*;

    #[tokio::test]
    async fn a_change_anywhere_below_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap();
        std::fs::create_dir(root.join("docs")).unwrap();
        let (_watch, mut nudge) = Watch::over(&root).unwrap();
        nudge.mark_unchanged();
        std::fs::write(root.join("docs/a"), "x").unwrap();
        nudge.changed().await.unwrap();
        assert!(*nudge.borrow() > 0);
    }

    #[test]
    fn what_the_client_does_for_itself_is_no_news_but_lost_events_are() {
        let own = PathBuf::from("/root/.scaidrive");
        let created = |path: &str| Event::new(EventKind::Create(CreateKind::File)).add_path(path.into());
        assert!(is_news(Ok(&created("/root/a")), &own));
        assert!(!is_news(Ok(&created("/root/.scaidrive/drafts/x")), &own));
        assert!(!is_news(
            Ok(&Event::new(EventKind::Access(AccessKind::Read)).add_path("/root/a".into())),
            &own
        ));
        let lost = Event::new(EventKind::Other).set_flag(Flag::Rescan);
        assert!(is_news(Ok(&lost), &own));
        assert!(is_news(Err(&notify::Error::generic("queue overflow")), &own));
    }
}
