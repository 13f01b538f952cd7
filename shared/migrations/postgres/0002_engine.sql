-- Deployments, definitions and instances (design section 4).
-- Ids and what is sorted by them compare byte by byte, as SQLite does. Times are milliseconds since the epoch.

CREATE TABLE deployment (
    id          TEXT COLLATE "C" PRIMARY KEY,
    name        TEXT COLLATE "C",
    source      TEXT COLLATE "C",
    tenant_id   TEXT COLLATE "C",
    time        BIGINT NOT NULL
);
CREATE INDEX deployment_name ON deployment (name, time);

CREATE TABLE resource (
    id            TEXT COLLATE "C" PRIMARY KEY,
    deployment_id TEXT COLLATE "C" NOT NULL,
    name          TEXT COLLATE "C" NOT NULL,
    bytes         BYTEA NOT NULL,
    UNIQUE (deployment_id, name)
);

CREATE TABLE process_definition (
    id                   TEXT COLLATE "C" PRIMARY KEY,
    key                  TEXT COLLATE "C" NOT NULL,
    version              BIGINT NOT NULL,
    name                 TEXT COLLATE "C",
    category             TEXT COLLATE "C",
    version_tag          TEXT COLLATE "C",
    tenant_id            TEXT COLLATE "C",
    deployment_id        TEXT COLLATE "C" NOT NULL,
    -- The name of its file in the deployment.
    resource             TEXT COLLATE "C" NOT NULL,
    history_time_to_live BIGINT,
    startable            BOOLEAN NOT NULL,

    suspended            BOOLEAN NOT NULL
);
CREATE UNIQUE INDEX process_definition_version ON process_definition (key, COALESCE(tenant_id, ''), version);
CREATE INDEX process_definition_deployment ON process_definition (deployment_id);

CREATE TABLE process_instance (
    id             TEXT COLLATE "C" PRIMARY KEY,
    business_key   TEXT COLLATE "C",
    tenant_id      TEXT COLLATE "C",
    super_instance TEXT COLLATE "C",
    root_instance  TEXT COLLATE "C" NOT NULL,
    started        BIGINT NOT NULL,

    definition_id  TEXT COLLATE "C" NOT NULL,
    definition_key TEXT COLLATE "C" NOT NULL,
    suspended      BOOLEAN NOT NULL,
    -- Counts the writes of the document.
    revision       BIGINT NOT NULL,
    -- When a job of it may run, or is to be looked at again; null: no job may.
    wake_at        BIGINT,
    wakes          BIGINT NOT NULL DEFAULT 0,
    -- Attempts of a job that ended with the worker's death.
    dead_attempts  BIGINT NOT NULL DEFAULT 0,
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
    owner        TEXT COLLATE "C" NOT NULL,
    element      TEXT COLLATE "C" NOT NULL,
    kind         TEXT COLLATE "C" NOT NULL CHECK (kind IN ('message', 'signal', 'external-task')),
    -- The event's name, the external task's topic.
    name         TEXT COLLATE "C" NOT NULL,
    activity_id  TEXT COLLATE "C" NOT NULL,
    tenant_id    TEXT COLLATE "C",
    priority     BIGINT NOT NULL,
    -- When an external task may be taken (next); null: never, its retries are used up.
    available_at BIGINT,
    PRIMARY KEY (owner, element)
);
CREATE INDEX waiting_name ON waiting (kind, name, owner);
CREATE INDEX waiting_topic ON waiting (name, priority DESC, available_at) WHERE kind = 'external-task' AND available_at IS NOT NULL;

-- Simple variables on the root execution, task-local ones included.
CREATE TABLE variable_index (
    instance TEXT COLLATE "C" NOT NULL,
    variable TEXT COLLATE "C" NOT NULL,
    name     TEXT COLLATE "C" NOT NULL,
    type     TEXT COLLATE "C" NOT NULL,
    text     TEXT COLLATE "C",
    number   DOUBLE PRECISION,
    PRIMARY KEY (instance, variable)
);
CREATE INDEX variable_index_name ON variable_index (name, instance);

-- Closed history: written once, never changed. Open history is in the documents.
CREATE TABLE historic (
    number         BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind           TEXT COLLATE "C" NOT NULL
                   CHECK (kind IN ('instance', 'activity', 'task', 'variable', 'detail', 'incident', 'external_task')),
    id             TEXT COLLATE "C" NOT NULL,
    instance_id    TEXT COLLATE "C" NOT NULL,
    definition_id  TEXT COLLATE "C" NOT NULL,
    definition_key TEXT COLLATE "C" NOT NULL,
    tenant_id      TEXT COLLATE "C",
    time           BIGINT NOT NULL,
    -- The record and its instance's head.
    body           TEXT NOT NULL
);
CREATE INDEX historic_instance ON historic (instance_id, kind, number);
CREATE INDEX historic_definition ON historic (definition_id, kind, number);
CREATE INDEX historic_key ON historic (definition_key, kind, number);
CREATE INDEX historic_id ON historic (id);
CREATE INDEX historic_kind ON historic (kind, number);
