"""Range tests from the command line: run in this process, drawn, and stored next to the experiments."""

import json
import sys
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from study.config import TrialConfig
from study.files import replacing
from sweeps.errors import SpecError
from sweeps.store.folders import check_writable, writing
from sweeps.terminal.streams import console


def range_test(
    config: TrialConfig, results: Path, data_dir: Path | None, *, low: float, high: float, steps: int
) -> dict[str, Any]:
    """Run a range test, and store its result as JSON with a figure in results/<model>/lr_range_<n>/.

    Args:
        config: The configuration to test; its learning rate is ignored.
        results: The results folder.
        data_dir: The folder of the full data sets, see `study.data.load`.
        low: The first learning rate.
        high: The last learning rate.
        steps: The number of training steps from low to high.

    Returns:
        The content of the JSON file, and under "stored" its folder.

    Raises:
        SpecError: If the test gives no result.
    """
    from rich.progress import track

    from study.data import load
    from study.experiments import RANGE_TEST, claim
    from study.figures import lr_range_figure, save
    from study.range_test import RangeTestError, lr_range
    from study.reproducibility import environment

    check_writable(results)
    data = load(config.dataset, data_dir)
    shown = console(sys.stderr)
    hidden = not shown.is_terminal

    def watch(losses: Iterable[float]) -> Iterable[float]:
        return track(losses, "climbing", total=steps, transient=True, console=shown, disable=hidden)

    try:
        result = lr_range(config, data, low=low, high=high, steps=steps, watch=watch)
    except RangeTestError as error:
        raise SpecError(f"{config.model} with {config.optimizer}: {error}") from error
    title = f"{config.model}, {config.optimizer}, batch size {config.batch_size}, {config.dataset}"
    content = {
        **asdict(result),
        "config": config.model_dump(exclude_none=True),
        "environment": environment(config, data),
    }
    figure = lr_range_figure(result, title=title)
    with writing(results):
        folder = claim(results.absolute() / config.model, RANGE_TEST)
        with replacing(folder / f"{RANGE_TEST}.png") as temporary:
            save(figure, temporary, format="png")
        with replacing(folder / f"{RANGE_TEST}.json") as temporary:
            temporary.write_text(json.dumps(content, indent=2), "utf-8")
    return {**content, "stored": str(folder)}
