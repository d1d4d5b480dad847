# edgekit for processors, x86-64 and 64-bit ARM. Build it from the top of the repository:
#   docker build -f docker/cpu.Dockerfile --target build -t edgekit:cpu .                             # edgekit itself
#   docker build -f docker/cpu.Dockerfile --build-arg BUNDLE=build/inception_v4-cpu -t classifier .   # one bundle
#   the same with --target serve: the bundle behind HTTP
ARG PYTHON=python:3.11.13-slim-bookworm

FROM ${PYTHON} AS build-packages
WORKDIR /src
RUN python -m venv /opt/edgekit
COPY .lock/cpu.txt .lock/cpu.txt
RUN /opt/edgekit/bin/pip install --no-cache-dir -r .lock/cpu.txt
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

FROM ${PYTHON} AS runtime-packages
WORKDIR /src
COPY .lock/dev.txt .lock/dev.txt
# Without what OpenVINO depends on beside numpy: that is its telemetry.
RUN grep -E '^(numpy|openvino|pillow)==' .lock/dev.txt >runtime.txt \
 && pip install --no-cache-dir --no-compile --no-deps --target /opt/packages -r runtime.txt
# A bundle is an IR file for a processor: readers of other formats and other devices' plugins are half of the wheel.
WORKDIR /opt/packages/openvino
RUN rm -rf include cmake libs/cache.json libs/libopenvino_c.so* libs/libopenvino_intel_[gn]pu_plugin.so \
    libs/libopenvino_auto*_plugin.so libs/libopenvino_hetero_plugin.so \
 && find libs -name 'libopenvino_*_frontend.so*' ! -name 'libopenvino_ir_frontend.so*' -delete
WORKDIR /src
RUN grep -E '^(anyio|click|h11|idna|sniffio|starlette|typing-extensions|uvicorn)==' .lock/dev.txt >serve.txt \
 && pip install --no-cache-dir --no-compile --no-deps --target /opt/serve -r serve.txt

FROM ${PYTHON} AS runtime-base
COPY --from=runtime-packages /opt/packages /opt/packages
COPY edgekit/runtime/*.py /opt/edgekit/edgekit/runtime/
COPY docker/edgekit-runtime /usr/local/bin/
ENV PYTHONPATH=/opt/edgekit:/opt/packages EDGEKIT_ENGINES=/engines PYTHONUNBUFFERED=1
RUN mkdir -m 1777 /engines
ARG BUNDLE=build/inception_v4-cpu
COPY ${BUNDLE} /bundle
# No image is made of a damaged bundle; that its outputs are the golden ones is checked where it runs.
RUN edgekit-runtime verify /bundle --no-golden

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
