//! The keys of the configuration file: the one table from which the reader, the JSON Schema and the tables of the
//! documentation are made. The first sentence about a key is what people see in all three.

use amikeep_domain::class::{Consistency, IfBlocked};
use amikeep_domain::freeze::{Application, CaptureBy, MysqlLock, Via};
use amikeep_domain::id::{AccountId, AccountName, ClassName, FreezeName, InstanceId, Owner, PolicyName, Region};
use amikeep_domain::pattern::Pattern;
use amikeep_domain::retention::{Count, Within};

use crate::config::Listen;
use crate::section::Presence::{Optional, Or, Required};
use crate::section::{Section, section};
use crate::value::duration::{DAY, HOUR, MINUTE, Span};
use crate::value::list::{Argv, OneOrMore, Programs, Several};
use crate::value::number::Whole;
use crate::value::place::{AbsolutePath, EndpointUrl, RoleArn, SocketPath};
use crate::value::table::Named;
use crate::value::text::{DeviceName, NonEmpty, SetTag, SoughtTag, TagValue};
use crate::value::time::{ClockTime, Cron, Days, Zone};

/// Every EC2 request of one account is paced anyway; more jobs than this at once only wait in a different place.
const CONCURRENT_JOBS_MAX: u32 = 10_000;

/// Where a key belongs that was written into a policy though it is one of a class.
pub(crate) fn home_of(table: &str, key: &str) -> Option<String> {
    let is_of_class = ClassKeys::KEYS.iter().any(|known| known.name == key);
    let policy = table.strip_prefix("policies.").filter(|name| !name.contains('.'))?;
    is_of_class.then(|| format!("it belongs in [classes.NAME], where NAME is the `class` of the policy {policy}"))
}

section! {
    /// The configuration of amikeep.
    RootKeys {
        /// The daemon itself.
        daemon: DaemonKeys, Required("owner = \"prod-fra\"");
        /// Accounts by name: each is one set of credentials in one region.
        accounts: Named<AccountName, AccountKeys>, Optional;
        /// Policies by name: which instances are imaged, when, how, and how long the images are kept.
        policies: Named<PolicyName, PolicyKeys>, Optional;
        /// Workload classes by name: changes to built-in ones, and new ones.
        classes: Named<ClassName, ClassKeys>, Optional;
        /// Freeze recipes by name: how an instance is held still while it is imaged.
        freezes: Named<FreezeName, FreezeKeys>, Optional;
    }
}

section! {
    /// The daemon itself.
    DaemonKeys {
        /// Whose images these are: part of every image name and tag, so it stays the same while images exist.
        owner: Owner, Required("\"prod-fra\"");
        /// The file of the ledger (`SQLite`), created with mode 0600.
        database: AbsolutePath, Or("\"/var/lib/amikeep/amikeep.db\"");
        /// The address of `/metrics` and `/healthz`; `""` switches them off.
        listen: Listen, Or("\"127.0.0.1:8484\"");
        /// The socket at which the daemon answers users who may not read the ledger; `""` switches it off.
        socket: SocketPath, Optional;
        /// How many jobs may be preparing to capturing at once; waiting for EC2 is free. Accounts and regions that are due
        /// at once share them fairly.
        max_concurrent_jobs: Whole<1, CONCURRENT_JOBS_MAX>, Or("64");
        /// How long a stop waits for what is under way.
        shutdown_grace: Span<0, HOUR>, Or("\"60s\"");
        /// How many daily backups of the ledger are kept, in a directory beside it; 0 makes none.
        ledger_backups: Whole<0, 365>, Or("7");
        /// When retention is applied, a cron expression in UTC.
        prune_schedule: Cron, Or("\"30 * * * *\"");
        /// How long jobs are kept one by one. Older ones whose images are gone are kept as sums, for reports.
        history_keep: Span<{ 30 * DAY }, { 36_500 * DAY }>, Or("\"400d\"");
    }
}

section! {
    /// One set of credentials in one region.
    AccountKeys {
        /// The AWS region.
        region: Region, Required("\"eu-central-1\"");
        /// The profile of the shared AWS configuration files to take credentials from.
        profile: NonEmpty, Optional;
        /// The role to assume.
        role_arn: RoleArn, Optional;
        /// The external id that the role asks for.
        external_id: NonEmpty, Optional;
        /// The URL of something that answers in place of AWS.
        endpoint_url: EndpointUrl, Optional;
        /// The only account, by its 12 digits, that these credentials may belong to; any other is refused.
        account_id: AccountId, Optional;
        /// How long EC2's answers may lag behind its writes.
        visibility_lag: Span<1, HOUR>, Or("\"5m\"");
    }
}

section! {
    /// Which instances are imaged, when, how, and how long the images are kept.
    PolicyKeys {
        /// The account, or a list of accounts, whose instances are covered.
        account: OneOrMore<AccountName>, Required("\"default\"");
        /// The workload class of the instances, which decides how they are imaged.
        class: ClassName, Required("\"production-database\"");
        /// When it fires: a cron expression of 5 fields, of 6 with leading seconds, or `@daily` and friends.
        schedule: Cron, Required("\"0 2 * * *\"");
        /// The IANA time zone of `schedule`, of the buckets of `keep` and of `reboot_window`.
        timezone: Zone, Or("\"UTC\"");
        /// Over how much time the starts of a fire are spread; an instance starts at the same point of it every time.
        jitter: Span<0, DAY>, Or("\"0s\"");
        /// No capture begins later than the nominal time, plus the instance's share of `jitter`, plus this.
        start_within: Span<1, { 30 * DAY }>, Or("\"6h\"");
        /// Whether it fires; `false` stops new images.
        enabled: bool, Or("true");
        /// The instances it covers: those listed and those whose tags match, less those excluded.
        select: SelectKeys, Required("{ tags = { Env = \"prod\" } }");
        /// The classes that an instance may choose by its own tag `amikeep:class`.
        class_tag_allows: Several<ClassName>, Or("[]");
        /// Keys of tags that are carried over from the instance to its images and snapshots.
        copy_tags: Several<SetTag>, Or("[]");
        /// What is kept: an image stays if any of these rules keeps it.
        keep: KeepKeys, Required("{ last = 3, daily = 7 }");
        /// Extra tags for images and snapshots.
        tags: Named<SetTag, TagValue>, Optional;
        /// An image that is still pending after this is reported as stalled.
        deadline: Span<1, { 30 * DAY }>, Or("\"24h\"");
        /// The most deletions in any 24 hours; without it 20, plus 2 for each image of the last 24 hours. 0 releases none.
        max_deletes: Whole<0, { u32::MAX }>, Optional;
    }
}

section! {
    /// The instances of a policy.
    SelectKeys {
        /// Tags that must all match; a list of values is any of them, with `*` and `?` as in EC2 filters.
        tags: Named<SoughtTag, OneOrMore<Pattern>>, Optional;
        /// Tags of which none may match; they exclude instances listed by id, too.
        exclude_tags: Named<SoughtTag, OneOrMore<Pattern>>, Optional;
        /// Instances by id.
        instances: Several<InstanceId>, Optional;
    }
}

section! {
    /// What a policy keeps: counts (-1 is all) and, measured back from the newest image, durations.
    KeepKeys {
        /// The newest images.
        last: Count, Optional;
        /// The newest image of each of so many hours.
        hourly: Count, Optional;
        /// The newest image of each of so many days.
        daily: Count, Optional;
        /// The newest image of each of so many ISO weeks.
        weekly: Count, Optional;
        /// The newest image of each of so many months.
        monthly: Count, Optional;
        /// The newest image of each of so many years.
        yearly: Count, Optional;
        /// Every image of this time.
        within: Within, Optional;
        /// The newest image of each hour of this time.
        within_hourly: Within, Optional;
        /// The newest image of each day of this time.
        within_daily: Within, Optional;
        /// The newest image of each ISO week of this time.
        within_weekly: Within, Optional;
        /// The newest image of each month of this time.
        within_monthly: Within, Optional;
        /// The newest image of each year of this time.
        within_yearly: Within, Optional;
    }
}

section! {
    /// A change to a built-in class, or a new class.
    ClassKeys {
        /// How an image is made consistent. A new class must say it; a built-in class has its own.
        consistency: Consistency, Optional;
        /// What happens when that mode is blocked; `regulated` never falls back to `no-reboot`.
        if_blocked: IfBlocked, Or("\"fail\"");
        /// Which of `[freezes.NAME]` holds an instance still.
        freeze: FreezeName, Optional;
        /// When a reboot is welcome; without it, up to an hour after the start that was planned.
        reboot_window: RebootWindowKeys, Optional;
        /// Whether a member of an Auto Scaling group may be rebooted, which can make the group replace it.
        reboot_in_asg: bool, Or("false");
    }
}

section! {
    /// When a reboot is welcome, in the time zone of the policy.
    RebootWindowKeys {
        /// The days on which the window opens: `"Sat,Sun"`, `"Mon-Fri"`.
        days: Days, Or("\"Mon-Sun\"");
        /// When it opens.
        from: ClockTime, Required("\"01:00\"");
        /// When it closes; a time before `from` is on the next day.
        to: ClockTime, Required("\"05:00\"");
    }
}

section! {
    /// How an instance is held still while it is imaged.
    FreezeKeys {
        /// How the instance is reached: this host itself, AWS Systems Manager, or commands of your own.
        via: Via, Required("\"local\"");
        /// The mount points to freeze, as absolute paths: frozen in this order, thawed in reverse.
        mounts: Several<AbsolutePath>, Optional;
        /// The EC2 device names of the volumes that hold what is frozen. Without them, `"local"` and `"ssm"` find out.
        devices: Several<DeviceName>, Optional;
        /// The instance that this host is, with `"local"`. Without it, the host's firmware or the metadata service is asked.
        instance: InstanceId, Optional;
        /// The application that is made to stand still first.
        application: Application, Or("\"none\"");
        /// How `"mysql"` is held: `"every-engine"`, `"read-lock"`, `"innodb-only"` or `"replication"`.
        mysql_lock: MysqlLock, Or("\"every-engine\"");
        /// Where the application's address with its credentials is found: exactly one of the keys below.
        connection: ConnectionKeys, Optional;
        /// Programs with their arguments to run before anything is locked; if one fails, nothing is frozen.
        pre: Programs, Or("[]");
        /// Programs with their arguments to run at the end, in reverse, whatever happened.
        post: Programs, Or("[]");
        /// With `"command"`: the program that freezes, with its arguments.
        freeze: Argv, Optional;
        /// With `"command"`: the program that thaws, with its arguments.
        thaw: Argv, Optional;
        /// The longest that any one of these programs may take.
        command_limit: Span<1, { 10 * MINUTE }>, Or("\"30s\"");
        /// The longest that writes may stall; thawed at it whatever happens. Without it `"10s"`, with `"ssm"` `"45s"`.
        budget: Span<1, { 2 * MINUTE }>, Optional;
        /// How long to wait for the application's lock; less than `budget`.
        lock_wait: Span<1, { 2 * MINUTE }>, Or("\"5s\"");
        /// Which calls take the image: `CreateImage`, or `CreateSnapshots` and `RegisterImage`.
        capture: CaptureBy, Or("\"image\"");
    }
}

section! {
    /// Where an application's credentials are found; never the credentials themselves.
    ConnectionKeys {
        /// The name of a systemd credential.
        credential: NonEmpty, Optional;
        /// A file.
        file: AbsolutePath, Optional;
        /// An environment variable.
        env: NonEmpty, Optional;
    }
}
