package deploy

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// dashboard is what the tests read of a dashboard.
type dashboard struct {
	SchemaVersion int
	UID           string
	Templating    struct {
		List []struct{ Name, Type, Definition string }
	}
	Panels []panel
}

type panel struct {
	ID                       int
	Type, Title, Description string
	GridPos                  struct{ H, W, X, Y int }
	Datasource               struct{ UID string }
	FieldConfig              struct {
		Defaults struct{ Unit string }
	}
	Targets []struct {
		RefID, Expr, LegendFormat string
		Datasource                struct{ UID string }
	}
}

func (p panel) overlaps(o panel) bool {
	a, b := p.GridPos, o.GridPos
	return a.X < b.X+b.W && b.X < a.X+a.W && a.Y < b.Y+b.H && b.Y < a.Y+a.H
}

func readDashboard(t *testing.T) (d dashboard) {
	t.Helper()
	if err := json.Unmarshal([]byte(read(t, "grafana/dashboard.json")), &d); err != nil {
		t.Fatal(err)
	}
	return d
}

// TestDashboardLayout checks the dashboard's layout for Grafana 10 and later.
func TestDashboardLayout(t *testing.T) {
	d := readDashboard(t)
	if d.SchemaVersion < 38 || d.UID == "" {
		t.Errorf("schema version %d, uid %q", d.SchemaVersion, d.UID)
	}
	if v := d.Templating.List; len(v) != 2 || v[0].Name != "datasource" || v[0].Type != "datasource" || v[1].Name != "instance" {
		t.Errorf("variables %+v", v)
	}
	ids, shown := map[int]string{}, 0
	for i, p := range d.Panels {
		if other := ids[p.ID]; p.ID < 1 || other != "" {
			t.Errorf("%s has the id %d of %q", p.Title, p.ID, other)
		}
		ids[p.ID] = p.Title
		if g := p.GridPos; g.H < 1 || g.W < 1 || g.X < 0 || g.X+g.W > 24 {
			t.Errorf("%s is at %+v", p.Title, g)
		}
		for _, other := range d.Panels[:i] {
			if p.overlaps(other) {
				t.Errorf("%s is over %s", p.Title, other.Title)
			}
		}
		if p.Type == "row" {
			continue
		}
		shown++
		if p.Title == "" || p.Description == "" || p.FieldConfig.Defaults.Unit == "" || p.Datasource.UID != "${datasource}" || len(p.Targets) == 0 {
			t.Errorf("%s lacks something", p.Title)
		}
	}
	if shown < 12 || shown > 20 {
		t.Errorf("%d panels", shown)
	}
}

// TestDashboardQueries: promtool can parse each query, and each is of metrics that exist, of the chosen data
// source and instances. A test of the service evaluates them by Prometheus.
func TestDashboardQueries(t *testing.T) {
	const chosen = `instance=~"$instance"`
	known, d := readInventory(t), readDashboard(t)
	known.checkNames(t, d.Templating.List[1].Definition)
	fill := strings.NewReplacer("$instance", ".*", "$__rate_interval", "10s")
	var rules []map[string]string
	for _, p := range d.Panels {
		var refs []string
		for _, target := range p.Targets {
			if slices.Contains(refs, target.RefID) || target.RefID == "" || target.Datasource.UID != "${datasource}" || target.LegendFormat == "" {
				t.Errorf("%s has a target %+v", p.Title, target)
			}
			refs = append(refs, target.RefID)
			if n := len(known.checkNames(t, target.Expr)); n == 0 || n != strings.Count(target.Expr, chosen) {
				t.Errorf("%s does not choose the instances of %d metrics: %s", p.Title, n, target.Expr)
			}
			rules = append(rules, map[string]string{"record": "test:query" + strings.Repeat("x", len(rules)), "expr": fill.Replace(target.Expr)})
		}
	}
	file, err := json.Marshal(map[string]any{"groups": []any{map[string]any{"name": "test", "rules": rules}}}) // JSON is YAML
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "rules.yml")
	if err := os.WriteFile(path, file, 0o600); err != nil {
		t.Fatal(err)
	}
	promtool(t, "check", "rules", path)
}
