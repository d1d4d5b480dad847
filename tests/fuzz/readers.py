"""What reads each kind of file, as far as edgekit goes with it: one function a target, given the case's path."""

from __future__ import annotations

import io
import json
import tempfile
from datetime import datetime, timezone
from pathlib import Path

KEY = "a" * 64
"""Of the store entries that are told of."""


def recipe(path: Path) -> object:
    from edgekit.recipe import merged, read_yaml, to_yaml

    return to_yaml(merged(read_yaml(path), {}))


def training_recipe(path: Path) -> object:
    from edgekit.recipe import checked, read_yaml
    from edgekit.training.recipe import TrainingRecipe

    found = checked(TrainingRecipe, read_yaml(path), "training recipe")
    return found.steps, found.images_at(found.steps), found.model_dump_json()


def study_recipe(path: Path) -> object:
    from edgekit.recipe import checked, read_yaml
    from edgekit.study.recipe import StudyRecipe

    told = checked(StudyRecipe, read_yaml(path), "study recipe")
    return [told.training_of(each, network, 0).steps for each in told.contests for network in each.networks]


def matrix(path: Path) -> object:
    from edgekit.build.matrix_file import read_matrix

    return read_matrix(path, {}, {})


def space(path: Path) -> object:
    from edgekit.cluster.search.space import Space, questions, read_space

    return questions(read_space(path, Space()))


def lock(path: Path) -> object:
    from edgekit.build.lock import differences, read_lock, to_yaml
    from edgekit.prune.choice import unpacked

    told = read_lock(path)
    if told.pruning is not None:
        unpacked(told.pruning.keep, told.pruning.units)
    return to_yaml(told), differences(told, {})


def preset(path: Path) -> object:
    from edgekit.data.presets import preset_of_file

    return preset_of_file(path)


def class_names(path: Path) -> object:
    from edgekit.data.class_names import read_names

    found = read_names(path)
    found.index(found.shown[0])
    return found.shown


def table(path: Path) -> object:
    from edgekit.data.folder import open_images

    found = open_images(path, skip_bad=True)
    return found.digest, found.labels, found.classes, found.left_out, found.notes


def exclusions(path: Path) -> object:
    from edgekit.data.exclusion import matched, read_list

    return matched(["a/1.png", "b/00000490.JPEG"], read_list(path))


def calibration(path: Path) -> object:
    from edgekit.data.calibration import read, to_json

    return to_json(read(path))


def report(path: Path) -> object:
    """Every form that a report takes, and a comparison of it with itself, gated."""
    from edgekit.cli.report import print_report
    from edgekit.report import RENDERERS, read
    from edgekit.report import comparison_pages as pages
    from edgekit.report.across import as_csv, builds_in
    from edgekit.report.across_page import across_html, across_table
    from edgekit.report.comparison import compared, read_build
    from edgekit.report.gates import Gates, Limit, checks
    from edgekit.report.metrics import metric

    told = read(path)
    made = [render(told) for render in RENDERERS.values()]
    print_report(told)
    builds = builds_in(path.parent)
    made += [as_csv(builds), across_html(builds, "x"), *map(str, across_table(builds))]
    both = [read_build(path), read_build(path)]
    rows = compared(both)
    found = checks(rows, Gates(1.0, Limit.of("5%"), Limit.of("5%"), True))
    made.append(pages.markdown(rows, found, metric(told), [], True))
    made.append(pages.junit(rows, found, True, datetime.now(timezone.utc)))
    return made


def manifest(path: Path) -> object:
    from edgekit.bundle import trtexec
    from edgekit.bundle.directory import names_of, read_manifest
    from edgekit.cli.inspect import _show_bundle
    from edgekit.runtime.verify import as_text, verify

    as_text(verify(str(path.parent), golden=False))
    told = read_manifest(path.parent)
    _show_bundle(told, ())
    return trtexec.of_bundle(told), names_of(path.parent), told.as_json()


def golden(path: Path) -> object:
    import numpy as np

    from edgekit.runtime.golden import check_golden

    return check_golden(str(path.parent), (8, 8), 4, lambda picture: np.zeros((1, 4), np.float32))


def answers(path: Path) -> object:
    """As a bundle's whose manifest names the file rightly: an enemy can hash."""
    import hashlib

    from edgekit.bundle.answers import read_answers

    content = path.read_bytes()
    facts = {"answers.npz": {"sha256": hashlib.sha256(content).hexdigest(), "size_bytes": len(content)}}
    import hostile_seeds as seeds

    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "manifest.json").write_text(json.dumps({**seeds.manifest(), "files": facts}))
        (Path(folder) / "answers.npz").write_bytes(content)
        return read_answers(Path(folder))


def image(path: Path) -> object:
    """As a data set's image, and as an application gives it to the runtime."""
    import warnings

    from edgekit.data.opening import opened
    from edgekit.runtime.contract import Contract
    from edgekit.runtime.decoding import picture
    from edgekit.runtime.errors import ImageError
    from edgekit.runtime.rgb import bears_rotation, rgb_of

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            with opened(path) as found:
                bears_rotation(found)
                rgb_of(found, exif=True)
        except (OSError, ValueError):
            pass
        try:
            return picture(path.read_bytes(), Contract((32, 32), exif=True)).shape
        except ImageError:
            return picture(str(path), Contract((32, 32), resize="letterbox")).shape


def graph_on_device(path: Path) -> object:
    from edgekit.runtime.errors import BundleError
    from edgekit.runtime.onnx_nodes import read_graph

    try:
        return read_graph(str(path))
    except ValueError as error:  # which its caller turns into this
        raise BundleError(str(error)) from error


def model_signature(path: Path) -> object:
    import hostile_seeds as seeds

    from edgekit.runtime.model_signature import keys_in, read_statement

    with tempfile.NamedTemporaryFile() as file:
        file.write(seeds.public_keys()[0])
        file.flush()
        return read_statement(path.read_bytes(), keys_in(file.name))


def statement(path: Path) -> object:
    """What an enemy has signed with a key that is trusted."""
    import base64

    import hostile_seeds as seeds

    from edgekit.runtime.manifest import FileFacts
    from edgekit.runtime.model_signature import check_listed

    told = json.loads(seeds.model_signatures()[0])
    told["dsseEnvelope"]["payload"] = base64.b64encode(path.read_bytes()).decode()
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "model.sig").write_text(json.dumps(told))
        return check_listed(folder, b"{}", {"model.onnx": FileFacts("0" * 64, 1)})


def public_keys(path: Path) -> object:
    from edgekit.runtime.model_signature import keys_in

    return keys_in(str(path))({"publicKey": {"hint": "x"}})


def certificates(path: Path) -> object:
    import base64

    from edgekit.bundle.certificates import read_certificates, vouched_for
    from edgekit.errors import InputError

    found = read_certificates(path)
    chain = {"certificates": [{"rawBytes": base64.b64encode(path.read_bytes()).decode()}]}
    try:
        return vouched_for(found)({"x509CertificateChain": chain})
    except ValueError as error:  # which read_statement, its caller, turns into an error of its own
        raise InputError(str(error) or "none", "") from error


def ssh_signature(path: Path) -> object:
    from edgekit.runtime.signature import check_untampered

    return check_untampered(str(path.parent), b"{}")


def allowed_signers(path: Path) -> object:
    import hostile_seeds as seeds

    from edgekit.runtime.signers import Signed, signer_of

    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "manifest.json.sig").write_bytes(seeds.ssh_signatures()[0])
        return signer_of(Signed(folder, b"{}", {}), str(path))


def journal(path: Path) -> object:
    from edgekit.cluster.search.journal import Journal

    with tempfile.TemporaryDirectory() as folder:  # a torn journal is mended where it lies
        (Path(folder) / "trials.jsonl").write_bytes(path.read_bytes())
        found = Journal(Path(folder))
    return [each.point for each in found.records.values()], [each.setting.words for each in found.records.values()]


def search_settings(path: Path) -> object:
    import hostile_seeds as seeds

    from edgekit.cluster.search.journal import claimed

    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "settings.json").write_bytes(path.read_bytes())
        with claimed(Path(folder), seeds.search()):
            return None


def store_entry(path: Path) -> object:
    from edgekit.store.shared import told_record

    return told_record(path.read_bytes(), KEY)


def store_intake(path: Path) -> object:
    from edgekit.store import Store
    from edgekit.store.intake import Intake

    content = path.read_bytes()
    with tempfile.TemporaryDirectory() as folder:
        store = Store(Path(folder) / "store")
        intake = Intake(store, KEY, len(content))
        try:
            intake.add(content)
            intake.finish()
        finally:
            intake.close()
        return [row.problem for row in store.verify()]


def store_answer(path: Path) -> object:
    """What a server answers to a claim, and to a question for a record."""
    from contextlib import contextmanager
    from types import SimpleNamespace
    from unittest import mock

    from edgekit.store.over_http import OverHttp

    @contextmanager
    def asked(*given: object) -> object:
        yield SimpleNamespace(status=200, read1=io.BytesIO(path.read_bytes()).read1)

    with mock.patch.object(OverHttp, "_asked", asked):  # the network itself: tests/unit/store/test_over_http.py
        return OverHttp("http://127.0.0.1:1").claim(KEY, "me", "it")


def store_index(path: Path) -> object:
    """The index of files, with a checksum that fits: what a store has is believed no further than that."""
    from edgekit.store.index import damage

    return damage(path)


def artifact(path: Path) -> object:
    from edgekit.bundle.modelpack import read_artifact

    return read_artifact(path.read_bytes(), "it")


def devices(path: Path) -> object:
    from edgekit.devices.registry import Registry

    found = Registry(path).all()
    return [each.url for each in found.values()]


def device_facts(path: Path) -> object:
    """What a device answers about itself, of its benches, and of its noise: errors are told as the device's."""
    from pydantic import ValidationError

    from edgekit.devices.facts import DeviceFacts
    from edgekit.devices.timed import BenchAnswer
    from edgekit.errors import InputError
    from edgekit.json_files import json_of

    try:
        told = json_of(path.read_bytes())
        if isinstance(told, dict) and "timed" in told:
            return BenchAnswer.of(told)
        return DeviceFacts.of(told).name
    except (ValueError, ValidationError) as error:
        raise InputError(str(error)[:100], "") from error


def frame(path: Path) -> object:
    from edgekit.errors import InputError
    from edgekit.runtime.frames import receive

    with path.open("rb") as stream:
        try:
            return receive(stream)
        except ValueError as error:
            raise InputError(str(error), "") from error


def tegrastats(path: Path) -> object:
    from edgekit.runtime.tegrastats import module_power_w, parse

    told = [parse(line) for line in path.read_text(errors="replace").split("\n")]
    return [module_power_w(each["rails_w"]) for each in told]


def epochs(path: Path) -> object:
    from edgekit.study.contest import results

    return results(path.parent)


def training_plan(path: Path) -> object:
    from edgekit.training.checkpoint import Plan, kept

    return kept(path.parent, Plan, lambda: (_ for _ in ()).throw(AssertionError))


def onnx(path: Path) -> object:
    from edgekit.cli.process import libraries_in_words
    from edgekit.models.answer import TOLD_NOTHING
    from edgekit.models.canonical import canonical
    from edgekit.models.external_data import digest_with_weights
    from edgekit.models.graph_input import peek
    from edgekit.models.onnx_graph import pixel_facts, takes_pixels
    from edgekit.store.root import file_sha256

    libraries_in_words()
    digest_with_weights(path, file_sha256)
    if takes_pixels(path):
        return pixel_facts(path)
    found = peek(path, TOLD_NOTHING)
    return canonical(path, TOLD_NOTHING, (found.height or 32, found.width or 32)).facts


def weights(path: Path) -> object:
    from edgekit.models.weights import is_pruned, outputs_of, read_weights, removed_branches

    found = read_weights(path)
    return (
        outputs_of(found),
        is_pruned(path),
        removed_branches(path),
        {key: tuple(value.shape) for key, value in found.items()},
    )


def checkpoint(path: Path) -> object:
    import hostile_seeds as seeds

    from edgekit.training.checkpoint import resume

    return resume(path, seeds.trained_parts(), seeds.training(), seeds.fresh_course())
