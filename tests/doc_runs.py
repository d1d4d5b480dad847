"""How each command of the documentation is run by tests/integration/test_commands_in_docs.py: data, and nothing else.

A command is run as its page has it, in a sandbox, but for what stands here: small networks in the place of others,
words that a verb gets to be quick, and the rows of commands that need more. A row that no page needs any more fails.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

SWAPS: Final[Mapping[str, str]] = {
    "inception_v4": "shipped.onnx",
    "inception_v4.tf_in1k": "shipped.onnx",
    "inception_resnet_v1": "second.onnx",
    "inception_resnet_v2": "third.onnx",
    "inception_resnet_v2.tf_in1k": "second.onnx",
    "inception_resnet_v2.tf_ens_adv_in1k": "third.onnx",
    "A": "second.onnx",
    "B": "third.onnx",
    "BUNDLE": "build/inception_v4-cpu",
    "NAME": "rtx",
    **{
        f"build/inception_v4-jetson-{board}": "build/inception_v4-jetson"
        for board in ("nano", "tx2", "xavier-nx", "agx-xavier", "orin-nano", "orin-nx", "agx-orin", "thor")
    },
    "ssh://me@board": "orin",
    "ssh://user@board": "orin",
    "ssh://user@jetson": "orin",
}
"""What stands in for what, in the words of all commands and in their lists with commas."""

UNDER: Final[Mapping[str, tuple[str, ...]]] = {
    "build": ("--recipe", "quick.yaml"),
    "evaluate": ("--data", "photos/"),
    "quantize": ("--calibration", "more/", "--calibration-images", "16"),
    "prune": ("--train-data", "train/", "--data", "eval/", "--recovery-images", "32", "--no-sensitivity"),
}
"""What a verb gets first, so that what the page says goes before it."""

OVER: Final[Mapping[str, tuple[str, ...]]] = {
    "evaluate": ("--images", "24"),
    "device bench": ("--runtime", "onnxruntime", "--runs", "30", "--max-seconds", "0.3"),
    "device deploy": ("--runtime", "onnxruntime"),
    "device evaluate": ("--runtime", "onnxruntime", "--images", "24"),
}
"""What a verb gets last, before what the page says: fewer images, and on devices another runtime than a Jetson's."""


PAGES: Final[Mapping[str, str]] = {
    "docs/tutorial.md": "tests/integration/test_tutorial.py::test_all_of_it_in_its_order",
}
"""Pages whose commands belong together: the test that runs all of them, in their order."""


@dataclass(frozen=True)
class Row:
    """How one command is run, or by whom.

    Attributes:
        command: as the page has it; a command that several pages have is one row.
        swaps: what stands in for what, beside SWAPS; nothing leaves the word out. more: what it gets beside, last.
        before: commands that come first, in the same folder.
        codes: what it may end with; says: what it must say where that is not 0.
        elsewhere: the test that runs it, and `why` it is not run here.
    """

    command: str
    swaps: Mapping[str, str] | None = None
    more: tuple[str, ...] = ()
    before: tuple[str, ...] = ()
    codes: tuple[int, ...] = (0,)
    says: str = ""
    elsewhere: str = ""
    why: str = ""


_WHEEL: Final = "dist/inception_edgekit-0.2.0-py3-none-any.whl"
_NO_ROOT: Final = "there is no arm64 root"
_PLAIN_SIGN: Final = "edgekit sign build/inception_v4-cpu --key ~/.ssh/id_ed25519"
_OMS_SIGN: Final = "edgekit sign build/inception_v4-cpu --format oms --key key.pem"
_DEPLOY: Final = "edgekit device deploy orin build/inception_v4-jetson --to /opt/models/signs --runtime onnxruntime"
_CERTIFICATES: Final = "tests/unit/bundle/test_certificates.py::test_an_authority_vouches_for_the_signer"
_SEARCH: Final = "tests/integration/test_search_on_ray.py::test_a_whole_search_leaves_its_front"
_SEARCH_FAR: Final = (
    "edgekit search --model inception_v4 --space space.yaml --cluster ray://head:10001 --workers 8 --out search"
)
_SEARCH_LOCK: Final = "tests/integration/test_search_on_ray.py::test_a_point_of_the_front_is_built_again_from_its_lock"
_TIMM: Final = "tests/integration/test_timm.py::test_a_build_with_the_weights_that_timm_names"
_RECIPES: Final = "tests/integration/test_recipes_build.py"
_DEVICES: Final = "tests/integration/test_devices.py::test_a_build_is_judged_and_timed_on_the_device"
_PRUNING: Final = "tests/e2e/test_pruning.py::test_an_onnx_network_is_pruned_alone_and_quantized"
_TRUST: Final = "tests/e2e/test_trust.py::test_push_and_pull"


_MATRIX: Final = "tests/e2e/test_build_matrix.py::test_all_are_built"
_MATRIX_JSON: Final = "tests/e2e/test_build_matrix.py::test_again_everything_is_there_and_json_is_one_object"
_MATRIX_CLUSTER: Final = "tests/integration/test_matrix_cluster.py::test_the_command_on_a_cluster"
_SEVERAL: Final = "it builds several"
_ACROSS: Final = "tests/unit/report/test_across.py::test_the_verb"
_SERVE: Final = "tests/integration/test_cache_serve.py::test_read_only_on_loopback"
_WRITE: Final = "tests/integration/test_cache_serve.py::test_written_with_a_token"
_FETCH: Final = "tests/integration/test_cache_serve.py::test_a_build_takes_all_from_a_server"


def _without_a_root(*commands: str) -> tuple[Row, ...]:
    return tuple(Row(each, codes=(4,), says=_NO_ROOT) for each in commands)


ROWS: Final[tuple[Row, ...]] = (
    Row("edgekit init", more=("mine.yaml",)),
    Row("edgekit build --model inception_v4 --store /mnt/shared/edgekit", swaps={"/mnt/shared/edgekit": "shared"}),
    Row("edgekit compile --target igpu", more=("net.onnx", "--out", "compiled")),
    Row("edgekit evaluate --crops 144 --ensemble A,B,...", swaps={"A,B,...": "second.onnx"}, more=("net.onnx",)),
    Row(
        "edgekit evaluate --model inception_v4.tf_in1k --data val/ --crops 144 --ensemble inception_resnet_v2.tf_in1k,"
        "inception_resnet_v2.tf_ens_adv_in1k,inception_resnet_v2=third.safetensors",
        swaps={"inception_resnet_v2=third.safetensors": "fourth.onnx"},
    ),
    # What is not here: a GPU or NPU of Intel's, TensorRT on the device, the arm64 root.
    Row("edgekit build --model inception_v4 --target gpu", codes=(0, 4), says="there is no NVIDIA GPU here"),
    Row("edgekit build --model inception_v4 --target igpu", codes=(0, 4), says="OpenVINO sees no GPU"),
    Row("edgekit build --model inception_v4 --target npu --prune 0.3", codes=(0, 4), says="OpenVINO sees no NPU"),
    Row("edgekit build --model inception_v4 --target jetson --device orin", codes=(4,), says="has no tensorrt"),
    Row(
        "edgekit build --model inception_v4 --target jetson --device ssh://user@jetson",
        codes=(4,),
        says="has no tensorrt",
    ),
    Row(
        "edgekit device share orin orin-2,orin-3 build/inception_v4-jetson",
        codes=(4,),
        says="tensorrt",
    ),
    *_without_a_root(
        "edgekit verify build/inception_v4-raspberry-pi-5 --emulate raspberry-pi-5",
        "edgekit verify build/inception_v4-raspberry-pi-5 --emulate raspberry-pi-5 --images 30",
        "edgekit verify build/net --emulate arm64-i8mm --images 30 --data photos/ --json",
        "edgekit verify build/inception_v4-cpu --emulate arm64",
        "edgekit verify build/inception_v4-cpu --emulate arm64 --runtime openvino",
    ),
    # What must come before.
    Row(
        "edgekit verify build/inception_v4-cpu --allowed-signers signers --identity me@example.com",
        before=(_PLAIN_SIGN,),
    ),
    Row("edgekit verify build/inception_v4-cpu --key key.pub.pem", before=(_OMS_SIGN,)),
    Row("edgekit device rollback orin /opt/models/signs", before=(_DEPLOY, _DEPLOY.replace("jetson", "cpu"))),
    Row("edgekit train --recipe signs-half --out half", more=("--width", "0.05", "--stop-after", "1")),
    Row(
        "edgekit compare build/old build/new --across-devices --remeasure --max-drop 0.5 --max-latency 5% --max-size 5%"
        " --markdown compare.md --junit gates.xml",
        more=("--max-latency", "100x", "--runs", "30"),
    ),
    Row(
        "edgekit compare build/old build/new --remeasure --max-latency 5%",
        more=("--max-latency", "100x", "--runs", "30"),
    ),
    Row("edgekit prune --model inception_v4 --out pruned", more=("--prune", "0.3")),
    # What another test runs.
    *(
        Row(command, elsewhere=_SEARCH, why="it starts a cluster, and makes many networks")
        for command in (
            "edgekit search --model inception_v4 --out search",
            "edgekit search --model net.onnx --data eval/ --train-data train/ --trials 20 --out search",
            _SEARCH_FAR,
        )
    ),
    Row(
        "edgekit build --locked search/front/trial-007/recipe.lock.yaml --out build/net",
        elsewhere=_SEARCH_LOCK,
        why="it needs a search",
    ),
    *(
        Row(command, elsewhere=test, why=why)
        for command, test, why in (
            ("edgekit build --matrix release.yaml --out release", f"{_MATRIX}_but_the_one_that_cannot_be", _SEVERAL),
            ("edgekit build --matrix release.yaml --out release --json", _MATRIX_JSON, _SEVERAL),
            ("edgekit build --matrix release.yaml --out release --sign ~/.ssh/id_ed25519", _MATRIX_JSON, _SEVERAL),
            ("edgekit build --matrix release.yaml --out release --cluster", _MATRIX_CLUSTER, "it starts Ray"),
            ("edgekit report --across release --out release/index.html", _ACROSS, "it reads what a matrix leaves"),
            ("edgekit cache serve", _SERVE, "it serves until it is interrupted"),
            ("edgekit cache serve --port 8321", _SERVE, "it serves until it is interrupted"),
            ("edgekit cache serve --host 0.0.0.0 --port 8321 --token-file token --write", _WRITE, "it listens"),
            ("edgekit build --model inception_v4 --store http://127.0.0.1:8321", _FETCH, "it needs that server"),
        )
    ),
    *(
        Row(command, elsewhere=f"tests/integration/{test}", why="it runs a server")
        for command, test in (
            (
                "edgekit build --model inception_v4 --track mlflow",
                "test_tracking.py::test_a_build_is_tracked_at_its_end",
            ),
            ("edgekit report build/inception_v4-cpu --track mlflow", "test_tracking.py::test_a_build_is_a_run"),
            (
                "edgekit build --model inception_v4 --push-to-hub me/signs-cpu",
                "test_hub_bundles.py::test_a_build_is_published",
            ),
            ("edgekit push build/inception_v4-cpu hf://me/signs-cpu", "test_hub_bundles.py::test_push_and_pull"),
            ("edgekit pull hf://me/signs-cpu signs", "test_hub_bundles.py::test_push_and_pull"),
        )
    ),
    *(
        Row(command, elsewhere=f"tests/integration/{test}", why="it starts Ray")
        for command, test in (
            (
                "edgekit evaluate --model inception_v4 --cluster --workers 2",
                "test_cluster_evaluate.py::test_signs_have_the_same_answers",
            ),
            (
                "edgekit evaluate --model inception_v4.tf_in1k --data val/ --crops 144 --cluster auto",
                "test_cluster_joined.py::test_two_nodes_share_the_work",
            ),
            (
                f"edgekit evaluate --model inception_v4 --cluster auto --wheel {_WHEEL}",
                "test_cluster_joined.py::test_a_node_with_another_edgekit_is_refused_or_given_this_one",
            ),
            (
                "edgekit evaluate --model inception_v4.tf_in1k --data val/ --cluster ray://head:10001 --send-data",
                "test_cluster_joined.py::test_images_that_a_node_does_not_see_are_named_or_sent",
            ),
        )
    ),
    Row(
        "edgekit build --model inception_v4 --prune 0.3",
        elsewhere="tests/e2e/test_pruning.py::test_a_ratio_is_pruned_recovered_quantized_and_judged_as_one",
        why="it trains",
    ),
    Row(
        "edgekit train --recipe paper",
        elsewhere="tests/e2e/test_train_verb.py::test_train_stop_go_on_and_evaluate",
        why="it takes weeks",
    ),
    Row("edgekit build --model inception_v4 --device orin", elsewhere=_DEVICES, why="as long as all others here"),
    Row("edgekit build --model net.onnx --data eval/ --train-data train/", elsewhere=_PRUNING, why="as long as that"),
    Row(
        "edgekit sign build/inception_v4-cpu --format oms --key key.pem --certificate me.pem --certificate between.pem",
        elsewhere=_CERTIFICATES,
        why="it makes an authority and its certificates",
    ),
    Row(
        "edgekit verify build/inception_v4-cpu --authority company.pem",
        elsewhere=_CERTIFICATES,
        why="it makes an authority and its certificates",
    ),
    Row(
        "edgekit push build/inception_v4-cpu registry.example.com/models/signs:1.0",
        elsewhere=_TRUST,
        why="it runs a registry",
    ),
    Row(
        "edgekit pull registry.example.com/models/signs:1.0 signs --key key.pub.pem",
        elsewhere=_TRUST,
        why="it runs a registry",
    ),
    Row("edgekit build --model timm:resnet18 --data photos/", elsewhere=_TIMM, why="it needs timm and a hub"),
    Row(
        "edgekit build --model timm:resnet18 --weights mine.pth --num-classes 10 --data photos/",
        elsewhere=_TIMM,
        why="it needs timm",
    ),
    Row("edgekit build --model timm:mobilenetv3_small_100 --weights random", elsewhere=_TIMM, why="it needs timm"),
    Row(
        "edgekit build --model inception_resnet_v1_face --weights facenet_keras.h5 --data faces/ --prune none",
        elsewhere="tests/integration/test_recipes_build.py::test_the_face_network",
        why="it makes weights of the network",
    ),
    Row(
        "edgekit study --recipe residual --out study",
        elsewhere="tests/unit/study/test_study.py::test_a_study_runs_tells_and_is_not_run_again",
        why="it takes an hour",
    ),
    Row(
        "edgekit build --model inception_v4 --weights half/weights.safetensors --width 0.5 --num-classes 24"
        " --data signs --images 2400 --train-data signs --calibration calibration/signs.json --latency-budget 3.65"
        " --recovery-minutes 7",
        elsewhere="tests/e2e/test_pruning.py::test_random_weights_meet_a_latency_budget_without_training",
        why="its weights take hours to train",
    ),
    Row(
        "edgekit build --model inception_v4 --weights inception_v4.safetensors --crop-fraction 0.875",
        elsewhere="tests/integration/test_hub.py::test_a_build_with_public_weights",
        why="it needs the public weights",
    ),
    *(
        Row(f"edgekit build --recipe {file}", elsewhere=f"{_RECIPES}::{test}", why="it runs every recipe")
        for file, test in (
            ("recipes/cpu.yaml", "test_for_the_processor"),
            ("recipes/raspberry-pi.yaml", "test_for_others_without_one"),
            ("recipes/jetson.yaml", "test_for_others_without_one"),
            ("recipes/jetson-nano.yaml", "test_for_others_without_one"),
            ("recipes/rtx.yaml", "test_for_others_without_one"),
            ("own-onnx.yaml", "test_an_onnx_file_and_photos"),
            ("recipes/imagenet.yaml", "test_public_weights"),
            ("face.yaml", "test_the_face_network"),
            ("ci-gate.yaml --out build/new", "test_an_onnx_file_and_photos"),
        )
    ),
)
