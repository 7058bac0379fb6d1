-- Sync: how the log is read and cut, devices, how far each is and what it wants to have.

-- A reader of one share finds its rows without looking at those of others.
CREATE INDEX change_log_by_share ON change_log (tenant_id, share_id, position);

-- In the tenant's row: rows up to here may be gone, and cursors before it have expired. Raised in the transaction that
-- removes rows, so that no reader meets a gap that is not told.
ALTER TABLE counters ADD COLUMN feed_floor BIGINT NOT NULL DEFAULT 0;

-- What a snapshot pages through is what the index of the trash holds with no time: `nodes_trashed`.

-- `device_id` is the client's own word, and each user's own.
CREATE TABLE devices (
  tenant_id VARCHAR(32) NOT NULL,
  user_id VARBINARY(255) NOT NULL,
  device_id VARBINARY(512) NOT NULL,
  id VARCHAR(32) NOT NULL,
  device_name VARCHAR(255) NOT NULL,
  platform VARCHAR(255),
  client_version VARCHAR(255),
  last_seen_at BIGINT NOT NULL,
  created_at BIGINT NOT NULL,
  PRIMARY KEY (tenant_id, user_id, device_id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin ROW_FORMAT=DYNAMIC;

CREATE TABLE cursors (
  tenant_id VARCHAR(32) NOT NULL,
  user_id VARBINARY(255) NOT NULL,
  device_id VARBINARY(512) NOT NULL,
  share_id VARCHAR(32) NOT NULL,
  position BIGINT NOT NULL,
  synced_at BIGINT,
  PRIMARY KEY (tenant_id, user_id, device_id, share_id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin ROW_FORMAT=DYNAMIC;

CREATE TABLE sync_preferences (
  tenant_id VARCHAR(32) NOT NULL,
  user_id VARBINARY(255) NOT NULL,
  device_id VARBINARY(512) NOT NULL,
  share_id VARCHAR(32) NOT NULL,
  mode VARCHAR(32) NOT NULL,
  folders MEDIUMTEXT NOT NULL,
  updated_at BIGINT NOT NULL,
  PRIMARY KEY (tenant_id, user_id, device_id, share_id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin ROW_FORMAT=DYNAMIC;
