package deploy

import (
	"maps"
	"net/http"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	apps "k8s.io/api/apps/v1"
	core "k8s.io/api/core/v1"
	networking "k8s.io/api/networking/v1"
	policy "k8s.io/api/policy/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"
	podapi "k8s.io/pod-security-admission/api"
	podsecurity "k8s.io/pod-security-admission/policy"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/yaml"

	"authentik-graphql/internal/servicetest"
)

// cluster has the objects that kubectl apply -k makes.
type cluster struct {
	namespace      core.Namespace
	serviceAccount core.ServiceAccount
	settings       core.ConfigMap
	deployment     apps.Deployment
	service        core.Service
	budget         policy.PodDisruptionBudget
	network        networking.NetworkPolicy
}

// loadCluster builds the kustomization and decodes each object strictly: an unknown field is an error.
func loadCluster(t *testing.T) cluster {
	t.Helper()
	built, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), "kubernetes")
	if err != nil {
		t.Fatal(err)
	}
	var c cluster
	missing := map[string]any{
		"v1 Namespace": &c.namespace, "v1 ServiceAccount": &c.serviceAccount, "v1 ConfigMap": &c.settings,
		"apps/v1 Deployment": &c.deployment, "v1 Service": &c.service, "policy/v1 PodDisruptionBudget": &c.budget,
		"networking.k8s.io/v1 NetworkPolicy": &c.network,
	}
	for _, object := range built.Resources() {
		kind := object.GetApiVersion() + " " + object.GetKind()
		text, err := object.AsYAML()
		if err != nil {
			t.Fatal(err)
		}
		if missing[kind] == nil {
			t.Fatalf("a second or unknown %s:\n%s", kind, text)
		}
		if err := yaml.UnmarshalStrict(text, missing[kind]); err != nil {
			t.Errorf("%s: %v", kind, err)
		}
		if ns := object.GetNamespace(); ns != "authentik-graphql" && object.GetKind() != "Namespace" {
			t.Errorf("%s is in the namespace %q", kind, ns)
		}
		delete(missing, kind)
	}
	for kind := range missing {
		t.Errorf("there is no %s", kind)
	}
	return c
}

func (c cluster) pod() core.PodTemplateSpec { return c.deployment.Spec.Template }

func (c cluster) container() core.Container { return c.pod().Spec.Containers[0] }

// selects reports whether a selector matches the pods, and not every pod.
func (c cluster) selects(t *testing.T, selector *meta.LabelSelector) bool {
	t.Helper()
	s, err := meta.LabelSelectorAsSelector(selector)
	if err != nil {
		t.Fatal(err)
	}
	return s.Matches(labels.Set(c.pod().Labels)) && !s.Empty()
}

func TestKubernetesSelectors(t *testing.T) {
	c := loadCluster(t)
	selectors := map[string]*meta.LabelSelector{
		"the deployment":         c.deployment.Spec.Selector,
		"the service":            {MatchLabels: c.service.Spec.Selector},
		"the disruption budget":  c.budget.Spec.Selector,
		"the network policy":     &c.network.Spec.PodSelector,
		"the spread among hosts": c.pod().Spec.TopologySpreadConstraints[0].LabelSelector,
		"the spread among zones": c.pod().Spec.TopologySpreadConstraints[1].LabelSelector,
	}
	for name, selector := range selectors {
		if !c.selects(t, selector) {
			t.Errorf("%s does not select the pods: %v", name, selector)
		}
	}
	if got := []string{c.pod().Spec.TopologySpreadConstraints[0].TopologyKey, c.pod().Spec.TopologySpreadConstraints[1].TopologyKey}; !slices.Equal(got, []string{core.LabelHostname, core.LabelTopologyZone}) {
		t.Errorf("pods are spread among %q", got)
	}
	if replicas, evicted := *c.deployment.Spec.Replicas, c.budget.Spec.MaxUnavailable.IntValue(); replicas != 3 || evicted != 1 {
		t.Errorf("of %d pods %d may be evicted", replicas, evicted)
	}
}

// TestKubernetesSettings: the binary accepts the environment of the pods.
func TestKubernetesSettings(t *testing.T) {
	c := loadCluster(t)
	container := c.container()
	if len(container.EnvFrom) != 1 || container.EnvFrom[0].ConfigMapRef.Name != c.settings.Name || len(container.Env) > 0 {
		t.Fatalf("the environment is %v %v, the settings are %s", container.EnvFrom, container.Env, c.settings.Name)
	}
	mount, volume := container.VolumeMounts[0], c.pod().Spec.Volumes[0]
	if mount.Name != volume.Name || !mount.ReadOnly || volume.Secret == nil {
		t.Fatalf("%v is not of %v", mount, volume)
	}
	readme := read(t, "README.md")
	var files []string
	for _, item := range volume.Secret.Items {
		files = append(files, path.Join(mount.MountPath, item.Path))
		if !strings.Contains(readme, "--from-literal="+item.Key+"=") {
			t.Errorf("the README does not make %s", item.Key)
		}
	}
	binary := servicetest.Build(t)
	accepts(t, binary, c.settings.Data, files...)

	settings := servicetest.Settings(t, binary)
	maps.Copy(settings, c.settings.Data)
	requests, limits := container.Resources.Requests.Memory().Value(), container.Resources.Limits.Memory().Value()
	if few, most := memory(t, settings, 500), mostMemory(t, settings); requests < few || limits < most {
		t.Errorf("memory: requested %d, limited to %d; it takes %d, and up to %d", requests, limits, few, most)
	}
	if grace := time.Duration(*c.pod().Spec.TerminationGracePeriodSeconds) * time.Second; grace <= drain(t, settings) {
		t.Errorf("pods are killed after %s, and may take %s to end", grace, drain(t, settings))
	}
	if settings["SHUTDOWN_DELAY"] == "0s" {
		t.Error("the listener closes at once, before everybody can have heard of the end")
	}
}

// TestKubernetesProbes: the service answers each probe at its port and path.
func TestKubernetesProbes(t *testing.T) {
	c := loadCluster(t)
	container := c.container()
	demo := servicetest.Start(t, servicetest.Build(t), []string{"-demo"})
	for name, tt := range map[string]struct {
		probe      *core.Probe
		path, port string
	}{
		"start":     {container.StartupProbe, "/healthz", "admin"},
		"life":      {container.LivenessProbe, "/healthz", "admin"},
		"readiness": {container.ReadinessProbe, "/readyz", "http"},
	} {
		get := tt.probe.HTTPGet
		if get.Path != tt.path || get.Port.String() != tt.port {
			t.Errorf("%s asks %s of %s", name, get.Path, get.Port.String())
		}
		resp, err := http.Get(demo.URL + get.Path) //nolint:noctx // answered at once
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			t.Errorf("%s is answered with status %d", get.Path, resp.StatusCode)
		}
	}
	ports := map[string]int32{}
	for _, port := range container.Ports {
		ports[port.Name] = port.ContainerPort
	}
	if want := map[string]int32{"http": 8080, "admin": 9464}; !maps.Equal(ports, want) || c.settings.Data["ADMIN_ADDR"] != ":9464" || c.settings.Data["LISTEN_ADDR"] != "" {
		t.Errorf("the ports are %v, want %v, and those of %v", ports, want, c.settings.Data)
	}
	if service := c.service.Spec.Ports; len(service) != 1 || service[0].TargetPort != intstr.FromString("http") {
		t.Errorf("the service has %v, not clients' port alone", service)
	}
}

// TestKubernetesSecurity: the namespace admits only restricted pods, and the pods are.
func TestKubernetesSecurity(t *testing.T) {
	c := loadCluster(t)
	pod, container := c.pod(), c.container()
	evaluator, err := podsecurity.NewEvaluator(podsecurity.DefaultChecks(), nil)
	if err != nil {
		t.Fatal(err)
	}
	level := podapi.LevelVersion{Level: podapi.LevelRestricted, Version: podapi.LatestVersion()}
	result := podsecurity.AggregateCheckResults(evaluator.EvaluatePod(level, &pod.ObjectMeta, &pod.Spec))
	if !result.Allowed {
		t.Errorf("%s: %s", result.ForbiddenReason(), result.ForbiddenDetail())
	}
	if got := c.namespace.Labels[podapi.EnforceLevelLabel]; got != string(podapi.LevelRestricted) {
		t.Errorf("the namespace enforces %q", got)
	}
	if !*container.SecurityContext.ReadOnlyRootFilesystem {
		t.Error("the file system can be written to")
	}
	if pod.Spec.ServiceAccountName != c.serviceAccount.Name || *pod.Spec.AutomountServiceAccountToken || *c.serviceAccount.AutomountServiceAccountToken {
		t.Error("the pods have a token of the cluster")
	}
	_, last := stages(t)
	user := regexp.MustCompile(`\nUSER (\d+):(\d+)\n`).FindStringSubmatch(last)
	if s := pod.Spec.SecurityContext; *s.RunAsUser != number(t, user[1]) || *s.RunAsGroup != number(t, user[2]) || *s.FSGroup != *s.RunAsGroup {
		t.Errorf("the pods run as %d:%d and their files are of %d; the image is for %s", *s.RunAsUser, *s.RunAsGroup, *s.FSGroup, user[0])
	}
}

// TestKubernetesMonitor: the README's PodMonitor selects the pods, and gives them the job of the alerts.
func TestKubernetesMonitor(t *testing.T) {
	c := loadCluster(t)
	var monitor struct {
		meta.TypeMeta   `json:",inline"`
		meta.ObjectMeta `json:"metadata"`
		Spec            struct {
			JobLabel            string
			Selector            meta.LabelSelector
			PodMetricsEndpoints []struct{ Port string }
		}
	}
	text := regexp.MustCompile("(?s)```yaml\n(.*?)```").FindStringSubmatch(read(t, "README.md"))
	if err := yaml.UnmarshalStrict([]byte(text[1]), &monitor); err != nil {
		t.Fatal(err)
	}
	job := regexp.MustCompile(`job_name: (\S+)`).FindStringSubmatch(read(t, "prometheus/prometheus.yml"))[1]
	if got := c.pod().Labels[monitor.Spec.JobLabel]; got != job || !c.selects(t, &monitor.Spec.Selector) || monitor.Namespace != c.namespace.Name {
		t.Errorf("the job is %q, not %q, of pods of %s with %v", got, job, monitor.Namespace, monitor.Spec.Selector)
	}
	if ports := monitor.Spec.PodMetricsEndpoints; len(ports) != 1 || ports[0].Port != "admin" {
		t.Errorf("it scrapes %v", ports)
	}
}

// TestKubernetesNetwork: clients cannot reach the metrics, and nothing is open to every pod.
func TestKubernetesNetwork(t *testing.T) {
	spec := loadCluster(t).network.Spec
	if want := []networking.PolicyType{networking.PolicyTypeIngress, networking.PolicyTypeEgress}; !slices.Equal(spec.PolicyTypes, want) {
		t.Fatalf("it limits %v", spec.PolicyTypes)
	}
	from, to := map[string][]string{}, map[string][]string{}
	for _, rule := range spec.Ingress {
		addRule(from, rule.Ports, rule.From)
	}
	for _, rule := range spec.Egress {
		addRule(to, rule.Ports, rule.To)
	}
	if want := map[string][]string{"http": {"", "ingress-nginx"}, "admin": {"monitoring"}}; !maps.EqualFunc(from, want, slices.Equal) {
		t.Errorf("it may be reached on %v, want %v", from, want)
	}
	if want := map[string][]string{"53": {"kube-system", "kube-system"}, "9000": {"authentik"}, "9443": {"authentik"}, "6379": {"redis"}}; !maps.EqualFunc(to, want, slices.Equal) {
		t.Errorf("it may reach %v, want %v", to, want)
	}
}

// addRule adds the namespaces of a rule by its ports: "" for that of the pods, "*" for all.
func addRule(peers map[string][]string, ports []networking.NetworkPolicyPort, rule []networking.NetworkPolicyPeer) {
	var namespaces []string
	for _, peer := range rule {
		switch {
		case peer.IPBlock != nil:
			namespaces = append(namespaces, "*")
		case peer.NamespaceSelector == nil:
			namespaces = append(namespaces, "")
		default:
			namespaces = append(namespaces, peer.NamespaceSelector.MatchLabels[core.LabelMetadataName])
		}
	}
	if rule == nil {
		namespaces = []string{"*"}
	}
	for _, port := range ports {
		peers[port.Port.String()] = append(peers[port.Port.String()], namespaces...)
	}
	if ports == nil {
		peers["*"] = namespaces
	}
}
