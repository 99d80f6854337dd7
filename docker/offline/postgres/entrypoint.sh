#!/bin/sh
# PostgreSQL with the official image's variables, those that compose.example.yaml
# uses: POSTGRES_PASSWORD or POSTGRES_PASSWORD_FILE, POSTGRES_USER, POSTGRES_DB.
set -eu

user=${POSTGRES_USER:-postgres}
if [ ! -s "$PGDATA/PG_VERSION" ]; then
    password=${POSTGRES_PASSWORD-}
    [ -z "${POSTGRES_PASSWORD_FILE-}" ] || password=$(cat "$POSTGRES_PASSWORD_FILE")
    if [ -z "$password" ]; then
        echo "postgres: set POSTGRES_PASSWORD or POSTGRES_PASSWORD_FILE" >&2
        exit 78
    fi
    # In a file that is gone at once: a command line is for everyone to read.
    umask 077
    echo "$password" >/tmp/password
    initdb --username="$user" --pwfile=/tmp/password --auth-local=trust \
        --auth-host=scram-sha-256 --encoding=UTF8 >/dev/null
    rm /tmp/password
    echo "host all all all scram-sha-256" >>"$PGDATA/pg_hba.conf"
    if [ "${POSTGRES_DB:-$user}" != postgres ]; then
        echo "CREATE DATABASE \"${POSTGRES_DB:-$user}\";" |
            postgres --single -j postgres >/dev/null
    fi
fi
[ "${1-}" != postgres ] || { shift; set -- postgres -c listen_addresses='*' "$@"; }
exec "$@"
