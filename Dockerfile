# The daemon in a container:
#   docker build -t reconciler .
#   docker run --init --stop-timeout 75 -v /etc/reconciler:/etc/reconciler:ro -v reconciler:/var/lib/reconciler reconciler
# No port is open. With `web:` in the configuration (listen: 0.0.0.0:8471), publish it to a proxy only: -p 127.0.0.1:8471:8471
# --init, because somebody has to reap what Ansible leaves behind; 75 s, because a host step may finish first.
# Any base with Python 3.11 or newer, venv and apt will do.
ARG BASE=python:3.13-slim
FROM ${BASE}

RUN apt-get update \
 && apt-get install -y --no-install-recommends git openssh-client \
 && rm -rf /var/lib/apt/lists/*

COPY . /usr/src/reconciler
RUN python3 -m venv /opt/reconciler \
 && cd /usr/src/reconciler \
 && /opt/reconciler/bin/pip install --no-cache-dir -c constraints.txt . \
 && rm -rf /usr/src/reconciler

# The number is fixed, so that a volume's owner means the same everywhere.
RUN useradd --uid 10001 --no-create-home --home-dir /var/lib/reconciler --shell /usr/sbin/nologin reconciler \
 && install -d -m 0700 -o reconciler -g reconciler /var/lib/reconciler
USER 10001:10001
ENV PATH=/opt/reconciler/bin:/usr/local/bin:/usr/bin:/bin HOME=/var/lib/reconciler LANG=C.UTF-8
VOLUME /var/lib/reconciler
STOPSIGNAL SIGTERM
ENTRYPOINT ["reconciler", "-c", "/etc/reconciler/reconciler.yml"]
CMD ["run"]
