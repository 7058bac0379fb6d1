-- The audit is sealed: each row gets the next number of its tenant and a MAC over itself and the row before it.
-- Nothing else of a row ever changes, and no row is ever removed.

ALTER TABLE audit ADD COLUMN seal_seq BIGINT;
ALTER TABLE audit ADD COLUMN seal VARBINARY(32);
CREATE INDEX audit_by_seal ON audit (tenant_id, seal_seq);
CREATE INDEX audit_by_user ON audit (tenant_id, user_id, id);
CREATE INDEX audit_by_resource ON audit (tenant_id, resource_id, id);

CREATE TABLE audit_heads (
  tenant_id VARCHAR(32) NOT NULL PRIMARY KEY,
  seq BIGINT NOT NULL,
  mac VARBINARY(32) NOT NULL,
  sealed_at BIGINT NOT NULL
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin ROW_FORMAT=DYNAMIC;
