//! How many instance-store disks an instance has. No image captures them, and only its type tells of them.
//!
//! A convenience, never a condition: whatever goes wrong here leaves the number unknown and the listing whole.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use amikeep_cloud::{Action, CloudError, CloudErrorKind};
use aws_sdk_ec2::types;

use crate::client::AwsCloud;
use crate::convert;
use crate::page::{Page, every_page, filters};

/// The most types that EC2 describes on one page.
const TYPES_PER_PAGE: i32 = 100;

/// What is known of types, for as long as the process runs: a type does not change.
#[derive(Debug, Default)]
pub(crate) struct InstanceTypes(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    /// `None` for a type that EC2 did not describe.
    disks: BTreeMap<String, Option<u32>>,
    access: Access,
}

/// Whether asking makes sense.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Access {
    #[default]
    Allowed,
    /// EC2 refused once. It is not asked again until the next start.
    Denied,
}

impl InstanceTypes {
    /// The disks of a type, where they are known.
    pub(crate) fn disks(&self, instance_type: Option<&types::InstanceType>) -> Option<u32> {
        self.known().disks.get(instance_type?.as_str()).copied().flatten()
    }

    fn unknown(&self, instances: &[types::Instance]) -> BTreeSet<String> {
        let known = self.known();
        if known.access == Access::Denied {
            return BTreeSet::new();
        }
        let seen = instances.iter().filter_map(|instance| instance.instance_type());
        seen.map(|name| name.as_str().to_owned()).filter(|name| !known.disks.contains_key(name)).collect()
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl AwsCloud {
    /// Asks for the types of these instances that are not known yet.
    pub(crate) async fn learn_types(&self, instances: &[types::Instance]) {
        let names = self.instance_types.unknown(instances);
        if names.is_empty() {
            return;
        }
        match self.describe_types(&names).await {
            Ok(described) => {
                let mut known = self.instance_types.known();
                known.disks.extend(names.into_iter().map(|name| (name, None)));
                known.disks.extend(described);
            }
            Err(error) => {
                tracing::warn!(%error, "instance-store disks stay unknown");
                if error.kind == CloudErrorKind::Denied {
                    self.instance_types.known().access = Access::Denied;
                }
            }
        }
    }

    async fn describe_types(&self, names: &BTreeSet<String>) -> Result<Vec<(String, Option<u32>)>, CloudError> {
        let mut described = Vec::new();
        for filter in filters("instance-type", names.iter().map(String::as_str)) {
            let call = self.call(Action::DescribeInstanceTypes);
            let request = self.reads.describe_instance_types().filters(filter).max_results(TYPES_PER_PAGE);
            let types = every_page(&call, async |token| {
                let request = request.clone().set_next_token(token);
                let answer = request.customize().interceptor(call.watch()).send().await;
                let answer = answer.map_err(|error| call.failed(&error))?;
                Ok(Page { entries: answer.instance_types.unwrap_or_default(), next: answer.next_token })
            })
            .await?;
            described.extend(
                types
                    .iter()
                    .filter_map(|seen| Some((seen.instance_type()?.as_str().to_owned(), Some(convert::disks(seen))))),
            );
        }
        Ok(described)
    }
}
