//! Commands of Systems Manager: who gets one, and what is told of it.
//!
//! Rules: `SendCommand`, `GetCommandInvocation`, `CancelCommand` and `DescribeInstanceInformation` in the Systems Manager
//! API Reference, and "Understanding command statuses" in its User Guide. What those leave open is the hardest for callers:
//! a cancelled command is called so at once, and is delivered and run all the same.

use std::collections::BTreeMap;
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use amikeep_domain::id::InstanceId;
use amikeep_domain::instance::InstanceState;
use jiff::{SignedDuration, Timestamp};

use crate::agent::{Agent, Errand, Progress};
use crate::clock::{earlier, later};
use crate::error::ApiError;
use crate::reply::{AgentView, InvocationView, Reply};
use crate::request::SendCommand;
use crate::world::{Context, Place, State, World};

/// The one document that is known.
const DOCUMENT: &str = "AWS-RunShellScript";
/// EC2's limits, in seconds.
const DELIVERY_SECONDS_MIN: u64 = 30;
const DELIVERY_SECONDS_MAX: u64 = 2_592_000;
/// Both timeouts when the caller does not say.
const SECONDS: u64 = 3_600;
/// The longest comment.
const COMMENT_LEN_MAX: usize = 100;
/// How long ago an agent was last heard of: it says something every five minutes.
const LAST_PING_AGO: SignedDuration = SignedDuration::from_secs(200);

#[derive(Debug, Default)]
pub(crate) struct Commands {
    agents: BTreeMap<InstanceId, Agent>,
    sent: BTreeMap<String, Sent>,
    /// How long after `SendCommand` its invocation is not known yet.
    pub(crate) invocation_lag: SignedDuration,
}

#[derive(Debug)]
struct Sent {
    place: Place,
    instance: InstanceId,
    at: Timestamp,
    /// When the time for delivery and execution is over.
    ends_at: Timestamp,
    is_cancelled: bool,
    progress: Arc<Mutex<Progress>>,
    /// The end of the world, for the agent's thread.
    _world: Sender<()>,
}

impl World {
    /// Gives an instance an agent, or another one.
    pub fn set_agent(&self, instance: &InstanceId, agent: Agent) {
        self.state().commands.agents.insert(instance.clone(), agent);
    }

    /// From now on `GetCommandInvocation` does not know a command for this long.
    pub fn set_invocation_lag(&self, lag: SignedDuration) {
        self.state().commands.invocation_lag = lag;
    }
}

impl State {
    pub(crate) fn send_command(&mut self, context: &Context<'_>, call: &SendCommand) -> Result<Reply, ApiError> {
        if call.document_name != DOCUMENT {
            return Err(ApiError::client(
                "InvalidDocument",
                format!("Document {} does not exist.", call.document_name),
            ));
        }
        let delivered_within = seconds(call.timeout_seconds, "timeoutSeconds", DELIVERY_SECONDS_MIN)?;
        let runs_for_max = seconds(call.execution_timeout, "executionTimeout", 1)?;
        if call.comment.as_ref().is_some_and(|comment| COMMENT_LEN_MAX < comment.chars().count()) {
            let message = format!("Member must have length less than or equal to {COMMENT_LEN_MAX}");
            return Err(ApiError::client("ValidationException", message));
        }
        let [id] = &call.instance_ids[..] else { return Err(ApiError::unsupported("more than one instance")) };
        let instance = self.managed(context, id)?;
        let command_id = self.rng.request_id();
        let (world, ends) = channel();
        let progress = Arc::new(Mutex::new(Progress::Underway));
        let errand = Errand {
            command_id: command_id.clone(),
            script: call.commands.join("\n"),
            delivered_within,
            runs_for_max,
            world: ends,
            progress: Arc::clone(&progress),
        };
        let agent = self.commands.agents.get(&instance).ok_or_else(|| invalid_instance(id))?;
        agent.begin(errand).map_err(|_| ApiError::internal())?;
        let total = SignedDuration::try_from(delivered_within.saturating_add(runs_for_max));
        let ends_at = later(context.now, total.unwrap_or(SignedDuration::MAX));
        let (place, at) = (context.place.clone(), context.now);
        let sent = Sent { place, instance, at, ends_at, is_cancelled: false, progress, _world: world };
        self.commands.sent.insert(command_id.clone(), sent);
        Ok(Reply::CommandSent { command_id, instance_ids: call.instance_ids.clone(), at })
    }

    /// An instance with an agent that is not stopped.
    fn managed(&mut self, context: &Context<'_>, id: &str) -> Result<InstanceId, ApiError> {
        let instance: InstanceId = id.parse().map_err(|_| invalid_instance(id))?;
        let found = self.contents(&context.place).instances.get(&instance);
        let state = found.and_then(|found| found.state_at(context.now));
        let is_managed = state == Some(InstanceState::Running) && self.commands.agents.contains_key(&instance);
        if is_managed { Ok(instance) } else { Err(invalid_instance(id)) }
    }

    pub(crate) fn command_invocation(
        &mut self,
        context: &Context<'_>,
        command_id: &str,
        instance_id: &str,
    ) -> Result<Reply, ApiError> {
        let unknown = || ApiError::client("InvocationDoesNotExist", "");
        let lag = self.commands.invocation_lag;
        let sent = self.commands.sent.get(command_id).filter(|sent| sent.place == context.place);
        let sent = sent.filter(|sent| sent.instance.as_str() == instance_id && later(sent.at, lag) <= context.now);
        let sent = sent.ok_or_else(unknown)?;
        let progress = sent.progress.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let view = |status, details, response_code, stdout, stderr| InvocationView {
            command_id: command_id.to_owned(),
            instance_id: sent.instance.clone(),
            status,
            details,
            response_code,
            stdout,
            stderr,
        };
        let silent = |status, details| view(status, details, -1, String::new(), String::new());
        Ok(Reply::Invocation(match progress {
            _ if sent.is_cancelled => silent("Cancelled", "Cancelled"),
            Progress::Ended { exit_code: 0, stdout, stderr } => view("Success", "Success", 0, stdout, stderr),
            Progress::Ended { exit_code, stdout, stderr } => view("Failed", "Failed", exit_code, stdout, stderr),
            Progress::DeliveryTimedOut => silent("TimedOut", "DeliveryTimedOut"),
            Progress::ExecutionTimedOut => silent("TimedOut", "ExecutionTimedOut"),
            Progress::Underway if sent.ends_at <= context.now => silent("TimedOut", "ExecutionTimedOut"),
            Progress::Underway => silent("InProgress", "InProgress"),
        }))
    }

    /// "There is no guarantee that the command will be terminated": so it is not.
    pub(crate) fn cancel_command(&mut self, context: &Context<'_>, command_id: &str) -> Result<Reply, ApiError> {
        let sent = self.commands.sent.get_mut(command_id).filter(|sent| sent.place == context.place);
        let sent = sent.ok_or_else(|| ApiError::client("InvalidCommandId", ""))?;
        let progress = sent.progress.lock().unwrap_or_else(PoisonError::into_inner).clone();
        sent.is_cancelled |= progress == Progress::Underway;
        Ok(Reply::CommandCancelled)
    }

    /// An agent that died is `Online` until somebody misses it; here nobody ever does.
    pub(crate) fn describe_agents(&mut self, context: &Context<'_>, ids: &[String]) -> Reply {
        let State { places, commands, .. } = self;
        let Some(contents) = places.get(&context.place) else { return Reply::Agents(Vec::new()) };
        let is_running = |id: &InstanceId| {
            let instance = contents.instances.get(id);
            instance.and_then(|instance| instance.state_at(context.now)) == Some(InstanceState::Running)
        };
        let wanted = |id: &&InstanceId| ids.is_empty() || ids.iter().any(|wanted| wanted == id.as_str());
        let view =
            |id: &InstanceId| AgentView { instance_id: id.clone(), last_ping_at: earlier(context.now, LAST_PING_AGO) };
        Reply::Agents(commands.agents.keys().filter(wanted).filter(|id| is_running(id)).map(view).collect())
    }
}

fn invalid_instance(id: &str) -> ApiError {
    ApiError::client("InvalidInstanceId", format!("Instances [[{id}]] not in a valid state for account"))
}

fn seconds(given: Option<i64>, name: &str, min: u64) -> Result<Duration, ApiError> {
    let Some(given) = given else { return Ok(Duration::from_secs(SECONDS)) };
    match u64::try_from(given) {
        Ok(given) if (min..=DELIVERY_SECONDS_MAX).contains(&given) => Ok(Duration::from_secs(given)),
        _ => {
            let message = format!("Value '{given}' at '{name}' failed to satisfy constraint: at least {min}");
            Err(ApiError::client("ValidationException", message))
        }
    }
}
