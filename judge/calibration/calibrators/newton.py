"""Newton's method for the smooth convex losses of calibrators with few parameters."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from judge.calibration.statistics.bootstrap import Floats
from judge.calibration.statistics.figures import Undefined

#: A loss at a point: its value (infinite outside its domain), gradient (d,) and Hessian (d, d).
Loss = Callable[[Floats], tuple[float, Floats, Floats]]

TOLERANCE = 1e-10
STEPS, HALVINGS = 100, 40


def minimise(loss: Loss, start: Floats) -> Floats:
    """Where the loss is least, by Newton steps that are halved until they go down (Armijo).

    The loss is a mean over items, so that one tolerance of the gradient, 1e-10, fits every number of them.

    Raises
    ------
    Undefined
        Where the gradient is still above 1e-6 after a hundred steps, or where no step goes down.

    References
    ----------
    Nocedal and Wright (2006), Numerical Optimization, section 3.1.
    """
    at = start
    value, gradient, hessian = loss(at)
    for _ in range(STEPS):
        if np.abs(gradient).max() <= TOLERANCE:
            return at
        step = np.linalg.lstsq(hessian, gradient, rcond=None)[0]
        downhill = float(gradient @ step)
        for halving in range(HALVINGS):
            size = 0.5**halving
            tried = loss(at - size * step)
            if tried[0] <= value - 1e-4 * size * downhill:
                break
        else:  # nothing is left to gain but rounding
            break
        at = at - size * step
        value, gradient, hessian = tried
    if np.abs(gradient).max() > 1e-6:
        raise Undefined("the fit does not settle on these labels")
    return at
