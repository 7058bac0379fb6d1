{{- /* The name of everything of a release: `scaidrive` where the release is called that. */}}
{{- define "scaidrive.name" -}}
{{- if contains "scaidrive" .Release.Name }}{{ .Release.Name | trunc 40 | trimSuffix "-" }}{{ else }}{{ printf "%s-scaidrive" .Release.Name | trunc 40 | trimSuffix "-" }}{{ end }}
{{- end }}

{{- /* Labels that select the pods of a role, for ever; takes a list of the context and the role. */}}
{{- define "scaidrive.selector" -}}
app.kubernetes.io/name: scaidrive
app.kubernetes.io/instance: {{ (index . 0).Release.Name }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end }}

{{- define "scaidrive.labels" -}}
{{ include "scaidrive.selector" . }}
app.kubernetes.io/version: {{ (index . 0).Chart.AppVersion | quote }}
{{- end }}

{{- /* What is set for every role and is no secret. */}}
{{- define "scaidrive.config" -}}
SCAIDRIVE_ENV: production
{{- range $name, $value := .Values.config }}
{{ $name }}: {{ $value | quote }}
{{- end }}
{{- end }}

{{- /* What pods of all roles have in common. */}}
{{- define "scaidrive.pod" -}}
automountServiceAccountToken: false
# The services of the namespace would come as variables otherwise, some of which begin with SCAIDRIVE_.
enableServiceLinks: false
securityContext:
  runAsNonRoot: true
  runAsUser: 10001
  runAsGroup: 10001
  fsGroup: 10001
  seccompProfile: { type: RuntimeDefault }
{{- with .Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
volumes:
  # Nothing that must last: with a database, a store and a provider the directory stays empty.
  - name: data
    emptyDir: { sizeLimit: 64Mi }
  - name: tmp
    emptyDir: { sizeLimit: 64Mi }
{{- end }}

{{- /* What containers of all roles have in common. */}}
{{- define "scaidrive.container" -}}
image: {{ printf "%s:%s" .Values.image.repository (.Values.image.tag | default .Chart.AppVersion) }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities: { drop: [ALL] }
volumeMounts:
  - { name: data, mountPath: /var/lib/scaidrive }
  - { name: tmp, mountPath: /tmp }
{{- end }}

{{- /* Takes a list of the context and the role. */}}
{{- define "scaidrive.spread" -}}
topologySpreadConstraints:
  {{- range $key := list "kubernetes.io/hostname" "topology.kubernetes.io/zone" }}
  - maxSkew: 1
    topologyKey: {{ $key }}
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels:
        {{- include "scaidrive.selector" $ | nindent 8 }}
  {{- end }}
{{- end }}

{{- /* Annotations of long-lived pods. */}}
{{- define "scaidrive.annotations" -}}
prometheus.io/scrape: "true"
prometheus.io/port: "9000"
prometheus.io/path: /metrics
{{- if not .Values.plain }}
# Pods are replaced when what they are started with changes.
scaidrive/config: {{ include "scaidrive.config" . | sha256sum }}
{{- end }}
{{- end }}
