"""Valid files of each kind, small, that hostile ones are made of."""

from __future__ import annotations

import base64
import io
import json
import struct
import subprocess
import tempfile
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).parents[2]
RECIPES = ROOT / "recipes"
OLD_BUNDLE = ROOT / "tests" / "fixtures" / "bundle-0.1.0"
KEY = "a" * 64


def _files(*paths: Path) -> list[bytes]:
    return [path.read_bytes() for path in sorted(paths)]


def _json(*values: Any) -> list[bytes]:
    return [json.dumps(each).encode() for each in values]


def recipes() -> Sequence[bytes]:
    from edgekit.recipe import Recipe, to_yaml

    return [*_files(*RECIPES.glob("*.yaml")), to_yaml(Recipe()).encode()]


def training_recipes() -> Sequence[bytes]:
    return _files(*(RECIPES / "training").glob("*.yaml"))


def study_recipes() -> Sequence[bytes]:
    return _files(*(RECIPES / "study").glob("*.yaml"))


def matrices() -> Sequence[bytes]:
    return [
        (
            b"models: [inception_v4, {model: inception_v4, name: w, width: 0.5}]\ntargets: [cpu, jetson]\n"
            b"recipes: {a: {prune: none}, b: &b {prune: auto}}\nexclude: [{model: w, target: cpu}]\n"
        ),
        b"- {model: inception_v4, target: cpu, name: one}\n- {model: timm:resnet18, target: cpu, seed: 3}\n",
    ]


def spaces() -> Sequence[bytes]:
    text = (
        "models: [inception_v4]\nwidths: [0.25, 0.5]\nsizes: [96, 48x64]\nprecisions: [int8, fp32]\n"
        "pruning: [none, auto, 0.5]\nimportances: [fisher]\ncalibration_images: [32, 64]\n"
    )
    return [text.encode()]


def locks() -> Sequence[bytes]:
    from edgekit.build.lock import Lock, LockedBlocks, LockedPruning, LockedWidth, to_yaml
    from edgekit.recipe import Recipe

    pruning = LockedPruning(
        importance="fisher",
        widths=(LockedWidth(layer="a", before=(3, 8), after=(3, 6)),),
        units=12,
        keep="fff0",
        blocks=LockedBlocks(there=2, removed=("stage.1",)),
        recovery=None,
    )
    made = Lock(
        recipe=Recipe(),
        made_on="a processor",
        versions={"torch": "2"},
        weights_sha256=None,
        calibration=None,
        precisions=("fp32", "int8"),
        chosen="int8",
        pruning=pruning,
    )
    return [(OLD_BUNDLE / "recipe.lock.yaml").read_bytes(), to_yaml(made).encode()]


def presets() -> Sequence[bytes]:
    return _json(
        {"do_resize": True, "size": {"shortest_edge": 256}, "crop_size": {"height": 224, "width": 224}, "resample": 3,
         "do_center_crop": True, "image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5], "do_normalize": True,
         "rescale_factor": 0.00392156862745098, "image_processor_type": "ViTImageProcessor"},
        {"pretrained_cfg": {"input_size": [3, 224, 224], "crop_pct": 0.95, "mean": [0.5, 0.5, 0.5],
                            "std": [0.5, 0.5, 0.5], "interpolation": "bicubic", "crop_mode": "center"}},
        {"size": 96, "mean": 0.5, "std": 0.5, "color": "rgb", "resize": "letterbox", "pad_color": [1, 2, 3]},
    )  # fmt: skip


def names_in_lines() -> Sequence[bytes]:
    return [b"tench\ngoldfish\nshark\n", b"0: tench\n1: goldfish\n2: shark\n", b"n01440764 tench\nn01443537 goldfish\n"]


def names_in_json() -> Sequence[bytes]:
    return _json(
        ["a", "b", "c"], {"0": "a", "1": "b"}, {"a": 0, "b": 1}, {"names": ["a", "b"]},
        {"0": ["n01440764", "tench"], "1": ["n01443537", "goldfish"]}, [{"name": "a"}, {"name": "b"}],
    )  # fmt: skip


def names_in_yaml() -> Sequence[bytes]:
    return [b"names:\n  0: a\n  1: b\n", b"names: [a, b]\nnc: 2\n"]


def tables() -> Sequence[bytes]:
    return [b"path,label\n0.png,a\n1.png,b\n", b'"file";"class"\n"0.png";0\n"1.png";1\n', b"0.png,1\n1.png,0\n"]


def json_tables() -> Sequence[bytes]:
    return [
        b'{"path": "0.png", "label": "a"}\n{"path": "1.png", "label": "b"}\n',
        b'{"file": "0.png", "labels": [0, 1]}\n',
    ]


def put_pictures(folder: Path) -> None:
    """Two pictures beside a table."""
    from PIL import Image

    for number in range(2):
        Image.new("RGB", (8, 8), (40 * number, 20, 10)).save(folder / f"{number}.png")


def exclusions() -> Sequence[bytes]:
    return [b"# left out\n490\na/1.png  # blurred\nb/x.jpg\n"]


def calibrations() -> Sequence[bytes]:
    from edgekit.data.calibration import CalibrationItem, CalibrationSet, to_json

    items = tuple(CalibrationItem(f"a/{number}.png", f"{number:064x}", number % 2) for number in range(4))
    return [to_json(CalibrationSet("photos", None, "stratified", 0, 2, items)).encode()]


def reports() -> Sequence[bytes]:
    from reports import embedding_report, full_report, multilabel_report

    return [*_json(full_report(), embedding_report(), multilabel_report()), (OLD_BUNDLE / "report.json").read_bytes()]


def manifest() -> dict[str, Any]:
    """A bundle's manifest that names no files."""
    return {
        "kind": "edgekit-bundle", "schema": 2, "precision": "int8", "labels": ["a", "b", "c", "d"],
        "model": {"name": "tiny", "tag": None, "classes": 4, "params": 1, "macs": 2, "input": [1, 3, 8, 8]},
        "target": {"name": "cpu", "runtime": "openvino", "runtime_version": "1", "plugin": None, "features": ["avx2"]},
        "input": {"name": "image", "dtype": "uint8", "shape": [1, 8, 8, 3], "layout": "NHWC", "color": "RGB"},
        "preprocessing": {"size": 8, "crop_fraction": 0.875, "interpolation": "bicubic", "mean": [0.5] * 3,
                          "std": [0.5] * 3, "color": "rgb", "resize": "pad", "pad_color": [1, 2, 3], "exif": True},
        "output": {"name": "x", "activation": "softmax", "task": "classify", "threshold": None},
        "arithmetic": {"int8_sums": "exact", "features": ["avx512_vnni"]},
        "engine_settings": {"typed": True, "batches": [1, 8], "dla_core": 0, "workspace_bytes": 1 << 20},
        "versions": {"edgekit": "1"}, "licenses": {"weights": "MIT", "data": None}, "files": {},
    }  # fmt: skip


def manifests() -> Sequence[bytes]:
    digest = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"
    with_file = {**manifest(), "files": {"model.onnx": {"sha256": digest, "size_bytes": 5}}}
    return [*_json(with_file, manifest()), (OLD_BUNDLE / "manifest.json").read_bytes()]


def put_bundle(folder: Path) -> None:
    """The file that the first manifest names."""
    (folder / "model.onnx").write_bytes(b"hello")


def golden() -> Sequence[bytes]:
    made = io.BytesIO()
    inputs, logits = np.zeros((2, 8, 8, 3), np.uint8), np.zeros((2, 4), np.float32)
    np.savez_compressed(made, inputs=inputs, logits=logits)
    plain = io.BytesIO()
    np.savez(plain, inputs=inputs, logits=logits)
    return [made.getvalue(), plain.getvalue()]


def answers() -> Sequence[bytes]:
    from edgekit.bundle.answers import Answers

    right = np.arange(9) % 2 == 0
    return [Answers(np.zeros((9, 8), np.uint8), np.zeros(9, np.int32), right, right[:4]).to_bytes()]


@cache
def pictures() -> Sequence[bytes]:
    """A small picture in each format that is read and can be written here."""
    from PIL import Image

    dice = np.random.Generator(np.random.PCG64(1))
    colour = Image.fromarray(dice.integers(0, 256, (12, 16, 3), dtype=np.uint8))
    made = []
    for name, options in (
        *(
            ("PNG", {}),
            ("JPEG", {}),
            ("JPEG", {"progressive": True}),
            ("BMP", {}),
            ("WEBP", {}),
            ("PPM", {}),
            ("GIF", {}),
        ),
        *(
            ("TIFF", {}),
            ("TIFF", {"compression": "tiff_lzw"}),
            ("TIFF", {"compression": "jpeg"}),
            ("TGA", {}),
            ("ICO", {}),
        ),
        *(("DIB", {}), ("PCX", {}), ("SGI", {}), ("JPEG2000", {}), ("AVIF", {}), ("DDS", {}), ("QOI", {}), ("MPO", {})),
    ):
        into = io.BytesIO()
        try:
            colour.save(into, name, **options)
        except (OSError, KeyError, ValueError):  # not compiled in here
            continue
        made.append(into.getvalue())
    for mode in ("I;16", "F", "P", "LA", "1", "CMYK"):
        into = io.BytesIO()
        source = (
            Image.fromarray(dice.integers(0, 256, (8, 8), dtype=np.uint8)) if mode in ("I;16", "F", "LA") else colour
        )
        source.convert(mode).save(into, "TIFF")
        made.append(into.getvalue())
    exif = Image.Exif()
    exif[0x0112] = 6
    into = io.BytesIO()
    colour.save(into, "JPEG", exif=exif.tobytes())
    return [*made, into.getvalue()]


@cache
def graphs() -> Sequence[bytes]:
    """Two networks: one of edgekit's own, which takes pixels, and one from outside with branches and constants."""
    import onnx
    from bundles import network
    from onnx import TensorProto, helper, numpy_helper

    with tempfile.TemporaryDirectory() as folder:
        own = onnx.load(str(network(Path(folder) / "own.onnx", 16)))
    for number, node in enumerate(own.graph.node):
        node.name = f"edgekit_{number}"  # by which it is known
    nodes = [
        helper.make_node("Conv", ["x", "w1"], ["c"], strides=[2, 2], pads=[1, 1, 1, 1], name="first"),
        helper.make_node("BatchNormalization", ["c", "one", "nil", "nil", "one"], ["b"]),
        helper.make_node("Relu", ["b"], ["r"]),
        helper.make_node("Shape", ["r"], ["s"]),
        helper.make_node("Gather", ["s", "i0"], ["n"]),
        helper.make_node("Concat", ["n", "minus"], ["to"], axis=0),
        helper.make_node("ConstantOfShape", ["i2"], ["zeros"]),
        helper.make_node("GlobalAveragePool", ["r"], ["p"]),
        helper.make_node("Reshape", ["p", "to"], ["f"]),
        helper.make_node("Gemm", ["f", "w2"], ["g"], transB=1),
        helper.make_node("Add", ["g", "zeros"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["y"], axis=1),
    ]
    given = {
        "w1": np.full((4, 3, 3, 3), 0.1, np.float32), "w2": np.eye(5, 4, dtype=np.float32),
        "one": np.ones(4, np.float32),
        "nil": np.zeros(4, np.float32),
        "i0": np.array([0]), "minus": np.array([-1]), "i2": np.array([1, 5]),
    }  # fmt: skip
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 3, 16, 16])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 5])],
        [numpy_helper.from_array(array, name) for name, array in given.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.helper.set_model_props(model, {"names": "['a', 'b', 'c', 'd', 'e']"})
    return [model.SerializeToString(), own.SerializeToString()]


def graphs_with_names() -> Sequence[bytes]:
    return graphs()[:1]


@cache
def graphs_with_files() -> Sequence[bytes]:
    """The network from outside with its weights in a file beside it, as the case's folder has one."""
    import onnx

    model = onnx.load_from_string(graphs()[0])
    for tensor in model.graph.initializer:
        if tensor.name == "w1":
            size = len(tensor.raw_data)
            tensor.ClearField("raw_data")
            tensor.data_location = onnx.TensorProto.EXTERNAL
            for key, value in (("location", "weights.bin"), ("offset", "0"), ("length", str(size))):
                tensor.external_data.add(key=key, value=value)
    return [model.SerializeToString()]


def put_weights(folder: Path) -> None:
    """What that network keeps beside itself; and links that lead elsewhere."""
    (folder / "weights.bin").write_bytes(b"\0" * 432)
    (folder / "link.bin").symlink_to("/etc/hostname")


@cache
def _signer() -> Any:
    from cryptography.hazmat.primitives.asymmetric import ec

    return ec.derive_private_key(0xDEADBEEF, ec.SECP256R1())


def public_keys() -> Sequence[bytes]:
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    return [_signer().public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)]


@cache
def _signed() -> tuple[bytes, bytes]:
    """A signature by a key of OpenSSF Model Signing's form, and the statement in it."""
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    from edgekit.bundle.oms_signing import sign

    with tempfile.TemporaryDirectory() as folder:
        from edgekit.bundle.directory import write_bundle
        from edgekit.bundle.manifest import Manifest

        key = Path(folder) / "key"
        key.write_bytes(_signer().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        bundle = write_bundle(Path(folder) / "bundle", {"model.onnx": b"hello"}, Manifest.of(manifest()))
        sign(bundle, key)
        signature = (bundle / "model.sig").read_bytes()
    return signature, base64.b64decode(json.loads(signature)["dsseEnvelope"]["payload"])


def model_signatures() -> Sequence[bytes]:
    return [_signed()[0]]


def statements() -> Sequence[bytes]:
    return [_signed()[1]]


@cache
def certificates() -> Sequence[bytes]:
    from datetime import datetime, timedelta, timezone

    from cryptography import x509
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.serialization import Encoding
    from cryptography.x509.oid import NameOID

    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "fuzz")])
    now = datetime.now(timezone.utc)
    made = (
        x509.CertificateBuilder(name, name, _signer().public_key(), 1, now - timedelta(1), now + timedelta(1))
        .add_extension(x509.BasicConstraints(True, None), True)
        .sign(_signer(), SHA256())
    )
    return [made.public_bytes(Encoding.PEM), made.public_bytes(Encoding.DER)]


@cache
def _ssh() -> tuple[bytes, bytes]:
    with tempfile.TemporaryDirectory() as folder:
        key, told = Path(folder) / "key", Path(folder) / "told"
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "x", "-f", str(key)], check=True)
        told.write_bytes(b"{}")
        command = ["ssh-keygen", "-q", "-Y", "sign", "-n", "edgekit", "-f", str(key), str(told)]
        subprocess.run(command, check=True, capture_output=True)
        return told.with_suffix(".sig").read_bytes(), b"ada@example.com " + key.with_suffix(".pub").read_bytes()


def ssh_signatures() -> Sequence[bytes]:
    return [_ssh()[0]]


def allowed_signers() -> Sequence[bytes]:
    return [_ssh()[1], public_keys()[0]]


def search() -> Any:
    """What a search is of."""
    from search_samples import settings_of

    return settings_of()


def journals() -> Sequence[bytes]:
    from search_samples import FIRST, complete

    return ["".join(complete(n, FIRST, 0.5, 0.7).model_dump_json() + "\n" for n in range(2)).encode()]


def search_settings() -> Sequence[bytes]:
    return [search().model_dump_json().encode()]


def _entry() -> dict[str, Any]:
    digest = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"
    files = {"x.bin": {"sha256": digest, "size_bytes": 5, "time_ns": 1}}
    return {"stage": "export", "key": KEY, "seconds": 1.5, "files": files, "subject": {"model": "m", "target": "cpu"}}


def entries() -> Sequence[bytes]:
    return _json(_entry())


def intakes() -> Sequence[bytes]:
    return [json.dumps(_entry()).encode() + b"\nhello"]


def store_answers() -> Sequence[bytes]:
    return _json({"yours": True, "holder": "me"})


def indexes() -> Sequence[bytes]:
    import hashlib

    from edgekit.store.index import MAGIC

    payload = json.dumps({"folder": "/x", "reader": "", "count": 0}).encode() + b"\n"
    return [MAGIC + hashlib.sha256(payload).digest() + payload]


def artifacts() -> Sequence[bytes]:
    from edgekit.bundle.modelpack import ARTIFACT, CONFIG, FILE_NAME, OciManifest, descriptor_of, media_type_of

    layers = tuple(
        descriptor_of(name.encode(), media_type_of(name)).model_copy(update={"annotations": {FILE_NAME: name}})
        for name in ("manifest.json", "model.onnx")
    )
    return [OciManifest(artifact_type=ARTIFACT, config=descriptor_of(b"{}", CONFIG), layers=layers).written()]


def devices() -> Sequence[bytes]:
    return _json({"orin": {"host": "10.0.0.2", "user": "ada", "port": 22, "python": "python3"}, "pi": {"host": "pi"}})


def device_facts() -> Sequence[bytes]:
    facts = {
        "model": "a board", "architecture": "aarch64", "cpu": "Cortex", "cores": 8, "memory_bytes": 1 << 30,
        "free_disk_bytes": 1 << 30, "system": "Linux 5", "python": "3.10", "l4t": None, "jetpack": None, "cuda": None,
        "runtimes": {"openvino": "1"}, "power_mode": None, "temperatures_c": {"cpu": 50.0}, "clocks_mhz": {"cpu": 1.0},
    }  # fmt: skip
    timed = {"blocks": [[1.0, 2.0]], "warmup": 1, "steady": True, "throughput_ips": 1.0, "energy_j": None}
    conditions = {
        "source": None, "rails": [], "seconds": 1.0, "samples": 0, "mean_power_w": None, "energy_j": None,
        "other_power_w": {}, "temperatures_c": {}, "clocks_mhz": {}, "throttled": None, "throttle_reasons": [],
        "allowed_clocks_mhz": {}, "power_mode": None,
    }  # fmt: skip
    return _json(facts, {"timed": {"a": timed}, "conditions": conditions})


def frames() -> Sequence[bytes]:
    told = json.dumps({"shape": [1, 2], "bytes": 8}).encode()
    return [struct.pack(">I", len(told)) + told + b"\0" * 8]


def tegrastats() -> Sequence[bytes]:
    rows = (ROOT / "tests/unit/runtime/recorded/tegrastats.txt").read_text().splitlines()
    return [row.partition("|")[2].encode() for row in rows if not row.startswith("#")]


def epochs() -> Sequence[bytes]:
    return [b'{"epoch": 1, "error": 50.0, "loss": 2.0, "dead": 0.0, "feature_rms": 1.0}\n']


def _training() -> Any:
    from edgekit.training.recipe import Stage, TrainingRecipe

    return TrainingRecipe(stages=(Stage(size=(16, 16), images=8, batch=4),))


def plans() -> Sequence[bytes]:
    from edgekit.training.checkpoint import Plan

    return [Plan(recipe=_training(), step_seconds=(0.1,), looks=(0.5,)).model_dump_json().encode()]


@cache
def torch_files() -> Sequence[bytes]:
    import torch

    state = {"conv.weight": torch.zeros(4, 3, 1, 1), "bn.num_batches_tracked": torch.tensor(1)}
    made = []
    for options in ({}, {"_use_new_zipfile_serialization": False}):
        into = io.BytesIO()
        torch.save({"state_dict": state, "epoch": 1}, into, **options)
        made.append(into.getvalue())
    return made


@cache
def safetensors() -> Sequence[bytes]:
    import torch
    from safetensors.torch import save

    state = {"conv.weight": torch.zeros(4, 3, 1, 1), "half": torch.zeros(3, dtype=torch.float16)}
    return [save(state, {"edgekit.pruned": "yes", "edgekit.removed": '[["stage.1", "stage.1.conv"]]'})]


@cache
def keras_files() -> Sequence[bytes]:
    """The groups of a Keras file; its arrays are too many to be changed one by one."""
    import h5py

    into = io.BytesIO()
    with h5py.File(into, "w") as file:
        file["model_weights/Conv2d_1a_3x3/Conv2d_1a_3x3/kernel:0"] = np.zeros((3, 3, 3, 32), np.float32)
        file["model_weights/Bottleneck/Bottleneck/kernel:0"] = np.zeros((4, 4), np.float32)
    return [into.getvalue()]


def training() -> Any:
    """The recipe of the checkpoint."""
    return _training()


def trained_parts() -> Any:
    """What a checkpoint is of."""
    import torch

    return {"network": torch.nn.Linear(2, 2)}


def fresh_course() -> Any:
    from edgekit.training.checkpoint import Course
    from edgekit.training.schedule import Schedule

    return Course(Schedule.planned(_training()), 1, "fp32")


@cache
def checkpoints() -> Sequence[bytes]:
    from edgekit.training.checkpoint import save

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "checkpoint.pt"
        save(path, trained_parts(), _training(), fresh_course())
        return [path.read_bytes()]
