//! Metrics and health, over HTTP, of the real daemon: figures agree with what it wrote down and with what EC2 was asked.

use std::process::{Command, Stdio};
use std::time::Duration;

use amikeep_ec2_sim::{Action, ApiError, Fault, FaultOutcome};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::notify::NotifySocket;
use crate::site::{ACCOUNT, Daemon, NEVER_NOW, PATIENCE, REGION, Site, instance_id, policy, spec, world};

/// Listens at a port that is free.
pub(crate) const LISTEN: &str = "listen = \"127.0.0.1:0\"";

/// An answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

/// Where a daemon says that it answers, the last time that it did.
pub(crate) async fn address(daemon: &mut Daemon) -> String {
    const SAID: &str = "metrics and health are answered at http://";
    daemon.wait_for_log(SAID).await;
    let log = daemon.log();
    let (_, rest) = log.rsplit_once(SAID).unwrap();
    rest.chars().take_while(|it| it.is_ascii_digit() || ".:".contains(*it)).collect()
}

pub(crate) async fn get(address: &str, path: &str) -> Answer {
    ask(address, &format!("GET {path} HTTP/1.0\r\nHost: {address}\r\n\r\n")).await
}

async fn ask(address: &str, request: &str) -> Answer {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    // The server closes after each answer.
    tokio::time::timeout(PATIENCE, stream.read_to_string(&mut answer)).await.unwrap().unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    Answer { status, head: head.to_owned(), body: body.to_owned() }
}

/// One scrape, judged by Prometheus' own reader where there is one.
#[derive(Debug)]
struct Scrape(String);

impl Scrape {
    async fn of(address: &str) -> Self {
        let answer = get(address, "/metrics").await;
        assert_eq!(answer.status, 200, "{answer:?}");
        assert!(answer.head.contains("content-type: text/plain; version=0.0.4"), "{}", answer.head);
        Self(answer.body)
    }

    /// The value of a series, written as it is in the text: `name{label="value"}`.
    fn value(&self, series: &str) -> Option<f64> {
        let line = self.0.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '))?;
        Some(line.parse().unwrap())
    }

    /// All counts of a family whose labels contain a text, together.
    fn sum(&self, family: &str, part: &str) -> usize {
        let samples = self.0.lines().filter(|line| line.starts_with(&format!("{family}{{")) && line.contains(part));
        samples.map(|line| line.rsplit_once(' ').unwrap().1.trim_end_matches(".0").parse::<usize>().unwrap()).sum()
    }
}

/// Runs `promtool`, which every build machine has; a laptop may be without.
fn promtool(args: &[&str], input: &str) {
    let started =
        Command::new("promtool").args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let mut child = match started {
        Ok(child) => child,
        Err(error) if std::env::var_os("CI").is_none() => {
            eprintln!("not checked by promtool (Debian's package prometheus): {error}");
            return;
        }
        Err(error) => panic!("promtool cannot be run: {error}"),
    };
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(output.status.success(), "promtool {args:?}: {said}\n{input}");
}

/// A site that listens, with a policy that a command sets off.
async fn site(world: amikeep_ec2_sim::WorldBuilder) -> Site {
    let site = Site::new(world, "").await;
    site.configure_with(LISTEN, &policy("nightly", "stateless", NEVER_NOW, ""));
    site
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn figures_agree_with_the_history_and_with_what_ec2_was_asked() {
    let refusal = FaultOutcome::Error(ApiError::new(403, "UnauthorizedOperation", "no"));
    let refused = Fault::on(Action::CreateImage, refusal).touching(instance_id(3));
    let throttled = Fault::on(Action::CreateImage, FaultOutcome::Throttle).touching(instance_id(1));
    let world = world().instance(spec(1)).instance(spec(2)).instance(spec(3)).fault(refused).fault(throttled);
    let site = site(world).await;
    let mut daemon = site.daemon().await;
    let address = address(&mut daemon).await;
    let nothing = Scrape::of(&address).await;
    assert_eq!(
        nothing.value(r#"amikeep_jobs_total{policy="nightly",account_name="default",outcome="failed"}"#),
        Some(0.0)
    );

    let ids: Vec<String> = (1..=3).map(instance_id).collect();
    let ran = site.run(&["backup", &ids[0], &ids[1], &ids[2]]).await;
    assert_eq!(ran.code, 1, "one of them is refused: {ran:?}");
    let jobs = site.jobs().await;
    let scrape = Scrape::of(&address).await;
    promtool(&["check", "metrics"], &scrape.0);
    for (state, count) in [("succeeded", 2), ("failed", 1), ("skipped", 0)] {
        let series = format!(r#"amikeep_jobs_total{{policy="nightly",account_name="default",outcome="{state}"}}"#);
        assert_eq!(jobs.iter().filter(|job| job["state"] == state).count(), count, "{jobs:#?}");
        assert_eq!(scrape.value(&series), Some(f64::from(u32::try_from(count).unwrap())), "{series}");
    }
    let of_policy = r#"policy="nightly",account_name="default""#;
    for (series, value) in [
        (format!(r#"amikeep_job_failures_total{{{of_policy},code="UnauthorizedOperation"}}"#), 1.0),
        (format!(r#"amikeep_images_taken_total{{{of_policy},mode="no-reboot",grade="crash"}}"#), 2.0),
        (format!(r#"amikeep_images{{{of_policy},grade="crash"}}"#), 2.0),
        (r#"amikeep_jobs_open{state="pending"}"#.to_owned(), 0.0),
        ("amikeep_ledger_readable".to_owned(), 1.0),
        (r#"amikeep_account_failing{account_name="default"}"#.to_owned(), 0.0),
    ] {
        assert_eq!(scrape.value(&series), Some(value), "{series}: {}", scrape.0);
    }
    let captured =
        jobs.iter().filter_map(|job| job["captured_at"].as_str()?.parse::<jiff::Timestamp>().ok()).max().unwrap();
    let newest = scrape.value(&format!("amikeep_policy_newest_image_timestamp_seconds{{{of_policy}}}")).unwrap();
    assert!((newest - captured.as_duration().as_secs_f64()).abs() < 0.01, "{newest} {captured}");
    assert!(
        scrape.value(r#"amikeep_clock_skew_seconds{account_name="default"}"#).unwrap().abs() <= 2.0,
        "{}",
        scrape.0
    );
    // Only the daemon asks these.
    for action in [Action::CreateImage, Action::DescribeImages, Action::DescribeSnapshots, Action::CreateTags] {
        let name = format!(r#"action="{action}""#);
        let asked = site.world.count(action);
        assert_eq!(scrape.sum("amikeep_aws_calls_total", &name), asked, "{action}");
    }
    let create = r#"account_name="default",action="CreateImage""#;
    let ended = |word: &str| scrape.value(&format!(r#"amikeep_aws_calls_total{{{create},outcome="{word}"}}"#));
    assert_eq!((ended("ok"), ended("error"), ended("throttled")), (Some(2.0), Some(1.0), Some(1.0)), "{}", scrape.0);
    let waits = format!(r#"account="{ACCOUNT}",region="{REGION}",action="CreateImage""#);
    assert!(scrape.value(&format!("amikeep_aws_paced_wait_seconds_total{{{waits}}}")).is_some(), "{}", scrape.0);

    // What comes from the ledger is the same after a restart.
    daemon.kill();
    let mut daemon = site.daemon().await;
    let again = Scrape::of(&self::address(&mut daemon).await).await;
    assert_eq!(again.sum("amikeep_jobs_total", ""), 3, "{}", again.0);
    assert_eq!(again.sum("amikeep_images", "crash"), 2);
    for secret in [ids[0].as_str(), "ami-", "i-0", "must-not-be-seen"] {
        assert!(!again.0.contains(secret) && !scrape.0.contains(secret), "{secret}: {}", again.0);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_what_there_is_is_answered_and_only_to_this_host() {
    let site = site(world()).await;
    let mut daemon = site.daemon().await;
    let address = address(&mut daemon).await;
    let index = get(&address, "/").await;
    assert!(index.status == 200 && index.body.contains("/metrics") && index.body.contains("/healthz"), "{index:?}");
    let head = ask(&address, &format!("HEAD /healthz HTTP/1.1\r\nHost: {address}\r\n\r\n")).await;
    assert_eq!((head.status, head.body.as_str()), (200, ""));
    assert_eq!(get(&address, "/healthz").await.body, "ok\n");
    assert_eq!(get(&address, "/metrics/more").await.status, 404);
    let posted =
        ask(&address, &format!("POST /metrics HTTP/1.1\r\nHost: {address}\r\nContent-Length: 2\r\n\r\nhi")).await;
    assert_eq!(posted.status, 405, "{posted:?}");
    let rebound = ask(&address, "GET /metrics HTTP/1.1\r\nHost: page.example\r\n\r\n").await;
    assert!(rebound.status == 421 && !rebound.body.contains("amikeep_"), "{rebound:?}");
    let open = format!(
        "GET /metrics HTTP/1.0\r\nHost: {address}\r\nAccept: application/openmetrics-text;version=1.0.0\r\n\r\n"
    );
    let open = ask(&address, &open).await;
    assert!(open.head.contains("application/openmetrics-text") && open.body.ends_with("# EOF\n"), "{open:?}");
    daemon.signal("TERM");
    assert!(daemon.wait().await.success());
}

/// More than there are places, some of whom begin a request and send a byte of it at a time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_who_say_nothing_or_a_byte_at_a_time_keep_nobody_waiting() {
    const SLOW: usize = 100;
    let site = site(world()).await;
    let mut daemon = site.daemon().await;
    let address = address(&mut daemon).await;
    let mut slow = Vec::new();
    for _ in 0..SLOW {
        slow.push(TcpStream::connect(&address).await.unwrap());
    }
    let request = format!("GET /metrics HTTP/1.1\r\nHost: {address}\r\nX-Slow: yes\r\n\r\n").into_bytes();
    for byte in &request[..20] {
        for stream in slow.iter_mut().step_by(2) {
            // Most are left by now, and come again.
            if stream.write_all(std::slice::from_ref(byte)).await.is_err() {
                *stream = TcpStream::connect(&address).await.unwrap();
            }
        }
        assert_eq!(get(&address, "/healthz").await.body, "ok\n");
        assert_eq!(Scrape::of(&address).await.value("amikeep_ledger_readable"), Some(1.0));
    }
    daemon.signal("TERM");
    assert!(daemon.wait().await.success(), "nobody is waited for at the end either");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_address_that_is_taken_stops_no_backup_and_a_reload_moves_on() {
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = taken.local_addr().unwrap().port();
    let site = Site::new(world().instance(spec(1)), "").await;
    let often = policy("often", "stateless", "* * * * * *", "");
    site.configure_with(&format!("listen = \"127.0.0.1:{port}\""), &often);
    let path = site.dir().join("notify");
    let socket = NotifySocket::bind(&path);
    let mut daemon = site.start(site.command(&["daemon"]).env("NOTIFY_SOCKET", &path));
    daemon.wait_for_log("so there are no metrics; backups go on").await;
    site.wait_for_jobs("a backup all the same", |jobs| jobs.iter().any(|job| job["state"] == "succeeded")).await;
    let told = format!("THERE ARE NO METRICS: nothing listens at 127.0.0.1:{port}");
    let status = tokio::task::spawn_blocking(move || (socket.wait_for(&told), socket));
    drop(status.await.unwrap());
    // It comes by itself when the address is free.
    drop(taken);
    assert!(address(&mut daemon).await.ends_with(&format!(":{port}")));
    assert_eq!(get(&format!("127.0.0.1:{port}"), "/healthz").await.status, 200);

    site.write_config(&format!("{}\n[nonsense]\n", site.config_text()));
    daemon.signal("HUP");
    daemon.wait_for_log("the configuration was not reloaded").await;
    let refused = Scrape::of(&format!("127.0.0.1:{port}")).await;
    assert_eq!(refused.value("amikeep_config_last_reload_successful"), Some(0.0));
    assert_eq!(refused.value("amikeep_config_reloads_failed_total"), Some(1.0));

    let moved = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    site.configure_with(&format!("listen = \"{moved}\""), &often);
    daemon.signal("HUP");
    daemon.wait_for_log(&format!("answered at http://{moved}")).await;
    assert_eq!(Scrape::of(&moved.to_string()).await.value("amikeep_config_last_reload_successful"), Some(1.0));
    assert!(TcpStream::connect(format!("127.0.0.1:{port}")).await.is_err(), "the old address is left");
    site.configure_with("listen = \"\"", &often);
    daemon.signal("HUP");
    site.wait_until("nothing listens", || std::net::TcpStream::connect(moved).is_err()).await;
    daemon.signal("TERM");
    assert!(daemon.wait().await.success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn holds_are_counted_with_how_long_writes_stood_still() {
    let site = Site::new(world().instance(spec(1)), "").await;
    let recipe = |freeze: &str| {
        format!(
            "{}\n[classes.critical]\nfreeze = \"data\"\n\n[freezes.data]\nvia = \"command\"\ndevices = [\"/dev/sdf\"]\n\
             freeze = [\"/bin/sh\", \"-c\", \"{freeze}\"]\nthaw = [\"/bin/true\"]\n",
            policy("nightly", "critical", NEVER_NOW, "")
        )
    };
    site.configure_with(LISTEN, &recipe("true"));
    let mut daemon = site.daemon().await;
    let address = address(&mut daemon).await;
    let of = r#"freeze="data",application="none""#;
    let ended = |scrape: &Scrape, word: &str| scrape.value(&format!(r#"amikeep_holds_total{{{of},outcome="{word}"}}"#));
    let before = Scrape::of(&address).await;
    assert_eq!((ended(&before, "proved"), ended(&before, "not-held")), (Some(0.0), Some(0.0)), "{}", before.0);
    let ran = site.run(&["backup", &instance_id(1), "--format", "json"]).await;
    assert_eq!(ran.code, 0, "{ran:?}");
    #[expect(clippy::cast_precision_loss, reason = "milliseconds of seconds")]
    let hold_s = ran.json()["jobs"][0]["hold_ms"].as_u64().unwrap() as f64 / 1e3;
    let after = Scrape::of(&address).await;
    promtool(&["check", "metrics"], &after.0);
    assert_eq!((ended(&after, "proved"), ended(&after, "unproved")), (Some(1.0), Some(0.0)), "{}", after.0);
    assert_eq!(after.value(&format!("amikeep_hold_stall_seconds_count{{{of}}}")), Some(1.0));
    let sum = after.value(&format!("amikeep_hold_stall_seconds_sum{{{of}}}")).unwrap();
    assert!((sum - hold_s).abs() <= 0.002, "{sum} {hold_s}");

    site.configure_with(&format!("listen = \"{address}\""), &recipe("exit 3"));
    daemon.signal("HUP");
    daemon.wait_for_log("the configuration was reloaded").await;
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    assert_eq!(site.run(&["backup", &instance_id(1)]).await.code, 1);
    let address = self::address(&mut daemon).await;
    let failed = Scrape::of(&address).await;
    assert_eq!((ended(&failed, "proved"), ended(&failed, "not-held")), (Some(1.0), Some(1.0)), "{}", failed.0);
}

#[test]
fn the_example_alerts_are_rules_that_prometheus_reads() {
    let rules = concat!(env!("CARGO_MANIFEST_DIR"), "/../../config/prometheus-alerts.yml");
    promtool(&["check", "rules", rules], "");
}
