//! Copies of the disks, made when the point in time of a snapshot is fixed, and what had been acknowledged by then.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use amikeep_cloud::{Cloud as _, InstanceQuery};
use amikeep_ec2_sim::{Place, PointInTime, SimCloud, World};

use crate::accidents::writer::{Kept, Writer};
use crate::disks::{Disks, sh};
use crate::site::{ACCOUNT, REGION};

/// The disks, what EC2 calls them, and how a copy is mounted.
pub(super) const DISKS: [(&str, &str, &str); 2] = [("xfs", "/dev/sdf", "rw,nouuid"), ("ext4", "/dev/sdg", "rw")];

/// Who writes: one to each disk alone, and one to both in turn.
pub(super) struct Writers {
    pub(super) alone: [Writer; 2],
    pub(super) both: Writer,
}

impl Writers {
    pub(super) fn on(disks: &Disks) -> Self {
        let file = |disk: &str, name: &str| disks.path(disk).join(name);
        Self {
            alone: DISKS.map(|(disk, ..)| Writer::on(&[file(disk, "alone")])),
            both: Writer::on(&DISKS.map(|(disk, ..)| file(disk, "both"))),
        }
    }

    pub(super) fn all(&self) -> [&Writer; 3] {
        [&self.alone[0], &self.alone[1], &self.both]
    }
}

/// The copy of one disk.
#[derive(Debug, Clone)]
struct Copy {
    disk: usize,
    image: PathBuf,
    /// What had been acknowledged before it was made.
    alone: u64,
    both: u64,
}

/// Every copy that was made, by its snapshot.
#[derive(Default, Clone)]
pub(super) struct Copies(Arc<Mutex<BTreeMap<String, Copy>>>);

impl Copies {
    /// Has a copy made of each snapshot of a disk from now on.
    pub(super) async fn watch(&self, world: &World, disks: &Disks, writers: Arc<Writers>) {
        let place = Place { account: ACCOUNT.parse().unwrap(), region: REGION.parse().unwrap() };
        let instances = SimCloud::new(world.clone(), place).observe_instances(InstanceQuery::All).await.unwrap();
        let volumes = instances.into_iter().flat_map(|instance| instance.volumes);
        let disk = |device: &str| DISKS.iter().position(|(_, it, _)| *it == device);
        let volumes: BTreeMap<String, usize> =
            volumes.filter_map(|it| Some((it.volume.to_string(), disk(&it.device)?))).collect();
        let (images, copies) = (DISKS.map(|(name, ..)| disks.image(name)), self.clone());
        world.on_point_in_time(move |point: &PointInTime| {
            let Some(disk) = volumes.get(point.volume.as_str()).copied() else { return };
            // Asked before the copy: what is acknowledged by then has to be in it.
            let (alone, both) = (writers.alone[disk].acknowledged(), writers.both.acknowledged());
            let image = images[disk].with_extension(point.snapshot.as_str());
            sh(&format!("cp --reflink=always --sparse=auto {} {}", images[disk].display(), image.display()));
            copies.0.lock().unwrap().insert(point.snapshot.to_string(), Copy { disk, image, alone, both });
        });
    }

    /// What is wrong with the copies of these snapshots, after the replay of their logs, if they are to be of one moment.
    pub(super) fn doubt(&self, disks: &Disks, snapshots: &[String]) -> Option<String> {
        let copies = self.0.lock().unwrap().clone();
        let of_disk = |disk: usize| snapshots.iter().filter_map(|id| copies.get(id)).find(|it| it.disk == disk);
        let mut both = Vec::new();
        for (disk, (name, _, options)) in DISKS.iter().enumerate() {
            let Some(copy) = of_disk(disk) else { return Some(format!("no snapshot of {name} among {snapshots:?}")) };
            // Writable: a log is replayed when it is mounted, as by a server that starts from the image.
            let place = disks.mount(&copy.image, &format!("copy-{name}"), options);
            let (alone, shared) = (Kept::read(&place.join("alone")), Kept::read(&place.join("both")));
            sh(&format!("umount {}", place.display()));
            if !alone.has_all_up_to(copy.alone) {
                return Some(format!("{name}: {} acknowledged, {} is the last", copy.alone, alone.highest()));
            }
            // On the second disk the last number may be still to come.
            let last = copy.both.saturating_sub(u64::from(disk != 0));
            if !shared.has_all_up_to(last) {
                return Some(format!("{name}: {last} of both acknowledged, {} is the last", shared.highest()));
            }
            both.push(shared.highest());
        }
        // A number is written to the first disk, and to the second one after it.
        let is_one_moment = both[1] <= both[0] && both[0] <= both[1] + 1;
        (!is_one_moment).then(|| format!("the disks are of different moments: {both:?}"))
    }

    /// Their room is needed.
    pub(super) fn discard(&self, is_wanted: impl Fn(&str) -> bool) {
        self.0.lock().unwrap().retain(|snapshot, copy| {
            let keeps = is_wanted(snapshot);
            if !keeps {
                fs::remove_file(&copy.image).unwrap();
            }
            keeps
        });
    }
}
