//! Queries of what matches a caller: who it is, what stands above a resource, entries, memberships.
//!
//! A check reads its whole chain with one query: the resource, everything above it, the share, and on each the
//! entries and memberships that match. Rows repeat the resource once an entry; few match.

use super::shares::{SHARE_COLUMNS, share_at};
use super::statement::{SqlRow, Statement, sql};
use super::tenancy::{USER_COLUMNS, user_at};
use super::tree::{NODE, node, page_of, sort_column};
use super::{ROWS_PER_STATEMENT, SqlRows};
use crate::model::acl::Ace;
use crate::model::{
    Caller, GroupId, Node, NodeId, ParentId, Principal, ResourceId, Result, Rights, ShareId, Timestamp,
};
use crate::ports::metadata::{Account, ChildQuery, SeenChain, SeenEntry, SeenMember, SeenShare};

/// How many groups may hold each other, one in the next.
pub(super) const GROUP_DEPTH: u32 = 8;

/// Columns of nodes, shares, entries and memberships in the row of a chain.
const NODE_AT: usize = 0;
const SHARE_AT: usize = 18;
const ENTRY_AT: usize = SHARE_AT + 13;
const MEMBER_AT: usize = ENTRY_AT + 4;
/// The node that a row's chain starts at.
const START_AT: usize = MEMBER_AT + 3;

const ENTRY: &str = "a.trustee, a.ace_type, a.rights, a.inherits";
const MEMBER: &str = "m.principal, m.role, m.expires_at";

/// Binds the list of whom an entry may name to be about the caller.
fn trustees(statement: Statement, caller: &Caller) -> Statement {
    statement.push_raw_list(caller.trustees())
}

fn principals(statement: Statement, caller: &Caller) -> Statement {
    statement.push_raw_list(caller.principals())
}

fn entry(row: &SqlRow, at: usize) -> Result<Option<SeenEntry>> {
    if row.opt_bytes(at)?.is_none() {
        return Ok(None);
    }
    let ace = Ace { kind: row.parse(at + 1)?, rights: rights(row, at + 2)?, inherits: row.int(at + 3)? != 0 };
    Ok(Some(SeenEntry { trustee: row.parse_raw(at)?, ace }))
}

/// Reads a set of rights; bits that are none are left out rather than believed.
pub(super) fn rights(row: &SqlRow, column: usize) -> Result<Rights> {
    Ok(u8::try_from(row.int(column)?).ok().and_then(Rights::from_bits).unwrap_or_default())
}

fn member(row: &SqlRow, at: usize, now: Timestamp) -> Result<Option<SeenMember>> {
    if row.opt_bytes(at)?.is_none() {
        return Ok(None);
    }
    let is_expired = row.opt_time(at + 2)?.is_some_and(|end| end <= now);
    Ok(Some(SeenMember { principal: row.parse_raw(at)?, role: row.parse(at + 1)?, is_expired }))
}

/// Reads an account: a row for each group, or one without.
fn account(rows: &[SqlRow]) -> Result<Option<Account>> {
    let Some(first) = rows.first() else { return Ok(None) };
    let user = if first.opt_bytes(0)?.is_some() { Some(user_at(first)?) } else { None };
    let mut groups: Vec<GroupId> = Vec::new();
    for row in rows {
        if row.opt_bytes(14)?.is_some()
            && let Principal::Group(id) = row.parse_raw(14)?
        {
            groups.push(id);
        }
    }
    groups.sort_unstable();
    Ok(Some(Account {
        tenant_status: first.parse(12)?,
        partner: first.parse(13)?,
        settings: first.json(15)?,
        user,
        groups,
        last_token_at: first.opt_time(16)?,
    }))
}

/// Returns the query of these nodes, each with everything above it, the share last, and what matches the caller.
fn chains_query(caller: &Caller, ids: &[NodeId]) -> Statement {
    let tenant = caller.tenant;
    let listed = |query: Statement| query.push_list(ids.iter().map(ToString::to_string));
    // The depth keeps the order; it also ends the walk should a loop ever exist.
    let query = sql("WITH RECURSIVE up (start, id, parent_id, depth) AS ( \
         SELECT id, id, parent_id, 0 FROM nodes WHERE tenant_id = ? AND id IN ");
    let query = listed(query.text(tenant))
        .push(
            " UNION ALL \
             SELECT up.start, p.id, p.parent_id, up.depth + 1 \
             FROM up CROSS JOIN nodes p ON p.tenant_id = ? AND p.id = up.parent_id WHERE up.depth < 1000), \
             line (start, id, depth) AS (SELECT start, id, depth FROM up \
             UNION ALL SELECT id, share_id, 2000 FROM nodes WHERE tenant_id = ? AND id IN ",
        )
        .text(tenant)
        .text(tenant);
    let query = listed(query)
        .push(&format!(
            ") SELECT {NODE}, {SHARE_COLUMNS}, {ENTRY}, {MEMBER}, l.start FROM line l \
             LEFT JOIN nodes n ON n.tenant_id = ? AND n.id = l.id \
             LEFT JOIN shares s ON s.tenant_id = ? AND s.id = l.id \
             LEFT JOIN acl_entries a ON a.tenant_id = ? AND a.resource_id = l.id AND a.trustee IN "
        ))
        .text(tenant)
        .text(tenant)
        .text(tenant);
    let query = trustees(query, caller)
        .push(" LEFT JOIN members m ON m.tenant_id = ? AND m.share_id = s.id AND m.principal IN ")
        .text(tenant);
    principals(query, caller).push(" ORDER BY l.start, l.depth")
}

fn add<T: PartialEq>(list: &mut Vec<T>, item: Option<T>) {
    // Entries and memberships of one resource cross each other in its rows.
    list.extend(item.filter(|item| !list.contains(item)));
}

impl SqlRows<'_> {
    pub(super) async fn read_account(&mut self, caller: &Caller) -> Result<Option<Account>> {
        let user = Principal::User(caller.user.clone()).to_string();
        let claims = caller.claims.as_ref().filter(|claims| !claims.groups.is_empty());
        let mut query = sql("WITH RECURSIVE g (holder, depth) AS ( \
             SELECT holder, 1 FROM group_members WHERE tenant_id = ? AND member = ?")
        .text(caller.tenant)
        .raw(&user);
        if let Some(claims) = claims {
            // A claim counts for a group that is known here, unless a removal was recorded since it was made.
            let ids: Vec<&[u8]> = claims.groups.iter().map(|id| id.as_str().as_bytes()).collect();
            query = query
                .push(" UNION SELECT c.holder, 1 FROM (SELECT ")
                .push(self.dialect().group_holder())
                .push(" AS holder FROM user_groups WHERE tenant_id = ? AND id IN ")
                .text(caller.tenant)
                .push_list(ids.into_iter())
                .push(
                    ") c WHERE NOT EXISTS (SELECT 1 FROM group_removals r WHERE r.tenant_id = ? \
                     AND r.holder = c.holder AND r.member = ? AND r.removed_at >= ?)",
                )
                .text(caller.tenant)
                .raw(&user)
                .bind(claims.issued_at.as_micros());
        }
        let query = query
            .push(&format!(
                " UNION SELECT p.holder, g.depth + 1 FROM g CROSS JOIN group_members p \
                 ON p.tenant_id = ? AND p.member = g.holder WHERE g.depth < {GROUP_DEPTH}) \
                 SELECT {USER_COLUMNS}, t.status, t.partner_id, h.holder, t.settings, u.token_issued_at FROM tenants t \
                 LEFT JOIN users u ON u.tenant_id = t.id AND u.id = ? \
                 LEFT JOIN (SELECT DISTINCT holder FROM g) h ON 1 = 1 WHERE t.id = ?"
            ))
            .text(caller.tenant)
            .raw(caller.user.as_str())
            .text(caller.tenant);
        account(&self.conn.fetch(query).await?)
    }

    pub(super) async fn read_chains(&mut self, caller: &Caller, ids: &[NodeId]) -> Result<Vec<SeenChain>> {
        let mut found = Vec::new();
        for part in ids.chunks(ROWS_PER_STATEMENT) {
            let rows = self.conn.fetch(chains_query(caller, part)).await?;
            let mut starts = Vec::with_capacity(rows.len());
            rows.iter().try_for_each(|row| row.string(START_AT).map(|start| starts.push(start)))?;
            let mut rest = rows.as_slice();
            for chain in starts.chunk_by(|one, next| one == next) {
                let (rows, after) = rest.split_at(chain.len());
                found.extend(self.gather_chain(rows)?);
                rest = after;
            }
        }
        Ok(found)
    }

    fn gather_chain(&self, rows: &[SqlRow]) -> Result<Option<SeenChain>> {
        let mut nodes: Vec<(Node, Vec<SeenEntry>)> = Vec::new();
        let mut last = String::new();
        let mut share = None;
        for row in rows {
            if let Some(id) = row.opt_string(NODE_AT)? {
                if id != last {
                    nodes.push((node(row)?, Vec::new()));
                    last = id;
                }
                if let Some((_, entries)) = nodes.last_mut() {
                    add(entries, entry(row, ENTRY_AT)?);
                }
            } else if row.opt_string(SHARE_AT)?.is_some() {
                self.gather_share(&mut share, row, SHARE_AT)?;
            }
        }
        Ok(share.filter(|_| !nodes.is_empty()).map(|share| SeenChain { nodes, share }))
    }

    /// Adds what a row says of a share: its columns at `at`, then an entry, then a membership.
    fn gather_share(&self, share: &mut Option<SeenShare>, row: &SqlRow, at: usize) -> Result<()> {
        if share.is_none() {
            *share = Some(SeenShare { share: share_at(row, at)?, entries: Vec::new(), members: Vec::new() });
        }
        let now = self.clock.now();
        if let Some(seen) = share {
            add(&mut seen.entries, entry(row, at + ENTRY_AT - SHARE_AT)?);
            add(&mut seen.members, member(row, at + MEMBER_AT - SHARE_AT, now)?);
        }
        Ok(())
    }

    fn share_query(caller: &Caller) -> Statement {
        let query = sql(format!(
            "SELECT {SHARE_COLUMNS}, {ENTRY}, {MEMBER} FROM shares s \
             LEFT JOIN acl_entries a ON a.tenant_id = s.tenant_id AND a.resource_id = s.id AND a.trustee IN "
        ));
        let query = trustees(query, caller).push(
            " LEFT JOIN members m ON m.tenant_id = s.tenant_id AND m.share_id = s.id AND m.principal IN ",
        );
        principals(query, caller)
    }

    pub(super) async fn read_seen_share(
        &mut self,
        caller: &Caller,
        id: ShareId,
    ) -> Result<Option<SeenShare>> {
        let query = Self::share_query(caller).push(" WHERE s.tenant_id = ? AND s.id = ?");
        let rows = self.conn.fetch(query.text(caller.tenant).text(id)).await?;
        let mut share = None;
        rows.iter().try_for_each(|row| self.gather_share(&mut share, row, 0))?;
        Ok(share)
    }

    pub(super) async fn read_seen_shares(
        &mut self,
        caller: &Caller,
        all: bool,
        include_trashed: bool,
    ) -> Result<Vec<SeenShare>> {
        let mut query = Self::share_query(caller).push(" WHERE s.tenant_id = ?").text(caller.tenant);
        if !include_trashed {
            query = query.push(" AND s.trashed_at IS NULL");
        }
        if !all {
            query = query.push(
                " AND (s.is_public = 1 OR a.trustee IS NOT NULL OR m.principal IS NOT NULL OR s.owner IN ",
            );
            query = principals(query, caller).push(")");
        }
        let rows = self.conn.fetch(query.push(" ORDER BY s.name, s.id")).await?;
        let mut found: Vec<SeenShare> = Vec::new();
        let (mut last, mut open) = (String::new(), None);
        for row in &rows {
            let id = row.string(0)?;
            if id != last {
                found.extend(open.take());
                last = id;
            }
            self.gather_share(&mut open, row, 0)?;
        }
        found.extend(open);
        Ok(found)
    }

    pub(super) async fn read_entries(
        &mut self,
        caller: &Caller,
        resources: &[ResourceId],
    ) -> Result<Vec<(ResourceId, SeenEntry)>> {
        let mut found = Vec::new();
        for part in resources.chunks(5 * ROWS_PER_STATEMENT) {
            let query = sql(format!(
                "SELECT a.resource_id, {ENTRY} FROM acl_entries a WHERE a.tenant_id = ? AND a.trustee IN "
            ))
            .text(caller.tenant);
            let query = trustees(query, caller)
                .push(" AND a.resource_id IN ")
                .push_list(part.iter().map(ToString::to_string));
            for row in self.conn.fetch(query).await? {
                let resource = row.parse(0)?;
                found.extend(entry(&row, 1)?.map(|entry| (resource, entry)));
            }
        }
        Ok(found)
    }

    pub(super) async fn read_entries_in(
        &mut self,
        caller: &Caller,
        share: ShareId,
    ) -> Result<Vec<SeenEntry>> {
        let query = sql(format!(
            "SELECT {ENTRY} FROM acl_entries a WHERE a.tenant_id = ? AND a.share_id = ? \
             AND a.trustee IN "
        ));
        let rows = self.conn.fetch(trustees(query.text(caller.tenant).text(share), caller)).await?;
        let entries = rows.iter().map(|row| entry(row, 0)).collect::<Result<Vec<_>>>()?;
        Ok(entries.into_iter().flatten().collect())
    }

    pub(super) async fn read_fenced_children(
        &mut self,
        caller: &Caller,
        parent: ParentId,
        include_trashed: bool,
        most: u32,
    ) -> Result<Vec<(NodeId, bool, Option<SeenEntry>)>> {
        let live = if include_trashed { "" } else { " AND live = 1" };
        let query = sql(format!(
            "SELECT n.id, n.inherit_acl, {ENTRY} FROM (SELECT tenant_id, id, inherit_acl FROM nodes \
             WHERE tenant_id = ? AND parent_id = ?{live} LIMIT ?) n \
             LEFT JOIN acl_entries a ON a.tenant_id = n.tenant_id AND a.resource_id = n.id AND a.trustee IN "
        ));
        let query = trustees(query.text(caller.tenant).text(parent).bind(most), caller);
        let rows = self.conn.fetch(query).await?;
        rows.iter().map(|row| Ok((row.parse(0)?, row.int(1)? != 0, entry(row, 2)?))).collect()
    }

    pub(super) async fn read_seen_children(
        &mut self,
        caller: &Caller,
        wanted: &ChildQuery,
    ) -> Result<Vec<(Node, Vec<SeenEntry>)>> {
        let page = page_of(sql(format!("SELECT {NODE}, {ENTRY} FROM (SELECT n.* FROM nodes n ")), caller.tenant, wanted)
            .push(") n LEFT JOIN acl_entries a ON a.tenant_id = n.tenant_id AND a.resource_id = n.id AND a.trustee IN ");
        let order = format!(" ORDER BY {}, n.id", sort_column(wanted.sort));
        let mut found: Vec<(Node, Vec<SeenEntry>)> = Vec::new();
        let mut last = String::new();
        for row in self.conn.fetch(trustees(page, caller).push(&order)).await? {
            let id = row.string(NODE_AT)?;
            if id != last {
                found.push((node(&row)?, Vec::new()));
                last = id;
            }
            if let Some((_, entries)) = found.last_mut() {
                entries.extend(entry(&row, SHARE_AT)?);
            }
        }
        Ok(found)
    }

    pub(super) async fn read_fenced_below(&mut self, caller: &Caller, root: NodeId) -> Result<Vec<NodeId>> {
        let query = sql("WITH RECURSIVE sub (id, inherit_acl) AS ( \
             SELECT id, inherit_acl FROM nodes WHERE tenant_id = ? AND parent_id = ? AND live = 1 \
             UNION ALL \
             SELECT c.id, c.inherit_acl FROM sub CROSS JOIN nodes c \
             ON c.tenant_id = ? AND c.parent_id = sub.id AND c.live = 1) \
             SELECT DISTINCT sub.id FROM sub LEFT JOIN acl_entries a \
             ON a.tenant_id = ? AND a.resource_id = sub.id AND a.trustee IN ");
        let tenant = caller.tenant;
        let query = trustees(query.text(tenant).text(root).text(tenant).text(tenant), caller)
            .push(" WHERE sub.inherit_acl = 0 OR a.trustee IS NOT NULL");
        self.conn.fetch(query).await?.iter().map(|row| row.parse(0)).collect()
    }
}
