//! A host with the service on it, and the simulated EC2 that the service is to use.

use std::path::Path;

use amikeep_ec2_sim::http::Server;
use amikeep_ec2_sim::{ImageDuration, InstanceSpec, SimClock, World, access_key_id};
use jiff::SignedDuration;
use serde_json::Value;

use crate::container::{Bind, Container, Ran};
use crate::disk::Disk;
use crate::page;

const ACCOUNT: &str = "111122223333";
const REGION: &str = "eu-central-1";
const CONFIG: &str = "/etc/amikeep/amikeep.toml";
/// Where the container sees the sources, and the program that was built from them.
pub(crate) const SOURCES: &str = "/mnt/sources";
const BUILT: &str = "/mnt/amikeep";
/// Where it sees a file system of its own, which may be frozen.
pub(crate) const DATA: &str = "/mnt/data";

/// The instance, which this host is.
pub(crate) const INSTANCE: &str = "i-00000000000000001";
/// A policy that comes every other second, in the form with seconds.
pub(crate) const OFTEN: &str = "*/2 * * * * *";
/// A policy that does not come while the test runs.
pub(crate) const NEVER_NOW: &str = "0 0 29 2 *";

pub(crate) struct Host {
    pub(crate) container: Container,
    server: Server,
    /// Put away last.
    _disk: Disk,
}

impl Host {
    pub(crate) async fn boot() -> Self {
        let server = Server::start(world()).await.unwrap();
        let sources = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../..")).canonicalize().unwrap();
        let built = Path::new(env!("CARGO_BIN_EXE_amikeep"));
        let disk = Disk::new();
        let data = disk.mount();
        let binds =
            [(Bind::ToRead, &*sources, SOURCES), (Bind::ToRead, built, BUILT), (Bind::ToWrite, data.as_path(), DATA)];
        let container = Container::boot(&binds).await;
        Self { container, server, _disk: disk }
    }

    /// Does what a block of the install page says.
    pub(crate) fn follow(&self, title: &str) -> Ran {
        let ran = self.try_follow(title);
        assert!(ran.succeeded, "{title}: {ran:#?}");
        ran
    }

    pub(crate) fn try_follow(&self, title: &str) -> Ran {
        self.container.try_sh(&format!("cd {SOURCES}\n{}", page::commands(title, BUILT)))
    }

    /// Writes the configuration anew, with one policy for each of these schedules.
    pub(crate) fn configure(&self, schedules: &[&str]) {
        self.configure_with(
            &schedules.iter().enumerate().map(|(n, it)| policy(n, "stateless", it)).collect::<String>(),
        );
    }

    /// Writes it anew with a policy that never comes by itself, of a class that is held still by this freeze.
    pub(crate) fn configure_freeze(&self, freeze: &str) {
        let policy = policy(0, "critical", NEVER_NOW);
        self.configure_with(&format!("{policy}\n[classes.critical]\nfreeze = \"data\"\n[freezes.data]\n{freeze}\n"));
    }

    fn configure_with(&self, policies: &str) {
        let daemon = format!(
            "[daemon]\nowner = \"boot\"\nlisten = \"127.0.0.1:0\"\n\n[accounts.default]\nregion = \"{REGION}\"\n\
             endpoint_url = \"{}\"\nvisibility_lag = \"2s\"\n",
            self.server.url()
        );
        self.container.write(CONFIG, &format!("{daemon}{policies}"));
    }

    /// Adds a mistake to the configuration.
    pub(crate) fn break_config(&self) {
        self.container.sh(&format!("echo 'clas = \"stateless\"' >> {CONFIG}"));
    }

    /// The credentials, as the page says for a host outside of EC2.
    pub(crate) fn give_credentials(&self) {
        let drop_in = "/etc/systemd/system/amikeep.service.d/credentials.conf";
        self.container.write(drop_in, &page::block(&format!("# {drop_in}")));
        let key = access_key_id(&ACCOUNT.parse().unwrap());
        let text =
            format!("[default]\naws_access_key_id = {key}\naws_secret_access_key = a-secret-that-must-not-be-seen");
        self.container.sh("umask 077; touch /etc/amikeep/aws-credentials");
        self.container.write("/etc/amikeep/aws-credentials", &text);
    }

    /// A property of the unit.
    pub(crate) fn show(&self, property: &str) -> String {
        self.container.sh(&format!("systemctl show --property {property} --value amikeep"))
    }

    pub(crate) async fn wait_for(&self, property: &str, value: &str) {
        self.container.wait_for(&format!("{property} is {value}"), || self.show(property) == value).await;
    }

    pub(crate) async fn wait_for_status(&self, words: &str) {
        self.container.wait_for(words, || self.show("StatusText").contains(words)).await;
    }

    /// The lines of the service in the journal, those of systemd about it left out.
    pub(crate) fn journal(&self, matches: &str) -> Vec<Value> {
        let lines = self.container.sh(&format!("journalctl --output json _SYSTEMD_UNIT=amikeep.service {matches}"));
        lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// Waits until the journal has such a line, and returns the newest.
    pub(crate) async fn wait_for_line(&self, matches: &str, words: &str) -> Value {
        let newest = || self.journal(matches).into_iter().rfind(|line| message(line).contains(words));
        self.container.wait_for(words, || newest().is_some()).await;
        newest().unwrap()
    }
}

pub(crate) fn message(line: &Value) -> &str {
    line["MESSAGE"].as_str().unwrap_or_default()
}

fn policy(n: usize, class: &str, schedule: &str) -> String {
    format!(
        "\n[policies.p{n}]\naccount = \"default\"\nclass = \"{class}\"\nschedule = \"{schedule}\"\n\
         select = {{ tags = {{ Env = \"prod\" }} }}\nkeep = {{ last = 3 }}\n"
    )
}

/// In real time: an instance whose images take a second.
fn world() -> World {
    let moment = SignedDuration::from_millis(100);
    let instance = InstanceSpec::new(INSTANCE).tag("Env", "prod").volume("/dev/xvda", 8);
    let world = World::builder()
        .clock(SimClock::wall(1.0))
        .image_duration(ImageDuration::Fixed(SignedDuration::from_secs(1)))
        .snapshot_lag(moment, SignedDuration::ZERO)
        .state_changes(moment, moment, moment)
        .account(ACCOUNT)
        .region(REGION)
        .instance(instance);
    world.build().unwrap()
}
