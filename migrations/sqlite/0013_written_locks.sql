-- Locks for nodes of a Galera cluster; SQLite has one writer and takes none.
CREATE TABLE written_locks (
  owner_id TEXT NOT NULL,
  name TEXT NOT NULL,
  taken INTEGER NOT NULL,
  PRIMARY KEY (owner_id, name)
) STRICT, WITHOUT ROWID;
