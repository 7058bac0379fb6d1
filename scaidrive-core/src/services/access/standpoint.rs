//! Where a caller stands in a share.

use std::sync::Arc;

use crate::model::acl::{self, Inherited, Level, Standing};
use crate::model::{Caller, Principal, Right, Rights, ShareRole, Trustee};
use crate::ports::metadata::{SeenEntry, SeenShare};

/// What a caller is in a share, and what the share's root says to it.
#[derive(Clone, Debug)]
pub struct Standpoint {
    pub(super) standing: Standing,
    /// Principals of the caller whose membership has run out: their entries in this share count for nothing.
    expired: Arc<[Principal]>,
    pub(super) root: Rights,
    pub(super) below_root: Inherited,
}

impl Standpoint {
    /// Returns where a caller stands in a share.
    pub fn of(caller: &Caller, seen: &SeenShare) -> Self {
        let expired = seen.members.iter().filter(|member| member.is_expired);
        let mut standpoint = Self {
            standing: Standing { is_tenant_admin: caller.is_admin(), role: role(caller, seen) },
            expired: expired.map(|member| member.principal.clone()).collect(),
            root: Rights::NONE,
            below_root: Inherited::default(),
        };
        let root = standpoint.level(&seen.entries, true);
        standpoint.root = acl::decide(standpoint.standing, Inherited::default(), &root);
        standpoint.below_root = Inherited::default().through(&root);
        standpoint
    }

    /// Returns what the caller is in the share: its highest role that has not run out.
    pub const fn role(&self) -> Option<ShareRole> {
        self.standing.role
    }

    /// Returns the caller's rights on the share itself.
    pub const fn rights(&self) -> Rights {
        self.root
    }

    /// Returns what the caller is in the share, for the evaluation.
    pub(in crate::services) const fn standing(&self) -> Standing {
        self.standing
    }

    /// Returns those of the caller's entries that count.
    pub(in crate::services) fn counting<'e>(
        &self,
        entries: &'e [SeenEntry],
    ) -> impl Iterator<Item = &'e SeenEntry> {
        let expired = Arc::clone(&self.expired);
        entries.iter().filter(move |entry| match &entry.trustee {
            Trustee::Everyone => true,
            Trustee::Principal(principal) => !expired.contains(principal),
        })
    }

    /// Returns a resource as the caller sees it.
    pub(in crate::services) fn level(&self, entries: &[SeenEntry], inherits_from_parent: bool) -> Level {
        Level { entries: self.counting(entries).map(|entry| entry.ace).collect(), inherits_from_parent }
    }

    /// Returns what the share's root passes on to what it holds.
    pub(in crate::services) const fn below_root(&self) -> Inherited {
        self.below_root
    }

    /// Tells whether the caller may read what lies below the root, as far as nothing there says otherwise.
    pub(in crate::services) fn reads_below(&self) -> bool {
        self.decide(self.below_root, &Level::default()).has(Right::Read)
    }

    /// Returns the caller's rights on a resource, from what it inherits and its own entries.
    pub(in crate::services) fn decide(&self, above: Inherited, level: &Level) -> Rights {
        acl::decide(self.standing, above, level)
    }
}

fn role(caller: &Caller, seen: &SeenShare) -> Option<ShareRole> {
    if caller.is(&seen.share.owner) {
        return Some(ShareRole::Owner);
    }
    let member = seen.members.iter().filter(|member| !member.is_expired).map(|member| member.role).max();
    member.max(seen.share.is_public.then_some(ShareRole::Reader))
}
