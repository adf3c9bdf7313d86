# Two images from one lock: `maintenance` (Airflow with this package) and `stand-in` (an embedded T-Developer to try it on).
# What runs here is what the tests ran: uv.lock decides every version.
FROM python:3.12.12-slim-bookworm AS base
ENV PYTHONUNBUFFERED=1 UV_PYTHON_PREFERENCE=only-system UV_LINK_MODE=copy UV_COMPILE_BYTECODE=1
WORKDIR /opt/tdev
COPY .ci/get_uv.py /tmp/get_uv.py
RUN python /tmp/get_uv.py /usr/local/bin && rm /tmp/get_uv.py \
 && useradd --uid 50000 --gid 0 --home-dir /opt/airflow --create-home airflow \
 # A named volume takes its owner from the folder that it covers.
 && mkdir -p /opt/airflow/logs /var/log/t-developer /var/lib/s3 \
 && chown -R airflow:0 /opt/airflow /var/log/t-developer /var/lib/s3
COPY pyproject.toml uv.lock README.md LICENSE CHANGELOG.md ./
COPY include include
COPY plugins plugins

FROM base AS stand-in
RUN uv sync --locked --no-default-groups --group sandbox --no-editable
COPY sandbox sandbox
ENV PATH=/opt/tdev/.venv/bin:$PATH
USER airflow

FROM base AS maintenance
RUN apt-get update && apt-get install -y --no-install-recommends git && rm -rf /var/lib/apt/lists/* \
 && uv sync --locked --no-default-groups --extra scanners --no-editable
COPY dags dags
ENV PATH=/opt/tdev/.venv/bin:$PATH AIRFLOW_HOME=/opt/airflow AIRFLOW__CORE__DAGS_FOLDER=/opt/tdev/dags
USER airflow
