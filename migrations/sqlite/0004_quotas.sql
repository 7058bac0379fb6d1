-- Limits of what tenants, shares, users and groups may use; `target` is spelled as in `counters`.
-- A partner's limit is kept by allocation: the limits of its tenants sum to at most it.

CREATE TABLE quotas (
  tenant_id TEXT NOT NULL,
  target BLOB NOT NULL,
  id TEXT NOT NULL,
  limit_bytes INTEGER,
  limit_type TEXT NOT NULL,
  warning_1 INTEGER NOT NULL,
  warning_2 INTEGER NOT NULL,
  warning_3 INTEGER NOT NULL,
  grace_days INTEGER NOT NULL,
  grace_percent INTEGER NOT NULL,
  grace_started_at INTEGER,
  exempt INTEGER NOT NULL,
  exempt_reason TEXT,
  -- How many of the thresholds were passed when somebody was told last.
  warned INTEGER NOT NULL,
  PRIMARY KEY (tenant_id, target)
) STRICT, WITHOUT ROWID;

ALTER TABLE partners ADD COLUMN quota_bytes INTEGER;
