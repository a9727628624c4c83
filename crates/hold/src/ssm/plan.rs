//! What the guard is told, as the first lines of its script: words in quotes, so that none of them is more than a word.

use std::fmt::Write;
use std::path::PathBuf;
use std::time::Duration;

use jiff::Timestamp;

use crate::apps::{DataPlace, Link};

/// A shell has ten descriptors that can be named, and the guard needs some of them for itself.
pub const MOUNTS_MAX: usize = 6;

/// Where the guard keeps what it knows: memory, and gone with the boot.
const BASE: &str = "/run/amikeep-hold";

/// The guard.
const GUARD: &str = include_str!("guard.sh");

/// One hold on another machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemotePlan {
    /// Its id, of letters, digits and `-`: the same for all commands of a hold and for no other hold.
    pub run: String,
    /// What is frozen, in this order.
    pub mounts: Vec<PathBuf>,
    /// The longest that anything may stay frozen.
    pub budget: Duration,
    /// From when that counts.
    pub budget_from: BudgetFrom,
    /// The directories of a database that is to stand still with it.
    pub data: Vec<DataPlace>,
    /// How whoever locks that database is connected to it.
    pub link: Option<Link>,
    /// What runs before, on that machine: programs with their arguments.
    pub pre: Vec<Vec<String>>,
    /// What runs at the end, in reverse, whatever happened.
    pub post: Vec<Vec<String>>,
    /// The longest that one of them may run.
    pub command_limit: Duration,
    /// What they are told, as environment variables. Everybody who may read commands of the account sees them.
    pub facts: Vec<(String, String)>,
    /// Where the guard keeps what it knows, in place of its usual one.
    pub base: Option<PathBuf>,
}

/// From when a budget counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BudgetFrom {
    /// From the freeze there: nobody waits before it.
    Freeze,
    /// From the order to freeze, here: a database is locked by then, and its users wait.
    Order,
}

/// Why a plan cannot be sent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UnfitPlan {
    /// No mount, or too many.
    #[error("{count} mounts: there have to be 1 to {MOUNTS_MAX} of them through Systems Manager")]
    Count {
        /// How many.
        count: usize,
    },
    /// A mount point that the kernel writes otherwise than it is.
    #[error(
        "the mount point {path} has a character that cannot be used through Systems Manager: only letters, digits \
             and `/._@:+,=-` can"
    )]
    Path {
        /// The path.
        path: String,
    },
    /// A command with a byte that no shell takes, or no command at all.
    #[error("the command {number} {when} the hold is empty or has a zero byte")]
    Command {
        /// Which, from 1.
        number: usize,
        /// `before` or `after`.
        when: &'static str,
    },
    /// An id or the name of a variable that is none.
    #[error("`{word}` is not a word for a shell")]
    Word {
        /// What it is.
        word: String,
    },
}

/// What a command is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    /// Looks, and freezes nothing.
    Check,
    /// Freezes.
    Freeze,
    /// Thaws.
    Thaw,
}

impl RemotePlan {
    /// How long the commands before the hold may take.
    pub(super) fn hooks_max(&self) -> Duration {
        self.command_limit.saturating_mul(u32::try_from(self.pre.len()).unwrap_or(u32::MAX))
    }

    /// The script for one command. `not_after` is by the clock of the machine.
    pub(super) fn script(&self, order: Order, not_after: Timestamp) -> Result<String, UnfitPlan> {
        self.check()?;
        let action = match order {
            Order::Check => "check",
            Order::Freeze => "freeze",
            Order::Thaw => "thaw",
        };
        let base = self.base.as_ref().map_or_else(|| BASE.to_owned(), |base| base.display().to_string());
        let limit_s = self.command_limit.as_secs().max(1);
        let not_after = not_after.saturating_add(self.not_after_hooks(order)).unwrap_or(Timestamp::MAX).as_second();
        let mut script = String::with_capacity(GUARD.len() + 1024);
        let mut line = |name: &str, value: &str| assign(&mut script, name, value);
        line("ACTION", action);
        line("RUN", &self.run);
        line("BASE", &base);
        line("NOT_AFTER", &not_after.to_string());
        line("BUDGET_CS", &(self.budget.as_millis() / 10).to_string());
        let is_over_then = order == Order::Freeze && self.budget_from == BudgetFrom::Order;
        line("OVER_AT", &if is_over_then { not_after.to_string() } else { "0".to_owned() });
        line("LIMIT_S", &limit_s.to_string());
        line("MOUNTS", &self.mounts.len().to_string());
        for (number, mount) in self.mounts.iter().enumerate() {
            line(&format!("mount_{}", number + 1), &mount.display().to_string());
        }
        line("DATAS", &self.data.len().to_string());
        for (number, place) in self.data.iter().enumerate() {
            line(&format!("data_{}", number + 1), &place.path.display().to_string());
        }
        line("CLIENTS", &self.link.as_ref().map(Link::client_words).unwrap_or_default().join(" "));
        line("PRES", &self.pre.len().to_string());
        line("POSTS", &self.post.len().to_string());
        for (name, value) in &self.facts {
            assign(&mut script, name, value);
            let _ = writeln!(script, "export {name}");
        }
        script.push_str(&function("pre_run", &self.pre));
        script.push_str(&function("post_run", &self.post));
        script.push_str(GUARD);
        Ok(script)
    }

    /// The commands before the hold have their time, too.
    fn not_after_hooks(&self, order: Order) -> Duration {
        if order == Order::Freeze { self.hooks_max() } else { Duration::ZERO }
    }

    fn check(&self) -> Result<(), UnfitPlan> {
        let is_word = |word: &str, others: &str| {
            let fits = |c: char| c.is_ascii_alphanumeric() || others.contains(c);
            !word.is_empty() && word.chars().all(fits)
        };
        if !is_word(&self.run, "-") {
            return Err(UnfitPlan::Word { word: self.run.clone() });
        }
        if let Some((name, _)) = self.facts.iter().find(|(name, value)| !is_word(name, "_") || value.contains('\0')) {
            return Err(UnfitPlan::Word { word: name.clone() });
        }
        let data = self.data.iter().map(|place| place.path.display().to_string());
        if let Some(word) = data.into_iter().find(|path| path.contains('\0')) {
            return Err(UnfitPlan::Word { word });
        }
        if self.mounts.is_empty() || MOUNTS_MAX < self.mounts.len() {
            return Err(UnfitPlan::Count { count: self.mounts.len() });
        }
        let unfit = self.mounts.iter().map(|mount| mount.display().to_string()).find(|it| !is_word(it, "/._@:+,=-"));
        if let Some(path) = unfit {
            return Err(UnfitPlan::Path { path });
        }
        for (commands, when) in [(&self.pre, "before"), (&self.post, "after")] {
            let is_unfit = |argv: &Vec<String>| argv.is_empty() || argv.iter().any(|word| word.contains('\0'));
            if let Some(index) = commands.iter().position(is_unfit) {
                return Err(UnfitPlan::Command { number: index + 1, when });
            }
        }
        Ok(())
    }
}

fn assign(script: &mut String, name: &str, value: &str) {
    let _ = writeln!(script, "{name}={}", quoted(value));
}

/// A function that becomes the command with the number that it is given.
fn function(name: &str, commands: &[Vec<String>]) -> String {
    let mut text = format!("{name}() {{\ncase $1 in\n");
    for (number, argv) in commands.iter().enumerate() {
        let words: Vec<String> = argv.iter().map(|word| quoted(word)).collect();
        let _ = writeln!(text, "{}) exec {} ;;", number + 1, words.join(" "));
    }
    text.push_str("*) exit 40 ;;\nesac\n}\n");
    text
}

/// One word, whatever is in it: nothing has a meaning between single quotes but the quote itself.
fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan() -> RemotePlan {
        RemotePlan {
            run: "019ad1f0-0000-7000-8000-000000000001".to_owned(),
            mounts: vec!["/var/lib/mysql".into()],
            budget: Duration::from_secs(45),
            budget_from: BudgetFrom::Freeze,
            data: vec![DataPlace { what: "the data", path: "/var/lib/it's".into() }],
            link: Some(Link::Tcp { clients: vec!["[::1]:80".parse().unwrap()], is_told: true }),
            pre: vec![vec!["/usr/local/bin/drain".to_owned(), "it's $(reboot) `now`\n".to_owned()]],
            post: Vec::new(),
            command_limit: Duration::from_secs(10),
            facts: vec![("AMIKEEP_JOB".to_owned(), "j'1".to_owned())],
            base: None,
        }
    }

    #[test]
    fn every_word_is_one_word() {
        let script = plan().script(Order::Freeze, Timestamp::UNIX_EPOCH).unwrap();
        let head = script.split_once("# The guard").unwrap().0;
        expect_test::expect![[r#"
            ACTION='freeze'
            RUN='019ad1f0-0000-7000-8000-000000000001'
            BASE='/run/amikeep-hold'
            NOT_AFTER='10'
            BUDGET_CS='4500'
            OVER_AT='0'
            LIMIT_S='10'
            MOUNTS='1'
            mount_1='/var/lib/mysql'
            DATAS='1'
            data_1='/var/lib/it'\''s'
            CLIENTS='00000000000000000000000001000000:0050'
            PRES='1'
            POSTS='0'
            AMIKEEP_JOB='j'\''1'
            export AMIKEEP_JOB
            pre_run() {
            case $1 in
            1) exec '/usr/local/bin/drain' 'it'\''s $(reboot) `now`
            ' ;;
            *) exit 40 ;;
            esac
            }
            post_run() {
            case $1 in
            *) exit 40 ;;
            esac
            }
        "#]]
        .assert_eq(head);
    }

    #[test]
    fn what_cannot_be_sent_is_refused_in_words() {
        let refusal = |change: &dyn Fn(&mut RemotePlan)| {
            let mut plan = plan();
            change(&mut plan);
            plan.script(Order::Check, Timestamp::UNIX_EPOCH).unwrap_err().to_string()
        };
        assert!(refusal(&|plan| plan.mounts.clear()).contains("1 to 6"));
        assert!(refusal(&|plan| plan.mounts = vec!["/a".into(); 7]).contains("7 mounts"));
        assert!(refusal(&|plan| plan.mounts = vec!["/my data".into()]).contains("/my data"));
        assert!(refusal(&|plan| plan.pre.push(Vec::new())).contains("command 2 before"));
        assert!(refusal(&|plan| plan.facts.push(("A B".to_owned(), String::new()))).contains("A B"));
        assert!(refusal(&|plan| plan.run = "../x".to_owned()).contains("../x"));
    }

    #[test]
    fn a_script_fits_into_a_command() {
        // 64 KB are the limit of a document, of which the script is the largest part.
        assert!(plan().script(Order::Thaw, Timestamp::MIN).unwrap().len() < 32 * 1024);
    }
}
