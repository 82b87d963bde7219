{{/* One pod that asks the cluster's API by an account of its own, and ipamd with a token: `component` with its `script`, the
script's further `arguments`, what the account `may`, and the token's `role`. */}}
{{- define "ipamd.asking" -}}
{{- $name := printf "%s-%s" (include "ipamd.fullname" .root) .component }}
{{- $cluster := printf "%s-%s" .root.Release.Namespace $name }}
{{- $scripts := dict "asking.py" (.root.Files.Get "files/asking.py") .script (.root.Files.Get (printf "files/%s" .script)) }}
{{- $asked := . }}
{{- with .root }}
apiVersion: v1
kind: ServiceAccount
metadata:
  name: {{ $name }}
  labels: {{- include "ipamd.labels" . | nindent 4 }}
---
apiVersion: v1
kind: ConfigMap
metadata:
  name: {{ $name }}
  labels: {{- include "ipamd.labels" . | nindent 4 }}
data: {{- toYaml $scripts | nindent 2 }}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata:
  name: {{ $cluster }}
  labels: {{- include "ipamd.labels" . | nindent 4 }}
rules: {{- toYaml $asked.may | nindent 2 }}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata:
  name: {{ $cluster }}
  labels: {{- include "ipamd.labels" . | nindent 4 }}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: {{ $cluster }}}
subjects:
  - {kind: ServiceAccount, name: {{ $name }}, namespace: {{ .Release.Namespace }}}
---
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {{ $name }}
  labels: {{- include "ipamd.labels" . | nindent 4 }}
spec:
  replicas: 1
  strategy: {type: Recreate} # one speaks at a time
  selector:
    matchLabels: {{- include "ipamd.selector" . | nindent 6 }}
      app.kubernetes.io/component: {{ $asked.component }}
  template:
    metadata:
      labels: {{- include "ipamd.labels" . | nindent 8 }}
        app.kubernetes.io/component: {{ $asked.component }}
      annotations:
        ipamd.io/scripts: {{ toYaml $scripts | sha256sum | trunc 32 | quote }}
    spec:
      serviceAccountName: {{ $name }}
      {{- include "ipamd.ownSecurity" . | nindent 6 }}
      {{- include "ipamd.network" . | nindent 6 }}
      {{- include "ipamd.tolerations" . | nindent 6 }}
      {{- with .Values.server.priorityClassName }}
      priorityClassName: {{ . }}
      {{- end }}
      terminationGracePeriodSeconds: 5
      containers:
        - name: {{ $asked.component }}
          {{- include "ipamd.image" . | nindent 10 }}
          command: {{ concat (list "python" (printf "/etc/ipamd/scripts/%s" $asked.script)) $asked.arguments | toJson }}
          env: {{- include "ipamd.clientEnvironment" $asked.role | nindent 12 }}
            - {name: IPAMD_ENDPOINT, value: {{ include "ipamd.endpoints" . | fromJsonArray | first | quote }}}
          {{- include "ipamd.containerSecurity" . | nindent 10 }}
          resources:
            requests: {cpu: 10m, memory: 32Mi}
            limits: {memory: 128Mi}
          volumeMounts: {{- include "ipamd.clientMounts" . | nindent 12 }}
            - {name: scripts, mountPath: /etc/ipamd/scripts, readOnly: true}
      volumes: {{- include "ipamd.clientVolumes" (list . $asked.role) | nindent 8 }}
        - name: scripts
          configMap: {name: {{ $name }}}
{{- end }}
{{- end }}
