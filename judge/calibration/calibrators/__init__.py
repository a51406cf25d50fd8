"""Fitted maps from a judge's scores to people's scale, one kind a file."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, TypeAdapter

from judge.calibration.calibrators.isotonic import Isotonic
from judge.calibration.calibrators.linear import Identity, Linear, Shift
from judge.calibration.calibrators.network import Network
from judge.calibration.calibrators.ordinal import Ordinal
from judge.calibration.calibrators.platt import Platt
from judge.calibration.calibrators.ridge import Ridge
from judge.calibration.calibrators.temperature import Temperature

__all__ = [
    "Calibrator",
    "Identity",
    "Isotonic",
    "Linear",
    "Network",
    "Ordinal",
    "Platt",
    "Ridge",
    "Shift",
    "Temperature",
    "read",
]

#: Any of them; `kind` tells which.
Calibrator = Annotated[
    Identity | Shift | Temperature | Linear | Platt | Isotonic | Ridge | Ordinal | Network,
    Field(discriminator="kind"),
]
_ANY: TypeAdapter[Calibrator] = TypeAdapter(Calibrator)


def read(text: str | bytes) -> Calibrator:
    """A calibrator from the JSON that `model_dump_json` wrote. Raises pydantic's ValidationError for any other."""
    return _ANY.validate_json(text)
