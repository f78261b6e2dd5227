"""Recording of tables of many trainings, each piece in its own file, so that a stopped run resumes where it was."""

import json
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import replace
from functools import cache
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from machine import provenance

if TYPE_CHECKING:
    from study.data import Dataset

Rows = list[dict[str, Any]]


@cache
def first_digits(images: int) -> "Dataset":
    """Return the embedded digits with only the first training images, whose classes are balanced, or nearly."""
    from study.data import EMBEDDED, Split, load

    data = load(EMBEDDED)
    return replace(data, train=Split(data.train.images[:images], data.train.labels[:images]))


def record(work: Callable[[int], Rows], numbers: Sequence[int], folder: Path, processes: int) -> list[Path]:
    """Do each piece of work that is not in the folder yet.

    Args:
        work: Returns the rows of a numbered piece. It must be picklable.
        numbers: The numbers of all pieces.
        folder: The folder of the pieces.
        processes: The number of processes that work at a time.

    Returns:
        The files of all pieces, in the order of their numbers.
    """
    folder.mkdir(parents=True, exist_ok=True)
    pieces = {number: folder / f"{number:04}.json" for number in numbers}
    todo = [number for number, piece in pieces.items() if not piece.exists()]
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        running = {pool.submit(work, number): number for number in todo}
        for done, future in enumerate(as_completed(running), start=1):
            piece = pieces[running[future]]
            temporary = piece.with_suffix(".part")
            temporary.write_text(json.dumps(future.result()))
            temporary.replace(piece)
            print(f"{done} of {len(todo)}: configuration {running[future]}", flush=True)
    return list(pieces.values())


def join(pieces: Sequence[Path], out: Path, order: list[str], meanings: Mapping[str, str], **about: str) -> None:
    """Write all pieces as one table, with the meaning of each column in its metadata."""
    frame = pd.concat([pd.read_json(piece) for piece in pieces]).sort_values(order)
    # read_json does not parse JSON texts within a column, so `params` stays text.
    table = pa.Table.from_pandas(frame[list(meanings)], preserve_index=False)
    fields = [table.schema.field(name).with_metadata({"meaning": meaning}) for name, meaning in meanings.items()]
    schema = pa.schema(fields, metadata=provenance() | about)
    pq.write_table(table.cast(schema), out, compression="zstd")
