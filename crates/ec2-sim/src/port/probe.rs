//! Dry runs. A call that needs a resource is asked about one of amikeep's own, and not at all where there is none.

use amikeep_cloud::{Action, CloudError, CloudErrorKind, ProbeOutcome, Reboot};
use amikeep_domain::id::InstanceId;
use amikeep_domain::tags;

use crate::port::{SimCloud, quotas_page, usage};
use crate::reply::{MachineAttributes, Reply};
use crate::request::{
    CreateImage, CreateSnapshots, DescribeImages, DescribeLaunchTemplateVersions, Filter, NewTag, Query, RegisterImage,
    Request, SnapshotMapping,
};

impl SimCloud {
    pub(crate) fn ask(&self, action: Action, instance: Option<InstanceId>) -> Result<ProbeOutcome, CloudError> {
        let query = Query::default();
        let request = match action {
            Action::GetCallerIdentity => return understood(self.send(action, Request::GetCallerIdentity, false)),
            Action::AssumeRole => return Ok(not_checked("the account has no role_arn")),
            Action::ListServiceQuotas => return understood(self.send(action, quotas_page(None), false)),
            Action::DescribeInstances => Request::DescribeInstances { ids: Vec::new(), query },
            Action::DescribeInstanceTypes => Request::DescribeInstanceTypes { names: Vec::new(), query },
            Action::DescribeImages => Request::DescribeImages(DescribeImages::default()),
            Action::DescribeSnapshots => Request::DescribeSnapshots { ids: Vec::new(), owners: Vec::new(), query },
            Action::DescribeVolumes => Request::DescribeVolumes { ids: Vec::new(), query },
            Action::CreateSnapshots | Action::GetInstanceUefiData | Action::DescribeInstanceInformation => {
                match instance {
                    Some(instance) => of_instance(action, instance.to_string()),
                    None => return Ok(not_checked("there is no instance to ask about")),
                }
            }
            Action::RegisterImage => match self.own_snapshot()? {
                Some(snapshot_id) => register_image(snapshot_id),
                None => return Ok(not_checked("there is no snapshot of amikeep yet to ask about")),
            },
            Action::SendCommand | Action::GetCommandInvocation | Action::CancelCommand => {
                return Ok(not_checked("Systems Manager has no DryRun"));
            }
            Action::CreateImage => match instance {
                Some(instance) => create_image(instance.to_string()),
                None => return Ok(not_checked("there is no instance to ask about")),
            },
            Action::DeleteSnapshot => match self.own_snapshot()? {
                Some(snapshot_id) => Request::DeleteSnapshot { snapshot_id },
                None => return Ok(not_checked("there is no snapshot of amikeep yet to ask about")),
            },
            Action::CreateTags | Action::DeleteTags | Action::DeregisterImage | Action::DescribeImageReferences => {
                match self.own_image()? {
                    Some(image_id) => of_image(action, image_id),
                    None => return Ok(not_checked("there is no image of amikeep yet to ask about")),
                }
            }
            Action::DescribeLaunchTemplates => {
                Request::DescribeLaunchTemplates { ids: Vec::new(), names: Vec::new(), query }
            }
            Action::DescribeLaunchTemplateVersions => {
                let versions = vec!["$Latest".to_owned()];
                let call = DescribeLaunchTemplateVersions { versions, ..DescribeLaunchTemplateVersions::default() };
                Request::DescribeLaunchTemplateVersions(call)
            }
        };
        understood(self.send(action, request, true))
    }

    fn own_image(&self) -> Result<Option<String>, CloudError> {
        let images = self.images(&[Filter::new("tag-key", [tags::OWNER])])?;
        Ok(images.first().map(|image| image.id.to_string()))
    }

    fn own_snapshot(&self) -> Result<Option<String>, CloudError> {
        let snapshots = self.snapshots(&[Filter::new("tag-key", [tags::OWNER])])?;
        Ok(snapshots.first().map(|snapshot| snapshot.id.to_string()))
    }
}

fn create_image(instance_id: String) -> Request {
    Request::CreateImage(CreateImage {
        instance_id,
        name: "amikeep-dry-run".to_owned(),
        description: None,
        reboot: Reboot::No,
        mappings: Vec::new(),
        tag_specifications: Vec::new(),
    })
}

/// A call about one instance.
fn of_instance(action: Action, instance_id: String) -> Request {
    match action {
        Action::GetInstanceUefiData => Request::GetInstanceUefiData { instance_id },
        Action::DescribeInstanceInformation => Request::DescribeInstanceInformation { ids: vec![instance_id] },
        _ => Request::CreateSnapshots(CreateSnapshots {
            instance_id,
            exclude_root: false,
            excluded: Vec::new(),
            description: None,
            tag_specifications: Vec::new(),
        }),
    }
}

fn register_image(snapshot_id: String) -> Request {
    Request::RegisterImage(RegisterImage {
        name: "amikeep-dry-run".to_owned(),
        description: None,
        architecture: "x86_64".to_owned(),
        root_device_name: "/dev/xvda".to_owned(),
        mappings: vec![SnapshotMapping::new("/dev/xvda", snapshot_id)],
        instance_store: Vec::new(),
        machine: MachineAttributes::default(),
        tag_specifications: Vec::new(),
    })
}

/// A call about one image.
fn of_image(action: Action, image_id: String) -> Request {
    match action {
        Action::DescribeImageReferences => {
            let call = usage::references([image_id].into_iter(), Query::default());
            Request::DescribeImageReferences(call)
        }
        Action::DeregisterImage => Request::DeregisterImage { image_id, delete_snapshots: true },
        Action::DeleteTags => {
            Request::DeleteTags { resources: vec![image_id], tags: vec![(tags::GRADE.to_owned(), None)] }
        }
        _ => {
            let tag = NewTag { key: tags::GRADE.to_owned(), value: "crash".to_owned() };
            Request::CreateTags { resources: vec![image_id], tags: vec![tag] }
        }
    }
}

fn not_checked(why: &str) -> ProbeOutcome {
    ProbeOutcome::NotChecked(why.to_owned())
}

fn understood(answer: Result<Reply, CloudError>) -> Result<ProbeOutcome, CloudError> {
    use CloudErrorKind as Kind;
    let Err(error) = answer else { return Ok(ProbeOutcome::Allowed) };
    match error.kind {
        Kind::DryRunSucceeded => Ok(ProbeOutcome::Allowed),
        Kind::Denied => Ok(ProbeOutcome::Denied(error.message)),
        Kind::Credentials | Kind::Unavailable | Kind::Throttled => Err(error),
        Kind::OutcomeUnknown => Err(CloudError { kind: Kind::Unavailable, ..error }),
        Kind::Busy | Kind::NotFound | Kind::NameInUse | Kind::InUse | Kind::WrongState | Kind::Invalid => {
            Ok(ProbeOutcome::NotChecked(format!("{}: {}", error.code, error.message)))
        }
    }
}
