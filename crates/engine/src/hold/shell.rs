//! Run Command of Systems Manager as the shell of another machine.
//!
//! It owns what an answer means for whoever waits: a command that was refused for certain does not run; of any other
//! that did not come to its end nobody knows. It must never send a command twice.

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use amikeep_cloud::{
    Cloud, CloudError, CloudErrorKind, CommandId, CommandRequest, CommandState, DELIVERY_FOR_MIN, REBOOT_EXIT_CODE,
};
use amikeep_domain::id::InstanceId;
use amikeep_hold::ssm::{Shell, ShellError, ShellOutput};
use tokio::runtime::Handle;
use tokio::time::{Instant, sleep, timeout_at};

/// How often Systems Manager is asked what became of a command. Half of it is added to a stall on average.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// How long one call may take. What takes longer is asked again, or counted as unknown.
const CALL_MAX: Duration = Duration::from_secs(10);

/// The agent's limit on a command is beyond ours, so that it kills nothing that we still wait for.
const RUNS_FOR_MORE: Duration = Duration::from_secs(5);

/// One instance, reached by commands.
struct CommandShell<C> {
    cloud: Arc<C>,
    instance: InstanceId,
    comment: String,
    runtime: Handle,
}

impl<C> fmt::Debug for CommandShell<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CommandShell").field("instance", &self.instance).finish_non_exhaustive()
    }
}

/// The shell of an instance; `comment` stands beside its commands in the console. Must be called on a runtime, and the shell
/// be used on threads that may block.
pub fn command_shell<C: Cloud>(cloud: Arc<C>, instance: InstanceId, comment: String) -> Arc<dyn Shell> {
    Arc::new(CommandShell { cloud, instance, comment, runtime: Handle::current() })
}

impl<C: Cloud> CommandShell<C> {
    async fn send_and_wait(&self, script: &str, wait_max: Duration) -> Result<ShellOutput, ShellError> {
        let until = now() + wait_max;
        let request = CommandRequest {
            instance: self.instance.clone(),
            script: script.to_owned(),
            delivered_within: DELIVERY_FOR_MIN,
            runs_for_max: wait_max.saturating_add(RUNS_FOR_MORE),
            comment: self.comment.clone(),
        };
        let id = match limited(until, self.cloud.run_command(request)).await {
            Some(Ok(id)) => id,
            Some(Err(error)) => return Err(unsent(&error)),
            None => return Err(unknown("SendCommand gave no answer")),
        };
        let ended = self.wait(&id, until).await;
        if ended.is_err() {
            // It helps little: nothing promises that the command is not delivered or run all the same.
            let cancel = self.cloud.cancel_command(id, self.instance.clone());
            let _ = timeout_at(now() + CALL_MAX, cancel).await;
        }
        ended
    }

    async fn wait(&self, id: &CommandId, until: Instant) -> Result<ShellOutput, ShellError> {
        let mut why = "it has not come to its end".to_owned();
        while now() < until {
            let ask = self.cloud.observe_command(id.clone(), self.instance.clone());
            match limited(until, ask).await {
                Some(Ok(Some(CommandState::Ended(output)))) if output.exit_code == REBOOT_EXIT_CODE => {
                    return Err(unknown("it asked for a reboot, which the guard never does"));
                }
                Some(Ok(Some(CommandState::Ended(output)))) => {
                    return Ok(ShellOutput { exit_code: output.exit_code, stdout: output.stdout });
                }
                Some(Ok(Some(CommandState::GivenUp { details }))) => return Err(unknown(&details)),
                // Not known everywhere yet, or under way; a dead agent looks just the same.
                Some(Ok(Some(CommandState::Underway) | None)) => {}
                Some(Err(error)) if error.kind == CloudErrorKind::Denied => return Err(unknown(&error.to_string())),
                Some(Err(error)) => why = error.to_string(),
                None => "GetCommandInvocation gave no answer".clone_into(&mut why),
            }
            sleep(LOOK_EVERY).await;
        }
        Err(unknown(&why))
    }
}

impl<C: Cloud> Shell for CommandShell<C> {
    fn run(&self, script: &str, wait_max: Duration) -> Result<ShellOutput, ShellError> {
        self.runtime.block_on(self.send_and_wait(script, wait_max))
    }
}

fn now() -> Instant {
    Instant::now()
}

/// One call; none if it gave no answer in time.
async fn limited<T>(
    until: Instant,
    call: impl Future<Output = Result<T, CloudError>>,
) -> Option<Result<T, CloudError>> {
    timeout_at(until.min(now() + CALL_MAX), call).await.ok()
}

fn unsent(error: &CloudError) -> ShellError {
    match error.kind {
        CloudErrorKind::OutcomeUnknown => unknown(&error.to_string()),
        _ => ShellError::Refused { why: error.to_string() },
    }
}

fn unknown(why: &str) -> ShellError {
    ShellError::Unknown { why: why.to_owned() }
}
