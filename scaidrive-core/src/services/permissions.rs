//! What callers may do, told to them: checks, effective rights, and why.

use serde::Serialize;

use super::access::{self, Right, Standpoint};
use super::identity;
use crate::Drive;
use crate::model::acl::{self, AceType, Level, Reason};
use crate::model::{Caller, Error, ResourceId, Result, Rights, ShareRole, Trustee, UserId};
use crate::ports::Reads;
use crate::ports::metadata::SeenEntry;

/// One question: may the caller do this to that?
#[derive(Clone, Copy, Debug)]
pub struct Question {
    /// The resource.
    pub resource: ResourceId,
    /// The right.
    pub right: Right,
}

/// Answers questions in their order. What is not there may not be done, as with what is not visible.
pub async fn check(drive: &Drive, caller: &Caller, questions: &[Question]) -> Result<Vec<bool>> {
    let mut rows = drive.read().await?;
    let ids: Vec<_> = questions.iter().filter_map(|question| question.resource.node()).collect();
    let nodes = access::unjudged_all(&mut *rows, caller, &ids).await?;
    let mut answers = Vec::with_capacity(questions.len());
    for Question { resource, right } in questions {
        let rights = match resource {
            ResourceId::Share(id) => {
                rows.seen_share(caller, *id).await?.map(|seen| Standpoint::of(caller, &seen).rights())
            }
            ResourceId::Node(id) => {
                nodes.iter().find(|found| found.node().id == *id).map(|found| found.rights)
            }
        };
        answers.push(rights.is_some_and(|rights| access::lets(rights, *right)));
    }
    Ok(answers)
}

/// What somebody may do to a resource.
#[derive(Clone, Debug, Serialize)]
#[expect(clippy::struct_excessive_bools, reason = "the wire shows each right by itself")]
pub struct Effective {
    /// The bits of the rights.
    pub permissions: u8,
    /// READ.
    pub can_read: bool,
    /// WRITE.
    pub can_write: bool,
    /// DELETE.
    pub can_delete: bool,
    /// CREATE.
    pub can_create: bool,
    /// SHARE.
    pub can_share: bool,
    /// MANAGE_PERMISSIONS.
    pub can_manage_permissions: bool,
    /// What decided each right, where that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub explanation: Option<Vec<Explanation>>,
}

/// What decided a right.
#[derive(Clone, Debug, Serialize)]
pub struct Explanation {
    /// The right.
    pub right: Right,
    /// Whether it is granted.
    pub allowed: bool,
    /// `tenant_admin`, `owner`, `entry`, `role`, `fence` or `nothing`.
    pub decided_by: &'static str,
    /// In words.
    pub reason: String,
    /// The entry, where one decided; its resource is left out where the caller may not know of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub entry: Option<DecidingEntry>,
    /// The role, where that decided.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role: Option<ShareRole>,
}

/// The entry that decided a right.
#[derive(Clone, Debug, Serialize)]
pub struct DecidingEntry {
    /// `share`, `folder` or `file`.
    pub resource_type: Option<&'static str>,
    /// Which.
    pub resource_id: Option<ResourceId>,
    /// Whether it stands on the resource itself or on one above.
    pub inherited: bool,
    /// `user`, `group` or `everyone`.
    pub principal_type: &'static str,
    /// Which; nothing for everyone.
    pub principal_id: Option<String>,
    /// Gives or takes.
    pub ace_type: AceType,
}

/// Returns what the caller, or another user whom it must be able to manage, may do to a resource.
pub async fn effective(
    drive: &Drive,
    caller: &Caller,
    resource: ResourceId,
    user: Option<&UserId>,
    explain: bool,
) -> Result<Effective> {
    let mut rows = drive.read().await?;
    let own = Sight::of(&mut *rows, caller, resource).await?;
    let manages = own.rights().has(Right::ManagePermissions);
    if !manages && !own.rights().has(Right::Read) {
        return Err(access::hidden(caller, Right::Read, resource));
    }
    let Some(user) = user.filter(|user| **user != caller.user) else {
        return Ok(own.effective(explain, manages));
    };
    if !manages {
        let resource = format!("{}/{resource}", resource.kind());
        return Err(Error::PermissionDenied { right: Right::ManagePermissions.as_str(), resource });
    }
    let unknown = || Error::invalid("user_id", "no such user", user.as_str());
    rows.user(caller.tenant, user).await?.ok_or_else(unknown)?;
    let other = Caller::local(caller.tenant, user.clone(), caller.request_id.clone());
    match identity::refreshed(&mut *rows, &other).await {
        Ok(other) => Ok(Sight::of(&mut *rows, &other, resource).await?.effective(explain, true)),
        // Who may not act at all has no rights.
        Err(Error::Suspended) => Ok(Effective::of(Rights::NONE)),
        Err(error) => Err(error),
    }
}

impl Effective {
    fn of(rights: Rights) -> Self {
        Self {
            permissions: rights.bits(),
            can_read: rights.has(Right::Read),
            can_write: rights.has(Right::Write),
            can_delete: rights.has(Right::Delete),
            can_create: rights.has(Right::Create),
            can_share: rights.has(Right::Share),
            can_manage_permissions: rights.has(Right::ManagePermissions),
            explanation: None,
        }
    }
}

/// A resource and all above it, each with the entries that match a caller; the share's root first.
struct Sight {
    standpoint: Standpoint,
    resources: Vec<ResourceId>,
    entries: Vec<Vec<SeenEntry>>,
    levels: Vec<Level>,
    /// Whether the way up is whole.
    reaches_root: bool,
}

impl Sight {
    async fn of(rows: &mut dyn Reads, caller: &Caller, resource: ResourceId) -> Result<Self> {
        let (share, nodes) = match resource {
            ResourceId::Share(id) => (rows.seen_share(caller, id).await?.ok_or(Error::NotFound)?, Vec::new()),
            ResourceId::Node(id) => {
                let chain = rows.seen_chain(caller, id).await?.ok_or(Error::NotFound)?;
                (chain.share, chain.nodes)
            }
        };
        let standpoint = Standpoint::of(caller, &share);
        let root = ResourceId::Share(share.share.id);
        let top = nodes.last().map(|(top, _)| top.parent.into());
        let mut sight = Self {
            reaches_root: top.is_none_or(|above: ResourceId| above == root),
            resources: vec![root],
            levels: vec![standpoint.level(&share.entries, true)],
            entries: vec![standpoint.counting(&share.entries).cloned().collect()],
            standpoint,
        };
        for (node, entries) in nodes.iter().rev() {
            sight.resources.push(node.id.into());
            sight.levels.push(sight.standpoint.level(entries, node.inherit_acl));
            sight.entries.push(sight.standpoint.counting(entries).cloned().collect());
        }
        if !sight.reaches_root {
            // What stood between is gone; nothing above it counts.
            sight.levels[1].inherits_from_parent = false;
        }
        Ok(sight)
    }

    fn rights(&self) -> Rights {
        acl::rights_along(self.standpoint.standing(), &self.levels)
    }

    /// Tells which of the resources on the way the caller itself may read.
    fn readable(&self) -> Vec<bool> {
        let readable =
            |to: usize| acl::rights_along(self.standpoint.standing(), &self.levels[..=to]).has(Right::Read);
        (0..self.levels.len()).map(readable).collect()
    }

    fn effective(&self, explain: bool, shows_all: bool) -> Effective {
        let mut effective = Effective::of(self.rights());
        if explain {
            let readable = self.readable();
            let shows = |at: usize| shows_all || readable[at];
            effective.explanation =
                Some(Right::ALL.iter().map(|right| self.explain(*right, &shows)).collect());
        }
        effective
    }

    fn explain(&self, right: Right, shows: &dyn Fn(usize) -> bool) -> Explanation {
        let (allowed, reason) = acl::explain(self.standpoint.standing(), &self.levels, right);
        let mut told = Explanation {
            right,
            allowed,
            decided_by: reason.as_str(),
            reason: reason.to_string(),
            entry: None,
            role: None,
        };
        match reason {
            Reason::Entry { level, entry } => told.entry = Some(self.entry(level, entry, shows(level))),
            Reason::Role(role) => told.role = Some(role),
            _ => {}
        }
        told
    }

    fn entry(&self, level: usize, entry: usize, is_shown: bool) -> DecidingEntry {
        let found = &self.entries[level][entry];
        let resource = Some(self.resources[level]).filter(|_| is_shown);
        DecidingEntry {
            resource_type: resource.map(ResourceId::kind),
            resource_id: resource,
            inherited: level + 1 < self.levels.len(),
            principal_type: found.trustee.kind(),
            principal_id: match &found.trustee {
                Trustee::Everyone => None,
                Trustee::Principal(principal) => Some(principal.id().to_owned()),
            },
            ace_type: found.ace.kind,
        }
    }
}
