-- The audit is sealed: each row gets the next number of its tenant and a MAC over itself and the row before it.
-- Nothing else of a row ever changes, and no row is ever removed.

ALTER TABLE audit ADD COLUMN seal_seq INTEGER;
ALTER TABLE audit ADD COLUMN seal BLOB;
CREATE INDEX audit_by_seal ON audit (tenant_id, seal_seq);
CREATE INDEX audit_by_user ON audit (tenant_id, user_id, id);
CREATE INDEX audit_by_resource ON audit (tenant_id, resource_id, id);

CREATE TABLE audit_heads (
  tenant_id TEXT NOT NULL PRIMARY KEY,
  seq INTEGER NOT NULL,
  mac BLOB NOT NULL,
  sealed_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
