-- What devices sent to be applied: what became of each change, for a month, so that sending it again has no effect
-- again; and the conflicts that changes met. Content that waits for somebody's decision is named by `content_id` and
-- charged to the user as old versions are.

CREATE TABLE client_changes (
  tenant_id VARCHAR(32) NOT NULL,
  user_id VARBINARY(255) NOT NULL,
  device_id VARBINARY(512) NOT NULL,
  client_change_id VARBINARY(512) NOT NULL,
  digest BINARY(32) NOT NULL,
  outcome MEDIUMTEXT NOT NULL,
  created_at BIGINT NOT NULL,
  PRIMARY KEY (tenant_id, user_id, device_id, client_change_id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin ROW_FORMAT=DYNAMIC;
CREATE INDEX client_changes_by_age ON client_changes (tenant_id, created_at);

CREATE TABLE conflicts (
  tenant_id VARCHAR(32) NOT NULL,
  id VARCHAR(32) NOT NULL,
  share_id VARCHAR(32) NOT NULL,
  user_id VARBINARY(255) NOT NULL,
  device_id VARBINARY(512) NOT NULL,
  client_change_id VARBINARY(512) NOT NULL,
  resource_type VARCHAR(32) NOT NULL,
  resource_id VARCHAR(32),
  conflict_type VARCHAR(32) NOT NULL,
  base_version_id VARCHAR(32),
  server_version_id VARCHAR(32),
  client_version_id VARCHAR(32),
  status VARCHAR(32) NOT NULL,
  resolution VARCHAR(32),
  created_at BIGINT NOT NULL,
  resolved_at BIGINT,
  resolved_by VARBINARY(255),
  incoming MEDIUMTEXT,
  content_id BINARY(32),
  content_size BIGINT NOT NULL,
  PRIMARY KEY (tenant_id, id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin ROW_FORMAT=DYNAMIC;
CREATE INDEX conflicts_by_user ON conflicts (tenant_id, user_id, id);
CREATE INDEX conflicts_by_status ON conflicts (tenant_id, user_id, status, share_id, device_id, id);
CREATE INDEX conflicts_by_content ON conflicts (tenant_id, content_id);
