//! Run Command: real commands of this machine's shell, and the ways in which it misleads.

use std::path::Path;
use std::time::Duration;

use amikeep_cloud::{Cloud, CloudErrorKind, CommandId, CommandOutput, CommandRequest, CommandState};
use amikeep_ec2_sim::http::Server;
use amikeep_ec2_sim::{Action, Agent, AgentLife, Fault, FaultOutcome, HostShell, SimCloud, World};

use crate::support::{ACCOUNT, DB, WEB, builder, exchange, place, secs};

/// A folder of its own that goes with the test.
struct Folder(std::path::PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("ec2-sim-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn agent(&self) -> Agent {
        let path = "/usr/bin:/bin".to_owned();
        Agent::new(HostShell { shell: Path::new("/bin/sh").to_owned(), path, folder: self.0.clone() })
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn world(agent: Agent) -> (World, SimCloud) {
    let world = builder().build().unwrap();
    world.set_agent(&DB.parse().unwrap(), agent);
    (world.clone(), SimCloud::new(world, place()))
}

fn command(script: &str) -> CommandRequest {
    CommandRequest {
        instance: DB.parse().unwrap(),
        script: script.to_owned(),
        delivered_within: Duration::from_secs(30),
        runs_for_max: Duration::from_secs(20),
        comment: "test".to_owned(),
    }
}

/// Asks until the command is no longer under way; the world's clock stands still meanwhile.
async fn end(cloud: &SimCloud, id: &CommandId) -> CommandState {
    for _ in 0..2_000 {
        match cloud.observe_command(id.clone(), DB.parse().unwrap()).await.unwrap() {
            Some(CommandState::Underway) | None => tokio::time::sleep(Duration::from_millis(10)).await,
            Some(state) => return state,
        }
    }
    panic!("the command does not end");
}

#[tokio::test]
async fn a_command_really_runs_and_tells_nothing_before_its_end() {
    let folder = Folder::new("runs");
    let (_, cloud) = world(folder.agent());
    let flag = folder.0.join("go");
    let script = format!("echo first; until [ -e {} ]; do sleep 0.02; done; echo last; exit 7", flag.display());
    let id = cloud.run_command(command(&script)).await.unwrap();
    let seen = cloud.observe_command(id.clone(), DB.parse().unwrap()).await.unwrap();
    assert_eq!(seen, Some(CommandState::Underway), "it waits for the flag");
    std::fs::write(&flag, "").unwrap();
    let output = CommandOutput { exit_code: 7, stdout: "first\nlast\n".into(), stderr: String::new() };
    assert_eq!(end(&cloud, &id).await, CommandState::Ended(output));
}

#[tokio::test]
async fn what_left_the_group_outlives_a_command_that_ran_out_of_time() {
    let folder = Folder::new("group");
    let (_, cloud) = world(folder.agent());
    let late = folder.0.join("late");
    let script =
        format!("setsid sh -c 'sleep 2; echo alive > {}' </dev/null >/dev/null 2>&1 &\nsleep 60", late.display());
    let id =
        cloud.run_command(CommandRequest { runs_for_max: Duration::from_secs(1), ..command(&script) }).await.unwrap();
    assert_eq!(end(&cloud, &id).await, CommandState::GivenUp { details: "ExecutionTimedOut".into() });
    for _ in 0..1_000 {
        if late.exists() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("the watchdog went with its command");
}

#[tokio::test]
async fn a_dead_agent_looks_alive_until_all_time_is_over() {
    let folder = Folder::new("dead");
    let (world, cloud) = world(folder.agent().life(AgentLife::Dead));
    assert!(cloud.observe_agent(DB.parse().unwrap()).await.unwrap().unwrap().is_online);
    let id = cloud.run_command(command("true")).await.unwrap();
    let ask = || cloud.observe_command(id.clone(), DB.parse().unwrap());
    world.clock().advance(secs(49));
    assert_eq!(ask().await.unwrap(), Some(CommandState::Underway));
    world.clock().advance(secs(1));
    assert!(matches!(ask().await.unwrap(), Some(CommandState::GivenUp { .. })));
}

#[tokio::test]
async fn a_command_can_run_and_nobody_learn_of_it() {
    let folder = Folder::new("mute");
    let (world, cloud) = world(folder.agent().life(AgentLife::Mute));
    let done = folder.0.join("done");
    world.plan_fault(Fault::on(Action::SendCommand, FaultOutcome::LostReplyAfterEffect));
    let error = cloud.run_command(command(&format!("echo > {}", done.display()))).await.unwrap_err();
    assert_eq!(error.kind, CloudErrorKind::OutcomeUnknown);
    for _ in 0..1_000 {
        if done.exists() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("the command did not run");
}

#[tokio::test]
async fn a_cancelled_command_runs_all_the_same() {
    let folder = Folder::new("cancel");
    let (_, cloud) = world(folder.agent().delivery_takes(Duration::from_millis(300)));
    let done = folder.0.join("done");
    let id = cloud.run_command(command(&format!("echo > {}", done.display()))).await.unwrap();
    cloud.cancel_command(id.clone(), DB.parse().unwrap()).await.unwrap();
    assert_eq!(end(&cloud, &id).await, CommandState::GivenUp { details: "Cancelled".into() });
    for _ in 0..1_000 {
        if done.exists() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("the command did not run");
}

#[tokio::test]
async fn an_invocation_is_not_known_at_once_and_an_instance_without_agent_never() {
    let folder = Folder::new("race");
    let (world, cloud) = world(folder.agent());
    world.set_invocation_lag(secs(1));
    let id = cloud.run_command(command("true")).await.unwrap();
    assert_eq!(cloud.observe_command(id.clone(), DB.parse().unwrap()).await.unwrap(), None);
    world.clock().advance(secs(1));
    assert!(matches!(end(&cloud, &id).await, CommandState::Ended(_)));
    let unmanaged = CommandRequest { instance: WEB.parse().unwrap(), ..command("true") };
    let error = cloud.run_command(unmanaged).await.unwrap_err();
    assert_eq!((error.kind, error.code.as_str()), (CloudErrorKind::WrongState, "InvalidInstanceId"));
    assert_eq!(cloud.observe_agent(WEB.parse().unwrap()).await.unwrap(), None);
    let too_short = CommandRequest { delivered_within: Duration::from_secs(29), ..command("true") };
    assert_eq!(cloud.run_command(too_short).await.unwrap_err().code, "ValidationException");
}

#[tokio::test]
async fn six_commands_at_once_are_one_too_many_for_an_agent() {
    let folder = Folder::new("workers");
    let (_, cloud) = world(folder.agent());
    let flag = folder.0.join("go");
    let mut ids = Vec::new();
    for n in 0..6 {
        let script =
            format!("echo > {0}/{n}.began; until [ -e {1} ]; do sleep 0.02; done", folder.0.display(), flag.display());
        ids.push(cloud.run_command(command(&script)).await.unwrap());
    }
    let began = || {
        let names = std::fs::read_dir(&folder.0).unwrap().map(|entry| entry.unwrap().file_name());
        names.filter(|name| name.to_string_lossy().ends_with(".began")).count()
    };
    for _ in 0..1_000 {
        if began() == 5 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    // That nothing happens can only be seen by waiting; a sixth would begin within milliseconds.
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(began(), 5);
    std::fs::write(&flag, "").unwrap();
    for id in &ids {
        assert!(matches!(end(&cloud, id).await, CommandState::Ended(_)));
    }
    assert_eq!(began(), 6);
}

async fn ssm(server: &Server, action: &str, body: &str) -> String {
    let headers = format!(
        "Authorization: AWS4-HMAC-SHA256 Credential=AKIASIM0{ACCOUNT}/20260101/eu-central-1/ssm/aws4_request, \
         SignedHeaders=host, Signature=00\r\nContent-Type: application/x-amz-json-1.1\r\nX-Amz-Target: AmazonSSM.{action}\r\n"
    );
    let head = format!("POST / HTTP/1.1\r\n{headers}Content-Length: {}\r\n", body.len());
    exchange(server, head, body.to_owned()).await
}

#[tokio::test]
async fn systems_manager_speaks_json_and_refuses_what_it_does_not_do() {
    let folder = Folder::new("wire");
    let (world, _) = world(folder.agent());
    let server = Server::start(world).await.unwrap();
    let body = format!(
        r#"{{"InstanceIds":["{DB}"],"DocumentName":"AWS-RunShellScript","TimeoutSeconds":30,
        "Parameters":{{"commands":["exit 3"],"executionTimeout":["20"]}}}}"#
    );
    let sent = ssm(&server, "SendCommand", &body).await;
    assert!(sent.starts_with("HTTP/1.1 200") && sent.contains("application/x-amz-json-1.1"), "{sent}");
    let id = sent.split_once(r#""CommandId":""#).unwrap().1[..36].to_owned();
    let ask = format!(r#"{{"CommandId":"{id}","InstanceId":"{DB}"}}"#);
    let mut answer = String::new();
    for _ in 0..1_000 {
        answer = ssm(&server, "GetCommandInvocation", &ask).await;
        if answer.contains("Failed") {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(answer.contains(r#""ResponseCode":3"#), "{answer}");
    for (action, body, code) in [
        ("GetCommandInvocation", ask.replace(DB, WEB), "InvocationDoesNotExist"),
        ("SendCommand", body.replace(DB, WEB), "InvalidInstanceId"),
        ("SendCommand", body.replace("AWS-RunShellScript", "AWS-Other"), "InvalidDocument"),
        ("SendCommand", body.replace("TimeoutSeconds", "MaxErrors"), "SerializationException"),
        ("StartSession", "{}".to_owned(), "UnknownOperationException"),
    ] {
        let refused = ssm(&server, action, &body).await;
        assert!(refused.starts_with("HTTP/1.1 400") && refused.contains(&format!(r#""__type":"{code}""#)), "{refused}");
    }
    server.stop().await;
}
