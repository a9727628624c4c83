//! The Describe actions. Each collects what the caller may see at the horizon, refuses ids that are not there, filters
//! and cuts a page.

use std::collections::{BTreeMap, BTreeSet};
use std::str::FromStr;

use amikeep_domain::id::{ImageId, InstanceId, Region, SnapshotId, VolumeId};
use amikeep_domain::instance::InstanceState;

use crate::error::ApiError;
use crate::reply::{ImageState, Reply, TagView, Tags, VolumeView};
use crate::request::{DescribeImages, Filter, Query, Request};
use crate::world::filters::{self, Attribute, Filterable};
use crate::world::horizon::Horizon;
use crate::world::ids;
use crate::world::images::Registration;
use crate::world::paging::{refuse_ids_with_max_results, select};
use crate::world::{Contents, Context, State};

/// EC2's smallest `MaxResults` of most listings, and that of images.
const RESULTS_MIN: i64 = 5;
const IMAGE_RESULTS_MIN: i64 = 1;
/// EC2's largest `MaxResults` of instance types; it is 1,000 for the others.
const TYPE_RESULTS_MAX: i64 = 100;
/// EC2's limit on the ids of `DescribeInstanceStatus`.
const STATUS_IDS_MAX: usize = 100;

impl State {
    pub(crate) fn read(&mut self, context: &Context<'_>, request: &Request) -> Result<Reply, ApiError> {
        match request {
            Request::DescribeInstances { ids, query } => self.describe_instances(context, ids, query),
            Request::DescribeInstanceStatus { ids, include_all, query } => {
                self.describe_instance_status(context, ids, *include_all, query)
            }
            Request::DescribeInstanceTypes { names, query } => self.describe_instance_types(names, query),
            Request::DescribeVolumes { ids, query } => self.describe_volumes(context, ids, query),
            Request::DescribeImages(call) => self.describe_images(context, call),
            Request::DescribeSnapshots { ids, owners, query } => self.describe_snapshots(context, ids, owners, query),
            Request::DescribeImageReferences(call) => self.describe_image_references(context, call),
            Request::DescribeLaunchTemplates { ids, names, query } => {
                self.describe_launch_templates(context, ids, names, query)
            }
            Request::DescribeLaunchTemplateVersions(call) => self.describe_launch_template_versions(context, call),
            Request::GetInstanceUefiData { instance_id } => self.uefi_data(context, instance_id),
            Request::DescribeTags { query } => self.describe_tags(context, query),
            Request::DescribeRegions { names, filters } => self.describe_regions(names, filters),
            other => Err(ApiError::unsupported(other.action().as_str())),
        }
    }

    fn describe_instances(&mut self, context: &Context<'_>, ids: &[String], query: &Query) -> Result<Reply, ApiError> {
        refuse_ids_with_max_results(ids, query, "instancesSet")?;
        let wanted: Vec<InstanceId> = ids::parse_all(ids)?;
        let paging = self.settings.paging;
        let instances = &self.contents(&context.place).instances;
        let candidates = candidates(instances, &wanted, query, "instance-id");
        let visible = candidates.filter_map(|instance| instance.view(&context.horizon)).collect();
        let visible = pick(visible, &wanted, |view| &view.facts.id, ApiError::instance_not_found)?;
        select(visible, query, RESULTS_MIN, paging).map(Reply::Instances)
    }

    /// The variables of an instance that was booted by UEFI. The code for any other is not documented.
    fn uefi_data(&mut self, context: &Context<'_>, id: &str) -> Result<Reply, ApiError> {
        let wanted: InstanceId = ids::parse(id)?;
        let instance = self.contents(&context.place).instances.get(&wanted);
        let Some(view) = instance.and_then(|instance| instance.view(&context.horizon)) else {
            return Err(ApiError::instance_not_found(&[id.to_owned()]));
        };
        if view.facts.machine.boot_mode.as_deref() != Some("uefi") {
            let message = format!("The instance '{id}' was not booted in UEFI mode.");
            return Err(ApiError::client("UnsupportedOperation", message));
        }
        Ok(Reply::UefiData { instance_id: wanted, uefi_data: view.facts.machine.uefi_data })
    }

    fn describe_instance_status(
        &mut self,
        context: &Context<'_>,
        ids: &[String],
        include_all: bool,
        query: &Query,
    ) -> Result<Reply, ApiError> {
        refuse_ids_with_max_results(ids, query, "instancesSet")?;
        if STATUS_IDS_MAX < ids.len() {
            let message = format!(
                "{} exceeds the maximum number of instance IDs that can be specified ({STATUS_IDS_MAX})",
                ids.len()
            );
            return Err(ApiError::client("InvalidRequest", message));
        }
        let wanted: Vec<InstanceId> = ids::parse_all(ids)?;
        let paging = self.settings.paging;
        let instances = &self.contents(&context.place).instances;
        let visible: Vec<_> = instances.values().filter_map(|instance| instance.status(context.horizon.at)).collect();
        let mut visible = pick(visible, &wanted, |status| &status.instance_id, ApiError::instance_not_found)?;
        visible.retain(|status| include_all || status.state == InstanceState::Running);
        select(visible, query, RESULTS_MIN, paging).map(Reply::InstanceStatuses)
    }

    fn describe_instance_types(&self, names: &[String], query: &Query) -> Result<Reply, ApiError> {
        refuse_ids_with_max_results(names, query, "instanceTypes")?;
        if let Some(wanted) = query.max_results.filter(|wanted| TYPE_RESULTS_MAX < *wanted) {
            let expected = format!("Expecting a value less than {TYPE_RESULTS_MAX}.");
            return Err(ApiError::invalid_value(&wanted.to_string(), "maxResults", &expected));
        }
        let unknown: Vec<_> = names.iter().filter(|name| !self.instance_types.contains_key(*name)).cloned().collect();
        if !unknown.is_empty() {
            let message = format!("The following supplied instance types do not exist: [{}]", unknown.join(", "));
            return Err(ApiError::client("InvalidInstanceType", message));
        }
        let wanted = |name: &String| names.is_empty() || names.contains(name);
        let types = self.instance_types.values().filter(|described| wanted(&described.name)).cloned().collect();
        select(types, query, RESULTS_MIN, self.settings.paging).map(Reply::InstanceTypes)
    }

    fn describe_volumes(&mut self, context: &Context<'_>, ids: &[String], query: &Query) -> Result<Reply, ApiError> {
        refuse_ids_with_max_results(ids, query, "volumeSet")?;
        let wanted: Vec<VolumeId> = ids::parse_all(ids)?;
        let paging = self.settings.paging;
        let visible = self.contents(&context.place).volumes_at(&context.horizon);
        let visible = pick(visible, &wanted, |view| &view.facts.id, ApiError::volume_not_found)?;
        select(visible, query, RESULTS_MIN, paging).map(Reply::Volumes)
    }

    fn describe_images(&mut self, context: &Context<'_>, call: &DescribeImages) -> Result<Reply, ApiError> {
        refuse_ids_with_max_results(&call.ids, &call.query, "imagesSet")?;
        let wanted: Vec<ImageId> = ids::parse_all(&call.ids)?;
        let paging = self.settings.paging;
        let account = &context.place.account;
        let owners = &call.owners;
        let own = owners.is_empty() || owners.iter().any(|owner| owner == "self" || owner == account.as_str());
        let contents = self.contents(&context.place);
        let unknown: Vec<String> = wanted
            .iter()
            .filter(|id| {
                let image = contents.images.get(id);
                image.is_none_or(|image| image.shown_as(&context.horizon) == Registration::Unknown)
            })
            .map(ToString::to_string)
            .collect();
        if !unknown.is_empty() {
            return Err(ApiError::image_not_found(&unknown));
        }
        let mut visible: Vec<_> = candidates(&contents.images, &wanted, &call.query, "image-id")
            .filter(|_| own)
            .filter_map(|image| image.view(&context.horizon, |id| contents.snapshots.get(id)))
            .collect();
        visible.retain(|image| call.include_disabled || image.state != ImageState::Disabled);
        select(visible, &call.query, IMAGE_RESULTS_MIN, paging).map(Reply::Images)
    }

    fn describe_snapshots(
        &mut self,
        context: &Context<'_>,
        ids: &[String],
        owners: &[String],
        query: &Query,
    ) -> Result<Reply, ApiError> {
        refuse_ids_with_max_results(ids, query, "snapshotSet")?;
        let wanted: Vec<SnapshotId> = ids::parse_all(ids)?;
        let paging = self.settings.paging;
        let account = &context.place.account;
        let own = owners.is_empty() || owners.iter().any(|owner| owner == "self" || owner == account.as_str());
        let snapshots = &self.contents(&context.place).snapshots;
        let candidates = candidates(snapshots, &wanted, query, "snapshot-id");
        let visible = candidates.filter_map(|snapshot| snapshot.view(&context.horizon)).collect();
        let mut visible = pick(visible, &wanted, |view| &view.facts.id, ApiError::snapshot_not_found)?;
        visible.retain(|_| own);
        select(visible, query, RESULTS_MIN, paging).map(Reply::Snapshots)
    }

    fn describe_tags(&mut self, context: &Context<'_>, query: &Query) -> Result<Reply, ApiError> {
        let paging = self.settings.paging;
        let lines = self.contents(&context.place).tag_lines(context);
        select(lines, query, RESULTS_MIN, paging).map(Reply::Tags)
    }

    fn describe_regions(&self, names: &[String], filters: &[Filter]) -> Result<Reply, ApiError> {
        let known: BTreeSet<&Region> = self.places.keys().map(|place| &place.region).collect();
        if let Some(unknown) = names.iter().find(|name| !known.iter().any(|region| region.as_str() == *name)) {
            return Err(ApiError::invalid_value(unknown, "region", "The region does not exist."));
        }
        let wanted = |region: &Region| names.is_empty() || names.iter().any(|name| name == region.as_str());
        let lines =
            known.into_iter().filter(|region| wanted(region)).map(|region| RegionLine(region.clone())).collect();
        let lines = filters::apply(lines, filters)?;
        Ok(Reply::Regions(lines.into_iter().map(|line| line.0).collect()))
    }
}

/// What a listing can show: what it names by id, in a list or in the filter `id_filter`, or everything. A question about
/// some hundred of ten thousand resources then looks at no others.
fn candidates<'a, I: Ord + FromStr, R>(
    all: &'a BTreeMap<I, R>,
    ids: &'a [I],
    query: &Query,
    id_filter: &str,
) -> Box<dyn Iterator<Item = &'a R> + 'a> {
    if !ids.is_empty() {
        let ids: BTreeSet<&I> = ids.iter().collect();
        return Box::new(ids.into_iter().filter_map(|id| all.get(id)));
    }
    let is_plain = |filter: &&Filter| !filter.values.iter().any(|value| value.contains(['*', '?', '\\']));
    match query.filters.iter().filter(|filter| filter.name == id_filter).find(is_plain) {
        // What is no id at all matches nothing.
        Some(filter) => {
            let ids: BTreeSet<I> = filter.values.iter().filter_map(|value| value.parse().ok()).collect();
            Box::new(ids.into_iter().filter_map(|id| all.get(&id)))
        }
        None => Box::new(all.values()),
    }
}

/// Those of `visible` that are `wanted`; an id that is not among them is refused.
pub(crate) fn pick<V, I: Ord + ToString>(
    visible: Vec<V>,
    wanted: &[I],
    id_of: impl Fn(&V) -> &I,
    not_found: fn(&[String]) -> ApiError,
) -> Result<Vec<V>, ApiError> {
    if wanted.is_empty() {
        return Ok(visible);
    }
    let there: BTreeSet<&I> = visible.iter().map(&id_of).collect();
    let missing: Vec<String> = wanted.iter().filter(|id| !there.contains(id)).map(ToString::to_string).collect();
    if !missing.is_empty() {
        return Err(not_found(&missing));
    }
    let wanted: BTreeSet<&I> = wanted.iter().collect();
    Ok(visible.into_iter().filter(|view| wanted.contains(id_of(view))).collect())
}

impl Contents {
    fn volumes_at(&self, horizon: &Horizon) -> Vec<VolumeView> {
        self.volumes
            .values()
            .filter_map(|volume| {
                let instance = volume.attachment.as_ref().and_then(|(id, _)| self.instances.get(id));
                volume.view(horizon, instance)
            })
            .collect()
    }

    fn tag_lines(&self, context: &Context<'_>) -> Vec<TagView> {
        let at = &context.horizon;
        let instances = self.instances.values().filter_map(|instance| instance.view(at));
        let images = self.images.values().filter_map(|image| image.view(at, |id| self.snapshots.get(id)));
        let snapshots = self.snapshots.values().filter_map(|snapshot| snapshot.view(at));
        let templates = self.launch_templates.values().filter_map(|template| template.view(at));
        instances
            .flat_map(|view| lines("instance", view.facts.id.as_str(), view.tags))
            .chain(images.flat_map(|view| lines("image", view.facts.id.as_str(), view.tags)))
            .chain(snapshots.flat_map(|view| lines("snapshot", view.facts.id.as_str(), view.tags)))
            .chain(templates.flat_map(|view| lines("launch-template", view.id.as_str(), view.tags)))
            .chain(self.volumes_at(at).into_iter().flat_map(|view| lines("volume", view.facts.id.as_str(), view.tags)))
            .collect()
    }
}

fn lines(resource_type: &'static str, id: &str, tags: Tags) -> Vec<TagView> {
    let line = |(key, value): (String, String)| TagView {
        resource_id: id.to_owned(),
        resource_type,
        cursor: format!("{id} {key}"),
        key,
        value,
    };
    tags.into_iter().map(line).collect()
}

impl Filterable for TagView {
    const HAS_TAG_FILTERS: bool = false;

    fn attribute(name: &str) -> Option<Attribute<Self>> {
        let attribute: Attribute<Self> = match name {
            "key" => |t| vec![t.key.clone()],
            "resource-id" => |t| vec![t.resource_id.clone()],
            "resource-type" => |t| vec![t.resource_type.to_owned()],
            "value" => |t| vec![t.value.clone()],
            _ => return None,
        };
        Some(attribute)
    }

    fn tags(&self) -> &Tags {
        const NONE: &Tags = &Tags::new();
        NONE
    }

    fn cursor(&self) -> &str {
        &self.cursor
    }
}

struct RegionLine(Region);

impl Filterable for RegionLine {
    const HAS_TAG_FILTERS: bool = false;

    fn attribute(name: &str) -> Option<Attribute<Self>> {
        let attribute: Attribute<Self> = match name {
            "region-name" => |r| vec![r.0.to_string()],
            "endpoint" => |r| vec![format!("ec2.{}.amazonaws.com", r.0)],
            "opt-in-status" => |_| vec!["opt-in-not-required".to_owned()],
            _ => return None,
        };
        Some(attribute)
    }

    fn tags(&self) -> &Tags {
        const NONE: &Tags = &Tags::new();
        NONE
    }

    fn cursor(&self) -> &str {
        self.0.as_str()
    }
}
