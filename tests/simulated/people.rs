//! What people do meanwhile, with the same account: they take images of their own, launch ours, pin and deregister them,
//! ask for things, and take permissions away for a while.

use std::collections::BTreeSet;

use amikeep_domain::id::ImageId;
use amikeep_domain::pause::PauseScope;
use amikeep_domain::tags;
use amikeep_ec2_sim::{Action, InstanceSpec, LaunchTemplateSpec, NewTag, Place, Request};
use amikeep_ledger::{ImageRow, ImageRowState, RequestKind};
use jiff::SignedDuration;

use crate::simulated::dice::Dice;
use crate::simulated::house::{ACCOUNT, House, REGION, instance_id};

/// Permissions that come and go.
const PERMISSIONS: [Action; 9] = [
    Action::DeleteSnapshot,
    Action::DeregisterImage,
    Action::DescribeImageReferences,
    Action::CreateImage,
    Action::CreateSnapshots,
    Action::RegisterImage,
    Action::CreateTags,
    Action::DescribeImages,
    Action::DescribeSnapshots,
];

/// What they did, which is not to be held against amikeep.
#[derive(Debug, Default)]
pub(crate) struct People {
    /// Images of ours that they deregistered.
    pub(crate) deregistered: BTreeSet<ImageId>,
    /// Images of ours that they use.
    pub(crate) in_use: BTreeSet<ImageId>,
    /// Images of ours that they pinned.
    pub(crate) pinned: BTreeSet<ImageId>,
    /// Their own images.
    pub(crate) foreign: BTreeSet<ImageId>,
    /// How often they did anything.
    pub(crate) acts: u64,
}

pub(crate) fn place() -> Place {
    Place { account: ACCOUNT.parse().unwrap(), region: REGION.parse().unwrap() }
}

/// Everything is permitted again.
pub(crate) fn allow_all(house: &House) {
    for action in PERMISSIONS {
        house.world.allow(&ACCOUNT.parse().unwrap(), action);
    }
}

impl People {
    /// A few hours' worth.
    pub(crate) async fn act(&mut self, house: &mut House, dice: &mut Dice) {
        allow_all(house);
        let rows: Vec<ImageRow> = house.images_left().await;
        let available: Vec<&ImageRow> = rows.iter().filter(|row| row.state == ImageRowState::Available).collect();
        if !available.is_empty() {
            let row = *dice.pick(&available);
            self.touch_an_image(house, dice, row);
        }
        if dice.one_in(10) {
            self.take_an_image(house);
        }
        self.ask(house, dice).await;
        if dice.one_in(6) {
            house.world.deny(&ACCOUNT.parse().unwrap(), *dice.pick(&PERMISSIONS));
            self.acts += 1;
        }
    }

    fn touch_an_image(&mut self, house: &House, dice: &mut Dice, row: &ImageRow) {
        let image = row.image.clone();
        let of_job = house.world.images_tagged(tags::JOB, &[row.job.to_string()].into());
        if !of_job.iter().any(|it| it.id == image && it.deregistered_at.is_none()) {
            return;
        }
        if row.policy.as_str() == "victim" {
            if dice.one_in(6) {
                house.deregister(&image);
                self.deregistered.insert(image);
                self.acts += 1;
            }
        } else if dice.one_in(12) {
            self.use_image(house, dice, image);
        } else if dice.one_in(11) {
            let resources = vec![image.to_string()];
            let tag = NewTag { key: tags::PIN.to_owned(), value: "by hand".to_owned() };
            house.call(Request::CreateTags { resources, tags: vec![tag] });
            self.pinned.insert(image);
            self.acts += 1;
        }
    }

    fn use_image(&mut self, house: &House, dice: &mut Dice, image: ImageId) {
        let n = self.in_use.len();
        let is_used = if dice.one_in(2) {
            let spec = InstanceSpec::new(format!("i-{:017x}", 0xbeef_0000 + n));
            house.world.launch(&place(), spec.volume("/dev/xvda", 8).image(image.as_str())).is_ok()
        } else {
            let template = LaunchTemplateSpec::new(format!("web-{n}")).version(image.as_str());
            house.world.add_launch_template(&place(), template).is_ok()
        };
        if is_used {
            self.in_use.insert(image);
            self.acts += 1;
        }
    }

    /// An image of their own, every other time with our tags.
    fn take_an_image(&mut self, house: &House) {
        let n = self.foreign.len();
        let name = format!("somebody-elses-{n}");
        let ours = [(tags::OWNER, "test"), (tags::JOB, "0193509f-6e00-7c3a-9b1e-5d2f8a4c6e10")];
        house.take_image(3, &name, if n.is_multiple_of(2) { &ours } else { &[] });
        let made = house.world.images().into_iter().find(|it| it.name == name);
        self.foreign.extend(made.map(|it| it.id));
        self.acts += 1;
    }

    /// What operators ask of amikeep.
    async fn ask(&mut self, house: &mut House, dice: &mut Dice) {
        let n = u8::try_from(self.acts % 200).unwrap();
        let until = Some(house.now() + SignedDuration::from_hours(3));
        let pause = |scope| RequestKind::Pause { scope, until, reason: None };
        let kind = match dice.draw(16) {
            0 => RequestKind::Prune { policy: None, released: amikeep_domain::prune::Released::default() },
            1 => pause(PauseScope::Instance(instance_id(2))),
            2 => pause(PauseScope::Policy("victim".parse().unwrap())),
            3 => RequestKind::Resume { scope: PauseScope::Policy("victim".parse().unwrap()) },
            4 => RequestKind::Backup {
                instance: instance_id(1),
                policy: "nightly".parse().unwrap(),
                account: None,
                consistency: None,
            },
            5 => match house.reader().await.open_jobs().await.unwrap().first() {
                Some(job) => RequestKind::Cancel { job: job.id },
                None => return,
            },
            _ => return,
        };
        house.ask(n, kind).await;
        self.acts += 1;
    }
}
