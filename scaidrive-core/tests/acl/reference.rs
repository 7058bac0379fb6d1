//! The evaluation of permissions.md written down word by word, a right at a time, from the resource upward: slow,
//! plain, and independent of the code it judges.

use proptest::prelude::*;
use scaidrive_core::model::acl::{Ace, AceType, Inherited, Level, Standing, decide};
use scaidrive_core::model::{Right, Rights, ShareRole};

/// Whom entries and memberships name: the caller, one of the caller's groups, a group the caller is not in, everyone.
pub(crate) const GROUPS: usize = 3;

/// Whom an entry is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Who {
    /// The caller.
    Me,
    /// One of the caller's groups, by number.
    MyGroup(usize),
    /// Somebody else.
    Other,
    /// Every active user.
    Everyone,
}

/// An entry as an administrator writes it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entry {
    pub(crate) who: Who,
    pub(crate) allows: bool,
    pub(crate) rights: u8,
    pub(crate) inherits: bool,
}

/// A resource: its entries, and whether it takes over what lies above.
#[derive(Clone, Debug)]
pub(crate) struct Resource {
    pub(crate) entries: Vec<Entry>,
    pub(crate) inherits: bool,
}

/// A membership of the caller or of one of its groups.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Membership {
    pub(crate) who: Who,
    pub(crate) role: ShareRole,
    pub(crate) is_expired: bool,
}

/// Everything that decides.
#[derive(Clone, Debug)]
pub(crate) struct Scenario {
    pub(crate) is_tenant_admin: bool,
    pub(crate) owns: bool,
    pub(crate) is_public: bool,
    pub(crate) members: Vec<Membership>,
    /// The share's root first, the resource last.
    pub(crate) line: Vec<Resource>,
}

impl Scenario {
    /// An expired membership counts for nothing, nor do entries of its principal.
    fn counts(&self, who: Who) -> bool {
        let expired = self.members.iter().any(|member| member.who == who && member.is_expired);
        match who {
            Who::Other => false,
            Who::Everyone => true,
            Who::Me | Who::MyGroup(_) => !expired,
        }
    }

    /// Several roles through groups: the highest.
    pub(crate) fn role(&self) -> Option<ShareRole> {
        if self.owns {
            return Some(ShareRole::Owner);
        }
        let public = self.is_public.then_some(ShareRole::Reader);
        let live = self.members.iter().filter(|member| member.who != Who::Other && !member.is_expired);
        live.map(|member| member.role).chain(public).max()
    }

    /// Decides one right, as the five steps of the contract say.
    pub(crate) fn allows(&self, right: Right) -> bool {
        let bit = Rights::from(right).bits();
        if self.is_tenant_admin {
            return true;
        }
        if self.owns && right == Right::ManagePermissions {
            return true;
        }
        let mut stopped = false;
        for (distance, resource) in self.line.iter().rev().enumerate() {
            let matching: Vec<&Entry> = resource
                .entries
                .iter()
                .filter(|entry| self.counts(entry.who) && entry.rights & bit != 0)
                .filter(|entry| distance == 0 || entry.inherits)
                .collect();
            if matching.iter().any(|entry| !entry.allows) {
                return false;
            }
            if matching.iter().any(|entry| entry.allows) {
                return true;
            }
            if !resource.inherits {
                stopped = true;
                break;
            }
        }
        match self.role() {
            Some(ShareRole::Owner | ShareRole::Admin) => true,
            Some(ShareRole::Contributor) if !stopped => bit & 15 != 0,
            Some(ShareRole::Reader) if !stopped => bit & 1 != 0,
            _ => false,
        }
    }

    /// Returns every right that is granted.
    pub(crate) fn rights(&self) -> Rights {
        Right::ALL.iter().copied().filter(|right| self.allows(*right)).collect()
    }

    /// Returns what the code under test sees of this: entries that match the caller, the highest role.
    pub(crate) fn levels(&self) -> Vec<Level> {
        let ace = |entry: &Entry| Ace {
            kind: if entry.allows { AceType::Allow } else { AceType::Deny },
            rights: Rights::from_bits(entry.rights).unwrap(),
            inherits: entry.inherits,
        };
        let level = |resource: &Resource| Level {
            entries: resource.entries.iter().filter(|entry| self.counts(entry.who)).map(ace).collect(),
            inherits_from_parent: resource.inherits,
        };
        self.line.iter().map(level).collect()
    }

    /// Returns what the caller is in the share.
    pub(crate) fn standing(&self) -> Standing {
        Standing { is_tenant_admin: self.is_tenant_admin, role: self.role() }
    }

    /// Returns what the code under test decides.
    pub(crate) fn decided(&self) -> Rights {
        let levels = self.levels();
        let (own, above) = levels.split_last().unwrap();
        decide(self.standing(), Inherited::along(above), own)
    }
}

fn who() -> impl Strategy<Value = Who> {
    prop_oneof![
        2 => Just(Who::Me),
        3 => (0..GROUPS).prop_map(Who::MyGroup),
        1 => Just(Who::Other),
        1 => Just(Who::Everyone),
    ]
}

prop_compose! {
    fn entry()(who in who(), allows: bool, rights in 1u8..64, inherits in prop::bool::weighted(0.75)) -> Entry {
        Entry { who, allows, rights, inherits }
    }
}

prop_compose! {
    fn resource()(entries in prop::collection::vec(entry(), 0..6), inherits in prop::bool::weighted(0.85)) -> Resource {
        Resource { entries, inherits }
    }
}

fn member() -> impl Strategy<Value = Membership> {
    let who = prop_oneof![Just(Who::Me), (0..GROUPS).prop_map(Who::MyGroup), Just(Who::Other)];
    let role = prop_oneof![Just(ShareRole::Reader), Just(ShareRole::Contributor), Just(ShareRole::Admin)];
    (who, role, prop::bool::weighted(0.2)).prop_map(|(who, role, is_expired)| Membership {
        who,
        role,
        is_expired,
    })
}

prop_compose! {
    /// Returns any scenario up to a depth of twelve; the share's root has nothing above it to inherit from.
    pub(crate) fn scenario()(
        is_tenant_admin in prop::bool::weighted(0.03),
        owns in prop::bool::weighted(0.15),
        is_public in prop::bool::weighted(0.2),
        mut members in prop::collection::vec(member(), 0..4),
        mut line in prop::collection::vec(resource(), 1..13),
    ) -> Scenario {
        line[0].inherits = true;
        // One membership a principal.
        let mut seen = Vec::new();
        members.retain(|member| {
            let is_new = !seen.contains(&member.who);
            seen.push(member.who);
            is_new
        });
        Scenario { is_tenant_admin, owns, is_public, members, line }
    }
}
