"""What the API reads about the tokens (JWT) of an identity provider from its environment."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from hybrid_ocr_core.settings import Reader

PublicKey = RSAPublicKey | EllipticCurvePublicKey | Ed25519PublicKey

#: Each line is a family: one kind of key, used in one way. None with a shared secret: what verifies must not sign.
_FAMILIES: tuple[tuple[type[PublicKey], frozenset[str]], ...] = (
    (RSAPublicKey, frozenset({"RS256", "RS384", "RS512"})),
    (RSAPublicKey, frozenset({"PS256", "PS384", "PS512"})),
    (EllipticCurvePublicKey, frozenset({"ES256", "ES384", "ES512"})),
    (Ed25519PublicKey, frozenset({"EdDSA"})),
)
_HERE = {"localhost", "127.0.0.1", "::1"}
_REQUIRED = ("OCR_JWT_ISSUER", "OCR_JWT_AUDIENCE")


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenSettings:
    """Whose tokens are good. Either ``jwks_url`` or ``public_key``."""

    jwks_url: str | None
    public_key: PublicKey | None
    key_type: type[PublicKey]
    algorithms: frozenset[str]
    issuer: str
    audience: str
    tenant_claim: str

    @classmethod
    def read(cls, reader: Reader) -> TokenSettings | None:
        """None without a key to verify tokens by: then there are none."""
        jwks_url, key_text = reader.text("OCR_JWT_JWKS_URL", ""), reader.text("OCR_JWT_PUBLIC_KEY", "")
        issuer, audience = (reader.text(name, "") for name in _REQUIRED)
        key_type, algorithms = _read_algorithms(reader)
        tenant_claim = reader.text("OCR_JWT_TENANT_CLAIM", "tenant")
        if not jwks_url and not key_text:
            reader.expect(
                not issuer and not audience,
                "OCR_JWT_ISSUER, OCR_JWT_AUDIENCE: no token can be verified without OCR_JWT_JWKS_URL or"
                " OCR_JWT_PUBLIC_KEY",
            )
            return None
        reader.expect(not (jwks_url and key_text), "set one of OCR_JWT_JWKS_URL and OCR_JWT_PUBLIC_KEY, not both")
        for name, value in zip(_REQUIRED, (issuer, audience), strict=True):
            reader.expect(bool(value), f"{name} is not set; a token of anybody, or for anything, would be good")
        if jwks_url:
            reader.expect(_is_safe(jwks_url), f"OCR_JWT_JWKS_URL={jwks_url!r} must begin with https://")
        return cls(
            jwks_url=jwks_url or None,
            public_key=_read_public_key(reader, key_text, key_type) if key_text else None,
            key_type=key_type,
            algorithms=algorithms,
            issuer=issuer,
            audience=audience,
            tenant_claim=tenant_claim,
        )


def _read_algorithms(reader: Reader) -> tuple[type[PublicKey], frozenset[str]]:
    text = reader.text("OCR_JWT_ALGORITHMS", "RS256")
    words = frozenset(word.strip() for word in text.split(","))
    for key_type, family in _FAMILIES:
        if words <= family:
            return key_type, words
    known = "; ".join(",".join(sorted(family)) for _, family in _FAMILIES)
    reader.expect(False, f"OCR_JWT_ALGORITHMS={text!r} must be of one family: {known}")
    return _FAMILIES[0]


def _is_safe(url: str) -> bool:
    """Nobody on the way can change the keys."""
    parts = urlsplit(url)
    return bool(parts.hostname) and (parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in _HERE))


def _read_public_key(reader: Reader, text: str, key_type: type[PublicKey]) -> PublicKey | None:
    """A PEM, in one line with backslash-n for its line breaks if need be, or the path of a file with one."""
    try:
        pem = text.replace("\\n", "\n").encode() if text.startswith("-----") else Path(text).read_bytes()
        key = load_pem_public_key(pem)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no public key in PEM"
        reader.expect(False, f"OCR_JWT_PUBLIC_KEY cannot be read: {reason}")
        return None
    if not isinstance(key, key_type):
        reader.expect(False, "OCR_JWT_PUBLIC_KEY is a key of another kind than OCR_JWT_ALGORITHMS")
        return None
    return key
