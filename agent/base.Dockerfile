# A stand-in for gcr.io/distroless/python3-debian13:nonroot, made of Debian's own packages, for machines that reach no
# registry: script/image builds it there. The same libraries at the same paths, the same user, and no shell either.
ARG BUILD_BASE=debian:trixie-slim
FROM $BUILD_BASE AS taken
# What distroless takes: C and C++, TLS with its authorities, time zones, and Python with what its modules link.
ARG PACKAGES="base-files ca-certificates libbz2-1.0 libc6 libcrypt1 libdb5.3t64 libexpat1 libffi8 libgcc-s1 libgomp1 \
liblzma5 libncursesw6 libpython3.13-minimal libpython3.13-stdlib libreadline8t64 libsqlite3-0 libssl3t64 libstdc++6 \
libtinfo6 libuuid1 libzstd1 media-types netbase python3.13-minimal tzdata zlib1g"
WORKDIR /taken
# An image scanner finds packages without dpkg in status.d, one file each.
# hadolint ignore=DL3008,SC2086
RUN apt-get update \
    && apt-get install --yes --no-install-recommends ca-certificates \
    && apt-get download $PACKAGES \
    && mkdir -p /root-fs/var/lib/dpkg/status.d \
    && for package in *.deb; do \
        dpkg-deb --extract "$package" /root-fs; \
        dpkg-deb --field "$package" >"/root-fs/var/lib/dpkg/status.d/${package%%_*}"; \
    done \
    && cp /etc/ssl/certs/ca-certificates.crt /root-fs/etc/ssl/certs/ \
    && ln -s python3.13 /root-fs/usr/bin/python3 \
    && printf '%s\n' root:x:0:0:root:/root:/sbin/nologin nobody:x:65534:65534:nobody:/nonexistent:/sbin/nologin \
        nonroot:x:65532:65532:nonroot:/home/nonroot:/sbin/nologin >/root-fs/etc/passwd \
    && printf '%s\n' root:x:0: nobody:x:65534: nonroot:x:65532: >/root-fs/etc/group \
    && printf 'hosts: files dns\n' >/root-fs/etc/nsswitch.conf \
    && install --directory --owner=65532 --group=65532 --mode=0700 /root-fs/home/nonroot \
    && rm -rf /root-fs/usr/share/doc /root-fs/usr/share/man /root-fs/usr/share/lintian /root-fs/usr/share/locale

FROM scratch
COPY --from=taken /root-fs /
ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 \
    SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt
USER 65532
WORKDIR /home/nonroot
ENTRYPOINT ["/usr/bin/python3"]
