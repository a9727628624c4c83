//! The service under a real systemd: installed by the page, watched while it works, broken, upgraded and removed.
//!
//! It takes root and systemd-nspawn, and fails without; `AMIKEEP_SKIP_SYSTEMD=1` leaves it out. It waits for
//! tests that freeze or unmount file systems: booting copies the mounts of the whole machine.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on may panic")]

#[path = "../alone.rs"]
mod alone;
mod container;
mod disk;
mod holding;
mod host;
mod install;
mod life;
mod page;

use crate::alone::Alone;
use crate::host::Host;

/// One boot for all of it, in the order in which an operator meets it. Each step is named for what it proves.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_service_does_what_the_install_page_says() {
    let Some(_alone) = Alone::unless("AMIKEEP_SKIP_SYSTEMD", "1") else { return };
    let host = Host::boot().await;

    install::the_page_installs_a_service_that_only_its_user_and_root_can_read(&host);
    install::it_starts_and_is_ready_when_systemctl_returns(&host);
    install::members_of_the_group_are_answered_and_strangers_are_not(&host);
    install::systemd_finds_nothing_wrong_with_the_unit_and_little_exposed(&host);

    life::it_runs_as_its_own_user_without_any_privilege(&host);
    life::its_ledger_is_its_own_and_the_rest_of_the_host_is_read_only(&host);
    life::a_schedule_with_seconds_takes_an_image_and_the_journal_says_which(&host).await;
    life::it_may_listen_and_says_that_it_is_well(&host).await;
    life::a_reload_takes_a_valid_file_in(&host).await;
    life::a_reload_of_a_broken_file_fails_aloud_and_changes_nothing(&host).await;
    life::a_hangup_alone_counts_a_broken_file(&host).await;
    life::a_killed_daemon_is_started_again_and_says_so(&host).await;
    life::a_daemon_that_hangs_is_ended_by_the_watchdog_and_started_again(&host).await;
    life::a_stop_is_clean_though_an_image_is_under_way(&host).await;
    life::a_broken_file_at_the_start_is_final(&host);

    holding::it_freezes_this_host_with_the_drop_in_for_it(&host).await;
    holding::what_a_killed_daemon_froze_by_a_command_is_thawed_before_its_guard_is_ended(&host).await;

    install::the_page_upgrades_it(&host);
    install::the_page_removes_it_and_leaves_ledger_and_configuration(&host);
    host.container.power_off().await;
}

#[test]
fn every_block_that_the_page_says_is_run_is_run() {
    let steps = include_str!("install.rs").to_owned() + include_str!("life.rs");
    let titles = page::titles();
    assert!(titles.contains(&"Install"), "{titles:?}");
    for title in titles {
        assert!(steps.contains(&format!("follow(\"{title}\")")), "nothing runs the block {title:?} of docs/install.md");
    }
}
