"""moto, a simulated S3, whose objects lie in the memory of this process."""

from __future__ import annotations

from typing import Any

import boto3
from moto.core import DEFAULT_ACCOUNT_ID
from moto.s3.models import s3_backends
from moto.server import ThreadedMotoServer

from tests.clients.serving import serve


def main() -> None:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    url = f"http://{host}:{port}"
    secret = {"aws_access_key_id": "simulated", "aws_secret_access_key": "simulated"}
    s3 = boto3.client("s3", endpoint_url=url, region_name="us-east-1", **secret)

    def make_bucket(bucket: str) -> str:
        s3.create_bucket(Bucket=bucket)
        return url

    def names(bucket: str) -> Any:
        return [each["Key"] for each in s3.list_objects_v2(Bucket=bucket).get("Contents", ())]

    def read(bucket: str, key: str) -> str:
        body: bytes = s3.get_object(Bucket=bucket, Key=key)["Body"].read()
        return body.hex()

    def write(bucket: str, key: str, data: str) -> None:
        s3.put_object(Bucket=bucket, Key=key, Body=bytes.fromhex(data))

    def rot(bucket: str, key: str) -> None:
        """Flip a bit where the object lies; its ETag stays, as on a service whose disk fails in silence."""
        found = s3_backends[DEFAULT_ACCOUNT_ID]["aws"].buckets[bucket].keys[key]
        before = found.etag
        data = bytearray(found.value)
        data[len(data) // 2] ^= 1
        found.value = bytes(data)
        assert found.etag == before

    serve({"make_bucket": make_bucket, "names": names, "read": read, "write": write, "rot": rot})


if __name__ == "__main__":
    main()
