-- Locks for nodes of a Galera cluster, which see of each other what was written alone: whoever takes one writes its row.
CREATE TABLE written_locks (
  owner_id VARCHAR(32) NOT NULL,
  name VARCHAR(32) NOT NULL,
  taken BIGINT NOT NULL,
  PRIMARY KEY (owner_id, name)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin ROW_FORMAT=DYNAMIC;
