# SPDX-License-Identifier: Apache-2.0
# The engines that Sluice uses, as Debian 13 packages them, for the compose files of this folder.
#
#   docker build -f deploy/container/engines.Dockerfile --target rabbitmq -t sluice-rabbitmq deploy/container
#
# Each runs in the foreground as a user of its own, keeps its data in one volume, and has no secret
# in it: users and passwords come with the container. Where there is a registry, the official images do as well.
ARG BASE=debian:trixie-slim

# --- rabbitmq: RabbitMQ 4.0. RABBITMQ_DEFAULT_USER and RABBITMQ_DEFAULT_PASS make the first user ---
FROM ${BASE} AS rabbitmq
ARG APT_MIRROR=
COPY use-mirror /usr/local/sbin/
# The user first, so that its number is known; the services of the packages are not started.
RUN use-mirror "$APT_MIRROR" \
    && echo 'rabbitmq:x:910:' >>/etc/group \
    && echo 'rabbitmq:x:910:910::/var/lib/rabbitmq:/usr/sbin/nologin' >>/etc/passwd \
    && printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d && chmod 755 /usr/sbin/policy-rc.d \
    && apt-get -q update \
    && DEBIAN_FRONTEND=noninteractive apt-get -q install --yes --no-install-recommends rabbitmq-server \
    && rm -rf /var/lib/apt/lists/* /var/cache/apt/*.bin /var/lib/rabbitmq/.erlang.cookie /var/lib/rabbitmq/mnesia \
        /usr/share/doc /usr/share/man \
    && chown -R 910:910 /var/lib/rabbitmq /var/log/rabbitmq /etc/rabbitmq
COPY rabbitmq.conf advanced.config enabled_plugins /etc/rabbitmq/
COPY rabbitmq-start rabbitmq-health /usr/local/bin/
# Without RUNNING_UNDER_SYSTEMD the start script stays in between, and keeps signals from the broker.
ENV HOME=/var/lib/rabbitmq LANG=C.UTF-8 LC_ALL=C.UTF-8 \
    RABBITMQ_CONF_ENV_FILE=/dev/null RABBITMQ_LOGS=- RUNNING_UNDER_SYSTEMD=true \
    RABBITMQ_CONFIG_FILE=/etc/rabbitmq/rabbitmq.conf RABBITMQ_ADVANCED_CONFIG_FILE=/etc/rabbitmq/advanced.config \
    RABBITMQ_ENABLED_PLUGINS_FILE=/etc/rabbitmq/enabled_plugins \
    RABBITMQ_MNESIA_BASE=/var/lib/rabbitmq/mnesia RABBITMQ_PID_FILE=/var/lib/rabbitmq/pid \
    ERL_CRASH_DUMP=/var/lib/rabbitmq/erl_crash.dump \
    PATH=/usr/lib/rabbitmq/bin:/usr/local/bin:/usr/bin:/bin
USER 910:910
VOLUME /var/lib/rabbitmq
# AMQP, epmd, distribution between the nodes of a cluster.
EXPOSE 5672 4369 25672
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=5s --timeout=10s --start-period=90s --retries=3 CMD ["rabbitmq-health"]
CMD ["rabbitmq-start"]

# --- redis: Redis 8; primary, replica, or with another command a Sentinel ---
FROM ${BASE} AS redis
ARG APT_MIRROR=
COPY use-mirror /usr/local/sbin/
RUN use-mirror "$APT_MIRROR" \
    && echo 'redis:x:911:' >>/etc/group \
    && echo 'redis:x:911:911::/var/lib/redis:/usr/sbin/nologin' >>/etc/passwd \
    && printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d && chmod 755 /usr/sbin/policy-rc.d \
    && apt-get -q update \
    && DEBIAN_FRONTEND=noninteractive apt-get -q install --yes --no-install-recommends redis-server \
    && rm -rf /var/lib/apt/lists/* /var/cache/apt/*.bin /usr/share/doc /usr/share/man \
    && mkdir -p /var/lib/redis && chown -R 911:911 /var/lib/redis
COPY redis.conf /etc/redis/redis.conf
COPY redis-health /usr/local/bin/
ENV LANG=C.UTF-8
USER 911:911
WORKDIR /var/lib/redis
VOLUME /var/lib/redis
EXPOSE 6379 26379
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=5s --timeout=5s --start-period=60s --retries=3 CMD ["redis-health"]
CMD ["redis-server", "/etc/redis/redis.conf"]

# --- haproxy: the load balancer before the ingresses of a cluster ---
FROM ${BASE} AS haproxy
ARG APT_MIRROR=
COPY use-mirror /usr/local/sbin/
RUN use-mirror "$APT_MIRROR" \
    && echo 'haproxy:x:912:' >>/etc/group \
    && echo 'haproxy:x:912:912::/var/lib/haproxy:/usr/sbin/nologin' >>/etc/passwd \
    && printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d && chmod 755 /usr/sbin/policy-rc.d \
    && apt-get -q update \
    && DEBIAN_FRONTEND=noninteractive apt-get -q install --yes --no-install-recommends haproxy \
    && rm -rf /var/lib/apt/lists/* /var/cache/apt/*.bin /usr/share/doc /usr/share/man
COPY haproxy-health /usr/local/bin/
ENV LANG=C.UTF-8
USER 912:912
EXPOSE 8080
# SIGTERM would cut the connections that are open.
STOPSIGNAL SIGUSR1
# The configuration serves `monitor-uri /healthz` on the port in HAPROXY_HEALTH_PORT.
ENV HAPROXY_HEALTH_PORT=8080
HEALTHCHECK --interval=5s --timeout=5s --start-period=20s --retries=3 CMD ["haproxy-health"]
CMD ["haproxy", "-W", "-db", "-f", "/etc/haproxy/haproxy.cfg"]
