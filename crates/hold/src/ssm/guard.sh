# The guard of amikeep on an instance that is reached through Systems Manager: a POSIX shell script, sent whole with each
# command. Above this line amikeep puts what this command is about, as quoted words:
#   ACTION     check, freeze or thaw; `watch`, `pre N` and `post N` are how the script calls itself
#   RUN        the id of the hold, the same in all its commands
#   BASE       a directory on a file system that never freezes
#   NOT_AFTER  seconds since 1970 by the clock of this instance, after which a freeze is refused
#   BUDGET_CS  the longest that anything may stay frozen, in hundredths of a second
#   OVER_AT    seconds since 1970 by which all of it has to be thawed, if somebody else waits for it too; else 0
#   LIMIT_S    the longest that one command before or after the hold may run, in seconds
#   MOUNTS     how many mounts there are, and mount_1, mount_2 ... where they are, in the order of freezing
#   DATAS      how many directories a database has, and data_1, data_2 ... where they are; it works in the first
#   CLIENTS    where a database sees whoever locks it, as the kernel writes that in its table of connections; else nothing
#   PRES POSTS how many commands there are, and pre_run N and post_run N, which become them
#
# Who thaws: the thaw command; else the watchdog, which is started and heard before anything is frozen, left the process
# group of the command, and thaws when the budget is used up or the freeze command died half-way. `claim` says whose turn
# it is; `done` says that it is over, and a freeze that is delivered after it refuses.
#
# Exit codes, none of which the agent takes for an order (194 is one to reboot):
#   0  done; of a thaw: everything was still frozen
#   40 this machine cannot do it      41 refused, nothing was done      42 too late, nothing was done
#   43 another hold is under way      44 not frozen, everything thawed  45 not frozen, and something did not thaw
#   46 it had thawed before           47 this hold is not known         48 a command before the hold failed
#   49 something did not thaw
set -u
umask 077
LC_ALL=C
export LC_ALL
PATH=${PATH:-/usr/bin:/bin}:/usr/sbin:/usr/bin:/sbin:/bin
dir=$BASE/$RUN
nl='
'

say() { printf '%s\n' "$*"; }

end() {
    code=$1
    shift
    [ $# -eq 0 ] || say "why $*"
    exit "$code"
}

# Hundredths of a second since the boot, without starting a program.
now() {
    read -r up _ </proc/uptime
    now=${up%.*}${up#*.}
}

# Every mount as a line of id, device number, place, type and options. A shell reads byte by byte, so it is read once.
look() {
    mounts=$nl
    while read -r mid _ mdev _ mwhere mopts rest; do
        rest=${rest#*- }
        mounts="$mounts$mid $mdev $mwhere ${rest%% *} $mopts,${rest##* }$nl"
    done </proc/self/mountinfo
}

# What the descriptor $1 is on, told by the mount's id: dev, where, fs and opts.
mount_of() {
    id='' dev='' where='' fs='' opts=''
    while read -r key value _; do
        if [ "$key" = mnt_id: ]; then id=$value; fi
    done <"/proc/self/fdinfo/$1"
    case $mounts in *"$nl$id "*) ;; *) return 1 ;; esac
    line=${mounts#*"$nl$id "}
    line=${line%%"$nl"*}
    dev=${line%% *} line=${line#* }
    where=${line%% *} line=${line#* }
    fs=${line%% *} opts=${line#* }
}

# The device number of whatever holds the path $1, or of the nearest directory above it that is there.
device_of() {
    path=$1
    while [ ! -e "$path" ]; do
        path=${path%/*}
        path=${path:-/}
    done
    { mount_of 9; } 9<"$path" 2>/dev/null
}

mount_at() { eval "mount=\$mount_$1"; }

tools() {
    [ "$(id -u)" = 0 ] || end 40 'the agent does not run as root'
    [ -r /proc/self/mountinfo ] && [ -r /proc/uptime ] || end 40 'there is no /proc'
    for tool in cat date fsfreeze id ln mkdir mv readlink rm setsid sleep sync "$@"; do
        command -v "$tool" >/dev/null 2>&1 || end 40 "there is no $tool"
    done
}

# Opens every mount as descriptor 3 and up, so that it cannot go away.
open_mounts() {
    n=0
    while [ "$n" -lt "$MOUNTS" ]; do
        n=$((n + 1))
        mount_at "$n"
        if [ -d "$mount" ] && cd -P "$mount" 2>/dev/null; then
            real=$(pwd -P)
            cd /
            eval "real_$n=\$real"
            eval "exec $((n + 2))<\"\$real\""
        fi
    done
}

# Refuses what must not stand still, by device number: a freeze stops a whole file system, wherever it is mounted.
check() {
    script=$0
    case $script in /*) ;; *) script=$PWD/$script ;; esac
    home=$PWD
    open_mounts
    look
    protected=' '
    for path in / /boot /etc /usr /var /var/log /var/lib /tmp /run /dev/shm /var/lib/amazon/ssm /var/log/amazon/ssm \
        /var/snap/amazon-ssm-agent /snap/amazon-ssm-agent /etc/amazon/ssm /usr/bin/amazon-ssm-agent "$BASE" "$script" \
        "$home" /proc/self/exe; do
        protect "$path"
    done
    # What is run while something is frozen, wherever it comes from.
    for tool in cat date fsfreeze mkdir mv readlink rm setsid sh sleep sync timeout; do
        path=$(command -v "$tool") && case $path in /*) protect "$path" ;; esac
    done
    chosen=' ' refused='' n=0
    while [ "$n" -lt "$MOUNTS" ]; do
        n=$((n + 1))
        mount_at "$n"
        eval "real=\${real_$n:-}"
        if [ -z "$real" ]; then refuse missing; continue; fi
        if ! mount_of $((n + 2)); then refuse unknown; continue; fi
        if [ "$where" != "$real" ]; then refuse "not-a-mount-point on $where"; continue; fi
        case $protected in *" $dev="*)
            holds=${protected#*" $dev="}
            refuse "protected since it holds ${holds%% *}"
            continue ;;
        esac
        case $chosen in *" $dev "*) refuse 'same-file-system as one before'; continue ;; esac
        case $fs in btrfs | ext3 | ext4 | f2fs | xfs) ;; *) refuse "cannot-freeze $fs"; continue ;; esac
        case ,$opts, in *,ro,*) refuse read-only; continue ;; esac
        chosen="$chosen$dev "
        say "mount $n $dev $fs $opts"
        if [ -e "/sys/dev/block/$dev" ]; then disk_at "$n" "$(cd -P "/sys/dev/block/$dev" && pwd -P)"; fi
    done
    [ -z "$refused" ] || end 41 "${refused%; }"
}

# Whether each directory of a database is on what will be frozen, and so is each one in it: links to other disks are there.
datas() {
    n=0
    while [ "$n" -lt "$DATAS" ]; do
        n=$((n + 1))
        eval "place=\$data_$n"
        say "data $n $(data_in "$place")"
    done
}

data_in() {
    if [ ! -d "$1" ]; then say missing; return; fi
    for at in "$1" "$1"/* "$1"/.[!.]*; do
        if [ ! -d "$at" ]; then continue; fi
        if ! { mount_of 9; } 9<"$at" 2>/dev/null; then say unknown; return; fi
        case $chosen in *" $dev "*) ;; *) say "outside $where"; return ;; esac
    done
    say held
}

# Whether the connection that locks a database ends in a process that works in its directory, as all of its processes do:
# the kernel says both, so neither a copy of the data nor the same path somewhere else is taken for it.
server() {
    [ -n "$CLIENTS" ] || return 0
    for tool in grep ls; do
        command -v "$tool" >/dev/null 2>&1 || { say "server unknown there is no $tool"; return; }
    done
    workers='' networks=''
    for at in /proc/[0-9]*; do
        [ "$at/cwd" -ef "$data_1" ] 2>/dev/null || continue
        workers="$workers $at/fd"
        for other in $networks; do
            # Processes of one network see the same connections.
            if [ "$other/ns/net" -ef "$at/ns/net" ]; then continue 2; fi
        done
        networks="$networks $at"
    done
    [ -n "$workers" ] || { say "server unknown no process works in $data_1"; return; }
    set --
    for client in $CLIENTS; do set -- "$@" -e " $client 01 "; done
    for at in $networks; do
        connections=$(grep -hF "$@" "$at/net/tcp" "$at/net/tcp6" 2>/dev/null)
        while read -r _ _ _ _ _ _ _ _ _ inode _; do
            # shellcheck disable=SC2086
            case $(ls -l $workers 2>/dev/null) in
            *"socket:[${inode:-none}]"*) say 'server ours'; return ;;
            esac
        done <<END
$connections
END
    done
    say 'server another'
}

protect() {
    at=$1
    if device_of "$at"; then
        case $protected in *" $dev="*) ;; *) protected="$protected$dev=$at " ;; esac
    fi
}

# The disks on which mount $1 is, of which $2 is a part: the disk of a partition, and those below a logical volume.
disk_at() {
    if [ -e "$2/partition" ]; then
        disk_at "$1" "${2%/*}"
        return
    fi
    below=''
    for slave in "$2"/slaves/*; do
        if [ -e "$slave" ]; then
            below=1
            (disk_at "$1" "$(cd -P "$slave" && pwd -P)")
        fi
    done
    [ -z "$below" ] || return 0
    serial=''
    if [ -r "$2/device/serial" ]; then read -r serial _ <"$2/device/serial"; fi
    say "disk $1 ${2##*/} ${serial:--}"
}

refuse() { refused="${refused}refused $mount $1; "; }

# Runs command $2 before or after ($1) the hold, in a process of its own that ends at the limit.
hook() { timeout "$LIMIT_S" sh "$dir/guard.sh" "$1" "$2" </dev/null >/dev/null 2>&1; }

# After the hold, in reverse, each once. Whoever comes second waits for the first, as long as that one can take, and goes on
# where it died.
posts() {
    [ -e "$dir/entered" ] || return 0
    tries=0
    while poster=$(readlink "$dir/poster") && is_alive "$poster" && [ "$tries" -lt $((POSTS * LIMIT_S * 10)) ]; do
        tries=$((tries + 1))
        sleep 0.1 2>/dev/null || sleep 1
    done
    rm -f "$dir/poster"
    ln -s "$$" "$dir/poster"
    n=$POSTS
    while [ "$n" -gt 0 ]; do
        if mkdir "$dir/post.$n" 2>/dev/null; then hook post "$n" || say "post $n failed with $?"; fi
        n=$((n - 1))
    done
}

# Thaws what was frozen or about to be, last one first. A mount that is not frozen any more leaves `broken` behind, and one
# that cannot be thawed `stuck`.
thaw_all() {
    broken='' stuck='' n=$MOUNTS
    while [ "$n" -gt 0 ]; do
        if [ -e "$dir/frozen.$n" ]; then thaw_one "$n"; fi
        n=$((n - 1))
    done
}

thaw_one() {
    mount_at "$1"
    case $ACTION in
    thaw)
        # This process opens it anew, and looks what it is.
        look
        read -r was <"$dir/dev.$1"
        said=$({ mount_of 9 && [ "$dev" = "$was" ] && fsfreeze --unfreeze /proc/self/fd/9; } 2>&1 9<"$mount")
        ;;
    *) said=$(fsfreeze --unfreeze "/proc/self/fd/$(($1 + 2))" 2>&1) ;;
    esac && rm -f "$dir/frozen.$1" && return 0
    case $said in
    *'nvalid argument'*) broken="$broken $mount" ;;
    *) stuck="$stuck $mount" ;;
    esac
}

# The place is freed first: a command that is killed in between has thawed everything, and the watchdog ends the rest. The
# other way round nobody would free it any more.
finish() {
    if [ "$(readlink "$BASE/busy")" = "run:$RUN" ]; then rm -f "$BASE/busy"; fi
    : >"$dir/done"
}

is_busy() { [ -h "$BASE/busy" ]; }

busy() { end 43 "another hold is under way or was never thawed: $(readlink "$BASE/busy")"; }

# One hold at a time: a link is made at once with what it says. What is left of holds that are over goes.
begin() {
    mkdir -p "$BASE" || end 40 "$BASE cannot be made"
    [ ! -e "$dir" ] || end 42 'this hold was given up, or begun before'
    if is_busy; then busy; fi
    for old in "$BASE"/*/done; do
        if [ -e "$old" ]; then rm -rf "${old%/done}"; fi
    done
    { mkdir "$dir" && cat "$script" >"$dir/guard.sh" && say "$$" >"$dir/freezer"; } || end 40 "$dir cannot be written"
    if ! ln -s "run:$RUN" "$BASE/busy" 2>/dev/null; then
        rm -rf "$dir"
        busy
    fi
}

# Every way out of a freeze that did not succeed: what is frozen is thawed, and what was begun is ended.
give_up() {
    code=$1
    shift
    trap '' HUP INT TERM
    trap - EXIT
    mkdir "$dir/claim" 2>/dev/null
    thaw_all
    posts
    if [ -n "$stuck" ]; then end 45 "$*; still frozen:$stuck"; fi
    finish
    end "$code" "$*"
}

arm() {
    setsid sh "$dir/guard.sh" watch </dev/null >/dev/null 2>&1 &
    tries=0
    until [ -e "$dir/armed" ]; do
        tries=$((tries + 1))
        [ "$tries" -le 100 ] || give_up 44 'the watchdog does not start'
        sleep 0.05 2>/dev/null || sleep 1
    done
}

freeze() {
    now
    started=$now
    is_late && end 42 "it is $(date +%s) here, and this was to be begun until $NOT_AFTER"
    tools
    [ "$PRES" = 0 ] && [ "$POSTS" = 0 ] || tools timeout
    check
    begin
    trap 'give_up 44 "it was interrupted"' HUP INT TERM
    trap 'give_up 44 "it ended early"' EXIT
    n=0
    while [ "$n" -lt "$MOUNTS" ]; do
        n=$((n + 1))
        mount_of $((n + 2))
        say "$dev" >"$dir/dev.$n"
    done
    now
    # The commands before the hold have their time, and then the freeze has its own.
    say $((now + PRES * LIMIT_S * 100 + BUDGET_CS)) >"$dir/deadline"
    arm
    : >"$dir/entered"
    n=0
    while [ "$n" -lt "$PRES" ]; do
        n=$((n + 1))
        hook pre "$n" || give_up 48 "command $n before the hold failed with $?"
    done
    n=0
    while [ "$n" -lt "$MOUNTS" ]; do
        n=$((n + 1))
        sync -f "/proc/self/fd/$((n + 2))" 2>/dev/null || sync
    done
    is_late && give_up 42 "it is $(date +%s) here after the commands before, and this was to be begun until $NOT_AFTER"
    left=$BUDGET_CS
    if [ "$OVER_AT" != 0 ]; then left=$(((OVER_AT - $(date +%s)) * 100)); fi
    [ "$left" -le "$BUDGET_CS" ] || left=$BUDGET_CS
    now
    { say $((now + left)) >"$dir/deadline.new" && mv "$dir/deadline.new" "$dir/deadline"; } ||
        give_up 44 "$dir cannot be written"
    say "$now" >"$dir/began"
    n=0
    while [ "$n" -lt "$MOUNTS" ]; do
        n=$((n + 1))
        # First said and then asked: either this sees the claim, or whoever claims sees that this is about to freeze.
        : >"$dir/frozen.$n"
        if [ -e "$dir/claim" ]; then give_up 44 'it was to be thawed before it was frozen'; fi
        if ! said=$(sh -c 'echo $$ >"$1" && exec fsfreeze --freeze "$2"' sh "$dir/freezing" "/proc/self/fd/$((n + 2))" 2>&1)
        then
            rm -f "$dir/frozen.$n"
            mount_at "$n"
            give_up 44 "$mount could not be frozen: $said"
        fi
        if [ -e "$dir/claim" ]; then give_up 44 'it was to be thawed before it was frozen'; fi
    done
    now
    say "$now" >"$dir/held"
    trap - HUP INT TERM EXIT
    # Last, since the watchdog takes a freeze command that ends without it for dead.
    : >"$dir/whole"
    read -r began <"$dir/began"
    say "frozen $started $began $now"
    exit 0
}

# A freeze may still come: it is not complete, and the shell that freezes or the program in which it waits is still there.
is_freezing() {
    [ ! -e "$dir/whole" ] || return 1
    if is_alive "$freezer"; then return 0; fi
    freezing=''
    if [ -e "$dir/freezing" ]; then read -r freezing <"$dir/freezing"; fi
    [ -n "$freezing" ] && is_alive "$freezing"
}

# A process that has died and was not collected by its parent is there for `kill -0`, and freezes nothing any more.
is_alive() {
    { read -r stat <"/proc/$1/stat"; } 2>/dev/null || return 1
    case $stat in *') Z '* | *') X '*) return 1 ;; esac
    return 0
}

is_late() { [ "$(date +%s)" -ge "$NOT_AFTER" ]; }

watch() {
    trap '' HUP INT TERM
    echo -1000 >/proc/self/oom_score_adj 2>/dev/null
    read -r freezer <"$dir/freezer"
    : >"$dir/armed"
    why=''
    while [ -z "$why" ]; do
        if [ -e "$dir/done" ]; then exit 0; fi
        now
        read -r deadline <"$dir/deadline"
        # Somewhat before the budget ends, since looking and thawing take their time.
        if [ "$now" -ge $((deadline - 40)) ]; then why=budget; fi
        if [ ! -e "$dir/whole" ] && ! is_alive "$freezer" && [ ! -e "$dir/whole" ]; then why=freezer; fi
        if [ -z "$why" ]; then sleep 0.1 2>/dev/null || sleep 1; fi
    done
    if ! mkdir "$dir/claim" 2>/dev/null; then
        # Somebody else thaws right now; he has a moment, and then he is taken for dead.
        sleep 1
        if [ -e "$dir/done" ]; then exit 0; fi
    fi
    say "$why" >"$dir/watchdog"
    thaw_all
    # The kernel says that nothing is frozen while a freeze is under way, which nothing can call back, not even the death
    # of whoever asked for it. So it is waited for.
    tries=0
    while [ -n "$broken" ] && [ ! -e "$dir/done" ] && { is_freezing || [ "$tries" -lt 2 ]; }; do
        tries=$((tries + 1))
        sleep 1
        thaw_all
    done
    now
    say "$now" >"$dir/thawed"
    posts
    # What does not thaw is tried again for as long as this machine runs.
    while [ -n "$stuck" ]; do
        sleep 5
        thaw_all
    done
    finish
}

thaw() {
    mkdir -p "$BASE" 2>/dev/null
    # A freeze that is delivered after this finds its directory and refuses.
    if mkdir "$dir" 2>/dev/null; then
        : >"$dir/done"
        end 47 'no such hold was begun here'
    fi
    if [ -e "$dir/done" ] || ! mkdir "$dir/claim" 2>/dev/null; then thawed_before; fi
    # A freeze that is still under way gives up when it sees the claim.
    tries=0
    freezer=''
    if [ -e "$dir/freezer" ]; then read -r freezer <"$dir/freezer"; fi
    while [ ! -e "$dir/whole" ] && [ ! -e "$dir/done" ] && [ "$tries" -lt 100 ]; do
        if [ -n "$freezer" ] && ! is_alive "$freezer"; then break; fi
        tries=$((tries + 1))
        sleep 0.1 2>/dev/null || sleep 1
    done
    if [ -e "$dir/done" ]; then thawed_before; fi
    thaw_all
    # The watchdog waits for it.
    if [ -n "$broken" ] && is_freezing; then end 49 "a freeze may still be under way:$broken"; fi
    now
    say "$now" >"$dir/thawed"
    told
    posts
    if [ -n "$stuck" ]; then end 49 "still frozen:$stuck"; fi
    finish
    if [ -n "$broken" ]; then end 46 "not frozen any more:$broken"; fi
    exit 0
}

# Whoever thaws is waited for, as long as it takes within the command's own time.
thawed_before() {
    tries=0
    until [ -e "$dir/done" ]; do
        tries=$((tries + 1))
        if [ "$tries" -gt 200 ]; then end 49 'somebody else is at it and does not come to an end'; fi
        sleep 0.1 2>/dev/null || sleep 1
    done
    told
    why=given-up
    if [ -e "$dir/watchdog" ]; then read -r why <"$dir/watchdog"; fi
    end 46 "$why"
}

# When it was frozen, held as a whole and thawed.
told() {
    began='' held='' thawed=''
    if [ -e "$dir/began" ]; then read -r began <"$dir/began"; fi
    if [ -e "$dir/held" ]; then read -r held <"$dir/held"; fi
    if [ -e "$dir/thawed" ]; then read -r thawed <"$dir/thawed"; fi
    say "thawed ${began:--} ${held:--} ${thawed:--}"
}

say 'amikeep-guard 1'
ACTION=${1:-$ACTION}
case $ACTION in
check)
    tools
    [ "$PRES" = 0 ] && [ "$POSTS" = 0 ] || tools timeout
    check
    datas
    server
    say "clock $(date +%s)"
    if is_busy; then busy; fi
    exit 0
    ;;
freeze) freeze ;;
thaw) thaw ;;
watch) watch ;;
pre) pre_run "$2" ;;
post) post_run "$2" ;;
*) end 40 "$ACTION is no action" ;;
esac
