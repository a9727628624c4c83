//! The proof that an image is ours to delete.

use std::collections::BTreeMap;

use crate::id::{ImageId, InstanceId, JobId, Owner, SnapshotId};
use crate::prune::deletion::Deletion;
use crate::prune::listing::{KnownImage, ListedImage, ListedSnapshot, ListedState, Listing, job_of};
use crate::tags;

/// The snapshots of a complete listing that carry our owner's tag, by the job that they name. Made once for a listing, so
/// that each of ten thousand images does not look at every snapshot.
#[derive(Debug)]
pub(super) struct OurSnapshots<'a> {
    by_job: BTreeMap<JobId, BTreeMap<&'a SnapshotId, &'a ListedSnapshot>>,
}

impl<'a> OurSnapshots<'a> {
    pub(super) fn of(listing: &'a Listing, owner: &Owner) -> Self {
        let mut by_job: BTreeMap<JobId, BTreeMap<_, _>> = BTreeMap::new();
        for (id, snapshot) in &listing.snapshots {
            let is_ours = snapshot.tags.get(tags::OWNER).is_some_and(|it| it == owner.as_str());
            if let Some(job) = job_of(&snapshot.tags).filter(|_| is_ours) {
                by_job.entry(job).or_default().insert(id, snapshot);
            }
        }
        Self { by_job }
    }

    /// Those that carry our tags for the job of this image, and that the ledger or their own description ties to it.
    pub(super) fn of_image(&self, known: &KnownImage) -> impl Iterator<Item = (&'a SnapshotId, &'a ListedSnapshot)> {
        let tagged = self.by_job.get(&known.job).into_iter().flatten().map(|(id, snapshot)| (*id, *snapshot));
        let is_told = |snapshot: &ListedSnapshot| {
            snapshot.made_for().is_some_and(|(instance, image)| instance == known.instance && image == known.image)
        };
        tagged.filter(move |(id, snapshot)| known.snapshots.contains(id) || is_told(snapshot))
    }

    /// Whether it carries our tags for this job.
    fn are_of(&self, job: JobId, id: &SnapshotId) -> bool {
        self.by_job.get(&job).is_some_and(|snapshots| snapshots.contains_key(id))
    }
}

/// An image and snapshots that are proved to be ours: own account, own tags, the instance, and a row of the ledger. Only
/// [`OwnedImage::prove`] makes one, and only one of these can be deleted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnedImage {
    image: ImageId,
    snapshots: Vec<SnapshotId>,
}

/// Why an image could not be proved to be ours. The message fits after the id of the image.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotProved {
    /// It is in another account or region than its row says.
    #[error("it is listed in another account or region than it was made in")]
    OtherPlace,
    /// It has another name: it is a copy, made by somebody else with its tags.
    #[error("its name is `{found}`, not `{expected}`")]
    Name {
        /// The name that amikeep gave.
        expected: String,
        /// The name it has.
        found: String,
    },
    /// A tag is missing or different.
    #[error("its tag {tag} is {}, not `{expected}`", .found.as_ref().map_or("missing".to_owned(), |it| format!("`{it}`")))]
    Tag {
        /// The tag.
        tag: &'static str,
        /// What it should be.
        expected: String,
        /// What it is.
        found: Option<String>,
    },
    /// EC2 says that it was taken of another instance.
    #[error("EC2 says that it was taken of {found}, not of {expected}")]
    OtherInstance {
        /// The instance of the row.
        expected: String,
        /// The instance that EC2 names.
        found: String,
    },
    /// It maps a snapshot that neither the ledger nor its tags know as ours.
    #[error("it maps {snapshot}, which amikeep did not have made")]
    ForeignSnapshot {
        /// The snapshot.
        snapshot: SnapshotId,
    },
    /// It was disabled by somebody, so somebody else has decided about it.
    #[error("somebody has disabled it")]
    Disabled,
}

impl OwnedImage {
    /// Proves that the image of a row of the ledger is ours, by a complete listing of the place it is in. An image that is
    /// not listed any more can be proved too: what is left of it are its snapshots.
    pub fn prove(known: &KnownImage, listing: &Listing, owner: &Owner) -> Result<Self, NotProved> {
        Self::prove_with(known, listing, owner, &OurSnapshots::of(listing, owner))
    }

    /// The same for many images of one listing. `ours` is made of that listing.
    pub(super) fn prove_with(
        known: &KnownImage,
        listing: &Listing,
        owner: &Owner,
        ours: &OurSnapshots<'_>,
    ) -> Result<Self, NotProved> {
        if known.account != listing.account || known.region != listing.region {
            return Err(NotProved::OtherPlace);
        }
        let mut snapshots: Vec<SnapshotId> = ours.of_image(known).map(|(id, _)| id.clone()).collect();
        if let Some(listed) = listing.images.get(&known.image) {
            if known.name != listed.name {
                return Err(NotProved::Name { expected: known.name.clone(), found: listed.name.clone() });
            }
            prove_tags(known.job, &known.instance, listed, owner)?;
            for snapshot in &listed.snapshots {
                let is_ours = known.snapshots.contains(snapshot) || ours.are_of(known.job, snapshot);
                if !is_ours {
                    return Err(NotProved::ForeignSnapshot { snapshot: snapshot.clone() });
                }
            }
            snapshots.extend(listed.snapshots.iter().cloned());
        }
        snapshots.sort();
        snapshots.dedup();
        Ok(Self { image: known.image.clone(), snapshots })
    }

    /// Looks once more, right before the call, with what EC2 says now.
    pub fn still_holds(deletion: &Deletion, listed: &ListedImage, owner: &Owner) -> Result<(), NotProved> {
        prove_tags(deletion.job, &deletion.instance, listed, owner)
    }

    /// The image.
    pub fn image(&self) -> &ImageId {
        &self.image
    }

    /// Its snapshots.
    pub fn snapshots(&self) -> &[SnapshotId] {
        &self.snapshots
    }
}

fn prove_tags(job: JobId, instance: &InstanceId, listed: &ListedImage, owner: &Owner) -> Result<(), NotProved> {
    prove_tag(listed, tags::OWNER, owner.as_str())?;
    prove_tag(listed, tags::JOB, &job.to_string())?;
    match &listed.source_instance {
        Some(found) if found != instance => {
            let (expected, found) = (instance.to_string(), found.to_string());
            return Err(NotProved::OtherInstance { expected, found });
        }
        Some(_) => {}
        // An endpoint that does not tell: then the tag that was set in the request itself has to.
        None => prove_tag(listed, tags::INSTANCE, instance.as_str())?,
    }
    if listed.state == ListedState::Disabled { Err(NotProved::Disabled) } else { Ok(()) }
}

fn prove_tag(listed: &ListedImage, tag: &'static str, expected: &str) -> Result<(), NotProved> {
    let found = listed.tags.get(tag);
    if found.is_some_and(|found| found == expected) {
        return Ok(());
    }
    Err(NotProved::Tag { tag, expected: expected.to_owned(), found: found.cloned() })
}
