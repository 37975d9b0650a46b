"""A bundle must come back as it was written, and any change to it must be refused by name."""

import hashlib
import json
import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from catalogs.errors import InputError
from catalogs.instruments.specification import InstrumentSpec
from rl_strategies.bundle.bundle import load_bundle, write_bundle
from rl_strategies.bundle.golden import Golden
from rl_strategies.bundle.manifest import BundleMetadata, Manifest, installed_versions, version_drift
from rl_strategies.decision.actions import LONG
from rl_strategies.features.plans.plan import FeaturePlan
from rl_strategies.features.spec import FeatureSpec

MES = InstrumentSpec(
    instrument_id="MESU5.XCME",
    kind="future",
    tick_size=Decimal("0.25"),
    multiplier=5,
    commission_per_unit=Decimal("0.62"),
    commission_minimum=Decimal(0),
    calendar="CME Globex Equity",
)
METADATA = BundleMetadata(
    instruments=(MES,),
    bar_types=("MESU5.XCME-1-MINUTE-LAST-EXTERNAL",),
    seeds=(3, 4),
    data_hash="d" * 64,
    calendar_hash="c" * 64,
    git_commit="0" * 40,
)
EXPERIMENT = "name: first try # größer\n"
FILES = (
    "manifest.json",
    "policy.onnx",
    "features.json",
    "experiment.yaml",
    "golden.npz",
    "model.zip",
    "vecnormalize.pkl",
)


def small_plan() -> FeaturePlan:
    return FeaturePlan([FeatureSpec("log_return", "return_1", {"n": 1}), FeatureSpec("rsi", "rsi_14", {"n": 14})])


def hand_made_golden(tolerance: float = 1e-5) -> Golden:
    """Answers of the summing network: two sessions of four steps in one lane."""
    values = np.array([0.25, 0.5, -1.0, -1.0, 3.0, 0.0, -4.0, 0.5], np.float32)
    sums = np.concatenate([np.cumsum(values[:4]), np.cumsum(values[4:])])
    weights = np.exp(np.stack([-sums, np.full(8, 0.5), sums], axis=1))
    log_probs = np.log(weights / weights.sum(axis=1, keepdims=True))
    observations = np.stack([values, np.full(8, 99.0, np.float32)], axis=1)[:, np.newaxis]
    start = np.zeros((8, 1), np.bool_)
    start[[0, 4]] = True
    return Golden(observations, start, log_probs[:, np.newaxis].astype(np.float32), tolerance)


@pytest.fixture
def write(tmp_path: Path, summing_network: bytes) -> Callable[..., Path]:
    """Writes a bundle with every file; keywords replace parts of it."""
    sources = tmp_path / "sources"
    sources.mkdir()
    for name, content in (("policy.onnx", summing_network), ("m.zip", b"model"), ("v.pkl", b"statistics")):
        (sources / name).write_bytes(content)

    def _write(**changes: Any) -> Path:
        parts: dict[str, Any] = {
            "policy_onnx": sources / "policy.onnx",
            "plan": small_plan(),
            "experiment_yaml": EXPERIMENT,
            "golden": hand_made_golden(),
            "metadata": METADATA,
            "model_zip": sources / "m.zip",
            "vecnormalize_pkl": sources / "v.pkl",
            "created": datetime(2025, 3, 4, 15, 30, tzinfo=UTC),
        }
        return write_bundle(tmp_path / "bundles", "mes-demo", **{**parts, **changes})

    return _write


def test_a_bundle_comes_back_as_it_was_written(write: Callable[..., Path]) -> None:
    path = write()
    assert {p.name for p in path.iterdir()} == set(FILES)
    bundle = load_bundle(path)
    assert bundle.id == path.name
    assert bundle.id.startswith("mes-demo-")
    assert len(bundle.id) == len("mes-demo-") + 12
    assert bundle.instrument == MES
    assert bundle.bar_types == ("MESU5.XCME-1-MINUTE-LAST-EXTERNAL",)
    assert bundle.experiment_yaml == EXPERIMENT
    assert bundle.manifest.metadata == METADATA
    assert bundle.manifest.created == datetime(2025, 3, 4, 15, 30, tzinfo=UTC)
    assert bundle.plan.hash == small_plan().hash
    assert bundle.plan.outputs == small_plan().outputs
    assert bundle.golden_difference < 1e-6
    assert bundle.warnings == ()


def test_every_policy_of_a_bundle_starts_without_memory(write: Callable[..., Path]) -> None:
    bundle = load_bundle(write())
    policy = bundle.policy()
    assert policy.act(np.array([1.0, 0.0], np.float32)) == LONG
    assert bundle.policy().snapshot().ravel().tolist() == [0.0, 0.0]
    assert policy.snapshot().ravel().tolist() == [1.0, 1.0]


def test_the_id_is_that_of_the_content_and_not_of_the_time(write: Callable[..., Path]) -> None:
    first = write()
    before = (first / "manifest.json").read_bytes()
    assert write(created=datetime(2026, 1, 1, tzinfo=UTC)) == first
    assert (first / "manifest.json").read_bytes() == before, "what is there already is left as it is"
    assert write(experiment_yaml="name: second\n") != first
    assert write(metadata=msgspec.structs.replace(METADATA, seeds=(5,))) != first
    assert len(list(first.parent.iterdir())) == 3, "three bundles and nothing half-written"


def test_a_bundle_of_before_a_term_was_known_keeps_its_seal_and_id(write: Callable[..., Path]) -> None:
    # Written without `close_out_ns`, as every bundle was before December 2026; see its seal worked out on the text.
    path = write(metadata=msgspec.structs.replace(METADATA, context=()))
    content = (path / "manifest.json").read_bytes()
    assert b"close_out_ns" not in content
    plain = msgspec.json.decode(content)
    seal, plain["seal"] = plain["seal"], ""
    assert hashlib.sha256(msgspec.json.encode(plain)).hexdigest() == seal
    assert load_bundle(path).id == path.name
    given_up = msgspec.structs.replace(MES, close_out_ns=1_757_000_000_000_000_000)
    other = write(metadata=msgspec.structs.replace(METADATA, instruments=(given_up,)))
    assert load_bundle(other).instrument == given_up
    assert other != path


def test_files_for_further_training_are_sealed_but_not_part_of_the_id(
    write: Callable[..., Path], tmp_path: Path
) -> None:
    archive = tmp_path / "other.zip"
    archive.write_bytes(b"the same model, archived a second later")
    first = write()
    assert write(model_zip=archive) == first
    (first / "model.zip").write_bytes(b"tampered")
    with pytest.raises(InputError, match=r"model\.zip must have"):
        load_bundle(first)


def test_files_for_further_training_may_be_absent(write: Callable[..., Path]) -> None:
    path = write(model_zip=None, vecnormalize_pkl=None)
    assert {p.name for p in path.iterdir()} == set(FILES[:5])
    load_bundle(path)


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("place", [0.0, 0.5, 1.0], ids=["first byte", "middle", "last byte"])
def test_one_changed_byte_is_refused_by_the_name_of_its_file(
    write: Callable[..., Path], name: str, place: float
) -> None:
    path = write()
    content = bytearray((path / name).read_bytes())
    content[round(place * (len(content) - 1))] ^= 1
    (path / name).write_bytes(content)
    with pytest.raises(InputError, match=rf"{name} (must|is not)"):
        load_bundle(path)


def test_any_changed_byte_of_the_manifest_is_refused(write: Callable[..., Path]) -> None:
    content = (write() / "manifest.json").read_bytes()
    for place in range(len(content)):
        changed = bytearray(content)
        changed[place] ^= 1
        with pytest.raises(InputError, match=r"manifest\.json"):
            Manifest.from_json(bytes(changed))
    with pytest.raises(InputError, match=r"manifest\.json was changed after it was written: its seal must be"):
        Manifest.from_json(content + b"\n")


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_is_refused_by_name(write: Callable[..., Path], name: str) -> None:
    path = write()
    (path / name).unlink()
    with pytest.raises(InputError, match=rf"{name} is missing|not a bundle: .* has no {name}"):
        load_bundle(path)


@pytest.mark.parametrize("name", FILES)
def test_a_truncated_file_is_refused_by_name(write: Callable[..., Path], name: str) -> None:
    path = write()
    content = (path / name).read_bytes()
    (path / name).write_bytes(content[: len(content) // 2])
    with pytest.raises(InputError, match=rf"{name} (must|is not)"):
        load_bundle(path)


def test_what_does_not_belong_there_is_refused_by_name(write: Callable[..., Path]) -> None:
    path = write()
    (path / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match=r"unexpected file notes\.txt"):
        load_bundle(path)
    (path / "notes.txt").unlink()
    (path / "old").mkdir()
    with pytest.raises(InputError, match="must contain only files; old is not a file"):
        load_bundle(path)


def test_what_is_no_bundle_is_refused(tmp_path: Path, write: Callable[..., Path]) -> None:
    with pytest.raises(InputError, match=r"bundle .*absent does not exist"):
        load_bundle(tmp_path / "absent")
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"not a bundle: .*file is a file, not a folder"):
        load_bundle(tmp_path / "file")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=r"not a bundle: .* has no manifest\.json"):
        load_bundle(tmp_path / "empty")


@pytest.mark.parametrize("name", ["../../elsewhere", "/tmp/x", "a/../b", ".."])
def test_a_name_that_would_lead_elsewhere_is_refused_at_load(write: Callable[..., Path], name: str) -> None:
    manifest = Manifest.from_json((write() / "manifest.json").read_bytes())
    contents = {file: (write() / file).read_bytes() for file in manifest.files}
    sealed = Manifest.of(name, contents, manifest.metadata, manifest.versions, manifest.created)
    with pytest.raises(InputError, match="bundle name must be lower-case letters"):
        Manifest.from_json(sealed.to_json())


@pytest.mark.parametrize("file", ["policy.onnx", "manifest.json"])
def test_a_file_that_is_a_link_is_refused(write: Callable[..., Path], tmp_path: Path, file: str) -> None:
    path = write()
    (path / file).rename(tmp_path / "elsewhere")
    (path / file).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(InputError, match=f"{file} is a link to another place"):
        load_bundle(path)


def test_unknown_keys_and_other_formats_of_a_manifest_are_refused(write: Callable[..., Path]) -> None:
    content = json.loads((write() / "manifest.json").read_bytes())
    with pytest.raises(InputError, match=r"manifest\.json is not a manifest: .*unknown field `mood`"):
        Manifest.from_json(json.dumps({**content, "mood": "good"}).encode())
    with pytest.raises(InputError, match=r"manifest\.json format_version must be 2, was 3"):
        Manifest.from_json(json.dumps({**content, "format_version": 3, "new": 1}).encode())


def test_a_file_that_the_manifest_does_not_know_is_refused_even_if_required(
    write: Callable[..., Path], tmp_path: Path
) -> None:
    path = write()
    contents = {name: (path / name).read_bytes() for name in FILES if name not in ("manifest.json", "golden.npz")}
    manifest = Manifest.of("mes-demo", contents, METADATA, installed_versions(), datetime.now(UTC))
    (path / "manifest.json").write_bytes(manifest.to_json())
    with pytest.raises(InputError, match=r"golden\.npz is not listed in manifest\.json"):
        load_bundle(path)


def test_golden_outputs_that_are_not_met_are_refused_with_the_difference(write: Callable[..., Path]) -> None:
    golden = hand_made_golden()
    golden.log_probs[6, 0, 1] += 0.25
    with pytest.raises(InputError, match=r"log-probabilities must equal golden\.npz within 1e-05, were off by 0\.25"):
        load_bundle(write(golden=golden))
    golden.log_probs[6, 0, 1] = np.nan
    with pytest.raises(InputError, match="were off by nan"):
        load_bundle(write(golden=golden))


def test_a_changed_feature_kernel_is_refused_by_name(write: Callable[..., Path]) -> None:
    class PlanOfOtherKernels(FeaturePlan):
        def to_spec(self) -> dict[str, Any]:
            spec = super().to_spec()
            spec["kernels"]["rsi"] = "f" * 64
            return spec

    plan = PlanOfOtherKernels(small_plan().specs)
    with pytest.raises(InputError, match=r"bundle .*feature kernel 'rsi'"):
        load_bundle(write(plan=plan))


def test_pickles_are_never_opened(write: Callable[..., Path], tmp_path: Path) -> None:
    trap = tmp_path / "trap.pkl"
    trap.write_bytes(b"cos\nsystem\n(S'exit 1'\ntR.")  # running it would be seen by whoever unpickles
    bundle = load_bundle(write(vecnormalize_pkl=trap, model_zip=trap))
    assert bundle.manifest.files["model.zip"].size == trap.stat().st_size


def test_other_package_versions_warn_and_do_not_refuse() -> None:
    here = installed_versions()
    assert version_drift(here) == ()
    assert version_drift({**here, "numba": "0.1"}) == (f"numba was 0.1 when trained, is {here['numba']}",)
    assert version_drift({**here, "torch": "0.1"}) == (), "torch takes no part in trading"


def test_an_existing_bundle_that_was_damaged_is_not_passed_off_as_the_new_one(write: Callable[..., Path]) -> None:
    path = write()
    (path / "experiment.yaml").write_text("name: other\n")
    with pytest.raises(InputError, match=r"experiment\.yaml must have"):
        write()


@pytest.mark.parametrize("name", ["", "Upper", "a/b", "../up", "-x"])
def test_a_name_that_is_no_directory_name_is_refused(tmp_path: Path, name: str, summing_network: bytes) -> None:
    (tmp_path / "policy.onnx").write_bytes(summing_network)
    with pytest.raises(InputError, match="bundle name must be lower-case letters"):
        write_bundle(
            tmp_path / "bundles", name, policy_onnx=tmp_path / "policy.onnx", plan=small_plan(),
            experiment_yaml=EXPERIMENT, golden=hand_made_golden(), metadata=METADATA,
        )  # fmt: skip
    assert not (tmp_path / "bundles").exists()


def test_a_bundle_may_be_copied_elsewhere(write: Callable[..., Path], tmp_path: Path) -> None:
    path = write()
    copy = shutil.copytree(path, tmp_path / "deployed")
    assert load_bundle(copy).id == path.name
