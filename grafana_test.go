package main

import (
	"encoding/json"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// grafanaDashboard is what the tests read of a dashboard.
type grafanaDashboard struct {
	SchemaVersion int
	UID           string
	Templating    struct {
		List []struct{ Name, Type, Definition string }
	}
	Panels []grafanaPanel
}

type grafanaPanel struct {
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

func (p grafanaPanel) overlaps(o grafanaPanel) bool {
	a, b := p.GridPos, o.GridPos
	return a.X < b.X+b.W && b.X < a.X+a.W && a.Y < b.Y+b.H && b.Y < a.Y+a.H
}

func readDashboard(t *testing.T) (d grafanaDashboard) {
	t.Helper()
	if err := json.Unmarshal([]byte(must(t, "deploy/grafana/dashboard.json")), &d); err != nil {
		t.Fatal(err)
	}
	return d
}

// queries are all of a dashboard, as Grafana sends them where all instances are looked at.
func (d grafanaDashboard) queries() (all []string) {
	fill := strings.NewReplacer("$instance", ".*", "$__rate_interval", "10s")
	for _, p := range d.Panels {
		for _, target := range p.Targets {
			all = append(all, fill.Replace(target.Expr))
		}
	}
	return all
}

// TestDashboardLayout: Grafana 10 and later can show it as it is meant.
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

// TestDashboardQueries: each can be parsed, of metrics and labels that there are, for the data source and
// the instances that are chosen.
func TestDashboardQueries(t *testing.T) {
	known, _ := takeInventory(t)
	d := readDashboard(t)
	known.checkQuery(t, regexp.MustCompile(`label_values\((\w+), instance\)`).ReplaceAllString(d.Templating.List[1].Definition, "$1"))
	for _, p := range d.Panels {
		var refs []string
		for _, target := range p.Targets {
			if slices.Contains(refs, target.RefID) || target.RefID == "" || target.Datasource.UID != "${datasource}" || target.LegendFormat == "" {
				t.Errorf("%s has a target %+v", p.Title, target)
			}
			refs = append(refs, target.RefID)
			labels := known.checkQuery(t, target.Expr)
			for _, selector := range selectors.FindAllStringSubmatch(target.Expr, -1) {
				if !strings.Contains(selector[2], `instance=~"$instance"`) {
					t.Errorf("%s is of every instance in %s", selector[1], p.Title)
				}
			}
			for _, name := range regexp.MustCompile(`\{\{(\w+)\}\}`).FindAllStringSubmatch(target.LegendFormat, -1) {
				if !slices.Contains(labels, name[1]) {
					t.Errorf("%s has no %s for its legend", p.Title, name[1])
				}
			}
		}
	}
	parseQueries(t, d.queries())
}
