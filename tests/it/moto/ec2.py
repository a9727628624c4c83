"""An EC2 that others wrote: moto's, behind a loopback port.

Prints one line of JSON when it is ready, {"url": …, "instances": [running, with two volumes; running; stopped]}, then answers
each line of its input that says `images` with one of what it has, and ends with its input.

Two things that EC2 has are added here, since moto lacks them: snapshots that are tagged by CreateImage itself, and the refusal
of an action that is not known, which moto answers with an error page.
"""

import json
import sys

import boto3
from moto.core import responses
from moto.ec2.models import amis
from moto.moto_server.threaded_moto_server import ThreadedMotoServer

REGION = "eu-central-1"


def tag_snapshots_too(create_image):
    def wrapped(self, instance_id, name, description, tag_specifications):
        of_snapshots = [it for it in tag_specifications if it["ResourceType"] == "snapshot"]
        others = [it for it in tag_specifications if it["ResourceType"] != "snapshot"]
        image = create_image(self, instance_id, name, description, tag_specifications=others)
        for specification in of_snapshots:
            for tag in specification["Tags"]:
                image.ebs_snapshot.add_tag(tag["Key"], tag["Value"])
        return image

    return wrapped


def refuse_what_is_unknown(call_action):
    def wrapped(self):
        try:
            return call_action(self)
        except NotImplementedError as error:
            message = f"<Code>InvalidAction</Code><Message>{error}</Message>"
            body = f"<Response><Errors><Error>{message}</Error></Errors><RequestID>none</RequestID></Response>"
            return 400, {}, body

    return wrapped


def main():
    amis.AmiBackend.create_image = tag_snapshots_too(amis.AmiBackend.create_image)
    responses.BaseResponse.call_action = refuse_what_is_unknown(responses.BaseResponse.call_action)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    url = f"http://{host}:{port}"
    ec2 = boto3.client(
        "ec2", region_name=REGION, endpoint_url=url, aws_access_key_id="any", aws_secret_access_key="any"
    )
    image = ec2.describe_images(Owners=["amazon"])["Images"][0]["ImageId"]
    tags = [{"ResourceType": "instance", "Tags": [{"Key": "Env", "Value": "prod"}]}]
    launched = ec2.run_instances(
        ImageId=image, MinCount=3, MaxCount=3, InstanceType="t3.micro", TagSpecifications=tags
    )
    instances = [it["InstanceId"] for it in launched["Instances"]]
    volume = ec2.create_volume(AvailabilityZone=f"{REGION}a", Size=5)["VolumeId"]
    ec2.attach_volume(VolumeId=volume, InstanceId=instances[0], Device="/dev/sdf")
    ec2.stop_instances(InstanceIds=[instances[2]])
    print(json.dumps({"url": url, "instances": instances}), flush=True)
    for line in sys.stdin:
        if line.strip() == "images":
            print(json.dumps({"images": seen(ec2)}), flush=True)
    server.stop()


def seen(ec2):
    snapshots = {it["SnapshotId"] for it in ec2.describe_snapshots(OwnerIds=["self"])["Snapshots"]}
    return [
        {
            "id": image["ImageId"],
            "name": image["Name"],
            "tags": {tag["Key"]: tag["Value"] for tag in image.get("Tags", [])},
            "snapshots": [
                device["Ebs"]["SnapshotId"]
                for device in image["BlockDeviceMappings"]
                if device.get("Ebs", {}).get("SnapshotId") in snapshots
            ],
        }
        for image in ec2.describe_images(Owners=["self"])["Images"]
        if image["Name"].startswith("amikeep-")
    ]


main()
