//! The simulated world: accounts and regions with what is in them, and the one way in for both faces.
//!
//! The world does no I/O and has no clock: time comes from a [`SimClock`], chance from a seed. It must never be bent to
//! what amikeep expects; its rules come from EC2's documentation, and `docs/ec2-sim.md` says from which page.
//!
//! A read shows the world as it was `describe_lag` ago, whole. That one rule gives most kinds of eventual consistency:
//! new images that are not there yet, deregistered ones that still are, old tags, old states. What is new, and its tags,
//! can lag longer ([`Horizon`]).

pub(crate) mod audit;
pub(crate) mod builder;
mod commands;
mod control;
mod create_image;
mod create_snapshots;
mod deregistration;
mod filters;
mod horizon;
pub(crate) mod identity;
mod ids;
mod images;
mod instances;
mod launch_templates;
pub(crate) mod limits;
mod orders;
pub(crate) mod paging;
pub(crate) mod points;
mod quotas;
mod reads;
mod references;
mod register_image;
pub(crate) mod settings;
mod snapshots;
pub(crate) mod spec;
mod tags;
pub(crate) mod template_changes;
mod types;
pub(crate) mod volume_kind;
mod volumes;
mod writes;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use amikeep_domain::id::{AccountId, ImageId, InstanceId, Region, SnapshotId, VolumeId};
use jiff::Timestamp;

use crate::clock::SimClock;
use crate::error::ApiError;
use crate::fault::{FaultOutcome, FaultPlan};
use crate::reply::{CallerIdentity, InstanceType, LaunchTemplateId, Reply};
use crate::request::Request;
use crate::rng::Rng;
use crate::world::audit::{Call, CallOutcome, Deletion};
use crate::world::commands::Commands;
use crate::world::horizon::Horizon;
use crate::world::identity::{Iam, Service, WantedRole};
use crate::world::images::Image;
use crate::world::instances::Instance;
use crate::world::launch_templates::LaunchTemplate;
use crate::world::limits::{Buckets, RequestLimits};
use crate::world::points::Points;
use crate::world::settings::Settings;
use crate::world::snapshots::Snapshot;
use crate::world::volumes::Volume;

/// One account in one region.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// The 12 digits.
    pub account: AccountId,
    /// Such as `eu-central-1`.
    pub region: Region,
}

/// What is in one place.
#[derive(Debug, Default)]
pub(crate) struct Contents {
    instances: BTreeMap<InstanceId, Instance>,
    volumes: BTreeMap<VolumeId, Volume>,
    images: BTreeMap<ImageId, Image>,
    snapshots: BTreeMap<SnapshotId, Snapshot>,
    launch_templates: BTreeMap<LaunchTemplateId, LaunchTemplate>,
}

/// A call by somebody somewhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invocation {
    /// Who calls.
    pub caller: CallerIdentity,
    /// In which region.
    pub region: Region,
    /// What is asked.
    pub request: Request,
    /// Whether only permissions are asked for.
    pub dry_run: bool,
}

/// How the world ends a call. What a cut or a hang looks like is the face's matter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Delivery {
    /// The answer.
    Answer(Reply),
    /// EC2's refusal.
    Refusal(ApiError),
    /// Status 200 and the first half of the body; then the connection is cut.
    CutInBody(Reply),
    /// The connection is cut without an answer; the call may have been carried out.
    Cut,
    /// No answer ever comes.
    Hang,
    /// Status 200 with a page of HTML.
    Garbage,
}

/// A handle on a simulated EC2; clones are the same world.
#[derive(Debug, Clone)]
pub struct World {
    clock: SimClock,
    state: Arc<Mutex<State>>,
    points: Points,
}

#[derive(Debug)]
pub(crate) struct State {
    rng: Rng,
    /// Apart from all else, so that a seed makes the same world on both faces: only one of them numbers its requests.
    request_ids: Rng,
    settings: Settings,
    places: BTreeMap<Place, Contents>,
    instance_types: BTreeMap<String, InstanceType>,
    iam: Iam,
    faults: FaultPlan,
    buckets: Buckets,
    calls: Vec<Call>,
    deletions: Vec<Deletion>,
    commands: Commands,
}

/// When and for whom an operation runs.
#[derive(Debug, Clone)]
pub(crate) struct Context<'a> {
    pub(crate) now: Timestamp,
    /// The moments that reads show.
    pub(crate) horizon: Horizon,
    pub(crate) place: Place,
    pub(crate) caller: &'a CallerIdentity,
    pub(crate) dry_run: bool,
}

impl Context<'_> {
    /// Ends a dry run where everything that it tells has been checked.
    pub(crate) fn end_dry_run(&self) -> Result<(), ApiError> {
        if self.dry_run { Err(ApiError::dry_run()) } else { Ok(()) }
    }
}

impl World {
    pub(crate) fn new(clock: SimClock, state: State) -> Self {
        Self { clock, state: Arc::new(Mutex::new(state)), points: Points::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn points(&self) -> &Points {
        &self.points
    }

    /// The clock of this world.
    pub fn clock(&self) -> &SimClock {
        &self.clock
    }

    /// The one way in: checks limits, faults and permissions, carries out, records.
    pub fn call(&self, invocation: &Invocation) -> Delivery {
        let now = self.clock.now();
        let mut state = self.state();
        // What an answer shows has its contents, and so has what a call makes at once.
        self.points.fix(&state, now);
        let (delivery, outcome) = state.deliver(invocation, now);
        self.points.fix(&state, now);
        state.calls.push(Call {
            at: now,
            account: invocation.caller.account.clone(),
            region: invocation.region.clone(),
            request: invocation.request.clone(),
            dry_run: invocation.dry_run,
            outcome,
        });
        delivery
    }

    /// Whose credentials these are.
    pub fn authenticate(
        &self,
        service: Service,
        key_id: &str,
        token: Option<&str>,
    ) -> Result<CallerIdentity, ApiError> {
        self.state().iam.authenticate(service, key_id, token, self.clock.now())
    }

    /// A new id for the reply to a request.
    pub fn request_id(&self) -> String {
        self.state().request_ids.request_id()
    }
}

impl State {
    fn deliver(&mut self, invocation: &Invocation, now: Timestamp) -> (Delivery, CallOutcome) {
        let place = Place { account: invocation.caller.account.clone(), region: invocation.region.clone() };
        let action = invocation.request.action();
        if self.settings.unknown_actions.contains(&action) {
            return refusal(ApiError::invalid_action(action.as_str()));
        }
        let limited = self.settings.request_limits == RequestLimits::Documented;
        let special = &self.settings.special_limits;
        if limited && !self.buckets.take(&place, &invocation.request, special, now) {
            return refusal(ApiError::throttled());
        }
        let fault = if invocation.dry_run { None } else { self.faults.strike(&invocation.request, &mut self.rng) };
        match fault {
            None => match self.perform(invocation, place, now) {
                Ok(reply) => (Delivery::Answer(reply), CallOutcome::Answered),
                Err(error) => refusal(error),
            },
            Some(FaultOutcome::Throttle) => refusal(ApiError::throttled()),
            Some(FaultOutcome::Error(error)) => refusal(error),
            Some(FaultOutcome::ErrorAfterEffect(error)) => match self.perform(invocation, place, now) {
                Ok(_) => {
                    let outcome = CallOutcome::RefusedAfterEffect(error.code.to_string());
                    (Delivery::Refusal(error), outcome)
                }
                Err(_) => refusal(error),
            },
            Some(FaultOutcome::CutInBody) => match self.perform(invocation, place, now) {
                Ok(reply) => (Delivery::CutInBody(reply), CallOutcome::CutInBody),
                Err(error) => refusal(error),
            },
            Some(FaultOutcome::LostReplyAfterEffect) => {
                // A refused call has no effect, but its answer is lost all the same.
                let outcome = match self.perform(invocation, place, now) {
                    Ok(_) => CallOutcome::LostAfterEffect,
                    Err(_) => CallOutcome::LostBeforeEffect,
                };
                (Delivery::Cut, outcome)
            }
            Some(FaultOutcome::LostBeforeEffect) => (Delivery::Cut, CallOutcome::LostBeforeEffect),
            Some(FaultOutcome::Hang) => (Delivery::Hang, CallOutcome::Hung),
            Some(FaultOutcome::HangAfterEffect) => {
                let outcome = match self.perform(invocation, place, now) {
                    Ok(_) => CallOutcome::HungAfterEffect,
                    Err(_) => CallOutcome::Hung,
                };
                (Delivery::Hang, outcome)
            }
            Some(FaultOutcome::Garbage) => (Delivery::Garbage, CallOutcome::Garbage),
        }
    }

    fn perform(&mut self, invocation: &Invocation, place: Place, now: Timestamp) -> Result<Reply, ApiError> {
        let Invocation { caller, request, dry_run, .. } = invocation;
        let action = request.action();
        let horizon = Horizon::new(now, &self.settings);
        let context = Context { now, horizon, place, caller, dry_run: *dry_run };
        if action.is_sts() {
            return self.perform_sts(&context, request);
        }
        if let Request::ListServiceQuotas { service_code, max_results, next_token } = request {
            return self.list_service_quotas(&context, service_code, *max_results, next_token.as_deref());
        }
        if self.iam.is_denied(&caller.account, action) && action.is_ssm() {
            return Err(ApiError::access_denied(&caller.arn, action.as_str()));
        }
        if self.iam.is_denied(&caller.account, action) {
            return Err(ApiError::unauthorized(&caller.arn, action.as_str()));
        }
        match request {
            Request::CreateImage(call) => self.create_image(&context, call),
            Request::CreateSnapshots(call) => self.create_snapshots(&context, call),
            Request::RegisterImage(call) => self.register_image(&context, call),
            Request::CreateTags { resources, tags } => self.create_tags(&context, resources, tags),
            Request::DeleteTags { resources, tags } => self.delete_tags(&context, resources, tags),
            Request::DeregisterImage { image_id, delete_snapshots } => {
                self.deregister_image(&context, image_id, *delete_snapshots)
            }
            Request::EnableImageDeregistrationProtection { image_id, with_cooldown } => {
                self.protect_image(&context, image_id, *with_cooldown)
            }
            Request::DisableImageDeregistrationProtection { image_id } => self.unprotect_image(&context, image_id),
            Request::DeleteSnapshot { snapshot_id } => self.delete_snapshot(&context, snapshot_id),
            Request::CreateLaunchTemplate(call) => self.create_launch_template(&context, call),
            Request::CreateLaunchTemplateVersion(call) => self.create_launch_template_version(&context, call),
            Request::DeleteLaunchTemplate(template) => self.delete_launch_template(&context, template),
            Request::StartInstances { ids } => self.start_instances(&context, ids),
            Request::StopInstances { ids, hibernate } => self.stop_instances(&context, ids, *hibernate),
            Request::TerminateInstances { ids } => self.terminate_instances(&context, ids),
            Request::RebootInstances { ids } => self.reboot_instances(&context, ids),
            Request::SendCommand(call) => self.send_command(&context, call),
            Request::GetCommandInvocation { command_id, instance_id } => {
                self.command_invocation(&context, command_id, instance_id)
            }
            Request::CancelCommand { command_id, .. } => self.cancel_command(&context, command_id),
            Request::DescribeInstanceInformation { ids } => Ok(self.describe_agents(&context, ids)),
            read => {
                context.end_dry_run()?;
                self.read(&context, read)
            }
        }
    }

    fn perform_sts(&mut self, context: &Context<'_>, request: &Request) -> Result<Reply, ApiError> {
        match request {
            Request::AssumeRole { role_arn, session_name, external_id, duration_seconds } => {
                let wanted = WantedRole {
                    arn: role_arn,
                    session_name,
                    external_id: external_id.as_deref(),
                    duration_seconds: *duration_seconds,
                };
                let session = self.iam.assume_role(context.caller, &wanted, context.now, &mut self.rng)?;
                Ok(Reply::RoleAssumed(session))
            }
            // GetCallerIdentity needs no permission.
            _ => Ok(Reply::CallerIdentity(context.caller.clone())),
        }
    }

    fn contents(&mut self, place: &Place) -> &mut Contents {
        self.places.entry(place.clone()).or_default()
    }
}

fn refusal(error: ApiError) -> (Delivery, CallOutcome) {
    let outcome = CallOutcome::Refused(error.code.to_string());
    (Delivery::Refusal(error), outcome)
}
