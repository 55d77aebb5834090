"""Signatures verify with the public key, and no message about a key names it."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1
from cryptography.hazmat.primitives.asymmetric.ec import generate_private_key as generate_ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from marketarchive.exceptions import ConfigurationError
from marketarchive.times import from_ms
from marketarchive.venues.kalshi.signing import load_signer, signed_channel

KEY_ID = "a952bcbe-ec3b-4b5b-b8f9-11dae589608c"
AT = from_ms(1703123456789)
SIGNED = b"1703123456789GET/trade-api/ws/v2"
"""The text of the venue's own example (websockets, 2026-08-22)."""

RSA = generate_private_key(65537, 2048)
ED25519 = Ed25519PrivateKey.generate()


def written(
    folder: Path, key: object, secret: KeySerializationEncryption | None = None, form: str = "PKCS8"
) -> str:
    path = folder / "key.pem"
    options = (Encoding.PEM, getattr(PrivateFormat, form), secret or NoEncryption())
    path.write_bytes(key.private_bytes(*options))  # type: ignore[attr-defined]
    return str(path)


@pytest.mark.parametrize("form", ["PKCS8", "TraditionalOpenSSL"])
def test_a_handshake_is_signed_by_rsa_pss(tmp_path: Path, form: str) -> None:
    channel = signed_channel(load_signer(KEY_ID, written(tmp_path, RSA, form=form)), "prod")
    headers = channel.headers(AT)
    assert headers["KALSHI-ACCESS-KEY"] == KEY_ID
    assert headers["KALSHI-ACCESS-TIMESTAMP"] == "1703123456789"
    signature = base64.b64decode(headers["KALSHI-ACCESS-SIGNATURE"], validate=True)
    pss = padding.PSS(padding.MGF1(SHA256()), 32)
    RSA.public_key().verify(signature, SIGNED, pss, SHA256())
    with pytest.raises(InvalidSignature):
        RSA.public_key().verify(signature, SIGNED + b"?a=1", pss, SHA256())


def test_and_by_ed25519(tmp_path: Path) -> None:
    channel = signed_channel(load_signer(KEY_ID, written(tmp_path, ED25519)), "demo")
    assert channel.endpoint.url == "wss://external-api-ws.demo.kalshi.co/trade-api/ws/v2"
    signature = base64.b64decode(channel.headers(AT)["KALSHI-ACCESS-SIGNATURE"], validate=True)
    ED25519.public_key().verify(signature, SIGNED)


def test_each_attempt_is_signed_anew(tmp_path: Path) -> None:
    channel = signed_channel(load_signer(KEY_ID, written(tmp_path, ED25519)), "prod")
    assert channel.headers(AT) != channel.headers(AT + 1_000_000)


def test_the_channel_shows_nothing_of_the_key(tmp_path: Path) -> None:
    signer = load_signer(KEY_ID, written(tmp_path, ED25519))
    assert KEY_ID not in f"{signer!r} {signed_channel(signer, 'prod')!r}"


@pytest.mark.parametrize(
    ("key_id", "has_path", "missing"),
    [
        ("", False, "KALSHI_API_KEY_ID and KALSHI_PRIV_KEY_PATH are"),
        ("", True, "KALSHI_API_KEY_ID is"),
        (KEY_ID, False, "KALSHI_PRIV_KEY_PATH is"),
    ],
)
def test_what_is_missing_is_named(tmp_path: Path, key_id: str, has_path: bool, missing: str) -> None:
    path = written(tmp_path, ED25519) if has_path else ""
    with pytest.raises(ConfigurationError, match=f"signed connection, and {missing} not set: create an API"):
        load_signer(key_id, path)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot be read: No such file") as raised:
        load_signer(KEY_ID, str(tmp_path / "s3cr3t.pem"))
    assert "s3cr3t" not in str(raised.value)
    assert KEY_ID not in str(raised.value)


@pytest.mark.parametrize("kind", ["text", "public", "curve", "password", "binary"])
def test_a_file_that_holds_no_such_key(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "key.pem"
    if kind == "text":
        path.write_text("s3cr3t")
    elif kind == "binary":
        path.write_bytes(b"\xff\x00s3cr3t")
    elif kind == "public":
        path.write_bytes(RSA.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    elif kind == "curve":
        written(tmp_path, generate_ec(SECP256R1()))
    else:
        written(tmp_path, ED25519, BestAvailableEncryption(b"s3cr3t"))
    with pytest.raises(ConfigurationError, match="holds no private key of RSA or Ed25519") as raised:
        load_signer(KEY_ID, str(path))
    assert "s3cr3t" not in str(raised.value)
    assert raised.value.__context__ is None or "s3cr3t" not in str(raised.value.__context__)
