"""TensorBoard's event files and Neptune's Parquet: read as their tools wrote them, damaged ones up to the damage."""

from __future__ import annotations

import math
import shutil
import struct
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from headrace.sdk.coming.event_files import masked_crc
from headrace.sdk.coming.neptune import Neptune
from headrace.sdk.coming.opening import open_source
from headrace.sdk.coming.source import Source, SourceFault, SourceRun
from headrace.sdk.coming.tensorboard import TensorBoard

from tests import neptune_export

EVENT_FILES = Path(__file__).parents[2] / "golden_sources" / "tensorboard"


def runs(source: Source) -> dict[str, SourceRun]:
    """All runs by name."""
    found = [source.run(run_id) for one in source.experiments() for run_id in source.run_ids(one)]
    return {run.name: run for run in found}


def fetched(source: Source, run_id: str, folder: Path) -> dict[str, bytes]:
    """A run's files by path."""
    found = {}
    for file in source.files(run_id):
        file.fetch(folder / "fetched")
        found[file.path] = (folder / "fetched").read_bytes()
    return found


# --- TensorBoard ------------------------------------------------------------------------------------------------------


def test_scalars_of_both_forms_keep_step_time_and_value() -> None:
    source = TensorBoard(EVENT_FILES)
    found = runs(source)
    assert set(found) == {"hp", "hp/trial", "tf2", "x/run1"}
    assert source.experiments()[0].name == "tensorboard"
    loss, odd = source.series(found["x/run1"].run_id)
    assert loss.timestamp_ms.tolist() == [1_700_000_000_000, 1_700_000_001_000, 1_700_000_002_000]
    assert loss.value.tolist() == [1.0, 0.5, struct.unpack("<f", struct.pack("<f", 1 / 3))[0]]
    assert (odd.key, odd.step.tolist()) == ("odd__train_", [-5])
    assert math.isnan(odd.value[0])
    of_tensors = {one.key: one.value.tolist() for one in source.series(found["tf2"].run_id)}
    assert of_tensors["kind0"] + of_tensors["kind1"] + of_tensors["kind2"] == [1.5, -7.0, 0.5]
    assert len(of_tensors["epoch_loss"]) == 3, "the plugin is named in the first event of a tag only"
    assert [one.what for one in found["tf2"].problems] == ["1 values of 'pr'"]


def test_hparams_are_params_and_images_and_texts_are_files(tmp_path: Path) -> None:
    source = TensorBoard(EVENT_FILES)
    found = runs(source)
    assert found["hp/trial"].params == {"lr": "0.1", "layers": "3", "opt": "adam", "bias": "True"}
    files = fetched(source, found["x/run1"].run_id, tmp_path)
    assert [path.split("/")[0] for path in files] == ["text", "images"]
    text, image = files.values()
    assert text == b"hello"
    assert image.startswith(b"\x89PNG")


def copied(tmp_path: Path) -> Path:
    shutil.copytree(EVENT_FILES / "x", tmp_path / "copy" / "x")
    [file] = (tmp_path / "copy" / "x" / "run1").iterdir()
    return file


def test_a_copy_is_the_same_run(tmp_path: Path) -> None:
    copied(tmp_path)
    assert runs(TensorBoard(tmp_path / "copy"))["x/run1"].run_id == runs(TensorBoard(EVENT_FILES))["x/run1"].run_id


@pytest.mark.parametrize("kept", [0, 5, 11, 40, 41, 60, 90, 150])
def test_a_file_that_is_cut_off_gives_what_is_whole(kept: int, tmp_path: Path) -> None:
    file = copied(tmp_path)
    file.write_bytes(file.read_bytes()[:kept])
    source = TensorBoard(tmp_path / "copy")
    run = runs(source)["x/run1"]
    assert sum(len(one.step) for one in source.series(run.run_id)) == (kept - 40) // 46 if kept >= 86 else True
    assert len(source.left) == (kept not in (0, 40))
    assert all("cut off" in one.why for one in source.left)


@pytest.mark.parametrize(("place", "told"), [(2, "checksum of a length"), (60, "checksum of a record")])
def test_damage_ends_a_file_and_is_named(place: int, told: str, tmp_path: Path) -> None:
    file = copied(tmp_path)
    data = bytearray(file.read_bytes())
    data[place] ^= 1
    file.write_bytes(data)
    source = TensorBoard(tmp_path / "copy")
    runs(source)
    assert [told in one.why for one in source.left] == [True]


@pytest.mark.parametrize("data", [b"\xff" * 40, b"\x2a\x7f", b"\x09\x00", b"\x80" * 30])
def test_a_record_that_is_no_event_ends_a_file_and_is_named(data: bytes, tmp_path: Path) -> None:
    head = struct.pack("<Q", len(data))
    crcs = [struct.pack("<I", masked_crc(part)) for part in (head, data)]
    (tmp_path / "events.out.tfevents.1").write_bytes(head + crcs[0] + data + crcs[1])
    source = TensorBoard(tmp_path)
    runs(source)
    assert ["no event" in one.why for one in source.left] == [True]


def test_the_checksum_is_castagnolis() -> None:
    # RFC 3720, B.4: 32 bytes of zeros give 8A9136AA.
    crc = 0x8A9136AA
    assert masked_crc(bytes(32)) == (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF


# --- Neptune ----------------------------------------------------------------------------------------------------------


def exported(tmp_path: Path) -> Neptune:
    neptune_export.write_run(tmp_path / "data", tmp_path / "files")
    source = open_source(str(tmp_path / "data"))
    assert isinstance(source, Neptune)
    return source


def test_a_run_of_neptune_is_whole(tmp_path: Path) -> None:
    source = exported(tmp_path)
    [run] = runs(source).values()
    assert source.experiments()[0].name == "team/digits"
    assert (run.name, run.user_id, run.status) == ("my-DIG-1", "ann", "FINISHED")
    assert (run.start_time_ms, run.end_time_ms) == (1_735_787_045_000, 1_735_787_345_000)
    assert run.params == {"params/lr": "0.1", "params/layers": "3", "params/opt (kind)": "adam", "params/bias": "True"}
    assert run.tags["neptune.sys/tags"] == "a,b"
    [loss] = source.series(run.run_id)
    assert loss.step.tolist() == list(range(60)), "of both parts"
    assert loss.timestamp_ms[0] == 1000
    assert np_nan(loss.value.tolist()) == 10
    files = fetched(source, run.run_id, tmp_path)
    assert files["files/model.bin"] == b"model"
    assert files["images/step-1.png"] == b"png"
    assert files["source/a/b.py"] == b"code"
    assert files["logs/stdout.jsonl"].decode().splitlines()[1] == '{"step": 1.0, "timestamp_ms": 8, "value": "world ü"}'
    assert b'"edges": [0.0, 1.0]' in files["weights.jsonl"]
    left = {one.what: one.why for one in (*source.left, *run.problems)}
    assert set(left) == {
        "metric 'train/fraction' with 1 points", "file 'evil'", "file 'gone'", "1 values of the type 'gpu_series'",
    }  # fmt: skip
    assert b"not yours" not in b"".join(files.values())


def np_nan(values: list[float]) -> int:
    return sum(math.isnan(one) for one in values)


def test_a_multiplier_makes_whole_numbers_of_steps(tmp_path: Path) -> None:
    exported(tmp_path)
    source = Neptune(tmp_path / "data", step_multiplier=1000)
    [run] = runs(source).values()
    steps = {one.key: one.step.tolist() for one in source.series(run.run_id)}
    assert steps["train/fraction"] == [500]
    assert steps["train/loss"][:3] == [0, 1000, 2000]


def test_a_part_that_is_missing_damaged_or_of_another_schema_is_named(tmp_path: Path) -> None:
    exported(tmp_path)
    [second] = (tmp_path / "data").glob("*/*_part_1.parquet")
    whole = second.read_bytes()
    second.write_bytes(whole[: len(whole) // 2])
    source = Neptune(tmp_path / "data")
    with pytest.raises(SourceFault, match=r"part_1.parquet cannot be read"):
        runs(source)
    first = second.with_name(second.name.replace("_1", "_0"))
    pq.write_table(pq.read_table(first).drop(["step"]), second)
    with pytest.raises(SourceFault, match="it lacks step"):
        runs(Neptune(tmp_path / "data"))
    second.rename(second.with_name(second.name.replace("_1", "_2")))
    with pytest.raises(SourceFault, match="one is missing"):
        Neptune(tmp_path / "data")
