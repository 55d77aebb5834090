"""Kalshi's own client library, kalshi-python-sync, at the URL of a REST interface that is the argument."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping
from typing import Any

import kalshi_python_sync
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from kalshi_python_sync import Configuration, KalshiAuth, KalshiClient
from pydantic import ValidationError

from tests.clients.serving import serve


def main(url: str) -> None:
    client = KalshiClient(Configuration(host=url))
    key = generate_private_key(65537, 2048)

    def typed(name: str, parameters: Mapping[str, Any]) -> Any:
        """Return what a method reads into the library's models."""
        return json.loads(getattr(client, name)(**parameters).to_json())

    def raw(name: str, parameters: Mapping[str, Any]) -> Any:
        """Return the document that a method is answered: its models are older than the venue."""
        return json.loads(getattr(client, f"{name}_without_preload_content")(**parameters).data)

    def refused(model: str, rows: Iterable[Mapping[str, Any]]) -> list[str]:
        """Return the fields for which the library's model refuses any of the rows."""
        fields = set()
        for row in rows:
            try:
                getattr(kalshi_python_sync, model).from_dict(row)
            except ValidationError as error:
                fields |= {str(each["loc"][0]) for each in error.errors()}
        return sorted(fields)

    def public_key() -> str:
        return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()

    def signed(key_id: str, method: str, url: str) -> dict[str, str]:
        """Return the headers of a request by the key."""
        text = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
        headers: dict[str, str] = KalshiAuth(key_id, text).create_auth_headers(method, url)
        return headers

    serve({each.__name__: each for each in (typed, raw, refused, public_key, signed)})


if __name__ == "__main__":
    main(sys.argv[1])
