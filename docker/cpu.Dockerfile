# edgekit for `--target cpu`, from the committed lock. Build it from the top of the repository:
#   docker build -f docker/cpu.Dockerfile -t edgekit:cpu .
FROM python:3.11-slim AS build
WORKDIR /src
RUN python -m venv /opt/edgekit
COPY .lock/cpu.txt .lock/cpu.txt
RUN /opt/edgekit/bin/pip install --no-cache-dir -r .lock/cpu.txt
COPY pyproject.toml README.md LICENSE ./
COPY recipes recipes
COPY calibration calibration
COPY edgekit edgekit
RUN /opt/edgekit/bin/pip install --no-cache-dir --no-deps --no-build-isolation .

FROM python:3.11-slim
COPY --from=build /opt/edgekit /opt/edgekit
ENV PATH=/opt/edgekit/bin:$PATH EDGEKIT_CACHE=/cache PYTHONUNBUFFERED=1
# World-writable like /tmp, so that `docker run --user` works with any user.
RUN mkdir -m 1777 /cache /work
WORKDIR /work
USER 1000:1000
ENTRYPOINT ["edgekit"]
CMD ["--help"]
