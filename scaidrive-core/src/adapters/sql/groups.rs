//! Queries of groups and who is in them.

use super::SqlRows;
use super::access::taken;
use super::search::contains;
use super::sight::GROUP_DEPTH;
use super::statement::{SqlRow, Statement, sql};
use crate::model::{Error, Group, GroupId, Principal, Result, TenantId, Timestamp};
use crate::ports::metadata::Page;

const GROUP: &str = "SELECT id, tenant_id, name, description, source, created_at, synced_at FROM user_groups";

fn group(row: &SqlRow) -> Result<Group> {
    Ok(Group {
        id: row.parse_raw(0)?,
        tenant_id: row.parse(1)?,
        name: row.string(2)?,
        description: row.opt_string(3)?,
        provisioning_source: row.string(4)?,
        created_at: row.time(5)?,
        scaikey_synced_at: row.opt_time(6)?,
    })
}

fn holder(id: &GroupId) -> String {
    Principal::Group(id.clone()).to_string()
}

fn named(query: Statement, tenant: TenantId, search: &str) -> Statement {
    let query = query.push(" WHERE tenant_id = ?").text(tenant);
    if search.is_empty() {
        return query;
    }
    contains(query.push(" AND ("), &["name"], search).push(" OR id = ?)").raw(search)
}

impl SqlRows<'_> {
    pub(super) async fn group_page(
        &mut self,
        tenant: TenantId,
        search: &str,
        limit: u32,
        offset: u32,
    ) -> Result<Page<Group>> {
        let count = named(sql("SELECT COUNT(*) FROM user_groups"), tenant, search);
        let total = self.conn.fetch_number(count).await?;
        let page = named(sql(GROUP), tenant, search).push(" ORDER BY name, id LIMIT ? OFFSET ?");
        let rows = self.conn.fetch(page.bind(limit).bind(offset)).await?;
        Ok((rows.iter().map(group).collect::<Result<_>>()?, u64::try_from(total).unwrap_or(0)))
    }

    pub(super) async fn group_row(&mut self, tenant: TenantId, id: &GroupId) -> Result<Option<Group>> {
        let query = sql(GROUP).push(" WHERE tenant_id = ? AND id = ?").text(tenant).raw(id.as_str());
        self.conn.fetch_one(query).await?.as_ref().map(group).transpose()
    }

    pub(super) async fn members_of_group(
        &mut self,
        tenant: TenantId,
        id: &GroupId,
    ) -> Result<Vec<(Principal, Timestamp)>> {
        let query = sql(
            "SELECT member, added_at FROM group_members WHERE tenant_id = ? AND holder = ? ORDER BY member",
        );
        let rows = self.conn.fetch(query.text(tenant).raw(&holder(id))).await?;
        rows.iter().map(|row| Ok((row.parse_raw(0)?, row.time(1)?))).collect()
    }

    /// Walks up one step further than groups may hold each other, so that what is too deep is seen.
    pub(super) async fn holders_of(&mut self, tenant: TenantId, id: &GroupId) -> Result<Vec<(GroupId, u32)>> {
        let query = sql(format!(
            "WITH RECURSIVE g (holder, depth) AS ( \
             SELECT holder, 1 FROM group_members WHERE tenant_id = ? AND member = ? \
             UNION SELECT p.holder, g.depth + 1 FROM g CROSS JOIN group_members p \
             ON p.tenant_id = ? AND p.member = g.holder WHERE g.depth <= {GROUP_DEPTH}) \
             SELECT holder, MAX(depth) FROM g GROUP BY holder"
        ));
        let rows = self.conn.fetch(query.text(tenant).raw(&holder(id)).text(tenant)).await?;
        let mut found = vec![(id.clone(), 0)];
        for row in &rows {
            if let Principal::Group(id) = row.parse_raw(0)? {
                found.push((id, row.small(1)?));
            }
        }
        Ok(found)
    }

    pub(super) async fn deepest_below(&mut self, tenant: TenantId, id: &GroupId) -> Result<u32> {
        let query = sql(format!(
            "WITH RECURSIVE g (member, depth) AS ( \
             SELECT member, 1 FROM group_members WHERE tenant_id = ? AND holder = ? AND member >= ? AND member < ? \
             UNION SELECT c.member, g.depth + 1 FROM g CROSS JOIN group_members c \
             ON c.tenant_id = ? AND c.holder = g.member AND c.member >= ? AND c.member < ? WHERE g.depth <= {GROUP_DEPTH}) \
             SELECT MAX(depth) FROM g"
        ));
        // What begins with `group:` lies between these two.
        let query = query.text(tenant).raw(&holder(id)).raw("group:").raw("group;");
        let depth = self.conn.fetch_number(query.text(tenant).raw("group:").raw("group;")).await?;
        u32::try_from(depth).map_err(|_| Error::internal("a depth that is none"))
    }

    pub(super) async fn add_group(&mut self, group: &Group) -> Result<()> {
        let insert = sql("INSERT INTO user_groups (tenant_id, id, name, description, source, created_at, synced_at) VALUES ")
            .push_groups(1, 7)
            .text(group.tenant_id)
            .raw(group.id.as_str())
            .bind(group.name.as_str())
            .bind(group.description.clone())
            .bind(group.provisioning_source.as_str())
            .bind(group.created_at.as_micros())
            .bind(group.scaikey_synced_at.map(Timestamp::as_micros));
        let what = || format!("group/{}", group.id);
        self.conn.execute(insert).await.map(drop).map_err(|error| taken(error, what))
    }

    pub(super) async fn replace_group(&mut self, group: &Group) -> Result<()> {
        let update = sql(
            "UPDATE user_groups SET name = ?, description = ?, synced_at = ? WHERE tenant_id = ? AND id = ?",
        )
        .bind(group.name.as_str())
        .bind(group.description.clone())
        .bind(group.scaikey_synced_at.map(Timestamp::as_micros))
        .text(group.tenant_id)
        .raw(group.id.as_str());
        self.conn.execute(update).await.map(drop)
    }

    pub(super) async fn drop_group(&mut self, tenant: TenantId, id: &GroupId) -> Result<()> {
        let principal = holder(id);
        for text in [
            "DELETE FROM group_members WHERE tenant_id = ? AND holder = ?",
            "DELETE FROM group_members WHERE tenant_id = ? AND member = ?",
            "DELETE FROM members WHERE tenant_id = ? AND principal = ?",
            "DELETE FROM acl_entries WHERE tenant_id = ? AND trustee = ?",
            "DELETE FROM quotas WHERE tenant_id = ? AND target = ?",
        ] {
            self.conn.execute(sql(text).text(tenant).raw(&principal)).await?;
        }
        let delete = sql("DELETE FROM user_groups WHERE tenant_id = ? AND id = ?");
        self.conn.execute(delete.text(tenant).raw(id.as_str())).await.map(drop)
    }

    pub(super) async fn put_in_group(
        &mut self,
        tenant: TenantId,
        group: &GroupId,
        member: &Principal,
        now: Timestamp,
    ) -> Result<bool> {
        let (holder, member) = (holder(group), member.to_string());
        let forget = sql("DELETE FROM group_removals WHERE tenant_id = ? AND holder = ? AND member = ?");
        self.conn.execute(forget.text(tenant).raw(&holder).raw(&member)).await?;
        let insert =
            sql("INSERT INTO group_members (tenant_id, holder, member, added_at) VALUES (?, ?, ?, ?)");
        let insert = insert.text(tenant).raw(&holder).raw(&member).bind(now.as_micros());
        super::errors::unless_duplicate(self.conn.execute(insert).await)
    }

    pub(super) async fn take_from_group(
        &mut self,
        tenant: TenantId,
        group: &GroupId,
        member: &Principal,
        now: Timestamp,
    ) -> Result<bool> {
        let (holder, member) = (holder(group), member.to_string());
        let forget = sql("DELETE FROM group_removals WHERE tenant_id = ? AND holder = ? AND member = ?");
        self.conn.execute(forget.text(tenant).raw(&holder).raw(&member)).await?;
        let remember =
            sql("INSERT INTO group_removals (tenant_id, holder, member, removed_at) VALUES (?, ?, ?, ?)");
        self.conn.execute(remember.text(tenant).raw(&holder).raw(&member).bind(now.as_micros())).await?;
        let delete = sql("DELETE FROM group_members WHERE tenant_id = ? AND holder = ? AND member = ?");
        Ok(self.conn.execute(delete.text(tenant).raw(&holder).raw(&member)).await? > 0)
    }
}
