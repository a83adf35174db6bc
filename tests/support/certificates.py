"""An authority for tests, and certificates of every kind of fault."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Final, NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import AuthorityInformationAccessOID, NameOID

_DAY: Final = datetime.timedelta(days=1)
_KEY_USAGES: Final = (
    "digital_signature",
    "content_commitment",
    "key_encipherment",
    "data_encipherment",
    "key_agreement",
    "key_cert_sign",
    "crl_sign",
    "encipher_only",
    "decipher_only",
)


class Certificate(NamedTuple):
    """PEM files of a server."""

    chain: Path
    key: Path


class _Pair(NamedTuple):
    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey


class Authority:
    """Signs certificates by an intermediate one, as public authorities do. ``file``: whom to trust."""

    def __init__(self, folder: Path, name: str = "Testing Authority") -> None:
        self._folder = folder
        self._count = 0
        self._root = _signed(name, None, is_authority=True)
        self._intermediate = _signed(f"{name} R1", self._root, is_authority=True)
        self.file = folder / f"{name.replace(' ', '-').lower()}.pem"
        self.file.write_bytes(_pem(self._root.certificate))

    def certificate(
        self, *names: str, days: tuple[int, int] = (-1, 90), whole: bool = True, public: bool = False
    ) -> Certificate:
        """For these names, valid between these days from now; not ``whole``: without the intermediate certificate.

        ``public``: it says where the intermediate one can be had, as those of public authorities do.
        """
        pair = _signed(names[0], self._intermediate, names=names, days=days, has_address=public)
        chain = _pem(pair.certificate) + (_pem(self._intermediate.certificate) if whole else b"")
        return self._written(chain, pair)

    def self_signed(self, name: str = "localhost") -> Certificate:
        """For nobody knows whom."""
        pair = _signed(name, None, names=(name,))
        return self._written(_pem(pair.certificate), pair)

    def _written(self, chain: bytes, pair: _Pair) -> Certificate:
        self._count += 1
        files = Certificate(self._folder / f"{self._count}.crt", self._folder / f"{self._count}.key")
        files.chain.write_bytes(chain)
        form = serialization.PrivateFormat.PKCS8
        files.key.write_bytes(pair.key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()))
        return files


def _signed(
    name: str,
    issuer: _Pair | None,
    *,
    names: tuple[str, ...] = (),
    days: tuple[int, int] = (-1, 90),
    is_authority: bool = False,
    has_address: bool = False,
) -> _Pair:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject if issuer is None else issuer.certificate.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + days[0] * _DAY)
        .not_valid_after(now + days[1] * _DAY)
        .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
    )
    if names:
        alternative = x509.SubjectAlternativeName([x509.DNSName(each) for each in names])
        builder = builder.add_extension(alternative, critical=False)
    if has_address:
        address = x509.UniformResourceIdentifier("http://authority.invalid/r1.der")
        access = x509.AccessDescription(AuthorityInformationAccessOID.CA_ISSUERS, address)
        builder = builder.add_extension(x509.AuthorityInformationAccess([access]), critical=False)
    # From Python 3.13 on these are asked for.
    signer = key if issuer is None else issuer.key
    identifiers: list[x509.ExtensionType] = [
        x509.SubjectKeyIdentifier.from_public_key(key.public_key()),
        x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()),
    ]
    for identifier in identifiers:
        builder = builder.add_extension(identifier, critical=False)
    if is_authority:
        signs = {name: name in ("key_cert_sign", "crl_sign") for name in _KEY_USAGES}
        builder = builder.add_extension(x509.KeyUsage(**signs), critical=True)
    certificate = builder.sign(key if issuer is None else issuer.key, hashes.SHA256())
    return _Pair(certificate, key)


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)
