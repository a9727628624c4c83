//! Which connections share a pacer, from when on, and what limits it has.

use std::sync::Arc;

use amikeep_domain::id::{AccountId, Region};

use crate::error::CloudErrorKind;
use crate::pacer::tests::world::{Endpoint, ManualTimer, Server, Tasks, image_request, s};
use crate::pacer::{Limit, Limits, Paced, Pacers, Timer};
use crate::port::{Action, Cloud};

type Connection = Paced<Endpoint, ManualTimer>;

fn region() -> Region {
    "eu-central-1".parse().unwrap()
}

fn connect(pacers: &Arc<Pacers<ManualTimer>>, timer: &ManualTimer, server: &Server) -> Connection {
    pacers.pace(Endpoint::new(timer, server), region())
}

/// How many images a connection gets without a wait of a second.
async fn burst(cloud: &Connection, timer: &ManualTimer) -> u32 {
    let (began_at, mut images) = (timer.now(), 0);
    while timer.now() < began_at + s(1) {
        cloud.ready(Action::CreateImage).await.unwrap();
        images += u32::from(timer.now() < began_at + s(1));
        // The call is answered at once.
        let turn = cloud.use_taken(Action::CreateImage).unwrap();
        cloud.pacer().give_up(Action::CreateImage, turn);
    }
    images
}

fn run<'a>(timer: &ManualTimer, future: impl Future<Output = ()> + 'a) {
    let mut tasks = Tasks::default();
    tasks.spawn(future);
    tasks.run(timer);
}

#[test]
fn two_names_of_one_account_draw_from_one_bucket_and_so_does_a_reload() {
    let (timer, server) = (ManualTimer::default(), Server::new(1.0));
    let pacers = Pacers::new(timer.clone());
    let (first, second) = (connect(&pacers, &timer, &server), connect(&pacers, &timer, &server));
    run(&timer, async {
        first.observe_identity().await.unwrap();
        second.observe_identity().await.unwrap();
        let images = burst(&first, &timer).await;
        assert!((50..56).contains(&images), "a burst and a second of refill: {images}");
        assert!(burst(&second, &timer).await < 7, "the bucket is empty for the other name too");
        let reloaded = connect(&pacers, &timer, &server);
        reloaded.observe_identity().await.unwrap();
        assert!(burst(&reloaded, &timer).await < 7, "and after a reload");
    });
}

#[test]
fn another_region_has_buckets_of_its_own() {
    let (timer, server) = (ManualTimer::default(), Server::new(1.0));
    let pacers = Pacers::new(timer.clone());
    let first = connect(&pacers, &timer, &server);
    let second = pacers.pace(Endpoint::new(&timer, &server), "us-east-1".parse().unwrap());
    run(&timer, async {
        for cloud in [&first, &second] {
            cloud.observe_identity().await.unwrap();
            assert!(50 <= burst(cloud, &timer).await);
        }
    });
}

#[test]
fn what_a_process_before_this_one_has_asked_for_is_missing_from_the_bucket() {
    let (timer, server) = (ManualTimer::default(), Server::new(1.0));
    let pacers = Pacers::new(timer.clone());
    pacers.of(&"111122223333".parse().unwrap(), &region()).recall(Action::CreateImage, vec![s(0); 49]);
    let cloud = connect(&pacers, &timer, &server);
    run(&timer, async {
        cloud.observe_identity().await.unwrap();
        assert!(burst(&cloud, &timer).await < 7, "whoever has these credentials");
    });
}

#[test]
fn the_limits_that_the_account_has_are_in_force_for_all_its_connections() {
    let (timer, server) = (ManualTimer::default(), Server::new(1.0));
    let pacers = Pacers::new(timer.clone());
    let mut endpoint = Endpoint::new(&timer, &server);
    endpoint.limits = Limits::documented().with(Action::CreateImage, Limit::new(10.0, 2.0).unwrap());
    let (first, second) = (pacers.pace(endpoint, region()), connect(&pacers, &timer, &server));
    run(&timer, async {
        second.observe_identity().await.unwrap();
        first.observe_limits().await.unwrap();
        let images = burst(&second, &timer).await;
        assert!((9..13).contains(&images), "{images}");
    });
}

#[test]
fn what_joins_after_the_close_is_closed_too() {
    let (timer, server) = (ManualTimer::default(), Server::new(1.0));
    let pacers = Pacers::new(timer.clone());
    let cloud = connect(&pacers, &timer, &server);
    pacers.close();
    run(&timer, async {
        cloud.observe_identity().await.unwrap();
        let mut refused = None;
        for _ in 0..60 {
            refused = refused.or(cloud.ready(Action::CreateImage).await.err());
        }
        assert_eq!(refused.unwrap().kind, CloudErrorKind::Throttled, "it would have had to wait");
        assert!(cloud.request_image(image_request()).await.is_ok(), "a turn that was taken before is used");
    });
    let account: AccountId = "111122223333".parse().unwrap();
    assert!(Arc::ptr_eq(&pacers.of(&account, &region()), &pacers.of(&account, &region())));
}
