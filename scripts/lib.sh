# shellcheck shell=bash disable=SC2034
# What ./quickstart, ./check and scripts/setup share. Sourced, with the top of the checkout as working directory.

umask 022 # what is set up must be readable to whoever runs the server, whatever the caller's habit
# Debian's administration programs (losetup, mkfs, runc) are not on every user's PATH.
export PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin" LC_ALL=C.UTF-8
# What a caller's Python settings would break: a virtual environment holds what its lock says and nothing else.
unset PYTHONPATH PYTHONHOME VIRTUAL_ENV PIP_REQUIRE_VIRTUALENV PIP_TARGET PIP_PREFIX PIP_USER PIP_CONSTRAINT

readonly VENV="$PWD/.venv"
readonly WORK="$PWD/.cache" # locks, logs and Go's build cache: never tracked, safe to delete
readonly LOG="$WORK/setup.log"
mkdir -p "$WORK"

# Go works without a home directory and never fetches another toolchain.
export GOTOOLCHAIN=local GOWORK=off GOFLAGS=-buildvcs=false GOCACHE="$WORK/go-build" GOPATH="$WORK/go"

die() { # LINE…
  printf '%s\n' "$@" >&2
  exit 1
}

# Python that sudo starts leaves no files of root's in a user's checkout.
as_root() { # COMMAND…
  if [ "$(id -u)" -eq 0 ]; then
    "$@"
  else
    sudo -- env PYTHONDONTWRITEBYTECODE=1 "$@"
  fi
}

# Asks for the password once and before the work, not inside a step whose output goes to a file.
require_root() {
  [ "$(id -u)" -eq 0 ] && return
  command -v sudo >/dev/null ||
    die "This needs root: run it as root, or as a user who may use sudo (there is no sudo here)."
  sudo -v || die "sudo refused. Run this as root, or as a user who may use sudo."
}

# Held until the script ends. Whatever goes on running after that must not inherit it: start it with 9>&-.
lock() { # NAME
  exec 9>"$WORK/$1.lock"
  if ! flock --nonblock 9; then
    echo "Another run in this checkout is at work; waiting for it to end."
    flock 9
  fi
}

# Runs COMMAND with its output in the log; its exit status is left in $status.
# Not to be called in a condition: bash switches `set -e` off in there, and a failing line would be passed over.
logged() { # TITLE COMMAND…
  local title=$1
  shift
  printf '%-62s' "$title "
  printf '\n== %s\n' "$title" >>"$LOG"
  log_start=$(stat -c %s "$LOG")
  started=$SECONDS
  set +e
  (
    set -e
    "$@"
  ) >>"$LOG" 2>&1 </dev/null
  status=$?
  set -e
}

# One step: a line with its name and how long it took. A failing one ends the script with the last lines of its output.
step() { # TITLE COMMAND…
  logged "$@"
  if [ "$status" -ne 0 ]; then
    printf 'FAILED after %d s\n\n' $((SECONDS - started))
    tail -c "+$((log_start + 1))" "$LOG" | tail -n "${LINES_ON_FAILURE:-25}"
    printf '\nThe whole output: %s\n%s\n' "$LOG" "${HINT:-When the cause is mended, run the same command again: what is done is not done again.}"
    exit 1
  fi
  printf '%4d s\n' $((SECONDS - started))
}

# One step that may fail: what follows says what is lost, and the work goes on. Its exit status is left in $status.
attempt() { # TITLE COMMAND…
  logged "$@"
  if [ "$status" -eq 0 ]; then
    printf '%4d s\n' $((SECONDS - started))
  else
    printf '%4d s, not to be had here\n' $((SECONDS - started))
  fi
}

note() { # TEXT
  printf '  %s\n' "$*" | tee -a "$LOG"
}
