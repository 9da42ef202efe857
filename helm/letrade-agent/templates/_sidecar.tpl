{{/*
The agent as a native sidecar: the FIRST entry of `initContainers`. It starts before everything else and stops last.
No preStop: it would run together with the service's own, and what a service publishes while it shuts down still
needs the agent. The same bytes come from `letrade-topo k8s patch` (letrade_topo/k8s/sidecar.py).
*/}}
{{- define "letrade-agent.container" -}}
{{- $agent := include "letrade-agent.values" . | fromJson -}}
- name: letrade-agent
  image: {{ include "letrade-agent.image" $agent | quote }}
  imagePullPolicy: {{ $agent.image.pullPolicy }}
  restartPolicy: Always
  command: ["letrade-agent", "run"]
  args:
    - {{ printf "--service=%s" $agent.service | quote }}
    - {{ printf "--upstream=%s" (join "," $agent.upstream) | quote }}
    - {{ printf "--topology=/etc/letrade-agent/topology/%s" $agent.topology.key | quote }}
    {{- if $agent.keys.secret }}
    - "--keys=/etc/letrade-agent/keys"
    {{- end }}
    {{- if $agent.login.certificateSecret }}
    - "--cert-file=/etc/letrade-agent/login/tls.crt"
    - "--key-file=/etc/letrade-agent/login/tls.key"
    {{- else }}
    - "--password-file=/etc/letrade-agent/login/password"
    {{- end }}
    {{- with $agent.login.username }}
    - {{ printf "--username=%s" . | quote }}
    {{- end }}
    {{- if or $agent.ca.secret $agent.ca.configMap }}
    - "--ca-file=/etc/letrade-agent/ca/ca.crt"
    {{- end }}
    {{- if $agent.clientPassword.secret }}
    - "--local-password-file=/etc/letrade-agent/client/password"
    {{- end }}
    - {{ printf "--listen=127.0.0.1:%d" (int $agent.listenPort) | quote }}
    - {{ printf "--admin=%s:%d" (ternary "[::]" $agent.admin.host (eq $agent.admin.host "::")) (int $agent.admin.port) | quote }}
    - {{ printf "--undeclared=%s" $agent.undeclared | quote }}
    - {{ printf "--declares=%s" $agent.declares | quote }}
    - {{ printf "--retry=%s" $agent.retry | quote }}
    - {{ printf "--drain-timeout=%s" $agent.drainTimeout | quote }}
    - {{ printf "--log-format=%s" $agent.logFormat | quote }}
  {{- if or $agent.topology.overlays $agent.topology.variables $agent.env $agent.claimCheck.secret $agent.traces.endpoint }}
  env:
    {{- if $agent.topology.overlays }}
    {{- $files := list }}
    {{- range $agent.topology.overlays }}
    {{- $files = append $files (printf "/etc/letrade-agent/topology/%s" .) }}
    {{- end }}
    - name: "LETRADE_TOPO_OVERLAY"
      value: {{ join ":" $files | quote }}
    {{- end }}
    {{- range $name, $value := $agent.topology.variables }}
    - name: {{ printf "LETRADE_TOPO_VAR_%s" (upper $name) | quote }}
      value: {{ $value | quote }}
    {{- end }}
    {{- range $name, $value := $agent.env }}
    - name: {{ $name | quote }}
      value: {{ $value | quote }}
    {{- end }}
    {{- if $agent.claimCheck.secret }}
    {{- range $agent.claimCheck.variables }}
    - name: {{ . | quote }}
      valueFrom:
        secretKeyRef:
          name: {{ $agent.claimCheck.secret | quote }}
          key: {{ . | quote }}
    {{- end }}
    {{- end }}
    {{- if $agent.traces.endpoint }}
    - name: "OTEL_EXPORTER_OTLP_ENDPOINT"
      value: {{ $agent.traces.endpoint | quote }}
    - name: "OTEL_TRACES_SAMPLER"
      value: {{ $agent.traces.sampler | quote }}
    - name: "OTEL_TRACES_SAMPLER_ARG"
      value: {{ $agent.traces.ratio | quote }}
    {{- if $agent.traces.secret }}
    - name: "OTEL_EXPORTER_OTLP_HEADERS"
      valueFrom:
        secretKeyRef:
          name: {{ $agent.traces.secret | quote }}
          key: "OTEL_EXPORTER_OTLP_HEADERS"
    {{- end }}
    {{- end }}
  {{- end }}
  ports:
    - name: agent-admin
      containerPort: {{ int $agent.admin.port }}
      protocol: TCP
  startupProbe:
    httpGet: {path: /startup, port: agent-admin}
    periodSeconds: {{ int $agent.startupProbe.periodSeconds }}
    timeoutSeconds: 2
    failureThreshold: {{ int $agent.startupProbe.failureThreshold }}
  livenessProbe:
    httpGet: {path: /livez, port: agent-admin}
    periodSeconds: {{ int $agent.livenessProbe.periodSeconds }}
    timeoutSeconds: 2
    failureThreshold: {{ int $agent.livenessProbe.failureThreshold }}
  {{- if $agent.readinessProbe.enabled }}
  readinessProbe:
    httpGet: {path: /readyz, port: agent-admin}
    periodSeconds: {{ int $agent.readinessProbe.periodSeconds }}
    timeoutSeconds: 2
    failureThreshold: {{ int $agent.readinessProbe.failureThreshold }}
  {{- end }}
  terminationMessagePolicy: FallbackToLogsOnError
  securityContext:
    runAsNonRoot: true
    runAsUser: {{ int $agent.securityContext.runAsUser }}
    runAsGroup: {{ int $agent.securityContext.runAsUser }}
    readOnlyRootFilesystem: true
    allowPrivilegeEscalation: false
    privileged: false
    capabilities: {drop: ["ALL"]}
    seccompProfile: {type: RuntimeDefault}
  {{- if or $agent.resources.requests $agent.resources.limits }}
  resources:
    {{- range $kind := list "requests" "limits" }}
    {{- with index $agent.resources $kind }}
    {{ $kind }}:
      {{- range $name, $quantity := . }}
      {{ $name }}: {{ $quantity | quote }}
      {{- end }}
    {{- end }}
    {{- end }}
  {{- end }}
  volumeMounts:
    - {name: letrade-agent-topology, mountPath: /etc/letrade-agent/topology, readOnly: true}
    {{- if $agent.keys.secret }}
    - {name: letrade-agent-keys, mountPath: /etc/letrade-agent/keys, readOnly: true}
    {{- end }}
    - {name: letrade-agent-login, mountPath: /etc/letrade-agent/login, readOnly: true}
    {{- if or $agent.ca.secret $agent.ca.configMap }}
    - {name: letrade-agent-ca, mountPath: /etc/letrade-agent/ca, readOnly: true}
    {{- end }}
    {{- if $agent.clientPassword.secret }}
    - {name: letrade-agent-client, mountPath: /etc/letrade-agent/client, readOnly: true}
    {{- end }}
{{- end -}}

{{/*
The agent's volumes: entries of `volumes`. Whole folders, never subPath: a subPath is not updated when a key is
rotated. 288 is 0440; the pod needs an fsGroup, so that the agent's group may read.
*/}}
{{- define "letrade-agent.volumes" -}}
{{- $agent := include "letrade-agent.values" . | fromJson -}}
- name: letrade-agent-topology
  projected:
    defaultMode: 292
    sources:
      - configMap:
          name: {{ $agent.topology.configMap | quote }}
          items:
            - {key: {{ $agent.topology.key | quote }}, path: {{ $agent.topology.key | quote }}}
            {{- range $agent.topology.overlays }}
            - {key: {{ . | quote }}, path: {{ . | quote }}}
            {{- end }}
{{- if $agent.keys.secret }}
- name: letrade-agent-keys
  projected:
    defaultMode: 288
    sources:
      - secret:
          name: {{ $agent.keys.secret | quote }}
      - configMap:
          name: {{ $agent.keys.publicConfigMap | quote }}
          items:
            - {key: {{ $agent.keys.publicKey | quote }}, path: "jwks.json"}
{{- end }}
- name: letrade-agent-login
  projected:
    defaultMode: 288
    sources:
      - secret:
          {{- if $agent.login.certificateSecret }}
          name: {{ $agent.login.certificateSecret | quote }}
          items:
            - {key: "tls.crt", path: "tls.crt"}
            - {key: "tls.key", path: "tls.key"}
          {{- else }}
          name: {{ $agent.login.passwordSecret | quote }}
          items:
            - {key: {{ $agent.login.passwordKey | quote }}, path: "password"}
          {{- end }}
{{- if or $agent.ca.secret $agent.ca.configMap }}
- name: letrade-agent-ca
  projected:
    defaultMode: 292
    sources:
      - {{ ternary "secret" "configMap" (ne $agent.ca.secret "") }}:
          name: {{ $agent.ca.secret | default $agent.ca.configMap | quote }}
          items:
            - {key: {{ $agent.ca.key | quote }}, path: "ca.crt"}
{{- end }}
{{- if $agent.clientPassword.secret }}
- name: letrade-agent-client
  projected:
    defaultMode: 288
    sources:
      - secret:
          name: {{ $agent.clientPassword.secret | quote }}
          items:
            - {key: {{ $agent.clientPassword.key | quote }}, path: "password"}
{{- end }}
{{- end -}}

{{/* Labels of the pod: NetworkPolicies and the admission policy of the chart `letrade-topo` select by them. */}}
{{- define "letrade-agent.labels" -}}
{{- $agent := include "letrade-agent.values" . | fromJson -}}
letrade-topo.io/agent: "true"
letrade-topo.io/service: {{ $agent.service | quote }}
{{- end -}}

{{/* The pod's group: what is needed of its securityContext, where it has no fsGroup of its own. */}}
{{- define "letrade-agent.podSecurityContext" -}}
{{- $agent := include "letrade-agent.values" . | fromJson -}}
fsGroup: {{ int $agent.securityContext.runAsUser }}
{{- end -}}

{{- define "letrade-agent.image" -}}
{{- with .image.registry }}{{ . }}/{{ end }}{{ .image.repository }}
{{- if .image.digest }}@{{ .image.digest }}{{ else if .image.tag }}:{{ .image.tag }}{{ end }}
{{- end -}}
