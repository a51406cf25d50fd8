"""What grading will come to, before anything is spent."""

from __future__ import annotations

from judge.cli.draw.line import fact, line, paragraph
from judge.estimates import Estimate, Forecast, Interval
from judge.notation import money, share


def estimate(made: Estimate) -> None:
    """Calls, tokens and dollars at worst, then what is to be expected and what that rests on."""
    parts = [f"{made.items:,} items", f"{made.calls:,} calls"]
    if made.answered:
        parts.append(f"{made.answered:,} more are answered in the ledger, at no cost")
    if made.calls:
        parts += [
            f"about {made.prompt_tokens:,} prompt tokens",
            f"at most {made.answer_tokens_at_most:,} answer tokens",
        ]
    fact("to send", parts)
    if made.calls:
        line(("worst   ", "dim"), f"{money(made.worst_usd)}, where no answer has to be asked for again")
    if made.expected is not None:
        forecast(made.expected)
    if made.calls and made.mode == "batch":
        line(("time    ", "dim"), "within a day, as batches take; what they bring no answer to is asked live")
    paragraph((made.note, "dim"))


def forecast(made: Forecast) -> None:
    """What is to be expected, with 95% intervals."""
    cost = made.cost_usd
    told = "unknown" if cost is None else f"{money(cost.expected)} ({money(cost.low)} to {money(cost.high)})"
    line(("expected", "bold"), f" {told}")
    counts = (("calls", made.calls), ("prompt tokens", made.prompt_tokens), ("answer tokens", made.answer_tokens))
    fact("        ", [f"{_interval(one)} {name}" for name, one in counts])
    if made.minutes is not None:
        line(("time    ", "dim"), f"{_time(made.minutes.low)} to {_time(made.minutes.high)}")
    on = made.rests_on
    known = [f"{on.answers:,} answers"]
    if on.asked_again is not None:
        known.append(f"{share(on.asked_again)} asked for again")
    if on.cached is not None:
        known.append(f"{share(on.cached)} of the prompts cached")
    if on.latency_s is not None:
        known.append(f"{on.latency_s:.2f} s an answer")
    if on.calls_a_minute is not None:
        known.append(f"{on.calls_a_minute:,.0f} calls a minute in the newest run")
    fact("history ", known)


def _interval(one: Interval) -> str:
    return f"{one.expected:,.0f} ({one.low:,.0f} to {one.high:,.0f})"


def _time(minutes: float) -> str:
    return f"{minutes * 60:.0f} s" if minutes < 2 else f"{minutes:,.0f} min"
