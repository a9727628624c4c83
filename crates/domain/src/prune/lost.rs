//! Images of ours whose rows are lost, as their own tags tell of them.
//!
//! A row of the ledger is the one proof of ownership that tags cannot give: whoever may tag can copy them, and another
//! installation with the same owner writes the same. So nothing here is done by itself; an operator says that the ledger
//! is the right one for these images.

use crate::class::Consistency;
use crate::grade::Grade;
use crate::id::{AccountName, ClassName, ImageId, JobId, Owner};
use crate::image_name::{ImageName, ImageNumber};
use crate::job::{CapturedVolume, Finished, JobKey};
use crate::prune::listing::{ListedImage, ListedState, Listing, job_of};
use crate::tags;
use jiff::Timestamp;

/// A job makes so many images at most, one after the other.
const NUMBERS_MAX: usize = 3;

/// What EC2 shows of an image without a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LostImage {
    /// The image.
    pub image: ImageId,
    /// Its name.
    pub name: ImageName,
    /// The job that had it made.
    pub job: JobId,
    /// What made that job unique.
    pub key: JobKey,
    /// The configured name of the account.
    pub account_name: AccountName,
    /// The class that applied.
    pub class: ClassName,
    /// The mode that was used.
    pub mode: Consistency,
    /// When EC2 was asked for it.
    pub created_at: Timestamp,
    /// What it is, if it is available and its grade is on it; without that the job goes on from there.
    pub finished: Option<Finished>,
}

/// Why an image cannot be taken in. The message fits after the id of the image.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotReadable {
    /// It is not in the listing.
    #[error("it is not listed")]
    NotListed,
    /// A tag is missing, or is none that amikeep writes.
    #[error("its tag {0} is missing or cannot be read")]
    Tag(&'static str),
    /// Its name is not the one that follows from its tags: it is a copy.
    #[error("its name does not follow from its tags, so amikeep did not give it")]
    Name,
    /// It was taken of another instance than its tags say.
    #[error("EC2 says that it was taken of another instance than its tags do")]
    OtherInstance,
    /// A snapshot of it is not the same job's.
    #[error("it maps snapshots that do not carry the tags of its job")]
    ForeignSnapshot,
    /// It failed, or somebody disabled it.
    #[error("it is neither pending nor available")]
    State,
}

impl LostImage {
    /// Reads the tags of an image of a complete listing, and refuses one of which anything does not fit the rest.
    pub fn read(image: &ImageId, listing: &Listing, owner: &Owner) -> Result<Self, NotReadable> {
        let listed = listing.images.get(image).ok_or(NotReadable::NotListed)?;
        if tag(listed, tags::OWNER)? != owner.as_str() {
            return Err(NotReadable::Tag(tags::OWNER));
        }
        let key = JobKey {
            policy: parsed(listed, tags::POLICY)?,
            account: listing.account.clone(),
            region: listing.region.clone(),
            instance: parsed(listed, tags::INSTANCE)?,
            scheduled_at: parsed(listed, tags::SCHEDULED_AT)?,
        };
        if listed.source_instance.as_ref().is_some_and(|source| *source != key.instance) {
            return Err(NotReadable::OtherInstance);
        }
        let job = job_of(&listed.tags).ok_or(NotReadable::Tag(tags::JOB))?;
        let name = names(owner, &key).find(|name| name.as_str() == listed.name).ok_or(NotReadable::Name)?;
        let mode = tag(listed, tags::MODE)?;
        let mode = Consistency::ALL.into_iter().find(|it| it.as_str() == mode).ok_or(NotReadable::Tag(tags::MODE))?;
        let captured_at = captured_at(listed, listing, owner, job)?;
        let created_at = listed.created_at.or(captured_at).unwrap_or(key.scheduled_at);
        let finished = match listed.state {
            ListedState::Available if listed.tags.contains_key(tags::GRADE) => {
                let grade: Grade = parsed(listed, tags::GRADE)?;
                Some(finished(image, listed, grade, captured_at.unwrap_or(created_at)))
            }
            ListedState::Available | ListedState::Pending => None,
            ListedState::Failed | ListedState::Disabled => return Err(NotReadable::State),
        };
        Ok(Self {
            image: image.clone(),
            name,
            job,
            key,
            account_name: listing.account_name.clone(),
            class: parsed(listed, tags::CLASS)?,
            mode,
            created_at,
            finished,
        })
    }
}

fn tag<'a>(listed: &'a ListedImage, key: &'static str) -> Result<&'a str, NotReadable> {
    listed.tags.get(key).map(String::as_str).ok_or(NotReadable::Tag(key))
}

fn parsed<T: std::str::FromStr>(listed: &ListedImage, key: &'static str) -> Result<T, NotReadable> {
    tag(listed, key)?.parse().map_err(|_| NotReadable::Tag(key))
}

fn names(owner: &Owner, key: &JobKey) -> impl Iterator<Item = ImageName> {
    let numbers = std::iter::successors(Some(ImageNumber::FIRST), |number| Some(number.next()));
    numbers
        .take(NUMBERS_MAX)
        .map(|number| ImageName::for_backup(owner, &key.policy, &key.instance, key.scheduled_at, number))
}

/// The earliest start of its snapshots, all of which carry the tags of its job.
fn captured_at(
    listed: &ListedImage,
    listing: &Listing,
    owner: &Owner,
    job: JobId,
) -> Result<Option<Timestamp>, NotReadable> {
    let mut earliest: Option<Timestamp> = None;
    for id in &listed.snapshots {
        let snapshot = listing.snapshots.get(id).ok_or(NotReadable::ForeignSnapshot)?;
        let is_ours = snapshot.tags.get(tags::OWNER).is_some_and(|it| it == owner.as_str());
        if !is_ours || job_of(&snapshot.tags) != Some(job) {
            return Err(NotReadable::ForeignSnapshot);
        }
        earliest = [earliest, snapshot.started_at].into_iter().flatten().min();
    }
    Ok(earliest)
}

/// Devices and evidence are not in any tag.
fn finished(image: &ImageId, listed: &ListedImage, grade: Grade, captured_at: Timestamp) -> Finished {
    let volume = |(n, snapshot): (usize, &crate::id::SnapshotId)| CapturedVolume {
        device: format!("unknown-{n}"),
        volume: None,
        snapshot: Some(snapshot.clone()),
        grade: Some(grade),
    };
    let volumes = listed.snapshots.iter().enumerate().map(volume).collect();
    Finished { image: image.clone(), captured_at, grade, evidence: None, volumes }
}
