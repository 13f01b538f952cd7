-- What a migration pays for every instance: each index is one more write of an instance's row, since its definition changes.
-- By key: the definitions of a key are few, and each has the index by definition. By root: most instances are their own root.
DROP INDEX process_instance_key;
DROP INDEX process_instance_root;
CREATE INDEX process_instance_root ON process_instance (root_instance) WHERE root_instance <> id;

-- Texts above 2 kB are compressed at every write; lz4 is several times cheaper. Servers built without it keep what they have.
DO $$
BEGIN
    ALTER TABLE process_instance ALTER COLUMN state SET COMPRESSION lz4;
    ALTER TABLE chunk ALTER COLUMN ids SET COMPRESSION lz4;
    ALTER TABLE run ALTER COLUMN ids SET COMPRESSION lz4;
    ALTER TABLE job ALTER COLUMN ids SET COMPRESSION lz4;
    ALTER TABLE job_log ALTER COLUMN ids SET COMPRESSION lz4;
    ALTER TABLE historic ALTER COLUMN body SET COMPRESSION lz4;
EXCEPTION WHEN feature_not_supported OR syntax_error OR invalid_parameter_value THEN
    NULL;
END $$;
