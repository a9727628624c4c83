-- Holding instances still.

-- What the hold of a job was, once it is over.
ALTER TABLE jobs ADD COLUMN hold TEXT CHECK (json_valid(hold));

-- Holds that have begun and are not known to be over: written before anything is frozen, so that whoever comes after a
-- crash can thaw it. A row goes as soon as its hold is over.
CREATE TABLE holds (
    job      TEXT PRIMARY KEY REFERENCES jobs (id),
    began_at INTEGER NOT NULL,
    data     TEXT NOT NULL CHECK (json_valid(data))
) STRICT, WITHOUT ROWID;

PRAGMA user_version = 3;
