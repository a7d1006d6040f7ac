{{- define "headrace.name" -}}
{{- if contains .Chart.Name .Release.Name -}}{{ .Release.Name | trunc 50 | trimSuffix "-" }}{{- else -}}{{ printf "%s-%s" .Release.Name .Chart.Name | trunc 50 | trimSuffix "-" }}{{- end -}}
{{- end }}

{{- define "headrace.selector" -}}
app.kubernetes.io/name: {{ .root.Chart.Name }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end }}

{{- define "headrace.labels" -}}
{{ include "headrace.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version }}
{{- end }}

{{- define "headrace.image" -}}
{{ printf "%s:%s" .Values.image.repository (.Values.image.tag | default .Chart.AppVersion) }}
{{- end }}

{{- define "headrace.serviceAccount" -}}
{{ if .Values.serviceAccount.create }}{{ .Values.serviceAccount.name | default (include "headrace.name" .) }}{{ else }}{{ .Values.serviceAccount.name | default "default" }}{{ end }}
{{- end }}

{{- define "headrace.secret" -}}
{{ .Values.existingSecret | default (include "headrace.name" .) }}
{{- end }}

{{- define "headrace.kafkaSecret" -}}
{{ if .Values.existingKafkaSecret }}{{ .Values.existingKafkaSecret }}{{ else if .Values.kafkaProperties }}{{ include "headrace.name" . }}-kafka{{ end }}
{{- end }}

{{/* A pod is made anew when what it is told changes. */}}
{{- define "headrace.checksum" -}}
{{ dict "log" .Values.log "views" .Values.views "artifacts" .Values.artifacts "secret" .Values.secretEnv "kafka" .Values.kafkaProperties | toJson | sha256sum }}
{{- end }}

{{- define "headrace.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
runAsNonRoot: true
runAsUser: 10001
runAsGroup: 10001
capabilities:
  drop: [ALL]
{{- end }}

{{- define "headrace.env" -}}
envFrom:
  - secretRef:
      name: {{ include "headrace.secret" . }}
{{- if or .Values.env (include "headrace.kafkaSecret" .) }}
env:
  {{- range $name, $value := .Values.env }}
  - name: {{ $name }}
    value: {{ $value | quote }}
  {{- end }}
  {{- if include "headrace.kafkaSecret" . }}
  - name: HEADRACE_KAFKA_CONFIG
    value: /etc/headrace/kafka/kafka.properties
  {{- end }}
{{- end }}
{{- end }}

{{- define "headrace.mounts" -}}
volumeMounts:
  - name: data
    mountPath: /data
  - name: tmp
    mountPath: /tmp
  {{- if include "headrace.kafkaSecret" . }}
  - name: kafka
    mountPath: /etc/headrace/kafka
    readOnly: true
  {{- end }}
  {{- if .Values.tlsSecret }}
  - name: tls
    mountPath: /etc/headrace/tls
    readOnly: true
  {{- end }}
{{- end }}

{{/* What API and worker pods have in common. */}}
{{- define "headrace.pod" -}}
serviceAccountName: {{ include "headrace.serviceAccount" . }}
automountServiceAccountToken: false
# Else a service named headrace would put HEADRACE_PORT=tcp://… into the environment.
enableServiceLinks: false
{{- with .Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
securityContext:
  fsGroup: 10001
  seccompProfile:
    type: RuntimeDefault
{{- if .Values.setup.enabled }}
initContainers:
  - name: topics
    image: {{ include "headrace.image" . }}
    imagePullPolicy: {{ .Values.image.pullPolicy }}
    args: {{ concat (list "topics" "create") .Values.setup.topicsArgs | toJson }}
    {{- include "headrace.env" . | nindent 4 }}
    {{- include "headrace.mounts" . | nindent 4 }}
    securityContext:
      {{- include "headrace.containerSecurity" . | nindent 6 }}
    resources:
      {{- toYaml .Values.setup.resources | nindent 6 }}
  - name: views
    image: {{ include "headrace.image" . }}
    imagePullPolicy: {{ .Values.image.pullPolicy }}
    args: {{ concat (list "views" "create") .Values.setup.viewsArgs | toJson }}
    {{- include "headrace.env" . | nindent 4 }}
    {{- include "headrace.mounts" . | nindent 4 }}
    securityContext:
      {{- include "headrace.containerSecurity" . | nindent 6 }}
    resources:
      {{- toYaml .Values.setup.resources | nindent 6 }}
{{- end }}
volumes:
  - name: data
    emptyDir: {}
  - name: tmp
    emptyDir: {}
  {{- if include "headrace.kafkaSecret" . }}
  - name: kafka
    secret:
      secretName: {{ include "headrace.kafkaSecret" . }}
  {{- end }}
  {{- if .Values.tlsSecret }}
  - name: tls
    secret:
      secretName: {{ .Values.tlsSecret }}
  {{- end }}
{{- end }}

{{- define "headrace.placing" -}}
{{- with .nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}
