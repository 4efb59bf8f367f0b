"""What a tenant may be called: a name is a part of keys in DynamoDB and S3, where ``#`` and ``/`` separate."""

from __future__ import annotations

import argparse
import re
from typing import TypeGuard

_TENANT = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}", re.ASCII)


def is_tenant(name: object) -> TypeGuard[str]:
    """Can this be the name of a tenant?"""
    return isinstance(name, str) and _TENANT.fullmatch(name) is not None


def tenant(text: str) -> str:
    """The type of an argument on a command line."""
    if not is_tenant(text):
        raise argparse.ArgumentTypeError("letters, digits and _ . -, at most 64, and not one of these three first")
    return text
