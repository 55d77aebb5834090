"""Signatures of requests to Kalshi, and the key that they need.

https://docs.kalshi.com/getting_started/api_keys (changelog up to 2026-10-01): the text
`{Unix milliseconds}{METHOD}{path}`, without host and query, by RSA-PSS with SHA-256, MGF1 of SHA-256 and a
salt as long as the digest, or by Ed25519 (keys since 2026-09-24), in base64. The venue accepts a clock that
is 5 s wrong and none that is 30 s wrong (captures of 2026-06-11).
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.padding import MGF1, PSS
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from marketarchive.exceptions import ConfigurationError
from marketarchive.times import to_ms
from marketarchive.venues.channel import Channel
from marketarchive.venues.kalshi.socket import CHANNEL, DEMO_SOCKET, PATH, SOCKET

KEY_ID, KEY_PATH, ENVIRONMENT = "KALSHI_API_KEY_ID", "KALSHI_PRIV_KEY_PATH", "KALSHI_ENV"
"""Names of the settings for the id of the API key, the path of its private key, and the environment."""
PROD, DEMO = "prod", "demo"
SOCKETS = {PROD: SOCKET, DEMO: DEMO_SOCKET}
"""Environment -> socket endpoint; an API key is valid in one environment only."""
PSS_PADDING = PSS(MGF1(SHA256()), PSS.DIGEST_LENGTH)

PrivateKey: TypeAlias = RSAPrivateKey | Ed25519PrivateKey


@dataclass(frozen=True)
class Signer:
    """Signer of requests with one API key; its repr does not contain the key."""

    key_id: str = field(repr=False)
    key: PrivateKey = field(repr=False)

    def headers(self, method: str, path: str, now_ns: int) -> dict[str, str]:
        """Return the signed headers of a request. now_ns: wall clock, ns."""
        stamp = str(to_ms(now_ns))
        return {
            "KALSHI-ACCESS-KEY": self.key_id,
            "KALSHI-ACCESS-TIMESTAMP": stamp,
            "KALSHI-ACCESS-SIGNATURE": self.sign(f"{stamp}{method}{path}"),
        }

    def sign(self, text: str) -> str:
        """Return the signature of an ASCII text, in base64."""
        message = text.encode("ascii")
        if isinstance(self.key, RSAPrivateKey):
            return base64.b64encode(self.key.sign(message, PSS_PADDING, SHA256())).decode()
        return base64.b64encode(self.key.sign(message)).decode()


@dataclass(frozen=True)
class SignedChannel(Channel):
    """A socket channel whose every handshake is signed anew."""

    signer: Signer | None = field(default=None, repr=False)

    def headers(self, now_ns: int) -> Mapping[str, str]:
        return {} if self.signer is None else self.signer.headers("GET", PATH, now_ns)


def signed_channel(signer: Signer, environment: str) -> SignedChannel:
    """Return the socket channel of an environment, with signed handshakes."""
    declared = {**vars(CHANNEL), "endpoint": SOCKETS[environment]}
    return SignedChannel(**declared, signer=signer)


def load_signer(key_id: str, key_path: str) -> Signer:
    """Return a signer with the private key in a file.

    Raises ConfigurationError, whose text contains neither the key nor its id.
    """
    if not key_id or not key_path:
        missing = [name for name, value in ((KEY_ID, key_id), (KEY_PATH, key_path)) if not value]
        verb = "is" if len(missing) == 1 else "are"
        raise ConfigurationError(
            f"Kalshi's socket wants a signed connection, and {' and '.join(missing)} {verb} not set: "
            f"create an API key in the account's settings at kalshi.com (read is enough) and give its id and "
            f"the path of its file in .env, the environment or the settings; all else works without"
        )
    path = Path(key_path).expanduser()
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ConfigurationError(
            f"{KEY_PATH}: the key file cannot be read: {error.strerror}; name the file that the venue gave "
            f"with {KEY_ID}"
        ) from None
    try:
        key = load_pem_private_key(data, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):  # the texts of these errors may quote the file
        key = None
    if not isinstance(key, RSAPrivateKey | Ed25519PrivateKey):
        raise ConfigurationError(
            f"{KEY_PATH}: the file holds no private key of RSA or Ed25519 in PEM without a password; name "
            f"the file that the venue gave with {KEY_ID}"
        )
    return Signer(key_id, key)


def check_environment(name: str) -> str:
    """Return `name` if it is an environment of the venue. Raises ConfigurationError otherwise."""
    if name not in SOCKETS:
        raise ConfigurationError(f"{ENVIRONMENT}={name!r} is not one of {', '.join(SOCKETS)}")
    return name
