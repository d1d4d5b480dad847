"""What a search came to, as search.json has it and the command tells it."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from edgekit.cluster.search.journal import Ends, Settings, TrialRecord


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Counts(_Part):
    """How many trials there are of each kind; `cached`: that the journal had from an earlier run."""

    complete: int
    stopped: int
    failed: int
    repeated: int
    cached: int


class Hypervolume(_Part):
    """What the trials cover of the plane of top-1 and latency ratio, from a corner that is the same for all searches.

    Attributes:
        value: points times ratio; reference: the corner, top-1 in percent and latency as a part of the reference's;
            by_trial: after so many trials.
    """

    value: float
    reference: tuple[float, float]
    by_trial: tuple[float, ...] = ()


class AgainstDefault(_Part):
    """A bundle against the default build's: points of top-1 below it, and how many times as long it takes.

    Attributes:
        paired: whether the drop is of the same images; dominates: see `BuiltPoint`.
    """

    drop: float | None = None
    drop_ci95: Ends | None = None
    images: int | None = None
    paired: bool = False
    slower: float | None = None
    slower_ci95: Ends | None = None

    @property
    def dominates(self) -> bool:
        """Whether it is known to be faster, and not known to be less accurate."""
        if self.drop_ci95 is None or self.slower_ci95 is None or not self.paired:
            return False
        return self.drop_ci95[0] <= 0 and self.slower_ci95[1] < 1


class BuiltPoint(_Part):
    """A point of the front, or the default build, as it was built in full.

    Attributes:
        number: of its trial; None of the default build.
        bundle: its folder, below that of the search; None where it could not be built, and `why` says why.
        chosen: the variant that is in the bundle; as_asked: whether that is what the trial was.
        p50: ms, timed with all bundles side by side; as the build measured it where that was not done.
        beaten_by: number of the trial that was better by its figures, though not by their intervals.
        on_front: whether no other of the built ones is better in all, by the final figures.
        dominates_default: known to be faster than the default build, and not known to be less accurate.
    """

    number: int | None
    bundle: str | None
    why: str | None = None
    chosen: str | None = None
    as_asked: bool = True
    top1: float | None = None
    top1_ci95: Ends | None = None
    images: int | None = None
    p50: float | None = None
    size_bytes: int | None = None
    against_default: AgainstDefault | None = None
    beaten_by: int | None = None
    on_front: bool = False
    dominates_default: bool = False


class ClusterFacts(_Part):
    """Where a search was run: how many workers, on which nodes, and which of these timed."""

    where: str
    workers: int
    nodes: tuple[str, ...]
    timing: str


class SearchResult(_Part):
    """What a search came to.

    Attributes:
        front: numbers of the trials that none beats, the fastest first; undecided: of those that are beaten by figures
            and not by intervals; left_out: of both, those which were not built in full.
        timed_together: how many processes timed all bundles side by side; None where they were not, and `why_not`.
        seconds: of this run; cluster: None where the journal had all there was to do.
    """

    schema_version: Literal[1] = Field(default=1, alias="schema")
    edgekit: str
    model: str
    target: str
    settings: Settings
    trials: tuple[TrialRecord, ...]
    counts: Counts
    front: tuple[int, ...]
    undecided: tuple[int, ...]
    left_out: tuple[int, ...]
    hypervolume: Hypervolume
    built: tuple[BuiltPoint, ...]
    timed_together: int | None
    why_not: str | None
    warnings: tuple[str, ...]
    seconds: float
    cluster: ClusterFacts | None

    def as_json(self) -> str:
        """As search.json has it."""
        return self.model_dump_json(indent=1, by_alias=True) + "\n"
