"""Profile of a sweep's time, as lines and as a figure."""

from collections.abc import Callable, Mapping

from study.files import replacing
from sweeps.execution.spending import PARTS
from sweeps.store.folders import SweepFolder


def profile_lines(parts: Mapping[str, float]) -> list[str]:
    """Return a line for each part, in seconds of all slots and as a share, and one for the whole."""
    whole = sum(parts.values())
    rows = [(name, seconds, PARTS[name]) for name, seconds in parts.items()]
    return [
        f"  {name:<10} {seconds:9.1f} s {seconds / whole:6.1%}  {meaning}".rstrip()
        for name, seconds, meaning in (*rows, ("all slots", whole, ""))
    ]


def tell_profile(parts: Mapping[str, float], folder: SweepFolder, say: Callable[[str], None]) -> None:
    """Print where the time went, and draw it as profile.png in the sweep's folder."""
    from study.figures import save, shares_figure

    say("where the time of all slots went:")
    for line in profile_lines(parts):
        say(line)
    figure = shares_figure(parts, unit="s", title=f"{folder.name}: where the time of all slots went")
    with replacing(folder.figure("profile")) as temporary:
        save(figure, temporary, format="png")
    folder.send()
