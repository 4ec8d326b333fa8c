"""What an account holds and has spent, and whether it may hold more."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta

from .accounts import Account, AccountLimits
from .credits import MICRO, Prices, cost, micro_credits
from .errors import AccountLimitReached, BudgetExhausted, ResourcesUnavailable
from .resources import Resources

#: A container is only accepted if the account's budget still pays for it for so long.
_WORTHWHILE_SECONDS = 2
_RETRY_AFTER_SECONDS = 10
#: Sums of fractions of cores are not exact.
_TINY = 1e-6


@dataclass(frozen=True, slots=True)
class Month:
    """A calendar month (UTC): its first day, and that of the next one."""

    first: date
    next: date

    @classmethod
    def of(cls, now: datetime) -> Month:
        """Return the month of a time in UTC."""
        first = now.date().replace(day=1)
        return cls(first, (first + timedelta(days=31)).replace(day=1))

    def __str__(self) -> str:
        return f"{self.first:%B %Y} (UTC)"


@dataclass(frozen=True, slots=True)
class Standing:
    """How an account stands: the limits that hold, what it holds now (containers that have not ended, waiting ones
    too), and what it has spent in this month, in millionths of a credit."""

    account: Account
    limits: AccountLimits
    month: Month
    containers: int
    cpu_cores: float
    memory_mb: int
    spent: int

    @property
    def remaining(self) -> int | None:
        """What is left of this month's budget, in millionths of a credit; None: there is no budget."""
        budget = self.limits.budget_credits
        return None if budget is None else max(0, micro_credits(budget) - self.spent)


def admit(standing: Standing, wanted: Resources, prices: Prices) -> None:
    """Raise BudgetExhausted, AccountLimitReached or ResourcesUnavailable if the account may not hold this too."""
    _check_budget(standing, wanted, prices)
    name, limits = standing.account.name, standing.limits
    _check_ever("cpuCores", wanted.cpu_cores, limits.max_cpu_cores)
    _check_ever("memoryMb", wanted.memory_mb, limits.max_memory_mb)
    _check(name, "containers", "--max-containers", 1, standing.containers, limits.max_containers)
    _check(name, "CPU cores", "--max-cpu-cores", wanted.cpu_cores, standing.cpu_cores, limits.max_cpu_cores)
    _check(name, "MiB of memory", "--max-memory-mb", wanted.memory_mb, standing.memory_mb, limits.max_memory_mb)


def budget_sentence(account: Account, budget: float, month: Month) -> str:
    """Say that a budget is used up, when it renews, and what helps until then."""
    return (
        f"The account {account.name!r} has used up its budget of {budget:.12g} credits for {month}. It renews on "
        f"{month.next}; until then its operator can raise it: 'cognitora accounts set {account.name} "
        "--budget-credits N'."
    )


def _check_budget(standing: Standing, wanted: Resources, prices: Prices) -> None:
    budget, remaining = standing.limits.budget_credits, standing.remaining
    if budget is None or remaining is None:
        return
    if cost(wanted, _WORTHWHILE_SECONDS, prices).micro > remaining or remaining == 0:
        raise BudgetExhausted(
            f"{budget_sentence(standing.account, budget, standing.month)} Spent so far: {standing.spent / MICRO:.12g}.",
            budget_credits=budget,
            spent_credits=standing.spent / MICRO,
            remaining_credits=remaining / MICRO,
            renews_at=standing.month.next.isoformat(),
        )


def _check_ever(field: str, asked: float, most: float | None) -> None:
    if most is not None and asked > most:
        raise ResourcesUnavailable(
            f"`{field}` {asked:.12g} can never be given: this account may hold {most:.12g} in all.",
            field=field,
            asked=asked,
            largest=most,
        )


def _check(name: str, what: str, option: str, asked: float, held: float, most: float | None) -> None:
    if most is not None and held + asked > most + _TINY:
        raise AccountLimitReached(
            f"The account {name!r} holds {held:.12g} {what} of at most {most:.12g}, and this would be {asked:.12g} "
            "more. Cancel a container or wait until one ends; its operator can raise the limit: 'cognitora accounts "
            f"set {name} {option} N'.",
            limit=most,
            held=held,
            asked=asked,
            retry_after_seconds=_RETRY_AFTER_SECONDS,
        )
