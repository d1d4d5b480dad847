# edgekit for `--target gpu`, on NVIDIA's TensorRT image. Build it from the top of the repository:
#   docker build -f docker/gpu.Dockerfile -t edgekit:gpu .
# Not built in CI, and not yet run on hardware. The tag decides TensorRT, CUDA and Python; the image brings all three.
ARG TENSORRT=nvcr.io/nvidia/tensorrt:25.08-py3
FROM ${TENSORRT}
WORKDIR /src
# A virtual environment that sees the image's own TensorRT and nothing else of it needs no index of NVIDIA's.
RUN python3 -m venv --system-site-packages /opt/edgekit
COPY .lock/cpu.txt .lock/cpu.txt
RUN /opt/edgekit/bin/pip install --no-cache-dir -r .lock/cpu.txt polygraphy==0.53.6
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
