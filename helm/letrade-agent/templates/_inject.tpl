{{/*
Everything at once, for a workload that knows nothing of agents. Put one line above a manifest and one below it:

    {{ define "orders.deployment" }}
    apiVersion: apps/v1
    kind: Deployment
    …
    {{ end }}{{ include "letrade-agent.inject" (dict "root" . "manifest" "orders.deployment") }}

The result has the sidecar first, its volumes, its labels, an fsGroup unless there is one, and the first container of
the service as default for kubectl. Rendering fails where the pod would not be protected by its agent, as
`letrade-topo k8s patch` does (letrade_topo/k8s/pod_rules.py).
*/}}
{{- define "letrade-agent.inject" -}}
{{- $context := dict "root" .root "agent" .agent -}}
{{- $agent := include "letrade-agent.values" $context | fromJson -}}
{{- $manifest := include .manifest .root | fromYaml -}}
{{- if hasKey $manifest "Error" -}}
{{- fail (printf "letrade-agent: %s is not one YAML document: %s" .manifest $manifest.Error) -}}
{{- end -}}
{{- $template := dict -}}
{{- $kind := get $manifest "kind" -}}
{{- if has $kind (list "Deployment" "StatefulSet" "DaemonSet" "ReplicaSet" "Job") -}}
{{- $template = $manifest.spec.template -}}
{{- else if eq $kind "CronJob" -}}
{{- $template = $manifest.spec.jobTemplate.spec.template -}}
{{- else if eq $kind "Pod" -}}
{{- $template = $manifest -}}
{{- else -}}
{{- fail (printf "letrade-agent: %s has no pods (kind: %s)" .manifest $kind) -}}
{{- end -}}
{{- $spec := $template.spec -}}
{{- include "letrade-agent.checkPod" (dict "agent" $agent "spec" $spec "name" (printf "%s %s" $kind $manifest.metadata.name)) -}}

{{- $others := list -}}
{{- range ($spec.initContainers | default list) -}}
{{- if ne .name "letrade-agent" -}}{{- $others = append $others . -}}{{- end -}}
{{- end -}}
{{- $_ := set $spec "initContainers" (concat (include "letrade-agent.container" $context | fromYamlArray) $others) -}}
{{- $others = list -}}
{{- range ($spec.volumes | default list) -}}
{{- if not (hasPrefix "letrade-agent-" .name) -}}{{- $others = append $others . -}}{{- end -}}
{{- end -}}
{{- $_ := set $spec "volumes" (concat (include "letrade-agent.volumes" $context | fromYamlArray) $others) -}}

{{- $security := $spec.securityContext | default dict -}}
{{- if not (hasKey $security "fsGroup") -}}
{{- $_ := set $spec "securityContext" (merge (include "letrade-agent.podSecurityContext" $context | fromYaml) $security) -}}
{{- end -}}
{{- $metadata := $template.metadata | default dict -}}
{{- $labels := mergeOverwrite ($metadata.labels | default dict) (include "letrade-agent.labels" $context | fromYaml) -}}
{{- $annotations := merge ($metadata.annotations | default dict) (dict "kubectl.kubernetes.io/default-container" (first $spec.containers).name) -}}
{{- $_ := set $metadata "labels" $labels -}}
{{- $_ := set $metadata "annotations" $annotations -}}
{{- $_ := set $template "metadata" $metadata -}}
{{- $manifest | toYaml -}}
{{- end -}}

{{- define "letrade-agent.checkPod" -}}
{{- $agent := .agent -}}
{{- $spec := .spec -}}
{{- $problems := list -}}
{{- if $spec.hostNetwork -}}
{{- $problems = append $problems "hostNetwork: every process of the node could speak with the signature of the service" -}}
{{- end -}}
{{- range list "hostPID" "shareProcessNamespace" -}}
{{- if get $spec . -}}
{{- $problems = append $problems (printf "%s: other containers could read the agent's keys" .) -}}
{{- end -}}
{{- end -}}
{{- if eq (get (get $spec "os" | default dict) "name" | default "") "windows" -}}
{{- $problems = append $problems "os.name: windows; the agent is a program for Linux" -}}
{{- end -}}
{{- $grace := 30 -}}
{{- if hasKey $spec "terminationGracePeriodSeconds" -}}
{{- $grace = int $spec.terminationGracePeriodSeconds -}}
{{- end -}}
{{- if ge (trimSuffix "s" $agent.drainTimeout | int) $grace -}}
{{- $problems = append $problems (printf "terminationGracePeriodSeconds: %d s are not more than the agent's drainTimeout of %s" $grace $agent.drainTimeout) -}}
{{- end -}}
{{- $secrets := list -}}
{{- range list $agent.keys.secret $agent.login.certificateSecret $agent.login.passwordSecret $agent.claimCheck.secret $agent.traces.secret -}}
{{- if . -}}{{- $secrets = append $secrets . -}}{{- end -}}
{{- end -}}
{{- range ($spec.volumes | default list) -}}
{{- if not (hasPrefix "letrade-agent-" .name) -}}
{{- $volume := . -}}
{{- $found := list (get (get . "secret" | default dict) "secretName" | default "") -}}
{{- range (get (get . "projected" | default dict) "sources" | default list) -}}
{{- $found = append $found (get (get . "secret" | default dict) "name" | default "") -}}
{{- end -}}
{{- range $found -}}
{{- if has . $secrets -}}
{{- $problems = append $problems (printf "volume %s: holds the Secret %s, which only the agent may have" $volume.name .) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- range (concat ($spec.initContainers | default list) $spec.containers) -}}
{{- $container := . -}}
{{- range ($container.ports | default list) -}}
{{- if or (has (int .containerPort) (list (int $agent.listenPort) (int $agent.admin.port))) (eq (get . "name" | default "") "agent-admin") -}}
{{- if ne $container.name "letrade-agent" -}}
{{- $problems = append $problems (printf "container %s: its port %d is the agent's" $container.name (int .containerPort)) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- range ($container.volumeMounts | default list) -}}
{{- if and (hasPrefix "letrade-agent-" .name) (ne $container.name "letrade-agent") -}}
{{- if has .name (list "letrade-agent-keys" "letrade-agent-login") -}}
{{- $problems = append $problems (printf "container %s: mounts %s, which only the agent may have" $container.name .name) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- $found := list -}}
{{- range ($container.env | default list) -}}
{{- $found = append $found (get (get (get . "valueFrom" | default dict) "secretKeyRef" | default dict) "name" | default "") -}}
{{- end -}}
{{- range ($container.envFrom | default list) -}}
{{- $found = append $found (get (get . "secretRef" | default dict) "name" | default "") -}}
{{- end -}}
{{- range $found -}}
{{- if has . $secrets -}}
{{- $problems = append $problems (printf "container %s: takes the Secret %s into its environment, which only the agent may have" $container.name .) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- range $spec.containers -}}
{{- if eq .name "letrade-agent" -}}
{{- $problems = append $problems "container letrade-agent: the agent stands among `containers`, where it would stop together with the service; remove it there" -}}
{{- end -}}
{{- end -}}
{{- if $problems -}}
{{- fail (printf "letrade-agent: %s would not be protected:\n  %s" .name (join "\n  " $problems)) -}}
{{- end -}}
{{- end -}}
