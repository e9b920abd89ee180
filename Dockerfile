# mettle with what `make env` installs, every package with the SHA-256 of requirements.hashes (docs/environments.md).
FROM python:3.11.14-slim-bookworm AS tools
# make and git for commands and commits in tables; a compiler for OpenMMLab's packages and for what torch compiles on a GPU. Debian
# keeps no earlier versions of its packages, so that a pin would soon fail.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends g++ gcc git make \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --create-home --uid 1000 mettle
WORKDIR /home/mettle/mettle
RUN chown mettle:mettle .
USER 1000

FROM tools AS environment
COPY --chown=mettle:mettle Makefile requirements*.txt requirements.lock requirements.hashes ./
ENV PIP_NO_CACHE_DIR=1
RUN make env

FROM tools
COPY --from=environment --chown=mettle:mettle /home/mettle/mettle/.venv .venv
COPY --chown=mettle:mettle . .
# Not older than the requirements, which would have make install anew.
RUN touch .venv/ready
ENV PATH="/home/mettle/mettle/.venv/bin:$PATH"
CMD ["make", "help"]
