{{- define "lgs-operator.name" -}}
{{- if contains "lgs-operator" .Release.Name }}{{ .Release.Name | trunc 52 | trimSuffix "-" }}
{{- else }}{{ printf "%s-lgs-operator" .Release.Name | trunc 52 | trimSuffix "-" }}{{ end }}
{{- end }}

{{- define "lgs-operator.selector" -}}
app.kubernetes.io/name: lgs-operator
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "lgs-operator.labels" -}}
{{ include "lgs-operator.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
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

{{- /* The Leases by which an operator's class is claimed, in the cluster and in a namespace. */}}
{{- define "lgs-operator.clusterClaim" -}}lgs-operator-cluster-{{ .Values.operatorClass }}{{- end }}
{{- define "lgs-operator.namespaceClaim" -}}lgs-operator-namespace-{{ .Values.operatorClass }}{{- end }}

{{- /* What the operator does to services and to what belongs to them; nothing here is wider than its calls. */}}
{{- define "lgs-operator.rules" -}}
- apiGroups: [lgs.dev]
  resources: [langgraphservices]
  verbs: [get, list, watch]
- apiGroups: [lgs.dev]
  resources: [langgraphservices/status]
  verbs: [patch]
# blockOwnerDeletion in owner references needs this where the API server checks it
- apiGroups: [lgs.dev]
  resources: [langgraphservices/finalizers]
  verbs: [update]
- apiGroups: [""]
  resources: [services, serviceaccounts, secrets]
  verbs: [get, list, watch, create, patch, delete]
# the volumes of a managed database and of its backups outlive them, so nothing here deletes one
- apiGroups: [""]
  resources: [persistentvolumeclaims]
  verbs: [get, list, watch, create, patch]
- apiGroups: [apps]
  resources: [deployments, statefulsets]
  verbs: [get, list, watch, create, patch, delete]
# restores are Jobs of a service, backups those of its CronJob
- apiGroups: [batch]
  resources: [cronjobs, jobs]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [policy]
  resources: [poddisruptionbudgets]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [networking.k8s.io]
  resources: [networkpolicies]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [""]
  resources: [configmaps]
  verbs: [get, list, watch]
# patch: the cost of deleting a pod, so that idle ones go first
- apiGroups: [""]
  resources: [pods]
  verbs: [get, list, watch, patch]
- apiGroups: [""]
  resources: [events]
  verbs: [create, patch, list]
{{- end }}
