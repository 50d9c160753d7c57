"""Signatures of exports, verified by model-signing itself."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from model_signing import verifying

from tests.workers.recipes import linear_recipe
from workers.errors import ExportError
from workers.export.export import export
from workers.export.foresight import foresee
from workers.protocol.messages import ExportOrder


@pytest.fixture
def order(tiny_parents: dict[str, Path], tmp_path: Path) -> ExportOrder:
    recipe = linear_recipe([tiny_parents["left"], tiny_parents["right"]], (0.5, 0.5))
    return ExportOrder(recipe, str(tmp_path / "out"), card="# out", verify=False, sign=True)


def write_key(path: Path, key: PrivateKeyTypes, password: str = "") -> None:
    way: KeySerializationEncryption = (
        BestAvailableEncryption(password.encode()) if password else NoEncryption()
    )
    path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, way))


@pytest.fixture
def key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ec.EllipticCurvePrivateKey:
    made = ec.generate_private_key(ec.SECP256R1())
    write_key(tmp_path / "key.pem", made, "secret")
    monkeypatch.setenv("EVOMERGE_SIGNING_KEY", str(tmp_path / "key.pem"))
    monkeypatch.setenv("EVOMERGE_SIGNING_KEY_PASSWORD", "secret")
    return made


def verify(folder: Path, key: ec.EllipticCurvePrivateKey) -> None:
    public = folder.parent / "key.pub"
    public.write_bytes(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    verifier = verifying.Config().use_elliptic_key_verifier(public_key=public)
    verifier.set_ignore_unsigned_files(ignore_unsigned_files=True).verify(folder, folder / "model.sig")


def test_every_file_is_signed_and_a_changed_one_is_found(
    order: ExportOrder, key: ec.EllipticCurvePrivateKey
) -> None:
    done = export(order)
    folder = Path(order.folder)
    assert "model.sig" in done.files
    assert sum(path.stat().st_size for path in folder.iterdir()) == done.bytes
    verify(folder, key)
    with pytest.raises(ValueError, match=r"[Ss]ignature"):
        verify(folder, ec.generate_private_key(ec.SECP256R1()))
    (folder / "README.md").write_text("# another")
    with pytest.raises(ValueError, match=r"README\.md"):
        verify(folder, key)


def test_a_signature_is_foreseen(order: ExportOrder, key: ec.EllipticCurvePrivateKey) -> None:
    assert foresee(order).files["model.sig"] is None


@pytest.mark.parametrize(
    ("content", "said"),
    [(None, "is not set"), (b"no key", "cannot be read as a key"), ("rsa", "RSAPrivateKey")],
)
def test_what_cannot_sign_is_refused_before_anything_is_merged(
    order: ExportOrder,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    content: bytes | str | None,
    said: str,
) -> None:
    file = tmp_path / "key.pem"
    monkeypatch.setenv("EVOMERGE_SIGNING_KEY", "" if content is None else str(file))
    if content == "rsa":
        write_key(file, rsa.generate_private_key(65537, 2048))
    elif isinstance(content, bytes):
        file.write_bytes(content)
    for attempt in (export, foresee):
        with pytest.raises(ExportError, match=f"{said}.*set EVOMERGE_SIGNING_KEY"):
            attempt(replace(order))
    assert not (tmp_path / "out").exists()
