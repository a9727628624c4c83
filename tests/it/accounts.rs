//! Several accounts: one by its own key, one by a role with an external id.

use amikeep_ec2_sim::InstanceSpec;

use crate::site::{ACCOUNT, NEVER_NOW, REGION, Site, instance_id, policy, spec, world};

const OTHER: &str = "444455556666";

async fn site(external_id: &str) -> Site {
    let other = InstanceSpec::new(instance_id(2)).tag("Env", "prod").volume("/dev/xvda", 8);
    let fleet = world()
        .instance(spec(1))
        .account(OTHER)
        .region(REGION)
        .role("amikeep", Some("from-the-contract"))
        .instance(other);
    let site = Site::new(fleet, &policy("both", "stateless", NEVER_NOW, "")).await;
    let other = format!(
        "[accounts.other]\nregion = \"{REGION}\"\nendpoint_url = \"{}\"\nrole_arn = \"arn:aws:iam::{OTHER}:role/amikeep\"\n\
         external_id = \"{external_id}\"\naccount_id = \"{OTHER}\"\n\n[policies.both]",
        site.server.url()
    );
    let text = site.config_text().replace("[policies.both]", &other);
    site.write_config(&text.replace("account = \"default\"", "account = [\"default\", \"other\"]"));
    site
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_role_with_an_external_id_images_in_its_own_account() {
    let site = site("from-the-contract").await;
    for (n, account) in [(1, ACCOUNT), (2, OTHER)] {
        let ran = site.run(&["backup", &instance_id(n), "--format", "json"]).await;
        assert_eq!(ran.code, 0, "{ran:?}");
        assert_eq!(ran.json()["jobs"][0]["account"], account);
    }
    let images = site.world.images();
    let owners: Vec<&str> = images.iter().map(|it| it.account.as_str()).collect();
    assert_eq!(owners, [ACCOUNT, OTHER]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_account_that_refuses_its_role_leaves_the_others_working() {
    let site = site("wrong").await;
    let check = site.run(&["check", "--online"]).await;
    assert_eq!(check.code, 1, "{check:?}");
    assert!(format!("{}{}", check.stdout, check.stderr).contains("AssumeRole"), "{check:?}");
    let ran = site.run(&["backup", &instance_id(1)]).await;
    assert_eq!(ran.code, 0, "{ran:?}");
}
