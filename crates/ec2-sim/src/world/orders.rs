//! Start, stop, hibernate, terminate and reboot.
//!
//! Rules: the API pages of the four actions and "Amazon EC2 instance state changes".

use amikeep_domain::id::InstanceId;
use amikeep_domain::instance::{InstanceState, RootDevice};
use jiff::SignedDuration;

use crate::error::ApiError;
use crate::reply::{Reply, StateChange};
use crate::world::audit::RebootCause;
use crate::world::instances::{Instance, OrderKind};
use crate::world::{Contents, Context, State, ids};

/// Whether an order changes anything in a state.
enum Applies {
    Yes,
    /// The instance is already there; EC2 answers as if it had done something.
    Already,
    No(ApiError),
}

impl State {
    pub(crate) fn start_instances(&mut self, context: &Context<'_>, ids: &[String]) -> Result<Reply, ApiError> {
        let takes = self.settings.start;
        self.give_order(context, ids, OrderKind::Start, takes, |instance, state| match state {
            InstanceState::Stopped => Applies::Yes,
            InstanceState::Pending | InstanceState::Running => Applies::Already,
            _ => Applies::No(incorrect_state(instance, "started")),
        })
    }

    pub(crate) fn stop_instances(
        &mut self,
        context: &Context<'_>,
        ids: &[String],
        hibernate: bool,
    ) -> Result<Reply, ApiError> {
        let takes = self.settings.stop;
        let kind = if hibernate { OrderKind::Hibernate } else { OrderKind::Stop };
        self.give_order(context, ids, kind, takes, |instance, state| {
            let id = &instance.facts.id;
            if instance.facts.root_device == RootDevice::InstanceStore {
                let message =
                    format!("The instance '{id}' does not have an 'ebs' root device type and cannot be stopped.");
                return Applies::No(ApiError::client("UnsupportedOperation", message));
            }
            if hibernate && !instance.facts.hibernation_configured {
                let message = format!("The instance '{id}' is not configured for hibernation.");
                return Applies::No(ApiError::client("UnsupportedHibernationConfiguration", message));
            }
            match state {
                InstanceState::Running => Applies::Yes,
                InstanceState::Stopping | InstanceState::Stopped => Applies::Already,
                _ => Applies::No(incorrect_state(instance, "stopped")),
            }
        })
    }

    pub(crate) fn terminate_instances(&mut self, context: &Context<'_>, ids: &[String]) -> Result<Reply, ApiError> {
        let takes = self.settings.stop;
        self.give_order(context, ids, OrderKind::Terminate, takes, |_, state| match state {
            InstanceState::ShuttingDown | InstanceState::Terminated => Applies::Already,
            _ => Applies::Yes,
        })
    }

    pub(crate) fn reboot_instances(&mut self, context: &Context<'_>, ids: &[String]) -> Result<Reply, ApiError> {
        let contents = self.contents(&context.place);
        let instances = contents.wanted_instances(context, ids)?;
        context.end_dry_run()?;
        for (id, state) in &instances {
            if let (Some(instance), false) = (contents.instances.get(id), *state == InstanceState::Running) {
                return Err(incorrect_state(instance, "rebooted"));
            }
        }
        for (id, _) in instances {
            contents.restart(&id, context.now, RebootCause::RebootInstances);
        }
        Ok(Reply::Done)
    }

    /// Gives one order to several instances: to all, or, if it is refused for one, to none.
    fn give_order(
        &mut self,
        context: &Context<'_>,
        ids: &[String],
        kind: OrderKind,
        takes: SignedDuration,
        applies: impl Fn(&Instance, InstanceState) -> Applies,
    ) -> Result<Reply, ApiError> {
        let contents = self.contents(&context.place);
        let instances = contents.wanted_instances(context, ids)?;
        context.end_dry_run()?;
        let mut changing = Vec::new();
        for (id, state) in &instances {
            match contents.instances.get(id).map(|instance| applies(instance, *state)) {
                Some(Applies::No(error)) => return Err(error),
                Some(Applies::Yes) => changing.push(id.clone()),
                Some(Applies::Already) | None => {}
            }
        }
        for id in &changing {
            if kind == OrderKind::Terminate {
                contents.interrupt_images(id, context.now);
            }
            if let Some(instance) = contents.instances.get_mut(id) {
                instance.order(kind, context.now, takes);
            }
        }
        let change = |(id, previous): (InstanceId, InstanceState)| {
            let current = contents.instances.get(&id).and_then(|instance| instance.state_at(context.now));
            StateChange { current: current.unwrap_or(previous), instance_id: id, previous }
        };
        Ok(Reply::StateChanges(instances.into_iter().map(change).collect()))
    }
}

fn incorrect_state(instance: &Instance, done: &str) -> ApiError {
    let message = format!("The instance '{}' is not in a state from which it can be {done}.", instance.facts.id);
    ApiError::client("IncorrectInstanceState", message)
}

impl Contents {
    fn wanted_instances(
        &self,
        context: &Context<'_>,
        ids: &[String],
    ) -> Result<Vec<(InstanceId, InstanceState)>, ApiError> {
        let wanted: Vec<InstanceId> = ids::parse_all(ids)?;
        let state = |id: &InstanceId| self.instances.get(id).and_then(|instance| instance.state_at(context.now));
        let missing: Vec<String> = wanted.iter().filter(|id| state(id).is_none()).map(ToString::to_string).collect();
        if !missing.is_empty() {
            return Err(ApiError::instance_not_found(&missing));
        }
        Ok(wanted.into_iter().filter_map(|id| state(&id).map(|state| (id, state))).collect())
    }
}
