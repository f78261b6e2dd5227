"""Tests of data: the embedded digits, full sets from a mirror on this machine, and what a Dataset refuses."""

import gzip
import multiprocessing
import os
import pickle
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mirror import Mirror, idx, md5, serving, tiny_cifar10, tiny_images, tiny_mnist

import study.data
from study.data import DataError, Dataset, Split, load, load_test
from study.downloads import DATA_DIR_VARIABLE, default_data_dir

# A change of the embedded digits, of their order or of how they are fingerprinted breaks replays of older sweeps.
FINGERPRINT = "33d3e509efe74d0c239d6decade78ee836664a16ee552d0ab7cf195b5a0b6d63"
TEST_DIGEST = "0a9662e90ad1e950dbda4b68aeadd6606ce2c8357fe3fba683b3476b10c3acc5"

_FULL = os.environ.get(DATA_DIR_VARIABLE)
needs_real_mnist = pytest.mark.skipif(
    not _FULL or not Path(_FULL, "MNIST", "raw", "train-images-idx3-ubyte").exists(),
    reason=f"the full MNIST is not there: set {DATA_DIR_VARIABLE} to the folder that holds MNIST/raw",
)


def split(n: int = 20, classes: int = 10) -> Split:
    return Split(tiny_images(n, 3, 4, 5), np.arange(n) % classes)


@pytest.fixture
def mnist(monkeypatch: pytest.MonkeyPatch) -> Iterator[Mirror]:
    """Yield a mirror of a tiny MNIST, which torchvision takes for the real one."""
    from torchvision.datasets import MNIST

    monkeypatch.setenv("no_proxy", "127.0.0.1")
    files = tiny_mnist()
    with serving(files) as mirror:
        monkeypatch.setattr(MNIST, "mirrors", [mirror.url])
        monkeypatch.setattr(MNIST, "resources", [(name, md5(content)) for name, content in files.items()])
        yield mirror


@pytest.fixture
def cifar10(monkeypatch: pytest.MonkeyPatch) -> Iterator[Mirror]:
    from torchvision.datasets import CIFAR10

    monkeypatch.setenv("no_proxy", "127.0.0.1")
    archive, files = tiny_cifar10()
    with serving({"cifar.tar.gz": archive}) as mirror:
        monkeypatch.setattr(CIFAR10, "url", f"{mirror.url}cifar.tar.gz")
        monkeypatch.setattr(CIFAR10, "filename", "cifar.tar.gz")
        monkeypatch.setattr(CIFAR10, "tgz_md5", md5(archive))
        monkeypatch.setattr(CIFAR10, "train_list", [["data_batch_1", md5(files["data_batch_1"])]])
        monkeypatch.setattr(CIFAR10, "test_list", [["test_batch", md5(files["test_batch"])]])
        meta = {"filename": "batches.meta", "key": "label_names", "md5": md5(files["batches.meta"])}
        monkeypatch.setattr(CIFAR10, "meta", meta)
        yield mirror


def there(folder: Path) -> list[str]:
    """Return the files below a folder, except locks."""
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file() and p.suffix != ".lock")


# The embedded digits


def test_embedded_digits_are_those_that_older_sweeps_saw() -> None:
    assert load("mnist_sample").fingerprint == FINGERPRINT


def test_embedded_test_digits_are_those_that_older_winners_were_scored_on() -> None:
    test = load_test("mnist_sample")
    assert Dataset("test", test, test, 10).fingerprint == TEST_DIGEST


def test_embedded_digits_are_balanced_in_every_split() -> None:
    data = load("mnist_sample")
    for part, per_class in ((data.train, 800), (data.validation, 200), (load_test("mnist_sample"), 200)):
        assert np.bincount(part.labels).tolist() == [per_class] * 10
        assert part.images.shape == (per_class * 10, 1, 28, 28)


def test_no_embedded_digit_is_in_two_splits() -> None:
    data = load("mnist_sample")
    images = [image.tobytes() for s in (data.train, data.validation, load_test("mnist_sample")) for image in s.images]
    assert len(set(images)) == 12_000


def test_a_search_does_not_read_the_embedded_test_digits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(str(resources.files("study") / "digits"), tmp_path / "digits")
    (tmp_path / "digits" / "test.npz").unlink()
    monkeypatch.setattr("importlib.resources.files", lambda _: tmp_path)
    assert load("mnist_sample").fingerprint == FINGERPRINT
    with pytest.raises(DataError, match=r"test\.npz are damaged .*: install the package again"):
        load_test("mnist_sample")


@pytest.mark.parametrize("kept", [0, 1000, 300_000])
def test_embedded_digits_that_are_cut_short_are_refused(
    kept: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "digits").mkdir()
    whole = (resources.files("study") / "digits" / "train.npz").read_bytes()
    (tmp_path / "digits" / "train.npz").write_bytes(whole[:kept])
    monkeypatch.setattr("importlib.resources.files", lambda _: tmp_path)
    with pytest.raises(DataError, match="damaged"):
        load("mnist_sample")


def test_embedded_digits_load_without_torch() -> None:
    program = "import sys; from study.data import load; load('mnist_sample'); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


@needs_real_mnist
def test_embedded_digits_are_made_again_from_the_full_files() -> None:
    from study.digits.make import sample

    made = sample(default_data_dir())
    data = load("mnist_sample")
    for part, here in (("train", data.train), ("validation", data.validation), ("test", load_test("mnist_sample"))):
        np.testing.assert_array_equal(made[part][0], here.images)
        np.testing.assert_array_equal(made[part][1], here.labels)


# What a Dataset is


@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [
        (np.zeros((2, 1, 4, 4), np.float32), np.zeros(2, np.int64), "images must be uint8 .* are float32"),
        (np.zeros((2, 4, 4), np.uint8), np.zeros(2, np.int64), r"but are uint8 of shape \(2, 4, 4\)"),
        (np.zeros((2, 1, 4, 4), np.uint8), np.zeros(2, np.int32), "labels must be int64 .* are int32"),
        (np.zeros((2, 1, 4, 4), np.uint8), np.zeros(3, np.int64), r"shape \(2,\), one for each image, but .* \(3,\)"),
    ],
)
def test_a_split_of_other_arrays_is_refused(images: np.ndarray, labels: np.ndarray, message: str) -> None:
    with pytest.raises(DataError, match=message):
        Split(images, labels)


@pytest.mark.parametrize("axis", range(4))
def test_flipped_and_thinned_arrays_are_copied_and_not_refused(axis: int) -> None:
    images, labels = tiny_images(20, 3, 4, 5), np.arange(20) % 10
    every_other = (slice(None),) * axis + (slice(None, None, -2),)
    part = images[every_other]

    found = Split(part, labels[::-2] if axis == 0 else labels)

    assert found.images.flags.c_contiguous
    assert found.labels.flags.c_contiguous
    assert (found.images == part).all()


def test_labels_beyond_the_classes_are_refused() -> None:
    with pytest.raises(DataError, match=r"labels of 'mine' must be in 0 … 4, but go from 0 to 9"):
        Dataset("mine", split(classes=5), split(classes=10), classes=5)


def test_an_empty_split_is_refused() -> None:
    with pytest.raises(DataError, match="one is empty"):
        Dataset("mine", split(), split(0), 10)


def test_mean_and_std_are_those_of_the_training_images() -> None:
    train = split(2500)  # more than one of the parts in which the sum is computed
    data = Dataset("mine", train, split(), 10)
    np.testing.assert_allclose(data.mean, (train.images / 255).mean(axis=(0, 2, 3)), rtol=1e-12)
    np.testing.assert_allclose(data.std, (train.images / 255).std(axis=(0, 2, 3)), rtol=1e-12)


def test_one_other_pixel_or_label_in_either_split_is_another_fingerprint() -> None:
    prints = {Dataset("mine", split(), split(), 10).fingerprint}
    for changes_train in (True, False):
        for place in ("images", "labels"):
            changed = split()
            array = getattr(changed, place)
            array.flat[7] ^= 1
            data = Dataset("mine", changed, split(), 10) if changes_train else Dataset("mine", split(), changed, 10)
            prints.add(data.fingerprint)
    assert len(prints) == 5


def test_a_copy_sent_to_a_worker_brings_its_fingerprint_along() -> None:
    data = load("mnist_sample")
    assert vars(pickle.loads(pickle.dumps(data)))["fingerprint"] == data.fingerprint


@pytest.mark.parametrize("read", [load, load_test])
def test_an_unknown_name_is_refused_with_the_nearest(read: object) -> None:
    with pytest.raises(DataError, match=r"no data set is named 'fashion_minst', did you mean 'fashion_mnist'\?"):
        read("fashion_minst")  # type: ignore[operator]


# Full sets


def test_a_full_set_is_downloaded_checked_and_read(mnist: Mirror, tmp_path: Path) -> None:
    data, test = load("mnist", tmp_path), load_test("mnist", tmp_path)
    published = tiny_images(120, 28, 28)[:, None]
    assert (data.name, data.classes) == ("mnist", 10)
    both = {image.tobytes() for part in (data.train, data.validation) for image in part.images}
    assert both == {image.tobytes() for image in published}
    np.testing.assert_array_equal(test.images, tiny_images(20, 28, 28)[:, None])
    np.testing.assert_array_equal(test.labels, np.arange(20) % 10)
    assert mnist.downloads == dict.fromkeys(mnist.files, 1)


def test_images_keep_their_labels(mnist: Mirror, tmp_path: Path) -> None:
    data = load("mnist", tmp_path)
    label_of = {image.tobytes(): place % 10 for place, image in enumerate(tiny_images(120, 28, 28))}
    for part in (data.train, data.validation):
        assert [label_of[image.tobytes()] for image in part.images] == part.labels.tolist()


def test_three_channels_come_before_height_and_width(cifar10: Mirror, tmp_path: Path) -> None:
    np.testing.assert_array_equal(load_test("cifar10", tmp_path).images, tiny_images(20, 3072).reshape(-1, 3, 32, 32))
    assert len(load("cifar10", tmp_path).mean) == 3
    assert cifar10.downloads == {"cifar.tar.gz": 1}


@pytest.mark.parametrize(("one_in", "n", "expected"), [(6, 60_000, 1000), (10, 50_000, 500), (6, 60, 1)])
def test_validation_holds_equally_many_of_each_class(one_in: int, n: int, expected: int) -> None:
    labels = np.random.default_rng(0).choice(10, n, p=np.arange(5, 15) / 95)
    mask = study.data._held_back(labels, one_in, 10)
    assert np.bincount(labels[mask]).tolist() == [expected] * 10


def test_files_that_are_there_are_read_without_network(mnist: Mirror, tmp_path: Path) -> None:
    first = load("mnist", tmp_path).fingerprint
    mnist.downloads.clear()
    assert load("mnist", tmp_path).fingerprint == first
    assert not mnist.downloads


def test_archives_put_there_by_hand_are_unpacked_without_network(mnist: Mirror, tmp_path: Path) -> None:
    raw = tmp_path / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for name, content in mnist.files.items():
        (raw / name).write_bytes(content)
    assert len(load("mnist", tmp_path).train) == 100
    assert not mnist.downloads


def test_the_search_does_not_read_the_test_files(mnist: Mirror, tmp_path: Path) -> None:
    load("mnist", tmp_path)
    for name in ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"):
        (tmp_path / "MNIST" / "raw" / name).write_bytes(b"")
    assert len(load("mnist", tmp_path).train) == 100
    with pytest.raises(DataError, match="damaged"):
        load_test("mnist", tmp_path)


def test_without_network_and_files_one_line_names_both_ways_out(mnist: Mirror, tmp_path: Path) -> None:
    from torchvision.datasets import MNIST

    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))  # bound but not listening: connections are refused
        MNIST.mirrors = [f"http://127.0.0.1:{closed.getsockname()[1]}/"]
        with pytest.raises(DataError) as refused:
            load("mnist", tmp_path)
    message = str(refused.value)
    assert "\n" not in message
    assert str(tmp_path) in message
    assert "Connection refused" in message
    assert "give its folder with --data-dir" in message
    assert 'dataset = "mnist_sample"' in message


def test_a_download_with_a_wrong_checksum_is_refused_and_thrown_away(mnist: Mirror, tmp_path: Path) -> None:
    name = "train-images-idx3-ubyte.gz"
    right = mnist.files[name]
    mnist.files[name] = gzip.compress(idx(tiny_images(120, 28, 28) ^ 1), 1)
    with pytest.raises(DataError, match="wrong checksum and was thrown away"):
        load("mnist", tmp_path)
    assert there(tmp_path) == []
    mnist.files[name] = right
    assert len(load("mnist", tmp_path).train) == 100


def test_what_a_killed_download_left_is_not_used(mnist: Mirror, tmp_path: Path) -> None:
    left = tmp_path / ".mnist.download" / "MNIST" / "raw"
    left.mkdir(parents=True)
    for name in mnist.files:
        (left / name.removesuffix(".gz")).write_bytes(b"cut short")
    assert len(load("mnist", tmp_path).train) == 100
    assert not (tmp_path / ".mnist.download").exists()


def test_a_download_that_stops_half_way_leaves_no_file_that_looks_whole(mnist: Mirror, tmp_path: Path) -> None:
    del mnist.files["t10k-labels-idx1-ubyte.gz"]  # the last of the four
    with pytest.raises(DataError, match=r"can't be downloaded .*404"):
        load("mnist", tmp_path)
    assert there(tmp_path) == []


@pytest.mark.parametrize("content", [b"", b"\0\0\x08\x03", b"no such format", idx(tiny_images(120, 28, 28))[:-1]])
def test_damaged_files_are_refused_by_name(content: bytes, mnist: Mirror, tmp_path: Path) -> None:
    load("mnist", tmp_path)
    (tmp_path / "MNIST" / "raw" / "train-images-idx3-ubyte").write_bytes(content)
    with pytest.raises(DataError, match=r"'mnist' in .* is damaged .*: remove .*MNIST and run again"):
        load("mnist", tmp_path)


def test_images_and_labels_of_two_sets_are_refused(mnist: Mirror, tmp_path: Path) -> None:
    load("mnist", tmp_path)
    (tmp_path / "MNIST" / "raw" / "t10k-labels-idx1-ubyte").write_bytes(idx(np.arange(19) % 10))
    with pytest.raises(DataError, match="one for each image"):
        load_test("mnist", tmp_path)


def test_a_damaged_pickle_is_refused_before_it_runs(cifar10: Mirror, tmp_path: Path) -> None:
    load("cifar10", tmp_path)

    class Bomb:
        def __reduce__(self) -> tuple[Any, ...]:
            return Path.touch, (tmp_path / "exploded",)

    (tmp_path / "cifar-10-batches-py" / "data_batch_1").write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(DataError, match="damaged"):
        load("cifar10", tmp_path)
    assert not (tmp_path / "exploded").exists()


def test_processes_that_start_at_once_download_once(mnist: Mirror, tmp_path: Path) -> None:
    forked = multiprocessing.get_context("fork")  # children see this test's mirror
    together, found = forked.Barrier(4), forked.Queue()

    def read() -> None:
        together.wait(timeout=60)
        found.put(load("mnist", tmp_path).fingerprint)

    processes = [forked.Process(target=read) for _ in range(4)]
    for process in processes:
        process.start()
    prints = {found.get(timeout=60) for _ in processes}
    for process in processes:
        process.join(timeout=60)
    assert [process.exitcode for process in processes] == [0, 0, 0, 0]
    assert len(prints) == 1
    assert mnist.downloads == dict.fromkeys(mnist.files, 1)


def test_full_sets_lie_where_the_user_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(DATA_DIR_VARIABLE, raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("HOME", "/home/someone")
    assert default_data_dir() == Path("/home/someone/.cache/nn-training-study/data")
    monkeypatch.setenv("XDG_CACHE_HOME", "/cache")
    assert default_data_dir() == Path("/cache/nn-training-study/data")
    monkeypatch.setenv(DATA_DIR_VARIABLE, "/shared")
    assert default_data_dir() == Path("/shared")


@needs_real_mnist
def test_the_real_files_come_through_a_mirror_as_they_are(
    mnist: Mirror, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from torchvision.datasets import MNIST

    raw = default_data_dir() / "MNIST" / "raw"
    mnist.files = {name: gzip.compress((raw / name.removesuffix(".gz")).read_bytes(), 1) for name in mnist.files}
    monkeypatch.setattr(MNIST, "resources", [(name, md5(content)) for name, content in mnist.files.items()])
    data = load("mnist", tmp_path)
    assert np.bincount(data.validation.labels).tolist() == [1000] * 10
    assert data.fingerprint == load("mnist", default_data_dir()).fingerprint
