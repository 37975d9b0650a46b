"""The bundle: everything that shaped a trained policy, in one directory that is verified before it may trade.

Its name contains the hash of its content. Loading opens no pickle: ``model.zip`` and ``vecnormalize.pkl`` are kept for
further training, hashed, and never unpickled.
"""

import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from functools import cached_property
from pathlib import Path
from typing import Any

import msgspec

from catalogs.errors import InputError
from catalogs.instruments.specification import InstrumentSpec
from rl_strategies.bundle.golden import Golden
from rl_strategies.bundle.manifest import (
    TRAINING_ONLY,
    BundleMetadata,
    Manifest,
    check_name,
    installed_versions,
    version_drift,
)
from rl_strategies.decision.core import DecisionCore
from rl_strategies.decision.rules import ExecutionConfig, TradingConfig
from rl_strategies.features import FeaturePlan, JoinedPlan, plan_from_spec
from rl_strategies.features.plans.streams import ContextSource
from rl_strategies.policy.policies import OnnxPolicy

MANIFEST = "manifest.json"
POLICY = "policy.onnx"
FEATURES = "features.json"
EXPERIMENT = "experiment.yaml"
GOLDEN = "golden.npz"
REQUIRED = (POLICY, FEATURES, EXPERIMENT, GOLDEN)


@dataclass(frozen=True)
class Bundle:
    """A verified bundle; made by `load_bundle`.

    Attributes
    ----------
    path : Path
    manifest : Manifest
    plan : FeaturePlan or JoinedPlan
        Rebuilt from ``features.json`` with the installed kernels.
    experiment_yaml : str
    golden_difference : float
        Largest difference from the golden outputs when it was loaded.
    warnings : tuple of str
        Packages whose version differs from that of the training; not an error.
    """

    path: Path
    manifest: Manifest
    plan: FeaturePlan | JoinedPlan
    experiment_yaml: str
    golden_difference: float
    warnings: tuple[str, ...]
    _policy: bytes

    @property
    def id(self) -> str:
        """Name and the first 12 hexadecimal digits of the content's hash."""
        return self.manifest.bundle_id

    @property
    def instruments(self) -> tuple[InstrumentSpec, ...]:
        """Instruments that the policy trades, in its order."""
        return self.manifest.metadata.instruments

    @property
    def bar_types(self) -> tuple[str, ...]:
        """NautilusTrader bar types that it decides on, one per instrument."""
        return self.manifest.metadata.bar_types

    @property
    def instrument(self) -> InstrumentSpec:
        """The only instrument.

        Raises
        ------
        InputError
            If the policy trades several.
        """
        if len(self.instruments) > 1:
            names = ", ".join(spec.instrument_id for spec in self.instruments)
            raise InputError(f"bundle {self.id} must trade one instrument here, trades {names}")
        return self.instruments[0]

    @property
    def bar_type(self) -> str:
        """Bar type of the only instrument; see `instrument`."""
        return self.bar_types[self.instruments.index(self.instrument)]

    @property
    def context(self) -> tuple[ContextSource, ...]:
        """Sources of its context streams."""
        return self.manifest.metadata.context

    @cached_property
    def experiment(self) -> dict[str, Any]:
        """The experiment as plain data; `configs.schema.parse_experiment` validates all of it."""
        return msgspec.yaml.decode(self.experiment_yaml, type=dict[str, Any])

    @cached_property
    def _rules(self) -> "_TradingRules":
        try:
            return msgspec.convert(self.experiment, _TradingRules, strict=False)
        except msgspec.ValidationError as error:
            raise InputError(f"bundle {self.id}: {EXPERIMENT}: {error}") from error

    @property
    def trading(self) -> TradingConfig:
        """Trading rules: units, barriers, sizing, limits."""
        return self._rules.trading

    @property
    def execution(self) -> ExecutionConfig:
        """Capital, fills and costs of its training."""
        return self._rules.execution

    @property
    def abstention(self) -> str:
        """Why the policy stays flat: a sentence, empty for a policy that trades."""
        validation = self.manifest.metadata.validation
        if isinstance(validation, msgspec.UnsetType) or validation.beats_flat:
            return ""
        return (
            f"This policy abstains: in training no state beat doing nothing on the validation sessions ({validation})."
        )

    def policy(self) -> OnnxPolicy:
        """A fresh policy with empty memory."""
        return OnnxPolicy(self._policy)

    def core(
        self, instruments: Sequence[InstrumentSpec] | None = None, starting_balance_usd: Decimal | None = None
    ) -> DecisionCore:
        """A fresh decision core.

        Parameters
        ----------
        instruments : sequence of InstrumentSpec, optional
            Other contract months of the bundle's futures, for live trading.
        starting_balance_usd : Decimal, optional
            Capital, if not the experiment's.
        """
        execution = self.execution
        if starting_balance_usd is not None:
            execution = msgspec.structs.replace(execution, starting_balance_usd=starting_balance_usd)
        return DecisionCore(instruments or self.instruments, self.plan, self.trading, execution)


class _TradingRules(msgspec.Struct, frozen=True):
    trading: TradingConfig
    execution: ExecutionConfig


def write_bundle(
    parent: Path,
    name: str,
    *,
    policy_onnx: Path,
    plan: FeaturePlan | JoinedPlan,
    experiment_yaml: str,
    golden: Golden,
    metadata: BundleMetadata,
    model_zip: Path | None = None,
    vecnormalize_pkl: Path | None = None,
    created: datetime | None = None,
) -> Path:
    """Write a bundle, completely or not at all.

    Parameters
    ----------
    parent : Path
        Folder of bundles; created if missing.
    name : str
        First part of the bundle's name: lower-case letters, digits, ``_``, ``.`` and ``-``.
    policy_onnx : Path
        File from `training.export.export_onnx` or `training.ensemble.export_ensemble`.
    plan : FeaturePlan or JoinedPlan
    experiment_yaml : str
        The experiment as the user wrote it.
    golden : Golden
        Outputs from `training.export.golden_outputs` or `training.ensemble.ensemble_golden`.
    metadata : BundleMetadata
    model_zip, vecnormalize_pkl : Path, optional
        Files for further training; hashed, but not part of the identity.
    created : datetime, optional
        Aware time; default now. Not part of the identity.

    Returns
    -------
    Path
        ``parent/<name>-<12 hex digits>``. If it exists already with equal content, it is left unchanged.

    Raises
    ------
    InputError
        If the name is not allowed, or the directory exists but is damaged.
    """
    check_name(name)
    contents = {
        POLICY: policy_onnx.read_bytes(),
        FEATURES: msgspec.json.format(msgspec.json.encode(plan.to_spec(), order="deterministic")),
        EXPERIMENT: experiment_yaml.encode(),
        GOLDEN: golden.to_npz(),
    }
    sources = zip(TRAINING_ONLY, (model_zip, vecnormalize_pkl), strict=True)
    contents |= {file_name: source.read_bytes() for file_name, source in sources if source is not None}
    manifest = Manifest.of(name, contents, metadata, installed_versions(), created or datetime.now(UTC))
    path = parent / manifest.bundle_id
    if path.exists():
        load_bundle(path)
        return path
    _write_whole(path, {**contents, MANIFEST: manifest.to_json()})
    return path


def _write_whole(path: Path, contents: Mapping[str, bytes]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = Path(tempfile.mkdtemp(dir=path.parent, prefix=".bundle-"))
    try:
        for file_name, content in contents.items():
            (aside / file_name).write_bytes(content)
        aside.chmod(0o755)  # mkdtemp makes it private
        aside.rename(path)
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def load_bundle(path: Path) -> Bundle:
    """Verify and open a bundle.

    Checks, in this order: the manifest, every file's hash, that no file is missing or added, that the installed feature
    kernels are those of the training, and that the policy still gives its golden outputs.

    Raises
    ------
    InputError
        If a check fails; the message names the file, kernel or difference.
    """
    _check_is_bundle(path)
    contents = {entry.name: _content(path, entry) for entry in path.iterdir()}
    try:
        manifest = Manifest.from_json(contents.pop(MANIFEST))
        _verify(contents, manifest)
        plan = plan_from_spec(msgspec.json.decode(contents[FEATURES]))
        golden = Golden.from_npz(contents[GOLDEN])
        difference = golden.difference(OnnxPolicy(contents[POLICY]))
    except InputError as error:
        raise InputError(f"bundle {path}: {error}") from error
    if not difference <= golden.tolerance:
        raise InputError(
            f"bundle {path}: log-probabilities must equal {GOLDEN} within {golden.tolerance:g}, "
            f"were off by {difference:.3g}"
        )
    return Bundle(
        path,
        manifest,
        plan,
        contents[EXPERIMENT].decode(),
        difference,
        version_drift(manifest.versions),
        contents[POLICY],
    )


def _check_is_bundle(path: Path) -> None:
    if not path.exists():
        raise InputError(f"bundle {path} does not exist")
    if not path.is_dir():
        raise InputError(f"not a bundle: {path} is a file, not a folder")
    if (path / MANIFEST).exists():
        return
    inside = sorted(path.glob(f"bundle/*/{MANIFEST}"))
    if inside:
        raise InputError(f"{path} is a training run; its bundle is {inside[-1].parent}")
    raise InputError(f"not a bundle: {path} has no {MANIFEST}")


def _content(path: Path, entry: Path) -> bytes:
    if entry.is_symlink():
        raise InputError(f"bundle {path} must contain its files; {entry.name} is a link to another place")
    if not entry.is_file():
        raise InputError(f"bundle {path} must contain only files; {entry.name} is not a file")
    return entry.read_bytes()


def _verify(contents: dict[str, bytes], manifest: Manifest) -> None:
    for name in (*REQUIRED, *manifest.files):
        if name not in contents:
            raise InputError(f"{name} is missing")
        if name not in manifest.files:
            raise InputError(f"{name} is not listed in {MANIFEST}")
    for name, content in contents.items():
        if name not in manifest.files:
            raise InputError(f"unexpected file {name}: {MANIFEST} does not list it")
        manifest.files[name].verify(name, content)
