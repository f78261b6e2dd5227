"""Tests of legs: each begins with its trial's last checkpoint, unaffected by what a worker that was given up writes."""

import asyncio
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from functions import bowl_with_checkpoint
from ray._private.worker import raise_sys_exit_with_custom_error_message
from simulation import open_driver, small_spec
from test_worker import a_leg

from sweeps.execution.driver import Driver
from sweeps.execution.functions import Function
from sweeps.execution.legs import failed, run_leg, unreported_of
from sweeps.execution.messages import Leg, Message
from sweeps.execution.targets import FunctionRun
from sweeps.store.folders import SweepFolder


def run(leg: Leg, function: Function) -> Iterator[Message]:
    return run_leg(leg, lambda leg, checkpoint: FunctionRun(function, leg.params, leg.seed, checkpoint))


def climbing_by(stride: float) -> Function:
    """Return a function whose values show which worker made them."""

    def climb(params: Any, seed: int, checkpoint: float | None) -> Iterator[dict[str, Any]]:
        height = checkpoint or 0.0
        while True:
            height += stride
            yield {"loss": height, "checkpoint": height}

    return climb


def taken(driver: Driver) -> Leg:
    leg = driver.next_leg()
    assert isinstance(leg, Leg)
    return leg


def lose(driver: Driver, leg: Leg) -> Driver:
    driver.lost(leg.key, "its node was cut off")
    return driver


def die(driver: Driver, leg: Leg) -> Driver:
    again = open_driver(driver.folder, driver.spec)
    again.start({})
    return again


@pytest.mark.parametrize("give_up", [lose, die])
def test_a_trial_goes_on_from_what_it_reported_whatever_a_given_up_worker_still_writes(
    folder: SweepFolder, give_up: Callable[[Driver, Leg], Driver]
) -> None:
    driver = open_driver(
        folder, small_spec(pruning={"name": "none", "max_fidelity": 9}, trials=1, retries={"wait": 1e-9, "lost": 3})
    )
    driver.start({})
    legs, workers = [], []
    for stride, reports in ((1.0, 2), (0.01, 2), (0.0001, 1)):
        legs.append(taken(driver))
        workers.append(run(legs[-1], climbing_by(stride)))
        for _ in range(reports):
            assert driver.receive(legs[-1].key, next(workers[-1]))
        for worker in reversed(workers):  # saves, but its message is not received; given-up workers write last
            next(worker)
        driver = give_up(driver, legs[-1])

    trial = driver.history.trials[legs[0].key]
    assert trial.state == "running"
    # The first worker's third report is in its checkpoint, and the second worker's second report is in that one's.
    assert [m.values["loss"] for m in trial.measurements] == pytest.approx([1, 2, 3, 3.01, 3.02])
    assert driver.history.trials[legs[0].key].breaks == 3
    assert not list(driver.history.noted("warning"))


def test_a_trial_that_ends_leaves_no_checkpoint_of_any_of_its_workers(folder: SweepFolder) -> None:
    driver = open_driver(
        folder, small_spec(pruning={"name": "none", "max_fidelity": 3}, trials=1, retries={"wait": 1e-9, "lost": 3})
    )
    driver.start({})
    first = taken(driver)
    driver.receive(first.key, next(run(first, climbing_by(1.0))))
    second = taken(lose(driver, first))
    worker = run(second, climbing_by(1.0))
    next(worker)
    assert len(list(folder.checkpoints.rglob("checkpoint.pt"))) == 2

    driver.receive(second.key, Message("ended"))
    assert driver.history.trials[second.key].state == "complete"
    assert not list(folder.checkpoints.rglob("*"))


def test_a_trial_that_failed_keeps_its_checkpoint_for_when_its_code_is_mended(folder: SweepFolder) -> None:
    driver = open_driver(folder, small_spec(pruning={"name": "none", "max_fidelity": 3}, trials=1))
    driver.start({})
    leg = taken(driver)
    driver.receive(leg.key, next(run(leg, climbing_by(1.0))))
    driver.receive(leg.key, Message("failed", reason="RuntimeError: enough"))

    assert driver.history.trials[leg.key].state == "failed"
    assert leg.checkpoint.exists()


def test_rays_sigterm_ends_the_worker_and_is_no_fault_of_its_trial(tmp_path: Path) -> None:
    """Check the way in which `ray stop` ends a node's workers: the trial continues elsewhere, as after a kill."""

    def told_to_end(params: Any, seed: int) -> Iterator[dict[str, Any]]:
        yield {"loss": 1.0}
        raise_sys_exit_with_custom_error_message("The process receives a SIGTERM.", exit_code=1)

    messages = run(a_leg(tmp_path, 3), told_to_end)

    assert next(messages).kind == "measured"
    with pytest.raises(SystemExit):
        next(messages)


def test_what_a_worker_that_was_given_up_wrote_once_more_is_no_gap(tmp_path: Path) -> None:
    (tmp_path / "3").mkdir()
    leg = replace(a_leg(tmp_path, 3), checkpoint=tmp_path / "3" / "checkpoint.pt")
    first = run(leg, bowl_with_checkpoint)
    before = [next(first).measurement for _ in range(4)]
    reports = unreported_of(leg.checkpoint)
    reports.write_text(reports.read_text() * 2)

    again = run(replace(leg, known=1), bowl_with_checkpoint)
    messages = [next(again) for _ in range(3)]
    assert [message.measurement for message in messages] == before[1:]
    assert not any(message.notes for message in messages)


def test_a_checkpoint_that_would_not_come_back_equal_is_the_trials_failure_at_its_first_report(tmp_path: Path) -> None:
    def keeps(params: Any, seed: int, checkpoint: object) -> Iterator[dict[str, Any]]:
        yield {"loss": 1.0, "checkpoint": {"model": object()}}

    (message,) = run(a_leg(tmp_path, 3), keeps)

    assert message.kind == "failed"
    assert message.reason.startswith("CheckpointError: checkpoint['model'] is a object, which a checkpoint can't keep")
    assert "a checkpoint may hold" in message.reason


class SilentError(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text")


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (SilentError(), "SilentError: its text can't be shown (RuntimeError)"),
        (ValueError(), "ValueError"),
        (asyncio.CancelledError(), "CancelledError"),
        (KeyboardInterrupt(), "KeyboardInterrupt"),
        (SystemExit(3), "SystemExit: 3"),
        (GeneratorExit(), "GeneratorExit"),
        (ExceptionGroup("two", [ValueError("a"), KeyError("b")]), "ExceptionGroup: two (2 sub-exceptions)"),
        (OSError("can't read caf\udce9.csv"), "OSError: can't read caf\\udce9.csv"),
        (ValueError("a\0b"), "ValueError: a\\x00b"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_whatever_a_trial_raises_is_its_own_failure(error: BaseException, reason: str, tmp_path: Path) -> None:
    def raises(params: Any, seed: int) -> Iterator[dict[str, Any]]:
        yield {"loss": 1.0}
        raise error

    messages = run(a_leg(tmp_path, 3), raises)
    next(messages)
    message = next(messages)

    assert (message.kind, message.ends_worker) == ("failed", False)
    assert re.fullmatch(re.escape(reason) + r" \(.*test_legs\.py:\d+\)", message.reason)
    assert "in raises" in message.detail
    f"{message.reason}{message.detail}".encode()
    assert next(messages, None) is None


def test_a_segment_that_is_closed_ends_without_a_message(tmp_path: Path) -> None:
    messages = run(a_leg(tmp_path, 3), climbing_by(1.0))
    next(messages)
    messages.close()  # type: ignore[attr-defined]


def raised_from(error: BaseException) -> BaseException:
    wrapped = ValueError("a step failed")
    wrapped.__cause__ = error
    return wrapped


OF_DEVICES = [
    "Triton Error [CUDA]: out of memory",
    "NCCL Error 2: unhandled system error",
    "cuda runtime error (2) : out of memory",
    "an illegal memory access was encountered",
    "CUDA kernel launch failed",
    "CUDA-capable device(s) is/are busy or unavailable",
    "cuBLAS error: not initialized",
    "RESOURCE_EXHAUSTED: Out of memory while trying to allocate 123 bytes.",
    "CUDA_ERROR_ILLEGAL_ADDRESS",
    "device-side assert triggered",
]


@pytest.mark.parametrize(
    ("error", "is_of_device_"),
    [
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB"), True),
        (torch.AcceleratorError("CUDA error: an illegal memory access was encountered", 700), True),
        (RuntimeError("CUDA error: CUBLAS_STATUS_EXECUTION_FAILED when calling `cublasSgemm`"), True),
        (RuntimeError("cuDNN error: CUDNN_STATUS_INTERNAL_ERROR"), True),
        (RuntimeError("MPS backend out of memory (MPS allocated: 5 GB)"), True),
        (RuntimeError("HIP out of memory. Tried to allocate 2 GiB"), True),
        *((RuntimeError(text), True) for text in OF_DEVICES),
        (type("OutOfMemoryError", (MemoryError,), {})("Out of memory allocating 512 bytes"), True),
        (raised_from(torch.OutOfMemoryError("no more")), True),
        (ExceptionGroup("both", [ValueError("a"), torch.OutOfMemoryError("no more")]), True),
        (RuntimeError("the GPUs of this cluster are named cuda:0 and cuda:1"), False),
        (RuntimeError("mat1 and mat2 shapes cannot be multiplied (1x2 and 3x4)"), False),
        (RuntimeError("Expected all tensors to be on the same device, cuda:0 and cpu"), False),
        (ValueError("CUDA error: says a user"), False),
        (MemoryError(), False),
    ],
    ids=str,
)
def test_after_an_error_of_the_device_the_worker_ends(error: BaseException, is_of_device_: bool) -> None:
    assert failed(error).ends_worker is is_of_device_
