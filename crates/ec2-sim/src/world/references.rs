//! `DescribeImageReferences`: which instances and launch templates name an image.
//!
//! Rules: `DescribeImageReferences` and "Identify your resources referencing specified AMIs". Of the other three types
//! that EC2 knows there is nothing in this world.

use std::collections::BTreeSet;

use amikeep_domain::id::ImageId;
use amikeep_domain::instance::InstanceState;

use crate::error::ApiError;
use crate::reply::{ImageReference, Reply, Tags};
use crate::request::{Action, DescribeImageReferences, ResourceTypeRequest};
use crate::world::filters::{Attribute, Filterable};
use crate::world::images::{Image, Registration};
use crate::world::paging::select;
use crate::world::{Contents, Context, Place, State, ids};

/// EC2's limits.
const IMAGES_MAX: usize = 10;
const RESULTS_MIN: i64 = 5;
const VERSION_DEPTH_MAX: usize = 10_000;
/// How many versions of a launch template are looked at when the caller does not say.
const VERSION_DEPTH: usize = 10;

const INSTANCE: &str = "ec2:Instance";
const LAUNCH_TEMPLATE: &str = "ec2:LaunchTemplate";
const OTHERS: [&str; 3] = ["ssm:Parameter", "imagebuilder:ImageRecipe", "imagebuilder:ContainerRecipe"];
const STATES: [InstanceState; 6] = [
    InstanceState::Pending,
    InstanceState::Running,
    InstanceState::ShuttingDown,
    InstanceState::Terminated,
    InstanceState::Stopping,
    InstanceState::Stopped,
];

/// What a caller wants to be looked at.
struct Scope {
    /// States of instances; none if instances are not looked at.
    states: Option<Vec<InstanceState>>,
    /// Versions of each launch template; none if templates are not looked at.
    version_depth: Option<usize>,
}

impl Scope {
    fn parse(call: &DescribeImageReferences) -> Result<Self, ApiError> {
        if !call.all_types && call.types.is_empty() {
            return Err(ApiError::missing_parameter("ResourceTypes or IncludeAllResourceTypes"));
        }
        let mut scope = Self {
            states: call.all_types.then(|| STATES.to_vec()),
            version_depth: call.all_types.then_some(VERSION_DEPTH),
        };
        for wanted in &call.types {
            match wanted.resource_type.as_str() {
                INSTANCE => scope.states = Some(states(wanted)?),
                LAUNCH_TEMPLATE => scope.version_depth = Some(version_depth(wanted)?),
                other if OTHERS.contains(&other) => no_options(wanted)?,
                other => return Err(ApiError::invalid_value(other, "ResourceType", "It is not supported.")),
            }
        }
        Ok(scope)
    }

    /// What a caller must be allowed besides the call itself.
    fn permissions(&self) -> Vec<Action> {
        let mut actions = Vec::new();
        if self.states.is_some() {
            actions.push(Action::DescribeInstances);
        }
        if self.version_depth.is_some() {
            actions.extend([Action::DescribeLaunchTemplates, Action::DescribeLaunchTemplateVersions]);
        }
        actions
    }
}

fn states(wanted: &ResourceTypeRequest) -> Result<Vec<InstanceState>, ApiError> {
    let mut states = Vec::new();
    for (name, values) in &wanted.options {
        check_option(name, "state-name", wanted)?;
        for value in values {
            let state = STATES.into_iter().find(|state| state.as_str() == value);
            states.push(state.ok_or_else(|| ApiError::invalid_value(value, name, "It is not a state."))?);
        }
    }
    Ok(if states.is_empty() { STATES.to_vec() } else { states })
}

fn version_depth(wanted: &ResourceTypeRequest) -> Result<usize, ApiError> {
    let mut depth = VERSION_DEPTH;
    for (name, values) in &wanted.options {
        check_option(name, "version-depth", wanted)?;
        let [value] = &values[..] else {
            return Err(ApiError::invalid_value(&values.join(","), name, "Expected one number."));
        };
        let number = value.parse().ok().filter(|depth| (1..=VERSION_DEPTH_MAX).contains(depth));
        depth = number.ok_or_else(|| ApiError::invalid_value(value, name, "Expected a number from 1 to 10000."))?;
    }
    Ok(depth)
}

fn check_option(name: &str, known: &str, wanted: &ResourceTypeRequest) -> Result<(), ApiError> {
    if name == known {
        return Ok(());
    }
    Err(ApiError::invalid_value(name, "OptionName", &format!("{} has no such option.", wanted.resource_type)))
}

fn no_options(wanted: &ResourceTypeRequest) -> Result<(), ApiError> {
    wanted.options.iter().try_for_each(|(name, _)| check_option(name, "", wanted))
}

impl State {
    pub(crate) fn describe_image_references(
        &mut self,
        context: &Context<'_>,
        call: &DescribeImageReferences,
    ) -> Result<Reply, ApiError> {
        if call.ids.is_empty() {
            return Err(ApiError::missing_parameter("ImageId"));
        }
        if IMAGES_MAX < call.ids.len() {
            let expected = format!("At most {IMAGES_MAX} images can be specified.");
            return Err(ApiError::invalid_value(&call.ids.len().to_string(), "ImageId", &expected));
        }
        let wanted: Vec<ImageId> = ids::parse_all(&call.ids)?;
        let scope = Scope::parse(call)?;
        // What EC2 answers to a caller who may not look at the resources is not documented: nothing at all is the harder
        // case.
        for action in scope.permissions() {
            if self.iam.is_denied(&context.place.account, action) {
                return Err(ApiError::unauthorized(&context.caller.arn, action.as_str()));
            }
        }
        let paging = self.settings.paging;
        let contents = self.contents(&context.place);
        contents.check_images_are_known(&wanted, context)?;
        let wanted: BTreeSet<ImageId> = wanted.into_iter().collect();
        let mut found = contents.instance_references(&wanted, &scope, context);
        found.extend(contents.template_references(&wanted, &scope, context));
        select(found, &call.query, RESULTS_MIN, paging).map(Reply::ImageReferences)
    }
}

impl Contents {
    /// One id that nobody knows refuses the whole call. EC2 does not document it; it is the harder case. Images of others
    /// are known by what was launched from them.
    fn check_images_are_known(&self, wanted: &[ImageId], context: &Context<'_>) -> Result<(), ApiError> {
        let is_named = |id: &ImageId| {
            let mut instances = self.instances.values();
            let mut templates = self.launch_templates.values();
            instances.any(|instance| instance.facts.launched_from == id.as_str())
                || templates.any(|template| template.names_image(id))
        };
        let is_shown = |image: &Image| image.shown_as(&context.horizon) != Registration::Unknown;
        let is_known = |id: &ImageId| self.images.get(id).map_or_else(|| is_named(id), is_shown);
        let unknown: Vec<String> = wanted.iter().filter(|id| !is_known(id)).map(ToString::to_string).collect();
        if unknown.is_empty() { Ok(()) } else { Err(ApiError::image_not_found(&unknown)) }
    }

    fn instance_references(
        &self,
        wanted: &BTreeSet<ImageId>,
        scope: &Scope,
        context: &Context<'_>,
    ) -> Vec<ImageReference> {
        let Some(states) = &scope.states else { return Vec::new() };
        let instances = self.instances.values().filter_map(|instance| {
            instance.state_at(context.horizon.at).filter(|state| states.contains(state))?;
            let image_id = wanted.iter().find(|id| id.as_str() == instance.facts.launched_from)?;
            Some(reference(image_id, INSTANCE, &context.place, &format!("instance/{}", instance.facts.id)))
        });
        instances.collect()
    }

    fn template_references(
        &self,
        wanted: &BTreeSet<ImageId>,
        scope: &Scope,
        context: &Context<'_>,
    ) -> Vec<ImageReference> {
        let Some(depth) = scope.version_depth else { return Vec::new() };
        let mut found = Vec::new();
        for template in self.launch_templates.values() {
            let named = template.newest_images(depth, context.horizon.at);
            let what = format!("launch-template/{}", template.id);
            let named = named.iter().filter(|id| wanted.contains(*id));
            found.extend(named.map(|id| reference(id, LAUNCH_TEMPLATE, &context.place, &what)));
        }
        found
    }
}

fn reference(image_id: &ImageId, resource_type: &'static str, place: &Place, what: &str) -> ImageReference {
    let arn = format!("arn:aws:ec2:{}:{}:{what}", place.region, place.account);
    ImageReference { image_id: image_id.clone(), resource_type, cursor: format!("{image_id} {arn}"), arn }
}

impl Filterable for ImageReference {
    const HAS_TAG_FILTERS: bool = false;

    fn attribute(_: &str) -> Option<Attribute<Self>> {
        None
    }

    fn tags(&self) -> &Tags {
        const NONE: &Tags = &Tags::new();
        NONE
    }

    fn cursor(&self) -> &str {
        &self.cursor
    }
}
