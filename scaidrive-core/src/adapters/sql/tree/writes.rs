//! What changes files and folders.

use async_trait::async_trait;

use crate::adapters::sql::errors::is_duplicate;
use crate::adapters::sql::statement::{Statement, sql};
use crate::adapters::sql::{ROWS_PER_STATEMENT, SqlRows};
use crate::model::{
    Error, FileId, Node, NodeId, ParentId, Result, ShareId, TenantId, Timestamp, UserId, Version,
};
use crate::ports::metadata::TreeWrites;

#[async_trait]
impl TreeWrites for SqlRows<'_> {
    async fn lock_node(&mut self, tenant: TenantId, id: NodeId) -> Result<()> {
        // SQLite has one writer: nothing can change under it.
        if self.conn.is_mysql() {
            let lock = self.dialect().current_read();
            let query = sql("SELECT 1 FROM nodes WHERE tenant_id = ? AND id = ?").push(lock);
            self.conn.fetch_one(query.text(tenant).text(id)).await?;
        }
        Ok(())
    }

    async fn insert_nodes(&mut self, nodes: &[Node]) -> Result<()> {
        for part in nodes.chunks(ROWS_PER_STATEMENT) {
            let insert = sql(
                "INSERT INTO nodes (tenant_id, id, share_id, parent_id, name, name_key, live, owner_id, \
                 created_by, created_at, modified_by, modified_at, inherit_acl, trashed_at, size, mime_type, \
                 version_id, version, content_id, checksum) VALUES ",
            )
            .push_groups(part.len(), 20);
            let insert = part.iter().fold(insert, bind_new);
            self.conn.execute(insert).await.map_err(|error| name_taken(error, part))?;
        }
        Ok(())
    }

    async fn update_node(&mut self, node: &Node) -> Result<()> {
        let update = sql("UPDATE nodes SET share_id = ?, parent_id = ?, name = ?, name_key = ?, live = ?, \
             modified_by = ?, modified_at = ?, inherit_acl = ?, trashed_at = ?, size = ?, mime_type = ?, \
             version_id = ?, version = ?, content_id = ?, checksum = ? WHERE tenant_id = ? AND id = ?")
        .text(node.share)
        .text(node.parent);
        let update = bind_name(update, node)
            .raw(node.modified_by.as_str())
            .bind(node.modified_at.as_micros())
            .bind(node.inherit_acl)
            .bind(node.trashed_at.map(Timestamp::as_micros));
        let update = bind_facts(update, node).text(node.tenant).text(node.id);
        let matched =
            self.conn.execute(update).await.map_err(|error| name_taken(error, std::slice::from_ref(node)))?;
        if matched == 1 {
            Ok(())
        } else {
            Err(Error::internal(format!("{} vanished while it was changed", node.id)))
        }
    }

    async fn set_parent(
        &mut self,
        tenant: TenantId,
        ids: &[NodeId],
        parent: ParentId,
        by: &UserId,
    ) -> Result<()> {
        for part in ids.chunks(ROWS_PER_STATEMENT) {
            let update =
                sql("UPDATE nodes SET parent_id = ?, modified_by = ? WHERE tenant_id = ? AND id IN ");
            let update = update.text(parent).raw(by.as_str()).text(tenant);
            let update = update.push_list(part.iter().map(ToString::to_string));
            let matched = self.conn.execute(update).await.map_err(|error| name_taken(error, &[]))?;
            if matched != part.len() as u64 {
                return Err(Error::internal("an item vanished while it was moved"));
            }
        }
        Ok(())
    }

    async fn move_descendants(&mut self, tenant: TenantId, root: NodeId, to: ShareId) -> Result<()> {
        // Trashed branches go along. The derived table keeps MySQL from refusing to read what it updates.
        let update = sql("UPDATE nodes SET share_id = ? WHERE tenant_id = ? AND id IN (SELECT id FROM ( \
             WITH RECURSIVE sub (id) AS ( \
             SELECT id FROM nodes WHERE tenant_id = ? AND parent_id = ? \
             UNION ALL \
             SELECT c.id FROM sub CROSS JOIN nodes c ON c.tenant_id = ? AND c.parent_id = sub.id) \
             SELECT id FROM sub) below)");
        let update = update.text(to).text(tenant).text(tenant).text(root).text(tenant);
        self.conn.execute(update).await.map(drop)
    }

    async fn delete_nodes(&mut self, tenant: TenantId, ids: &[NodeId]) -> Result<()> {
        for part in ids.chunks(ROWS_PER_STATEMENT) {
            let delete = sql("DELETE FROM nodes WHERE tenant_id = ? AND id IN ")
                .text(tenant)
                .push_list(part.iter().map(ToString::to_string));
            let removed = self.conn.execute(delete).await?;
            if removed != part.len() as u64 {
                return Err(Error::internal("a node vanished while its subtree was purged"));
            }
            for text in [
                "DELETE FROM acl_entries WHERE tenant_id = ? AND resource_id IN ",
                "DELETE FROM favorites WHERE tenant_id = ? AND node_id IN ",
            ] {
                let delete = sql(text).text(tenant).push_list(part.iter().map(ToString::to_string));
                self.conn.execute(delete).await?;
            }
        }
        Ok(())
    }

    async fn insert_versions(&mut self, tenant: TenantId, versions: &[Version]) -> Result<()> {
        self.add_versions(tenant, versions).await
    }

    async fn renumber_version(&mut self, tenant: TenantId, file: FileId, from: u32, to: u32) -> Result<()> {
        let update = sql("UPDATE versions SET number = ? WHERE tenant_id = ? AND file_id = ? AND number = ?");
        let renumbered = self.conn.execute(update.bind(to).text(tenant).text(file).bind(from)).await?;
        if renumbered == 1 {
            Ok(())
        } else {
            Err(Error::internal("a version vanished while it was renumbered"))
        }
    }

    async fn delete_version(&mut self, tenant: TenantId, file: FileId, number: u32) -> Result<bool> {
        let delete = sql("DELETE FROM versions WHERE tenant_id = ? AND file_id = ? AND number = ?");
        Ok(self.conn.execute(delete.text(tenant).text(file).bind(number)).await? == 1)
    }

    async fn delete_versions_of(&mut self, tenant: TenantId, files: &[FileId], now: Timestamp) -> Result<()> {
        self.drop_versions(tenant, files, now).await
    }

    async fn version_bytes(&mut self, tenant: TenantId, files: &[FileId]) -> Result<Vec<(FileId, i64)>> {
        self.sum_versions(tenant, files).await
    }
}

fn bind_name(statement: Statement, node: &Node) -> Statement {
    let live = node.trashed_at.is_none().then_some(1i64);
    statement.bind(node.name.as_str()).raw(node.name.key().as_str()).bind(live)
}

fn bind_facts(statement: Statement, node: &Node) -> Statement {
    let facts = node.file.as_ref();
    statement
        .bind(node.size())
        .bind(facts.map(|file| file.mime_type.to_string()))
        .bind(facts.map(|file| file.version_id.to_string()))
        .bind(facts.map(|file| i64::from(file.version)))
        .bind(facts.map(|file| file.content.as_bytes().as_slice()))
        .bind(facts.map(|file| file.checksum.as_bytes().as_slice()))
}

fn bind_new(statement: Statement, node: &Node) -> Statement {
    let statement = statement.text(node.tenant).text(node.id).text(node.share).text(node.parent);
    let statement = bind_name(statement, node)
        .raw(node.owner.as_str())
        .raw(node.created_by.as_str())
        .bind(node.created_at.as_micros())
        .raw(node.modified_by.as_str())
        .bind(node.modified_at.as_micros())
        .bind(node.inherit_acl)
        .bind(node.trashed_at.map(Timestamp::as_micros));
    bind_facts(statement, node)
}

fn name_taken(error: Error, nodes: &[Node]) -> Error {
    if !is_duplicate(&error) {
        return error;
    }
    let name = match nodes {
        [only] => only.name.to_string(),
        _ => "one of several".to_owned(),
    };
    Error::NameConflict { name }
}
