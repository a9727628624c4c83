-- Pruning, pauses, and summaries of what is older than `history_keep`.
--
-- SQLite widens a CHECK only by rebuilding the table (https://www.sqlite.org/lang_altertable.html, section 7). That needs
-- foreign keys switched off, which a transaction cannot do, so the connection that migrates has them off. Everything here
-- is one transaction with the row that says it was done: after a crash the file is as it was before.

-- More kinds of requests, and `done` for those that are carried out at once.
CREATE TABLE requests_new (
    id           TEXT PRIMARY KEY,
    kind         TEXT NOT NULL CHECK (kind IN ('backup', 'prune', 'pause', 'resume', 'cancel', 'pin', 'unpin')),
    data         TEXT NOT NULL CHECK (json_valid(data)),
    requested_at INTEGER NOT NULL,
    state        TEXT NOT NULL CHECK (state IN ('open', 'planned', 'done', 'refused')),
    settled_at   INTEGER,
    error        TEXT CHECK (json_valid(error)),
    CHECK ((state = 'open') = (settled_at IS NULL)),
    CHECK ((state = 'refused') = (error IS NOT NULL))
) STRICT;

INSERT INTO requests_new (id, kind, data, requested_at, state, settled_at, error)
SELECT id, kind, data, requested_at, state, settled_at, error FROM requests;

DROP TABLE requests;
ALTER TABLE requests_new RENAME TO requests;

CREATE INDEX requests_open ON requests (requested_at, id) WHERE state = 'open';

-- Fires that fell into a pause.
CREATE TABLE fires_new (
    id           INTEGER PRIMARY KEY,
    policy       TEXT NOT NULL,
    account_name TEXT NOT NULL,
    scheduled_at INTEGER NOT NULL,
    outcome      TEXT NOT NULL CHECK (outcome IN ('ran', 'no-match', 'missed', 'skipped')),
    matched      INTEGER NOT NULL CHECK (matched >= 0),
    missed_from  INTEGER,
    missed_count INTEGER CHECK (missed_count >= 1),
    note         TEXT,
    recorded_at  INTEGER NOT NULL,
    UNIQUE (policy, account_name, scheduled_at),
    CHECK ((outcome = 'ran') = (matched > 0)),
    CHECK ((outcome IN ('missed', 'skipped')) = (missed_from IS NOT NULL)),
    CHECK ((outcome IN ('missed', 'skipped')) = (missed_count IS NOT NULL)),
    CHECK (outcome <> 'skipped' OR note IS NOT NULL),
    CHECK (missed_from <= scheduled_at)
) STRICT;

INSERT INTO fires_new
    (id, policy, account_name, scheduled_at, outcome, matched, missed_from, missed_count, note, recorded_at)
SELECT id, policy, account_name, scheduled_at, outcome, matched, missed_from, missed_count, note, recorded_at FROM fires;

DROP TABLE fires;
ALTER TABLE fires_new RENAME TO fires;

CREATE INDEX fires_by_time ON fires (scheduled_at);
CREATE INDEX fires_by_policy ON fires (policy, scheduled_at);

-- Each time that retention was applied. Of those that deleted nothing only the newest are kept.
CREATE TABLE prunes (
    id         INTEGER PRIMARY KEY,
    request    TEXT REFERENCES requests (id),
    policy     TEXT,
    planned_at INTEGER NOT NULL,
    kept       INTEGER NOT NULL CHECK (kept >= 0),
    deleted    INTEGER NOT NULL CHECK (deleted >= 0),
    held       INTEGER NOT NULL CHECK (held >= 0),
    notes      TEXT NOT NULL CHECK (json_valid(notes))
) STRICT;

CREATE INDEX prunes_by_request ON prunes (request) WHERE request IS NOT NULL;

-- Up to which nominal time each account was pruned.
CREATE TABLE prune_cursors (
    account_name TEXT PRIMARY KEY,
    pruned_to    INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Each decision to delete an image, written before EC2 is asked. `was` is the state of the image before it.
CREATE TABLE deletions (
    id           TEXT PRIMARY KEY,
    prune        INTEGER REFERENCES prunes (id),
    image        TEXT NOT NULL,
    job          TEXT NOT NULL REFERENCES jobs (id),
    policy       TEXT NOT NULL,
    account      TEXT NOT NULL,
    account_name TEXT NOT NULL,
    region       TEXT NOT NULL,
    instance     TEXT NOT NULL,
    snapshots    TEXT NOT NULL CHECK (json_valid(snapshots)),
    reason       TEXT NOT NULL CHECK (reason <> ''),
    was          TEXT NOT NULL CHECK (was IN ('available', 'failed', 'missing')),
    planned_at   INTEGER NOT NULL,
    attempts     INTEGER NOT NULL CHECK (attempts >= 0),
    state        TEXT NOT NULL CHECK (state IN ('planned', 'snapshots-left', 'done', 'refused', 'withdrawn')),
    data         TEXT NOT NULL CHECK (json_valid(data)),
    finished_at  INTEGER,
    FOREIGN KEY (account, region, image) REFERENCES images (account, region, image),
    CHECK ((state IN ('done', 'refused', 'withdrawn')) = (finished_at IS NOT NULL))
) STRICT;

-- One image has one open deletion at most, even if amikeep were wrong.
CREATE UNIQUE INDEX deletions_open ON deletions (account, region, image) WHERE state IN ('planned', 'snapshots-left');
CREATE INDEX deletions_by_time ON deletions (planned_at, policy, state);
CREATE INDEX deletions_by_image ON deletions (image, planned_at);
CREATE INDEX deletions_by_job ON deletions (job);
CREATE INDEX deletions_by_prune ON deletions (prune) WHERE prune IS NOT NULL;

-- When an operator last pinned or unpinned it here: EC2's answers from before that say nothing about it.
ALTER TABLE images ADD COLUMN pin_recorded_at INTEGER;
-- Since when complete listings have not shown it: what is left of it is kept for a while from then on.
ALTER TABLE images ADD COLUMN missing_since INTEGER;

-- Most images of a long life are deleted ones. The order is that of retention: by series, newest first.
CREATE INDEX images_existing ON images (account, region, policy, instance, captured_at DESC, image) WHERE state <> 'deleted';

-- What succeeded in the last day.
CREATE INDEX jobs_succeeded ON jobs (finished_at, policy) WHERE state = 'succeeded';

-- What operators have paused.
CREATE TABLE pauses (
    id       TEXT PRIMARY KEY REFERENCES requests (id),
    scope    TEXT NOT NULL CHECK (scope IN ('all', 'policy', 'instance')),
    name     TEXT,
    since    INTEGER NOT NULL,
    until    INTEGER,
    reason   TEXT,
    ended_at INTEGER,
    CHECK ((scope = 'all') = (name IS NULL))
) STRICT;

-- Jobs that are no longer kept one by one. An empty text stands for none: no image was asked for, or it has no grade.
CREATE TABLE summaries (
    month    TEXT NOT NULL CHECK (month GLOB '[0-9][0-9][0-9][0-9]-[0-9][0-9]'),
    policy   TEXT NOT NULL,
    account  TEXT NOT NULL,
    region   TEXT NOT NULL,
    instance TEXT NOT NULL,
    trigger  TEXT NOT NULL CHECK (trigger IN ('schedule', 'catch-up', 'manual')),
    class    TEXT NOT NULL,
    mode     TEXT NOT NULL CHECK (mode IN ('', 'reboot', 'no-reboot', 'freeze')),
    grade    TEXT NOT NULL CHECK (grade IN ('', 'crash', 'filesystem', 'application', 'clean', 'offline')),
    state    TEXT NOT NULL CHECK (state IN ('succeeded', 'failed', 'skipped')),
    jobs     INTEGER NOT NULL CHECK (jobs >= 1),
    timed    INTEGER NOT NULL CHECK (timed BETWEEN 0 AND jobs),
    total_ms INTEGER NOT NULL CHECK (total_ms >= 0),
    min_ms   INTEGER,
    max_ms   INTEGER,
    first_at INTEGER NOT NULL,
    last_at  INTEGER NOT NULL CHECK (last_at >= first_at),
    PRIMARY KEY (policy, instance, month, account, region, trigger, class, mode, grade, state),
    CHECK ((timed = 0) = (min_ms IS NULL)),
    CHECK ((timed = 0) = (max_ms IS NULL))
) STRICT, WITHOUT ROWID;

CREATE INDEX summaries_by_instance ON summaries (instance, policy, month);

-- The same for fires. Consecutive ones that were one row are counted each.
CREATE TABLE fire_summaries (
    month        TEXT NOT NULL CHECK (month GLOB '[0-9][0-9][0-9][0-9]-[0-9][0-9]'),
    policy       TEXT NOT NULL,
    account_name TEXT NOT NULL,
    outcome      TEXT NOT NULL CHECK (outcome IN ('ran', 'no-match', 'missed', 'skipped')),
    fires        INTEGER NOT NULL CHECK (fires >= 1),
    matched      INTEGER NOT NULL CHECK (matched >= 0),
    PRIMARY KEY (policy, account_name, month, outcome)
) STRICT, WITHOUT ROWID;

-- The jobs that are being summarised: filled and emptied in one transaction, so that nobody ever sees a row of it. Only
-- their events may be deleted.
CREATE TABLE summarising (
    job TEXT PRIMARY KEY
) STRICT, WITHOUT ROWID;

DROP TRIGGER events_are_never_deleted;

CREATE TRIGGER events_are_never_deleted BEFORE DELETE ON events
WHEN NOT EXISTS (SELECT 1 FROM summarising WHERE job = OLD.job)
BEGIN
    SELECT RAISE(ABORT, 'events are append-only');
END;

-- A reference into nothing fails the CHECK, and with it the whole migration.
CREATE TABLE dangling_references (n INTEGER NOT NULL CONSTRAINT nothing_refers_into_nothing CHECK (n = 0)) STRICT;
INSERT INTO dangling_references (n) SELECT count(*) FROM pragma_foreign_key_check;
DROP TABLE dangling_references;

PRAGMA user_version = 2;
