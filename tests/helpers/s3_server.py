"""A local S3 server that runs during a test."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pytest
from moto.server import ThreadedMotoServer

KEYS = {"AWS_ACCESS_KEY_ID": "nobody", "AWS_SECRET_ACCESS_KEY": "nothing", "AWS_DEFAULT_REGION": "eu-west-1"}


@dataclass(frozen=True)
class Bucket:
    """An empty bucket at `endpoint`."""

    endpoint: str
    name: str

    @property
    def client(self):
        """boto3's client of the server."""
        import boto3

        return boto3.session.Session().client("s3", endpoint_url=self.endpoint)

    def files(self) -> list[str]:
        """Return the keys of all objects in the bucket."""
        return [entry["Key"] for entry in self.client.list_objects_v2(Bucket=self.name).get("Contents", [])]


@contextmanager
def serve_bucket(name: str) -> Iterator[Bucket]:
    """Serve a bucket from a thread, which ends with this process however it ends; keys are in the environment."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    with pytest.MonkeyPatch.context() as environment:
        for variable in list(os.environ):
            if variable.startswith("AWS_"):
                environment.delenv(variable)
        nowhere = os.path.join(os.path.dirname(__file__), "no-such-file")
        variables = {"AWS_CONFIG_FILE": nowhere, "AWS_SHARED_CREDENTIALS_FILE": nowhere, "NO_PROXY": "127.0.0.1"}
        for variable, value in {**KEYS, **variables}.items():
            environment.setenv(variable, value)
        server.start()
        try:
            host, port = server.get_host_and_port()
            bucket = Bucket(f"http://{host}:{port}", name)
            configuration = {"LocationConstraint": KEYS["AWS_DEFAULT_REGION"]}
            bucket.client.create_bucket(Bucket=name, CreateBucketConfiguration=configuration)
            yield bucket
        finally:
            server.stop()
