//! `RegisterImage`, as far as it makes an image of EBS snapshots that are there: two images can then share one.
//!
//! Rules: `RegisterImage` and "Create an AMI from a snapshot". Whatever the instance was that the snapshots were taken of,
//! the image is one of plain Linux, since no billing product can be given: what the instance was billed as is lost.

use amikeep_domain::id::{ImageId, SnapshotId};

use crate::error::ApiError;
use crate::reply::{ImageFacts, ImageOrigin, MappedDevice, Mapping, Reply, SnapshotState};
use crate::request::{Action, RegisterImage, SnapshotMapping};
use crate::world::create_image::{NewTags, check_name};
use crate::world::ids::{self, ResourceId};
use crate::world::images::{Fate, Image};
use crate::world::{Contents, Context, State};

/// The type of a volume when the caller does not say (`EbsBlockDevice` in the API Reference).
const VOLUME_TYPE: &str = "gp2";

impl State {
    pub(crate) fn register_image(&mut self, context: &Context<'_>, call: &RegisterImage) -> Result<Reply, ApiError> {
        check_name(&call.name)?;
        let tags = NewTags::check(call.description.as_deref(), &call.tag_specifications, &["image"])?;
        if !call.tag_specifications.is_empty() && self.iam.is_denied(&context.place.account, Action::CreateTags) {
            return Err(ApiError::unauthorized(&context.caller.arn, Action::CreateTags.as_str()));
        }
        let contents = self.places.entry(context.place.clone()).or_default();
        let mut mappings = Vec::new();
        for mapping in &call.mappings {
            mappings.push(contents.map_snapshot(mapping, context)?);
        }
        mappings.extend(call.instance_store.iter().map(|(device, virtual_name)| {
            let mapped = MappedDevice::InstanceStore(virtual_name.clone());
            Mapping { device: device.clone(), mapped }
        }));
        context.end_dry_run()?;
        if !mappings.iter().any(|mapping| mapping.device == call.root_device_name) {
            let message = format!("No snapshot is mapped to the root device '{}'", call.root_device_name);
            return Err(ApiError::client("InvalidBlockDeviceMapping", message));
        }
        contents.check_name_is_free(&call.name, context)?;
        let platform_details = self.settings.registered_platform.clone().unwrap_or_else(|| "Linux/UNIX".to_owned());
        let id = ImageId::fresh(&mut self.rng);
        let facts = ImageFacts {
            id: id.clone(),
            name: call.name.clone(),
            description: call.description.clone(),
            owner: context.place.account.clone(),
            origin: ImageOrigin::RegisterImage,
            architecture: call.architecture.clone(),
            platform_details,
            machine: call.machine.clone(),
            root_device_name: call.root_device_name.clone(),
            created_at: context.now,
        };
        let image = Image::new(facts, mappings, Fate::Available { at: context.now }, tags.image_log(context.now));
        contents.images.insert(id.clone(), image);
        Ok(Reply::ImageCreated(id))
    }
}

/// `Iops` is a parameter of gp3, io1 and io2, and `Throughput` of gp3 alone.
fn check_performance(mapping: &SnapshotMapping) -> Result<(), ApiError> {
    let volume_type = mapping.volume_type.as_deref().unwrap_or(VOLUME_TYPE);
    let wrong = match volume_type {
        "gp3" => None,
        "io1" | "io2" => mapping.throughput.map(|_| "throughput"),
        _ => mapping.iops.map(|_| "iops").or(mapping.throughput.map(|_| "throughput")),
    };
    let Some(wrong) = wrong else { return Ok(()) };
    let message = format!("The parameter {wrong} is not supported for {volume_type} volumes.");
    Err(ApiError::client("InvalidParameterCombination", message))
}

impl Contents {
    fn map_snapshot(&self, mapping: &SnapshotMapping, context: &Context<'_>) -> Result<Mapping, ApiError> {
        check_performance(mapping)?;
        let id: SnapshotId = ids::parse(&mapping.snapshot_id)?;
        let Some(snapshot) = self.snapshots.get(&id).filter(|snapshot| snapshot.exists_at(context.now)) else {
            return Err(ApiError::snapshot_not_found(std::slice::from_ref(&mapping.snapshot_id)));
        };
        if !context.dry_run && snapshot.state_at(context.now) != SnapshotState::Completed {
            return Err(ApiError::client("IncorrectState", format!("The snapshot '{id}' is not completed.")));
        }
        let mapped = MappedDevice::Ebs {
            snapshot_id: Some(id),
            volume_id: snapshot.facts.volume_id.clone(),
            size_gib: snapshot.facts.size_gib,
            volume_type: mapping.volume_type.clone().unwrap_or_else(|| VOLUME_TYPE.to_owned()),
            iops: mapping.iops,
            throughput: mapping.throughput,
            delete_on_termination: mapping.delete_on_termination,
            encrypted: snapshot.facts.encrypted,
        };
        Ok(Mapping { device: mapping.device.clone(), mapped })
    }
}
