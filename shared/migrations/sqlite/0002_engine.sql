-- Deployments, definitions and instances (design section 4).
-- Ids and what is sorted by them compare byte by byte. Times are milliseconds since the epoch.

CREATE TABLE deployment (
    id          TEXT PRIMARY KEY,
    name        TEXT,
    source      TEXT,
    tenant_id   TEXT,
    time        INTEGER NOT NULL
);
CREATE INDEX deployment_name ON deployment (name, time);

CREATE TABLE resource (
    id            TEXT PRIMARY KEY,
    deployment_id TEXT NOT NULL,
    name          TEXT NOT NULL,
    bytes         BLOB NOT NULL,
    UNIQUE (deployment_id, name)
);

CREATE TABLE process_definition (
    id                   TEXT PRIMARY KEY,
    key                  TEXT NOT NULL,
    version              INTEGER NOT NULL,
    name                 TEXT,
    category             TEXT,
    version_tag          TEXT,
    tenant_id            TEXT,
    deployment_id        TEXT NOT NULL,
    -- The name of its file in the deployment.
    resource             TEXT NOT NULL,
    history_time_to_live INTEGER,
    startable            BOOLEAN NOT NULL,

    suspended            BOOLEAN NOT NULL
);
CREATE UNIQUE INDEX process_definition_version ON process_definition (key, COALESCE(tenant_id, ''), version);
CREATE INDEX process_definition_deployment ON process_definition (deployment_id);

CREATE TABLE process_instance (
    id             TEXT PRIMARY KEY,
    business_key   TEXT,
    tenant_id      TEXT,
    super_instance TEXT,
    root_instance  TEXT NOT NULL,
    started        INTEGER NOT NULL,

    definition_id  TEXT NOT NULL,
    definition_key TEXT NOT NULL,
    suspended      BOOLEAN NOT NULL,
    -- Counts the writes of the document.
    revision       INTEGER NOT NULL,
    -- When a job of it may run, or is to be looked at again; null: no job may.
    wake_at        INTEGER,
    wakes          INTEGER NOT NULL DEFAULT 0,
    -- Attempts of a job that ended with the worker's death.
    dead_attempts  INTEGER NOT NULL DEFAULT 0,
    has_incident   BOOLEAN NOT NULL,
    -- The document.
    state          TEXT NOT NULL
);
CREATE INDEX process_instance_definition ON process_instance (definition_id, id);
CREATE INDEX process_instance_key ON process_instance (definition_key, id);
CREATE INDEX process_instance_business_key ON process_instance (business_key) WHERE business_key IS NOT NULL;
CREATE INDEX process_instance_super ON process_instance (super_instance) WHERE super_instance IS NOT NULL;
CREATE INDEX process_instance_root ON process_instance (root_instance);
CREATE INDEX process_instance_wake ON process_instance (wake_at) WHERE wake_at IS NOT NULL AND NOT suspended;
CREATE INDEX process_instance_incident ON process_instance (id) WHERE has_incident;

-- What waits for something to come from outside: message and signal subscriptions, external tasks.
CREATE TABLE waiting (
    -- An instance, or a definition for its start events.
    owner        TEXT NOT NULL,
    element      TEXT NOT NULL,
    kind         TEXT NOT NULL CHECK (kind IN ('message', 'signal', 'external-task')),
    -- The event's name, the external task's topic.
    name         TEXT NOT NULL,
    activity_id  TEXT NOT NULL,
    tenant_id    TEXT,
    priority     INTEGER NOT NULL,
    -- When an external task may be taken (next); null: never, its retries are used up.
    available_at INTEGER,
    PRIMARY KEY (owner, element)
);
CREATE INDEX waiting_name ON waiting (kind, name, owner);
CREATE INDEX waiting_topic ON waiting (name, priority DESC, available_at) WHERE kind = 'external-task' AND available_at IS NOT NULL;

-- Simple variables on the root execution, task-local ones included.
CREATE TABLE variable_index (
    instance TEXT NOT NULL,
    variable TEXT NOT NULL,
    name     TEXT NOT NULL,
    type     TEXT NOT NULL,
    text     TEXT,
    number   REAL,
    PRIMARY KEY (instance, variable)
);
CREATE INDEX variable_index_name ON variable_index (name, instance);

-- Closed history: written once, never changed. Open history is in the documents.
CREATE TABLE historic (
    number         INTEGER PRIMARY KEY AUTOINCREMENT,
    kind           TEXT NOT NULL
                   CHECK (kind IN ('instance', 'activity', 'task', 'variable', 'detail', 'incident', 'external_task')),
    id             TEXT NOT NULL,
    instance_id    TEXT NOT NULL,
    definition_id  TEXT NOT NULL,
    definition_key TEXT NOT NULL,
    tenant_id      TEXT,
    time           INTEGER NOT NULL,
    -- The record and its instance's head.
    body           TEXT NOT NULL
);
CREATE INDEX historic_instance ON historic (instance_id, kind, number);
CREATE INDEX historic_definition ON historic (definition_id, kind, number);
CREATE INDEX historic_key ON historic (definition_key, kind, number);
CREATE INDEX historic_id ON historic (id);
CREATE INDEX historic_kind ON historic (kind, number);
