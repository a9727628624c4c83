#!/bin/sh
# What people write to image a server without a reboot: freeze, CreateImage by the aws command line, thaw.
#
# Run by `cargo xtask bench stall` as `stall.sh MOUNT INSTANCE NAME`, with the endpoint, the credentials and the path in
# its environment. It thaws when the call has returned, whether or not a snapshot has begun, as such scripts do.
mount=$1 instance=$2 name=$3

fsfreeze -f "$mount" || exit 1
aws ec2 create-image --no-reboot --instance-id "$instance" --name "$name" >/dev/null
status=$?
fsfreeze -u "$mount"
exit $status
