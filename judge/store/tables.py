"""The tables. `tenant` stands in every one that is about somebody; natural keys are hashes of what a row is about.

A change here needs a migration, and a test compares the two.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Double,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    String,
    Table,
    Text,
    UniqueConstraint,
    text,
)

#: The migration that these tables belong to.
REVISION = "0012"

metadata = MetaData()

#: Calls without an end, which are few.
IN_FLIGHT = "state = 'sent'"
#: Items that can come to less than 0, that have a rubric of their own, that were opened again: of most runs none.
BELOW, OWN_RUBRIC, REOPENED = "lowest < 0", "rubric_hash IS NOT NULL", "state = 'open' AND revision > 0"


def _tenant() -> Column[str]:
    return Column("tenant", String(64), nullable=False)


rubric = Table(
    "rubric",
    metadata,
    _tenant(),
    Column("hash", String(64), nullable=False),
    Column("name", String(64), nullable=False),
    Column("version", String(64)),
    Column("body", Text, nullable=False),
    Column("created_at", Double, nullable=False),
    PrimaryKeyConstraint("tenant", "hash"),
)

judge = Table(
    "judge",
    metadata,
    _tenant(),
    Column("fingerprint", String(64), nullable=False),
    Column("name", String(128), nullable=False),
    Column("body", Text, nullable=False),
    Column("created_at", Double, nullable=False),
    PrimaryKeyConstraint("tenant", "fingerprint"),
)

#: How a described judge can be asked, found out once.
probe = Table(
    "probe",
    metadata,
    _tenant(),
    Column("description_hash", String(64), nullable=False),
    Column("asking", Text, nullable=False),
    Column("at", Double, nullable=False),
    PrimaryKeyConstraint("tenant", "description_hash"),
)

item = Table(
    "item",
    metadata,
    _tenant(),
    Column("hash", String(64), nullable=False),
    Column("body", LargeBinary, nullable=False),
    PrimaryKeyConstraint("tenant", "hash"),
)

run = Table(
    "run",
    metadata,
    _tenant(),
    Column("id", String(32), nullable=False),
    Column("fingerprint", String(64), nullable=False),
    Column("dataset_hash", String(64), nullable=False),
    Column("dataset_name", Text, nullable=False),
    Column("rubric_hash", String(64), nullable=False),
    Column("judge_fingerprint", String(64), nullable=False),
    Column("round", Integer, nullable=False),
    Column("samples", Integer, nullable=False),
    Column("items", Integer, nullable=False),
    Column("state", String(16), nullable=False),  # loading | open | done
    Column("created_at", Double, nullable=False),
    Column("finished_at", Double),
    Column("owner", String(256)),  # the live process at work on it, or none
    Column("rescored_from", String(32)),  # the run whose verdicts these are, counted anew
    Column("committed_usd", Double),  # spent and reserved, while a budget is kept
    Column("calibration", String(32)),  # that its grades are shown by
    Column("anchors_of", String(32)),  # the calibration that was checked by it
    Column("endings", Integer, nullable=False, server_default="0"),  # how often an item of it has ended
    PrimaryKeyConstraint("tenant", "id"),
    UniqueConstraint("tenant", "fingerprint"),
)

run_item = Table(
    "run_item",
    metadata,
    _tenant(),
    Column("run", String(32), nullable=False),
    Column("seq", Integer, nullable=False),
    Column("item_id", String(256), nullable=False),
    Column("item_hash", String(64), nullable=False),
    Column("rubric_hash", String(64)),  # of a rubric that belongs to the item alone
    Column("bytes", Integer, nullable=False),
    Column("metadata", Text, nullable=False),
    Column("state", String(8), nullable=False),  # open | finished | held: an answer is lost
    Column("revision", Integer, nullable=False),
    Column("calls", Integer, nullable=False),
    Column("reused", Integer, nullable=False),
    Column("lost", Integer, nullable=False),
    Column("possible_duplicates", Integer, nullable=False),
    Column("prompt_tokens", Integer, nullable=False),
    Column("completion_tokens", Integer, nullable=False),
    Column("cost_usd", Double),
    Column("latency_s", Double),
    Column("model", String(256)),
    Column("call_keys", Text),  # JSON: every call that was made for it, re-asks included
    Column("lowest", Double, nullable=False, server_default="0"),  # the lowest overall that its rubric allows
    Column("ending", Integer),  # which of the run's endings was its newest
    PrimaryKeyConstraint("tenant", "run", "seq"),
    UniqueConstraint("tenant", "run", "item_id"),
    Index("run_item_state", "tenant", "run", "state", "seq"),
    Index("run_item_ending", "tenant", "run", "ending"),
    Index("run_item_below", "tenant", "run", "state", "lowest", sqlite_where=text(BELOW), postgresql_where=text(BELOW)),
    Index("run_item_reopened", "tenant", "run", sqlite_where=text(REOPENED), postgresql_where=text(REOPENED)),
    Index("run_item_own", "tenant", "run", sqlite_where=text(OWN_RUBRIC), postgresql_where=text(OWN_RUBRIC)),
)

#: What the totals of a run are made of, beside the states of its calls.
COUNTED = ("usable", "possible_duplicate", "prompt_tokens", "completion_tokens", "cost_usd")

call = Table(
    "call",
    metadata,
    _tenant(),
    Column("key", String(64), nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("state", String(8), nullable=False),  # sent | answered | rejected | lost
    Column("run", String(32)),
    Column("owner", String(256), nullable=False),
    Column("endpoint", Text, nullable=False),
    Column("sent_at", Double, nullable=False),
    Column("done_at", Double),
    Column("usable", Boolean, nullable=False),  # the answer settles the question, and is used again
    Column("cause", String(64)),
    Column("raw", LargeBinary),  # zlib
    Column("prompt_tokens", Integer),
    Column("completion_tokens", Integer),
    Column("reserved_usd", Double),
    Column("cost_usd", Double),
    Column("model", String(256)),
    Column("provider_id", String(256)),
    Column("possible_duplicate", Boolean, nullable=False),
    Column("cached_tokens", Integer),  # of the prompt, read from the provider's cache
    Column("paid_by", String(12)),  # the key whose budgets it counts for
    Column("batch", String(32)),  # the batch that it was sent in, or none
    Column("unread", Boolean),  # a batch brought the answer, and no item of its run has it yet
    Column("kept", Boolean),  # the provider was told to keep the answer, marked with the key and the attempt
    PrimaryKeyConstraint("tenant", "key", "attempt"),
    # With all that a run's totals are made of, so that they are read without the answers.
    Index("call_run", "tenant", "run", "state", *COUNTED),
    Index("call_in_flight", "tenant", "owner", sqlite_where=text(IN_FLIGHT), postgresql_where=text(IN_FLIGHT)),
)

#: Calls of a run that were handed to the provider together.
batch = Table(
    "batch",
    metadata,
    _tenant(),
    Column("id", String(32), nullable=False),  # ours, which the provider is told where it keeps a note
    Column("run", String(32), nullable=False),
    Column("state", String(16), nullable=False),  # claiming | creating | sent | ended
    Column("provider_id", String(256)),
    Column("requests", Integer, nullable=False),
    Column("created_at", Double, nullable=False),
    Column("ended_at", Double),
    PrimaryKeyConstraint("tenant", "id"),
    Index("batch_run", "tenant", "run", "state"),
)

verdict = Table(
    "verdict",
    metadata,
    _tenant(),
    Column("run", String(32), nullable=False),
    Column("seq", Integer, nullable=False),
    Column("revision", Integer, nullable=False),
    Column("member", Integer, nullable=False),
    Column("sample", Integer, nullable=False),
    Column("criterion", String(64), nullable=False),
    Column("outcome", String(16), nullable=False),
    Column("level", Text),  # JSON: a whole number or a name
    Column("value", Double),
    Column("reason", Text),
    Column("cause", Text),
    Column("distribution", Text),
    Column("call_key", String(64)),
    Column("call_attempt", Integer),
    PrimaryKeyConstraint("tenant", "run", "seq", "revision", "member", "sample", "criterion"),
)

grade = Table(
    "grade",
    metadata,
    _tenant(),
    Column("run", String(32), nullable=False),
    Column("seq", Integer, nullable=False),
    Column("criterion", String(64), nullable=False),  # or "overall"
    Column("revision", Integer, nullable=False),
    Column("outcome", String(16), nullable=False),
    Column("score", Double),
    Column("low", Double),
    Column("high", Double),
    Column("passed", Boolean),
    Column("cause", Text),
    Column("scored_samples", Integer),
    Column("level", Text),  # JSON: the level's name, where one stands for the grade
    PrimaryKeyConstraint("tenant", "run", "seq", "criterion", "revision"),
    Index("grade_outcome", "tenant", "run", "criterion", "outcome", "seq", "revision", "score"),
)

#: What a block of a run's items came to, once all of them had ended: a sum of what stands in the rows.
digest = Table(
    "digest",
    metadata,
    _tenant(),
    Column("run", String(32), nullable=False),
    Column("block", Integer, nullable=False),
    Column("finished", Integer, nullable=False),
    Column("held", Integer, nullable=False),
    Column("body", Text, nullable=False),  # JSON
    PrimaryKeyConstraint("tenant", "run", "block"),
)

#: What people said of items, by a name of its own. Labels are added to it, and never changed.
label_set = Table(
    "label_set",
    metadata,
    _tenant(),
    Column("name", String(128), nullable=False),
    Column("asked_hash", String(64), nullable=False),  # of what a rubric asks, however it counts the answers
    Column("created_at", Double, nullable=False),
    PrimaryKeyConstraint("tenant", "name"),
)

label = Table(
    "label",
    metadata,
    _tenant(),
    Column("label_set", String(128), nullable=False),
    Column("item_id", String(256), nullable=False),
    Column("criterion", String(64), nullable=False),
    Column("annotator", String(256), nullable=False),
    Column("revision", Integer, nullable=False),  # the newest one counts
    Column("outcome", String(16), nullable=False),
    Column("level", Text),  # JSON: a whole number or a name
    Column("value", Double),
    Column("reason", Text),
    Column("group", String(256)),  # the document, prompt or conversation, where the file named it
    Column("source", Text, nullable=False),  # the file
    Column("sheet", String(32)),  # that the item was drawn for
    Column("sampled_from", String(32)),  # the run that its items are a random sample of, as somebody declared
    Column("at", Double, nullable=False),
    PrimaryKeyConstraint("tenant", "label_set", "item_id", "criterion", "annotator", "revision"),
)

#: A draw of items of a run to be labelled.
sheet = Table(
    "sheet",
    metadata,
    _tenant(),
    Column("id", String(32), nullable=False),
    Column("run", String(32), nullable=False),
    Column("seed", Integer, nullable=False),
    Column("created_at", Double, nullable=False),
    PrimaryKeyConstraint("tenant", "id"),
)

sheet_item = Table(
    "sheet_item",
    metadata,
    _tenant(),
    Column("sheet", String(32), nullable=False),
    Column("item_id", String(256), nullable=False),
    Column("stratum", Integer, nullable=False),
    Column("probability", Double, nullable=False),  # with which it was drawn
    Column("drawn", Boolean, nullable=False),
    PrimaryKeyConstraint("tenant", "sheet", "item_id"),
)

calibration = Table(
    "calibration",
    metadata,
    _tenant(),
    Column("id", String(32), nullable=False),
    Column("name", String(128), nullable=False),
    Column("version", Integer, nullable=False),
    Column("rubric_hash", String(64), nullable=False),
    Column("judge_fingerprint", String(64), nullable=False),
    Column("label_set", String(128), nullable=False),
    Column("labels_hash", String(64), nullable=False),
    Column("seed", Integer, nullable=False),
    Column("run", String(32)),
    Column("created_at", Double, nullable=False),
    Column("body", Text, nullable=False),
    PrimaryKeyConstraint("tenant", "id"),
    UniqueConstraint("tenant", "name", "version"),
)

#: Every look at the labels that nothing was fitted on.
opening = Table(
    "opening",
    metadata,
    _tenant(),
    Column("label_set", String(128), nullable=False),
    Column("seed", Integer, nullable=False),
    Column("number", Integer, nullable=False),
    Column("purpose", Text, nullable=False),
    Column("at", Double, nullable=False),
    PrimaryKeyConstraint("tenant", "label_set", "seed", "number"),
)

#: How a judge that is watched stands, between checks of a calibration.
watch = Table(
    "watch",
    metadata,
    _tenant(),
    Column("calibration", String(32), nullable=False),
    Column("criterion", String(64), nullable=False),
    Column("label", Integer, nullable=False),  # the code of one label, where labels have no numbers; else -1
    Column("checks", Integer, nullable=False),  # that it has been through
    Column("body", Text, nullable=False),
    Column("at", Double, nullable=False),
    PrimaryKeyConstraint("tenant", "calibration", "criterion", "label"),
)

#: Keys of the service, without their secrets.
api_key = Table(
    "api_key",
    metadata,
    _tenant(),
    Column("id", String(12), nullable=False),
    Column("name", Text, nullable=False),
    Column("hash", String(64), nullable=False),
    Column("scopes", Text, nullable=False),  # with spaces between them
    Column("created_at", Double, nullable=False),
    Column("expires_at", Double),
    Column("revoked_at", Double),
    PrimaryKeyConstraint("tenant", "id"),
    UniqueConstraint("id"),
)

#: What may be spent by a key, or by all of a tenant, and what is spent or reserved of it.
budget = Table(
    "budget",
    metadata,
    _tenant(),
    Column("scope", String(16), nullable=False),  # "tenant", or "key:" and the id of a key
    Column("period", String(8), nullable=False),  # total | month
    Column("limit_usd", Double, nullable=False),
    Column("committed_usd", Double),  # in the month; null until it is counted
    Column("month", String(7)),  # of UTC, that is counted
    Column("at", Double, nullable=False),  # it was set first
    PrimaryKeyConstraint("tenant", "scope", "period"),
)

#: Rubrics and judges that callers of the service gave a name; what was written is never changed.
registration = Table(
    "registration",
    metadata,
    _tenant(),
    Column("kind", String(8), nullable=False),  # rubric | judge
    Column("name", String(64), nullable=False),
    Column("revision", Integer, nullable=False),
    Column("content_hash", String(64), nullable=False),  # of all that was written but the name
    Column("hash", String(64), nullable=False),  # that it is known by, whatever its name
    Column("body", Text, nullable=False),
    Column("turn", Integer, nullable=False),  # of the revisions of a name the highest is what it stands for
    Column("created_at", Double, nullable=False),
    PrimaryKeyConstraint("tenant", "kind", "name", "revision"),
    UniqueConstraint("tenant", "kind", "name", "content_hash"),
    Index("registration_hash", "tenant", "kind", "hash"),
)

#: Runs that callers of the service want graded.
submission = Table(
    "submission",
    metadata,
    _tenant(),
    Column("run", String(32), nullable=False),
    Column("judge", String(128), nullable=False),  # the name that it was asked for by
    Column("options", Text, nullable=False),  # JSON
    Column("state", String(16), nullable=False),  # wanted | paused | cancelled | done
    Column("why", Text),  # it is paused
    Column("begun", Boolean, nullable=False),  # whether somebody has begun to grade it
    Column("turn", Integer, nullable=False),  # how often it was submitted anew
    Column("at", Double, nullable=False),
    PrimaryKeyConstraint("tenant", "run"),
    Index("submission_state", "state", "tenant", "at"),
)

#: Answers of the service that are given again to a request with the same idempotency key.
replay = Table(
    "replay",
    metadata,
    _tenant(),
    Column("route", String(64), nullable=False),
    Column("key", String(255), nullable=False),
    Column("fingerprint", String(64), nullable=False),  # of the request
    Column("owner", String(256)),  # the process that is at work on it, until there is an answer
    Column("status", Integer),
    Column("headers", Text),  # JSON
    Column("body", LargeBinary),
    Column("at", Double, nullable=False),
    PrimaryKeyConstraint("tenant", "route", "key"),
    Index("replay_at", "tenant", "at"),
)

#: The newest transaction of each thread that writes, by which it knows whether one was committed. Of no tenant.
mark = Table(
    "mark",
    metadata,
    Column("of", String(256), nullable=False),  # the process, and its thread
    Column("number", BigInteger, nullable=False),
    Column("at", Double, nullable=False),
    PrimaryKeyConstraint("of"),
)

#: When the next request, or token, of a server and key is due, whoever asks it. Of no tenant.
pace = Table(
    "pace",
    metadata,
    Column("of", String(80), nullable=False),  # a hash of server and key, and what is counted
    Column("due", Double, nullable=False),  # seconds since 1970, by the database's clock
    PrimaryKeyConstraint("of"),
)
