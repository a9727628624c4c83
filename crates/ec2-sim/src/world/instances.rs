//! Instances: their states in time and what is told about them.
//!
//! A state is never stored: it follows from the orders given so far (start, stop, hibernate, terminate) and the time.
//! Rules: "Amazon EC2 instance state changes" and the API pages of the actions.

use amikeep_domain::instance::InstanceState;
use jiff::{SignedDuration, Timestamp};

use crate::clock::later;
use crate::reply::{
    Attachment, InstanceFacts, InstanceView, StateReason, StatusView, Tags, root_device_type, state_code,
};
use crate::rng::Rng;
use crate::time_text::wire_time;
use crate::world::audit::RebootRecord;
use crate::world::filters::{Attribute, Filterable};
use crate::world::horizon::Horizon;
use crate::world::tags::TagLog;

/// How long a terminated instance can still be described.
const TERMINATED_SHOWN_FOR: SignedDuration = SignedDuration::from_hours(1);
/// How long the status checks say `initializing` after a start.
const CHECKS_INITIALIZING_FOR: SignedDuration = SignedDuration::from_mins(2);

#[derive(Debug, Clone)]
pub(crate) struct Instance {
    pub(crate) facts: InstanceFacts,
    /// The first one is the launch; one may be yet to come.
    pub(crate) orders: Vec<Order>,
    pub(crate) attachments: Vec<Attachment>,
    /// Devices of instance-store volumes with their virtual names.
    pub(crate) instance_store: Vec<(String, String)>,
    pub(crate) tags: TagLog,
    pub(crate) reboots: Vec<RebootRecord>,
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Order {
    pub(crate) kind: OrderKind,
    pub(crate) at: Timestamp,
    pub(crate) settles_at: Timestamp,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OrderKind {
    Start,
    Stop,
    Hibernate,
    Terminate,
}

impl Instance {
    fn order_at(&self, at: Timestamp) -> Option<&Order> {
        self.orders.iter().filter(|order| order.at <= at).max_by_key(|order| order.at)
    }

    /// None before the launch and when a terminated instance is no longer shown.
    pub(crate) fn state_at(&self, at: Timestamp) -> Option<InstanceState> {
        let order = self.order_at(at)?;
        let settled = order.settles_at <= at;
        Some(match (order.kind, settled) {
            (OrderKind::Start, false) => InstanceState::Pending,
            (OrderKind::Start, true) => InstanceState::Running,
            (OrderKind::Stop | OrderKind::Hibernate, false) => InstanceState::Stopping,
            (OrderKind::Stop | OrderKind::Hibernate, true) => InstanceState::Stopped,
            (OrderKind::Terminate, false) => InstanceState::ShuttingDown,
            (OrderKind::Terminate, true) if at < later(order.settles_at, TERMINATED_SHOWN_FOR) => {
                InstanceState::Terminated
            }
            (OrderKind::Terminate, true) => return None,
        })
    }

    pub(crate) fn order(&mut self, kind: OrderKind, at: Timestamp, takes: SignedDuration) {
        self.orders.push(Order { kind, at, settles_at: later(at, takes) });
    }

    pub(crate) fn view(&self, horizon: &Horizon) -> Option<InstanceView> {
        let at = horizon.at;
        let state = self.state_at(at)?;
        let order = self.order_at(at)?;
        let state_reason = match order.kind {
            OrderKind::Start => None,
            OrderKind::Hibernate => Some(StateReason::new("Client.UserInitiatedHibernate", "User initiated hibernate")),
            OrderKind::Stop | OrderKind::Terminate => {
                Some(StateReason::new("Client.UserInitiatedShutdown", "User initiated shutdown"))
            }
        };
        let started = self.orders.iter().rev().find(|order| order.kind == OrderKind::Start && order.at <= at)?;
        let attachments = if state == InstanceState::Terminated { Vec::new() } else { self.attachments.clone() };
        Some(InstanceView {
            facts: self.facts.clone(),
            state,
            state_reason,
            launched_at: started.at,
            attachments,
            tags: self.tags.as_of(horizon.tags),
        })
    }

    pub(crate) fn status(&self, at: Timestamp) -> Option<StatusView> {
        let state = self.state_at(at)?;
        let order = self.order_at(at)?;
        let checks = match state {
            InstanceState::Running if at < later(order.settles_at, CHECKS_INITIALIZING_FOR) => "initializing",
            InstanceState::Running => "ok",
            InstanceState::Pending => "initializing",
            _ => "not-applicable",
        };
        Some(StatusView { instance_id: self.facts.id.clone(), zone: self.facts.zone.clone(), state, checks })
    }
}

/// An address that nobody has to give.
pub(crate) fn private_ip(rng: &mut Rng) -> String {
    let bits = rng.next();
    format!("172.31.{}.{}", bits & 0xff, 4 + ((bits >> 8) % 250))
}

impl Filterable for InstanceView {
    fn attribute(name: &str) -> Option<Attribute<Self>> {
        if let Some(rest) = name.strip_prefix("block-device-mapping.") {
            return attachment_attribute(rest);
        }
        let attribute: Attribute<Self> = match name {
            "architecture" => |i| vec![i.facts.architecture.clone()],
            "availability-zone" => |i| vec![i.facts.zone.clone()],
            "hibernation-options.configured" => |i| vec![i.facts.hibernation_configured.to_string()],
            "hypervisor" => |_| vec!["xen".to_owned()],
            "image-id" => |i| vec![i.facts.launched_from.clone()],
            "instance-id" => |i| vec![i.facts.id.to_string()],
            "instance-state-code" => |i| vec![state_code(i.state).to_string()],
            "instance-state-name" => |i| vec![i.state.as_str().to_owned()],
            "instance-type" => |i| vec![i.facts.instance_type.clone()],
            "launch-time" => |i| vec![wire_time(i.launched_at)],
            "owner-id" => |i| vec![i.facts.account.to_string()],
            "platform-details" => |i| vec![i.facts.platform_details.clone()],
            "private-ip-address" => |i| vec![i.facts.private_ip.clone()],
            "reservation-id" => |i| vec![i.facts.reservation_id.clone()],
            "root-device-name" => |i| vec![i.facts.root_device_name.clone()],
            "root-device-type" => |i| vec![root_device_type(i.facts.root_device).to_owned()],
            "state-reason-code" => |i| i.state_reason.iter().map(|reason| reason.code.clone()).collect(),
            "state-reason-message" => |i| i.state_reason.iter().map(|reason| reason.message.clone()).collect(),
            "virtualization-type" => |i| vec![i.facts.machine.virtualization.clone()],
            _ => return None,
        };
        Some(attribute)
    }

    fn tags(&self) -> &Tags {
        &self.tags
    }

    fn cursor(&self) -> &str {
        self.facts.id.as_str()
    }
}

fn attachment_attribute(name: &str) -> Option<Attribute<InstanceView>> {
    let attribute: Attribute<InstanceView> = match name {
        "attach-time" => |i| i.attachments.iter().map(|a| wire_time(a.attached_at)).collect(),
        "delete-on-termination" => |i| i.attachments.iter().map(|a| a.delete_on_termination.to_string()).collect(),
        "device-name" => |i| i.attachments.iter().map(|a| a.device.clone()).collect(),
        "status" => |i| i.attachments.iter().map(|_| "attached".to_owned()).collect(),
        "volume-id" => |i| i.attachments.iter().map(|a| a.volume_id.to_string()).collect(),
        _ => return None,
    };
    Some(attribute)
}

impl Filterable for StatusView {
    const HAS_TAG_FILTERS: bool = false;

    fn attribute(name: &str) -> Option<Attribute<Self>> {
        let attribute: Attribute<Self> = match name {
            "availability-zone" => |s| vec![s.zone.clone()],
            "instance-state-code" => |s| vec![state_code(s.state).to_string()],
            "instance-state-name" => |s| vec![s.state.as_str().to_owned()],
            "instance-status.status" | "system-status.status" => |s| vec![s.checks.to_owned()],
            _ => return None,
        };
        Some(attribute)
    }

    fn tags(&self) -> &Tags {
        const NONE: &Tags = &Tags::new();
        NONE
    }

    fn cursor(&self) -> &str {
        self.instance_id.as_str()
    }
}
