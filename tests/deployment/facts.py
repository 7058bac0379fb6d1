"""What no tool of others can know: whether the shipped files fit the program, the README, and each other.

Usage: facts.py DIRECTORY, where tests/deployment/check has left what Compose and Helm make of the files.
"""

import json
import pathlib
import re
import sys

import yaml

ROOT = pathlib.Path(__file__).resolve().parents[2]
WORK = pathlib.Path(sys.argv[1])
VARIABLE = re.compile(r"\bSCAIDRIVE_[A-Z0-9_]+\b")

# The deployment page names it; the program does not read it yet.
PROMISED = {"SCAIDRIVE_WEAVIATE_URL"}
PROVIDER = {"SCAIDRIVE_SCAIKEY_URL", "SCAIDRIVE_SCAIKEY_CLIENT_ID", "SCAIDRIVE_JWT_ISSUER"}
ROLES = {"scaidrive-api": "api", "scaidrive-worker": "worker", "scaidrive-migrate": "migrate"}

faults = []


def expect(holds, what):
    if not holds:
        faults.append(what)


def text(path):
    return (ROOT / path).read_text()


def shipped():
    single = ["Dockerfile", "docker-compose.yml", ".env.example"]
    folders = [path for folder in ("deploy", "k8s") for path in (ROOT / folder).rglob("*") if path.is_file()]
    return [ROOT / name for name in single] + folders


def table():
    """The README's table as {name: whether production needs it}; a test of the core holds it to the program."""
    rows = re.search(r"<!-- configuration -->\n(.*?)<!-- /", text("README.md"), re.S).group(1)
    found = {}
    for row in rows.splitlines()[2:]:
        found[VARIABLE.search(row).group()] = "(required in production)" in row
    return found


def secrets():
    """The variables that the program masks."""
    sources = list((ROOT / "scaidrive-core/src").glob("config*")) + list((ROOT / "scaidrive-core/src/config").glob("*.rs"))
    code = "".join(path.read_text() for path in sources if path.is_file())
    return set(re.findall(r"secret\(\s*(?:required|variable)\(\s*\"(SCAIDRIVE_\w+)\"", code))


def documents(path):
    return [one for one in yaml.safe_load_all(path.read_text()) if one]


def check_names(known):
    for path in shipped():
        for name in sorted(set(VARIABLE.findall(path.read_text())) - known.keys() - PROMISED):
            expect(name.endswith("_"), f"{path.relative_to(ROOT)}: {name} is not in the README's table")


def check_image():
    docker = text("Dockerfile")
    for line in (
        'ENTRYPOINT ["scaidrive-server"]',
        "SCAIDRIVE_LISTEN=0.0.0.0:8000",
        "SCAIDRIVE_METRICS_LISTEN=0.0.0.0:9000",
        "SCAIDRIVE_DATA_DIR=/var/lib/scaidrive",
        "EXPOSE 8000 9000",
        "USER 10001:10001",
    ):
        expect(line in docker, f"Dockerfile: lacks {line}")
    expect("--bin scaidrive-server --bin scaidrive" in docker, "Dockerfile: does not build both programs")
    cargo = text("Cargo.toml")
    version = re.search(r'^version = "(.+)"', cargo, re.M).group(1)
    rust = re.search(r'^rust-version = "(.+)"', cargo, re.M).group(1)
    expect(f"RUST_IMAGE=rust:{rust}-" in docker, f"Dockerfile: does not build with Rust {rust}")
    expect(f"ARG VERSION={version}\n" in docker, f"Dockerfile: is not of version {version}")
    chart = yaml.safe_load(text("k8s/chart/Chart.yaml"))
    expect(chart["appVersion"] == version, f"Chart.yaml: appVersion is not {version}")


def check_values(known, masked):
    settings = json.loads(text("k8s/chart/values.schema.json"))["properties"]["config"]
    refused, asked = set(settings["propertyNames"]["not"]["enum"]), set(settings["required"])
    expect(masked <= refused, f"values.schema.json: takes secrets: {masked - refused}")
    for name, required in known.items():
        if required and name not in refused:
            expect(name in asked, f"values.schema.json: does not ask for {name}")


def check_compose(name, needed):
    compose = json.loads((WORK / name).read_text())
    services = compose["services"]
    for service, role in ROLES.items():
        found = services.get(service, {})
        expect(found.get("command") == [role], f"{name}: {service} does not play {role}")
        expect("entrypoint" not in found or found["entrypoint"] is None, f"{name}: {service} has an entrypoint of its own")
        for variable in sorted(needed):
            expect(found["environment"].get(variable), f"{name}: {service} lacks {variable}")
        waits = found["depends_on"]
        for other in ("mariadb", "redis", "garage"):
            expect(waits[other]["condition"] == "service_healthy", f"{name}: {service} does not wait for {other}")
        if role != "migrate":
            migrated = waits.get("scaidrive-migrate", {}).get("condition")
            expect(migrated == "service_completed_successfully", f"{name}: {service} does not wait for the schema")
    published = services["scaidrive-api"]["ports"]
    expect([port["target"] for port in published] == [8000], f"{name}: something but the API is published")
    for service, found in services.items():
        expect(service == "scaidrive-api" or not found.get("ports"), f"{name}: {service} is published")
        expect(service == "scaidrive-migrate" or found.get("healthcheck", {}).get("test") or service == "weaviate",
               f"{name}: {service} has no health check")
    expect(services["garage"]["environment"]["GARAGE_DEFAULT_BUCKET"]
           == services["scaidrive-api"]["environment"].get("SCAIDRIVE_S3_BUCKET"), f"{name}: there are two buckets")
    expect(compose["networks"]["backend"].get("internal"), f"{name}: the services can be reached from outside")


def of_kind(found, kind, component=None):
    wanted = [one for one in found if one["kind"] == kind and (
        component is None or one["metadata"]["labels"]["app.kubernetes.io/component"] == component)]
    expect(len(wanted) == 1, f"there is not one {kind} {component or ''}")
    return wanted[0]


def check_pod(where, pod, role, routes):
    (container,) = pod["containers"]
    expect(container["args"] == [role], f"{where}: does not play {role}")
    expect("command" not in container, f"{where}: replaces the image's entrypoint")
    expect(pod["securityContext"]["runAsNonRoot"] and pod["securityContext"]["runAsUser"] == 10001, f"{where}: is root")
    safe = container["securityContext"]
    expect(safe["readOnlyRootFilesystem"] and not safe["allowPrivilegeEscalation"] and safe["capabilities"]["drop"] == ["ALL"],
           f"{where}: may do more than it needs")
    if role == "migrate":
        return
    # Drain delay, requests under way, and jobs under way, one after the other.
    expect(pod["terminationGracePeriodSeconds"] >= 5 + 30 + 20, f"{where}: is killed while it ends its work")
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    expect(ports == ({"http": 8000, "metrics": 9000} if role == "api" else {"metrics": 9000}), f"{where}: ports {ports}")
    for probe, path in (("startupProbe", "health"), ("livenessProbe", "health"), ("readinessProbe", "ready")):
        asked = container[probe]["httpGet"]
        expect(asked["path"] == f"/api/v1/{path}" and asked["path"] in routes, f"{where}: {probe} asks {asked['path']}")
        expect(asked["port"] == ("http" if role == "api" else "metrics"), f"{where}: {probe} asks on {asked['port']}")


def check_manifests(name, found, secret, needed, masked):
    routes = set(text("scaidrive-http/tests/routes.txt").split())
    settings = of_kind(found, "ConfigMap")["data"]
    expect(settings["SCAIDRIVE_ENV"] == "production", f"{name}: is not production")
    expect(not masked & settings.keys(), f"{name}: secrets in the ConfigMap: {masked & settings.keys()}")
    for variable in sorted(needed - settings.keys() - secret.keys()):
        faults.append(f"{name}: {variable} is set by neither the ConfigMap nor the Secret")
    expect(secret.keys() <= masked, f"{name}: the Secret has what is none: {secret.keys() - masked}")
    budgets = 0
    for role, replicas in (("api", 3), ("worker", 2)):
        deployment = of_kind(found, "Deployment", role)
        expect(deployment["spec"].get("replicas", replicas) == replicas, f"{name}: not {replicas} of {role}")
        labels, selector = deployment["spec"]["template"]["metadata"]["labels"], deployment["spec"]["selector"]["matchLabels"]
        expect(selector.items() <= labels.items(), f"{name}: {role} does not select its own pods")
        check_pod(f"{name}: {role}", deployment["spec"]["template"]["spec"], role, routes)
        budget = of_kind(found, "PodDisruptionBudget", role)["spec"]
        expect(budget["minAvailable"] == 1 and budget["selector"]["matchLabels"] == selector, f"{name}: budget of {role}")
    job = of_kind(found, "Job")
    check_pod(f"{name}: migrate", job["spec"]["template"]["spec"], "migrate", routes)
    check_reach(name, found)
    check_scaling(name, found)


def check_reach(name, found):
    service, ingress = of_kind(found, "Service"), of_kind(found, "Ingress")
    expect(service["spec"]["selector"] == of_kind(found, "Deployment", "api")["spec"]["selector"]["matchLabels"],
           f"{name}: the Service does not select the API")
    expect([(port["name"], port["targetPort"]) for port in service["spec"]["ports"]] == [("http", "http")],
           f"{name}: the Service has more than the API")
    backends = [path["backend"]["service"] for rule in ingress["spec"]["rules"] for path in rule["http"]["paths"]]
    expect(backends == [{"name": service["metadata"]["name"], "port": {"name": "http"}}], f"{name}: the Ingress leads astray")
    wanted = {"proxy-body-size": "5g", "proxy-read-timeout": "3600", "proxy-send-timeout": "3600",
              "proxy-request-buffering": "off", "proxy-buffering": "off", "enable-access-log": "false"}
    expect(ingress["metadata"]["annotations"] == {f"nginx.ingress.kubernetes.io/{key}": value for key, value in wanted.items()},
           f"{name}: the Ingress lacks settings")


def check_scaling(name, found):
    scaler = of_kind(found, "HorizontalPodAutoscaler")["spec"]
    cpu = scaler["metrics"][0]["resource"]
    expect((scaler["minReplicas"], scaler["maxReplicas"], cpu["name"], cpu["target"]["averageUtilization"]) == (3, 20, "cpu", 70),
           f"{name}: the API does not scale from 3 to 20 at 70 %")
    expect(scaler["scaleTargetRef"]["name"] == of_kind(found, "Deployment", "api")["metadata"]["name"],
           f"{name}: the autoscaler names nothing")
    keda = of_kind(found, "ScaledObject")
    expect(keda["apiVersion"] == "keda.sh/v1alpha1", f"{name}: no ScaledObject that KEDA knows")
    expect(keda["spec"]["scaleTargetRef"]["name"] == of_kind(found, "Deployment", "worker")["metadata"]["name"],
           f"{name}: KEDA's target is not the worker")
    (trigger,) = keda["spec"]["triggers"]
    expect(trigger["type"] == "prometheus" and {"serverAddress", "query", "threshold"} <= trigger["metadata"].keys(),
           f"{name}: KEDA's trigger lacks something")
    expect(all(isinstance(value, str) for value in trigger["metadata"].values()), f"{name}: KEDA takes texts only")
    (metric,) = re.findall(r"scaidrive_\w+", trigger["metadata"]["query"])
    expect(f'"{metric}"' in text("scaidrive-http/src/metrics.rs"), f"{name}: there is no metric {metric}")


def check_nginx():
    routes = text("scaidrive-http/tests/routes.txt")
    conf = re.sub(r"#.*", "", text("deploy/nginx.conf"))
    locations = dict(re.findall(r"location (?:= )?(\S+) \{(.*?)\}", conf, re.S))
    for path in ("/api/v1/realtime/ws", "/api/v1/sync/ws/"):
        expect(path in routes, f"deploy/nginx.conf: there is no {path}")
        expect(re.search(r"proxy_read_timeout\s+3600s;", locations.get(path, "")), f"deploy/nginx.conf: {path} is cut off early")
    for line in (r"client_max_body_size\s+5g", r"proxy_request_buffering\s+off", r"proxy_buffering\s+off", "max_fails=3",
                 r"X-Forwarded-For\s+\$proxy_add_x_forwarded_for", r"X-Request-ID\s+\$scaidrive_request_id"):
        expect(re.search(line, conf), f"deploy/nginx.conf: lacks {line}")
    logged = re.search(r"log_format.*?;", conf, re.S).group()
    for leak in ("$request ", '$request"', "$request_uri", "$args", "$query_string", "$uri", "$http_referer", "$http_auth"):
        expect(leak not in logged, f"deploy/nginx.conf: the log shows {leak}")


def main():
    known, masked = table(), secrets()
    needed = {name for name, required in known.items() if required}
    expect(PROVIDER < needed and {"SCAIDRIVE_SECRET_KEY", "SCAIDRIVE_DATABASE_URL"} <= masked, "the sources are not read right")
    check_names(known)
    check_image()
    check_values(known, masked)
    check_compose("compose.json", (needed - PROVIDER) | {"SCAIDRIVE_EMBEDDED_ISSUER"})
    check_compose("compose-scaikey.json", needed)
    secret = documents(ROOT / "k8s/manifests/secret.yaml.example")[0]["stringData"]
    plain = [one for path in (ROOT / "k8s/manifests").rglob("*.yaml") for one in documents(path)]
    check_manifests("k8s/manifests", plain, secret, needed, masked)
    if (WORK / "chart.yaml").exists():
        check_manifests("k8s/chart", documents(WORK / "chart.yaml"), secret, needed, masked)
    check_nginx()
    print("\n".join(faults))
    sys.exit(1 if faults else 0)


main()
