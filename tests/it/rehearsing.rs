//! What is said of `capture = "snapshots"` before anything is taken: by a rehearsal, and by `explain`.

use amikeep_ec2_sim::Action;

use crate::site::{NEVER_NOW, Ran, Site, instance_id, policy, spec, world};

/// Two instances, of which the second has a licence, and a freeze by commands that write into `held`.
async fn site() -> Site {
    let licensed = spec(2).platform_details("Red Hat Enterprise Linux");
    let site = Site::new(world().instance(spec(1)).instance(licensed), "").await;
    let (nightly, held) = (policy("nightly", "critical", NEVER_NOW, ""), site.dir().join("held"));
    let command = |word: &str| format!("[\"/bin/sh\", \"-c\", \"echo {word} >> {}\"]", held.display());
    site.configure(&format!(
        "{nightly}\n[classes.critical]\nfreeze = \"data\"\n\n[freezes.data]\nvia = \"command\"\ncapture = \"snapshots\"\n\
         devices = [\"/dev/sdf\"]\nfreeze = {}\nthaw = {}\n",
        command("frozen"),
        command("thawed")
    ));
    site
}

async fn rehearse(site: &Site, more: &[&str]) -> Ran {
    site.run(&[&["hold", "--freeze", "data", "--test"], more].concat()).await
}

fn held(site: &Site) -> String {
    std::fs::read_to_string(site.dir().join("held")).unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_instance_that_is_fit_for_snapshots_is_told_with_what_its_image_would_carry() {
    let site = site().await;
    let id = instance_id(1);
    let ran = rehearse(&site, &["--instance", &id, "--format", "json"]).await;
    assert_eq!((ran.code, ran.json()["held"].as_bool()), (0, Some(true)), "{ran:?}");
    assert_eq!(held(&site), "frozen\nthawed\n");
    let capture = ran.json()["capture_by_snapshots"].clone();
    let carried = |name: &str| capture["carries"][name].as_str().unwrap_or_default().to_owned();
    assert_eq!((capture["fit"].as_bool(), capture["why"].is_null()), (Some(true), true), "{capture:#}");
    assert_eq!((carried("architecture"), carried("platform_details")), ("arm64".to_owned(), "Linux/UNIX".to_owned()));
    assert!(carried("volumes").contains("/dev/xvda") && carried("volumes").contains("/dev/sdf"), "{capture:#}");
    let explained = site.run(&["explain", &id, "--format", "json"]).await;
    assert_eq!(explained.json()["capture_by_snapshots"], capture, "{explained:?}");
    let told = site.run(&["explain", &id]).await;
    assert!(told.stdout.contains("by snapshots") && told.stdout.contains("root device name"), "{told:?}");
    for action in [Action::CreateSnapshots, Action::CreateImage] {
        assert_eq!(site.world.count(action), 0, "nothing was taken");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_held_still_in_a_rehearsal_for_an_image_that_cannot_be_made() {
    let site = site().await;
    let id = instance_id(2);
    let ran = rehearse(&site, &["--instance", &id, "--format", "json"]).await;
    assert_eq!((ran.code, ran.json()["capture_by_snapshots"]["fit"].as_bool()), (1, Some(false)), "{ran:?}");
    assert!(ran.json()["problem"].as_str().unwrap().contains("Red Hat Enterprise Linux"), "{ran:?}");
    assert_eq!((held(&site), ran.json()["steps"].as_array().unwrap().len()), (String::new(), 0), "nothing was done");
    let explained = site.run(&["explain", &id]).await;
    assert!(explained.stdout.contains("cannot be taken: the instance is billed as"), "{explained:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rehearsal_for_no_certain_instance_says_that_it_did_not_look() {
    let site = site().await;
    let ran = rehearse(&site, &[]).await;
    assert_eq!((ran.code, held(&site).as_str()), (0, "frozen\nthawed\n"), "{ran:?}");
    assert!(ran.stdout.contains("not known: which instance it is for was not said; say it by --instance"), "{ran:?}");
}
