{{- define "letrade-topo.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{/* 40 characters: a CronJob's name may have 52, and ours get suffixes. None ends with a dot: release names may have some. */}}
{{- define "letrade-topo.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 40 | trimAll "-." -}}
{{- else -}}
{{- $name := include "letrade-topo.name" . -}}
{{- ternary .Release.Name (printf "%s-%s" .Release.Name $name) (contains $name .Release.Name) | trunc 40 | trimAll "-." -}}
{{- end -}}
{{- end -}}

{{/* The ConfigMap of the topology: a release's own, so that a namespace can hold several. */}}
{{- define "letrade-topo.topologyConfigMap" -}}
{{- .Values.topology.configMap | default (printf "%s-topology" (include "letrade-topo.fullname" .)) -}}
{{- end -}}

{{/* That of the public keys, likewise. */}}
{{- define "letrade-topo.keysConfigMap" -}}
{{- .Values.publicKeys.configMap | default (printf "%s-public-keys" (include "letrade-topo.fullname" .)) -}}
{{- end -}}

{{/* Labels of every object; `component` is what the object belongs to. */}}
{{- define "letrade-topo.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{ include "letrade-topo.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/part-of: letrade-topo
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
{{- end -}}

{{- define "letrade-topo.selector" -}}
app.kubernetes.io/name: {{ include "letrade-topo.name" .root | quote }}
app.kubernetes.io/instance: {{ .root.Release.Name | quote }}
app.kubernetes.io/component: {{ .component }}
{{- end -}}

{{- define "letrade-topo.image" -}}
{{- with .Values.image.registry }}{{ . }}/{{ end }}{{ .Values.image.repository }}
{{- if .Values.image.digest }}@{{ .Values.image.digest }}{{ else }}:{{ .Values.image.tag | default .Chart.AppVersion }}{{ end }}
{{- end -}}

{{/* The port of the management API at the broker's pods: as given, or that of its URL. */}}
{{- define "letrade-topo.managementPort" -}}
{{- if .Values.networkPolicy.managementPort -}}
{{- int .Values.networkPolicy.managementPort -}}
{{- else -}}
{{- $host := (urlParse .Values.broker.management).host -}}
{{- $port := regexFind ":[0-9]+$" $host | trimPrefix ":" -}}
{{- $port | default "443" -}}
{{- end -}}
{{- end -}}

{{/* The Secret of a service; names in Kubernetes have no underscore. */}}
{{- define "letrade-topo.kebab" -}}
{{- . | replace "_" "-" | lower -}}
{{- end -}}

{{/* Whether objects of an extension are rendered: "yes" or nothing. */}}
{{- define "letrade-topo.renders" -}}
{{- $mode := .root.Values.monitoring.render -}}
{{- if or (eq $mode "alwaysRender") (.root.Capabilities.APIVersions.Has .kind) -}}
yes
{{- else if eq $mode "failIfMissing" -}}
{{- fail (printf "letrade-topo: the cluster does not know %s; install what brings it, or set monitoring.render" .kind) -}}
{{- end -}}
{{- end -}}

{{/* What makes an object come before the rest: annotations, or nothing. */}}
{{- define "letrade-topo.hook" -}}
{{- if eq .root.Values.apply.hooks "helm" }}
annotations:
  helm.sh/hook: pre-install,pre-upgrade,pre-rollback
  helm.sh/hook-weight: {{ .weight | quote }}
  helm.sh/hook-delete-policy: before-hook-creation
{{- else if eq .root.Values.apply.hooks "argo" }}
annotations:
  argocd.argoproj.io/hook: PreSync
  argocd.argoproj.io/sync-wave: {{ .weight | quote }}
  argocd.argoproj.io/hook-delete-policy: BeforeHookCreation
{{- end }}
{{- end -}}
