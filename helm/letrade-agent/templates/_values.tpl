{{/*
What the other templates work with: the values of this chart as they are in the chart that uses it, changed by what the
call gives, and checked. Every template of this chart takes either the root context

    {{ include "letrade-agent.container" . }}

or, where one chart has workloads of several services, the root context and what differs

    {{ include "letrade-agent.container" (dict "root" . "agent" (dict "service" "strategy")) }}
*/}}
{{- define "letrade-agent.values" -}}
{{- $root := . -}}
{{- $changes := dict -}}
{{- if hasKey . "root" -}}
{{- $root = .root -}}
{{- $changes = .agent | default dict -}}
{{- end -}}
{{- if not (semverCompare ">=1.29.0-0" $root.Capabilities.KubeVersion.Version) -}}
{{- fail (printf "letrade-agent: Kubernetes %s has no native sidecars; 1.29 or newer does. Tell Helm the version with --kube-version" $root.Capabilities.KubeVersion.Version) -}}
{{- end -}}
{{- if not (hasKey $root.Values "letrade-agent") -}}
{{- fail "letrade-agent: its values are not in the chart; have the dependency `letrade-agent` in Chart.yaml, without an alias" -}}
{{- end -}}
{{- $agent := mergeOverwrite (deepCopy (index $root.Values "letrade-agent")) (deepCopy $changes) -}}
{{- $_ := set $agent "retry" (ternary "off" "on" (or (eq (toString $agent.retry) "off") (eq (toString $agent.retry) "false"))) -}}
{{- include "letrade-agent.check" $agent -}}
{{- $agent | toJson -}}
{{- end -}}

{{/* Everything that stands against these values, in one message. letrade_topo/k8s/values.py says the same. */}}
{{- define "letrade-agent.check" -}}
{{- $problems := list -}}
{{- if not .service -}}
{{- $problems = append $problems "service: missing; name the service as the topology does" -}}
{{- end -}}
{{- if not .upstream -}}
{{- $problems = append $problems "upstream: missing; list the broker nodes, amqps://HOST:PORT" -}}
{{- end -}}
{{- range .upstream -}}
{{- if not (hasPrefix "amqps://" .) -}}
{{- $problems = append $problems (printf "upstream: %s is plain text; use amqps://HOST:PORT" .) -}}
{{- end -}}
{{- end -}}
{{- if and (not .keys.secret) (not (has "unsigned" .allow)) -}}
{{- $problems = append $problems "keys.secret: missing, so nothing would be signed or verified; name the Secret with the service's keys, or take the risk with allow: [unsigned]" -}}
{{- end -}}
{{- if and .login.certificateSecret .login.passwordSecret -}}
{{- $problems = append $problems "login: both certificateSecret and passwordSecret; give one of them" -}}
{{- end -}}
{{- if not (or .login.certificateSecret .login.passwordSecret) -}}
{{- $problems = append $problems "login: neither certificateSecret nor passwordSecret; give one of them" -}}
{{- end -}}
{{- if and .ca.secret .ca.configMap -}}
{{- $problems = append $problems "ca: both secret and configMap; give one of them" -}}
{{- end -}}
{{- if and (eq .undeclared "pass") (not (has "undeclared" .allow)) -}}
{{- $problems = append $problems "undeclared: pass lets messages through unsigned and unverified; take the risk with allow: [undeclared]" -}}
{{- end -}}
{{- if and (not .image.digest) (or (not .image.tag) (eq .image.tag "latest")) (not (has "any-image" .allow)) -}}
{{- $problems = append $problems "image: neither tag nor digest says which image runs; give one, or take the risk with allow: [any-image]" -}}
{{- end -}}
{{- if eq (int .listenPort) (int .admin.port) -}}
{{- $problems = append $problems "listenPort: the same as admin.port" -}}
{{- end -}}
{{- if $problems -}}
{{- fail (printf "letrade-agent cannot run like this:\n  %s" (join "\n  " $problems)) -}}
{{- end -}}
{{- end -}}
