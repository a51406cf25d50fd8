"""What may be given a name through the API, and what may not. All of these raise Refused."""

from __future__ import annotations

from collections.abc import Iterator

from api.errors import Refused
from api.problems import INVALID_REQUEST, NAME_TAKEN, Fault
from judge.judges import SOURCES, Judge
from judge.origins import host_of, origin
from judge.providers import GUARDED, connect
from judge.providers.guard import NOT_PUBLIC, is_barred
from judge.servers import Servers
from judge.shelf import HASH, NAME
from rubrics import Rubric
from rubrics.source import LARGEST

#: What touches this machine, or would carry a secret into the database.
LOCAL = ("api_key_env", "proxy", "ca_file", "headers", "public_only")
#: What holds for all who ask a server.
LIMITS = ("concurrency", "rpm", "tpm")
LARGEST_JUDGE = 64 * 1024
#: Seconds that one call may take: whoever stops a worker waits for it no longer.
LONGEST_CALL_S = 600.0
PROVIDERS = (*sorted(GUARDED), "simulated")


def check_name(name: str, taken: bool, pointer: str) -> None:
    """Refuses a name that could not be told from others, or that is the operator's."""
    if not NAME.fullmatch(name) or HASH.fullmatch(name):
        detail = "Write lower-case letters, digits, - _ . alone, at most 64, that are not a hash."
        raise Refused(INVALID_REQUEST, "The name cannot be used.", Fault(detail=detail, pointer=pointer))
    if taken:
        raise Refused(NAME_TAKEN, "It is the operator's; write another one.")


def check_size(thing: Rubric | Judge) -> None:
    """Refuses what would be too large as a file."""
    kind, most = ("judge", LARGEST_JUDGE) if isinstance(thing, Judge) else ("rubric", LARGEST)
    if len(thing.model_dump_json(exclude_defaults=True)) > most:
        fault = Fault(detail=f"Write less than {most // 1024:,} KB.", pointer=f"/{kind}")
        raise Refused(INVALID_REQUEST, f"The {kind} is too large to be kept.", fault)


def check_judge(judge: Judge, servers: Servers) -> None:
    """Refuses a judge that would reach into this machine or its network, or use what others pay for."""
    faults = [Fault(detail=detail, pointer=f"/judge/{name}") for name, detail in _faults(judge, servers)]
    if faults:
        raise Refused(INVALID_REQUEST, "A judge cannot be made like this through the API.", *faults)
    if judge.provider in SOURCES:
        connect(judge)  # it reads its options, and nothing else


def _faults(judge: Judge, servers: Servers) -> Iterator[tuple[str, str]]:
    """Fields, and what is wrong with each."""
    if judge.provider not in PROVIDERS:
        yield "provider", f"Write one of {', '.join(PROVIDERS)}; any other is the operator's to set up."
        return
    given = judge.model_fields_set
    yield from ((name, "Leave it out: it is the operator's alone.") for name in LOCAL if name in given)
    if judge.provider in SOURCES:
        if judge.base_url is not None:
            yield "base_url", "Leave it out: no server is asked."
        return
    if not judge.model:
        yield "model", "Name the model."
    if judge.options:
        yield "options", "Leave it out: this provider has none."
    if judge.timeout_s > LONGEST_CALL_S:
        yield "timeout_s", f"Write at most {LONGEST_CALL_S:.0f} seconds."
    if judge.base_url is None:
        own = "Leave it out: for the provider's own server it is the operator's."
        yield from ((name, own) for name in ("price", *LIMITS) if name in given)
        return
    try:
        yield from _faults_of_server(judge, judge.base_url, servers)
    except ValueError as error:
        yield "base_url", f"It {error}."


def _faults_of_server(judge: Judge, url: str, servers: Servers) -> Iterator[tuple[str, str]]:
    server = origin(url)
    if is_barred(host_of(server)) and server not in servers.private:
        yield "base_url", f"It cannot be asked there: {NOT_PUBLIC}."
    if judge.price is None:
        yield "price", 'Write what it costs, in dollars a million tokens; {"input": 0, "output": 0} where nothing.'
    if servers.lists(url):
        told = "Leave it out: the server is the operator's."
        yield from ((name, told) for name in LIMITS if name in judge.model_fields_set)
