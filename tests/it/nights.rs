//! A month of bad nights over HTTP: the engine on the adapter for AWS, and the Query protocol of the simulated EC2.
//!
//! What is left is compared with what `amikeep simulate`, the real binary, says of the times of all images that ever
//! succeeded. `AMIKEEP_SIM_SEEDS`, `AMIKEEP_SIM_SEED` and `AMIKEEP_SIM_NIGHTS` ask for more, as in the engine's own tests.

use std::collections::BTreeSet;
use std::process::Command;
use std::sync::Arc;

use amikeep_cloud_aws::{AwsAccount, AwsCloud};
use amikeep_domain::id::ImageId;
use amikeep_domain::schedule::Schedule;
use amikeep_ec2_sim::http::Server;
use amikeep_ec2_sim::{Action, Fault, FaultOutcome, World, access_key_id};
use serde_json::Value;

use crate::simulated::dice::Dice;
use crate::simulated::house::{ACCOUNT, House, REGION, at};
use crate::simulated::nights::{Nights, fleet, house};
use crate::simulated::rules::Series;

const READS: [Action; 5] = [
    Action::DescribeImages,
    Action::DescribeSnapshots,
    Action::DescribeInstances,
    Action::DescribeImageReferences,
    Action::GetCallerIdentity,
];
const WRITES: [Action; 6] = [
    Action::CreateImage,
    Action::CreateSnapshots,
    Action::RegisterImage,
    Action::DeregisterImage,
    Action::DeleteSnapshot,
    Action::CreateTags,
];
/// A month of them has trouble.
const NIGHTS: u64 = 31;
/// Attempts that the adapter makes at a read.
const READ_ATTEMPTS: u32 = 3;

/// No call hangs here: the adapter waits for an answer in real time.
fn plan_faults(world: &World, dice: &mut Dice) {
    for action in WRITES {
        let strike = |outcome, per_mille| world.plan_fault(Fault::on(action, outcome).per_mille(per_mille));
        strike(FaultOutcome::Throttle, 30);
        strike(FaultOutcome::LostReplyAfterEffect, 40);
        strike(FaultOutcome::LostBeforeEffect, 40);
        strike(FaultOutcome::CutInBody, 20);
        strike(FaultOutcome::internal_error_after_effect(), 20);
        strike(FaultOutcome::service_unavailable(), 20);
        strike(FaultOutcome::Garbage, 10);
    }
    // The adapter repeats a read, so one fault alone is mended by it, and as many as it has attempts are not.
    let outcomes = [
        FaultOutcome::Throttle,
        FaultOutcome::CutInBody,
        FaultOutcome::LostBeforeEffect,
        FaultOutcome::internal_error(),
        FaultOutcome::service_unavailable(),
        FaultOutcome::Garbage,
    ];
    for action in READS {
        if dice.one_in(20) {
            let times = if dice.one_in(3) { 1 } else { READ_ATTEMPTS };
            world.plan_fault(Fault::on(action, dice.pick(&outcomes).clone()).times(times));
        }
    }
}

/// What `amikeep simulate` keeps of a series.
fn kept_by_simulate(series: &Series) -> BTreeSet<ImageId> {
    let times: Vec<String> = series.images.iter().map(|(_, captured_at)| captured_at.to_string()).collect();
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), serde_json::to_string(&times).unwrap()).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_amikeep"));
    command.args(["simulate", "--format", "json", "--keep", &series.keep, "--timezone", &series.timezone]);
    let output = command.arg(file.path()).env_clear().output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let verdicts: Vec<Value> = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(verdicts.len(), series.images.len());
    // They come newest first.
    let pairs = series.images.iter().rev().zip(&verdicts);
    pairs.filter(|(_, it)| it["verdict"] == "keep").map(|((image, _), _)| image.clone()).collect()
}

async fn connect(house: &House) -> (Server, AwsCloud) {
    let server = Server::start(house.world.clone()).await.unwrap();
    let account = AwsAccount {
        region: REGION.parse().unwrap(),
        owner: house.policy_set.owner.clone(),
        session_name: "amikeep".to_owned(),
        profile: None,
        role_arn: None,
        external_id: None,
        endpoint_url: Some(server.url()),
        expected_account: None,
    };
    let key_id = access_key_id(&ACCOUNT.parse().unwrap());
    let cloud = AwsCloud::connect_with_keys(account, &key_id, "any").await.unwrap();
    (server, cloud)
}

#[expect(clippy::disallowed_methods, reason = "a longer run is asked for by the environment")]
fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap())
}

#[tokio::test]
async fn a_month_of_bad_nights_over_http_leaves_what_simulate_says_and_guards_hold() {
    let first = number("AMIKEEP_SIM_SEED").unwrap_or(1);
    for seed in first..first + number("AMIKEEP_SIM_SEEDS").unwrap_or(1) {
        // With the nights in which clocks go back in Berlin and in New York.
        let (mut house, machine) = house(fleet(seed, at("2026-10-20T00:00:00Z")));
        // Each prune lists everything. Three times as many would find no more to let go.
        house.policy_set.prune_schedule = Schedule::parse("30 */3 * * *", "UTC").unwrap();
        let (server, cloud) = connect(&house).await;
        let mut nights = Nights::new(seed, (house, machine), Arc::new(cloud), plan_faults);
        let troubled = number("AMIKEEP_SIM_NIGHTS").unwrap_or(NIGHTS);
        nights.run(i64::try_from(troubled).unwrap(), kept_by_simulate).await;
        let counts = &nights.counts;
        let had_trouble = 5 < counts.get("deaths") && 20 < counts.faults();
        assert!(troubled < NIGHTS || had_trouble, "seed {seed} was too quiet: {counts}");
        server.stop().await;
    }
}
