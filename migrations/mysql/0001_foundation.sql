-- The foundation: tenancy, the tree, contents and chunks, the ledger, jobs.
-- The same tables and columns stand in ../sqlite/; a test compares both schemas.

CREATE TABLE partners (
  id VARCHAR(32) NOT NULL PRIMARY KEY,
  name VARCHAR(255) NOT NULL,
  created_at BIGINT NOT NULL
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin ROW_FORMAT=DYNAMIC;

CREATE TABLE tenants (
  id VARCHAR(32) NOT NULL PRIMARY KEY,
  partner_id VARCHAR(32) NOT NULL,
  name VARCHAR(255) NOT NULL,
  status VARCHAR(32) NOT NULL,
  settings MEDIUMTEXT NOT NULL,
  created_at BIGINT NOT NULL,
  KEY tenants_by_partner (partner_id),
  FOREIGN KEY (partner_id) REFERENCES partners (id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin ROW_FORMAT=DYNAMIC;

CREATE TABLE users (
  tenant_id VARCHAR(32) NOT NULL,
  id VARBINARY(255) NOT NULL,
  email VARCHAR(255),
  name VARCHAR(255),
  status VARCHAR(32) NOT NULL,
  admin_role VARCHAR(32),
  created_at BIGINT NOT NULL,
  PRIMARY KEY (tenant_id, id),
  FOREIGN KEY (tenant_id) REFERENCES tenants (id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin ROW_FORMAT=DYNAMIC;

CREATE TABLE shares (
  tenant_id VARCHAR(32) NOT NULL,
  id VARCHAR(32) NOT NULL,
  name VARCHAR(255) NOT NULL,
  description TEXT,
  share_type VARCHAR(32) NOT NULL,
  owner_id VARBINARY(255) NOT NULL,
  is_public TINYINT NOT NULL,
  trashed_at BIGINT,
  quota_bytes BIGINT,
  settings MEDIUMTEXT NOT NULL,
  -- Written by whatever moves, trashes, restores or purges a folder: what correctness relies on is a
  -- conflict on a row, not only a lock.
  tree_version BIGINT NOT NULL,
  created_at BIGINT NOT NULL,
  modified_at BIGINT NOT NULL,
  PRIMARY KEY (tenant_id, id),
  FOREIGN KEY (tenant_id) REFERENCES tenants (id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin ROW_FORMAT=DYNAMIC;
CREATE INDEX shares_by_owner ON shares (tenant_id, owner_id);
CREATE INDEX shares_by_name ON shares (tenant_id, name);

-- Files and folders share one tree and one namespace. `parent_id` is the share's id for its root, never NULL.
-- `live` is 1, or NULL for an item in the trash itself: NULLs differ, so trashed siblings may share a name.
-- What lies below a trashed folder keeps `live` = 1: nothing can be placed there while it is trashed.
CREATE TABLE nodes (
  tenant_id VARCHAR(32) NOT NULL,
  id VARCHAR(32) NOT NULL,
  share_id VARCHAR(32) NOT NULL,
  parent_id VARCHAR(32) NOT NULL,
  name VARCHAR(255) NOT NULL,
  name_key VARBINARY(1024) NOT NULL,
  live TINYINT,
  owner_id VARBINARY(255) NOT NULL,
  created_by VARBINARY(255) NOT NULL,
  created_at BIGINT NOT NULL,
  modified_by VARBINARY(255) NOT NULL,
  modified_at BIGINT NOT NULL,
  inherit_acl TINYINT NOT NULL,
  trashed_at BIGINT,
  size BIGINT NOT NULL,
  mime_type VARCHAR(255),
  version_id VARCHAR(32),
  version BIGINT,
  content_id BINARY(32),
  checksum BINARY(32),
  PRIMARY KEY (tenant_id, id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin ROW_FORMAT=DYNAMIC;
CREATE UNIQUE INDEX nodes_by_name ON nodes (tenant_id, parent_id, live, name_key);
CREATE INDEX nodes_by_modified ON nodes (tenant_id, parent_id, live, modified_at, id);
CREATE INDEX nodes_by_size ON nodes (tenant_id, parent_id, live, size, id);
CREATE INDEX nodes_trashed ON nodes (tenant_id, share_id, trashed_at, id);
CREATE INDEX nodes_recent ON nodes (tenant_id, modified_by, modified_at);

CREATE TABLE versions (
  tenant_id VARCHAR(32) NOT NULL,
  file_id VARCHAR(32) NOT NULL,
  number BIGINT NOT NULL,
  id VARCHAR(32) NOT NULL,
  content_id BINARY(32) NOT NULL,
  size BIGINT NOT NULL,
  checksum BINARY(32) NOT NULL,
  created_by VARBINARY(255) NOT NULL,
  created_at BIGINT NOT NULL,
  comment TEXT,
  PRIMARY KEY (tenant_id, file_id, number)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin ROW_FORMAT=DYNAMIC;
CREATE UNIQUE INDEX versions_by_id ON versions (tenant_id, id);
CREATE INDEX versions_by_content ON versions (tenant_id, content_id);

-- A content is an ordered list of chunks; its id is computed from that list, never taken from a client.
CREATE TABLE contents (
  tenant_id VARCHAR(32) NOT NULL,
  id BINARY(32) NOT NULL,
  size BIGINT NOT NULL,
  checksum BINARY(32) NOT NULL,
  chunking VARCHAR(64) NOT NULL,
  used_at BIGINT NOT NULL,
  PRIMARY KEY (tenant_id, id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin ROW_FORMAT=DYNAMIC;

-- `start` (the offset of the first byte) both orders the list and finds a range.
CREATE TABLE content_chunks (
  tenant_id VARCHAR(32) NOT NULL,
  content_id BINARY(32) NOT NULL,
  start BIGINT NOT NULL,
  hash BINARY(32) NOT NULL,
  size BIGINT NOT NULL,
  PRIMARY KEY (tenant_id, content_id, start)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin ROW_FORMAT=DYNAMIC;
CREATE INDEX content_chunks_by_hash ON content_chunks (tenant_id, hash);

CREATE TABLE chunks (
  tenant_id VARCHAR(32) NOT NULL,
  hash BINARY(32) NOT NULL,
  size BIGINT NOT NULL,
  state VARCHAR(32) NOT NULL,
  used_at BIGINT NOT NULL,
  delete_began_at BIGINT,
  PRIMARY KEY (tenant_id, hash)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin ROW_FORMAT=DYNAMIC;
CREATE INDEX chunks_by_state ON chunks (tenant_id, state, hash);

-- One row a target: `tenant`, `share:<id>`, `user:<id>`. The tenant's row carries the feed's head.
CREATE TABLE counters (
  tenant_id VARCHAR(32) NOT NULL,
  target VARBINARY(300) NOT NULL,
  position BIGINT NOT NULL,
  file_bytes BIGINT NOT NULL,
  version_bytes BIGINT NOT NULL,
  trash_bytes BIGINT NOT NULL,
  file_count BIGINT NOT NULL,
  folder_count BIGINT NOT NULL,
  PRIMARY KEY (tenant_id, target)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin ROW_FORMAT=DYNAMIC;

CREATE TABLE change_log (
  tenant_id VARCHAR(32) NOT NULL,
  position BIGINT NOT NULL,
  id VARCHAR(32) NOT NULL,
  share_id VARCHAR(32) NOT NULL,
  resource_type VARCHAR(32) NOT NULL,
  resource_id VARBINARY(255) NOT NULL,
  change_type VARCHAR(32) NOT NULL,
  changed_by VARBINARY(255) NOT NULL,
  changed_at BIGINT NOT NULL,
  old_path TEXT,
  new_path TEXT,
  version_id VARCHAR(32),
  metadata MEDIUMTEXT NOT NULL,
  PRIMARY KEY (tenant_id, position)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin ROW_FORMAT=DYNAMIC;

-- The first event of a mutation has the mutation's id: after a lost COMMIT its presence tells what happened.
CREATE TABLE audit (
  tenant_id VARCHAR(32) NOT NULL,
  id VARCHAR(32) NOT NULL,
  at BIGINT NOT NULL,
  category VARCHAR(32) NOT NULL,
  severity VARCHAR(32) NOT NULL,
  action VARCHAR(64) NOT NULL,
  user_id VARBINARY(255) NOT NULL,
  service_account VARCHAR(255),
  ip VARCHAR(255),
  user_agent TEXT,
  resource_type VARCHAR(32) NOT NULL,
  resource_id VARBINARY(255) NOT NULL,
  path TEXT,
  result VARCHAR(64) NOT NULL,
  request_id VARCHAR(128) NOT NULL,
  payload MEDIUMTEXT NOT NULL,
  PRIMARY KEY (tenant_id, id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin ROW_FORMAT=DYNAMIC;

CREATE TABLE favorites (
  tenant_id VARCHAR(32) NOT NULL,
  user_id VARBINARY(255) NOT NULL,
  node_id VARCHAR(32) NOT NULL,
  created_at BIGINT NOT NULL,
  PRIMARY KEY (tenant_id, user_id, node_id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin ROW_FORMAT=DYNAMIC;

CREATE TABLE jobs (
  id VARCHAR(32) NOT NULL PRIMARY KEY,
  tenant_id VARCHAR(32),
  name VARCHAR(255) NOT NULL,
  queue VARCHAR(32) NOT NULL,
  dedup_key VARBINARY(512) NOT NULL,
  payload MEDIUMTEXT NOT NULL,
  attempts BIGINT NOT NULL,
  run_at BIGINT NOT NULL,
  every_secs BIGINT,
  -- `waiting` or `dead`; a claim moves `run_at` to the end of its lease, so a lost worker's job comes back.
  state VARCHAR(32) NOT NULL,
  last_error TEXT,
  created_at BIGINT NOT NULL
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin ROW_FORMAT=DYNAMIC;
CREATE UNIQUE INDEX jobs_by_key ON jobs (dedup_key);
CREATE INDEX jobs_due ON jobs (state, run_at);
