//! Launch templates and their versions: what they are and how they are listed. Only the image and the instance type of a
//! version are kept.
//!
//! Rules: `DescribeLaunchTemplates`, `DescribeLaunchTemplateVersions` and "Amazon EC2 launch templates".

use std::collections::BTreeSet;

use amikeep_domain::id::ImageId;
use jiff::Timestamp;

use crate::error::ApiError;
use crate::reply::{LaunchTemplateId, LaunchTemplateVersionView, LaunchTemplateView, Reply, Tags, TemplateImage};
use crate::request::{DescribeLaunchTemplateVersions, LaunchTemplateRef, Query};
use crate::time_text::wire_time;
use crate::world::filters::{Attribute, Filterable};
use crate::world::horizon::Horizon;
use crate::world::paging::{refuse_ids_with_max_results, select};
use crate::world::reads::pick;
use crate::world::tags::TagLog;
use crate::world::{Contents, Context, State, ids};

/// EC2's limits of `MaxResults`.
const RESULTS_MIN: i64 = 1;
const RESULTS_MAX: i64 = 200;

#[derive(Debug, Clone)]
pub(crate) struct LaunchTemplate {
    pub(crate) id: LaunchTemplateId,
    pub(crate) name: String,
    /// The first one is number 1, and the default for good: nothing here changes the default.
    pub(crate) versions: Vec<LaunchTemplateVersion>,
    pub(crate) deleted_at: Option<Timestamp>,
    pub(crate) tags: TagLog,
}

#[derive(Debug, Clone)]
pub(crate) struct LaunchTemplateVersion {
    pub(crate) description: Option<String>,
    pub(crate) created_at: Timestamp,
    pub(crate) created_by: String,
    pub(crate) image: Option<TemplateImage>,
    pub(crate) instance_type: Option<String>,
    pub(crate) client_token: Option<String>,
}

impl LaunchTemplateVersion {
    fn image_id(&self) -> Option<&ImageId> {
        match &self.image {
            Some(TemplateImage::Id(id)) => Some(id),
            Some(TemplateImage::Parameter(_)) | None => None,
        }
    }
}

/// The number of the default version.
pub(crate) const DEFAULT_VERSION: u64 = 1;

impl LaunchTemplate {
    fn exists_at(&self, at: Timestamp) -> bool {
        let begun = self.versions.first().is_some_and(|first| first.created_at <= at);
        begun && self.deleted_at.is_none_or(|deleted_at| at < deleted_at)
    }

    /// The versions that are there at `at`, with their numbers, oldest first.
    fn versions_at(&self, at: Timestamp) -> impl DoubleEndedIterator<Item = (u64, &LaunchTemplateVersion)> {
        let there = if self.exists_at(at) { &self.versions[..] } else { &[] };
        let numbered = there.iter().zip(1..).map(|(version, number)| (number, version));
        numbered.filter(move |(_, version)| version.created_at <= at).collect::<Vec<_>>().into_iter()
    }

    pub(crate) fn view(&self, horizon: &Horizon) -> Option<LaunchTemplateView> {
        let first = self.versions.first()?;
        let (latest_version, _) = self.versions_at(horizon.at).next_back()?;
        Some(LaunchTemplateView {
            id: self.id.clone(),
            name: self.name.clone(),
            created_at: first.created_at,
            created_by: first.created_by.clone(),
            default_version: DEFAULT_VERSION,
            latest_version,
            tags: self.tags.as_of(horizon.tags),
        })
    }

    pub(crate) fn version_views(&self, at: Timestamp) -> Vec<LaunchTemplateVersionView> {
        let view = |(number, version): (u64, &LaunchTemplateVersion)| LaunchTemplateVersionView {
            template_id: self.id.clone(),
            template_name: self.name.clone(),
            number,
            description: version.description.clone(),
            created_at: version.created_at,
            created_by: version.created_by.clone(),
            is_default: number == DEFAULT_VERSION,
            image: version.image.clone(),
            instance_type: version.instance_type.clone(),
            cursor: format!("{} {number:08}", self.id),
        };
        self.versions_at(at).map(view).collect()
    }

    /// Whether any version ever named an image.
    pub(crate) fn names_image(&self, image: &ImageId) -> bool {
        self.versions.iter().any(|version| version.image_id() == Some(image))
    }

    /// The images that the newest `depth` versions name by their ids.
    pub(crate) fn newest_images(&self, depth: usize, at: Timestamp) -> BTreeSet<ImageId> {
        self.versions_at(at).rev().take(depth).filter_map(|(_, version)| version.image_id().cloned()).collect()
    }
}

impl Contents {
    /// The template that a call names. It must name exactly one, by id or by name.
    pub(crate) fn launch_template(
        &self,
        wanted: &LaunchTemplateRef,
        at: Timestamp,
    ) -> Result<&LaunchTemplate, ApiError> {
        match (&wanted.id, &wanted.name) {
            (Some(id), None) => {
                let parsed: LaunchTemplateId = ids::parse(id)?;
                let found = self.launch_templates.get(&parsed).filter(|template| template.exists_at(at));
                found.ok_or_else(|| ApiError::launch_template_not_found(&[]))
            }
            (None, Some(name)) => {
                let mut there = self.launch_templates.values().filter(|template| template.exists_at(at));
                let found = there.find(|template| template.name == *name);
                found.ok_or_else(|| ApiError::launch_template_name_not_found(&[]))
            }
            (None, None) => Err(ApiError::missing_parameter("LaunchTemplateId")),
            (Some(_), Some(_)) => {
                let message = "LaunchTemplateId and LaunchTemplateName cannot be used together.";
                Err(ApiError::client("InvalidParameterCombination", message))
            }
        }
    }
}

impl State {
    pub(crate) fn describe_launch_templates(
        &mut self,
        context: &Context<'_>,
        ids: &[String],
        names: &[String],
        query: &Query,
    ) -> Result<Reply, ApiError> {
        refuse_ids_with_max_results(ids, query, "launchTemplateIds")?;
        refuse_ids_with_max_results(names, query, "launchTemplateNames")?;
        check_results(query)?;
        let wanted: Vec<LaunchTemplateId> = ids::parse_all(ids)?;
        let paging = self.settings.paging;
        let templates = self.contents(&context.place).launch_templates.values();
        let visible: Vec<_> = templates.filter_map(|template| template.view(&context.horizon)).collect();
        let visible = pick(visible, &wanted, |view| &view.id, ApiError::launch_template_not_found)?;
        let visible = pick(visible, names, |view| &view.name, ApiError::launch_template_name_not_found)?;
        select(visible, query, RESULTS_MIN, paging).map(Reply::LaunchTemplates)
    }

    pub(crate) fn describe_launch_template_versions(
        &mut self,
        context: &Context<'_>,
        call: &DescribeLaunchTemplateVersions,
    ) -> Result<Reply, ApiError> {
        check_results(&call.query)?;
        let paging = self.settings.paging;
        let at = context.horizon.at;
        let contents = self.contents(&context.place);
        let views = if call.template == LaunchTemplateRef::default() {
            check_versions_of_all(call)?;
            let templates = contents.launch_templates.values();
            templates
                .flat_map(|template| wanted_versions(template.version_views(at), call).unwrap_or_default())
                .collect()
        } else {
            wanted_versions(contents.launch_template(&call.template, at)?.version_views(at), call)?
        };
        select(views, &call.query, RESULTS_MIN, paging).map(Reply::LaunchTemplateVersions)
    }
}

fn check_results(query: &Query) -> Result<(), ApiError> {
    match query.max_results.filter(|wanted| RESULTS_MAX < *wanted) {
        None => Ok(()),
        Some(wanted) => {
            let expected = format!("Expecting a value from {RESULTS_MIN} to {RESULTS_MAX}.");
            Err(ApiError::invalid_value(&wanted.to_string(), "MaxResults", &expected))
        }
    }
}

/// Of all templates at once only the latest and the default versions can be described.
fn check_versions_of_all(call: &DescribeLaunchTemplateVersions) -> Result<(), ApiError> {
    let named = call.versions.iter().all(|version| matches!(version.as_str(), "$Latest" | "$Default"));
    if named && !call.versions.is_empty() && call.min.is_none() && call.max.is_none() {
        return Ok(());
    }
    let message = "Without a launch template, LaunchTemplateVersion must be $Latest or $Default and nothing else.";
    Err(ApiError::client("InvalidParameterCombination", message))
}

/// Those of the versions of one template that a call names; all of them if it names none.
fn wanted_versions(
    views: Vec<LaunchTemplateVersionView>,
    call: &DescribeLaunchTemplateVersions,
) -> Result<Vec<LaunchTemplateVersionView>, ApiError> {
    let latest = views.iter().map(|view| view.number).max().unwrap_or_default();
    let mut numbers = BTreeSet::new();
    for version in &call.versions {
        numbers.insert(version_number(version, latest)?);
    }
    let within = |number: u64| {
        let number = i64::try_from(number).unwrap_or(i64::MAX);
        call.min.is_none_or(|min| min <= number) && call.max.is_none_or(|max| number <= max)
    };
    let is_wanted = |number: u64| (numbers.is_empty() || numbers.contains(&number)) && within(number);
    Ok(views.into_iter().filter(|view| is_wanted(view.number)).collect())
}

/// The number behind `$Latest`, `$Default` or a number, if there is such a version.
pub(crate) fn version_number(version: &str, latest: u64) -> Result<u64, ApiError> {
    let number = match version {
        "$Latest" => Some(latest),
        "$Default" => Some(DEFAULT_VERSION),
        number => number.parse().ok(),
    };
    number.filter(|number| (1..=latest).contains(number)).ok_or_else(|| {
        let message = format!("Could not find the specified version {version} for the launch template.");
        ApiError::client("InvalidLaunchTemplateId.VersionNotFound", message)
    })
}

impl Filterable for LaunchTemplateView {
    fn attribute(name: &str) -> Option<Attribute<Self>> {
        let attribute: Attribute<Self> = match name {
            "create-time" => |t| vec![wire_time(t.created_at)],
            "launch-template-name" => |t| vec![t.name.clone()],
            _ => return None,
        };
        Some(attribute)
    }

    fn tags(&self) -> &Tags {
        &self.tags
    }

    fn cursor(&self) -> &str {
        self.id.as_str()
    }
}

impl Filterable for LaunchTemplateVersionView {
    const HAS_TAG_FILTERS: bool = false;

    fn attribute(name: &str) -> Option<Attribute<Self>> {
        let attribute: Attribute<Self> = match name {
            "create-time" => |v| vec![wire_time(v.created_at)],
            "image-id" => |v| v.image.iter().map(|image| image.as_str().to_owned()).collect(),
            "instance-type" => |v| v.instance_type.iter().cloned().collect(),
            "is-default-version" => |v| vec![v.is_default.to_string()],
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
