package docs

import (
	"encoding/json"
	"net/http"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"authentik-graphql/internal/demo"
	"authentik-graphql/internal/servicetest"
)

// TestReadmeExample sends the README's example to the demo and compares the answers of alice and of the
// superuser. The demo prints the same command.
func TestReadmeExample(t *testing.T) {
	service := servicetest.Start(t, servicetest.Build(t), []string{"-demo"})
	readme := servicetest.File(t, "README.md")
	command := regexp.MustCompile(`(?m)^curl -s .*$`).FindString(readme)
	if command == "" || demo.Curl("http://127.0.0.1:8080") != command {
		t.Errorf("the README's command is not the demo's:\n%s", command)
	}
	if !strings.Contains(service.Stdout.String(), demo.Curl(service.URL)) {
		t.Errorf("the demo does not print the command:\n%s", service.Stdout)
	}
	body := regexp.MustCompile(`-d '(.*)'`).FindStringSubmatch(command)[1]
	req := servicetest.NewRequest(t, http.MethodPost, service.URL+"/graphql", strings.NewReader(body))
	for _, h := range regexp.MustCompile(`-H '([^:]*): ([^']*)'`).FindAllStringSubmatch(command, -1) {
		req.Header.Set(h[1], h[2])
	}
	alice := servicetest.Send(t, req)
	req = servicetest.NewRequest(t, http.MethodPost, service.URL+"/graphql", strings.NewReader(body))
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer demo-root")
	root := servicetest.Send(t, req)

	examples := regexp.MustCompile("(?s)```json\n(.*?)```").FindAllStringSubmatch(readme, 2)
	example, provider := examples[0][1], strings.TrimSpace(examples[1][1])
	compareExample(t, "alice", string(alice.Body), example)
	compareExample(t, "root", string(root.Body), regexp.MustCompile(`"provider": .*`).ReplaceAllString(example, provider))
}

// compareExample compares an answer with an example of the README, except for fetchedAt.
func compareExample(t *testing.T, who, answer, example string) {
	t.Helper()
	var have, want map[string]any
	fetched := regexp.MustCompile(`"fetchedAt": *"[^"]*"`)
	for text, into := range map[string]*map[string]any{example: &want, answer: &have} {
		if err := json.Unmarshal([]byte(fetched.ReplaceAllString(text, `"fetchedAt":""`)), into); err != nil {
			t.Fatal(err)
		}
	}
	if !reflect.DeepEqual(have, want) {
		t.Errorf("the demo answers %s: %s", who, answer)
	}
}

// TestReadmeLists sends the README's further documents to the demo as alice. Its answers have the form that
// the README shows; ids, times and counts change all the time.
func TestReadmeLists(t *testing.T) {
	service := servicetest.Start(t, servicetest.Build(t), []string{"-demo"})
	section, _, _ := strings.Cut(strings.SplitN(servicetest.File(t, "README.md"), "\n## A query and its answer\n", 2)[1], "\n## ")
	examples := regexp.MustCompile("(?s)```graphql\n(.*?)```.*?```json\n(.*?)```").FindAllStringSubmatch(section, -1)
	if len(examples) != 4 {
		t.Fatalf("%d examples, not 4", len(examples))
	}
	stated := regexp.MustCompile(`"endCursor": *("[^"]*")`).FindStringSubmatch(examples[1][2])[1]
	if !strings.Contains(examples[2][1], "after: "+stated) {
		t.Errorf("the second page does not follow %s", stated)
	}
	for _, example := range examples {
		got := servicetest.Query(t, service.URL, "demo-alice", example[1])
		if got, want := form(t, string(got.Body)), form(t, example[2]); got != want {
			t.Errorf("%s answers\n%s, not\n%s", example[1], got, want)
		}
	}
}

// form returns JSON without the values that change.
func form(t *testing.T, text string) string {
	t.Helper()
	text = regexp.MustCompile(`"(id|endCursor|expires|name)": *"[^"]*"|"(totalCount)": *\d+`).ReplaceAllString(text, `"$1$2": ""`)
	var v any
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
