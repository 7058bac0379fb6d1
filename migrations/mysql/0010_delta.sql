-- Chunks that users sent for contents to come: for a day the sender may name them, and so long nothing collects them.

CREATE TABLE sent_chunks (
  tenant_id VARCHAR(32) NOT NULL,
  hash BINARY(32) NOT NULL,
  user_id VARBINARY(255) NOT NULL,
  size BIGINT NOT NULL,
  sent_at BIGINT NOT NULL,
  -- 1 until a file that the sender makes holds it: so long its bytes are counted as pending.
  pending TINYINT NOT NULL,
  PRIMARY KEY (tenant_id, hash, user_id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin ROW_FORMAT=DYNAMIC;
CREATE INDEX sent_chunks_pending ON sent_chunks (tenant_id, user_id, pending, sent_at, size);
CREATE INDEX sent_chunks_by_age ON sent_chunks (tenant_id, sent_at);
