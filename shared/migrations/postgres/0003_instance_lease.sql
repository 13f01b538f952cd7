-- A job of the instance is tried under a lease once a worker died over one (dead_attempts), as runs and jobs of batches are.
ALTER TABLE process_instance ADD COLUMN lease_token TEXT COLLATE "C";
ALTER TABLE process_instance ADD COLUMN lease_until BIGINT;
