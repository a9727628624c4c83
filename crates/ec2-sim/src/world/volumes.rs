//! EBS volumes: what they are and which instance has them.

use amikeep_domain::id::InstanceId;
use amikeep_domain::instance::InstanceState;

use crate::reply::{Attachment, Tags, VolumeFacts, VolumeView};
use crate::time_text::wire_time;
use crate::world::filters::{Attribute, Filterable};
use crate::world::horizon::Horizon;
use crate::world::instances::Instance;
use crate::world::tags::TagLog;

#[derive(Debug, Clone)]
pub(crate) struct Volume {
    pub(crate) facts: VolumeFacts,
    pub(crate) attachment: Option<(InstanceId, Attachment)>,
    pub(crate) tags: TagLog,
}

impl Volume {
    /// As a read shows it; `instance` is the one that has it. A volume goes with its instance if it is told to.
    pub(crate) fn view(&self, horizon: &Horizon, instance: Option<&Instance>) -> Option<VolumeView> {
        let at = horizon.at;
        if at < self.facts.created_at {
            return None;
        }
        let state = instance.and_then(|instance| instance.state_at(at));
        let gone = matches!(state, None | Some(InstanceState::Terminated));
        let attachment = match &self.attachment {
            Some((_, attached)) if gone && attached.delete_on_termination => return None,
            Some(_) if gone => None,
            attachment => attachment.clone(),
        };
        Some(VolumeView { facts: self.facts.clone(), attachment, tags: self.tags.as_of(horizon.tags) })
    }
}

impl VolumeView {
    /// `in-use` or `available`.
    pub fn status(&self) -> &'static str {
        if self.attachment.is_some() { "in-use" } else { "available" }
    }
}

impl Filterable for VolumeView {
    fn attribute(name: &str) -> Option<Attribute<Self>> {
        let attribute: Attribute<Self> = match name {
            "attachment.attach-time" => |v| v.attachment.iter().map(|(_, a)| wire_time(a.attached_at)).collect(),
            "attachment.delete-on-termination" => {
                |v| v.attachment.iter().map(|(_, a)| a.delete_on_termination.to_string()).collect()
            }
            "attachment.device" => |v| v.attachment.iter().map(|(_, a)| a.device.clone()).collect(),
            "attachment.instance-id" => |v| v.attachment.iter().map(|(id, _)| id.to_string()).collect(),
            "attachment.status" => |v| v.attachment.iter().map(|_| "attached".to_owned()).collect(),
            "availability-zone" => |v| vec![v.facts.zone.clone()],
            "create-time" => |v| vec![wire_time(v.facts.created_at)],
            "encrypted" => |v| vec![v.facts.encrypted.to_string()],
            "size" => |v| vec![v.facts.size_gib.to_string()],
            "status" => |v| vec![v.status().to_owned()],
            "volume-id" => |v| vec![v.facts.id.to_string()],
            "volume-type" => |v| vec![v.facts.volume_type.clone()],
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
