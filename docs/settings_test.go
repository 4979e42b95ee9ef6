package docs

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"authentik-graphql/cache/cachetest"
	"authentik-graphql/internal/config"
	"authentik-graphql/internal/servicetest"
	"authentik-graphql/upstream/upstreamtest"
)

var update = flag.Bool("update", false, "write the tables of settings.md instead of comparing them")

// TestSettingsTable checks that the tables of settings.md follow the tags of config.Config.
func TestSettingsTable(t *testing.T) {
	var table strings.Builder
	table.WriteString("<!-- settings -->\n")
	group := ""
	for _, s := range config.Settings() {
		if s.Group != group {
			group = s.Group
			fmt.Fprintf(&table, "\n## %s\n\n| Setting | Default | Meaning |\n|---|---|---|\n", group)
		}
		value := "unset"
		if s.Default != "" {
			value = "`" + s.Default + "`"
		}
		fmt.Fprintf(&table, "| `%s` | %s | %s |\n", s.Name, value, s.Help)
	}
	table.WriteString("\n<!-- end of settings -->\n")
	page := servicetest.File(t, "docs/settings.md")
	current := regexp.MustCompile(`(?s)<!-- settings -->\n.*?<!-- end of settings -->\n`)
	if *update {
		page = current.ReplaceAllLiteralString(page, table.String())
		if err := os.WriteFile("settings.md", []byte(page), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if current.FindString(page) != table.String() {
		t.Errorf("settings.md differs from the settings; want\n%s", table.String())
	}
}

// TestSettingsRedis runs -check with each example of another form of Redis, with real servers in place of the
// page's addresses.
func TestSettingsRedis(t *testing.T) {
	up, binary := servicetest.StartAuthentik(t, upstreamtest.Options{}), servicetest.Build(t)
	user := []string{"--user", "app", "on", ">password", "~*", "&*", "+@all", "--user", "default", "off"}
	replace := map[string]func(*testing.T) []string{
		"TLS": func(t *testing.T) []string {
			s := cachetest.StartRedisTLS(t, "--requirepass", "password")
			return []string{"redis.example.com:6379", s.Addr(), "/etc/ssl/redis.pem", s.CAFile()}
		},
		"a Unix socket": func(t *testing.T) []string {
			return []string{"/run/redis/redis.sock", cachetest.StartRedisSocket(t).Addr()}
		},
		"an ACL user": func(t *testing.T) []string {
			return []string{"redis.example.com:6379", cachetest.StartRedis(t, user...).Addr()}
		},
		"Redis Cluster": func(t *testing.T) []string {
			nodes := cachetest.StartCluster(t, user...).Nodes()
			return []string{"redis-1.example.com:6379", nodes[0].Addr(), "redis-2.example.com:6379", nodes[1].Addr()}
		},
		"Redis under Sentinel": func(t *testing.T) []string {
			sentinels := cachetest.StartSentinel(t, user...).Sentinels()
			return []string{"sentinel-1.example.com:26379", sentinels[0].Addr(), "sentinel-2.example.com:26379", sentinels[1].Addr()}
		},
	}
	section := regexp.MustCompile("(?s)## Redis in other forms\n\n```sh\n(.*?)```").FindStringSubmatch(servicetest.File(t, "docs/settings.md"))[1]
	for example := range strings.SplitSeq(section, "\n\n") {
		title := regexp.MustCompile(`^# (TLS|a Unix socket|an ACL user|Redis Cluster|Redis under Sentinel)`).FindStringSubmatch(example)[1]
		start := replace[title]
		delete(replace, title)
		t.Run(title, func(t *testing.T) {
			environ := []string{"AUTHENTIK_URL=" + up.URL, "CACHE_SECRET=MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="}
			servers := strings.NewReplacer(start(t)...)
			for _, v := range regexp.MustCompile(`(?m)^export (\w+)='?(.*?)'?$`).FindAllStringSubmatch(example, -1) {
				environ = append(environ, v[1]+"="+servers.Replace(v[2]))
			}
			out, err := servicetest.Check(t, binary, environ...)
			if err != nil || !strings.Contains(out, "redis      ok") || strings.Contains(out, "example.com") {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
	if len(replace) > 0 {
		t.Errorf("settings.md has no example of %v", slices.Collect(maps.Keys(replace)))
	}
}

// TestSettingsCertificate runs the command that prints a fingerprint. The service accepts the certificate by it.
func TestSettingsCertificate(t *testing.T) {
	servicetest.Program(t, "openssl")
	fake := upstreamtest.New(upstreamtest.Options{})
	up := servicetest.StartTLS(t, fake, servicetest.DefaultCertificate(t, time.Now()))
	command := regexp.MustCompile("(?m)^openssl s_client .*$").FindString(servicetest.File(t, "docs/settings.md"))
	command = strings.Replace(command, "auth.example.com:443", up.Listener.Addr().String(), 1)
	out, err := exec.CommandContext(t.Context(), "sh", "-c", command).Output()
	_, fingerprint, found := strings.Cut(strings.TrimSpace(string(out)), "=")
	if err != nil || !found {
		t.Fatalf("%s: %v\n%s", command, err, out)
	}
	got, err := servicetest.Check(t, servicetest.Build(t), "AUTHENTIK_URL="+up.URL, "AUTHENTIK_CERT_SHA256="+fingerprint)
	if err != nil || !strings.Contains(got, "authentik  ok\n") {
		t.Errorf("%s: %v\n%s", fingerprint, err, got)
	}
}
