{{/*
The spec of every pod of this chart: one container that runs `letrade-topo`, under the "restricted" Pod Security
Standard, without a shell, without the API of Kubernetes.

root: the root context; name: of the container; command: a list; topology: name of the ConfigMap; restartPolicy;
port: of metrics and probes, if it has any.
*/}}
{{- define "letrade-topo.podSpec" -}}
{{- $v := .root.Values -}}
serviceAccountName: {{ $v.serviceAccountName | quote }}
automountServiceAccountToken: false
enableServiceLinks: false
restartPolicy: {{ .restartPolicy }}
{{- with $v.image.pullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . | quote }}
  {{- end }}
{{- end }}
{{- with $v.priorityClassName }}
priorityClassName: {{ . | quote }}
{{- end }}
{{- with $v.nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $v.tolerations }}
tolerations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $v.affinity }}
affinity: {{- toYaml . | nindent 2 }}
{{- end }}
securityContext:
  runAsNonRoot: true
  runAsUser: 65532
  runAsGroup: 65532
  fsGroup: 65532
  seccompProfile: {type: RuntimeDefault}
containers:
  - name: {{ .name }}
    image: {{ include "letrade-topo.image" .root | quote }}
    imagePullPolicy: {{ $v.image.pullPolicy }}
    command: {{- toYaml .command | nindent 6 }}
    env:
      - {name: LETRADE_TOPO_FILE, value: /etc/letrade-topo/topology/topology.yaml}
      - {name: LETRADE_TOPO_MANAGEMENT, value: {{ $v.broker.management | quote }}}
      - {name: LETRADE_TOPO_USERNAME, value: {{ $v.broker.username | quote }}}
      - {name: LETRADE_TOPO_PASSWORD_FILE, value: /etc/letrade-topo/login/password}
      {{- if or $v.broker.caSecret $v.broker.caConfigMap }}
      - {name: LETRADE_TOPO_CA_FILE, value: /etc/letrade-topo/ca/ca.crt}
      {{- end }}
      {{- with $v.topology.overlays }}
      {{- $files := list }}
      {{- range $name := keys . | sortAlpha }}
      {{- $files = append $files (printf "/etc/letrade-topo/topology/%s" $name) }}
      {{- end }}
      - {name: LETRADE_TOPO_OVERLAY, value: {{ join ":" $files | quote }}}
      {{- end }}
      {{- range $name, $value := $v.topology.variables }}
      - {name: {{ printf "LETRADE_TOPO_VAR_%s" (upper $name) }}, value: {{ $value | quote }}}
      {{- end }}
      {{- range $name, $from := $v.topology.passwords }}
      - name: {{ $name | quote }}
        valueFrom: {secretKeyRef: {name: {{ $from.secret | quote }}, key: {{ $from.key | quote }}}}
      {{- end }}
    {{- with .port }}
    ports:
      - {name: metrics, containerPort: {{ int . }}, protocol: TCP}
    startupProbe:
      httpGet: {path: /livez, port: metrics}
      periodSeconds: 1
      failureThreshold: 60
    livenessProbe:
      httpGet: {path: /livez, port: metrics}
      periodSeconds: 10
      timeoutSeconds: 2
    readinessProbe:
      httpGet: {path: /readyz, port: metrics}
      periodSeconds: 10
      timeoutSeconds: 2
    {{- end }}
    terminationMessagePolicy: FallbackToLogsOnError
    securityContext:
      readOnlyRootFilesystem: true
      allowPrivilegeEscalation: false
      privileged: false
      capabilities: {drop: ["ALL"]}
    {{- with $v.resources }}
    resources: {{- toYaml . | nindent 6 }}
    {{- end }}
    volumeMounts:
      - {name: topology, mountPath: /etc/letrade-topo/topology, readOnly: true}
      - {name: login, mountPath: /etc/letrade-topo/login, readOnly: true}
      {{- if or $v.broker.caSecret $v.broker.caConfigMap }}
      - {name: ca, mountPath: /etc/letrade-topo/ca, readOnly: true}
      {{- end }}
volumes:
  - name: topology
    configMap: {name: {{ .topology | quote }}}
  - name: login
    secret:
      secretName: {{ $v.broker.passwordSecret | quote }}
      defaultMode: 288
      items:
        - {key: {{ $v.broker.passwordKey | quote }}, path: password}
  {{- if $v.broker.caSecret }}
  - name: ca
    secret:
      secretName: {{ $v.broker.caSecret | quote }}
      items:
        - {key: {{ $v.broker.caKey | quote }}, path: ca.crt}
  {{- else if $v.broker.caConfigMap }}
  - name: ca
    configMap:
      name: {{ $v.broker.caConfigMap | quote }}
      items:
        - {key: {{ $v.broker.caKey | quote }}, path: ca.crt}
  {{- end }}
{{- end -}}

{{/* Labels and annotations of every pod of this chart. */}}
{{- define "letrade-topo.podMetadata" -}}
labels:
  {{- include "letrade-topo.selector" . | nindent 2 }}
  letrade-topo.io/tool: "true"
  {{- with .root.Values.podLabels }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- with .root.Values.podAnnotations }}
annotations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* What the ConfigMap of the topology holds. */}}
{{- define "letrade-topo.topologyData" -}}
topology.yaml: |2-
  {{- .Values.topology.content | nindent 2 }}
{{- range $name, $content := .Values.topology.overlays }}
{{ $name }}: |2-
  {{- $content | nindent 2 }}
{{- end }}
{{- end -}}
