-- Limits of what tenants, shares, users and groups may use; `target` is spelled as in `counters`.
-- A partner's limit is kept by allocation: the limits of its tenants sum to at most it.

CREATE TABLE quotas (
  tenant_id VARCHAR(32) NOT NULL,
  target VARBINARY(264) NOT NULL,
  id VARCHAR(32) NOT NULL,
  limit_bytes BIGINT,
  limit_type VARCHAR(32) NOT NULL,
  warning_1 BIGINT NOT NULL,
  warning_2 BIGINT NOT NULL,
  warning_3 BIGINT NOT NULL,
  grace_days BIGINT NOT NULL,
  grace_percent BIGINT NOT NULL,
  grace_started_at BIGINT,
  exempt TINYINT NOT NULL,
  exempt_reason TEXT,
  -- How many of the thresholds were passed when somebody was told last.
  warned BIGINT NOT NULL,
  PRIMARY KEY (tenant_id, target)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin ROW_FORMAT=DYNAMIC;

ALTER TABLE partners ADD COLUMN quota_bytes BIGINT;
