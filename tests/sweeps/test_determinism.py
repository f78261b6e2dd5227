"""Tests of determinism: ordinary training code has equal bits each time, from its start and from each checkpoint."""

import json
import random
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import ordinary
import pytest
import torch
from continuing import FUNCTIONS, appends, keeping, works_in_its_checkpoint

from sweeps.execution.determinism import (
    comparable,
    continuing,
    generator_states,
    process_facts,
    restore_generators,
    seed_generators,
    worker_variables,
)
from sweeps.execution.functions import Function
from sweeps.execution.targets import FunctionRun
from sweeps.sections import Resources

HERE = Path(__file__).parent
PARAMS = {"lr": 0.003}


def values(run: FunctionRun, most: int = 100) -> list[float]:
    """Return up to `most` losses of a run, while other code draws from the global generators between its reports."""
    found: list[float] = []
    for measurement in run.measurements(lambda: len(found) == most):
        found.append(measurement.values["loss"])
        random.random()
        np.random.rand()
        torch.rand(1)
    return found


def broken(function: Function, seed: int, after: int, folder: Path) -> list[float]:
    """Return the losses of a trial that was paused after `after` reports and continued from its checkpoint."""
    first = FunctionRun(function, PARAMS, seed, None)
    before = values(first, after)
    assert first.save(folder / "checkpoint")
    random.seed(99)
    np.random.seed(99)
    torch.manual_seed(99)
    return before + values(FunctionRun(function, PARAMS, seed, folder / "checkpoint"))


@pytest.mark.parametrize("after", range(1, 6))
@pytest.mark.parametrize("function", FUNCTIONS.values(), ids=FUNCTIONS)
def test_a_paused_trial_continues_with_the_same_bits(tmp_path: Path, function: Function, after: int) -> None:
    whole = values(FunctionRun(function, PARAMS, 3, None))

    assert len(set(whole)) == 6
    assert broken(function, 3, after, tmp_path) == whole


@pytest.mark.parametrize("function", FUNCTIONS.values(), ids=FUNCTIONS)
@pytest.mark.parametrize("seed", [0, 1, 2**31, 2**32 - 1])
def test_the_seed_of_a_trial_decides_what_the_global_generators_give(function: Function, seed: int) -> None:
    again = [values(FunctionRun(function, PARAMS, seed, None), 2) for _ in range(2)]

    assert again[0] == again[1]
    assert again[0] != values(FunctionRun(function, PARAMS, (seed + 5) % 2**32, None), 2)


@pytest.mark.parametrize(("kept", "draws", "is_noted"), [(7, True, True), (b"x", True, True), (7, False, False)])
def test_a_checkpoint_that_cannot_tell_when_it_is_read_is_noted_where_generators_are_used(
    kept: object, draws: bool, is_noted: bool
) -> None:
    def function(params: Any, seed: int, checkpoint: Any) -> Iterator[dict[str, Any]]:
        yield {"loss": random.random() if draws else 0.5, "checkpoint": kept}

    run = FunctionRun(function, PARAMS, 3, None)
    next(run.measurements(lambda: False))
    assert [f"of type {type(kept).__name__}" in note for note in run.notes] == [True] * is_noted


def test_a_checkpoint_that_tells_when_it_is_read_is_not_noted() -> None:
    for function in (keeping(tuple, lambda: np.random.randn(3)), works_in_its_checkpoint, appends):
        run = FunctionRun(function, PARAMS, 3, None)
        next(run.measurements(lambda: False))
        assert run.notes == ()


def test_trials_that_take_turns_in_a_process_do_not_disturb_each_other() -> None:
    alone = [values(FunctionRun(ordinary.mlp, PARAMS, seed, None)) for seed in (1, 2)]
    runs = [FunctionRun(ordinary.mlp, PARAMS, seed, None).measurements(lambda: False) for seed in (1, 2)]
    turns = [[next(run).values["loss"] for run in runs] for _ in range(6)]

    assert [list(losses) for losses in zip(*turns, strict=True)] == alone


def test_a_checkpoint_that_is_read_in_every_epoch_sets_the_generators_back_only_at_first(tmp_path: Path) -> None:
    def reads(params: Any, seed: int, checkpoint: dict[str, int] | None) -> Iterator[dict[str, Any]]:
        for report in range(checkpoint["report"] if checkpoint else 0, 6):
            scale = checkpoint["scale"] if checkpoint else 1
            yield {"loss": scale * random.random(), "checkpoint": {"report": report + 1, "scale": 1}}

    assert broken(reads, 3, 2, tmp_path) == values(FunctionRun(reads, PARAMS, 3, None))


def reads_at_each_step(params: Any, seed: int, checkpoint: dict[str, int] | None) -> Iterator[dict[str, Any]]:
    """Train with NumPy alone, and read the checkpoint between the draws of one report."""
    np.random.rand()
    for report in range(checkpoint["report"] if checkpoint else 0, 6):
        loss = sum(np.random.rand() * (checkpoint["scale"] if checkpoint else 1) for _ in range(3))
        yield {"loss": loss, "checkpoint": {"report": report + 1, "scale": 1}}


def evolves(params: Any, seed: int, checkpoint: dict[str, Any] | None) -> Iterator[dict[str, Any]]:
    """Train with an evolution strategy: each candidate is loaded into one model, and no optimizer takes a step."""
    model = torch.nn.Linear(3, 1)
    if checkpoint:
        model.load_state_dict(checkpoint["model"])
    best = {name: value.clone() for name, value in model.state_dict().items()}
    for report in range(checkpoint["report"] if checkpoint else 0, 6):
        for _ in range(3):
            noisy = {name: value + 0.1 * torch.randn_like(value) for name, value in best.items()}
            model.load_state_dict(noisy)
            best = noisy if model(torch.ones(3)) < 1 else best
        yield {"loss": model(torch.ones(3)).item(), "checkpoint": {"report": report + 1, "model": dict(best)}}


def follows(params: Any, seed: int, checkpoint: dict[str, Any] | None) -> Iterator[dict[str, Any]]:
    """Train by manual gradient descent, with a second model that follows the first."""
    net, target = torch.nn.Linear(3, 1), torch.nn.Linear(3, 1)
    if checkpoint:
        net.load_state_dict(checkpoint["net"])
        target = torch.nn.Linear(3, 1)
        target.load_state_dict(checkpoint["target"])
    for report in range(checkpoint["report"] if checkpoint else 0, 6):
        for _ in range(3):
            loss = (net(torch.randn(4, 3)) - target(torch.randn(4, 3))).square().mean()
            loss.backward()
            with torch.no_grad():
                for weight in net.parameters():
                    weight.sub_(0.1 * weight.grad)
                    weight.grad = None
            target.load_state_dict(net.state_dict())
        kept = {"net": net.state_dict(), "target": target.state_dict()}
        yield {"loss": loss.item(), "checkpoint": {"report": report + 1, **kept}}


@pytest.mark.parametrize("function", [reads_at_each_step, evolves, follows])
@pytest.mark.parametrize("after", [1, 3])
def test_what_is_read_or_loaded_in_training_sets_no_generator_back(
    tmp_path: Path, function: Function, after: int
) -> None:
    assert broken(function, 3, after, tmp_path) == values(FunctionRun(function, PARAMS, 3, None))


def test_another_kind_of_global_generator_of_numpy_is_kept_too() -> None:
    before = np.random.get_bit_generator()
    try:
        np.random.set_bit_generator(np.random.PCG64(1))
        kept = generator_states()
        drawn = np.random.rand()
        restore_generators(kept)
        assert np.random.rand() == drawn
    finally:
        np.random.set_bit_generator(before)


def test_the_generator_of_apples_gpus_is_kept_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    state = {"now": torch.tensor([1])}
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    monkeypatch.setattr(torch.mps, "get_rng_state", lambda: state["now"])
    monkeypatch.setattr(torch.mps, "set_rng_state", lambda given: state.update(now=given))
    kept = generator_states()
    state["now"] = torch.tensor([2])
    restore_generators(kept)

    assert state["now"].item() == 1


_LATE = """
import json, pathlib, sys
{before}
from sweeps.execution.targets import FunctionRun

def late(params, seed, checkpoint):
    import random, numpy, torch
    for report in range(checkpoint["report"] if checkpoint else 0, 4):
        loss = torch.rand(1).item() + numpy.random.rand() + random.random()
        deterministic = torch.are_deterministic_algorithms_enabled()
        yield {{"loss": loss, "deterministic": deterministic, "checkpoint": {{"report": report + 1}}}}

path = pathlib.Path(sys.argv[1])
first = FunctionRun(late, {{}}, 5, path if path.exists() else None)
found = []
for measurement in first.measurements(lambda: len(found) == 2):
    found.append(measurement.values)
first.save(path)
print(json.dumps(found))
"""


@pytest.mark.parametrize("before", ["", "import numpy", "import torch"])
def test_a_library_that_the_function_imports_itself_is_seeded_and_restored_too(tmp_path: Path, before: str) -> None:
    """Check this in separate processes, since an import lasts; the second process continues from the first."""
    found: list[dict[str, float]] = []
    for _ in range(2):
        command = [sys.executable, "-c", _LATE.format(before=before), str(tmp_path / "checkpoint")]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        found += json.loads(done.stdout)

    def draws(params: Any, seed: int) -> Iterator[dict[str, float]]:
        for _ in range(4):
            yield {"loss": torch.rand(1).item() + np.random.rand() + random.random()}

    assert [report["loss"] for report in found] == values(FunctionRun(draws, {}, 5, None))
    assert all(report["deterministic"] for report in found)


def test_a_trial_may_import_what_is_built_into_python() -> None:
    code = (
        "from sweeps.execution.targets import FunctionRun\n"
        "def f(params, seed):\n    import xxsubtype, _symtable, __phello__\n    yield {'loss': 1.0}\n"
        "print(*(m.values['loss'] for m in FunctionRun(f, {}, 1, None).measurements(lambda: False)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)

    assert done.stdout.split()[-1:] == ["1.0"], done.stderr


_SEEDING = """
import sys
sys.path.insert(0, sys.argv[1])
{before}
from sweeps.execution.targets import FunctionRun

def lazy(params, seed):
    import random
    import seeds_at_import
    import numpy, torch
    for _ in range(3):
        import_later = __import__(f"later_{{_}}")
        yield {{"loss": torch.rand(1).item() + numpy.random.rand() + random.random()}}

for seed in (5, 6, 5):
    print([m.values["loss"] for m in FunctionRun(lazy, {{}}, seed, None).measurements(lambda: False)])
"""


@pytest.mark.parametrize("before", ["", "import numpy", "import torch", "import random, seeds_at_import"])
def test_a_module_that_seeds_the_generators_when_imported_decides_nothing(tmp_path: Path, before: str) -> None:
    seeding = "import random, numpy, torch\nrandom.seed(0)\nnumpy.random.seed(0)\ntorch.manual_seed(0)\n"
    for name in ("seeds_at_import", "later_0", "later_1", "later_2"):
        (tmp_path / f"{name}.py").write_text(seeding)
    command = [sys.executable, "-c", _SEEDING.format(before=before), str(tmp_path)]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()

    def draws(params: Any, seed: int) -> Iterator[dict[str, float]]:
        for _ in range(3):
            yield {"loss": torch.rand(1).item() + np.random.rand() + random.random()}

    assert lines == [str(values(FunctionRun(draws, {}, seed, None))) for seed in (5, 6, 5)]


@pytest.mark.parametrize("first", ["study.reproducibility", "study.training", "torch", "numpy"])
def test_a_function_may_be_the_first_to_import_anything(first: str) -> None:
    code = f"from sweeps.execution.determinism import seed_generators\nseed_generators(1)\nimport {first}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("other", [np.array(["text"]), np.array([1.5], "f4"), torch.eye(2).to_sparse(), 7])
def test_a_state_is_loaded_beside_whatever_else_a_checkpoint_holds(other: Any) -> None:
    model = torch.nn.Linear(1, 1)
    kept = {name: value.double() for name, value in model.state_dict().items()}
    seed_generators(1)  # also watches what is loaded from now on
    states = generator_states()
    with continuing(states, {"other": other, "model": kept}):
        random.seed(2)
        model.load_state_dict({name: value.clone() for name, value in kept.items()})
        first = random.random()

    random.seed(1)
    assert first == random.random()


def test_an_operation_that_has_no_deterministic_algorithm_does_not_end_a_users_trial() -> None:
    next(FunctionRun(ordinary.mlp, PARAMS, 3, None).measurements(lambda: False))

    assert torch.are_deterministic_algorithms_enabled()
    assert torch.is_deterministic_algorithms_warn_only_enabled()


@pytest.mark.parametrize(("cpus", "threads"), [(0.0, 1), (0.5, 1), (1.0, 1), (2.0, 2), (3.5, 3)])
def test_a_worker_has_as_many_threads_as_its_trial_has_cpus(cpus: float, threads: int) -> None:
    variables = worker_variables(Resources(cpus_per_trial=cpus, gpus_per_trial=1.0))

    assert variables["OMP_NUM_THREADS"] == variables["MKL_NUM_THREADS"] == str(threads)


@pytest.mark.parametrize("name", ["OMP_NUM_THREADS", "MKL_CBWR", "PYTHONHASHSEED", "ATEN_CPU_CAPABILITY"])
def test_a_variable_that_changes_bits_is_part_of_a_trials_environment(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, "1")

    assert FunctionRun(ordinary.mlp, PARAMS, 3, None).environment[name] == "1"


def test_versions_threads_and_the_processor_are_part_of_a_trials_environment() -> None:
    facts = process_facts()

    assert facts["torch"] == torch.__version__
    assert facts["numpy"] == np.__version__
    assert facts["torch_threads"] == str(torch.get_num_threads())
    assert facts["cpu"]
    assert re.fullmatch(r"[A-Z0-9_]+", facts["cpu_capability"].upper().replace(" ", "_"))


def test_a_library_that_one_process_has_not_imported_is_no_difference() -> None:
    with_torch = {"python": "3", "numpy": "2", "torch": "2", "torch_threads": "1", "cpu_capability": "AVX2"}

    assert comparable(with_torch, {"python": "3", "numpy": "2"}) == {"python": "3", "numpy": "2"}
    assert comparable(with_torch, {**with_torch, "torch_threads": "2"}) == with_torch
