//! What uses an image: as `DescribeImageReferences` tells it, and where the endpoint does not know that action, by
//! looking at the instances and launch templates themselves.
//!
//! A refusal of a permission is no error here: nothing is known then of any of the images.

use std::collections::{BTreeMap, BTreeSet};

use amikeep_cloud::{Action, CloudError, CloudErrorKind};
use amikeep_domain::id::ImageId;
use amikeep_domain::instance::InstanceState;
use amikeep_domain::retention::Usage;

use crate::port::{SimCloud, one_filter_each};
use crate::reply::{LaunchTemplateVersionView, Reply, TemplateImage};
use crate::request::{
    DescribeImageReferences, DescribeLaunchTemplateVersions, LaunchTemplateRef, Query, Request, ResourceTypeRequest,
};

/// EC2's limit on the images of one `DescribeImageReferences`.
const IMAGES_MAX: usize = 10;
/// As deep as EC2 looks: every version that a launch template can have.
const VERSION_DEPTH: &str = "10000";
/// Every state but `terminated`.
const LIVING: [InstanceState; 5] = [
    InstanceState::Pending,
    InstanceState::Running,
    InstanceState::ShuttingDown,
    InstanceState::Stopping,
    InstanceState::Stopped,
];

/// What uses images.
#[derive(Debug, Default)]
struct Users {
    /// The ids of what uses an image, by the image's id.
    by: BTreeMap<String, BTreeSet<String>>,
    /// Why an image without a user may have one all the same.
    doubt: Option<String>,
}

impl Users {
    fn note(&mut self, image: &str, user: &str) {
        self.by.entry(image.to_owned()).or_default().insert(user.to_owned());
    }

    fn usage(&self, image: &ImageId) -> Usage {
        match (self.by.get(image.as_str()), &self.doubt) {
            (Some(by), _) => Usage::InUse { by: by.iter().cloned().collect() },
            (None, Some(why)) => Usage::Unknown { why: why.clone() },
            (None, None) => Usage::Unused,
        }
    }
}

impl SimCloud {
    pub(crate) fn usage(&self, images: &[ImageId]) -> Result<BTreeMap<ImageId, Usage>, CloudError> {
        let asked = match self.references(images) {
            Err(error) if error.code == "InvalidAction" => self.users_by_listing(images),
            asked => asked,
        };
        let usage: &dyn Fn(&ImageId) -> Usage = match &asked {
            Ok(users) => &|image| users.usage(image),
            Err(error) if error.kind == CloudErrorKind::Denied => {
                &|_| Usage::Unknown { why: format!("{} is not allowed: {}", error.action, error.message) }
            }
            Err(error) => return Err(error.clone()),
        };
        Ok(images.iter().map(|image| (image.clone(), usage(image))).collect())
    }

    fn references(&self, images: &[ImageId]) -> Result<Users, CloudError> {
        let mut users = Users::default();
        for images in images.chunks(IMAGES_MAX) {
            let ids = images.iter().map(ToString::to_string);
            let request = |query| Request::DescribeImageReferences(references(ids.clone(), query));
            let found = self.list(Action::DescribeImageReferences, &[], request, |reply| match reply {
                Reply::ImageReferences(page) => Some(page),
                _ => None,
            })?;
            for reference in found {
                let id = reference.arn.rsplit('/').next().unwrap_or_default();
                users.note(reference.image_id.as_str(), id);
            }
        }
        Ok(users)
    }

    fn users_by_listing(&self, images: &[ImageId]) -> Result<Users, CloudError> {
        let mut users = Users::default();
        for filters in one_filter_each("image-id", images.iter().map(ToString::to_string)) {
            let request = |query| Request::DescribeInstances { ids: Vec::new(), query };
            let instances = self.list(Action::DescribeInstances, &filters, request, |reply| match reply {
                Reply::Instances(page) => Some(page),
                _ => None,
            })?;
            for instance in instances.into_iter().filter(|view| view.state != InstanceState::Terminated) {
                users.note(&instance.facts.launched_from, instance.facts.id.as_str());
            }
        }
        self.add_templates(&mut users)?;
        Ok(users)
    }

    /// Every version of every template must be asked for template by template: EC2 lists no others than the latest and
    /// the default ones of all templates at once. A filter by image would leave out the versions that name theirs by a
    /// parameter, which may stand for any image.
    fn add_templates(&self, users: &mut Users) -> Result<(), CloudError> {
        let request = |query| Request::DescribeLaunchTemplates { ids: Vec::new(), names: Vec::new(), query };
        let templates = self.list(Action::DescribeLaunchTemplates, &[], request, |reply| match reply {
            Reply::LaunchTemplates(page) => Some(page),
            _ => None,
        })?;
        for template in templates {
            let template = LaunchTemplateRef { id: Some(template.id.to_string()), name: None };
            for LaunchTemplateVersionView { template_id, number, image, .. } in self.versions(&template)? {
                match image {
                    Some(TemplateImage::Id(image)) => users.note(image.as_str(), template_id.as_str()),
                    Some(TemplateImage::Parameter(image)) => {
                        let why =
                            format!("version {number} of launch template {template_id} names its image as `{image}`");
                        users.doubt.get_or_insert(why);
                    }
                    None => {}
                }
            }
        }
        Ok(())
    }

    /// A template that went meanwhile has no versions.
    fn versions(&self, template: &LaunchTemplateRef) -> Result<Vec<LaunchTemplateVersionView>, CloudError> {
        let request = |query| {
            let template = template.clone();
            let call = DescribeLaunchTemplateVersions { template, query, ..DescribeLaunchTemplateVersions::default() };
            Request::DescribeLaunchTemplateVersions(call)
        };
        let listed = self.list(Action::DescribeLaunchTemplateVersions, &[], request, |reply| match reply {
            Reply::LaunchTemplateVersions(page) => Some(page),
            _ => None,
        });
        match listed {
            Err(error) if error.kind == CloudErrorKind::NotFound => Ok(Vec::new()),
            listed => listed,
        }
    }
}

/// A question for everything that could launch from, or was launched from, these images.
pub(crate) fn references(ids: impl Iterator<Item = String>, query: Query) -> DescribeImageReferences {
    let of = |resource_type: &str, option: &str, values: Vec<String>| ResourceTypeRequest {
        resource_type: resource_type.to_owned(),
        options: vec![(option.to_owned(), values)],
    };
    let states = LIVING.map(|state| state.as_str().to_owned()).into();
    DescribeImageReferences {
        ids: ids.collect(),
        all_types: false,
        types: vec![
            of("ec2:Instance", "state-name", states),
            of("ec2:LaunchTemplate", "version-depth", vec![VERSION_DEPTH.to_owned()]),
        ],
        query,
    }
}
