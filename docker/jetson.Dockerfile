# One bundle with edgekit's device runtime, on NVIDIA's L4T TensorRT image. Build it on the Jetson, from the top:
#   docker build -f docker/jetson.Dockerfile --build-arg BUNDLE=build/inception_v4-jetson -t classifier .
# Not built in CI, and not yet run on hardware. JetPack 5: --build-arg BASE=nvcr.io/nvidia/l4t-tensorrt:r8.5.2-runtime
ARG BASE=nvcr.io/nvidia/l4t-tensorrt:r10.3.0-runtime
# Checks the bundle on any machine: what is damaged never reaches the device's image.
ARG PYTHON=python:3.11.13-slim-bookworm

FROM ${PYTHON} AS checked
WORKDIR /src
COPY .lock/runtime.txt .lock/
RUN pip install --no-cache-dir --no-deps --only-binary :all: --require-hashes -r .lock/runtime.txt
COPY edgekit/runtime/*.py /opt/edgekit/edgekit/runtime/
COPY docker/edgekit-runtime /usr/local/bin/
ARG BUNDLE=build/inception_v4-jetson
COPY ${BUNDLE} /bundle
RUN PYTHONPATH=/opt/edgekit edgekit-runtime verify /bundle --no-golden

FROM ${BASE} AS runtime
# The distribution's own, which fit its Python, whatever JetPack it is. hadolint: versions that it drops cannot be pinned.
# hadolint ignore=DL3008
RUN apt-get update && apt-get install -y --no-install-recommends python3-numpy python3-pil && rm -rf /var/lib/apt/lists/*
COPY --from=checked /opt/edgekit /opt/edgekit
COPY --from=checked /usr/local/bin/edgekit-runtime /usr/local/bin/
COPY --from=checked /bundle /bundle
ENV PYTHONPATH=/opt/edgekit EDGEKIT_ENGINES=/engines PYTHONUNBUFFERED=1
# The engine is built here at first use: give it a volume, or it is built again in every container.
RUN mkdir -m 1777 /engines
USER 1000:1000
HEALTHCHECK --interval=5m --timeout=30s CMD ["edgekit-runtime", "verify", "/bundle", "--no-golden"]
ENTRYPOINT ["edgekit-runtime"]
CMD ["verify", "/bundle"]
