#!/bin/sh
# Run the hooks, then replace this shell with the process.
#
#   docker run IMAGE                          the process that PROCESS_NAME names,
#                                             else web, else the only one
#   docker run IMAGE --workers 8              the same, with options for the server
#   docker run IMAGE worker --concurrency 8   the process "worker", with options
#   docker run IMAGE prodserver worker        the process "worker", in other images too
#   docker run IMAGE python manage.py shell   a command of the image, as it is
#   docker run IMAGE -- any command           anything, as it is
#
# A word that is a command of the image (a file on PATH) runs that command; any other
# is the name of a process. To start a process that has the name of a command, set
# PROCESS_NAME=celery, or use: docker run IMAGE prodserver celery
#
# Hooks: the programs in /docker-entrypoint.d, in the order of their names. The
# first one that fails stops the start, with its exit status.
#
# DRAIN_DELAY: seconds to keep serving after SIGTERM while not ready, for platforms
# that give a proxy no time to send requests elsewhere.
#
# POSIX sh, not bash: slim images have dash as /bin/sh.
set -eu

text() { # text STRING: escape it for JSON
    printf %s "$1" | LC_ALL=C tr -c ' -~' '?' | sed 's/[\\"]/\\&/g'
}

tell() { # tell LEVEL MESSAGE: log it in the format of all other lines
    if [ "${PRODSERVER_LOG_FORMAT-}" != json ]; then
        echo "entrypoint: $2" >&2
        return
    fi
    printf '{"time": "%s", "level": "%s", "logger": "entrypoint", "message": "%s", "process": "%s", "pid": %d}\n' \
        "$(date -u +%Y-%m-%dT%H:%M:%S.000Z)" "$1" "$(text "$2")" "$(text "${PROCESS_NAME-}")" "$$"
}

fail() { # fail STATUS MESSAGE
    tell error "$2"
    # Kubernetes shows it as the reason, without a look at the log.
    if [ -w /dev/termination-log ]; then
        echo "entrypoint: $2" >/dev/termination-log
    fi
    exit "$1"
}

# "command -v" would also find the shell's builtins ("jobs", "wait").
is_command() (
    case $1 in */*) exit 0 ;; esac
    set -f
    IFS=:
    for folder in $PATH; do
        [ -f "$folder/$1" ] && [ -x "$folder/$1" ] && exit 0
    done
    exit 1
)

starts_process() { # whether these words start a process and not another command
    case ${1-} in
        --) return 1 ;;
        prodserver | "" | -*) return 0 ;;
        *) ! is_command "$1" ;;
    esac
}

# The project's own version overrides the image's. A version before 4 has no command
# "prodserver", and the image's command would end in a traceback.
reject_old_launcher() {
    for folder in "${VIRTUAL_ENV:-/opt/venv}"/lib/python*/site-packages; do
        [ -e "$folder/django_prodserver/__init__.py" ] || continue
        [ ! -e "$folder/django_prodserver/__main__.py" ] || continue
        version=
        for info in "$folder"/django_prodserver-*.dist-info; do
            version=${info##*/django_prodserver-} version=${version%.dist-info}
        done
        fail 78 "the project installs django-prodserver $version, which hides the image's version; require django-prodserver>=4.0.0.dev0, or remove it from the requirements"
    done
}

drain() { # wait at the first SIGTERM, but not at the second
    signalled=1
    if [ -n "$draining" ]; then
        kill -TERM "$child"
        return
    fi
    draining=1
    # Stop the process even if the probe fails.
    (
        prodserver-probe --drain "$DRAIN_DELAY" ${drained:+"$drained"} 2>&1 |
            while IFS= read -r line; do tell info "$line"; done || :
        kill -TERM "$child" 2>/dev/null
    ) &
}

# Stay as the parent of the process; needed only for DRAIN_DELAY.
supervise() {
    draining=''
    case ${2-} in -*) drained='' ;; *) drained=${2-} ;; esac
    # A signal that comes before there is a child is handled as soon as there is one.
    early=''
    for name in HUP INT QUIT TERM USR1 USR2; do
        # shellcheck disable=SC2064 # "name" is expanded now
        trap "early=$name" "$name"
    done
    exec 3<&0
    # A shell's background job gets no stdin, and ignores SIGINT and SIGQUIT.
    env --default-signal=INT,QUIT "$@" <&3 3<&- &
    child=$!
    trap drain TERM
    for name in HUP INT QUIT USR1 USR2; do
        # shellcheck disable=SC2064 # "name" is expanded now, "child" is a number
        trap "signalled=1; kill -$name $child" "$name"
    done
    case $early in
        '') ;;
        TERM) drain ;;
        *) kill -"$early" "$child" ;;
    esac
    status=127
    while :; do
        signalled='' last=$status status=0
        wait "$child" || status=$?
        # There is no child left: the last status was that of its exit.
        [ "$status" -ne 127 ] || exit "$last"
        # A forwarded signal ends the wait but not the child; dash may also end the
        # next wait for the same signal.
        [ "$status" -gt 128 ] || exit "$status"
        [ -n "$signalled" ] || kill -0 "$child" 2>/dev/null || exit "$status"
    done
}

# A user without an entry in /etc/passwd, as on OpenShift, gets "/" as HOME.
[ -w "${HOME:-/}" ] || export HOME=/tmp

if starts_process "$@"; then reject_old_launcher; fi

for hook in /docker-entrypoint.d/*; do
    # In an empty directory, the pattern stays as it is.
    [ -e "$hook" ] || [ -L "$hook" ] || continue
    [ ! -d "$hook" ] || continue
    [ -x "$hook" ] || fail 126 "$hook is not executable, not starting; run chmod +x on it"
    "$hook" || fail "$?" "$hook failed with status $?, not starting"
done

case ${1-} in
    --)
        shift
        [ $# -gt 0 ] || fail 2 "a command is missing after --"
        exec "$@"
        ;;
    "" | -*) ;;
    # This starts a process too, so DRAIN_DELAY applies.
    prodserver) shift ;;
    *)
        ! is_command "$1" || exec "$@"
        # A process takes only options, so another word suggests a command.
        case ${2--} in
            -*) ;;
            *) echo "entrypoint: '$1' is not a command here; starting it as a process" >&2 ;;
        esac
        ;;
esac

case ${DRAIN_DELAY:-0} in
    0) exec prodserver "$@" ;;
    *[!0-9.]* | *.*.* | .) fail 78 "DRAIN_DELAY is '$DRAIN_DELAY'; set it to a number of seconds" ;;
    *)
        whole=${DRAIN_DELAY%%.*}
        # The probe waits for at most a day, and a number can be too long for the shell.
        [ "${whole:-0}" -lt 86400 ] 2>/dev/null ||
            fail 78 "DRAIN_DELAY is '$DRAIN_DELAY'; set it to a number of seconds below 86400"
        supervise prodserver "$@"
        ;;
esac
