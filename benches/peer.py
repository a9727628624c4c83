"""What people write: list the instances that have a tag, and make an image of each.

Run by `cargo xtask bench peers` as `peer.py RETRIES THREADS`, with the endpoint and the credentials in its environment.
RETRIES is `default`, for a client as boto3 makes it, or `adaptive`, for the retries that its guide recommends against
throttling. An image that fails is told and passed over, as scripts do.
"""

import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timezone

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError


def main(retries: str, threads: int) -> int:
    config = Config(retries={"mode": "adaptive", "max_attempts": 10}) if retries == "adaptive" else None
    ec2 = boto3.client("ec2", config=config)
    pages = ec2.get_paginator("describe_instances").paginate(Filters=[{"Name": "tag:Env", "Values": ["prod"]}])
    instances = [
        instance["InstanceId"]
        for page in pages
        for reservation in page["Reservations"]
        for instance in reservation["Instances"]
    ]
    stamp = datetime.now(timezone.utc).strftime("%Y%m%d-%H%M%S")

    def image(instance: str) -> bool:
        try:
            ec2.create_image(InstanceId=instance, Name=f"{instance}-{stamp}", NoReboot=True)
            return True
        except (BotoCoreError, ClientError) as error:
            print(f"{instance}: {error}", file=sys.stderr)
            return False

    if threads == 1:
        done = [image(instance) for instance in instances]
    else:
        with ThreadPoolExecutor(threads) as pool:
            done = list(pool.map(image, instances))
    return 0 if all(done) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], int(sys.argv[2])))
