//! Making a hold ready: everything that can fail is tried before anything is locked.
//!
//! It owns the order: what is only looked at first, then what is started, then what the operator wants to be run. It must
//! leave nothing behind when it fails; commands that had to run afterwards have been run by then.

use std::time::Duration;

use amikeep_domain::freeze::{Freeze, GuardStamp, RecordedMount, Via};
use amikeep_domain::grade::Grade;
use amikeep_domain::job::HoldStep;
use amikeep_hold::apps::{DataHeld, Prepared};
use amikeep_hold::command::CommandGuard;
use amikeep_hold::ssm::RemoteHolder;
use amikeep_hold::{
    CheckedMount, Entered, FrozenRecord, Guard, Hook, HookError, OpenMount, Refusal, always_protected, check, observe,
};
use jiff::Timestamp;

use crate::hold::app::{Worth, chain, connect, data_held, data_there, worth};
use crate::hold::facts::{Purpose, Remote, hooks};
use crate::hold::holder::Holder;
use crate::hold::remote::prepare_remote;
use crate::hold::told::{Told, step};
use crate::host::Host;

/// A disk that has not taken a write and brought everything to disk in this time is in no state to be frozen.
const PREPARE_MAX: Duration = Duration::from_secs(20);

/// All that a hold needs. Nothing is frozen, nothing is locked; dropped, the commands after it are run.
#[derive(Debug)]
pub(crate) struct Ready {
    pub(crate) app: Prepared,
    /// What the image can be worth at the most.
    pub(crate) worth: Worth,
    pub(crate) holder: Holder,
    pub(crate) entered: Entered,
    /// What the ledger must hold before it freezes.
    pub(crate) recorded: Recorded,
}

/// Of what may be frozen, how it is thawed by somebody else.
#[derive(Debug, Clone, Default)]
pub(crate) struct Recorded {
    pub(crate) guard: Option<GuardStamp>,
    pub(crate) mounts: Vec<RecordedMount>,
    pub(crate) thaw: Option<Vec<String>>,
}

/// Why a hold cannot be had, and what the commands around it came to.
#[derive(Debug)]
pub(crate) struct NotReady {
    pub(crate) why: String,
    /// Lines for the history: which commands were run.
    pub(crate) ran: Vec<(HoldStep, String)>,
}

impl NotReady {
    pub(crate) fn new(why: impl Into<String>) -> Self {
        Self { why: why.into(), ran: Vec::new() }
    }

    pub(crate) fn told(&self, at: Timestamp) -> Vec<Told> {
        self.ran.iter().map(|(word, detail)| step(*word, detail.clone(), at)).collect()
    }
}

impl From<HookError> for NotReady {
    fn from(error: HookError) -> Self {
        let pre = error.pre.iter().chain([&error.failed]).map(|run| (HoldStep::Pre, run.to_string()));
        let post = error.post.iter().map(|run| (HoldStep::Post, run.to_string()));
        Self { why: error.failed.to_string(), ran: pre.chain(post).collect() }
    }
}

/// The mounts of a freeze, checked; none where commands freeze.
pub(crate) fn check_mounts(host: &dyn Host, freeze: &Freeze) -> Result<Vec<CheckedMount>, NotReady> {
    if freeze.via != Via::Local {
        return Ok(Vec::new());
    }
    let protected = always_protected().into_iter().chain(host.protected()).collect();
    let facts = observe(&freeze.mounts, protected);
    let facts = facts.map_err(|error| NotReady::new(format!("the mounts of this machine cannot be read: {error}")))?;
    check(&facts).map_err(|refusals| NotReady::new(refused(&refusals)))
}

fn refused(refusals: &[Refusal]) -> String {
    let told = refusals.iter().map(|refusal| format!("{refusal} ({})", refusal.next_step()));
    told.collect::<Vec<_>>().join("; ")
}

/// Makes everything ready, if the image can reach `grade_min`. It blocks for as long as flushing and the commands before the hold take.
pub(crate) fn make_ready(
    host: &dyn Host,
    freeze: &Freeze,
    purpose: &Purpose,
    mounts: &[CheckedMount],
    not_after: Timestamp,
    grade_min: Option<Grade>,
) -> Result<Ready, NotReady> {
    let facts = purpose.facts(freeze, not_after);
    let app = connect(host, freeze).map_err(NotReady::new)?;
    let data = data_held(&app, freeze, mounts).map_err(NotReady::new)?;
    let worth = accepted(freeze, data, grade_min)?;
    let (holder, recorded, worth) = match freeze.via {
        Via::Local => start_guard(host, mounts).map(|(holder, recorded)| (holder, recorded, worth))?,
        Via::Command => {
            let (holder, recorded) = start_command_guard(host, freeze, purpose, &facts, not_after)?;
            (holder, recorded, worth)
        }
        Via::Ssm => {
            let (remote, worth) = look_at_remote(&app, freeze, purpose, &facts, grade_min)?;
            (Holder::Remote(Box::new(remote)), Recorded::default(), worth)
        }
    };
    let entered = hooks(freeze, facts).enter().map_err(|error| NotReady::from(*error))?;
    Ok(Ready { app, worth, holder, entered, recorded })
}

/// What the image can be worth, if it is not less than that: writes would stall for one that its class does not accept.
fn accepted(freeze: &Freeze, data: DataHeld, grade_min: Option<Grade>) -> Result<Worth, NotReady> {
    let worth = worth(freeze, data).map_err(NotReady::new)?;
    match worth.doubt {
        Some(doubt) if grade_min.is_some_and(|grade_min| worth.grade < grade_min) => Err(NotReady::new(doubt)),
        _ => Ok(worth),
    }
}

/// Another machine's guard looks, also where the application says that its data is, and whether that is its data.
fn look_at_remote(
    app: &Prepared,
    freeze: &Freeze,
    purpose: &Purpose,
    facts: &[(String, String)],
    grade_min: Option<Grade>,
) -> Result<(RemoteHolder, Worth), NotReady> {
    let Some(Remote { shell, clock }) = purpose.remote.clone() else {
        return Err(NotReady::new("the instance to be held still through Systems Manager is not known"));
    };
    let (data, unknown) = match data_there(app).map_err(NotReady::new)? {
        Ok(data) => (data, None),
        Err(why) => (None, Some(DataHeld::Unknown(why))),
    };
    let remote = prepare_remote(shell, freeze, purpose, facts, data, clock.now())?;
    let worth = accepted(freeze, unknown.unwrap_or_else(|| remote.data().clone()), grade_min)?;
    Ok((remote, worth))
}

fn start_guard(host: &dyn Host, mounts: &[CheckedMount]) -> Result<(Holder, Recorded), NotReady> {
    let not_ready = |error: &dyn std::error::Error| NotReady::new(chain(error));
    let open: Result<Vec<OpenMount>, _> = mounts.iter().map(OpenMount::open).collect();
    let mut guard =
        Guard::start(&host.guard(), open.map_err(|error| not_ready(&error))?).map_err(|it| not_ready(&it))?;
    guard.prepare(PREPARE_MAX).map_err(|error| not_ready(&error))?;
    let records = guard.records("");
    let stamp = records.first().map(|it| GuardStamp { pid: it.guard.pid, started: it.guard.started });
    let mount = |it: FrozenRecord| RecordedMount { path: it.mount, major: it.device.major, minor: it.device.minor };
    let recorded = Recorded { guard: stamp, mounts: records.into_iter().map(mount).collect(), thaw: None };
    Ok((Holder::Mounts(guard), recorded))
}

fn start_command_guard(
    host: &dyn Host,
    freeze: &Freeze,
    purpose: &Purpose,
    facts: &[(String, String)],
    not_after: Timestamp,
) -> Result<(Holder, Recorded), NotReady> {
    let Some(commands) = &freeze.commands else { return Err(NotReady::new("the freeze names no commands")) };
    let limit = freeze.command_limit.unsigned_abs();
    let hook = |argv: &[String]| Hook { argv: purpose.fill(argv, freeze, not_after), limit };
    let thaw = hook(&commands.thaw);
    let mut recorded = Recorded { thaw: Some(thaw.argv.clone()), ..Recorded::default() };
    let guard = CommandGuard::start(&host.command_guard(), thaw, facts);
    let guard = guard.map_err(|error| NotReady::new(chain(&error)))?;
    recorded.guard = guard.stamp().map(|it| GuardStamp { pid: it.pid, started: it.started });
    let freeze = hook(&commands.freeze);
    Ok((Holder::Commands { guard, freeze, facts: facts.to_vec() }, recorded))
}
