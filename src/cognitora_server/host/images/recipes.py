"""What `cognitora images bootstrap` can build: Debian packages, a few files and a configuration each.

The images behave like docker.io's of the same name in what people do with them; they are Debian's builds, so
programs lie in /usr/bin rather than /usr/local/bin.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass

from cognitora_server.host.images import recipe_files as files

SUITE = "bookworm"
REPOSITORY = "localhost/cognitora"

LABEL_LOCAL = "dev.cognitora.local-build"
LABEL_RECIPE = "dev.cognitora.recipe"

_PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_LANG = "LANG=C.UTF-8"


@dataclass(frozen=True, slots=True)
class ImageFile:
    """A file that a recipe adds; parent directories are made."""

    path: str
    text: str
    mode: int = 0o644


@dataclass(frozen=True, slots=True)
class Recipe:
    """One base image."""

    name: str
    tag: str
    packages: tuple[str, ...] = ()
    before: str = ""
    """Shell, run with the image's root as `$1` before the packages are configured."""
    after: str = ""
    """Shell, run with the image's root as `$1` when they are."""
    excluded: tuple[str, ...] = ()
    """Paths that dpkg leaves out, now and when packages are upgraded inside."""
    files: tuple[ImageFile, ...] = ()
    entrypoint: tuple[str, ...] = ()
    cmd: tuple[str, ...] = ("bash",)
    env: tuple[str, ...] = (_PATH,)
    working_dir: str = "/"
    volumes: tuple[str, ...] = ()
    ports: tuple[str, ...] = ()
    stop_signal: str = "SIGTERM"
    stand_ins: tuple[str, ...] = ()
    """Names at docker.io/library that this image can stand in for."""

    @property
    def key(self) -> str:
        """How users name the recipe: `python:3.11`."""
        return f"{self.name}:{self.tag}"

    @property
    def image_name(self) -> str:
        """The name the image gets."""
        return f"{REPOSITORY}/{self.key}"

    @property
    def fingerprint(self) -> str:
        """Changes whenever the recipe does: the image built from it carries it as a label."""
        text = json.dumps([SUITE, COMMON_EXCLUDED, COMMON_AFTER, asdict(self)], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def changes(self) -> list[str]:
        """The image's configuration as instructions for `podman import --change`."""
        lines = [f"ENV {variable}" for variable in self.env]
        lines += [f"CMD {json.dumps(self.cmd)}", f"WORKDIR {self.working_dir}"]
        if self.entrypoint:
            lines.append(f"ENTRYPOINT {json.dumps(self.entrypoint)}")
        lines += [f"VOLUME {volume}" for volume in self.volumes]
        lines += [f"EXPOSE {port}" for port in self.ports]
        lines.append(f"STOPSIGNAL {self.stop_signal}")
        lines += [f"LABEL {name}={value}" for name, value in self.labels().items()]
        return lines

    def labels(self) -> Mapping[str, str]:
        """How the image is recognised as ours later."""
        return {LABEL_LOCAL: "true", LABEL_RECIPE: self.fingerprint, f"{LABEL_RECIPE}.name": self.key}


COMMON_EXCLUDED = (
    "/usr/share/man/*",
    "/usr/share/info/*",
    "/usr/share/locale/*/LC_MESSAGES/*",
    "/usr/share/doc/*",
    "/usr/share/lintian/*",
)
"""Documentation. Licences (`/usr/share/doc/*/copyright`) stay: they have to go with the programs."""

COMMON_AFTER = """
printf '#!/bin/sh\\nexit 101\\n' > "$1/usr/sbin/policy-rc.d" && chmod 755 "$1/usr/sbin/policy-rc.d"
: > "$1/etc/hostname"; : > "$1/etc/resolv.conf"; chmod 644 "$1/etc/hostname" "$1/etc/resolv.conf"
rm -rf "$1"/var/cache/debconf/*-old "$1"/var/lib/dpkg/*-old "$1"/var/log/*.log "$1"/var/log/apt/*
"""
"""No service starts when packages are installed inside; no name or resolver of the building machine stays."""

_PYTHON = Recipe(
    name="python",
    tag="3.11",
    packages=("python3", "python3-venv", "python3-pip", "python-is-python3", "ca-certificates"),
    # Inside a sandbox pip may change the system: nothing else lives there.
    excluded=("/usr/lib/python3.11/EXTERNALLY-MANAGED",),
    cmd=("python3",),
    env=(_PATH, _LANG, "PIP_ROOT_USER_ACTION=ignore", "PIP_DISABLE_PIP_VERSION_CHECK=1"),
    stand_ins=("python:3.11", "python:3.11-slim"),
)

_NODE = Recipe(
    name="node",
    tag="18",
    packages=("nodejs", "npm", "ca-certificates"),
    files=(ImageFile("usr/local/bin/docker-entrypoint.sh", files.NODE_ENTRYPOINT, 0o755),),
    entrypoint=("docker-entrypoint.sh",),
    cmd=("node",),
    stand_ins=("node:18-slim", "node:18-alpine"),
)

_NGINX = Recipe(
    name="nginx",
    tag="1.22",
    packages=("nginx", "ca-certificates"),
    files=(
        ImageFile("etc/nginx/nginx.conf", files.NGINX_CONF),
        ImageFile("etc/nginx/conf.d/default.conf", files.NGINX_SITE),
    ),
    after="""
chroot "$1" adduser --system --group --no-create-home --home /nonexistent --quiet nginx
rm -rf "$1"/etc/nginx/sites-enabled "$1"/etc/nginx/sites-available
ln -sf /dev/stdout "$1/var/log/nginx/access.log"
ln -sf /dev/stderr "$1/var/log/nginx/error.log"
""",
    cmd=("nginx", "-g", "daemon off;"),
    ports=("80",),
    stop_signal="SIGQUIT",
    stand_ins=("nginx:alpine",),
)

_POSTGRES = Recipe(
    name="postgres",
    tag="15",
    packages=("postgresql-15", "ca-certificates"),
    # Debian would make a cluster at installation; this image makes one when a container first starts.
    before="""
mkdir -p "$1/etc/postgresql-common"
echo 'create_main_cluster = false' > "$1/etc/postgresql-common/createcluster.conf"
""",
    files=(ImageFile("usr/local/bin/docker-entrypoint.sh", files.POSTGRES_ENTRYPOINT, 0o755),),
    after="""
mkdir -p "$1/docker-entrypoint-initdb.d"
chroot "$1" install -d -o postgres -g postgres -m 1777 /var/lib/postgresql/data
sample="$1/usr/share/postgresql/15/postgresql.conf.sample"
sed -i "s/^#listen_addresses = .*/listen_addresses = '*'/" "$sample"
""",
    entrypoint=("docker-entrypoint.sh",),
    cmd=("postgres",),
    env=(f"{_PATH}:/usr/lib/postgresql/15/bin", _LANG, "PGDATA=/var/lib/postgresql/data"),
    volumes=("/var/lib/postgresql/data",),
    ports=("5432",),
    stop_signal="SIGINT",
    stand_ins=("postgres:15-alpine",),
)

_REDIS = Recipe(
    name="redis",
    tag="7",
    packages=("redis-server", "ca-certificates"),
    files=(ImageFile("usr/local/bin/docker-entrypoint.sh", files.REDIS_ENTRYPOINT, 0o755),),
    after='chroot "$1" install -d -o redis -g redis /data',
    entrypoint=("docker-entrypoint.sh",),
    cmd=("redis-server",),
    working_dir="/data",
    volumes=("/data",),
    ports=("6379",),
    stand_ins=("redis:7-alpine",),
)

_DEBIAN = Recipe(name="debian", tag="12", packages=("ca-certificates",), stand_ins=("debian:12",))

RECIPES: Mapping[str, Recipe] = {recipe.name: recipe for recipe in (_DEBIAN, _PYTHON, _NODE, _NGINX, _POSTGRES, _REDIS)}
DEFAULT_NAMES = ("debian", "python")


def find_recipe(name: str) -> Recipe | None:
    """The recipe called `python` or `python:3.11`; None if there is no such."""
    recipe = RECIPES.get(name.partition(":")[0])
    return recipe if recipe and name in (recipe.name, recipe.key) else None
