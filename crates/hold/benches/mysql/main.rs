//! MySQL itself, held still as MariaDB is in the ordinary tests: `cargo xtask torture mysql` runs it, with the MySQL of
//! Debian's unstable distribution.
//!
//! It is built and checked as a benchmark, so that no test run takes it for one of its tests: Debian's stable distribution
//! has no MySQL, and a test that left itself out would be none. `AMIKEEP_MYSQL` is the `mysqld` to run, in whatever version;
//! `AMIKEEP_MYSQL_SEED` draws when images are taken, and the test that takes most of them prints lines of `counted`.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on may panic")]

mod account;
#[path = "../../../../tests/alone.rs"]
mod alone;
#[path = "../../tests/it/bench.rs"]
#[expect(dead_code, reason = "the tests' file systems, of which less is needed here")]
mod bench;
#[path = "../../tests/it/certificates.rs"]
mod certificates;
#[path = "../../tests/it/client.rs"]
mod client;
#[path = "../../tests/it/page.rs"]
mod page;
mod place;
mod product;
#[path = "../../tests/it/proof.rs"]
mod proof;
mod proving;
#[path = "../../tests/it/server.rs"]
#[expect(dead_code, reason = "the tests' servers, of which less is needed here")]
mod server;
