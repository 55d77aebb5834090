"""Dollar amounts as integers of 1e-18 dollars, so that they are compared and summed exactly."""

from __future__ import annotations

from decimal import Decimal


def e18(value: Decimal) -> int:
    """Return dollars as an integer of 1e-18 dollars. Raises ValueError for more than 18 decimals."""
    sign, digits, exponent = value.as_tuple()
    if not isinstance(exponent, int):
        raise ValueError(f"{value} is not a number")
    whole: int = int("".join(map(str, digits)) or "0")
    power = exponent + 18
    if power < 0:
        whole, rest = divmod(whole, int(10 ** (-power)))
        if rest:
            raise ValueError(f"{value} has more than 18 decimals")
    else:
        whole *= int(10**power)
    return -whole if sign else whole


def dollars(value_e18: int) -> Decimal:
    """Return an integer of 1e-18 dollars as dollars with 18 decimals: the inverse of `e18`."""
    return Decimal((value_e18 < 0, tuple(map(int, str(abs(value_e18)))), -18))
