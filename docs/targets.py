"""What the project set itself, whether the record reaches it, and why not."""

import math
from collections.abc import Callable
from dataclasses import dataclass

from pages import DTYPES, number, seconds, select, spread

OURS = "robloss, out="
ALONE = "robloss, loss alone"
TOGETHER = "loss + influence + weight"
SUMMED = "loss + grad_alpha + grad_scale"
STEP = "loss and its gradients"


@dataclass(frozen=True)
class Target:
    """What the project set itself: a limit to reach and one hoped for, of a measured number."""

    name: str
    unit: str
    reach: float
    then: float | None
    table: str
    wanted: dict
    value: Callable[[dict], list[float] | None]
    at_least: bool = False
    slack: float = 0.0
    why: Callable[[list[dict]], str] | None = None  # of all rows: what stands in the way

    @property
    def text(self) -> str:
        """What stands in the table."""
        return self.name if self.unit == "s" else f"{self.name}: {self.unit}"

    def measured(self, record: dict) -> list[float] | None:
        """Quartiles, or None."""
        rows = select(record["rows"], table=self.table, **self.wanted)
        return self.value(rows[0]) if rows else None

    def _meets(self, value: float, limit: float | None) -> bool:
        if limit is None:
            return False
        return value >= limit - self.slack if self.at_least else value <= limit + self.slack

    def line(self, record: dict) -> list[str]:
        """A line of the page's table."""
        sign = "≥" if self.at_least else "≤"
        limits = [
            "–" if limit is None else f"{sign} {self._say(limit)}"
            for limit in (self.reach, self.then)
        ]
        found = self.measured(record)
        if found is None:
            return [self.text, *limits, "–", "not measured"]
        return [self.text, *limits, spread(found, self._say), self._met(found[1], record["quick"])]

    def _met(self, median: float, quick: bool) -> str:
        if quick:
            return "–"
        if not self._meets(median, self.reach):
            return f"no, {number(abs(median / self.reach - 1) * 100)} % off" if self.reach else "no"
        return "**yes, both**" if self._meets(median, self.then) else "**yes**"

    def excuse(self, record: dict) -> str | None:
        """Why it is missed, None where it is not; out of numbers of the record alone."""
        found = self.measured(record)
        if found is None or record["quick"] or self._meets(found[1], self.reach):
            return None
        reason = self.why(record["rows"]) if self.why else "No reason was measured."
        is_close = any(self._meets(end, self.reach) for end in found)
        noise = " The quartiles lie on both sides of the limit." if is_close else ""
        return f"* {self.text}. {reason}{noise}"

    def _say(self, value: float) -> str:
        return seconds(value) if self.unit == "s" else number(value)


def _copies(row: dict) -> list[float] | None:
    return row["copies"]


def _times_ours(row: dict) -> list[float] | None:
    return row["ours"]


def _over_this(row: dict) -> list[float] | None:
    """Ours over this contestant, where the row has this one over ours."""
    return [1 / one for one in reversed(row["ours"])] if row["ours"] else None


def _seconds(row: dict) -> list[float] | None:
    return row["seconds"]


def _memory(row: dict) -> list[float] | None:
    return [round(row["memory"], 2)] * 3


def _median(rows: list[dict], field: str, **wanted: object) -> float:
    """Of the first row that is as wanted; NaN without one."""
    found = select(rows, **wanted)
    return found[0][field][1] if found else math.nan


def _why_set(dtype: str) -> Callable[[list[dict]], str]:
    def why(rows: list[dict]) -> str:
        whole, alone = (
            _median(rows, "copies", table="set", what=TOGETHER, dtype=dtype, who=who)
            for who in (OURS, ALONE)
        )
        return (
            f"The two further arrays that are written take {number(whole - alone)} copies beside "
            f"the {number(alone)} of the loss."
        )

    return why


def _why_call(rows: list[dict]) -> str:
    few, many = (_median(rows, "seconds", table="size", n=n, who="robloss") for n in (10, 1000))
    return (
        f"It is not arithmetic: a call on 1000 elements takes {number(many / few)} times as long."
    )


def _why_fit(rows: list[dict]) -> str:
    fit = {"table": "fit", "what": "fixed"}
    own = _median(rows, "copies", **fit, who="robloss")
    times = _median(rows, "ours", **fit, who="statsmodels RLM")
    return (
        f"A fit takes {number(own)} copies of X; the limit leaves it {number(own * times / 100)}."
    )


def _why_step(dtype: str, n: int, limit: float) -> Callable[[list[dict]], str]:
    def why(rows: list[dict]) -> str:
        step = {"table": "training", "what": STEP, "dtype": dtype, "n": n, "p": None}
        own = _median(rows, "seconds", **step, who="robloss")
        times = _median(rows, "ours", **step, who="torch")
        return f"A step takes {seconds(own)}; the limit leaves it {seconds(own * times / limit)}."

    return why


def _loss_target(dtype: str, alpha: str, reach: float, then: float) -> Target:
    text = f"loss, {dtype}" + {"0.7": "", "array": ", α per element"}.get(alpha, f", α = {alpha}")
    wanted = {"dtype": dtype, "alpha": alpha, "who": OURS}
    return Target(text, "× copy", reach, then, "loss", wanted, _copies)


def targets() -> list[Target]:
    """All of them."""
    loss = {("float64", "0.7"): (3.8, 2.2), ("float32", "0.7"): (3.2, 2.2),
            ("float64", "array"): (5.5, 4.5), ("float32", "array"): (5.0, 4.0)}  # fmt: skip
    special = {"-2": (1.2, 1.0), "2": (1.2, 1.0), "1": (1.5, 1.25), "-inf": (1.8, 1.5),
               "0": (2.4, 2.0)}  # fmt: skip
    loss |= {(dtype, alpha): pair for dtype in DTYPES for alpha, pair in special.items()}
    found = [_loss_target(*case, *limits) for case, limits in loss.items()]
    for dtype in DTYPES:
        found += [
            Target(f"{TOGETHER}, {dtype}", "× loss alone", 1.35, 1.2, "set",
                   {"dtype": dtype, "what": TOGETHER, "who": ALONE}, _over_this,
                   why=_why_set(dtype)),
            Target(f"sums of {SUMMED}, {dtype}", "× loss", 1.3, None, "sums",
                   {"dtype": dtype, "what": SUMMED, "who": ALONE}, _over_this),
        ]  # fmt: skip
    for n, reach in ((1000, (5.0, 5.0)), (1_000_000, (15.0, 20.0))):
        found += [
            Target(f"a step of learning in torch, {dtype}, n = {n}, torch", "× our time", limit,
                   None, "training",
                   {"what": STEP, "dtype": dtype, "n": n, "p": None, "who": "torch"}, _times_ours,
                   at_least=True, why=_why_step(dtype, n, limit))
            for dtype, limit in zip(DTYPES, reach, strict=True)
        ]  # fmt: skip
    found += [
        Target(f"memory of such a step, {dtype}", "× input", 3, None, "training",
               {"what": "memory", "dtype": dtype, "p": None, "who": "robloss"}, _memory)
        for dtype in DTYPES
    ]  # fmt: skip
    fixed = {"what": "fixed"}
    found += [
        Target("call overhead at 10 elements", "s", 4e-6, 2e-6, "size",
               {"n": 10, "who": "robloss"}, _seconds, why=_why_call),
        Target("linear fit, α and scale fixed, scipy least_squares", "× our time", 10, 17, "fit",
               fixed | {"who": "scipy least_squares"}, _times_ours, at_least=True),
        Target("linear fit, α and scale fixed, statsmodels RLM", "× our time", 100, 170, "fit",
               fixed | {"who": "statsmodels RLM"}, _times_ours, at_least=True, why=_why_fit),
        Target("linear fit, α and scale adapted, HuberRegressor", "× our time", 5, 10, "fit",
               {"what": "adapted", "who": "HuberRegressor"}, _times_ours, at_least=True),
        Target("memory of the loss beyond its input", "× input", 1, None, "memory",
               {"what": "loss", "who": "robloss"}, _memory, slack=0.01),
        Target("the same with `out=`", "× input", 0, None, "memory",
               {"what": "loss", "who": OURS}, _memory, slack=0.01),
        Target("two threads (wall clock; on an idle machine)", "× as fast", 1.6, None, "threads",
               {"who": "2 threads"}, _over_this, at_least=True),
        Target("`import robloss` beyond `import numpy`", "s", 0.06, None, "start",
               {"what": "import", "who": "robloss"}, _seconds),
        Target("first call of a process, warm cache, in all", "s", 1.0, None, "start",
               {"what": "first call", "who": "robloss"}, _seconds),
    ]  # fmt: skip
    return found


def missed(record: dict) -> str:
    """A line for each target that is missed."""
    found = [target.excuse(record) for target in targets()]
    return "\n".join(filter(None, found)) or "Nothing."
