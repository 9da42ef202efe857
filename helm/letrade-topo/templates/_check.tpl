{{/* Everything that stands against these values, in one message; every template that makes pods asks. */}}
{{- define "letrade-topo.check" -}}
{{- $v := .Values -}}
{{- $problems := list -}}
{{- if not $v.broker.management -}}
{{- $problems = append $problems "broker.management: missing; the URL of the management API, https://HOST:PORT" -}}
{{- else if not (hasPrefix "https://" $v.broker.management) -}}
{{- $problems = append $problems "broker.management: plain text, and a password goes there; use https://" -}}
{{- else if contains "@" $v.broker.management -}}
{{- $problems = append $problems "broker.management: holds a user name or a password; give broker.username and broker.passwordSecret" -}}
{{- end -}}
{{- if not $v.broker.username -}}
{{- $problems = append $problems "broker.username: missing; an administrator of the broker" -}}
{{- end -}}
{{- if not $v.broker.passwordSecret -}}
{{- $problems = append $problems "broker.passwordSecret: missing; the Secret with that user's password" -}}
{{- end -}}
{{- if and $v.broker.caSecret $v.broker.caConfigMap -}}
{{- $problems = append $problems "broker: both caSecret and caConfigMap; give one of them" -}}
{{- end -}}
{{- if and $v.topology.create (not $v.topology.content) -}}
{{- $problems = append $problems "topology.content: missing; give --set-file topology.content=topology.yaml, or topology.create=false and the name of a ConfigMap" -}}
{{- end -}}
{{- if and (not $v.topology.create) (or $v.topology.content $v.topology.overlays) -}}
{{- $problems = append $problems "topology: content or overlays, but create is false: they would go nowhere" -}}
{{- end -}}
{{- $runs := or $v.apply.enabled $v.drift.enabled $v.controller.enabled $v.tests.enabled -}}
{{- if and $runs (not $v.topology.create) (not $v.topology.configMap) -}}
{{- $problems = append $problems "topology.configMap: missing; with topology.create=false it names the ConfigMap that is there" -}}
{{- end -}}
{{- if $v.topology.content -}}
{{- $topology := fromYaml $v.topology.content -}}
{{- if hasKey $topology "Error" -}}
{{- $problems = append $problems "topology.content: not YAML; run letrade-topo validate" -}}
{{- else if not (has "plain-text" $v.allow) -}}
{{- $required := dig "security" "tls" "required" true $topology -}}
{{- range $name := keys $v.topology.overlays | sortAlpha -}}
{{- $required = dig "security" "tls" "required" $required (get $v.topology.overlays $name | fromYaml) -}}
{{- end -}}
{{- if eq (toString $required) "false" -}}
{{- $problems = append $problems "topology: security.tls.required is false in content or overlays; require TLS, or take the risk with allow: [plain-text]" -}}
{{- end -}}
{{- end -}}
{{- if gt (len (join "" (prepend (values $v.topology.overlays) $v.topology.content))) 1000000 -}}
{{- $problems = append $problems "topology: content and overlays are more than 1,000,000 bytes, which a ConfigMap does not hold" -}}
{{- end -}}
{{- end -}}
{{- if $v.publicKeys.content -}}
{{- $keys := fromJson $v.publicKeys.content -}}
{{- if or (hasKey $keys "Error") (not (kindIs "slice" (get $keys "keys"))) -}}
{{- $problems = append $problems "publicKeys.content: not a JSON Web Key Set" -}}
{{- else -}}
{{- range $keys.keys -}}
{{- if or (hasKey . "d") (hasKey . "k") -}}
{{- $problems = append $problems (printf "publicKeys.content: %s is a private key, and a ConfigMap is for everybody; give public/jwks.json, and rotate this key" (get . "kid" | default "one of them")) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if and (not $v.image.digest) (eq $v.image.tag "latest") (not (has "any-image" $v.allow)) -}}
{{- $problems = append $problems "image.tag: latest does not say which image runs; give a tag or a digest, or take the risk with allow: [any-image]" -}}
{{- end -}}
{{- if and $v.networkPolicy.enabled (not $v.networkPolicy.broker) -}}
{{- $problems = append $problems "networkPolicy.broker: missing; say where the broker is, or take the risk with networkPolicy.enabled=false" -}}
{{- end -}}
{{- if and $v.networkPolicy.protectBroker.enabled (not $v.networkPolicy.protectBroker.podSelector) -}}
{{- $problems = append $problems "networkPolicy.protectBroker.podSelector: missing; an empty one would select every pod of the namespace" -}}
{{- end -}}
{{- if and $v.certificates.enabled (or (not $v.certificates.issuerRef.name) (not $v.certificates.services)) -}}
{{- $problems = append $problems "certificates: no issuerRef.name or no services" -}}
{{- end -}}
{{- if and $v.externalSecrets.enabled (or (not $v.externalSecrets.secretStoreRef.name) (not $v.externalSecrets.items)) -}}
{{- $problems = append $problems "externalSecrets: no secretStoreRef.name or no items" -}}
{{- end -}}
{{- if and $v.apply.enabled (eq $v.controller.mode "repair") $v.controller.enabled -}}
{{- $problems = append $problems "controller.mode: repair, beside the apply Job: until the kubelet has brought it a new topology, the controller would take back what the Job has made of it; set apply.enabled=false, and the controller applies, or controller.mode=detect" -}}
{{- end -}}
{{- if and $v.externalSecrets.enabled $v.apply.enabled (ne $v.apply.hooks "none") -}}
{{- range $v.externalSecrets.items -}}
{{- if eq .name $v.broker.passwordSecret -}}
{{- $problems = append $problems (printf "externalSecrets: %s is not there yet when the apply Job runs before everything else; set apply.hooks=none" .name) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if and $v.admissionPolicy.enabled (not (semverCompare ">=1.30.0-0" .Capabilities.KubeVersion.Version)) -}}
{{- $problems = append $problems (printf "admissionPolicy: Kubernetes %s has no ValidatingAdmissionPolicy v1; 1.30 does" .Capabilities.KubeVersion.Version) -}}
{{- end -}}
{{- if $problems -}}
{{- fail (printf "letrade-topo cannot be installed like this:\n  %s" (join "\n  " $problems)) -}}
{{- end -}}
{{- end -}}
