//! Credentials and permissions: what is wrong is said, with what to do.

use amikeep_ec2_sim::{Action, access_key_id};

use crate::site::{ACCOUNT, NEVER_NOW, Ran, Site, instance_id, policy, spec, world};

async fn site() -> Site {
    Site::new(world().instance(spec(1)), &policy("nightly", "stateless", NEVER_NOW, "")).await
}

async fn assert_check_says(site: &Site, words: &[&str]) -> Ran {
    let ran = site.run(&["check", "--online"]).await;
    assert_eq!(ran.code, 1, "{ran:?}");
    let said = format!("{}{}", ran.stdout, ran.stderr);
    for word in words {
        assert!(said.contains(word), "{word} in {said}");
    }
    ran
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_in_order_is_said_too() {
    let ran = site().await.run(&["check", "--online"]).await;
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(ran.stdout.contains(ACCOUNT) && ran.stdout.contains("CreateImage"), "{ran:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_credentials() {
    let mut site = site().await;
    site.set_credentials(None);
    assert_check_says(&site, &["credentials"]).await;
    let ran = site.run(&["backup", &instance_id(1)]).await;
    assert_eq!(ran.code, 1, "{ran:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_expired_or_unknown_key() {
    let site = site().await;
    site.world.expire_credentials(&access_key_id(&ACCOUNT.parse().unwrap()));
    assert_check_says(&site, &["default", "credentials"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_wrong_account_is_refused() {
    let site = site().await;
    let text = site.config_text().replace("visibility_lag", "account_id = \"999988887777\"\nvisibility_lag");
    site.write_config(&text);
    assert_check_says(&site, &["999988887777", ACCOUNT]).await;
    let ran = site.run(&["backup", &instance_id(1)]).await;
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(site.world.images().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_region_without_the_instance_is_named() {
    let site = site().await;
    site.write_config(&site.config_text().replace("eu-central-1", "eu-west-1"));
    let ran = site.run(&["backup", &instance_id(1)]).await;
    assert_ne!(ran.code, 0, "{ran:?}");
    assert!(ran.stderr.contains("eu-west-1"), "{ran:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_endpoint_that_does_not_answer_is_named() {
    let site = site().await;
    site.write_config(&site.config_text().replace(&site.server.url(), "http://127.0.0.1:1"));
    assert_check_says(&site, &["endpoint_url", "refused"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_action_that_is_denied_is_named() {
    for action in [Action::DescribeInstances, Action::DescribeImages, Action::DescribeSnapshots, Action::CreateImage] {
        let site = site().await;
        site.world.deny(&ACCOUNT.parse().unwrap(), action);
        assert_check_says(&site, &[action.as_str()]).await;
        let ran = site.run(&["backup", &instance_id(1), "--no-wait"]).await;
        // What is denied before the image is asked for fails the command; the rest only shows in the job.
        if matches!(action, Action::DescribeInstances | Action::CreateImage) {
            assert_eq!(ran.code, 1, "{action:?}: {ran:?}");
            assert!(format!("{}{}", ran.stdout, ran.stderr).contains(action.as_str()), "{ran:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn request_limits_that_may_not_be_read_are_a_warning_and_stop_nothing() {
    let site = site().await;
    site.world.deny(&ACCOUNT.parse().unwrap(), Action::ListServiceQuotas);
    let ran = site.run(&["check", "--online", "--format", "json"]).await;
    assert_eq!(ran.code, 0, "{ran:?}");
    let checked = ran.json();
    let warned = checked["warnings"].as_array().unwrap().iter().filter_map(|it| it["message"].as_str());
    assert_eq!(warned.filter(|it| it.contains("servicequotas:ListServiceQuotas is denied")).count(), 1, "{checked:#}");
    let ran = site.run(&["backup", &instance_id(1)]).await;
    assert_eq!(ran.code, 0, "{ran:?}");
}
