"""Access to the simulated Kalshi: API keys that it issued or that clients registered, and their signatures.

    GET  HOST/_simulator/api_key   issues a new key: {"api_key_id", "private_key"}, as the venue's page does
    POST HOST/_simulator/api_key   registers a public key (PEM) and answers {"api_key_id"}

The real venue has neither route. Refusals are as in captures of 2026-06-11.
"""

from __future__ import annotations

import base64
import binascii

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.padding import MGF1, PSS
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_public_key,
)

from marketarchive.simulator.messages import Reply, SimRequest, json_reply
from marketarchive.simulator.noise import digest
from marketarchive.times import to_ms

ROUTE = "/_simulator/api_key"
SKEW_MS = 10_000
"""Greatest accepted error of a time stamp, ms. The venue accepts 5 s and refuses 30 s; in between nobody
has tried."""

PublicKey = RSAPublicKey | Ed25519PublicKey


class Access:
    """The API keys that one simulator knows."""

    def __init__(self) -> None:
        self._keys: dict[str, PublicKey] = {}

    def give(self, request: SimRequest) -> Reply:
        """Answer a request for a new key, or one that registers a public key."""
        if request.method == "POST":
            try:
                public = load_pem_public_key(request.body)
            except (ValueError, UnsupportedAlgorithm):
                return json_reply({"error": "no public key in PEM"}, 400)
            if not isinstance(public, RSAPublicKey | Ed25519PublicKey):
                return json_reply({"error": "neither RSA nor Ed25519"}, 400)
            return json_reply({"api_key_id": self._add(public)})
        private = Ed25519PrivateKey.generate()
        text = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
        return json_reply({"api_key_id": self._add(private.public_key()), "private_key": text})

    def refusal(self, request: SimRequest, now_ns: int) -> Reply | None:
        """Return the refusal of a request whose signature is missing or wrong; None when it is right."""
        key_id, stamp, signature = (
            request.headers.get(f"kalshi-access-{name}", "") for name in ("key", "timestamp", "signature")
        )
        if not signature:
            return _refused("signature_is_missing_from_headers")
        if not stamp.isdecimal() or abs(int(stamp) - to_ms(now_ns)) > SKEW_MS:
            return _refused("header_timestamp_expired")
        public = self._keys.get(key_id)
        if public is None:
            return _refused("authentication_error", "NOT_FOUND")
        paths = (
            request.path,
            f"/{request.host}{request.path}",
        )  # clients may sign everything after the simulator's own host as the path
        if not any(_verifies(public, f"{stamp}{request.method}{path}", signature) for path in paths):
            return _refused("authentication_error", "INCORRECT_API_KEY_SIGNATURE")
        return None

    def _add(self, public: PublicKey) -> str:
        text = digest(16, "kalshi api key", len(self._keys)).hex()
        key_id = "-".join((text[:8], text[8:12], text[12:16], text[16:20], text[20:]))
        self._keys[key_id] = public
        return key_id


def _verifies(public: PublicKey, text: str, signature: str) -> bool:
    try:
        signed = base64.b64decode(signature, validate=True)
        if isinstance(public, RSAPublicKey):
            padding = PSS(MGF1(SHA256()), PSS.DIGEST_LENGTH)
            public.verify(signed, text.encode(), padding, SHA256())
        else:
            public.verify(signed, text.encode())
    except (InvalidSignature, binascii.Error):
        return False
    return True


def _refused(code: str, details: str = "") -> Reply:
    message = code if details else code.replace("_", " ")
    error = {"code": code, "message": message, **({"details": details} if details else {})}
    return json_reply({"error": error}, 401)
