{{- define "lgs-operator.name" -}}
{{- if contains "lgs-operator" .Release.Name }}{{ .Release.Name | trunc 52 | trimSuffix "-" }}
{{- else }}{{ printf "%s-lgs-operator" .Release.Name | trunc 52 | trimSuffix "-" }}{{ end }}
{{- end }}

{{- define "lgs-operator.selector" -}}
app.kubernetes.io/name: lgs-operator
app.kubernetes.io/instance: {{ .Release.Name | quote }}
{{- end }}

{{- define "lgs-operator.labels" -}}
{{ include "lgs-operator.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end }}

{{- /* The page has a name and a selector of its own: a policy or a Service for the operator's pods is not for its. */}}
{{- define "lgs-operator.page" -}}{{ include "lgs-operator.name" . }}-dashboard{{- end }}

{{- define "lgs-operator.pageSelector" -}}
app.kubernetes.io/name: lgs-dashboard
app.kubernetes.io/instance: {{ .Release.Name | quote }}
{{- end }}

{{- define "lgs-operator.pageLabels" -}}
{{ include "lgs-operator.pageSelector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end }}

{{- define "lgs-operator.pageSecret" -}}{{ .Values.dashboard.tokenSecretName | default (include "lgs-operator.page" .) }}{{- end }}

{{- /* The names by which the page is asked, between commas. */}}
{{- define "lgs-operator.pageHosts" -}}
{{- $page := include "lgs-operator.page" . }}
{{- $in := printf "%s.%s" $page .Release.Namespace }}
{{- $own := list $page $in (printf "%s.svc" $in) (printf "%s.svc.cluster.local" $in) }}
{{- concat $own .Values.dashboard.hosts .Values.dashboard.ingress.hosts .Values.dashboard.httpRoute.hostnames | uniq | join "," }}
{{- end }}

{{- define "lgs-operator.image" -}}
{{ .Values.image.repository }}{{ with .Values.image.digest }}@{{ . }}{{ else }}:{{ .Values.image.tag | default .Chart.AppVersion }}{{ end }}
{{- end }}

{{- define "lgs-operator.serviceAccount" -}}
{{- if .Values.serviceAccount.create }}{{ .Values.serviceAccount.name | default (include "lgs-operator.name" .) }}
{{- else }}{{ .Values.serviceAccount.name | default "default" }}{{ end }}
{{- end }}

{{- /* The namespaces to look after, between commas; none: the whole cluster. */}}
{{- define "lgs-operator.namespaces" -}}
{{- if .Values.clusterWide }}
{{- if .Values.namespaces }}{{ fail "namespaces and clusterWide: set one of them" }}{{ end }}
{{- else }}{{ .Values.namespaces | default (list .Release.Namespace) | join "," }}
{{- end }}
{{- end }}

{{- /* The replicas of services that it looks after, as a peer of a NetworkPolicy. */}}
{{- define "lgs-operator.replicas" -}}
- podSelector:
    matchLabels:
      app.kubernetes.io/managed-by: lgs-operator
    matchExpressions:
      - key: app.kubernetes.io/component
        operator: In
        values: [runtime, api]
  {{- if .Values.clusterWide }}
  namespaceSelector: {}
  {{- else }}
  namespaceSelector:
    matchExpressions:
      - key: kubernetes.io/metadata.name
        operator: In
        values: {{ splitList "," (include "lgs-operator.namespaces" .) | toJson }}
  {{- end }}
{{- end }}

{{- /* The Leases by which an operator's class is claimed, in the cluster and in a namespace. */}}
{{- define "lgs-operator.clusterClaim" -}}lgs-operator-cluster-{{ .Values.operatorClass }}{{- end }}
{{- define "lgs-operator.namespaceClaim" -}}lgs-operator-namespace-{{ .Values.operatorClass }}{{- end }}

{{- /* Whether it may patch pods: by default only where that right ends at a namespace. */}}
{{- define "lgs-operator.patchPods" -}}
{{- if kindIs "bool" .Values.rbac.patchPods }}{{ .Values.rbac.patchPods }}{{ else }}{{ not .Values.clusterWide }}{{ end }}
{{- end }}

{{- /* What the operator does to services and to what belongs to them; tests/controlplane/test_rights.py fails for a verb
that it lacks and for one that it does not use. */}}
{{- define "lgs-operator.rules" -}}
- apiGroups: [lgs.dev]
  resources: [langgraphservices]
  verbs: [list, watch]
- apiGroups: [lgs.dev]
  resources: [langgraphservices/status]
  verbs: [patch]
# blockOwnerDeletion in owner references needs this where the API server checks it
- apiGroups: [lgs.dev]
  resources: [langgraphservices/finalizers]
  verbs: [update]
# each by its name: nothing may list or watch them
- apiGroups: [""]
  resources: [secrets]
  verbs: [get, create, patch, delete]
- apiGroups: [""]
  resources: [services]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [""]
  resources: [serviceaccounts]
  verbs: [get, list, watch, create, patch]
- apiGroups: [apps]
  resources: [deployments]
  verbs: [get, list, watch, create, patch, delete]
# the volumes of a managed database and of its backups outlive them, so nothing here deletes one
- apiGroups: [""]
  resources: [persistentvolumeclaims]
  verbs: [get, list, watch, create, patch]
- apiGroups: [apps]
  resources: [statefulsets]
  verbs: [get, list, watch, create, patch]
# restores are Jobs of a service, backups those of its CronJob
- apiGroups: [batch]
  resources: [cronjobs, jobs]
  verbs: [get, list, watch, create, patch, delete]
# the state of a database cluster that a service waits for
- apiGroups: [postgresql.cnpg.io]
  resources: [clusters]
  verbs: [get]
- apiGroups: [policy]
  resources: [poddisruptionbudgets]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [networking.k8s.io]
  resources: [networkpolicies]
  verbs: [get, list, watch, create, patch, delete]
# those that manifests name, and the copies of them that pods mount
- apiGroups: [""]
  resources: [configmaps]
  verbs: [get, list, watch, create, patch, delete]
# what watches services from outside, where the cluster has these kinds
- apiGroups: [monitoring.coreos.com]
  resources: [podmonitors, prometheusrules]
  verbs: [get, list, watch, create, patch, delete]
# what leads clients outside of the cluster to services
- apiGroups: [networking.k8s.io]
  resources: [ingresses]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [gateway.networking.k8s.io]
  resources: [httproutes]
  verbs: [get, list, watch, create, patch, delete]
# the revisions of services
- apiGroups: [apps]
  resources: [controllerrevisions]
  verbs: [get, list, watch, create, patch, delete]
# which copies are still mounted, before one is deleted
- apiGroups: [apps]
  resources: [replicasets]
  verbs: [list]
- apiGroups: [""]
  resources: [pods]
  verbs: [list, watch]
{{- if eq (include "lgs-operator.patchPods" .) "true" }}
# the cost of deleting a pod, so that idle ones go first; which password a database is to have heard of
- apiGroups: [""]
  resources: [pods]
  verbs: [patch]
{{- end }}
- apiGroups: [""]
  resources: [events]
  verbs: [create, patch, list]
{{- end }}
