"""Builds as runs of MLflow: its real client against a real server, and against a database."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from command import run_edgekit
from mlflow_server import Server, free_port, running
from refusals import Ran, ok, refused
from tracked_bundles import reported

pytest.importorskip("mlflow")

Edgekit = Callable[..., Ran]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running(tmp_path_factory.mktemp("mlflow") / "kept") as made:
        yield made


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """Each of another recipe, so that each is another build to the server."""
    return reported(tmp_path / "bundle", seed=abs(hash(tmp_path.name)) % 10**9)


def environment() -> dict[str, str]:
    """The test's own, without what tells MLflow where it is, or that it is tested: it reports nothing then."""
    off = ("MLFLOW", "DO_NOT_TRACK", "PYTEST", "CI")
    return {name: value for name, value in os.environ.items() if not name.startswith(off)}


def run(uri: str | None, *arguments: object, **environ: str) -> Ran:
    kept = environment()
    where = {} if uri is None else {"MLFLOW_TRACKING_URI": uri}
    return run_edgekit(*arguments, timeout=300, env=kept | where | environ)


@pytest.fixture
def client(server: Server, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    from mlflow.tracking import MlflowClient

    return MlflowClient(tracking_uri=server.uri)


def told_by(uri: str, bundle: Path, *more: str) -> dict[str, Any]:
    told: dict[str, Any] = json.loads(ok(run(uri, "report", bundle, "--track", "mlflow", "--json", *more)).stdout)
    return told


def test_a_build_is_a_run(server: Server, client: Any, bundle: Path, tmp_path: Path) -> None:
    told = told_by(server.uri, bundle)
    kept = client.get_run(told["run_id"])
    assert (kept.info.status, kept.info.run_name) == ("FINISHED", "int8 2026-01-02T03:04")
    assert client.get_experiment(kept.info.experiment_id).name == "inception_v4-cpu"
    assert told["url"] == f"{server.uri}/#/experiments/{kept.info.experiment_id}/runs/{told['run_id']}"
    assert kept.data.params["calibration.images"] == "300"
    assert kept.data.metrics["int8/p50_ms"] == 4.0
    assert kept.data.metrics["drop_points_high"] == 0.5
    assert kept.data.tags["edgekit.verdict"] == "Within budget"
    assert kept.data.tags["mlflow.note.content"].startswith("inception_v4.signs on cpu: INT8 is 3.0x faster")
    assert not {"mlflow.source.git.commit", "mlflow.user"} & kept.data.tags.keys()
    for name in ("report.json", "report.md", "report.html", "recipe.yaml", "manifest.json"):
        got = client.download_artifacts(told["run_id"], name, str(tmp_path))
        assert Path(got).read_bytes() == (bundle / name).read_bytes()
    assert len(client.list_artifacts(told["run_id"])) == told["sent"] == 5


def test_the_same_build_is_recorded_once(server: Server, client: Any, bundle: Path) -> None:
    first = told_by(server.uri, bundle)
    before = client.get_run(first["run_id"]).to_dictionary()
    again = told_by(server.uri, bundle)
    assert (again["run_id"], again["new"], again["sent"]) == (first["run_id"], False, 0)
    assert client.get_run(first["run_id"]).to_dictionary() == before
    assert len(client.get_metric_history(first["run_id"], "p50_ms")) == 1
    whole = told_by(server.uri, bundle, "--track-bundle")
    assert (whole["run_id"], whole["sent"]) == (first["run_id"], len(list(bundle.iterdir())) - 5)
    assert {each.path for each in client.list_artifacts(first["run_id"])} == {each.name for each in bundle.iterdir()}


def test_a_run_that_was_cut_is_completed(server: Server, client: Any, bundle: Path) -> None:
    told = told_by(server.uri, bundle)
    client.set_terminated(told["run_id"], "FAILED")
    again = told_by(server.uri, bundle)
    assert again["run_id"] == told["run_id"]
    assert client.get_run(told["run_id"]).info.status == "FINISHED"


def test_people_see_where_it_is(server: Server, bundle: Path) -> None:
    said = ok(run(server.uri, "report", bundle, "--track", "mlflow"))
    assert said.stdout.startswith(f"{server.uri}/#/experiments/")
    assert said.stdout.count("\n") == 1
    assert [line.partition(" in ")[0] for line in said.stderr.splitlines()] == ["track: started", "track: done"]


def test_names_and_values_that_mlflow_does_not_take(server: Server, client: Any, tmp_path: Path) -> None:
    from samples import SAMPLE_REPORT

    report = json.loads(json.dumps(SAMPLE_REPORT))
    report["variants"][1]["name"] = "int8@onnxruntime"
    report["target"]["device"] = "a" * 9000
    report["model"]["name"] = "net ü/1"
    said = ok(run(server.uri, "report", reported(tmp_path / "odd", report), "--track", "mlflow", "--json"))
    kept = client.get_run(json.loads(said.stdout)["run_id"]).data
    assert kept.metrics["int8_onnxruntime/p50_ms"] == 6.0
    assert "the tracker does not take the tag edgekit.device, of 9000 characters" in said.stderr
    assert client.get_experiment_by_name("net ü/1-cpu") is not None


def test_an_experiment_that_was_deleted(server: Server, client: Any, tmp_path: Path) -> None:
    from samples import SAMPLE_REPORT

    report = json.loads(json.dumps(SAMPLE_REPORT))
    report["model"]["name"] = "gone"
    bundle = reported(tmp_path / "gone", report)
    told_by(server.uri, bundle)
    client.delete_experiment(client.get_experiment_by_name("gone-cpu").experiment_id)
    refused(run(server.uri, "report", bundle, "--track", "mlflow"), 2, "gone-cpu was deleted", "mlflow gc")


def test_a_database_without_a_server(bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # files go to mlruns/ there
    uri = f"sqlite:///{tmp_path / 'm.db'}"
    told = told_by(uri, bundle)
    (kept,) = (tmp_path / "mlruns").glob("*/*/artifacts/report.json")
    assert kept.read_bytes() == (bundle / "report.json").read_bytes()
    assert told["url"] == f"{uri}, run {told['run_id']}"
    assert told_by(uri, bundle)["new"] is False


def test_where_there_is_no_server(bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    track = ("report", bundle, "--track", "mlflow")
    refused(run(None, *track), 2, "MLFLOW_TRACKING_URI is not set", "http://localhost:5000")
    refused(run(f"http://me:secret@127.0.0.1:{free_port()}", *track), 4, "MLflow at http://127.0.0.1:")
    assert "secret" not in run(f"http://me:secret@127.0.0.1:{free_port()}", *track).stderr
    refused(run(f"file://{tmp_path}/runs", *track), 2, "no runs in folders", "MLFLOW_ALLOW_FILE_STORE")
    assert not (tmp_path / "runs").exists()
    told = ok(run(f"file://{tmp_path}/runs", *track, MLFLOW_ALLOW_FILE_STORE="true"))
    assert "run" in told.stdout
    refused(run("postgres2://there/db", *track), 4, "cannot use postgres2://there/db")
    refused(run("databricks", *track), 4, "databricks")
    refused(run("http://[bad", *track), 2, "no address")
    refused(run("sqlite://", *track), 2, "a database that is not kept")
    (tmp_path / "file").write_text("x" * 5000)
    refused(run(f"sqlite:///{tmp_path / 'file'}", *track), 4, "cannot be used")


@contextmanager
def answering(status: int) -> Iterator[str]:
    """Something that answers everything with one status."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"no")

        do_POST = do_GET

        def log_message(self, *_: object) -> None: ...

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(
    ("status", "words"),
    [(401, "does not let you in"), (403, "MLFLOW_TRACKING_TOKEN"), (404, "cannot be used"), (200, "cannot be used")],
)
def test_what_is_no_server_of_mlflow(status: int, words: str, bundle: Path) -> None:
    with answering(status) as uri:
        refused(run(uri, "report", bundle, "--track", "mlflow"), 4, words)


def test_without_its_package(bundle: Path) -> None:
    code = "import sys; sys.modules['mlflow'] = None\nfrom edgekit.cli import main\nmain(sys.argv[1:])"
    ran = subprocess.run(
        [sys.executable, "-c", code, "report", str(bundle), "--track", "mlflow"],
        capture_output=True,
        text=True,
        check=False,
    )
    refused(ran, 4, "mlflow", "'.[track]'")


def test_options_that_do_not_go_together(bundle: Path) -> None:
    refused(run(None, "report", bundle, "--track-bundle"), 2, "--track-bundle needs --track")
    refused(run(None, "report", bundle, "--track", "mlflow", "--format", "md"), 2, "renders nothing")
    refused(run(None, "report", "--across", bundle, "--track", "mlflow"), 2, "one BUILD")
    refused(run(None, "build", "--track", "other"), 2, "mlflow")


def test_nothing_goes_elsewhere(server: Server, bundle: Path) -> None:
    """All addresses that are connected to, or looked up, are the server's."""
    code = (
        "import sys, json, time\nseen = []\n"
        "def watch(event, told):\n"
        "    if event == 'socket.connect': seen.append(told[1])\n"
        "    if event == 'socket.getaddrinfo': seen.append(told[:2])\n"
        "sys.addaudithook(watch)\n"
        "from edgekit.cli import main\n"
        f"try:\n    main(['report', {str(bundle)!r}, '--track', 'mlflow'])\n"
        "finally:\n    time.sleep(2)\n    print(json.dumps(seen))\n"
    )
    kept = environment()
    told = kept | {"MLFLOW_TRACKING_URI": server.uri}
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=told)
    seen = {(each[0], int(each[1])) for each in json.loads(ran.stdout.splitlines()[-1])}
    assert seen == {("127.0.0.1", int(server.uri.rpartition(":")[2]))}


def test_the_watch_would_see_telemetry(bundle: Path) -> None:
    """By itself the client asks its makers what to report: that is what is switched off."""
    code = (
        "import sys, time\nseen = []\n"
        "sys.addaudithook(lambda event, told: seen.append(told[0]) if event == 'socket.getaddrinfo' else None)\n"
        "import mlflow.telemetry\ntime.sleep(2)\n"
        "print(mlflow.telemetry.get_telemetry_client() is not None)\n"
    )
    kept = environment()
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=kept)
    assert ran.stdout.strip() == "True"


BUILD = ("--model", "inception_v4", "--prune", "none", "--precision", "fp32", "--images", "48")


@pytest.mark.slow
def test_a_build_is_tracked_at_its_end(client: Any, tmp_path: Path) -> None:
    port = free_port()
    out = tmp_path / "b"
    refused(run(f"http://127.0.0.1:{port}", "build", *BUILD, "--out", out, "--track", "mlflow"), 4, "cannot be used")
    assert not out.exists()  # asked before anything was done
    with running(tmp_path / "kept", port=port) as server:
        told = json.loads(ok(run(server.uri, "build", *BUILD, "--out", out, "--track", "mlflow", "--json")).stdout)
        assert told["tracked"]["sent"] == 6
        (recipe,) = out.glob("recipe.yaml")
        (lock,) = out.glob("recipe.lock.yaml")
        assert "track" not in recipe.read_text() + lock.read_text()
        assert told_by(server.uri, out)["run_id"] == told["tracked"]["run_id"]


@pytest.mark.slow
def test_a_server_that_goes_away_loses_no_build(tmp_path: Path) -> None:
    """It answers when it is asked first, and not when the build is done."""
    out, port = tmp_path / "b", free_port()
    ok(run(None, "build", *BUILD, "--out", out))
    with running(tmp_path / "kept", port=port) as server, falling_silent(server, after=1) as uri:
        ran = ok(run(uri, "build", *BUILD, "--out", out, "--track", "mlflow", "--json"))
        assert json.loads(ran.stdout)["tracked"] is None
        assert f"Track it later: edgekit report {out} --track mlflow" in ran.stderr
        assert told_by(server.uri, out)["new"] is True


@contextmanager
def falling_silent(server: Server, after: int) -> Iterator[str]:
    """A relay to a server that takes so many connections, and no more."""
    target = ("127.0.0.1", int(server.uri.rpartition(":")[2]))
    front = socket.create_server(("127.0.0.1", 0))

    def pump(source: socket.socket, into: socket.socket) -> None:
        try:
            while piece := source.recv(65536):
                into.sendall(piece)
        except OSError:
            pass

    def accept() -> None:
        for _ in range(after):
            near, _ = front.accept()
            far = socket.create_connection(target)
            threading.Thread(target=pump, args=(near, far), daemon=True).start()
            threading.Thread(target=pump, args=(far, near), daemon=True).start()
        front.close()

    threading.Thread(target=accept, daemon=True).start()
    yield f"http://127.0.0.1:{front.getsockname()[1]}"
    front.close()
