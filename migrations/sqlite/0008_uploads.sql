-- Resumable uploads: sessions, the parts that came, and the chunks of the prefix that is cut already.

CREATE TABLE upload_sessions (
  tenant_id TEXT NOT NULL,
  id TEXT NOT NULL,
  user_id BLOB NOT NULL,
  -- Who will be charged: the user, or the owner of the file that is replaced.
  owner_id BLOB NOT NULL,
  share_id TEXT NOT NULL,
  folder_id TEXT,
  file_name TEXT NOT NULL,
  mime_type TEXT,
  file_size INTEGER NOT NULL,
  chunk_size INTEGER NOT NULL,
  checksum BLOB,
  replace_file_id TEXT,
  base_version_id TEXT,
  status TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  -- Moves with every part, up to the longest that a session may live.
  expires_at INTEGER NOT NULL,
  ended_at INTEGER,
  received INTEGER NOT NULL,
  -- Raised whenever bytes that were there already become others: what was read before is not written after.
  revision INTEGER NOT NULL,
  -- Raised when the frontier goes back: chunks of before are told from chunks of after.
  generation INTEGER NOT NULL,
  -- How many bytes are cut and stored, and the state of the SHA-256 over them.
  frontier INTEGER NOT NULL,
  hash_state BLOB NOT NULL,
  lease_holder TEXT,
  lease_until INTEGER,
  file_id TEXT,
  version INTEGER,
  version_id TEXT,
  content_checksum BLOB,
  PRIMARY KEY (tenant_id, id)
) STRICT, WITHOUT ROWID;
CREATE INDEX upload_sessions_by_id ON upload_sessions (id);
CREATE INDEX upload_sessions_by_owner ON upload_sessions (tenant_id, owner_id, status);
CREATE INDEX upload_sessions_by_expiry ON upload_sessions (tenant_id, status, expires_at);

-- A part lies in the object store under its number until `promoted_in` says which generation of chunks holds it.
CREATE TABLE upload_parts (
  tenant_id TEXT NOT NULL,
  session_id TEXT NOT NULL,
  part INTEGER NOT NULL,
  hash BLOB NOT NULL,
  promoted_in INTEGER,
  PRIMARY KEY (tenant_id, session_id, part)
) STRICT, WITHOUT ROWID;

-- The session's references to chunks: collection respects them as it does those of contents. `listed` says that the
-- chunk is of the content as it stands; one that is not only holds bytes of parts to be cut once more. `hash_state`
-- is that of the content before the chunk, where the frontier may go back to it.
CREATE TABLE upload_chunks (
  tenant_id TEXT NOT NULL,
  session_id TEXT NOT NULL,
  generation INTEGER NOT NULL,
  start INTEGER NOT NULL,
  hash BLOB NOT NULL,
  size INTEGER NOT NULL,
  listed INTEGER NOT NULL,
  hash_state BLOB,
  PRIMARY KEY (tenant_id, session_id, generation, start)
) STRICT, WITHOUT ROWID;
CREATE INDEX upload_chunks_by_hash ON upload_chunks (tenant_id, hash);
