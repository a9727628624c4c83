//! Run Command: one attempt per command, and an answer that is not there yet is none.

use std::time::Duration;

use amikeep_cloud::{
    Action, Cloud, CloudErrorKind, CommandId, CommandOutput, CommandRequest, CommandState, ProbeOutcome,
};

use crate::tests::server::{Reply, Server};
use crate::tests::{INSTANCE, cloud};

const COMMAND: &str = "0831e1a8-a1ac-4257-a1fd-c831b48fa1c0";

fn request() -> CommandRequest {
    CommandRequest {
        instance: INSTANCE.parse().unwrap(),
        script: "echo one\necho two\n".to_owned(),
        delivered_within: Duration::from_secs(5),
        runs_for_max: Duration::from_mins(1),
        comment: "c".repeat(120),
    }
}

fn id() -> CommandId {
    CommandId::new(COMMAND).unwrap()
}

fn sent() -> String {
    format!(r#"{{"Command":{{"CommandId":"{COMMAND}","Status":"Pending"}}}}"#)
}

fn refusal(status: u16, code: &str) -> Reply {
    Reply::Answer(status, format!(r#"{{"__type":"{code}","message":"no"}}"#))
}

#[tokio::test]
async fn a_command_says_exactly_what_was_decided() {
    let server = Server::start([Reply::Answer(200, sent())]).await;
    assert_eq!(cloud(&server).await.run_command(request()).await.unwrap(), id());
    let asked = &server.asked()[0];
    assert!(asked.head.contains("x-amz-target: amazonssm.sendcommand"), "{}", asked.head);
    assert!(asked.head.contains("eu-central-1/ssm"), "{}", asked.head);
    let body = asked.body.clone();
    assert!(body.contains(&format!(r#""InstanceIds":["{INSTANCE}"]"#)), "{body}");
    assert!(body.contains(r#""DocumentName":"AWS-RunShellScript""#), "{body}");
    assert!(body.contains(r#""TimeoutSeconds":30"#), "thirty seconds are the least: {body}");
    assert!(body.contains(r#""commands":["echo one","echo two"]"#), "{body}");
    assert!(body.contains(r#""executionTimeout":["60"]"#), "{body}");
    assert!(body.contains(&"c".repeat(100)) && !body.contains(&"c".repeat(101)), "{body}");
}

#[tokio::test]
async fn a_command_without_an_answer_is_never_sent_again() {
    for reply in [
        Reply::Cut,
        Reply::Stall,
        Reply::CutWithin(sent()),
        Reply::Answer(200, r#"{"Command":{"CommandId":""}}"#.to_owned()),
        Reply::Answer(200, "<html></html>".to_owned()),
        refusal(500, "InternalServerError"),
    ] {
        let said = format!("{reply:?}");
        let server = Server::start([reply, Reply::Answer(200, sent())]).await;
        let error = cloud(&server).await.run_command(request()).await.unwrap_err();
        assert_eq!((error.kind, server.asked().len()), (CloudErrorKind::OutcomeUnknown, 1), "{said}: {error}");
    }
}

#[tokio::test]
async fn refusals_have_their_classes() {
    for (code, kind) in [
        ("InvalidInstanceId", CloudErrorKind::WrongState),
        ("AccessDeniedException", CloudErrorKind::Denied),
        ("ThrottlingException", CloudErrorKind::Throttled),
        ("ExpiredTokenException", CloudErrorKind::Credentials),
        ("InvalidDocument", CloudErrorKind::Invalid),
    ] {
        let server = Server::start([refusal(400, code)]).await;
        let error = cloud(&server).await.run_command(request()).await.unwrap_err();
        assert_eq!((error.kind, error.code.as_str()), (kind, code));
    }
}

async fn observed(reply: Reply) -> Option<CommandState> {
    let server = Server::start([reply]).await;
    cloud(&server).await.observe_command(id(), INSTANCE.parse().unwrap()).await.unwrap()
}

fn invocation(status: &str, code: i32) -> Reply {
    Reply::Answer(
        200,
        format!(
            r#"{{"Status":"{status}","StatusDetails":"details","ResponseCode":{code},
            "StandardOutputContent":"out","StandardErrorContent":"err"}}"#
        ),
    )
}

#[tokio::test]
async fn where_a_command_is_follows_from_its_status() {
    let ended =
        |exit_code| CommandState::Ended(CommandOutput { exit_code, stdout: "out".into(), stderr: "err".into() });
    let given_up = CommandState::GivenUp { details: "details".into() };
    for (status, code, want) in [
        ("Success", 0, ended(0)),
        ("Failed", 21, ended(21)),
        ("Failed", -1, given_up.clone()),
        ("TimedOut", -1, given_up.clone()),
        ("Cancelled", -1, given_up),
        ("Pending", -1, CommandState::Underway),
        ("InProgress", -1, CommandState::Underway),
        ("Delayed", -1, CommandState::Underway),
        ("Cancelling", -1, CommandState::Underway),
        ("Unheard", -1, CommandState::Underway),
    ] {
        assert_eq!(observed(invocation(status, code)).await, Some(want), "{status}");
    }
    assert_eq!(observed(refusal(400, "InvocationDoesNotExist")).await, None);
}

#[tokio::test]
async fn an_agent_is_told_of_or_not_there() {
    let online = format!(
        r#"{{"InstanceInformationList":[{{"InstanceId":"{INSTANCE}","PingStatus":"Online",
        "LastPingDateTime":1795309200.5,"AgentVersion":"3.3.1","PlatformType":"Linux"}}]}}"#
    );
    let server = Server::start([
        Reply::Answer(200, online.clone()),
        Reply::Answer(200, online.replace("Online", "ConnectionLost")),
        Reply::Answer(200, r#"{"InstanceInformationList":[]}"#.to_owned()),
    ])
    .await;
    let cloud = cloud(&server).await;
    let seen = cloud.observe_agent(INSTANCE.parse().unwrap()).await.unwrap().unwrap();
    assert_eq!((seen.is_online, seen.version.as_str(), seen.platform.as_str()), (true, "3.3.1", "Linux"));
    assert_eq!(seen.last_ping_at.unwrap().as_second(), 1_795_309_200);
    assert!(!cloud.observe_agent(INSTANCE.parse().unwrap()).await.unwrap().unwrap().is_online);
    assert_eq!(cloud.observe_agent(INSTANCE.parse().unwrap()).await.unwrap(), None);
}

#[tokio::test]
async fn what_has_no_dry_run_is_not_checked() {
    let server = Server::start([]).await;
    for action in [Action::SendCommand, Action::GetCommandInvocation, Action::CancelCommand] {
        let outcome = cloud(&server).await.probe(action, Some(INSTANCE.parse().unwrap())).await.unwrap();
        assert!(matches!(outcome, ProbeOutcome::NotChecked(_)), "{outcome:?}");
    }
    assert!(server.asked().is_empty());
}
