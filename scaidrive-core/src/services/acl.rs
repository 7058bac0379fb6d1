//! Access control lists: look at, change, break and mend inheritance, hand ownership over.
//!
//! Every change takes the share's row alone, which all who place or change a node in it hold shared: when a revoke
//! has been answered, nothing that it forbids is still on its way to a commit.

use std::collections::BTreeMap;

use async_trait::async_trait;
use serde::Serialize;

use super::access::{self, Located, Right};
use super::mutation::{self, Mutation, Tx};
use super::narrowing::{Copied, Slot};
use super::tree;
use crate::Drive;
use crate::model::acl::AceType;
use crate::model::{
    AceId, AclEntry, AuditCategory, AuditEvent, Caller, Change, ChangeKind, Error, Member, Node, NodeId,
    Principal, ResourceId, ResourceKind, Result, Rights, Share, ShareId, ShareRole, Timestamp, Trustee,
    UserId,
};
use crate::ports::Reads;

pub use super::narrowing::Narrowed;

/// The most entries of one list: what a person can still understand.
pub const MOST_ENTRIES: usize = 1000;

/// An entry as somebody writes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewEntry {
    /// Whom it is about.
    pub trustee: Trustee,
    /// Gives or takes.
    pub kind: AceType,
    /// Which rights.
    pub rights: Rights,
    /// Whether it counts for what lies below, too.
    pub inherits: bool,
}

/// A resource of another, above it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct ResourceRef {
    /// `share`, `folder` or `file`.
    pub resource_type: &'static str,
    /// Which.
    pub resource_id: ResourceId,
}

impl From<ResourceId> for ResourceRef {
    fn from(id: ResourceId) -> Self {
        Self { resource_type: id.kind(), resource_id: id }
    }
}

/// An entry as the wire shows it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct EntryInfo {
    /// Its id.
    pub id: AceId,
    /// `user`, `group` or `everyone`.
    pub principal_type: &'static str,
    /// Which; nothing for everyone.
    pub principal_id: Option<String>,
    /// What it is called.
    pub principal_name: Option<String>,
    /// Gives or takes.
    pub ace_type: AceType,
    /// Which rights.
    pub permissions: Rights,
    /// Whether it counts for what lies below, too.
    pub inherit_to_children: bool,
    /// Where it comes from; nothing for the resource's own.
    pub inherited_from: Option<ResourceRef>,
    /// Who made it.
    pub created_by: UserId,
    /// When.
    pub created_at: Timestamp,
}

/// An access control list as the wire shows it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct AclInfo {
    /// `share`, `folder` or `file`.
    pub resource_type: &'static str,
    /// Which.
    pub resource_id: ResourceId,
    /// Whether what lies above counts, too.
    pub inherit_from_parent: bool,
    /// Its own entries, then those it inherits, nearest first.
    pub entries: Vec<EntryInfo>,
}

/// A resource whose permissions the caller may change.
struct Managed {
    resource: ResourceId,
    share: Share,
    /// Nothing for a share.
    node: Option<Located>,
}

impl Managed {
    async fn find(rows: &mut dyn Reads, caller: &Caller, resource: ResourceId) -> Result<Self> {
        match resource {
            ResourceId::Share(id) => {
                let share = access::share(rows, caller, id, Right::ManagePermissions).await?;
                Ok(Self { resource, share, node: None })
            }
            ResourceId::Node(id) => {
                let found = access::any_node(rows, caller, id, Right::ManagePermissions).await?;
                Ok(Self { resource, share: found.share.clone(), node: Some(found) })
            }
        }
    }

    /// Finds it, takes its share's row alone, and finds it again as it is then.
    async fn lock(tx: &mut Tx<'_>, resource: ResourceId) -> Result<Self> {
        let before = Self::find(tx.rows, tx.caller, resource).await?.share.id;
        tx.rows.lock_tree(tx.caller.tenant, before).await?.ok_or(Error::NotFound)?;
        let after = Self::find(tx.rows, tx.caller, resource).await?;
        if after.share.id == before {
            Ok(after)
        } else {
            Err(Error::unavailable("the item, which is just being moved", std::time::Duration::from_secs(1)))
        }
    }

    fn inherits(&self) -> bool {
        self.node.as_ref().is_some_and(|found| found.node().inherit_acl)
    }

    /// Returns what lies above as far as it is inherited, nearest first.
    fn above(&self) -> Vec<ResourceId> {
        let Some(found) = &self.node else { return Vec::new() };
        let mut above = Vec::new();
        let mut open = found.node().inherit_acl;
        for node in found.ancestors() {
            if !open {
                return above;
            }
            above.push(node.id.into());
            open = node.inherit_acl;
        }
        above.extend((open && found.reaches_root()).then_some(ResourceId::Share(self.share.id)));
        above
    }

    /// Notes that nodes of the share have entries from now on, tells feed readers and administrators.
    async fn changed(&self, tx: &mut Tx<'_>, action: &'static str, payload: serde_json::Value) -> Result<()> {
        let change = match &self.node {
            None => access_changed(&self.share),
            Some(found) => {
                if !self.share.has_acl {
                    tx.rows.mark_acl(tx.caller.tenant, self.share.id).await?;
                }
                tree::access_changed(found.node(), found.path())
            }
        };
        tx.change(change);
        tx.audit(self.audit(action).with(payload));
        Ok(())
    }

    fn audit(&self, action: &'static str) -> AuditEvent {
        let kind = match self.resource {
            ResourceId::Share(_) => ResourceKind::Share,
            ResourceId::Node(NodeId::Folder(_)) => ResourceKind::Folder,
            ResourceId::Node(NodeId::File(_)) => ResourceKind::File,
        };
        let event = AuditEvent::new(AuditCategory::Authorization, action, kind, self.resource);
        match &self.node {
            Some(found) => event.at(found.path()),
            None => event,
        }
    }
}

/// Returns the row that tells a share's readers that what they may see has changed.
pub(super) fn access_changed(share: &Share) -> Change {
    Change {
        share: share.id,
        resource: ResourceKind::Share,
        resource_id: share.id.to_string(),
        kind: ChangeKind::Updated,
        old_path: None,
        new_path: None,
        version: None,
        metadata: serde_json::json!({ "name": share.name, "access_changed": true }),
    }
}

/// Tells the readers of these shares that what they may see has changed.
pub(super) async fn tell_access_changed(tx: &mut Tx<'_>, shares: Vec<ShareId>) -> Result<()> {
    for id in shares {
        if let Some(share) = tx.rows.share(tx.caller.tenant, id).await? {
            tx.change(access_changed(&share));
        }
    }
    Ok(())
}

/// Returns the access control list of a resource, with what it inherits.
pub async fn get(drive: &Drive, caller: &Caller, resource: ResourceId) -> Result<AclInfo> {
    let mut rows = drive.read().await?;
    let managed = Managed::find(&mut *rows, caller, resource).await?;
    info(&mut *rows, caller, &managed).await
}

async fn info(rows: &mut dyn Reads, caller: &Caller, managed: &Managed) -> Result<AclInfo> {
    let mut entries = rows.acl(caller.tenant, managed.resource).await?;
    for above in managed.above() {
        entries.extend(rows.acl(caller.tenant, above).await?.into_iter().filter(|entry| entry.inherits));
    }
    let principals: Vec<Principal> =
        entries.iter().filter_map(|entry| entry.trustee.principal().cloned()).collect();
    let names: BTreeMap<Principal, Option<String>> =
        rows.principal_names(caller.tenant, &principals).await?.into_iter().collect();
    let shown = |entry: &AclEntry| EntryInfo {
        id: entry.id,
        principal_type: entry.trustee.kind(),
        principal_id: entry.trustee.principal().map(|principal| principal.id().to_owned()),
        principal_name: entry.trustee.principal().and_then(|principal| names.get(principal)?.clone()),
        ace_type: entry.kind,
        permissions: entry.rights,
        inherit_to_children: entry.inherits,
        inherited_from: (entry.resource != managed.resource).then(|| entry.resource.into()),
        created_by: entry.created_by.clone(),
        created_at: entry.created_at,
    };
    Ok(AclInfo {
        resource_type: managed.resource.kind(),
        resource_id: managed.resource,
        inherit_from_parent: managed.inherits(),
        entries: entries.iter().map(shown).collect(),
    })
}

/// Adds an entry; `AlreadyExists` if the resource has one of that trustee and type.
pub async fn add(drive: &Drive, caller: &Caller, resource: ResourceId, new: NewEntry) -> Result<EntryInfo> {
    let slot = (new.trustee.clone(), new.kind);
    let list = mutation::run(drive, caller, Write { resource, new: vec![new], replaces: false }).await?;
    let is_new = |entry: &EntryInfo| {
        entry.inherited_from.is_none()
            && entry.ace_type == slot.1
            && entry.principal_type == slot.0.kind()
            && entry.principal_id.as_deref() == slot.0.principal().map(Principal::id)
    };
    let added = list.entries.into_iter().find(is_new);
    added.ok_or_else(|| Error::internal("an entry was added and is none"))
}

/// Replaces every entry of a resource.
pub async fn replace(
    drive: &Drive,
    caller: &Caller,
    resource: ResourceId,
    entries: Vec<NewEntry>,
) -> Result<AclInfo> {
    if entries.len() > MOST_ENTRIES {
        return Err(Error::invalid("entries", format!("at most {MOST_ENTRIES}"), entries.len()));
    }
    mutation::run(drive, caller, Write { resource, new: entries, replaces: true }).await
}

struct Write {
    resource: ResourceId,
    new: Vec<NewEntry>,
    replaces: bool,
}

#[async_trait]
impl Mutation for Write {
    type Output = AclInfo;

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<Self::Output> {
        let managed = Managed::lock(tx, self.resource).await?;
        let before = tx.rows.acl(tx.caller.tenant, self.resource).await?;
        if self.replaces {
            tx.rows.clear_acl(tx.caller.tenant, self.resource).await?;
        } else {
            self.check_new(&before)?;
        }
        for entry in &self.new {
            check(tx, entry).await?;
            insert(tx, &managed, entry).await?;
        }
        let payload = serde_json::json!({
            "before": if self.replaces { told(before.iter().map(written)) } else { serde_json::Value::Null },
            "entries": told(self.new.iter().cloned()),
        });
        managed.changed(tx, if self.replaces { "acl.replace" } else { "acl.add" }, payload).await?;
        // Not looked up again: the caller may just have given its own right away.
        info(tx.rows, tx.caller, &managed).await
    }
}

impl Write {
    fn check_new(&self, before: &[AclEntry]) -> Result<()> {
        let taken =
            |new: &NewEntry| before.iter().any(|old| old.trustee == new.trustee && old.kind == new.kind);
        if let Some(new) = self.new.iter().find(|new| taken(new)) {
            return Err(Error::AlreadyExists { what: format!("{} entry for {}", new.kind, new.trustee) });
        }
        if before.len() + self.new.len() > MOST_ENTRIES {
            return Err(Error::invalid(
                "entries",
                format!("a list has at most {MOST_ENTRIES}"),
                before.len(),
            ));
        }
        Ok(())
    }
}

fn written(entry: &AclEntry) -> NewEntry {
    NewEntry {
        trustee: entry.trustee.clone(),
        kind: entry.kind,
        rights: entry.rights,
        inherits: entry.inherits,
    }
}

/// Returns entries as the audit keeps them.
fn told(entries: impl Iterator<Item = NewEntry>) -> serde_json::Value {
    let entry = |entry: NewEntry| {
        serde_json::json!({
            "principal": entry.trustee.to_string(), "ace_type": entry.kind, "permissions": entry.rights,
            "inherit_to_children": entry.inherits,
        })
    };
    entries.map(entry).collect()
}

/// Fails for an entry that grants nothing, or about somebody whom the tenant does not know.
async fn check(tx: &mut Tx<'_>, entry: &NewEntry) -> Result<()> {
    if entry.rights.is_empty() {
        return Err(Error::invalid("permissions", "give at least one", serde_json::json!([])));
    }
    match entry.trustee.principal() {
        Some(principal) => known_principal(tx.rows, tx.caller, principal).await,
        None => Ok(()),
    }
}

/// Fails unless the tenant knows a principal, and has not removed it.
pub(super) async fn known_principal(
    rows: &mut dyn Reads,
    caller: &Caller,
    principal: &Principal,
) -> Result<()> {
    let is_known = match principal {
        Principal::User(id) => rows
            .user(caller.tenant, id)
            .await?
            .is_some_and(|user| user.status != crate::model::UserStatus::Deleted),
        Principal::Group(id) => rows.group(caller.tenant, id).await?.is_some(),
    };
    let what = format!("no such {}", principal.kind());
    if is_known { Ok(()) } else { Err(Error::invalid("principal_id", what, principal.id())) }
}

async fn insert(tx: &mut Tx<'_>, managed: &Managed, entry: &NewEntry) -> Result<()> {
    let row = AclEntry {
        id: AceId::new(tx.ulid()),
        resource: managed.resource,
        share: managed.share.id,
        trustee: entry.trustee.clone(),
        kind: entry.kind,
        rights: entry.rights,
        inherits: entry.inherits,
        created_by: tx.caller.user.clone(),
        created_at: tx.now,
    };
    tx.created(row.id);
    tx.rows.insert_ace(tx.caller.tenant, &row).await
}

/// Which entry of a resource to remove.
#[derive(Clone, Debug)]
pub enum Which {
    /// The one of this id.
    Id(AceId),
    /// The one of this trustee and type.
    Of(Trustee, AceType),
}

/// Removes an entry of a resource.
pub async fn remove(drive: &Drive, caller: &Caller, resource: ResourceId, which: Which) -> Result<()> {
    mutation::run(drive, caller, Remove { resource, which }).await
}

struct Remove {
    resource: ResourceId,
    which: Which,
}

#[async_trait]
impl Mutation for Remove {
    type Output = ();

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<()> {
        let managed = Managed::lock(tx, self.resource).await?;
        let own = tx.rows.acl(tx.caller.tenant, self.resource).await?;
        let is_meant = |entry: &&AclEntry| match &self.which {
            Which::Id(id) => entry.id == *id,
            Which::Of(trustee, kind) => entry.trustee == *trustee && entry.kind == *kind,
        };
        let found = own.iter().find(is_meant).ok_or(Error::NotFound)?;
        tx.rows.delete_ace(tx.caller.tenant, self.resource, &found.trustee, found.kind).await?;
        let payload = serde_json::json!({ "entries": told(std::iter::once(written(found))) });
        managed.changed(tx, "acl.remove", payload).await
    }
}

/// A list after its inheritance was changed.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Inheritance {
    /// The list.
    #[serde(flatten)]
    pub acl: AclInfo,
    /// Who lost what by the copy.
    pub narrowed: Vec<Narrowed>,
}

/// Makes a folder or file inherit from above, or not; `copy_inherited` turns what it inherited into entries of its
/// own, which may take rights away but never gives any.
pub async fn set_inheritance(
    drive: &Drive,
    caller: &Caller,
    resource: ResourceId,
    inherit_from_parent: bool,
    copy_inherited: bool,
) -> Result<Inheritance> {
    let ResourceId::Node(_) = resource else {
        return Err(Error::invalid("resource_type", "a share has nothing above it to inherit from", "share"));
    };
    if inherit_from_parent && copy_inherited {
        return Err(Error::invalid("copy_inherited", "goes with inherit_from_parent: false only", true));
    }
    mutation::run(drive, caller, SetInheritance { resource, inherit_from_parent, copy_inherited }).await
}

struct SetInheritance {
    resource: ResourceId,
    inherit_from_parent: bool,
    copy_inherited: bool,
}

#[async_trait]
impl Mutation for SetInheritance {
    type Output = Inheritance;

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<Inheritance> {
        let mut managed = Managed::lock(tx, self.resource).await?;
        let mut narrowed = Vec::new();
        if managed.inherits() != self.inherit_from_parent {
            if self.copy_inherited {
                narrowed = copy(tx, &managed).await?;
            }
            if let Some(found) = managed.node.take() {
                let node = Node { inherit_acl: self.inherit_from_parent, ..found.node().clone() };
                tx.rows.update_node(&node).await?;
                managed.node = Some(found.with_node(node));
            }
            let payload = serde_json::json!({
                "inherit_from_parent": self.inherit_from_parent, "copy_inherited": self.copy_inherited,
                "narrowed": narrowed,
            });
            managed.changed(tx, "acl.inheritance", payload).await?;
        }
        Ok(Inheritance { acl: info(tx.rows, tx.caller, &managed).await?, narrowed })
    }
}

/// Turns all that a resource inherits, roles included, into entries of its own; returns who lost what.
async fn copy(tx: &mut Tx<'_>, managed: &Managed) -> Result<Vec<Narrowed>> {
    let tenant = tx.caller.tenant;
    let mut levels = vec![tx.rows.acl(tenant, managed.resource).await?];
    for above in managed.above() {
        levels.push(tx.rows.acl(tenant, above).await?.into_iter().filter(|entry| entry.inherits).collect());
    }
    // Where somebody above broke inheritance already, roles do not count here.
    let reaches_root = managed.above().last() == Some(&ResourceId::Share(managed.share.id));
    let roles = if reaches_root { granted_roles(tx, managed).await? } else { Vec::new() };
    let mut merged: BTreeMap<Slot, Rights> = BTreeMap::new();
    for entry in levels.iter().flatten() {
        *merged.entry((entry.trustee.clone(), entry.kind, entry.inherits)).or_default() |= entry.rights;
    }
    for (trustee, role) in &roles {
        *merged.entry((trustee.clone(), AceType::Allow, true)).or_default() |= role.rights();
    }
    let copied = Copied { levels: &levels, roles: &roles, merged: &merged };
    let narrowed = copied.narrowed(tx).await?;
    tx.rows.clear_acl(tenant, managed.resource).await?;
    for ((trustee, kind, inherits), rights) in merged {
        insert(tx, managed, &NewEntry { trustee, kind, rights, inherits }).await?;
    }
    Ok(narrowed)
}

/// Returns whom the share grants roles, its owner left out: nothing can lock that one out.
async fn granted_roles(tx: &mut Tx<'_>, managed: &Managed) -> Result<Vec<(Trustee, ShareRole)>> {
    let (members, _) = tx.rows.members(tx.caller.tenant, managed.share.id, u32::MAX, 0).await?;
    let counts = |member: &&Member| {
        member.principal != managed.share.owner && member.expires_at.is_none_or(|end| end > tx.now)
    };
    let granted = members.iter().filter(counts).map(|member| (member.principal.clone().into(), member.role));
    Ok(granted.chain(managed.share.is_public.then_some((Trustee::Everyone, ShareRole::Reader))).collect())
}
