"""Who calls when, what they want, how long they wait and talk: a bank's day, generated or replayed.

The bank is the one of Guedj and Mandelbaum (Technion, 1999): types PS regular service, NW new customer, NE stock
exchange, IN and TT Internet support, PE agents' phone. Times are seconds of the PBX's clock since the day began.
"""

import csv
import math
import random
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

TYPES = ("PS", "NW", "NE", "IN", "TT", "PE")
_MIX = {"PS": 0.68, "NW": 0.15, "NE": 0.11, "IN": 0.06}
"""Shares of the month's calls, rounded."""
_SERVICE_S = {"PS": 184.0, "NW": 107.0, "NE": 275.0, "IN": 380.0}
"""Mean service times."""
_SPREAD = 1.0
"""Of the logarithm of a service time: the published data fit a lognormal."""
_PATIENCE_S = 480.0
"""Mean patience of the month's callers, abandonments over waiting time."""
_SHAPE = (4, 6, 9, 11, 11, 10, 9, 9, 8, 7, 6, 5, 4, 4, 3, 3, 2)
"""Calls an hour from 7:00 to 24:00, relative to each other."""
DAY_S = len(_SHAPE) * 3600.0
CREDIT_S = 90.0
"""Of customers of class 2; all were served in the order of their time with credit."""
MIN_SKILL_CALLS = 10
"""Who served a type less often than this in the month did not know it."""


class BadRecording(ValueError):
    """The file is not in the format of the bank's data; says the line and the reason."""


@dataclass(frozen=True)
class Caller:
    """Somebody who calls."""

    at_s: float
    type: str
    customer: str | None
    """Who it is, by the recording; None is a stranger."""
    patience_s: float
    talk_s: float
    credit_s: float = 0.0
    """So much waiting the bank credited to its best customers when they came."""
    waited_s: float = 0.0
    """In the recording."""


@dataclass(frozen=True)
class Seat:
    """An agent: what they can do and when they are there."""

    name: str
    skills: frozenset[str]
    from_s: float = 0.0
    until_s: float = math.inf
    served: tuple[tuple[float, float], ...] = ()
    """From when to when, in the recording."""


@dataclass(frozen=True)
class Day:
    """A day of traffic and who is there to take it."""

    name: str
    callers: tuple[Caller, ...]
    seats: tuple[Seat, ...]
    source: str
    recorded: dict[str, float] = field(default_factory=dict)
    """What really happened, for a replayed day."""


def generated(calls: int, speed: float, *, seed: int = 1999) -> Day:
    """``calls`` calls with the shape, mix, talk and patience of the bank's day, squeezed into a few minutes.

    The world has only so much time for a demonstration, so the day's clock runs faster than talking does: the
    roster is as large as the squeezed day needs. Talk and patience pass at ``speed``.
    """
    chance = random.Random(seed)
    duration_s = calls / _CALLS_PER_SECOND * speed
    moments = sorted(_moment(chance) * duration_s / DAY_S for _ in range(calls))
    callers = []
    for at_s in moments:
        kind = chance.choices(list(_MIX), list(_MIX.values()))[0]
        mean = _SERVICE_S[kind]
        talk_s = min(max(5.0, chance.lognormvariate(math.log(mean) - _SPREAD**2 / 2, _SPREAD)), 8 * mean)
        known = kind != "NW" and chance.random() < _KNOWN
        customer = f"c{chance.randrange(max(20, calls // 3)):05d}" if known else None
        callers.append(Caller(at_s, kind, customer, chance.expovariate(1 / _PATIENCE_S), talk_s))
    mean_s = sum(share * _SERVICE_S[kind] for kind, share in _MIX.items())
    # A squeezed peak hour offers this many Erlangs; a tenth above it is a centre that is busy but keeps up.
    peak = max(_SHAPE) / (sum(_SHAPE) / len(_SHAPE))
    erlangs = calls / duration_s * mean_s * peak
    size = max(6, math.ceil(erlangs * 1.1))
    return Day(
        "generated",
        tuple(callers),
        tuple(_seat(number) for number in range(size)),
        f"{calls} calls with the shape of the bank's day",
    )


_CALLS_PER_SECOND = 7.0
"""Of the world's clock, on average, in generated traffic."""
_KNOWN = 0.8
"""Share of the callers (but for new customers) whose number is a customer's."""


def _moment(chance: random.Random) -> float:
    hour = chance.choices(range(len(_SHAPE)), _SHAPE)[0]
    return (hour + chance.random()) * 3600


def _seat(number: int) -> Seat:
    """Everybody can do regular service and new customers; every third one stocks, every fifth one the Internet."""
    skills = {"PS", "NW"}
    if number % 3 == 0:
        skills.add("NE")
    if number % 5 == 0:
        skills |= {"IN", "TT"}
    return Seat(f"agent {number + 1}", frozenset(skills))


@dataclass(frozen=True)
class _Row:
    day: str
    customer: str
    priority: str
    type: str
    arrived_s: int
    waited_s: int
    outcome: str
    began_s: int
    served_s: int
    ended_s: int
    server: str


def replayed(path: Path, day: str | None, *, seed: int = 1999) -> Day:
    """A recorded day: real arrivals, types, waits and service times; agents and skills from who served what.

    The patience of a caller who hung up is what they waited. That of a caller who was answered is not known but
    longer than their wait: the wait and, on top, a draw from the exponential distribution that the day's hang-ups
    give (waiting time over hang-ups, the usual estimate for times that are cut off).

    Raises:
        BadRecording: the file or the day cannot be used.
    """
    month = list(_read(path))
    by_day = Counter(row.day for row in month)
    if not by_day:
        raise BadRecording(f"{path}: no usable calls in it")
    chosen = day or by_day.most_common(1)[0][0]
    rows = sorted((row for row in month if row.day == chosen), key=lambda row: row.arrived_s)
    if not rows:
        raise BadRecording(f"{path}: no calls on {chosen}; it has {min(by_day)} to {max(by_day)}")
    chance = random.Random(seed)
    begin_s = rows[0].arrived_s - 30
    waits = sum(row.waited_s for row in rows)
    hung_up = [row for row in rows if row.outcome == "HANG"]
    mean_patience_s = waits / len(hung_up) if hung_up else _PATIENCE_S
    mean_service_s = _mean_service(rows)
    callers = tuple(
        Caller(
            at_s=row.arrived_s - begin_s + chance.random(),
            type=row.type,
            customer=row.customer if row.customer != "0" else None,
            patience_s=max(1.0, float(row.waited_s))
            if row.outcome == "HANG"
            else row.waited_s + chance.expovariate(1 / mean_patience_s),
            talk_s=float(max(1, row.served_s))
            if row.outcome == "AGENT"
            else chance.expovariate(1 / mean_service_s[row.type]),
            credit_s=CREDIT_S if row.priority == "2" else 0.0,
            waited_s=float(row.waited_s),
        )
        for row in rows
    )
    answered = [row for row in rows if row.outcome == "AGENT"]
    recorded = {
        "offered": len(rows),
        "answered": len(answered),
        "abandoned": len(hung_up),
        "wait_mean_s": round(sum(row.waited_s for row in answered) / max(1, len(answered)), 1),
        "service_level_20s": round(sum(row.waited_s <= 20 for row in answered) / len(rows), 4),
    }
    seats = tuple(_servers(month, rows, begin_s))
    return Day(chosen, callers, seats, f"{path.name}, day {chosen}", recorded)


def _mean_service(rows: Sequence[_Row]) -> dict[str, float]:
    served: dict[str, list[int]] = defaultdict(list)
    for row in rows:
        if row.outcome == "AGENT":
            served[row.type].append(row.served_s)
    return {kind: sum(served[kind]) / len(served[kind]) if served[kind] else 180.0 for kind in TYPES}


def _servers(month: Sequence[_Row], rows: Sequence[_Row], begin_s: int) -> Iterator[Seat]:
    served: dict[str, Counter[str]] = defaultdict(Counter)
    for row in month:
        served[row.server][row.type] += 1
    shifts: dict[str, list[tuple[int, int]]] = defaultdict(list)
    for row in rows:
        if row.outcome == "AGENT" and row.server != "NO_SERVER":
            shifts[row.server].append((row.began_s, row.ended_s))
    for server, times in sorted(shifts.items()):
        skills = {kind for kind, calls in served[server].items() if calls >= MIN_SKILL_CALLS}
        skills |= {row.type for row in rows if row.server == server}
        from_s, until_s = min(times)[0] - begin_s - 60, max(end for _, end in times) - begin_s + 60
        served_s = tuple((float(began - begin_s), float(ended - begin_s)) for began, ended in sorted(times))
        yield Seat(server, frozenset(skills), float(max(0, from_s)), float(until_s), served_s)


_COLUMNS = (
    "customer_id",
    "priority",
    "type",
    "date",
    "vru_exit",
    "vru_time",
    "q_time",
    "outcome",
    "ser_start",
    "ser_exit",
    "ser_time",
)


def _read(path: Path) -> Iterator[_Row]:
    with path.open(newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file, delimiter="\t")
        missing = [column for column in (*_COLUMNS, "server") if column not in (reader.fieldnames or ())]
        if missing:
            raise BadRecording(f"{path}: no column {missing[0]}")
        for line in reader:
            try:
                if line["outcome"] == "PHANTOM" or int(line["vru_time"]) < 0:
                    continue
                kind = line["type"].strip()
                yield _Row(
                    day=line["date"],
                    customer=line["customer_id"],
                    priority=line["priority"],
                    type=kind if kind in TYPES else "PS",
                    arrived_s=_clock(line["vru_exit"]),
                    waited_s=int(line["q_time"]),
                    outcome=line["outcome"],
                    began_s=_clock(line["ser_start"]),
                    served_s=int(line["ser_time"]),
                    ended_s=_clock(line["ser_exit"]),
                    server=line["server"].strip(),
                )
            except (ValueError, TypeError, AttributeError) as error:
                raise BadRecording(f"{path}, line {reader.line_num}: {error}") from error


def _clock(text: str) -> int:
    hours, minutes, seconds = text.split(":")
    return int(hours) * 3600 + int(minutes) * 60 + int(seconds)
