//! Run Command of Systems Manager: one attempt per command, and no opinion about what its answers are worth.

use amikeep_cloud::{Action, CloudError, CommandId, CommandRequest, CommandState, DELIVERY_FOR_MIN, SeenAgent};
use amikeep_domain::id::InstanceId;
use aws_sdk_ssm::operation::send_command::builders::SendCommandFluentBuilder;
use aws_sdk_ssm::types::InstanceInformationStringFilter;

use crate::client::AwsCloud;
use crate::convert;

/// The document of AWS that runs a shell script on Linux.
const DOCUMENT: &str = "AWS-RunShellScript";
/// The longest comment (`SendCommand` in the Systems Manager API Reference).
const COMMENT_LEN_MAX: usize = 100;

impl AwsCloud {
    pub(crate) async fn send_command(&self, request: &CommandRequest) -> Result<CommandId, CloudError> {
        let call = self.call(Action::SendCommand);
        let answer = self.command_request(request).customize().interceptor(call.watch()).send().await;
        let answer = answer.map_err(|error| call.failed(&error))?;
        let id = answer.command().and_then(|command| command.command_id()).unwrap_or_default();
        CommandId::new(id).ok_or_else(|| call.unreadable(&format!("`{id}` is no id of a command"), None))
    }

    /// The request for a command, ready to be sent. Both timeouts are always said: each is an hour otherwise.
    fn command_request(&self, request: &CommandRequest) -> SendCommandFluentBuilder {
        let delivered_within = request.delivered_within.max(DELIVERY_FOR_MIN).as_secs();
        self.ssm_writes
            .send_command()
            .instance_ids(request.instance.as_str())
            .document_name(DOCUMENT)
            .timeout_seconds(i32::try_from(delivered_within).unwrap_or(i32::MAX))
            .comment(request.comment.chars().take(COMMENT_LEN_MAX).collect::<String>())
            .parameters("commands", request.script.lines().map(str::to_owned).collect())
            .parameters("executionTimeout", vec![request.runs_for_max.as_secs().max(1).to_string()])
    }

    pub(crate) async fn command_invocation(
        &self,
        command: &CommandId,
        instance: &InstanceId,
    ) -> Result<Option<CommandState>, CloudError> {
        let call = self.call(Action::GetCommandInvocation);
        let request = self.ssm_reads.get_command_invocation().command_id(command.as_str());
        let request = request.instance_id(instance.as_str());
        match request.customize().interceptor(call.watch()).send().await {
            Ok(answer) => Ok(Some(convert::command_state(answer))),
            // Right after SendCommand; that there never was such a command looks the same.
            Err(error) => match call.failed(&error) {
                error if error.code == "InvocationDoesNotExist" => Ok(None),
                error => Err(error),
            },
        }
    }

    pub(crate) async fn stop_command(&self, command: &CommandId, instance: &InstanceId) -> Result<(), CloudError> {
        let call = self.call(Action::CancelCommand);
        let request = self.ssm_writes.cancel_command().command_id(command.as_str());
        let request = request.instance_ids(instance.as_str());
        let answer = request.customize().interceptor(call.watch()).send().await;
        answer.map(|_| ()).map_err(|error| call.failed(&error))
    }

    /// What is known of the agent. A filter is used, since an id that is not managed is refused as an error.
    pub(crate) async fn agent(&self, instance: &InstanceId) -> Result<Option<SeenAgent>, CloudError> {
        let call = self.call(Action::DescribeInstanceInformation);
        let filter = InstanceInformationStringFilter::builder().key("InstanceIds").values(instance.as_str()).build();
        let filter = filter.map_err(|error| call.unreadable(&error.to_string(), None))?;
        let request = self.ssm_reads.describe_instance_information().filters(filter);
        let answer = request.customize().interceptor(call.watch()).send().await;
        let answer = answer.map_err(|error| call.failed(&error))?;
        let of_instance = |it: &&aws_sdk_ssm::types::InstanceInformation| it.instance_id() == Some(instance.as_str());
        Ok(answer.instance_information_list().iter().find(of_instance).map(convert::agent))
    }
}
