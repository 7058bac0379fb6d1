-- Chunks that users sent for contents to come: for a day the sender may name them, and so long nothing collects them.

CREATE TABLE sent_chunks (
  tenant_id TEXT NOT NULL,
  hash BLOB NOT NULL,
  user_id BLOB NOT NULL,
  size INTEGER NOT NULL,
  sent_at INTEGER NOT NULL,
  -- 1 until a file that the sender makes holds it: so long its bytes are counted as pending.
  pending INTEGER NOT NULL,
  PRIMARY KEY (tenant_id, hash, user_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX sent_chunks_pending ON sent_chunks (tenant_id, user_id, pending, sent_at, size);
CREATE INDEX sent_chunks_by_age ON sent_chunks (tenant_id, sent_at);
