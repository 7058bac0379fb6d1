//! What changes users, groups, entries, members and invitations.

use async_trait::async_trait;

use super::taken;
use crate::adapters::sql::SqlRows;
use crate::adapters::sql::statement::{Statement, sql};
use crate::model::acl::AceType;
use crate::model::{
    AclEntry, Group, GroupId, Invitation, InvitationStatus, Member, MemberId, NodeId, Principal, ResourceId,
    Result, ShareId, TenantId, Timestamp, Trustee, User, UserId,
};
use crate::ports::metadata::AccessWrites;

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
