# ipamd, ipamctl and the node's executables in one image. See docs/docker.md.
# An image of Debian 12, for whose Python and libc everything is tested.
ARG BASE_IMAGE=debian:bookworm-slim

FROM ${BASE_IMAGE} AS build
# An index of Python packages other than pip's own, and what pip must know to trust it.
ARG PIP_INDEX_URL
ARG PIP_CERT
# A mirror with the sources of Debian 13, where the base image's own has none.
ARG DEBIAN_MIRROR
ENV DEBIAN_FRONTEND=noninteractive PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
RUN apt-get -q update \
    && apt-get -q install -y --no-install-recommends bzip2 debian-archive-keyring dpkg-dev gcc libc6-dev make \
        musl-tools python3 python3-pip python3-venv xz-utils
WORKDIR /source
COPY native native
COPY cni_plugin cni_plugin
COPY ipam_plugin ipam_plugin
COPY netlink netlink
COPY veth_plugin veth_plugin
RUN native/build
# The environment has no pip of its own: the one beside it installs into it.
COPY . .
RUN python3 -m venv --without-pip /opt/ipamd \
    && python3 -m pip --python /opt/ipamd/bin/python install -c constraints.txt . \
    && /opt/ipamd/bin/python -m compileall -q /opt/ipamd/lib \
    && mkdir -p /opt/ipamd/lib/ipamd && cp -r dist/node /opt/ipamd/lib/ipamd/node
# What is in it, as CycloneDX; the list of Debian's packages is dpkg's.
RUN python3 -m venv /sbom \
    && /sbom/bin/pip install -c constraints.txt cyclonedx-bom==7.5.0 \
    && /sbom/bin/cyclonedx-py environment --output-reproducible --output-file /opt/ipamd/sbom.cdx.json \
        /opt/ipamd/bin/python

FROM ${BASE_IMAGE}
ARG VERSION=0.1.0
ARG REVISION
LABEL org.opencontainers.image.title="ipamd" \
    org.opencontainers.image.description="An address manager for container clusters" \
    org.opencontainers.image.version="${VERSION}" \
    org.opencontainers.image.revision="${REVISION}"
RUN apt-get -q update \
    && DEBIAN_FRONTEND=noninteractive apt-get -q install -y --no-install-recommends python3 \
    && rm -rf /var/lib/apt/lists/* /var/cache/apt/* /var/log/apt /var/log/dpkg.log \
    && groupadd --gid 8750 ipamd \
    && useradd --uid 8750 --no-create-home --gid ipamd --home-dir /var/lib/ipamd --shell /usr/sbin/nologin ipamd \
    && install -d -o ipamd -g ipamd /etc/ipamd /run/ipamd \
    && install -d -o ipamd -g ipamd -m 0700 /var/lib/ipamd
COPY --from=build /opt/ipamd /opt/ipamd
COPY scripts/healthy.py /opt/ipamd/healthy.py
# The state folder of whoever is not root is under this one: /var/lib/ipamd.
ENV PATH=/opt/ipamd/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
    XDG_STATE_HOME=/var/lib \
    PYTHONDONTWRITEBYTECODE=1
# A number, so that a cluster sees that it is not root's.
USER 8750:8750
VOLUME /var/lib/ipamd
EXPOSE 8750
HEALTHCHECK --interval=10s --timeout=5s --start-period=20s CMD ["/usr/bin/python3", "-I", "/opt/ipamd/healthy.py"]
CMD ["ipamd", "serve"]
