"""Signatures of exports: sigstore's model-signing over every file, with a key of the worker's machine.

The signature is an in-toto statement that lists each file with its SHA-256, so that it is a manifest too.
"""

from __future__ import annotations

import importlib.util
import os
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

from workers.errors import ExportError
from workers.protocol.messages import Exported

SIGNATURE_FILE = "model.sig"
KEY, PASSWORD = "EVOMERGE_SIGNING_KEY", "EVOMERGE_SIGNING_KEY_PASSWORD"


def check_signing() -> None:
    """Makes sure, before anything is merged, that an export can be signed here.

    Raises:
        ExportError: The library, the setting or the key's file is missing, or the key cannot be used.
    """
    if importlib.util.find_spec("model_signing") is None:
        remedy = 'pip install "evomerge[signing]" beside the worker'
        raise ExportError("sign", "model-signing is not installed", remedy)
    named = os.environ.get(KEY, "")
    if not named:
        detail = f"{KEY} is not set"
        raise ExportError("sign", detail, f"set {KEY} to the file of a private elliptic-curve key (PEM)")
    _read_key(Path(named))


def sign(exported: Exported) -> Exported:
    """Adds the signature of all files to a finished checkpoint's folder; one that lies there is replaced.

    Raises:
        ExportError: It could not be signed; the folder is kept without a signature.
    """
    from model_signing import hashing, signing

    folder = Path(exported.folder)
    signature = folder / SIGNATURE_FILE
    signature.unlink(missing_ok=True)
    hashes = hashing.Config().set_ignored_paths(paths=[signature], ignore_git_paths=True)
    key, password = Path(os.environ[KEY]), os.environ.get(PASSWORD)
    secret: Any = password.encode() if password else None  # declared as text, and handed on as it is
    try:
        configuration = signing.Config().use_elliptic_key_signer(private_key=key, password=secret)
        configuration.set_hashing_config(hashes).sign(folder, signature)
    except Exception as error:
        signature.unlink(missing_ok=True)
        detail = f"{folder} could not be signed ({type(error).__name__}: {str(error)[:200]})"
        raise ExportError("sign", detail, "look at the key; the checkpoint is kept") from error
    note = f"signed by model-signing {version('model-signing')}: {SIGNATURE_FILE}"
    files = tuple(sorted({*exported.files, SIGNATURE_FILE}))
    size = exported.bytes + signature.stat().st_size
    return replace(exported, files=files, bytes=size, notes=(*exported.notes, note))


def _read_key(path: Path) -> None:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    remedy = f"set {KEY} to the file of a private elliptic-curve key (PEM), {PASSWORD} to its password"
    password = os.environ.get(PASSWORD)
    try:
        key = load_pem_private_key(path.read_bytes(), password.encode() if password else None)
    except (OSError, ValueError, TypeError) as error:
        raise ExportError("sign", f"{path} cannot be read as a key ({str(error)[:200]})", remedy) from error
    if not isinstance(key, EllipticCurvePrivateKey):
        raise ExportError("sign", f"{path} holds a {type(key).__name__}", remedy)
