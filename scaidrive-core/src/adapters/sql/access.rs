//! Queries of entries, members and invitations; the looks at what matches a caller are in `sight`.

use async_trait::async_trait;

use super::errors::is_duplicate;
use super::search::contains;
use super::sight::rights;
use super::statement::{SqlRow, Statement, sql};
use super::tenancy::{USER_COLUMNS, user_at};
use super::{ROWS_PER_STATEMENT, SqlRows};
use crate::model::acl::AceType;
use crate::model::{
    AclEntry, Caller, Error, Group, GroupId, Invitation, InvitationId, InvitationStatus, Member, MemberId,
    Node, NodeId, ParentId, Principal, ResourceId, Result, ShareId, TenantId, Timestamp, Trustee, User,
    UserId,
};
use crate::ports::metadata::{
    AccessReads, AccessWrites, Account, ChildQuery, Page, SeenChain, SeenEntry, SeenShare, UserSearch,
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

#[async_trait]
impl AccessWrites for SqlRows<'_> {
    async fn update_user(&mut self, user: &User) -> Result<()> {
        let update =
            sql("UPDATE users SET email = ?, name = ?, display_name = ?, avatar_url = ?, status = ?, \
             admin_role = ?, provisioning_source = ?, synced_at = ? WHERE tenant_id = ? AND id = ?")
            .bind(user.email.clone())
            .bind(user.name.clone())
            .bind(user.display_name.clone())
            .bind(user.avatar_url.clone())
            .text(user.status)
            .bind(user.admin_role.map(|role| role.to_string()))
            .bind(user.provisioning_source.as_str())
            .bind(user.scaikey_synced_at.map(Timestamp::as_micros))
            .text(user.tenant_id)
            .raw(user.id.as_str());
        self.conn.execute(update).await.map(drop)
    }

    async fn note_first_login(&mut self, tenant: TenantId, user: &UserId, at: Timestamp) -> Result<bool> {
        let update = sql(
            "UPDATE users SET last_login_at = ? WHERE tenant_id = ? AND id = ? AND last_login_at IS NULL",
        );
        Ok(self.conn.execute(update.bind(at.as_micros()).text(tenant).raw(user.as_str())).await? == 1)
    }

    async fn note_token(&mut self, tenant: TenantId, user: &UserId, issued_at: Timestamp) -> Result<bool> {
        let update = sql("UPDATE users SET token_issued_at = ? WHERE tenant_id = ? AND id = ? \
             AND (token_issued_at IS NULL OR token_issued_at < ?)");
        let update = update.bind(issued_at.as_micros()).text(tenant).raw(user.as_str());
        Ok(self.conn.execute(update.bind(issued_at.as_micros())).await? == 1)
    }

    async fn note_login(&mut self, tenant: TenantId, user: &UserId, at: Timestamp) -> Result<()> {
        let update = sql("UPDATE users SET last_login_at = ? WHERE tenant_id = ? AND id = ?");
        self.conn.execute(update.bind(at.as_micros()).text(tenant).raw(user.as_str())).await.map(drop)
    }

    async fn insert_ace(&mut self, tenant: TenantId, entry: &AclEntry) -> Result<()> {
        let insert =
            sql("INSERT INTO acl_entries (tenant_id, resource_id, trustee, ace_type, id, share_id, rights, \
             inherits, created_by, created_at) VALUES ")
            .push_groups(1, 10)
            .text(tenant)
            .text(entry.resource)
            .raw(&entry.trustee.to_string())
            .text(entry.kind)
            .text(entry.id)
            .text(entry.share)
            .bind(i64::from(entry.rights.bits()))
            .bind(entry.inherits)
            .raw(entry.created_by.as_str())
            .bind(entry.created_at.as_micros());
        let what = || format!("{} entry for {}", entry.kind, entry.trustee);
        self.conn.execute(insert).await.map(drop).map_err(|error| taken(error, what))
    }

    async fn delete_ace(
        &mut self,
        tenant: TenantId,
        resource: ResourceId,
        trustee: &Trustee,
        kind: AceType,
    ) -> Result<bool> {
        let delete = sql(
            "DELETE FROM acl_entries WHERE tenant_id = ? AND resource_id = ? AND trustee = ? AND ace_type = ?",
        );
        let delete = delete.text(tenant).text(resource).raw(&trustee.to_string()).text(kind);
        Ok(self.conn.execute(delete).await? > 0)
    }

    async fn clear_acl(&mut self, tenant: TenantId, resource: ResourceId) -> Result<()> {
        let delete = sql("DELETE FROM acl_entries WHERE tenant_id = ? AND resource_id = ?");
        self.conn.execute(delete.text(tenant).text(resource)).await.map(drop)
    }

    async fn delete_allows(&mut self, tenant: TenantId, share: ShareId, principal: &Principal) -> Result<()> {
        let delete = sql(
            "DELETE FROM acl_entries WHERE tenant_id = ? AND trustee = ? AND share_id = ? AND ace_type = ?",
        );
        let delete = delete.text(tenant).raw(&principal.to_string()).text(share).text(AceType::Allow);
        self.conn.execute(delete).await.map(drop)
    }

    async fn mark_acl(&mut self, tenant: TenantId, share: ShareId) -> Result<()> {
        let update = sql("UPDATE shares SET has_acl = 1 WHERE tenant_id = ? AND id = ?");
        self.conn.execute(update.text(tenant).text(share)).await.map(drop)
    }

    async fn move_acl(
        &mut self,
        tenant: TenantId,
        root: NodeId,
        (from, to): (ShareId, ShareId),
        now: Timestamp,
    ) -> Result<()> {
        const MOVED: &str = "tenant_id = ? AND (resource_id = ? OR resource_id IN ( \
             SELECT id FROM ( WITH RECURSIVE sub (id) AS ( \
             SELECT id FROM nodes WHERE tenant_id = ? AND parent_id = ? \
             UNION ALL \
             SELECT c.id FROM sub CROSS JOIN nodes c ON c.tenant_id = ? AND c.parent_id = sub.id) \
             SELECT id FROM sub) below))";
        let moved =
            |query: Statement| query.push(MOVED).text(tenant).text(root).text(tenant).text(root).text(tenant);
        let end = moved(sql("DELETE FROM acl_entries WHERE "))
            .push(
                " AND ace_type = ? AND trustee IN (SELECT principal FROM members \
                 WHERE tenant_id = ? AND share_id = ? AND expires_at <= ?)",
            )
            .text(AceType::Allow)
            .text(tenant)
            .text(from)
            .bind(now.as_micros());
        self.conn.execute(end).await?;
        let update = moved(sql("UPDATE acl_entries SET share_id = ? WHERE ").text(to));
        self.conn.execute(update).await.map(drop)
    }

    async fn set_node_owner(&mut self, tenant: TenantId, id: NodeId, owner: &UserId) -> Result<()> {
        let update = sql("UPDATE nodes SET owner_id = ? WHERE tenant_id = ? AND id = ?");
        self.conn.execute(update.raw(owner.as_str()).text(tenant).text(id)).await.map(drop)
    }

    async fn insert_member(&mut self, tenant: TenantId, member: &Member) -> Result<()> {
        let insert = sql("INSERT INTO members (tenant_id, share_id, principal, id, role, expires_at, added_by, created_at) \
             VALUES ")
        .push_groups(1, 8)
        .text(tenant)
        .text(member.share)
        .raw(&member.principal.to_string())
        .text(member.id)
        .text(member.role)
        .bind(member.expires_at.map(Timestamp::as_micros))
        .raw(member.added_by.as_str())
        .bind(member.created_at.as_micros());
        let what = || format!("member {}", member.principal);
        self.conn.execute(insert).await.map(drop).map_err(|error| taken(error, what))
    }

    async fn update_member(&mut self, tenant: TenantId, member: &Member) -> Result<()> {
        let update = sql("UPDATE members SET role = ?, expires_at = ? WHERE tenant_id = ? AND id = ?")
            .text(member.role)
            .bind(member.expires_at.map(Timestamp::as_micros))
            .text(tenant)
            .text(member.id);
        self.conn.execute(update).await.map(drop)
    }

    async fn delete_member(&mut self, tenant: TenantId, id: MemberId) -> Result<()> {
        let delete = sql("DELETE FROM members WHERE tenant_id = ? AND id = ?");
        self.conn.execute(delete.text(tenant).text(id)).await.map(drop)
    }

    async fn insert_group(&mut self, group: &Group) -> Result<()> {
        self.add_group(group).await
    }

    async fn update_group(&mut self, group: &Group) -> Result<()> {
        self.replace_group(group).await
    }

    async fn delete_group(&mut self, tenant: TenantId, id: &GroupId) -> Result<()> {
        self.drop_group(tenant, id).await
    }

    async fn join_group(
        &mut self,
        tenant: TenantId,
        group: &GroupId,
        member: &Principal,
        now: Timestamp,
    ) -> Result<bool> {
        self.put_in_group(tenant, group, member, now).await
    }

    async fn leave_group(
        &mut self,
        tenant: TenantId,
        group: &GroupId,
        member: &Principal,
        now: Timestamp,
    ) -> Result<bool> {
        self.take_from_group(tenant, group, member, now).await
    }

    async fn lock_groups(&mut self, tenant: TenantId) -> Result<()> {
        self.write_lock(tenant, "groups").await?;
        // SQLite has one writer: nothing can change under it.
        let lock = self.dialect().current_read();
        let query = sql("SELECT 1 FROM tenants WHERE id = ?").push(lock).text(tenant);
        self.conn.fetch_one(query).await.map(drop)
    }

    async fn insert_invitation(&mut self, tenant: TenantId, invitation: &Invitation) -> Result<()> {
        let insert = sql(
            "INSERT INTO invitations (tenant_id, id, share_id, email, role, message, status, invited_by, \
             created_at, expires_at) VALUES ",
        )
        .push_groups(1, 10)
        .text(tenant)
        .text(invitation.id)
        .text(invitation.share_id)
        .raw(&invitation.email)
        .text(invitation.role)
        .bind(invitation.message.clone())
        .text(invitation.status)
        .raw(invitation.invited_by.as_str())
        .bind(invitation.created_at.as_micros())
        .bind(invitation.expires_at.as_micros());
        self.conn.execute(insert).await.map(drop)
    }

    async fn answer_invitation(&mut self, tenant: TenantId, invitation: &Invitation) -> Result<bool> {
        let update = sql("UPDATE invitations SET status = ?, answered_at = ? WHERE tenant_id = ? AND id = ? AND status = ?")
            .text(invitation.status)
            .bind(invitation.answered_at.map(Timestamp::as_micros))
            .text(tenant)
            .text(invitation.id)
            .text(InvitationStatus::Pending);
        Ok(self.conn.execute(update).await? == 1)
    }
}
