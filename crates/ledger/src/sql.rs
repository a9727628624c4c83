//! Every statement of the ledger, and so of the project, as static text.
//!
//! One macro declares them, so that one test sees them all: each is prepared on a fresh database, and those marked `Hot`
//! must neither read a whole table nor sort. Placeholders are numbered; values are always bound.

/// How often a statement runs, and so what its plan may be.
#[cfg(test)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Heat {
    /// For every job, page or tick: only index searches.
    Hot,
    /// Once in a while, or over a table that is small by nature.
    Cold,
}

macro_rules! statements {
    ($($(#[$doc:meta])* $heat:ident $name:ident = $text:expr;)*) => {
        $($(#[$doc])* pub(crate) const $name: &str = $text;)*

        #[cfg(test)]
        pub(crate) const ALL: &[(&str, Heat, &str)] = &[$((stringify!($name), Heat::$heat, $name)),*];
    };
}

macro_rules! job_columns {
    () => {
        "id, policy, account, region, instance, scheduled_at, account_name, trigger, request, asked, class, start_at, \
         start_by, created_at, started_at, finished_at, attempts, number, intent, hold, state, data"
    };
}

/// A page of jobs, newest first. The leading condition chooses the index; the rest is the same for all, so that they take
/// the same values.
macro_rules! history {
    ($lead:literal) => {
        concat!(
            "SELECT ",
            job_columns!(),
            " FROM jobs WHERE ",
            $lead,
            " AND ?5 <= scheduled_at AND (scheduled_at, id) < (?6, ?7)
              AND (?1 IS NULL OR request = ?1) AND (?2 IS NULL OR instance = ?2)
              AND (?3 IS NULL OR policy = ?3) AND (?4 IS NULL OR state = ?4)
              ORDER BY scheduled_at DESC, id DESC LIMIT ?8"
        )
    };
}

macro_rules! fires {
    ($lead:literal) => {
        concat!(
            "SELECT id, policy, account_name, scheduled_at, outcome, matched, missed_from, missed_count, note, recorded_at
             FROM fires WHERE ",
            $lead,
            " AND ?2 <= scheduled_at AND (scheduled_at, id) < (?3, ?4) ORDER BY scheduled_at DESC, id DESC LIMIT ?5"
        )
    };
}

macro_rules! images {
    ($lead:literal) => {
        concat!(
            "SELECT image, name, job, policy, images.account, account_name, images.region, instance, class, captured_at,
                    grade, volumes, state, counts, pinned, missing_since, first_seen_at,
                    CASE state WHEN 'available' THEN max(last_seen_at, coalesce(listed_at, 0)) ELSE last_seen_at END
                        AS last_seen_at
             FROM images
             LEFT JOIN listings ON listings.account = images.account AND listings.region = images.region
             WHERE ",
            $lead,
            " AND (?1 IS NULL OR policy = ?1) AND (?2 IS NULL OR instance = ?2)
             ORDER BY policy, images.account, images.region, instance, captured_at DESC, image"
        )
    };
}

macro_rules! requests {
    ($condition:literal) => {
        concat!(
            "SELECT id, kind, data, requested_at, state, error,
                    (SELECT jobs.id FROM jobs WHERE jobs.request = requests.id LIMIT 1) AS job,
                    (SELECT max(prunes.id) FROM prunes WHERE prunes.request = requests.id) AS prune
             FROM requests WHERE ",
            $condition
        )
    };
}

macro_rules! deletions {
    ($rest:literal) => {
        concat!(
            "SELECT deletions.id, image, job, deletions.policy, account, account_name, region, instance, snapshots, reason,
                    deletions.planned_at, attempts, state, data, finished_at
             FROM ",
            $rest
        )
    };
}

macro_rules! prunes {
    ($rest:literal) => {
        concat!("SELECT id, request, policy, planned_at, kept, deleted, held, notes FROM prunes ", $rest)
    };
}

macro_rules! pause_columns {
    () => {
        "id, scope, name, since, until, reason, ended_at"
    };
}

macro_rules! summaries {
    ($lead:literal) => {
        concat!(
            "SELECT month, policy, account, region, instance, trigger, class, mode, grade, state, jobs, timed, total_ms,
                    min_ms, max_ms, first_at, last_at
             FROM summaries WHERE ",
            $lead,
            " AND (?1 IS NULL OR policy = ?1) AND (?2 IS NULL OR instance = ?2)
             ORDER BY policy, instance, month, account, region, trigger, class, mode, grade, state"
        )
    };
}

statements! {
    // Transactions and the file itself.
    Cold BEGIN = "BEGIN IMMEDIATE";
    Cold APPLICATION_ID = "PRAGMA application_id";
    Cold SCHEMA_VERSION = "PRAGMA user_version";
    /// Writes nothing into the ledger, and is no part of a transaction.
    Cold VACUUM_INTO = "VACUUM INTO ?1";
    Cold QUICK_CHECK = "PRAGMA quick_check(10)";
    Cold INTEGRITY_CHECK = "PRAGMA integrity_check(10)";
    Cold FOREIGN_KEY_CHECK = "SELECT \"table\", \"rowid\", parent FROM pragma_foreign_key_check LIMIT 10";

    // Runs of the engine.
    Cold LAST_RUN = "SELECT started_at, stopped_at FROM runs ORDER BY id DESC LIMIT 1";
    Cold INSERT_RUN = "INSERT INTO runs (started_at) VALUES (?1)";
    Cold DELETE_RUN = "DELETE FROM runs WHERE id = ?1";
    Cold STOP_RUN = "UPDATE runs SET stopped_at = ?1 WHERE id = (SELECT max(id) FROM runs) AND stopped_at IS NULL";

    // Accounts and their instances.
    Hot UPSERT_ACCOUNT = "INSERT INTO accounts (name, account, region, seen_at) VALUES (?1, ?2, ?3, ?4)
        ON CONFLICT (name) DO UPDATE
        SET account = excluded.account, region = excluded.region, seen_at = excluded.seen_at";
    Hot UPSERT_ACCOUNT_ERROR = "INSERT INTO accounts (name, seen_at, last_error, last_error_at) VALUES (?1, ?2, ?3, ?2)
        ON CONFLICT (name) DO UPDATE SET last_error = excluded.last_error, last_error_at = excluded.last_error_at";
    Cold ACCOUNTS = "SELECT name, account, region, seen_at, inventory_at, last_error, last_error_at
        FROM accounts ORDER BY name";
    /// What is not in the inventory keeps the time of the one before, in which it was.
    Hot INSTANCES_GONE = "UPDATE instances SET present = 0,
            last_seen_at = max(last_seen_at,
                coalesce((SELECT inventory_at FROM accounts WHERE accounts.name = instances.account_name), 0))
        WHERE account_name = ?1 AND present = 1
            AND instance NOT IN (SELECT value ->> 'instance' FROM json_each(?2))";
    /// Writes only what changed.
    Hot UPSERT_INSTANCES = "INSERT INTO instances (account_name, instance, name, state, present, first_seen_at, last_seen_at)
        SELECT ?1, value ->> 'instance', value ->> 'name', value ->> 'state', 1, ?3, ?3 FROM json_each(?2) WHERE true
        ON CONFLICT (account_name, instance) DO UPDATE
        SET name = excluded.name, state = excluded.state, present = 1, last_seen_at = excluded.last_seen_at
        WHERE instances.name IS NOT excluded.name OR instances.state <> excluded.state OR instances.present = 0";
    Hot UPSERT_INVENTORY_TIME = "INSERT INTO accounts (name, seen_at, inventory_at) VALUES (?1, ?2, ?2)
        ON CONFLICT (name) DO UPDATE
        SET inventory_at = excluded.inventory_at, last_error = NULL, last_error_at = NULL";
    Hot INSERT_INVENTORY = "INSERT INTO inventories (account_name, taken_at, instances) VALUES (?1, ?2, ?3)";
    Hot INSTANCES = "SELECT instance, instances.name, state, present, first_seen_at,
            CASE present WHEN 1 THEN max(last_seen_at, coalesce(inventory_at, 0)) ELSE last_seen_at END AS last_seen_at
        FROM accounts CROSS JOIN instances ON instances.account_name = accounts.name
        WHERE accounts.name = ?1 ORDER BY instance";

    // Fires.
    Cold CURSORS = "SELECT policy, account_name, fingerprint, planned_to, enabled FROM cursors
        ORDER BY policy, account_name";
    Hot UPSERT_CURSOR = "INSERT INTO cursors (policy, account_name, fingerprint, planned_to, enabled)
        VALUES (?1, ?2, ?3, ?4, ?5)
        ON CONFLICT (policy, account_name) DO UPDATE
        SET fingerprint = excluded.fingerprint, planned_to = excluded.planned_to, enabled = excluded.enabled";
    Hot PLANNED_TO = "SELECT planned_to FROM cursors WHERE policy = ?1 AND account_name = ?2";
    Hot CURSOR_FORWARD = "UPDATE cursors SET planned_to = ?3
        WHERE policy = ?1 AND account_name = ?2 AND planned_to < ?3";
    Hot NEWEST_FIRE = "SELECT id, scheduled_at, outcome, note FROM fires WHERE policy = ?1 AND account_name = ?2
        ORDER BY scheduled_at DESC LIMIT 1";
    Hot EXTEND_FIRE = "UPDATE fires SET scheduled_at = ?2, missed_count = missed_count + ?3, note = coalesce(?4, note),
            recorded_at = ?5
        WHERE id = ?1";
    Hot INSERT_FIRE = "INSERT INTO fires
            (policy, account_name, scheduled_at, outcome, matched, missed_from, missed_count, note, recorded_at)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)
        ON CONFLICT (policy, account_name, scheduled_at) DO NOTHING";
    Hot FIRES = fires!("true");
    Hot FIRES_OF_POLICY = fires!("policy = ?1");

    // Requests.
    Hot INSERT_REQUEST = "INSERT INTO requests (id, kind, data, requested_at, state) VALUES (?1, ?2, ?3, ?4, 'open')";
    Hot REQUEST = requests!("id = ?1");
    Hot OPEN_REQUESTS = requests!("state = 'open' ORDER BY requested_at, id");
    Hot SETTLE_REQUEST = "UPDATE requests SET state = ?2, settled_at = ?3, error = ?4 WHERE id = ?1 AND state = 'open'";
    /// The request of the prune of a deletion is done once nothing of it is open.
    Hot REQUEST_OF_DELETION_DONE = "UPDATE requests SET state = 'done'
        WHERE state = 'planned'
            AND id = (SELECT request FROM prunes WHERE id = (SELECT prune FROM deletions WHERE id = ?1))
            AND NOT EXISTS (SELECT 1 FROM deletions
                WHERE prune = (SELECT prune FROM deletions WHERE id = ?1) AND state IN ('planned', 'snapshots-left'))";

    // Jobs.
    Hot INSERT_JOB = concat!(
        "INSERT INTO jobs (", job_columns!(), ")
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21, ?22)
         ON CONFLICT (policy, account, region, instance, scheduled_at) DO NOTHING"
    );
    /// What an event can change of a job.
    Hot UPDATE_JOB = "UPDATE jobs SET class = ?2, started_at = ?3, finished_at = ?4, attempts = ?5, number = ?6, intent = ?7,
            state = ?8, data = ?9, hold = ?10
        WHERE id = ?1";
    Cold RECORD_HOLD = "INSERT INTO holds (job, began_at, data) VALUES (?1, ?2, ?3)
        ON CONFLICT (job) DO UPDATE SET data = excluded.data";
    Cold OPEN_HOLDS = "SELECT job, data FROM holds ORDER BY began_at, job";
    Cold SETTLE_HOLD = "DELETE FROM holds WHERE job = ?1";
    Hot JOB = concat!("SELECT ", job_columns!(), " FROM jobs WHERE id = ?1");
    Hot JOBS_BY_PREFIX = concat!("SELECT ", job_columns!(), " FROM jobs WHERE ?1 <= id AND id < ?2 ORDER BY id LIMIT ?3");
    /// The first condition is what the partial index needs to be told.
    Hot OPEN_JOBS = concat!(
        "SELECT ", job_columns!(), " FROM jobs
         WHERE state <> 'succeeded'
             AND state IN ('queued', 'preparing', 'holding', 'capturing', 'pending', 'finishing')"
    );
    Hot JOBS_BY_IDS = concat!(
        "SELECT ", job_columns!(), " FROM jobs WHERE id IN (SELECT value FROM json_each(?1))"
    );
    Hot INSERT_EVENT = "INSERT INTO events (job, at, event, detail) VALUES (?1, ?2, ?3, ?4)";
    Hot EVENTS = "SELECT at, event, detail FROM events WHERE job = ?1 ORDER BY id";
    Hot HISTORY = history!("true");
    Hot HISTORY_OF_REQUEST = history!("request = ?1");
    Hot HISTORY_OF_INSTANCE = history!("instance = ?2");
    Hot HISTORY_OF_POLICY = history!("policy = ?3");
    Hot HISTORY_OF_STATE = history!("state <> 'succeeded' AND state = ?4");

    // Images.
    Hot INSERT_IMAGE = "INSERT INTO images (image, account, region, name, job, policy, account_name, instance, class, volumes,
            state, counts, pinned, first_seen_at, last_seen_at)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?11, 'pending', 0, 0, ?10, ?10)
        ON CONFLICT (account, region, image) DO UPDATE SET last_seen_at = excluded.last_seen_at
        WHERE images.job = excluded.job";
    Hot IMAGE_AVAILABLE = "UPDATE images SET state = 'available', captured_at = ?5, grade = ?6, volumes = ?7, last_seen_at = ?8
        WHERE account = ?1 AND region = ?2 AND image = ?3 AND job = ?4";
    Hot IMAGE_COUNTS = "UPDATE images SET counts = 1
        WHERE account = ?1 AND region = ?2 AND image = ?3 AND job = ?4 AND captured_at IS NOT NULL";
    Hot IMAGE_NEVER_COUNTS = "UPDATE images
        SET counts = 0, state = CASE state WHEN 'pending' THEN 'failed' ELSE state END
        WHERE account = ?1 AND region = ?2 AND image = ?3 AND job = ?4";
    /// A listing that was begun before an image was last seen says nothing about it. The first condition is what the partial
    /// index needs to be told.
    /// A time more than an hour after the listing was written by a clock that was wrong, and says nothing.
    Hot IMAGES_MISSING = "UPDATE images SET state = 'missing', missing_since = ?4,
            last_seen_at = min(?4, max(last_seen_at, coalesce((SELECT listed_at FROM listings
                WHERE listings.account = images.account AND listings.region = images.region), 0)))
        WHERE state <> 'deleted' AND account = ?1 AND region = ?2 AND state = 'available'
            AND (last_seen_at < ?5 OR ?4 + 3600000 < last_seen_at)
            AND image NOT IN (SELECT value ->> 0 FROM json_each(?3))";
    /// Writes only what changed. A listing that may be older than what was recorded of a pin says nothing about it. The list
    /// is asked by `IN`, which reads it once; as a table it would be read for each image.
    Hot IMAGES_SEEN = "UPDATE images
        SET pinned = CASE WHEN coalesce(pin_recorded_at < ?5 OR ?4 + 3600000 < pin_recorded_at, true)
                THEN image IN (SELECT value ->> 0 FROM json_each(?3) WHERE value ->> 1 = 1) ELSE pinned END,
            last_seen_at = max(last_seen_at, ?4),
            state = CASE state WHEN 'missing' THEN 'available' ELSE state END, missing_since = NULL
        WHERE account = ?1 AND region = ?2 AND image IN (SELECT value ->> 0 FROM json_each(?3))
            AND (state = 'missing' OR (coalesce(pin_recorded_at < ?5 OR ?4 + 3600000 < pin_recorded_at, true)
                AND pinned <> (image IN (SELECT value ->> 0 FROM json_each(?3) WHERE value ->> 1 = 1))))";
    Hot UPSERT_LISTING = "INSERT INTO listings (account, region, listed_at) VALUES (?1, ?2, ?3)
        ON CONFLICT (account, region) DO UPDATE SET listed_at =
            CASE WHEN excluded.listed_at + 3600000 < listed_at THEN excluded.listed_at ELSE max(listed_at, excluded.listed_at) END";
    Cold IMAGES = images!("true");
    Cold IMAGES_OF_POLICY = images!("policy = ?1");
    Cold IMAGES_OF_INSTANCE = images!("instance = ?2");
    Cold IMAGES_BY_ID = images!("image = ?3");
    /// The first condition is what the partial index needs to be told.
    Hot IMAGES_TO_PRUNE = images!("state <> 'deleted' AND images.account = ?3 AND images.region = ?4");
    Hot PIN_IMAGE = "UPDATE images SET pinned = ?4, pin_recorded_at = ?5 WHERE account = ?1 AND region = ?2 AND image = ?3
        RETURNING job";
    /// Only of a job that is there: what no job proves to be ours has no row.
    Hot INSERT_STRAY_IMAGE = "INSERT INTO images (image, account, region, name, job, policy, account_name, instance, class,
            volumes, state, counts, pinned, first_seen_at, last_seen_at)
        SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, '[]', ?10, 0, 0, ?11, ?12 FROM jobs WHERE jobs.id = ?5
        ON CONFLICT (account, region, image) DO NOTHING";
    /// The state of an image that may be deleted. Whatever was decided, the image of a job that has not ended may not.
    Hot STATE_TO_DELETE = "SELECT state FROM images
        WHERE account = ?1 AND region = ?2 AND image = ?3 AND job = ?4 AND state IN ('available', 'failed', 'missing')
            AND (pinned = 0 OR coalesce(pin_recorded_at < ?5, true))
            AND EXISTS (SELECT 1 FROM jobs WHERE jobs.id = images.job AND jobs.finished_at IS NOT NULL)
            AND NOT EXISTS (SELECT 1 FROM deletions
                WHERE deletions.account = images.account AND deletions.region = images.region
                    AND deletions.image = images.image AND deletions.state IN ('planned', 'snapshots-left'))";
    Hot IMAGE_DELETING = "UPDATE images SET state = 'deleting',
            last_seen_at = CASE state WHEN 'available' THEN max(last_seen_at, coalesce((SELECT listed_at FROM listings
                WHERE listings.account = images.account AND listings.region = images.region), 0)) ELSE last_seen_at END
        WHERE account = ?1 AND region = ?2 AND image = ?3";
    /// Without a state of its own the image is again what it was.
    Hot IMAGE_FOLLOWS_DELETION = "UPDATE images SET state = coalesce(?4, (SELECT was FROM deletions WHERE deletions.id = ?5))
        WHERE account = ?1 AND region = ?2 AND image = ?3 AND state IN ('deleting', 'snapshots-left')";

    // Prunes and deletions.
    Hot INSERT_PRUNE = "INSERT INTO prunes (request, policy, planned_at, kept, deleted, held, notes)
        VALUES (?1, ?2, ?3, ?4, 0, ?5, ?6)";
    Hot PRUNE_DELETED = "UPDATE prunes SET deleted = ?2 WHERE id = ?1";
    /// Leaves the newest of those that deleted nothing.
    Cold TRIM_PRUNES = "DELETE FROM prunes WHERE deleted = 0
        AND id <= (SELECT id FROM prunes WHERE deleted = 0 ORDER BY id DESC LIMIT 1 OFFSET ?1)";
    Hot PRUNE = prunes!("WHERE id = ?1");
    Cold PRUNES = prunes!("ORDER BY id DESC LIMIT ?1");
    Hot UPSERT_PRUNE_CURSOR = "INSERT INTO prune_cursors (account_name, pruned_to) VALUES (?1, ?2)
        ON CONFLICT (account_name) DO UPDATE SET pruned_to = excluded.pruned_to";
    Cold PRUNE_CURSORS = "SELECT account_name, pruned_to FROM prune_cursors";
    Hot INSERT_DELETION = "INSERT INTO deletions (id, prune, image, job, policy, account, account_name, region, instance,
            snapshots, reason, was, planned_at, attempts, state, data, finished_at)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17)";
    Hot JOB_HAS_ENDED = "SELECT finished_at IS NOT NULL FROM jobs WHERE id = ?1";
    /// Whether an image that is not deleted has one of these snapshots of a job, or a deletion has that was not given up. One
    /// that was seen gone is there again because somebody took it out of the Recycle Bin.
    Cold SET_IS_NEEDED = "SELECT EXISTS (
            SELECT 1 FROM images, json_each(images.volumes) AS volume WHERE images.job = ?1 AND images.state <> 'deleted'
                AND volume.value ->> 'snapshot' IN (SELECT value FROM json_each(?2))
            UNION ALL
            SELECT 1 FROM deletions, json_each(deletions.snapshots) AS snapshot WHERE deletions.job = ?1
                AND deletions.state IN ('planned', 'snapshots-left', 'done')
                AND snapshot.value IN (SELECT value FROM json_each(?2)))";
    /// What an event can change of a deletion.
    Hot UPDATE_DELETION = "UPDATE deletions SET attempts = ?2, state = ?3, data = ?4, finished_at = ?5 WHERE id = ?1";
    Hot DELETION = deletions!("deletions WHERE id = ?1");
    Hot OPEN_DELETIONS = deletions!("deletions WHERE state IN ('planned', 'snapshots-left')");
    Hot DELETIONS_OF_PRUNE = deletions!("deletions WHERE prune = ?1");
    Hot DELETIONS_OF_REQUEST = deletions!(
        "prunes CROSS JOIN deletions ON deletions.prune = prunes.id WHERE prunes.request = ?1"
    );
    Hot DELETIONS_OF_IMAGE = deletions!("deletions WHERE image = ?1");
    /// Not what was given up: its image is still there.
    Cold DELETED_SINCE = "SELECT policy, count(*) FROM deletions
        WHERE ?1 < planned_at AND state NOT IN ('refused', 'withdrawn') GROUP BY policy";
    Cold SUCCEEDED_SINCE = "SELECT policy, count(*) FROM jobs
        WHERE state = 'succeeded' AND ?1 < finished_at GROUP BY policy";

    // Pauses.
    Hot INSERT_PAUSE = concat!(
        "INSERT INTO pauses (", pause_columns!(), ") VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)"
    );
    Cold END_PAUSES = concat!(
        "UPDATE pauses SET ended_at = ?3
         WHERE scope = ?1 AND name IS ?2 AND (ended_at IS NULL OR ?3 < ended_at) AND (until IS NULL OR ?3 < until)
         RETURNING ", pause_columns!()
    );
    Cold PAUSES_SINCE = concat!(
        "SELECT ", pause_columns!(), " FROM pauses
         WHERE (ended_at IS NULL OR ?1 < ended_at) AND (until IS NULL OR ?1 < until)"
    );

    // Figures.
    Cold TALLIES = "SELECT kind, policy, account_name, outcome, detail, mode, ended, last_at FROM tallies
        ORDER BY kind, policy, account_name, outcome, detail, mode";
    /// The newest fire of each policy that was not missed or skipped.
    Cold LAST_FIRES = "SELECT cursors.policy, cursors.account_name, fires.scheduled_at, fires.matched
        FROM cursors CROSS JOIN fires ON fires.id = (SELECT newest.id FROM fires AS newest
            WHERE newest.policy = cursors.policy AND newest.account_name = cursors.account_name
                AND newest.outcome IN ('ran', 'no-match')
            ORDER BY newest.scheduled_at DESC LIMIT 1)";
    /// The jobs of those fires.
    Cold LAST_JOBS = "SELECT jobs.policy, jobs.account_name, jobs.state, count(*)
        FROM cursors CROSS JOIN jobs ON jobs.policy = cursors.policy AND jobs.account_name = cursors.account_name
            AND jobs.scheduled_at = (SELECT newest.scheduled_at FROM fires AS newest
                WHERE newest.policy = cursors.policy AND newest.account_name = cursors.account_name
                    AND newest.outcome = 'ran'
                ORDER BY newest.scheduled_at DESC LIMIT 1)
        GROUP BY 1, 2, 3";
    /// The first condition is what the partial index needs to be told.
    Hot OPEN_JOB_COUNTS = "SELECT state, count(*), count(CASE WHEN state = 'pending' AND data ->> 'stalled' THEN 1 END)
        FROM jobs
        WHERE state <> 'succeeded'
            AND state IN ('queued', 'preparing', 'holding', 'capturing', 'pending', 'finishing')
        GROUP BY state";
    Cold IMAGE_COUNTS_BY_GRADE = "SELECT policy, account_name, grade, count(*), max(captured_at)
        FROM images WHERE state = 'available' AND counts = 1 GROUP BY policy, account_name, grade";
    Cold OPEN_DELETION_COUNTS = "SELECT state, count(*) FROM deletions
        WHERE state IN ('planned', 'snapshots-left') GROUP BY state";

    // Summaries.
    /// A job whose image exists stays, and one whose deletion is not as old stays as well: limits count deletions.
    Hot OLD_JOBS = concat!(
        "SELECT ", job_columns!(), " FROM jobs
         WHERE scheduled_at < ?1 AND finished_at < ?1
             AND NOT EXISTS (SELECT 1 FROM images WHERE images.job = jobs.id AND images.state <> 'deleted')
             AND NOT EXISTS (SELECT 1 FROM deletions WHERE deletions.job = jobs.id
                 AND (?1 <= deletions.planned_at OR deletions.state IN ('planned', 'snapshots-left')))
         ORDER BY scheduled_at, id LIMIT ?2"
    );
    Hot UPSERT_SUMMARY = "INSERT INTO summaries (month, policy, account, region, instance, trigger, class, mode, grade, state,
            jobs, timed, total_ms, min_ms, max_ms, first_at, last_at)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17)
        ON CONFLICT (policy, instance, month, account, region, trigger, class, mode, grade, state) DO UPDATE
        SET jobs = jobs + excluded.jobs, timed = timed + excluded.timed, total_ms = total_ms + excluded.total_ms,
            min_ms = coalesce(min(min_ms, excluded.min_ms), min_ms, excluded.min_ms),
            max_ms = coalesce(max(max_ms, excluded.max_ms), max_ms, excluded.max_ms),
            first_at = min(first_at, excluded.first_at), last_at = max(last_at, excluded.last_at)";
    Hot BEGIN_SUMMARISING = "INSERT INTO summarising (job) SELECT value FROM json_each(?1)";
    Hot DELETE_EVENTS = "DELETE FROM events WHERE job IN (SELECT value FROM json_each(?1))";
    Hot DELETE_DELETIONS = "DELETE FROM deletions WHERE job IN (SELECT value FROM json_each(?1))";
    Hot DELETE_IMAGES = "DELETE FROM images
        WHERE job IN (SELECT value FROM json_each(?1)) AND state = 'deleted'";
    Hot DELETE_JOBS = "DELETE FROM jobs WHERE id IN (SELECT value FROM json_each(?1))";
    Cold END_SUMMARISING = "DELETE FROM summarising";
    Hot OLD_FIRES = "SELECT id FROM fires
        WHERE scheduled_at < ?1 AND NOT EXISTS (SELECT 1 FROM jobs WHERE jobs.policy = fires.policy
            AND jobs.scheduled_at = fires.scheduled_at AND jobs.account_name = fires.account_name)
        ORDER BY scheduled_at, id LIMIT ?2";
    Cold SUMMARISE_FIRES = "INSERT INTO fire_summaries (month, policy, account_name, outcome, fires, matched)
        SELECT strftime('%Y-%m', scheduled_at / 1000, 'unixepoch'), policy, account_name, outcome,
            sum(coalesce(missed_count, 1)), sum(matched)
        FROM fires WHERE id IN (SELECT value FROM json_each(?1)) GROUP BY 1, 2, 3, 4
        ON CONFLICT (policy, account_name, month, outcome) DO UPDATE
        SET fires = fires + excluded.fires, matched = matched + excluded.matched";
    Hot DELETE_FIRES = "DELETE FROM fires WHERE id IN (SELECT value FROM json_each(?1))";
    Cold DELETE_PAUSES = "DELETE FROM pauses WHERE ended_at < ?1 OR until < ?1";
    Cold DELETE_PRUNES = "DELETE FROM prunes WHERE planned_at < ?1
        AND NOT EXISTS (SELECT 1 FROM deletions WHERE deletions.prune = prunes.id)";
    /// What still has something to show for it stays.
    Cold DELETE_REQUESTS = "DELETE FROM requests WHERE settled_at < ?1
        AND NOT EXISTS (SELECT 1 FROM jobs WHERE jobs.request = requests.id)
        AND NOT EXISTS (SELECT 1 FROM prunes WHERE prunes.request = requests.id)
        AND NOT EXISTS (SELECT 1 FROM pauses WHERE pauses.id = requests.id)";
    Cold SUMMARIES = summaries!("true");
    Cold SUMMARIES_OF_POLICY = summaries!("policy = ?1");
    Cold SUMMARIES_OF_INSTANCE = summaries!("instance = ?2");
    Cold FIRE_SUMMARIES = "SELECT month, policy, account_name, outcome, fires, matched FROM fire_summaries
        WHERE ?1 IS NULL OR policy = ?1 ORDER BY policy, account_name, month, outcome";
}
