-- What devices sent to be applied: what became of each change, for a month, so that sending it again has no effect
-- again; and the conflicts that changes met. Content that waits for somebody's decision is named by `content_id` and
-- charged to the user as old versions are.

CREATE TABLE client_changes (
  tenant_id TEXT NOT NULL,
  user_id BLOB NOT NULL,
  device_id BLOB NOT NULL,
  client_change_id BLOB NOT NULL,
  digest BLOB NOT NULL,
  outcome TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  PRIMARY KEY (tenant_id, user_id, device_id, client_change_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX client_changes_by_age ON client_changes (tenant_id, created_at);

CREATE TABLE conflicts (
  tenant_id TEXT NOT NULL,
  id TEXT NOT NULL,
  share_id TEXT NOT NULL,
  user_id BLOB NOT NULL,
  device_id BLOB NOT NULL,
  client_change_id BLOB NOT NULL,
  resource_type TEXT NOT NULL,
  resource_id TEXT,
  conflict_type TEXT NOT NULL,
  base_version_id TEXT,
  server_version_id TEXT,
  client_version_id TEXT,
  status TEXT NOT NULL,
  resolution TEXT,
  created_at INTEGER NOT NULL,
  resolved_at INTEGER,
  resolved_by BLOB,
  incoming TEXT,
  content_id BLOB,
  content_size INTEGER NOT NULL,
  PRIMARY KEY (tenant_id, id)
) STRICT, WITHOUT ROWID;
CREATE INDEX conflicts_by_user ON conflicts (tenant_id, user_id, id);
CREATE INDEX conflicts_by_status ON conflicts (tenant_id, user_id, status, share_id, device_id, id);
CREATE INDEX conflicts_by_content ON conflicts (tenant_id, content_id);
