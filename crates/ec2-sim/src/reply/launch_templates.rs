//! Launch templates as shown, and what refers to an image.

use std::fmt;
use std::str::FromStr;

use amikeep_domain::id::{ImageId, InvalidId};
use jiff::Timestamp;

use crate::reply::Tags;

/// `lt-…`
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LaunchTemplateId(String);

/// Text that is no id of a launch template.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not the id of a launch template")]
pub struct InvalidLaunchTemplateId(String);

impl LaunchTemplateId {
    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for LaunchTemplateId {
    type Err = InvalidLaunchTemplateId;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let digits = text.strip_prefix("lt-").unwrap_or_default();
        let hexadecimal = digits.chars().all(|c| c.is_ascii_digit() || ('a'..='f').contains(&c));
        if hexadecimal && matches!(digits.len(), 8 | 17) {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidLaunchTemplateId(text.to_owned()))
        }
    }
}

impl fmt::Display for LaunchTemplateId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// A launch template as shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LaunchTemplateView {
    /// Its id.
    pub id: LaunchTemplateId,
    /// Unique per account and region.
    pub name: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// Who made it, as an ARN.
    pub created_by: String,
    /// `$Default`.
    pub default_version: u64,
    /// `$Latest`.
    pub latest_version: u64,
    /// Its tags then.
    pub tags: Tags,
}

/// How a version of a launch template names its image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TemplateImage {
    /// By its id.
    Id(ImageId),
    /// By a Systems Manager parameter, `resolve:ssm:…`: what it stands for is told at each launch anew.
    Parameter(String),
}

impl TemplateImage {
    /// As `ImageId` has it on the wire.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Id(id) => id.as_str(),
            Self::Parameter(text) => text,
        }
    }
}

impl FromStr for TemplateImage {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        if text.starts_with("resolve:ssm:") {
            return Ok(Self::Parameter(text.to_owned()));
        }
        text.parse().map(Self::Id)
    }
}

/// One version of a launch template as shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LaunchTemplateVersionView {
    /// The template.
    pub template_id: LaunchTemplateId,
    /// Its name.
    pub template_name: String,
    /// From 1 on.
    pub number: u64,
    /// Free text.
    pub description: Option<String>,
    /// When it was made.
    pub created_at: Timestamp,
    /// Who made it, as an ARN.
    pub created_by: String,
    /// Whether it is `$Default`.
    pub is_default: bool,
    /// What it launches.
    pub image: Option<TemplateImage>,
    /// The type that it launches.
    pub instance_type: Option<String>,
    /// Orders the listing.
    pub(crate) cursor: String,
}

/// One line of `DescribeImageReferences`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageReference {
    /// The image.
    pub image_id: ImageId,
    /// `ec2:Instance` or `ec2:LaunchTemplate`.
    pub resource_type: &'static str,
    /// What refers to it.
    pub arn: String,
    /// Orders the listing.
    pub(crate) cursor: String,
}
