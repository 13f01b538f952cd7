-- What a migration pays for every instance: each index is one more write of an instance's row, since its definition changes.
-- By key: the definitions of a key are few, and each has the index by definition. By root: most instances are their own root.
DROP INDEX process_instance_key;
DROP INDEX process_instance_root;
CREATE INDEX process_instance_root ON process_instance (root_instance) WHERE root_instance <> id;
