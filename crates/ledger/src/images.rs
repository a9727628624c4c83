//! Images: a row for each that EC2 was seen to make for a job. The row follows the events of the job and the listings of
//! EC2, its deletion, and an operator's pin; no other code writes it.

use std::collections::BTreeMap;

use amikeep_domain::grade::Grade;
use amikeep_domain::id::{
    AccountId, AccountName, ClassName, ImageId, InstanceId, JobId, PolicyName, Region, RequestId, SnapshotId, VolumeId,
};
use amikeep_domain::image_name::ImageName;
use amikeep_domain::job::{CapturedVolume, Finished, Job, JobEvent, JobState, Taken};
use jiff::Timestamp;

use crate::error::{Failure, LedgerError};
use crate::field::{Place, millis};
use crate::ledger::{Access, Ledger, Tx};
use crate::requests::{self, Settled};
use crate::{jobs, sql, stored};

/// What became of an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ImageRowState {
    /// EC2 makes it.
    Pending,
    /// It can be launched.
    Available,
    /// EC2 reported it failed, or its job ended before it was available.
    Failed,
    /// A complete listing did not contain it any more, and amikeep did not delete it.
    Missing,
    /// Its deletion is written down.
    Deleting,
    /// It is gone, and some of its snapshots are not yet.
    SnapshotsLeft,
    /// It and its snapshots are gone.
    Deleted,
}

impl ImageRowState {
    /// Every state.
    pub const ALL: [Self; 7] = [
        Self::Pending,
        Self::Available,
        Self::Failed,
        Self::Missing,
        Self::Deleting,
        Self::SnapshotsLeft,
        Self::Deleted,
    ];

    /// The word of the contract.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Available => "available",
            Self::Failed => "failed",
            Self::Missing => "missing",
            Self::Deleting => "deleting",
            Self::SnapshotsLeft => "snapshots-left",
            Self::Deleted => "deleted",
        }
    }
}

/// An image that amikeep had made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageRow {
    /// Its id.
    pub image: ImageId,
    /// Its name.
    pub name: ImageName,
    /// The job that had it made.
    pub job: JobId,
    /// The policy of the job.
    pub policy: PolicyName,
    /// The account it is in.
    pub account: AccountId,
    /// The configured name of that account.
    pub account_name: AccountName,
    /// The region it is in.
    pub region: Region,
    /// The instance it was taken of.
    pub instance: InstanceId,
    /// The class that applied.
    pub class: ClassName,
    /// When it was captured, once it is available.
    pub captured_at: Option<Timestamp>,
    /// Its grade, once it is available.
    pub grade: Option<Grade>,
    /// Its volumes, once it is available.
    pub volumes: Vec<CapturedVolume>,
    /// What became of it.
    pub state: ImageRowState,
    /// Whether it counts for retention: its job succeeded.
    pub counts: bool,
    /// Whether an operator pinned it.
    pub pinned: bool,
    /// Since when complete listings have not shown it; kept while what is left of it is deleted.
    pub missing_since: Option<Timestamp>,
    /// When it was first seen.
    pub first_seen_at: Timestamp,
    /// When it was last seen.
    pub last_seen_at: Timestamp,
}

/// An image that an operator pinned, or unpinned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PinRecord {
    /// The request by which it was asked for.
    pub request: Option<RequestId>,
    /// The account the image is in.
    pub account: AccountId,
    /// The region it is in.
    pub region: Region,
    /// The image.
    pub image: ImageId,
    /// Whether it is pinned from now on.
    pub pinned: bool,
    /// Now.
    pub at: Timestamp,
}

#[derive(sqlx::FromRow)]
struct StoredImage {
    image: String,
    name: String,
    job: String,
    policy: String,
    account: String,
    account_name: String,
    region: String,
    instance: String,
    class: String,
    captured_at: Option<i64>,
    grade: Option<String>,
    volumes: String,
    state: String,
    counts: bool,
    pinned: bool,
    missing_since: Option<i64>,
    first_seen_at: i64,
    last_seen_at: i64,
}

impl TryFrom<StoredImage> for ImageRow {
    type Error = LedgerError;

    fn try_from(row: StoredImage) -> Result<Self, LedgerError> {
        let at = Place::new("images", &row.image);
        Ok(Self {
            image: at.parse("image", &row.image)?,
            name: at.parse("name", &row.name)?,
            job: at.parse("job", &row.job)?,
            policy: at.parse("policy", &row.policy)?,
            account: at.parse("account", &row.account)?,
            account_name: at.parse("account_name", &row.account_name)?,
            region: at.parse("region", &row.region)?,
            instance: at.parse("instance", &row.instance)?,
            class: at.parse("class", &row.class)?,
            captured_at: at.time_some("captured_at", row.captured_at)?,
            grade: at.parse_some("grade", row.grade.as_deref())?,
            volumes: at.read("volumes", stored::decode_volumes(&row.volumes))?,
            state: at.word("state", &row.state, &ImageRowState::ALL, ImageRowState::as_str)?,
            counts: row.counts,
            pinned: row.pinned,
            missing_since: at.time_some("missing_since", row.missing_since)?,
            first_seen_at: at.time("first_seen_at", row.first_seen_at)?,
            last_seen_at: at.time("last_seen_at", row.last_seen_at)?,
        })
    }
}

impl Ledger {
    /// Every image ever made, by series and newest first; of one policy, of one instance, or of both.
    pub async fn images(
        &self,
        policy: Option<&PolicyName>,
        instance: Option<&InstanceId>,
    ) -> Result<Vec<ImageRow>, LedgerError> {
        let result = async {
            let statement = match (policy, instance) {
                (_, Some(_)) => sql::IMAGES_OF_INSTANCE,
                (Some(_), None) => sql::IMAGES_OF_POLICY,
                (None, None) => sql::IMAGES,
            };
            let query = sqlx::query_as(statement);
            let query = query.bind(policy.map(PolicyName::as_str)).bind(instance.map(InstanceId::as_str));
            let rows: Vec<StoredImage> = query.fetch_all(self.readers()).await?;
            Ok(rows.into_iter().map(ImageRow::try_from).collect::<Result<_, _>>()?)
        };
        self.explain_read(result.await, "the images")
    }

    /// The rows of an image: one, or none; more only if accounts in several places have an image of the same id.
    pub async fn images_by_id(&self, image: &ImageId) -> Result<Vec<ImageRow>, LedgerError> {
        let result = async {
            let query = sqlx::query_as(sql::IMAGES_BY_ID).bind(None::<&str>).bind(None::<&str>).bind(image.as_str());
            let rows: Vec<StoredImage> = query.fetch_all(self.readers()).await?;
            Ok(rows.into_iter().map(ImageRow::try_from).collect::<Result<_, _>>()?)
        };
        self.explain_read(result.await, format!("image {image}"))
    }

    /// Records a complete listing of amikeep's images, with whether each is pinned. Available images that are not in it
    /// become missing, and missing ones that are in it are available again. `at` is when the listing was begun: an image
    /// that was seen after that is not missing. Only rows that changed are written.
    pub async fn record_images_seen(
        &self,
        account: &AccountId,
        region: &Region,
        seen: &[(ImageId, bool)],
        at: Timestamp,
    ) -> Result<(), LedgerError> {
        let result = self.try_record_images_seen(account, region, seen, at).await;
        let (account, region) = (account.clone(), region.clone());
        self.explain(result, |source| LedgerError::RecordImagesSeen { account, region, source })
    }

    async fn try_record_images_seen(
        &self,
        account: &AccountId,
        region: &Region,
        seen: &[(ImageId, bool)],
        at: Timestamp,
    ) -> Result<(), Failure> {
        let mut tx = self.begin(Access::Engine).await?;
        insert_listing(&mut tx, &ListingSeen { account, region, seen, listed_at: at, missing_before: at }).await?;
        Ok(tx.commit().await?)
    }

    /// Every image of an account and region that is not deleted, by series and newest first.
    pub async fn images_to_prune(&self, account: &AccountId, region: &Region) -> Result<Vec<ImageRow>, LedgerError> {
        let result = async {
            let query = sqlx::query_as(sql::IMAGES_TO_PRUNE).bind(None::<&str>).bind(None::<&str>);
            let query = query.bind(account.as_str()).bind(region.as_str());
            let rows: Vec<StoredImage> = query.fetch_all(self.readers()).await?;
            Ok(rows.into_iter().map(ImageRow::try_from).collect::<Result<_, _>>()?)
        };
        self.explain_read(result.await, format!("the images of account {account}, {region}"))
    }

    /// Records that an image was pinned or unpinned: its row, a row in the history of its job, and that the request is
    /// done. A listing that was begun before says nothing about it.
    pub async fn record_pinned(&self, pin: &PinRecord) -> Result<(), LedgerError> {
        let result = self.try_record_pinned(pin).await;
        self.explain(result, |source| LedgerError::RecordPinned { image: pin.image.clone(), source })
    }

    async fn try_record_pinned(&self, pin: &PinRecord) -> Result<(), Failure> {
        let mut tx = self.begin(Access::Engine).await?;
        let query = sqlx::query_scalar(sql::PIN_IMAGE)
            .bind(pin.account.as_str())
            .bind(pin.region.as_str())
            .bind(pin.image.as_str())
            .bind(pin.pinned)
            .bind(millis(pin.at));
        let job: Option<String> = query.fetch_optional(&mut *tx).await?;
        let job = job.ok_or_else(|| LedgerError::UnknownImage { image: pin.image.clone() })?;
        let event = if pin.pinned { "pinned" } else { "unpinned" };
        jobs::insert_event(&mut tx, &job, pin.at, event, pin.image.as_str()).await?;
        if let Some(request) = pin.request {
            requests::settle(&mut tx, request, Settled::Done, pin.at).await?;
        }
        Ok(tx.commit().await?)
    }
}

/// A complete listing of amikeep's images in an account and region.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ListingSeen<'a> {
    pub(crate) account: &'a AccountId,
    pub(crate) region: &'a Region,
    /// The images, and whether each is pinned.
    pub(crate) seen: &'a [(ImageId, bool)],
    /// When it was begun.
    pub(crate) listed_at: Timestamp,
    /// It knows everything that happened before this.
    pub(crate) missing_before: Timestamp,
}

pub(crate) async fn insert_listing(tx: &mut Tx, listing: &ListingSeen<'_>) -> Result<(), Failure> {
    let pairs = listing.seen.iter().map(|(image, pinned)| (image.as_str(), u8::from(*pinned)));
    let json = stored::to_json(&pairs.collect::<Vec<_>>());
    let (account, region, listed_at) = (listing.account.as_str(), listing.region.as_str(), millis(listing.listed_at));
    // Those that are missing first: they need the time of the listing before.
    for statement in [sql::IMAGES_MISSING, sql::IMAGES_SEEN] {
        let query = sqlx::query(statement).bind(account).bind(region).bind(&json).bind(listed_at);
        query.bind(millis(listing.missing_before)).execute(&mut **tx).await?;
    }
    sqlx::query(sql::UPSERT_LISTING).bind(account).bind(region).bind(listed_at).execute(&mut **tx).await?;
    Ok(())
}

/// Keeps the images in step with an event of their job, in the transaction of the event. `job` is the job before it.
pub(crate) async fn follow(tx: &mut Tx, job: &Job, event: &JobEvent, at: Timestamp) -> Result<(), Failure> {
    match event {
        JobEvent::Accepted { image } | JobEvent::Adopted { image } => insert(tx, job, image, at).await,
        JobEvent::Available(finished) => record_available(tx, job, finished, at).await,
        JobEvent::Graded { .. } => update(tx, job, job.image(), sql::IMAGE_COUNTS).await,
        JobEvent::ImageFailed { image, .. } => update(tx, job, Some(image), sql::IMAGE_NEVER_COUNTS).await,
        JobEvent::Failed(_) if job.image().is_some() => update(tx, job, job.image(), sql::IMAGE_NEVER_COUNTS).await,
        _ => Ok(()),
    }
}

async fn insert(tx: &mut Tx, job: &Job, image: &ImageId, at: Timestamp) -> Result<(), Failure> {
    let place = job.id.to_string();
    let intent = job.intent.as_ref().ok_or_else(|| Place::new("jobs", &place).inconsistent("intent"))?;
    let query = sqlx::query(sql::INSERT_IMAGE)
        .bind(image.as_str())
        .bind(job.key.account.as_str())
        .bind(job.key.region.as_str())
        .bind(intent.name.as_str())
        .bind(place.as_str())
        .bind(job.key.policy.as_str())
        .bind(job.account_name.as_str())
        .bind(job.key.instance.as_str())
        .bind(job.class.as_str())
        .bind(millis(at))
        .bind(stored::encode_volumes(&known_volumes(job)));
    one_row(query.execute(&mut **tx).await?.rows_affected(), image)
}

/// Of an image that is registered from snapshots these are known from the start, and nothing else would tie them to it: who
/// deregisters it must not leave them behind unseen.
fn known_volumes(job: &Job) -> Vec<CapturedVolume> {
    let JobState::Taken(Taken { snapshots, .. }) = &job.state else { return Vec::new() };
    let attached = job.intent.iter().flat_map(|intent| &intent.volumes);
    let devices: BTreeMap<_, _> = attached.map(|it| (&it.volume, it.device.as_str())).collect();
    let volume = |(volume, snapshot): (&VolumeId, &SnapshotId)| CapturedVolume {
        device: devices.get(volume).copied().unwrap_or("unknown").to_owned(),
        volume: Some(volume.clone()),
        snapshot: Some(snapshot.clone()),
        grade: None,
    };
    snapshots.iter().map(volume).collect()
}

async fn record_available(tx: &mut Tx, job: &Job, finished: &Finished, at: Timestamp) -> Result<(), Failure> {
    let query = sqlx::query(sql::IMAGE_AVAILABLE)
        .bind(job.key.account.as_str())
        .bind(job.key.region.as_str())
        .bind(finished.image.as_str())
        .bind(job.id.to_string())
        .bind(millis(finished.captured_at))
        .bind(finished.grade.as_str())
        .bind(stored::encode_volumes(&finished.volumes))
        .bind(millis(at));
    one_row(query.execute(&mut **tx).await?.rows_affected(), &finished.image)
}

async fn update(tx: &mut Tx, job: &Job, image: Option<&ImageId>, statement: &'static str) -> Result<(), Failure> {
    let Some(image) = image else { return Ok(()) };
    let query = sqlx::query(statement)
        .bind(job.key.account.as_str())
        .bind(job.key.region.as_str())
        .bind(image.as_str())
        .bind(job.id.to_string());
    one_row(query.execute(&mut **tx).await?.rows_affected(), image)
}

/// An image whose row is not there, or belongs to another job, is a ledger that contradicts itself.
pub(crate) fn one_row(rows_affected: u64, image: &ImageId) -> Result<(), Failure> {
    if rows_affected == 1 { Ok(()) } else { Err(Place::new("images", image.as_str()).inconsistent("job").into()) }
}

#[cfg(test)]
mod tests;
