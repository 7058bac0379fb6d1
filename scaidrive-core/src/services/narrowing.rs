//! Who loses what where inherited entries become a resource's own: at one level a deny beats an allow, however far
//! away each came from.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::mutation::Tx;
use crate::model::acl::{self, Ace, AceType, Level, Standing};
use crate::model::{AclEntry, Principal, Result, Rights, ShareRole, Trustee};

/// What a principal lost where inherited entries became a resource's own.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Narrowed {
    /// `user`, `group` or `everyone`.
    pub principal_type: &'static str,
    /// Which; nothing for everyone.
    pub principal_id: Option<String>,
    /// What it may not do any more.
    pub permissions: Rights,
}

/// An entry's place in a list: whom it is about, its type, and whether it counts below.
pub(super) type Slot = (Trustee, AceType, bool);

/// Everything that counted on a resource, and what became of it.
pub(super) struct Copied<'c> {
    /// The entries that counted, the resource's own first, then nearer before farther.
    pub(super) levels: &'c [Vec<AclEntry>],
    /// The roles that counted where no entry said anything.
    pub(super) roles: &'c [(Trustee, ShareRole)],
    /// The entries that count now.
    pub(super) merged: &'c BTreeMap<Slot, Rights>,
}

impl Copied<'_> {
    /// Returns who lost what: everybody who is named, and whoever is in several groups of which one gave and
    /// another took.
    pub(super) async fn narrowed(&self, tx: &mut Tx<'_>) -> Result<Vec<Narrowed>> {
        let named: BTreeSet<Trustee> = self.merged.keys().map(|(trustee, ..)| trustee.clone()).collect();
        let people = people(tx, &named).await?;
        let mut lost: BTreeMap<Trustee, Rights> = BTreeMap::new();
        for (who, matching) in named.iter().map(|who| (who, matching(&people, who))) {
            lost.insert(who.clone(), self.loss(&matching));
        }
        for (who, matching) in people.iter().filter(|(who, _)| !named.contains(who)) {
            let told =
                matching.iter().filter_map(|other| lost.get(other)).fold(Rights::NONE, |all, one| all | *one);
            let more = self.loss(matching) - told;
            lost.insert(who.clone(), more);
        }
        let narrowed = |(who, permissions): (Trustee, Rights)| Narrowed {
            principal_type: who.kind(),
            principal_id: who.principal().map(|principal| principal.id().to_owned()),
            permissions,
        };
        Ok(lost.into_iter().filter(|(_, lost)| !lost.is_empty()).map(narrowed).collect())
    }

    /// Returns what somebody lost whom these trustees are about, and everyone.
    fn loss(&self, matching: &BTreeSet<Trustee>) -> Rights {
        let is_about = |other: &Trustee| matching.contains(other) || *other == Trustee::Everyone;
        let level = |entries: &Vec<AclEntry>| Level {
            entries: entries.iter().filter(|entry| is_about(&entry.trustee)).map(AclEntry::ace).collect(),
            ..Level::default()
        };
        let role = self.roles.iter().filter(|(other, _)| is_about(other)).map(|(_, role)| *role).max();
        let standing = Standing { is_tenant_admin: false, role };
        let from_root: Vec<Level> = self.levels.iter().rev().map(level).collect();
        let own = self.merged.iter().filter(|((other, ..), _)| is_about(other));
        let own = own.map(|((_, kind, inherits), rights)| Ace {
            kind: *kind,
            rights: *rights,
            inherits: *inherits,
        });
        let fenced = Level { entries: own.collect(), inherits_from_parent: false };
        acl::rights_along(standing, &from_root) - acl::rights_along(standing, &[fenced])
    }
}

type People = BTreeMap<Trustee, BTreeSet<Trustee>>;

/// Returns which of the named are about somebody.
fn matching(people: &People, who: &Trustee) -> BTreeSet<Trustee> {
    people.get(who).cloned().unwrap_or_else(|| BTreeSet::from([who.clone()]))
}

/// Returns whom more than one of the named are about, `everyone` left out, and which these are.
async fn people(tx: &mut Tx<'_>, named: &BTreeSet<Trustee>) -> Result<People> {
    let mut people = People::new();
    for trustee in named.iter().filter(|trustee| trustee.principal().is_some()) {
        people.entry(trustee.clone()).or_default().insert(trustee.clone());
        let Some(Principal::Group(group)) = trustee.principal() else { continue };
        for (holder, _) in tx.rows.groups_above(tx.caller.tenant, group).await? {
            let holder = Trustee::from(Principal::Group(holder));
            if named.contains(&holder) {
                people.entry(trustee.clone()).or_default().insert(holder);
            }
        }
        for user in tx.rows.group_usage(tx.caller.tenant, group).await?.1 {
            people.entry(Principal::User(user).into()).or_default().insert(trustee.clone());
        }
    }
    people.retain(|_, matching| matching.len() > 1);
    Ok(people)
}
