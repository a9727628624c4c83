//! Systems Manager's protocol: JSON in and out, and the action in a header.
//!
//! A member that is known and not carried out is refused as unsupported, and any other as unknown.

use serde::Deserialize;
use serde_json::{Value, json};

use crate::error::ApiError;
use crate::reply::Reply;
use crate::request::{Action, Request, SendCommand};

/// What stands before the action in `X-Amz-Target`.
const TARGET: &str = "AmazonSSM.";

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct SendCommandBody {
    #[serde(default)]
    instance_ids: Vec<String>,
    document_name: String,
    comment: Option<String>,
    timeout_seconds: Option<i64>,
    #[serde(default)]
    parameters: Parameters,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Parameters {
    #[serde(default)]
    commands: Vec<String>,
    #[serde(default)]
    execution_timeout: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct InvocationBody {
    command_id: String,
    instance_id: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct CancelBody {
    command_id: String,
    #[serde(default)]
    instance_ids: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct AgentsBody {
    #[serde(default)]
    filters: Vec<AgentFilter>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct AgentFilter {
    key: String,
    values: Vec<String>,
}

pub(crate) fn parse(target: Option<&str>, body: &[u8]) -> Result<Request, ApiError> {
    let name = target.and_then(|target| target.strip_prefix(TARGET)).unwrap_or_default();
    let action = Action::parse(name).filter(|action| action.is_ssm());
    match action {
        Some(Action::SendCommand) => send_command(read(body)?),
        Some(Action::GetCommandInvocation) => {
            let InvocationBody { command_id, instance_id } = read(body)?;
            Ok(Request::GetCommandInvocation { command_id, instance_id })
        }
        Some(Action::CancelCommand) => {
            let CancelBody { command_id, instance_ids } = read(body)?;
            Ok(Request::CancelCommand { command_id, instance_ids })
        }
        Some(Action::DescribeInstanceInformation) => {
            let AgentsBody { filters } = read(body)?;
            let known = filters.iter().all(|filter| filter.key == "InstanceIds");
            if !known {
                return Err(ApiError::client("InvalidInstanceInformationFilterValue", "InstanceIds is known alone"));
            }
            Ok(Request::DescribeInstanceInformation { ids: filters.into_iter().flat_map(|it| it.values).collect() })
        }
        _ => Err(ApiError::client("UnknownOperationException", "")),
    }
}

fn read<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, ApiError> {
    serde_json::from_slice(body).map_err(|error| ApiError::client("SerializationException", error.to_string()))
}

fn send_command(body: SendCommandBody) -> Result<Request, ApiError> {
    let execution_timeout = match &body.parameters.execution_timeout[..] {
        [] => None,
        [seconds] => Some(seconds.parse().map_err(|_| ApiError::client("InvalidParameters", "executionTimeout"))?),
        _ => return Err(ApiError::client("InvalidParameters", "executionTimeout is one text")),
    };
    Ok(Request::SendCommand(SendCommand {
        instance_ids: body.instance_ids,
        document_name: body.document_name,
        comment: body.comment,
        timeout_seconds: body.timeout_seconds,
        commands: body.parameters.commands,
        execution_timeout,
    }))
}

pub(crate) fn render(reply: &Reply) -> String {
    body(reply).to_string()
}

fn body(reply: &Reply) -> Value {
    match reply {
        Reply::CommandSent { command_id, instance_ids, at } => json!({"Command": {
            "CommandId": command_id,
            "DocumentName": "AWS-RunShellScript",
            "InstanceIds": instance_ids,
            "RequestedDateTime": at.as_second(),
            "Status": "Pending",
            "StatusDetails": "Pending",
        }}),
        Reply::Invocation(view) => json!({
            "CommandId": view.command_id,
            "InstanceId": view.instance_id.as_str(),
            "DocumentName": "AWS-RunShellScript",
            "PluginName": "aws:runShellScript",
            "ResponseCode": view.response_code,
            "Status": view.status,
            "StatusDetails": view.details,
            "StandardOutputContent": view.stdout,
            "StandardOutputUrl": "",
            "StandardErrorContent": view.stderr,
            "StandardErrorUrl": "",
        }),
        Reply::Agents(agents) => {
            let agent = |agent: &crate::reply::AgentView| {
                json!({
                    "InstanceId": agent.instance_id.as_str(),
                    "PingStatus": "Online",
                    "LastPingDateTime": agent.last_ping_at.as_second(),
                    "AgentVersion": "3.3.0.0",
                    "PlatformType": "Linux",
                    "ResourceType": "EC2Instance",
                })
            };
            json!({"InstanceInformationList": agents.iter().map(agent).collect::<Vec<_>>()})
        }
        _ => json!({}),
    }
}

pub(crate) fn render_error(error: &ApiError) -> String {
    json!({"__type": error.code, "message": error.message}).to_string()
}
