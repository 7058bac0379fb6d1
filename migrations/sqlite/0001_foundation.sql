-- The foundation: tenancy, the tree, contents and chunks, the ledger, jobs.
-- The same tables and columns stand in ../mysql/; a test compares both schemas.

CREATE TABLE partners (
  id TEXT NOT NULL PRIMARY KEY,
  name TEXT NOT NULL,
  created_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE tenants (
  id TEXT NOT NULL PRIMARY KEY,
  partner_id TEXT NOT NULL REFERENCES partners (id),
  name TEXT NOT NULL,
  status TEXT NOT NULL,
  settings TEXT NOT NULL,
  created_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX tenants_by_partner ON tenants (partner_id);

CREATE TABLE users (
  tenant_id TEXT NOT NULL REFERENCES tenants (id),
  id BLOB NOT NULL,
  email TEXT,
  name TEXT,
  status TEXT NOT NULL,
  admin_role TEXT,
  created_at INTEGER NOT NULL,
  PRIMARY KEY (tenant_id, id)
) STRICT, WITHOUT ROWID;

CREATE TABLE shares (
  tenant_id TEXT NOT NULL REFERENCES tenants (id),
  id TEXT NOT NULL,
  name TEXT NOT NULL,
  description TEXT,
  share_type TEXT NOT NULL,
  owner_id BLOB NOT NULL,
  is_public INTEGER NOT NULL,
  trashed_at INTEGER,
  quota_bytes INTEGER,
  settings TEXT NOT NULL,
  -- Written by whatever moves, trashes, restores or purges a folder: what correctness relies on is a
  -- conflict on a row, not only a lock.
  tree_version INTEGER NOT NULL,
  created_at INTEGER NOT NULL,
  modified_at INTEGER NOT NULL,
  PRIMARY KEY (tenant_id, id)
) STRICT, WITHOUT ROWID;
CREATE INDEX shares_by_owner ON shares (tenant_id, owner_id);
CREATE INDEX shares_by_name ON shares (tenant_id, name);

-- Files and folders share one tree and one namespace. `parent_id` is the share's id for its root, never NULL.
-- `live` is 1, or NULL for an item in the trash itself: NULLs differ, so trashed siblings may share a name.
-- What lies below a trashed folder keeps `live` = 1: nothing can be placed there while it is trashed.
CREATE TABLE nodes (
  tenant_id TEXT NOT NULL,
  id TEXT NOT NULL,
  share_id TEXT NOT NULL,
  parent_id TEXT NOT NULL,
  name TEXT NOT NULL,
  name_key BLOB NOT NULL,
  live INTEGER,
  owner_id BLOB NOT NULL,
  created_by BLOB NOT NULL,
  created_at INTEGER NOT NULL,
  modified_by BLOB NOT NULL,
  modified_at INTEGER NOT NULL,
  inherit_acl INTEGER NOT NULL,
  trashed_at INTEGER,
  size INTEGER NOT NULL,
  mime_type TEXT,
  version_id TEXT,
  version INTEGER,
  content_id BLOB,
  checksum BLOB,
  PRIMARY KEY (tenant_id, id)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX nodes_by_name ON nodes (tenant_id, parent_id, live, name_key);
CREATE INDEX nodes_by_modified ON nodes (tenant_id, parent_id, live, modified_at, id);
CREATE INDEX nodes_by_size ON nodes (tenant_id, parent_id, live, size, id);
CREATE INDEX nodes_trashed ON nodes (tenant_id, share_id, trashed_at, id) WHERE trashed_at IS NOT NULL;
CREATE INDEX nodes_recent ON nodes (tenant_id, modified_by, modified_at);

CREATE TABLE versions (
  tenant_id TEXT NOT NULL,
  file_id TEXT NOT NULL,
  number INTEGER NOT NULL,
  id TEXT NOT NULL,
  content_id BLOB NOT NULL,
  size INTEGER NOT NULL,
  checksum BLOB NOT NULL,
  created_by BLOB NOT NULL,
  created_at INTEGER NOT NULL,
  comment TEXT,
  PRIMARY KEY (tenant_id, file_id, number)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX versions_by_id ON versions (tenant_id, id);
CREATE INDEX versions_by_content ON versions (tenant_id, content_id);

-- A content is an ordered list of chunks; its id is computed from that list, never taken from a client.
CREATE TABLE contents (
  tenant_id TEXT NOT NULL,
  id BLOB NOT NULL,
  size INTEGER NOT NULL,
  checksum BLOB NOT NULL,
  chunking TEXT NOT NULL,
  used_at INTEGER NOT NULL,
  PRIMARY KEY (tenant_id, id)
) STRICT, WITHOUT ROWID;

-- `start` (the offset of the first byte) both orders the list and finds a range.
CREATE TABLE content_chunks (
  tenant_id TEXT NOT NULL,
  content_id BLOB NOT NULL,
  start INTEGER NOT NULL,
  hash BLOB NOT NULL,
  size INTEGER NOT NULL,
  PRIMARY KEY (tenant_id, content_id, start)
) STRICT, WITHOUT ROWID;
CREATE INDEX content_chunks_by_hash ON content_chunks (tenant_id, hash);

CREATE TABLE chunks (
  tenant_id TEXT NOT NULL,
  hash BLOB NOT NULL,
  size INTEGER NOT NULL,
  state TEXT NOT NULL,
  used_at INTEGER NOT NULL,
  delete_began_at INTEGER,
  PRIMARY KEY (tenant_id, hash)
) STRICT, WITHOUT ROWID;
-- Only what is looked for: a new chunk would pass through two more places of this index.
CREATE INDEX chunks_by_state ON chunks (tenant_id, state, hash) WHERE state = 'deleting';

-- One row a target: `tenant`, `share:<id>`, `user:<id>`. The tenant's row carries the feed's head.
CREATE TABLE counters (
  tenant_id TEXT NOT NULL,
  target BLOB NOT NULL,
  position INTEGER NOT NULL,
  file_bytes INTEGER NOT NULL,
  version_bytes INTEGER NOT NULL,
  trash_bytes INTEGER NOT NULL,
  file_count INTEGER NOT NULL,
  folder_count INTEGER NOT NULL,
  PRIMARY KEY (tenant_id, target)
) STRICT, WITHOUT ROWID;

CREATE TABLE change_log (
  tenant_id TEXT NOT NULL,
  position INTEGER NOT NULL,
  id TEXT NOT NULL,
  share_id TEXT NOT NULL,
  resource_type TEXT NOT NULL,
  resource_id BLOB NOT NULL,
  change_type TEXT NOT NULL,
  changed_by BLOB NOT NULL,
  changed_at INTEGER NOT NULL,
  old_path TEXT,
  new_path TEXT,
  version_id TEXT,
  metadata TEXT NOT NULL,
  PRIMARY KEY (tenant_id, position)
) STRICT, WITHOUT ROWID;

-- The first event of a mutation has the mutation's id: after a lost COMMIT its presence tells what happened.
CREATE TABLE audit (
  tenant_id TEXT NOT NULL,
  id TEXT NOT NULL,
  at INTEGER NOT NULL,
  category TEXT NOT NULL,
  severity TEXT NOT NULL,
  action TEXT NOT NULL,
  user_id BLOB NOT NULL,
  service_account TEXT,
  ip TEXT,
  user_agent TEXT,
  resource_type TEXT NOT NULL,
  resource_id BLOB NOT NULL,
  path TEXT,
  result TEXT NOT NULL,
  request_id TEXT NOT NULL,
  payload TEXT NOT NULL,
  PRIMARY KEY (tenant_id, id)
) STRICT, WITHOUT ROWID;

CREATE TABLE favorites (
  tenant_id TEXT NOT NULL,
  user_id BLOB NOT NULL,
  node_id TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  PRIMARY KEY (tenant_id, user_id, node_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE jobs (
  id TEXT NOT NULL PRIMARY KEY,
  tenant_id TEXT,
  name TEXT NOT NULL,
  queue TEXT NOT NULL,
  dedup_key BLOB NOT NULL,
  payload TEXT NOT NULL,
  attempts INTEGER NOT NULL,
  run_at INTEGER NOT NULL,
  every_secs INTEGER,
  -- `waiting` or `dead`; a claim moves `run_at` to the end of its lease, so a lost worker's job comes back.
  state TEXT NOT NULL,
  last_error TEXT,
  created_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX jobs_by_key ON jobs (dedup_key);
CREATE INDEX jobs_due ON jobs (state, run_at);
