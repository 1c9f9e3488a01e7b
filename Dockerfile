# emperord as process 1 of a container, as a user of its own: docs/packaging.md, "A container".
#
#     docker build --build-arg EXTRAS=uwsgi -t emperord .
#     docker run -v ./vassals:/etc/emperor/vassals -v emperord:/var/lib/emperord emperord

FROM python:3.13-slim AS build
# Extras of pyproject.toml. uwsgi and ldap are compiled, and want packages of Debian.
ARG EXTRAS=witness
RUN case ",$EXTRAS," in *,uwsgi,*|*,ldap,*) \
    apt-get -qq update && apt-get -qq install -y --no-install-recommends gcc libc6-dev libldap2-dev libsasl2-dev;; esac
COPY . /src
RUN python3 -m venv /opt/emperord \
    && /opt/emperord/bin/python -m pip install --no-cache-dir --quiet "/src[$EXTRAS]" \
    && /opt/emperord/bin/python -m pip uninstall --quiet --yes pip

FROM python:3.13-slim
COPY --from=build /opt/emperord /opt/emperord
RUN useradd --system --uid 990 --no-create-home --home-dir /nonexistent emperord \
    && install -d -m 0755 /etc/emperor/vassals \
    && install -d -o emperord -g emperord -m 0700 /var/lib/emperord /run/emperord \
    && ln -s /opt/emperord/bin/emperor /opt/emperord/bin/emperor-ctl /opt/emperord/bin/emperor-replay /usr/local/bin/
# The vassals' output is the container's. The journal is in a volume, so that it outlives the container.
ENV STATE_DIRECTORY=/var/lib/emperord RUNTIME_DIRECTORY=/run/emperord EMPEROR_LOG=inherit
USER emperord
VOLUME /var/lib/emperord
STOPSIGNAL SIGTERM
HEALTHCHECK CMD ["emperor-ctl", "check"]
ENTRYPOINT ["/opt/emperord/bin/emperor"]
CMD ["/etc/emperor/vassals"]
