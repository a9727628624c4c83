//! Pages of history against the plain filter over all jobs.

use std::collections::BTreeMap;

use amikeep_domain::fire::Cursor;
use amikeep_domain::job::{JobEvent, JobKey};
use jiff::SignedDuration;

use super::*;
use crate::fires::FirePlan;
use crate::fixture::{Fixture, at, cursor, error, instance, new_job, plan};
use crate::jobs::NewJob;

fn hour(n: u32) -> String {
    (at("2026-11-01T00:00:00Z") + SignedDuration::from_hours(n.into())).to_string()
}

async fn fire(fixture: &Fixture, policy: &str, n: u32) -> Vec<Job> {
    let policy: PolicyName = policy.parse().unwrap();
    let job = |i| {
        let job = new_job(i, at(&hour(n + 1)));
        // Two policies must not share ids.
        let id = crate::fixture::job_id(i + 1_000 * u32::from(policy.as_str() == "other"), at(&hour(n + 1)));
        NewJob { id, key: JobKey { policy: policy.clone(), ..job.key }, ..job }
    };
    fixture.ledger.record_cursor(&Cursor { policy: policy.clone(), ..cursor(&hour(n)) }).await.unwrap();
    let plan = FirePlan { policy: policy.clone(), ..plan(&hour(n), &hour(n + 1), (1..=4).map(job).collect()) };
    fixture.ledger.record_fire(&plan).await.unwrap().jobs
}

/// 2 policies, 12 hours, 4 instances; every fifth job failed.
async fn filled(fixture: &Fixture) -> Vec<Job> {
    let mut jobs = Vec::new();
    for n in 0..12 {
        for policy in ["hourly", "other"] {
            for job in fire(fixture, policy, n).await {
                let failed = jobs.len() % 5 == 0;
                let event = JobEvent::Failed(error());
                jobs.push(if failed { fixture.follow(job, &[event]).await } else { job });
            }
        }
    }
    jobs.sort_by_key(|job| std::cmp::Reverse((job.key.scheduled_at, job.id)));
    jobs
}

async fn all_pages(fixture: &Fixture, filter: &HistoryFilter, limit: u32) -> Vec<Job> {
    let (mut found, mut after) = (Vec::new(), None);
    loop {
        let page = fixture.ledger.history(filter, limit, after.as_ref()).await.unwrap();
        assert!(page.rows.len() <= limit as usize);
        found.extend(page.rows);
        after = page.next.map(|it| it.to_string().parse().unwrap());
        if after.is_none() {
            return found;
        }
    }
}

#[tokio::test]
async fn every_filter_finds_what_it_says_in_pages_of_any_size() {
    let fixture = Fixture::new().await;
    let jobs = filled(&fixture).await;
    let policy = Some("hourly".parse::<PolicyName>().unwrap());
    let none = HistoryFilter::default;
    let filters = [
        none(),
        HistoryFilter { policy: policy.clone(), ..none() },
        HistoryFilter { instance: Some(instance(3)), ..none() },
        HistoryFilter { state: Some(StateName::Failed), ..none() },
        HistoryFilter { state: Some(StateName::Queued), policy: policy.clone(), ..none() },
        HistoryFilter { state: Some(StateName::Succeeded), ..none() },
        HistoryFilter { since: Some(at(&hour(3))), until: Some(at(&hour(9))), ..none() },
        HistoryFilter { instance: Some(instance(2)), policy: policy.clone(), until: Some(at(&hour(6))), ..none() },
        HistoryFilter { policy, state: Some(StateName::Failed), since: Some(at(&hour(5))), ..none() },
    ];
    for filter in filters {
        let wanted: Vec<_> = jobs.iter().filter(|job| matches(&filter, job)).cloned().collect();
        for limit in [1, 7, 100, 1_000] {
            assert_eq!(all_pages(&fixture, &filter, limit).await, wanted, "{filter:?} by {limit}");
        }
    }
}

fn matches(filter: &HistoryFilter, job: &Job) -> bool {
    filter.policy.as_ref().is_none_or(|it| *it == job.key.policy)
        && filter.instance.as_ref().is_none_or(|it| *it == job.key.instance)
        && filter.state.is_none_or(|it| it == job.state.name())
        && filter.since.is_none_or(|it| it <= job.key.scheduled_at)
        && filter.until.is_none_or(|it| job.key.scheduled_at < it)
}

#[tokio::test]
async fn jobs_that_come_in_between_two_pages_shift_nothing() {
    let fixture = Fixture::new().await;
    let jobs = filled(&fixture).await;
    let (mut found, mut after, mut n) = (Vec::new(), None, 12);
    loop {
        let page = fixture.ledger.history(&HistoryFilter::default(), 10, after.as_ref()).await.unwrap();
        found.extend(page.rows);
        after = page.next;
        if after.is_none() {
            break;
        }
        fire(&fixture, "hourly", n).await;
        n += 1;
    }
    assert_eq!(found, jobs);
}

#[tokio::test]
async fn a_page_has_at_least_one_row_and_at_most_a_thousand() {
    let fixture = Fixture::new().await;
    fire(&fixture, "hourly", 1).await;
    let page = fixture.ledger.history(&HistoryFilter::default(), 0, None).await.unwrap();
    assert_eq!((page.rows.len(), page.next.is_some()), (1, true));
    let page = fixture.ledger.history(&HistoryFilter::default(), u32::MAX, None).await.unwrap();
    assert_eq!((page.rows.len(), page.next), (4, None));
}

/// Each index serves its filter, which a wrong choice would hide behind a right answer.
#[test]
fn the_most_telling_condition_chooses_the_index() {
    let none = HistoryFilter::default;
    let policy = Some("hourly".parse::<PolicyName>().unwrap());
    let table: BTreeMap<&str, HistoryFilter> = BTreeMap::from([
        ("a policy", HistoryFilter { policy: policy.clone(), ..none() }),
        ("a policy's failures", HistoryFilter { policy: policy.clone(), state: Some(StateName::Failed), ..none() }),
        ("a policy's successes", HistoryFilter { policy: policy.clone(), state: Some(StateName::Succeeded), ..none() }),
        ("an instance of a policy", HistoryFilter { policy, instance: Some(instance(1)), ..none() }),
    ]);
    assert_eq!(table["a policy"].statement(), sql::HISTORY_OF_POLICY);
    assert_eq!(table["a policy's failures"].statement(), sql::HISTORY_OF_STATE);
    assert_eq!(table["a policy's successes"].statement(), sql::HISTORY_OF_POLICY);
    assert_eq!(table["an instance of a policy"].statement(), sql::HISTORY_OF_INSTANCE);
}
