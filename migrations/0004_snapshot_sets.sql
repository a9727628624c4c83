-- Deletions of snapshots of which no image was made: those have no image, and no state that it had before.
--
-- SQLite takes a NOT NULL away only by rebuilding the table, as in the second migration, and for the same reason the
-- connection that migrates has foreign keys switched off.
CREATE TABLE deletions_new (
    id           TEXT PRIMARY KEY,
    prune        INTEGER REFERENCES prunes (id),
    image        TEXT,
    job          TEXT NOT NULL REFERENCES jobs (id),
    policy       TEXT NOT NULL,
    account      TEXT NOT NULL,
    account_name TEXT NOT NULL,
    region       TEXT NOT NULL,
    instance     TEXT NOT NULL,
    snapshots    TEXT NOT NULL CHECK (json_valid(snapshots)),
    reason       TEXT NOT NULL CHECK (reason <> ''),
    was          TEXT CHECK (was IN ('available', 'failed', 'missing')),
    planned_at   INTEGER NOT NULL,
    attempts     INTEGER NOT NULL CHECK (attempts >= 0),
    state        TEXT NOT NULL CHECK (state IN ('planned', 'snapshots-left', 'done', 'refused', 'withdrawn')),
    data         TEXT NOT NULL CHECK (json_valid(data)),
    finished_at  INTEGER,
    FOREIGN KEY (account, region, image) REFERENCES images (account, region, image),
    CHECK ((state IN ('done', 'refused', 'withdrawn')) = (finished_at IS NOT NULL)),
    CHECK ((image IS NULL) = (was IS NULL)),
    CHECK (image IS NOT NULL OR snapshots <> '[]')
) STRICT;

INSERT INTO deletions_new (id, prune, image, job, policy, account, account_name, region, instance, snapshots, reason, was,
    planned_at, attempts, state, data, finished_at)
SELECT id, prune, image, job, policy, account, account_name, region, instance, snapshots, reason, was, planned_at, attempts,
    state, data, finished_at
FROM deletions;

DROP TABLE deletions;
ALTER TABLE deletions_new RENAME TO deletions;

-- One image has one open deletion at most, even if amikeep were wrong.
CREATE UNIQUE INDEX deletions_open ON deletions (account, region, image) WHERE state IN ('planned', 'snapshots-left');
CREATE INDEX deletions_by_time ON deletions (planned_at, policy, state);
CREATE INDEX deletions_by_image ON deletions (image, planned_at);
CREATE INDEX deletions_by_job ON deletions (job);
CREATE INDEX deletions_by_prune ON deletions (prune) WHERE prune IS NOT NULL;

-- A reference into nothing fails the CHECK, and with it the whole migration.
CREATE TABLE dangling_references (n INTEGER NOT NULL CONSTRAINT nothing_refers_into_nothing CHECK (n = 0)) STRICT;
INSERT INTO dangling_references (n) SELECT count(*) FROM pragma_foreign_key_check;
DROP TABLE dangling_references;

PRAGMA user_version = 4;
