# edgekit for NVIDIA GPUs. Build it from the top of the repository:
#   docker build -f docker/gpu.Dockerfile --target build -t edgekit:gpu .                             # edgekit itself
#   docker build -f docker/gpu.Dockerfile --build-arg BUNDLE=build/inception_v4-gpu -t classifier .   # one bundle
# Not built in CI, and not yet run on hardware.
ARG TENSORRT=nvcr.io/nvidia/tensorrt:25.08-py3
ARG CUDA=nvidia/cuda:13.0.0-base-ubuntu24.04

# The tag decides TensorRT, CUDA and Python; the image brings all three.
FROM ${TENSORRT} AS build
WORKDIR /src
# A virtual environment that sees the image's own TensorRT and nothing else of it needs no index of NVIDIA's.
RUN python3 -m venv --system-site-packages /opt/edgekit
COPY .lock/cpu.txt .lock/gpu.txt .lock/torch.txt .lock/
RUN /opt/edgekit/bin/pip install --no-cache-dir --no-deps --only-binary :all: --require-hashes \
    -r .lock/cpu.txt -r .lock/gpu.txt \
 && /opt/edgekit/bin/pip install --no-cache-dir -r .lock/torch.txt
COPY pyproject.toml README.md LICENSE ./
COPY recipes recipes
COPY calibration calibration
COPY edgekit edgekit
RUN /opt/edgekit/bin/pip install --no-cache-dir --no-deps --no-build-isolation .
ENV PATH=/opt/edgekit/bin:$PATH EDGEKIT_CACHE=/cache PYTHONUNBUFFERED=1
RUN mkdir -m 1777 /cache /work
WORKDIR /work
USER 1000:1000
ENTRYPOINT ["edgekit"]
CMD ["--help"]

# TensorRT's wheel on CUDA's smallest image, instead of the developers' image above.
FROM ${CUDA} AS runtime-packages
WORKDIR /src
# hadolint ignore=DL3008
RUN apt-get update && apt-get install -y --no-install-recommends python3-pip python3-venv && rm -rf /var/lib/apt/lists/*
COPY .lock/runtime.txt .lock/
# TensorRT's package on the index fetches the libraries from NVIDIA: it has no hash of its own.
RUN python3 -m venv /opt/runtime \
 && /opt/runtime/bin/pip install --no-cache-dir --no-deps --only-binary :all: --require-hashes -r .lock/runtime.txt \
 && /opt/runtime/bin/pip install --no-cache-dir tensorrt-cu13==10.13.2.6

FROM ${CUDA} AS runtime
# hadolint ignore=DL3008
RUN apt-get update && apt-get install -y --no-install-recommends python3 && rm -rf /var/lib/apt/lists/*
COPY --from=runtime-packages /opt/runtime /opt/runtime
COPY edgekit/runtime/*.py /opt/edgekit/edgekit/runtime/
COPY docker/edgekit-runtime /usr/local/bin/
ENV PATH=/opt/runtime/bin:$PATH PYTHONPATH=/opt/edgekit EDGEKIT_ENGINES=/engines PYTHONUNBUFFERED=1
# The engine is built here at first use: give it a volume, or it is built again in every container.
RUN mkdir -m 1777 /engines
ARG BUNDLE=build/inception_v4-gpu
COPY ${BUNDLE} /bundle
RUN edgekit-runtime verify /bundle --no-golden >&2
USER 1000:1000
HEALTHCHECK --interval=5m --timeout=30s CMD ["edgekit-runtime", "verify", "/bundle", "--no-golden"]
ENTRYPOINT ["edgekit-runtime"]
CMD ["verify", "/bundle"]
