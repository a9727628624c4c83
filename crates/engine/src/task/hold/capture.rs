//! The middle of a held capture: lock, freeze, ask for the image, look for its snapshots, thaw.
//!
//! Nothing here touches the ledger or writes a line. The freeze is proved by what was seen, in this order: everything was
//! acknowledged as frozen; then the request was sent; then a snapshot of every expected volume was seen; then the thaw was
//! told, and found everything as it was left. With `capture = "snapshots"` the reply itself names the snapshots, all of one
//! point in time which the call is documented to have, so the thaw is told at the reply and nothing is looked for.
//!
//! The reply to `CreateImage` is no part of that proof: its snapshots carry the tag of the job, so once they are seen nobody
//! waits for it any longer, and an image whose reply never comes is found by its name. But snapshots that an earlier request
//! of the same job makes late would look the same, so where there was one the reply is needed too.

use std::collections::BTreeSet;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use amikeep_cloud::{Action, Cloud, CloudError, CloudErrorKind, SeenSnapshot, SnapshotsRequest};
use amikeep_domain::freeze::{Application, CaptureBy, Freeze, Held, HoldOutcome, HoldSeen, LeftFrozen, Proof};
use amikeep_domain::id::{ImageId, JobId, SnapshotId, VolumeId};
use amikeep_domain::job::HoldStep;
use amikeep_domain::plan::RequestAction;
use amikeep_domain::tags;
use amikeep_hold::Moment;
use amikeep_hold::apps::{Locked, Prepared};
use jiff::SignedDuration;
use tokio::sync::Notify;
use tokio::time::timeout;

use crate::context::Context;
use crate::hold::app::{self, Worth};
use crate::hold::holder::{Frozen, Holder};
use crate::hold::told::{End, Told, signed, step};
use crate::judge::unexpected;
use crate::task::hold::look::{Look, NOT_TAKEN, missing, side_by_side};
use crate::task::request::{image_request, send};

/// What is left of the budget for the thaw when a reply is given up that could still be settled: told in time, the hold is
/// known to have been unbroken until then.
const THAW_TAKES: Duration = Duration::from_millis(250);

/// How long EC2's reply is still waited for after the thaw: nearly always it is on its way and saves a look-up, and what
/// runs after the hold waits for it.
const REPLY_AFTER_THAW_MAX: Duration = Duration::from_secs(2);

/// Whether EC2 may have been asked for an image of this job before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Earlier {
    /// Never.
    Nothing,
    /// It may have been, and a request that nobody heard of again can still arrive.
    MayArrive,
}

/// What it takes.
pub(super) struct Parts {
    pub(super) earlier: Earlier,
    pub(super) app: Prepared,
    pub(super) worth: Worth,
    pub(super) holder: Holder,
    pub(super) volumes: Vec<VolumeId>,
    /// Snapshots of an earlier image of the same job.
    pub(super) known: BTreeSet<SnapshotId>,
}

/// What EC2 said, by the call that it was asked with.
pub(super) enum Answer {
    Image(Result<ImageId, CloudError>),
    Snapshots(Result<Vec<SeenSnapshot>, CloudError>),
}

/// The image was asked for, and everything is thawed.
pub(super) struct Captured {
    pub(super) answer: Answer,
    pub(super) held: Held,
    pub(super) steps: Vec<Told>,
    pub(super) left_frozen: Vec<LeftFrozen>,
    pub(super) seen: HoldSeen,
}

/// Nothing was sent, and everything is thawed.
pub(super) struct Failed {
    pub(super) why: String,
    pub(super) steps: Vec<Told>,
    pub(super) left_frozen: Vec<LeftFrozen>,
    /// For how long writes can have stood still all the same.
    pub(super) stall: Option<SignedDuration>,
}

impl Failed {
    fn before_freeze(why: String, steps: Vec<Told>) -> Self {
        Self { why, steps, left_frozen: Vec::new(), stall: None }
    }

    fn after(why: String, mut steps: Vec<Told>, end: End) -> Self {
        steps.extend(end.steps);
        Self { why, steps, left_frozen: end.left_frozen, stall: end.stall }
    }
}

/// How much of the budget is left: it counts from the moment at which the application was asked to stand still, since
/// waiting for its lock holds up users too.
#[derive(Clone, Copy)]
pub(super) struct Budget {
    pub(super) began: Moment,
    pub(super) whole: Duration,
}

impl Budget {
    pub(super) fn left(self) -> Duration {
        self.whole.saturating_sub(Moment::now().since(self.began))
    }
}

pub(super) async fn capture<C: Cloud>(
    ctx: &Context<C>,
    job: JobId,
    action: &RequestAction,
    freeze: &Freeze,
    parts: Parts,
) -> Result<Captured, Failed> {
    let mut steps = Vec::new();
    steps.extend(parts.worth.doubt.clone().map(|doubt| step(HoldStep::Doubted, doubt, ctx.now())));
    let budget = Budget { began: Moment::now(), whole: freeze.budget.unsigned_abs() };
    let app = lock(ctx, freeze, parts.app, &mut steps).await?;
    let (position, tag) = (app::position(&app), app.recorded().tag(tags::VALUE_LEN_MAX));
    let (clock, holder) = (Arc::clone(&ctx.clock), parts.holder);
    let frozen = match blocking(move || holder.freeze(budget.left(), &clock)).await {
        Ok(Ok(frozen)) => frozen,
        Ok(Err(end)) => {
            drop_app(app).await;
            let why = end.doubt.clone().unwrap_or_else(|| "nothing was frozen".to_owned());
            return Err(Failed::after(why, steps, *end));
        }
        // It may have been in the middle of it.
        Err(why) => return Err(Failed::after(why.clone(), steps, End::unknown(&why))),
    };
    let (app, frozen) = ping(app, frozen, &mut steps).await?;
    let mut action = action.clone();
    if !tag.is_empty() {
        action.tags.insert(tags::POSITION.to_owned(), tag);
    }
    steps.push(step(HoldStep::Sent, action.intent.name.to_string(), ctx.now()));
    let (still, asked) = (Still { app, frozen }, Asked { job, action: &action, known: &parts.known, budget });
    let (answer, unseen, Thawed { end, released, released_at }) = match freeze.capture {
        CaptureBy::Image => by_image(ctx, asked, parts.earlier, still, &mut steps).await,
        CaptureBy::Snapshots => {
            let (answer, unseen) = by_snapshots(ctx, asked, &mut steps).await;
            (answer, unseen, still.thaw().await)
        }
    };
    let is_locked = freeze.application != Application::None;
    if is_locked {
        let words = released.as_ref().err().cloned().unwrap_or_else(|| freeze.application.as_str().to_owned());
        steps.push(step(HoldStep::Released, words, ctx.now()));
    }
    let locked = is_locked.then(|| signed(released_at.since(budget.began)));
    steps.extend(end.steps.iter().cloned());
    steps.sort_by_key(|(_, at)| *at);
    let held = Held {
        freeze: freeze.name.clone(),
        grade: parts.worth.grade,
        proof: proof(end.doubt, unseen, released.err()),
        mounts: end.mounts,
        volumes: parts.volumes,
        held_from: end.held_from,
        held_until: end.held_until,
        stall: end.stall,
        locked,
        position,
    };
    let seen = seen(freeze, &held);
    Ok(Captured { answer, held, steps, left_frozen: end.left_frozen, seen })
}

/// What EC2 is asked for, and what is left of the budget for that.
#[derive(Clone, Copy)]
struct Asked<'a> {
    job: JobId,
    action: &'a RequestAction,
    /// Snapshots of an earlier image of the same job.
    known: &'a BTreeSet<SnapshotId>,
    budget: Budget,
}

/// Everything is locked and frozen.
struct Still {
    app: Locked,
    frozen: Frozen,
}

/// Everything goes on.
struct Thawed {
    end: End,
    released: Result<(), String>,
    released_at: Moment,
}

impl Still {
    async fn thaw(self) -> Thawed {
        let Self { app, frozen } = self;
        let thawed = blocking(move || (frozen.thaw(), app::release(app), Moment::now())).await;
        // Whatever became of that thread, the request was sent.
        let (end, released, released_at) = thawed.unwrap_or_else(|why| (End::unknown(&why), Err(why), Moment::now()));
        Thawed { end, released, released_at }
    }
}

/// Asks for the image, looks for its snapshots, and thaws as soon as there is nothing more to wait for. Says why the
/// snapshots prove nothing, if so.
async fn by_image<C: Cloud>(
    ctx: &Context<C>,
    Asked { job, action, known, budget }: Asked<'_>,
    earlier: Earlier,
    still: Still,
    steps: &mut Vec<Told>,
) -> (Answer, Option<String>, Thawed) {
    let mut call = pin!(async { (send(ctx, &action.account, image_request(action)).await, ctx.now()) });
    let (answered, look) = (Notify::new(), Look { job, action, known, frozen: &still.frozen, budget });
    let looks = async { (look.until_seen(ctx, &answered).await, ctx.now()) };
    let over = side_by_side(call.as_mut(), looks, &answered, earlier, budget).await;
    let late = async {
        match over.reply {
            Some(reply) => reply,
            None => timeout(REPLY_AFTER_THAW_MAX, call).await.unwrap_or_else(|_| (Err(unheard(job)), ctx.now())),
        }
    };
    let (thawed, (answer, answered_at)) = tokio::join!(still.thaw(), late);
    steps.push(step(HoldStep::Answered, words(&answer, ToString::to_string), answered_at));
    let unproved = match (&answer, over.seen) {
        // What was seen is none of an image that EC2 says it does not take.
        (Err(error), _) if error.kind != CloudErrorKind::OutcomeUnknown => Some(NOT_TAKEN.to_owned()),
        (_, Err(why)) => Some(why),
        (_, Ok((detail, seen_at))) => {
            steps.push(step(HoldStep::Seen, detail, seen_at));
            None
        }
    };
    (Answer::Image(answer), unproved, thawed)
}

/// Asks for the snapshots, once. Of a reply that is lost nothing is said here: whether a set is there that was taken in the
/// hold is looked up after the thaw.
async fn by_snapshots<C: Cloud>(
    ctx: &Context<C>,
    Asked { job, action, known, budget }: Asked<'_>,
    steps: &mut Vec<Told>,
) -> (Answer, Option<String>) {
    let request = SnapshotsRequest {
        instance: action.key.instance.clone(),
        tags: action.tags.clone(),
        description: tags::snapshot_description(&action.key),
    };
    let left = budget.left().saturating_sub(THAW_TAKES);
    let ask = |cloud: Arc<C>| async move { cloud.request_snapshots(request).await };
    let call = ctx.call(&action.account, Action::CreateSnapshots, ask);
    let answer = timeout(left, call).await.unwrap_or_else(|_| Err(unanswered(Action::CreateSnapshots, job)));
    let ids = |seen: &Vec<SeenSnapshot>| seen.iter().map(|it| it.id.as_str()).collect::<Vec<_>>().join(", ");
    steps.push(step(HoldStep::Answered, words(&answer, ids), ctx.now()));
    let volumes = |taken: &Vec<SeenSnapshot>| taken.iter().filter_map(|it| it.volume.clone()).collect::<Vec<_>>();
    let unseen = match &answer {
        Ok(taken) => {
            missing(action, known, taken).err().or_else(|| unexpected(&action.intent.volumes, &volumes(taken)))
        }
        Err(error) if error.kind == CloudErrorKind::OutcomeUnknown => None,
        Err(_) => Some("EC2 did not say that it takes the snapshots".to_owned()),
    };
    (Answer::Snapshots(answer), unseen)
}

fn words<T>(answer: &Result<T, CloudError>, of: impl Fn(&T) -> String) -> String {
    answer.as_ref().map_or_else(|error| format!("{}: {}", error.code, error.message), of)
}

fn seen(freeze: &Freeze, held: &Held) -> HoldSeen {
    let outcome = if held.proof == Proof::Proved { HoldOutcome::Proved } else { HoldOutcome::Unproved };
    let (freeze, application) = (freeze.name.clone(), freeze.application);
    HoldSeen { freeze, application, outcome, stall: held.stall, locked: held.locked }
}

/// The first doubt is the cause of the others as a rule.
fn proof(freeze: Option<String>, seen: Option<String>, application: Option<String>) -> Proof {
    let doubts: Vec<String> = [freeze, seen, application].into_iter().flatten().collect();
    if doubts.is_empty() { Proof::Proved } else { Proof::Unproved { why: doubts.join("; ") } }
}

async fn lock<C: Cloud>(
    ctx: &Context<C>,
    freeze: &Freeze,
    app: Prepared,
    steps: &mut Vec<Told>,
) -> Result<Locked, Failed> {
    let recipe = freeze.clone();
    let locked = match blocking(move || app::lock(app, &recipe)).await {
        Ok(Ok(locked)) => locked,
        Ok(Err(why)) | Err(why) => return Err(Failed::before_freeze(why, Vec::new())),
    };
    if freeze.application != Application::None {
        let position = locked.recorded().tag(tags::VALUE_LEN_MAX);
        let detail = format!("after {} ms; {position}", locked.waited().as_millis());
        steps.push(step(HoldStep::Locked, detail, ctx.now()));
    }
    Ok(locked)
}

/// The lock is still ours, now that everything is frozen.
async fn ping(app: Locked, frozen: Frozen, steps: &mut Vec<Told>) -> Result<(Locked, Frozen), Failed> {
    let pinged = blocking(move || {
        let pinged = app::ping(&app);
        (app, pinged)
    });
    let (app, pinged) = match pinged.await {
        Ok(pinged) => pinged,
        Err(why) => return Err(thaw_all(None, frozen, why, steps).await),
    };
    if let Err(why) = pinged {
        return Err(thaw_all(Some(app), frozen, why, steps).await);
    }
    match frozen.ended() {
        None => Ok((app, frozen)),
        Some(cause) => {
            let why = format!("the hold was over before the image was asked for: {}", cause.as_str());
            Err(thaw_all(Some(app), frozen, why, steps).await)
        }
    }
}

async fn thaw_all(app: Option<Locked>, frozen: Frozen, why: String, steps: &mut Vec<Told>) -> Failed {
    let end = blocking(move || {
        let end = frozen.thaw();
        drop(app);
        end
    });
    match end.await {
        Ok(end) => Failed::after(why, std::mem::take(steps), end),
        Err(panicked) => Failed::after(format!("{why}; {panicked}"), std::mem::take(steps), End::unknown(&panicked)),
    }
}

/// What was given up, and may have been carried out.
fn unanswered(call: Action, job: JobId) -> CloudError {
    CloudError {
        action: call,
        kind: CloudErrorKind::OutcomeUnknown,
        code: "timeout".to_owned(),
        message: format!("no answer for job {job} as long as writes may stall"),
        request_id: None,
    }
}

/// The same when everything goes on already.
fn unheard(job: JobId) -> CloudError {
    let seconds = REPLY_AFTER_THAW_MAX.as_secs();
    let message = format!("no answer for job {job} by {seconds} s after the thaw");
    CloudError { message, ..unanswered(Action::CreateImage, job) }
}

/// Lets an application go on a thread that may wait for its answer.
async fn drop_app(app: Locked) {
    let _ = blocking(move || drop(app)).await;
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, String> {
    tokio::task::spawn_blocking(work).await.map_err(|error| format!("a thread of the hold ended early: {error}"))
}
