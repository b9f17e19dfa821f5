"""Packages that kedge uses where they are installed, and does not bring."""

import importlib


def need(package, user):
    """Imports a package for `user`. Raises ModuleNotFoundError, which says what to install."""
    try:
        importlib.import_module(package)
    except ModuleNotFoundError as missing:
        if missing.name != package:
            raise
        raise ModuleNotFoundError(f"{user} needs {package}, which is not installed: pip install {package}", name=package) from None
