package telemetry

import (
	"github.com/prometheus/client_golang/prometheus"

	"authentik-graphql/upstream"
)

// keyCollector has a series for each key that was counted, unlike the other metrics, whose series are known from the
// start: which series there are tells which keys authentik's release has.
type keyCollector struct {
	keys            func() (absent, unknown map[upstream.Key]int64)
	absent, unknown *prometheus.Desc
}

func (m *Metrics) collectKeys(keys func() (absent, unknown map[upstream.Key]int64)) {
	desc := func(name, help string) *prometheus.Desc {
		return prometheus.NewDesc(prometheus.BuildFQName(namespace, "", name), help, []string{"object", "field"}, nil)
	}
	m.registry.MustRegister(keyCollector{
		keys:    keys,
		absent:  desc("upstream_absent_keys_total", "Known keys that were absent from objects in authentik's answers."),
		unknown: desc("upstream_unknown_keys_total", "Unknown keys in objects in authentik's answers, at most 32 by name."),
	})
}

// Describe implements [prometheus.Collector].
func (c keyCollector) Describe(to chan<- *prometheus.Desc) {
	to <- c.absent
	to <- c.unknown
}

// Collect implements [prometheus.Collector].
func (c keyCollector) Collect(to chan<- prometheus.Metric) {
	absent, unknown := c.keys()
	for desc, counts := range map[*prometheus.Desc]map[upstream.Key]int64{c.absent: absent, c.unknown: unknown} {
		for key, n := range counts {
			to <- prometheus.MustNewConstMetric(desc, prometheus.CounterValue, float64(n), key.Object, key.Field)
		}
	}
}
