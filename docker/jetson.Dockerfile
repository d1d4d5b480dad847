# What a Jetson runs: edgekit's device runtime on NVIDIA's L4T TensorRT image. Build it on the Jetson, from the top:
#   docker build -f docker/jetson.Dockerfile -t edgekit:jetson .
# Not built in CI, and not yet run on hardware. JetPack 5: --build-arg BASE=nvcr.io/nvidia/l4t-tensorrt:r8.5.2-runtime
ARG BASE=nvcr.io/nvidia/l4t-tensorrt:r10.3.0-runtime
FROM ${BASE}
RUN apt-get update && apt-get install -y --no-install-recommends python3-numpy && rm -rf /var/lib/apt/lists/*
# The package is sent to devices under this name too; it imports nothing of the rest of edgekit.
COPY edgekit/runtime /opt/edgekit/edgekit_runtime
ENV PYTHONPATH=/opt/edgekit EDGEKIT_ENGINES=/engines PYTHONUNBUFFERED=1
RUN mkdir -m 1777 /engines
USER 1000:1000
# Opens the bundle mounted at /bundle, which builds its engine there at first use, and compares its golden outputs.
CMD ["python3", "-c", "from edgekit_runtime import Bundle; print(Bundle.open('/bundle').check_golden())"]
