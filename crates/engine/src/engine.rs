//! The engine: observe, plan, execute, and take in what came of it.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use amikeep_cloud::Cloud;
use amikeep_domain::decision::JobError;
use amikeep_domain::fire::{Cursor, Planned, StartReason};
use amikeep_domain::id::{AccountName, JobId, RequestId};
use amikeep_domain::job::{Job, JobEvent, JobState};
use amikeep_domain::plan::{Action, Plan, PlanInputs, Reading, Scope, plan};
use amikeep_domain::policy::{PolicySet, saturating_add};
use amikeep_ledger::Ledger;
use jiff::{SignedDuration, Timestamp};
use tokio::task::{Id, JoinError, JoinSet};
use tracing::{error, info};

use crate::clock::{Clock, Random};
use crate::context::{Context, InForce};
use crate::error::EngineError;
use crate::hold::recover::{Recovered, recover_holds};
use crate::host::{Host, NoHost};
use crate::ledger_backups::LedgerBackups;
use crate::report::Report;
use crate::state::State;
use crate::task::{Claim, Task, Work};
use crate::witness::Witness;

/// Rounds after which an engine that still plans is taken to be in a circle. A wave of ten thousand jobs through room
/// for 64 needs some hundreds.
const SETTLE_ROUNDS_MAX: u32 = 100_000;

/// Pauses that ended longer ago than this are forgotten: a fire that is planned later than this is missed anyway.
const PAUSES_KEPT_FOR: SignedDuration = SignedDuration::from_hours(35 * 24);

/// How a task ended.
pub(crate) type Ended = Result<(Id, Report), JoinError>;

/// How the engine works.
#[derive(Debug, Clone)]
pub struct Options {
    /// The most jobs from `preparing` to `capturing` at a time.
    pub jobs_max: usize,
    /// What the engine is there for.
    pub scope: Scope,
    /// The machine that instances are held still from.
    pub host: Arc<dyn Host>,
}

impl Options {
    /// Without anything that could be held still.
    pub fn new(jobs_max: usize, scope: Scope) -> Self {
        Self { jobs_max, scope, host: Arc::new(NoHost) }
    }
}

/// An engine at rest.
#[derive(Debug, Clone)]
pub struct Settled {
    /// When it wants to plan again.
    pub wake_at: Option<Timestamp>,
    /// What it is waiting for, for people.
    pub notes: Vec<String>,
}

/// The engine. One per ledger: whoever makes one holds the lock of the ledger.
pub struct Engine<C> {
    pub(crate) ctx: Arc<Context<C>>,
    pub(crate) state: State,
    pub(crate) tasks: JoinSet<Report>,
    claims: HashMap<Id, Claim>,
    /// What the planner was waiting for at the last tick.
    told: BTreeSet<String>,
    /// The ledger failed: nothing is planned before this.
    pub(crate) rest_until: Option<tokio::time::Instant>,
    /// What the ledger failed with, for people, until it takes a write again.
    pub(crate) trouble: Option<String>,
    /// Since when its disk has failed, if that is why.
    pub(crate) disk_fails_since: Option<tokio::time::Instant>,
    /// When the loop last ticked to the end.
    pub(crate) last_tick_at: Option<Timestamp>,
    options: Options,
}

impl<C: Cloud> Engine<C> {
    /// Reads what is open from the ledger. Nothing is sent yet; recovery is the first tick.
    pub async fn start(
        ledger: Ledger,
        policy_set: Arc<PolicySet>,
        clouds: BTreeMap<AccountName, Arc<C>>,
        clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
        options: Options,
    ) -> Result<Self, EngineError> {
        let mut state = State { reload: true, ..State::default() };
        state.set_accounts(&policy_set);
        // Before anything else: what a process froze that died is thawed.
        let host = Arc::clone(&options.host);
        let recovered = recover_holds(&ledger, &*clock, &host).await?;
        state.left_holds.take(Ok(recovered.iter().flat_map(Recovered::told).collect()), clock.now())?;
        let ctx = Arc::new(Context::new(ledger, clock, random, host, InForce { policy_set, clouds }));
        let (tasks, claims, told) = (JoinSet::new(), HashMap::new(), BTreeSet::new());
        let (rest_until, trouble, disk_fails_since, last_tick_at) = (None, None, None, None);
        let mut engine =
            Self { ctx, state, tasks, claims, told, rest_until, trouble, disk_fails_since, last_tick_at, options };
        engine.reload_if_needed().await?;
        Ok(engine)
    }

    /// Has the ledger backed up once a day from now on, and keeps so many of its backups. Without it, or for 0, none are
    /// made.
    #[must_use]
    pub fn keeping_ledger_backups(mut self, kept: usize) -> Self {
        self.state.ledger_backups = LedgerBackups::keeping(kept);
        self
    }

    /// Tells `witness` from now on of what has no row in the ledger.
    #[must_use]
    pub fn watched_by(mut self, witness: Arc<dyn Witness>) -> Self {
        self.ctx = Arc::new(self.ctx.watched_by(witness));
        self
    }

    /// The policies in force.
    pub fn policy_set(&self) -> &Arc<PolicySet> {
        self.ctx.policy_set()
    }

    /// Puts another configuration in force. What is under way goes on; credentials are asked again.
    pub fn replace(&mut self, policy_set: Arc<PolicySet>, clouds: BTreeMap<AccountName, Arc<C>>) {
        self.state.set_accounts(&policy_set);
        self.ctx = Arc::new(self.ctx.replaced(InForce { policy_set, clouds }));
    }

    /// One tick: takes in requests of operators, plans, and starts what is to be done. Says what it planned.
    pub async fn tick(&mut self) -> Result<Plan, EngineError> {
        self.reload_if_needed().await?;
        let now = self.ctx.now();
        self.state.forget_stale(now);
        self.take_requests().await?;
        let Plan { actions, notes, wake_at } = self.plan(now);
        self.tell_notes(&notes);
        let mut started = Vec::new();
        let (mut events, mut cursors) = (BTreeMap::new(), Vec::new());
        for action in actions {
            match &action {
                Action::Record { job, event } if !self.state.busy.contains(job) => {
                    events.insert(*job, event.clone());
                    started.push(action);
                }
                Action::RecordCursor { cursor, reason }
                    if self.state.recording.insert((cursor.policy.clone(), cursor.account.clone())) =>
                {
                    cursors.push((cursor.clone(), *reason));
                    started.push(action);
                }
                Action::Record { .. } | Action::RecordCursor { .. } => {}
                _ if self.spawn(action.clone()) => started.push(action),
                _ => {}
            }
        }
        self.spawn_events(events);
        self.spawn_cursors(cursors);
        self.spawn_ledger_backup(now);
        self.spawn_thaw(now);
        Ok(Plan { actions: started, notes, wake_at })
    }

    /// What the planner waits for is worth a line when it is new; some lines stand for many.
    fn tell_notes(&mut self, notes: &[String]) {
        const LINES_MAX: usize = 10;
        let notes: BTreeSet<String> = notes.iter().cloned().collect();
        let new: Vec<&String> = notes.difference(&self.told).collect();
        for note in new.iter().take(LINES_MAX) {
            info!("{note}");
        }
        if LINES_MAX < new.len() {
            info!("and {} more wait", new.len() - LINES_MAX);
        }
        self.told = notes;
    }

    fn plan(&self, now: Timestamp) -> Plan {
        plan(&PlanInputs {
            now,
            policy_set: self.ctx.policy_set(),
            cursors: &self.state.cursors,
            jobs: &self.state.jobs,
            busy: &self.state.busy,
            accounts: &self.state.accounts,
            pauses: &self.state.pauses,
            prune_cursors: &self.state.prune_cursors,
            started_at: self.ctx.started_at,
            deletions: &self.state.deletions,
            busy_deletions: &self.state.busy_deletions,
            pruning: self.state.pruning,
            jobs_max: self.options.jobs_max,
            scope: &self.options.scope,
        })
    }

    /// Ticks until there is nothing to do before the next wake.
    pub async fn settle(&mut self) -> Result<Settled, EngineError> {
        for _ in 0..SETTLE_ROUNDS_MAX {
            let plan = self.tick().await?;
            if plan.actions.is_empty() && self.tasks.is_empty() {
                return Ok(Settled { wake_at: self.wake_at(&plan), notes: plan.notes });
            }
            self.take_ended_effects().await?;
        }
        Err(EngineError::NotSettled { rounds: SETTLE_ROUNDS_MAX })
    }

    /// When a tick that planned this wants another one.
    pub(crate) fn wake_at(&self, plan: &Plan) -> Option<Timestamp> {
        plan.wake_at.into_iter().chain(self.state.left_holds.due_at()).min()
    }

    /// The jobs that have not ended.
    pub fn open_jobs(&self) -> impl Iterator<Item = &Job> {
        self.state.jobs.iter()
    }

    /// Whether anything is under way.
    pub fn is_busy(&self) -> bool {
        !self.tasks.is_empty()
    }

    /// How many effects are under way.
    pub fn under_way(&self) -> usize {
        self.tasks.len()
    }

    /// Waits until an effect has ended and takes in all that have by now; at once if none is under way. With
    /// [`tick`](Self::tick) it is what [`settle`](Self::settle) is made of, for whoever moves the time that effects wait for.
    pub async fn take_ended_effects(&mut self) -> Result<(), EngineError> {
        self.take_next_report().await?;
        self.take_finished().await
    }

    pub(crate) fn scope(&self) -> &Scope {
        &self.options.scope
    }

    async fn reload_if_needed(&mut self) -> Result<(), EngineError> {
        if !self.state.reload {
            return Ok(());
        }
        let jobs = self.ctx.ledger.open_jobs().await?;
        let cursors = self.ctx.ledger.cursors().await?;
        // What is being worked on is taken in when it is reported.
        let busy = std::mem::take(&mut self.state.jobs).into_iter().filter(|job| self.state.busy.contains(&job.id));
        self.state.jobs = jobs.into_iter().chain(busy).collect();
        let policy_set = self.ctx.policy_set();
        self.state.cursors = cursors.into_iter().map(|cursor| Planned::new(cursor, policy_set)).collect();
        self.reload_deletions().await?;
        self.state.reload = false;
        Ok(())
    }

    /// The daemon carries on whatever deletion is open; a command only those of its own request.
    async fn reload_deletions(&mut self) -> Result<(), EngineError> {
        let mut deletions = match self.scope() {
            Scope::Everything => self.ctx.ledger.open_deletions().await?,
            Scope::Requests(requests) => {
                let mut own = Vec::new();
                for request in requests {
                    own.extend(self.ctx.ledger.deletions_of_request(*request).await?);
                }
                own
            }
        };
        deletions.retain(|deletion| !deletion.state.name().is_terminal());
        let mut busy = std::mem::take(&mut self.state.deletions);
        busy.retain(|id, _| self.state.busy_deletions.contains(id));
        self.state.deletions = deletions.into_iter().map(|deletion| (deletion.id, deletion)).chain(busy).collect();
        self.state.prune_cursors = self.ctx.ledger.prune_cursors().await?;
        self.reload_pauses().await
    }

    /// Pauses count for fires that are planned late as well.
    pub(crate) async fn reload_pauses(&mut self) -> Result<(), EngineError> {
        let since = saturating_add(self.ctx.now(), -PAUSES_KEPT_FOR);
        self.state.pauses = self.ctx.ledger.pauses_since(since).await?;
        Ok(())
    }

    /// Starts an action, unless the same is under way already; true if it was started.
    pub(crate) fn spawn(&mut self, action: Action) -> bool {
        let Some(claim) = self.claim(&action) else { return false };
        self.start_task(Work::Action(Box::new(action)), claim);
        true
    }

    /// Starts writing down what needs no call, all of it together.
    fn spawn_events(&mut self, events: BTreeMap<JobId, JobEvent>) {
        if !events.is_empty() {
            let claim = Claim { jobs: events.keys().copied().collect(), ..Claim::default() };
            self.state.busy.extend(claim.jobs.iter().copied());
            self.start_task(Work::Events(events), claim);
        }
    }

    /// Starts moving cursors that no fire moves, all of them together; they are claimed already.
    fn spawn_cursors(&mut self, cursors: Vec<(Cursor, Option<StartReason>)>) {
        if !cursors.is_empty() {
            let recording = cursors.iter().map(|(cursor, _)| (cursor.policy.clone(), cursor.account.clone())).collect();
            self.start_task(Work::Cursors(cursors), Claim { recording, ..Claim::default() });
        }
    }

    /// Starts a backup of the ledger, if one is due.
    fn spawn_ledger_backup(&mut self, now: Timestamp) {
        if let Some(kept) = self.state.ledger_backups.begin(&self.ctx.ledger, now) {
            self.start_task(Work::BackUpLedger { kept }, Claim { backs_up: true, ..Claim::default() });
        }
    }

    /// Starts another try at what holds could not thaw, if one is due.
    fn spawn_thaw(&mut self, now: Timestamp) {
        self.state.left_holds.add(self.ctx.turns.take_left(), now);
        if self.ctx.turns.take_unsettled() {
            self.state.left_holds.look_soon(now);
        }
        if self.state.left_holds.begin(now) {
            self.start_task(Work::ThawLeft, Claim { thaws: true, ..Claim::default() });
        }
    }

    /// Starts what an operator asked for; true if it was started.
    pub(crate) fn spawn_request(&mut self, request: RequestId, work: Work) -> bool {
        if !self.state.busy_requests.insert(request) {
            return false;
        }
        self.start_task(work, Claim { request: Some(request), ..Claim::default() });
        true
    }

    fn start_task(&mut self, work: Work, mut claim: Claim) {
        claim.epoch = self.ctx.epoch;
        let deletions = claim.deletions.iter().filter_map(|id| self.state.deletions.get(id).cloned()).collect();
        let jobs = claim.jobs.iter().filter_map(|id| self.state.jobs.get(*id).cloned()).collect();
        let since = |id: &JobId| Some((*id, *self.state.missing_since.get(id)?));
        let missing_since = claim.jobs.iter().filter_map(since).collect();
        let task = Task { work, jobs, deletions, missing_since };
        let handle = self.tasks.spawn(task.run(Arc::clone(&self.ctx)));
        self.claims.insert(handle.id(), claim);
    }

    /// Marks what the action occupies; `None` if it is occupied.
    fn claim(&mut self, action: &Action) -> Option<Claim> {
        let mut claim = Claim::default();
        let reading = reading_of(action);
        match action {
            Action::LookUpNames { jobs, .. }
            | Action::LookUpSets { jobs, .. }
            | Action::PollSnapshots { jobs, .. }
            | Action::PollImages { jobs, .. }
            | Action::WriteGrades { jobs, .. } => claim.jobs.clone_from(jobs),
            Action::RecordCursor { cursor, .. } => {
                claim.recording.push((cursor.policy.clone(), cursor.account.clone()));
            }
            Action::RecordFire(fire) => claim.recording.push((fire.policy.clone(), fire.account.clone())),
            Action::RequestImage(request) => claim.jobs.push(request.job),
            Action::RegisterImage { job, .. } | Action::Record { job, .. } => claim.jobs.push(*job),
            Action::Prune(prune) => {
                claim.pruning = prune.accounts.keys().cloned().collect();
                claim.request = prune.request;
            }
            Action::RetireImages { deletions, .. } | Action::DeleteSnapshots { deletions, .. } => {
                claim.deletions.clone_from(deletions);
            }
            Action::ObserveIdentity { .. } | Action::ObserveInventory { .. } | Action::ObserveInstances { .. } => {}
        }
        if claim.recording.iter().any(|key| self.state.recording.contains(key))
            || claim.jobs.iter().any(|job| self.state.busy.contains(job))
            || claim.deletions.iter().any(|deletion| self.state.busy_deletions.contains(deletion))
            || (!claim.pruning.is_empty() && self.state.pruning)
        {
            return None;
        }
        if let Some((account, reading)) = reading {
            if !self.state.view(account).reading.insert(reading) {
                return None;
            }
            claim.reading = Some((account.clone(), reading));
        }
        self.state.recording.extend(claim.recording.clone());
        self.state.busy.extend(claim.jobs.iter().copied());
        self.state.busy_deletions.extend(claim.deletions.iter().copied());
        self.state.pruning |= !claim.pruning.is_empty();
        Some(claim)
    }

    /// Waits for a task to end and takes in what it found. Returns at once if there is none.
    pub(crate) async fn take_next_report(&mut self) -> Result<(), EngineError> {
        let ended = self.tasks.join_next_with_id().await;
        self.take_ended(ended).await
    }

    /// Takes in every task that has ended by now, so that one plan serves them all. All are taken in even if the ledger
    /// failed one of them; the last error is handed back.
    pub(crate) async fn take_finished(&mut self) -> Result<(), EngineError> {
        let mut result = Ok(());
        while let Some(ended) = self.tasks.try_join_next_with_id() {
            if let Err(error) = self.take_ended(Some(ended)).await {
                result = Err(error);
            }
        }
        result
    }

    pub(crate) async fn take_ended(&mut self, ended: Option<Ended>) -> Result<(), EngineError> {
        let now = self.ctx.now();
        match ended {
            None => {}
            Some(Ok((id, report))) => {
                let claim = self.claims.remove(&id).unwrap_or_default();
                if claim.epoch == self.ctx.epoch {
                    self.state.take_report(report, now)?;
                } else {
                    self.state.take_old_report(report, now)?;
                }
            }
            Some(Err(panicked)) => {
                let claim = self.claims.remove(&panicked.id()).unwrap_or_default();
                self.take_panic(claim).await?;
            }
        }
        Ok(())
    }

    /// A panic is a bug in one action. It must not stop the others, and not be repeated for ever: a job that had sent
    /// nothing fails. One whose request may be out is settled as after a crash.
    async fn take_panic(&mut self, claim: Claim) -> Result<(), EngineError> {
        error!(jobs = ?claim.jobs, "a task panicked; this is a bug of amikeep, please report it with the log");
        self.state.free(&claim.jobs);
        for key in &claim.recording {
            self.state.recording.remove(key);
        }
        self.state.busy_deletions.retain(|deletion| !claim.deletions.contains(deletion));
        self.state.pruning &= claim.pruning.is_empty();
        for account in &claim.pruning {
            self.state.prune_failed(account, self.ctx.now());
        }
        if claim.backs_up {
            self.state.ledger_backups.panicked(self.ctx.now());
        }
        if claim.thaws {
            self.state.left_holds.panicked(self.ctx.now());
        }
        if let Some(request) = claim.request {
            self.refuse_after_panic(request).await?;
        }
        let now = self.ctx.now();
        if let Some((account, reading)) = claim.reading.filter(|_| claim.epoch == self.ctx.epoch) {
            self.state.view(&account).reading.remove(&reading);
            self.state.read_failed(&account, "a task panicked".to_owned(), now);
        }
        self.state.reload = true;
        self.reload_if_needed().await?;
        for id in claim.jobs {
            let Some(job) = self.state.jobs.get(id) else { continue };
            if matches!(job.state, JobState::Queued { .. } | JobState::Preparing | JobState::Holding) {
                let error = JobError::new("internal_error", "amikeep failed on this job", "report it with the log");
                let job = self.ctx.ledger.record_event(job, &JobEvent::Failed(error), now).await?;
                crate::outcome::log_outcome(&job);
                self.state.take(job);
            }
        }
        Ok(())
    }
}

/// The kind of reading that an action is, of which one is under way per account.
fn reading_of(action: &Action) -> Option<(&AccountName, Reading)> {
    match action {
        Action::ObserveIdentity { account } => Some((account, Reading::Identity)),
        Action::ObserveInventory { account } => Some((account, Reading::Inventory)),
        Action::ObserveInstances { account, .. } => Some((account, Reading::Instances)),
        Action::LookUpNames { account, .. } => Some((account, Reading::Names)),
        Action::LookUpSets { account, .. } => Some((account, Reading::Sets)),
        Action::PollSnapshots { account, .. } => Some((account, Reading::Copies)),
        Action::PollImages { account, .. } => Some((account, Reading::Images)),
        Action::WriteGrades { account, .. } => Some((account, Reading::Grades)),
        Action::RetireImages { account, .. } => Some((account, Reading::Retiring)),
        Action::DeleteSnapshots { account, .. } => Some((account, Reading::Snapshots)),
        Action::RecordCursor { .. }
        | Action::RecordFire(_)
        | Action::RequestImage(_)
        | Action::RegisterImage { .. }
        | Action::Prune(_)
        | Action::Record { .. } => None,
    }
}
