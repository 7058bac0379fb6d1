# Shared by the scripts of this folder: what to install, and how each service is started and awaited.
# shellcheck shell=bash

cache="${SCAIDRIVE_CI_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/scaidrive}"

say() { printf '%s\n' "tests: $*" >&2; }

as_root() {
  if [ "$(id -u)" = 0 ]; then "$@"; else sudo -n "$@"; fi
}

may_install() { command -v apt-get >/dev/null && as_root true 2>/dev/null; }

# need PROGRAM PACKAGE: installs the package unless the program is there; false if that is impossible.
need() {
  command -v "$1" >/dev/null && return 0
  if ! may_install; then
    say "SKIPPED: $1 (package $2) is missing, and there are no rights to install it"
    return 1
  fi
  if [ ! -e "${TMPDIR:-/tmp}/.scaidrive-apt-updated" ]; then
    as_root apt-get update -qq >/dev/null
    touch "${TMPDIR:-/tmp}/.scaidrive-apt-updated"
  fi
  say "installing $2"
  as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$2" >/dev/null 2>&1 \
    || { say "SKIPPED: $2 could not be installed"; return 1; }
  command -v "$1" >/dev/null
}

# The outside judge of permissions: Samba's own access check, for the system's Python.
need_samba() {
  /usr/bin/python3 -c 'import samba.security' 2>/dev/null && return 0
  may_install || { say "SKIPPED: python3-samba is missing, and there are no rights to install it"; return 0; }
  say "installing python3-samba"
  as_root apt-get update -qq >/dev/null 2>&1 || true
  as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends python3-samba \
    >/dev/null 2>&1 || say "SKIPPED: python3-samba could not be installed"
}

free_port() {
  python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

secret() { head -c 18 /dev/urandom | base64 | tr -d '+/=' ; }

# await SECONDS COMMAND…: runs the command until it succeeds.
await() {
  local tries=$(( $1 * 5 )); shift
  while ! "$@" >/dev/null 2>&1; do
    tries=$(( tries - 1 ))
    [ "$tries" -gt 0 ] || return 1
    sleep 0.2
  done
}

# started DIR NAME PID: remembers what to stop.
started() { echo "$3" > "$1/$2.pid"; }

# launch DIR NAME COMMAND…: starts a part by DIR/start-NAME, which starts it again after it was killed.
launch() {
  local dir=$1 name=$2; shift 2
  { echo '#!/usr/bin/env bash'; printf 'exec'; printf ' %q' "$@"; printf ' >> %q 2>&1\n' "$dir/$name.log"; } \
    > "$dir/start-$name"
  chmod 700 "$dir/start-$name"
  "$dir/start-$name" &
  started "$dir" "$name" $!
}

export_to() { printf 'export %s=%q\n' "$2" "$3" >> "$1/env"; }

# install_mariadb DIR DATA: makes an empty MariaDB.
install_mariadb() {
  mkdir -p "$2"
  mariadb-install-db --no-defaults --user="$(id -un)" --datadir="$2" --auth-root-authentication-method=normal \
    --skip-test-db > "$1/mariadb-install.log" 2>&1
}

# ask SOCKET STATEMENTS: asks a MariaDB as root.
ask() { mariadb --no-defaults -uroot --socket="$1" -e "$2"; }

start_mariadb() {
  local dir=$1 data=$1/mariadb port password user
  export PATH="$PATH:/usr/sbin"
  need mariadbd mariadb-server && need mariadb mariadb-client || return 0
  port=$(free_port); password=$(secret); user=$(id -un)
  install_mariadb "$dir" "$data"
  # What the replica begins with, before anybody has written anything.
  cp -r "$data" "$dir/replica-data"
  # Its own files, its own port; commits are flushed to disk as in production.
  launch "$dir" mariadb mariadbd --no-defaults --user="$user" --datadir="$data" --socket="$dir/mariadb.sock" \
    --port="$port" --bind-address=127.0.0.1 --pid-file="$dir/mariadbd.own" --innodb-flush-log-at-trx-commit=1 \
    --innodb-buffer-pool-size=256M --innodb-log-file-size=128M --max-connections=400 \
    --character-set-server=utf8mb4 --log-bin --server-id=1
  await 60 ask "$dir/mariadb.sock" 'SELECT 1' \
    || { say "MariaDB did not start:"; tail -20 "$dir/mariadb.log" >&2; return 1; }
  ask "$dir/mariadb.sock" "$(user_of_tests "$password")"
  export_to "$dir" SCAIDRIVE_TEST_MYSQL_URL "mysql://scaidrive:$password@127.0.0.1:$port/"
  export_to "$dir" SCAIDRIVE_TEST_MYSQL_SOCKET "$dir/mariadb.sock"
  start_replica "$dir" "$port" "$password"
}

user_of_tests() {
  printf %s "CREATE USER scaidrive@'%' IDENTIFIED BY '$1'; GRANT ALL ON *.* TO scaidrive@'%' WITH GRANT OPTION"
}

# Databases whose changes the replica copies: those called replica_… alone, since what all the other tests write need not
# be written twice.
replicated='replica\_%.%'

# A second MariaDB that copies what the first one commits.
start_replica() {
  local dir=$1 primary=$2 password=$3 port
  port=$(free_port)
  launch "$dir" replica mariadbd --no-defaults --user="$(id -un)" --datadir="$dir/replica-data" \
    --socket="$dir/replica.sock" --port="$port" --bind-address=127.0.0.1 --pid-file="$dir/replica.own" --server-id=2 \
    --innodb-flush-log-at-trx-commit=2 --innodb-buffer-pool-size=64M --character-set-server=utf8mb4 \
    --replicate-wild-do-table="$replicated" --relay-log=relay --relay-log-recovery=1 --read-only=1
  await_replica "$dir" || return 1
  ask "$dir/replica.sock" "$(user_of_tests "$password"); \
    CHANGE MASTER TO MASTER_HOST='127.0.0.1', MASTER_PORT=$primary, MASTER_USER='scaidrive', \
    MASTER_PASSWORD='$password', MASTER_USE_GTID=slave_pos, MASTER_CONNECT_RETRY=1; START SLAVE"
  export_to "$dir" SCAIDRIVE_TEST_MYSQL_REPLICA_URL "mysql://scaidrive:$password@127.0.0.1:$port/"
  export_to "$dir" SCAIDRIVE_TEST_MYSQL_REPLICA_SOCKET "$dir/replica.sock"
}

await_replica() {
  await 60 ask "$1/replica.sock" 'SELECT 1' \
    || { say "the replica did not start:"; tail -20 "$1/replica.log" >&2; return 1; }
}

start_redis() {
  local dir=$1 port
  need redis-server redis-server || return 0
  port=$(free_port)
  launch "$dir" redis redis-server --port "$port" --bind 127.0.0.1 --dir "$dir" --save '' --appendonly no
  await 20 redis-cli -p "$port" ping || { say "Redis did not start"; return 1; }
  export_to "$dir" SCAIDRIVE_TEST_REDIS_URL "redis://127.0.0.1:$port/0"
}

export_s3() {
  export_to "$1" SCAIDRIVE_TEST_S3_ENDPOINT "$2"
  export_to "$1" SCAIDRIVE_TEST_S3_BUCKET scaidrive-test
  export_to "$1" SCAIDRIVE_TEST_S3_REGION "$3"
  export_to "$1" SCAIDRIVE_TEST_S3_ACCESS_KEY "$4"
  export_to "$1" SCAIDRIVE_TEST_S3_SECRET_KEY "$5"
}

# The ordinary S3 server: moto's, in a virtual environment that stays in the cache.
start_moto() {
  local dir=$1 port venv=$cache/moto
  if [ ! -x "$venv/bin/moto_server" ]; then
    say "installing moto (an S3 server)"
    python3 -c 'import ensurepip' 2>/dev/null || need pip3 python3-venv || return 0
    { python3 -m venv "$venv" && "$venv/bin/pip" install -q 'moto[server,s3]' > "$dir/pip.log" 2>&1; } \
      || { rm -rf "$venv"; say "SKIPPED: moto could not be installed"; return 0; }
  fi
  port=$(free_port)
  launch "$dir" moto "$venv/bin/moto_server" -H 127.0.0.1 -p "$port"
  await 60 curl -fs -X PUT "http://127.0.0.1:$port/scaidrive-test" \
    || { say "moto did not start:"; tail -5 "$dir/moto.log" >&2; return 1; }
  export_s3 "$dir" "http://127.0.0.1:$port" us-east-1 test test
}

build_garage() {
  garage=$cache/garage/bin/garage
  [ -x "$garage" ] && return 0
  say "building Garage; this takes a few minutes once"
  CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16 CARGO_PROFILE_RELEASE_DEBUG=false \
    CARGO_TARGET_DIR="$cache/garage-target" cargo install garage --version 2.5.0 --locked \
    --no-default-features --features bundled-libs,sqlite --root "$cache/garage"
}

# The S3 server that the deployment page names: one node, one zone, one copy.
start_garage() {
  local dir=$1 s3 rpc config node key
  build_garage
  s3=$(free_port); rpc=$(free_port); config=$dir/garage.toml
  cat > "$config" <<TOML
metadata_dir = "$dir/garage/meta"
data_dir = "$dir/garage/data"
db_engine = "sqlite"
replication_factor = 1
rpc_bind_addr = "127.0.0.1:$rpc"
rpc_public_addr = "127.0.0.1:$rpc"
rpc_secret = "$(head -c 32 /dev/urandom | od -An -tx1 | tr -d ' \n')"
[s3_api]
s3_region = "garage"
api_bind_addr = "127.0.0.1:$s3"
root_domain = ".s3.garage"
TOML
  launch "$dir" garage env RUST_LOG=warn "$garage" -c "$config" server
  await 30 "$garage" -c "$config" status || { say "Garage did not start:"; tail -5 "$dir/garage.log" >&2; return 1; }
  node=$("$garage" -c "$config" node id -q 2>/dev/null | cut -d@ -f1)
  "$garage" -c "$config" layout assign -z here -c 50G "$node" > "$dir/garage-setup.log" 2>&1
  "$garage" -c "$config" layout apply --version 1 >> "$dir/garage-setup.log" 2>&1
  await 30 "$garage" -c "$config" bucket create scaidrive-test
  key=$("$garage" -c "$config" key create test 2>/dev/null)
  "$garage" -c "$config" bucket allow --read --write --owner scaidrive-test --key test >> "$dir/garage-setup.log" 2>&1
  export_s3 "$dir" "http://127.0.0.1:$s3" garage \
    "$(sed -n 's/^Key ID: *//p' <<< "$key")" "$(sed -n 's/^Secret key: *//p' <<< "$key")"
}

# A Python that has httpx, for the examples that need it: a virtual environment that stays in the cache.
export_python() {
  local dir=$1 venv=$cache/httpx
  if ! "$venv/bin/python" -c 'import httpx' 2>/dev/null; then
    say "installing httpx"
    python3 -c 'import ensurepip' 2>/dev/null || need pip3 python3-venv || return 0
    { python3 -m venv "$venv" && "$venv/bin/pip" install -q httpx > "$dir/httpx.log" 2>&1; } \
      || { rm -rf "$venv"; say "SKIPPED: httpx could not be installed"; return 0; }
  fi
  export_to "$dir" SCAIDRIVE_TEST_PYTHON "$venv/bin/python"
}

# OpenID Connect providers: npm's oidc-provider, which stays in the cache.
start_oidc() {
  local dir=$1 port standing home=$cache/oidc
  need node nodejs && need npm npm || return 0
  if [ ! -d "$home/node_modules/oidc-provider" ]; then
    say "installing oidc-provider"
    mkdir -p "$home"
    npm install --no-audit --no-fund --prefix "$home" oidc-provider@9 > "$dir/npm.log" 2>&1 \
      || { say "SKIPPED: oidc-provider could not be installed"; return 0; }
  fi
  port=$(free_port); standing=$(free_port)
  launch "$dir" oidc env MODULES="$home" node "$(dirname "${BASH_SOURCE[0]}")/oidc/provider.mjs" "$port" \
    "$standing" "$dir/oidc.keys"
  await 30 curl -fs "http://127.0.0.1:$port/" \
    || { say "oidc-provider did not start:"; tail -5 "$dir/oidc.log" >&2; return 1; }
  export_to "$dir" SCAIDRIVE_TEST_OIDC_URL "http://127.0.0.1:$port"
  export_to "$dir" SCAIDRIVE_TEST_OIDC_STANDING "http://127.0.0.1:$standing"
}

stop_all() {
  local dir=$1 file pid
  # All of them are told first: servers take their time.
  for file in "$dir"/*.pid; do
    if [ -e "$file" ]; then kill "$(cat "$file")" 2>/dev/null || true; fi
  done
  for file in "$dir"/*.pid; do
    [ -e "$file" ] || continue
    pid=$(cat "$file")
    for _ in $(seq 100); do kill -0 "$pid" 2>/dev/null || break; sleep 0.1; done
    kill -9 "$pid" 2>/dev/null || true
    rm -f "$file"
  done
}
