//! Commands of Systems Manager, as the port has them.

use amikeep_cloud::{Action, CloudError, CommandId, CommandOutput, CommandRequest, CommandState, SeenAgent};
use amikeep_domain::id::InstanceId;

use crate::port::{SimCloud, lost};
use crate::reply::{InvocationView, Reply};
use crate::request::{Request, SendCommand};

impl SimCloud {
    pub(crate) fn send_command(&self, request: &CommandRequest) -> Result<CommandId, CloudError> {
        let seconds = |duration: std::time::Duration| i64::try_from(duration.as_secs()).ok();
        let call = SendCommand {
            instance_ids: vec![request.instance.to_string()],
            document_name: "AWS-RunShellScript".to_owned(),
            comment: Some(request.comment.chars().take(100).collect()),
            timeout_seconds: seconds(request.delivered_within),
            commands: request.script.lines().map(str::to_owned).collect(),
            execution_timeout: seconds(request.runs_for_max),
        };
        let bad_answer = || lost(Action::SendCommand, "bad-answer", "the answer cannot be used");
        match self.send(Action::SendCommand, Request::SendCommand(call), false)? {
            Reply::CommandSent { command_id, .. } => CommandId::new(&command_id).ok_or_else(bad_answer),
            _ => Err(bad_answer()),
        }
    }

    pub(crate) fn invocation(
        &self,
        command: &CommandId,
        instance: &InstanceId,
    ) -> Result<Option<CommandState>, CloudError> {
        let request =
            Request::GetCommandInvocation { command_id: command.to_string(), instance_id: instance.to_string() };
        match self.send(Action::GetCommandInvocation, request, false) {
            Ok(Reply::Invocation(view)) => Ok(Some(state(view))),
            Ok(_) => Err(lost(Action::GetCommandInvocation, "bad-answer", "the answer cannot be used")),
            Err(error) if error.code == "InvocationDoesNotExist" => Ok(None),
            Err(error) => Err(error),
        }
    }

    pub(crate) fn stop_command(&self, command: &CommandId, instance: &InstanceId) -> Result<(), CloudError> {
        let instance_ids = vec![instance.to_string()];
        let request = Request::CancelCommand { command_id: command.to_string(), instance_ids };
        self.send(Action::CancelCommand, request, false).map(|_| ())
    }

    pub(crate) fn agent(&self, instance: &InstanceId) -> Result<Option<SeenAgent>, CloudError> {
        let request = Request::DescribeInstanceInformation { ids: vec![instance.to_string()] };
        match self.send(Action::DescribeInstanceInformation, request, false)? {
            Reply::Agents(agents) => Ok(agents.into_iter().next().map(|agent| SeenAgent {
                is_online: true,
                last_ping_at: Some(agent.last_ping_at),
                version: "3.3.0.0".to_owned(),
                platform: "Linux".to_owned(),
            })),
            _ => Err(lost(Action::DescribeInstanceInformation, "bad-answer", "the answer cannot be used")),
        }
    }
}

fn state(view: InvocationView) -> CommandState {
    match view.status {
        "Success" | "Failed" if 0 <= view.response_code => CommandState::Ended(CommandOutput {
            exit_code: view.response_code,
            stdout: view.stdout,
            stderr: view.stderr,
        }),
        "InProgress" => CommandState::Underway,
        _ => CommandState::GivenUp { details: view.details.to_owned() },
    }
}
