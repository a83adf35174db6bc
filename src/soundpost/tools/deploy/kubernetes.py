"""Kubernetes with Deployment, Service, Ingress (ingress-nginx), disruption budget and, if wanted, autoscaler."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from soundpost.errors import ConfigurationError
from soundpost.tools.deploy import docker
from soundpost.tools.deploy.containers import (
    UID,
    config_file,
    has_several_apps,
    in_container,
    reachable_redis,
    secrets,
    variables,
    warnings,
)
from soundpost.tools.deploy.layout import quoted
from soundpost.tools.deploy.plan import BackendAddress, ConfigFile, Deployment, DeployPlan

_FILE: Final = Path("soundpost.yaml")
_SECRET_FILE: Final = Path("soundpost-secret.yaml")
_LOOK_ELSEWHERE: Final = 5  # seconds for a cluster to take a pod that stops out of the Service everywhere
_BASE_MEMORY: Final = 128  # MiB of one process without clients, with room
_KB_PER_CONNECTION: Final = 16  # measured: 2 without TLS or compression; and what waits for slow clients


@dataclass(frozen=True, slots=True)
class KubernetesOptions:
    """Options for Kubernetes alone."""

    image: str = docker.IMAGE
    replicas: int | None = None
    """Number of pods; None means 2 with Redis, else 1."""
    autoscale: int | None = None
    """Highest number of pods, scaled by CPU; None means no autoscaler."""
    ingress_class: str = "nginx"


def deployment(plan: DeployPlan, options: KubernetesOptions, config: Path | None = None) -> Deployment:
    """Return all objects in one file, the Secret in another. Raises ConfigurationError for impossible numbers."""
    noted = warnings(plan)
    plan = in_container(plan)
    redis = reachable_redis(plan)
    replicas = options.replicas or (2 if redis else 1)
    most = max(replicas, options.autoscale or 0)
    if redis is None and most > 1:
        raise ConfigurationError(
            f"{most} pods act as one over Redis only: set scaling.redis to one that the cluster reaches"
        )
    if options.autoscale and options.autoscale < replicas:
        raise ConfigurationError(f"--autoscale {options.autoscale}: there are {replicas} pods before it scales")
    parts = [
        _deployment(plan, options, replicas),
        _service(plan),
        _ingress(plan, options),
        _disruption_budget(),
        _autoscaler(replicas, options.autoscale) if options.autoscale else "",
    ]
    files = [ConfigFile(_FILE, _heading(plan) + "---\n".join(part for part in parts if part))]
    steps = []
    if has_several_apps(plan):
        extra = "".join(f" --from-literal={name}=..." for name in secrets(plan))
        steps.append(f"kubectl create secret generic soundpost --from-file=soundpost.toml={config_file(config)}{extra}")
    else:
        files.append(ConfigFile(_SECRET_FILE, _secret(plan), private=True))
        steps.append(f"kubectl apply -f {_SECRET_FILE}   # written by --write, mode 600: not for Git")
    tls = "kubectl create secret tls soundpost-tls --cert=fullchain.pem --key=privkey.pem"
    steps += [
        "# TLS: the two files of the certificate, or cert-manager (the annotation in the Ingress)",
        f"{tls} --dry-run=client -o yaml | kubectl apply -f -",
        f"# the image {options.image}: soundpost deploy docker, then push it to where the cluster pulls from",
        f"kubectl apply -f {_FILE}",
        "kubectl rollout status deployment/soundpost",
    ]
    return Deployment(tuple(files), tuple(steps), BackendAddress("http", "soundpost", plan.server.port), noted)


def _heading(plan: DeployPlan) -> str:
    return f"""\
# Soundpost on Kubernetes, for {plan.connections:,} connections on each pod.
# Applications publish to http://soundpost:{plan.server.port} inside, browsers connect to {plan.server_name}:443.
# The nodes' limit of open files is the container runtime's, most often 1,048,576: enough.
"""


def _secret(plan: DeployPlan) -> str:
    values = "\n".join(f"  {name}: {quoted(value)}" for name, (_, value) in secrets(plan).items())
    return f"""\
# Secret: keep this file out of Git, and its mode 600.
apiVersion: v1
kind: Secret
metadata:
  name: soundpost
type: Opaque
stringData:
{values}
"""


def _deployment(plan: DeployPlan, options: KubernetesOptions, replicas: int) -> str:
    environment = {
        "SOUNDPOST_SERVER_CLIENT_IP_HEADER": "X-Forwarded-For",  # ingress-nginx sets it, and hands on Forwarded
        **variables(plan),
        "SOUNDPOST_SERVER_PORT": str(plan.server.port),
        "SOUNDPOST_SERVER_DRAIN_DELAY": str(max(plan.server.drain_delay, _LOOK_ELSEWHERE)),
    }
    for name, (variable, _) in secrets(plan).items():
        environment[variable] = f"/run/secrets/soundpost/{name}"
    lines = "\n".join(
        f"            - name: {name}\n              value: {quoted(value)}" for name, value in environment.items()
    )
    command = (
        '\n          args: ["start", "--config", "/run/secrets/soundpost/soundpost.toml"]'
        if has_several_apps(plan)
        else ""
    )
    memory = _BASE_MEMORY + plan.connections * _KB_PER_CONNECTION // 1024
    grace = plan.stop_seconds + max(0, _LOOK_ELSEWHERE - plan.server.drain_delay)
    return f"""\
apiVersion: apps/v1
kind: Deployment
metadata:
  name: soundpost
  labels: {{app.kubernetes.io/name: soundpost}}
spec:
  # More than one act as one over Redis (scaling.redis); without it there must be one only.
  replicas: {replicas}
  selector:
    matchLabels: {{app.kubernetes.io/name: soundpost}}
  # A new pod is ready before an old one disconnects its clients.
  strategy:
    type: RollingUpdate
    rollingUpdate: {{maxSurge: 1, maxUnavailable: 0}}
  template:
    metadata:
      labels: {{app.kubernetes.io/name: soundpost}}
    spec:
      # A Service named soundpost would otherwise set SOUNDPOST_PORT and the like.
      enableServiceLinks: false
      automountServiceAccountToken: false
      # Longer than a stop of the server takes: it waits until load balancers have noticed, disconnects its clients
      # little by little, and sends what waits for them.
      terminationGracePeriodSeconds: {grace}
      securityContext:
        runAsNonRoot: true
        runAsUser: {UID}
        runAsGroup: {UID}
        fsGroup: {UID}
        seccompProfile: {{type: RuntimeDefault}}
      topologySpreadConstraints:
        - maxSkew: 1
          topologyKey: kubernetes.io/hostname
          whenUnsatisfiable: ScheduleAnyway
          labelSelector:
            matchLabels: {{app.kubernetes.io/name: soundpost}}
      containers:
        - name: soundpost
          image: {quoted(options.image)}{command}
          ports:
            - {{name: http, containerPort: {plan.server.port}}}
          # In place of a preStop hook: when it is told to stop, the server goes on for SOUNDPOST_SERVER_DRAIN_DELAY
          # seconds, but for /up/ready, so that no Service or Ingress sends anybody to it any more.
          env:
{lines}
          volumeMounts:
            - {{name: secrets, mountPath: /run/secrets/soundpost, readOnly: true}}
            - {{name: tmp, mountPath: /tmp}}
          # It wants clients: not while it is about to stop.
          readinessProbe:
            httpGet: {{path: {quoted(f"{plan.prefix}/up/ready")}, port: http}}
            periodSeconds: 2
            timeoutSeconds: 2
            failureThreshold: 2
          # It runs, and answers: otherwise it is started again, after half a minute.
          livenessProbe:
            httpGet: {{path: {quoted(f"{plan.prefix}/up")}, port: http}}
            periodSeconds: 10
            timeoutSeconds: 5
            failureThreshold: 3
          startupProbe:
            httpGet: {{path: {quoted(f"{plan.prefix}/up")}, port: http}}
            periodSeconds: 1
            failureThreshold: 60
          # One process uses one core at most. No limit of CPU: a throttled server answers late.
          resources:
            requests: {{cpu: 250m, memory: {memory // 2}Mi}}
            limits: {{memory: {memory}Mi}}
          securityContext:
            allowPrivilegeEscalation: false
            readOnlyRootFilesystem: true
            capabilities: {{drop: [ALL]}}
      volumes:
        - name: secrets
          secret: {{secretName: soundpost, defaultMode: 0440}}
        - name: tmp
          emptyDir: {{medium: Memory, sizeLimit: 16Mi}}
"""


def _service(plan: DeployPlan) -> str:
    return f"""\
apiVersion: v1
kind: Service
metadata:
  name: soundpost
  labels: {{app.kubernetes.io/name: soundpost}}
spec:
  selector: {{app.kubernetes.io/name: soundpost}}
  ports:
    - {{name: http, port: {plan.server.port}, targetPort: http}}
"""


def _ingress(plan: DeployPlan, options: KubernetesOptions) -> str:
    names = ["app"] if plan.api_is_internal else ["app", "apps"]
    paths = "\n".join(
        f"""\
          - path: {quoted(f"{plan.prefix}/{name}")}
            pathType: Prefix
            backend: {{service: {{name: soundpost, port: {{name: http}}}}}}"""
        for name in names
    )
    api = "# /apps is not forwarded: the API is for applications inside.\n" if plan.api_is_internal else ""
    return f"""\
# For ingress-nginx; WebSockets need no switch there. Other controllers have other names for the annotations.
# {plan.longest_idle_time} s of silence are in order, and 30 s to answer a ping: the timeouts must be longer than both.
{api}apiVersion: networking.k8s.io/v1
kind: Ingress
metadata:
  name: soundpost
  labels: {{app.kubernetes.io/name: soundpost}}
  annotations:
    nginx.ingress.kubernetes.io/proxy-read-timeout: "{plan.idle_timeout}"
    nginx.ingress.kubernetes.io/proxy-send-timeout: "{plan.idle_timeout}"
    nginx.ingress.kubernetes.io/proxy-connect-timeout: "5"
    nginx.ingress.kubernetes.io/proxy-buffering: "off"
    nginx.ingress.kubernetes.io/proxy-body-size: "{plan.server.max_request_size}"
    nginx.ingress.kubernetes.io/proxy-next-upstream: "error timeout http_503"
    # No permanent redirect for the API: 308 keeps the method, 301 would make a GET of a POST.
    nginx.ingress.kubernetes.io/force-ssl-redirect: "true"
    # With cert-manager:
    # cert-manager.io/cluster-issuer: letsencrypt
spec:
  ingressClassName: {quoted(options.ingress_class)}
  tls:
    - hosts: [{quoted(plan.server_name)}]
      secretName: soundpost-tls
  rules:
    - host: {quoted(plan.server_name)}
      http:
        paths:
{paths}
"""


def _disruption_budget() -> str:
    return """\
# A drain of nodes takes one pod at a time.
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata:
  name: soundpost
spec:
  maxUnavailable: 1
  selector:
    matchLabels: {app.kubernetes.io/name: soundpost}
"""


def _autoscaler(least: int, most: int) -> str:
    return f"""\
# Connections stay where they are: new pods get new clients only, so it grows early and shrinks slowly.
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata:
  name: soundpost
spec:
  scaleTargetRef: {{apiVersion: apps/v1, kind: Deployment, name: soundpost}}
  minReplicas: {least}
  maxReplicas: {most}
  metrics:
    - type: Resource
      resource: {{name: cpu, target: {{type: Utilization, averageUtilization: 150}}}}
  behavior:
    scaleDown:
      stabilizationWindowSeconds: 600
      policies:
        - {{type: Pods, value: 1, periodSeconds: 120}}
"""
