-- Tasks that callers make: of no instance, alone or below another task.
CREATE TABLE standalone_task (
    id        TEXT COLLATE "C" PRIMARY KEY,
    parent    TEXT COLLATE "C",
    -- Of the topmost task above it, if that is an instance's.
    instance  TEXT COLLATE "C",
    tenant_id TEXT COLLATE "C",
    -- The document.
    state     TEXT NOT NULL
);
CREATE INDEX standalone_task_parent ON standalone_task (parent) WHERE parent IS NOT NULL;
CREATE INDEX standalone_task_instance ON standalone_task (instance) WHERE instance IS NOT NULL;
