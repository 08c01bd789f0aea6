"""Damaged files: each is refused by name, or gives something that can be used in every way."""

import shutil
import tracemalloc
import zipfile
from dataclasses import replace

import numpy as np
import pytest
from damage import damaged
from flax import nnx
from helpers import damage_file, with_array
from made_explanations import images, table, traces

from jaxcf import Explanations, Traces, models, report
from jaxcf.cli.shared import summary_rows
from jaxcf.cli.table_csv import write_counterfactuals
from jaxcf.models import BlockClassifier, GuideNetwork, Judge
from jaxcf.models.networks.judge_networks import MixerClassifier
from jaxcf.results.comparison import compare
from jaxcf.tabular import TableExplanations
from jaxcf.utils.json_files import json_text

SEEDS = 70
NETWORK_SEEDS = 8

IMAGES = images(24, (4, 4))


def recorded_images():
    points = np.repeat(IMAGES.original[:, None], 5, axis=1)
    history = {name: np.ones((24, 5), np.float32) for name in ("l1", "prototype")}
    return replace(IMAGES, path=points, history=history)


def use(explanations, folder):
    """Everything that can be asked of explanations, but pictures."""
    core = explanations.core
    json_text(explanations.summary())
    summary_rows(core)
    explanations.to_pandas(probabilities=True)
    explanations._repr_html_()
    explanations[explanations.found].summary()
    repr((explanations, explanations.messages, explanations.num_changed))
    repr((core.perturbation, core.l0, core.l1, core.l2, core.elastic_net))
    compare(explanations, explanations).summary()
    report.write(folder / "report.html", explanations)
    if isinstance(explanations, TableExplanations):
        repr((explanations.original, explanations.counterfactual, explanations.distance))
        repr([explanations.changes(row) for row in range(len(explanations))])
        write_counterfactuals(folder / "table.csv", explanations, "id", run="x")
    explanations.save(folder / "again.npz")
    type(explanations).load(folder / "again.npz")


def use_traces(closer, folder):
    closer.save(folder / "again.npz")
    repr(closer)
    shapes = closer.prototype.shape[1:], IMAGES.original.shape[1:]
    if not len(closer) or (closer.rows.max() < len(IMAGES) and shapes[0] == shapes[1]):
        report.write(folder / "report.html", IMAGES, traces=closer)


KINDS = {
    "explanations": (Explanations, recorded_images, use),
    "table": (TableExplanations, lambda: table(24).with_labels([f"c{i}" for i in range(24)]), use),
    "traces": (Traces, lambda: traces(IMAGES), use_traces),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.usefixtures("without_type_checks")
def test_results_are_refused_by_name_or_whole(kind, tmp_path):
    made, make, use_all = KINDS[kind]
    whole, path = tmp_path / "whole.npz", tmp_path / "damaged.npz"
    make().save(whole)
    use_all(made.load(whole), tmp_path)
    refused, unnamed = 0, []
    for seed in range(SEEDS):
        shutil.copy(whole, path)
        said = damaged(path, np.random.default_rng(seed))
        try:
            loaded = made.load(path)
        except ValueError as error:
            unnamed += [] if str(path) in str(error) else [said]
            refused += 1
            continue
        use_all(loaded, tmp_path)
    assert not unnamed
    assert refused > SEEDS / 2


def a_judge(path):
    network = MixerClassifier((8, 8, 1), 3, patch=2, width=4, depth=1, rngs=nnx.Rngs(0))
    models.save_judges(path, (Judge("mixer", network, 0.5, {"rows": 1}),))


def a_guide(path):
    network = BlockClassifier((8, 8, 1), 3, widths=(4, 4), hidden=4, rngs=nnx.Rngs(0))
    models.save_guide(path, GuideNetwork("guide", network, 0.9, 1.0, 0.5, 0.4, {"rows": 1}))


NETWORKS = {
    "judges": (a_judge, lambda path: models.load_judges(path)[0]),
    "guide": (a_guide, models.load_guide),
}


@pytest.mark.parametrize("kind", NETWORKS)
@pytest.mark.usefixtures("without_type_checks")
def test_networks_are_refused_by_name_or_whole(kind, tmp_path):
    save, load = NETWORKS[kind]
    whole, path = tmp_path / "whole.npz", tmp_path / "damaged.npz"
    save(whole)
    refused, unnamed = 0, []
    for seed in range(NETWORK_SEEDS):
        shutil.copy(whole, path)
        said = damaged(path, np.random.default_rng(seed))
        try:
            loaded = load(path)
        except ValueError as error:
            unnamed += [] if str(path) in str(error) else [said]
            refused += 1
            continue
        assert loaded.predict(np.zeros((2, 8, 8, 1), np.float32)).shape == (2, 3)
    assert not unnamed
    assert refused > NETWORK_SEEDS / 2


# --- what is refused costs nothing ----------------------------------------------------------------

LARGE = np.zeros((24, 1 << 18), np.float32)  # 24 MB, 24 kB in a file


def large(name):
    return with_array(name, lambda array: LARGE)


def of_no_status(arrays, metadata):
    arrays["status"][0] = 50
    arrays["original"] = arrays["counterfactual"] = LARGE


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (large("surprise"), "unknown array 'surprise'"),
        (large("counterfactual"), "counterfactual has shape"),
        (large("status"), "status has dtype float32"),
        (with_array("path", lambda array: LARGE[..., None]), "its path has shape"),
        (with_array("original_class", lambda array: array + 9), "original_class holds .*9 or less"),
        (of_no_status, "unknown status codes"),
    ],
)
def test_what_is_refused_was_not_unpacked(tmp_path, change, message):
    path = tmp_path / "large.npz"
    IMAGES.save(path)
    damage_file(path, change)
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match=message):
            Explanations.load(path)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < LARGE.nbytes / 4


def test_a_network_deeper_than_its_file_is_not_built(tmp_path):
    path = tmp_path / "deep.npz"
    a_judge(path)
    damage_file(path, lambda _, known: known["architectures"]["mixer"].update(depth=10**9))
    with pytest.raises(ValueError, match="more layers than the file has arrays"):
        models.load_judges(path)


@pytest.mark.parametrize("claimed", [10**6, 10**13], ids=["bytes", "terabytes"])
def test_more_than_the_bytes_of_a_file_can_hold_is_not_believed(tmp_path, claimed):
    path = tmp_path / "bomb.npz"
    IMAGES.save(path)
    with zipfile.ZipFile(path, "a") as archive:
        archive.getinfo("steps.npy").file_size = claimed
        archive.writestr("more.npy", b"")  # so that the directory is written anew
    with pytest.raises(ValueError, match=rf"bomb\.npz .*steps claims {claimed} bytes"):
        Explanations.load(path)


def test_members_that_share_their_bytes_are_refused(tmp_path):
    path = tmp_path / "shared.npz"
    IMAGES.save(path)
    with zipfile.ZipFile(path, "a") as archive:
        one = archive.getinfo("original.npy")
        for name in ("counterfactual", "prototype", "probabilities"):
            other = archive.getinfo(f"{name}.npy")
            other.header_offset, other.compress_size = one.header_offset, path.stat().st_size
        archive.writestr("more.npy", b"")
    with pytest.raises(ValueError, match="claim more bytes than it has"):
        Explanations.load(path)
