-- Resumable uploads: sessions, the parts that came, and the chunks of the prefix that is cut already.

CREATE TABLE upload_sessions (
  tenant_id VARCHAR(32) NOT NULL,
  id VARCHAR(32) NOT NULL,
  user_id VARBINARY(255) NOT NULL,
  -- Who will be charged: the user, or the owner of the file that is replaced.
  owner_id VARBINARY(255) NOT NULL,
  share_id VARCHAR(32) NOT NULL,
  folder_id VARCHAR(32),
  file_name VARCHAR(255) NOT NULL,
  mime_type VARCHAR(255),
  file_size BIGINT NOT NULL,
  chunk_size BIGINT NOT NULL,
  checksum BINARY(32),
  replace_file_id VARCHAR(32),
  base_version_id VARCHAR(32),
  status VARCHAR(32) NOT NULL,
  created_at BIGINT NOT NULL,
  -- Moves with every part, up to the longest that a session may live.
  expires_at BIGINT NOT NULL,
  ended_at BIGINT,
  received BIGINT NOT NULL,
  -- Raised whenever bytes that were there already become others: what was read before is not written after.
  revision BIGINT NOT NULL,
  -- Raised when the frontier goes back: chunks of before are told from chunks of after.
  generation BIGINT NOT NULL,
  -- How many bytes are cut and stored, and the state of the SHA-256 over them.
  frontier BIGINT NOT NULL,
  hash_state VARBINARY(255) NOT NULL,
  lease_holder VARCHAR(32),
  lease_until BIGINT,
  file_id VARCHAR(32),
  version BIGINT,
  version_id VARCHAR(32),
  content_checksum BINARY(32),
  PRIMARY KEY (tenant_id, id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin ROW_FORMAT=DYNAMIC;
CREATE INDEX upload_sessions_by_id ON upload_sessions (id);
CREATE INDEX upload_sessions_by_owner ON upload_sessions (tenant_id, owner_id, status);
CREATE INDEX upload_sessions_by_expiry ON upload_sessions (tenant_id, status, expires_at);

-- A part lies in the object store under its number until `promoted_in` says which generation of chunks holds it.
CREATE TABLE upload_parts (
  tenant_id VARCHAR(32) NOT NULL,
  session_id VARCHAR(32) NOT NULL,
  part BIGINT NOT NULL,
  hash BINARY(32) NOT NULL,
  promoted_in BIGINT,
  PRIMARY KEY (tenant_id, session_id, part)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin ROW_FORMAT=DYNAMIC;

-- The session's references to chunks: collection respects them as it does those of contents. `listed` says that the
-- chunk is of the content as it stands; one that is not only holds bytes of parts to be cut once more. `hash_state`
-- is that of the content before the chunk, where the frontier may go back to it.
CREATE TABLE upload_chunks (
  tenant_id VARCHAR(32) NOT NULL,
  session_id VARCHAR(32) NOT NULL,
  generation BIGINT NOT NULL,
  start BIGINT NOT NULL,
  hash BINARY(32) NOT NULL,
  size BIGINT NOT NULL,
  listed TINYINT NOT NULL,
  hash_state VARBINARY(255),
  PRIMARY KEY (tenant_id, session_id, generation, start)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin ROW_FORMAT=DYNAMIC;
CREATE INDEX upload_chunks_by_hash ON upload_chunks (tenant_id, hash);
