# One file, three images:
#   docker build --target controller .    API, dashboard, search: no torch, starts in seconds
#          --build-arg EXTRAS=ray,postgres,nevergrad    with nevergrad's optimizers, as docker-compose.yml builds it
#   docker build --target worker-cpu .    merges and scores on CPU
#   docker build --target worker-gpu .    the same with a CUDA build of torch
FROM python:3.11-slim-bookworm AS source
WORKDIR /evomerge
COPY pyproject.toml constraints.txt README.md LICENSE NOTICE ./
COPY evomerge evomerge
COPY search_spaces search_spaces
COPY evaluators evaluators
COPY workers workers
COPY service service
COPY migrations migrations

FROM source AS controller
ARG EXTRAS=ray,postgres
RUN pip install --no-cache-dir --constraint constraints.txt ".[${EXTRAS}]" \
    && useradd --create-home --uid 10001 evomerge && mkdir /data && chown evomerge /data
USER evomerge
ENV EVOMERGE_HOME=/data EVOMERGE_HOST=0.0.0.0
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s \
  CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8000/healthz', timeout=2)"]
CMD ["evomerge", "serve"]

FROM source AS worker-cpu
RUN pip install --no-cache-dir --constraint constraints.txt \
      --extra-index-url https://download.pytorch.org/whl/cpu torch \
    && pip install --no-cache-dir --constraint constraints.txt ".[worker]" \
    && useradd --create-home --uid 10001 evomerge && mkdir /data && chown evomerge /data
USER evomerge

FROM source AS worker-gpu
RUN pip install --no-cache-dir --constraint constraints.txt \
      --extra-index-url https://download.pytorch.org/whl/cu130 torch \
    && pip install --no-cache-dir --constraint constraints.txt ".[worker]" \
    && useradd --create-home --uid 10001 evomerge && mkdir /data && chown evomerge /data
USER evomerge
