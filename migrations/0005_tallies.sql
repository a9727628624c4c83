-- Tallies: how many fires, jobs and deletions ended, and how, for whoever asks every few seconds. To count a million jobs
-- takes a third of a second, and those that were summed up are not there to be counted. Triggers add each end in the
-- transaction that writes it, so a tally is right whatever writes, whatever dies, and whatever was summed up since.

-- `detail` is the grade, the code of the error or the reason of a job, and the code of a deletion that was refused; `mode`
-- is how the image of a job that succeeded was taken. `last_at` is when the last one ended; of fires, its nominal time.
CREATE TABLE tallies (
    kind         TEXT NOT NULL CHECK (kind IN ('fire', 'job', 'deletion')),
    policy       TEXT NOT NULL,
    account_name TEXT NOT NULL,
    outcome      TEXT NOT NULL,
    detail       TEXT NOT NULL,
    mode         TEXT NOT NULL CHECK (mode IN ('', 'reboot', 'no-reboot', 'freeze')),
    ended        INTEGER NOT NULL CHECK (ended >= 0),
    last_at      INTEGER NOT NULL,
    PRIMARY KEY (kind, policy, account_name, outcome, detail, mode)
) STRICT, WITHOUT ROWID;

-- What ended before there were tallies. Of jobs that are summed up neither code nor account's name is left: those of their
-- account count as the name that the account has, and a code that is not known is the empty one.
INSERT INTO tallies (kind, policy, account_name, outcome, detail, mode, ended, last_at)
SELECT 'fire', policy, account_name, outcome, '', '', sum(coalesce(missed_count, 1)), max(scheduled_at)
FROM fires GROUP BY policy, account_name, outcome;

INSERT INTO tallies (kind, policy, account_name, outcome, detail, mode, ended, last_at)
SELECT 'fire', policy, account_name, outcome, '', '', sum(fires), unixepoch(max(month) || '-01') * 1000
FROM fire_summaries WHERE true GROUP BY policy, account_name, outcome
ON CONFLICT DO UPDATE SET ended = ended + excluded.ended;

INSERT INTO tallies (kind, policy, account_name, outcome, detail, mode, ended, last_at)
SELECT 'job', policy, account_name, state,
    coalesce(CASE state WHEN 'succeeded' THEN data ->> '$.grade' WHEN 'failed' THEN data ->> '$.error.code'
        ELSE data ->> '$.reason' END, ''),
    CASE state WHEN 'succeeded' THEN coalesce(intent ->> '$.mode', '') ELSE '' END,
    count(*), max(finished_at)
FROM jobs WHERE finished_at IS NOT NULL GROUP BY 2, 3, 4, 5, 6;

INSERT INTO tallies (kind, policy, account_name, outcome, detail, mode, ended, last_at)
SELECT 'job', policy, accounts.name, state, CASE state WHEN 'succeeded' THEN grade ELSE '' END,
    CASE state WHEN 'succeeded' THEN mode ELSE '' END, sum(jobs), max(last_at)
FROM summaries
JOIN accounts ON accounts.name = (SELECT min(name) FROM accounts
    WHERE accounts.account = summaries.account AND accounts.region = summaries.region)
GROUP BY 2, 3, 4, 5, 6
ON CONFLICT DO UPDATE SET ended = ended + excluded.ended, last_at = max(last_at, excluded.last_at);

INSERT INTO tallies (kind, policy, account_name, outcome, detail, mode, ended, last_at)
SELECT 'deletion', policy, account_name, state,
    CASE state WHEN 'refused' THEN coalesce(data ->> '$.error.code', '') ELSE '' END, '', count(*), max(finished_at)
FROM deletions WHERE finished_at IS NOT NULL GROUP BY 2, 3, 4, 5;

CREATE TRIGGER fires_are_tallied AFTER INSERT ON fires
BEGIN
    INSERT INTO tallies (kind, policy, account_name, outcome, detail, mode, ended, last_at)
    VALUES ('fire', NEW.policy, NEW.account_name, NEW.outcome, '', '', coalesce(NEW.missed_count, 1), NEW.scheduled_at)
    ON CONFLICT DO UPDATE SET ended = ended + excluded.ended, last_at = max(last_at, excluded.last_at);
END;

-- A row of misses grows with each that follows.
CREATE TRIGGER longer_fires_are_tallied AFTER UPDATE OF missed_count ON fires
BEGIN
    UPDATE tallies SET ended = ended + NEW.missed_count - OLD.missed_count, last_at = max(last_at, NEW.scheduled_at)
    WHERE kind = 'fire' AND policy = NEW.policy AND account_name = NEW.account_name AND outcome = NEW.outcome
        AND detail = '' AND mode = '';
END;

CREATE TRIGGER jobs_are_tallied AFTER UPDATE OF state ON jobs WHEN OLD.finished_at IS NULL AND NEW.finished_at IS NOT NULL
BEGIN
    INSERT INTO tallies (kind, policy, account_name, outcome, detail, mode, ended, last_at)
    VALUES ('job', NEW.policy, NEW.account_name, NEW.state,
        coalesce(CASE NEW.state WHEN 'succeeded' THEN NEW.data ->> '$.grade' WHEN 'failed' THEN NEW.data ->> '$.error.code'
            ELSE NEW.data ->> '$.reason' END, ''),
        CASE NEW.state WHEN 'succeeded' THEN coalesce(NEW.intent ->> '$.mode', '') ELSE '' END, 1, NEW.finished_at)
    ON CONFLICT DO UPDATE SET ended = ended + 1, last_at = max(last_at, excluded.last_at);
END;

CREATE TRIGGER deletions_are_tallied AFTER UPDATE OF state ON deletions
WHEN OLD.finished_at IS NULL AND NEW.finished_at IS NOT NULL
BEGIN
    INSERT INTO tallies (kind, policy, account_name, outcome, detail, mode, ended, last_at)
    VALUES ('deletion', NEW.policy, NEW.account_name, NEW.state,
        CASE NEW.state WHEN 'refused' THEN coalesce(NEW.data ->> '$.error.code', '') ELSE '' END, '', 1, NEW.finished_at)
    ON CONFLICT DO UPDATE SET ended = ended + 1, last_at = max(last_at, excluded.last_at);
END;

-- The images that count, by policy and grade, and the newest of each: read as a whole, and nothing of the table is.
CREATE INDEX images_counted ON images (policy, account_name, grade, captured_at) WHERE state = 'available' AND counts = 1;

PRAGMA user_version = 5;
