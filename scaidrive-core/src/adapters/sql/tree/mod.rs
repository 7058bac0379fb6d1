//! Queries of files and folders.
//!
//! Where a walk meets the table, `CROSS JOIN` keeps the walk outside: without statistics SQLite would rather
//! look at the whole tenant and search the walk for each of its nodes.

mod writes;

use std::collections::BTreeMap;

use async_trait::async_trait;

use super::statement::{SqlRow, Statement, sql};
use super::{ROWS_PER_STATEMENT, SqlRows};
use crate::model::{
    Error, FileFacts, FileId, FileName, MimeType, NameKey, Node, NodeId, ParentId, Result, ShareId, TenantId,
    Timestamp, Usage, UserId, Version,
};
use crate::ports::metadata::{ChildQuery, ChildSort, SortKey, TreeReads};

/// The columns that `node` reads, in its order, from a table called `n`.
pub(super) const NODE: &str = "n.id, n.tenant_id, n.share_id, n.parent_id, n.name, n.owner_id, n.created_by, n.created_at, \
     n.modified_by, n.modified_at, n.inherit_acl, n.trashed_at, n.size, n.mime_type, n.version_id, n.version, \
     n.content_id, n.checksum";

/// Walks down from a folder or root; `dead` says that a node, or one between, is in the trash itself.
const SUBTREE: &str = "WITH RECURSIVE sub (id, dead) AS ( \
     SELECT id, CASE WHEN live IS NULL THEN 1 ELSE 0 END FROM nodes WHERE tenant_id = ? AND parent_id = ? \
     UNION ALL \
     SELECT c.id, CASE WHEN sub.dead = 1 OR c.live IS NULL THEN 1 ELSE 0 END \
     FROM sub CROSS JOIN nodes c ON c.tenant_id = ? AND c.parent_id = sub.id) ";

/// Places looked into by one statement: databases bound how many selects one may unite.
const PLACES_PER_STATEMENT: usize = 100;

/// Cuts a list into parts of at most so many items and so much weight; an item heavier than that is a part alone.
fn by_weight<T>(items: &[T], weight: impl Fn(&T) -> usize, most: usize, heaviest: usize) -> Vec<&[T]> {
    let (mut parts, mut start, mut sum) = (Vec::new(), 0, 0);
    for (at, item) in items.iter().enumerate() {
        if at > start && (at - start == most || sum + weight(item) > heaviest) {
            parts.push(&items[start..at]);
            (start, sum) = (at, 0);
        }
        sum += weight(item);
    }
    parts.extend((start < items.len()).then(|| &items[start..]));
    parts
}

pub(super) fn node(row: &SqlRow) -> Result<Node> {
    let id: NodeId = row.parse(0)?;
    let file = match id {
        NodeId::Folder(_) => None,
        NodeId::File(_) => Some(FileFacts {
            mime_type: MimeType::parse(&row.string(13)?)
                .map_err(|fault| unreadable("nodes.mime_type", &fault.message))?,
            size: row.unsigned(12)?,
            checksum: row.hash(17)?,
            content: row.hash(16)?,
            version_id: row.parse(14)?,
            version: row.small(15)?,
        }),
    };
    Ok(Node {
        id,
        tenant: row.parse(1)?,
        share: row.parse(2)?,
        parent: row.parse(3)?,
        name: FileName::parse(&row.string(4)?).map_err(|fault| unreadable("nodes.name", &fault.message))?,
        owner: row.parse_raw(5)?,
        created_by: row.parse_raw(6)?,
        created_at: row.time(7)?,
        modified_by: row.parse_raw(8)?,
        modified_at: row.time(9)?,
        inherit_acl: row.int(10)? != 0,
        trashed_at: row.opt_time(11)?,
        file,
    })
}

fn unreadable(place: &'static str, found: &str) -> Error {
    Error::ImpossibleRow { place, found: found.to_owned() }
}

fn nodes(rows: &[SqlRow]) -> Result<Vec<Node>> {
    rows.iter().map(node).collect()
}

fn select(rest: &str) -> Statement {
    sql(format!("SELECT {NODE} FROM nodes n {rest}"))
}

pub(super) const fn sort_column(sort: ChildSort) -> &'static str {
    match sort {
        ChildSort::Name => "n.name_key",
        ChildSort::ModifiedAt => "n.modified_at",
        ChildSort::Size => "n.size",
    }
}

/// Binds the part of a children query that says where the page starts.
fn start_after(statement: Statement, sort: ChildSort, after: Option<&SortKey>) -> Statement {
    let column = sort_column(sort);
    match after {
        None => statement,
        // Names are unique among the living, so the name alone starts the page, and the index serves it whole.
        Some(SortKey::Name(key, id)) => statement
            .push(" AND n.name_key >= ? AND (n.name_key > ? OR n.id > ?)")
            .raw(key.as_str())
            .raw(key.as_str())
            .text(id),
        Some(SortKey::Number(value, id)) => statement
            .push(&format!(" AND {column} >= ? AND ({column} > ? OR n.id > ?)"))
            .bind(*value)
            .bind(*value)
            .text(id),
    }
}

/// Narrows a query of nodes to a page of children.
pub(super) fn page_of(statement: Statement, tenant: TenantId, query: &ChildQuery) -> Statement {
    let live = if query.include_trashed { "" } else { " AND n.live = 1" };
    let statement = statement
        .push(&format!("WHERE n.tenant_id = ? AND n.parent_id = ?{live}"))
        .text(tenant)
        .text(query.parent);
    start_after(statement, query.sort, query.after.as_ref())
        .push(&format!(" ORDER BY {}, n.id LIMIT ?", sort_column(query.sort)))
        .bind(query.limit)
}

#[async_trait]
impl TreeReads for SqlRows<'_> {
    async fn chain(&mut self, tenant: TenantId, id: NodeId) -> Result<Vec<Node>> {
        // The depth keeps the order; it also ends the walk should a loop ever exist.
        let query = sql(format!(
            "WITH RECURSIVE up (id, parent_id, depth) AS ( \
             SELECT id, parent_id, 0 FROM nodes WHERE tenant_id = ? AND id = ? \
             UNION ALL \
             SELECT p.id, p.parent_id, up.depth + 1 FROM up CROSS JOIN nodes p ON p.tenant_id = ? AND p.id = up.parent_id \
             WHERE up.depth < 1000) \
             SELECT {NODE} FROM up CROSS JOIN nodes n ON n.tenant_id = ? AND n.id = up.id ORDER BY up.depth"
        ));
        nodes(&self.conn.fetch(query.text(tenant).text(id).text(tenant).text(tenant)).await?)
    }

    async fn chains(&mut self, tenant: TenantId, ids: &[NodeId]) -> Result<Vec<Vec<Node>>> {
        let mut chains: BTreeMap<String, Vec<Node>> = BTreeMap::new();
        for part in ids.chunks(ROWS_PER_STATEMENT) {
            let query = sql("WITH RECURSIVE up (start, id, parent_id, depth) AS ( \
                 SELECT id, id, parent_id, 0 FROM nodes WHERE tenant_id = ? AND id IN ")
            .text(tenant)
            .push_list(part.iter().map(ToString::to_string))
            .push(&format!(
                " UNION ALL \
                 SELECT up.start, p.id, p.parent_id, up.depth + 1 \
                 FROM up CROSS JOIN nodes p ON p.tenant_id = ? AND p.id = up.parent_id WHERE up.depth < 1000) \
                 SELECT {NODE}, up.start FROM up CROSS JOIN nodes n ON n.tenant_id = ? AND n.id = up.id \
                 ORDER BY up.start, up.depth"
            ))
            .text(tenant)
            .text(tenant);
            for row in self.conn.fetch(query).await? {
                chains.entry(row.string(18)?).or_default().push(node(&row)?);
            }
        }
        Ok(chains.into_values().collect())
    }

    async fn node(&mut self, tenant: TenantId, id: NodeId) -> Result<Option<Node>> {
        let query = select("WHERE n.tenant_id = ? AND n.id = ?").text(tenant).text(id);
        self.conn.fetch_one(query).await?.as_ref().map(node).transpose()
    }

    async fn child(&mut self, tenant: TenantId, parent: ParentId, key: &NameKey) -> Result<Option<Node>> {
        let query = select("WHERE n.tenant_id = ? AND n.parent_id = ? AND n.live = 1 AND n.name_key = ?");
        let query = query.text(tenant).text(parent).raw(key.as_str());
        self.conn.fetch_one(query).await?.as_ref().map(node).transpose()
    }

    async fn children_named(
        &mut self,
        tenant: TenantId,
        places: &[(ParentId, Vec<NameKey>)],
    ) -> Result<Vec<Node>> {
        let parts = places
            .iter()
            .flat_map(|(parent, keys)| keys.chunks(ROWS_PER_STATEMENT).map(move |part| (*parent, part)));
        let parts: Vec<_> = parts.collect();
        let mut found = Vec::new();
        for batch in by_weight(&parts, |(_, keys)| keys.len(), PLACES_PER_STATEMENT, ROWS_PER_STATEMENT) {
            // One arm a place, joined by UNION ALL: given as alternatives of one condition, SQLite finds no index
            // for them and reads the whole tenant.
            let mut query = sql(format!("SELECT {NODE} FROM ("));
            for (number, (parent, keys)) in batch.iter().enumerate() {
                let union = if number == 0 { "" } else { " UNION ALL " };
                query = query
                    .push(union)
                    .push("SELECT id FROM nodes WHERE tenant_id = ? AND parent_id = ? AND live = 1 AND name_key IN ")
                    .text(tenant)
                    .text(parent)
                    .push_list(keys.iter().map(|key| key.as_str().as_bytes()));
            }
            let query = query.push(") f CROSS JOIN nodes n ON n.tenant_id = ? AND n.id = f.id").text(tenant);
            found.extend(nodes(&self.conn.fetch(query).await?)?);
        }
        Ok(found)
    }

    async fn children(&mut self, tenant: TenantId, query: &ChildQuery) -> Result<Vec<Node>> {
        nodes(&self.conn.fetch(page_of(select(""), tenant, query)).await?)
    }

    async fn count_children(
        &mut self,
        tenant: TenantId,
        parent: ParentId,
        include_trashed: bool,
        most: u64,
    ) -> Result<u64> {
        let live = if include_trashed { "" } else { " AND live = 1" };
        let query = sql(format!(
            "SELECT COUNT(*) FROM (SELECT 1 FROM nodes WHERE tenant_id = ? AND parent_id = ?{live} LIMIT ?) found"
        ));
        let count = self.conn.fetch_number(query.text(tenant).text(parent).bind(most)).await?;
        Ok(u64::try_from(count).unwrap_or(0))
    }

    async fn children_of(&mut self, tenant: TenantId, parents: &[ParentId]) -> Result<Vec<Node>> {
        let mut found = Vec::new();
        for part in parents.chunks(ROWS_PER_STATEMENT) {
            let query = select("WHERE n.tenant_id = ? AND n.live = 1 AND n.parent_id IN ").text(tenant);
            let query = query.push_list(part.iter().map(ToString::to_string));
            found.extend(nodes(&self.conn.fetch(query).await?)?);
        }
        Ok(found)
    }

    async fn descendants(
        &mut self,
        tenant: TenantId,
        root: ParentId,
        after: Option<NodeId>,
        limit: u32,
    ) -> Result<Vec<Node>> {
        let query = sql(format!(
            "{SUBTREE} SELECT {NODE} FROM sub CROSS JOIN nodes n ON n.tenant_id = ? AND n.id = sub.id \
             WHERE sub.dead = 0 AND sub.id > ? ORDER BY sub.id LIMIT ?"
        ));
        let query = query.text(tenant).text(root).text(tenant).text(tenant);
        let query = query.bind(after.map(|id| id.to_string()).unwrap_or_default()).bind(limit);
        nodes(&self.conn.fetch(query).await?)
    }

    async fn subtree_usage(
        &mut self,
        tenant: TenantId,
        root: ParentId,
        with_trash: bool,
    ) -> Result<Vec<(UserId, Usage)>> {
        let int = self.dialect().integer();
        let deepest = i64::from(with_trash);
        let sum = |what: &str| format!("CAST(COALESCE(SUM({what}), 0) AS {int})");
        let current = sql(format!(
            "{SUBTREE} SELECT n.owner_id, {}, {}, {}, {} \
             FROM sub CROSS JOIN nodes n ON n.tenant_id = ? AND n.id = sub.id WHERE sub.dead <= ? GROUP BY n.owner_id",
            sum("CASE WHEN sub.dead = 0 THEN n.size ELSE 0 END"),
            sum("CASE WHEN sub.dead = 0 THEN 0 ELSE n.size END"),
            sum("CASE WHEN sub.dead = 0 AND n.version IS NOT NULL THEN 1 ELSE 0 END"),
            sum("CASE WHEN sub.dead = 0 AND n.version IS NULL THEN 1 ELSE 0 END"),
        ));
        let old = sql(format!(
            "{SUBTREE} SELECT n.owner_id, {} FROM sub CROSS JOIN nodes n ON n.tenant_id = ? AND n.id = sub.id \
             CROSS JOIN versions v ON v.tenant_id = n.tenant_id AND v.file_id = n.id AND v.number <> n.version \
             WHERE sub.dead <= ? GROUP BY n.owner_id",
            sum("v.size"),
        ));
        let bind = |query: Statement| query.text(tenant).text(root).text(tenant).text(tenant).bind(deepest);
        let mut found: BTreeMap<UserId, Usage> = BTreeMap::new();
        for row in self.conn.fetch(bind(current)).await? {
            let usage = Usage {
                file_bytes: row.int(1)?,
                version_bytes: 0,
                trash_bytes: row.int(2)?,
                file_count: row.int(3)?,
                folder_count: row.int(4)?,
            };
            *found.entry(row.parse_raw(0)?).or_default() += usage;
        }
        for row in self.conn.fetch(bind(old)).await? {
            let usage = Usage { version_bytes: row.int(1)?, ..Usage::default() };
            *found.entry(row.parse_raw(0)?).or_default() += usage;
        }
        Ok(found.into_iter().collect())
    }

    async fn trash(
        &mut self,
        tenant: TenantId,
        share: ShareId,
        after: Option<(Timestamp, NodeId)>,
        limit: u32,
    ) -> Result<Vec<Node>> {
        let mut query = select("WHERE n.tenant_id = ? AND n.share_id = ? AND n.trashed_at IS NOT NULL")
            .text(tenant)
            .text(share);
        if let Some((at, id)) = after {
            query = query
                .push(" AND n.trashed_at <= ? AND (n.trashed_at < ? OR n.id < ?)")
                .bind(at.as_micros())
                .bind(at.as_micros())
                .text(id);
        }
        nodes(
            &self
                .conn
                .fetch(query.push(" ORDER BY n.trashed_at DESC, n.id DESC LIMIT ?").bind(limit))
                .await?,
        )
    }

    async fn count_trash(&mut self, tenant: TenantId, share: ShareId, most: u64) -> Result<u64> {
        let query = sql("SELECT COUNT(*) FROM (SELECT 1 FROM nodes WHERE tenant_id = ? AND share_id = ? \
             AND trashed_at IS NOT NULL LIMIT ?) found");
        let count = self.conn.fetch_number(query.text(tenant).text(share).bind(most)).await?;
        Ok(u64::try_from(count).unwrap_or(0))
    }

    async fn recent(&mut self, tenant: TenantId, user: &UserId, limit: u32) -> Result<Vec<Node>> {
        let query = select(
            "WHERE n.tenant_id = ? AND n.modified_by = ? AND n.live = 1 AND n.version IS NOT NULL \
             ORDER BY n.modified_at DESC LIMIT ?",
        );
        nodes(&self.conn.fetch(query.text(tenant).raw(user.as_str()).bind(limit)).await?)
    }

    async fn versions(
        &mut self,
        tenant: TenantId,
        file: FileId,
        limit: u32,
        offset: u32,
    ) -> Result<Vec<Version>> {
        self.version_page(tenant, file, limit, offset).await
    }

    async fn count_versions(&mut self, tenant: TenantId, file: FileId) -> Result<u64> {
        let query = sql("SELECT COUNT(*) FROM versions WHERE tenant_id = ? AND file_id = ?");
        let count = self.conn.fetch_number(query.text(tenant).text(file)).await?;
        Ok(u64::try_from(count).unwrap_or(0))
    }

    async fn version(&mut self, tenant: TenantId, file: FileId, number: u32) -> Result<Option<Version>> {
        self.version_row(tenant, file, number).await
    }

    async fn files_with_history(
        &mut self,
        tenant: TenantId,
        before: Timestamp,
        after: Option<FileId>,
        limit: u32,
    ) -> Result<Vec<FileId>> {
        let query = sql("SELECT file_id FROM versions WHERE tenant_id = ? AND file_id > ? \
             GROUP BY file_id HAVING COUNT(*) > 1 AND MIN(created_at) <= ? ORDER BY file_id LIMIT ?");
        let after = after.map(|id| id.to_string()).unwrap_or_default();
        let query = query.text(tenant).bind(after).bind(before.as_micros()).bind(limit);
        self.conn.fetch(query).await?.iter().map(|row| row.parse(0)).collect()
    }

    async fn recount(&mut self, tenant: TenantId) -> Result<Vec<(ShareId, UserId, Usage)>> {
        self.recount_usage(tenant).await
    }
}
