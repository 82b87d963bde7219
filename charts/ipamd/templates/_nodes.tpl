{{/* The network configuration as JSON, empty where none is installed. */}}
{{- define "ipamd.conflist" -}}
{{- $c := .Values.nodes.conflist }}
{{- if and $c.enabled $c.content }}{{ toPrettyJson $c.content }}
{{- else if $c.enabled }}
{{- $ipam := dict "type" "ipamd-ipam" }}
{{- if $c.pools }}{{ $_ := set $ipam "pools" $c.pools }}{{ end }}
{{- $main := dict "type" $c.plugin "ipMasq" $c.ipMasq "ipam" $ipam "capabilities" (dict "io.kubernetes.cri.pod-annotations" true "ips" true) }}
{{- $bridged := eq $c.plugin "bridge" }}
{{- if eq $c.plugin "ipamd-veth" }}{{ $_ := set $main "mode" $c.mode }}{{ if $.Values.nodes.podNetwork.enabled }}{{ $_ := set $main "podNetwork" true }}{{ $_ := unset $main "ipMasq" }}{{ end }}{{ $bridged = eq $c.mode "bridge" }}{{ end }}
{{- if $bridged }}{{ $main = merge $main (dict "bridge" $c.bridge "isGateway" true "hairpinMode" true) }}{{ end }}
{{- if $c.mtu }}{{ $_ := set $main "mtu" (int $c.mtu) }}{{ end }}
{{- $portmap := dict "type" "portmap" "capabilities" (dict "portMappings" true) }}
{{- toPrettyJson (dict "cniVersion" "1.0.0" "name" $c.name "plugins" (ternary (list $main $portmap) (list $main) $c.portmap)) }}
{{- end }}
{{- end }}

{{/* The settings of the pod network that were given, as options of `ipamctl network edit`; empty if none was. */}}
{{- define "ipamd.networkOptions" -}}
{{- $options := list }}
{{- range $key, $option := dict "mode" "mode" "underlay" "underlay" "vxlanPort" "vxlan-port" "vxlanVni" "vxlan-vni" }}
{{- $value := index $.Values.nodes.podNetwork.settings $key }}
{{- if not (kindIs "invalid" $value) }}{{ $options = append $options (printf "--%s=%v" $option $value) }}{{ end }}
{{- end }}
{{- with .Values.nodes.podNetwork.settings }}
{{- range .masqueradeExcept }}{{ $options = append $options (printf "--masquerade-except=%s" .) }}{{ end }}
{{- if eq (toJson .masqueradeExcept) "[]" }}{{ $options = append $options "--clear-masquerade-except" }}{{ end }}
{{- if not (kindIs "invalid" .checkSources) }}{{ $options = append $options (ternary "--check-sources" "--no-check-sources" .checkSources) }}{{ end }}
{{- end }}
{{- join " " $options }}
{{- end }}

{{/* What the pods on every node have in common. */}}
{{- define "ipamd.nodePod" -}}
automountServiceAccountToken: false
hostNetwork: true
dnsPolicy: Default # the node's: nothing here needs the cluster's
terminationGracePeriodSeconds: 30
{{- with .Values.imagePullSecrets }}
imagePullSecrets: {{ toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.nodes.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with .Values.nodes.nodeSelector }}
nodeSelector: {{ toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.nodes.tolerations }}
tolerations: {{ toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* Root, for the files are root's; of its powers only those over files, and those that are listed. */}}
{{- define "ipamd.nodeSecurity" -}}
securityContext:
  runAsUser: 0
  runAsGroup: 0
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities: {drop: [ALL], add: {{ concat (list "CHOWN" "DAC_OVERRIDE" "FOWNER") . | toJson }}}
{{- end }}

{{/* A job that sees to it that nodes are clean, by an account of its own. */}}
{{- define "ipamd.cleaner" -}}
{{- $account := last . }}
{{- with first . -}}
restartPolicy: Never
serviceAccountName: {{ $account }}
hostNetwork: true # the pod network may end with what is uninstalled
dnsPolicy: Default
{{- with .Values.imagePullSecrets }}
imagePullSecrets: {{ toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.nodes.tolerations }}
tolerations: {{ toYaml . | nindent 2 }}
{{- end }}
securityContext: {runAsNonRoot: true, runAsUser: 8750, runAsGroup: 8750, fsGroup: 8750, seccompProfile: {type: RuntimeDefault}}
{{- end }}
{{- end }}

{{/* Where the programs that manage the node's network keep their settings, and what tells that they run. */}}
{{- define "ipamd.hostManagers" -}}
{{ dict "systemd" "/etc/systemd" "network-manager" "/etc/NetworkManager" "sysctl" "/etc/sysctl.d" "run-networkd" "/run/systemd/netif" "run-network-manager" "/run/NetworkManager" | toJson }}
{{- end }}

{{/* The node's folders where they are on a node of ours, whatever they are called there. */}}
{{- define "ipamd.hostMounts" -}}
- {name: cni-bin, mountPath: /host/opt/cni/bin}
- {name: cni-conf, mountPath: /host/etc/cni/net.d}
- {name: config, mountPath: /host/etc/ipamd}
- {name: state, mountPath: /host/var/lib/ipamd-node}
{{- range $name, $path := include "ipamd.hostManagers" . | fromJson }}
- {name: {{ $name }}, mountPath: {{ printf "/host%s" $path }}}
{{- end }}
{{- end }}

{{- define "ipamd.hostVolumes" -}}
{{- $own := dict "cni-bin" .Values.nodes.paths.cniBin "cni-conf" .Values.nodes.paths.cniConf "config" "/etc/ipamd" "state" "/var/lib/ipamd-node" "run" "/run/ipamd" }}
{{- range $name, $path := merge $own (include "ipamd.hostManagers" . | fromJson) }}
- name: {{ $name }}
  hostPath: {path: {{ $path | quote }}, type: DirectoryOrCreate}
{{- end }}
{{- end }}
