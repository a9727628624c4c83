//! Figures of the ledger as a whole: its files, its accounts, and what is open in it.

use std::fmt;

use amikeep_domain::job::StateName;
use amikeep_domain::prune::DeletionStateName;

use crate::metrics::sheet::{Family, Sheet};
use crate::metrics::{Scrape, Stored, flag, number};

pub(super) fn write(scrape: &Scrape, sheet: &mut Sheet<'_>) -> fmt::Result {
    let readable = Family::new("ledger_readable", "Whether the ledger could be read for this scrape.");
    sheet.gauge(&readable, flag(scrape.stored.is_some()))?;
    let failing = Family::new("ledger_backup_failing", "Whether the last backup of the ledger failed.");
    sheet.gauge(&failing, scrape.heard.as_ref().map(|(_, stand)| flag(stand.ledger_backup_failed)))?;
    let Some(stored) = &scrape.stored else { return Ok(()) };
    write_files(scrape, stored, sheet)?;
    write_accounts(scrape, stored, sheet)?;
    write_open(stored, sheet)?;
    write_prunes(scrape, stored, sheet)
}

fn write_files(scrape: &Scrape, stored: &Stored, sheet: &mut Sheet<'_>) -> fmt::Result {
    let size = Family::bytes("ledger_size", "The file of the ledger.");
    sheet.gauge(&size, number(stored.files.ledger))?;
    let log = Family::bytes("ledger_log_size", "The write-ahead log of the ledger.");
    sheet.gauge(&log, number(stored.files.log))?;
    let free = Family::bytes("ledger_free", "What may still be written to the file system of the ledger.");
    sheet.gauge(&free, number(stored.files.free))?;
    let backup =
        Family::seconds("ledger_last_backup_timestamp", "When the newest backup of the ledger was begun, since 1970.");
    sheet.gauge(&backup, stored.last_backup_at.and_then(|at| scrape.seen_at(at)))
}

/// What is no longer configured is nobody's worry.
fn write_accounts(scrape: &Scrape, stored: &Stored, sheet: &mut Sheet<'_>) -> fmt::Result {
    let configured = || stored.figures.accounts.iter().filter(|it| scrape.policy_set.accounts.contains_key(&it.name));
    let failing = Family::new("account_failing", "Whether reading from AWS failed since instances were last listed.");
    sheet.gauges(
        &failing,
        configured().map(|it| ([("account_name", it.name.as_str())], flag(it.last_error.is_some()))),
    )?;
    let listed = Family::seconds(
        "account_last_inventory_timestamp",
        "When the instances of an account were last listed completely, which each fire does, since 1970.",
    );
    sheet.gauges(
        &listed,
        configured().filter_map(|it| Some(([("account_name", it.name.as_str())], scrape.seen_at(it.inventory_at?)?))),
    )
}

fn write_open(stored: &Stored, sheet: &mut Sheet<'_>) -> fmt::Result {
    let figures = &stored.figures;
    let open = Family::new("jobs_open", "Jobs that have not ended, by state.");
    let states = StateName::ALL.into_iter().filter(|state| !state.is_terminal());
    let of = |state| figures.open_jobs.iter().find(|(name, _)| *name == state).map_or(0, |(_, count)| *count);
    sheet.gauges(&open, states.map(|state| ([("state", state.as_str())], number(of(state)))))?;
    let stalled = Family::new("jobs_stalled", "Jobs whose image is still pending after the policy's deadline.");
    sheet.gauge(&stalled, number(figures.stalled_jobs))?;
    let frozen = Family::new(
        "left_frozen",
        "Holds on record that left something which may still be frozen: users may be waiting for a write.",
    );
    sheet.gauge(&frozen, number(figures.left_frozen))?;
    let deletions = Family::new("deletions_open", "Deletions that are under way, by state.");
    let states = DeletionStateName::ALL.into_iter().filter(|state| !state.is_terminal());
    let of = |state| figures.open_deletions.iter().find(|(name, _)| *name == state).map_or(0, |(_, count)| *count);
    sheet.gauges(&deletions, states.map(|state| ([("state", state.as_str())], number(of(state)))))
}

fn write_prunes(scrape: &Scrape, stored: &Stored, sheet: &mut Sheet<'_>) -> fmt::Result {
    let last = Family::seconds("last_prune_timestamp", "When retention was last applied, since 1970.");
    sheet.gauge(&last, stored.figures.last_prune_at.and_then(|at| scrape.seen_at(at)))?;
    let held = Family::new(
        "images_held",
        "Images that no rule keeps and a guard holds back, as of the last scheduled prune since the start; one that several \
         guards hold is in each of them.",
    );
    let by_guard = scrape.held_back.by_guard.iter();
    sheet.gauges(
        &held,
        by_guard.map(|((account_name, policy, guard), count)| {
            let policy = ("policy", policy.as_str());
            ([policy, ("account_name", account_name.as_str()), ("guard", *guard)], number(*count))
        }),
    )?;
    let over = Family::new(
        "deletions_over_limit",
        "Deletions that were planned beyond `max_deletes`, as of the same prune: nothing of the policy is deleted.",
    );
    let over_limit = scrape.held_back.over_limit.iter();
    sheet.gauges(&over, over_limit.map(|(policy, planned)| ([("policy", policy.as_str())], number(*planned))))
}
