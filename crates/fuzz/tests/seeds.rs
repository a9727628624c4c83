//! Every target holds on every seed, and on small changes of it.
//!
//! What a fuzzer has found stays in `fuzz/seeds`, and so is tried here for ever, on a stable toolchain. The changes are
//! few and the same in every run: they keep the targets working, and do not replace a fuzzer.
#![expect(clippy::unwrap_used, reason = "a test that cannot read its seeds has failed")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use amikeep_fuzz::TARGETS;

/// How many changes of each seed are tried.
const CHANGES_PER_SEED: usize = 20;

/// The variables that ask for more changes, and for others: a number to begin with.
const CHANGES_VARIABLE: &str = "AMIKEEP_FUZZ_CHANGES";
const BEGIN_VARIABLE: &str = "AMIKEEP_FUZZ_BEGIN";

/// What changes put in: what readers take for special.
const FRAGMENTS: [&[u8]; 12] =
    [b"\"", b"\n", b"\\", b"=", b"&", b"%", b"-1", b"0", b"</item>", b"\xff", b"\x00", "\u{20ac}".as_bytes()];

fn fuzz_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz")
}

/// The names in a folder, without their endings.
fn names(folder: &Path) -> BTreeSet<String> {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    entries.map(|entry| entry.unwrap().path().file_stem().unwrap().to_string_lossy().into_owned()).collect()
}

fn seeds(target: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let folder = fuzz_folder().join("seeds").join(target);
    let mut paths: Vec<PathBuf> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths.into_iter().map(|path| (path.clone(), fs::read(path).unwrap())).collect()
}

#[expect(
    clippy::disallowed_methods,
    reason = "a longer run is asked for by a variable, since test programs take no options"
)]
fn asked_for<T: std::str::FromStr>(variable: &str, otherwise: T) -> T {
    std::env::var(variable).ok().map_or(otherwise, |text| text.parse().ok().expect("a number"))
}

/// A generator of numbers that needs no randomness (xorshift, Marsaglia 2003).
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % (end as u64)).unwrap()
    }
}

fn change(seed: &[u8], numbers: &mut Numbers) -> Vec<u8> {
    let mut bytes = seed.to_vec();
    for _ in 0..=numbers.below(3) {
        let at = numbers.below(bytes.len() + 1);
        let end = (at + 1 + numbers.below(9)).min(bytes.len());
        match numbers.below(4) {
            0 => bytes.truncate(at),
            1 => drop(bytes.drain(at..end)),
            2 => drop(bytes.splice(at..at, FRAGMENTS[numbers.below(FRAGMENTS.len())].iter().copied())),
            _ => {
                let copied = bytes[at..end].to_vec();
                let to = numbers.below(bytes.len() + 1);
                drop(bytes.splice(to..to, copied));
            }
        }
    }
    bytes
}

/// Runs one input; a promise that is broken is told with the input that breaks it.
fn hold(target: fn(&[u8]), name: &str, seed: &Path, bytes: &[u8]) {
    let result = std::panic::catch_unwind(|| target(bytes));
    assert!(result.is_ok(), "{name} does not hold on a change of {}: {}", seed.display(), bytes.escape_ascii());
}

#[test]
fn every_seed_holds() {
    for (name, target) in TARGETS {
        let seeds = seeds(name);
        assert!(!seeds.is_empty(), "{name} has no seed");
        for (path, bytes) in seeds {
            hold(*target, name, &path, &bytes);
        }
    }
}

#[test]
fn small_changes_of_every_seed_hold() {
    let n_changes = asked_for(CHANGES_VARIABLE, CHANGES_PER_SEED);
    let begin = asked_for(BEGIN_VARIABLE, 0x9e37_79b9_7f4a_7c15);
    for (name, target) in TARGETS {
        for (path, seed) in seeds(name) {
            let mut numbers = Numbers(begin);
            for _ in 0..n_changes {
                hold(*target, name, &path, &change(&seed, &mut numbers));
            }
        }
    }
}

#[test]
fn each_target_has_its_fuzzer_its_program_and_its_seeds() {
    let targets: BTreeSet<String> = TARGETS.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(names(&fuzz_folder().join("fuzz_targets")), targets);
    assert_eq!(names(&fuzz_folder().join("seeds")), targets);
    let manifest: toml::Table = fs::read_to_string(fuzz_folder().join("Cargo.toml")).unwrap().parse().unwrap();
    let programs = manifest["bin"].as_array().unwrap().iter().map(|program| program["name"].as_str().unwrap());
    assert_eq!(programs.map(str::to_owned).collect::<BTreeSet<_>>(), targets);
    for target in targets {
        let source = fs::read_to_string(fuzz_folder().join(format!("fuzz_targets/{target}.rs"))).unwrap();
        assert!(source.contains(&format!("amikeep_fuzz::{target}::run(bytes)")), "{target} fuzzes something else");
    }
}
