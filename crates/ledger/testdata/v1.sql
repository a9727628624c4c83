-- A ledger of schema 1 as the first release wrote it. Frozen: never edited. The test that opens it migrates it.
CREATE TABLE _sqlx_migrations (
    version BIGINT PRIMARY KEY,
    description TEXT NOT NULL,
    installed_on TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP,
    success BOOLEAN NOT NULL,
    checksum BLOB NOT NULL,
    execution_time BIGINT NOT NULL
);
INSERT INTO _sqlx_migrations VALUES(1,'initial','2026-11-23 00:27:44',1,X'55812b4840b44af7389e7b0753c6055141d8271885c1de19508b26b135f4723b1b2ab98203264e1270ab619d177c2ba7',3483498);
CREATE TABLE runs (
    id         INTEGER PRIMARY KEY,
    started_at INTEGER NOT NULL,
    stopped_at INTEGER
) STRICT;
INSERT INTO runs VALUES(1,1795219200000,1795302000000);
INSERT INTO runs VALUES(2,1795305600000,1795320000000);
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
INSERT INTO accounts VALUES('default','123456789012','eu-central-1',1795305600000,1795307400000,NULL,NULL);
INSERT INTO accounts VALUES('other',NULL,NULL,1795305600000,NULL,'denied',1795305600000);
CREATE TABLE inventories (
    id           INTEGER PRIMARY KEY,
    account_name TEXT NOT NULL REFERENCES accounts (name),
    taken_at     INTEGER NOT NULL,
    instances    INTEGER NOT NULL CHECK (instances >= 0)
) STRICT;
INSERT INTO inventories VALUES(1,'default',1795298400000,2);
INSERT INTO inventories VALUES(2,'default',1795307400000,2);
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
INSERT INTO instances VALUES('default','i-00000000000000001','db-1','running',1,1795298400000,1795298400000);
INSERT INTO instances VALUES('default','i-00000000000000002','it''s','running',1,1795307400000,1795307400000);
INSERT INTO instances VALUES('default','i-00000000000000009',NULL,'running',0,1795298400000,1795298400000);
CREATE TABLE cursors (
    policy       TEXT NOT NULL,
    account_name TEXT NOT NULL,
    fingerprint  TEXT NOT NULL,
    planned_to   INTEGER NOT NULL,
    enabled      INTEGER NOT NULL CHECK (enabled IN (0, 1)),
    PRIMARY KEY (policy, account_name)
) STRICT, WITHOUT ROWID;
INSERT INTO cursors VALUES('nightly','default','0 * * * * UTC',1795309200000,1);
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
INSERT INTO fires VALUES(1,'nightly','default',1795302000000,'missed',0,1795294800000,3,'the daemon was down',1795302000000);
INSERT INTO fires VALUES(2,'nightly','default',1795305600000,'no-match',0,NULL,NULL,NULL,1795305600000);
INSERT INTO fires VALUES(3,'nightly','default',1795309200000,'ran',5,NULL,NULL,NULL,1795309200000);
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
INSERT INTO requests VALUES('01a20132-4174-7101-8101-010101010101','backup','{"instance":"i-00000000000000001","policy":"nightly","account":"default","consistency":"no-reboot"}',1795316400500,'planned',1795316401000,NULL);
INSERT INTO requests VALUES('01a20132-4174-7202-8202-020202020202','backup','{"instance":"i-00000000000000001","policy":"nightly","account":"default","consistency":"no-reboot"}',1795316400500,'refused',1795316401000,'{"code":"reboot_blocked","message":"a reboot is \"blocked\"","next_step":"widen reboot_window"}');
INSERT INTO requests VALUES('01a20132-4174-7303-8303-030303030303','backup','{"instance":"i-00000000000000001","policy":"nightly","account":"default","consistency":"no-reboot"}',1795316400500,'open',NULL,NULL);
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
INSERT INTO jobs VALUES('01a200c4-6280-7000-8000-000000000001','nightly','123456789012','eu-central-1','i-00000000000000001',1795309200000,'default','schedule',NULL,NULL,'stateful',1795309200000,1795330800000,1795309200250,1795309205000,1795309205000,1,1,'{"name":"amikeep-test-nightly-i-00000000000000001-20261122T010000Z","asked":"reboot","mode":"no-reboot","reason":"the instance is stopped, so nothing needs a reboot","expected":"offline","grade_min":"clean","volumes":[{"device":"/dev/xvda","volume":"vol-12345678"}],"instance_store_disks":2,"launched_at":"2026-11-01T00:00:00.000000001Z","deadline_ms":86400000,"recorded_at":"2026-11-22T01:00:01.123456789Z"}','succeeded','{"image":"ami-00000000000000001","captured_at":"2026-11-22T01:00:03.25Z","grade":"offline","evidence":"requested","volumes":[{"device":"/dev/xvda","volume":"vol-12345678","snapshot":"snap-12345678","grade":"offline"},{"device":"instance-store-0","volume":null,"snapshot":null,"grade":null}]}');
INSERT INTO jobs VALUES('01a200c4-6280-7000-8000-000000000002','nightly','123456789012','eu-central-1','i-00000000000000002',1795309200000,'default','schedule',NULL,NULL,'stateful',1795309200000,1795330800000,1795309200250,1795309205000,1795309205000,2,2,'{"name":"amikeep-test-nightly-i-00000000000000001-20261122T010000Z","asked":"reboot","mode":"no-reboot","reason":"the instance is stopped, so nothing needs a reboot","expected":"offline","grade_min":"clean","volumes":[{"device":"/dev/xvda","volume":"vol-12345678"}],"instance_store_disks":2,"launched_at":"2026-11-01T00:00:00.000000001Z","deadline_ms":86400000,"recorded_at":"2026-11-22T01:00:01.123456789Z"}','succeeded','{"image":"ami-00000000000000002","captured_at":"2026-11-22T01:00:03.25Z","grade":"offline","evidence":"requested","volumes":[{"device":"/dev/xvda","volume":"vol-12345678","snapshot":"snap-12345678","grade":"offline"},{"device":"instance-store-0","volume":null,"snapshot":null,"grade":null}]}');
INSERT INTO jobs VALUES('01a200c4-6280-7000-8000-000000000003','nightly','123456789012','eu-central-1','i-00000000000000003',1795309200000,'default','schedule',NULL,NULL,'stateful',1795309200000,1795330800000,1795309200250,1795309205000,1795309205000,1,1,'{"name":"amikeep-test-nightly-i-00000000000000001-20261122T010000Z","asked":"reboot","mode":"no-reboot","reason":"the instance is stopped, so nothing needs a reboot","expected":"offline","grade_min":"clean","volumes":[{"device":"/dev/xvda","volume":"vol-12345678"}],"instance_store_disks":2,"launched_at":"2026-11-01T00:00:00.000000001Z","deadline_ms":86400000,"recorded_at":"2026-11-22T01:00:01.123456789Z"}','failed','{"error":{"code":"reboot_blocked","message":"a reboot is \"blocked\"","next_step":"widen reboot_window"},"image":"ami-00000000000000003"}');
INSERT INTO jobs VALUES('01a200c4-6280-7000-8000-000000000004','nightly','123456789012','eu-central-1','i-00000000000000004',1795309200000,'default','schedule',NULL,NULL,'stateful',1795309200000,1795330800000,1795309200250,1795309205000,NULL,1,1,'{"name":"amikeep-test-nightly-i-00000000000000001-20261122T010000Z","asked":"reboot","mode":"no-reboot","reason":"the instance is stopped, so nothing needs a reboot","expected":"offline","grade_min":"clean","volumes":[{"device":"/dev/xvda","volume":"vol-12345678"}],"instance_store_disks":2,"launched_at":"2026-11-01T00:00:00.000000001Z","deadline_ms":86400000,"recorded_at":"2026-11-22T01:00:01.123456789Z"}','pending','{"image":"ami-00000000000000004","accepted_at":"2026-11-22T01:00:05Z","stalled":false,"offline":"awaited"}');
INSERT INTO jobs VALUES('01a200c4-6280-7000-8000-000000000005','nightly','123456789012','eu-central-1','i-00000000000000005',1795309200000,'default','schedule',NULL,NULL,'stateful',1795309200000,1795330800000,1795309200250,NULL,1795309205000,0,1,NULL,'skipped','{"reason":"overlapped"}');
INSERT INTO jobs VALUES('01a20132-4174-7000-8000-000000000001','nightly','123456789012','eu-central-1','i-00000000000000001',1795316400000,'default','manual','01a20132-4174-7101-8101-010101010101',NULL,'stateful',1795316400500,1795338000500,1795316400750,NULL,NULL,0,1,NULL,'queued','{"retry_at":null,"waiting_for":null}');
CREATE TABLE events (
    id     INTEGER PRIMARY KEY,
    job    TEXT NOT NULL REFERENCES jobs (id),
    at     INTEGER NOT NULL,
    event  TEXT NOT NULL CHECK (event <> ''),
    detail TEXT NOT NULL
) STRICT;
INSERT INTO events VALUES(1,'01a200c4-6280-7000-8000-000000000001',1795309200250,'queued','schedule; may start from 2026-11-22T01:00:00Z to 2026-11-22T07:00:00Z');
INSERT INTO events VALUES(2,'01a200c4-6280-7000-8000-000000000002',1795309200250,'queued','schedule; may start from 2026-11-22T01:00:00Z to 2026-11-22T07:00:00Z');
INSERT INTO events VALUES(3,'01a200c4-6280-7000-8000-000000000003',1795309200250,'queued','schedule; may start from 2026-11-22T01:00:00Z to 2026-11-22T07:00:00Z');
INSERT INTO events VALUES(4,'01a200c4-6280-7000-8000-000000000004',1795309200250,'queued','schedule; may start from 2026-11-22T01:00:00Z to 2026-11-22T07:00:00Z');
INSERT INTO events VALUES(5,'01a200c4-6280-7000-8000-000000000005',1795309200250,'queued','schedule; may start from 2026-11-22T01:00:00Z to 2026-11-22T07:00:00Z');
INSERT INTO events VALUES(6,'01a200c4-6280-7000-8000-000000000001',1795309205000,'started','');
INSERT INTO events VALUES(7,'01a200c4-6280-7000-8000-000000000001',1795309205000,'intended','amikeep-test-nightly-i-00000000000000001-20261122T010000Z as no-reboot (stateful: the instance is stopped, so nothing needs a reboot)');
INSERT INTO events VALUES(8,'01a200c4-6280-7000-8000-000000000001',1795309205000,'accepted','ami-00000000000000001');
INSERT INTO events VALUES(9,'01a200c4-6280-7000-8000-000000000001',1795309205000,'available','ami-00000000000000001, grade offline');
INSERT INTO events VALUES(10,'01a200c4-6280-7000-8000-000000000001',1795309205000,'graded','');
INSERT INTO events VALUES(11,'01a200c4-6280-7000-8000-000000000002',1795309205000,'started','');
INSERT INTO events VALUES(12,'01a200c4-6280-7000-8000-000000000002',1795309205000,'intended','amikeep-test-nightly-i-00000000000000001-20261122T010000Z as no-reboot (stateful: the instance is stopped, so nothing needs a reboot)');
INSERT INTO events VALUES(13,'01a200c4-6280-7000-8000-000000000002',1795309205000,'accepted','ami-0000000000000000b');
INSERT INTO events VALUES(14,'01a200c4-6280-7000-8000-000000000002',1795309205000,'image-failed','ami-0000000000000000b: internal; another one at 2026-11-22T01:10:00Z');
INSERT INTO events VALUES(15,'01a200c4-6280-7000-8000-000000000002',1795309205000,'started','');
INSERT INTO events VALUES(16,'01a200c4-6280-7000-8000-000000000002',1795309205000,'intended','amikeep-test-nightly-i-00000000000000001-20261122T010000Z as no-reboot (stateful: the instance is stopped, so nothing needs a reboot)');
INSERT INTO events VALUES(17,'01a200c4-6280-7000-8000-000000000002',1795309205000,'accepted','ami-00000000000000002');
INSERT INTO events VALUES(18,'01a200c4-6280-7000-8000-000000000002',1795309205000,'available','ami-00000000000000002, grade offline');
INSERT INTO events VALUES(19,'01a200c4-6280-7000-8000-000000000002',1795309205000,'graded','');
INSERT INTO events VALUES(20,'01a200c4-6280-7000-8000-000000000003',1795309205000,'started','');
INSERT INTO events VALUES(21,'01a200c4-6280-7000-8000-000000000003',1795309205000,'intended','amikeep-test-nightly-i-00000000000000001-20261122T010000Z as no-reboot (stateful: the instance is stopped, so nothing needs a reboot)');
INSERT INTO events VALUES(22,'01a200c4-6280-7000-8000-000000000003',1795309205000,'accepted','ami-00000000000000003');
INSERT INTO events VALUES(23,'01a200c4-6280-7000-8000-000000000003',1795309205000,'failed','reboot_blocked: a reboot is "blocked"');
INSERT INTO events VALUES(24,'01a200c4-6280-7000-8000-000000000004',1795309205000,'started','');
INSERT INTO events VALUES(25,'01a200c4-6280-7000-8000-000000000004',1795309205000,'intended','amikeep-test-nightly-i-00000000000000001-20261122T010000Z as no-reboot (stateful: the instance is stopped, so nothing needs a reboot)');
INSERT INTO events VALUES(26,'01a200c4-6280-7000-8000-000000000004',1795309205000,'accepted','ami-00000000000000004');
INSERT INTO events VALUES(27,'01a200c4-6280-7000-8000-000000000005',1795309205000,'skipped','overlapped');
INSERT INTO events VALUES(28,'01a20132-4174-7000-8000-000000000001',1795316400750,'queued','manual; may start from 2026-11-22T03:00:00.5Z to 2026-11-22T09:00:00.5Z');
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
INSERT INTO images VALUES('ami-00000000000000001','123456789012','eu-central-1','amikeep-test-nightly-i-00000000000000001-20261122T010000Z','01a200c4-6280-7000-8000-000000000001','nightly','default','i-00000000000000001','stateful',1795309203250,'offline','[{"device":"/dev/xvda","volume":"vol-12345678","snapshot":"snap-12345678","grade":"offline"},{"device":"instance-store-0","volume":null,"snapshot":null,"grade":null}]','available',1,1,1795309205000,1795312800000);
INSERT INTO images VALUES('ami-0000000000000000b','123456789012','eu-central-1','amikeep-test-nightly-i-00000000000000001-20261122T010000Z','01a200c4-6280-7000-8000-000000000002','nightly','default','i-00000000000000002','stateful',NULL,NULL,'[]','failed',0,0,1795309205000,1795309205000);
INSERT INTO images VALUES('ami-00000000000000002','123456789012','eu-central-1','amikeep-test-nightly-i-00000000000000001-20261122T010000Z','01a200c4-6280-7000-8000-000000000002','nightly','default','i-00000000000000002','stateful',1795309203250,'offline','[{"device":"/dev/xvda","volume":"vol-12345678","snapshot":"snap-12345678","grade":"offline"},{"device":"instance-store-0","volume":null,"snapshot":null,"grade":null}]','missing',1,0,1795309205000,1795309205000);
INSERT INTO images VALUES('ami-00000000000000003','123456789012','eu-central-1','amikeep-test-nightly-i-00000000000000001-20261122T010000Z','01a200c4-6280-7000-8000-000000000003','nightly','default','i-00000000000000003','stateful',NULL,NULL,'[]','failed',0,0,1795309205000,1795309205000);
INSERT INTO images VALUES('ami-00000000000000004','123456789012','eu-central-1','amikeep-test-nightly-i-00000000000000001-20261122T010000Z','01a200c4-6280-7000-8000-000000000004','nightly','default','i-00000000000000004','stateful',NULL,NULL,'[]','pending',0,0,1795309205000,1795309205000);
CREATE TABLE listings (
    account   TEXT NOT NULL,
    region    TEXT NOT NULL,
    listed_at INTEGER NOT NULL,
    PRIMARY KEY (account, region)
) STRICT, WITHOUT ROWID;
INSERT INTO listings VALUES('123456789012','eu-central-1',1795312800000);
CREATE INDEX fires_by_time ON fires (scheduled_at);
CREATE INDEX fires_by_policy ON fires (policy, scheduled_at);
CREATE INDEX requests_open ON requests (requested_at, id) WHERE state = 'open';
CREATE INDEX jobs_by_time ON jobs (scheduled_at, id);
CREATE INDEX jobs_by_policy ON jobs (policy, scheduled_at, id);
CREATE INDEX jobs_by_instance ON jobs (instance, scheduled_at, id);
CREATE INDEX jobs_by_request ON jobs (request, scheduled_at, id) WHERE request IS NOT NULL;
CREATE INDEX jobs_unsucceeded ON jobs (state, scheduled_at, id) WHERE state <> 'succeeded';
CREATE INDEX events_by_job ON events (job, id);
CREATE INDEX images_by_policy ON images (policy, account, region, instance, captured_at);
CREATE INDEX images_by_instance ON images (instance, policy, account, region, captured_at);
CREATE INDEX images_by_job ON images (job);
CREATE TRIGGER events_are_never_updated BEFORE UPDATE ON events
BEGIN
    SELECT RAISE(ABORT, 'events are append-only');
END;
CREATE TRIGGER events_are_never_deleted BEFORE DELETE ON events
BEGIN
    SELECT RAISE(ABORT, 'events are append-only');
END;
CREATE TRIGGER events_are_never_replaced BEFORE INSERT ON events WHEN EXISTS (SELECT 1 FROM events WHERE id = NEW.id)
BEGIN
    SELECT RAISE(ABORT, 'events are append-only');
END;
PRAGMA application_id = 1634560363;
PRAGMA user_version = 1;
