//! How far the requests of this command are, as the ledger tells it.
//!
//! Everything is read from the ledger, whoever executes the jobs, so a daemon that dies or takes over changes nothing here.

use amikeep_domain::decision::JobError;
use amikeep_domain::id::{InstanceId, RequestId};
use amikeep_domain::job::{Job, JobState};
use amikeep_ledger::{Ledger, LedgerError, Request, RequestKind};
use indicatif::ProgressBar;

use crate::commands::backup::By;
use crate::progress::Bars;

/// What the command waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Goal {
    /// Every job has ended.
    Ended,
    /// Every job will be done without this command: the daemon has it, or EC2 makes the image.
    Requested,
}

/// What became of one request so far.
#[derive(Debug, Clone)]
pub(super) enum Seen {
    /// Nobody took it up yet.
    Open,
    /// There will be no job.
    Refused(InstanceId, JobError),
    /// It is this job.
    Job(Box<Job>),
}

impl Seen {
    fn is_reached(&self, goal: Goal, by: By) -> bool {
        match (self, goal, by) {
            (Self::Open, _, _) => false,
            (Self::Refused(..), _, _) | (Self::Job(_), Goal::Requested, By::Daemon) => true,
            (Self::Job(job), Goal::Ended, _) => job.state.name().is_terminal(),
            (Self::Job(job), Goal::Requested, By::Command) => job.image().is_some() || job.state.name().is_terminal(),
        }
    }

    fn is_over(&self) -> bool {
        self.is_reached(Goal::Ended, By::Command)
    }

    /// In a few words, for a progress line.
    fn doing(&self) -> String {
        let job = match self {
            Self::Open => return "queued".to_owned(),
            Self::Refused(_, error) => return error.message.clone(),
            Self::Job(job) => job,
        };
        match &job.state {
            JobState::Queued { waiting_for: Some(reason), .. } => format!("waiting: {reason}"),
            JobState::Queued { .. } => "queued".to_owned(),
            JobState::Preparing | JobState::Holding => "preparing".to_owned(),
            JobState::Capturing(_) => "asking EC2 for the image".to_owned(),
            JobState::Taken(taken) if taken.stalled => "EC2 copies the snapshots, overdue".to_owned(),
            JobState::Taken(_) => "EC2 copies the snapshots, of which the image is registered then".to_owned(),
            JobState::Pending(pending) if pending.stalled => format!("EC2 makes {}, overdue", pending.image),
            JobState::Pending(pending) => format!("EC2 makes {}", pending.image),
            JobState::Finishing(image) => format!("{} is available", image.image),
            JobState::Succeeded { .. } | JobState::Failed { .. } | JobState::Skipped { .. } => {
                job.state.name().to_string()
            }
        }
    }
}

/// The requests of this command, and how far they are.
pub(super) struct Watch {
    requests: Vec<RequestId>,
    seen: Vec<Seen>,
    bars: Vec<ProgressBar>,
    goal: Goal,
}

impl Watch {
    /// Watches these, each with a line of progress.
    pub(super) fn new(requests: &[Request], goal: Goal, bars: &Bars) -> Self {
        Self {
            requests: requests.iter().map(|request| request.id).collect(),
            seen: vec![Seen::Open; requests.len()],
            bars: requests
                .iter()
                .map(|request| bars.spinner(instance(&request.kind).map(ToString::to_string).unwrap_or_default()))
                .collect(),
            goal,
        }
    }

    /// Reads from the ledger how far they are.
    pub(super) async fn look(&mut self, ledger: &Ledger) -> Result<(), LedgerError> {
        for ((request, seen), bar) in self.requests.iter().zip(&mut self.seen).zip(&self.bars) {
            if seen.is_over() {
                continue;
            }
            *seen = observe(ledger, *request, seen).await?;
            bar.set_message(seen.doing());
            if seen.is_over() {
                bar.finish();
            }
        }
        Ok(())
    }

    /// Whether there is nothing left to wait for.
    pub(super) fn is_reached(&self, by: By) -> bool {
        self.seen.iter().all(|seen| seen.is_reached(self.goal, by))
    }

    /// What this waits for.
    pub(super) fn goal(&self) -> Goal {
        self.goal
    }

    /// The requests.
    pub(super) fn requests(&self) -> &[RequestId] {
        &self.requests
    }

    /// What was seen last, in the order of the command line.
    pub(super) fn seen(&self) -> &[Seen] {
        &self.seen
    }

    /// Takes the lines of progress away.
    pub(super) fn clear(&self) {
        for bar in &self.bars {
            bar.finish_and_clear();
        }
    }
}

async fn observe(ledger: &Ledger, request: RequestId, before: &Seen) -> Result<Seen, LedgerError> {
    if let Seen::Job(job) = before {
        return Ok(ledger.job(job.id).await?.map_or_else(|| before.clone(), |job| Seen::Job(Box::new(job))));
    }
    let Some(status) = ledger.request(request).await? else { return Ok(before.clone()) };
    if let (Some(error), Some(instance)) = (status.refused, instance(&status.request.kind)) {
        return Ok(Seen::Refused(instance.clone(), error));
    }
    let job = match status.job {
        Some(id) => ledger.job(id).await?,
        None => None,
    };
    Ok(job.map_or_else(|| before.clone(), |job| Seen::Job(Box::new(job))))
}

/// The instance of a backup; other requests are not watched here.
fn instance(kind: &RequestKind) -> Option<&InstanceId> {
    match kind {
        RequestKind::Backup { instance, .. } => Some(instance),
        _ => None,
    }
}
