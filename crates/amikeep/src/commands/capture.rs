//! What EC2 says of an instance that is to be imaged by its snapshots, for `explain` and `hold`: asked, and nothing taken.

use amikeep_cloud::{Cloud as _, CloudErrorKind};
use amikeep_cloud_aws::AwsCloud;
use amikeep_config::Account;
use amikeep_domain::id::{InstanceId, Owner};
use amikeep_view::capture::BySnapshots;

use crate::wiring;

/// As it would be judged before a hold.
pub(crate) async fn by_snapshots(account: &Account, owner: &Owner, instance: InstanceId) -> BySnapshots {
    let cloud = match AwsCloud::connect(wiring::aws_account(account, owner)).await {
        Ok(cloud) => cloud,
        Err(error) => return BySnapshots::unknown(error.to_string()),
    };
    match cloud.observe_attributes(instance).await {
        Ok(Some(attributes)) => BySnapshots::of(&attributes),
        Ok(None) => BySnapshots::unknown("EC2 shows no such instance".to_owned()),
        Err(error) if error.kind == CloudErrorKind::Denied => {
            BySnapshots::unfit(format!("EC2 does not show what the image has to carry: {error}"))
        }
        Err(error) => BySnapshots::unknown(error.to_string()),
    }
}
