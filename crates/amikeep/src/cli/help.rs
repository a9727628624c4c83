//! The long texts of `--help`. They are written for somebody who has never seen amikeep and has a question now.

pub(super) const LONG_ABOUT: &str = "\
amikeep backs up EC2 instances as Amazon Machine Images (AMIs).

Policies in a TOML file say which instances are imaged, when, how (with a reboot, \
without one, or held still for some seconds) and how long the images are kept. \
`amikeep daemon` does the work; every other command can be run beside it at any time.";

pub(super) const AFTER_HELP: &str = "\
Questions, and where the answer is:
  What will run tonight?                     amikeep plan
  What ran, and when?                        amikeep history --since 24h
  What failed?                               amikeep history --state failed
  Why did it fail, and what can I do?        amikeep show JOB
  Is this host backed up? How? Since when?   amikeep explain INSTANCE
  Which images are kept, and why?            amikeep images
  What is stopped at present?                amikeep pause
  What goes, and why?                        amikeep prune --dry-run
  Did a policy match nothing, or not run?    amikeep history --fires
  Is the configuration right?                amikeep check
  May amikeep do what it has to at AWS?      amikeep check --online
  How does it look when it works?            amikeep demo

Times are given as RFC 3339 (2026-11-22T01:00:00Z), as a date (2026-11-22, in UTC) or as a span (24h, 7d).
Add --format json for a program. Each command has more to say: amikeep COMMAND --help

Exit codes: 0 done, 1 it ran and something failed, 2 usage or configuration";

pub(super) const DAEMON: &str = "\
Runs the service in the foreground, until SIGTERM or SIGINT.

It tells systemd when it is ready, answers its watchdog, and logs to the journal or to stderr. SIGHUP reads the \
configuration again; an invalid file leaves the running policies in force. After a crash or a power cut it goes on \
where it was: nothing is taken twice, and nothing is forgotten.";

pub(super) const CHECK: &str = "\
Checks the configuration: every error at once, with file, line, column, what is allowed, and what was probably meant.

With --online it also asks AWS, for each account: whether the credentials work, whether they belong to the account id \
that is configured, which of the calls that amikeep makes they allow, and how many instances each policy \
matches now. It asks by DryRun, so nothing is changed. \
What cannot be asked that way is listed as not checked, with the reason.";

pub(super) const CHECK_EXAMPLES: &str = "\
Examples:
  amikeep check
  amikeep --config ./amikeep.toml check --online

Exit codes: 0 nothing wrong (there may be warnings), 1 AWS cannot be reached or denies something, 2 the file is invalid";

pub(super) const PLAN: &str = "\
Lists the fires of all enabled policies: what will run tonight. It needs the configuration alone and never asks AWS; \
where it may read the ledger or ask the daemon, it also says which fires a pause will skip.

A fire takes one image of each instance that its policy matches at that time. The start of each instance is spread over \
the policy's jitter. Times of --from and --to are RFC 3339, dates, times without an offset (taken as UTC), or spans from \
now such as 12h or 7d. The end is not included.";

pub(super) const PLAN_EXAMPLES: &str = "\
Examples:
  amikeep plan                                     the next 24 hours
  amikeep plan --to 7d                             the next week
  amikeep plan --from 2026-03-28 --to 2026-03-30   the days around a change of clocks";

pub(super) const EXPLAIN: &str = "\
Says how an instance is backed up: the policies that match it, its class and where the class comes from, whether it is \
rebooted, the grade its images should have, and why. It also says what the next fires would do (a reboot window may be \
shut by then, or a pause be in force), when the last backup succeeded, and which policies nearly match.

It asks EC2 for the instance in every configured account, and changes nothing.";

pub(super) const EXPLAIN_EXAMPLES: &str = "\
Examples:
  amikeep explain i-0123456789abcdef0
  amikeep explain i-0123456789abcdef0 --format json

Exit codes: 0 done, 1 the instance was not found or EC2 could not be asked, 2 usage or configuration";

pub(super) const BACKUP: &str = "\
Backs up instances now, through the same engine and with the same care as the daemon: if one runs, it does the work.

The policy gives class, tags and retention. Without --policy it is the only policy that matches the instance. \
--consistency takes another mode this once; a class whose images an audit relies on cannot be weakened. The mode freeze \
needs a class that names a freeze.";

pub(super) const BACKUP_EXAMPLES: &str = "\
Examples:
  amikeep backup i-0123456789abcdef0
  amikeep backup i-0123456789abcdef0 --policy db-nightly --consistency no-reboot
  amikeep backup i-0123456789abcdef0 --no-wait --format json

Exit codes: 0 all succeeded (with --no-wait: are queued), 1 one failed, 2 usage, or no single policy matches";

pub(super) const HISTORY: &str = "\
Lists jobs, newest first. A job is one instance of one fire.

States: queued, preparing, holding, capturing, pending (EC2 makes the image), finishing, then succeeded, failed or \
skipped. The grade says how consistent an image really is, from the best: offline (stopped), clean (rebooted), \
application (frozen, the application was told), filesystem (frozen), crash (as after a power cut).

With --fires it lists fires in place of jobs: `ran`, `no-match` (the policy matched no instance, so there is no backup), \
`missed` (amikeep was not running) and `skipped` (it fell into a pause). With --summary it lists sums by month of what is \
older than `history_keep`. Spans such as 24h count back from now.";

pub(super) const HISTORY_EXAMPLES: &str = "\
Examples:
  amikeep history --since 24h                      what ran since yesterday
  amikeep history --state failed                   what failed
  amikeep history --instance i-0123456789abcdef0   one host
  amikeep history --fires --since 7d               what matched nothing, or was missed

To see why a job failed and what to do next: amikeep show JOB";

pub(super) const SHOW: &str = "\
Tells all about one job: where it stands, how the image was made and how good it is, what happened when, and for one \
that failed, why and what to do next.

JOB is the id, or the last part of it as the tables of `amikeep history` show it.";

pub(super) const SHOW_EXAMPLES: &str = "\
Examples:
  amikeep show 0193509f-6e00-7c3a-9b1e-5d2f8a4c6e10
  amikeep show 8a4c6e10

Exit codes: 0 done, 1 there is no such job, 2 usage or configuration";

pub(super) const RECONCILE: &str = "\
Takes images that carry the tags of this owner, and that the ledger does not know, into the ledger: after an older backup of \
it was restored, or when it was lost and there is no backup. From then on retention decides about them.

Only images are taken in of which tags, name, source instance and snapshots all fit together. It works on the ledger by \
itself, so the daemon must not run. If another amikeep with the same `owner` works on these accounts, its images would \
become this one's to delete: give each its own `owner` instead.

Exit codes: 0 done, 1 an account could not be listed, or the ledger is in use, 2 usage or configuration";

pub(super) const PRUNE: &str = "\
Applies retention now, as the daemon does by itself at the times of `prune_schedule`.

First it lists every image with its verdict: keep (by the rules that are listed), delete (no rule wants it) and held (no \
rule wants it, and a guard holds it back). Then it asks, and deletes images together with their snapshots. An image goes \
only if account, tags, instance and ledger prove that amikeep made it, and if nothing uses it.

If more of a policy would go than its `max_deletes` allows, nothing of it goes. --policy P --yes releases what is shown.";

pub(super) const PRUNE_EXAMPLES: &str = "\
Examples:
  amikeep prune --dry-run                        what would go, and why
  amikeep prune --policy db-nightly --yes        one policy, without asking, beyond max_deletes

Exit codes: 0 done, 1 something could not be deleted or listed, 2 usage, or nobody can be asked and --yes is missing";

pub(super) const PAUSE: &str = "\
Stops backups and pruning of one policy, of one instance or of everything for a while. Without a scope it lists what is \
paused.

Fires that fall into a pause are skipped for good and are listed as such: nothing runs late when the pause ends. \
`amikeep backup` still does what it is told.";

pub(super) const PAUSE_EXAMPLES: &str = "\
Examples:
  amikeep pause                                                     what is paused
  amikeep pause --policy db-nightly --until 6h --reason migration
  amikeep resume --policy db-nightly";

pub(super) const RESUME: &str = "\
Ends a pause of exactly this policy, of this instance or of everything.

Fires that fell into the pause stay skipped; the next one runs at its time. `amikeep pause` lists what is paused.";

pub(super) const CANCEL: &str = "\
Cancels a job that waits: for its jitter, for another image of its instance, or for its next try.

A job whose image has been asked for cannot be cancelled, since EC2 takes no such request back. JOB is the id, or the last \
part of it as the tables of `amikeep history` show it.";

pub(super) const PIN: &str = "\
Puts the tag `amikeep:pin` on an image: it is kept whatever the rules say. The verdicts of other images do not change.

Setting the tag in the console does the same.";

pub(super) const UNPIN: &str = "\
Removes the tag `amikeep:pin` from an image: the rules decide about it again, and the next prune may delete it.";

pub(super) const IMAGES: &str = "\
Lists the images that exist, newest first within each series: since when, how good, and which rules of `keep` hold them.

Verdicts are those of the configuration in force: keep (by the rules that are listed), delete (no rule wants it) and \
held (no rule wants it, and a guard holds it back). EC2 is not asked here, so whether an image is in use is not known and \
holds nothing back in this list.

Nothing is deleted here: `amikeep prune` does that, and so does the daemon at the times of `prune_schedule`.";

pub(super) const IMAGES_EXAMPLES: &str = "\
Examples:
  amikeep images --instance i-0123456789abcdef0
  amikeep images --policy db-nightly --format json";

pub(super) const SIMULATE: &str = "\
Tries retention rules on a list of times: which of the images taken then would be kept, and by which rules.

It reads a JSON array of RFC 3339 times from a file or from stdin, needs neither configuration nor AWS, and shows no \
guards: it is the planner alone. The newest time stands for now.";

pub(super) const SIMULATE_EXAMPLES: &str = "\
Rules: last, hourly, daily, weekly, monthly, yearly take a count (-1 for all); within, within_hourly, within_daily, \
within_weekly, within_monthly, within_yearly take a duration such as 30d, back from the newest image.

Examples:
  amikeep simulate --keep last=3,daily=7,weekly=4 --timezone Europe/Berlin times.json
  echo '[\"2026-11-21T01:00:00Z\", \"2026-11-22T01:00:00Z\"]' | amikeep simulate --keep last=1";

pub(super) const DEMO: &str = "\
Shows a week of backup nights in about a minute, without an AWS account: an EC2 simulator inside this process, a ledger \
in a temporary directory, and the real engine with its real decisions. Nothing outside of it is touched.";

pub(super) const SCHEMA: &str = "\
Prints the JSON Schema of the configuration file, with which editors complete and check it.";

pub(super) const SCHEMA_EXAMPLES: &str = "\
Example:
  amikeep schema > amikeep.schema.json
  # and in the first line of amikeep.toml, for editors that use taplo:
  #:schema ./amikeep.schema.json";

pub(super) const COMPLETIONS: &str = "\
Prints a script with which a shell completes amikeep's commands, options and their values. It comes from the same \
definition as this help, so it fits this release; make it again after an upgrade.";

pub(super) const COMPLETIONS_EXAMPLES: &str = "\
Examples:
  amikeep completions bash > /usr/share/bash-completion/completions/amikeep
  amikeep completions zsh > /usr/share/zsh/vendor-completions/_amikeep
  amikeep completions fish > /usr/share/fish/vendor_completions.d/amikeep.fish";

pub(super) const MAN: &str = "\
Writes the manual pages of all commands into a directory, amikeep.1 and one for each command, for whoever packages \
amikeep.";

pub(super) const HOLD: &str = "\
Rehearses a freeze on this machine. Everything is done that a backup of a class with this freeze does, but the image: the \
mounts are checked, the application is connected, the commands before are run, the application is locked, the mounts \
are frozen and thawed, and the commands after are run. It prints for how long writes stood still.

Exit code 0: everything was held still and let go. 1: it was not, and why is told; nothing is left frozen.";

pub(super) const HOLD_EXAMPLES: &str = "\
Example:
  amikeep hold --freeze database --test";

pub(super) const THAW: &str = "\
Thaws what an amikeep that died in a hold may have left frozen, or what a hold could not thaw, and runs the commands that \
were to be run after it. What may be frozen is read from the ledger; nothing else is ever thawed. While a daemon runs this \
only lists what may be frozen, since the daemon tries to thaw it itself, again and again. The drop-in of the service calls \
it by ExecStopPost, and every start does the same.

A command that thaws and fails leaves open whether anything is frozen, so it is run again by every start. Once you have \
looked, and thawed by hand what was frozen, --settled ends that. It needs the daemon to be stopped.

Exit code 0: nothing is left frozen. 1: something may be, and is named.";
