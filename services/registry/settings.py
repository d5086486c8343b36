"""Settings that only registry has."""

import os
from collections.abc import Mapping, Sequence
from ipaddress import IPv4Network, IPv6Network, ip_network

from services.registry.ciphers import NUMBERS
from services.registry.identities.quota import Quota, Quotas
from services.registry.identity import KeyMissingError, Vault


def vault_of(environ: Mapping[str, str] = os.environ) -> Vault:
    """The vault of ``BANGFU_REGISTRY_DATA_KEY``, which seals; those of ``..._DATA_KEYS_OLD`` still open.

    ``BANGFU_REGISTRY_CIPHER`` is ``aes-gcm`` or ``sm4-gcm``. Raises ``KeyMissingError``: registry fails closed.
    """
    older = environ.get("BANGFU_REGISTRY_DATA_KEYS_OLD", "").split(",")
    cipher = environ.get("BANGFU_REGISTRY_CIPHER") or "aes-gcm"
    if cipher not in NUMBERS:
        raise KeyMissingError(f"BANGFU_REGISTRY_CIPHER must be one of {', '.join(NUMBERS)}")
    return Vault.of(environ.get("BANGFU_REGISTRY_DATA_KEY", ""), [key.strip() for key in older if key.strip()], cipher)


def quotas_of(environ: Mapping[str, str] = os.environ) -> Quotas:
    """What each key may see of identity data in an hour: ``BANGFU_REGISTRY_LOOKUP_QUOTA`` and ``..._REVEAL_QUOTA``.

    And how many certificates anybody may verify from one address: ``BANGFU_REGISTRY_VERIFICATION_QUOTA``.
    Raises ``ValueError`` for what is no number.
    """
    return Quotas(
        Quota("lookup", int(environ.get("BANGFU_REGISTRY_LOOKUP_QUOTA") or 10_000)),
        Quota("reveal", int(environ.get("BANGFU_REGISTRY_REVEAL_QUOTA") or 300)),
        Quota("verification", int(environ.get("BANGFU_REGISTRY_VERIFICATION_QUOTA") or 300)),
    )


def retention_years(environ: Mapping[str, str] = os.environ) -> int:
    """``BANGFU_REGISTRY_RETENTION_YEARS``. Raises ``ValueError`` for what is no number."""
    return int(environ.get("BANGFU_REGISTRY_RETENTION_YEARS") or 5)


def bootstrap_key(environ: Mapping[str, str] = os.environ) -> str | None:
    """``BANGFU_BOOTSTRAP_KEY``: a key that must exist at start, as ``prefix.secret``."""
    return environ.get("BANGFU_BOOTSTRAP_KEY") or None


def callback_networks(environ: Mapping[str, str] = os.environ) -> Sequence[IPv4Network | IPv6Network]:
    """``BANGFU_REGISTRY_CALLBACK_NETWORKS``: networks that DCI callbacks may go to, with commas; none by default.

    Raises ``ValueError`` for what is no network.
    """
    named = environ.get("BANGFU_REGISTRY_CALLBACK_NETWORKS", "").split(",")
    return [ip_network(network.strip()) for network in named if network.strip()]


def import_max_rows(environ: Mapping[str, str] = os.environ) -> int:
    """``BANGFU_REGISTRY_IMPORT_MAX_ROWS``: rows a file may have; the whole register of a city by default."""
    return int(environ.get("BANGFU_REGISTRY_IMPORT_MAX_ROWS") or 400_000)
