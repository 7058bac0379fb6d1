//! Queries of entries, members and invitations; the looks at what matches a caller are in `sight`.

mod writes;

use async_trait::async_trait;

use super::errors::is_duplicate;
use super::search::contains;
use super::sight::rights;
use super::statement::{SqlRow, Statement, sql};
use super::tenancy::{USER_COLUMNS, user_at};
use super::{ROWS_PER_STATEMENT, SqlRows};
use crate::model::{
    AclEntry, Caller, Error, Group, GroupId, Invitation, InvitationId, InvitationStatus, Member, MemberId,
    Node, NodeId, ParentId, Principal, ResourceId, Result, ShareId, TenantId, Timestamp, User,
};
use crate::ports::metadata::{
    AccessReads, Account, ChildQuery, Page, SeenChain, SeenEntry, SeenShare, UserSearch,
};

const ENTRY: &str = "SELECT id, resource_id, share_id, trustee, ace_type, rights, inherits, created_by, created_at \
     FROM acl_entries";
const MEMBER: &str = "SELECT id, share_id, principal, role, expires_at, added_by, created_at FROM members";
const INVITATION: &str = "SELECT id, share_id, email, role, message, status, invited_by, created_at, expires_at, \
     answered_at FROM invitations";

fn entry(row: &SqlRow) -> Result<AclEntry> {
    Ok(AclEntry {
        id: row.parse(0)?,
        resource: row.parse(1)?,
        share: row.parse(2)?,
        trustee: row.parse_raw(3)?,
        kind: row.parse(4)?,
        rights: rights(row, 5)?,
        inherits: row.int(6)? != 0,
        created_by: row.parse_raw(7)?,
        created_at: row.time(8)?,
    })
}

fn member(row: &SqlRow) -> Result<Member> {
    Ok(Member {
        id: row.parse(0)?,
        share: row.parse(1)?,
        principal: row.parse_raw(2)?,
        role: row.parse(3)?,
        expires_at: row.opt_time(4)?,
        added_by: row.parse_raw(5)?,
        created_at: row.time(6)?,
    })
}

fn invitation(row: &SqlRow) -> Result<Invitation> {
    Ok(Invitation {
        id: row.parse(0)?,
        share_id: row.parse(1)?,
        email: row.raw(2)?,
        role: row.parse(3)?,
        message: row.opt_string(4)?,
        status: row.parse(5)?,
        invited_by: row.parse_raw(6)?,
        created_at: row.time(7)?,
        expires_at: row.time(8)?,
        answered_at: row.opt_time(9)?,
    })
}

/// Says what exists already where a row could not be inserted.
pub(super) fn taken(error: Error, what: impl FnOnce() -> String) -> Error {
    if is_duplicate(&error) { Error::AlreadyExists { what: what() } } else { error }
}

/// Narrows a query of users to what is looked for.
fn matching(query: Statement, tenant: TenantId, search: &UserSearch) -> Statement {
    let mut query = query.push(" WHERE u.tenant_id = ?").text(tenant);
    if let Some(text) = search.search.as_deref().filter(|text| !text.is_empty()) {
        let names = ["COALESCE(u.name, '')", "COALESCE(u.display_name, '')", "COALESCE(u.email, '')"];
        query = contains(query.push(" AND ("), &names, text).push(" OR u.id = ?)").raw(text);
    }
    if let Some(status) = search.status {
        query = query.push(" AND u.status = ?").text(status);
    }
    match search.is_admin {
        Some(true) => query.push(" AND u.admin_role IS NOT NULL"),
        Some(false) => query.push(" AND u.admin_role IS NULL"),
        None => query,
    }
}

#[async_trait]
impl AccessReads for SqlRows<'_> {
    async fn account(&mut self, caller: &Caller) -> Result<Option<Account>> {
        self.read_account(caller).await
    }

    async fn seen_chains(&mut self, caller: &Caller, ids: &[NodeId]) -> Result<Vec<SeenChain>> {
        self.read_chains(caller, ids).await
    }

    async fn seen_share(&mut self, caller: &Caller, id: ShareId) -> Result<Option<SeenShare>> {
        self.read_seen_share(caller, id).await
    }

    async fn seen_shares(
        &mut self,
        caller: &Caller,
        all: bool,
        include_trashed: bool,
    ) -> Result<Vec<SeenShare>> {
        self.read_seen_shares(caller, all, include_trashed).await
    }

    async fn seen_entries(
        &mut self,
        caller: &Caller,
        resources: &[ResourceId],
    ) -> Result<Vec<(ResourceId, SeenEntry)>> {
        self.read_entries(caller, resources).await
    }

    async fn fenced_children(
        &mut self,
        caller: &Caller,
        parent: ParentId,
        include_trashed: bool,
        most: u32,
    ) -> Result<Vec<(NodeId, bool, Option<SeenEntry>)>> {
        self.read_fenced_children(caller, parent, include_trashed, most).await
    }

    async fn seen_children(
        &mut self,
        caller: &Caller,
        query: &ChildQuery,
    ) -> Result<Vec<(Node, Vec<SeenEntry>)>> {
        self.read_seen_children(caller, query).await
    }

    async fn fenced_below(&mut self, caller: &Caller, root: NodeId) -> Result<Vec<NodeId>> {
        self.read_fenced_below(caller, root).await
    }

    async fn acl(&mut self, tenant: TenantId, resource: ResourceId) -> Result<Vec<AclEntry>> {
        let query =
            sql(ENTRY).push(" WHERE tenant_id = ? AND resource_id = ? ORDER BY ace_type DESC, trustee");
        self.conn.fetch(query.text(tenant).text(resource)).await?.iter().map(entry).collect()
    }

    async fn members(
        &mut self,
        tenant: TenantId,
        share: ShareId,
        limit: u32,
        offset: u32,
    ) -> Result<Page<Member>> {
        let count = sql("SELECT COUNT(*) FROM members WHERE tenant_id = ? AND share_id = ?");
        let total = self.conn.fetch_number(count.text(tenant).text(share)).await?;
        let page = sql(MEMBER)
            .push(" WHERE tenant_id = ? AND share_id = ? ORDER BY created_at, id LIMIT ? OFFSET ?");
        let rows = self.conn.fetch(page.text(tenant).text(share).bind(limit).bind(offset)).await?;
        Ok((rows.iter().map(member).collect::<Result<_>>()?, u64::try_from(total).unwrap_or(0)))
    }

    async fn member(&mut self, tenant: TenantId, id: MemberId) -> Result<Option<Member>> {
        let query = sql(MEMBER).push(" WHERE tenant_id = ? AND id = ?").text(tenant).text(id);
        self.conn.fetch_one(query).await?.as_ref().map(member).transpose()
    }

    async fn expired_members(
        &mut self,
        tenant: TenantId,
        after: Timestamp,
        until: Timestamp,
        limit: u32,
    ) -> Result<Vec<Member>> {
        let query = sql(MEMBER)
            .push(" WHERE tenant_id = ? AND expires_at > ? AND expires_at <= ? ORDER BY expires_at LIMIT ?")
            .text(tenant)
            .bind(after.as_micros())
            .bind(until.as_micros())
            .bind(limit);
        self.conn.fetch(query).await?.iter().map(member).collect()
    }

    async fn groups(
        &mut self,
        tenant: TenantId,
        search: &str,
        limit: u32,
        offset: u32,
    ) -> Result<Page<Group>> {
        self.group_page(tenant, search, limit, offset).await
    }

    async fn group(&mut self, tenant: TenantId, id: &GroupId) -> Result<Option<Group>> {
        self.group_row(tenant, id).await
    }

    async fn group_members(&mut self, tenant: TenantId, id: &GroupId) -> Result<Vec<(Principal, Timestamp)>> {
        self.members_of_group(tenant, id).await
    }

    async fn groups_above(&mut self, tenant: TenantId, id: &GroupId) -> Result<Vec<(GroupId, u32)>> {
        self.holders_of(tenant, id).await
    }

    async fn depth_below(&mut self, tenant: TenantId, id: &GroupId) -> Result<u32> {
        self.deepest_below(tenant, id).await
    }

    async fn shares_of(&mut self, tenant: TenantId, principals: &[Principal]) -> Result<Vec<ShareId>> {
        if principals.is_empty() {
            return Ok(Vec::new());
        }
        let arms = [
            "SELECT share_id FROM members WHERE tenant_id = ? AND principal IN ",
            " UNION SELECT share_id FROM acl_entries WHERE tenant_id = ? AND trustee IN ",
            " UNION SELECT id FROM shares WHERE tenant_id = ? AND owner IN ",
        ];
        let query =
            arms.iter().fold(sql(""), |query, arm| query.push(arm).text(tenant).push_raw_list(principals));
        self.conn.fetch(query).await?.iter().map(|row| row.parse(0)).collect()
    }

    async fn principal_names(
        &mut self,
        tenant: TenantId,
        principals: &[Principal],
    ) -> Result<Vec<(Principal, Option<String>)>> {
        let mut found = Vec::new();
        for part in principals.chunks(ROWS_PER_STATEMENT) {
            let ids = |kind| {
                part.iter().filter(move |principal| principal.kind() == kind).map(|p| p.id().to_owned())
            };
            let users: Vec<String> = ids("user").collect();
            let groups: Vec<String> = ids("group").collect();
            for (kind, text, ids) in [
                (
                    "user",
                    "SELECT id, COALESCE(display_name, name, email) FROM users WHERE tenant_id = ? AND id IN ",
                    users,
                ),
                ("group", "SELECT id, name FROM user_groups WHERE tenant_id = ? AND id IN ", groups),
            ] {
                if !ids.is_empty() {
                    for row in self.conn.fetch(sql(text).text(tenant).push_raw_list(ids)).await? {
                        let id = row.raw(0)?;
                        let principal =
                            Principal::of(kind, &id).map_err(|_| Error::internal("a stored id is none"))?;
                        found.push((principal, row.opt_string(1)?));
                    }
                }
            }
        }
        Ok(found)
    }

    async fn invitations(&mut self, tenant: TenantId, share: ShareId) -> Result<Vec<Invitation>> {
        let query = sql(INVITATION).push(" WHERE tenant_id = ? AND share_id = ? ORDER BY id DESC LIMIT 1000");
        self.conn.fetch(query.text(tenant).text(share)).await?.iter().map(invitation).collect()
    }

    async fn invitations_to(&mut self, tenant: TenantId, email: &str) -> Result<Vec<Invitation>> {
        let query = sql(INVITATION)
            .push(" WHERE tenant_id = ? AND email = ? AND status = ? ORDER BY id DESC LIMIT 1000");
        let query = query.text(tenant).raw(email).text(InvitationStatus::Pending);
        self.conn.fetch(query).await?.iter().map(invitation).collect()
    }

    async fn invitation(&mut self, tenant: TenantId, id: InvitationId) -> Result<Option<Invitation>> {
        let query = sql(INVITATION).push(" WHERE tenant_id = ? AND id = ?").text(tenant).text(id);
        self.conn.fetch_one(query).await?.as_ref().map(invitation).transpose()
    }

    async fn search_users(&mut self, tenant: TenantId, search: &UserSearch) -> Result<Page<User>> {
        let count = matching(sql("SELECT COUNT(*) FROM users u"), tenant, search);
        let total = self.conn.fetch_number(count).await?;
        let page = matching(sql(format!("SELECT {USER_COLUMNS} FROM users u")), tenant, search);
        let page = page.push(" ORDER BY u.id LIMIT ? OFFSET ?").bind(search.limit).bind(search.offset);
        let users = self.conn.fetch(page).await?.iter().map(user_at).collect::<Result<_>>()?;
        Ok((users, u64::try_from(total).unwrap_or(0)))
    }
}
