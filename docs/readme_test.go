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

// TestReadmeExample sends the README's example to the demo and compares the answer. The demo prints the same
// command.
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
	got := servicetest.Send(t, req)
	var have, want map[string]any
	example := regexp.MustCompile("(?s)```json\n(.*?)```").FindStringSubmatch(readme)[1]
	fetched := regexp.MustCompile(`"fetchedAt": *"[^"]*"`)
	for text, into := range map[string]*map[string]any{example: &want, string(got.Body): &have} {
		if err := json.Unmarshal([]byte(fetched.ReplaceAllString(text, `"fetchedAt":""`)), into); err != nil {
			t.Fatal(err)
		}
	}
	if !reflect.DeepEqual(have, want) {
		t.Errorf("the demo answers %s", got.Body)
	}
}

// TestReadmeLists sends the README's further documents to the demo. Its answers have the form that the README
// shows; ids, times and counts change all the time.
func TestReadmeLists(t *testing.T) {
	service := servicetest.Start(t, servicetest.Build(t), []string{"-demo"})
	section, _, _ := strings.Cut(strings.SplitN(servicetest.File(t, "README.md"), "\n## A query and its answer\n", 2)[1], "\n## ")
	examples := regexp.MustCompile("(?s)```graphql\n(.*?)```.*?```json\n(.*?)```").FindAllStringSubmatch(section, -1)
	if len(examples) != 3 {
		t.Fatalf("%d examples, not 3", len(examples))
	}
	stated := regexp.MustCompile(`"endCursor": *("[^"]*")`).FindStringSubmatch(examples[0][2])[1]
	if !strings.Contains(examples[1][1], "after: "+stated) {
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
