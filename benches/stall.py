"""The same by boto3, at its best: the client is made and its connection is open before anything is frozen.

Run by `cargo xtask bench stall` as `stall.py MOUNT INSTANCE NAME`, with the endpoint and the credentials in its
environment. It thaws when the call has returned, whether or not a snapshot has begun.
"""

import subprocess
import sys

import boto3


def main(mount: str, instance: str, name: str) -> None:
    ec2 = boto3.client("ec2")
    ec2.describe_instances(InstanceIds=[instance])
    subprocess.run(["fsfreeze", "-f", mount], check=True)
    try:
        ec2.create_image(InstanceId=instance, Name=name, NoReboot=True)
    finally:
        subprocess.run(["fsfreeze", "-u", mount], check=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
