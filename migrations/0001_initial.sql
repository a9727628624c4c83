-- The first schema of the ledger. Times are milliseconds since 1970 in UTC, ids are text, lists and the data that only one
-- state of a job has are JSON. A released migration is never edited: databases remember its checksum.

PRAGMA application_id = 1634560363; -- "amik" in ASCII. A file without it is refused.
PRAGMA user_version = 1;

-- Each start of an engine. A row without `stopped_at` before the newest one is an unclean stop.
CREATE TABLE runs (
    id         INTEGER PRIMARY KEY,
    started_at INTEGER NOT NULL,
    stopped_at INTEGER
) STRICT;

-- What was learnt of each configured account.
CREATE TABLE accounts (
    name          TEXT PRIMARY KEY,
    account       TEXT,
    region        TEXT,
    seen_at       INTEGER NOT NULL,
    inventory_at  INTEGER,
    last_error    TEXT,
    last_error_at INTEGER,
    CHECK ((account IS NULL) = (region IS NULL)),
    CHECK ((last_error IS NULL) = (last_error_at IS NULL))
) STRICT, WITHOUT ROWID;

-- Every complete inventory.
CREATE TABLE inventories (
    id           INTEGER PRIMARY KEY,
    account_name TEXT NOT NULL REFERENCES accounts (name),
    taken_at     INTEGER NOT NULL,
    instances    INTEGER NOT NULL CHECK (instances >= 0)
) STRICT;

-- The instances of all inventories. `last_seen_at` is kept for those that are gone; for those present it is the time of the
-- account's last inventory, so that an inventory in which nothing changed writes no row here.
CREATE TABLE instances (
    account_name  TEXT NOT NULL REFERENCES accounts (name),
    instance      TEXT NOT NULL,
    name          TEXT,
    state         TEXT NOT NULL
        CHECK (state IN ('pending', 'running', 'stopping', 'stopped', 'shutting-down', 'terminated')),
    present       INTEGER NOT NULL CHECK (present IN (0, 1)),
    first_seen_at INTEGER NOT NULL,
    last_seen_at  INTEGER NOT NULL,
    PRIMARY KEY (account_name, instance)
) STRICT, WITHOUT ROWID;

-- How far each policy is planned.
CREATE TABLE cursors (
    policy       TEXT NOT NULL,
    account_name TEXT NOT NULL,
    fingerprint  TEXT NOT NULL,
    planned_to   INTEGER NOT NULL,
    enabled      INTEGER NOT NULL CHECK (enabled IN (0, 1)),
    PRIMARY KEY (policy, account_name)
) STRICT, WITHOUT ROWID;

-- What became of each fire. Consecutive misses are one row, at the time of the last of them.
CREATE TABLE fires (
    id           INTEGER PRIMARY KEY,
    policy       TEXT NOT NULL,
    account_name TEXT NOT NULL,
    scheduled_at INTEGER NOT NULL,
    outcome      TEXT NOT NULL CHECK (outcome IN ('ran', 'no-match', 'missed')),
    matched      INTEGER NOT NULL CHECK (matched >= 0),
    missed_from  INTEGER,
    missed_count INTEGER CHECK (missed_count >= 1),
    note         TEXT,
    recorded_at  INTEGER NOT NULL,
    UNIQUE (policy, account_name, scheduled_at),
    CHECK ((outcome = 'ran') = (matched > 0)),
    CHECK ((outcome = 'missed') = (missed_from IS NOT NULL)),
    CHECK ((outcome = 'missed') = (missed_count IS NOT NULL)),
    CHECK (missed_from <= scheduled_at)
) STRICT;

CREATE INDEX fires_by_time ON fires (scheduled_at);
CREATE INDEX fires_by_policy ON fires (policy, scheduled_at);

-- What operators asked for. Commands write these rows, and whoever holds the engine's lock executes them.
CREATE TABLE requests (
    id           TEXT PRIMARY KEY,
    kind         TEXT NOT NULL CHECK (kind IN ('backup')),
    data         TEXT NOT NULL CHECK (json_valid(data)),
    requested_at INTEGER NOT NULL,
    state        TEXT NOT NULL CHECK (state IN ('open', 'planned', 'refused')),
    settled_at   INTEGER,
    error        TEXT CHECK (json_valid(error)),
    CHECK ((state = 'open') = (settled_at IS NULL)),
    CHECK ((state = 'refused') = (error IS NOT NULL))
) STRICT;

CREATE INDEX requests_open ON requests (requested_at, id) WHERE state = 'open';

-- One row per instance and fire. The unique key refuses a double backup even if amikeep were wrong. Nominal times are whole
-- seconds, since names of images are.
CREATE TABLE jobs (
    id           TEXT PRIMARY KEY,
    policy       TEXT NOT NULL,
    account      TEXT NOT NULL,
    region       TEXT NOT NULL,
    instance     TEXT NOT NULL,
    scheduled_at INTEGER NOT NULL CHECK (scheduled_at % 1000 = 0),
    account_name TEXT NOT NULL,
    trigger      TEXT NOT NULL CHECK (trigger IN ('schedule', 'catch-up', 'manual')),
    request      TEXT REFERENCES requests (id),
    asked        TEXT CHECK (asked IN ('reboot', 'no-reboot', 'freeze')),
    class        TEXT NOT NULL,
    start_at     INTEGER NOT NULL,
    start_by     INTEGER NOT NULL,
    created_at   INTEGER NOT NULL,
    started_at   INTEGER,
    finished_at  INTEGER,
    attempts     INTEGER NOT NULL CHECK (attempts >= 0),
    number       INTEGER NOT NULL CHECK (number >= 1),
    intent       TEXT CHECK (json_valid(intent)),
    state        TEXT NOT NULL CHECK (state IN ('queued', 'preparing', 'holding', 'capturing', 'pending', 'finishing',
                                                'succeeded', 'failed', 'skipped')),
    data         TEXT NOT NULL CHECK (json_valid(data)),
    UNIQUE (policy, account, region, instance, scheduled_at),
    CHECK ((state IN ('succeeded', 'failed', 'skipped')) = (finished_at IS NOT NULL)),
    CHECK (state NOT IN ('capturing', 'pending', 'finishing', 'succeeded') OR intent IS NOT NULL)
) STRICT;

CREATE INDEX jobs_by_time ON jobs (scheduled_at, id);
CREATE INDEX jobs_by_policy ON jobs (policy, scheduled_at, id);
CREATE INDEX jobs_by_instance ON jobs (instance, scheduled_at, id);
CREATE INDEX jobs_by_request ON jobs (request, scheduled_at, id) WHERE request IS NOT NULL;
-- Open jobs and those that went wrong: few of very many.
CREATE INDEX jobs_unsucceeded ON jobs (state, scheduled_at, id) WHERE state <> 'succeeded';

-- The history of each job. The word of an event is shown and never read back into a type, so it is not enumerated here.
CREATE TABLE events (
    id     INTEGER PRIMARY KEY,
    job    TEXT NOT NULL REFERENCES jobs (id),
    at     INTEGER NOT NULL,
    event  TEXT NOT NULL CHECK (event <> ''),
    detail TEXT NOT NULL
) STRICT;

CREATE INDEX events_by_job ON events (job, id);

CREATE TRIGGER events_are_never_updated BEFORE UPDATE ON events
BEGIN
    SELECT RAISE(ABORT, 'events are append-only');
END;

CREATE TRIGGER events_are_never_deleted BEFORE DELETE ON events
BEGIN
    SELECT RAISE(ABORT, 'events are append-only');
END;

-- An explicit id that is taken could replace a row without any DELETE that a trigger sees.
CREATE TRIGGER events_are_never_replaced BEFORE INSERT ON events WHEN EXISTS (SELECT 1 FROM events WHERE id = NEW.id)
BEGIN
    SELECT RAISE(ABORT, 'events are append-only');
END;

-- Every image that EC2 was seen to make for a job. `counts` says that the job succeeded. For an available image the time of
-- the last complete listing is when it was last seen, so that a listing in which nothing changed writes no row here.
CREATE TABLE images (
    image         TEXT NOT NULL,
    account       TEXT NOT NULL,
    region        TEXT NOT NULL,
    name          TEXT NOT NULL,
    job           TEXT NOT NULL REFERENCES jobs (id),
    policy        TEXT NOT NULL,
    account_name  TEXT NOT NULL,
    instance      TEXT NOT NULL,
    class         TEXT NOT NULL,
    captured_at   INTEGER,
    grade         TEXT CHECK (grade IN ('crash', 'filesystem', 'application', 'clean', 'offline')),
    volumes       TEXT NOT NULL CHECK (json_valid(volumes)),
    state         TEXT NOT NULL CHECK (state IN ('pending', 'available', 'failed', 'missing', 'deleting', 'snapshots-left',
                                                 'deleted')),
    counts        INTEGER NOT NULL CHECK (counts IN (0, 1)),
    pinned        INTEGER NOT NULL CHECK (pinned IN (0, 1)),
    first_seen_at INTEGER NOT NULL,
    last_seen_at  INTEGER NOT NULL,
    PRIMARY KEY (account, region, image),
    CHECK ((captured_at IS NULL) = (grade IS NULL)),
    CHECK (counts = 0 OR captured_at IS NOT NULL)
) STRICT;

CREATE INDEX images_by_policy ON images (policy, account, region, instance, captured_at);
CREATE INDEX images_by_instance ON images (instance, policy, account, region, captured_at);
CREATE INDEX images_by_job ON images (job);

-- The last complete listing of images.
CREATE TABLE listings (
    account   TEXT NOT NULL,
    region    TEXT NOT NULL,
    listed_at INTEGER NOT NULL,
    PRIMARY KEY (account, region)
) STRICT, WITHOUT ROWID;
