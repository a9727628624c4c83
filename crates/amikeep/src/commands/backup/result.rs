//! What is told of a backup at its end: the jobs on stdout, and on stderr what a table cannot say.

use std::collections::BTreeMap;

use amikeep_domain::decision::JobError;
use amikeep_domain::id::InstanceId;
use amikeep_domain::job::{Job, JobState};
use amikeep_view as view;
use serde::Serialize;

use crate::commands::backup::watch::Seen;
use crate::commands::backup::{By, Ended};
use crate::ctx::Ctx;
use crate::exit::Exit;

/// The answer of `backup`.
#[derive(Debug, Serialize)]
struct Answer<'a> {
    jobs: Vec<view::job::Job>,
    /// By instance, why there is no job.
    refused: BTreeMap<&'a str, view::job::JobError>,
}

/// Tells how it ended where that is not plain from the jobs.
pub(super) fn tell(ctx: &Ctx, seen: &[Seen], ended: Ended, by: By) {
    for seen in seen {
        match seen {
            Seen::Refused(instance, error) => tell_error(ctx, instance, error),
            Seen::Job(job) => {
                if let JobState::Failed { error, .. } = &job.state {
                    tell_error(ctx, &job.key.instance, error);
                }
            }
            Seen::Open => {}
        }
    }
    if let Some(text) = ending(seen, ended, by) {
        ctx.tell(text);
    }
}

fn tell_error(ctx: &Ctx, instance: &InstanceId, error: &JobError) {
    ctx.tell(&format!("{instance}: {}: {}\n  next step: {}", error.code, error.message, error.next_step));
}

fn ending(seen: &[Seen], ended: Ended, by: By) -> Option<&'static str> {
    let is_open = seen.iter().any(|seen| match seen {
        Seen::Open => true,
        Seen::Refused(..) => false,
        Seen::Job(job) => !job.state.name().is_terminal(),
    });
    match (ended, by) {
        (Ended::Interrupted, By::Daemon) if is_open => {
            Some("the waiting has ended; the daemon goes on with the backup: see `amikeep history`")
        }
        (Ended::Interrupted, By::Command) if is_open => Some(
            "interrupted; nothing is lost: the next start of the daemon settles what EC2 was asked for and does what is \
             left, if it is not too late by then",
        ),
        (Ended::TimedOut, _) => Some("queued; the daemon has not taken it up yet: see `amikeep history`"),
        (Ended::Reached, By::Command) if is_open => Some(
            "EC2 makes the image; the next start of the daemon, or the next `amikeep backup`, watches it to its end and \
             writes its grade on it",
        ),
        _ => None,
    }
}

/// Prints the jobs, and says how the command ends: well only if every backup is made, or sure to be.
pub(super) fn print(ctx: &Ctx, seen: &[Seen], ended: Ended) -> anyhow::Result<Exit> {
    let jobs = || seen.iter().filter_map(Seen::job);
    let answer =
        Answer { jobs: jobs().map(view::job::Job::from).collect(), refused: seen.iter().filter_map(refusal).collect() };
    ctx.output.print(ctx, &answer, || view::job::table(&answer.jobs))?;
    Ok(if ended == Ended::Interrupted || seen.iter().any(is_failed) { Exit::Failed } else { Exit::Done })
}

fn refusal(seen: &Seen) -> Option<(&str, view::job::JobError)> {
    match seen {
        Seen::Refused(instance, error) => Some((InstanceId::as_str(instance), error.into())),
        Seen::Open | Seen::Job(_) => None,
    }
}

/// Whether there will be no image of it. Whoever asks for a backup now and gets none must learn it, whatever the reason.
fn is_failed(seen: &Seen) -> bool {
    match seen {
        Seen::Refused(..) => true,
        Seen::Job(job) => matches!(job.state, JobState::Failed { .. } | JobState::Skipped { .. }),
        Seen::Open => false,
    }
}

impl Seen {
    fn job(&self) -> Option<&Job> {
        match self {
            Self::Job(job) => Some(job),
            Self::Open | Self::Refused(..) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused() -> Seen {
        let instance = "i-0123456789abcdef0".parse().unwrap();
        Seen::Refused(instance, JobError::new("policy_gone", "the policy is gone", "put it back"))
    }

    #[test]
    fn an_operator_who_waits_no_longer_learns_who_goes_on() {
        let told = |by| ending(&[Seen::Open], Ended::Interrupted, by).unwrap();
        assert!(told(By::Daemon).contains("the daemon goes on"));
        assert!(told(By::Command).contains("the next start of the daemon"));
        assert_eq!(ending(&[refused()], Ended::Interrupted, By::Daemon), None);
    }

    #[test]
    fn a_request_that_nobody_took_up_in_time_is_said_to_be_queued() {
        assert!(ending(&[Seen::Open], Ended::TimedOut, By::Daemon).unwrap().starts_with("queued"));
        assert!(!is_failed(&Seen::Open));
    }

    #[test]
    fn a_refused_request_is_a_failure() {
        assert!(is_failed(&refused()));
        assert_eq!(refusal(&refused()).unwrap().1.code, "policy_gone");
    }
}
