//! What makes and ends launch templates, for callers and for tests.
//!
//! Rules: `CreateLaunchTemplate`, `CreateLaunchTemplateVersion`, `DeleteLaunchTemplate` and "Error codes".

use jiff::Timestamp;

use crate::error::ApiError;
use crate::reply::{LaunchTemplateId, Reply, TemplateImage};
use crate::request::{
    Action, CreateLaunchTemplate, CreateLaunchTemplateVersion, LaunchTemplateData, LaunchTemplateRef, NewTag,
};
use crate::rng::Rng;
use crate::world::builder::InvalidWorld;
use crate::world::horizon::Horizon;
use crate::world::identity::default_identity;
use crate::world::ids::{self, ResourceId};
use crate::world::launch_templates::{LaunchTemplate, LaunchTemplateVersion, version_number};
use crate::world::tags::{self, TagLog};
use crate::world::{Contents, Context, Place, State, World};

/// One launch template to be, with its versions.
#[derive(Debug, Clone)]
pub struct LaunchTemplateSpec {
    name: String,
    id: Option<String>,
    images: Vec<Option<String>>,
}

impl LaunchTemplateSpec {
    /// A template of that name. Without any [`version`](Self::version) it has one that names no image.
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), id: None, images: Vec::new() }
    }

    pub(crate) fn into_name(self) -> String {
        self.name
    }

    /// Its id, `lt-…`; without it one is drawn.
    #[must_use]
    pub fn id(mut self, id: impl Into<String>) -> Self {
        self.id = Some(id.into());
        self
    }

    /// Adds a version that launches this image: an id, or `resolve:ssm:…`.
    #[must_use]
    pub fn version(mut self, image: impl Into<String>) -> Self {
        self.images.push(Some(image.into()));
        self
    }

    /// Adds a version that names no image.
    #[must_use]
    pub fn version_without_image(mut self) -> Self {
        self.images.push(None);
        self
    }
}

impl World {
    /// Puts one more launch template into a place.
    pub fn add_launch_template(
        &self,
        place: &Place,
        spec: LaunchTemplateSpec,
    ) -> Result<LaunchTemplateId, InvalidWorld> {
        let now = self.clock().now();
        let mut state = self.state();
        let State { rng, places, .. } = &mut *state;
        places.entry(place.clone()).or_default().settle_template(place, spec, now, rng)
    }
}

impl Contents {
    pub(crate) fn settle_template(
        &mut self,
        place: &Place,
        spec: LaunchTemplateSpec,
        now: Timestamp,
        rng: &mut Rng,
    ) -> Result<LaunchTemplateId, InvalidWorld> {
        let id = match spec.id {
            Some(id) => id.parse()?,
            None => LaunchTemplateId::fresh(rng),
        };
        if self.launch_templates.contains_key(&id) || !self.is_template_name_free(&spec.name) {
            return Err(InvalidWorld::TemplateTwice { name: spec.name });
        }
        let images = if spec.images.is_empty() { vec![None] } else { spec.images };
        let mut versions = Vec::new();
        for image in images {
            let image = image.map(|image| image.parse()).transpose()?;
            versions.push(LaunchTemplateVersion {
                description: None,
                created_at: now,
                created_by: default_identity(&place.account).arn,
                image,
                instance_type: None,
                client_token: None,
            });
        }
        let tags = TagLog::default();
        let template = LaunchTemplate { id: id.clone(), name: spec.name, versions, deleted_at: None, tags };
        self.launch_templates.insert(id.clone(), template);
        Ok(id)
    }

    fn is_template_name_free(&self, name: &str) -> bool {
        !self.launch_templates.values().any(|template| template.name == name && template.deleted_at.is_none())
    }
}

impl State {
    pub(crate) fn create_launch_template(
        &mut self,
        context: &Context<'_>,
        call: &CreateLaunchTemplate,
    ) -> Result<Reply, ApiError> {
        check_name(&call.name)?;
        let (image, instance_type) = check_data(&call.data)?;
        let tags = check_tags(call)?;
        if !tags.is_empty() && self.iam.is_denied(&context.place.account, Action::CreateTags) {
            return Err(ApiError::unauthorized(&context.caller.arn, Action::CreateTags.as_str()));
        }
        context.end_dry_run()?;
        let contents = self.places.entry(context.place.clone()).or_default();
        let repeated = contents.launch_templates.values().find(|template| {
            let first = template.versions.first().and_then(|first| first.client_token.as_ref());
            first.is_some() && first == call.client_token.as_ref() && template.name == call.name
        });
        if let Some(template) = repeated {
            return shown(template, context.now);
        }
        if !contents.is_template_name_free(&call.name) {
            let message = "Launch template name already in use.";
            return Err(ApiError::client("InvalidLaunchTemplateName.AlreadyExistsException", message));
        }
        let id = LaunchTemplateId::fresh(&mut self.rng);
        let first = LaunchTemplateVersion {
            description: call.description.clone(),
            created_at: context.now,
            created_by: context.caller.arn.clone(),
            image,
            instance_type,
            client_token: call.client_token.clone(),
        };
        let tags = TagLog::of(&tags, context.now);
        let (name, versions) = (call.name.clone(), vec![first]);
        let template = LaunchTemplate { id: id.clone(), name, versions, deleted_at: None, tags };
        let reply = shown(&template, context.now);
        contents.launch_templates.insert(id, template);
        reply
    }

    pub(crate) fn create_launch_template_version(
        &mut self,
        context: &Context<'_>,
        call: &CreateLaunchTemplateVersion,
    ) -> Result<Reply, ApiError> {
        let (image, instance_type) = check_data(&call.data)?;
        let contents = self.contents(&context.place);
        let id = contents.launch_template(&call.template, context.now)?.id.clone();
        context.end_dry_run()?;
        let Some(template) = contents.launch_templates.get_mut(&id) else {
            return Err(ApiError::launch_template_not_found(&[]));
        };
        let is_repeated = |version: &LaunchTemplateVersion| {
            version.client_token.is_some() && version.client_token == call.client_token
        };
        if !template.versions.iter().any(is_repeated) {
            let latest = u64::try_from(template.versions.len()).unwrap_or(u64::MAX);
            let number = call.source_version.as_ref().map(|source| version_number(source, latest)).transpose()?;
            let index = number.and_then(|number| usize::try_from(number - 1).ok());
            let source = index.and_then(|index| template.versions.get(index)).cloned();
            template.versions.push(LaunchTemplateVersion {
                description: call.description.clone(),
                created_at: context.now,
                created_by: context.caller.arn.clone(),
                image: image.or_else(|| source.clone().and_then(|source| source.image)),
                instance_type: instance_type.or_else(|| source.and_then(|source| source.instance_type)),
                client_token: call.client_token.clone(),
            });
        }
        let views = template.version_views(context.now);
        views.into_iter().next_back().map(Reply::LaunchTemplateVersion).ok_or_else(ApiError::internal)
    }

    pub(crate) fn delete_launch_template(
        &mut self,
        context: &Context<'_>,
        wanted: &LaunchTemplateRef,
    ) -> Result<Reply, ApiError> {
        let contents = self.contents(&context.place);
        let template = contents.launch_template(wanted, context.now)?;
        let (id, reply) = (template.id.clone(), shown(template, context.now));
        context.end_dry_run()?;
        if let Some(template) = contents.launch_templates.get_mut(&id) {
            template.deleted_at = Some(context.now);
        }
        reply
    }
}

/// A template as its own calls answer it: without any lag.
fn shown(template: &LaunchTemplate, now: Timestamp) -> Result<Reply, ApiError> {
    template.view(&Horizon::none(now)).map(Reply::LaunchTemplate).ok_or_else(ApiError::internal)
}

fn check_name(name: &str) -> Result<(), ApiError> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "().-/_".contains(c);
    if (3..=128).contains(&name.len()) && name.chars().all(allowed) {
        return Ok(());
    }
    let message = "A launch template name must be between 3 and 128 characters, and may contain letters, numbers, and \
                   the following characters: - ( ) . / _.";
    Err(ApiError::client("InvalidLaunchTemplateName.MalformedException", message))
}

/// A template must say something. Whether its image exists is not looked at, as EC2 only warns of it.
fn check_data(data: &LaunchTemplateData) -> Result<(Option<TemplateImage>, Option<String>), ApiError> {
    if *data == LaunchTemplateData::default() {
        return Err(ApiError::missing_parameter("LaunchTemplateData"));
    }
    let image = match &data.image_id {
        None => None,
        Some(text) if text.starts_with("resolve:ssm:") => Some(TemplateImage::Parameter(text.clone())),
        Some(text) => Some(TemplateImage::Id(ids::parse(text)?)),
    };
    Ok((image, data.instance_type.clone()))
}

fn check_tags(call: &CreateLaunchTemplate) -> Result<Vec<NewTag>, ApiError> {
    let mut tags = Vec::new();
    for specification in &call.tag_specifications {
        if specification.resource_type != "launch-template" {
            let other = &specification.resource_type;
            let message = format!("'{other}' is not a valid taggable resource type for this operation.");
            return Err(ApiError::client("InvalidParameterValue", message));
        }
        tags.extend(specification.tags.iter().cloned());
    }
    tags::check_new(&tags)?;
    TagLog::default().check_room(&tags)?;
    Ok(tags)
}
