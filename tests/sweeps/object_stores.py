"""An S3 endpoint for tests on loopback, and what a process needs to reach it."""

import logging

from moto.server import ThreadedMotoServer
from pyarrow.fs import S3FileSystem

from sweeps.store.objects import ObjectStore, object_store

BUCKET = "team"


def store_at(url: str) -> ObjectStore:
    found = object_store(url)
    assert found is not None
    return found


class Endpoint:
    """A server that holds the objects of one bucket in memory, and accepts any credentials."""

    def __init__(self) -> None:
        logging.getLogger("werkzeug").setLevel(logging.ERROR)  # it would log a line for every request
        self._server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
        self._server.start()
        host, self.port = self._server.get_host_and_port()
        self.environment = {
            "AWS_ACCESS_KEY_ID": "anybody",
            "AWS_SECRET_ACCESS_KEY": "a-secret-that-nothing-may-keep",
            "AWS_REGION": "us-east-1",
            "AWS_ENDPOINT_URL": f"http://{host}:{self.port}",
        }
        self.files = S3FileSystem(
            access_key="anybody",
            secret_key="any",
            endpoint_override=self.environment["AWS_ENDPOINT_URL"],
            allow_bucket_creation=True,
        )
        self.files.create_dir(BUCKET)

    def stop(self) -> None:
        self._server.stop()
