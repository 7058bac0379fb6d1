//! Looks at the directory, and plans.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::{Engine, Event, blocking};
use crate::error::{Error, Result};
use crate::ignore_rules::IgnoreRules;
use crate::plan::{Note, Plan, RemoteStep, Signature, Situation, plan};
use crate::scan::{Scan, scan};
use crate::trees::LocalTree;

/// Deletions that nobody has to confirm.
const FEW_DELETIONS: usize = 100;

/// What was seen, and what follows from it.
pub(super) struct Sight {
    pub(super) local: LocalTree,
    pub(super) rules: IgnoreRules,
    pub(super) notes: Vec<Note>,
    pub(super) plan: Plan,
    pub(super) unread: usize,
}

impl Engine {
    /// Looks at the directory, and plans what is to be done.
    ///
    /// A file that is moved while the scanner passes is seen nowhere. So it takes two looks to believe that something
    /// was deleted.
    pub(super) async fn look(&mut self) -> Result<Sight> {
        let mut scan = self.scan().await?;
        let mut plan = self.plan(&scan);
        if plan.remote.iter().any(|step| matches!(step, RemoteStep::Delete { .. })) {
            scan = self.scan().await?;
            plan = self.plan(&scan);
        }
        self.check_deletions(&plan)?;
        self.announce(&plan);
        Ok(Sight { local: scan.tree, rules: scan.rules, notes: scan.notes, plan, unread: scan.changing })
    }

    async fn scan(&mut self) -> Result<Scan> {
        let (fs, system) = (Arc::clone(&self.ports.fs), Arc::clone(&self.ports.system));
        let mut contents = std::mem::take(&mut self.contents);
        let (scan, contents) = blocking(move || {
            let scan = scan(&*fs, &mut contents, &*system);
            (scan, contents)
        })
        .await;
        self.contents = contents;
        scan.map_err(|_| Error::RootMissing)
    }

    fn plan(&self, scan: &Scan) -> Plan {
        let held: BTreeSet<Signature> = self.held.keys().cloned().collect();
        plan(&Situation {
            remote: &self.state().remote,
            synced: &self.state().synced,
            local: &scan.tree,
            ignore: &scan.rules,
            naming: &self.naming(),
            held: &held,
        })
    }

    /// Fails if so many files are gone that a mistake is more likely than a wish.
    fn check_deletions(&self, plan: &Plan) -> Result<()> {
        let files = plan.remote_deletions();
        let all = self.state().synced.iter().filter(|item| item.file.is_some()).count();
        let is_usual = files <= FEW_DELETIONS || files * 2 <= all;
        if is_usual || self.options.may_delete_many {
            Ok(())
        } else {
            Err(Error::TooManyDeletions { files, all })
        }
    }

    fn announce(&self, plan: &Plan) {
        let sources = || plan.remote.iter().filter_map(RemoteStep::source);
        self.ports.observer.event(&Event::Planned {
            uploads: sources().count(),
            upload_bytes: sources().map(|source| source.stamp.size).sum(),
            downloads: plan.downloads.len(),
            download_bytes: plan.downloads.iter().map(|download| download.file.size).sum(),
        });
    }
}
