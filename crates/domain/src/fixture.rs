//! Policies, instances and jobs for the tests of this crate.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use crate::class::built_in;
use crate::freeze::{Application, CaptureBy, Freeze, MysqlLock, Via};
use crate::id::{AccountId, InstanceId, JobId};
use crate::image_attributes::{Billing, ImageAttributes, VolumeAttributes};
use crate::image_name::ImageNumber;
use crate::instance::{AttachedVolume, Hibernation, Instance, InstanceState, RootDevice};
use crate::job::{Job, JobKey, JobState, Trigger};
use crate::pattern::Pattern;
use crate::policy::{AccountRules, Enabled, Policy, PolicySet, Selector, StartWindow, TagMatch};
use crate::schedule::Schedule;

pub(crate) fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

pub(crate) fn minutes(n: i64) -> SignedDuration {
    SignedDuration::from_mins(n)
}

/// Fires at 02:00 UTC, covers instances with `Env = prod`, class `production-database`, six hours to start.
pub(crate) fn policy(name: &str) -> Policy {
    Policy {
        name: name.parse().unwrap(),
        accounts: vec!["default".parse().unwrap()],
        class: "production-database".parse().unwrap(),
        schedule: Schedule::parse("0 2 * * *", "UTC").unwrap(),
        jitter: SignedDuration::ZERO,
        start_within: SignedDuration::from_hours(6),
        enabled: Enabled::Yes,
        select: Selector {
            tags: vec![TagMatch { key: "Env".to_owned(), values: vec![Pattern::new("prod")] }],
            ..Selector::default()
        },
        class_tag_allows: ["stateless".parse().unwrap()].into(),
        copy_tags: vec!["CostCenter".to_owned()],
        keep: "last=3".parse().unwrap(),
        tags: BTreeMap::new(),
        deadline: SignedDuration::from_hours(24),
        max_deletes: None,
    }
}

/// `/data` of this host, without an application.
pub(crate) fn freeze(name: &str) -> Freeze {
    Freeze {
        name: name.parse().unwrap(),
        via: Via::Local,
        mounts: vec!["/data".into()],
        devices: Vec::new(),
        instance: None,
        application: Application::None,
        mysql_lock: MysqlLock::EveryEngine,
        connection: None,
        pre: Vec::new(),
        post: Vec::new(),
        commands: None,
        command_limit: SignedDuration::from_secs(30),
        budget: SignedDuration::from_secs(10),
        lock_wait: SignedDuration::from_secs(5),
        capture: CaptureBy::Image,
    }
}

pub(crate) fn policy_set(policies: Vec<Policy>) -> PolicySet {
    let rules = AccountRules { region: "eu-central-1".parse().unwrap(), expected_id: None, visibility_lag: minutes(5) };
    PolicySet {
        owner: "test".parse().unwrap(),
        policies: policies.into_iter().map(|policy| (policy.name.clone(), policy)).collect(),
        classes: built_in(),
        freezes: BTreeMap::new(),
        accounts: BTreeMap::from([("default".parse().unwrap(), rules)]),
        prune_schedule: Schedule::parse("30 * * * *", "UTC").unwrap(),
        history_keep: SignedDuration::from_hours(400 * 24),
    }
}

pub(crate) fn account_id() -> AccountId {
    "111122223333".parse().unwrap()
}

pub(crate) fn instance_id(n: u32) -> InstanceId {
    format!("i-{n:017x}").parse().unwrap()
}

/// Running, EBS, one volume, `Env = prod`.
pub(crate) fn instance(n: u32) -> Instance {
    Instance {
        id: instance_id(n),
        state: InstanceState::Running,
        launched_at: at("2026-01-01T00:00:00Z"),
        root_device: RootDevice::Ebs,
        root_device_name: Some("/dev/xvda".to_owned()),
        volumes: vec![AttachedVolume {
            device: "/dev/xvda".to_owned(),
            volume: format!("vol-{n:017x}").parse().unwrap(),
        }],
        instance_store_disks: Some(0),
        hibernation: Hibernation::No,
        tags: [("Env", "prod")].into_iter().collect(),
    }
}

pub(crate) fn job_id(n: u8) -> JobId {
    JobId::new(at("2026-11-22T02:00:00Z"), [n; 10])
}

/// Queued for 02:00 on 22 November 2026.
pub(crate) fn job(n: u8, policy: &Policy) -> Job {
    let scheduled_at = at("2026-11-22T02:00:00Z");
    let instance = instance_id(u32::from(n));
    Job {
        id: job_id(n),
        window: StartWindow { start_at: scheduled_at, start_by: scheduled_at + policy.start_within },
        key: JobKey {
            policy: policy.name.clone(),
            account: account_id(),
            region: "eu-central-1".parse().unwrap(),
            instance,
            scheduled_at,
        },
        account_name: "default".parse().unwrap(),
        trigger: Trigger::Schedule,
        request: None,
        asked: None,
        class: policy.class.clone(),
        created_at: scheduled_at,
        started_at: None,
        attempts: 0,
        number: ImageNumber::FIRST,
        intent: None,
        hold: None,
        state: JobState::Queued { retry_at: None, waiting_for: None },
    }
}

/// What a plain Linux instance with one volume has.
pub(crate) fn attributes() -> ImageAttributes {
    ImageAttributes {
        architecture: "arm64".to_owned(),
        virtualization: "hvm".to_owned(),
        kernel: None,
        ramdisk: None,
        root_device_name: "/dev/xvda".to_owned(),
        boot_mode: None,
        tpm_support: None,
        uefi_data: None,
        ena_support: true,
        sriov_net_support: None,
        imds_support: None,
        volumes: vec![VolumeAttributes {
            device: "/dev/xvda".to_owned(),
            volume: "vol-00000000000000001".parse().unwrap(),
            delete_on_termination: true,
            volume_type: "gp3".to_owned(),
            iops: None,
            throughput: None,
        }],
        instance_store: Vec::new(),
        billing: Billing {
            platform_details: "Linux/UNIX".to_owned(),
            usage_operation: Some("RunInstances".to_owned()),
            product_codes: Vec::new(),
        },
    }
}
