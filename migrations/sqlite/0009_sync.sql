-- Sync: how the log is read and cut, devices, how far each is and what it wants to have.

-- A reader of one share finds its rows without looking at those of others.
CREATE INDEX change_log_by_share ON change_log (tenant_id, share_id, position);

-- In the tenant's row: rows up to here may be gone, and cursors before it have expired. Raised in the transaction that
-- removes rows, so that no reader meets a gap that is not told.
ALTER TABLE counters ADD COLUMN feed_floor INTEGER NOT NULL DEFAULT 0;

-- What a snapshot pages through. (The index of the trash leaves the living out.)
CREATE INDEX nodes_living ON nodes (tenant_id, share_id, trashed_at, id) WHERE trashed_at IS NULL;

-- `device_id` is the client's own word, and each user's own.
CREATE TABLE devices (
  tenant_id TEXT NOT NULL,
  user_id BLOB NOT NULL,
  device_id BLOB NOT NULL,
  id TEXT NOT NULL,
  device_name TEXT NOT NULL,
  platform TEXT,
  client_version TEXT,
  last_seen_at INTEGER NOT NULL,
  created_at INTEGER NOT NULL,
  PRIMARY KEY (tenant_id, user_id, device_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE cursors (
  tenant_id TEXT NOT NULL,
  user_id BLOB NOT NULL,
  device_id BLOB NOT NULL,
  share_id TEXT NOT NULL,
  position INTEGER NOT NULL,
  synced_at INTEGER,
  PRIMARY KEY (tenant_id, user_id, device_id, share_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE sync_preferences (
  tenant_id TEXT NOT NULL,
  user_id BLOB NOT NULL,
  device_id BLOB NOT NULL,
  share_id TEXT NOT NULL,
  mode TEXT NOT NULL,
  folders TEXT NOT NULL,
  updated_at INTEGER NOT NULL,
  PRIMARY KEY (tenant_id, user_id, device_id, share_id)
) STRICT, WITHOUT ROWID;
