"""The manifest of a bundle: its files, its metadata, and hashes that reveal any change."""

import hashlib
import platform
import re
from collections.abc import Mapping
from datetime import datetime
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Final, Self

import msgspec

from catalogs.errors import InputError
from catalogs.instruments.specification import InstrumentSpec
from rl_strategies.features.plans.streams import ContextSource

FORMAT_VERSION: Final = 2
# Packages that compute features, decisions and orders when trading, and those that train the policy.
TRADING_PACKAGES: Final = ("numpy", "numba", "onnxruntime", "nautilus_trader")
# Files for further training: their archives contain timestamps, and nothing that trades reads them.
TRAINING_ONLY: Final = ("model.zip", "vecnormalize.pkl")
TRAINING_PACKAGES: Final = ("torch", "stable_baselines3", "sb3_contrib", "gymnasium")


class FileSeal(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Size and SHA-256 of a file.

    Attributes
    ----------
    size : int
        Bytes.
    sha256 : str
    """

    size: int
    sha256: str

    @classmethod
    def of(cls, content: bytes) -> Self:
        """Seal of a file's content."""
        return cls(len(content), hashlib.sha256(content).hexdigest())

    def verify(self, name: str, content: bytes) -> None:
        """Check a file's content.

        Raises
        ------
        InputError
            If size or hash differ.
        """
        found = FileSeal.of(content)
        if found.size != self.size:
            raise InputError(f"{name} must have {self.size} bytes, has {found.size}")
        if found.sha256 != self.sha256:
            raise InputError(f"{name} must have SHA-256 {self.sha256[:12]}..., has {found.sha256[:12]}...")


class ValidationResult(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What the kept state of a training earned on its validation sessions.

    Attributes
    ----------
    mean_usd, standard_error_usd : float
        Net PnL of a session: mean and its standard error, USD.
    standard_errors_wanted : float
        Standard errors above doing nothing (0) that the mean had to reach.
    beats_flat : bool
        Whether it did; if not, the policy abstains.
    """

    mean_usd: float
    standard_error_usd: float
    standard_errors_wanted: float
    beats_flat: bool

    def __str__(self) -> str:
        return (
            f"{self.mean_usd:,.2f} USD a session with a standard error of {self.standard_error_usd:,.2f}; "
            f"{self.standard_errors_wanted:g} standard errors above zero are wanted"
        )


LATER_TERMS = {"close_out_ns": 0}  # fields of an `InstrumentSpec` that bundles of earlier versions do not have


class BundleMetadata(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Metadata of a bundle: what the policy trades and what it was trained on.

    Attributes
    ----------
    instruments : tuple of InstrumentSpec
        Instruments in the order of the observation and the actions.
    bar_types : tuple of str
        NautilusTrader bar types of the bars it decides on, one per instrument.
    context : tuple of ContextSource
        One source for each context stream of the features.
    seeds : tuple of int
        Seeds of the training.
    data_hash, calendar_hash : str
        Hashes of the bars and session calendars that it was trained on.
    git_commit : str or None
        Commit of this project; None outside a checkout.
    validation : ValidationResult
        Unset without validation, or if it was not compared with doing nothing.
    """

    instruments: tuple[InstrumentSpec, ...]
    bar_types: tuple[str, ...]
    seeds: tuple[int, ...]
    data_hash: str
    calendar_hash: str
    context: tuple[ContextSource, ...] = ()
    git_commit: str | None = None
    # Left out of the file where unset, so that the hashes of bundles without it stay what they were.
    validation: ValidationResult | msgspec.UnsetType = msgspec.UNSET


def check_name(name: str) -> None:
    """Check the name of a bundle, which becomes a part of paths.

    Raises
    ------
    InputError
        If it is not allowed.
    """
    if not re.fullmatch(r"[a-z0-9][a-z0-9_.-]*", name):
        raise InputError(f"bundle name must be lower-case letters, digits, _ . and -, was {name!r}")


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Content of ``manifest.json``.

    Attributes
    ----------
    format_version : int
    name : str
    files : dict of str to FileSeal
        Every other file of the bundle.
    metadata : BundleMetadata
        Key ``facts`` in the file.
    versions : dict of str to str
        Versions of Python and of the packages that shape numbers, at the time of training.
    created : datetime
        Time of writing; not part of the identity, so equal content has one name.
    seal : str
        SHA-256 of the manifest with an empty seal. It reveals accidents; it is no signature.
    """

    format_version: int
    name: str
    files: dict[str, FileSeal]
    metadata: BundleMetadata = msgspec.field(name="facts")
    versions: dict[str, str]
    created: datetime
    seal: str

    @classmethod
    def of(
        cls,
        name: str,
        contents: Mapping[str, bytes],
        metadata: BundleMetadata,
        versions: dict[str, str],
        created: datetime,
    ) -> Self:
        """Describe and seal the contents of a bundle."""
        unsealed = cls(
            format_version=FORMAT_VERSION,
            name=name,
            files={file: FileSeal.of(contents[file]) for file in sorted(contents)},
            metadata=metadata,
            versions=versions,
            created=created,
            seal="",
        )
        return msgspec.structs.replace(unsealed, seal=_sha256(unsealed))

    @property
    def bundle_hash(self) -> str:
        """SHA-256 of everything but the time of writing and the files for further training."""
        identity = {key: value for key, value in _plain(self).items() if key not in ("created", "seal")}
        identity["files"] = {name: seal for name, seal in identity["files"].items() if name not in TRAINING_ONLY}
        return hashlib.sha256(msgspec.json.encode(identity, order="deterministic")).hexdigest()

    @property
    def bundle_id(self) -> str:
        """Name of the bundle's directory."""
        return f"{self.name}-{self.bundle_hash[:12]}"

    def to_json(self) -> bytes:
        """Content of the file."""
        return msgspec.json.format(msgspec.json.encode(_plain(self)), indent=2) + b"\n"

    @classmethod
    def from_json(cls, content: bytes) -> Self:
        """Read and check what `to_json` wrote.

        Raises
        ------
        InputError
            If a key is unknown or missing, the format is another, or a single byte was changed.
        """
        try:
            format_version = msgspec.json.decode(content, type=_FormatVersion).format_version
            if format_version != FORMAT_VERSION:
                raise InputError(f"manifest.json format_version must be {FORMAT_VERSION}, was {format_version}")
            manifest = msgspec.json.decode(content, type=cls)
        except msgspec.DecodeError as error:
            raise InputError(f"manifest.json is not a manifest: {error}") from error
        except UnicodeDecodeError as error:
            raise InputError(f"manifest.json is not UTF-8: {error}") from error
        seal = _sha256(msgspec.structs.replace(manifest, seal=""))
        if manifest.seal != seal or manifest.to_json() != content:
            raise InputError(f"manifest.json was changed after it was written: its seal must be {seal[:12]}...")
        check_name(manifest.name)  # it becomes a part of paths
        return manifest


class _FormatVersion(msgspec.Struct):
    format_version: int


def _sha256(manifest: Manifest) -> str:
    return hashlib.sha256(msgspec.json.encode(_plain(manifest))).hexdigest()


def _plain(manifest: Manifest) -> dict[str, Any]:
    # A term that came later is left out where it says nothing, so that seals and ids of older bundles stay what they
    # were.
    plain: dict[str, Any] = msgspec.to_builtins(manifest, order="deterministic")
    facts = plain["facts"]
    for spec in (*facts["instruments"], *(source["instrument"] for source in facts["context"])):
        for name, unset in LATER_TERMS.items():
            if spec is not None and spec[name] == unset:
                del spec[name]
    return plain


def installed_versions() -> dict[str, str]:
    """Installed versions of Python and of the packages that shape a policy's numbers."""
    versions = {"python": platform.python_version()}
    for package in (*TRADING_PACKAGES, *TRAINING_PACKAGES):
        found = _version(package)
        if found is not None:
            versions[package] = found
    return versions


def version_drift(trained: Mapping[str, str]) -> tuple[str, ...]:
    """One line for every trading package whose version differs from that of the training.

    Examples
    --------
    >>> version_drift({**installed_versions(), "numpy": "1.0"})[0].startswith("numpy was 1.0 when trained, is ")
    True
    """
    here = installed_versions()
    return tuple(
        f"{package} was {trained.get(package, 'not recorded')} when trained, is {here.get(package, 'not installed')}"
        for package in ("python", *TRADING_PACKAGES)
        if trained.get(package) != here.get(package)
    )


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
