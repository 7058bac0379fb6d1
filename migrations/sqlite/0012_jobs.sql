-- When a job that runs is to run once more, because it was asked for again meanwhile.
ALTER TABLE jobs ADD COLUMN again_at INTEGER;
