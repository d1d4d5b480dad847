"""--wait-idle: where it may stand, what it takes, and where a recipe and a lock have it."""

from __future__ import annotations

import click
import pytest
from click.testing import CliRunner

from edgekit.cli.bench import command as bench
from edgekit.cli.build import PLACES, _as_recipe
from edgekit.cli.build import command as build
from edgekit.cli.compare import command as compare
from edgekit.cli.noise import wait_idle_option
from edgekit.recipe import Recipe, merged


@click.command()
@click.argument("subjects", nargs=-1)
@wait_idle_option
def probe(subjects: tuple[str, ...], wait_idle: float | None) -> None:
    click.echo(f"{wait_idle} {' '.join(subjects)}")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["a"], "None a"),
        (["a", "--wait-idle"], "600.0 a"),
        (["a", "--wait-idle", "30"], "30.0 a"),
        (["--wait-idle=7.5", "a", "b"], "7.5 a b"),
        (["--wait-idle", "0", "a"], "0.0 a"),
    ],
)
def test_it_takes_seconds_or_none(words: list[str], told: str) -> None:
    assert CliRunner().invoke(probe, words).output.strip() == told


@pytest.mark.parametrize("wrong", ["build/net", "nan", "inf"])
def test_a_word_that_is_no_number_is_told_where_to_stand(wrong: str) -> None:
    done = CliRunner().invoke(probe, ["--wait-idle", wrong])
    assert done.exit_code == 2
    assert "give --wait-idle last, or --wait-idle=600" in done.output


@pytest.mark.parametrize("verb", [build, bench, compare])
def test_verbs_that_time_have_it(verb: click.Command) -> None:
    assert "--wait-idle" in CliRunner().invoke(verb, ["--help"]).output


def test_it_is_a_key_of_the_recipe_and_may_stand_beside_a_lock() -> None:
    flags = {each.name: None for each in build.params if each.name not in ("recipe", "out", "locked", "sign")}
    assert merged({}, _as_recipe({**flags, "wait_idle": 60.0})).latency.wait_idle_s == 60.0
    assert Recipe().latency.wait_idle_s is None
    assert "wait_idle" in PLACES
