//! The same through Systems Manager: the simulator's agent really runs the guard on this machine.

use std::path::Path;

use amikeep_ec2_sim::{Agent, AgentLife, HostShell};

use super::*;

/// The instance has an agent, and is frozen through it.
pub(super) async fn scene(
    builder: WorldBuilder,
    if_blocked: &str,
    more: &str,
    tune: impl Fn(Agent) -> Agent,
) -> Option<Scene> {
    let scene = Scene::new(builder, if_blocked, more).await?;
    scene.reach_by_commands(if_blocked, more);
    let shell = HostShell {
        shell: Path::new("/bin/sh").to_owned(),
        path: "/usr/sbin:/usr/bin:/sbin:/bin".to_owned(),
        folder: scene.site.dir().join("agent"),
    };
    scene.site.world.set_agent(&instance_id(1).parse().unwrap(), tune(Agent::new(shell)));
    Some(scene)
}

impl Scene {
    /// The same freeze, through Systems Manager.
    pub(super) fn reach_by_commands(&self, if_blocked: &str, more: &str) {
        self.site.configure(&self.disks.config(if_blocked, more));
        let own = format!("instance = \"{}\"\n", instance_id(1));
        self.site.write_config(&self.site.config_text().replace("via = \"local\"", "via = \"ssm\"").replace(&own, ""));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_disks_are_frozen_by_commands_and_the_image_has_every_row() {
    let slow =
        |agent: Agent| agent.delivery_takes(Duration::from_millis(300)).telling_takes(Duration::from_millis(200));
    let Some(scene) = scene(world(), "fail", "budget = \"60s\"", slow).await else { return };
    scene.site.world.set_invocation_lag(SignedDuration::from_millis(400));
    let (job, ran) = scene.backup().await;
    assert_eq!((ran.code, job["grade"].as_str()), (0, Some("filesystem")), "{job:#} {ran:?}");
    scene.flows_again();
    for (name, acknowledged) in scene.copied.lock().unwrap().clone() {
        let rows = scene.rows_in_copy(&name);
        assert!((acknowledged..=acknowledged + 1).contains(&rows), "{name}: {rows} rows, {acknowledged} acknowledged");
    }
    assert_eq!(scene.site.world.count(Action::SendCommand), 3, "look, freeze, thaw");
    assert!(job["hold_ms"].as_u64().is_some(), "{job:#}");
    let story = scene.site.run(&["show", job["id"].as_str().unwrap()]).await;
    for words in ["xfs", "ext4", "frozen", "thawed"] {
        assert!(story.stdout.contains(words), "{words} in {story:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_that_died_or_was_never_there_does_what_the_class_says() {
    let dead = |agent: Agent| agent.life(AgentLife::Dead);
    let Some(scene) = scene(world(), "no-reboot", "budget = \"6s\"", dead).await else { return };
    let (job, ran) = scene.backup().await;
    assert_eq!((ran.code, job["grade"].as_str(), job["mode"]["done"].as_str()), (0, Some("crash"), Some("no-reboot")));
    assert!(job["mode"]["reason"].as_str().unwrap().contains("has not come to its end"), "{job:#}");
    assert_eq!(scene.site.world.count(Action::SendCommand), 1, "nothing was to be thawed");
    scene.flows_again();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_freeze_of_which_nobody_hears_is_thawed_and_sent_for_no_image() {
    let Some(scene) = scene(world(), "no-reboot", "budget = \"20s\"", |agent| agent).await else { return };
    // The look is the first; the freeze runs, and its answer is lost.
    scene.site.world.plan_fault(Fault::on(Action::SendCommand, FaultOutcome::LostReplyAfterEffect).nth(2));
    let (job, ran) = scene.backup().await;
    assert_eq!((ran.code, job["grade"].as_str(), job["mode"]["done"].as_str()), (0, Some("crash"), Some("no-reboot")));
    scene.flows_again();
    assert_eq!(scene.site.world.images().len(), 1);
    assert_eq!(scene.site.world.count(Action::SendCommand), 3, "the thaw was sent whatever was known");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn thaws_that_are_lost_leave_it_to_the_watchdog_and_prove_nothing() {
    let Some(scene) = scene(world(), "no-reboot", "budget = \"12s\"", |agent| agent).await else { return };
    let lost = Fault::on(Action::SendCommand, FaultOutcome::LostBeforeEffect);
    scene.site.world.plan_fault(lost.clone().nth(3));
    scene.site.world.plan_fault(lost.nth(4));
    let (job, ran) = scene.backup().await;
    assert_eq!((ran.code, job["grade"].as_str()), (0, Some("crash")), "{job:#}");
    scene.flows_again();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writes_flow_again_at_the_budget_when_the_daemon_is_killed() {
    let late = world().snapshot_lag(SignedDuration::from_mins(5), SignedDuration::ZERO);
    let Some(scene) = scene(late, "no-reboot", "budget = \"15s\"", |agent| agent).await else { return };
    let daemon = scene.site.daemon().await;
    let queued = scene.site.run(&["backup", &instance_id(1), "--no-wait"]).await;
    assert_eq!(queued.code, 0, "{queued:?}");
    while scene.site.world.count(Action::CreateImage) == 0 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    daemon.kill();
    tokio::task::block_in_place(|| scene.flows_again());
    scene.site.world.set_snapshot_lag(SignedDuration::ZERO);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rehearsal_measures_the_way_and_refuses_a_budget_that_it_cannot_meet() {
    let Some(scene) = scene(world(), "fail", "", |agent| agent).await else { return };
    let id = instance_id(1);
    let rehearse = ["hold", "--freeze", "disks", "--test", "--instance", &id, "--format", "json"];
    let ran = scene.site.run(&rehearse).await;
    assert_eq!((ran.code, ran.json()["held"].as_bool()), (0, Some(true)), "{ran:?}");
    assert_eq!(ran.json()["mounts"].as_array().unwrap().len(), 2);
    scene.flows_again();
    let text = scene.site.config_text().replace("via = \"ssm\"", "via = \"ssm\"\nbudget = \"2s\"\nlock_wait = \"1s\"");
    scene.site.write_config(&text);
    let ran = scene.site.run(&rehearse).await;
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(ran.json()["problem"].as_str().unwrap().contains("make `budget` at least"), "{ran:?}");
    let nobody = scene.site.run(&rehearse[..4]).await;
    assert!(nobody.code == 2 && nobody.stderr.contains("--instance"), "{nobody:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rehearsal_of_snapshots_freezes_by_commands_and_tells_what_an_image_would_carry() {
    let Some(scene) = scene(world(), "fail", "capture = \"snapshots\"", |agent| agent).await else { return };
    scene.rehearses_snapshots(&["--instance", &instance_id(1)]).await;
    assert_eq!(scene.site.world.count(Action::SendCommand), 6, "look, freeze and thaw, twice");
}
