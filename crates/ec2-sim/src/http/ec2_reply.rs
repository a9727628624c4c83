//! EC2's answers in XML, with the element names of its service model.

mod launch_templates;

use std::fmt::Display;

use amikeep_domain::instance::InstanceState;

use crate::error::ApiError;
use crate::http::ec2_request::VERSION;
use crate::http::xml::Xml;
use crate::reply::{
    ImageView, InstanceType, InstanceView, MappedDevice, Mapping, Page, Reply, SnapshotView, StateReason, StatusView,
    VolumeView, root_device_type, state_code, usage_operation,
};
use crate::request::Action;
use crate::time_text::wire_time;

pub(crate) fn render(action: Action, reply: &Reply, request_id: &str) -> String {
    let namespace = format!("http://ec2.amazonaws.com/doc/{VERSION}/");
    Xml::document(&format!("{action}Response"), Some(&namespace), |xml| {
        xml.text("requestId", request_id);
        content(xml, reply);
    })
}

pub(crate) fn render_error(error: &ApiError, request_id: &str) -> String {
    Xml::document("Response", None, |xml| {
        xml.element("Errors", |xml| {
            xml.element("Error", |xml| {
                xml.text("Code", &error.code);
                xml.text("Message", &error.message);
            });
        });
        xml.text("RequestID", request_id);
    })
}

fn content(xml: &mut Xml, reply: &Reply) {
    match reply {
        Reply::Instances(page) => items(xml, "reservationSet", page, reservation),
        Reply::InstanceStatuses(page) => items(xml, "instanceStatusSet", page, instance_status),
        Reply::InstanceTypes(page) => items(xml, "instanceTypeSet", page, instance_type),
        Reply::Volumes(page) => items(xml, "volumeSet", page, volume),
        Reply::Images(page) => items(xml, "imagesSet", page, image),
        Reply::Snapshots(page) => items(xml, "snapshotSet", page, snapshot),
        Reply::SnapshotsStarted(started) => xml.items("snapshotSet", started, started_snapshot),
        Reply::UefiData { instance_id, uefi_data } => {
            xml.text("instanceId", instance_id);
            xml.text("uefiData", uefi_data.as_deref().unwrap_or_default());
        }
        Reply::Tags(page) => items(xml, "tagSet", page, |xml, tag| {
            xml.text("resourceId", &tag.resource_id);
            xml.text("resourceType", tag.resource_type);
            xml.text("key", &tag.key);
            xml.text("value", &tag.value);
        }),
        Reply::Regions(regions) => xml.items("regionInfo", regions, |xml, region| {
            xml.text("regionName", region);
            xml.text("regionEndpoint", format!("ec2.{region}.amazonaws.com"));
            xml.text("optInStatus", "opt-in-not-required");
        }),
        Reply::ImageReferences(page) => items(xml, "imageReferenceSet", page, |xml, reference| {
            xml.text("imageId", &reference.image_id);
            xml.text("resourceType", reference.resource_type);
            xml.text("arn", &reference.arn);
        }),
        Reply::LaunchTemplates(page) => items(xml, "launchTemplates", page, launch_templates::template),
        Reply::LaunchTemplateVersions(page) => {
            items(xml, "launchTemplateVersionSet", page, launch_templates::version);
        }
        Reply::LaunchTemplate(view) => {
            xml.element("launchTemplate", |xml| launch_templates::template(xml, view));
        }
        Reply::LaunchTemplateVersion(view) => {
            xml.element("launchTemplateVersion", |xml| launch_templates::version(xml, view));
        }
        Reply::Protection(protection) => xml.text("return", protection.as_str()),
        Reply::ImageCreated(id) => xml.text("imageId", id),
        Reply::ImageDeregistered(deletions) => {
            xml.text("return", true);
            if !deletions.is_empty() {
                xml.items("deleteSnapshotResultSet", deletions, |xml, (id, deletion)| {
                    xml.text("snapshotId", id);
                    xml.text("returnCode", deletion.as_str());
                });
            }
        }
        Reply::StateChanges(changes) => xml.items("instancesSet", changes, |xml, change| {
            xml.text("instanceId", &change.instance_id);
            state(xml, "currentState", change.current);
            state(xml, "previousState", change.previous);
        }),
        // Answers of STS, of Systems Manager and of Service Quotas do not come here; of EC2, these are the ones that say nothing.
        Reply::Done
        | Reply::CallerIdentity(_)
        | Reply::RoleAssumed(_)
        | Reply::ServiceQuotas(_)
        | Reply::CommandSent { .. }
        | Reply::Invocation(_)
        | Reply::CommandCancelled
        | Reply::Agents(_) => xml.text("return", true),
    }
}

fn items<T>(xml: &mut Xml, name: &str, page: &Page<T>, item: impl Fn(&mut Xml, &T)) {
    xml.items(name, &page.items, item);
    if let Some(token) = &page.next_token {
        xml.text("nextToken", token);
    }
}

fn state(xml: &mut Xml, name: &str, state: InstanceState) {
    xml.element(name, |xml| {
        xml.text("code", state_code(state));
        xml.text("name", state);
    });
}

fn state_reason(xml: &mut Xml, reason: Option<&StateReason>) {
    if let Some(reason) = reason {
        xml.element("stateReason", |xml| {
            xml.text("code", &reason.code);
            xml.text("message", &reason.message);
        });
    }
}

/// Every instance was launched alone, so each has a reservation of its own.
fn reservation(xml: &mut Xml, view: &InstanceView) {
    xml.text("reservationId", &view.facts.reservation_id);
    xml.text("ownerId", &view.facts.account);
    xml.items("groupSet", [(); 0], |_, ()| {});
    xml.items("instancesSet", [view], instance);
}

fn instance(xml: &mut Xml, view: &InstanceView) {
    let facts = &view.facts;
    xml.text("instanceId", &facts.id);
    xml.text("imageId", &facts.launched_from);
    state(xml, "instanceState", view.state);
    xml.text("privateDnsName", format!("ip-{}.internal", facts.private_ip.replace('.', "-")));
    xml.text("dnsName", "");
    let stopped = view.state_reason.as_ref().map(|_| "User initiated");
    xml.text("reason", stopped.unwrap_or_default());
    xml.text("amiLaunchIndex", 0);
    xml.text("instanceType", &facts.instance_type);
    xml.time("launchTime", view.launched_at);
    xml.element("placement", |xml| {
        xml.text("availabilityZone", &facts.zone);
        xml.text("groupName", "");
        xml.text("tenancy", "default");
    });
    if facts.platform_details.starts_with("Windows") {
        xml.text("platform", "windows");
    }
    xml.element("monitoring", |xml| xml.text("state", "disabled"));
    xml.text("privateIpAddress", &facts.private_ip);
    state_reason(xml, view.state_reason.as_ref());
    xml.text("architecture", &facts.architecture);
    xml.text("rootDeviceType", root_device_type(facts.root_device));
    xml.text("rootDeviceName", &facts.root_device_name);
    xml.items("blockDeviceMapping", &view.attachments, |xml, attached| {
        xml.text("deviceName", &attached.device);
        xml.element("ebs", |xml| {
            xml.text("volumeId", &attached.volume_id);
            xml.text("status", "attached");
            xml.time("attachTime", attached.attached_at);
            xml.text("deleteOnTermination", attached.delete_on_termination);
        });
    });
    xml.text("virtualizationType", &facts.machine.virtualization);
    xml.tags(&view.tags);
    xml.text("hypervisor", "xen");
    xml.text("ebsOptimized", false);
    xml.text("enaSupport", facts.machine.ena_support);
    texts(
        xml,
        [
            ("sriovNetSupport", &facts.machine.sriov_net_support),
            ("bootMode", &facts.machine.boot_mode),
            ("tpmSupport", &facts.machine.tpm_support),
        ],
    );
    // Without a word of its image an instance boots as its type does; here that is the BIOS.
    xml.text("currentInstanceBootMode", facts.machine.boot_mode.as_deref().unwrap_or("legacy-bios"));
    xml.element("metadataOptions", |xml| {
        let tokens = if facts.machine.imds_support.is_some() { "required" } else { "optional" };
        xml.text("httpTokens", tokens);
    });
    xml.items("productCodes", &facts.product_codes, |xml, code| {
        xml.text("productCode", code);
        xml.text("type", "marketplace");
    });
    xml.element("hibernationOptions", |xml| xml.text("configured", facts.hibernation_configured));
    xml.text("platformDetails", &facts.platform_details);
    xml.text("usageOperation", usage_operation(&facts.platform_details));
}

fn instance_status(xml: &mut Xml, status: &StatusView) {
    xml.text("instanceId", &status.instance_id);
    xml.text("availabilityZone", &status.zone);
    state(xml, "instanceState", status.state);
    for check in ["systemStatus", "instanceStatus"] {
        xml.element(check, |xml| {
            xml.text("status", status.checks);
            let details = match status.checks {
                "ok" => Some("passed"),
                "initializing" => Some("initializing"),
                _ => None,
            };
            xml.items("details", details, |xml, reachability| {
                xml.text("name", "reachability");
                xml.text("status", reachability);
            });
        });
    }
}

fn instance_type(xml: &mut Xml, described: &InstanceType) {
    xml.text("instanceType", &described.name);
    xml.text("instanceStorageSupported", 0 < described.disks);
    if 0 < described.disks {
        xml.element("instanceStorageInfo", |xml| {
            xml.text("totalSizeInGB", u64::from(described.disks) * u64::from(described.disk_size_gb));
            xml.items("disks", [described], |xml, described| {
                xml.text("sizeInGB", described.disk_size_gb);
                xml.text("count", described.disks);
                xml.text("type", "ssd");
            });
        });
    }
}

fn volume(xml: &mut Xml, view: &VolumeView) {
    let facts = &view.facts;
    xml.text("volumeId", &facts.id);
    xml.text("size", facts.size_gib);
    xml.text("snapshotId", "");
    xml.text("availabilityZone", &facts.zone);
    xml.text("status", view.status());
    xml.time("createTime", facts.created_at);
    xml.items("attachmentSet", &view.attachment, |xml, (instance_id, attached)| {
        xml.text("volumeId", &attached.volume_id);
        xml.text("instanceId", instance_id);
        xml.text("device", &attached.device);
        xml.text("status", "attached");
        xml.time("attachTime", attached.attached_at);
        xml.text("deleteOnTermination", attached.delete_on_termination);
    });
    xml.text("volumeType", &facts.volume_type);
    texts(xml, [("iops", &facts.iops), ("throughput", &facts.throughput)]);
    xml.text("encrypted", facts.encrypted);
    xml.text("multiAttachEnabled", false);
    xml.tags(&view.tags);
}

fn image(xml: &mut Xml, view: &ImageView) {
    let facts = &view.facts;
    xml.text("imageId", &facts.id);
    xml.text("imageLocation", view.location());
    xml.text("imageState", view.state.as_str());
    xml.text("imageOwnerId", &facts.owner);
    xml.text("creationDate", wire_time(facts.created_at));
    xml.text("isPublic", false);
    xml.text("architecture", &facts.architecture);
    xml.text("imageType", "machine");
    if facts.platform_details.starts_with("Windows") {
        xml.text("platform", "windows");
    }
    xml.text("platformDetails", &facts.platform_details);
    xml.text("usageOperation", usage_operation(&facts.platform_details));
    if let Some(instance) = facts.source_instance() {
        xml.text("sourceInstanceId", instance);
    }
    xml.text("name", &facts.name);
    if let Some(description) = &facts.description {
        xml.text("description", description);
    }
    xml.text("rootDeviceType", "ebs");
    xml.text("rootDeviceName", &facts.root_device_name);
    xml.items("blockDeviceMapping", &view.mappings, mapping);
    xml.text("virtualizationType", &facts.machine.virtualization);
    xml.text("hypervisor", "xen");
    xml.text("enaSupport", facts.machine.ena_support);
    texts(
        xml,
        [
            ("sriovNetSupport", &facts.machine.sriov_net_support),
            ("bootMode", &facts.machine.boot_mode),
            ("tpmSupport", &facts.machine.tpm_support),
            ("imdsSupport", &facts.machine.imds_support),
        ],
    );
    xml.text("deregistrationProtection", view.protection.as_str());
    xml.tags(&view.tags);
    state_reason(xml, view.state_reason.as_ref());
}

fn mapping(xml: &mut Xml, mapping: &Mapping) {
    xml.text("deviceName", &mapping.device);
    match &mapping.mapped {
        MappedDevice::InstanceStore(virtual_name) => xml.text("virtualName", virtual_name),
        MappedDevice::Ebs {
            snapshot_id,
            size_gib,
            volume_type,
            iops,
            throughput,
            delete_on_termination,
            encrypted,
            ..
        } => {
            xml.element("ebs", |xml| {
                if let Some(snapshot_id) = snapshot_id {
                    xml.text("snapshotId", snapshot_id);
                }
                xml.text("volumeSize", size_gib);
                xml.text("deleteOnTermination", delete_on_termination);
                xml.text("volumeType", volume_type);
                texts(xml, [("iops", iops), ("throughput", throughput)]);
                xml.text("encrypted", encrypted);
            });
        }
    }
}

/// A member of `CreateSnapshots`' answer, which calls some things otherwise than `DescribeSnapshots` does.
fn started_snapshot(xml: &mut Xml, view: &SnapshotView) {
    let facts = &view.facts;
    xml.text("description", &facts.description);
    xml.tags(&view.tags);
    xml.text("encrypted", facts.encrypted);
    xml.text("volumeId", &facts.volume_id);
    xml.text("state", view.state.as_str());
    xml.text("volumeSize", facts.size_gib);
    xml.time("startTime", facts.started_at);
    xml.text("progress", "");
    xml.text("ownerId", &facts.owner);
    xml.text("snapshotId", &facts.id);
}

/// Elements for what is there.
fn texts<T: Display, const N: usize>(xml: &mut Xml, texts: [(&str, &Option<T>); N]) {
    for (name, text) in texts {
        if let Some(text) = text {
            xml.text(name, text);
        }
    }
}

fn snapshot(xml: &mut Xml, view: &SnapshotView) {
    let facts = &view.facts;
    xml.text("snapshotId", &facts.id);
    xml.text("volumeId", &facts.volume_id);
    xml.text("status", view.state.as_str());
    xml.time("startTime", facts.started_at);
    xml.text("progress", format!("{}%", view.progress_percent));
    xml.text("ownerId", &facts.owner);
    xml.text("volumeSize", facts.size_gib);
    xml.text("description", &facts.description);
    xml.text("encrypted", facts.encrypted);
    xml.text("storageTier", "standard");
    if let Some(completed_at) = view.completed_at {
        xml.time("completionTime", completed_at);
    }
    xml.tags(&view.tags);
}
