"""Bearer tokens of parties: JWTs that we sign (Ed25519) and check again, 15 minutes each."""

from datetime import datetime, timedelta
from uuid import UUID

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import OKPKey

from shared.ids import uuid7

LIFE = timedelta(minutes=15)
AUDIENCE = "bangfu-dci"
_ALGORITHMS = ["Ed25519"]  # fully specified, RFC 9864
_LONGEST = 4000


def issue(key: OKPKey, issuer: str, party_id: UUID, now: datetime) -> str:
    """A token of a party."""
    claims = {
        "iss": issuer, "sub": str(party_id), "aud": AUDIENCE, "jti": str(uuid7()),
        "iat": int(now.timestamp()), "exp": int((now + LIFE).timestamp()),
    }  # fmt: skip
    return jwt.encode({"alg": "Ed25519", "typ": "at+jwt", "kid": key.kid}, claims, key, algorithms=_ALGORITHMS)


def party_of(key: OKPKey, issuer: str, token: str, now: datetime) -> UUID | None:
    """Whose token it is; None when it is not one of ours, or not valid now."""
    if len(token) > _LONGEST:
        return None
    try:
        decoded = jwt.decode(token, key, algorithms=_ALGORITHMS)
        if decoded.header.get("typ") != "at+jwt":
            return None
        jwt.JWTClaimsRegistry(
            now=int(now.timestamp()),
            iss={"essential": True, "value": issuer},
            aud={"essential": True, "value": AUDIENCE},
            exp={"essential": True},
            sub={"essential": True},
        ).validate(decoded.claims)
        return UUID(decoded.claims["sub"])
    except (JoseError, ValueError, TypeError):
        return None
