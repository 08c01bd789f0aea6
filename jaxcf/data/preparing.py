"""Prepare original files into a folder of tensorflow-datasets, without TensorFlow."""

import contextlib
import ssl
import sys
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from jaxcf.data.originals import MNIST_CHECKSUMS, ORIGINAL_FILES, read_originals

_SECONDS_TO_ANSWER = 10


def prepare(
    name: str,
    cache_dir: Path,
    *,
    originals: Mapping[str, Path] | None = None,
    checksums: Mapping[str, str] | None = None,
) -> Path:
    """Prepare a data set under `cache_dir / "tfds"` and return its folder.

    Args:
        name: Name of the data set.
        cache_dir: The folder appears in it only once it is complete.
        originals: One path per original file; None downloads them from where tensorflow-datasets
            downloads them.
        checksums: Per original file what `read_originals` expects; None stands for the published
            ones.

    Returns:
        The prepared folder.

    Raises:
        ConnectionError: The download was tried and failed.
        OSError: `cache_dir` cannot be written.
        ValueError: A file is damaged, or is another one than was published.
    """
    import tensorflow_datasets as tfds

    stock = cast(Any, tfds.builder_cls(name))
    published = {info.filename: (url, info.checksum) for url, info in stock.url_infos.items()}
    urls = {file: published[file][0] for file in ORIGINAL_FILES[name]}
    if checksums is None:
        checksums = (
            MNIST_CHECKSUMS
            if name == "mnist"
            else {file: f"sha256:{published[file][1]}" for file in urls}
        )
    if originals is None:
        _check_reachable(name, urls, cache_dir)

    class WithoutTensorFlow(stock, skip_registration=True):  # pyright: ignore
        # the stock builder reads through tf.io and encodes through tf.image; what it says about
        # the data set, its addresses and their checksums needs neither
        url_infos = stock.url_infos

        def _split_generators(self, dl_manager: Any) -> dict[str, Any]:
            files = originals or _download(name, dl_manager, urls, cache_dir)
            records = read_originals(name, files, checksums)
            if records.class_names is not None:
                self.info.features["label"].names = list(records.class_names)
            return {"train": records.train, "test": records.test}

    WithoutTensorFlow.name = name
    root = cache_dir / "tfds"
    try:
        root.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OSError(
            f"{name!r} cannot be prepared in {root} ({error}). Pass cache_dir= with a folder that "
            "can be written, or data_dir= with one that is prepared already."
        ) from error
    builder = WithoutTensorFlow(data_dir=root, file_format="array_record")
    folder = Path(builder.data_dir)
    try:
        # its progress is meant for the reader, and standard output belongs to the caller
        with contextlib.redirect_stdout(sys.stderr):
            builder.download_and_prepare(
                download_dir=cache_dir / "downloads",
                download_config=tfds.download.DownloadConfig(try_download_gcs=False),
            )
    except OSError:
        # the last step moves the folder into place: another process may have been faster
        if not (folder / "dataset_info.json").is_file():
            raise
    return folder


def _download(
    name: str, download_manager: Any, urls: Mapping[str, str], cache_dir: Path
) -> dict[str, Path]:
    from tensorflow_datasets import download
    from tensorflow_datasets.core.download.download_manager import NonMatchingChecksumError

    try:
        paths = download_manager.download(dict(urls))
    except (OSError, download.DownloadError) as error:
        raise ConnectionError(_no_download(name, urls, cache_dir, error)) from error
    except NonMatchingChecksumError as error:
        raise ValueError(f"A downloaded file of {name!r} is damaged. {error}") from error
    return {file: Path(path) for file, path in paths.items()}


def _check_reachable(name: str, urls: Mapping[str, str], cache_dir: Path) -> None:
    # the download manager retries for minutes before it says that there is no network
    request = urllib.request.Request(next(iter(urls.values())), method="HEAD")
    try:
        urllib.request.urlopen(request, timeout=_SECONDS_TO_ANSWER).close()
    except urllib.error.HTTPError:
        # an answer all the same: what it means is for the download itself to say
        return
    except OSError as error:
        # the download has its own certificates
        if isinstance(getattr(error, "reason", error), ssl.SSLError):
            return
        raise ConnectionError(_no_download(name, urls, cache_dir, error)) from error


def _no_download(name: str, urls: Mapping[str, str], cache_dir: Path, error: Exception) -> str:
    return (
        f"{name!r} is not at hand: there is nothing prepared in {cache_dir / 'tfds'}, and the "
        f"download of {', '.join(urls.values())} failed ({error}). Connect to the network, or pass "
        "data_dir= with a folder prepared by tensorflow-datasets or with the original "
        f"files {', '.join(urls)}."
    )
