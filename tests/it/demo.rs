//! The demo: the same engine, ledger and adapter as the daemon's, over a week of simulated nights.

use std::process::Command;

use serde_json::Value;

#[test]
fn the_demo_tells_the_same_story_every_time() {
    let run = |args: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_amikeep")).arg("demo").args(args).env_clear().output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let story: Value = serde_json::from_str(&run(&["--format", "json"])).unwrap();
    let jobs = story["jobs"].as_array().unwrap();
    let count = |key: &str, value: &str| jobs.iter().filter(|job| job[key] == value).count();
    assert!(7 <= count("grade", "clean"), "databases are rebooted every night");
    assert!(7 <= count("grade", "crash"), "development is imaged without");
    assert!(7 <= count("grade", "offline"), "one instance is stopped");
    assert!(1 <= count("state", "failed"), "one fails");
    let held = jobs.iter().filter(|job| job["class"] == "critical" && job["grade"] == "filesystem");
    assert_eq!(held.count(), 4, "what is critical is held still: {jobs:#?}");
    for job in jobs {
        let twins =
            jobs.iter().filter(|it| ["policy", "instance_id", "scheduled_at"].iter().all(|key| it[*key] == job[*key]));
        assert_eq!(twins.count(), 1, "one job per fire and instance: {job:#}");
    }
    assert!(story["images"].as_array().unwrap().iter().any(|image| image["verdict"] == "keep"));
    let told = run(&[]);
    for words in ["reboot", "offline", "keep", "amikeep "] {
        assert!(told.contains(words), "{words} in {told}");
    }
    // It prunes while one looks on, and every image has its line: why it went, or why it stays.
    let deleted = story["deleted"].as_array().unwrap();
    assert!(10 <= deleted.len(), "a week of nights lets something go: {deleted:#?}");
    let line_of = |image: &Value, key: &str| {
        let id = image[key].as_str().unwrap();
        let is_told = |line: &&str| line.contains(id) && (line.contains("pruned") || line.contains("keep"));
        told.lines().filter(is_told).count()
    };
    for image in deleted {
        assert_eq!(line_of(image, "image_id"), 1, "{image:#} is told once to be gone in {told}");
    }
    let kept = story["images"].as_array().unwrap();
    for image in kept {
        assert!(!image["reasons"].as_array().unwrap().is_empty(), "{image:#}");
        assert_eq!(line_of(image, "image_id"), 1, "{image:#} is explained in {told}");
    }
}
