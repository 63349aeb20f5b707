# The pipeline's image: worker, sink, correlate, alerts and setup are one program with five commands.
FROM python:3.11.14-slim-bookworm AS build
RUN python -m venv /opt/tracefuse
ENV PATH=/opt/tracefuse/bin:$PATH PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
WORKDIR /src
# Dependencies first: they change seldom, and the layer is kept.
COPY requirements.lock .
RUN pip install --require-hashes -r requirements.lock
COPY . .
RUN pip install --no-deps --no-build-isolation ./ingest/sdk .

FROM python:3.11.14-slim-bookworm
# A named volume takes the owner of the folder it is mounted on, so both must exist.
RUN useradd --uid 10001 --create-home tracefuse \
    && install -d -o tracefuse -m 0700 /keys \
    && install -d -o tracefuse /registry
COPY --from=build /opt/tracefuse /opt/tracefuse
ENV PATH=/opt/tracefuse/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
USER 10001
WORKDIR /home/tracefuse
ENTRYPOINT ["tracefuse"]
CMD ["--help"]
