"""The demo's table and its picture of load against replicas, for a terminal or a log."""

from __future__ import annotations

from examples.demo.account import Account, Record
from rich.console import Console
from rich.table import Table

BARS = " ▁▂▃▄▅▆▇█"
COLUMN_SECONDS = 2.0


def bars(values: list[float]) -> str:
    """One character a value, the largest a full block; whatever is above zero can be seen."""
    largest = max(values, default=0.0)
    if largest <= 0:
        return " " * len(values)
    return "".join(BARS[max(1, round(8 * value / largest))] if value > 0 else BARS[0] for value in values)


def columns(times: list[float], values: list[float] | None, start: float, end: float) -> list[float]:
    """Rates (no values) or largest values in columns of two seconds from `start` to `end`."""
    found = [0.0] * (int((end - start) / COLUMN_SECONDS) + 1)
    for index, at in enumerate(times):
        column = int((at - start) / COLUMN_SECONDS)
        if 0 <= column < len(found):
            rate = found[column] + 1 / COLUMN_SECONDS
            found[column] = rate if values is None else max(found[column], values[index])
    return found


def show(
    console: Console, numbers: Account, runs: list[Record], history: list[Record], marks: Record
) -> None:
    """Prints everything. `marks` are times of what was done to the service, by name."""
    table = Table(title="What came of it", title_justify="left", show_header=False)
    for name, value in _rows(numbers, history):
        table.add_row(name, value)
    console.print(table)

    start, end = history[0]["at"], history[-1]["at"]
    times = [line["at"] for line in history]
    load = columns([run["sent_at"] for run in runs], None, start, end)
    replicas = columns(times, [float(line["ready"]) for line in history], start, end)
    queue = columns(times, [float(line["queue"] or 0) for line in history], start, end)
    console.print(f"load      {bars(load)}  up to {max(load):.0f} runs/s")
    console.print(f"waiting   {bars(queue)}  up to {max(queue):.0f} runs")
    console.print(f"replicas  {bars(replicas)}  up to {max(replicas):.0f} ready")
    line = [" "] * len(load)
    for name, at in marks.items():
        line[min(len(line) - 1, max(0, int((at - start) / COLUMN_SECONDS)))] = name[0]
    console.print(f"          {''.join(line)}  one column is {COLUMN_SECONDS:.0f} s")
    console.print(f"          {', '.join(f'{name[0]}: {name[2:]}' for name in marks)}")


def _rows(numbers: Account, history: list[Record]) -> list[tuple[str, str]]:
    rows = [
        ("runs acknowledged", str(numbers.acknowledged)),
        ("runs finished", str(numbers.finished)),
        ("runs lost", str(numbers.lost)),
        ("runs with a wrong end", str(numbers.wrong)),
        ("sessions of many steps that are whole", f"{numbers.sessions[0]} of {numbers.sessions[1]}"),
        ("runs that went on in another replica", str(numbers.moved)),
        ("steps done", str(numbers.steps)),
        ("steps cut short and begun again", str(numbers.cut)),
        ("steps run to their end twice", str(numbers.twice)),
        ("latency p50, p95", f"{numbers.p50:.2f} s, {numbers.p95:.2f} s"),
    ]
    for priority, (count, half, most) in numbers.waits.items():
        rows.append((f"wait of priority {priority} p50, p95", f"{half:.2f} s, {most:.2f} s ({count} runs)"))
    path = [history[0]["ready"]]
    for line in history:
        if line["ready"] != path[-1]:
            path.append(line["ready"])
    rows.append(("replicas ready over time", " ".join(map(str, path))))
    return rows
