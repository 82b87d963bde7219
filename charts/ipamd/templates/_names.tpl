{{- define "ipamd.fullname" -}}
{{- if .Values.fullnameOverride }}{{ .Values.fullnameOverride | trunc 40 | trimSuffix "-" }}
{{- else }}
{{- $name := default .Chart.Name .Values.nameOverride }}
{{- if contains $name .Release.Name }}{{ .Release.Name | trunc 40 | trimSuffix "-" }}
{{- else }}{{ printf "%s-%s" .Release.Name $name | trunc 40 | trimSuffix "-" }}{{ end }}
{{- end }}
{{- end }}

{{- define "ipamd.selector" -}}
app.kubernetes.io/name: {{ default .Chart.Name .Values.nameOverride }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "ipamd.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{ include "ipamd.selector" . }}
{{- end }}

{{- define "ipamd.image" -}}
image: {{ printf "%s:%s" .Values.image.repository (.Values.image.tag | default .Chart.AppVersion) | quote }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
{{- end }}

{{- define "ipamd.replicas" -}}
{{ .Values.server.replicas | default (ternary 1 2 (eq .Values.database.kind "sqlite")) }}
{{- end }}

{{/* The network of whatever must run before there is a pod network, and what lets it run on such a node. */}}
{{- define "ipamd.network" -}}
{{- if .Values.server.hostNetwork }}
hostNetwork: true
dnsPolicy: Default # the node's: the cluster's may have no network yet
{{- end }}
{{- with .Values.imagePullSecrets }}
imagePullSecrets: {{ toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{- define "ipamd.tolerations" -}}
{{- $before := list (dict "key" "node.kubernetes.io/not-ready" "operator" "Exists") (dict "key" "node.kubernetes.io/network-unavailable" "operator" "Exists") }}
{{- with concat .Values.server.tolerations (ternary $before list .Values.server.hostNetwork) }}
tolerations: {{ toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* What PodSecurity `restricted` asks of a pod, and of a container. */}}
{{- define "ipamd.podSecurity" -}}
automountServiceAccountToken: false
{{ include "ipamd.ownSecurity" . }}
{{- end }}

{{/* The same of a pod that asks the cluster's API by an account of its own. */}}
{{- define "ipamd.ownSecurity" -}}
securityContext:
  runAsNonRoot: true
  runAsUser: 8750
  runAsGroup: 8750
  fsGroup: 8750
  seccompProfile: {type: RuntimeDefault}
{{- end }}

{{- define "ipamd.containerSecurity" -}}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities: {drop: [ALL]}
{{- end }}

{{- define "ipamd.tokensSecret" -}}
{{ .Values.tokens.existingSecret | default (printf "%s-tokens" (include "ipamd.fullname" .)) }}
{{- end }}

{{- define "ipamd.tlsSecret" -}}
{{ .Values.tls.existingSecret | default (printf "%s-tls" (include "ipamd.fullname" .)) }}
{{- end }}

{{/* Where nodes find ipamd: addresses, for what runs on a node cannot ask the cluster's DNS. */}}
{{- define "ipamd.endpoints" -}}
{{- if .Values.nodes.endpoints }}{{ toJson .Values.nodes.endpoints }}
{{- else }}
{{- $host := .Values.service.clusterIP | default (printf "%s.%s.svc" (include "ipamd.fullname" .) .Release.Namespace) }}
{{- toJson (list (printf "https://%s:%d" (ternary (printf "[%s]" $host) $host (contains ":" $host)) (int .Values.server.port))) }}
{{- end }}
{{- end }}

{{/* All names that the certificate has to be good for. */}}
{{- define "ipamd.certificateNames" -}}
{{- $name := include "ipamd.fullname" . }}
{{- $found := list "localhost" "127.0.0.1" $name (printf "%s.%s" $name .Release.Namespace) (printf "%s.%s.svc" $name .Release.Namespace) (printf "%s.%s.svc.cluster.local" $name .Release.Namespace) }}
{{- if .Values.service.clusterIP }}{{ $found = append $found .Values.service.clusterIP }}{{ end }}
{{- range .Values.nodes.endpoints }}{{ $found = append $found (regexReplaceAll "^https://\\[?([^]/]*?)\\]?(:[0-9]+)?/?$" . "${1}") }}{{ end }}
{{- toJson (concat $found .Values.tls.names | uniq) }}
{{- end }}

{{/* Where ipamd's variables for its database come from. */}}
{{- define "ipamd.databaseEnvironment" -}}
{{- if eq .Values.database.kind "postgresql" }}
- name: IPAMD_DATABASE_URL
  valueFrom:
    secretKeyRef: {name: {{ .Values.database.existingSecret | quote }}, key: {{ .Values.database.existingSecretKey | quote }}}
{{- else if eq .Values.database.kind "trial" }}
- name: PGPASSWORD
  valueFrom:
    secretKeyRef: {name: {{ include "ipamd.fullname" . }}-postgres, key: password}
- name: IPAMD_DATABASE_URL # by the address that the cluster puts into the environment: DNS may not be there yet
  value: "postgresql://ipamd@$({{ printf "%s-postgres" (include "ipamd.fullname" .) | upper | replace "-" "_" }}_SERVICE_HOST)/ipamd"
{{- else }}
- name: IPAMD_DATABASE_URL
  value: sqlite:////var/lib/ipamd/ipamd.sqlite
{{- end }}
{{- end }}

{{- define "ipamd.stateVolume" -}}
{{- if .Values.database.storage.ephemeral }}
emptyDir: {}
{{- else }}
persistentVolumeClaim: {claimName: {{ .Values.database.storage.existingClaim | default (printf "%s-state" (include "ipamd.fullname" .)) }}}
{{- end }}
{{- end }}

{{- define "ipamd.hook" -}}
helm.sh/hook: pre-delete
helm.sh/hook-weight: {{ . | quote }}
helm.sh/hook-delete-policy: before-hook-creation,hook-succeeded
{{- end }}

{{/* What ipamctl and the like need to ask ipamd, with the token of a role. */}}
{{- define "ipamd.clientEnvironment" -}}
- {name: IPAMD_TOKEN_FILE, value: /etc/ipamd/tokens/{{ . }}}
- {name: SSL_CERT_FILE, value: /etc/ipamd/tls/ca.crt}
{{- end }}

{{- define "ipamd.clientMounts" -}}
- {name: tokens, mountPath: /etc/ipamd/tokens, readOnly: true}
- {name: tls, mountPath: /etc/ipamd/tls, readOnly: true}
{{- end }}

{{- define "ipamd.clientVolumes" -}}
{{- $role := last . }}
{{- with first . }}
- name: tokens
  secret:
    secretName: {{ include "ipamd.tokensSecret" . }}
    items: [{key: {{ $role }}, path: {{ $role }}}]
    defaultMode: 0440
- name: tls
  secret:
    secretName: {{ include "ipamd.tlsSecret" . }}
    items: [{key: ca.crt, path: ca.crt}]
    defaultMode: 0440
{{- end }}
{{- end }}

{{/* After how many seconds a node that is gone is removed. */}}
{{- define "ipamd.removeAfterSeconds" -}}
{{- $units := dict "m" 60 "h" 3600 "d" 86400 }}
{{- with .Values.nodes.removeAfter }}{{ mul (regexFind "^[0-9]+" . | int) (get $units (regexFind "[mhd]$" .)) }}{{ end }}
{{- end }}
