"""The files that the recipes add to their images, as text."""

NODE_ENTRYPOINT = """\
#!/bin/sh
# Options and unknown words are arguments of node; anything else is a command.
set -e
if [ "${1#-}" != "$1" ] || [ -z "$(command -v "$1")" ] || { [ -f "$1" ] && ! [ -x "$1" ]; }; then
  set -- node "$@"
fi
exec "$@"
"""

NGINX_CONF = """\
user nginx;
worker_processes auto;
error_log /var/log/nginx/error.log notice;
pid /run/nginx.pid;

events {
    worker_connections 1024;
}

http {
    include /etc/nginx/mime.types;
    default_type application/octet-stream;
    log_format main '$remote_addr - $remote_user [$time_local] "$request" '
                    '$status $body_bytes_sent "$http_referer" '
                    '"$http_user_agent" "$http_x_forwarded_for"';
    access_log /var/log/nginx/access.log main;
    sendfile on;
    keepalive_timeout 65;
    include /etc/nginx/conf.d/*.conf;
}
"""

NGINX_SITE = """\
server {
    listen 80;
    server_name localhost;

    location / {
        root /usr/share/nginx/html;
        index index.html index.htm;
    }

    error_page 500 502 503 504 /50x.html;
    location = /50x.html {
        root /usr/share/nginx/html;
    }
}
"""

REDIS_ENTRYPOINT = """\
#!/bin/sh
# Options and configuration files are arguments of redis-server; root steps down to redis.
set -e
if [ "${1#-}" != "$1" ] || [ "${1%.conf}" != "$1" ]; then
  set -- redis-server "$@"
fi
if [ "$1" = redis-server ]; then
  # Without a configuration file redis answers only itself; here the sandbox's own walls protect it.
  case " $* " in
    *" --protected-mode "*|*.conf*) ;;
    *) set -- "$@" --protected-mode no ;;
  esac
  if [ "$(id -u)" = 0 ]; then
    find . \\! -user redis -exec chown redis '{}' +
    exec setpriv --reuid=redis --regid=redis --init-groups "$@"
  fi
fi
exec "$@"
"""

POSTGRES_ENTRYPOINT = """\
#!/bin/bash
# Makes the database cluster when the container first starts, then runs the server.
# POSTGRES_PASSWORD, POSTGRES_USER, POSTGRES_DB, POSTGRES_INITDB_ARGS and POSTGRES_HOST_AUTH_METHOD are read,
# the first four also from the file named by the variable with _FILE at its end. Scripts in
# /docker-entrypoint-initdb.d (*.sh, *.sql, *.sql.gz) run once, on the new cluster.
set -Eeuo pipefail

from_file() {
  local name="$1" file="$1_FILE"
  if [ -n "${!file:-}" ]; then
    printf -v "$name" '%s' "$(<"${!file}")"
    export "${name?}"
  fi
}

as_postgres() {
  exec setpriv --reuid=postgres --regid=postgres --init-groups "$BASH_SOURCE" "$@"
}

sql() {
  psql -v ON_ERROR_STOP=1 --no-password --no-psqlrc \\
    --username "$POSTGRES_USER" --host /var/run/postgresql "$@"
}

create_cluster() {
  local method="${POSTGRES_HOST_AUTH_METHOD:-scram-sha-256}"
  if [ -z "${POSTGRES_PASSWORD:-}" ] && [ "$method" != trust ]; then
    echo 'POSTGRES_PASSWORD is not set: give the superuser a password,' >&2
    echo 'or set POSTGRES_HOST_AUTH_METHOD=trust to let everyone in without one.' >&2
    exit 1
  fi
  local options=() password
  password="$(mktemp)"  # readable by its owner only
  if [ -n "${POSTGRES_PASSWORD:-}" ]; then
    printf '%s\\n' "$POSTGRES_PASSWORD" > "$password"
    options=(--pwfile="$password")
  fi
  eval 'initdb --pgdata="$PGDATA" --username="$POSTGRES_USER" --encoding=UTF8 --locale=C.UTF-8 \\
    --auth-local=trust --auth-host=scram-sha-256 "${options[@]}" '"${POSTGRES_INITDB_ARGS:-}"
  rm -f "$password"
  printf '\\nhost all all all %s\\n' "$method" >> "$PGDATA/pg_hba.conf"
}

run_scripts() {
  local script
  for script in /docker-entrypoint-initdb.d/*; do
    case "$script" in
      *.sh) echo "running $script"; if [ -x "$script" ]; then "$script"; else . "$script"; fi ;;
      *.sql) echo "running $script"; sql --dbname "$POSTGRES_DB" -f "$script" ;;
      *.sql.gz) echo "running $script"; gunzip -c "$script" | sql --dbname "$POSTGRES_DB" ;;
    esac
  done
}

fill_cluster() {
  # Reachable through its socket only, until everything is in place.
  pg_ctl -D "$PGDATA" -o "-c listen_addresses=''" -w start
  if [ "$POSTGRES_DB" != postgres ]; then
    sql --dbname postgres --set db="$POSTGRES_DB" <<< 'CREATE DATABASE :"db";'
  fi
  run_scripts
  pg_ctl -D "$PGDATA" -m fast -w stop
}

if [ "${1:0:1}" = '-' ]; then
  set -- postgres "$@"
fi
if [ "$1" = postgres ]; then
  if [ "$(id -u)" = 0 ]; then
    mkdir -p "$PGDATA" && chmod 700 "$PGDATA"
    # Everything below /run is gone whenever a machine or a sandbox starts.
    install -d -o postgres -g postgres -m 3777 /var/run/postgresql
    find "$PGDATA" \\! -user postgres -exec chown postgres '{}' +
    as_postgres "$@"
  fi
  for name in POSTGRES_PASSWORD POSTGRES_USER POSTGRES_DB POSTGRES_INITDB_ARGS; do from_file "$name"; done
  export POSTGRES_USER="${POSTGRES_USER:-postgres}"
  export POSTGRES_DB="${POSTGRES_DB:-$POSTGRES_USER}"
  if [ ! -s "$PGDATA/PG_VERSION" ]; then
    create_cluster
    fill_cluster
    echo 'PostgreSQL is initialised and ready to start.'
  fi
fi
exec "$@"
"""
