"""Salvage of a ledger, whole or damaged: the rows that can be read, and how many of them can be trusted."""

import json
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from study.files import replacing
from sweeps.errors import LedgerError, SpecError
from sweeps.search.extension import as_extended
from sweeps.search.history import History, Row, Stamp
from sweeps.spec import SweepSpec, parse_spec
from sweeps.store.export import write_tables
from sweeps.store.folders import SweepFolder
from sweeps.store.ledger import Place
from sweeps.store.rows import ROWS, SWEEP, dump_json, from_columns, link

Record = tuple[sa.Table, dict[str, Any]]


@dataclass(frozen=True)
class Saved:
    """The result of an export.

    Attributes:
        sound: How many rows are as they were written, up to the first damage.
        known: The highest sequence number that was read.
        damage: A description of all damage, or "" if there is none.
        warnings: Warnings about columns and tables that could not be written as intended.
    """

    sound: int
    known: int
    damage: str
    warnings: tuple[str, ...] = ()


def export(folder: SweepFolder, place: Place, to: Path) -> Saved:
    """Write a sweep's tables from the rows before the first damage, and every readable row to rows.jsonl.

    Args:
        folder: The sweep's folder, whose spec is used if the ledger's is damaged.
        place: The place of the ledger.
        to: The folder to write to.

    Raises:
        LedgerError: Nothing can be read, or `to` can't be written.
        SpecError: `to` holds an export already.
    """
    if (to / "rows.jsonl").exists():
        raise SpecError(f"{to} holds an export already: choose another folder with --to")
    records, unreadable = _records(place)
    spec, first = _spec(place, folder)
    rows, damage = _sound(sorted(records, key=lambda record: record[1]["seq"]), first)
    history = History(rows)
    warnings: list[str] = []
    try:
        write_tables(to, as_extended(spec, history), history, warnings.append)
        with replacing(to / "rows.jsonl") as temporary:
            temporary.write_text("".join(_line(table, values, len(rows)) for table, values in records), "utf-8")
    except OSError as error:
        raise LedgerError(f"the folder {to} can't be written ({error.strerror}): choose another with --to") from error
    known = max((values["seq"] for _, values in records), default=0)
    return Saved(len(rows), known, "; ".join(filter(None, (damage, *unreadable))), tuple(warnings))


def _records(place: Place) -> tuple[list[Record], list[str]]:
    """Return the rows of each table up to where it can't be read, and a description of each unreadable part."""
    records: list[Record] = []
    unreadable = []
    for table in ROWS:
        try:
            with place.connect(read_only=True) as connection, connection.begin():
                for record in connection.execute(sa.select(table)).mappings():
                    if isinstance(record["seq"], int):
                        records.append((table, dict(record)))
        except sa.exc.DatabaseError as error:
            unreadable.append(f"{table.name} can't be read to its end ({error.orig})")
    if len(unreadable) == len(ROWS) and not records:
        raise LedgerError(f"nothing can be saved of the ledger {place}: {unreadable[0]}")
    return records, unreadable


def _spec(place: Place, folder: SweepFolder) -> tuple[SweepSpec, str]:
    """Return the spec and its hash, where the chain of rows begins; use the folder's if the ledger's is damaged."""
    query = sa.select(SWEEP.c.spec, SWEEP.c.spec_hash)
    try:
        with place.connect(read_only=True) as connection, connection.begin():
            stored = connection.execute(query).one()
        spec = parse_spec(json.loads(stored.spec), f"the ledger {place}")
        if spec.hash != stored.spec_hash:
            raise ValueError("the stored spec doesn't fit its hash")
        return spec, spec.hash
    except (sa.exc.SQLAlchemyError, ValueError) as damage:
        try:
            spec = parse_spec(tomllib.loads(folder.spec.read_text("utf-8")), str(folder.spec))
        except (OSError, ValueError) as error:
            raise LedgerError(f"no spec can be saved of the ledger {place} ({damage}), nor is it in {error}") from error
        return spec, spec.hash


def _sound(records: list[Record], first: str) -> tuple[list[tuple[Stamp, Row]], str]:
    """Return the rows before the first that is missing or damaged, and a description of what is wrong with it."""
    rows: list[tuple[Stamp, Row]] = []
    chain = first
    for seq, (table, values) in enumerate(records, start=1):
        if values["seq"] != seq:
            return rows, f"row {seq} is missing"
        try:
            chain = link(chain, table, values)
            row = from_columns(table, values)
        except (TypeError, ValueError) as error:  # a value of a type that its column does not have
            return rows, f"row {seq}, in {table.name}, can't be read ({error})"
        if values["digest_chain"] != chain:
            return rows, f"row {seq}, in {table.name}, was changed after it was written"
        rows.append((Stamp(seq, values["time"]), row))
    return rows, ""


def _line(table: sa.Table, values: dict[str, Any], sound: int) -> str:
    shown = {name: value.hex() if isinstance(value, bytes) else value for name, value in values.items()}
    return dump_json({"table": table.name, "sound": values["seq"] <= sound, **shown}) + "\n"
