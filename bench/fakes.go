package main

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path"
	"strconv"
	"sync/atomic"
)

//go:embed testdata/row.json
var row []byte

const (
	codesPath     = "/api/v3/oauth2/authorization_codes/"
	tokensPath    = "/api/v3/oauth2/access_tokens/"
	providersPath = "/api/v3/providers/oauth2/"
	callsPath     = "/calls"  // how often the fake was called
	hotID         = 1_000_000 // the id of row, of as many digits as all others
)

// runUpstream is the process of the fake authentik: it answers with row under any id, as cheaply as
// possible. It prints its address for https before that for http, and writes the certificate for https
// to the file that its argument names.
func runUpstream() error {
	before, after, _ := bytes.Cut(bytes.TrimSpace(row), []byte(strconv.Itoa(hotID)))
	token, err := tokenRow()
	if err != nil {
		return err
	}
	var calls atomic.Int64
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+codesPath+"{id}/", func(w http.ResponseWriter, r *http.Request) {
		calls.Add(1)
		id := path.Base(r.URL.Path)
		answer := make([]byte, 0, len(row)+len(id))
		answer = append(append(append(answer, before...), id...), after...)
		writeJSON(w, "application/json", answer)
	})
	mux.HandleFunc(fmt.Sprint("GET ", tokensPath, hotID, "/"), func(w http.ResponseWriter, _ *http.Request) {
		calls.Add(1)
		writeJSON(w, "application/json", token)
	})
	mux.HandleFunc("GET "+providersPath, func(w http.ResponseWriter, _ *http.Request) {
		calls.Add(1)
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusForbidden)
		_, _ = io.WriteString(w, `{"detail":"You do not have permission to perform this action."}`)
	})
	mux.HandleFunc("GET "+codesPath+"{$}", func(w http.ResponseWriter, r *http.Request) {
		calls.Add(1)
		size, err := strconv.Atoi(r.URL.Query().Get("page_size"))
		if err != nil || r.URL.Query().Get("page") != "1" {
			http.Error(w, "only the first page", http.StatusNotImplemented)
			return
		}
		writeJSON(w, "application/json", page(before, after, size))
	})
	mux.HandleFunc("GET "+callsPath, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, calls.Load()) })
	secure := httptest.NewTLSServer(mux)
	defer secure.Close()
	certificate := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: secure.Certificate().Raw})
	if err := os.WriteFile(os.Args[2], certificate, 0o600); err != nil {
		return err
	}
	fmt.Println(secure.Listener.Addr())
	return serve(&http.Server{Handler: mux})
}

// tokenRow is an access token with the user of row, as authentik answers from 2025.12.5 and 2026.2.3 on: its provider
// has no settings.
func tokenRow() ([]byte, error) {
	var token map[string]any
	if err := json.Unmarshal(row, &token); err != nil {
		return nil, fmt.Errorf("row.json: %w", err)
	}
	whole := token["provider"].(map[string]any)
	partial := map[string]any{}
	for _, key := range []string{
		"pk", "name", "authentication_flow", "authorization_flow", "invalidation_flow", "property_mappings", "component",
		"assigned_application_slug", "assigned_application_name", "assigned_backchannel_application_slug",
		"assigned_backchannel_application_name", "verbose_name", "verbose_name_plural", "meta_model_name",
	} {
		partial[key] = whole[key]
	}
	token["provider"], token["revoked"] = partial, false
	token["id_token"] = fmt.Sprintf(`{"aud": %q}`, whole["client_id"])
	return json.Marshal(token)
}

// page returns the first page of a long list, newest first.
func page(before, after []byte, size int) []byte {
	const count = 10_000
	var b bytes.Buffer
	fmt.Fprintf(&b, `{"pagination":{"next":2,"previous":0,"count":%d,"current":1,"total_pages":%d,"start_index":1,"end_index":%d},"results":[`,
		count, count/size, size)
	for i := range size {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, "%s%d%s", before, hotID+size-1-i, after)
	}
	b.WriteString(`]}`)
	return b.Bytes()
}

// runBare is the process of the bare baseline: it writes the answer that it read from stdin.
func runBare() error {
	var a answer
	if err := json.NewDecoder(os.Stdin).Decode(&a); err != nil {
		return err
	}
	contentType := a.Header.Get("Content-Type")
	return serve(&http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { writeJSON(w, contentType, a.Body) })})
}

func writeJSON(w http.ResponseWriter, contentType string, body []byte) {
	w.Header()["Content-Type"] = []string{contentType}
	w.Header()["Content-Length"] = []string{strconv.Itoa(len(body))}
	_, _ = w.Write(body)
}

// serve prints its address to stdout and serves until stdin ends.
func serve(srv *http.Server) error {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println(ln.Addr())
	go func() { _ = srv.Serve(ln) }()
	_, err = io.Copy(io.Discard, os.Stdin)
	return errors.Join(err, srv.Close())
}
