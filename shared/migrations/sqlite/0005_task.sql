-- Tasks that callers make: of no instance, alone or below another task.
CREATE TABLE standalone_task (
    id        TEXT PRIMARY KEY,
    parent    TEXT,
    -- Of the topmost task above it, if that is an instance's.
    instance  TEXT,
    tenant_id TEXT,
    -- The document.
    state     TEXT NOT NULL
);
CREATE INDEX standalone_task_parent ON standalone_task (parent) WHERE parent IS NOT NULL;
CREATE INDEX standalone_task_instance ON standalone_task (instance) WHERE instance IS NOT NULL;
