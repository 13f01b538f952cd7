-- Batches and their work (design section 5).
-- Ids and what is sorted by them compare byte by byte, as PostgreSQL is made to. Times are milliseconds since the epoch.
-- Lists of ids are JSON text, with their number beside them. chunk, run and job have no foreign keys: who executes never
-- locks its batch.

CREATE TABLE batch (
    id                        TEXT PRIMARY KEY,
    type                      TEXT NOT NULL,
    configuration             TEXT NOT NULL,
    total_instances           BIGINT NOT NULL CHECK (total_instances > 0),
    total_jobs                BIGINT NOT NULL CHECK (total_jobs > 0),
    batch_jobs_per_seed       BIGINT NOT NULL CHECK (batch_jobs_per_seed > 0),
    invocations_per_batch_job BIGINT NOT NULL CHECK (invocations_per_batch_job > 0),
    default_retries           BIGINT NOT NULL CHECK (default_retries >= 0),
    tenant_id                 TEXT,
    create_user_id            TEXT,
    deployment_id             TEXT,
    start_time                BIGINT NOT NULL,
    origin_batch              TEXT,
    -- Limits that an operator may set; null: none.
    rate                      BIGINT,
    concurrency               BIGINT,
    canary                    BIGINT,
    threshold                 BIGINT,

    suspended                 BOOLEAN NOT NULL DEFAULT FALSE,
    hold_reason               TEXT,
    cancelled_instances       BIGINT NOT NULL DEFAULT 0 CHECK (cancelled_instances >= 0),
    -- The seed job lives while there are chunks, the monitor job afterwards.
    seed_suspended            BOOLEAN NOT NULL DEFAULT FALSE,
    seed_retries              BIGINT NOT NULL CHECK (seed_retries >= 0),
    seed_priority             BIGINT NOT NULL DEFAULT 0,
    seed_due                  BIGINT,
    seed_error                TEXT,
    seed_incident             TEXT,
    monitor_suspended         BOOLEAN NOT NULL DEFAULT FALSE,
    monitor_retries           BIGINT NOT NULL CHECK (monitor_retries >= 0),
    monitor_priority          BIGINT NOT NULL DEFAULT 0,
    monitor_due               BIGINT,
    monitor_error             TEXT,
    monitor_incident          TEXT,
    monitor_created           BIGINT
);

-- executionStartTime, without touching the batch row.
CREATE TABLE batch_start (
    batch TEXT PRIMARY KEY,
    at    BIGINT NOT NULL
);

-- Instances of one seed step, not yet jobs.
CREATE TABLE chunk (
    batch         TEXT NOT NULL,
    step          BIGINT NOT NULL,
    first         BIGINT NOT NULL CHECK (first >= 2),
    items         BIGINT NOT NULL CHECK (items BETWEEN 1 AND 50000),
    ids           TEXT NOT NULL,
    deployment_id TEXT,
    PRIMARY KEY (batch, step)
);

-- Jobs first to last, all alike: k ids to each, save the last.
CREATE TABLE run (
    batch         TEXT NOT NULL,
    first         BIGINT NOT NULL CHECK (first >= 2),
    last          BIGINT NOT NULL,
    items         BIGINT NOT NULL CHECK (items >= 1),
    ids           TEXT NOT NULL,
    k             BIGINT NOT NULL CHECK (k >= 1),
    deployment_id TEXT,
    created       BIGINT NOT NULL,

    retries       BIGINT NOT NULL CHECK (retries >= 0),
    due           BIGINT,
    priority      BIGINT NOT NULL DEFAULT 0,
    suspended     BOOLEAN NOT NULL DEFAULT FALSE,
    -- When to look at it again; null: held.
    wake_at       BIGINT,
    wakes         BIGINT NOT NULL DEFAULT 0,
    -- Careful mode (design section 7.3).
    attempts      BIGINT NOT NULL DEFAULT 0,
    lease_token   TEXT,
    lease_until   BIGINT,
    PRIMARY KEY (batch, first),
    CHECK (first <= last AND items <= (last - first + 1) * k AND items > (last - first) * k),
    CHECK ((lease_token IS NULL) = (lease_until IS NULL))
);
CREATE INDEX run_wake ON run (batch, wake_at, first) WHERE wake_at IS NOT NULL AND NOT suspended;

-- A job that is no longer like its neighbours.
CREATE TABLE job (
    batch               TEXT NOT NULL,
    number              BIGINT NOT NULL CHECK (number >= 2),
    items               BIGINT NOT NULL CHECK (items >= 1),
    ids                 TEXT NOT NULL,
    deployment_id       TEXT,
    created             BIGINT NOT NULL,

    retries             BIGINT NOT NULL CHECK (retries >= 0),
    due                 BIGINT,
    priority            BIGINT NOT NULL DEFAULT 0,
    suspended           BOOLEAN NOT NULL DEFAULT FALSE,
    wake_at             BIGINT,
    wakes               BIGINT NOT NULL DEFAULT 0,
    attempts            BIGINT NOT NULL DEFAULT 0,
    lease_token         TEXT,
    lease_until         BIGINT,
    -- Of its last failure.
    message             TEXT,
    details             TEXT,
    incident_id         TEXT,
    incident_message    TEXT,
    incident_time       BIGINT,
    incident_annotation TEXT,
    PRIMARY KEY (batch, number),
    CHECK (retries > 0 OR wake_at IS NULL),
    CHECK ((lease_token IS NULL) = (lease_until IS NULL)),
    CHECK ((incident_id IS NULL) = (incident_time IS NULL))
);
CREATE INDEX job_wake ON job (batch, wake_at, number) WHERE wake_at IS NOT NULL AND NOT suspended;
CREATE INDEX job_incident ON job (incident_id) WHERE incident_id IS NOT NULL;

-- Why an instance failed in its job's last attempt.
CREATE TABLE failure (
    batch    TEXT NOT NULL,
    number   BIGINT NOT NULL,
    instance TEXT NOT NULL,
    reason   TEXT NOT NULL,
    message  TEXT NOT NULL,
    time     BIGINT NOT NULL,
    PRIMARY KEY (batch, number, instance)
);
CREATE INDEX failure_reason ON failure (batch, reason);

-- Of process definitions, and three of each batch.
CREATE TABLE job_definition (
    id                     TEXT PRIMARY KEY,
    batch_id               TEXT,
    process_definition_id  TEXT,
    process_definition_key TEXT,
    activity_id            TEXT,
    job_type               TEXT NOT NULL,
    job_configuration      TEXT NOT NULL,
    tenant_id              TEXT,
    deployment_id          TEXT,

    suspended              BOOLEAN NOT NULL DEFAULT FALSE,
    overriding_priority    BIGINT
);
CREATE INDEX job_definition_process ON job_definition (process_definition_id) WHERE process_definition_id IS NOT NULL;
CREATE INDEX job_definition_batch ON job_definition (batch_id) WHERE batch_id IS NOT NULL;

CREATE TABLE historic_batch (
    id                        TEXT PRIMARY KEY,
    type                      TEXT NOT NULL,
    total_instances           BIGINT NOT NULL,
    total_jobs                BIGINT NOT NULL,
    batch_jobs_per_seed       BIGINT NOT NULL,
    invocations_per_batch_job BIGINT NOT NULL,
    tenant_id                 TEXT,
    create_user_id            TEXT,
    start_time                BIGINT NOT NULL,

    execution_start_time      BIGINT,
    end_time                  BIGINT,
    removal_time              BIGINT,
    migrated_instances        BIGINT,
    failed_instances          BIGINT,
    cancelled_instances       BIGINT
);
CREATE INDEX historic_batch_end ON historic_batch (end_time);

-- Incidents of batch jobs that are over.
CREATE TABLE historic_batch_incident (
    id                TEXT PRIMARY KEY,
    batch_id          TEXT NOT NULL,
    number            BIGINT NOT NULL,
    job_definition_id TEXT NOT NULL,
    message           TEXT,
    annotation        TEXT,
    tenant_id         TEXT,
    created           BIGINT NOT NULL,
    ended             BIGINT NOT NULL,
    state             TEXT NOT NULL CHECK (state IN ('resolved', 'deleted'))
);
CREATE INDEX historic_batch_incident_batch ON historic_batch_incident (batch_id);

-- What happened to jobs. A row of a batch stands for its jobs first to last without those in `except`: spread out on
-- reading, each entry numbered under the row's id. A row of an instance's job stands for itself.
CREATE TABLE job_log (
    id                           TEXT PRIMARY KEY,
    time                         BIGINT NOT NULL,
    event                        TEXT NOT NULL CHECK (event IN ('created', 'failed', 'succeeded', 'deleted')),
    batch_id                     TEXT,
    first                        BIGINT,
    last                         BIGINT,
    except_numbers               TEXT,
    entries                      BIGINT NOT NULL,
    job_id                       TEXT,
    job_due                      BIGINT,
    job_retries                  BIGINT NOT NULL,
    job_priority                 BIGINT NOT NULL,
    message                      TEXT,
    details                      TEXT,
    job_definition_id            TEXT,
    job_definition_type          TEXT NOT NULL,
    job_definition_configuration TEXT,
    activity_id                  TEXT,
    failed_activity_id           TEXT,
    execution_id                 TEXT,
    process_instance_id          TEXT,
    process_definition_id        TEXT,
    process_definition_key       TEXT,
    deployment_id                TEXT,
    root_process_instance_id     TEXT,
    tenant_id                    TEXT,
    hostname                     TEXT,
    -- Instances to a job (batches), and the instances that it was about.
    k                            BIGINT,
    ids                          TEXT,
    CHECK ((batch_id IS NULL) = (first IS NULL) AND (first IS NULL) = (last IS NULL)),
    CHECK (batch_id IS NOT NULL OR job_id IS NOT NULL)
);
CREATE INDEX job_log_batch ON job_log (batch_id, first) WHERE batch_id IS NOT NULL;
CREATE INDEX job_log_job ON job_log (job_id) WHERE job_id IS NOT NULL;
CREATE INDEX job_log_instance ON job_log (process_instance_id) WHERE process_instance_id IS NOT NULL;
CREATE INDEX job_log_time ON job_log (time, id);

-- What users did. Written only when a user is known.
CREATE TABLE operation_log (
    id                    TEXT PRIMARY KEY,
    operation_id          TEXT NOT NULL,
    time                  BIGINT NOT NULL,
    user_id               TEXT NOT NULL,
    operation_type        TEXT NOT NULL,
    entity_type           TEXT NOT NULL,
    property              TEXT,
    original_value        TEXT,
    new_value             TEXT,
    batch_id              TEXT,
    job_id                TEXT,
    job_definition_id     TEXT,
    process_instance_id   TEXT,
    process_definition_id TEXT,
    deployment_id         TEXT,
    tenant_id             TEXT
);
CREATE INDEX operation_log_time ON operation_log (time, id);

CREATE TABLE metric (
    name     TEXT NOT NULL,
    reporter TEXT NOT NULL,
    time     BIGINT NOT NULL,
    value    BIGINT NOT NULL,
    PRIMARY KEY (name, time, reporter)
);

CREATE TABLE worker (
    id                TEXT PRIMARY KEY,
    role              TEXT NOT NULL,
    host              TEXT NOT NULL,
    version           TEXT NOT NULL,
    since             BIGINT NOT NULL,
    heartbeat         BIGINT NOT NULL,
    current           TEXT,
    finished_recently BIGINT NOT NULL,
    last_error        TEXT
);

-- Jobs of neither instance nor batch: timer starts, delayed suspensions, clean-up.
CREATE TABLE timer (
    id                    TEXT PRIMARY KEY,
    kind                  TEXT NOT NULL,
    configuration         TEXT NOT NULL,
    process_definition_id TEXT,
    job_definition_id     TEXT,
    tenant_id             TEXT,
    created               BIGINT NOT NULL,

    due                   BIGINT,
    repeat                TEXT,
    retries               BIGINT NOT NULL CHECK (retries >= 0),
    priority              BIGINT NOT NULL DEFAULT 0,
    suspended             BOOLEAN NOT NULL DEFAULT FALSE,
    wake_at               BIGINT,
    wakes                 BIGINT NOT NULL DEFAULT 0,
    attempts              BIGINT NOT NULL DEFAULT 0,
    message               TEXT
);
CREATE INDEX timer_wake ON timer (wake_at) WHERE wake_at IS NOT NULL AND NOT suspended;
CREATE INDEX timer_definition ON timer (process_definition_id) WHERE process_definition_id IS NOT NULL;
