//! Freezing and thawing for real: on XFS and ext4, on loop devices that each test makes and puts away.
//!
//! They need root, loop devices, the programs of XFS and ext4, MariaDB, PostgreSQL and Redis, and fail in one line
//! without. `AMIKEEP_FS_TESTS=off` says that they are not to run on a machine; nothing else skips them, and with `CI=true`
//! they fail then. `AMIKEEP_FREEZE_RUNS` is how many holds end in some accident, `AMIKEEP_FREEZE_SEED` makes these the
//! same as in the run that printed it.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on may panic")]

#[path = "../../../../tests/alone.rs"]
mod alone;
mod bench;
mod certificates;
mod client;
mod commanding;
mod dying;
mod encrypting;
mod freezing;
mod mariadb;
mod page;
mod placing;
mod postgresql;
mod privileges;
mod proof;
mod recovering;
mod redis;
mod refusing;
mod remote;
mod server;
mod writer;
