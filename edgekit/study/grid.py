"""All runs of a study, some at a time, each in a process of its own; a study that was stopped goes on."""

from __future__ import annotations

import multiprocessing
import os
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from pathlib import Path

from edgekit.errors import InputError
from edgekit.runtime.cgroup import usable_cores
from edgekit.study.contest import results, run
from edgekit.study.outcome import ContestOutcome, RunOutcome, StudyOutcome
from edgekit.study.recipe import Contest, Contestant, StudyRecipe

POLL_SECONDS = 1.0

Told = Callable[[int, int, str], None]
"""Called with the epochs done, all epochs, and which contest is under way."""


def study(recipe: StudyRecipe, out_dir: Path, jobs: int, on_progress: Told = lambda done, total, what: None) -> None:
    """Runs what is not done yet, `jobs` at a time, the threads of the machine shared among them.

    Raises:
        InputError: the directory holds another study.
    """
    out_dir.mkdir(parents=True, exist_ok=True)
    _claim(out_dir, recipe)
    total = sum(contest.epochs for contest, _, _ in _runs(recipe))
    with ProcessPoolExecutor(jobs, multiprocessing.get_context("spawn"), _begin, (jobs,)) as pool:
        waiting: list[Future[None]] = [
            pool.submit(run, recipe, contest, network, seed, place(out_dir, contest, network, seed), out_dir / "drawn")
            for contest, network, seed in _runs(recipe)
        ]
        try:
            while not all(future.done() for future in waiting):
                _raise_failed(waiting)
                on_progress(_epochs_done(recipe, out_dir), total, "epochs")
                time.sleep(POLL_SECONDS)
            _raise_failed(waiting)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            for process in list(pool._processes.values()):
                process.terminate()
            raise


def collected(recipe: StudyRecipe, out_dir: Path) -> StudyOutcome:
    """What the runs left, as far as they got."""
    contests = []
    for contest in recipe.contests:
        runs = tuple(
            RunOutcome(label=network.label, seed=seed, epochs=tuple(results(place(out_dir, contest, network, seed))))
            for network in contest.networks
            for seed in contest.seeds
        )
        contests.append(ContestOutcome(**dict(contest), runs=runs))
    return StudyOutcome(training=recipe.training, contests=tuple(contests))


def place(out_dir: Path, contest: Contest, network: Contestant, seed: int) -> Path:
    """The directory of one run."""
    number = contest.networks.index(network)
    return out_dir / contest.name / f"{number}-{network.model}-{seed}"


def _runs(recipe: StudyRecipe) -> Iterator[tuple[Contest, Contestant, int]]:
    """Every run; the seeds outermost, so that a study cut short has compared all networks on fewer seeds."""
    for contest in recipe.contests:
        for seed in contest.seeds:
            for network in contest.networks:
                yield contest, network, seed


def _claim(out_dir: Path, recipe: StudyRecipe) -> None:
    held, told = out_dir / "recipe.json", recipe.model_dump_json(indent=1)
    if held.exists() and held.read_text(encoding="utf-8") != told:
        raise InputError(f"{out_dir} holds another study", "Give another --out, or delete it to begin again.")
    held.write_text(told, encoding="utf-8")


def _epochs_done(recipe: StudyRecipe, out_dir: Path) -> int:
    return sum(len(results(place(out_dir, *each))) for each in _runs(recipe))


def _raise_failed(waiting: list[Future[None]]) -> None:
    for future in waiting:
        if future.done():
            future.result()


def _begin(jobs: int) -> None:
    """Gives a process its share of the processors: two that use all of them hinder each other. Ends it with the study.

    A study that is killed cannot tell its processes to stop, and they would train on.
    """
    import torch

    torch.set_num_threads(max(1, usable_cores() // jobs))
    study = multiprocessing.parent_process()

    def follow() -> None:
        if study is not None:
            study.join()
            os._exit(1)

    threading.Thread(target=follow, daemon=True).start()
