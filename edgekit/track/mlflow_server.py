"""MLflow: a build is one run of an experiment on the server, or in the store, that MLFLOW_TRACKING_URI names.

Only the client's plain calls are used: the fluent ones would look for a git repository, a notebook and a user's name,
and tell the server of them.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar
from urllib.parse import urlsplit, urlunsplit

from edgekit.errors import EdgekitError, InputError, UnavailableError
from edgekit.track.record import Record, Tracked

if TYPE_CHECKING:
    from mlflow.entities import Run
    from mlflow.tracking import MlflowClient

    from edgekit.track import Progress

T = TypeVar("T")

URI: Final = "MLFLOW_TRACKING_URI"
HOW: Final = (
    f"Set {URI} to a server, such as http://localhost:5000, or to a database, such as sqlite:///mlflow.db (which takes"
    " the whole package mlflow)."
)
IDENTITY: Final = "edgekit.bundle_sha256"
"""The tag by which a build that was recorded before is found."""

FINISHED: Final = "FINISHED"
RETRIES: Final = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2"}
PATIENCE: Final = {**RETRIES, "MLFLOW_HTTP_REQUEST_TIMEOUT": "30"}
"""How a server is asked first, where the user does not say otherwise: by itself the client waits for minutes."""

CLIENT: Final = frozenset({"mlflow", "requests", "urllib3", "sqlalchemy", "alembic"})
"""Packages whose errors are not of edgekit's own."""

MOST_PARAMS, MOST_METRICS = 100, 1000
"""Of one request."""

LONGEST: Final = {"parameter": 6000, "tag": 8000}
"""Characters of a value that MLflow keeps; it would cut longer ones."""

LONGEST_NAME: Final = 250
NAMED_WITH: Final = "_-. :/"
"""What names of MLflow are made of, beside letters and digits."""


class Tracker:
    """The store that MLFLOW_TRACKING_URI names.

    Raises:
        InputError: it names none, or one that MLflow does not use any more.
        UnavailableError: it cannot be reached, or does not let this user in.
        ImportError: the package mlflow-skinny is not installed.
    """

    def __init__(self) -> None:
        _quiet_client()
        from mlflow.tracking import MlflowClient

        self._uri = os.environ.get(URI, "")
        if not self._uri:
            raise InputError(f"no MLflow server is named: {URI} is not set", HOW)
        _check_uri(self._uri)
        with self._in_words(**PATIENCE):
            self._client: MlflowClient = MlflowClient(tracking_uri=self._uri)
            self._client.search_experiments(max_results=1)

    def keep(self, record: Record, on_progress: Progress) -> Tracked:
        """Records a build as a run; one that is there already is completed, and nothing in it is repeated."""
        with self._in_words(**RETRIES):
            experiment = self._experiment(record.experiment)
            found = self._found(experiment, record)
            run = found or self._begun(experiment, record)
            run_id, left_out = run.info.run_id, []
            try:
                if run.info.status != FINISHED:
                    left_out = self._log(run_id, record)
                sent = self._send(run_id, record.files, on_progress)
            except BaseException:
                self._fail(run_id)
                raise
            if run.info.status != FINISHED or sent:
                self._client.set_terminated(run_id, FINISHED, int(record.ended_s * 1000))
        url = self._url(experiment, run_id)
        size = sum(path.stat().st_size for path in sent)
        return Tracked(record.experiment, record.name, run_id, url, found is None, len(sent), size, tuple(left_out))

    def _experiment(self, name: str) -> str:
        """The id of an experiment, made if it is not there."""
        from mlflow.exceptions import MlflowException

        found = self._client.get_experiment_by_name(name)
        if found is None:
            try:
                return str(self._client.create_experiment(name))
            except MlflowException as error:
                if error.error_code != "RESOURCE_ALREADY_EXISTS":
                    raise
                found = self._client.get_experiment_by_name(name)  # another build has made it meanwhile
        if found is None or found.lifecycle_stage != "active":
            raise InputError(
                f"the experiment {name} was deleted from {self._shown}",
                "Restore it, or delete it for good: mlflow experiments restore, mlflow gc.",
            )
        return str(found.experiment_id)

    def _found(self, experiment: str, record: Record) -> Run | None:
        """The run that an earlier call has made of the same build."""
        wanted = f"tags.`{IDENTITY}` = '{record.tags[IDENTITY]}'"
        runs = self._client.search_runs([experiment], wanted, max_results=1)
        return runs[0] if runs else None

    def _begun(self, experiment: str, record: Record) -> Run:
        tags = {
            IDENTITY: record.tags[IDENTITY],
            "mlflow.source.name": "edgekit",
            "mlflow.note.content": record.note[: LONGEST["tag"]],
        }
        began = int(record.ended_s * 1000)
        return self._client.create_run(experiment, start_time=began, tags=tags, run_name=record.name)

    def _log(self, run_id: str, record: Record) -> list[str]:
        """Settings, numbers and words of a run; what MLflow does not take, in words."""
        from mlflow.entities import Metric, Param, RunTag

        left_out: list[str] = []
        when = int((record.ended_s or time.time()) * 1000)
        params = [Param(name, value) for name, value in _taken("parameter", record.params, left_out)]
        tags = [RunTag(name, value) for name, value in _taken("tag", record.tags, left_out)]
        metrics = [Metric(name, value, when, 0) for name, value in _named(record.metrics).items()]
        for some in _batches(params, MOST_PARAMS):
            self._client.log_batch(run_id, params=some)
        for some in _batches(tags, MOST_PARAMS):
            self._client.log_batch(run_id, tags=some)
        for some in _batches(metrics, MOST_METRICS):
            self._client.log_batch(run_id, metrics=some)
        return left_out

    def _send(self, run_id: str, files: tuple[Path, ...], on_progress: Progress) -> list[Path]:
        """Sends the files that a run does not have yet; those that went over."""
        there = {each.path: each.file_size for each in self._client.list_artifacts(run_id)}
        missing = [path for path in files if there.get(path.name) != path.stat().st_size]
        done, total = 0, sum(path.stat().st_size for path in missing)
        on_progress(0, total)
        for path in missing:
            self._client.log_artifact(run_id, str(path))
            done += path.stat().st_size
            on_progress(done, total)
        return missing

    def _fail(self, run_id: str) -> None:
        """Marks a run that was not completed, if the server still answers."""
        try:
            self._client.set_terminated(run_id, "FAILED")
        except Exception:  # what went wrong first is what the user should hear of
            logging.getLogger(__name__).debug("the run %s could not be marked", run_id)

    @property
    def _shown(self) -> str:
        """Where it is, without a name and password that may be in it."""
        parts = urlsplit(self._uri)
        return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2])) if parts.netloc else self._uri

    def _url(self, experiment: str, run_id: str) -> str:
        """Where people see a run; of a store without a server, where it is kept."""
        if urlsplit(self._uri).scheme in ("http", "https"):
            return f"{self._shown.rstrip('/')}/#/experiments/{experiment}/runs/{run_id}"
        return f"{self._shown}, run {run_id}"

    @contextmanager
    def _in_words(self, **patience: str) -> Iterator[None]:
        """The client's errors in edgekit's words, and its patience within bounds where the user has not set them."""
        ours = {name: value for name, value in patience.items() if name not in os.environ}
        os.environ.update(ours)
        try:
            yield
        except EdgekitError:
            raise
        except Exception as error:  # of the client, its HTTP library, the data base's, the system: no common ancestor
            if not isinstance(error, OSError | ImportError) and type(error).__module__.partition(".")[0] not in CLIENT:
                raise
            raise self._explained(error) from error
        finally:
            for name in ours:
                os.environ.pop(name, None)

    def _why(self, error: Exception) -> str:
        """What the client says, on one line, without a name and password."""
        login = urlsplit(self._uri).netloc.rpartition("@")[0]
        why = " ".join(str(error).split())
        return why.replace(f"{login}@", "") if login else why

    def _explained(self, error: Exception) -> EdgekitError:
        why, status = self._why(error), getattr(error, "get_http_status_code", lambda: None)()
        if "MLFLOW_ALLOW_FILE_STORE" in why:
            what = f"MLflow keeps no runs in folders such as {self._shown} any more"
            return InputError(what, f"{HOW} MLFLOW_ALLOW_FILE_STORE=true still allows it.")
        if isinstance(error, ImportError):
            return UnavailableError(f"the MLflow that is installed cannot use {self._shown}: {why}", HOW)
        if "unsupported URI" in why or "nsupported URI scheme" in why:
            return UnavailableError(f"the MLflow that is installed cannot use {self._shown}", HOW)
        if status in (401, 403) or any(f"error code {code}" in why for code in (401, 403)):
            hint = "Set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN."
            return UnavailableError(f"the MLflow server at {self._shown} does not let you in", hint)
        told = f": {why[:160]}{'...' if len(why) > 160 else ''}" if why else ""
        hint = f"Look at {URI} and at whether it runs; see docs/tracking.md."
        return UnavailableError(f"MLflow at {self._shown} cannot be used{told}", hint)


def _check_uri(uri: str) -> None:
    """Refuses what is no address, and a database that is gone when the command ends.

    Raises:
        InputError: it is one of these.
    """
    try:
        parts = urlsplit(uri)
    except ValueError as error:
        raise InputError(f"{URI} is {uri}, which is no address: {error}", HOW) from error
    if parts.scheme.partition("+")[0] == "sqlite" and parts.path.strip("/") in ("", ":memory:"):
        raise InputError(f"{URI} is {uri}, a database that is not kept", HOW)


def _quiet_client() -> None:
    """Imports the client so that it reports nothing to its makers, and writes nothing where results go."""
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    os.environ["MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT"] = "true"
    os.environ["MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR"] = "false"
    import mlflow.telemetry  # missing: the command names the extra

    mlflow.telemetry.set_telemetry_client()  # where something else has imported mlflow before
    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.ERROR)


def _taken(kind: str, values: Mapping[str, str], left_out: list[str]) -> Iterator[tuple[str, str]]:
    """What MLflow keeps whole; the rest is named."""
    for name, value in _named(values).items():
        if len(value) > LONGEST[kind]:
            left_out.append(f"the {kind} {name}, of {len(value)} characters")
        else:
            yield name, value


def _named(values: Mapping[str, T]) -> dict[str, T]:
    """Values by names that MLflow takes; two never come to share one."""
    named: dict[str, T] = {}
    for told, value in values.items():
        plain = "".join(each if (each.isascii() and each.isalnum()) or each in NAMED_WITH else "_" for each in told)
        parts = [part if part.strip(".") else "_" for part in plain.split("/") if part]
        name = "/".join(parts)[:LONGEST_NAME] or "_"
        count = 2
        free = name
        while free in named:
            free, count = f"{name[: LONGEST_NAME - 4]}_{count}", count + 1
        named[free] = value
    return named


def _batches(values: list[T], size: int) -> Iterator[list[T]]:
    rest = iter(values)
    while some := list(islice(rest, size)):
        yield some
