#!/bin/sh
# Boots this machine's own systemd in a container, and becomes it: $1 is an empty directory, the rest are further
# arguments of systemd-nspawn. It must run in a mount namespace of its own: all that it mounts is gone when it ends,
# however it ends, and nothing of what the container writes reaches this machine's files.
set -eu
place=$1
shift

mount -t tmpfs -o mode=0755 amikeep-test "$place"
mkdir "$place/upper" "$place/work" "$place/root"
mount -t overlay -o "lowerdir=/,upperdir=$place/upper,workdir=$place/work" amikeep-test "$place/root"

# systemd-nspawn leaves directories here.
mkdir -p /run/systemd/nspawn
mount -t tmpfs -o mode=0755 amikeep-test /run/systemd/nspawn

# What this machine has switched on (databases, networks, an installed amikeep) must not start twice. An id keeps systemd
# from taking this for a first boot, at which it would switch on whatever the distribution presets.
cd "$place/root"
rm -rf etc/systemd/system etc/init.d etc/rc?.d etc/fstab etc/amikeep var/lib/amikeep var/log/journal
mkdir -p etc/systemd/system var/log/journal
tr -d '-' </proc/sys/kernel/random/uuid >etc/machine-id

# The network is this machine's own, since the simulated EC2 listens on its loopback. Without a private network the
# container has no capability to change it. No unit is asked for: this machine may have no systemd, and one that has would
# not know this process by the number that it has in here.
exec systemd-nspawn --quiet --directory="$place/root" --boot --register=no --keep-unit --console=pipe "$@"
