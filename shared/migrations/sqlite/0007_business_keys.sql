-- A business key never changes: what it finds instances by is written when they start and end, not with their rows.
CREATE TABLE instance_business_key (
    business_key TEXT NOT NULL,
    instance     TEXT NOT NULL,
    PRIMARY KEY (business_key, instance)
) WITHOUT ROWID;

CREATE TRIGGER business_key_new AFTER INSERT ON process_instance WHEN NEW.business_key IS NOT NULL
BEGIN
    INSERT INTO instance_business_key (business_key, instance) VALUES (NEW.business_key, NEW.id);
END;
CREATE TRIGGER business_key_gone AFTER DELETE ON process_instance WHEN OLD.business_key IS NOT NULL
BEGIN
    DELETE FROM instance_business_key WHERE business_key = OLD.business_key AND instance = OLD.id;
END;
INSERT INTO instance_business_key (business_key, instance) SELECT business_key, id FROM process_instance WHERE business_key IS NOT NULL;
DROP INDEX process_instance_business_key;
