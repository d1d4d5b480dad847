# edgekit for processors, x86-64 and 64-bit ARM. Build it from the top of the repository:
#   docker build -f docker/cpu.Dockerfile --target build -t edgekit:cpu .                             # edgekit itself
#   docker build -f docker/cpu.Dockerfile --build-arg BUNDLE=build/inception_v4-cpu -t classifier .   # one bundle
#   the same with --target serve: the bundle behind HTTP
ARG PYTHON=python:3.11.13-slim-bookworm

FROM ${PYTHON} AS build-packages
WORKDIR /src
RUN python -m venv /opt/edgekit
COPY .lock/cpu.txt .lock/torch.txt .lock/
RUN /opt/edgekit/bin/pip install --no-cache-dir --no-deps --only-binary :all: --require-hashes -r .lock/cpu.txt \
 && /opt/edgekit/bin/pip install --no-cache-dir -r .lock/torch.txt
COPY pyproject.toml README.md LICENSE ./
COPY recipes recipes
COPY calibration calibration
COPY edgekit edgekit
RUN /opt/edgekit/bin/pip install --no-cache-dir --no-deps --no-build-isolation .

FROM ${PYTHON} AS build
COPY --from=build-packages /opt/edgekit /opt/edgekit
ENV PATH=/opt/edgekit/bin:$PATH EDGEKIT_CACHE=/cache PYTHONUNBUFFERED=1
# World-writable like /tmp, so that `docker run --user` works with any user.
RUN mkdir -m 1777 /cache /work
WORKDIR /work
USER 1000:1000
ENTRYPOINT ["edgekit"]
CMD ["--help"]

# The runtime that the bundle is for, in a stage of its own: packages are fetched again only when it is another one.
FROM ${PYTHON} AS wanted
ARG BUNDLE=build/inception_v4-cpu
COPY ${BUNDLE}/manifest.json /manifest.json
RUN python -c "import json; print(json.load(open('/manifest.json'))['target']['runtime'])" >/runtime

FROM ${PYTHON} AS runtime-packages
WORKDIR /src
COPY .lock/runtime.txt .lock/openvino.txt .lock/onnxruntime.txt .lock/serve.txt .lock/
RUN pip install --no-cache-dir --no-compile --no-deps --only-binary :all: --require-hashes --target /opt/serve \
    -r .lock/serve.txt
COPY --from=wanted /runtime runtime
RUN runtime=$(cat runtime) \
 && pip install --no-cache-dir --no-compile --no-deps --only-binary :all: --require-hashes --target /opt/packages \
    -r .lock/runtime.txt -r ".lock/$runtime.txt"
# OpenVINO's bundle is an IR file for a processor: readers of other formats and other devices' plugins are half of it.
RUN folder=/opt/packages/openvino; if [ -d "$folder" ]; then \
      rm -rf "$folder/include" "$folder/cmake" "$folder/libs/cache.json" "$folder"/libs/libopenvino_c.so* \
        "$folder"/libs/libopenvino_intel_[gn]pu_plugin.so "$folder"/libs/libopenvino_auto*_plugin.so \
        "$folder/libs/libopenvino_hetero_plugin.so" \
      && find "$folder/libs" -name 'libopenvino_*_frontend.so*' ! -name 'libopenvino_ir_frontend.so*' -delete; \
    fi

FROM ${PYTHON} AS runtime-base
COPY --from=runtime-packages /opt/packages /opt/packages
COPY edgekit/runtime/*.py /opt/edgekit/edgekit/runtime/
COPY docker/edgekit-runtime /usr/local/bin/
ENV PYTHONPATH=/opt/edgekit:/opt/packages EDGEKIT_ENGINES=/engines PYTHONUNBUFFERED=1
RUN mkdir -m 1777 /engines
ARG BUNDLE=build/inception_v4-cpu
COPY ${BUNDLE} /bundle
# No image is made of a damaged bundle, and builders that are quiet say why, too; that its outputs are the golden ones is
# checked where it runs.
RUN edgekit-runtime verify /bundle --no-golden >&2

FROM runtime-base AS serve
COPY --from=runtime-packages /opt/serve /opt/serve
COPY docs/samples/http_endpoint.py /opt/edgekit/
ENV PYTHONPATH=/opt/edgekit:/opt/packages:/opt/serve
USER 1000:1000
EXPOSE 8000
HEALTHCHECK --interval=30s --timeout=5s --start-period=10s \
  CMD ["python3", "-c", "from urllib.request import urlopen; urlopen('http://127.0.0.1:8000/healthz', timeout=4)"]
ENTRYPOINT ["python3", "/opt/edgekit/http_endpoint.py", "/bundle", "--host", "0.0.0.0"]

FROM runtime-base AS runtime
USER 1000:1000
HEALTHCHECK --interval=5m --timeout=30s CMD ["edgekit-runtime", "verify", "/bundle", "--no-golden"]
ENTRYPOINT ["edgekit-runtime"]
CMD ["verify", "/bundle"]
